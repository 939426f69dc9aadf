"""Small runs that call every compiled kernel, so that numba keeps them on disk and no later run waits for one."""

from __future__ import annotations

import importlib
import os
import pkgutil
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import raresim
from raresim.errors import RaresimError
from raresim.registry import members

SMALL = 4_000
"""Evaluations of a run; a method that needs more is given ten times as many."""

BEYOND = 2.0


@dataclass(frozen=True)
class Warmed:
    """What a warm-up did.

    Parameters
    ----------
    compiled, kept, missing : tuple of str
        Kernels that were compiled now, that were kept on disk already, and that no run called.
    seconds : float
        Seconds that it took.
    folder : str
        Where numba keeps the first of them.
    """

    compiled: tuple[str, ...]
    kept: tuple[str, ...]
    missing: tuple[str, ...]
    seconds: float
    folder: str


def warm(told: Callable[[str], None] = lambda _: None) -> Warmed:
    """Make the runs; ``told`` hears the name of each before it begins."""
    begun = time.perf_counter()
    for name, job in jobs():
        told(name)
        for budget in (SMALL, 10 * SMALL):
            try:
                job(budget)
            except RaresimError:  # the method wants more evaluations, or has nothing to find
                continue
            break
    found = kernels()
    parts = {part for each in found.values() if each.signatures for part in _parts(each)}
    called = {name: each for name, each in found.items() if each.signatures or each in parts}
    compiled = tuple(name for name, each in called.items() if each.stats.cache_misses)
    return Warmed(
        compiled,
        tuple(name for name in called if name not in compiled),
        tuple(name for name in found if name not in called),
        time.perf_counter() - begun,
        str(cache_folder()),
    )


def cache_folder() -> Path:
    """The folder in which numba keeps kernels: of all of them, or of one file of the package.

    Raises
    ------
    RuntimeError
        When there is no folder that numba can write to.
    """
    given = os.environ.get("NUMBA_CACHE_DIR")
    return Path(given) if given else Path(next(iter(kernels().values())).stats.cache_path)


def kept() -> tuple[int, int]:
    """The number of kernels that are on disk, not older than their source, and the number of all."""
    found = kernels().values()
    held = [each for each in found if _is_kept(each)]
    return len({*held, *(part for each in held for part in _parts(each))}), len(found)


def _parts(kernel: Any) -> Iterator[Any]:
    """The kernels that ``kernel`` calls, and those that they call: they are compiled into it."""
    names = kernel.py_func.__globals__
    for name in kernel.py_func.__code__.co_names:
        if hasattr(names.get(name), "py_func") and names[name] is not kernel:
            yield names[name]
            yield from _parts(names[name])


def _is_kept(kernel: Any) -> bool:
    code, source = kernel.py_func.__code__, Path(kernel.py_func.__code__.co_filename)
    index = f"{source.stem}.{kernel.py_func.__qualname__}-{code.co_firstlineno}.*.nbi"
    written = source.stat().st_mtime
    return any(path.stat().st_mtime >= written for path in Path(kernel.stats.cache_path).glob(index))


def kernels() -> dict[str, Any]:
    """Every kernel of the package, ready to be called, by ``module.name``."""
    found: dict[str, Any] = {}
    for info in pkgutil.walk_packages(raresim.__path__, "raresim."):
        if not info.name.startswith(("raresim.shell", "raresim.report", "raresim.config")):
            for value in vars(importlib.import_module(info.name)).values():
                if hasattr(value, "py_func"):
                    source = value.py_func
                    name = f"{source.__module__.removeprefix('raresim.')}.{source.__name__}"
                    found[name] = value.compiled() if hasattr(value, "compiled") else value
    return dict(sorted(found.items()))


def jobs() -> Iterator[tuple[str, Callable[[int], object]]]:
    """Name and run of each member that may have kernels of its own."""
    cov = [[1.0, 0.5, 0.0], [0.5, 2.0, 0.3], [0.0, 0.3, 3.0]]
    yield "normal inputs", _of_measures(raresim.Normal(mean=[0.0] * 3, cov=cov))
    yield "heavy tails", _of_measures(raresim.StudentT(loc=[0.0] * 3, shape=cov, dof=4.0))
    yield "heavy tails in the event", _of_tail()
    for kind, cls in members("inputs").items():
        for law in _examples(cls):
            yield f"inputs {kind}", _of_law(law)
    for kind, cls in members("copula").items():
        for copula in _examples(cls):
            marginals = [raresim.marginals.Normal(mean=0.0, std=1.0)] * copula.dim
            yield f"copula {kind}", _of_law(raresim.CopulaInputs(marginals=marginals, copula=copula))
    for kind, cls in members("marginal").items():
        for law in _examples(cls):
            yield f"marginal {kind}", _of_law(raresim.Independent(marginals=[law, law]))
    for kind, cls in members("method").items():
        for method in _examples(cls):
            yield f"method {kind}", _of_method(method)
    for kind, cls in members("model").items():
        for model in _examples(cls):
            yield f"model {kind}", _of_model(model)
    yield "model credit with ratings", _of_ratings


def _examples(cls: Any) -> list[Any]:
    found: list[Any] = cls.examples()
    return found


def _of_law(law: Any) -> Callable[[int], object]:
    measure = raresim.ValueAtRisk(level=0.9)
    return lambda n: raresim.estimate(law, raresim.Linear(weights="equal"), measure, "crude", audit="off", **_small(n))


def _of_method(method: Any) -> Callable[[int], object]:
    measure = raresim.Probability(above=BEYOND)
    inputs, loss = raresim.StandardNormal(dim=3), raresim.Linear(weights=[3**-0.5] * 3)
    return lambda n: raresim.estimate(inputs, loss, measure, method, **_small(n) | {"relative_error": 0.1})


def _of_measures(law: Any) -> Callable[[int], object]:
    measures = [raresim.ValueAtRisk(level=0.99), raresim.Exceedance(), raresim.Contributions(level=0.99)]
    measures += [raresim.Scenarios(level=0.99), raresim.Sensitivities()]
    return lambda n: raresim.estimate(law, raresim.Linear(weights="equal"), measures, "auto", **_small(n))


def _of_tail() -> Callable[[int], object]:
    law, loss = raresim.StudentT(dof=4.0, dim=20), raresim.Linear(weights="equal")
    return lambda n: raresim.estimate(law, loss, raresim.Probability(above="5 sigma"), "auto", **_small(n))


def _of_model(model: Any) -> Callable[[int], object]:
    measures = [raresim.ValueAtRisk(level=0.99), raresim.UnexpectedLoss(level=0.99)]
    measures += [raresim.Contributions(level=0.99), raresim.Scenarios(level=0.99)]
    return lambda n: raresim.estimate(model, measures=measures, **_small(n))


def _of_ratings(n: int) -> object:
    with tempfile.TemporaryDirectory() as folder:
        tape, transitions = Path(folder) / "tape.csv", Path(folder) / "transitions.csv"
        tape.write_text("id,ead,rating\na,1,A\nb,2,B\nc,3,A\n")
        transitions.write_text("from,A,B,D\nA,0.90,0.08,0.02\nB,0.10,0.80,0.10\n")
        values = {"A": 1.0, "B": 0.9}
        return _of_model(raresim.models.Credit(tape=tape, transitions=transitions, values=values, lgd=0.5, rho=0.2))(n)


def _small(n: int) -> dict[str, Any]:
    return {"seed": 1, "relative_error": None, "max_evaluations": n}

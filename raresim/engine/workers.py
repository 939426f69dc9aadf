"""What a worker of a pool does with a task, and whether it computes as the calling process does."""

from __future__ import annotations

import functools
import platform
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

import raresim
from raresim.engine.parcels import Parcel, unpacked
from raresim.engine.problem import Problem
from raresim.errors import FieldError
from raresim.numerics.surroundings import one_thread, usual_arithmetic


@dataclass(frozen=True)
class Kind:
    """What the digits of a process depend on: versions by name, and the features of its processor."""

    versions: dict[str, str]
    cpu: str
    features: frozenset[str]

    def refuse_other(self, there: Kind) -> None:
        """Raise `FieldError` that says how a worker ``there`` differs from this process."""
        names = sorted({*self.versions, *there.versions})
        apart = [
            f"{name} {there.versions.get(name, 'missing')} there, {self.versions.get(name, 'missing')} here"
            for name in names
            if self.versions.get(name) != there.versions.get(name)
        ]
        for features, where in ((there.features - self.features, "there"), (self.features - there.features, "here")):
            if features:
                apart.append(f"CPU features only {where}: {', '.join(sorted(features))}")
        if self.cpu != there.cpu:
            apart.append(f"CPU {there.cpu} there, {self.cpu} here")
        if apart:
            raise FieldError(
                "executor",
                f"a worker on {platform.node()} differs from the process that calls it, so digits could differ too: "
                f"{'; '.join(apart)}. Give workers the same versions and the same kind of processor",
            )


@functools.cache
def kind_of_process() -> Kind:
    """Versions of Python, NumPy, SciPy, Numba and raresim, and the processor for which kernels are compiled."""
    import numba
    import scipy
    from llvmlite import binding

    versions = {
        "Python": platform.python_version(),
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "numba": numba.__version__,
        "raresim": raresim.__version__,
    }
    features = frozenset(name for name, has in binding.get_host_cpu_features().items() if has)
    return Kind(versions, str(binding.get_host_cpu_name()), features)


class Task(Protocol):
    """What a job is for a worker: it computes items, and makes the results of neighbours smaller to send."""

    def __call__(self, item: Any) -> Any:
        """The result of an item."""

    def thinned(self, sent: Sequence[Any]) -> list[Any]:
        """Results of neighbouring items with less to send."""


@functools.cache
def _begun() -> None:
    """Give linear algebra one thread in this process, for good: with more of them, last digits change."""
    one_thread()


def begin(caller: Kind, *problems: Parcel) -> None:
    """Make a worker ready: compare it with the caller, unpack the problems, compile the kernels of their inputs.

    Raises
    ------
    FieldError
        When the worker differs from the caller, or cannot import what a problem needs.
    """
    _begun()
    caller.refuse_other(kind_of_process())
    for parcel in problems:
        with usual_arithmetic():
            _warm(unpacked(parcel, {}))


def _warm(problem: Problem) -> None:
    """Compile the kernels that draw and weigh, and those of a loss that calls no code of the user."""
    u = np.empty((2, problem.dim), order="F")
    problem.target.sample(np.random.Generator(np.random.SFC64(1)), u)
    problem.target.logpdf(u, np.empty(2))
    x = u
    if problem.space == "standard":
        x = problem.inputs.to_physical(u, np.empty((2, problem.inputs.dim), order="F"))
    if not problem.loss.runs_user_code:
        problem.loss(x, np.empty(2))


def compute(caller: Kind, items: Sequence[Any], job: Parcel, *problems: Parcel) -> tuple[list[Any], float]:
    """The result of each item by the packed job, in order, and the seconds that all of them took.

    Raises
    ------
    FieldError
        As `begin`.
    Exception
        Whatever the job raises for the first item that fails.
    """
    _begun()
    caller.refuse_other(kind_of_process())
    task: Task = unpacked(job, {parcel.token: unpacked(parcel, {}) for parcel in problems})
    begun = time.perf_counter()
    return task.thinned([task(item) for item in items]), time.perf_counter() - begun

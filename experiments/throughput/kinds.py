"""What does a draw of every loss and every model cost?

``python experiments/throughput/kinds.py`` writes kinds.md beside this file: nanoseconds of one processor for a draw and
for its loss, medians of rounds in turns, and how many draws of twenty correlated normals with a linear loss that is.
Plain draws of the shipped configs, without a search. Kinds that call a program or a server are left out: what they cost
is not raresim's.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from portfolio import experiment as linear
from table import machine

import raresim
from raresim.config.load import load
from raresim.engine.fold import Sampler
from raresim.engine.problem import Problem
from raresim.numerics.blocks import Block, block_rows
from raresim.numerics.surroundings import in_one_thread
from raresim.registry import lookup, members
from raresim.run.experiment import Experiment

HERE = Path(__file__).parent
CONFIGS = HERE.parents[1] / "configs"
ROUNDS, SECONDS, MOST = 7, 0.08, 2_000_000
"""Rounds, seconds of a round, and draws whose blocks are measured: the size of a block depends on that."""

FIRST = "linear, 20 correlated normals"
ABROAD = ("program", "umbridge")
"""Kinds that call what is not raresim's."""


def vectorised(x: np.ndarray) -> np.ndarray:
    """A user's loss of rows."""
    return np.maximum(x[:, 0] + x[:, 1] ** 2, x[:, 2])


def of_a_row(x: np.ndarray) -> float:
    """The same of one row."""
    return max(x[0] + x[1] ** 2, x[2])


def with_loss(loss: Any, inputs: Any = 3) -> Callable[[], Experiment]:
    """Three standard normals, or other inputs, with a loss."""
    law = raresim.StandardNormal(dim=inputs) if isinstance(inputs, int) else inputs
    far = [raresim.Probability(above=5.0)]
    return lambda: Experiment(inputs=law, loss=loss, measures=far, method=raresim.Crude(), seed=1)


def example(kind: str) -> Callable[[], Experiment]:
    """The first example of a kind of loss."""
    inputs, loss = lookup("loss", kind).examples()[0]  # type: ignore[attr-defined]
    return with_loss(loss, inputs)


def config(name: str) -> Callable[[], Experiment]:
    """The experiment of a shipped config."""
    return lambda: load(CONFIGS / name).experiment()


def every() -> Mapping[str, Callable[[], Experiment]]:
    """Problems by name; the first is what others are compared with."""
    joint = raresim.Normal(mean=0.0, cov=0.0001 * (np.eye(20) + 1.0))
    weights = np.full(20, 0.05)
    revalued = raresim.Linear(weights=weights, factors="returns", revalue="exp")
    python = raresim.PythonLoss
    return {
        FIRST: lambda: linear(MOST, 1),
        "linear, revalued by exp": with_loss(revalued, joint),
        "linear, 20 Student t returns": config("portfolio-5-sigma-t.yaml"),
        "linear, four lognormals": config("sum-four-lognormals.yaml"),
        "linear, ten stocks of a t copula": config("stocks-t-copula.yaml"),
        "python, rows at once, 3 normals": with_loss(python(function=vectorised)),
        "python, a row at a time": with_loss(python(function=of_a_row, vectorised=False)),
        "python, a row at a time, jit": with_loss(python(function=of_a_row, jit=True)),
        "event algebra, 6 events": config("systems/cooling.yaml"),
        "intersection of an event and a union": example("intersection"),
        "complement of an event": example("complement"),
        "series of 2 events": example("series"),
        "parallel, 4 paths": config("systems/bridge-paths.yaml"),
        "credit, one factor": config("credit/one-factor.yaml"),
        "credit, t copula": config("credit/t-copula.yaml"),
        "credit, ratings": config("credit/ratings.yaml"),
        "compound, fire claims": config("insurance/fire-claims.yaml"),
        "compound, event table": config("insurance/us-wind.yaml"),
        "compound, period table": config("insurance/period-table.yaml"),
        "delta_gamma, 100 factors": config("market/delta-gamma.yaml"),
        "options, a desk": config("market/options.yaml"),
        "network, 20 edges": config("systems/network-grid.yaml"),
        "network, shortest way": config("systems/network-shortest-path.yaml"),
        "network, a project": config("systems/project.yaml"),
        "network, k units of n": config("systems/units-in-a-row.yaml"),
        "ruin by a horizon": config("systems/ruin-by-horizon.yaml"),
        "queue, waiting time": config("systems/queue-waiting-time.yaml"),
        "queue, servers in a line": config("systems/queue-tandem.yaml"),
        "path, walk of 50 steps": config("paths/walk-maximum.yaml"),
        "path, Heston, 52 steps": config("paths/heston-end.yaml"),
    }


def kinds_in(loss: Any, model: Any) -> Iterator[str]:
    """The kinds of a loss, of the losses in it, and of a model."""
    if model is not None:
        yield model.kind
    if isinstance(loss, Mapping):
        for each in loss.values():
            yield from kinds_in(each, None)
    elif isinstance(loss, list | tuple):
        for each in loss:
            yield from kinds_in(each, None)
    elif hasattr(loss, "kind"):
        yield loss.kind
        for value in vars(loss).values():
            if value is not loss:
                yield from kinds_in(value, None)


def nanoseconds(sampler: Sampler, rows: int) -> tuple[float, float]:
    """Of the processor for a draw, and for its map and loss: the mean over blocks that take some `SECONDS`."""
    drawn = lost = 0.0
    done = 0
    while drawn + lost < SECONDS:
        block = Block(0, done, done * rows, rows)
        begun = time.process_time()
        u = sampler.draw(block)
        between = time.process_time()
        sampler.loss(u, block)
        lost += time.process_time() - between
        drawn += between - begun
        done += 1
    return 1e9 * drawn / (done * rows), 1e9 * lost / (done * rows)


def main() -> None:
    samplers: dict[str, tuple[Sampler, int]] = {}
    seen: set[str] = set()
    for name, make in every().items():
        made = make()
        problem = Problem(made.inputs, made.loss.bind(made.inputs))
        samplers[name] = Sampler(problem, None, 1), block_rows(MOST, problem.dim)
        seen |= set(kinds_in(made.loss, made.model))
    if missing := {*members("loss"), *members("model")} - seen - set(ABROAD):
        raise SystemExit(f"not measured: {', '.join(sorted(missing))}")
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in samplers}
    with in_one_thread():
        for turn in range(ROUNDS + 1):  # the first compiles
            for name, (sampler, rows) in samplers.items():
                found = nanoseconds(sampler, rows)
                if turn:
                    times[name].append(found)
    write(samplers, times)


def write(samplers: Mapping[str, tuple[Sampler, int]], times: Mapping[str, list[tuple[float, float]]]) -> None:
    """Write kinds.md."""
    every_sum = {name: np.array(each).sum(axis=1) for name, each in times.items()}
    lines = [
        f"{machine()}",
        "",
        "| loss or model | normals | draw, ns | map and loss, ns | in all, ns | range | times the first |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, each in times.items():
        draw, lost = np.median(each, axis=0)
        total, ratio = every_sum[name], np.median(every_sum[name] / every_sum[FIRST])
        spread = f"{total.min():,.0f} to {total.max():,.0f}"
        dim = samplers[name][0].problem.dim
        lines.append(
            f"| {name} | {dim:,} | {draw:,.0f} | {lost:,.0f} | {np.median(total):,.0f} | {spread} | {ratio:,.1f} |"
        )
    (HERE / "kinds.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()

"""The jobs of the study: draws of a fixed proposal for a linear loss, and a slow loss in Python."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from raresim import Crude, Experiment, Importance, Linear, Normal, Probability, PythonLoss, StandardNormal, Stop

SIGMAS = 5.0


def linear(n: int, d: int, seed: int) -> Experiment:
    """``n`` draws of ``d`` correlated normals, shifted to the design point of a five-sigma loss."""
    cov = np.full((d, d), 0.3) + 0.7 * np.eye(d)
    weights = np.full(d, 1.0 / d)
    exposure = np.linalg.cholesky(cov).T @ weights
    sigma = float(np.linalg.norm(exposure))
    proposal = Normal(mean=SIGMAS * exposure / sigma, cov=np.eye(d))
    return Experiment(
        inputs=Normal(mean=np.zeros(d), cov=cov),
        loss=Linear(weights=weights),
        measures=[Probability(above=SIGMAS * sigma)],
        method=Importance(proposal=proposal),
        stop=Stop(relative_error=None, max_evaluations=n),
        seed=seed,
        audit="off",
    )


def independent(n: int, d: int, seed: int) -> Experiment:
    """``n`` draws of ``d`` independent normals for a linear loss, whose cost is that of ``n d`` numbers."""
    return _crude(n, d, Linear(weights=np.full(d, d**-0.5)), seed)


def slow(x: np.ndarray) -> np.ndarray:
    """The mean of three factors after some arithmetic in pure Python, one row after the other."""
    total = np.empty(len(x))
    for k, row in enumerate(x.tolist()):
        total[k] = sum(value * (1.0 + 0.0 * j) for j, value in enumerate(row))
    return total / x.shape[1] ** 0.5


def python(n: int, seed: int) -> Experiment:
    """``n`` draws for `slow`."""
    return _crude(n, 3, PythonLoss(function=f"{Path(__file__)}:slow"), seed)


def counting(n: int, folder: Path, seed: int) -> Experiment:
    """``n`` draws for the loss that counts its calls in ``folder``."""
    return _crude(n, 20, PythonLoss(function=f"{folder / 'counted.py'}:loss"), seed)


def _crude(n: int, d: int, loss: Any, seed: int) -> Experiment:
    return Experiment(
        inputs=StandardNormal(dim=d),
        loss=loss,
        measures=[Probability(above=2.0)],
        method=Crude(),
        stop=Stop(relative_error=None, max_evaluations=n),
        seed=seed,
        audit="off",
    )


def seconds(
    experiment: Experiment, executor: Any, clock: Callable[[], float] = time.perf_counter
) -> tuple[float, float]:
    """Time of a run, by the clock on the wall or another one, and its estimate."""
    begun = clock()
    result = experiment.run(executor)
    return clock() - begun, result.estimates[0].value

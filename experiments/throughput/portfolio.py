"""The job that every program is given: a 5-sigma loss of correlated normals, by mean-shift importance sampling."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

Answer = tuple[float, float]
"""A probability and its standard error."""

Program = Callable[[int, int], Answer]
"""A program that makes a number of draws with a seed."""

DIM = 20
SIGMAS = 5.0
EXACT = 2.866515718791939e-07
"""P(Z >= 5), closed form: ``scipy.stats.norm.sf(5)``."""


@dataclass(frozen=True, eq=False)
class Portfolio:
    """Loss ``weights . x`` of ``x ~ N(0, cov)``, and the shift to its design point.

    Parameters
    ----------
    cov, factor : (d, d) float64
        Covariance of the risk factors and its lower Cholesky factor.
    weights : (d,) float64
        Weights of the loss.
    threshold : float
        Five standard deviations of the loss.
    shift : (d,) float64
        Mean of the proposal in standard normal space, the likeliest point of the event.
    """

    cov: np.ndarray
    factor: np.ndarray
    weights: np.ndarray
    threshold: float
    shift: np.ndarray


def portfolio() -> Portfolio:
    """The same portfolio at every call."""
    root = np.random.default_rng(20).standard_normal((DIM, DIM))
    cov = root @ root.T / DIM + 0.5 * np.eye(DIM)
    factor = np.linalg.cholesky(cov)
    weights = np.full(DIM, 1.0 / DIM)
    exposure = factor.T @ weights
    sigma = float(np.sqrt(exposure @ exposure))
    return Portfolio(cov, factor, weights, SIGMAS * sigma, SIGMAS * exposure / sigma)


def experiment(n: int, seed: int) -> Any:
    """The job for raresim: ``n`` draws, whatever the error."""
    from raresim import Experiment, Importance, Linear, Normal, Probability, Stop

    job = portfolio()
    return Experiment(
        inputs=Normal(mean=0.0, cov=job.cov),
        loss=Linear(weights=job.weights),
        measures=[Probability(above=job.threshold)],
        method=Importance(proposal=Normal(mean=job.shift, std=1.0)),
        stop=Stop(relative_error=None, max_evaluations=n),
        seed=seed,
    )


def nanoseconds(program: Program, draws: int, seed: int, clock: Callable[[], float] = time.process_time) -> float:
    """Time of one draw; ends the study when the answer is more than five standard errors off.

    Processor time by default: other work on the machine does not change it, and it includes every thread.
    """
    begun = clock()
    value, error = program(draws, seed)
    elapsed = clock() - begun
    if not abs(value - EXACT) <= 5 * error:
        raise SystemExit(f"wrong answer: {value:.6g} +- {error:.2g}, exact {EXACT:.6g}")
    return elapsed / draws * 1e9

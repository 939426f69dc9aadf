"""What a Gaussian process believes of many points, how that changes with evaluations, and whether it came true."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from raresim.numerics.arrays import Float
from raresim.surrogate.covariance import covariance, variance
from raresim.surrogate.gaussian_process import JITTER, GaussianProcess

LABELS = 60
"""Predicted evaluations from which the spread of a process is calibrated."""

VISIBLE = 0.05
"""Errors that show in a picture of all values, as a share of their standard deviation."""

TEMPER_SPREAD = 0.4
"""Standard deviation of the prior of the log of its factor."""


@dataclass(eq=False)
class Belief:
    """The posterior of a process at fixed points, kept while single evaluations are added.

    Parameters
    ----------
    process : GaussianProcess
        The process, with all evaluations so far.
    points : (m, d) float64
        The points.
    mean, spread : (m,) float64
        Mean and standard deviation of the warped margin, the latter not tempered.
    whitened : (n, m) float64
        ``root^-1 k(x, points)``.
    waved : (m, d k) float64 or None
        `Layout.waved` at the points.
    """

    process: GaussianProcess
    points: Float
    mean: Float
    spread: Float
    whitened: Float
    waved: Float | None

    @classmethod
    def of(cls, process: GaussianProcess, points: Float, waved: Float | None = None) -> Self:
        """What ``process`` believes of ``points``, where ``waved`` is `Layout.waved` if it is known."""
        waved = process.layout.waved(points) if waved is None else waved
        return cls(process, points, *process.posterior(points, waved), waved)

    def after(self, x: Float, y: float) -> Belief:
        """The belief after the warped margin ``y`` at ``x`` (d,) is known: the parameters stay."""

        process = self.process
        z = x[np.newaxis]
        own = process.whitened(z)[:, 0]
        left = float(variance(process.layout, process.theta, z)[0] - own @ own) + process.noise
        step = math.sqrt(max(left, JITTER))
        prior = covariance(process.layout, process.theta, z, self.points, z_waved=self.waved)[0]
        row = (prior - own @ self.whitened) / step
        known = process.whitened_values
        residual = (y - float(own @ known)) / step
        n = len(process.y)
        root = np.zeros((n + 1, n + 1))
        root[:n, :n], root[n, :n], root[n, n] = process.root, own, step
        grown = replace(process, x=np.vstack([process.x, z]), y=np.append(process.y, y), root=root)
        spread = np.sqrt(np.maximum(self.spread**2 - row**2, JITTER))
        mean, whitened = self.mean + residual * row, np.vstack([self.whitened, row])
        return Belief(grown, self.points, mean, spread, whitened, self.waved)


@dataclass(frozen=True)
class Predicted:
    """What was predicted of an evaluation before it was made, in units of the process, and what it was."""

    score: float
    is_hit: bool


def temper_of(process: GaussianProcess, before: list[Predicted]) -> float:
    """The factor of the standard deviations that makes the last predictions most likely.

    Parameters
    ----------
    process : GaussianProcess
        The process; its leave-one-out errors are the centre of the prior.
    before : list of Predicted
        The predictions, with scores before any factor.
    """
    from scipy import optimize, special

    mean, spread = process.left_out()
    centre = math.log(max(0.2, math.sqrt(float(np.mean(((process.y - mean) / spread) ** 2)))))
    last = before[-LABELS:]
    score = np.array([p.score for p in last])
    sign: Float = np.where(np.array([p.is_hit for p in last], dtype=bool), 1.0, -1.0)

    def cost(log_factor: float) -> float:
        likely = special.log_ndtr(sign * score / math.exp(log_factor)).sum() if len(last) else 0.0
        return 0.5 * ((log_factor - centre) / TEMPER_SPREAD) ** 2 - float(likely)

    best = optimize.minimize_scalar(cost, bounds=(centre - 2.0, centre + 2.0), method="bounded")
    return math.exp(float(best.x))


def calibration_of(before: list[Predicted], temper: float) -> float:
    """Outcomes in the event less those expected, in standard deviations: a standard normal if it knows its doubts.

    Every prediction was made before its outcome was known.
    """
    from scipy import special

    if not before:
        return 0.0
    expected = special.ndtr(np.array([p.score for p in before]) / temper)
    hits = np.array([p.is_hit for p in before], dtype=float)
    return float((hits - expected).sum() / math.sqrt(max(float((expected * (1.0 - expected)).sum()), 1.0)))


def unsure(failing: Float) -> Float:
    """Standard deviation (m,) of the indicator of each point, which fails with such a probability."""
    return np.sqrt(failing * (1.0 - failing))


def distinct_share(values: Float) -> float:
    """Share of different numbers among ``values``: a loss that moves in steps repeats itself."""
    return float(np.unique(values).size / values.size)


def largest_off(process: GaussianProcess, offsets: Float | None = None) -> float:
    """Largest error of an evaluation as the others predict it, in standard deviations, of those that can be seen.

    A process that knows its points to many digits is off by many of its standard deviations where nobody would look: an
    error counts from `VISIBLE` of the spread of all values, which are the sums with ``offsets`` (n,) where the process
    is of what an approximation leaves.
    """
    mean, spread = process.left_out()
    error = np.abs(process.y - mean)
    values = process.y if offsets is None else process.y + offsets
    visible = error >= VISIBLE * float(values.std())
    return float((error / spread)[visible].max(initial=0.0))

"""Markov moves of many chains at once in standard normal space, with which the population methods climb.

A move leaves the law with density proportional to ``f(loss(u)) phi(u)`` unchanged, where ``phi`` is the standard normal
density and ``f`` the indicator of a level, or a smooth approximation of it. All chains take a step together: a step is
one call of the loss (a few for the elliptical slice).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from raresim.numerics.arrays import Bool, Float
from raresim.numerics.normals import fill_standard_normal

Evaluate = Callable[[Float], Float]
"""Losses (n,) of the rows of ``u`` (n, d), in Fortran order; signed so that larger is rarer."""

LogFactor = Callable[[Float], Float]
"""``log f`` (n,) of losses (n,), in nats; ``-inf`` at losses that are not allowed."""

Moves = Literal["adaptive", "elliptical_slice"]

FIRST_STEP = 0.6
"""Share of new noise in a proposal before any adaptation: [1]."""

WANTED_ACCEPTANCE = 0.44
"""Share of accepted proposals to which the step is adapted: [1]."""

MAX_SHRINKS = 60
"""Number of proposals after which a slice has shrunk to the chain's own place."""

DRAWS_EACH = 80
"""Draws per dimension from which a guide has their covariance: with fewer, its errors add up and no chain moves."""

WIDER = 1.3
"""The variance of a guide relative to that of its draws: proposals of too narrow a law never reach the rest."""

LEAST_VARIANCE = 0.01
"""Smallest variance of a guide: draws with few different ancestors have none at all in most directions."""


@dataclass(frozen=True, eq=False)
class Guide:
    """A normal law near the law of the chains: ``N(mean, I + sum_k (v_k - 1) a_k a_k')``.

    Parameters
    ----------
    mean : (d,) float64
        Mean of the law.
    axes : (k, d) float64
        Orthonormal directions ``a_k``.
    variances : (k,) float64
        Positive variances along these directions; 1 along all others.
    """

    mean: Float
    axes: Float
    variances: Float

    @classmethod
    def of(cls, u: Float) -> Guide | None:
        """The guide of draws ``u`` (n, d) with their covariance, or with their mean alone if they are too few.

        None if their mean could be zero: the mean of ``n`` draws of the target has a length of about ``sqrt(d / n)``.
        """
        n, d = u.shape
        mean = u.mean(axis=0)
        if n >= DRAWS_EACH * d:
            values, axes = np.linalg.eigh(np.atleast_2d(np.cov(u, rowvar=False)))
            return cls(mean, axes.T, np.maximum(WIDER * values, LEAST_VARIANCE))
        length = float(np.linalg.norm(mean))
        if length**2 < 4.0 * d / n:
            return None
        axis = mean / length
        return cls(mean, axis[None, :], np.clip(WIDER * np.var(u @ axis, keepdims=True), LEAST_VARIANCE, 1.0))

    def stretched(self, z: Float) -> Float:
        """``z`` (n, d) with its part along each axis multiplied by the standard deviation there."""
        along: Float = z @ self.axes.T * (np.sqrt(self.variances) - 1.0)
        return z + along @ self.axes

    def log_target(self, u: Float) -> Float:
        """Log density (n,) of standard normals over that of the guide, up to a constant, in nats."""
        y = u - self.mean
        narrower = np.square(y @ self.axes.T) @ (1.0 / self.variances - 1.0)
        return np.asarray(0.5 * (np.square(y).sum(axis=1) + narrower - np.square(u).sum(axis=1)))


@dataclass(eq=False)
class Walk:
    """The moves of one run: its random numbers, its step and its evaluations.

    Parameters
    ----------
    evaluate : callable
        Losses of draws.
    rng : numpy.random.Generator
        Advanced by every step.
    moves : "adaptive" or "elliptical_slice"
        Conditional sampling with an adapted step [1]_, or elliptical slices [2]_, which need no adaptation and never
        stay in place, but take several evaluations a step.
    keep_all : bool
        Whether every evaluated draw is kept in ``seen``, rejected ones too.
    step, guided_step : float
        Share of new noise in a proposal, without a guide and with one.

    References
    ----------
    .. [1] Papaioannou, Betz, Zwirglmaier & Straub, *MCMC algorithms for subset simulation*,
       Probab. Eng. Mech. 41, 2015.
    .. [2] Murray, Adams & MacKay, *Elliptical slice sampling*, AISTATS 2010.
    """

    evaluate: Evaluate
    rng: np.random.Generator
    moves: Moves = "adaptive"
    keep_all: bool = False
    step: float = FIRST_STEP
    guided_step: float = FIRST_STEP
    evaluations: int = 0
    seen: list[tuple[Float, Float]] = field(default_factory=list)

    def fresh(self, n: int, dim: int) -> tuple[Float, Float]:
        """``n`` independent draws (n, d) of the target and their losses (n,)."""
        u = self._noise(n, dim)
        return u, self._loss(u)

    def advance(self, u: Float, loss: Float, log_factor: LogFactor, gain: float = 1.0) -> tuple[Float, Float]:
        """One step of every chain: the new draws and losses, in new arrays.

        Parameters
        ----------
        u : (n, d) float64
            Positions of the chains.
        loss : (n,) float64
            Losses of the chains.
        log_factor : callable
            ``log f``, finite at every chain.
        gain : float
            How strongly the share of accepted proposals changes the logarithm of the step; smaller with every step of a
            level, so that the adaptation dies out ([1]_ has ``1 / sqrt(k)``). 0 leaves the step as it is.
        """
        return (self._conditional if self.moves == "adaptive" else self._slice)(u, loss, log_factor, gain)

    def guided(
        self, u: Float, loss: Float, log_factor: LogFactor, guide: Guide, gain: float = 1.0
    ) -> tuple[Float, Float]:
        """One step of every chain with proposals that leave ``guide`` unchanged instead of the target: [1]_.

        If the law of the chains is near the guide, a proposal far from a chain is still accepted, unlike in `advance`.
        The guide must come from other draws than ``u``: these lie nearer to their own mean than any proposal, so few
        proposals would be accepted, and chains with low losses would be left behind.

        References
        ----------
        .. [1] Rudolf & Sprungk, *On a generalization of the preconditioned Crank-Nicolson Metropolis algorithm*,
           Found. Comput. Math. 18, 2018.
        """
        s = self.guided_step
        proposed = guide.stretched(self._noise(*u.shape))
        proposed *= s
        proposed += guide.mean + math.sqrt(1.0 - s**2) * (u - guide.mean)
        proposed = np.asfortranarray(proposed)
        new = self._loss(proposed)
        more = log_factor(new) - log_factor(loss) + guide.log_target(proposed) - guide.log_target(u)
        accepted = self._log_uniform(loss.size) < more
        self.guided_step = _adapted(s, accepted, gain)
        return np.where(accepted[:, None], proposed, u), np.where(accepted, new, loss)

    def extend(self, u: Float, loss: Float, n: int, log_factor: LogFactor) -> tuple[Float, Float]:
        """``n`` states of chains that begin at the rows of ``u``, these rows included.

        Chains take turns, one step each, until there are enough states: their lengths differ by one at most, or by two
        if a chain would move alone (one row has another layout, for which kernels would be compiled again).
        """
        k = loss.size
        order = self.rng.permutation(k)
        u, loss = u[order], loss[order]
        out, out_loss = np.empty((n, u.shape[1]), order="F"), np.empty(n)
        out[:k], out_loss[:k] = u, loss
        done, turn = k, 0
        while done < n:
            turn += 1
            m = min(k, n - done)
            m -= 2 < m == n - done - 1
            u, loss = self.advance(np.asfortranarray(u[:m]), loss[:m], log_factor, 1.0 / math.sqrt(turn))
            out[done : done + m], out_loss[done : done + m] = u, loss
            done += m
        return out, out_loss

    def _conditional(self, u: Float, loss: Float, log_factor: LogFactor, gain: float) -> tuple[Float, Float]:
        """``u' = sqrt(1 - s^2) u + s z`` has ``phi`` as its law if ``u`` has: accepted by ``f'/f``, [1]."""
        proposed = self._noise(*u.shape)
        proposed *= self.step
        proposed += math.sqrt(1.0 - self.step**2) * u
        new = self._loss(proposed)
        accepted = self._log_uniform(loss.size) < log_factor(new) - log_factor(loss)
        self.step = _adapted(self.step, accepted, gain)
        return np.where(accepted[:, None], proposed, u), np.where(accepted, new, loss)

    def _slice(self, u: Float, loss: Float, log_factor: LogFactor, gain: float) -> tuple[Float, Float]:
        """A place on the ellipse through ``u`` and a draw of the target: [2] fig. 2, the bracket shrinks to ``u``."""
        n, d = u.shape
        noise = self._noise(n, d)
        least = log_factor(loss) + self._log_uniform(n)
        angle = 2.0 * math.pi * self.rng.random((n,))
        low, high = angle - 2.0 * math.pi, angle.copy()
        out, out_loss = u.copy(order="F"), loss.copy()
        open_ = np.arange(n)
        for _ in range(MAX_SHRINKS):
            at = angle[open_, None]
            proposed = np.asfortranarray(np.cos(at) * u[open_] + np.sin(at) * noise[open_])
            new = self._loss(proposed)
            accepted = log_factor(new) > least[open_]
            out[open_[accepted]], out_loss[open_[accepted]] = proposed[accepted], new[accepted]
            open_ = open_[~accepted]
            if not open_.size:
                break
            low[open_] = np.where(angle[open_] < 0, angle[open_], low[open_])
            high[open_] = np.where(angle[open_] < 0, high[open_], angle[open_])
            angle[open_] = self.rng.uniform(low[open_], high[open_])
        return out, out_loss

    def _noise(self, n: int, dim: int) -> Float:
        u: Float = np.empty((n, dim), order="F")
        fill_standard_normal(self.rng, u)
        return u

    def _log_uniform(self, n: int) -> Float:
        return -self.rng.standard_exponential(n)

    def _loss(self, u: Float) -> Float:
        loss = np.array(self.evaluate(u), dtype=np.float64)
        self.evaluations += loss.size
        if self.keep_all:
            self.seen.append((u, loss))
        return loss


def _adapted(step: float, accepted: Bool, gain: float) -> float:
    """The new step, from the proposals ``accepted`` with the old one."""
    return min(1.0, step * math.exp(gain * (float(accepted.mean()) - WANTED_ACCEPTANCE)))


def beyond(level: float) -> LogFactor:
    """``log f`` of the hard condition ``loss >= level``: 0 where it holds, else ``-inf``."""

    def log_factor(loss: Float) -> Float:
        return np.where(loss >= level, 0.0, -np.inf)

    return log_factor


def next_level(loss: Float, k: int) -> float:
    """The level with ``k`` of the losses (n,) beyond it, ``k < n``: just above the ``(k + 1)``-th largest.

    For independent draws the share ``k / n`` is then unbiased for the probability beyond the level: that has the law
    Beta(k + 1, n - k), and the mean of its inverse is ``n / k``. The ``k``-th largest loss itself would give
    ``n / (k - 1)``, an error of a tenth after some levels of 500 draws.

    If ties leave less than half of the ``k`` losses beyond the level, the tied ones are included, unless these are all
    losses. If no loss is above the lowest, the result is the lowest loss itself.
    """
    largest = float(np.partition(loss, -k - 1)[-k - 1])
    beyond_it, least = np.count_nonzero(loss > largest), float(loss.min())
    if 2 * beyond_it >= k or (beyond_it and largest == least):
        return math.nextafter(largest, math.inf)
    return largest

"""Rows of a walk that is drawn towards its large values, in the standard normals of the model itself."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import numpy as np

from raresim.accumulators.event_draws import Drawing
from raresim.accumulators.tail_draws import Beyond
from raresim.engine.fold import Sampler
from raresim.methods.offered_draws import AimedDraws
from raresim.methods.offers import log_mixture
from raresim.models.queues.walk import WalkMaximum
from raresim.numerics.arrays import Float
from raresim.record.event import Event

ROUNDING = 1e-9
"""What a step may miss of what it has to add, relative to it: it was found from a tail probability."""


@dataclass(frozen=True, eq=False)
class Aim:
    """What some of the rows are drawn for.

    Parameters
    ----------
    share : float
        Of the rows.
    level : float
        What the walk is to reach.
    theta, discount : float
        The twist of what a step adds, and minus that of the time before it; not used by a scheme without a twist.
    """

    share: float
    level: float
    theta: float = 0.0
    discount: float = 0.0


@dataclass(frozen=True, eq=False)
class WalkDraws(AimedDraws[Aim]):
    """Rows whose paths are drawn towards one of several levels; the others come from the model itself.

    Parameters
    ----------
    sampler : Sampler
        Of the run's problem, in standard normal space.
    events : tuple of Event
        Maxima of at least a threshold.
    aims : tuple of Aim
        What rows are drawn for.
    beyond : Beyond, optional
        The rows that are kept.
    sampled : Drawing, optional
        The sample of them that is kept for the user.
    heaviest : float
        Largest weight of a row over the probability of its event; infinite where it is not known.
    """

    sampler: Sampler
    events: tuple[Event, ...]
    aims: tuple[Aim, ...]
    beyond: Beyond | None = None
    sampled: Drawing | None = None
    heaviest: float = math.inf

    def drawing(self, wanted: Drawing) -> Self:
        return replace(self, sampled=wanted)

    @cached_property
    def loss(self) -> WalkMaximum:
        """The loss of the run; raises TypeError where it is no walk's."""
        loss = self.sampler.problem.loss
        if not isinstance(loss, WalkMaximum):
            raise TypeError(f"a walk is drawn for its maximum, got a loss of kind {loss.kind}")
        return loss

    def log_weight(self, x: Float) -> Float:
        log_ratio = np.stack([self.log_ratio(aim, x) for aim in self.aims], axis=1)
        return -log_mixture(np.array([aim.share for aim in self.aims]), log_ratio, self.plain)

    @abstractmethod
    def log_ratio(self, aim: Aim, x: Float) -> Float:
        """Log of the density of rows for ``aim`` over that of the model (n,), at factors ``x`` (n, d), in nats."""


@dataclass(frozen=True, eq=False)
class TwistedWalk(WalkDraws):
    """Rows of a walk whose steps are twisted until it reaches the level of its aim [1]_.

    Notes
    -----
    See `raresim.models.queues.lundberg.Exponents`: where the path has stopped, at the level or at the horizon, the
    density ratio is ``exp(theta C - s t)``; later steps have their own law.

    References
    ----------
    .. [1] Siegmund, *Importance sampling in the Monte Carlo study of sequential tests*, Ann. Stat. 4, 1976.
    """

    def drawn_for(self, aim: Aim, rng: np.random.Generator, u: Float) -> Float:
        steps, n = self.loss.steps, len(u)
        added = self.loss.exponents.claims.twisted(aim.theta).sample(rng, n * steps).reshape(n, steps)
        gaps = self.loss.exponents.gaps.twisted(-aim.discount).sample(rng, n * steps).reshape(n, steps)
        twisted = np.asfortranarray(np.hstack([added, gaps]))
        stop = self.loss.stops(self.loss.sums(self.mapped(twisted)), aim.level)
        until = np.arange(steps) <= stop[:, None]
        return np.where(np.hstack([until, until]), twisted, u)

    def log_ratio(self, aim: Aim, x: Float) -> Float:
        sums = self.loss.sums(x)
        stop = self.loss.stops(sums, aim.level)[:, None]
        added, time = (np.take_along_axis(part, stop, axis=1)[:, 0] for part in (sums.added, sums.time))
        return np.asarray(aim.theta * added - aim.discount * time)


@dataclass(frozen=True, eq=False)
class OneBigStep(WalkDraws):
    """Rows of a walk of which one step is drawn given all others, and given that it lifts the walk to the level.

    Notes
    -----
    With heavy tails one step makes the event. Step ``k`` is chosen with a probability ``v_k`` in proportion to
    ``P(X > u + k d)``, ``d`` the usual fall of the walk in a step, among those before the horizon; what it has to
    exceed, ``h_k``, follows from all other steps. So a row has the density ratio ``sum_k v_k 1(X_k >= h_k) / P(X_k >=
    h_k)``: conditional Monte Carlo as in [1]_, with the step drawn too, so that each row is a path.

    References
    ----------
    .. [1] Asmussen & Kroese, *Improved algorithms for rare event simulation with heavy tails*, Adv. Appl. Probab. 38,
       2006.
    """

    def chances(self, aim: Aim, x: Float) -> Float:
        """The probability of each step to be the one, (n, steps); 0 in all where none is before the horizon."""
        loss = self.loss
        fall = loss.rate * loss.gaps.moments().mean - loss.added.moments().mean
        log_v = loss.added.logsf(aim.level + max(fall, 0.0) * np.arange(1, loss.steps + 1))
        v = np.exp(log_v - log_v.max()) * (np.cumsum(x[:, loss.steps :], axis=1) <= loss.horizon)
        total = v.sum(axis=1, keepdims=True)
        return np.asarray(v / np.where(total > 0, total, 1.0))

    def needed(self, aim: Aim, x: Float) -> Float:
        """What each step has to add for the walk to reach the level at it or later, given all others, (n, steps)."""
        loss = self.loss
        counted = loss.counted(loss.sums(x))
        later = np.maximum.accumulate(counted[:, ::-1], axis=1)[:, ::-1]
        earlier = np.maximum.accumulate(np.hstack([np.full((len(x), 1), -np.inf), counted[:, :-1]]), axis=1)
        need = aim.level - (later - x[:, : loss.steps])
        return np.where(earlier >= aim.level, -np.inf, need)

    def log_tail(self, need: Float) -> Float:
        """``log P(X > h)`` of what is ``need``-ed, (n, steps)."""
        return np.where(need > 0, self.loss.added.logsf(np.maximum(need, 0.0)), 0.0)

    def drawn_for(self, aim: Aim, rng: np.random.Generator, u: Float) -> Float:
        from scipy import special

        x = self.mapped(u)
        upto = np.cumsum(self.chances(aim, x), axis=1)
        step = np.minimum((upto < rng.random((len(u), 1))).sum(axis=1), self.loss.steps - 1)
        each = np.arange(len(u))
        need = self.needed(aim, x)[each, step]
        log_tail = self.log_tail(need[:, None])[:, 0] + np.log(rng.random(len(u)))
        log_tail[upto[:, -1] == 0.0] = np.nan
        drawn, out = -special.ndtri_exp(log_tail), u.copy()
        kept = np.isnan(drawn)
        out[each[~kept], step[~kept]] = drawn[~kept]
        return out

    def log_ratio(self, aim: Aim, x: Float) -> Float:
        need, v = self.needed(aim, x), self.chances(aim, x)
        usable = (v > 0) & (x[:, : self.loss.steps] >= need - ROUNDING * np.abs(np.where(np.isfinite(need), need, 0.0)))
        log_terms = np.full(v.shape, -np.inf)
        log_terms[usable] = np.log(v[usable]) - self.log_tail(need)[usable]
        none = v.sum(axis=1) == 0.0
        out = np.logaddexp.reduce(log_terms, axis=1)
        out[none] = 0.0
        return np.asarray(out)

"""Siegmund's twist of the maximum of a walk with Poisson arrivals, drawn by its ladder heights."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import NamedTuple, Self

import numpy as np

from raresim.accumulators.event_draws import Drawing
from raresim.accumulators.summary import Summary
from raresim.accumulators.tail import masks
from raresim.accumulators.tail_draws import Beyond
from raresim.engine.fold import Sampler
from raresim.engine.session import Session
from raresim.estimators.weighted_draws import summary_of
from raresim.marginals.twist import Twistable, TwistedLaw
from raresim.methods.base import Tuned
from raresim.methods.offered_draws import OfferedDraws, share_left
from raresim.methods.offers import bounded, levels_of, log_mixture, log_most, offered
from raresim.methods.scheme import Scheme
from raresim.models.queues.lundberg import root
from raresim.numerics.arrays import Float
from raresim.numerics.blocks import Block
from raresim.numerics.streams import stream
from raresim.record.event import Event


@dataclass(frozen=True, eq=False)
class Siegmund(Scheme):
    """The walk under Lundberg's exponent until it reaches what is asked.

    Parameters
    ----------
    heights : Twistable
        The law of a ladder height.
    load : float
        The probability ``rho`` of a further ladder height.
    """

    heights: Twistable
    load: float

    @property
    def name(self) -> str:
        return "Siegmund's twist (the walk rises until it reaches the level)"

    @property
    def exponent(self) -> float | None:
        """Lundberg's exponent ``gamma``, ``rho E exp(gamma Y) = 1``; None where there is none."""
        if self.heights.is_heavy:
            return None
        log_load = math.log(self.load)
        theta = self.heights.largest()
        while log_load + self.heights.log_mean(theta) > 0:
            theta *= 0.5
        return root(lambda t: log_load + self.heights.log_mean(t), theta)

    def tune(self, session: Session) -> Tuned | None:
        levels, plain = levels_of(session)
        gamma = self.exponent
        if not levels or gamma is None or (session.beyond is not None and session.beyond.draws):
            return None
        sampler, events = Sampler(session.problem, None, session.seed), tuple(session.events)
        share = (1.0 - plain) / len(levels)
        twisted = self.heights.twisted(gamma)
        rows = SiegmundDraws(sampler, events, twisted, self.load, np.array(levels), share, session.beyond)
        bounds = [-math.log(share) - gamma * level for level in levels]
        sentence = (
            f"Ladder heights are twisted with Lundberg's exponent {gamma:.6g} until their sum reaches "
            f"{' or '.join(f'{x:,.6g}' for x in levels)}; from there on they have their own law."
        )
        made = offered(session, rows, levels, "Siegmund's twist", sentence, log_most(events, levels, bounds))
        return bounded(made, lambda factor: replace(rows, heaviest=factor))


class Paths(NamedTuple):
    """Maxima of walks (n,), and the sum at which each first reached each level (n, levels); NaN where it did not."""

    maximum: Float
    reached: Float


@dataclass(frozen=True, eq=False)
class SiegmundDraws(OfferedDraws):
    """Rows of Siegmund's twist [1]_ of the maximum of a walk.

    Parameters
    ----------
    sampler : Sampler
        Of the run's problem; its loss is the maximum, and is not called.
    events : tuple of Event
        Maxima of at least a threshold.
    twisted : TwistedLaw
        The law of a twisted ladder height.
    load : float
        The probability of a further ladder height without the twist; with it there always is one.
    levels : (k,) float64
        That rows are drawn for, each with the same ``share``; with what is left, rows come from the model itself.
    share : float
        Of the rows, for each level.
    beyond : Beyond, optional
        The rows that are kept.
    sampled : Drawing, optional
        The sample of them that is kept for the user.
    heaviest : float
        Largest weight of a row over the probability of its event; infinite where it is not known.

    Notes
    -----
    The maximum is ``sum_{j <= K} Y_j`` with ``P(K >= k) = rho^k`` (Pollaczek and Khinchine, [2]_ ch. IV). A row's
    density ratio to the model is ``exp(gamma S)`` with its sum ``S`` where it first reached the level, so its weight is
    at most ``exp(-gamma u)``: the relative error is bounded whatever the level ``u`` is.

    References
    ----------
    .. [1] Siegmund, *Importance sampling in the Monte Carlo study of sequential tests*, Ann. Stat. 4, 1976.
    .. [2] Asmussen & Albrecher, *Ruin probabilities*, 2nd ed., 2010.
    """

    sampler: Sampler
    events: tuple[Event, ...]
    twisted: TwistedLaw
    load: float
    levels: Float
    share: float
    beyond: Beyond | None = None
    sampled: Drawing | None = None
    heaviest: float = math.inf

    def drawing(self, wanted: Drawing) -> Self:
        return replace(self, sampled=wanted)

    def through(self, u: Float, block: Block) -> tuple[Float, int]:
        """NaN: a row of the model does not say in which order its ladder heights came."""
        return np.full((len(self.events), len(u)), math.nan), 0

    def __call__(self, block: Block) -> Summary:
        rng = stream(self.sampler.seed, block.stage, block.index)
        paths = self.paths(rng, block.rows)
        log_ratio = self.twisted.theta * np.where(np.isnan(paths.reached), -np.inf, paths.reached)
        plain = share_left([self.share * self.levels.size])
        log_weight = -log_mixture(np.full(self.levels.size, self.share), log_ratio, plain)
        in_event = masks(self.events, paths.maximum)
        none = np.empty((block.rows, 0))
        loss, kept = paths.maximum, self.sampled
        return summary_of(block, none, loss, log_weight, in_event, 0, self.beyond, False, sampled=kept)

    def paths(self, rng: np.random.Generator, n: int) -> Paths:
        """Paths of ``n`` rows, each twisted until it reaches the level that it is drawn for."""
        aim = np.minimum((rng.random(n) / self.share).astype(np.int64), self.levels.size)
        goal = np.append(self.levels, -np.inf)[aim]
        total, reached = np.zeros(n), np.full((n, self.levels.size), np.nan)
        plain, alive = self.twisted.plain, np.arange(n)
        while alive.size:
            rising = total[alive] < goal[alive]
            alive = alive[rising | (rng.random(alive.size) < self.load)]
            rising = total[alive] < goal[alive]
            u = rng.standard_normal(alive.size)
            u[rising] = self.twisted.sample(rng, int(rising.sum()))
            total[alive] += plain.values(u)
            first = np.isnan(reached[alive]) & (total[alive, None] >= self.levels)
            reached[alive] = np.where(first, total[alive, None], reached[alive])
        return Paths(total, reached)

"""Rows in which one of the ways through a project is long: a mixture of exponential twists, one for each way."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import numpy as np

from raresim.accumulators.event_draws import Drawing
from raresim.accumulators.tail_draws import Beyond
from raresim.engine.fold import Sampler
from raresim.engine.session import Session
from raresim.marginals.twist import Twistable
from raresim.methods.base import Tuned
from raresim.methods.offered_draws import MixedDraws
from raresim.methods.offers import bounded, levels_of, log_mixture, log_most, offered
from raresim.methods.scheme import Scheme
from raresim.models.systems.project import Project
from raresim.numerics.arrays import Float
from raresim.numerics.blocks import Block
from raresim.numerics.streams import stream
from raresim.record.event import Event


@dataclass(frozen=True, eq=False)
class LongWay:
    """A way that rows are drawn for.

    Parameters
    ----------
    share : float
        Of the rows.
    parts : tuple of int
        The tasks on it.
    theta : float
        The twist of each of them; 0 where the way is usually as long.
    log_mean : float
        ``log E exp(theta X)`` of its length ``X``.
    """

    share: float
    parts: tuple[int, ...]
    theta: float
    log_mean: float


@dataclass(frozen=True, eq=False)
class WaysScheme(Scheme):
    """The tasks of one of the ways take longer.

    Parameters
    ----------
    loss : Project
        Of the model.
    """

    loss: Project

    @property
    def name(self) -> str:
        return "exponential twists of the ways through the project"

    @cached_property
    def laws(self) -> tuple[Twistable, ...]:
        """Of the tasks; alike ones are one object."""
        made: dict[int, Twistable] = {}
        return tuple(made.setdefault(id(law), Twistable(law)) for law in self.loss.laws)

    def tune(self, session: Session) -> Tuned | None:
        levels, plain = levels_of(session)
        paths = self.loss.paths
        if not levels or paths is None or any(law.is_heavy for law in self.laws):
            return None
        ways: list[LongWay] = []
        bounds = []
        for level in levels:
            found = [self.twist(parts, level) for parts in paths]
            logs = np.array([log_mean - theta * level for theta, log_mean in found])
            total = float(np.logaddexp.reduce(logs))
            shares = (1.0 - plain) / len(levels) * np.exp(logs - total)
            ways += [LongWay(float(s), p, *how) for s, p, how in zip(shares, paths, found, strict=True)]
            bounds.append(total - math.log((1.0 - plain) / len(levels)))
        sampler, events = Sampler(session.problem, None, session.seed), tuple(session.events)
        rows = WayDraws(sampler, events, self.laws, tuple(ways), plain, session.beyond)
        sentence = (
            f"The tasks of one of {len(paths):,} ways are twisted exponentially until its expected length is "
            f"{' or '.join(f'{x:,.6g}' for x in levels)}."
        )
        made = offered(session, rows, levels, "the twist of a way", sentence, log_most(events, levels, bounds))
        return bounded(
            made, lambda factor: replace(rows, heaviest=factor), patience=1.0
        )  # tasks are few: a search is cheap

    def twist(self, parts: tuple[int, ...], level: float) -> tuple[float, float]:
        """The twist under which ``level`` is the expected length of a way, at least 0, and the log mean there."""
        from scipy import optimize

        def log_mean(theta: float) -> float:
            return sum(self.laws[part].log_mean(theta) for part in parts)

        def exponent(theta: float) -> float:
            value = log_mean(theta) - theta * level
            return value if math.isfinite(value) else 1e300

        if sum(self.loss.laws[part].moments().mean for part in parts) >= level:
            return 0.0, 0.0
        low, high = 0.0, 1.0 / max(self.loss.laws[part].moments().mean for part in parts)
        while exponent(high) < exponent(0.5 * high):
            high *= 2.0
        found = optimize.minimize_scalar(exponent, bounds=(low, high), method="bounded", options={"xatol": 1e-7 * high})
        theta = float(found.x)
        return theta, log_mean(theta)


@dataclass(frozen=True, eq=False)
class WayDraws(MixedDraws):
    """Rows in which the tasks of one of the ways are twisted.

    Parameters
    ----------
    sampler : Sampler
        Of the run's problem, in standard normal space.
    events : tuple of Event
        Ends of at least a threshold.
    laws : tuple of Twistable
        Of the tasks.
    ways : tuple of LongWay
        What rows are drawn for; with what is left, ``plain``, rows come from the model itself.
    plain : float
        Share of rows from the model itself.
    beyond : Beyond, optional
        The rows that are kept.
    sampled : Drawing, optional
        The sample of them that is kept for the user.
    heaviest : float
        Largest weight of a row over the probability of its event; infinite where it is not known.

    Notes
    -----
    Where the project is late, one of its ways is. With shares in proportion to Chernoff's bounds ``b = exp(K(theta) -
    theta x)`` of the ways, a row of the event weighs at most ``sum b``: [1]_ VI.2, with a critical set for each way.

    References
    ----------
    .. [1] Asmussen & Glynn, *Stochastic simulation*, 2007.
    """

    sampler: Sampler
    events: tuple[Event, ...]
    laws: tuple[Twistable, ...]
    ways: tuple[LongWay, ...]
    plain: float
    beyond: Beyond | None = None
    sampled: Drawing | None = None
    heaviest: float = math.inf

    def drawing(self, wanted: Drawing) -> Self:
        return replace(self, sampled=wanted)

    def draw(self, block: Block) -> Float:
        rng = stream(self.sampler.seed, block.stage, block.index)
        u = np.asfortranarray(rng.standard_normal((block.rows, len(self.laws))))
        upto = np.cumsum([way.share for way in self.ways])
        if not self.plain:
            upto = upto / upto[-1]
        which = np.searchsorted(upto, rng.random(block.rows), side="right")
        for j in np.unique(which[which < len(self.ways)]):
            way, rows = self.ways[j], np.flatnonzero(which == j)
            for part in way.parts if way.theta > 0 else ():
                u[rows, part] = self.laws[part].twisted(way.theta).sample(rng, rows.size)
        return u

    def log_weight(self, x: Float) -> Float:
        log_ratio = np.stack(
            [way.theta * x[:, list(way.parts)].sum(axis=1) - way.log_mean for way in self.ways], axis=1
        )
        return -log_mixture(np.array([way.share for way in self.ways]), log_ratio, self.plain)

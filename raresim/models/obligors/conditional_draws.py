"""Rows that draw the factors alone: given them, the probability of a loss follows by recursion."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Self

import numpy as np

from raresim.accumulators.summary import Summary
from raresim.distributions.base import Distribution, log_density
from raresim.distributions.standard_normal import StandardNormal
from raresim.engine.fold import Sampler
from raresim.estimators.base import Estimator
from raresim.models.obligors.defaults import DefaultLoss
from raresim.models.obligors.exact_law import EXACT_ROUNDING, common_unit, conditional_tails
from raresim.models.own_risk import Places
from raresim.numerics.arrays import Float
from raresim.numerics.blocks import Block
from raresim.numerics.streams import stream
from raresim.record.event import Event
from raresim.record.rows import Unit

MOST_WORK = 300_000
"""Multiplications of a row up to which the recursion is worth its time: some 0.3 milliseconds."""


@dataclass(frozen=True, eq=False)
class ConditionalDraws(Estimator):
    """Conditional Monte Carlo of a credit portfolio whose losses are multiples of a unit.

    Parameters
    ----------
    sampler : Sampler
        Of the run's problem, in standard normal space.
    events : tuple of Event
        Losses of at least a threshold.
    law : Distribution
        What the standard normals behind the factors are drawn from, without that of ``own_risk``.
    lattice : float
        Of which every loss is a multiple.

    Notes
    -----
    A row gives an event the weight ``phi(v) P(L >= x | v) / g(v)`` with the density ``g`` of ``law``. That probability
    is exact: what obligors do by themselves is integrated out, not drawn. The loss is not called, so nothing but
    probabilities can be read.
    """

    unit: ClassVar[Unit] = "draw"

    sampler: Sampler
    events: tuple[Event, ...]
    law: Distribution
    lattice: float

    @classmethod
    def of(cls, sampler: Sampler, events: tuple[Event, ...], law: Distribution) -> Self | None:
        """The estimator; None where losses are random or no multiples, or a row would take too long."""
        loss = sampler.problem.loss
        if not isinstance(loss, DefaultLoss) or loss.book.a.any():
            return None
        most = max(event.threshold for event in events)
        unit = common_unit(loss.severity, most)
        if unit is None or most / unit * loss.tape.size > MOST_WORK:
            return None
        return cls(sampler, events, law, unit)

    @property
    def cost(self) -> float:
        return 1.0

    @property
    def gapless(self) -> str:
        return ""

    @cached_property
    def units(self) -> tuple[Places, Places, Places]:
        """What each obligor loses, the order in which they are added, and the thresholds, in units."""
        loss = self.sampler.problem.loss
        if not isinstance(loss, DefaultLoss):
            raise TypeError(f"conditional draws are for a credit portfolio, got a loss of kind {loss.kind}")
        units = np.round(loss.severity / self.lattice).astype(np.int64)
        levels = [max(0, math.ceil(event.threshold / self.lattice - EXACT_ROUNDING)) for event in self.events]
        return units, np.argsort(units, kind="stable"), np.array(levels, dtype=np.int64)

    def __call__(self, block: Block) -> Summary:
        v = np.empty((block.rows, self.law.dim), order="F")
        self.law.sample(stream(self.sampler.seed, block.stage, block.index), v)
        logs = self.log_weights(v)
        return Summary.of_rows(block.rows, [each[each > -np.inf] for each in logs], block.rows)

    def log_weights(self, v: Float) -> Float:
        """Of each event at standard normals ``v`` (n, k), (m, n) in nats; ``-inf`` where it is impossible."""
        problem, (units, order, levels) = self.sampler.problem, self.units
        u = np.zeros((len(v), problem.dim), order="F")
        u[:, :-1] = v
        x = problem.inputs.to_physical(u, np.empty((len(v), problem.inputs.dim), order="F"))
        tails = np.empty((len(v), levels.size))
        book = problem.loss.book  # type: ignore[attr-defined]  # of a credit portfolio, by `units`
        conditional_tails(np.ascontiguousarray(x), book, units, np.zeros(units.size), order, levels, tails)
        ratio = log_density(StandardNormal(dim=v.shape[1]), v) - log_density(self.law, v)
        with np.errstate(divide="ignore"):
            return np.asarray(np.log(tails.T) + ratio)

    def through(self, u: Float, block: Block) -> tuple[Float, int]:
        return self.log_weights(np.asfortranarray(u[:, :-1])), 0

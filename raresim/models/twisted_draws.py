"""Rows whose factors make a loss usual and whose defaults are twisted towards it: two-step importance sampling."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np

from raresim.accumulators.summary import Summary
from raresim.accumulators.tail import masks
from raresim.accumulators.tail_draws import Beyond
from raresim.distributions.base import Distribution, Inputs, log_density
from raresim.distributions.mixture import log_sum_exp
from raresim.distributions.standard_normal import StandardNormal
from raresim.engine.fold import Sampler
from raresim.engine.problem import Problem
from raresim.estimators.base import OfDraws, Unit
from raresim.estimators.weighted_draws import summary_of
from raresim.losses.base import Loss
from raresim.models.conditional import twisted
from raresim.models.defaults import DefaultLoss, seeds
from raresim.models.own_risk import Places, Words, losses_given, parts_given, picks_of
from raresim.numerics.arrays import Float
from raresim.numerics.blocks import Block
from raresim.numerics.streams import stream
from raresim.record.event import Event

TILE_NUMBERS = 2**17
"""Default probabilities that are held at once (1 megabyte)."""


@dataclass(frozen=True, eq=False)
class Aim:
    """One of the laws that rows are drawn from.

    Parameters
    ----------
    share : float
        Of the rows.
    law : Distribution
        Of the standard normals behind the factors, without the last one, ``own_risk``.
    level : float
        The loss that defaults are twisted towards; ``-inf`` for none.
    """

    share: float
    law: Distribution
    level: float


class _Tile(NamedTuple):
    """A few rows: which, their generators, twisted default probabilities, and the twists and cumulants of each aim."""

    rows: slice
    own: Words
    q: Float
    t: Float
    psi: Float


@dataclass(frozen=True, eq=False)
class TwistedDefaults(Loss):
    """The loss of a portfolio whose defaults are twisted towards the level of one of several aims.

    Parameters
    ----------
    plain : DefaultLoss
        The loss of the model.
    levels, shares : (j,) float64
        Of the aims; which of them a row belongs to is decided by its generator.
    """

    kind: ClassVar[str] = "twisted_credit"

    plain: DefaultLoss
    levels: Float
    shares: Float

    def bind(self, inputs: Inputs) -> TwistedDefaults:
        return self

    @cached_property
    def severity(self) -> Float:
        """What each obligor is expected to lose at default (m,)."""
        return self.plain.severity

    def __call__(self, x: Float, out: Float) -> None:
        self.rows(x, out)

    def rows(self, x: Float, out: Float) -> Float:
        """Write losses into ``out`` (n,), and return `ratios` of the rows (n, j)."""
        logs = np.empty((len(x), self.levels.size), order="F")
        for tile in self._tiles(x):
            mean = np.empty(tile.own.size)
            losses_given(tile.own, tile.q, self.plain.book, self.severity, out[tile.rows], mean)
            logs[tile.rows] = tile.t * mean[:, None] - tile.psi
        return logs

    def ratios(self, x: Float, mean: Float) -> Float:
        """The log of the probability of a row's defaults under each twist over that without, (n, j) in nats.

        It is ``t L - psi(t)`` with the losses ``mean`` (n,) of the rows at mean severities.
        """
        logs = np.empty((len(x), self.levels.size), order="F")
        for tile in self._tiles(x):
            logs[tile.rows] = tile.t * mean[tile.rows, None] - tile.psi
        return logs

    def components(self, x: Float) -> Float:
        parts = np.empty((len(x), len(self.component_names)), order="F")
        for tile in self._tiles(x):
            parts_given(tile.own, tile.q, self.plain.book, parts[tile.rows])
        return parts

    def picks(self, x: Float) -> Places:
        """Which aim each row of factors (n, d) belongs to, (n,) int64."""
        pick = np.empty(len(x), np.int64)
        picks_of(seeds(x), self.shares, pick)
        return pick

    def _tiles(self, x: Float) -> Iterator[_Tile]:
        pick, own, m, j = self.picks(x), seeds(x), self.severity.size, self.levels.size
        size = max(1, TILE_NUMBERS // m)
        q, t, psi = np.empty((size, m)), np.empty((size, j)), np.empty((size, j))
        for first in range(0, len(x), size):
            rows = slice(first, min(first + size, len(x)))
            n = rows.stop - first
            given = np.ascontiguousarray(x[rows])
            twisted(given, self.plain.book, self.severity, self.levels, pick[rows], q[:n], t[:n], psi[:n])
            yield _Tile(rows, own[rows], q[:n], t[:n], psi[:n])

    @property
    def component_names(self) -> tuple[str, ...]:
        return self.plain.component_names

    def moments(self, inputs: Inputs) -> None:
        return None

    def files(self) -> list[Path]:
        return self.plain.files()

    def describe(self) -> list[str]:
        return [*self.plain.describe(), "its defaults are twisted"]


@dataclass(frozen=True, eq=False)
class TwistedDraws(OfDraws):
    """Rows of the two-step scheme [1]_.

    Parameters
    ----------
    sampler : Sampler
        Of the run's problem, in standard normal space.
    events : tuple of Event
        What is counted.
    aims : tuple of Aim
        What rows are drawn from; their shares add to one.
    beyond : Beyond, optional
        The rows that are kept.

    Notes
    -----
    An aim is chosen by its share, factors are drawn from its law ``g_j``, and obligors default with the probabilities
    that are twisted for its level ``x_j``. All aims together are one law, so the weight of a row with the standard
    normals ``v`` and the loss ``L`` at mean severities is

    ``phi(v) / sum_j share_j g_j(v) exp(t_j(v) L - psi(t_j(v), v))``.

    Shifted normal laws and one aim are the scheme of [1]_; a fitted law of the shock's standard normal twists the
    chi-square variable of a t copula.

    References
    ----------
    .. [1] Glasserman & Li, *Importance sampling for portfolio credit risk*, Management Science 51, 2005, sec. 4 and 5.
    """

    unit: ClassVar[Unit] = "draw"

    least_rows: ClassVar[int] = 600
    """So many that no row is too much of a mean excess to be trusted, whose weights are those of the loss beyond."""

    sampler: Sampler
    events: tuple[Event, ...]
    aims: tuple[Aim, ...]
    beyond: Beyond | None = None

    @property
    def cost(self) -> float:
        return 1.0

    @cached_property
    def loss(self) -> TwistedDefaults:
        """The loss of the rows."""
        plain = self.sampler.problem.loss
        if not isinstance(plain, DefaultLoss):
            raise TypeError(f"two-step sampling is for a credit portfolio, got a loss of kind {plain.kind}")
        levels, shares = np.array([a.level for a in self.aims]), np.array([a.share for a in self.aims])
        return TwistedDefaults(plain, levels, shares)

    @property
    def read_with(self) -> Problem:
        return Problem(self.sampler.problem.inputs, self.loss)

    @property
    def gapless(self) -> str:
        return ""

    @property
    def weight_bound(self) -> float | None:
        """Log of one over the share of draws of the model itself."""
        share = sum(a.share for a in self.aims if a.level == -math.inf and isinstance(a.law, StandardNormal))
        return -math.log(share) if share > 0 else None

    def __call__(self, block: Block) -> Summary:
        u = self.draw(block)
        x = self.factors(u)
        loss = np.empty(block.rows)
        log_weight = self.log_weight(u, self.loss.rows(x, loss))
        bounded = self.weight_bound is not None
        many = len(self.loss.component_names)
        return summary_of(block, u, loss, log_weight, masks(self.events, loss), many, self.beyond, bounded)

    def draw(self, block: Block) -> Float:
        """Standard normals (n, d): the last one first, as its generator chooses the aim of the row."""
        rng = stream(self.sampler.seed, block.stage, block.index)
        u = np.empty((block.rows, self.sampler.problem.dim), order="F")
        u[:, -1] = rng.standard_normal(block.rows)
        pick = self.loss.picks(u)
        for j, aim in enumerate(self.aims):
            rows = np.flatnonzero(pick == j)
            if rows.size:
                v = np.empty((rows.size, u.shape[1] - 1), order="F")
                aim.law.sample(rng, v)
                u[rows, :-1] = v
        return u

    def factors(self, u: Float) -> Float:
        """The factors of standard normals ``u`` (n, d)."""
        inputs = self.sampler.problem.inputs
        return inputs.to_physical(u, np.empty((len(u), inputs.dim), order="F"))

    def log_weight(self, u: Float, ratios: Float) -> Float:
        """The log weight of each row (n,), in nats; ``ratios`` (n, j) as `TwistedDefaults.ratios` has them."""
        v = np.asfortranarray(u[:, :-1])
        logs = np.asfortranarray(ratios)
        for j, aim in enumerate(self.aims):
            logs[:, j] += math.log(aim.share) + log_density(aim.law, v)
        mixed = np.empty(len(u))
        log_sum_exp(logs, mixed)
        return np.asarray(log_density(StandardNormal(dim=v.shape[1]), v) - mixed)

    def through(self, u: Float, block: Block) -> tuple[Float, int]:
        x, mean = self.factors(np.asfortranarray(u)), np.empty(len(u))
        self.loss.plain.at_mean_severity(x, mean)
        log_weight = self.log_weight(u, self.loss.ratios(x, mean))
        return np.tile(log_weight, (len(self.events), 1)), 0

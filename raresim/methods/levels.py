"""The jobs of cross-entropy tuning: evaluate a level once, then replay its draws to fit."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Self

import numpy as np

from raresim.accumulators.base import Accumulator
from raresim.accumulators.level import LevelRows
from raresim.accumulators.several import Several
from raresim.distributions.base import Distribution
from raresim.distributions.mixture import Mixture
from raresim.engine.fold import Job, Sampler
from raresim.errors import FieldError
from raresim.numerics import arrays
from raresim.numerics.arrays import Bool, Float
from raresim.numerics.blocks import Block
from raresim.proposals.base import ProposalFamily, Statistics
from raresim.proposals.gaussian_mixture import posterior


@dataclass(frozen=True, eq=False)
class Evaluate(Job[LevelRows]):
    """Loss (times ``sign``, so that larger is rarer), log weight and log density of every row of a level."""

    sampler: Sampler
    sign: float

    def __call__(self, block: Block) -> LevelRows:
        u = self.sampler.draw(block)
        loss = self.sampler.signed_loss(u, block, self.sign)
        log_weight = self.sampler.log_weight(u)
        return LevelRows.of_block(loss, log_weight, self.sampler.log_density(u))


class Split(ABC):
    """How the elites of a level are divided between the laws fitted to them."""

    @property
    @abstractmethod
    def laws(self) -> int:
        """Number of laws among which the elites are divided."""

    @abstractmethod
    def shares(self, u: Float) -> Float:
        """The share of each elite ``u`` (n, d) in each law, (n, k) in [0, 1]."""


@dataclass(frozen=True, eq=False)
class Whole(Split):
    """Each law gets every elite."""

    laws: int = 1

    def shares(self, u: Float) -> Float:
        return np.ones((u.shape[0], self.laws))


@dataclass(frozen=True, eq=False)
class Cells(Split):
    """Law ``k`` gets the elites whose nearest centre, in coordinates of ``axes`` (d, j), is ``centres[k]`` (k, j)."""

    axes: Float
    centres: Float

    @property
    def laws(self) -> int:
        return len(self.centres)

    def shares(self, u: Float) -> Float:
        seen = u @ self.axes
        distance = np.square(seen[:, None, :] - self.centres).sum(axis=2)
        shares: Float = (distance.argmin(axis=1)[:, None] == np.arange(self.laws)).astype(np.float64)
        return shares


@dataclass(frozen=True, eq=False)
class Responsibilities(Split):
    """Each component of a mixture gets its posterior share: the expectation step of [1]_.

    References
    ----------
    .. [1] Dempster, Laird & Rubin, *Maximum likelihood from incomplete data via the EM algorithm*, JRSS B 39, 1977.
    """

    mixture: Mixture

    @property
    def laws(self) -> int:
        return len(self.mixture.components)

    def shares(self, u: Float) -> Float:
        return posterior(self.mixture, u)[0]


@dataclass(frozen=True, eq=False)
class Fit(Job[Several[Statistics]]):
    """Sufficient statistics of the elites of an evaluated level, one set for each share of ``split``.

    The draws are replayed from their streams; ``rows`` holds their losses and log weights, so nothing is evaluated
    twice. Weights are relative to ``peak``, the largest log weight of an elite, in nats.
    """

    sampler: Sampler
    rows: LevelRows
    level: float
    peak: float
    family: ProposalFamily
    current: tuple[Distribution, ...]
    split: Split

    def __call__(self, block: Block) -> Several[Statistics]:
        elite, log_weight = elites(self.rows, self.level, block)
        u = elite_draws(self.sampler, block, elite)
        weight = np.exp(log_weight[elite] - self.peak)
        shares = self.split.shares(u)
        return Several(
            tuple(
                self.family.suffstats(law, u, np.ascontiguousarray(weight * shares[:, k]))
                for k, law in enumerate(self.current)
            )
        )


@dataclass(frozen=True, eq=False)
class EliteRows(Accumulator):
    """Elite draws themselves: ``u`` (k, d), and their log weights (k,) in nats."""

    u: Float
    log_weight: Float

    def merge(self, other: Self) -> Self:
        return type(self)(np.concatenate([self.u, other.u]), np.concatenate([self.log_weight, other.log_weight]))


@dataclass(frozen=True, eq=False)
class KeepElites(Job[EliteRows]):
    """The elite draws among the first ``limit`` rows of an evaluated level."""

    sampler: Sampler
    rows: LevelRows
    level: float
    limit: int

    def __call__(self, block: Block) -> EliteRows:
        if block.first >= self.limit:
            return EliteRows(np.empty((0, self.sampler.problem.dim)), np.empty(0))
        elite, log_weight = elites(self.rows, self.level, block)
        elite[max(0, self.limit - block.first) :] = False
        return EliteRows(elite_draws(self.sampler, block, elite).copy(), log_weight[elite])


MIN_SAMPLES = 1000
"""Smallest number of draws of a level if the user gives none."""


def draws_per_level(given: int | None, needed: int, why: str) -> int:
    """Draws of a level; raises `FieldError` if fewer are ``given`` than are ``needed``, and says ``why``."""
    if given is None:
        return max(MIN_SAMPLES, needed)
    if given < needed:
        raise FieldError("samples", f"must be at least {needed:,}: {why}, got {given:,}")
    return given


def elites(rows: LevelRows, level: float, block: Block) -> tuple[Bool, Float]:
    """Which rows of ``block`` reach the level, and the log weights of all its rows."""
    part = slice(block.first, block.first + block.rows)
    return rows.loss[part] >= level, rows.log_weight[part]


def elite_draws(sampler: Sampler, block: Block, elite: Bool) -> Float:
    """The replayed draws of ``block`` at the elite rows; (k, d) in Fortran order."""
    u = sampler.draw(block)
    out = arrays.scratch("elites", int(elite.sum()), u.shape[1])
    np.compress(elite, u, axis=0, out=out)
    return out

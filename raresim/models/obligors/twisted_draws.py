"""Rows whose factors make a loss usual and whose obligors are twisted towards it: two-step importance sampling."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar, Self

import numpy as np

from raresim.accumulators.event_draws import Drawing
from raresim.accumulators.summary import Summary
from raresim.accumulators.tail import masks
from raresim.accumulators.tail_draws import Beyond
from raresim.distributions.base import Distribution, log_density
from raresim.distributions.mixture import log_sum_exp
from raresim.distributions.standard_normal import StandardNormal
from raresim.engine.fold import Sampler
from raresim.engine.problem import Problem
from raresim.estimators.base import OfDraws
from raresim.estimators.weighted_draws import summary_of
from raresim.models.obligors.tape_loss import TapeLoss, TwistedLoss
from raresim.numerics.arrays import Float
from raresim.numerics.blocks import Block
from raresim.numerics.streams import stream
from raresim.record.event import Event
from raresim.record.rows import Unit


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
        The loss that obligors are twisted towards; ``-inf`` for none.
    """

    share: float
    law: Distribution
    level: float


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
    sampled : Drawing, optional
        The sample of them that is kept for the user.

    Notes
    -----
    An aim is chosen by its share, factors are drawn from its law ``g_j``, and obligors default, or change their
    ratings, with the probabilities that are twisted for its level ``x_j``. All aims together are one law, so the weight
    of a row with the standard normals ``v`` and the loss ``L`` at mean severities is

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
    sampled: Drawing | None = None

    @property
    def cost(self) -> float:
        return 1.0

    def drawing(self, wanted: Drawing) -> Self:
        return replace(self, sampled=wanted)

    @cached_property
    def loss(self) -> TwistedLoss:
        """The loss of the rows."""
        plain = self.sampler.problem.loss
        if not isinstance(plain, TapeLoss):
            raise TypeError(f"two-step sampling is for a credit portfolio, got a loss of kind {plain.kind}")
        return plain.twisted(np.array([a.level for a in self.aims]), np.array([a.share for a in self.aims]))

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
        many = self.loss.parts_at_once
        return summary_of(
            block, u, loss, log_weight, masks(self.events, loss), many, self.beyond, bounded, sampled=self.sampled
        )

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
        """The log weight of each row (n,), in nats; ``ratios`` (n, j) as `TwistedLoss.ratios` has them."""
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

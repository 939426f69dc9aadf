"""Rows whose claims, and their numbers, are twisted exponentially with what they add to the loss."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from raresim.accumulators.summary import Summary
from raresim.accumulators.tail import masks
from raresim.accumulators.tail_draws import Beyond
from raresim.engine.fold import Sampler
from raresim.estimators.weighted_draws import summary_of
from raresim.models.insurance.compound_loss import CompoundLoss, Totals
from raresim.models.insurance.compound_scheme import SchemeDraws, SchemeLoss
from raresim.models.insurance.score_twist import Cells
from raresim.models.insurance.twisted_counts import TwistedCounts, TwistedNumbers
from raresim.numerics.arrays import Float
from raresim.numerics.blocks import Block
from raresim.record.event import Event


@dataclass(frozen=True, eq=False)
class Twist:
    """One of the twists that rows are drawn with.

    Parameters
    ----------
    share : float
        Of the rows.
    theta : float
        The twist, over the unit of the loss.
    log_mean : float
        ``log E exp(theta C)`` with the sum ``C`` of what claims add, by their cells.
    numbers : TwistedNumbers
        The law of the numbers of claims.
    """

    share: float
    theta: float
    log_mean: float
    numbers: TwistedNumbers


@dataclass(frozen=True, eq=False)
class TwistedClaims(SchemeLoss):
    """The loss of a compound model whose claims are twisted.

    Parameters
    ----------
    plain : CompoundLoss
        The loss of the model.
    factors : TwistedCounts
        What the rows are made of.
    cells : tuple of Cells
        For each line.
    twists : tuple of Twist
        The aims.
    """

    kind: ClassVar[str] = "twisted_compound"

    plain: CompoundLoss
    factors: TwistedCounts
    cells: tuple[Cells, ...]
    twists: tuple[Twist, ...]

    def __call__(self, x: Float, out: Float) -> None:
        self.plain.of_totals(self.rows(x)[0], out)

    def components(self, x: Float) -> Float:
        return np.asfortranarray(np.column_stack(self.plain.parts(self.rows(x)[0])))

    def rows(self, x: Float) -> tuple[Totals, Float]:
        """What the claims of rows of factors ``x`` (n, d) come to, and the sum ``C`` (n,) that they add by cells."""
        totals, added = self.plain.nothing(len(x)), np.zeros(len(x))
        chosen = self.factors.choices(x)
        for j, twist in enumerate((*self.twists, None)):
            rows = np.flatnonzero(chosen == j)
            if rows.size:
                part, of_part = self._of_aim(np.asfortranarray(x[rows]), twist)
                for into, found in zip(totals, part, strict=True):
                    into[rows] = found
                added[rows] = of_part
        return totals, added

    def _of_aim(self, x: Float, twist: Twist | None) -> tuple[Totals, Float]:
        totals, added = self.plain.nothing(len(x)), np.zeros(len(x))
        laws = None if twist is None else [cells.twisted(twist.theta) for cells in self.cells]
        for i, row, normal, is_largest in self.plain.claim_scores(x):
            if laws is None:
                place, score = self.cells[i].place(normal), normal
            else:
                place, score = laws[i].of_normal(normal)
            claim = np.empty(row.size)
            self.plain.frequencies.lines[i].severity.from_normal(score, claim)
            self.plain.add(i, row, claim, totals, totals.top if is_largest else totals.second)
            added += np.bincount(row, self.cells[i].added[place], minlength=len(x))
        return totals, added

    def added_by(self, x: Float) -> Float:
        """The sum ``C`` (n,) of rows of factors ``x`` (n, d) of the model itself."""
        return self._of_aim(x, None)[1]

    def log_ratio(self, added: Float) -> Float:
        """Log of the density of rows over that under the model (n,), in nats, from the sum ``C`` (n,) of each.

        With the shares ``s_j`` and the twists ``theta_j``: ``s_0 + sum_j s_j exp(theta_j C - log E exp(theta_j C))``.
        """
        out = np.full(added.size, math.log(self.factors.plain_share))
        for twist in self.twists:
            out = np.logaddexp(out, math.log(twist.share) + twist.theta * added - twist.log_mean)
        return out

    def describe(self) -> list[str]:
        return [*self.plain.describe(), "its claims are twisted towards a loss"]


@dataclass(frozen=True, eq=False)
class TwistedSums(SchemeDraws):
    """Rows of an exponential twist of a compound sum [1]_.

    Parameters
    ----------
    sampler : Sampler
        Of the run's problem, in standard normal space.
    events : tuple of Event
        What is counted.
    cells : tuple of Cells
        For each line.
    twists : tuple of Twist
        What rows are drawn with; rows of the model itself make up the rest, so that no weight is above one over their
        share.
    beyond : Beyond, optional
        The rows that are kept.

    Notes
    -----
    With the sum ``C`` of what claims add, ``K(theta) = log E exp(theta C)`` and ``K'(theta) = x``, rows have the weight
    ``exp(K(theta) - theta C)``. Of Poisson claims with the mean number ``lambda``, the number has the mean ``lambda
    M(theta)`` and each claim the density ratio ``exp(theta c) / M(theta)``, ``M(theta) = E exp(theta c)``: [1]_.

    References
    ----------
    .. [1] Asmussen & Glynn, *Stochastic simulation*, 2007, V.1 and VI.2.
    """

    sampler: Sampler
    events: tuple[Event, ...]
    cells: tuple[Cells, ...]
    twists: tuple[Twist, ...]
    beyond: Beyond | None = None

    @cached_property
    def loss(self) -> TwistedClaims:
        """The loss of the rows."""
        plain, inputs = self.of_model("the twist of a compound sum")
        numbers, shares = tuple(t.numbers for t in self.twists), np.array([t.share for t in self.twists])
        return TwistedClaims(plain, TwistedCounts(inputs, numbers, shares), self.cells, self.twists)

    @property
    def gapless(self) -> str:
        return ""

    @property
    def weight_bound(self) -> float:
        """Log of one over the share of rows of the model itself."""
        return -math.log(self.loss.factors.plain_share)

    def __call__(self, block: Block) -> Summary:
        u, x = self.normals(block)
        totals, added = self.loss.rows(x)
        loss = np.empty(block.rows)
        self.loss.plain.of_totals(totals, loss)
        many = len(self.loss.component_names)
        in_event = masks(self.events, loss)
        return summary_of(block, u, loss, -self.loss.log_ratio(added), in_event, many, self.beyond, True)

    def through(self, u: Float, block: Block) -> tuple[Float, int]:
        inputs = self.sampler.problem.inputs
        x = inputs.to_physical(np.asfortranarray(u), np.empty((len(u), inputs.dim), order="F"))
        return np.tile(-self.loss.log_ratio(self.loss.added_by(x)), (len(self.events), 1)), 0

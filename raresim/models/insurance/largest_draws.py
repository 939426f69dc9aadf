"""Rows whose largest claim makes the loss, given all others: Asmussen and Kroese with a random number of claims."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, NamedTuple

import numpy as np

from raresim.accumulators.summary import Summary
from raresim.accumulators.tail import masks
from raresim.accumulators.tail_draws import Beyond
from raresim.engine.fold import Sampler
from raresim.estimators.weighted_draws import summary_of
from raresim.models.insurance.biased_factors import BiasedFactors
from raresim.models.insurance.claims import line_seeds
from raresim.models.insurance.compound_loss import CompoundLoss, Totals
from raresim.models.insurance.compound_scheme import SchemeDraws, SchemeLoss
from raresim.models.own_risk import Places, seeds
from raresim.numerics.arrays import Bool, Float
from raresim.numerics.blocks import Block
from raresim.record.event import Event


class Rows(NamedTuple):
    """What rows come to.

    Parameters
    ----------
    totals : Totals
        Of their claims.
    line : (n,) int64
        The line of the largest claim.
    claim : (n,) float64
        That claim.
    rest, second : (n,) float64
        Sum and largest of all other claims.
    many : (n,) float64
        The number of claims of its line.
    is_drawn : (n,) bool
        False where the line that was to have the largest claim has none: such a row counts with the weight 0.
    """

    totals: Totals
    line: Places
    claim: Float
    rest: Float
    second: Float
    many: Float
    is_drawn: Bool


@dataclass(frozen=True, eq=False)
class LargestMakesIt(SchemeLoss):
    """The gross loss of a compound model whose largest claim lifts the sum above the level of the row's aim.

    Parameters
    ----------
    plain : CompoundLoss
        The loss of the model, gross.
    factors : BiasedFactors
        What the rows are made of.
    levels : (k,) float64
        Of the aims, positive.
    """

    kind: ClassVar[str] = "compound_by_largest"

    plain: CompoundLoss
    factors: BiasedFactors
    levels: Float

    def __call__(self, x: Float, out: Float) -> None:
        self.plain.of_totals(self.rows(x).totals, out)

    def components(self, x: Float) -> Float:
        return self.rows(x).totals.gross

    def rows(self, x: Float) -> Rows:
        """The rows of factors ``x`` (n, d)."""
        from scipy import special

        n, lines = len(x), self.plain.frequencies.lines
        many = len(lines)
        aim, line = self.factors.choices(x)
        counts, own = self.plain.frequencies.counts(x), seeds(x)
        z, level = x[:, -2 * many - 1 : -many - 1], x[:, -many - 1 : -1]
        totals = self.plain.nothing(n)
        for i in range(many):
            others = np.maximum(counts[:, i] - (line == i), 0.0)
            self.plain.add_others(i, others, level[:, i], line_seeds(own, i), totals, totals.top)
        rest, second = totals.gross.sum(axis=1), totals.top.max(axis=1)
        totals.second[:] = totals.top
        need = np.maximum(second, self.levels[aim] - rest)
        claim, of_line = np.zeros(n), np.zeros(n)
        for i in range(many):
            rows = np.flatnonzero((line == i) & (counts[:, i] > 0))
            if rows.size:
                law = lines[i].severity
                log_tail = law.logsf(need[rows]) + special.log_ndtr(-z[rows, i])
                found = np.maximum(law.quantile(log_tail, upper=True), need[rows])
                claim[rows], of_line[rows] = found, counts[rows, i]
                self.plain.add(i, rows, found, totals, totals.top)
        found_rows = Rows(totals, line, claim, rest, second, of_line, (aim < 0) | (of_line > 0))
        if (aim < 0).any():
            self._of_the_model(x, counts, np.flatnonzero(aim < 0), found_rows)
        return found_rows

    def _of_the_model(self, x: Float, counts: Float, rows: Any, into: Rows) -> None:
        """Fill those ``rows`` of ``into`` that come from the model itself."""
        totals = self.plain.totals(np.asfortranarray(x[rows]))
        for part, found in zip(into.totals, totals, strict=True):
            part[rows] = found
        line = totals.top.argmax(axis=1)
        each = np.arange(rows.size)
        into.line[rows], into.claim[rows], into.many[rows] = line, totals.top[each, line], counts[rows, line]
        others = totals.top.copy()
        others[each, line] = totals.second[each, line]
        into.second[rows] = others.max(axis=1)
        without = totals.gross.copy()
        without[each, line] -= totals.top[each, line]
        into.rest[rows] = without.sum(axis=1)

    def log_ratio(self, rows: Rows) -> Float:
        """Log of the density of each row over that under the model (n,), in nats; ``-inf`` where none is drawn.

        A row with the largest claim ``c``, in line ``l`` of ``n`` claims, and the sum ``s`` and the largest ``m`` of
        all others, has ``sum_j share_jl 1(c > h_j) / (E N_l P(X_l > h_j))``, ``h_j = max(m, x_j - s)``; ``n`` stands
        for ``E N_l`` where the number of claims is not biased. To this comes the share of rows from the model itself.
        """
        lines = self.plain.frequencies.lines
        with np.errstate(divide="ignore"):
            out = np.full(rows.claim.size, np.log(self.factors.plain_share))
        for i, line in enumerate(lines):
            own = np.flatnonzero((rows.line == i) & (rows.many > 0))
            if not own.size:
                continue
            log_many = np.log(rows.many[own])
            if self.factors.biased is not None:
                log_many[:] = np.log(line.frequency.moments().mean)
            for j, x in enumerate(self.levels):
                need = np.maximum(rows.second[own], x - rows.rest[own])
                with np.errstate(divide="ignore"):
                    log_q = np.log(self.factors.shares[j, i]) - log_many - line.severity.logsf(need)
                reached = rows.claim[own] >= need
                out[own[reached]] = np.logaddexp(out[own[reached]], log_q[reached])
        return out

    def describe(self) -> list[str]:
        return [*self.plain.describe(), "its largest claim makes the loss"]


@dataclass(frozen=True, eq=False)
class LargestDraws(SchemeDraws):
    """Rows of the scheme: all claims but the largest from the model, the largest given that it makes it.

    Parameters
    ----------
    sampler : Sampler
        Of the run's problem, in standard normal space.
    events : tuple of Event
        What is counted.
    levels : (k,) float64
        Losses that rows are drawn for; each row reaches the lowest.
    shares : (k, lines) float64
        Of the rows: for each level, those whose largest claim is of each line. With what is left, rows come from the
        model itself.
    beyond : Beyond, optional
        The rows that are kept.

    Notes
    -----
    With one level ``x`` and one line, a row has the weight ``E N P(X > max(M, x - S))`` with the largest and the sum of
    the others, whose number has the law ``(k + 1) P(N = k + 1) / E N``: [1]_ with a random number of claims. There,
    the number of claims is drawn from its own law and corrected by a control variate; biased by its size it needs no
    correction, as ``E[N g(N - 1)] = E N E[g(K)]`` with that law of ``K``. Drawing the largest claim too, instead of
    only taking its probability, gives each row a loss: quantiles and shortfalls are read from the same rows.

    References
    ----------
    .. [1] Asmussen & Kroese, *Improved algorithms for rare event simulation with heavy tails*, Adv. Appl. Probab. 38,
       2006.
    """

    unseen: ClassVar[float] = 1.0
    """Where one claim alone makes the loss, nearly all rows weigh the same; those of two large claims are rare."""

    sampler: Sampler
    events: tuple[Event, ...]
    levels: Float
    shares: Float
    beyond: Beyond | None = None

    @cached_property
    def loss(self) -> LargestMakesIt:
        """The loss of the rows."""
        plain, inputs = self.of_model("the scheme of the largest claim")
        return LargestMakesIt(plain, BiasedFactors(inputs, self.shares), self.levels)

    @property
    def gapless(self) -> str:
        return "all claims but the largest came from the model itself, and the largest from its law given the others"

    def __call__(self, block: Block) -> Summary:
        u, rows, log_weight = self.drawn(block)
        loss = np.empty(block.rows)
        self.loss.plain.of_totals(rows.totals, loss)
        many = len(self.loss.component_names)
        return summary_of(block, u, loss, log_weight, masks(self.events, loss), many, self.beyond, False)

    def drawn(self, block: Block) -> tuple[Float, Rows, Float]:
        """Standard normals (n, d), the rows that they stand for, and their log weights (n,) in nats."""
        u, x = self.normals(block)
        rows = self.loss.rows(x)
        return u, rows, np.where(rows.is_drawn, -self.loss.log_ratio(rows), -np.inf)

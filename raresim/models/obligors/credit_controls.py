"""What is known of a credit portfolio without sampling, beside what a run found."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from raresim.models.controls import Control
from raresim.models.factors import CreditFactors
from raresim.models.obligors.credit_risk_plus import CreditRiskPlus
from raresim.models.obligors.defaults import DefaultLoss
from raresim.models.obligors.exact_law import ExactLaw
from raresim.models.obligors.irb import MATURITY, capital
from raresim.models.obligors.large_pool import LargePool, MovingPool, Pool
from raresim.models.obligors.migration import MigrationLoss
from raresim.numerics.arrays import Float

if TYPE_CHECKING:
    from raresim.record.records import Estimate

ROUNDED, QUADRATURE = 0.005, 1e-4
"""How far the exact law may be off by its lattice, and where it has none to round to, relative to a number."""

SMALL = 0.15
"""Share of the granularity adjustment in the quantile up to which it is believed to say how far off it is."""

SECOND_ORDER = 4.0
"""How far the adjusted quantile may be off, in squares of that share."""

UNITS = 2000
"""Multiples of the lattice of CreditRisk+ up to the largest loss asked for."""

FIRST_ORDER = (
    "infinitely many small obligors, one factor, and the first correction for their size; "
    "off by about the square of that correction"
)


@dataclass(frozen=True, eq=False)
class CreditControls:
    """Controls of one portfolio.

    Parameters
    ----------
    inputs, loss : CreditFactors and DefaultLoss
        Of the model.
    common_share : (m,) float64
        R^2 of each obligor.
    """

    inputs: CreditFactors
    loss: DefaultLoss
    common_share: Float

    def of(self, estimates: Sequence[Estimate], preset: str | None) -> tuple[Control, ...]:
        """All that are known for the numbers ``estimates`` of a run."""
        tape = self.loss.tape
        found = [
            Control("expected loss", "EL", tape.expected_loss, None, "nothing: the sum of pd times ead times lgd"),
        ]
        tails = _tails(estimates)
        found += self._exact(tails)
        if not self.inputs.has_shock:
            found += of_pool(self.pool, self.inputs.dim == 2, tails)
        found += self._credit_risk_plus(tails)
        if preset == "irb":
            found += self._ratings()
        return tuple(found)

    @cached_property
    def pool(self) -> LargePool:
        """The portfolio as a large pool with one factor."""
        tape = self.loss.tape
        return LargePool(tape.severity, tape.ead * tape.lgd_std, tape.pd, self.common_share)

    def _exact(self, estimates: Sequence[Estimate]) -> Iterator[Control]:
        """The exact law, where factors are few."""
        losses = [_loss_of(e) for e in estimates]
        losses = [loss for loss in losses if 0 < loss <= float(self.loss.severity.sum())]
        law = ExactLaw.of(self.inputs, self.loss, min(losses), max(losses)) if losses else None
        if law is None:
            return
        how = f"losses rounded to multiples of {law.unit:.6g}" if law.rounds else "nothing: all losses are multiples"
        within = ROUNDED if law.rounds else QUADRATURE
        for e in estimates:
            value = _number(e, law.probability, law.value_at_risk, law.expected_shortfall)
            if value is not None:
                yield Control("exact law, by recursion given the factors", e.label, value, e.value, how, within)

    def _credit_risk_plus(self, estimates: Sequence[Estimate]) -> Iterator[Control]:
        """CreditRisk+ with one gamma factor of the same variance."""
        tape = self.loss.tape
        if self.inputs.has_shock or not estimates or not tape.expected_loss > 0:
            return
        std = math.sqrt(self.pool.variance_of_mean) / tape.expected_loss
        if not std > 1e-6:
            return
        most = 1.5 * max(_loss_of(e) for e in estimates)
        law = CreditRiskPlus.of(tape.severity, tape.pd, std, most / UNITS, most)
        why = (
            f"Poisson defaults whose rates share one gamma factor with a standard deviation of {std:.3g}, as large as "
            "for the loss of the large pool; its tail is thinner than the tail from a normal factor"
        )
        for e in estimates:
            if e.kind != "expected_shortfall":
                value = law.beyond(e.threshold) if e.level is None else law.value_at_risk(1.0 - e.level)
                yield Control("CreditRisk+", e.label, value, e.value, why)

    def _ratings(self) -> Iterator[Control]:
        """Capital and risk-weighted assets by the formula of the Basel framework."""
        tape = self.loss.tape
        k = float(tape.ead @ capital(tape.pd, tape.lgd))
        why = (
            f"the supervisory correlations of corporate exposures and {MATURITY:g} years, whatever the model says; "
            "capital is the 99.9 % loss less the expected loss"
        )
        yield Control("IRB capital (CRE31)", "UL 99.9 %", k, None, why)
        yield Control("IRB risk-weighted assets", "12.5 x capital", 12.5 * k, None, why)
        weight = 12.5 * k / float(tape.ead.sum())
        yield Control("IRB average risk weight", "share of exposure", weight, None, why)


def migration_controls(
    inputs: CreditFactors, loss: MigrationLoss, common_share: Float, estimates: Sequence[Estimate]
) -> tuple[Control, ...]:
    """Controls of a portfolio in migration mode, with R^2 of each obligor (m,), for the numbers of a run."""
    why = "nothing: the sum of probabilities times changes in value"
    found = [Control("expected loss", "EL", loss.expected_loss, None, why)]
    if not inputs.has_shock:
        std = loss.tape.ead * loss.tape.lgd_std
        pool = MovingPool(loss.moves.amount, std, loss.probability, common_share)
        found += of_pool(pool, inputs.dim == 2, _tails(estimates))
    return tuple(found)


def of_pool(pool: Pool, has_one_factor: bool, estimates: Sequence[Estimate]) -> Iterator[Control]:
    """ASRF, and where the portfolio has one common factor, with the granularity adjustment."""
    why = "infinitely many small obligors, and one factor"
    if not has_one_factor:
        why += ", with the R^2 of each obligor: diversification between sectors is left out"
    for e in estimates:
        if e.level is None:
            yield Control("ASRF (Vasicek)", e.label, pool.probability(e.threshold), e.value, why)
            continue
        tail = 1.0 - e.level
        of = pool.value_at_risk if e.kind == "value_at_risk" else pool.expected_shortfall
        plain, more = of(tail)
        yield Control("ASRF (Vasicek)", e.label, plain, e.value, why)
        if has_one_factor:
            share = abs(more) / plain if plain > 0 else math.inf
            within = 0.01 + SECOND_ORDER * share**2 if share < SMALL else None
            name = "ASRF with granularity adjustment"
            yield Control(name, e.label, plain + more, e.value, FIRST_ORDER, within)


def _tails(estimates: Sequence[Estimate]) -> list[Estimate]:
    """The numbers of the upper tail that are known."""
    return [e for e in estimates if e.direction == "above" and math.isfinite(e.value) and _loss_of(e) > 0]


def _loss_of(e: Estimate) -> float:
    """The largest loss that an estimate speaks of."""
    return float(e.value if e.level is not None else e.threshold)


def _number(
    e: Estimate,
    probability: Callable[[float], float],
    value_at_risk: Callable[[float], float],
    expected_shortfall: Callable[[float], float],
) -> float | None:
    """The number that an estimate is of, by a law."""
    if e.level is None:
        return probability(e.threshold)
    tail = 1.0 - e.level
    value = value_at_risk(tail) if e.kind == "value_at_risk" else expected_shortfall(tail)
    return value if np.isfinite(value) else None

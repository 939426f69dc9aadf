"""A book of policies: lines with their claims, and the contracts that reinsure them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from raresim.arguments import checks
from raresim.copulas.base import Copula
from raresim.errors import FieldError
from raresim.marginals.gamma import Gamma
from raresim.marginals.lognormal import Lognormal
from raresim.marginals.negative_binomial import NegativeBinomial
from raresim.marginals.poisson import Poisson
from raresim.methods.scheme import FirstOf
from raresim.models.base import Model
from raresim.models.controls import Control
from raresim.models.insurance.compound_controls import CompoundControls, return_periods
from raresim.models.insurance.compound_factors import CompoundFactors
from raresim.models.insurance.compound_loss import CompoundLoss, View
from raresim.models.insurance.contracts import Contract, check_inuring
from raresim.models.insurance.event_table import EventTable
from raresim.models.insurance.exponential_twist import ExponentialTwist
from raresim.models.insurance.frequencies import CommonEvents, Frequencies, GammaMixing, known
from raresim.models.insurance.largest_claim import LargestClaim
from raresim.models.insurance.lines import Line
from raresim.models.insurance.period_losses import PeriodLosses
from raresim.models.insurance.period_table import PeriodTable, check_layers_of_years
from raresim.record.exhibits import Exhibit
from raresim.registry import member

if TYPE_CHECKING:
    from raresim.record.records import Estimate


@member("model")
@dataclass(frozen=True, kw_only=True, eq=False)
class Compound(Model):
    """A compound model of insurance or operational risk: a random number of claims, each of a random size.

    Parameters
    ----------
    lines : sequence of Line
        Lines of business, each with the law of the number of its claims in a period and of their size.
    event_tables : sequence of EventTable
        Lines whose claims are the events of a table; they come after the others.
    period_tables : sequence of PeriodTable
        Simulated periods, one of which is drawn with its events; they come after the lines.
    contracts : sequence of Contract
        Reinsurance of the claims: layers with annual terms.
    view : "gross", "ceded" or "net"
        What the loss is: all claims; what the contracts pay; or the difference, with the price of reinstatements.
    copula : Copula, optional
        The dependence of the numbers of claims, in the order of the lines.
    mixing : GammaMixing, optional
        A common gamma factor of the expected numbers of claims of Poisson lines.
    common_events : sequence of CommonEvents
        Events that bring a claim to several lines each.

    Raises
    ------
    FieldError
        When arguments do not go together.

    Notes
    -----
    Claims are independent of each other and of their numbers. Every claim is drawn: their number is never cut.
    """

    kind: ClassVar[str] = "compound"

    lines: Sequence[Line] = ()
    event_tables: Sequence[EventTable] = ()
    period_tables: Sequence[PeriodTable] = ()
    contracts: Sequence[Contract] = ()
    view: View = "gross"
    copula: Copula | None = None
    mixing: GammaMixing | None = None
    common_events: Sequence[CommonEvents] = ()

    frequencies: Frequencies = field(init=False, repr=False)

    def __post_init__(self) -> None:
        checks.one_of("view", self.view, View)
        lines = (*self.lines, *(table.line for table in self.event_tables))
        parts_of_loss: tuple[Line | PeriodTable, ...] = (*lines, *self.period_tables)
        if not parts_of_loss:
            raise FieldError("lines", "must have at least one line, an event table or a period table")
        for what, parts in (("lines", parts_of_loss), ("contracts", self.contracts)):
            names = [part.name for part in parts]
            for k, name in enumerate(names):
                if name in names[:k]:
                    raise FieldError(f"{what}[{k}].name", f"must differ from the others, got {name!r} again")
        if self.view != "gross" and not self.contracts:
            raise FieldError("view", f"cannot be {self.view!r} without contracts: all claims are kept")
        for k, contract in enumerate(self.contracts):
            known(f"contracts[{k}].lines", contract.lines or (), parts_of_loss)
        check_inuring(self.contracts)
        check_layers_of_years(self.contracts, self.period_tables)
        frequencies = Frequencies(lines, self.copula, self.mixing, tuple(self.common_events))
        object.__setattr__(self, "frequencies", frequencies)

    @cached_property
    def inputs(self) -> CompoundFactors:
        return CompoundFactors(frequencies=self.frequencies, tables=self._tables)

    @cached_property
    def loss(self) -> CompoundLoss:
        return CompoundLoss(self.frequencies, tuple(self.contracts), self.view, self._tables)

    @property
    def _tables(self) -> tuple[PeriodLosses, ...]:
        return tuple(table.losses for table in self.period_tables)

    @property
    def scheme(self) -> FirstOf | None:
        schemes = (LargestClaim(self.loss), ExponentialTwist(self.loss))
        serving = tuple(scheme for scheme in schemes if scheme.serves)
        return FirstOf(serving) if serving else None

    def controls(self, estimates: Sequence[Estimate], preset: str | None) -> tuple[Control, ...]:
        closed = self.loss.moments(self.inputs)
        return CompoundControls(self.loss, None if closed is None else closed[0]).of(estimates)

    def exhibits(self, estimates: Sequence[Estimate], shown: Sequence[Exhibit]) -> tuple[Exhibit, ...]:
        return return_periods(self.loss, estimates, shown)

    def notes(self) -> list[str]:
        said = [note for line in self.frequencies.lines for note in line.notes()]
        endless = (line.name for line in self.frequencies.lines if math.isinf(line.severity.moments().mean))
        said += [
            f"line {name}: its claims have an infinite mean; unlimited, they have no expected shortfall"
            for name in endless
        ]
        return said + [note for table in self.period_tables for note in table.notes()]

    def files(self) -> list[Path]:
        of_events = (path for table in self.event_tables for path in (table.file, table.rates) if path is not None)
        return [*of_events, *(table.file for table in self.period_tables)]

    def describe(self) -> list[str]:
        counted = ((len(self.frequencies.lines), "line", " of business"), (len(self.period_tables), "period table", ""))
        what = " and ".join(f"{n} {name}{'s' * (n > 1)}{more}" for n, name, more in counted if n)
        return [
            f"compound model: {what}, {self.view} loss",
            *self.loss.describe()[1:],
        ]

    @staticmethod
    def examples() -> list[Compound]:
        """Members for the conformance tests."""
        motor = Line(name="motor", frequency=Poisson(mu=6.0), severity=Gamma(a=2.0, scale=1.5))
        fire = Line(name="fire", frequency=NegativeBinomial(mean=1.5, std=1.6), severity=Lognormal(mean=4.0, std=9.0))
        layer = Contract(name="xl", lines=["fire"], attachment=5.0, limit=20.0, reinstatements=1)
        stop = Contract(name="stop loss", aggregate_deductible=30.0, aggregate_limit=40.0, share=0.8)
        return [
            Compound(lines=[motor]),
            Compound(lines=[motor, fire], contracts=[layer, stop], view="net"),
            Compound(
                lines=[motor, fire],
                contracts=[layer],
                view="ceded",
                common_events=[CommonEvents(frequency=Poisson(mu=0.3), lines=["motor", "fire"])],
            ),
        ]

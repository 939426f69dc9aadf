"""What is known of a compound model without sampling, beside what a run found."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from raresim.diagnostics.verdict import worst
from raresim.errors import FieldError
from raresim.models.controls import Control
from raresim.models.insurance.aggregate import POINTS, ROUNDINGS, Grid, Rounding, sum_of, tails_of
from raresim.models.insurance.compound_loss import CompoundLoss
from raresim.models.insurance.occurrence import Occurrence, severities, unknown
from raresim.models.insurance.per_claim import has_annual_terms
from raresim.models.insurance.period_controls import controls_of, losses_of_periods
from raresim.record.evidence import EvidencePlot
from raresim.record.exhibits import Exhibit

if TYPE_CHECKING:
    from raresim.record.records import Estimate

NAME = "FFT on a tilted grid"

WIDER = 1.25
"""The grid of a quantile ends at so many times the estimate."""

SHORTFALL = 2e-3
"""How far an expected shortfall from the grid may be off, relative to it."""

INTERPOLATED = 5e-3
"""What interpolated tails of events may add to that."""

OEP, OEP_TVAR, AEP, AEP_TVAR = 1.0, 2.0, 3.0, 4.0
"""EPType in the files of ktools."""

FULL_UNCERTAINTY = 2.0
"""EPCalc of curves that the uncertainty of each event's loss is in."""


@dataclass(frozen=True, eq=False)
class CompoundControls:
    """Controls of one model.

    Parameters
    ----------
    loss : CompoundLoss
        Of the model.
    mean : float or None
        Expected loss; None where it has no closed form.
    """

    loss: CompoundLoss
    mean: float | None

    def of(self, estimates: Sequence[Estimate]) -> tuple[Control, ...]:
        """All that are known for the numbers ``estimates`` of a run."""
        asked = [e for e in estimates if e.direction == "above" and math.isfinite(e.value)]
        ordered = losses_of_periods(self.loss)
        if ordered is not None:
            return tuple(controls_of(ordered, asked))
        found = []
        if self.mean is not None and math.isfinite(self.mean):
            found.append(
                Control("expected loss", "EL", self.mean, None, "nothing: expected number times expected claim")
            )
        return (*found, *self._probabilities(asked), *self._quantiles(asked))

    def _probabilities(self, estimates: Sequence[Estimate]) -> Iterator[Control]:
        asked = [e for e in estimates if e.level is None and e.threshold > 0]
        if not asked:
            return
        tails = tails_of(self.loss, [e.threshold for e in asked])
        for e, tail in zip(asked, tails or (), strict=False):
            if tail.value > 0:
                within = max(tail.high - tail.value, tail.value - tail.low) / tail.value
                yield self._by_grid(e, tail.value, tail.low, tail.high, within)

    def _by_grid(self, e: Estimate, value: float, low: float, high: float, within: float) -> Control:
        why = f"claims rounded to a grid: rounding down and up gives {low:.6g} and {high:.6g}"
        if any(s.is_interpolated(POINTS) for s in severities(self.loss.frequencies)):
            why += "; tails of events interpolated"
            within += INTERPOLATED
        return Control(NAME, e.label, value, e.value, why, within)

    def _quantiles(self, estimates: Sequence[Estimate]) -> Iterator[Control]:
        of = sum_of(self.loss)
        asked = [e for e in estimates if e.level is not None and e.value > 0]
        if not asked or of is None or of.to_sum(1.0) != 1.0:
            return
        for e in asked:
            tail = 1.0 - float(e.level or 0.0)
            grid = Grid.fitting(of, WIDER * e.value)
            try:
                if e.kind == "value_at_risk":
                    theta, _, aliased = grid.tilt()
                    value, low, high = (_quantile(grid, way, theta, tail) for way in ROUNDINGS)
                    if aliased < 1e-3 * tail and math.isfinite(value) and value > 0:
                        yield self._by_grid(e, value, low, high, max(high - value, value - low) / value)
                elif self.loss.view == "gross" and self.mean is not None and math.isfinite(self.mean):
                    shortfall = _shortfall(grid, tail, self.mean)
                    if math.isfinite(shortfall):
                        why = "claims rounded to the nearest point of a grid"
                        yield Control(NAME, e.label, shortfall, e.value, why, SHORTFALL)
            except FieldError:  # a law of counts with too many values
                return


def _quantile(grid: Grid, rounding: Rounding, theta: float, tail: float) -> float:
    """The loss that is exceeded with the probability ``tail``; infinite where that is beyond the grid."""
    at = np.arange(grid.points // grid.reach + 1, dtype=np.float64) * grid.step
    tails = grid.tails(at, rounding, theta)
    k = int(np.argmax(tails <= tail))
    if not tails[k] <= tail:
        return math.inf
    if k == 0 or tails[k - 1] <= 0.0 or tails[k] <= 0.0:
        return float(at[k])
    above, below = math.log(tails[k - 1]), math.log(tails[k])
    return float(at[k - 1] + grid.step * (above - math.log(tail)) / max(above - below, 1e-300))


def _shortfall(grid: Grid, tail: float, mean: float) -> float:
    """Expected shortfall, by the mean and what the loss is below its quantile, on a grid without a tilt."""
    value = _quantile(grid, "nearest", 0.0, tail)
    if not 0.0 < value < math.inf:
        return math.inf
    found, _ = grid.law("nearest", 0.0)
    at = np.arange(found.size) * grid.step
    inside = at < value
    return value + (mean - value + float(found[inside] @ (value - at[inside]))) / tail


def return_periods(loss: CompoundLoss, estimates: Sequence[Estimate], shown: Sequence[Exhibit]) -> tuple[Exhibit, ...]:
    """Losses by return period, of the sum of a period and of its largest claim, and the same as an EPT file.

    The sum is what the run found; the largest claim is in closed form: see `raresim.models.insurance.occurrence`.
    Under contracts it is the most that a single claim leaves net, or brings to the contracts, without their terms for
    the whole period. A year is the period of the model.
    """
    found = {1.0 / (1.0 - float(e.level)): e for e in estimates if e.kind == "value_at_risk" and e.level is not None}
    found = {years: e for years, e in found.items() if e.asked and math.isfinite(e.value)}
    if not found:
        return ()
    beyond = _means_beyond(shown)
    shortfalls = {e.level: e.value for e in estimates if e.kind == "expected_shortfall"}
    law = Occurrence.of(loss)
    rows, ept = [], []
    for years, e in sorted(found.items()):
        rounded = round(years, 6)
        aep_tvar = shortfalls.get(e.level, beyond.get(e.value))
        oep = law.quantile(1.0 / years) if law else None
        oep_tvar = _finite(law.mean_beyond(1.0 / years)) if law else None
        rows.append((rounded, e.value, *e.interval, aep_tvar, oep, oep_tvar))
        for kind, value in ((OEP, oep), (OEP_TVAR, oep_tvar), (AEP, e.value), (AEP_TVAR, aep_tvar)):
            if value is not None:
                ept.append((1.0, FULL_UNCERTAINTY, kind, rounded, value))
    ept.sort(key=lambda row: (row[2], -row[3]))
    columns = ("return_period", "aep", "aep_lower", "aep_upper", "aep_tvar", "oep", "oep_tvar")
    notes = (
        "Return periods are in periods of the model, such as years. The AEP is the aggregate exceedance probability, "
        f"of the sum of a period; the run estimates it, with an interval. {_of_occurrence(loss)} TVaR is the mean of "
        "losses that are as rare or rarer.",
    )
    status = worst([e.verdict.status for e in found.values()])
    note = ("In the columns of ktools: EPType 1 OEP, 2 OEP TVaR, 3 AEP, 4 AEP TVaR; EPCalc 2, full uncertainty.",)
    return (
        Exhibit("return_periods", "Losses by return period", columns, tuple(rows), notes, status, _plots(rows)),
        Exhibit(
            "ept",
            "Exceedance probability table",
            ("SummaryId", "EPCalc", "EPType", "ReturnPeriod", "Loss"),
            tuple(ept),
            note,
            status,
        ),
    )


def _of_occurrence(loss: CompoundLoss) -> str:
    """What the OEP is of, in a sentence or two."""
    if reason := unknown(loss):
        return f"The OEP, the occurrence exceedance probability, has no closed form here: {reason}."
    if loss.view == "gross":
        return "The OEP is the occurrence exceedance probability, of the largest claim of a period, in closed form."
    what = "most that a claim brings to the contracts" if loss.view == "ceded" else "largest claim net of contracts"
    annual = ", before their terms for the whole period" if has_annual_terms(loss) else ""
    return f"The OEP is the occurrence exceedance probability, of the {what}{annual}, in closed form."


def _plots(rows: Sequence[tuple[float | None, ...]]) -> tuple[EvidencePlot, ...]:
    """The AEP with its interval, and the OEP, by return period; none of a single one."""
    if len(rows) < 2:
        return ()
    years, aep, low, high, _, oep, _ = zip(*rows, strict=True)
    of = ("return period, in years or other periods of the model", "loss, in the unit of the claims")
    plots = [EvidencePlot("line", "AEP", *of, years, aep, low, high)]
    if None not in oep:
        plots.append(EvidencePlot("line", "OEP", *of, years, oep, (), ()))
    return tuple(plots)


def _means_beyond(shown: Sequence[Exhibit]) -> dict[float, float]:
    """Mean of the losses beyond a threshold, where the tables of the measures have it."""
    found: dict[float, float] = {}
    for exhibit in shown:
        if exhibit.name.startswith("partial_moments"):
            threshold, mean = exhibit.columns.index("threshold"), exhibit.columns.index("mean_beyond")
            for row in exhibit.rows:
                if isinstance(row[threshold], float) and isinstance(row[mean], float):
                    found[row[threshold]] = row[mean]  # type: ignore[index, assignment]  # floats by the line above
    return found


def _finite(x: float) -> float | None:
    return x if math.isfinite(x) else None

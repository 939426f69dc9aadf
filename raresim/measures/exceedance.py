"""The exceedance curve: how often each of many thresholds is exceeded, and by how much."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from raresim.arguments import checks
from raresim.diagnostics.verdict import worst
from raresim.errors import FieldError
from raresim.measures.bands import (
    Exceedances,
    band,
    critical_value,
    exceedances_of,
    excesses_of,
    intervals,
    pointwise_confidence,
    quantiles_of,
)
from raresim.measures.base import Answered, Keeps, LossScale, Measure, Question
from raresim.measures.intervals import HEAVY_DOF
from raresim.measures.tail_sample import TailSample
from raresim.numerics.arrays import Float
from raresim.record.event import Event
from raresim.record.evidence import EvidencePlot
from raresim.record.exhibits import Exhibit
from raresim.record.verdict import Status
from raresim.registry import member

Kind = Literal["loss", "aep", "oep"]
"""What one draw of the loss is: any loss, the sum of a year's events, or the largest event of a year."""

POINTS, FROM_TAIL, TO_TAIL = 100, 0.1, 1e-4
MOST_POINTS = 1_000

ASKED = 5
"""Number of thresholds with an estimate and a verdict of their own; the others are computed from the same rows."""

_AXIS = {"loss": "P(loss > x)", "aep": "P(sum of a year > x)", "oep": "P(largest of a year > x)"}
_HOW = {True: "exact (Clopper-Pearson)", False: "on the log scale"}
_COLUMNS = (
    "threshold",
    "probability",
    "std_error",
    "lower",
    "upper",
    "band_lower",
    "band_upper",
    "return_period",
    "hits",
    "mark",
)
_MOMENTS = (
    "threshold",
    "probability",
    "stop_loss",
    "stop_loss_error",
    "second_moment",
    "second_moment_error",
    "mean_beyond",
    "mean_beyond_error",
)


@member("measure")
@dataclass(frozen=True, kw_only=True)
class Exceedance(Measure):
    """``P(loss > x)`` along the tail, with an interval for each ``x`` and a band for all of them.

    Parameters
    ----------
    thresholds : list of float, optional
        Thresholds in the unit of the loss, rising. If they are left out, the program chooses quantiles of the
        sample, as many as ``points`` says.
    points : int, optional
        Number of points that the program chooses, evenly spaced in the log probability; 100 when left out.
    from_tail, to_tail : float, optional
        Probabilities at which the chosen points begin and end; when left out 0.1 and 0.0001, or as far as
        ``return_periods`` reach.
    return_periods : list of float, optional
        Return periods in years, rising: the table marks the loss of each.
    events_per_year : float
        Mean number of draws of the loss in a year: a return period is ``1 / (events_per_year P(loss > x))``.
    curve : "loss", "aep" or "oep"
        What a draw of the loss is: any loss; the sum of a year's events; or the largest event of a year. With the last
        two, one draw is one year.
    confidence : float
        Confidence of intervals and band, between 0 and 1.

    Raises
    ------
    FieldError
        When thresholds or return periods do not rise, or a return period lies beyond the ends of the curve.

    Notes
    -----
    Losses beyond ``x`` are strictly larger, as in the value at risk, which is the smallest ``x`` with ``P(loss > x) <=
    tail``. The tables also have the partial moments ``E[(loss - x)+]``, the stop-loss premium, and ``E[((loss -
    x)+)^2]``, and the mean of the losses beyond ``x``.

    The program adds the losses at powers of ten and at ends that were left out. Each has a verdict of its own, which
    does not count for the run unless the run asks for nothing else.
    """

    kind: ClassVar[str] = "exceedance"
    keeps: ClassVar[Keeps] = "losses"

    thresholds: Sequence[float] | None = None
    points: int | None = None
    from_tail: float | None = None
    to_tail: float | None = None
    return_periods: Sequence[float] | None = None
    events_per_year: float = 1.0
    curve: Kind = "loss"
    confidence: float = 0.95

    def __post_init__(self) -> None:
        checks.one_of("curve", self.curve, Kind)
        checks.between("confidence", self.confidence, 0.0, 1.0)
        checks.positive("events_per_year", self.events_per_year)
        if self.curve != "loss" and self.events_per_year != 1.0:
            raise FieldError(
                "events_per_year",
                f"goes with curve 'loss': a draw of '{self.curve}' is a year, got {self.events_per_year:g}",
            )
        if self.thresholds is not None:
            for field in ("points", "from_tail", "to_tail"):
                if getattr(self, field) is not None:
                    raise FieldError(field, "goes with points chosen by the program: leave it out beside thresholds")
            _rising("thresholds", self.thresholds)
        if self.points is not None and checks.whole("points", self.points, 2) > MOST_POINTS:
            raise FieldError("points", f"must be at most {MOST_POINTS:,}, got {self.points:,}")
        if self.return_periods is not None:
            for years in _rising("return_periods", self.return_periods):
                if not years * self.events_per_year > 1.0:
                    raise FieldError(
                        "return_periods",
                        f"must be above {1 / self.events_per_year:g} years, the mean time between losses, got "
                        f"{years:.15g}",
                    )
        if self.thresholds is None:
            self._check_ends()

    @property
    def ends(self) -> tuple[float, float]:
        """Probabilities at which the points chosen by the program begin and end."""
        marked = tuple(self._marked)
        return self.from_tail or max(FROM_TAIL, *marked, 0.0), self.to_tail or min(TO_TAIL, *marked, 1.0)

    @property
    def tails(self) -> tuple[float, ...]:
        """Tails of the return periods; for points that the program chooses, also their ends and powers of ten."""
        marked = tuple(self._marked)
        if self.thresholds is not None:
            return marked
        first, last = self.ends
        powers = () if marked else tuple(float(f"1e-{k}") for k in range(1, 324))
        return tuple(sorted({first, last, *marked, *(t for t in powers if last < t < first)}, reverse=True))

    def questions(self, scale: Callable[[], LossScale], quantile: Callable[[float], float]) -> list[Question]:
        """Probabilities of a few thresholds, and the values at risk at `tails`."""
        asked = [Question(Event(x), "", self.confidence, None) for x in self._asked]
        return asked + [
            Question(
                Event(quantile(tail)),
                "",
                self.confidence,
                None,
                quantity="value_at_risk",
                tail=tail,
                asked=tail in self._named,
            )
            for tail in self.tails
        ]

    def exhibits(self, answered: Answered) -> list[Exhibit]:
        """The curve (``exceedance``) and the losses beyond each threshold (``partial_moments``)."""
        marks, notes = self._marks(answered)
        grid, more = self._grid(answered)
        x = np.unique(np.append(grid, list(marks)))
        if not x.size:
            return []
        curve = exceedances_of(answered.sample, x)
        status = worst([estimate.verdict.status for estimate in answered.own])
        return [
            self._exceedance(curve, answered, marks, (*notes, *more), status),
            self._partial_moments(curve, answered, status),
        ]

    @property
    def _marked(self) -> dict[float, str]:
        """Tail probability of each return period, the largest first, and the mark of its row."""
        return {self._tail(years): f"{years:g} years" for years in self.return_periods or ()}

    @property
    def _named(self) -> set[float | None]:
        """Tail probabilities that the user named; the program adds the others."""
        return {*self._marked, self.from_tail, self.to_tail}

    @property
    def _asked(self) -> list[float]:
        """The thresholds with an estimate of their own: all if they are few, else the ends and some between."""
        given = list(self.thresholds or ())
        if len(given) <= ASKED:
            return given
        return [given[i] for i in np.linspace(0, len(given) - 1, ASKED).round().astype(int)]

    def _tail(self, years: float) -> float:
        return 1.0 / (self.events_per_year * years)

    def _check_ends(self) -> None:
        for field, tail in (("from_tail", self.from_tail), ("to_tail", self.to_tail)):
            if tail is not None:
                checks.between(field, tail, 0.0, 1.0)
        first, last = self.ends
        if first <= last:
            field = "from_tail" if self.to_tail is None else "to_tail"
            raise FieldError(
                field, f"the curve must go from a larger to a smaller probability, got {first:.15g} to {last:.15g}"
            )
        for tail, name in self._marked.items():
            if not last <= tail <= first:
                field = "from_tail" if tail > first else "to_tail"
                raise FieldError(
                    "return_periods",
                    f"must lie on the curve: {name} are a probability of {tail:g}, beyond its end, {field}",
                )

    def _marks(self, answered: Answered) -> tuple[dict[float, str], list[str]]:
        """The losses found at `tails` with the marks of their rows, and notes on missing or untrusted ones."""
        found: dict[float, list[str]] = {}
        missed, doubtful = [], []
        for tail, estimate in zip(self.tails, answered.own[len(self._asked) :], strict=True):
            name = self._marked.get(tail, f"tail {tail:g}")
            if math.isfinite(estimate.value) and estimate.value >= answered.sample.floor:
                found.setdefault(estimate.value, []).append(name)
                if tail not in self._named and estimate.verdict.status != Status.TRUSTED:
                    doubtful.append(name)
            else:
                missed.append(name)
        notes = [f"Not in the table, because the sample does not reach them: {', '.join(missed)}."] if missed else []
        if doubtful:
            notes.append(
                "Not trusted, but outside the verdict of the run, because the program added them: "
                f"{', '.join(doubtful)}."
            )
        return {x: ", ".join(names) for x, names in found.items()}, notes

    def _grid(self, answered: Answered) -> tuple[Float, list[str]]:
        """The thresholds that the sample reaches, and notes on their choice and on those that were left out."""
        sample = answered.sample
        if self.thresholds is not None:
            given = np.array(self.thresholds, dtype=np.float64)
            kept = given[given >= sample.floor]
            left_out = given.size - kept.size
            floor = f"{left_out} of {given.size} thresholds are left out: losses below {sample.floor:g} were not kept."
            return kept, [floor] if left_out else []
        first, last = self.ends
        tails = np.geomspace(first, last, int(self.points or POINTS))
        x = quantiles_of(sample, tails)
        notes = [
            f"The thresholds are quantiles of the sample at {tails.size} probabilities, evenly spaced on the log scale "
            f"from {first:g} to {last:g}; equal thresholds share one row."
        ]
        if np.isnan(x).any():
            notes.append(f"The curve begins at {sample.floor:g}: smaller losses were not kept.")
        return x[np.isfinite(x)], notes

    def _exceedance(
        self, curve: Exceedances, answered: Answered, marks: dict[float, str], notes: tuple[str, ...], status: Status
    ) -> Exhibit:
        x, p = curve.thresholds, curve.probability
        critical = critical_value(curve, self.confidence)
        band_low, band_high = band(curve, critical, answered.factor)
        low, high = intervals(curve, self.confidence, answered.factor)
        high = np.where(curve.hits > 0, high, np.minimum(high, band_high))
        with np.errstate(divide="ignore"):
            years = 1.0 / (self.events_per_year * p)
        columns = (x, p, curve.std_error, low, high, band_low, band_high, years, curve.hits)
        rows = _rows(*columns)
        y_label = _AXIS[self.curve]
        marked = np.isin(x, list(marks))
        return Exhibit(
            name="exceedance",
            title="Exceedance curve",
            columns=_COLUMNS,
            rows=tuple((*row, marks.get(float(at), "")) for row, at in zip(rows, x, strict=True)),
            notes=(*notes, *self._notes(curve, answered.sample, critical)),
            status=status,
            plots=(
                _plot("curve", y_label, x, p, band_low, band_high),
                _plot("band", y_label, x, p, low, high),
                _plot("marks", y_label, x[marked], p[marked], low[marked], high[marked]),
            ),
        )

    def _partial_moments(self, curve: Exceedances, answered: Answered, status: Status) -> Exhibit:
        x = curve.thresholds
        e = excesses_of(answered.sample, x)
        columns = (x, curve.probability, e.first, e.first_error, e.second, e.second_error, e.beyond, e.beyond_error)
        return Exhibit(
            name="partial_moments",
            title="Losses beyond each threshold",
            columns=_MOMENTS,
            rows=_rows(*columns),
            notes=(
                "stop_loss is E[(loss - x)+], second_moment E[((loss - x)+)^2], mean_beyond E[loss | loss > x]; each "
                "has its standard error.",
                "If the loss has no variance, the errors of stop_loss and mean_beyond are not reliable; if it has no "
                "fourth moment, the error of second_moment is not. The sample cannot show whether these moments exist.",
            ),
            status=status,
        )

    def _notes(self, curve: Exceedances, sample: TailSample, critical: float) -> list[str]:
        level = f"{100 * self.confidence:g} %"
        notes = [
            f"lower and upper hold at {level} for each threshold by itself, {_HOW[curve.is_crude]}; band_lower and "
            f"band_upper hold at {level} for all thresholds at once. Between two thresholds the curve is below "
            "band_upper of the lower one and above band_lower of the higher one."
        ]
        alone = f"{100 * pointwise_confidence(critical):.4g} %"
        notes.append(
            f"The band is {critical:.3g} standard errors wide on each side; a single interval of this width holds at "
            f"{alone}."
        )
        if curve.is_heavy.any():
            notes.append(
                f"The weights beyond {np.count_nonzero(curve.is_heavy)} of {curve.thresholds.size} thresholds have a "
                f"heavy tail: Student's t with {HEAVY_DOF} degrees of freedom replaces the normal law there."
            )
        if (curve.hits == 0).any():
            notes.append("No draw was beyond the last threshold: its upper ends are bounds.")
        if self.thresholds is not None and np.isin(sample.loss, self.thresholds).any():
            notes.append(
                "Some losses equal a threshold. They do not count as beyond it here, but they count in a probability "
                "of losses of at least the threshold."
            )
        return notes

    @staticmethod
    def examples() -> list[Exceedance]:
        """Members for the conformance tests."""
        return [
            Exceedance(),
            Exceedance(thresholds=[2.0, 3.0, 4.0], confidence=0.9),
            Exceedance(return_periods=[10, 100, 200], points=30, from_tail=0.2, to_tail=1e-3, curve="aep"),
            Exceedance(return_periods=[1, 5], events_per_year=252),
        ]


def _rising(field: str, values: Sequence[float]) -> Float:
    """``values`` as an array; raises `FieldError` unless they rise and are few enough."""
    array = checks.vector(field, values)
    if array.size > MOST_POINTS:
        raise FieldError(field, f"must be at most {MOST_POINTS:,}, got {array.size:,}")
    falls = np.flatnonzero(np.diff(array) <= 0)
    if falls.size:
        before, after = array[falls[0]], array[falls[0] + 1]
        raise FieldError(field, f"must rise without repeats, got {after:g} after {before:g}")
    return array


def _rows(*columns: NDArray[Any]) -> tuple[tuple[float | None, ...], ...]:
    """Rows of a table, with None for numbers that are not finite."""
    return tuple(
        tuple(v if math.isfinite(v) else None for v in row) for row in zip(*(c.tolist() for c in columns), strict=True)
    )


def _plot(form: str, y_label: str, x: Float, y: Float, low: Float, high: Float) -> EvidencePlot:
    of = (tuple(values.tolist()) for values in (x, y, low, high))
    return EvidencePlot(form, "Exceedance curve", "x, in the unit of the loss", y_label, *of)

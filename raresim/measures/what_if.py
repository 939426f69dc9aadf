"""The numbers of a run under other parameters of the inputs, from the same rows with new weights."""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from raresim.arguments import checks
from raresim.diagnostics.verdict import judge_weights, worst
from raresim.distributions.base import Inputs
from raresim.errors import FieldError
from raresim.inputs.parameters import Parameter, find
from raresim.inputs.reweighting import NoDensityError, log_density_at
from raresim.measures.base import Answered, Keeps, LossScale, Measure, Question
from raresim.measures.curve import Certainty, TailCurve
from raresim.measures.intervals import HEAVY_DOF, HEAVY_KHAT, log_scale
from raresim.measures.tail_rate import NoRateError
from raresim.measures.tail_reading import BelowFloorError, Reading, UnreadableError
from raresim.measures.tail_sample import TailSample
from raresim.numerics.arrays import Float
from raresim.record.exhibits import Exhibit
from raresim.record.records import Estimate
from raresim.record.verdict import Status
from raresim.registry import member

_CHANGE = re.compile(r"\s*([-+*]?)\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*")
_NAME = re.compile(r"[A-Za-z0-9_-]{1,60}")


@member("measure")
@dataclass(frozen=True, kw_only=True)
class WhatIf(Measure):
    """Every number of the run under a changed law of the inputs, without further evaluations.

    Parameters
    ----------
    change : mapping of str to float or str
        Maps the name of a parameter, as in `Sensitivities`, to its new value or to a change: ``"* 1.1"``, ``"+ 0.05"``,
        ``"- 0.05"``. Changes are made one after the other.
    name : str
        Name of the table, ``what_if_NAME``; by default made from the changes.
    confidence : float
        Confidence of the intervals, between 0 and 1.

    Raises
    ------
    FieldError
        When a change cannot be read.

    Notes
    -----
    The weight of each row is multiplied by the density of the changed law over the density of the inputs. The further
    apart the two laws are, the fewer rows carry the weight, so every number has a verdict by the same checks as the
    run's own numbers. Losses that the changed law makes likely and the run did not look for are not in the rows, and no
    check can show that.
    """

    kind: ClassVar[str] = "what_if"
    keeps: ClassVar[Keeps] = "draws"
    asks: ClassVar[bool] = False

    change: Mapping[str, float | str]
    name: str = ""
    confidence: float = 0.95

    def __post_init__(self) -> None:
        if not self.change:
            raise FieldError("change", "must name at least one parameter")
        for name, given in self.change.items():
            _read(name, given)
        if self.name and not _NAME.fullmatch(self.name):
            raise FieldError("name", f"must be letters, digits, '_' or '-', at most 60 of them, got {self.name[:80]!r}")
        checks.between("confidence", self.confidence, 0.0, 1.0)

    def questions(self, scale: Callable[[], LossScale], quantile: Callable[[float], float]) -> list[Question]:
        return []

    def check_inputs(self, inputs: Inputs) -> None:
        self.changed(inputs)

    @property
    def title(self) -> str:
        """The changes in words."""
        return ", ".join(f"{name} {_shown(given)}" for name, given in self.change.items())

    def changed(self, inputs: Inputs) -> Inputs:
        """The changed law of the inputs.

        Raises
        ------
        FieldError
            When a parameter does not exist, or there is no such law.
        """
        return functools.reduce(lambda law, item: _changed(law, *item), self.change.items(), inputs)

    def exhibits(self, answered: Answered) -> list[Exhibit]:
        sample, notes = answered.sample, [_HOW]
        rows: list[tuple[str | float | None, ...]] = []
        statuses = [Status.TRUSTED]
        try:
            law = self.changed(answered.inputs)
            other = reweighted(sample, answered.inputs, law)
        except (NoDensityError, FieldError) as error:
            notes, statuses = [f"Not available: {error}."], [Status.BOUND_ONLY]
        else:
            notes += [f"Changed inputs: {line}" for line in law.describe()]
            for estimate in answered.estimates:
                row, status, note = self._row(estimate, sample, other, answered.factor)
                rows.append(row)
                statuses.append(status)
                notes += [f"{estimate.label}: {note}."] if note else []
        name = f"what_if_{self.name or re.sub(r'[^A-Za-z0-9]+', '_', self.title.replace('.', 'p')).strip('_')[:60]}"
        return [Exhibit(name, f"What if: {self.title}", COLUMNS, tuple(rows), tuple(notes), worst(statuses))]

    def _row(
        self, estimate: Estimate, sample: TailSample, other: TailSample, factor: float
    ) -> tuple[tuple[str | float | None, ...], Status, str]:
        """The cells of a row, their status, and a note."""
        empty: dict[str, Any] = dict.fromkeys(COLUMNS)
        empty |= {"estimate": estimate.label, "quantity": estimate.kind}
        try:
            base = Reading.of(sample, estimate)
        except UnreadableError as error:
            empty["status"] = str(Status.BOUND_ONLY)
            return tuple(empty.values()), Status.BOUND_ONLY, f"not available: {error}"
        empty["base"] = base.value
        try:
            reading = Reading.of(other, estimate)
        except BelowFloorError:
            cells = empty | {"upper": _finite(_bound(other, base)), "status": str(Status.BOUND_ONLY)}
            note = "the changed value at risk is below the smallest loss that was kept"
            note += "" if math.isinf(other.floor) else f", {other.floor:.6g}"
            return tuple(cells.values()), Status.BOUND_ONLY, note
        weights = reading.weights()
        total = float(reading.terms.sum()) / other.n
        checks = judge_weights(weights, other.error_of_sum(reading.terms) / total if total > 0 else math.inf)
        status = worst([Status(estimate.verdict.status), *(check.status for check in checks)])
        dof = HEAVY_DOF if weights["khat"] is not None and weights["khat"] >= HEAVY_KHAT else None
        certainty = Certainty(self.confidence, False, dof, factor)
        std_error = _error(reading)
        cells = empty | {
            "changed": reading.value,
            "std_error": std_error,
            **dict(zip(("lower", "upper"), _interval(reading, std_error, certainty), strict=True)),
            **_ratio(base, reading, certainty),
            **{key: weights[key] for key in ("hits", "ess", "max_share", "khat")},
            "status": str(status),
        }
        failed = [check.message for check in checks if check.status is not Status.TRUSTED]
        return tuple(cells.values()), status, "; ".join(failed)

    @staticmethod
    def examples() -> list[WhatIf]:
        """Members for the conformance tests."""
        return [WhatIf(change={"std": "* 1.1"}), WhatIf(change={"mean.x1": 0.1, "std": "* 0.9"}, name="calm")]


COLUMNS = (
    "estimate",
    "quantity",
    "base",
    "changed",
    "std_error",
    "lower",
    "upper",
    "ratio",
    "ratio_lower",
    "ratio_upper",
    "hits",
    "ess",
    "max_share",
    "khat",
    "status",
)

_HOW = (
    "The rows of the run with new weights, multiplied by the density of the changed inputs over the density of the "
    "inputs: no loss was evaluated again. Both numbers of a ratio come from the same rows, so much of their error "
    "cancels. The verdict on each number is the worse of the run's verdict and the checks of the new weights; losses "
    "that the changed inputs make likely and the run never drew cannot be seen."
)


def reweighted(sample: TailSample, inputs: Inputs, law: Inputs) -> TailSample:
    """``sample``, drawn for the target ``inputs``, with the weights for ``law``.

    Raises
    ------
    NoDensityError
        When a law has no density, or ``law`` reaches where the draws do not.
    """
    at = log_density_at(inputs, sample.u, sample.x)
    before = at(inputs)
    return replace(sample, log_weight=sample.log_weight + (at(law) - before))


def _error(reading: Reading) -> float | None:
    try:
        return reading.sample.error_of_sum(reading.influence)
    except NoRateError:
        return None


def _interval(reading: Reading, error: float | None, certainty: Certainty) -> tuple[float | None, float | None]:
    if reading.tail is None:
        relative = math.inf if error is None or not reading.value else certainty.factor * error / reading.value
        low, high = log_scale(reading.value, relative, certainty.confidence, certainty.dof)
        return low, min(1.0, high)
    if reading.quantity == "value_at_risk":
        sample = reading.sample
        found = TailCurve.of_rows(sample.n, sample.loss, sample.log_weight).value_at_risk(reading.tail, certainty)
        return _finite(found.low), _finite(found.high)
    if error is None:
        return None, None
    half = certainty.quantile * error
    return reading.value - half, reading.value + half


def _ratio(base: Reading, reading: Reading, certainty: Certainty) -> dict[str, float | None]:
    """The changed number divided by the run's, with an interval that allows for their common rows."""
    cells: dict[str, float | None] = {"ratio": None, "ratio_lower": None, "ratio_upper": None}
    if not base.value:
        return cells
    ratio = reading.value / base.value
    cells["ratio"] = ratio
    try:
        influence = reading.influence / base.value - ratio * base.influence / base.value
    except NoRateError:
        return cells
    error = base.sample.error_of_sum(influence)
    if reading.tail is None and ratio > 0:
        low, high = log_scale(ratio, certainty.factor * error / ratio, certainty.confidence, certainty.dof)
    else:
        low, high = ratio - certainty.quantile * error, ratio + certainty.quantile * error
    return cells | {"ratio_lower": low, "ratio_upper": _finite(high)}


def _bound(sample: TailSample, base: Reading) -> float:
    """Upper bound of a value at risk or an expected shortfall, if the value at risk is below the floor.

    ``c + E[(L - c)+] / a`` is smallest at the value at risk ``c``, where it is the expected shortfall; at the floor it
    is larger.
    """
    if base.quantity == "value_at_risk" or base.tail is None or math.isinf(sample.floor):
        return sample.floor
    return sample.floor + sample.mean(sample.loss - sample.floor) / base.tail


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _read(name: str, given: float | str) -> tuple[str, float]:
    """The sign of a change ("" where the value is given) and its number."""
    if not isinstance(given, str):
        if isinstance(given, bool) or not math.isfinite(given):
            raise FieldError("change", f"{name} must be a finite number or a text such as '* 1.1', got {given!r}")
        return "", float(given)
    match = _CHANGE.fullmatch(given)
    if not match or not match[1]:
        raise FieldError("change", f"{name} must be a number, '* 1.1', '+ 0.05' or '- 0.05', got {given!r}")
    return match[1], float(match[2])


def _shown(given: float | str) -> str:
    sign, number = _read("", given)
    return f"{sign} {number:g}".strip()


def _changed(law: Inputs, name: str, given: float | str) -> Inputs:
    sign, number = _read(name, given)
    try:
        parameter = find(law, name)
        _refuse(parameter, sign)
        return parameter.changed(law, functools.partial(_applied, sign, number))
    except FieldError as error:
        what = "" if error.field in ("parameter", name) else f"{error.field}: "
        raise FieldError("change", f"{name}: {what}{error.message}") from None


def _refuse(parameter: Parameter, sign: str) -> None:
    if parameter.only_relative and sign != "*":
        raise FieldError(
            parameter.name,
            "must be changed by a factor, such as '* 1.1': it is proportional to the scale of these inputs; give "
            "the scale itself by its name",
        )


def _applied(sign: str, number: float, values: Float) -> Float:
    if sign == "*":
        return values * number
    if not sign:
        return np.full(values.shape, number)
    return values + number if sign == "+" else values - number

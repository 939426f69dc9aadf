"""How the numbers of a run change with the parameters of its inputs: derivatives from the rows that it drew."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from raresim.arguments import checks
from raresim.diagnostics.verdict import judge_weights, worst
from raresim.distributions.base import Inputs
from raresim.errors import FieldError
from raresim.inputs.parameters import Leaf, Parameter, find, leaves
from raresim.inputs.reweighting import LogDensity, NoDensityError, log_density_at
from raresim.measures.base import Answered, Keeps, LossScale, Measure, Question
from raresim.measures.intervals import HEAVY_DOF, HEAVY_KHAT
from raresim.measures.tail_rate import NoRateError
from raresim.measures.tail_reading import Reading, UnreadableError
from raresim.numerics.arrays import Float
from raresim.record.evidence import EvidencePlot
from raresim.record.exhibits import Exhibit
from raresim.record.records import Estimate
from raresim.record.verdict import Status
from raresim.registry import member

TOGETHER = ("mean", "loc", "std", "scale", "correlation", "loadings", "specific")
"""Parameters of which there is one for each factor, in the order in which they are shown."""

MOST_ALONE = 40
"""Parameters up to which each is shown by itself where none are named; others are changed together."""

CHANGE, NEAR = 1e-3, (1e-4, 1e-2)
"""Change of the log density, root mean square over the rows, that a step is to make; and between which it may be."""

ROWS = 5_000
"""Rows that the step is chosen by."""


@member("measure")
@dataclass(frozen=True, kw_only=True)
class Sensitivities(Measure):
    r"""Derivatives of every probability, value at risk and expected shortfall of the run.

    With respect to the parameters of the inputs, to thresholds and to tail probabilities, without further evaluations.

    Parameters
    ----------
    parameters : sequence of str, optional
        Names such as ``mean``, ``mean.x1``, ``std``, ``correlation``, ``dof``, ``x1.scale``; a name stands for all
        parameters whose path ends so, which are changed together, and ``volatility`` for every ``std`` and ``scale``.
        By default all that there are: scales together, correlations together, the others one by one.
    per : float
        The change that effects are also given for: a share of a parameter that is changed by a factor, or what is added
        to one that may be zero (a mean, a correlation).
    confidence : float
        Of the intervals, between 0 and 1.

    Notes
    -----
    With the density ``p`` of the risk factors ``x``, of which the loss ``L(x)`` is a function that does not change, and
    the score ``s = d log p(x) / d theta`` [1]_:

    .. math::
        \frac{d P(L \ge t)}{d \theta} = E[s; L \ge t], \quad
        \frac{d VaR}{d \theta} = \frac{E[s; L > VaR]}{f(VaR)}, \quad
        \frac{d ES}{d \theta} = \frac{E[s (L - VaR)^+]}{1 - a}

    The score is the central difference of the density over the density, for all laws. Errors are those of influence
    functions, in which the value at risk and the density ``f`` of the loss there are estimates too.

    References
    ----------
    .. [1] Glasserman, *Monte Carlo Methods in Financial Engineering*, 2003, sec. 7.3 (likelihood ratio method).
    """

    kind: ClassVar[str] = "sensitivities"
    keeps: ClassVar[Keeps] = "draws"

    parameters: Sequence[str] | None = None
    per: float = 0.01
    confidence: float = 0.95

    def __post_init__(self) -> None:
        if self.parameters is not None and (isinstance(self.parameters, str) or not self.parameters):
            raise FieldError("parameters", "must be a list with at least one name")
        checks.positive("per", self.per)
        checks.between("confidence", self.confidence, 0.0, 1.0)

    def questions(self, scale: Callable[[], LossScale], quantile: Callable[[float], float]) -> list[Question]:
        return []

    def check_inputs(self, inputs: Inputs) -> None:
        self.names(inputs)

    def exhibits(self, answered: Answered) -> list[Exhibit]:
        sample, notes = answered.sample, [_HOW]
        scores = self._scores(answered, notes)
        if self.parameters is None and (of_loss := answered.loss.scores(sample.x, sample.components)):
            scores += [Score(name, None, True, values) for name, values in of_loss.items()]
            notes.append(_OF_LOSS.format(names=", ".join(of_loss)))
        rows: list[Row] = []
        for estimate in answered.estimates:
            try:
                reading = Reading.of(sample, estimate)
            except UnreadableError as error:
                notes.append(f"{estimate.label}: not available: {error}.")
                continue
            found: dict[str, list[str]] = {}
            for score in scores:
                try:
                    rows.append(self._row(estimate, derivative(reading, score), answered.factor))
                except NoRateError as error:
                    found.setdefault(str(error), []).append(score.name)
            rows += [self._row(estimate, own, answered.factor) for own in own_parameters(reading, found)]
            notes += [f"{estimate.label}: not available for {', '.join(who)}: {why}." for why, who in found.items()]
        return [
            Exhibit(
                "sensitivities",
                "Sensitivities",
                COLUMNS,
                tuple(row.cells for row in rows),
                tuple(notes),
                worst([row.status for row in rows]) if rows else Status.BOUND_ONLY,
                tuple(_plots(rows)),
            )
        ]

    def _scores(self, answered: Answered, notes: list[str]) -> list[Score]:
        sample, scores = answered.sample, []
        missing: dict[str, list[str]] = {}
        try:
            at = log_density_at(answered.inputs, sample.u, sample.x)
            middle = at(answered.inputs)
            chosen = [find(answered.inputs, name) for name in self.names(answered.inputs, notes)]
        except (NoDensityError, FieldError) as error:
            notes.append(f"Parameters of the inputs: not available: {error}.")
            return []
        for parameter in chosen:
            try:
                scores.append(Score.of(parameter, answered.inputs, at, middle))
            except (NoDensityError, FieldError) as error:
                missing.setdefault(str(error), []).append(parameter.name)
        notes += [f"{', '.join(names)}: not available: {why}." for why, names in missing.items()]
        if scores:
            steps = ", ".join(f"{score.name} {score.step:.1g}" for score in scores[:MOST_ALONE])
            notes.append(f"Steps of the differences: {steps}.")
        return scores

    def names(self, inputs: Inputs, notes: list[str] | None = None) -> list[str]:
        """The parameters that are shown; ``notes`` takes a sentence for each part of the law that has none.

        Raises
        ------
        FieldError
            When a name that was given is not a parameter of ``inputs``.
        """
        found = leaves(inputs)
        if self.parameters is not None:
            try:
                return [find(inputs, name).name for name in self.parameters]
            except FieldError as error:
                raise FieldError("parameters", error.message) from None
        if notes is not None:
            reasons: dict[str, list[str]] = {}
            for leaf in found:
                if leaf.why_not:
                    reasons.setdefault(leaf.why_not, []).append(leaf.name)
            notes += [f"{', '.join(who)}: {why}." for why, who in reasons.items()]
        return _shown([leaf for leaf in found if leaf.values.size])

    def _row(self, estimate: Estimate, made: Derivative, factor: float) -> Row:
        from scipy.special import ndtri, stdtrit

        score, weights = made.score, made.weights
        heavy = weights["khat"] is not None and weights["khat"] >= HEAVY_KHAT
        p = 0.5 + 0.5 * self.confidence
        z = factor * float(stdtrit(HEAVY_DOF, p) if heavy else ndtri(p))
        status = worst([Status(estimate.verdict.status), *(check.status for check in judge_weights(weights))])
        shift = self.per if not score.by_factor or score.value is None else self.per * score.value
        by = f"x {1 + self.per:.6g}" if score.by_factor else f"+ {self.per:.6g}"
        cells = (
            estimate.label,
            estimate.kind,
            score.name,
            score.value,
            made.value,
            made.error,
            made.value - z * made.error,
            made.value + z * made.error,
            made.elasticity,
            made.elasticity_error,
            by,
            shift * made.value,
            shift * made.error,
            str(status),
        )
        return Row(cells, status, estimate.label, score.name, by, shift * made.value, z * shift * made.error)

    @staticmethod
    def examples() -> list[Sensitivities]:
        """Members for the conformance tests."""
        return [Sensitivities(), Sensitivities(parameters=["volatility", "mean.x1"], per=0.1, confidence=0.9)]


COLUMNS = (
    "estimate",
    "quantity",
    "parameter",
    "value",
    "derivative",
    "std_error",
    "lower",
    "upper",
    "elasticity",
    "elasticity_error",
    "change_by",
    "change",
    "change_error",
    "status",
)

_OF_LOSS = (
    "Of the loss: {names}, each changed by one factor for all parts, by the score of what the parts did given the "
    "factors. A factor on all losses given default multiplies every loss: it gives a value at risk and an expected "
    "shortfall the elasticity 1, and a probability minus that of its threshold."
)

_HOW = (
    "A derivative is per unit of the parameter; where several parameters with different values (no value is shown) are "
    "changed together, per unit added to all, or per unit of the factor that all are multiplied by. The elasticity is "
    "the change in per cent where the parameter changes by 1 %. Each parameter is changed with all others, as they "
    "were given, held fixed: of a Student t law the variance changes with dof, the scale does not."
)


@dataclass(frozen=True, eq=False)
class Row:
    """A row of the table, with what the plots need."""

    cells: tuple[str | float | None, ...]
    status: Status
    label: str
    name: str
    by: str
    change: float
    margin: float


@dataclass(frozen=True, eq=False)
class Score:
    """``d log p / d theta`` of each row.

    Parameters
    ----------
    name : str
        The parameter.
    value : float or None
        What it is; None where several differ.
    by_factor : bool
        Whether it is changed by a factor.
    values : (k,) float64
        Per unit of the parameter; of the factor where there is no one value.
    step : float
        Half the distance of the two laws, relative where by a factor.
    """

    name: str
    value: float | None
    by_factor: bool
    values: Float
    step: float = 0.0

    @classmethod
    def of(cls, parameter: Parameter, inputs: Inputs, at: LogDensity, middle: Float) -> Score:
        """By the central difference of the density, ``(p(theta + h) - p(theta - h)) / (2 h p)``.

        The step makes the log density of a row change by `CHANGE`, which leaves an error below 1e-5.
        """
        step = 1e-4
        for _ in range(8):
            up, down = (at(parameter.moved(inputs, sign * step)) - middle for sign in (1.0, -1.0))
            size = math.sqrt(float(np.square(up[:ROWS]).mean())) if middle.size else 0.0
            if size == 0 or NEAR[0] <= size <= NEAR[1]:
                break
            step *= min(max(CHANGE / size, 1e-3), 1e3)
        values = (np.exp(up) - np.exp(down)) / (2.0 * step)
        if parameter.by_factor and parameter.value is not None:
            values = values / parameter.value
        return cls(parameter.name, parameter.value, parameter.by_factor, values, step)


@dataclass(frozen=True, eq=False)
class Derivative:
    """The derivative of a number.

    Parameters
    ----------
    score : Score
        Of the parameter, or what stands for it.
    value, error : float
        In units of the number per unit of the parameter.
    elasticity, elasticity_error : float or None
        ``d log number / d log parameter``; None where one of them is zero or the parameter has no one value.
    weights : mapping
        How even the rows' parts in it are.
    """

    score: Score
    value: float
    error: float
    elasticity: float | None
    elasticity_error: float | None
    weights: dict[str, float | None]

    @classmethod
    def of(
        cls, reading: Reading, score: Score, value: float, influence: Float, weights: dict[str, float | None]
    ) -> Derivative:
        """From the influence (k,) of each row on the derivative ``value``."""
        number, sample = reading.value, reading.sample
        theta = 1.0 if score.value is None and score.by_factor else score.value
        elasticity = elasticity_error = None
        if theta and number:
            elasticity = theta * value / number
            relative = theta * influence / number - elasticity * reading.influence / number
            elasticity_error = sample.error_of_sum(relative)
        return cls(score, value, sample.error_of_sum(influence), elasticity, elasticity_error, weights)


def derivative(reading: Reading, score: Score) -> Derivative:
    """The derivative of one number with respect to a parameter of the inputs.

    Raises
    ------
    NoRateError
        When the density of the loss at a value at risk is not known.
    """
    sample, s = reading.sample, score.values
    weights = reading.weights(s)
    value = float(reading.terms @ s) / sample.n
    if reading.tail is None:
        return Derivative.of(reading, score, value, reading.terms * s, weights)
    beyond = sample.weight * reading.hit
    mass = float(beyond @ s) / sample.n
    if reading.quantity == "expected_shortfall":
        influence = (reading.terms * s - mass * reading.quantile_influence) / reading.tail
        return Derivative.of(reading, score, value / reading.tail, influence, weights)
    if reading.steps:
        raise NoRateError(f"the loss is a step at {reading.threshold:.6g}")
    rate, density = reading.rate, reading.tail * reading.rate.value
    value = mass / density
    moved = rate.influence + rate.slope * reading.quantile_influence
    influence = beyond * (s - rate.mean_here(sample, s)) / density - value * moved / rate.value
    return Derivative.of(reading, score, value, influence, weights)


def own_parameters(reading: Reading, missing: dict[str, list[str]]) -> list[Derivative]:
    """The derivative with respect to the threshold of a probability, or to the tail of the other two."""
    name = "threshold" if reading.tail is None else "tail"
    try:
        return [_own(reading)]
    except NoRateError as error:
        missing.setdefault(str(error), []).append(name)
        return []


def _own(reading: Reading) -> Derivative:
    if reading.tail is None:
        score = Score("threshold", reading.threshold, False, np.empty(0))
        if reading.sample.floor > reading.threshold or reading.hit[reading.sample.loss < reading.threshold].any():
            raise NoRateError("the event lies below the threshold")
        rate = reading.rate
        influence = -rate.value * reading.terms - reading.value * rate.influence
        return Derivative.of(reading, score, -rate.value * reading.value, influence, reading.weights())
    score = Score("tail", reading.tail, True, np.empty(0))
    if reading.steps:
        raise NoRateError(f"the loss is a step at {reading.threshold:.6g}")
    if reading.quantity == "expected_shortfall":
        value = (reading.threshold - reading.value) / reading.tail
        influence = (reading.quantile_influence - reading.influence) / reading.tail
        return Derivative.of(reading, score, value, influence, reading.weights())
    rate = reading.rate
    value = -1.0 / (reading.tail * rate.value)
    influence = -value * (rate.influence + rate.slope * reading.quantile_influence) / rate.value
    return Derivative.of(reading, score, value, influence, reading.weights())


def _shown(found: Sequence[Leaf]) -> list[str]:
    """Scales, correlations and loadings together; the others entry by entry while they are few, else by their ends."""
    ends: dict[str, list[str]] = {}
    for leaf in found:
        entries = [f"{leaf.name}.{label}" for label in leaf.labels] or [leaf.name]
        ends.setdefault(leaf.name.rpartition(".")[2], []).extend(entries)
    alone = [end for end in ends if end not in TOGETHER[2:]]
    many = sum(len(ends[end]) for end in alone) > MOST_ALONE
    ordered = sorted(ends, key=lambda end: TOGETHER.index(end) if end in TOGETHER else len(TOGETHER))
    names: list[str] = []
    for end in ordered:
        names += [end] if (many and len(ends[end]) > 1) or end not in alone else ends[end]
    return names


def _plots(rows: Sequence[Row]) -> list[EvidencePlot]:
    """For each number, the change that each parameter makes, with its interval."""
    plots = []
    for label in dict.fromkeys(row.label for row in rows):
        own = [row for row in rows if row.label == label]
        plots.append(
            EvidencePlot(
                form="bars",
                title=f"Change of {label}",
                x_label="parameter",
                y_label="change, in units of the number",
                x=tuple(float(k) for k in range(1, len(own) + 1)),
                y=tuple(row.change for row in own),
                low=tuple(row.change - row.margin for row in own),
                high=tuple(row.change + row.margin for row in own),
                labels=tuple(f"{row.name} {row.by}" for row in own),
            )
        )
    return plots

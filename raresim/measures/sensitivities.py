"""How the numbers of a run change with the parameters of its inputs and loss: derivatives from the rows of the run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from raresim.arguments import checks
from raresim.diagnostics.verdict import judge_weights, worst
from raresim.distributions.base import Inputs
from raresim.errors import FieldError
from raresim.inputs.parameters import Leaf, find, leaves
from raresim.inputs.reweighting import NoDensityError, log_density_at
from raresim.losses.base import Loss
from raresim.measures.base import Answered, Keeps, LossScale, Measure, Question
from raresim.measures.derivatives import Derivative, Score, derivative, of_part, of_size, own_parameters
from raresim.measures.intervals import HEAVY_DOF, HEAVY_KHAT
from raresim.measures.loss_scores import of_loss, scores_of, sizes_of
from raresim.measures.tail_rate import NoRateError
from raresim.measures.tail_reading import Reading, UnreadableError
from raresim.record.evidence import EvidencePlot
from raresim.record.exhibits import Exhibit
from raresim.record.records import Estimate
from raresim.record.verdict import Status
from raresim.registry import member

TOGETHER = ("mean", "loc", "std", "scale", "correlation", "loadings", "specific")
"""Parameters that each factor has, in the order in which they are shown."""

MOST_ALONE = 40
"""If no parameters are named, up to this many are shown one by one; more are changed together."""


@member("measure")
@dataclass(frozen=True, kw_only=True)
class Sensitivities(Measure):
    r"""Derivatives of every probability, value at risk and expected shortfall of the run.

    Derivatives are with respect to the parameters of the inputs, to the parameters of the loss if it has any (``pd``,
    ``rho`` and ``lgd`` of a credit portfolio), to thresholds and to tail probabilities. They take no further
    evaluations.

    Parameters
    ----------
    parameters : sequence of str, optional
        Names such as ``mean``, ``mean.x1``, ``std``, ``correlation``, ``dof``, ``x1.scale``. A name stands for all
        parameters whose path ends with it, which are changed together; ``volatility`` stands for every ``std`` and
        ``scale``. By default all parameters: scales together, correlations together, the others one by one.
    by : str or sequence of str
        Columns of the parts of the loss: parameters of the loss are also changed for the parts of each value of each
        column alone, such as ``pd.sector.energy``.
    per : float
        The change of a parameter for which effects are also given: a relative change, or an absolute one for a
        parameter that may be zero (a mean, a correlation).
    confidence : float
        Confidence of the intervals, between 0 and 1.

    Notes
    -----
    The loss ``L(x)`` is a fixed function of the risk factors ``x`` with density ``p``. With the score ``s = d log p(x)
    / d theta`` [1]_:

    .. math::
        \frac{d P(L \ge t)}{d \theta} = E[s; L \ge t], \quad
        \frac{d VaR}{d \theta} = \frac{E[s; L > VaR]}{f(VaR)}, \quad
        \frac{d ES}{d \theta} = \frac{E[s (L - VaR)^+]}{1 - a}

    A parameter of the loss changes what parts do given the factors, and ``s`` is the derivative of the log of the
    probability of what they did. One to which all losses are proportional multiplies the loss: by a factor on it, a
    value at risk and an expected shortfall change by themselves, and a probability as by that factor on 1 / threshold.

    For all laws the score is the central difference of the density divided by the density. Errors come from influence
    functions, which include the errors of the value at risk and of the density ``f`` of the loss there.

    References
    ----------
    .. [1] Glasserman, *Monte Carlo Methods in Financial Engineering*, 2003, sec. 7.3 (likelihood ratio method).
    """

    kind: ClassVar[str] = "sensitivities"
    keeps: ClassVar[Keeps] = "draws"
    asks: ClassVar[bool] = False

    parameters: Sequence[str] | None = None
    by: str | Sequence[str] = ()
    per: float = 0.01
    confidence: float = 0.95

    def __post_init__(self) -> None:
        if self.parameters is not None and (isinstance(self.parameters, str) or not self.parameters):
            raise FieldError("parameters", "must be a list with at least one name")
        object.__setattr__(self, "by", (self.by,) if isinstance(self.by, str) else tuple(self.by))
        checks.positive("per", self.per)
        checks.between("confidence", self.confidence, 0.0, 1.0)

    def questions(self, scale: Callable[[], LossScale], quantile: Callable[[float], float]) -> list[Question]:
        return []

    def check_loss(self, loss: Loss) -> None:
        if self.by and not loss.score_names:
            raise FieldError("by", f"must be left out: a loss of kind {loss.kind!r} has no parameters of its own")
        for column in self.by:
            loss.component_groups(column)

    def check_parameters(self, loss: Loss, inputs: Inputs) -> None:
        self.names(loss, inputs)

    def exhibits(self, answered: Answered) -> list[Exhibit]:
        sample, notes = answered.sample, [_HOW]
        scores = self._scores(answered, notes)
        chosen = [name for name in of_loss(answered.loss) if self.parameters is None or name in self.parameters]
        by_size = [name for name in answered.loss.size_names if name in chosen]
        sizes = [Score(name, None, True, sample.loss) for name in by_size]
        parts = [Score(name, None, True, v) for name, v in sizes_of(answered.loss, sample, by_size, self.by)]
        by_chance = [name for name in answered.loss.score_names if name in chosen]
        if by_chance:
            found = scores_of(answered.loss, sample, by_chance, self.by)
            scores += [Score(name, None, True, values) for name, values in found]
            notes.append(_OF_LOSS.format(names=", ".join(by_chance)))
        if sizes:
            notes.append(_OF_SIZE.format(names=", ".join(by_size)))
        rows: list[Row] = []
        for estimate in answered.estimates:
            try:
                reading = Reading.of(sample, estimate)
            except UnreadableError as error:
                notes.append(f"{estimate.label}: not available: {error}.")
                continue
            missing: dict[str, list[str]] = {}
            for of, some in ((derivative, scores), (of_size, sizes), (of_part, parts)):
                for score in some:
                    try:
                        rows.append(self._row(estimate, of(reading, score), answered.factor))
                    except NoRateError as error:
                        missing.setdefault(str(error), []).append(score.name)
            rows += [self._row(estimate, own, answered.factor) for own in own_parameters(reading, missing)]
            notes += [f"{estimate.label}: not available for {', '.join(who)}: {why}." for why, who in missing.items()]
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
        if self.parameters is not None and set(self.parameters) <= set(of_loss(answered.loss)):
            return []
        try:
            at = log_density_at(answered.inputs, sample.u, sample.x)
            middle = at(answered.inputs)
            chosen = [find(answered.inputs, name) for name in self.names(answered.loss, answered.inputs, notes)]
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

    def names(self, loss: Loss, inputs: Inputs, notes: list[str] | None = None) -> list[str]:
        """The parameters of the inputs that are shown; ``notes`` gets a sentence for each part of the law without any.

        Raises
        ------
        FieldError
            When a given name is no parameter of ``inputs`` or ``loss``.
        """
        found, own = leaves(inputs), of_loss(loss)
        if self.parameters is not None:
            try:
                return [find(inputs, name).name for name in self.parameters if name not in own]
            except FieldError as error:
                more = f"; the loss has {', '.join(own)}" if own else ""
                raise FieldError("parameters", f"{error.message}{more}") from None
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
        status = worst([estimate.verdict.status, *(check.status for check in judge_weights(weights))])
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
    "The parameters of the loss are {names}. Each is multiplied by one factor for all parts, or for the parts of a "
    "group; the derivative comes from the score of the outcomes of the parts given the risk factors."
)

_OF_SIZE = (
    "A factor on {names} of all parts multiplies every loss. The elasticity of a value at risk and of an expected "
    "shortfall is then 1, and the elasticity of a probability is minus its elasticity with respect to the threshold. A "
    "factor for one group changes a value at risk and an expected shortfall by the contribution of the group."
)

_HOW = (
    "A derivative is per unit of the parameter. If several parameters with different values are changed together, no "
    "value is shown and the derivative is per unit added to all, or per unit of the factor on all. The elasticity is "
    "the change in per cent when the parameter changes by 1 %. Each parameter is changed with all others held fixed as "
    "they were given: dof changes the variance of a Student t law, not its scale."
)


@dataclass(frozen=True, eq=False)
class Row:
    """A row of the table, with the numbers that the plots need."""

    cells: tuple[str | float | None, ...]
    status: Status
    label: str
    name: str
    by: str
    change: float
    margin: float


def _shown(found: Sequence[Leaf]) -> list[str]:
    """Scales, correlations and loadings together; the others one by one if few, else grouped by last name."""
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

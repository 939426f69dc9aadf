"""Euler contributions to a value at risk and an expected shortfall, which add up to it, with standard errors."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from raresim.accumulators import tail_draws
from raresim.arguments import checks
from raresim.diagnostics.ess import effective
from raresim.diagnostics.verdict import worst
from raresim.errors import FieldError
from raresim.losses.base import Loss
from raresim.losses.parts import Members, Parts
from raresim.measures.allocation import FEWEST, Allocation, Shares, Without
from raresim.measures.base import Answered, Keeps, LossScale, Measure, Quantity, Question
from raresim.measures.curve import TailCurve
from raresim.measures.levels import percent, questions_at, tail_of
from raresim.measures.tail_sample import TailSample
from raresim.numerics.arrays import Float
from raresim.record.evidence import EvidencePlot
from raresim.record.exhibits import Exhibit
from raresim.record.verdict import Status
from raresim.registry import member

if TYPE_CHECKING:
    from raresim.record.records import Estimate

Of = Literal["value_at_risk", "expected_shortfall", "both"]

NOISE = 2.0
"""Standard errors within which a small contribution counts as indistinguishable from 0."""

ROUNDING = 1e-9
"""Largest gap to the total, as a share of the sizes of all contributions, that is not reported."""

MOST_WITHOUT = 100
"""Number of names, the largest first, with an incremental number."""

MOST_BARS = 20
"""Names in a figure."""

DEEPEST = 64.0
"""For incremental numbers, rows are kept down to the quantile of at most this many times the tail."""

FURTHER = 4.0
"""Where the loss without a part is in its own tail, rows are kept down to the mean loss less this many standard
deviations."""

CAUTION_ROWS = 100
"""Effective rows below which contributions are read with caution."""

COLUMNS = (
    "measure",
    "name",
    "weight",
    "contribution",
    "std_error",
    "lower",
    "upper",
    "share",
    "marginal",
    "incremental",
    "incremental_std_error",
)

WORDS = {"value_at_risk": "value at risk", "expected_shortfall": "expected shortfall"}


@member("measure")
@dataclass(frozen=True, kw_only=True)
class Contributions(Measure):
    """What each part of the portfolio contributes to the value at risk and the expected shortfall.

    Parameters
    ----------
    level : float
        Confidence of both numbers, such as 0.999. Exactly one of ``level`` and ``tail`` is given.
    tail : float
        One minus the level, such as 0.001.
    of : "value_at_risk", "expected_shortfall" or "both"
        The number that is shared among the parts.
    by : str or sequence of str
        Columns of the loss's positions file; contributions are also summed for each value of each column.
    window : float, optional
        Half-width of the window around the value at risk that contributions to it are estimated from, as a share of the
        value at risk: 0.05 takes losses within 5 % of it. Left out, the sample decides.
    min_share : float
        Names with less than this share of the total that are within two standard errors of 0 are shown together in one
        row; 0 shows every name.
    confidence : float
        Confidence of the intervals, between 0 and 1.

    Notes
    -----
    `raresim.measures.allocation.Allocation` has the formulas. ``marginal`` is the contribution divided by the weight,
    the rate at which the number grows with the position. ``incremental`` is how much smaller the number would be, by
    the same rows, without the position and with nothing in its place.
    """

    kind: ClassVar[str] = "contributions"
    keeps: ClassVar[Keeps] = "draws"

    level: float | None = None
    tail: float | None = None
    of: Of = "both"
    by: str | Sequence[str] = ()
    window: float | None = None
    min_share: float = 0.001
    confidence: float = 0.95

    beyond: float = field(init=False, repr=False, default=math.nan)

    def __post_init__(self) -> None:
        object.__setattr__(self, "beyond", tail_of(self.level, self.tail))
        checks.one_of("of", self.of, Of)
        object.__setattr__(self, "by", (self.by,) if isinstance(self.by, str) else tuple(self.by))
        if not all(isinstance(column, str) and _slug(column) for column in self.by):
            raise FieldError("by", f"must be names of columns, got {list(self.by)!r}")
        if len({_slug(column) for column in self.by}) < len(self.by):
            raise FieldError("by", f"must be different columns, got {list(self.by)!r}")
        if self.window is not None:
            checks.between("window", self.window, 0.0, 1.0)
        if not 0 <= self.min_share < 1:
            raise FieldError("min_share", f"must be at least 0 and below 1, got {self.min_share:.15g}")
        checks.between("confidence", self.confidence, 0.0, 1.0)

    @property
    def tails(self) -> tuple[float, ...]:
        return (self.beyond,)

    @property
    def quantities(self) -> tuple[Quantity, ...]:
        """The numbers that are shared, in the order of the questions."""
        if self.of == "both":
            return ("value_at_risk", "expected_shortfall")
        return (self.of,)

    def questions(self, scale: Callable[[], LossScale], quantile: Callable[[float], float]) -> list[Question]:
        return [
            question
            for quantity in self.quantities
            for question in questions_at(quantity, self.tails, quantile, self.confidence)
        ]

    def check_loss(self, loss: Loss) -> None:
        if not loss.has_components and loss.has_limit_states and loss.kind != "python":
            raise FieldError(
                "kind",
                f"contributions needs a loss that its parts add up to, those of kind {loss.kind!r} fail one by one; "
                "a probability has the share of each in the exhibit limit_states",
            )
        if not loss.has_components:
            raise FieldError(
                "kind",
                f"contributions needs a loss with parts, and a loss of kind {loss.kind!r} has none"
                + (
                    "; return the loss of each part, and name the parts in `components`"
                    if loss.kind == "python"
                    else ""
                ),
            )
        for column in self.by:
            loss.component_groups(column)

    def floor(self, climbed: Callable[[float], TailSample], loss: Loss) -> float:
        """The smallest loss of rows where the loss without one of its largest parts exceeds its own value at risk."""
        sample = climbed(min(1.0, DEEPEST * self.beyond))
        tail = TailCurve.of_rows(sample.n, sample.loss, sample.log_weight)
        at = tail.index(self.beyond)
        parts = sample.parts
        if at is None or not parts.size:
            return math.inf
        q = float(tail.loss[at])
        held = [members for groups in (_names(loss), *self._groups(loss)) for _, members in groups]
        beyond, some = sample.weight * (sample.loss >= q), max(1, tail_draws.NUMBERS // sample.loss.size)
        pieces = (held[k : k + some] for k in range(0, len(held), some))
        size = np.abs(np.concatenate([beyond @ np.column_stack([parts.sum(m) for m in piece]) for piece in pieces]))
        needs = [math.inf]
        for k in np.argsort(-size, kind="stable")[:MOST_WITHOUT]:
            rest = sample.loss - parts.sum(held[k])
            curve = TailCurve.of_rows(sample.n, rest, sample.log_weight)
            if (own := curve.index(self.beyond)) is not None:
                there = rest >= curve.loss[own]
                loss_there, weight = sample.loss[there], sample.weight[there]
                mean = float(np.average(loss_there, weights=weight))
                spread = math.sqrt(float(np.average((loss_there - mean) ** 2, weights=weight)))
                needs.append(min(float(loss_there.min()), mean - FURTHER * spread))
        return max(sample.floor, min(needs))

    def _groups(self, loss: Loss) -> list[list[Group]]:
        """The names with the same label, for each column of ``by``."""
        found: list[list[Group]] = []
        for column in self.by:
            labels = np.array(loss.component_groups(column))
            found.append([(str(label), np.flatnonzero(labels == label)) for label in dict.fromkeys(labels)])
        return found

    def exhibits(self, answered: Answered) -> list[Exhibit]:
        loss = answered.loss
        self.check_loss(loss)
        weights = loss.component_weights
        report = _Report(self, answered)
        shown = [report.exhibit("contributions", "Contributions", _names(loss), weights, self.min_share)]
        for column, groups in zip(self.by, self._groups(loss), strict=True):
            name, title = f"contributions_by_{_slug(column)}", f"Contributions by {column}"
            shown.append(report.exhibit(name, title, groups, weights, 0.0))
        return shown

    @staticmethod
    def examples() -> list[Contributions]:
        """Members for the conformance tests."""
        return [
            Contributions(level=0.99),
            Contributions(tail=0.01, of="expected_shortfall", min_share=0.0),
            Contributions(level=0.99, of="value_at_risk", window=0.1, confidence=0.9),
        ]


Row = tuple[str | float | None, ...]

Group = tuple[str, Members]
"""A name and the places of the parts that it stands for."""


def _names(loss: Loss) -> list[Group]:
    """Each part by itself."""
    return [(name, np.array([i], dtype=np.int64)) for i, name in enumerate(loss.component_names)]


class _Report:
    """The tables of one measure, from one sample."""

    def __init__(self, measure: Contributions, answered: Answered) -> None:
        self.measure, self.answered = measure, answered
        self.answers = dict(zip(measure.quantities, answered.own, strict=True))
        first = answered.own[0]
        q = first.value if "value_at_risk" in self.answers else first.threshold
        sample = answered.sample
        width = None if measure.window is None else measure.window * abs(q)
        self.allocation = Allocation(sample, measure.beyond, q, width)
        self.is_empty = not math.isfinite(q) or not (sample.loss >= q).any()
        self._without: dict[bytes, Without | None] = {}

    def exhibit(self, name: str, title: str, held: list[Group], weights: Float | None, min_share: float) -> Exhibit:
        """The contributions of ``held`` to both numbers, in one table."""
        level = percent(self.measure.beyond)
        statuses = [answer.verdict.status for answer in self.answers.values()]
        if self.is_empty:
            note = "No row of the sample lies at or beyond the value at risk: there is nothing to share."
            return Exhibit(name, f"{title} at {level}", COLUMNS, (), (note,), worst(statuses))
        rows: list[Row] = []
        notes: list[str] = []
        plots: list[EvidencePlot] = []
        each = self._shares(held)
        for quantity, answer in self.answers.items():
            shares, groups = self._shared(quantity, answer, held, each[quantity], min_share, notes)
            table = self._rows(quantity, answer, shares, groups, weights)
            rows += [*table, _total(quantity, answer)]
            plots.append(_bars(table, f"{title} to the {WORDS[quantity]} at {level}"))
            if self._ess(quantity) < CAUTION_ROWS:
                statuses.append(Status.CAUTION)
        notes += self._notes(rows)
        return Exhibit(name, f"{title} at {level}", COLUMNS, tuple(rows), tuple(notes), worst(statuses), tuple(plots))

    def _shared(
        self,
        quantity: Quantity,
        answer: Estimate,
        held: list[Group],
        shares: Shares,
        min_share: float,
        notes: list[str],
    ) -> tuple[Shares, list[Group]]:
        """The contribution of each group, largest first; those that are too small are summed in the last."""
        size = np.abs(shares.value)
        small = (size <= NOISE * shares.std_error) & (size < min_share * abs(answer.value))
        order = [int(i) for i in np.argsort(-shares.value, kind="stable")]
        if small.sum() < 2:
            shares, groups = shares.take(order), [held[i] for i in order]
        else:
            pooled = f"other ({small.sum()} names)", np.concatenate([held[i][1] for i in np.flatnonzero(small)])
            shown = [i for i in order if not small[i]]
            shares, groups = (
                shares.take(shown).and_(self._shares([pooled])[quantity]),
                [*(held[i] for i in shown), pooled],
            )
            notes.append(
                f"{small.sum()} of {len(held)} names have less than {min_share:.3g} of the {WORDS[quantity]} each and "
                f"are within {NOISE:g} standard errors of 0: they share the row other."
            )
        if shares.drift.any():
            notes.append(
                f"Half the window gives a different contribution to the {WORDS[quantity]} for "
                f"{np.count_nonzero(shares.drift)} of {len(groups)} rows; their standard errors include the difference."
            )
        shares, moved = shares.adding_up_to(answer.value)
        if moved > ROUNDING:
            notes.append(
                f"Contributions to the {WORDS[quantity]} were changed by {moved:.2g} of their sizes to add up: they "
                f"come from the first {self.answered.sample.n:,} rows, the total from all rows."
            )
        return shares, groups

    def _shares(self, groups: list[Group]) -> dict[Quantity, Shares]:
        """The contribution of each group to each number, in the order of ``groups``."""
        parts = self.answered.sample.parts
        of: dict[Quantity, Callable[[Float], Shares]] = {
            "value_at_risk": self.allocation.of_value_at_risk,
            "expected_shortfall": self.allocation.of_expected_shortfall,
        }
        found: dict[Quantity, list[Shares]] = {quantity: [] for quantity in self.answers}
        for losses in _losses(parts, groups):
            for quantity, shares in found.items():
                shares.append(of[quantity](losses))
        return {quantity: shares[0].and_(*shares[1:]) for quantity, shares in found.items()}

    def _rows(
        self, quantity: Quantity, answer: Estimate, shares: Shares, groups: list[Group], weights: Float | None
    ) -> list[Row]:
        largest = set(np.argsort(-np.abs(shares.value), kind="stable")[:MOST_WITHOUT].tolist())
        half = self._quantile(quantity) * shares.std_error
        rows: list[Row] = []
        for i, (name, members) in enumerate(groups):
            value = float(shares.value[i])
            weight = None if weights is None else math.fsum(weights[members])
            rows.append(
                (
                    quantity,
                    name,
                    weight,
                    value,
                    float(shares.std_error[i]),
                    float(value - half[i]),
                    float(value + half[i]),
                    value / answer.value if answer.value else None,
                    value / weight if weight else None,
                    *(self._incremental(quantity, members) if i in largest else (None, None)),
                )
            )
        return rows

    def _incremental(self, quantity: Quantity, members: Members) -> tuple[float | None, float | None]:
        key = members.tobytes()
        if key not in self._without:
            self._without[key] = self.allocation.without(self.answered.sample.parts.sum(members))
        found = self._without[key]
        if found is None:
            return None, None
        if quantity == "value_at_risk":
            return found.value_at_risk, found.value_at_risk_error or None
        return found.expected_shortfall, found.expected_shortfall_error

    def _ess(self, quantity: Quantity) -> float:
        """Effective rows that contributions are estimated from."""
        if quantity == "value_at_risk":
            return self.allocation.window.ess
        return effective(self.answered.sample.weight * self.allocation.beyond)

    def _quantile(self, quantity: Quantity) -> float:
        """Half-width of an interval in standard errors: the quantile of Student's t for few effective rows."""
        from scipy.special import stdtrit

        dof = max(1.0, self._ess(quantity) - 1.0)
        return float(stdtrit(dof, 0.5 + 0.5 * self.measure.confidence)) * self.answered.factor

    @property
    def _wider(self) -> float:
        """A tail large enough to hold the losses that count without the largest part."""
        return min(0.25, math.sqrt(math.sqrt(self.measure.beyond)))

    def _notes(self, rows: list[Row]) -> list[str]:
        window, sample = self.allocation.window, self.answered.sample
        q = self.allocation.value_at_risk
        notes = []
        if window.half_width == 0:
            notes.append(
                f"Means given a loss equal to the value at risk come from the {window.at.size:,} rows at {q:.6g}, "
                f"{window.ess:,.0f} effective rows."
            )
        else:
            notes.append(
                "Means given a loss equal to the value at risk come from a local linear regression on the losses "
                f"within {window.half_width:.4g} of it, {window.ess:,.0f} effective rows."
            )
            if q - window.half_width < sample.floor:
                notes.append(f"Losses below {sample.floor:.6g} were not kept: the window is cut off there.")
            if self.measure.window is not None and window.half_width > self.measure.window * abs(q):
                notes.append(
                    f"The window was widened from {self.measure.window:g} of the value at risk to hold {FEWEST} rows."
                )
        notes += [
            f"Contributions to the {WORDS[quantity]} rest on {self._ess(quantity):,.0f} effective rows: use more "
            "evaluations."
            for quantity in self.answers
            if self._ess(quantity) < CAUTION_ROWS
        ]
        if any(found is None for found in self._without.values()):
            notes.append(
                "An incremental number is missing where the losses that it needs were hardly drawn or not kept: "
                "without a large part, smaller losses count. To have them drawn and kept, add `{kind: value_at_risk, "
                f"tail: {self._wider:.1g}}}` to the measures."
            )
        if len(rows) - len(self.answers) > MOST_WITHOUT * len(self.answers):
            notes.append(f"Incremental numbers are given for the {MOST_WITHOUT} largest contributions.")
        return notes


def _losses(parts: Parts, groups: list[Group]) -> Iterator[Float]:
    """What the groups lost in each row (k, j), some groups at a time; their sizes say whether each is one part."""
    if len(groups) < parts.size:
        yield parts.sums([members for _, members in groups])
        return
    yield from (parts.columns(members) for members in parts.chunks())


def _total(quantity: Quantity, answer: Estimate) -> Row:
    low, high = answer.interval
    return (quantity, "total", None, answer.value, answer.std_error, low, high, 1.0, None, None, None)


def _bars(rows: list[Row], title: str) -> EvidencePlot:
    """The largest contributions of either sign, in the order of the table."""
    size = sorted((-abs(float(row[3] or 0.0)), i) for i, row in enumerate(rows))[:MOST_BARS]
    shown = [rows[i] for i in sorted(i for _, i in size)]
    y, low, high = (tuple(float(row[k] or 0.0) for row in shown) for k in (3, 5, 6))
    return EvidencePlot(
        form="bars",
        title=title,
        x_label="",
        y_label="contribution, in the unit of the loss",
        x=tuple(map(float, range(len(shown)))),
        y=y,
        low=low,
        high=high,
        labels=tuple(str(row[1]) for row in shown),
    )


def _slug(column: str) -> str:
    """``column`` as a part of a file's name."""
    return re.sub(r"[^a-z0-9]+", "_", column.lower()).strip("_")

"""Reverse stress test: what a large loss looks like, in the units of the risk factors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import numpy as np

from raresim.arguments import checks
from raresim.data import ReturnsSource, ReturnsTable
from raresim.distributions.base import Inputs
from raresim.errors import DataError, FieldError
from raresim.measures.base import Answered, Keeps, LossScale, Measure, Question
from raresim.measures.conditional import Given
from raresim.measures.history import Days, columns_of
from raresim.measures.levels import questions_at, tail_of
from raresim.measures.modes import MAX_EVALUATIONS, Prices
from raresim.measures.probability import Probability, Threshold
from raresim.measures.scenario_choice import Found
from raresim.measures.scenario_tables import (
    SCENARIO_COLUMNS,
    correlations_exhibit,
    factors_exhibit,
    moments_exhibit,
    scenarios_exhibit,
)
from raresim.measures.usual import Usual
from raresim.record.exhibits import Exhibit
from raresim.registry import member
from raresim.search.explorer import Explorer

MOST_MODES = 16
"""Largest number of modes shown if the user gives none."""


@member("measure")
@dataclass(frozen=True, kw_only=True)
class Scenarios(Measure):
    """What a loss of at least a threshold looks like: its likeliest scenario, moments, modes and nearest days.

    Parameters
    ----------
    above : float or str
        The event is ``loss >= above``, with ``above`` in the unit of the loss, or ``"5 sigma"`` as in `Probability`.
        Exactly one of ``above``, ``level`` and ``tail`` is given.
    level : float
        The event is a loss of at least the value at risk at this confidence, such as 0.999.
    tail : float
        One minus the level.
    sigma : "model" or float
        The standard deviation that ``above`` is a multiple of, as in `Probability`.
    modes : int, optional
        Largest number of failure modes shown, by falling share; the others are taken together. Left out, all modes
        found are shown, up to 16.
    history : int
        Number of nearest days that are listed; 0 for none.
    history_file : ReturnsSource, optional
        The history, with a column named after each risk factor. Left out, it is the table that the inputs were fitted
        to.
    confidence : float
        Confidence of the intervals, between 0 and 1.

    Raises
    ------
    FieldError
        When not exactly one threshold is given, or an option is outside its range.

    Notes
    -----
    The most likely scenario is the point of the event with the largest density in standard normal space, the design
    point of [1]_. The densest point in the space of the factors changes with every change of variables, for example
    from returns to prices; the design point does not. `raresim.measures.modes` describes how modes are found.

    References
    ----------
    .. [1] Hasofer & Lind, *Exact and invariant second-moment code format*, J. Eng. Mech. Div. 100, 1974.
    .. [2] Glasserman, Kang & Kang, *Stress scenario selection by empirical likelihood*, Quant. Finance 15, 2015.
    """

    kind: ClassVar[str] = "scenarios"
    keeps: ClassVar[Keeps] = "draws"

    above: Threshold | None = None
    level: float | None = None
    tail: float | None = None
    sigma: Literal["model"] | float = "model"
    modes: int | None = None
    history: int = 3
    history_file: ReturnsSource | None = None
    confidence: float = 0.95

    def __post_init__(self) -> None:
        checks.between("confidence", self.confidence, 0.0, 1.0)
        if (self.above is None) == (self.level is None and self.tail is None):
            raise FieldError("above", "give exactly one of above, level and tail")
        if self.above is None:
            tail_of(self.level, self.tail)
            if self.sigma != "model":
                raise FieldError("sigma", f"goes with a threshold in sigma, got level {self.level or self.tail}")
        elif not isinstance(self.above, str) and np.ndim(self.above):
            raise FieldError("above", f"must be one threshold, got {self.above!r}")
        else:
            self._probability()
        if self.modes is not None:
            object.__setattr__(self, "modes", checks.whole("modes", self.modes))
        object.__setattr__(self, "history", checks.whole("history", self.history, 0))
        if self.history_file is not None and self.history == 0:
            raise FieldError("history", "must be at least 1 if history_file is given, got 0")

    def _probability(self) -> Probability:
        return Probability(above=self.above, sigma=self.sigma, confidence=self.confidence)

    @property
    def tails(self) -> tuple[float, ...]:
        return () if self.above is not None else (tail_of(self.level, self.tail),)

    def questions(self, scale: Callable[[], LossScale], quantile: Callable[[float], float]) -> list[Question]:
        if self.above is not None:
            return self._probability().questions(scale, quantile)
        return questions_at("value_at_risk", self.tails, quantile, self.confidence)

    def after(self, budget: int) -> int:
        return min(MAX_EVALUATIONS, budget // 10)

    def check_inputs(self, inputs: Inputs) -> None:
        self.table(inputs)

    def table(self, inputs: Inputs) -> ReturnsTable | None:
        """The history, with the columns of the inputs in their order; None where there is none.

        Raises
        ------
        FieldError, DataError
            When ``history_file`` cannot be read or lacks a factor.
        """
        if self.history_file is None:
            return None if inputs.fitted is None else inputs.fitted.history
        return columns_of(self.history_file.load(), inputs.names)

    def exhibits(self, answered: Answered) -> list[Exhibit]:
        own = answered.own[0]
        threshold = own.threshold if self.above is not None else own.value
        given = Given(answered.sample, threshold, self.above is None, self.confidence, answered.factor)
        status = own.verdict.status
        if not given.probability > 0:
            note = f"No draw reached the event, {own.label}: there is nothing to show."
            return [Exhibit("scenarios", f"Scenarios of {own.label}", SCENARIO_COLUMNS, (), (note,), status)]
        explorer = Explorer(answered.session, 1.0, "standard")
        found = Found.of(given, Prices(explorer, answered.sample.n, answered.left), self.modes or MOST_MODES)
        days = self._days(found)
        usual = Usual.of(found.inputs, explorer.generator())
        exhibits = [
            scenarios_exhibit(found, own.label),
            factors_exhibit(found, usual, days),
            moments_exhibit(found, usual),
            *correlations_exhibit(found, usual),
            *days.exhibit(),
        ]
        spent = found.prices.evaluations
        return [replace(e, status=status, evaluations=spent if e.name == "scenarios" else 0) for e in exhibits]

    def _days(self, found: Found) -> Days:
        try:
            table = self.table(found.inputs)
        except (FieldError, DataError) as error:
            return Days(note=str(error))
        return Days.nearest(table, found.scenarios[0].x, found.prices, self.history)

    @staticmethod
    def examples() -> list[Scenarios]:
        """Members for the conformance tests."""
        return [Scenarios(above=3.0), Scenarios(above="2 sigma", modes=2, history=0), Scenarios(level=0.99)]

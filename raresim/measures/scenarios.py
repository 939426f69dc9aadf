"""Reverse stress test: what a large loss looks like, in the units of the risk factors."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import numpy as np

from raresim import arrays
from raresim.arrays import Float
from raresim.data import ReturnsSource, ReturnsTable
from raresim.distributions.base import Inputs
from raresim.errors import DataError, FieldError
from raresim.exhibits import Exhibit
from raresim.measures.base import Answered, Keeps, LossScale, Measure, Question
from raresim.measures.conditional import Given, Moments
from raresim.measures.history import Days, columns_of
from raresim.measures.levels import questions_at, tail_of
from raresim.measures.modes import Modes, Prices, find_modes, find_points
from raresim.measures.probability import Probability, Threshold
from raresim.measures.scenario_tables import (
    SCENARIO_COLUMNS,
    correlations_exhibit,
    factors_exhibit,
    moments_exhibit,
    scenarios_exhibit,
)
from raresim.measures.usual import Usual
from raresim.registry import member

MOST_MODES = 16
"""Modes that are shown where the user names no number."""


@member("measure")
@dataclass(frozen=True, kw_only=True, eq=False)
class Scenarios(Measure):
    """What a loss of at least a threshold looks like: its likeliest scenario, moments, modes and nearest days.

    Parameters
    ----------
    above : float or str
        The event is ``loss >= above``: in the unit of the loss, or ``"5 sigma"`` as in `Probability`. Exactly one of
        ``above``, ``level`` and ``tail``.
    level : float
        The event is a loss of at least the value at risk at this confidence, such as 0.999.
    tail : float
        One minus the level.
    sigma : "model" or float
        Whose standard deviation ``above`` counts, as in `Probability`.
    modes : int, optional
        How many failure modes are shown at most, those with the largest shares; the others are taken together. All that
        were found, up to 16, where it is left out.
    history : int
        How many of the nearest days are listed; 0 for none.
    history_file : ReturnsSource, optional
        The history, with a column for each risk factor by its name. Without it, the table that the inputs were fitted
        to.
    confidence : float
        Of the intervals, between 0 and 1.

    Raises
    ------
    FieldError
        When not exactly one threshold is given, or an option is out of its range.

    Notes
    -----
    The most likely scenario is the point of the event with the largest density in standard normal space, the design
    point of [1]_. In the space of the factors the densest point is another one after each change of variables, from
    returns to prices say; this one is not. How modes are found is said in
    `raresim.measures.modes`.

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
        arrays.between("confidence", self.confidence, 0.0, 1.0)
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
            object.__setattr__(self, "modes", arrays.whole("modes", self.modes))
        object.__setattr__(self, "history", arrays.whole("history", self.history, 0))
        if self.history_file is not None and self.history == 0:
            raise FieldError("history", "must be at least 1 where a history_file is given, got 0")

    def _probability(self) -> Probability:
        return Probability(above=self.above, sigma=self.sigma, confidence=self.confidence)

    @property
    def tails(self) -> tuple[float, ...]:
        return () if self.above is not None else (tail_of(self.level, self.tail),)

    def questions(self, scale: Callable[[], LossScale], quantile: Callable[[float], float]) -> list[Question]:
        if self.above is not None:
            return self._probability().questions(scale, quantile)
        return questions_at("value_at_risk", self.tails, quantile, self.confidence)

    def check(self, inputs: Inputs) -> None:
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
        status = str(own.verdict.status)
        if not given.inside.any():
            note = f"No draw reached the event, {own.label}: there is nothing to show of it."
            return [Exhibit("scenarios", f"Scenarios of {own.label}", SCENARIO_COLUMNS, (), (note,), status)]
        found = Found.of(given, Prices(answered.problem), self.modes or MOST_MODES)
        days = self._days(found)
        usual = Usual.of(found.inputs)
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


@dataclass(frozen=True, eq=False)
class Scenario:
    """One point of the event, or the mean of a part of it.

    Parameters
    ----------
    name : str
        As in the table.
    mode : int
        From 1, by falling share; 0 for those that are taken together.
    x : (d,) float64
        The risk factors.
    loss : float or None
        There; None where it is not known.
    radius : float or None
        Distance from the origin of standard normal space; None where it is not known.
    how : str
        What it is.
    """

    name: str
    mode: int
    x: Float
    loss: float | None
    radius: float | None
    how: str

    @property
    def column(self) -> str:
        return self.name.replace(" ", "_")


@dataclass(frozen=True, eq=False)
class Found:
    """The scenarios of an event, the likeliest first, with the shares of its modes.

    Parameters
    ----------
    given : Given
        The rows of the event.
    prices : Prices
        What evaluates further losses.
    modes : Modes
        What the climbs found.
    shares : Moments
        Of the event's probability, one for each mode that is shown, then that of the others where there are any.
    scenarios : tuple of Scenario
        In the order of the table.
    """

    given: Given
    prices: Prices
    modes: Modes
    shares: Moments
    scenarios: tuple[Scenario, ...]

    @property
    def inputs(self) -> Inputs:
        return self.prices.problem.inputs

    @property
    def names(self) -> tuple[str, ...]:
        """Of the factors: their own, or x1, x2, ..."""
        return self.inputs.names or tuple(f"x{j + 1}" for j in range(self.inputs.dim))

    @classmethod
    def of(cls, given: Given, prices: Prices, most: int) -> Found:
        """Search for modes, and choose scenarios of at most ``most`` of them."""
        sample, inside = given.sample, given.inside
        is_standard = prices.problem.space == "standard"
        weight = given.weight[inside]
        if is_standard:
            modes = find_modes(prices, given.threshold, sample.u[inside], weight)
        else:
            modes = find_points(prices, given.threshold, len(weight))
        mass = np.bincount(modes.label, weight, modes.count)
        order = np.argsort(-mass, kind="stable")
        order = order[mass[order] > 0]
        place = np.full(modes.count, min(len(order), most), dtype=np.intp)
        place[order[:most]] = np.arange(min(len(order), most))
        rank = np.full(len(inside), -1, dtype=np.intp)
        rank[inside] = place[modes.label]
        shown = min(len(order), most)
        shares = given.shares(rank, shown + (len(order) > most))
        radius = np.linalg.norm(sample.u, axis=1) if is_standard else None
        chosen = Chosen(given, prices, radius)
        points = _nearest_points(modes, place)
        return cls(given, prices, modes, shares, chosen.all(rank, shown, points))


def _nearest_points(
    modes: Modes, place: np.ndarray[tuple[int], np.dtype[np.intp]]
) -> dict[int, tuple[Float, float, str]]:
    """For each place the design point nearest to the origin: its normals, its loss, and how its climb ended."""
    nearest: dict[int, tuple[Float, float, str]] = {}
    for point, mode in sorted(zip(modes.points, modes.mode, strict=True), key=lambda pair: pair[0].beta):
        nearest.setdefault(int(place[mode]), (point.u, point.loss, point.note))
    return nearest


@dataclass(frozen=True, eq=False)
class Chosen:
    """Chooses scenarios among the draws of an event and the design points of its modes.

    Parameters
    ----------
    given : Given
        The rows.
    prices : Prices
        What evaluates further losses.
    radius : (k,) float64 or None
        Of each kept row in standard normal space; None where it is not known.
    """

    given: Given
    prices: Prices
    radius: Float | None

    def all(
        self,
        rank: np.ndarray[tuple[int], np.dtype[np.intp]],
        shown: int,
        points: dict[int, tuple[Float, float, str]],
    ) -> tuple[Scenario, ...]:
        """The most likely scenario; of each mode its own likeliest point if another, its medoid and mean."""
        likeliest = [self._likeliest(rank == k, k + 1, points.get(k)) for k in range(shown)]
        first = min(likeliest, key=lambda s: math.inf if s.radius is None else s.radius)
        scenarios = [replace(first, name="most likely")]
        for k, own in enumerate(likeliest):
            if own is not first:
                scenarios.append(own)
            scenarios += self._typical(rank == k, k + 1)
        return tuple(scenarios)

    def _likeliest(
        self,
        rows: np.ndarray[tuple[int], np.dtype[np.bool_]],
        mode: int,
        point: tuple[Float, float, str] | None,
    ) -> Scenario:
        """The design point of a mode, or its densest draw where there is none or that is denser."""
        name = f"mode {mode} likeliest"
        sample = self.given.sample
        kept = np.flatnonzero(rows)
        if self.radius is None:
            densest, least = int(kept[sample.loss[kept].argmin()]), None
            how = "the draw with the smallest loss"
        else:
            densest = int(kept[self.radius[kept].argmin()])
            least = float(self.radius[densest])
            how = "the densest draw"
        if point is not None:
            u, loss, note = point
            radius = float(np.linalg.norm(u))
            if least is None or radius <= least + 1e-9:
                ended = f"on the boundary, no design point: {note}" if note else "design point"
                return Scenario(name, mode, self.prices.factors(u[None])[0], loss, radius, ended)
        return Scenario(name, mode, sample.x[densest], float(sample.loss[densest]), least, how)

    def _typical(self, rows: np.ndarray[tuple[int], np.dtype[np.bool_]], mode: int) -> list[Scenario]:
        """The draw nearest to the mean of a mode, which is its medoid in squared distances, and the mean itself."""
        sample, kept = self.given.sample, np.flatnonzero(rows)
        weight = sample.weight[kept] / sample.weight[kept].sum()
        space = sample.u[kept] if self.radius is not None else _scaled(sample.x[kept], weight)
        medoid = int(kept[np.square(space - weight @ space).sum(axis=1).argmin()])
        radius = None if self.radius is None else float(self.radius[medoid])
        mean = weight @ sample.x[kept]
        (loss,) = self.prices.known(mean[None])
        return [
            Scenario(
                f"mode {mode} draw", mode, sample.x[medoid], float(sample.loss[medoid]), radius, "the medoid, a draw"
            ),
            Scenario(f"mode {mode} mean", mode, mean, loss, None, "weighted mean of its draws"),
        ]


def _scaled(x: Float, weight: Float) -> Float:
    """Columns of ``x`` (k, d) in their own standard deviations."""
    std = np.sqrt(weight @ np.square(x - weight @ x))
    scaled: Float = x / np.where(std > 0, std, 1.0)
    return scaled

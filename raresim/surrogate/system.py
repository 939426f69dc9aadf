"""The surrogates of the limit states of a system, and how likely a point is in the event by all of them together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import numpy as np

from raresim.losses.system import combined
from raresim.numerics.arrays import Float
from raresim.surrogate.belief import Belief
from raresim.surrogate.gaussian_process import GaussianProcess
from raresim.surrogate.rivals import First, Rival

ROWS = 8_192
"""Points of which the covariance with the evaluations is held at once."""

Approximation = Callable[[Float], Float]
"""Margins (k, m) of the limit states at points (k, d) of standard normal space, from something cheap."""


@dataclass(frozen=True, eq=False)
class Component:
    """The surrogate of one limit state.

    Parameters
    ----------
    process : GaussianProcess
        The process of its warped margin, or of what the warped margin of an approximation leaves of it.
    temper : float
        Factor of its standard deviations, by which its own predictions were off.
    assisted : bool
        Whether the process has what the approximation leaves.
    column : int
        Its place among the limit states.
    rivals : tuple of Rival
        The warps that are still in the choice, the best first.
    first : First
        What their units are read from.
    """

    process: GaussianProcess
    temper: float
    assisted: bool
    column: int
    rivals: tuple[Rival, ...]
    first: First

    def boundary(self, goal: float) -> float:
        """The warped margin at the margin ``goal``."""
        return self.process.warp.boundary if goal == 0.0 else float(self.process.warp(np.array([goal]))[0])


@dataclass(frozen=True, eq=False)
class System:
    """The surrogates of ``m`` limit states, at least ``least`` of which make the event.

    Parameters
    ----------
    components : tuple of Component
        The surrogates, whose errors are taken as independent.
    least : int
        Limit states that have to reach the threshold.
    goals : tuple of float
        Margins at which the ``e`` events begin: 0 for the first, the distance from its threshold for others.
    approximation : callable, optional
        Margins of an approximation, which some components have to be added to.
    """

    components: tuple[Component, ...]
    least: int = 1
    goals: tuple[float, ...] = (0.0,)
    approximation: Approximation | None = None

    def offsets(self, points: Float) -> Float | None:
        """Warped margins (k, m) of the approximation at ``points`` (k, d), 0 of those without; None without any."""
        if self.approximation is None or not any(c.assisted for c in self.components):
            return None
        rough = self.approximation(points)
        columns = [c.process.warp(rough[:, c.column]) if c.assisted else np.zeros(len(points)) for c in self.components]
        return np.column_stack(columns)

    @property
    def _numbered(self) -> list[tuple[int, Component]]:
        return list(enumerate(self.components))

    def waved(self, points: Float) -> list[Float | None]:
        """`Layout.waved` of each component at ``points`` (k, d): the same array for all whose axes are not turned."""
        layouts = [component.process.layout for component in self.components]
        plain = next((layout.waved(points) for layout in layouts if layout.turn is None), None)
        return [plain if layout.turn is None else layout.waved(points) for layout in layouts]

    def predict(self, points: Float) -> tuple[Float, Float]:
        """Mean and standard deviation (k, m) of the warped margins at ``points`` (k, d), the latter not tempered."""
        mean, spread = np.empty((len(points), len(self.components))), np.empty((len(points), len(self.components)))
        for first in range(0, len(points), ROWS):
            part = slice(first, first + ROWS)
            waved = self.waved(points[part])
            for j, component in self._numbered:
                mean[part, j], spread[part, j] = component.process.predict(points[part], waved[j])
        offsets = self.offsets(points)
        return mean if offsets is None else np.asarray(mean + offsets), spread

    def scores(self, mean: Float, spread: Float, goal: float, blur: float = 1.0) -> Float:
        """Standard normals (k, m) whose probability is that of each margin beyond ``goal``."""
        columns = [
            (mean[:, j] - component.boundary(goal)) / (blur * component.temper * spread[:, j])
            for j, component in self._numbered
        ]
        return np.column_stack(columns)

    def score_at(self, points: Float, goal: float, blur: float) -> Float:
        """Score (k,) of the limit state that decides at each of ``points``: at least ``least`` scores are as large."""
        return combined(self.scores(*self.predict(points), goal, blur), self.least)

    def failing_at(self, points: Float, blur: float = 1.0) -> Float:
        """Probability (e, k) that each of ``points`` (k, d) is in each event, with deviations times ``blur``."""
        mean, spread = self.predict(points)
        return np.stack([together(self.scores(mean, spread, goal, blur), self.least) for goal in self.goals])


@dataclass(eq=False)
class SystemBelief:
    """What the surrogates of a system believe of fixed points, kept while single evaluations are added.

    Parameters
    ----------
    system : System
        The surrogates, with all evaluations so far.
    points : (k, d) float64
        The points.
    beliefs : tuple of Belief
        The belief of each component, with the approximation in its mean.
    offsets : (k, m) float64 or None
        The approximation.
    """

    system: System
    points: Float
    beliefs: tuple[Belief, ...]
    offsets: Float | None

    @classmethod
    def of(cls, system: System, points: Float) -> Self:
        """What ``system`` believes of ``points``."""
        offsets = system.offsets(points)
        pairs = zip(system.components, system.waved(points), strict=True)
        beliefs = [Belief.of(c.process, points, waved) for c, waved in pairs]
        if offsets is not None:
            beliefs = [replace(b, mean=b.mean + offsets[:, j]) for j, b in enumerate(beliefs)]
        return cls(system, points, tuple(beliefs), offsets)

    @cached_property
    def mean(self) -> Float:
        """Mean (k, m) of the warped margins."""
        return np.column_stack([belief.mean for belief in self.beliefs])

    @cached_property
    def spread(self) -> Float:
        """Standard deviation (k, m) of the warped margins, without the factors."""
        return np.column_stack([belief.spread for belief in self.beliefs])

    @cached_property
    def failing(self) -> Float:
        """Probability (e, k) that each point is in each event."""
        system = self.system
        return np.stack([together(self.scores(goal), system.least) for goal in system.goals])

    def scores(self, goal: float) -> Float:
        """As `System.scores`, at the points."""
        return self.system.scores(self.mean, self.spread, goal)

    def deciding(self, rows: np.ndarray[tuple[int], np.dtype[np.intp]], goal: float) -> Float:
        """Standard deviation (j,) of the limit state that decides at each of some ``rows`` of the points."""
        spread = self.spread[rows]
        if spread.shape[1] == 1:
            return spread[:, 0]
        scores = self.system.scores(self.mean[rows], spread, goal)
        order = np.argsort(scores, axis=1)[:, scores.shape[1] - self.system.least]
        return np.asarray(spread[np.arange(len(rows)), order])

    def left(self, row: int, margins: Float) -> Float:
        """What the approximation leaves (m,) of warped ``margins`` (m,) at a point."""
        warped = np.array([float(c.process.warp(margins[j : j + 1])[0]) for j, c in enumerate(self.system.components)])
        return warped if self.offsets is None else np.asarray(warped - self.offsets[row])

    def expected(self, row: int) -> Float:
        """What the approximation is expected to leave (m,) at a point."""
        return np.asarray(self.mean[row] if self.offsets is None else self.mean[row] - self.offsets[row])

    def after(self, row: int, values: Float) -> SystemBelief:
        """The belief after what the approximation leaves at a point is known, ``values`` (m,): the parameters stay."""
        x = self.points[row]
        beliefs = tuple(belief.after(x, float(values[j])) for j, belief in enumerate(self.beliefs))
        known = [replace(c, process=b.process) for c, b in zip(self.system.components, beliefs, strict=True)]
        return SystemBelief(replace(self.system, components=tuple(known)), self.points, beliefs, self.offsets)


def together(scores: Float, least: int) -> Float:
    """Probability (k,) that at least ``least`` of independent events happen, of which ``scores`` (k, m) are the
    standard normals."""
    from scipy import special

    m = scores.shape[1]
    if m == 1:
        return np.asarray(special.ndtr(scores[:, 0]))
    if least == 1:
        return np.asarray(-np.expm1(special.log_ndtr(-scores).sum(axis=1)))
    if least == m:
        return np.asarray(np.exp(special.log_ndtr(scores).sum(axis=1)))
    counts = np.zeros((m + 1, len(scores)))
    counts[0] = 1.0
    for j in range(m):
        likely = special.ndtr(scores[:, j])
        counts[1:] = counts[1:] * (1.0 - likely) + counts[:-1] * likely
        counts[0] *= 1.0 - likely
    return np.asarray(np.minimum(counts[least:].sum(axis=0), 1.0))

"""What a search along limit states sees: columns at points, their differences, and where a system's event begins."""

from __future__ import annotations

import numpy as np

from raresim.numerics.arrays import Bool, Float
from raresim.search.climbing import WIDE
from raresim.search.design_points import FARTHEST, bisected
from raresim.search.system_points import Climb, Evaluate, Planes, Target, planes_of

STRETCHES = np.array([0.6, 0.8, 0.9, 1.0, 1.01, 1.03, 1.1, 1.2, 1.35, 1.6, 2.0])
"""Radii, relative to the end of a climb, at which its ray is checked for the event."""

HALVINGS = 10


class Looks:
    """The evaluations of one search, which are counted, with the points and the climbs known so far."""

    def __init__(
        self, evaluate: Evaluate, goal: float, at_least: int, dim: int, budget: int, rng: np.random.Generator
    ) -> None:
        self.evaluate, self.goal, self.at_least, self.dim = evaluate, goal, at_least, dim
        self.budget, self.rng = budget, rng
        self.evaluations = 0
        self.climbs: list[Climb] = []
        self.stepped: Bool = np.zeros(0, dtype=bool)
        self.pool = np.empty((0, dim))
        self.pool_states = np.empty((0, 0))
        self.missed: dict[Target, str] = {}

    @property
    def left(self) -> int:
        """Evaluations that are left."""
        return self.budget - self.evaluations

    def look(self, points: Float) -> Float:
        """Columns (n, m) at ``points`` (n, d); they are counted."""
        self.evaluations += len(points)
        return self.evaluate(np.asfortranarray(points))[1]

    def are_stepped(self, points: Float, at: Float, narrow: Float) -> Bool:
        """Which columns (m,) wide differences move and small ones do not, or no difference moves."""
        moves = self.differences(points, at, WIDE) != 0
        still = ((narrow == 0) & moves).sum(axis=(0, 2)) > 0.5 * moves.sum(axis=(0, 2))
        flat = ~narrow.any(axis=(0, 2))
        stepped: Bool = still | flat
        return stepped

    def differences(self, points: Float, at: Float, step: float) -> Float:
        """Differences (k, m, d) of the columns, away from the origin, divided by the signed step."""
        k, d = points.shape
        signs = np.where(points >= 0, step, -step)
        moved = np.repeat(points, d, axis=0)
        moved[np.arange(k * d), np.tile(np.arange(d), k)] += signs.ravel()
        ahead = self.look(moved).reshape(k, d, -1)
        with np.errstate(invalid="ignore"):
            rise = (ahead - at[:, np.newaxis]) / signs[:, :, np.newaxis]
        known = np.isfinite(rise)
        slopes: Float = np.where(known, rise, 0.0).transpose(0, 2, 1)
        return slopes

    def planes_at(self, points: Float, at: Float, slopes: Float) -> list[Planes]:
        """The planes at ``points`` (k, d), with columns ``at`` (k, m) and slopes ``slopes`` (k, m, d)."""
        return [planes_of(u, own, self.goal - here) for u, own, here in zip(points, slopes, at, strict=True)]

    def reaches(self, target: Target, states: Float) -> Bool:
        """Which rows of ``states`` (n, m) have all columns of the target at the goal."""
        return np.asarray((states[:, list(target)] >= self.goal).all(axis=1))

    def drawn_in(self, target: Target, points: Float) -> tuple[Float, Float]:
        """``points`` (k, d) in the target's event, moved towards the origin to where it begins; columns there."""

        def inside(share: Float) -> Bool:
            return self.reaches(target, self.look(share[:, None] * points))

        share = bisected(inside, np.zeros(len(points)), np.ones(len(points)), HALVINGS)
        edges: Float = share[:, None] * points
        return edges, self.look(edges)

    def on_ray(self, target: Target, u: Float) -> tuple[Float, Float] | None:
        """The point where the target's event begins on the ray through ``u`` (d,), near it, and the columns there."""
        length = float(np.linalg.norm(u))
        if length == 0.0 or self.left < STRETCHES.size + HALVINGS + 1:
            return None
        stretches = STRETCHES[STRETCHES * length <= FARTHEST]
        inside = self.reaches(target, self.look(stretches[:, None] * u))
        if not inside.any():
            return None
        first = int(np.argmax(inside))
        low, high = (stretches[first - 1] if first else 0.0), stretches[first]
        begins = bisected(
            lambda c: self.reaches(target, self.look(c[:, None] * u)), np.array([low]), np.array([high]), HALVINGS
        )
        edge = begins[0] * u
        return edge, self.look(edge[np.newaxis])[0]

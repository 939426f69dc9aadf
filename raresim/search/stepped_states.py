"""Climbs on limit states that move in steps: planes come from draws around a point, and a ray leads to the edge."""

from __future__ import annotations

import math

import numpy as np

from raresim.numerics.arrays import Float
from raresim.search.climbing import peaks
from raresim.search.climbs_along_states import OWN_STARTS, Climbs
from raresim.search.design_points import FARTHEST
from raresim.search.system_looks import HALVINGS, STRETCHES
from raresim.search.system_points import Climb, Planes, Target, planes_of

SMOOTHING = 0.7
"""Standard deviation of the draws around a point from which a stepped column is linearised."""

ROUNDS = 5
"""Steps of a climb on smoothed columns."""

MIXED = 0.1
"""Share of these draws on either side of a column's edge from which the edge is fitted instead of the level."""

NOISE = 2.0
"""A fitted slope below this many standard errors counts as zero."""

WIDER = (2.0, 3.0, 4.5)

RUNG = 60
"""If no start reaches the goal on a stepped column: multiples of the target's spread, and draws of each."""

APART = 1.5
"""Distance below which two points of the same stepped columns are one: draws leave them uncertain by that much."""

AGREED = 3
"""Number of climbs on draws to one place after which no more are begun."""

FEWER = (1, 2, 3, 5, 8, 13, 21, 34)
"""Numbers of largest coordinates with which the end of a climb on draws is tried: the other ones may be noise."""


class SteppedClimbs(Climbs):
    """Climbs of one search, on columns with and without gradients."""

    def climb_steps(self, targets: list[Target], common: Float, at: Float) -> None:
        """Climbs of targets with stepped columns: from points beyond the edge, or from the largest levels."""
        for target in targets:
            share = self.left // max(1, len(targets))
            cost = self.draws + 2 * HALVINGS + STRETCHES.size
            begins = [*self.edge_starts(target), *self.level_starts(target, common, at)]
            for u, here in begins[: max(1, min(OWN_STARTS, share // (2 * cost)))]:
                if self.left < 2 * cost:
                    self.missed.setdefault(target, "budget of the search spent")
                    break
                if self.agree(target):
                    break
                self.climb_smoothed(target, u, here)

    def agree(self, target: Target) -> bool:
        """Whether `AGREED` climbs of ``target`` have all come to one place."""
        ends = [c.u for c in self.climbs if c.target == target]
        return len(ends) >= AGREED and all(np.linalg.norm(u - ends[0]) < APART for u in ends)

    @property
    def draws(self) -> int:
        """Number of draws from which a stepped column is linearised."""
        return 2 * self.dim + 20

    def edge_starts(self, target: Target) -> list[tuple[Float, Float]]:
        """Points on the edge of the target's event, on the rays of known points in it, in different directions."""
        inside = self.reaches(target, self.pool_states)
        for width in WIDER:
            if inside.any() or self.left < 4 * RUNG:
                break
            more = width * self.rng.standard_normal((RUNG, self.dim))
            self.pool = np.concatenate([self.pool, more])
            self.pool_states = np.concatenate([self.pool_states, self.look(more)])
            inside = self.reaches(target, self.pool_states)
        if not inside.any():
            return []
        points = self.pool[inside]
        near = points[peaks(points, -np.square(points).sum(axis=1), OWN_STARTS)]
        edges, states = self.drawn_in(target, near)
        return list(zip(edges, states, strict=True))

    def level_starts(self, target: Target, common: Float, at: Float) -> list[tuple[Float, Float]]:
        """The common starts with the largest levels of the target's columns."""
        order = np.argsort(-self.own_value(target, at), kind="stable")
        return [(common[i], at[i]) for i in order[:2]]

    def climb_smoothed(self, target: Target, u: Float, states: Float) -> None:
        """Steps on columns linearised over draws around the point, then along the ray to the edge."""
        climb = Climb(target, u, states, None)
        best: tuple[Float, Float] | None = None
        if self.reaches(target, states[np.newaxis])[0]:
            best = (u, states)
        for _ in range(ROUNDS):
            if self.left < self.draws + HALVINGS + STRETCHES.size + 1:
                break
            climb.planes = self.planes_of_draws(climb.u)
            aim = self.aim(climb)
            if aim is None:
                break
            v = aim[0] * min(1.0, FARTHEST / max(float(np.linalg.norm(aim[0])), 1e-300))
            move = float(np.linalg.norm(v - climb.u))
            climb.u = v
            on_edge = self.on_ray(target, v)
            if on_edge is not None:
                gain = math.inf if best is None else float(np.linalg.norm(best[0]) - np.linalg.norm(on_edge[0]))
                best = on_edge if gain > 0 else best
                climb.u = on_edge[0]
                if gain < 0.02 * float(np.linalg.norm(on_edge[0])):
                    break
            elif move < 0.1 * SMOOTHING:
                break
        if best is None:
            self.missed.setdefault(target, "no point beyond the edge of a limit state that moves in steps was found")
            return
        climb.u, climb.states = self.without_noise(target, *best)
        climb.end()
        self.climbs.append(climb)

    def without_noise(self, target: Target, u: Float, states: Float) -> tuple[Float, Float]:
        """``u`` (d,) with as few non-zero coordinates as keep it in the target's event, and the columns there."""
        order = np.argsort(-np.abs(u), kind="stable")
        ways = [np.where(np.isin(np.arange(u.size), order[:r]), u, 0.0) for r in FEWER if r < u.size]
        tried = np.array([f * way for way in ways for f in (1.0, 1.05)])
        if not len(tried) or self.left < len(tried) + HALVINGS + 1:
            return u, states
        inside = np.flatnonzero(self.reaches(target, self.look(tried)))
        length = np.linalg.norm(tried[inside], axis=1)
        if not inside.size or length.min() >= np.linalg.norm(u):
            return u, states
        edge, there = self.drawn_in(target, tried[inside[[int(length.argmin())]]])
        return edge[0], there[0]

    def planes_of_draws(self, u: Float) -> Planes:
        """The planes of all columns by least squares on draws around ``u`` (d,).

        If draws lie on both sides of a column's edge, the side is fitted, and the plane lies where half of the draws
        are beyond; otherwise the level is fitted. Slopes within their noise count as zero.
        """
        n = self.draws
        moves = SMOOTHING * self.rng.standard_normal((n, self.dim))
        seen = self.look(u + moves)
        design = np.column_stack([np.ones(n), moves])
        inverse = np.linalg.inv(design.T @ design)
        slopes, short = np.zeros((seen.shape[1], self.dim)), np.zeros(seen.shape[1])
        for j, level in enumerate(seen.T):
            beyond = level >= self.goal
            mixed = MIXED < beyond.mean() < 1.0 - MIXED
            value = beyond.astype(np.float64) if mixed else np.where(np.isfinite(level), level, self.goal)
            fit = inverse @ (design.T @ value)
            error = math.sqrt(float(np.square(value - design @ fit).sum()) / max(1, n - self.dim - 1))
            clear = np.abs(fit[1:]) > NOISE * error * np.sqrt(np.diag(inverse)[1:])
            slopes[j] = np.where(clear, fit[1:], 0.0) if clear.any() else fit[1:]
            short[j] = (0.5 if mixed else self.goal) - fit[0]
        return planes_of(u, slopes, short)

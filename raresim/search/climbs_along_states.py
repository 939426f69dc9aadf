"""Climbs to the points of a system's event that are nearest to the origin, on columns that have gradients."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

import numpy as np

from raresim.numerics.arrays import Float
from raresim.search.climbing import peaks
from raresim.search.design_points import ARMIJO, DIFFERENCE, FARTHEST, SHORTER
from raresim.search.nearest import least_distance
from raresim.search.system_looks import Looks
from raresim.search.system_points import TOGETHER, TOLERANCE, Climb, Planes, Target
from raresim.search.system_targets import NEGLIGIBLE, RANDOM_TARGETS, SEEDS, distance

NEAR = 3.0
"""Distance from the origin at which climbs begin if their start is further away."""

OWN_STARTS = 4
"""Starts of its own for a target with columns that are not linear, beside the starts that all targets share."""

STRAIGHT = 1e-6
"""If a full step misses its planes by at most this share of its length, the columns are linear on the way."""

ITERATIONS = 12

BUNDLED = 6
"""Planes of earlier points that a step may have to respect, if its own planes do not suffice: for corners."""


class Climbs(Looks):
    """The climbs of one search, side by side."""

    def climb_from(self, u: Float, states: Float, planes: Planes, targets: Iterable[Target]) -> None:
        """Begin a climb of each target at ``u`` (d,) with its first step."""
        begun = []
        for target in targets:
            if not planes.are_usable(target):
                self.missed.setdefault(target, "a limit state is flat where the climb begins")
                continue
            climb = Climb(target, u, states, planes)
            aim = self.aim(climb)
            if aim is not None and any(
                c.reached and c.target == target and np.linalg.norm(c.u - aim[0]) < 0.1 * TOGETHER for c in self.climbs
            ):
                continue
            begun.append(climb)
        self.climbs += begun
        self.advance(begun)

    def go_on(self) -> None:
        """Run all climbs to their ends, the nearest first if the budget is short."""
        for _ in range(ITERATIONS):
            self.follow()
            active = [c for c in self.climbs if not c.ended]
            if not active:
                return
            cost = self.dim + 1 + SHORTER.size
            affordable = self.left // cost
            if affordable < len(active):
                active.sort(key=lambda c: float(np.linalg.norm(c.u)))
                for climb in active[affordable:]:
                    climb.end("budget of the search spent")
                active = active[:affordable]
            if active:
                at = np.array([c.states for c in active])
                points = np.array([c.u for c in active])
                found = self.planes_at(points, at, self.differences(points, at, DIFFERENCE))
                for climb, planes in zip(active, found, strict=True):
                    climb.planes = planes
                self.advance(active)
        for climb in self.climbs:
            if not climb.ended:
                climb.end(f"not converged in {ITERATIONS} iterations")

    def follow(self) -> None:
        """End the climbs close to the end of another climb of the same target."""
        for climb in self.climbs:
            near = (
                c
                for c in self.climbs
                if c.reached and c.target == climb.target and np.linalg.norm(c.u - climb.u) < 0.5 * TOGETHER
            )
            if not climb.ended and (other := next(near, None)) is not None:
                climb.u, climb.states, climb.planes = other.u, other.states, other.planes
                climb.end()

    def aim(self, climb: Climb) -> tuple[Float, Float] | None:
        """The aim of the whole step, with the multipliers of the target's planes."""
        planes, chosen = climb.planes, list(climb.target)
        if planes is None or not planes.are_usable(chosen):
            return None
        return least_distance(planes.normals[chosen], planes.offsets[chosen])

    def gaps(self, climb: Climb, states: Float) -> Float:
        """Distance of each column of the target from the goal at ``states`` (..., m), by its slope at the climb."""
        if climb.planes is None:
            raise ValueError("the climb has no planes")
        chosen = list(climb.target)
        gap: Float = (self.goal - states[..., chosen]) / climb.planes.slopes[chosen]
        return gap

    def advance(self, climbs: list[Climb]) -> None:
        """One step of each climb with known planes."""
        going, aims, penalties = [], [], []
        for climb in climbs:
            aim = self.aim(climb)
            if aim is None:
                flat = climb.planes is None or not climb.planes.are_usable(climb.target)
                climb.end("a limit state is flat" if flat else "the linearised limit states never fail together")
                continue
            v, multipliers = aim
            move = float(np.linalg.norm(v - climb.u))
            gaps = self.gaps(climb, climb.states)
            if move < TOLERANCE * max(1.0, float(np.linalg.norm(climb.u))) and gaps.max() < TOLERANCE:
                climb.end()
                continue
            length = float(np.linalg.norm(v))
            going.append(climb)
            aims.append(v * min(1.0, FARTHEST / max(length, 1e-300)))
            penalties.append(2.0 * max(float(np.linalg.norm(climb.u)), 1.0, float(multipliers.max(initial=0.0))))
        if not going or len(going) * (1 + SHORTER.size) > self.left:
            for climb in going:
                climb.end("budget of the search spent")
            return
        whole = self.look(np.array(aims))
        short: list[tuple[Climb, Float, float, float]] = []
        for climb, v, penalty, states in zip(going, aims, penalties, whole, strict=True):
            gaps, before = self.gaps(climb, states), self.merit(climb, climb.u, climb.states, penalty)
            move = float(np.linalg.norm(v - climb.u))
            fall = 0.5 * float(climb.u @ climb.u - v @ v) + penalty * float(
                np.maximum(self.gaps(climb, climb.states), 0.0).sum()
            )
            if self.merit(climb, v, states, penalty) > before - ARMIJO * max(fall, 0.0):
                short.append((climb, v, penalty, before))
                continue
            straight = self.lands_on_planes(climb, v, gaps, STRAIGHT * move + 1e-9)
            self.keep_planes(climb)
            climb.u, climb.states = v, states
            if straight:
                climb.end()
        self.shorten(short)

    def lands_on_planes(self, climb: Climb, v: Float, gaps: Float, slack: float) -> bool:
        """Whether the columns at ``v`` (d,) agree with their planes, for the planes that hold the step back."""
        planes, chosen = climb.planes, list(climb.target)
        if planes is None:
            return False
        promised = planes.offsets[chosen] - planes.normals[chosen] @ v
        held = promised > -slack
        return bool((np.abs(gaps[held]) < slack).all() and (gaps < slack).all())

    def keep_planes(self, climb: Climb) -> None:
        """Store the planes at the climb's position."""
        if climb.planes is not None:
            chosen = list(climb.target)
            climb.earlier.append((climb.planes.normals[chosen], climb.planes.offsets[chosen]))
            del climb.earlier[:-BUNDLED]

    def merit(self, climb: Climb, u: Float, states: Float, penalty: float) -> float:
        """``|u|^2 / 2 + c sum_j max(0, distance to plane j)``."""
        return 0.5 * float(u @ u) + penalty * float(np.maximum(self.gaps(climb, states), 0.0).sum())

    def shorten(self, short: list[tuple[Climb, Float, float, float]]) -> None:
        """Try shorter steps, and whole steps to where planes of earlier points meet too."""
        if not short:
            return
        tried, owners = [], []
        for k, (climb, v, *_) in enumerate(short):
            ways = [climb.u + f * (v - climb.u) for f in SHORTER]
            if (corner := self.corner(climb)) is not None:
                ways += [corner, 0.5 * (corner + climb.u)]
            tried += ways
            owners += [k] * len(ways)
        if len(tried) > self.left:
            for climb, *_ in short:
                climb.end("budget of the search spent")
            return
        found = self.look(np.array(tried))
        for k, (climb, _, penalty, before) in enumerate(short):
            rows = [i for i, owner in enumerate(owners) if owner == k]
            merits = [self.merit(climb, tried[i], found[i], penalty) for i in rows]
            best = int(np.argmin(merits))
            corner = self.corner(climb)
            self.keep_planes(climb)
            if corner is not None and np.linalg.norm(corner - climb.u) < TOLERANCE * max(
                1.0, float(np.linalg.norm(climb.u))
            ):
                climb.end()
            elif merits[best] < before - 1e-9:
                climb.u, climb.states = tried[rows[best]], found[rows[best]]
            else:
                climb.end("no step lowers the merit function")

    def corner(self, climb: Climb) -> Float | None:
        """The nearest point to the origin at which the target's planes here and at earlier points meet."""
        if climb.planes is None or not climb.earlier:
            return None
        chosen = list(climb.target)
        normals = np.concatenate([climb.planes.normals[chosen], *(n for n, _ in climb.earlier)])
        offsets = np.concatenate([climb.planes.offsets[chosen], *(o for _, o in climb.earlier)])
        found = least_distance(normals, offsets)
        return None if found is None or np.linalg.norm(found[0]) > FARTHEST else found[0]

    def swap_columns(self) -> None:
        """From each point found, climb untried choices with one column exchanged that are as near."""
        tried = {c.target for c in self.climbs}
        ends = sorted((c for c in self.climbs if c.reached), key=lambda c: float(np.linalg.norm(c.u)))
        for climb in ends[:SEEDS]:
            planes = climb.planes
            if planes is None:
                continue
            new = []
            for left_out, taken_in in itertools.product(climb.target, range(len(self.stepped))):
                target = tuple(sorted({*climb.target, taken_in} - {left_out}))
                if len(target) == self.at_least and target not in tried and not self.stepped[list(target)].any():
                    reach = distance(target, planes)
                    if reach**2 <= float(climb.u @ climb.u) + 2.0 * NEGLIGIBLE:
                        new.append((reach, target))
            for _, target in sorted(new)[:RANDOM_TARGETS]:
                tried.add(target)
                self.climb_from(climb.u, climb.states, planes, [target])
        self.go_on()

    def climb_from_own_starts(self, targets: list[Target]) -> None:
        """Begin again where a target's own columns are large, in other directions than before."""
        share = self.left // max(1, len(targets))
        most = min(OWN_STARTS, share // (4 * self.dim + 8))
        for target in targets if most > 0 else []:
            value = self.own_value(target, self.pool_states)
            chosen = np.flatnonzero(peaks(self.pool, value, most))
            points = drawn_near(self.pool[chosen])
            if self.left < len(points) * (2 * self.dim + 8):
                return
            at = self.look(points)
            found = self.planes_at(points, at, self.differences(points, at, DIFFERENCE))
            for u, here, planes in zip(points, at, found, strict=True):
                self.climb_from(u, here, planes, [target])
        self.go_on()

    def own_value(self, target: Target, states: Float) -> Float:
        """Value of the last column of the target (n,), each column in the unit of its spread over the pool."""
        chosen = list(target)
        columns = np.where(np.isfinite(self.pool_states[:, chosen]), self.pool_states[:, chosen], np.nan)
        spread = np.nanstd(columns, axis=0) if len(columns) > 1 else np.ones(len(chosen))
        value: Float = ((states[:, chosen] - self.goal) / np.where(spread > 0, spread, 1.0)).min(axis=1)
        return value

    def is_linear(self, target: Target) -> bool:
        """Whether all climbs of ``target`` have come to the same point."""
        ends = [c for c in self.climbs if c.target == target]
        agreed = ends and all(c.reached for c in ends)
        return bool(agreed) and all(np.linalg.norm(c.u - ends[0].u) < TOGETHER for c in ends)


def drawn_near(points: Float) -> Float:
    """Points (k, d) moved to within `NEAR` of the origin."""
    length = np.sqrt(np.square(points).sum(axis=1))
    near: Float = points * np.minimum(1.0, NEAR / np.maximum(length, 1e-300))[:, None]
    return near

"""Which limit states of a system are to fail together: the choices of columns that are worth a climb."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np

from raresim.search.nearest import least_distance
from raresim.search.system_points import Planes, Target

MOST_TARGETS = 64
"""Choices of ``k`` columns that are climbed from a start: the nearest ones, and some at random."""

RANDOM_TARGETS = 4

MOST_CHOICES = 400
"""Largest number of choices of ``k`` columns that are all checked; more are built up column by column."""

SEEDS = 8
"""Columns with which these choices begin, and points from which one column is exchanged."""

NEGLIGIBLE = 12.0
"""Nats by which the density at a choice's nearest point may be below that of the nearest of all."""


def targets_of(planes: Sequence[Planes], m: int, k: int, rng: np.random.Generator) -> list[Target]:
    """The choices of ``k`` of ``m`` columns to climb, from the ``planes`` at some points."""
    if k == 1:
        return [(j,) for j in range(m)]
    if k == m:
        return [tuple(range(m))]
    chosen: dict[Target, float] = {}
    for found in planes:
        near = {t: distance(t, found) for t in _choices(found, m, k)}
        least = min(near.values(), default=math.inf)
        worst = math.sqrt(least**2 + 2.0 * NEGLIGIBLE) if math.isfinite(least) else math.inf
        for t in sorted(near, key=lambda t: (near[t], t))[:MOST_TARGETS]:
            if near[t] <= worst:
                chosen[t] = min(near[t], chosen.get(t, math.inf))
    for _ in range(RANDOM_TARGETS):
        some = rng.choice(m, k, replace=False)
        chosen.setdefault(tuple(sorted(int(j) for j in some)), math.inf)
    return sorted(chosen, key=lambda t: (chosen[t], t))


def _choices(planes: Planes, m: int, k: int) -> list[Target]:
    """All choices of ``k`` columns, or choices built up from each of the nearest columns, nearest first."""
    if math.comb(m, k) <= MOST_CHOICES:
        return list(itertools.combinations(range(m), k))
    found = set()
    nearest = sorted(range(m), key=lambda j: (distance((j,), planes), j))
    for j in nearest[:SEEDS]:
        target: Target = (j,)
        while len(target) < k:
            more = [tuple(sorted((*target, i))) for i in range(m) if i not in target]
            target = min(more, key=lambda t: (distance(t, planes), t))
        found.add(target)
    return sorted(found)


def distance(target: Target, planes: Planes) -> float:
    """Distance from the origin to where the linearised columns reach the goal together; infinite if they never do.

    A flat column is left out: nothing is known of it.
    """
    chosen = [j for j in target if planes.are_usable((j,))]
    if not chosen:
        return math.inf
    found = least_distance(planes.normals[chosen], planes.offsets[chosen])
    return math.inf if found is None else float(np.linalg.norm(found[0]))

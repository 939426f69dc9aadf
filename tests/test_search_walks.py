"""Walks uphill from a first batch: which of several regions they come to, and when they stop looking."""

import numpy as np
import pytest
from scipy import stats

from raresim import Normal, Probability, PythonLoss, StandardNormal
from raresim.executors import Executor
from raresim.methods.base import Session
from raresim.problem import Event, Problem
from raresim.search.explorer import Explorer
from raresim.search.walks import find_design_points
from tests.problems import Case
from tests.statistical import assert_count_at_least

BETA = 4.5


def planes(directions):
    """Beyond any of the planes that are `BETA` from the origin in the ``directions`` (k, d)."""

    def highest(u):
        return (u @ directions.T).max(axis=1)

    inputs = StandardNormal(dim=directions.shape[1])
    return Case("planes", inputs, PythonLoss(function=highest), Probability(above=BETA), [0.0])


def search(case, seed):
    """What walks find after a first batch of 300 draws, as the method begins."""
    problem = Problem(case.inputs, case.loss.bind(case.inputs))
    explorer = Explorer(Session(problem, [Event(BETA)], seed, Executor(), 10**6, lambda *_: None, 0.05), 1.0)
    explorer.draw(Normal(mean=0.0, std=1.5, dim=problem.dim), 300, "wide")
    return find_design_points(explorer, BETA, 25_000)


def heptagon(d):
    """Seven directions in a plane that no axis lies in, a seventh of a turn apart: (7, d)."""
    angle = 2.0 * np.pi * np.arange(7) / 7
    plane = stats.ortho_group.rvs(d, random_state=1)[:2]
    return np.stack([np.cos(angle), np.sin(angle)], axis=1) @ plane


@pytest.mark.statistical(effect=0.45, false_fail=1e-7, false_pass=1e-2)
def test_all_sides_of_a_polygon_are_found(seed):
    """In nine of ten searches. Halfway between every second two lies the one in between: they are no region for it."""
    sides, n = heptagon(10), 80
    case = planes(sides)
    found = [search(case, seed(4000 + k)) for k in range(n)]
    whole = [((f.points @ sides.T).max(axis=0) > BETA - 0.2).all() for f in found]
    assert_count_at_least(sum(whole), n, 0.9)
    assert np.median([f.regions for f in found]) >= 6


@pytest.mark.parametrize(("k", "walks"), [(1, 8), (2, 16), (3, 24), (4, 32)])
def test_the_more_regions_the_longer_the_search(k, walks, seed):
    """``w^2 (w + 1) / (L (L - 1))`` is a tenth or less after ``L`` walks, in rounds of eight, where 5 % was asked."""
    case = planes(stats.ortho_group.rvs(12, random_state=2)[:k])
    found = [search(case, seed(4100 + s)) for s in range(8)]
    assert np.median([f.regions for f in found]) == k
    assert np.median([f.walks for f in found]) == walks
    for f in found:
        w, walked = f.regions, f.walks
        assert w * f.unseen <= 0.1
        assert f.unseen == pytest.approx(w * (w + 1) / (walked * (walked - 1)) if w > 1 else 0.0)

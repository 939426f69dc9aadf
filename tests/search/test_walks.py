"""Walks uphill from a first batch: which of several regions they come to, and when they stop looking."""

import numpy as np
import pytest
from scipy import stats

from raresim import Normal, PythonLoss, StandardNormal
from raresim.engine.executors import Executor
from raresim.engine.problem import Problem
from raresim.engine.session import Session
from raresim.record.event import Event
from raresim.search.explorer import Explorer
from raresim.search.walks import find_design_points
from tests.statistical import assert_count_at_least

BETA = 4.5


def planes(directions):
    """The highest above any of the planes that are `BETA` from the origin in the ``directions`` (k, d)."""

    def highest(u):
        return (u @ directions.T).max(axis=1) - BETA

    return highest


def search(loss, d, seed):
    """What walks find of ``loss >= 0`` after a first batch of 300 draws, as the method begins."""
    inputs = StandardNormal(dim=d)
    problem = Problem(inputs, PythonLoss(function=loss).bind(inputs))
    explorer = Explorer(Session(problem, [Event(0.0)], seed, Executor(), 10**6, lambda *_: None, 0.05), 1.0)
    explorer.draw(Normal(mean=0.0, std=1.5, dim=d), 300, "wide")
    return find_design_points(explorer, 0.0, 25_000)


def heptagon(d):
    """Seven directions in a plane that no axis lies in, a seventh of a turn apart: (7, d)."""
    angle = 2.0 * np.pi * np.arange(7) / 7
    plane = stats.ortho_group.rvs(d, random_state=1)[:2]
    return np.stack([np.cos(angle), np.sin(angle)], axis=1) @ plane


@pytest.mark.slow
@pytest.mark.statistical(effect=0.45, false_fail=1e-7, false_pass=1e-2)
def test_all_sides_of_a_polygon_are_found(seed):
    """In nine of ten searches. Halfway between every second two sides lies a third: the two are not one region."""
    sides, n = heptagon(10), 80
    found = [search(planes(sides), 10, seed(4000 + k)) for k in range(n)]
    whole = [((f.points @ sides.T).max(axis=0) > BETA - 0.2).all() for f in found]
    assert_count_at_least(sum(whole), n, 0.9)
    assert np.median([f.regions for f in found]) >= 6


@pytest.mark.parametrize(("k", "walks"), [(1, 8), (2, 16), (3, 24), (4, 32)])
def test_the_more_regions_the_longer_the_search(k, walks, seed):
    """``w^2 (w + 1) / (L (L - 1))`` is a tenth or less after ``L`` walks, in rounds of eight, where 5 % was asked."""
    loss = planes(stats.ortho_group.rvs(12, random_state=2)[:k])
    found = [search(loss, 12, seed(4100 + s)) for s in range(8)]
    assert np.median([f.regions for f in found]) == k
    assert np.median([f.walks for f in found]) == walks
    for f in found:
        w, walked = f.regions, f.walks
        assert w * f.unseen <= 0.1
        assert f.unseen == pytest.approx(w * (w + 1) / (walked * (walked - 1)) if w > 1 else 0.0)


# --- axes --------------------------------------------------------------------------------------------


def heavy(signs=(1.0,)):
    """A sum of heavy-tailed terms in either direction of ``signs``: by one term beyond 4.6, by two alike beyond 4.0."""

    def loss(u):
        return np.max([np.exp(1.2 * s * u).sum(axis=1) for s in signs], axis=0) - np.exp(1.2 * 4.6)

    return loss


@pytest.mark.parametrize(("d", "signs"), [(3, (1.0,)), (5, (1.0,)), (4, (1.0, -1.0))])
def test_points_between_axes_are_where_two_terms_make_the_event(d, signs, seed):
    """One for each two axes of the same direction; of those in opposite ones the event is not halfway."""
    loss = heavy(signs)
    found = search(loss, d, seed(4200))
    assert (found.on_axes, found.between) == (d * len(signs), d * (d - 1) // 2 * len(signs))
    between = found.points[found.on_axes : found.on_axes + found.between]
    large = np.sort(np.abs(between), axis=1)[:, ::-1]
    np.testing.assert_allclose(large[:, 0], large[:, 1])
    assert not large[:, 2:].any()
    assert len(np.unique(np.sign(between), axis=0)) == len(between)
    assert (loss(between) >= 0).all()
    assert (loss(0.97 * between) < 0).all()
    assert found.regions >= found.on_axes
    assert f"({found.on_axes} on axes, {found.between} between two axes) in" in found.describe()


def test_nothing_is_between_the_axes_of_a_maximum(seed):
    """The density where two terms are both beyond is too far below the density where one is."""
    found = search(lambda u: u.max(axis=1) - 4.5, 6, seed(4201))
    assert (found.on_axes, found.between) == (6, 0)


def test_many_axes_are_not_paired(seed):
    found = search(heavy(), 20, seed(4202))
    assert (found.on_axes, found.between) == (20, 0)

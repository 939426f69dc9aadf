"""The choice between what a scheme offers and what a search finds."""

import math

import pytest

import raresim
from raresim import marginals
from raresim.methods.base import Tuned
from raresim.methods.scheme import chosen
from raresim.models import Compound, Line


def tuned(variance, evaluations):
    variances = None if variance is None else (variance,)
    return Tuned(
        proposal=None,
        iterations=(),
        evaluations=evaluations,
        variances=variances,
        starts=1,
        reached=1,
        outcome="",
    )


def of(offered, found, needed, cost):
    """What is chosen, and the most evaluations that each search was allowed."""
    allowed = []

    def search(most):
        allowed.append(most)
        return found

    return chosen(tuned(offered, 200), search, needed, cost), allowed


@pytest.mark.parametrize(
    ("offered", "found", "needed", "allowed", "variance", "evaluations"),
    [
        (2.0, 0.1, 900.0, [], 2.0, 200),
        (2.0, 0.1, 5000.0, [5000.0], 0.1, 1400),
        (2.0, 20.0, 5000.0, [5000.0], 2.0, 1400),
        (2.0, 2.2, 5000.0, [5000.0], 2.2, 1400),
        (2.0, None, 5000.0, [5000.0], 2.0, 1400),
        (None, 0.1, math.inf, [math.inf], 0.1, 1400),
    ],
    ids=["too cheap for a search", "search wins", "scheme wins", "alike", "search gave up", "no pilot"],
)
def test_the_one_with_fewer_evaluations_is_chosen(offered, found, needed, allowed, variance, evaluations):
    taken, asked = of(offered, tuned(found, 1200), needed, 1000.0)
    assert asked == allowed
    assert taken.variances == (variance,)
    assert taken.evaluations == evaluations


def test_another_round_may_search_without_limit():
    taken, allowed = of(2.0, tuned(0.1, 1200), 900.0, 1000.0)
    assert allowed == []
    taken.again(None)
    assert allowed == [math.inf]


@pytest.mark.slow
def test_a_search_beside_a_scheme_stays_within_what_the_scheme_needs(seed):
    lines = [
        Line(name=f"x{k}", frequency=marginals.Poisson(mu=m), severity=marginals.Lognormal(mean=v, std=1.3 * v))
        for k, (m, v) in enumerate([(0.7, 4.0), (0.4, 13.0), (0.2, 44.0)])
    ]
    wanted = {"measures": raresim.Probability(above=400.0), "seed": seed(1), "relative_error": 0.01}
    result = raresim.estimate(Compound(lines=lines), **wanted, max_evaluations=2_000_000)
    alone = raresim.estimate(
        Compound(lines=lines), **wanted, max_evaluations=2_000_000, method=raresim.Auto(scheme="only")
    )
    searched = result.evaluations["tune"] - alone.evaluations["tune"]
    assert any("search" in decision for decision in result.search["decisions"])
    assert searched <= alone.evaluations["estimate"] + 100

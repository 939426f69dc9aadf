"""Bounds of a mixture's entropy and of the divergence of two mixtures."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

from raresim import LowRankNormal, Mixture, Normal
from raresim.information import (
    differential_entropy,
    entropy,
    entropy_normal,
    kl_normal,
    mixture_entropy_bounds,
    mixture_kl_bound,
)

PARTS = st.lists(st.tuples(st.floats(0.05, 1.0), st.floats(-6, 6), st.floats(0.3, 3.0)), min_size=1, max_size=4)
"""Unnormalised share, mean and standard deviation of each component."""


def mixture(parts):
    shares = np.array([w for w, _, _ in parts])
    return Mixture(weights=shares / shares.sum(), components=[Normal(mean=m, std=s) for _, m, s in parts])


def density(law, x):
    parts = zip(law.shares, law.components, strict=True)
    return sum(w * stats.norm.pdf(x, c.location[0], c.scales[0]) for w, c in parts)


def integral(f, *laws):
    """Over the line, with SciPy's quadrature, cut around every component."""
    parts = [(c.location[0], c.scales[0]) for law in laws for c in law.components]
    edges = sorted({m + k * s for m, s in parts for k in (-35, -12, -6, -3, -1, 0, 1, 3, 6, 12, 35)})
    return sum(integrate.quad(f, a, b, epsabs=1e-12, limit=200)[0] for a, b in itertools.pairwise(edges))


def surprise(law):
    def f(x):
        p = density(law, x)
        return -p * math.log(p) if p > 0 else 0.0

    return f


CASES = [
    [(0.5, 0.0, 1.0), (0.5, 1.0, 1.0)],
    [(0.3, -3.0, 1.0), (0.7, 3.0, 0.5)],
    [(0.2, 0.0, 0.3), (0.3, 2.0, 2.0), (0.5, 2.5, 1.0)],
    [(0.9, 0.0, 1.0), (0.1, 0.0, 3.0)],
]


@pytest.mark.parametrize("parts", CASES)
def test_entropy_bounds_bracket_the_integral(parts):
    law = mixture(parts)
    low, high = mixture_entropy_bounds(law)
    exact = integral(surprise(law), law)
    assert low < exact < high
    assert high - low < math.log(len(parts)), "the bounds say more than the number of components does"


@pytest.mark.slow
@settings(max_examples=40)
@given(PARTS)
def test_entropy_bounds_bracket_the_entropy_of_any_mixture(parts):
    law = mixture(parts)
    low, high = mixture_entropy_bounds(law)
    assert low - 1e-9 <= differential_entropy(law).value <= high + 1e-9


@pytest.mark.slow
@given(PARTS)
def test_entropy_bounds_lie_between_the_mean_entropy_and_that_plus_the_choice(parts):
    """Knowing the component leaves the mean entropy; not knowing it adds at most the entropy of the shares."""
    law = mixture(parts)
    within = sum(w * entropy_normal(c.scales**2) for w, c in zip(law.shares, law.components, strict=True))
    low, high = mixture_entropy_bounds(law)
    assert within - 1e-9 <= low <= high + 1e-9
    assert high <= within + entropy(law.shares) + 1e-9


def test_entropy_bounds_meet_for_components_far_apart():
    """Then the entropy is that of the choice plus the mean of the components'."""
    law = mixture([(0.25, -100.0, 1.0), (0.75, 100.0, 2.0)])
    exact = stats.entropy([0.25, 0.75]) + 0.25 * stats.norm(0, 1).entropy() + 0.75 * stats.norm(0, 2).entropy()
    assert mixture_entropy_bounds(law) == pytest.approx((exact, exact), rel=1e-14)


def test_entropy_bounds_meet_for_equal_components():
    law = mixture([(0.2, 1.0, 2.0), (0.3, 1.0, 2.0), (0.5, 1.0, 2.0)])
    exact = stats.norm(1, 2).entropy()
    assert mixture_entropy_bounds(law) == pytest.approx((exact, exact), rel=1e-14)


def test_entropy_bounds_in_many_dimensions():
    """Low rank and correlated components together, 40 apart: known exactly."""
    a = LowRankNormal(mean=np.zeros(50), directions=np.eye(50)[:, :1], variances=[3.0])
    b = Normal(mean=np.full(50, 40.0), cov=np.eye(50) + 0.5)
    spread = stats.multivariate_normal(np.zeros(50), np.eye(50) + 0.5).entropy()
    exact = math.log(2) + 0.5 * (50 * stats.norm().entropy() + 0.5 * math.log(3) + spread)
    law = Mixture(weights=[0.5, 0.5], components=[a, b])
    assert mixture_entropy_bounds(law) == pytest.approx((exact, exact), rel=1e-12)


@pytest.mark.parametrize("parts", CASES)
@pytest.mark.slow_cases("parts2")
def test_kl_bound_is_above_the_integral(parts):
    p = mixture(parts)
    q = mixture([(w + 0.2, m + 0.5, 1.3 * s) for w, m, s in parts])

    def f(x):
        a, b = density(p, x), density(q, x)
        return a * math.log(a / b) if a > 0 and b > 0 else 0.0

    exact = integral(f, p, q)
    assert exact < mixture_kl_bound(p, q)


def test_kl_bound_is_the_kl_of_mixtures_whose_components_do_not_mix():
    """Shares apart by KL(w || v), each component by its own: far apart, nothing is lost."""
    p, q = mixture([(0.25, -100.0, 1.0), (0.75, 100.0, 2.0)]), mixture([(0.5, -101.0, 1.0), (0.5, 100.0, 3.0)])

    def f(x):
        a, b = density(p, x), density(q, x)
        return a * math.log(a / b) if a > 0 and b > 0 else 0.0

    exact = stats.entropy([0.25, 0.75], [0.5, 0.5]) + 0.25 * 0.5
    exact += 0.75 * (math.log(3 / 2) + 0.5 * (4 / 9 - 1))
    assert integral(f, p, q) == pytest.approx(exact, rel=1e-9)
    assert mixture_kl_bound(p, q) == pytest.approx(exact, rel=1e-14)


def test_kl_bound_of_one_component_is_the_kl():
    p, q = mixture([(1.0, 0.0, 1.0)]), mixture([(1.0, 2.0, 1.5)])
    assert mixture_kl_bound(p, q) == pytest.approx(kl_normal([0.0], [1.0], [2.0], [2.25]), rel=1e-15)
    assert mixture_kl_bound(p, p) == 0.0


def test_kl_bound_depends_on_the_order_of_the_components():
    parts = [(0.5, -3.0, 1.0), (0.5, 3.0, 1.0)]
    assert mixture_kl_bound(mixture(parts), mixture(parts)) == 0.0
    assert mixture_kl_bound(mixture(parts), mixture(parts[::-1])) == pytest.approx(18.0)

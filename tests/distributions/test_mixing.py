"""The map from one standard normal to the Student t law's mixing variable, far into both tails."""

import mpmath
import numpy as np
import pytest
from scipy import stats

from raresim import StudentT
from raresim.distributions.mixing import U_MAX, log_mixing, log_mixing_table
from tests.helpers import block

# between the nodes of the table, on both sides, to probabilities of 1e-300
POINTS = np.array([-37.003, -30.007, -20.011, -12.503, -8.317, -3.009, -1.013, -0.0121])
FAR = np.concatenate([POINTS, -POINTS[::-1]])


def log_s(u, dof):
    out = np.full(len(u), np.nan)
    log_mixing(np.asarray(u, dtype=float), log_mixing_table(dof), out)
    return out


def relative_error_of_scale(u, log_s, dof):
    """Relative error of ``s``, by one Newton step on the log of the smaller tail of ``W``, in 40 digits."""
    with mpmath.workdps(40):
        a, u = mpmath.mpf(dof) / 2, mpmath.mpf(float(u))
        h = mpmath.log(a) - 2 * mpmath.mpf(float(log_s))
        y = mpmath.exp(h)
        tail = mpmath.gammainc(a, 0, y, regularized=True) if u < 0 else mpmath.gammainc(a, y, regularized=True)
        wanted = mpmath.erfc(abs(u) / mpmath.sqrt(2)) / 2
        slope = mpmath.exp(a * h - y - mpmath.loggamma(a)) / tail  # of log tail in log y, up to its sign
        return float(mpmath.log(tail / wanted) / slope / 2)


@pytest.mark.parametrize("dof", [0.1, 0.5, 1.0, 2.1, 3.0, 4.0, 7.5, 30.0, 200.0, 1e4, 1e5])
def test_mixing_variable_is_exact_far_into_both_tails(dof):
    errors = [relative_error_of_scale(u, s, dof) for u, s in zip(FAR, log_s(FAR, dof), strict=True)]
    assert np.abs(errors).max() < 1e-10


def test_many_degrees_of_freedom_are_the_normal_law():
    """``s`` is ``1 - u / sqrt(2 dof)`` and smaller terms: its distance from one is under 0.02 at 1e5."""
    values = log_s(np.linspace(-8, 8, 33), 1e5)
    assert np.abs(values).max() < 0.02


def test_mixing_falls_from_the_wild_to_the_calm_and_is_continuous_at_the_nodes():
    nodes = np.linspace(-U_MAX, U_MAX, 3001)[1:-1]
    u = np.sort(np.concatenate([nodes - 1e-12, nodes, nodes + 1e-12]))
    values = log_s(u, 4.0)
    assert (np.diff(log_s(nodes, 4.0)) < 0).all()
    assert np.abs(np.diff(values.reshape(-1, 3), axis=1)).max() < 1e-11


def test_mixing_beyond_the_table_goes_on_in_a_line():
    u = np.array([-U_MAX - 2, -U_MAX - 1, -U_MAX, U_MAX, U_MAX + 1, U_MAX + 2])
    values = log_s(u, 4.0)
    assert np.isfinite(values).all()
    np.testing.assert_allclose(np.diff(values[:3])[0], np.diff(values[:3])[1], rtol=1e-9)
    assert (np.diff(values) < 0).all()


@pytest.mark.parametrize("dof", [0.5, 1.0, 3.0, 7.5, 100.0])
def test_scale_mixture_of_normals_has_the_t_tail(dof):
    """``P(x > c) = E[Phi(-c / s(u))]`` by quadrature over ``u`` against ``scipy.stats.t``, to a tail of 1e-12."""
    u = np.linspace(-37, 37, 7401)
    weight = stats.norm.pdf(u) * (u[1] - u[0])
    calm = np.exp(-log_s(u, dof))  # not s itself: it overflows where the weight is 1e-300
    for tail in (0.1, 1e-3, 1e-6, 1e-12):
        c = stats.t.isf(tail, dof)
        assert weight @ stats.norm.sf(c * calm) == pytest.approx(tail, rel=1e-10)


def test_map_agrees_with_the_mixing_variable_far_out():
    """``x = loc + s(u0) (loc's normal)``: rows at ``|u0|`` of 37, where a rounded ``Phi(u0)`` would be 0 or 1."""
    law = StudentT(dof=3.0, loc=[1.0, -2.0], scale=[0.5, 2.0])
    u = np.asfortranarray(np.column_stack([FAR, np.full(16, 1.5), np.full(16, -0.7)]))
    x = law.to_physical(u, block(16, 2))
    s = np.exp(log_s(FAR, 3.0))
    expected = np.column_stack([1.0 + s * 0.5 * 1.5, -2.0 + s * 2.0 * -0.7])
    np.testing.assert_allclose(x, expected, rtol=1e-12)

"""Random problems of the study of trust: their answers against draws and other formulas, and their spread."""

import importlib
import itertools
import math
import pickle
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from scipy import integrate, special, stats

from raresim import StandardNormal
from tests.helpers import normals
from tests.statistical import assert_within_error

STUDIES = Path(__file__).parents[2] / "experiments"
NAMES = ("problems", "targets", "runs", "suite", "exact_tails", "branches", "random_problems")


def modules():
    """The files of the study, without leaving their names behind."""
    hidden = {name: sys.modules.pop(name) for name in NAMES if name in sys.modules}
    before = list(sys.path)
    sys.path[:0] = [str(STUDIES / "trust"), str(STUDIES / "methods")]
    try:
        return [importlib.import_module(name) for name in NAMES[3:]]
    finally:
        sys.path[:] = before
        for name in NAMES:
            sys.modules.pop(name, None)
        sys.modules.update(hidden)


suite, exact_tails, branches, study = modules()
OPEN = 1000
"""Numbers below this may be looked at."""


@pytest.fixture(scope="module")
def problems():
    return [study.problem(number) for number in range(OPEN)]


def rows_of(problem, normals):
    """Inputs (n, d) of the first columns of ``normals``."""
    u = normals[:, : problem.inputs.latent_dim]
    return problem.inputs.to_physical(u, np.empty((len(u), problem.dim), order="F"))


def log_weights(u, widened):
    """Of normals that were drawn ``widened`` times as wide."""
    return u.shape[1] * math.log(widened) - 0.5 * (1.0 - widened**-2) * np.einsum("ij,ij->i", u, u)


def wide(seed, n=500, dim=100):
    """Normals that are twice as wide, in Fortran order."""
    return np.asfortranarray(2.0 * np.random.default_rng(seed).standard_normal((n, dim)))


def first_of_each(problems, n, **limits):
    """The first ``n`` of each kind and form with at most so many dimensions."""
    seen = Counter()
    for problem in problems:
        place = problem.kind, problem.form
        if problem.dim <= limits["most"] and seen[place] < n:
            seen[place] += 1
            yield problem


# The answers.


@pytest.mark.slow
@pytest.mark.statistical(effect=0.2, false_fail=2e-7, false_pass=1e-2)
def test_the_same_problems_made_common_fail_as_often_as_they_say(problems, seed):
    """Two draws in a hundred of each fail, which 300,000 plain draws know to about a per cent."""
    n, share, answer = 300_000, [], []
    chosen = list(first_of_each(problems, 3, most=12))
    normals = np.asfortranarray(np.random.default_rng(seed(1)).standard_normal((n, 20)))
    assert len(chosen) >= 60
    assert {problem.form for problem in chosen} == {form for forms in study.FORMS.values() for form in forms}
    for problem in chosen:
        common = study.problem(problem.number, 0.02)
        share.append(np.mean(common.loss(rows_of(common, normals)) >= 0.0))
        answer.append(common.probability)
        assert (common.form, common.system) == (problem.form, problem.system)
    answer = np.array(answer)
    assert ((answer > 0.006) & (answer < 0.04)).all()
    assert_within_error(np.array(share), answer, np.sqrt(answer * (1.0 - answer) / n))


@pytest.mark.slow
@pytest.mark.statistical(effect=0.9, false_fail=2e-7, false_pass=1e-2)
def test_rare_problems_of_few_dimensions_fail_as_often_as_they_say(problems, seed):
    """Wide normals, whose weights have a bound, see every region however rare it is."""
    n, value, error, answer = 400_000, [], [], []
    low = [problem for problem in problems if problem.dim <= 4 and problem.system == "any"]
    chosen = [problem for problem in low if problem.probability < 1e-4][:50]
    normals = np.asfortranarray(2.8 * np.random.default_rng(seed(2)).standard_normal((n, 4)))
    for problem in chosen:
        weight = np.exp(log_weights(normals[:, : problem.dim], 2.8))
        terms = weight * (problem.loss(rows_of(problem, normals)) >= 0.0)
        value.append(terms.mean())
        error.append(terms.std() / math.sqrt(n))
        answer.append(problem.probability)
    assert min(answer) < 1e-8
    assert_within_error(np.array(value), np.array(answer), np.array(error))


@pytest.fixture
def finer(monkeypatch):
    """Five more nodes in each panel."""

    def forget():
        exact_tails._lognormal_table.cache_clear()
        exact_tails._t_table.cache_clear()

    legendre = exact_tails.panels
    monkeypatch.setattr(exact_tails, "panels", lambda edges, n=12: legendre(edges, n + 5))
    forget()
    yield
    forget()


@pytest.mark.slow
@pytest.mark.usefixtures("finer")
def test_answers_are_those_of_more_nodes(problems):
    independent = [problem for problem in problems if problem.form not in {"desks", "polygon"}]
    for problem in first_of_each(independent, 6, most=100):
        parts = [(branch.part, branch.level) for branch in problem.columns.branches]
        z, w = exact_tails.normal_nodes([z for part, level in parts for z in part.breaks(level)], 150)
        tails = np.array([part.tail(level, z) for part, level in parts])
        value = w @ exact_tails.system_tail(tails, problem.loss.at_least)
        assert value == pytest.approx(problem.probability, rel=1e-8 + 2.0 * problem.rel_accuracy), problem.number


@pytest.mark.parametrize(("at_least", "n"), [(1, 1), (1, 4), (2, 4), (3, 5), (4, 4)])
def test_a_system_of_independent_events_is_the_sum_over_all_outcomes(at_least, n):
    p = np.array([0.3, 1e-9, 0.02, 0.7, 1e-4])[:n, np.newaxis] * [[1.0, 1e-3]]
    every = sum(
        np.prod([p[k] if on else 1.0 - p[k] for k, on in enumerate(outcome)], axis=0)
        for outcome in itertools.product((False, True), repeat=n)
        if sum(outcome) >= at_least
    )
    assert exact_tails.system_tail(p, at_least) == pytest.approx(every, rel=1e-12)


@pytest.mark.parametrize("t", [2.0, 4.0, 30.0, 70.0])
def test_quadratic_tails_are_those_of_known_laws(t):
    for dof in (1, 2, 7, 40):
        if stats.chi2.sf(t, dof) > 0.5:
            continue
        same = exact_tails.quadratic_tail(t, np.zeros(dof), np.ones(dof))
        assert same == pytest.approx(stats.chi2.sf(t, dof), rel=1e-10)
    moved = exact_tails.quadratic_tail(t, np.array([2.0, 0.0, 0.0]), np.ones(3))
    assert moved == pytest.approx(stats.ncx2.sf(t + 1.0, 3, 1.0), rel=1e-9)
    assert exact_tails.quadratic_tail(t, np.array([2.0, 0.0]), np.zeros(2)) == pytest.approx(special.ndtr(-t / 2.0))
    for bend in (-0.3, 0.1, 0.4):
        tail = exact_tails.quadratic_tail(0.1 * t, np.array([1.0, 0.0, 0.0]), np.array([0.0, bend, bend]))
        parts = [
            integrate.quad(
                lambda q, bend=bend: special.ndtr(bend * q - 0.1 * t) * 0.5 * math.exp(-0.5 * q), a, b, epsabs=0.0
            )
            for a, b in ((0.0, 2.0), (2.0, 20.0), (20.0, 200.0))
        ]
        assert tail == pytest.approx(sum(part[0] for part in parts), rel=1e-8)


@pytest.mark.slow
def test_a_quadratic_tail_whose_steepest_way_grows_is_that_of_draws(seed):
    """Along that way the integrand is 3e8 times what it is at the saddle: the sum over it was 1e-9."""
    linear = np.array([-0.500270, -4.567764, -0.153381, 1.567620])
    square = np.array([1.0, 0.164359, 0.941281, 0.219756])
    z = normals(2_000_000, 4, seed(760))
    hits = np.count_nonzero(z @ linear + np.square(z) @ square >= 24.470928)
    exact = exact_tails.quadratic_tail(24.470928, linear, square)
    assert exact == pytest.approx(1.889e-4, rel=1e-3)
    assert abs(hits - 2_000_000 * exact) < 5.5 * math.sqrt(2_000_000 * exact)


def test_quadratic_tails_of_either_sign_are_those_of_two_chi_squares():
    for t in (1.0, 10.0, 30.0):
        tail = exact_tails.quadratic_tail(t, np.zeros(4), np.array([1.0, 1.0, -0.4, -0.4]))
        assert tail == pytest.approx(math.exp(-0.5 * t) / 1.4, rel=1e-9)


def test_sums_with_heavy_tails_are_those_of_other_formulas():
    for t in (4.0, 40.0, 300.0):
        beyond = special.ndtr(-math.log(t))
        inner = integrate.quad(
            lambda z, t=t: stats.norm.pdf(z) * special.ndtr(-math.log(t - math.exp(z))),
            -12.0,
            math.log(t),
            epsabs=0.0,
            epsrel=1e-11,
            limit=500,
            points=[0.0, math.log(0.99 * t)],
        )[0]
        assert exact_tails.lognormal_sum_tail(t, 1.0, 2) == pytest.approx(beyond + inner, rel=1e-8)
    for terms, t in ((2, 30.0), (3, 60.0), (4, 90.0)):
        assert 2.0 * exact_tails.t_sum_tail(t, 3.0, terms) == pytest.approx(suite.either_t_sum(t, terms), rel=1e-7)
    assert exact_tails.t_sum_tail(-2.0, 5.0, 2) == pytest.approx(1.0 - exact_tails.t_sum_tail(2.0, 5.0, 2))


@pytest.mark.slow
def test_tables_of_sums_are_as_exact_as_they_say(monkeypatch):
    def tails():
        exact_tails._lognormal_table.cache_clear()
        exact_tails._t_table.cache_clear()
        of_lognormals = [exact_tails.lognormal_sum_tail(t, sigma, 4) for sigma, t in ((0.3, 6.0), (1.2, 90.0))]
        return of_lognormals + [exact_tails.t_sum_tail(t, dof, 4) for dof, t in ((3.0, 5.0), (8.0, 30.0))]

    coarse, spaced = tails(), np.linspace
    with monkeypatch.context() as finer:
        finer.setattr(exact_tails.np, "linspace", lambda low, high, n: spaced(low, high, 2 * n - 1))
        assert tails() == pytest.approx(coarse, rel=study.TABLES)
    tails()


def test_a_table_of_three_lognormals_is_close_to_two_dimensions_of_quadrature():
    z, w = exact_tails.normal_nodes(n_panels=160)
    sigma, t = 0.8, 50.0
    left = t - np.exp(sigma * z[:, np.newaxis]) - np.exp(sigma * z)
    tail = np.where(left > 0.0, special.ndtr(-np.log(np.maximum(left, 1e-300)) / sigma), 1.0)
    assert exact_tails.lognormal_sum_tail(t, sigma, 3) == pytest.approx(w @ tail @ w, rel=1e-4)


def test_unions_of_planes_are_those_of_a_polygon_and_of_independent_ones():
    angles, betas = np.array([0.3, 1.9, 3.6, 5.1]), np.array([3.1, 3.5, 2.9, 3.3])
    directions = np.column_stack([np.cos(angles), np.sin(angles)])
    value, accuracy = exact_tails.union_of_planes(directions, betas)
    assert accuracy < 1e-6
    assert exact_tails.outside_polygon(angles, betas) == pytest.approx(value, rel=1e-7)
    assert exact_tails.outside_polygon(np.arange(4) * math.pi / 2, np.full(4, 3.0)) == pytest.approx(
        1.0 - (1.0 - 2.0 * special.ndtr(-3.0)) ** 2, rel=1e-10
    )
    three, accuracy = exact_tails.union_of_planes(np.eye(5)[:3], np.full(3, 1.0))
    assert three == pytest.approx(1.0 - special.ndtr(1.0) ** 3, rel=1e-9)
    assert accuracy < 1e-9


def test_common_parts_of_three_planes_follow_from_one_factor():
    load, betas = 0.6, np.array([2.0, 2.3, 2.6])
    directions = np.column_stack([np.full(3, load), 0.8 * np.eye(3)])
    z, w = exact_tails.normal_nodes()
    p = special.ndtr((load * z - betas[:, np.newaxis]) / 0.8)
    value, accuracy = exact_tails.union_of_planes(directions, betas)
    assert value == pytest.approx(w @ exact_tails.system_tail(p, 1), rel=max(1e-8, accuracy))


@pytest.mark.parametrize(
    ("kind", "shape"), [("normal", 0.1), ("lognormal", 0.4), ("gumbel", 0.2), ("weibull", 3.0), ("gamma", 5.0)]
)
def test_laws_of_answers_are_the_marginals_of_inputs(kind, shape):
    law = branches.Law(kind, shape, 250.0)
    marginal = law.marginal()
    z = np.array([-5.0, -1.0, 0.0, 2.0, 6.0])
    x = np.empty(5)
    marginal.from_normal(z, x)
    assert law.quantile(z) * 250.0 == pytest.approx(x, rel=1e-8)
    assert law.cdf(x / 250.0) == pytest.approx(np.exp(marginal.logcdf(x)), rel=1e-6)


# What a problem is.


def test_transforms_increase_and_keep_zero():
    y = np.concatenate([-np.geomspace(40.0, 1e-12, 300), [0.0], np.geomspace(1e-12, 40.0, 300)])
    for shape in (*branches.SMOOTH, *branches.STEPPED):
        moved = branches.Transform(shape, 0.3, 0.7)(y)
        assert (np.diff(moved) >= 0.0).all()
        assert ((moved >= 0.0) == (y >= 0.0)).all(), shape


@pytest.mark.slow
def test_the_loss_is_the_kth_largest_column(problems, seed):
    for problem in first_of_each(problems, 4, most=60):
        x = rows_of(problem, wide(seed(3)))
        columns = problem.columns(x)
        k = {"any": 1, "all": problem.branches}.get(problem.system, problem.system)
        assert columns.shape == (500, problem.branches)
        assert np.isfinite(columns).all()
        assert np.array_equal(problem.loss(x), np.sort(columns, axis=1)[:, -k])


@pytest.mark.slow
def test_a_number_makes_the_same_problem_again_and_after_pickling(problems, monkeypatch, seed):
    for module in (exact_tails, branches, study):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    for problem in first_of_each(problems, 1, most=40):
        x = rows_of(problem, wide(seed(4), 50))
        again, sent = study.problem(problem.number), pickle.loads(pickle.dumps(problem))
        for other in (again, sent):
            assert other.probability == problem.probability
            assert np.array_equal(other.loss(x), problem.loss(x))
            assert (other.form, other.kind, other.system, other.text) == (
                problem.form,
                problem.kind,
                problem.system,
                problem.text,
            )


@pytest.mark.slow
def test_rows_in_either_order_of_memory_have_the_same_loss(problems, seed):
    for problem in first_of_each(problems, 1, most=40):
        x = rows_of(problem, wide(seed(5), 50))
        assert problem.loss(np.ascontiguousarray(x)) == pytest.approx(problem.loss(x), rel=1e-9, abs=1e-9)


@pytest.mark.slow
def test_problems_spread_as_announced(problems):
    kinds = Counter(problem.kind for problem in problems)
    assert 0.18 <= kinds["one"] / OPEN <= 0.26
    assert 0.46 <= kinds["smooth"] / OPEN <= 0.58
    assert 0.20 <= kinds["stepped"] / OPEN <= 0.32
    p, d = np.array([problem.probability for problem in problems]), np.array([problem.dim for problem in problems])
    assert ((p > 5e-10) & (p < 2e-2)).all()
    for low in range(-9, -2):
        assert 0.08 <= np.mean((np.log10(p) >= low) & (np.log10(p) < low + 1)) <= 0.21
    assert (d.min(), d.max()) == (2, 100)
    assert 0.5 < np.mean(d < 20) < 0.75
    assert 0.05 < np.mean(d > 60) < 0.2
    assert max(problem.rel_accuracy for problem in problems) <= 1e-6
    assert min(Counter(problem.form for problem in problems).values()) >= 8
    several = [problem for problem in problems if problem.branches > 1]
    assert 0.1 < np.mean([problem.system != "any" for problem in several]) < 0.4
    of_any = [problem for problem in several if problem.system == "any"]
    assert np.mean([any(0.01 <= share <= 0.1 for share in problem.shares) for problem in of_any]) > 0.3
    assert np.mean([isinstance(problem.inputs, StandardNormal) for problem in problems]) > 0.7


@pytest.mark.slow
def test_kinds_are_what_they_say(problems):
    for problem in problems:
        in_steps = any(branch.is_stepped for branch in problem.columns.branches)
        assert in_steps == (problem.kind == "stepped")
        assert problem.branches == 1 or problem.kind != "one"
        assert problem.kind != "smooth" or problem.branches > 1

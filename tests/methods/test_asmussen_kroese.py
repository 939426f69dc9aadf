"""The estimator of Asmussen and Kroese: exact conditionals, heavy tails, and the inputs that it refuses."""

import math

import numpy as np
import pytest
from scipy import integrate, stats

from raresim import Independent, Linear, Normal, Probability, PythonLoss, StandardNormal
from raresim import marginals as m
from raresim.config import load as configs
from raresim.engine.executors import Executor
from raresim.engine.fold import Sampler
from raresim.engine.problem import Problem
from raresim.errors import FieldError
from raresim.estimators.conditional_sum import ConditionalSum
from raresim.methods.asmussen_kroese import AsmussenKroese
from raresim.record.event import Event
from tests.problems import Case, linear_normal, several, solve
from tests.statistical import assert_count_at_least, assert_scores_are_standard, assert_within_error


def case_of(laws, weights, exact, **measure):
    inputs = Independent(marginals=laws)
    loss = Linear(weights=weights, factors="losses")
    return Case("sum", inputs, loss, Probability(**measure), [exact])


def tail_of_two(x, first, second):
    """``P(X + Y > x)`` of two positive laws of SciPy, by quadrature."""
    inner = integrate.quad(lambda t: first.pdf(t) * second.sf(x - t), 0, x, limit=500, epsabs=0, epsrel=1e-9)[0]
    return inner + first.sf(x)


def exponentials(d, x, **options):
    return case_of([m.Exponential(scale=2.0)] * d, [1.0] * d, stats.gamma.sf(x, d, scale=2.0), above=x, **options)


def paretos():
    exact = tail_of_two(1e4, stats.pareto(1.5), stats.pareto(2.5, scale=6.0))
    return case_of([m.Pareto(b=1.5), m.Pareto(b=2.5, scale=2.0)], [1.0, 3.0], exact, above=1e4)


def lognormals():
    exact = tail_of_two(300.0, stats.lognorm(1.0, scale=2.0), stats.lognorm(1.5))
    return case_of([m.Lognormal(s=1.0), m.Lognormal(s=1.5)], [2.0, 1.0], exact, above=300.0)


def weibulls():
    exact = tail_of_two(200.0, *(stats.weibull_min(0.5),) * 2)
    return case_of([m.Weibull(c=0.5)] * 2, [1.0, 1.0], exact, above=200.0)


SHORT = case_of([m.Exponential(scale=1.0)] * 3, [-1.0] * 3, stats.gamma.cdf(0.05, 3), above=-0.05)
BELOW = case_of([m.Exponential(scale=1.0)] * 3, [1.0] * 3, stats.gamma.cdf(0.2, 3), below=0.2)
DIFFERENCE = case_of([m.Exponential(scale=1.0)] * 2, [1.0, -1.0], 0.5 * math.exp(-6.0), above=6.0)
UNUSED = case_of(
    [m.Exponential(scale=1.0), m.Poisson(mu=2.0), m.Exponential(scale=1.0)],
    [1.0, 0.0, 1.0],
    stats.gamma.sf(12.0, 2),
    above=12.0,
)


@pytest.mark.parametrize(
    "case",
    [paretos, lognormals, weibulls, exponentials(4, 40.0), SHORT, BELOW, DIFFERENCE, UNUSED, linear_normal(3, 3.0)],
    ids=["pareto", "lognormal", "weibull", "exponential", "negative", "below", "difference", "unused", "normal"],
)
@pytest.mark.statistical(effect=0.25, false_fail=1e-7, false_pass=1e-3)
def test_answer_is_exact_within_its_error(case, seed):
    """5 standard errors of 2 % against quadrature and closed forms; signs, weights and sides differ."""
    case = case() if callable(case) else case  # their quadrature is not for the collection of tests
    result = solve(case, seed(331), method=AsmussenKroese(), relative_error=0.02)
    assert_within_error(result.estimates[0].value, case.exact[0], result.estimates[0].std_error)
    assert result.estimates[0].relative_error <= 0.02
    assert result.evaluations["tune"] == sum(row.evaluations for row in result.iterations)


@pytest.mark.statistical(effect=0.25, false_fail=1e-7, false_pass=1e-3)
def test_several_thresholds_are_read_from_the_same_draws(seed):
    case = several(0.5, 1.5, 3.0)
    result = solve(case, seed(332), method=AsmussenKroese(), relative_error=0.02)
    assert_within_error([e.value for e in result.estimates], case.exact, [e.std_error for e in result.estimates])


def test_relative_error_stays_small_as_the_threshold_grows(seed):
    """Two Pareto summands: as the probability falls by 1e-9 the relative variance of a draw stays under a half.

    Far out one summand alone makes the sum: ``P(S > x)`` is ``2 x^-b`` but for ``b E X / x``, here 5e-8.
    """
    for x in (1e2, 1e4, 1e8):
        case = case_of([m.Pareto(b=1.5)] * 2, [1.0, 1.0], 2 * x**-1.5, above=x)
        options = {"relative_error": None, "max_evaluations": 20_000}
        (e,) = solve(case, seed(333), method=AsmussenKroese(), **options).estimates
        assert e.relative_error**2 * e.diagnostics["rows"] < 0.5
    assert e.value == pytest.approx(case.exact[0], rel=5 * e.relative_error + 1e-6)


def sum_of(case):
    problem = Problem(case.inputs, case.loss.bind(case.inputs))
    return ConditionalSum(Sampler(problem, None, 1), (), case.inputs.laws, problem.loss.exposure)


def test_weight_is_the_sum_of_conditional_probabilities():
    """Against the formula, term by term; of two draws the second has a value that dwarfs the others."""
    x = np.asfortranarray([[1.0, 2.5, 4.0], [3.0, 1e300, 2.0]])
    laws = [m.Pareto(b=2.0), m.Lognormal(s=1.0), m.Exponential(scale=3.0)]
    case = case_of(laws, [1.0, 2.0, 0.5], 0.0, above=10.0)
    y = x * [1.0, 2.0, 0.5]
    for row, seen in enumerate(np.exp(sum_of(case).log_weight(x, Event(10.0)))):
        exact = 0.0
        for i, (law, w) in enumerate(zip(laws, [1.0, 2.0, 0.5], strict=True)):
            others = np.delete(y[row], i)
            exact += float(law.sf(max(others.max(), 10.0 - others.sum()) / w))
        assert seen == pytest.approx(exact, rel=1e-12)


def test_one_summand_is_exact():
    case = case_of([m.Pareto(b=2.0)], [3.0], 0.01, above=30.0)
    np.testing.assert_allclose(np.exp(sum_of(case).log_weight(np.ones((2, 1)), Event(30.0))), 0.01, rtol=1e-12)


@pytest.mark.slow
@pytest.mark.statistical(effect=1.5, false_fail=3e-7, false_pass=1e-3)
def test_intervals_cover(seed):
    """40 runs: mean z beyond 0.8, an error wrong by half, or coverage under 70 % would show."""
    case = exponentials(3, 20.0)
    z, covered = [], 0
    for r in range(40):
        (e,) = solve(case, seed(3300 + r), method=AsmussenKroese(), relative_error=0.05).estimates
        z.append((e.value - case.exact[0]) / e.std_error)
        covered += e.interval[0] <= case.exact[0] <= e.interval[1]
    assert_scores_are_standard(z)
    assert_count_at_least(covered, 40, 0.92)


@pytest.mark.parametrize(
    ("inputs", "loss", "message"),
    [
        (
            StandardNormal(dim=2),
            PythonLoss(function=lambda x: x.sum(axis=1)),
            "loss: must be a weighted sum of the factors for method asmussen_kroese (kind linear, without "
            "revalue), got Python function <lambda>",
        ),
        (
            Normal(cov=[[1.0, 0.5], [0.5, 1.0]]),
            Linear(weights=[1.0, 1.0]),
            "inputs: must be independent for method asmussen_kroese (kind independent, standard_normal, or normal with "
            "std), got normal",
        ),
        (
            Independent(marginals=[m.Exponential(scale=1.0), m.Poisson(mu=3.0)]),
            Linear(weights=[1.0, 1.0], factors="losses"),
            "inputs: must have continuous laws for method asmussen_kroese, got ",
        ),
    ],
    ids=["loss", "dependent", "discrete"],
)
def test_other_problems_are_refused(inputs, loss, message, seed):
    case = Case("refused", inputs, loss, Probability(above=5.0), [0.0])
    with pytest.raises(FieldError) as caught:
        solve(case, seed(334), method=AsmussenKroese())
    assert str(caught.value).startswith(message)


@pytest.mark.statistical(effect=0.25, false_fail=1e-7, false_pass=1e-3)
def test_independent_normals_by_their_std(seed):
    inputs = Normal(mean=[1.0, -1.0], std=[1.0, 2.0])
    case = Case("n", inputs, Linear(weights=[1.0, 1.0]), Probability(above=5.0), [stats.norm.sf(5.0 / math.sqrt(5.0))])
    result = solve(case, seed(335), method=AsmussenKroese(), relative_error=0.02)
    assert_within_error(result.estimates[0].value, case.exact[0], result.estimates[0].std_error)


def test_workers_change_no_digit(seed):
    options = {"method": AsmussenKroese(), "relative_error": 0.01}
    with Executor.of("threads", 2) as executor:
        spread = solve(lognormals(), seed(336), executor, **options)
    assert repr(spread.estimates) == repr(solve(lognormals(), seed(336), **options).estimates)


@pytest.mark.statistical(effect=0.5, false_fail=1e-7, false_pass=1e-3)
def test_runs_from_yaml(tmp_path):
    (tmp_path / "one.yaml").write_text(
        "seed: 5\ninputs: {kind: independent, marginal: {kind: exponential, scale: 2}, dim: 4}\n"
        "loss: {kind: linear, weights: [1, 1, 1, 1], factors: losses}\n"
        "measures: [{kind: probability, above: 30}]\nstop: {relative_error: 0.05}\nmethod: {kind: asmussen_kroese}\n"
    )
    result = configs.load(tmp_path / "one.yaml").experiment().run()
    assert_within_error(result.estimates[0].value, stats.gamma.sf(15.0, 4), result.estimates[0].std_error)

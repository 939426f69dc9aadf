"""Exponential tilts: laws against their definition, the closed-form update, and sums whose law is known."""

import numpy as np
import pytest
from scipy import special, stats

from raresim import CrossEntropy, Importance, Normal, Probability, PythonLoss, StandardNormal, StudentT, marginals
from raresim.config import load as configs
from raresim.distributions.exponential_tilt import ExponentialTilt, natural_factors, tilted
from raresim.distributions.independent import Independent
from raresim.engine.executors import Executor
from raresim.engine.problem import Problem
from raresim.errors import FieldError, RaresimError
from raresim.proposals.exponential_tilt import ExponentialTilting
from tests.helpers import draws, logpdf
from tests.problems import Case, solve
from tests.statistical import assert_count_at_least, assert_scores_are_standard, assert_within_error

N = 50_000

FACTORS = {
    "normal": (marginals.Normal(loc=1.0, scale=2.0), 4.0),
    "exponential": (marginals.Exponential(loc=-1.0, scale=0.5), 1.5),
    "gamma": (marginals.Gamma(a=0.7, scale=2.0, loc=0.5), 4.0),
    "poisson": (marginals.Poisson(mu=0.8), 3.0),
    "bernoulli": (marginals.Bernoulli(p=0.05), 0.6),
    "binomial": (marginals.Binomial(n=12, p=0.1), 7.0),
    "geometric": (marginals.Geometric(p=0.4), 6.0),
    "negative_binomial": (marginals.NegativeBinomial(n=2.5, p=0.6), 5.0),
    "finite": (marginals.Finite(values=[-1.0, 0.0, 2.0, 10.0], probabilities=[0.3, 0.6, 0.09, 0.01]), 3.0),
}
MIXED = Independent(marginals={name: law for name, (law, _) in FACTORS.items()})
MEANS = np.array([mean for _, mean in FACTORS.values()])


def total(x):
    return x.sum(axis=1)


def support_points(law, mean):
    """Values around both means, at which the law has a density or a probability."""
    if law.kind == "finite":
        return law.atoms
    low, high = max(law.support[0], -5.0), min(law.support[1], 3.0 * mean)
    return np.arange(low, high + 1.0) if law.discrete else np.linspace(low, high, 23)[1:-1]


# --- the law -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", FACTORS)
def test_tilt_is_the_law_times_an_exponential_with_the_stated_mean(kind):
    """``log p_theta - log p`` is a straight line, and the mean is the one that was asked for."""
    law, mean = FACTORS[kind]
    for wanted in (mean, law.moments().mean, 0.5 * (law.moments().mean + law.support[0])):
        if not np.isfinite(wanted):
            continue
        tilt = tilted(law, wanted)
        assert type(tilt) is type(law)
        assert tilt.moments().mean == pytest.approx(wanted, rel=1e-10, abs=1e-12)
        x = support_points(law, mean)
        gap = tilt.logpdf(x) - law.logpdf(x)
        line = np.polynomial.Polynomial.fit(x, gap, 1)
        np.testing.assert_allclose(gap, line(x), atol=1e-9)
        theta = line.deriv()(0.0)
        assert np.sign(np.round(theta, 12)) == np.sign(np.round(wanted - law.moments().mean, 12))


def test_law_is_the_product_of_its_tilted_factors(seed):
    law = ExponentialTilt(law=MIXED, mean=MEANS)
    x = draws(law, 300, seed(861))
    known = [
        stats.norm(4.0, 2.0).logpdf(x[:, 0]),
        stats.expon(-1.0, 2.5).logpdf(x[:, 1]),
        stats.gamma(0.7, 0.5, 5.0).logpdf(x[:, 2]),
        stats.poisson(3.0).logpmf(x[:, 3]),
        stats.bernoulli(0.6).logpmf(x[:, 4]),
        stats.binom(12, 7.0 / 12.0).logpmf(x[:, 5]),
        stats.geom(1.0 / 6.0).logpmf(x[:, 6]),
        stats.nbinom(2.5, 2.5 / 7.5).logpmf(x[:, 7]),
        law.laws[8].logpdf(x[:, 8]),
    ]
    np.testing.assert_allclose(logpdf(law, x), np.sum(known, axis=0), rtol=1e-10)


@pytest.mark.statistical(effect=0.2, false_fail=2e-7, false_pass=1e-3)
def test_draws_have_the_means_and_variances_of_the_tilt(seed):
    """5 standard errors of each factor; the stretched ones are drawn by the untilted law."""
    law = ExponentialTilt(law=MIXED, mean=MEANS)
    x = draws(law, N, seed(862))
    variances = np.array([one.moments().variance for one in law.laws])
    assert_within_error(x.mean(axis=0), MEANS, np.sqrt(variances / N))
    squares = np.square(x - MEANS)
    assert_within_error(squares.mean(axis=0), variances, squares.std(axis=0) / np.sqrt(N))


@pytest.mark.statistical(effect=8, false_fail=2e-7, false_pass=1e-3)
def test_weights_turn_tilted_draws_into_the_target(seed):
    """``E_q[p/q] = 1`` and ``E_q[x p/q] = E_p x`` for continuous and discrete factors: 5 errors."""
    law = ExponentialTilt(law=MIXED, mean=0.7 * MIXED_MEANS + 0.3 * MEANS)
    x = draws(law, N, seed(863))
    weight = np.exp(logpdf(MIXED, x) - logpdf(law, x))
    assert_within_error(weight.mean(), 1.0, weight.std() / np.sqrt(N))
    weighted = weight[:, None] * x
    assert_within_error(weighted.mean(axis=0), MIXED_MEANS, weighted.std(axis=0) / np.sqrt(N))


MIXED_MEANS = np.array([law.moments().mean for law in MIXED.laws])


def test_normal_inputs_are_tilted_by_shifts(seed):
    x = np.asfortranarray(np.random.default_rng(seed(864)).normal(size=(50, 2)))
    tilt = ExponentialTilt(law=Normal(mean=[1.0, 0.0], std=[2.0, 1.0]), mean=[3.0, -1.0])
    np.testing.assert_allclose(logpdf(tilt, x), logpdf(Normal(mean=[3.0, -1.0], std=[2.0, 1.0]), x), rtol=1e-12)
    shifted = ExponentialTilt(law=StandardNormal(dim=2), mean=[1.0, 2.0])
    np.testing.assert_allclose(logpdf(shifted, x), logpdf(Normal(mean=[1.0, 2.0]), x), rtol=1e-12)


@pytest.mark.parametrize(
    ("law", "mean", "message"),
    [
        (Independent(marginal=marginals.Bernoulli(p=0.1), dim=2), [0.5, 1.0], "mean: must be above 0 and below 1 at"),
        (Independent(marginal=marginals.Gamma(a=1.0), dim=1), [0.0], "mean: must be above 0 and below inf at"),
        (Independent(marginals={"y": marginals.Lognormal(s=1.0)}), [2.0], "law: has no closed form for the factor y"),
        (StudentT(dof=4.0), [1.0], "law: must have independent factors to be tilted, got a law of kind student_t"),
        (Normal(mean=[0.0, 0.0], cov=[[1.0, 0.5], [0.5, 1.0]]), [1.0, 1.0], "law: must have independent factors"),
        (MIXED, [1.0], "mean: must have 9 entries, got 1"),
    ],
)
def test_bad_parameters_are_refused(law, mean, message):
    with pytest.raises(FieldError, match=message):
        ExponentialTilt(law=law, mean=mean)


# --- the fit -----------------------------------------------------------------------------------------


def fit(current, u, weight=None):
    family = ExponentialTilting()
    return family.fit(current, family.suffstats(current, u, np.ones(len(u)) if weight is None else weight))


def test_fit_takes_the_weighted_means(seed):
    x = draws(ExponentialTilt(law=MIXED, mean=MEANS), 2000, seed(865))
    weight = np.random.default_rng(seed(866)).exponential(size=2000)
    found = fit(MIXED, x, weight)
    np.testing.assert_allclose(found.means, weight @ x / weight.sum(), rtol=1e-12)
    again = fit(found, x, 1e-200 * weight)
    np.testing.assert_allclose(again.means, found.means, rtol=1e-12)
    assert again.law is MIXED


def test_fit_maximises_the_weighted_likelihood(seed):
    x = draws(ExponentialTilt(law=MIXED, mean=MEANS), 2000, seed(867))
    weight = np.random.default_rng(seed(868)).exponential(size=2000)
    best = fit(MIXED, x, weight)
    peak = weight @ logpdf(best, x)
    for j in range(MIXED.dim):
        for factor in (0.99, 1.01):
            means = best.means.copy()
            means[j] *= factor
            assert weight @ logpdf(ExponentialTilt(law=MIXED, mean=means), x) < peak


def test_means_keep_off_the_ends_of_the_range():
    """All elites are equal: a law concentrated on them would lose the rest of the event."""
    laws = [marginals.Bernoulli(p=0.2), marginals.Binomial(n=4, p=0.5), marginals.Poisson(mu=2.0)]
    inputs = Independent(marginals=laws)
    rows = np.asfortranarray(np.tile([1.0, 4.0, 0.0], (30, 1)))
    np.testing.assert_allclose(fit(inputs, rows).means, [1.0 - 0.01 * 0.8, 4.0 - 0.01 * 2.0, 0.01 * 2.0])


@pytest.mark.parametrize("kind", ["exponential", "gamma", "geometric", "negative_binomial"])
def test_tilt_down_keeps_a_finite_variance_of_the_weights(kind):
    """The tail of ``p^2 / q`` falls: its rate is above that at which it would be flat, by the floor's margin."""
    law, _ = FACTORS[kind]
    low = law.support[0]
    inputs = Independent(marginals=[law])
    lowest = fit(inputs, np.full((30, 1), low, order="F")).laws[0]
    far = np.array([40.0, 80.0]) + low
    of_p, of_q = (np.diff(one.logpdf(far))[0] for one in (law, lowest))
    assert 2.0 * of_p - of_q < 0.0
    assert of_q < of_p


@pytest.mark.statistical(effect=0.08, false_fail=4e-7, false_pass=1e-3)
def test_kl_is_that_of_draws(seed):
    family, a = ExponentialTilting(), ExponentialTilt(law=MIXED, mean=0.8 * MIXED_MEANS + 0.2 * MEANS)
    b = ExponentialTilt(law=MIXED, mean=MEANS)
    for p, q in ((a, b), (b, a), (a, MIXED), (MIXED, a)):
        x = draws(p, N, seed(869))
        gap = logpdf(p, x) - logpdf(q, x)
        assert_within_error(gap.mean(), family.kl(p, q), gap.std() / np.sqrt(N))
    assert family.kl(a, a) == 0.0


def never(x):
    raise AssertionError("the loss was called")


def test_bad_floor_is_refused():
    with pytest.raises(FieldError, match=r"floor: must be above 0\.5 and at most 1, got 0\.5"):
        ExponentialTilting(floor=0.5)


def test_inputs_without_a_tilt_are_refused():
    """Before the loss is called for the first time."""
    inputs = Independent(marginal=marginals.Lognormal(s=1.0), dim=2)
    case = Case("lognormal", inputs, PythonLoss(function=never), Probability(above=30.0), [])
    with pytest.raises(FieldError, match="proposal: has no closed form for the factor x1 of kind lognormal"):
        solve(case, 1, method=CrossEntropy(proposal=ExponentialTilting()))


def test_factors_of_independent_inputs_are_their_marginals():
    assert natural_factors("law", MIXED) == MIXED.laws
    assert Problem(inputs=MIXED, loss=PythonLoss(function=total), space="physical").target is MIXED


# --- rare events -------------------------------------------------------------------------------------


def sum_of(name, marginal, dim, threshold, exact):
    inputs = Independent(marginal=marginal, dim=dim)
    return Case(name, inputs, PythonLoss(function=total), Probability(above=threshold), [exact])


SUMS = [
    sum_of("gamma", marginals.Gamma(a=0.5, scale=2.0), 10, 40.0, stats.gamma(5.0, scale=2.0).sf(40.0)),
    sum_of("exponential", marginals.Exponential(), 5, 25.0, special.gammaincc(5.0, 25.0)),
    sum_of("poisson", marginals.Poisson(mu=0.5), 6, 15.5, stats.poisson.sf(15, 3.0)),
    sum_of("bernoulli", marginals.Bernoulli(p=0.1), 30, 13.5, stats.binom.sf(13, 30, 0.1)),
    sum_of("negative-binomial", marginals.NegativeBinomial(n=1.5, p=0.5), 4, 34.5, stats.nbinom.sf(34, 6.0, 0.5)),
    sum_of("geometric", marginals.Geometric(p=0.5), 4, 29.5, stats.nbinom.sf(29 - 4, 4, 0.5)),
]


@pytest.mark.parametrize("case", SUMS, ids=lambda c: c.name)
@pytest.mark.statistical(effect=0.4, false_fail=1e-7, false_pass=1e-3)
@pytest.mark.slow_cases("bernoulli")
def test_sums_are_exact_within_their_error(case, seed):
    method = CrossEntropy(proposal=ExponentialTilting(), starts=1)
    estimate = solve(case, seed(870), method=method, relative_error=0.03, max_evaluations=300_000).estimates[0]
    assert_within_error(estimate.value, case.exact[0], estimate.std_error)
    assert estimate.relative_error <= 0.03


@pytest.mark.slow
@pytest.mark.statistical(effect=2, false_fail=3e-7, false_pass=1e-3)
def test_intervals_cover_over_many_seeds(seed):
    """40 runs from the optimal tilt of a Poisson sum: a bias of 0.7 errors would show."""
    case = SUMS[2]
    law = ExponentialTilt(law=case.inputs, mean=np.full(6, 16.0 / 6.0))
    method = Importance(proposal=law, space="physical", defensive=0.05)
    runs = [solve(case, seed(1100 + k), method=method, max_evaluations=2000).estimates[0] for k in range(40)]
    z = np.array([(e.value - case.exact[0]) / e.std_error for e in runs])
    assert_scores_are_standard(z)
    assert_count_at_least(sum(e.interval[0] <= case.exact[0] <= e.interval[1] for e in runs), 40, 0.95)


@pytest.mark.slow
def test_digits_do_not_depend_on_the_workers(seed):
    method = CrossEntropy(proposal=ExponentialTilting(), starts=2)
    alone = solve(SUMS[2], seed(871), method=method, relative_error=0.05)
    with Executor.of("threads", 2) as executor:
        together = solve(SUMS[2], seed(871), executor, method=method, relative_error=0.05)
    assert alone.estimates[0].value == together.estimates[0].value


@pytest.mark.slow
@pytest.mark.statistical(effect=0.6, false_fail=2e-7, false_pass=1e-3)
def test_runs_from_yaml(tmp_path):
    (tmp_path / "losses.py").write_text("def total(x):\n    return x.sum(axis=1)\n")
    text = """
        seed: 3
        inputs: {kind: independent, marginal: {kind: poisson, mu: 0.5}, dim: 6}
        loss: {kind: python, function: "losses.py:total"}
        measures: [{kind: probability, above: 15.5}]
        stop: {relative_error: 0.05}
        method: METHOD
    """
    base = "{kind: independent, marginal: {kind: poisson, mu: 0.5}, dim: 6}"
    for method in (
        "{kind: cross_entropy, starts: 1, proposal: {kind: exponential_tilt, floor: 0.7}}",
        f"{{kind: importance, space: physical, proposal: {{kind: exponential_tilt, law: {base}, mean: 2.67}}}}",
    ):
        (tmp_path / "case.yaml").write_text(
            "\n".join(line.strip() for line in text.split("\n")).replace("METHOD", method)
        )
        estimate = configs.load(tmp_path / "case.yaml").experiment().run().estimates[0]
        assert_within_error(estimate.value, stats.poisson.sf(15, 3.0), estimate.std_error)


def test_yaml_says_where_a_tilt_is_wrong(tmp_path):
    lines = [
        "seed: 3",
        "inputs: {kind: independent, marginal: {kind: bernoulli, p: 0.5}, dim: 2}",
        "loss: {kind: linear, weights: equal}",
        "measures: [{kind: probability, above: 1}]",
        "method:",
        "  kind: importance",
        "  space: physical",
        "  proposal:",
        "    kind: exponential_tilt",
        "    law: {kind: independent, marginal: {kind: bernoulli, p: 0.5}, dim: 2}",
        "    mean: 2",
    ]
    (tmp_path / "case.yaml").write_text("\n".join(lines))
    with pytest.raises(RaresimError, match=r"method\.proposal\.mean: must be above 0 and below 1 at position 0, got 2"):
        configs.load(tmp_path / "case.yaml").experiment()

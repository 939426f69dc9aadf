"""GARCH inputs: the fit, the recursion, and the moments of days to come."""

import datetime
import pickle
import sys
import warnings

import numpy as np
import pytest
from scipy import stats

from raresim.data import ReturnsTable
from raresim.errors import DataError, FieldError
from raresim.inputs import garch
from raresim.inputs.garch import Garch, Recursion
from raresim.marginals.normal import Normal
from tests.helpers import block, normals
from tests.statistical import assert_within_error

pytest.importorskip("arch")

MEAN, OMEGA, ALPHA, GAMMA, BETA = 5e-4, 2e-6, 0.06, 0.08, 0.88


def simulated(n, seed, gamma=GAMMA, innovations=None):
    """Returns (n,) of the recursion, after 500 days that are left out; a plain loop, in nobody's code but this."""
    rng = np.random.default_rng(seed)
    z = rng.standard_normal(n + 500) if innovations is None else innovations(rng, n + 500)
    returns = np.empty(n + 500)
    variance = OMEGA / (1 - ALPHA - gamma / 2 - BETA)
    for t, innovation in enumerate(z):
        shock = np.sqrt(variance) * innovation
        returns[t] = MEAN + shock
        variance = OMEGA + (ALPHA + gamma * (shock < 0)) * shock**2 + BETA * variance
    return returns[500:]


def student(dof):
    return lambda rng, n: rng.standard_t(dof, n) * np.sqrt((dof - 2) / dof)


def table(*columns):
    days = [datetime.date(1990, 1, 1) + datetime.timedelta(days=k) for k in range(len(columns[0]))]
    return ReturnsTable.of(np.column_stack(columns), days, list("ABCDEF")[: len(columns)], returns="log")


@pytest.fixture(scope="module")
def one():
    """A column of 3,000 days with GJR volatility and t innovations."""
    return table(simulated(3000, 11, innovations=student(6.0)))


@pytest.fixture(scope="module")
def three():
    """Three columns of 1,500 days with correlated innovations."""
    rng = np.random.default_rng(12)
    z = rng.standard_normal((2000, 3)) @ np.linalg.cholesky([[1, 0.7, 0.4], [0.7, 1, 0.5], [0.4, 0.5, 1]]).T
    return table(*(simulated(1500, 0, innovations=lambda _, n, j=j: z[:, j]) for j in range(3)))


def arch_of(values, model="garch", mean="constant", scale=100.0):
    """The same fit by arch alone, in per cent."""
    from arch import arch_model

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return arch_model(values * scale, mean=mean, vol="GARCH", p=1, o=int(model == "gjr"), q=1, rescale=False).fit(
            disp="off"
        )


def physical(law, u):
    return law.to_physical(u, block(len(u), law.dim))


# --- the fit -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", ["garch", "gjr"])
@pytest.mark.parametrize("mean", ["constant", "zero"])
def test_parameters_are_those_of_arch_in_the_unit_of_the_returns(one, model, mean):
    law = Garch(fit=one, model=model, mean=mean)
    (found,) = law.recursions
    expected = arch_of(one.values[:, 0], model, mean)
    assert found.mean == pytest.approx(expected.params.get("mu", 0.0) / 100, rel=1e-3)
    assert found.omega == pytest.approx(expected.params["omega"] / 1e4, rel=2e-3)
    assert found.alpha == pytest.approx(expected.params["alpha[1]"], abs=1e-4)
    assert found.gamma == pytest.approx(expected.params.get("gamma[1]", 0.0), abs=1e-4)
    assert found.beta == pytest.approx(expected.params["beta[1]"], abs=1e-4)
    names = {"mu": "mean", "omega": "omega", "alpha[1]": "alpha", "gamma[1]": "gamma", "beta[1]": "beta"}
    units = {"mu": 100.0, "omega": 1e4}
    assert dict(found.std_errors) == pytest.approx(
        {names[key]: value / units.get(key, 1.0) for key, value in expected.std_err.items()}, rel=1e-2
    )


@pytest.mark.statistical(effect=6, false_fail=5e-7, false_pass=1e-3)
def test_true_parameters_lie_within_five_standard_errors(one):
    (found,) = Garch(fit=one, model="gjr").recursions
    for name, truth in {"mean": MEAN, "omega": OMEGA, "alpha": ALPHA, "gamma": GAMMA, "beta": BETA}.items():
        assert_within_error(getattr(found, name), truth, found.std_errors[name])
        assert found.std_errors[name] < 0.7 * truth
    assert found.law.dof == pytest.approx(6.0, rel=0.25)


@pytest.mark.parametrize("model", ["garch", "gjr"])
def test_the_next_variance_is_the_forecast_of_arch(one, model):
    (found,) = Garch(fit=one, model=model).recursions
    expected = arch_of(one.values[:, 0], model)
    assert found.next_variance == pytest.approx(expected.forecast(horizon=1).variance.iloc[-1, 0] / 1e4, rel=1e-4)
    assert found.last_variance == pytest.approx(expected.conditional_volatility[-1] ** 2 / 1e4, rel=1e-4)


@pytest.mark.parametrize("model", ["garch", "gjr"])
def test_expected_variances_are_the_forecasts_of_arch(one, model):
    law = Garch(fit=one, model=model, innovations="normal", horizon=10)
    expected = arch_of(one.values[:, 0], model).forecast(horizon=10).variance.iloc[-1].to_numpy() / 1e4
    np.testing.assert_allclose(law.recursions[0].variances(10), expected, rtol=2e-4)
    assert law.linear_moments(np.ones(1))[1] == pytest.approx(np.sqrt(expected.sum()), rel=1e-4)
    assert law.linear_moments(np.array([-2.0]))[0] == pytest.approx(-20 * law.recursions[0].mean, rel=1e-12)


def test_the_location_of_the_innovations_is_fitted_although_their_mean_is_zero():
    def skewed(rng, n):
        return (rng.lognormal(0.0, 0.5, n) - np.exp(0.125)) / np.sqrt((np.exp(0.25) - 1) * np.exp(0.25))

    data = table(simulated(3000, 13, innovations=skewed))
    (found,) = Garch(fit=data).recursions
    residuals = data.values[:, 0] - found.mean
    assert stats.skew(residuals) > 1
    assert -0.25 < found.law.loc < -0.1


@pytest.mark.parametrize(("innovations", "excess"), [("normal", 0.0), ("student_t", None), ("laplace", 3.0)])
def test_innovations_have_mean_zero_and_variance_one_whatever_their_law(one, innovations, excess, seed):
    law = Garch(fit=one, innovations=innovations)
    (found,) = law.recursions
    assert found.law.kind == innovations
    u = np.linspace(-12, 12, 24_001)
    density = stats.norm.pdf(u) * (u[1] - u[0])
    z = (physical(law, np.asfortranarray(u[:, None]))[:, 0] - found.mean) / np.sqrt(found.next_variance)
    assert density @ z == pytest.approx(0.0, abs=1e-8)
    assert density @ z**2 == pytest.approx(1.0, rel=1e-6)
    if excess is not None:
        assert density @ z**4 - 3 == pytest.approx(excess, abs=1e-6)


def test_the_share_of_the_variance_below_zero_follows_the_law_of_the_innovations():
    options = {"mean": 0.0, "omega": 1e-6, "alpha": 0.05, "gamma": 0.1, "beta": 0.85, "std_errors": {}}
    options |= {"last_variance": 1e-4, "next_variance": 1e-4}
    symmetric = Recursion(**options, law=Normal(mean=3.0, std=2.0), centre=3.0, spread=2.0)
    assert symmetric.downside == pytest.approx(0.5, rel=1e-6)
    assert symmetric.persistence == pytest.approx(0.95, rel=1e-6)
    from raresim.marginals.exponential import Exponential

    skewed = Recursion(**options, law=Exponential(scale=2.0), centre=2.0, spread=2.0)
    exact = 1 - 2 / np.e  # integral of (x - 1)^2 exp(-x) from 0 to 1
    assert skewed.downside == pytest.approx(exact, rel=1e-5)
    assert skewed.persistence == pytest.approx(0.9 + 0.1 * exact, rel=1e-6)


# --- the recursion -----------------------------------------------------------------------------------


def slow_path(one, z):
    """One row of the recursion, day by day."""
    variance, returns = one.next_variance, []
    for innovation in z:
        shock = np.sqrt(variance) * innovation
        returns.append(one.mean + shock)
        variance = one.omega + (one.alpha + one.gamma * (shock < 0)) * shock**2 + one.beta * variance
    return returns


@pytest.mark.slow
@pytest.mark.parametrize("model", ["garch", "gjr"])
@pytest.mark.parametrize(("horizon", "n"), [(1, 5), (10, 1300)])
def test_paths_follow_the_recursion(one, model, horizon, n):
    law = Garch(fit=one, model=model, horizon=horizon, aggregate="path")
    (found,) = law.recursions
    u = normals(n, horizon, 21)
    z = np.empty((n, horizon))
    for t in range(horizon):
        found.law.from_normal(np.ascontiguousarray(u[:, t]), z[:, t])
    z = (z - found.centre) / found.spread
    expected = np.array([slow_path(found, row) for row in z])
    x = physical(law, u)
    np.testing.assert_allclose(x, expected, rtol=1e-11, atol=1e-16)
    total = Garch(fit=one, model=model, horizon=horizon)
    assert (total.dim, total.latent_dim, law.dim) == (1, horizon, horizon)
    np.testing.assert_allclose(physical(total, u)[:, 0], expected.sum(axis=1), rtol=1e-10, atol=1e-15)


def test_the_map_leaves_the_normals_alone_and_is_row_by_row(three):
    law = Garch(fit=three, horizon=4, copula="independence", innovations="normal", aggregate="path")
    u = normals(1500, law.latent_dim, 22)
    before = u.copy()
    x = physical(law, u)
    np.testing.assert_array_equal(u, before)
    for i in (0, 511, 512, 1499):
        np.testing.assert_allclose(physical(law, np.asfortranarray(u[i : i + 1]))[0], x[i], rtol=1e-13)


def test_factors_are_days_inside_columns_and_normals_columns_inside_days(three):
    law = Garch(fit=three, horizon=2, copula="independence", innovations="normal", aggregate="path")
    assert (law.dim, law.latent_dim) == (6, 6)
    assert law.names == ("A day 1", "A day 2", "B day 1", "B day 2", "C day 1", "C day 2")
    base = physical(law, np.zeros((1, 6), order="F"))[0]
    for k in range(6):
        u = np.zeros((1, 6), order="F")
        u[0, k] = 3.0
        moved = np.flatnonzero(physical(law, u)[0] != base)
        day, column = divmod(k, 3)
        assert moved[0] == 2 * column + day
        assert (moved // 2 == column).all()


@pytest.mark.parametrize("u", [-37.0, 37.0, -8.0])
def test_extreme_normals_give_finite_returns_of_the_right_sign(one, u):
    x = physical(Garch(fit=one, horizon=3), np.full((2, 3), u, order="F"))
    assert np.isfinite(x).all()
    assert (np.sign(x) == np.sign(u)).all()


@pytest.mark.parametrize("name", ["total", "path", "standardise"])
def test_a_kernel_equals_its_python_function(name):
    kernel = getattr(garch, name)
    z = normals(700, 3, 23)
    out, expected = (np.empty(700) if name == "total" else block(700, 3) for _ in range(2))
    arguments = (z, 0.3, 2.0) if name == "standardise" else (z, 1e-3, 1e-6, 0.05, 0.1, 0.85, 2e-4)
    kernel(*arguments, out)
    kernel.py_func(*arguments, expected)
    np.testing.assert_allclose(out, expected, rtol=1e-14)


# --- moments -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", ["garch", "gjr"])
@pytest.mark.statistical(effect=0.04, false_fail=2e-7, false_pass=1e-3)
def test_the_variance_of_ten_days_is_the_sum_of_the_forecasts(one, model, seed):
    """5 standard errors, from the fourth moment of the draws; normal innovations, whose fourth moments exist."""
    law = Garch(fit=one, model=model, innovations="normal", horizon=10)
    n = 200_000
    x = physical(law, normals(n, 10, seed(24)))[:, 0]
    forecast = arch_of(one.values[:, 0], model).forecast(horizon=10).variance.iloc[-1].sum() / 1e4
    square = (x - 10 * law.recursions[0].mean) ** 2
    assert_within_error(square.mean(), forecast, square.std() / np.sqrt(n))
    mean, std = law.linear_moments(np.ones(1))
    assert_within_error(x.mean(), mean, std / np.sqrt(n), scale=std)


@pytest.mark.parametrize("aggregate", ["total", "path"])
@pytest.mark.statistical(effect=0.04, false_fail=2e-7, false_pass=1e-3)
def test_moments_of_a_combination_of_independent_columns_agree_with_draws(three, aggregate, seed):
    law = Garch(fit=three, copula="independence", innovations="normal", horizon=4, aggregate=aggregate)
    weights = np.random.default_rng(3).normal(size=law.dim)
    n = 200_000
    y = physical(law, normals(n, law.latent_dim, seed(25))) @ weights
    mean, std = law.linear_moments(weights)
    square = (y - mean) ** 2
    assert_within_error(y.mean(), mean, std / np.sqrt(n), scale=std)
    assert_within_error(square.mean(), std**2, square.std() / np.sqrt(n))


# --- several columns ---------------------------------------------------------------------------------


@pytest.mark.parametrize("copula", ["gaussian", "t", None])
@pytest.mark.statistical(effect=0.05, false_fail=1e-7, false_pass=1e-3)
def test_innovations_of_a_day_are_joined_by_the_fitted_copula(three, copula, seed):
    law = Garch(fit=three, copula=copula, innovations="normal", horizon=2, aggregate="path")
    assert law.joint.kind == (copula or "gaussian")  # the innovations are Gaussian, and AIC sees it
    assert law.latent_dim == 2 * law.joint.latent_dim
    x = physical(law, normals(50_000, law.latent_dim, seed(26)))
    correlation = np.corrcoef(x.T)
    first, second = correlation[::2, ::2], correlation[1::2, 1::2]
    truth = np.array([[1, 0.7, 0.4], [0.7, 1, 0.5], [0.4, 0.5, 1]])
    np.testing.assert_allclose(first, truth, atol=0.1)  # 1,500 days: a standard error of 0.02 and less
    np.testing.assert_allclose(second, truth, atol=0.12)
    np.testing.assert_allclose(correlation[::2, 1::2], 0.0, atol=0.05)  # days are uncorrelated
    assert law.linear_moments(np.ones(6)) is None
    single = np.array([0.0, 0.0, 1.0, 2.0, 0.0, 0.0])
    mean, std = law.linear_moments(single)
    assert_within_error((x @ single).mean(), mean, std / np.sqrt(50_000), scale=std)
    assert any("copula" in line for line in law.describe())


# --- words -------------------------------------------------------------------------------------------


def test_the_description_says_what_was_fitted(one):
    law = Garch(fit=one, model="gjr", horizon=10)
    (found,) = law.recursions
    lines = law.describe()
    assert lines[:3] == [
        "GJR-GARCH(1,1), constant mean, 1 column: log return over the next 10 days",
        "fitted to array: 3,000 log returns of 1 column, 1990-01-01 to 1998-03-19",
        "the last day is 1998-03-19; a year has 365.2 rows of data",
    ]
    assert lines[3] == (
        f"A: mean {found.mean:.4g} ({found.std_errors['mean']:.2g}), omega {found.omega:.4g} "
        f"({found.std_errors['omega']:.2g}), alpha {found.alpha:.4g} ({found.std_errors['alpha']:.2g}), "
        f"gamma {found.gamma:.4g} ({found.std_errors['gamma']:.2g}), beta {found.beta:.4g} "
        f"({found.std_errors['beta']:.2g}); persistence {found.alpha + found.gamma * found.downside + found.beta:.4f}"
    )
    daily = 100 * np.sqrt(found.next_variance)
    assert f"{daily:.3g} % on the next ({daily * np.sqrt(365.2425):.3g} % a year)" in lines[4]
    assert "student t (" in lines[4]
    assert len(lines) == 5
    rows = law.fitted.evidence.tables[0].rows
    assert [row[1] for row in rows] == ["mean", "omega", "alpha", "gamma", "beta"]
    assert rows[2] == ("A", "alpha", found.alpha, found.std_errors["alpha"])


def test_data_without_dates_have_no_yearly_volatility(one):
    law = Garch(fit=one.values[:, 0])
    assert law.names == ("x1",)
    assert not any("year" in line or "last day is" in line for line in law.describe())


def test_a_persistence_of_one_is_a_warning():
    options = {"mean": 0.0, "omega": 1e-6, "alpha": 0.1, "gamma": 0.0, "std_errors": {}}
    options |= {
        "last_variance": 1e-4,
        "next_variance": 1e-4,
        "law": Normal(mean=0.0, std=1.0),
        "centre": 0.0,
        "spread": 1.0,
    }
    assert len(Recursion(**options, beta=0.89).describe("A", None)) == 2
    warned = Recursion(**options, beta=0.9).describe("A", None)
    assert warned[2] == (
        "A: warning: the persistence is not below 1, so the variance has no long-run level and grows with the horizon; "
        "look for a break in the data, or fit to a shorter period"
    )


def test_inputs_survive_the_way_to_another_process(one):
    law = Garch(fit=one, horizon=2)
    u = normals(100, 2, 27)
    np.testing.assert_array_equal(physical(pickle.loads(pickle.dumps(law)), u), physical(law, u))


# --- what is refused ---------------------------------------------------------------------------------

FIELD_ERRORS = {
    "horizon": ({"horizon": 0}, "horizon", "must be at least 1, got 0"),
    "model": ({"model": "egarch"}, "model", "unknown value 'egarch'; did you mean 'garch'? (allowed: garch, gjr)"),
    "mean": ({"mean": "ar"}, "mean", "unknown value 'ar' (allowed: constant, zero)"),
    "aggregate": ({"aggregate": "sum"}, "aggregate", "unknown value 'sum' (allowed: total, path)"),
    "copula": ({"copula": "clayton"}, "copula", "unknown value 'clayton' (allowed: independence, gaussian, t)"),
    "a copula of one column": (
        {"copula": "t"},
        "copula",
        "'t' joins two columns or more, got one; leave it out",
    ),
}


@pytest.mark.parametrize(("options", "field", "message"), FIELD_ERRORS.values(), ids=FIELD_ERRORS)
def test_an_option_that_makes_no_sense_is_refused(one, options, field, message):
    with pytest.raises(FieldError) as caught:
        Garch(fit=one, **options)
    assert (caught.value.field, caught.value.message) == (field, message)


@pytest.mark.parametrize("kind", ["student", "poisson"])
def test_innovations_must_be_continuous_and_fitted(one, kind):
    with pytest.raises(FieldError, match=rf"^innovations: unknown kind that can be fitted '{kind}'") as caught:
        Garch(fit=one, innovations=kind)
    assert "student_t" in caught.value.message
    assert "poisson," not in caught.value.message


def test_innovations_that_do_not_suit_are_named_with_their_column(one):
    with pytest.raises(DataError, match=r"^column 'A': innovations: exponential needs positive values, got "):
        Garch(fit=one, innovations="exponential")


def test_simple_returns_cannot_be_added_up(one):
    simple = ReturnsTable.of(one.values, returns="simple")
    with pytest.raises(FieldError, match=r"^fit: must be log returns, because days are added up: use `returns: log`$"):
        Garch(fit=simple, horizon=2)
    assert Garch(fit=simple).dim == 1
    assert Garch(fit=simple, horizon=2, aggregate="path").dim == 2


def test_few_returns_are_refused(one):
    with pytest.raises(DataError, match=r"^array: a GARCH fit needs at least 100 returns, got 99$"):
        Garch(fit=one.values[:99])


def test_a_fit_that_does_not_converge_is_refused(one, monkeypatch):
    from arch.univariate import base

    def stopped(*arguments, **options):
        found = minimize(*arguments, **options | {"options": {"maxiter": 1}})
        assert not found.success
        return found

    minimize = base.minimize if hasattr(base, "minimize") else pytest.skip("arch calls its optimiser otherwise")
    monkeypatch.setattr(base, "minimize", stopped)
    with pytest.raises(DataError, match=r"^column 'A': the GARCH fit did not converge: Iteration limit reached"):
        Garch(fit=one)


def test_without_arch_the_message_says_what_to_install(one, monkeypatch):
    monkeypatch.setitem(sys.modules, "arch", None)
    with pytest.raises(DataError) as caught:
        Garch(fit=one)
    assert str(caught.value) == "GARCH needs the package arch: pip install 'raresim[garch]'"

"""The linear portfolio: order of its weights, and its sign."""

import math
import pickle

import numpy as np
import pytest
from scipy import stats

import raresim
from raresim import (
    AsmussenKroese,
    CopulaInputs,
    FactorModel,
    FittedInputs,
    Garch,
    Groups,
    Historical,
    Independent,
    Linear,
    Normal,
    Probability,
    PythonLoss,
    ReturnsSource,
    ReturnsTable,
    StandardNormal,
    ValueAtRisk,
    copulas,
)
from raresim import StudentT as JointT
from raresim.distributions.mixing import log_mixing
from raresim.errors import DataError, FieldError
from raresim.marginals.lognormal import Lognormal
from raresim.marginals.normal import Normal as NormalLaw
from raresim.marginals.student_t import StudentT
from tests.helpers import losses, normals
from tests.statistical import assert_within_error

CSV = "date,AAA,BBB,CCC\n" + "".join(
    f"2020-01-{day:02d},{0.01 * (day % 3)},{0.02 * (day % 5) - 0.03},{0.01 * (day % 7) - 0.02}\n"
    for day in range(1, 29)
)
POSITIONS = "id,weight\nCCC,0.5\nAAA,0.2\nBBB,0.3\n"


@pytest.fixture
def fitted(tmp_path):
    (tmp_path / "returns.csv").write_text(CSV)
    return Normal.fit(ReturnsSource(returns_csv=tmp_path / "returns.csv", returns="simple", unit="fraction"))


@pytest.fixture
def positions(tmp_path):
    path = tmp_path / "positions.csv"
    path.write_text(POSITIONS)
    return path


def test_equal_weights_add_to_one():
    x = normals(100, 4, 321)
    np.testing.assert_allclose(losses(Linear(weights="equal").bind(StandardNormal(dim=4)), x), x.mean(axis=1))


def test_positions_are_matched_by_name_not_by_order(fitted, positions):
    x = normals(100, 3, 322)
    loss = Linear(positions=positions, factors="losses").bind(fitted)
    np.testing.assert_allclose(losses(loss, x), x @ [0.2, 0.3, 0.5], rtol=1e-12, atol=1e-12)
    assert Linear(positions=positions).files() == [positions]


@pytest.mark.parametrize(
    ("factors", "sign"), [(None, -1), ("returns", -1), ("losses", 1)], ids=["default", "returns", "losses"]
)
def test_returns_are_profits_so_their_loss_is_negative(fitted, factors, sign):
    x = normals(100, 3, 323)
    loss = Linear(weights=[1.0, 2.0, 3.0], factors=factors).bind(fitted)
    np.testing.assert_allclose(losses(loss, x), sign * (x @ [1.0, 2.0, 3.0]), rtol=1e-12, atol=1e-12)


def test_factors_that_were_not_fitted_are_losses():
    x = normals(100, 2, 324)
    np.testing.assert_allclose(losses(Linear(weights=[1.0, 1.0]).bind(StandardNormal(dim=2)), x), x.sum(axis=1))


@pytest.mark.parametrize(
    ("weights", "factors", "line"),
    [
        ([0.5, 0.5], None, "linear portfolio: loss = sum of w_i x_i, 2 weights, all 0.5"),
        ([1.0, -2.0], "returns", "linear portfolio: loss = -sum of w_i x_i, 2 weights, -2 to 1, gross size 3"),
    ],
)
def test_the_sign_is_printed(weights, factors, line):
    assert Linear(weights=weights, factors=factors).bind(StandardNormal(dim=2)).describe()[:1] == [line]


def test_moments_carry_the_sign(fitted):
    long = Linear(weights=[1.0, 2.0, 3.0], factors="losses").bind(fitted).moments(fitted)
    short = Linear(weights=[1.0, 2.0, 3.0]).bind(fitted).moments(fitted)
    assert short[0] == pytest.approx(-long[0])
    assert short[1] == pytest.approx(long[1])


def test_a_fitted_portfolio_has_its_sigma_tail(fitted, seed):
    """Five standard deviations of a normal portfolio: the exact answer whatever was fitted."""
    result = raresim.estimate(
        fitted, Linear(weights="equal"), Probability(above="5 sigma"), seed=seed(325), relative_error=0.02
    )
    (estimate,) = result.estimates
    assert abs(estimate.value / 2.866515718791933e-07 - 1) < 0.1
    assert result.manifest["files"][0]["name"] == "returns.csv"


def test_parts_are_the_terms_of_the_sum_by_the_names_of_the_inputs(fitted, positions):
    x = normals(100, 3, 326)
    loss = Linear(positions=positions).bind(fitted)
    assert loss.component_names == ("AAA", "BBB", "CCC")
    np.testing.assert_array_equal(loss.component_weights, [0.2, 0.3, 0.5])
    np.testing.assert_allclose(loss.components(x), -x * [0.2, 0.3, 0.5], rtol=1e-15)
    assert Linear(weights="equal").bind(StandardNormal(dim=2)).component_names == ("x1", "x2")


def test_columns_of_the_file_group_the_parts_in_the_order_of_the_inputs(fitted, tmp_path):
    path = tmp_path / "positions.csv"
    path.write_text("sector,id,weight,note\nbank,CCC,0.5,\noil,AAA,0.2,x\nbank,BBB,0.3,y\n")
    loss = Linear(positions=path).bind(fitted)
    for again in (loss, loss.bind(fitted), pickle.loads(pickle.dumps(loss))):
        assert again.component_groups("sector") == ("oil", "bank", "bank")
    with pytest.raises(DataError) as caught:
        loss.component_groups("note")
    assert str(caught.value) == "positions.csv:2:note: is missing, got ''; every position needs a group"


# --- what is proven to be one region -----------------------------------------------------------------

ONE_FACTOR = {"loadings": [[0.6], [0.3], [-0.2]], "specific": [0.5, 0.0, 0.0]}


@pytest.mark.parametrize(
    ("inputs", "weights", "why"),
    [
        (StandardNormal(dim=3), [1.0, -2.0, 0.5], "the event is one half-space"),
        (Normal(mean=[0.0, 1.0], cov=[[1.0, 0.5], [0.5, 2.0]]), "equal", "the event is one half-space"),
        (JointT(dof=4.0, dim=3), "equal", "one region with one likeliest point"),
        (Independent(marginal=NormalLaw(scale=2.0), dim=3), "equal", "the event is one half-space"),
        (Independent(marginals=[NormalLaw(), NormalLaw(), Lognormal(s=1.0)]), [1.0, 1.0, 0.0], "one half-space"),
        (Independent(marginals=[NormalLaw(), Lognormal(s=1.0)]), [0.0, -1.0], "only one factor has a weight"),
        (FactorModel(factors=StandardNormal(dim=1), **ONE_FACTOR), "equal", "the event is one half-space"),
        (FactorModel(factors=JointT(dof=4.0, dim=1), **ONE_FACTOR), [0.0, 1.0, 1.0], "one likeliest point"),
        (Independent(marginals=[NormalLaw(), Lognormal(s=1.0)]), "equal", ""),
        (Independent(marginal=StudentT(dof=4.0), dim=2), "equal", ""),
        (FactorModel(factors=JointT(dof=4.0, dim=1), **ONE_FACTOR), "equal", ""),
        (FactorModel(factors=StandardNormal(), residual=StudentT(dof=4.0), **ONE_FACTOR), "equal", ""),
    ],
    ids=lambda part: "" if isinstance(part, list | str) else part.kind,
)
def test_one_region_is_claimed_where_it_is_proven(inputs, weights, why):
    loss = Linear(weights=weights, factors="losses")
    assert loss.one_region(inputs) == "", "not bound: its weights are not known"
    got = loss.bind(inputs).one_region(inputs)
    assert got.endswith(why) if not why.startswith("only one factor") else why in got
    assert got.startswith("the loss is a weighted sum, and ") == bool(why)
    assert bool(got) == bool(why)


def test_other_losses_prove_nothing():
    loss = PythonLoss(function=lambda x: x[:, 0])
    assert loss.bind(StandardNormal(dim=2)).one_region(StandardNormal(dim=2)) == ""


@pytest.mark.parametrize("dof", [0.1, 0.5, 1.0, 3.0, 10.0, 1e5])
def test_a_sum_of_joint_t_factors_has_one_likeliest_point(dof):
    """The square of the event's edge is convex in the mixing variable, so the squared distance has one minimum."""
    u = np.linspace(-8.0, 8.0, 3_201)
    log_s = np.empty(u.size)
    log_mixing(u, JointT(dof=dof).mixing_table, log_s)
    square = np.exp(-2.0 * log_s)
    assert (np.diff(square) > 0).all()
    assert (np.diff(square, 2) > 0).all()


def test_a_half_space_of_heavy_tails_is_no_proof():
    """Two independent t laws: of the sum's edge two points are nearest, and halfway between it is farther away."""
    inputs = Independent(marginal=StudentT(dof=2.0), dim=2)
    u = np.asfortranarray(np.column_stack([np.linspace(-1.0, 6.0, 2_001), np.zeros(2_001)]))
    x = np.empty((2_001, 2), order="F")
    inputs.to_physical(u, x)
    other = 40.0 - x[:, 0]
    u[:, 1] = stats.norm.isf(stats.t.sf(other, 2.0))
    distance = np.square(u).sum(axis=1)
    lows = np.flatnonzero((distance[1:-1] < distance[:-2]) & (distance[1:-1] < distance[2:]))
    assert lows.size == 2


# --- log returns and simple returns ------------------------------------------------------------------

ROWS = 0.02 * np.random.default_rng(61).standard_t(4.0, (800, 3))
LOG = ReturnsTable.of(ROWS, names=("A", "B", "C"), returns="log")
SIMPLE = ReturnsTable.of(ROWS, names=("A", "B", "C"), returns="simple")


def test_18_6_revalued_positions_lose_what_their_prices_do():
    x = normals(100, 3, 331)
    loss = Linear(weights=[1.0, -2.0, 3.0], revalue="exp").bind(Normal.fit(LOG))
    expected = -np.expm1(x) @ [1.0, -2.0, 3.0]
    np.testing.assert_allclose(losses(loss, x), expected, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(loss.components(x).sum(axis=1), expected, rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(loss.component_weights, [1.0, -2.0, 3.0])
    assert loss.describe()[:1] == [
        "linear portfolio: loss = -sum of w_i (exp(x_i) - 1), 3 weights, -2 to 3, gross size 6"
    ]
    assert losses(Linear(weights=[1.0], revalue="none").bind(Normal()), x[:, :1])[0] == x[0, 0]
    worst = np.full((1, 3), -1e6)
    assert losses(Linear(weights=[1.0, 2.0, 3.0], revalue="exp").bind(Normal.fit(LOG)), worst)[0] == 6.0
    assert losses(loss, np.full((1, 3), 1e6))[0] < 0


@pytest.mark.statistical(effect=0.2, false_fail=1e-6, false_pass=1e-3)
def test_18_6_a_revalued_loss_has_its_exact_probability(seed):
    """One position of normal log returns: ``P(w (1 - exp(x)) >= t) = Phi((log(1 - t / w) - m) / s)``."""
    inputs, w = Normal(mean=[0.01, 0.0], std=[0.2, 0.3]), 5.0
    loss = Linear(weights=[w, 0.0], revalue="exp")
    asked = [Probability(above=3.0), ValueAtRisk(tail=1e-4)]
    result = raresim.estimate(inputs, loss, asked, seed=seed(332), relative_error=0.02)
    chance, var = result.estimates
    assert_within_error(chance.value, stats.norm.cdf((math.log1p(-3.0 / w) - 0.01) / 0.2), chance.std_error)
    exact = -w * math.expm1(0.01 + 0.2 * stats.norm.ppf(1e-4))
    assert_within_error(var.value, exact, var.std_error)
    assert chance.verdict.status == var.verdict.status == "trusted"


def product_rule(d):
    """Nodes (k, d) and weights (k,) of Gauss and Hermite for ``d`` standard normals."""
    node, weight = np.polynomial.hermite_e.hermegauss(40)
    nodes = np.stack(np.meshgrid(*[node] * d), axis=-1).reshape(-1, d)
    return np.asfortranarray(nodes), np.prod(np.meshgrid(*[weight] * d), axis=0).ravel() / (2.0 * np.pi) ** (d / 2)


COMMON = Normal(mean=[0.0, 0.1], cov=[[0.04, 0.01], [0.01, 0.09]])


@pytest.mark.parametrize(
    "inputs",
    [
        StandardNormal(dim=2),
        Normal(mean=[0.1, -0.2], std=[0.3, 0.2]),
        COMMON,
        Independent(marginals=[NormalLaw(loc=0.1, scale=0.2), NormalLaw(scale=0.4)]),
        Groups(groups={"a": Normal(mean=0.1, std=0.2), "b": Normal(std=0.4)}),
        FactorModel(loadings=[[1.0, 0.2], [0.5, 1.0]], factors=COMMON, specific=0.0, loc=[0.1, 0.0]),
    ],
    ids=lambda inputs: inputs.kind,
)
@pytest.mark.slow_cases("factor")
def test_18_6_moments_of_revalued_normals_are_closed_forms(inputs):
    loss = Linear(weights=[2.0, -1.0], revalue="exp").bind(inputs)
    u, weight = product_rule(inputs.latent_dim)
    x = inputs.to_physical(u, np.empty((len(u), inputs.dim), order="F"))
    values = losses(loss, np.asfortranarray(x))
    mean = weight @ values
    assert loss.moments(inputs) == pytest.approx((mean, math.sqrt(weight @ (values - mean) ** 2)), rel=1e-9)


def test_18_6_moments_of_revalued_rows_are_those_of_the_rows():
    inputs = Historical.fit(LOG)
    values = -np.expm1(ROWS) @ [1.0, 2.0, 3.0]
    found = Linear(weights=[1.0, 2.0, 3.0], revalue="exp").bind(inputs).moments(inputs)
    assert found == pytest.approx((values.mean(), values.std()), rel=1e-9)


@pytest.mark.parametrize(
    "inputs",
    [
        JointT(dof=50.0, dim=2),
        Independent(marginals=[NormalLaw(), StudentT(dof=50.0)]),
        CopulaInputs(copula=copulas.Clayton(theta=1.0, dim=2), marginals=[NormalLaw(), Lognormal(s=1.0)]),
        FactorModel(loadings=[[1.0], [1.0]], factors=JointT(dof=9.0, dim=1), specific=0.1),
        FactorModel(loadings=[[1.0], [1.0]], factors=StandardNormal(), residual=StudentT(dof=9.0), specific=0.1),
        Groups(groups={"a": StandardNormal(), "b": JointT(dof=9.0)}),
        FittedInputs(fit=ReturnsTable.of(ROWS[:, :2], returns="log"), copula="independence"),
    ],
    ids=lambda inputs: inputs.kind,
)
def test_18_6_heavy_log_returns_have_no_sigma(inputs):
    loss = Linear(weights=[1.0, 1.0], revalue="exp")
    assert all(map(math.isnan, loss.bind(inputs).moments(inputs)))
    with pytest.raises(FieldError, match="cannot be in sigma: the loss has no finite, positive standard deviation"):
        raresim.estimate(inputs, loss, Probability(above="3 sigma"), seed=1, max_evaluations=20_000)
    light = Linear(weights=[1.0, 0.0], revalue="exp").bind(inputs)
    if inputs.kind in ("independent", "groups"):
        assert light.moments(inputs) == pytest.approx((1.0 - math.exp(0.5), math.exp(0.5) * math.sqrt(math.expm1(1.0))))


def test_18_6_a_garch_forecast_of_three_days_has_no_sigma_of_prices():
    rows = ReturnsTable.of(0.01 * np.random.default_rng(3).standard_normal((600, 1)), returns="log")
    for horizon, known in ((2, None), (3, math.nan)):
        inputs = Garch(fit=rows, horizon=horizon, innovations="normal")
        found = Linear(weights=[1.0], revalue="exp").bind(inputs).moments(inputs)
        assert found is None if known is None else math.isnan(found[1])


def test_18_6_revalued_positions_are_proven_to_be_one_region_one_at_a_time():
    inputs = Normal(mean=[0.0, 1.0], cov=[[1.0, 0.5], [0.5, 2.0]])
    single = Linear(weights=[0.0, 2.0], revalue="exp").bind(inputs).one_region(inputs)
    assert single.startswith("the loss moves with one factor alone, and ")
    assert Linear(weights=[1.0, 2.0], revalue="exp").bind(inputs).one_region(inputs) == ""


def test_18_6_revalue_is_refused_where_it_makes_no_sense():
    with pytest.raises(
        FieldError, match=r"^revalue: exp takes the factors for log returns: leave out `factors: losses`$"
    ):
        Linear(weights=[1.0], factors="losses", revalue="exp")
    with pytest.raises(FieldError, match=r"^revalue: unknown value 'log' \(allowed: exp, none\)$"):
        Linear(weights=[1.0], revalue="log")
    with pytest.raises(FieldError, match=r"^revalue: exp is for log returns, got inputs fitted to simple returns"):
        Linear(weights="equal", revalue="exp").bind(Normal.fit(SIMPLE))
    loss = Linear(weights="equal", revalue="exp")
    with pytest.raises(FieldError, match=r"must be a weighted sum of the factors .*, got linear portfolio"):
        raresim.estimate(StandardNormal(dim=2), loss, Probability(above=0.5), AsmussenKroese(), seed=1)


@pytest.mark.statistical(effect=0.3, false_fail=1e-6, false_pass=1e-3)
@pytest.mark.parametrize(
    "law",
    [
        Normal.fit,
        JointT.fit,
        Historical.fit,
        lambda table: FittedInputs(fit=table, margins="normal", copula="gaussian"),
        lambda table: Groups(groups={"a": Normal.fit(table), "b": JointT.fit(table)}),
    ],
    ids=["normal", "t", "historical", "fitted", "groups"],
)
def test_18_6_the_mass_below_a_fall_of_everything_is_known(law):
    inputs = law(SIMPLE)
    below = inputs.mass_below(-0.03)
    u = normals(40_000, inputs.latent_dim, 333)
    x = inputs.to_physical(u, np.empty((len(u), inputs.dim), order="F"))
    seen = (x <= -0.03).mean(axis=0)
    assert_within_error(seen, below, np.sqrt(below * (1 - below) / len(u)))


def taken(table, **options):
    inputs = JointT.fit(table)
    return Linear(weights=[1.0, 2.0, -3.0], **options).bind(inputs).assumptions(inputs)


def test_18_6_what_returns_are_taken_for_is_stored():
    below = JointT.fit(SIMPLE).mass_below(-1.0)
    assert taken(SIMPLE)["below_total_loss"] == pytest.approx(below[0] + below[1], rel=1e-12)
    assert taken(SIMPLE)["below_total_loss"] > 0
    assert taken(ReturnsTable.of(ROWS)) == taken(SIMPLE), "where nobody says it, a sum is one of simple returns"
    log = taken(LOG)
    assert (log["log_returns"], log["gross"]) == (True, 6.0)
    for quiet in (taken(LOG, revalue="exp"), taken(LOG, revalue="none"), taken(LOG, factors="losses")):
        assert not {"log_returns", "below_total_loss"} & set(quiet)
    rows = Historical.fit(SIMPLE)
    assert "below_total_loss" not in Linear(weights="equal").bind(rows).assumptions(rows)


@pytest.mark.slow
def test_18_6_the_verdict_says_what_log_and_simple_returns_do(seed):
    """The example of the issue in small: losses of half the book and of more than all of it were trusted."""
    asked = [Probability(above=[0.3, 5.0])]
    for table, name in ((LOG, "log_returns"), (SIMPLE, "simple_returns")):
        inputs = JointT.fit(table)
        result = raresim.estimate(inputs, Linear(weights=[1.0, 2.0, 3.0]), asked[0], seed=seed(334), relative_error=0.1)
        found = [next(c for c in e.verdict.checks if c.name == name) for e in result.estimates]
        assert [c.status for c in found] == ["trusted", "caution"]
    small, large = (c.value for c in found)
    assert small < 0.01
    assert large > 0.05


def test_a_book_of_both_sides_says_what_is_long_and_short():
    book = Linear(weights=[5e6, -2e6, 1e6], factors="returns", revalue="exp")
    assert book.describe()[1] == "long 6e+06, short 2e+06, net 4e+06"
    assert len(Linear(weights=[5e6, 2e6], factors="returns").describe()) == 1
    assert len(Linear(weights=[5e6, -2e6], factors="losses").describe()) == 1

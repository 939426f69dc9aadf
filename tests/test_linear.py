"""The linear portfolio: whose weights, and which sign."""

import pickle

import numpy as np
import pytest
from scipy import stats

import raresim
from raresim import FactorModel, Independent, Linear, Normal, Probability, PythonLoss, ReturnsSource, StandardNormal
from raresim import StudentT as JointT
from raresim.distributions.mixing import log_mixing
from raresim.errors import DataError
from raresim.marginals.lognormal import Lognormal
from raresim.marginals.normal import Normal as NormalLaw
from raresim.marginals.student_t import StudentT
from tests.helpers import losses, normals

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
        ([1.0, -2.0], "returns", "linear portfolio: loss = -sum of w_i x_i, 2 weights, -2 to 1"),
    ],
)
def test_the_sign_is_printed(weights, factors, line):
    assert Linear(weights=weights, factors=factors).bind(StandardNormal(dim=2)).describe() == [line]


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
        (Independent(marginals=[NormalLaw(), Lognormal(s=1.0)]), [0.0, -1.0], "one factor alone has a weight"),
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
    assert got.endswith(why) if not why.startswith("one factor") else why in got
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
    u = np.asfortranarray(np.column_stack([np.linspace(-1.0, 6.0, 2_001), np.empty(2_001)]))
    x = np.empty((2_001, 2), order="F")
    inputs.to_physical(u, x)
    other = 40.0 - x[:, 0]
    u[:, 1] = stats.norm.isf(stats.t.sf(other, 2.0))
    distance = np.square(u).sum(axis=1)
    lows = np.flatnonzero((distance[1:-1] < distance[:-2]) & (distance[1:-1] < distance[2:]))
    assert lows.size == 2

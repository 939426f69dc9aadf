"""Books by their sensitivities: what is read, what auto makes of it, and what is refused."""

import dataclasses
import json
import math
import shutil

import numpy as np
import pytest
from scipy import stats

import raresim
from raresim.config import load as configs
from raresim.errors import DataError, FieldError
from raresim.models import DeltaGamma, Ore
from raresim.models.market.exact_quadratic import QuadraticLaw
from raresim.record.verdict import Status
from tests.helpers import ROOT, losses, normals
from tests.models.test_quadratic_law import REFERENCES
from tests.statistical import assert_within_error

MARKET = ROOT / "configs" / "market"
COV = [[1.0, 0.3, 0.0], [0.3, 2.0, -0.2], [0.0, -0.2, 0.5]]
GAMMAS = [[-2.0, 0.5, 0.0], [0.5, 1.0, 0.0], [0.0, 0.0, 0.0]]


def book(**options):
    return DeltaGamma(**({"deltas": [1.0, -2.0, 0.5], "gammas": GAMMAS, "covariance": COV} | options))


@pytest.fixture
def folder(tmp_path):
    for path in MARKET.rglob("*"):
        if path.suffix in (".csv", ".xml"):
            shutil.copy(path, tmp_path)
    return tmp_path


def test_loss_is_the_fall_of_a_quadratic_value(seed):
    model = book(theta=0.25)
    x = normals(50, 3, seed(930))
    value = 0.25 + x @ [1.0, -2.0, 0.5] + 0.5 * np.einsum("ni,ij,nj->n", x, GAMMAS, x)
    np.testing.assert_allclose(losses(model.loss, x), -value, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(losses(book(theta=0.25, of="loss").loss, x), value, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dof", [None, 7.0])
def test_form_is_the_loss_in_other_coordinates(dof, seed):
    model = book(dof=dof, theta=-0.1)
    u = normals(200, model.inputs.latent_dim, seed(931))
    x = model.inputs.to_physical(u, np.empty((200, 3), order="F"))
    form = model.form
    z = (u if dof is None else u[:, 1:]) @ form.rotation
    m = np.ones(200)
    if dof is not None:
        m = np.sqrt(dof / stats.chi2.ppf(stats.norm.cdf(u[:, 0]), dof))
    found = form.constant + m * (z @ form.linear) + m**2 * (z**2 @ form.square)
    np.testing.assert_allclose(found, losses(model.loss, x), rtol=1e-8, atol=1e-8)


def test_files_say_the_same_as_numbers(folder, seed):
    (folder / "d.csv").write_text("factor,delta,gamma\nb,2.0,-1.0\na,1.0,-0.5\n")
    (folder / "square.csv").write_text(",a,b\na,1.0,0.5\nb,0.5,4.0\n")
    (folder / "pairs.csv").write_text("factor_1,factor_2,covariance\na,a,1\nb,b,4\nb,a,0.5\nc,c,9\n")
    (folder / "g.csv").write_text("factor_1,factor_2,gamma\na,b,0.25\nb,b,-1\na,a,-0.5\n")
    (folder / "d0.csv").write_text("factor,delta\na,1.0\nb,2.0\n")
    x = normals(20, 2, seed(932))
    by_hand = DeltaGamma(
        deltas={"b": 2.0, "a": 1.0}, gammas={"a": -0.5, "b": -1.0}, covariance=[[4.0, 0.5], [0.5, 1.0]]
    )
    of_file = DeltaGamma(deltas=folder / "d.csv", covariance=folder / "square.csv")
    assert of_file.inputs.names == by_hand.inputs.names == ("b", "a")
    np.testing.assert_array_equal(losses(of_file.loss, x), losses(by_hand.loss, x))
    np.testing.assert_allclose(of_file.inputs.factor, by_hand.inputs.factor)
    crossed = DeltaGamma(deltas=folder / "d0.csv", gammas=folder / "g.csv", covariance=folder / "pairs.csv")
    np.testing.assert_allclose(crossed.read.gamma, [[-0.5, 0.25], [0.25, -1.0]])
    assert crossed.notes() == ["1 factor of pairs.csv without a delta left out"]
    assert [path.name for path in crossed.files()] == ["d0.csv", "g.csv", "pairs.csv"]


def test_any_law_of_factors_will_do(seed):
    law = raresim.Independent(marginals={"a": raresim.marginals.Normal(), "b": raresim.marginals.Gamma(a=2.0)})
    model = DeltaGamma(deltas={"b": 1.0, "a": 2.0}, gammas={"b": 0.1}, factors=law, of="loss")
    assert model.scheme is None
    result = raresim.estimate(model, measures=raresim.Probability(above=9.0), seed=seed(933), relative_error=0.1)
    assert not result.exhibits
    assert "scheme" not in str(result.search["decisions"])


@pytest.mark.statistical(effect=0.4, false_fail=1e-6, false_pass=1e-3)
def test_a_hundred_factors_take_a_few_hundred_draws(seed):
    model = configs.load(MARKET / "delta-gamma.yaml").experiment().model
    up = raresim.Probability(above=[17.8, 26.5])
    result = raresim.estimate(model, measures=up, seed=seed(934), relative_error=0.05)
    for estimate, exact in zip(result.estimates, REFERENCES, strict=True):
        assert_within_error(estimate.value / exact, 1.0, estimate.std_error / exact)
    assert result.evaluations["total"] <= 1_700
    assert result.verdict.status is Status.TRUSTED
    assert "draws come from the scheme of the model" in result.search["decisions"][-1]


@pytest.mark.statistical(effect=0.3, false_fail=1e-6, false_pass=1e-3)
def test_numbers_of_student_factors_are_exact_beside_their_controls(seed):
    model = configs.load(MARKET / "rates-t.yaml").experiment().model
    measures = [
        raresim.Probability(above=5000.0),
        raresim.ValueAtRisk(level=0.99),
        raresim.ExpectedShortfall(level=0.99),
    ]
    result = raresim.estimate(model, measures=measures, seed=seed(935), relative_error=0.03)
    law = QuadraticLaw(model.form)
    exact = {r[1]: r[2] for r in result.exhibit("controls").rows}
    assert exact["P(loss >= 5000)"] == pytest.approx(0.03513626919, rel=1e-9)
    for estimate in result.estimates:
        assert_within_error(estimate.value / exact[estimate.label], 1.0, estimate.std_error / exact[estimate.label])
    assert exact["VaR 99 %"] == pytest.approx(law.quantile(0.01), rel=1e-9)


def test_an_expected_control_that_is_off_is_seen(seed):
    """Of a loss that is not the quadratic one of the controls."""
    model = book(covariance=np.eye(3))
    result = raresim.estimate(model, measures=raresim.Probability(above=7.0), seed=seed(936), relative_error=0.05)
    row = next(r for r in result.exhibit("controls").rows if r[1] == "P(loss >= 7)")
    assert abs(row[4]) < 0.3
    off = DeltaGamma(deltas=[1.0, -2.0, 0.5], gammas=GAMMAS, covariance=np.eye(3), theta=2.0)
    assert QuadraticLaw(off.form).probability(7.0) < 0.5 * row[2]


def test_approximations_stand_beside_what_exceeds_them(seed):
    """The exceedance of delta-gamma-normal by a quadrature; Cornish-Fisher is nearer than it."""
    model = DeltaGamma(deltas=[1.0], gammas=[1.5], factors=raresim.Normal(mean=0.0, std=1.0), of="loss")
    result = raresim.estimate(model, measures=raresim.ValueAtRisk(level=0.99), seed=seed(937), relative_error=0.05)
    rows = {r[1]: r for r in result.exhibit("approximations").rows}
    z, mean, std = stats.norm.ppf(0.99), 0.75, math.sqrt(1.0 + 0.5 * 1.5**2)
    normal = mean + z * std
    root = math.sqrt(1.0 + 3.0 * normal)
    true = stats.norm.sf((root - 1.0) / 1.5) + stats.norm.cdf((-root - 1.0) / 1.5)
    assert rows["delta-normal"][2] == pytest.approx(z)
    assert rows["delta-gamma-normal"][2] == pytest.approx(normal)
    assert rows["delta-gamma-normal"][4] == pytest.approx(true, rel=1e-9)
    assert rows["exact"][4] == pytest.approx(0.01, rel=1e-9)
    assert abs(rows["Cornish-Fisher"][5] - 1.0) < abs(rows["delta-gamma-normal"][5] - 1.0)


YAML = {
    "kind": "delta_gamma",
    "deltas": {"a": 1.0, "b": 2.0},
    "gammas": {"a": 0.3},
    "covariance": [[1.0, 0.2], [0.2, 4.0]],
}
ORE = {"sensitivity": "sensitivity.csv", "covariance": "covariance.csv"}
OF_ORE = {"kind": "delta_gamma", "ore": ORE | {"portfolio": "portfolio.xml", "portfolio_id": ["FX"]}}
FLIPS = {
    "DeltaGamma.deltas": (YAML, {"deltas": {"a": 1.0, "b": 3.0}}),
    "DeltaGamma.gammas": (YAML, {"gammas": {"a": 0.4}}),
    "DeltaGamma.covariance": (YAML, {"covariance": [[1.0, 0.2], [0.2, 5.0]]}),
    "DeltaGamma.dof": (YAML, {"dof": 5.0}),
    "DeltaGamma.theta": (YAML, {"theta": 0.5}),
    "DeltaGamma.of": (YAML, {"of": "loss"}),
    "DeltaGamma.factors": (
        {k: v for k, v in YAML.items() if k != "covariance"} | {"factors": {"kind": "normal", "dim": 2}},
        {"factors": {"kind": "normal", "dim": 2, "std": [1.0, 2.0]}},
    ),
    "DeltaGamma.ore": (OF_ORE, {"ore": ORE}),
    "Ore.sensitivity": (OF_ORE, {"ore": OF_ORE["ore"] | {"sensitivity": "other.csv"}}),
    "Ore.covariance": (OF_ORE, {"ore": OF_ORE["ore"] | {"covariance": "other_covariance.csv"}}),
    "Ore.portfolio": (OF_ORE, {"ore": ORE}),
    "Ore.portfolio_id": (OF_ORE, {"ore": OF_ORE["ore"] | {"portfolio_id": ["RATES"]}}),
    "Ore.factor_types": (OF_ORE, {"ore": OF_ORE["ore"] | {"factor_types": ["FXSpot"]}}),
}


def test_every_field_changes_the_law_of_the_loss(folder):
    text = (folder / "sensitivity.csv").read_text()
    (folder / "other.csv").write_text(text.replace("-310.0", "-311.0"))
    (folder / "other_covariance.csv").write_text((folder / "covariance.csv").read_text().replace("\t9.0", "\t10.0"))
    for name, (content, change) in FLIPS.items():
        laws = []
        for model in (content, content | change):
            path = folder / "case.yaml"
            config = {"seed": 1, "model": model, "measures": [{"kind": "probability", "above": 5.0}]}
            path.write_text(json.dumps(config))
            form = configs.load(path).experiment().model.form
            laws.append((form.constant, form.mean, form.std, form.dof))
        assert laws[0] != laws[1], name
    fields = {f"{cls.__name__}.{f.name}" for cls in (DeltaGamma, Ore) for f in dataclasses.fields(cls) if f.init}
    assert fields - {"DeltaGamma.repair"} == set(FLIPS)


def refused(message, **options):
    with pytest.raises(FieldError) as caught:
        book(**options)
    assert str(caught.value).startswith(message)


def test_arguments_that_do_not_go_together_are_refused():
    refused("deltas: is required, or the files of ore", deltas=None)
    refused("covariance: give either covariance or factors", factors=raresim.Normal(dim=3))
    refused("covariance: give either covariance or factors", covariance=None)
    refused("dof: must be above 2, for the covariance to exist, and finite, got 2", dof=2.0)
    refused("dof: must be left out beside factors", dof=3.0, covariance=None, factors=raresim.Normal(dim=3))
    refused("factors: must be 3 as there are deltas, got 2", covariance=None, factors=raresim.Normal(dim=2))
    refused("deltas: must be left out beside ore", ore=Ore(sensitivity="s.csv", covariance="c.csv"))
    refused("gammas: must be 3 x 3, got 2 x 2", gammas=np.eye(2))
    refused("gammas: needs deltas with names", gammas={"a": 1.0})
    refused("gammas: unknown name 'c'", deltas={"a": 1.0, "b": 1.0}, gammas={"c": 1.0}, covariance=np.eye(2))
    refused("theta: must be finite", theta=math.nan)
    refused("of: unknown value 'pnl'", of="pnl")


def test_a_covariance_that_is_none_is_refused_with_its_smallest_eigenvalue_and_repaired_on_request():
    cov = np.array([[1.0, 0.9, 0.1], [0.9, 1.0, 0.9], [0.1, 0.9, 1.0]])
    refused("covariance: must be positive definite, got a matrix with smallest eigenvalue -0.2", covariance=cov)
    model = book(covariance=cov, repair="nearest")
    assert "repaired to the nearest correlation matrix: moved by" in model.notes()[0]
    assert np.linalg.eigvalsh(model.inputs.factor @ model.inputs.factor.T).min() > 0
    with pytest.raises(DataError, match=r"^covariance: the variance of x2 must be positive, got 0$"):
        book(covariance=np.diag([1.0, 0.0, 1.0]))
    with pytest.raises(DataError, match=r"^covariance: x1 and x2 have the covariance 3, more than their standard dev"):
        book(covariance=[[1.0, 3.0, 0.0], [3.0, 4.0, 0.0], [0.0, 0.0, 1.0]])


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("d.csv", "factor,detla\na,1\n", "d.csv:1: unknown column 'delta'; did you mean 'detla'?"),
        ("d.csv", "factor,delta\na,1\nb,x\n", "d.csv:3:delta: must be a finite number with a decimal point, got 'x'"),
        ("d.csv", "factor,delta\na,1\na,2\n", "d.csv:3:factor: 'a' is in row 2 already"),
        ("d.csv", "factor,delta\na,1\n,2\n", "d.csv:3:factor: is missing"),
        ("d.csv", "factor,delta\na,1\nb,2\nc,2\n", "cov.csv: has no row for 1 of 3 factors: c; add them, or"),
        ("cov.csv", ",a,b\na,1,0.5\nb,0.4,1\n", "cov.csv:3:a: must be as in row 2, column b: got 0.4 here and 0.5"),
        ("cov.csv", ",a,b\na,1,0.5\n", "cov.csv: has a column for 'b' but no row"),
        ("cov.csv", ",a,b\na,1,0.5\nx,0.5,1\n", "cov.csv:3:first column: unknown factor 'x'"),
        (
            "cov.csv",
            "factor_1,factor_2,covariance\na,a,1\nb,b,1\na,b,0\nb,a,0\n",
            "cov.csv:5:factor_2: the pair 'b' and 'a' is in row 4 already",
        ),
        ("g.csv", "factor_1,factor_2,gamma\na,q,1\n", "g.csv: unknown factor 'q'"),
    ],
)
def test_files_are_refused_with_the_place(folder, name, text, message):
    (folder / "d.csv").write_text("factor,delta\na,1\nb,2\n")
    (folder / "g.csv").write_text("factor_1,factor_2,gamma\na,b,1\n")
    (folder / "cov.csv").write_text(",a,b\na,1,0.5\nb,0.5,1\n")
    (folder / name).write_text(text)
    with pytest.raises(DataError) as caught:
        DeltaGamma(deltas=folder / "d.csv", gammas=folder / "g.csv", covariance=folder / "cov.csv")
    assert str(caught.value).startswith(message)

"""Every marginal and every copula from YAML: each stands in a config of one line, and each key changes the draws."""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from raresim.config import load as configs
from raresim.copulas.base import Copula
from raresim.errors import FieldError, RaresimError
from raresim.marginals.base import Marginal
from tests.helpers import block, examples, normals

WITH_FILES = {"vine"}


def plain(value):
    """A part as YAML says it: what was given to its constructor and is not the default."""
    if isinstance(value, (Marginal, Copula)):
        given = {
            f.name: plain(getattr(value, f.name))
            for f in dataclasses.fields(value)
            if f.init and f.metadata.get("yaml", True) and not is_default(f, getattr(value, f.name))
        }
        natural = {f.name for f in dataclasses.fields(value) if f.type == "Natural"}
        if natural and any(getattr(value, name, None) is not None for name in ("mean", "low")):
            given = {name: v for name, v in given.items() if name not in natural}
        return {"kind": value.kind} | given
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, np.ndarray):
        return value.tolist()
    return str(value) if isinstance(value, Path) else value


def is_default(field, value):
    if field.default is dataclasses.MISSING or value is None:
        return value is None and field.default is None
    try:
        return bool(value == field.default)
    except ValueError:
        return False


def loaded(folder, inputs):
    text = "\n".join(
        [
            "seed: 1",
            f"inputs: {json.dumps(inputs)}",
            "loss: {kind: linear, weights: equal}",
            "measures: [{kind: probability, above: 1}]",
        ]
    )
    (folder / "one.yaml").write_text(text)
    return configs.load(folder / "one.yaml").experiment()


def values(inputs, seed):
    u = normals(200, inputs.latent_dim, seed)
    return inputs.to_physical(u, block(200, inputs.dim))


@pytest.mark.parametrize("law", examples("marginal"))
@pytest.mark.slow_cases("mixture-0", "mixture-1")
def test_marginal_stands_in_a_config(law, tmp_path, seed):
    inputs = loaded(tmp_path, {"kind": "independent", "marginals": {"x": plain(law)}}).inputs
    u = normals(200, 1, seed(81))
    expected = np.empty(200)
    law.from_normal(u[:, 0], expected)
    np.testing.assert_allclose(values(inputs, seed(81))[:, 0], expected, rtol=1e-12)


@pytest.mark.parametrize("copula", [p for p in examples("copula") if p.values[0].kind not in WITH_FILES])
def test_copula_stands_in_a_config(copula, tmp_path, seed):
    inputs = loaded(tmp_path, {"kind": "copula", "copula": plain(copula), "marginal": {"kind": "normal"}}).inputs
    u = normals(200, copula.latent_dim, seed(82))
    expected = block(200, copula.dim)
    copula.scores(u, expected)
    np.testing.assert_allclose(values(inputs, seed(82)), expected, rtol=1e-12)


def test_vine_stands_in_a_config(tmp_path, seed):
    vine = pytest.importorskip("pyvinecopulib")
    data = np.random.default_rng(seed(87)).multivariate_normal(np.zeros(3), 0.5 * np.eye(3) + 0.5, 500)
    ranks = (np.argsort(np.argsort(data, axis=0), axis=0) + 1.0) / 501.0
    vine.Vinecop.from_data(ranks).to_file(str(tmp_path / "vine.json"))
    inputs = {"kind": "copula", "copula": {"kind": "vine", "file": "vine.json"}, "marginal": {"kind": "normal"}}
    x = values(loaded(tmp_path, inputs).inputs, seed(88))
    assert np.corrcoef(x.T)[0, 1] > 0.2
    with pytest.raises(RaresimError, match=r"one\.yaml:2:.*no such file"):
        loaded(tmp_path, inputs | {"copula": {"kind": "vine", "file": "none.json"}})


def first_examples(family):
    return [pytest.param(*p.values, id=p.id.removesuffix("-0")) for p in examples(family) if p.id.endswith("-0")]


def changed(value):
    """Other values of a key, one of which a law will take."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return []
    return [value + 1, 1.25 * value, 0.75 * value, 0.5 + 0.5 * value, value - 1]


@pytest.mark.parametrize("law", first_examples("marginal"))
@pytest.mark.slow_cases("mixture", "truncated_normal", "beta")
def test_every_number_of_a_marginal_changes_its_draws(law, tmp_path, seed):
    given = plain(law)
    before = values(loaded(tmp_path, {"kind": "independent", "marginals": [given]}).inputs, seed(83))
    for key, value in given.items():
        differs = []
        for other in changed(value):
            try:
                inputs = loaded(tmp_path, {"kind": "independent", "marginals": [given | {key: other}]}).inputs
                differs.append(not np.array_equal(values(inputs, seed(83)), before))
            except RaresimError:
                continue
            if any(differs):
                break
        if changed(value):
            assert differs, key
            assert any(differs), key


@pytest.mark.parametrize("copula", [p for p in first_examples("copula") if p.values[0].kind not in WITH_FILES])
def test_every_number_of_a_copula_changes_its_scores(copula, tmp_path, seed):
    given = plain(copula)
    normal = {"kind": "normal"}
    before = values(loaded(tmp_path, {"kind": "copula", "copula": given, "marginal": normal}).inputs, seed(86))
    for key, value in given.items():
        differs = []
        for other in [] if key == "dim" else changed(value):
            try:
                inputs = loaded(tmp_path, {"kind": "copula", "copula": given | {key: other}, "marginal": normal}).inputs
                differs.append(not np.array_equal(values(inputs, seed(86)), before))
            except RaresimError:
                continue
            if any(differs):
                break
        if changed(value) and key != "dim":
            assert differs, key
            assert any(differs), key


def test_nataf_repairs_what_comes_out_indefinite_when_asked(tmp_path):
    """Three lognormals of sigma 1: allowed pair by pair, impossible together."""
    rho = [[1, 0.75, -0.3], [0.75, 1, 0.3], [-0.3, 0.3, 1]]
    inputs = {"kind": "nataf", "correlation": rho, "marginal": {"kind": "lognormal", "s": 1}}
    with pytest.raises(RaresimError, match="positive definite"):
        loaded(tmp_path, inputs)
    lines = loaded(tmp_path, inputs | {"repair": "nearest"}).inputs.describe()
    assert any("nearest" in line for line in lines)


def test_missing_claims_are_dropped_when_asked(tmp_path):
    (tmp_path / "claims.csv").write_text("claim,loss\n1,1.5\n2,\n3,2.5\n4,0.5\n")
    fit = {"file": "claims.csv", "column": "loss"}
    with pytest.raises(RaresimError, match=r"claims\.csv:3:loss: is missing"):
        loaded(tmp_path, {"kind": "independent", "marginals": [{"kind": "exponential", "fit": fit}]})
    law = {"kind": "exponential", "fit": fit | {"missing": "drop"}}
    assert loaded(tmp_path, {"kind": "independent", "marginals": [law]}).inputs.laws[0].scale == 1.5


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"kind": "independent"}, "marginals: give either marginals"),
        ({"kind": "independent", "marginals": {}}, "must name at least one factor"),
        ({"kind": "independent", "marginals": {"x": {"kind": "gama"}}}, "did you mean 'gamma'?"),
        ({"kind": "independent", "marginals": {"x": {"kind": "gamma", "a": -1}}}, "marginals.x.a: must be positive"),
        ({"kind": "independent", "marginals": {"x": {"kind": "gamma", "a": "two"}}}, "marginals.x.a: must be a number"),
        ({"kind": "independent", "marginals": {"x": {"kind": "gamma", "b": 1}}}, "unknown key 'b'"),
        ({"kind": "independent", "marginals": [{"kind": "normal"}], "dim": 2}, "inputs.dim: must be left out or 1"),
        (
            {"kind": "copula", "copula": {"kind": "clayton", "theta": 2, "dim": 3}, "marginals": [{"kind": "normal"}]},
            "inputs.marginals: must be 3, as many as the copula joins, got 1",
        ),
        (
            {
                "kind": "copula",
                "copula": {"kind": "gaussian", "correlation": [[1, 1.2], [1.2, 1]]},
                "marginal": {"kind": "normal"},
            },
            "inputs.copula.correlation",
        ),
        (
            {"kind": "nataf", "correlation": [[1, -0.9], [-0.9, 1]], "marginal": {"kind": "lognormal", "s": 1}},
            "inputs.correlation",
        ),
        (
            {"kind": "factor", "loadings": [[1, 2]], "factors": {"kind": "standard_normal"}, "specific": 1},
            "inputs.loadings: must be rows of 1 numbers",
        ),
        ({"kind": "groups", "groups": {}}, "must name at least one group"),
    ],
)  # fmt: skip
def test_mistake_is_named_with_its_place(inputs, message, tmp_path):
    with pytest.raises((RaresimError, FieldError)) as caught:
        loaded(tmp_path, inputs)
    assert "one.yaml:2:" in str(caught.value)
    assert message in str(caught.value)


def test_marginal_is_fitted_to_a_column(tmp_path, seed):
    claims = np.random.default_rng(seed(84)).lognormal(1.0, 0.5, 2000)
    (tmp_path / "claims.csv").write_text(
        "claim,loss\n" + "".join(f"{k},{v!r}\n" for k, v in enumerate(claims.tolist()))
    )
    fit = {"file": "claims.csv", "column": "loss"}
    inputs = loaded(tmp_path, {"kind": "independent", "marginals": {"x": {"kind": "lognormal", "fit": fit}}}).inputs
    (law,) = inputs.laws
    assert law.s == pytest.approx(np.log(claims).std(), rel=1e-6)
    tailed = {"kind": "semi_parametric", "fit": fit, "upper": 0.05, "lower": None}
    (law,) = loaded(tmp_path, {"kind": "independent", "marginals": {"x": tailed}}).inputs.laws
    assert [tail.side for tail in law.tails] == ["upper"]
    with pytest.raises(RaresimError, match="cannot be given beside fit"):
        loaded(tmp_path, {"kind": "independent", "marginals": {"x": {"kind": "lognormal", "fit": fit, "s": 1}}})
    bad = {"kind": "lognormal", "fit": {"file": "none.csv", "column": "loss"}}
    with pytest.raises(RaresimError, match=r"one\.yaml:2:.*no such file"):
        loaded(tmp_path, {"kind": "independent", "marginals": {"x": bad}})


def test_nested_inputs_keep_their_parts(tmp_path, seed):
    inner = {"kind": "independent", "marginals": {"a": {"kind": "exponential"}, "b": {"kind": "normal"}}}
    model = {"kind": "factor", "loadings": [[1, 0], [0, 1], [1, 1]], "factors": inner, "specific": [0, 0, 0]}
    inputs = loaded(tmp_path, {"kind": "groups", "groups": {"one": model, "two": inner}}).inputs
    assert inputs.dim == 5
    assert inputs.latent_dim == 7
    assert inputs.names == ("one.x1", "one.x2", "one.x3", "two.a", "two.b")
    x = values(inputs, seed(85))
    np.testing.assert_allclose(x[:, 2], x[:, 0] + x[:, 1], rtol=1e-13)


def test_fit_of_a_marginal_is_shown_and_its_file_recorded(tmp_path, seed):
    claims = np.random.default_rng(seed(89)).pareto(2.5, 800) + 1.0
    (tmp_path / "claims.csv").write_text(
        "claim,loss\n" + "".join(f"{k},{v!r}\n" for k, v in enumerate(claims.tolist()))
    )
    fire = {"kind": "semi_parametric", "fit": {"file": "claims.csv", "column": "loss"}, "lower": None}
    fitted = {"kind": "independent", "marginals": {"fire": fire, "storm": {"kind": "exponential"}}}
    inputs = loaded(tmp_path, {"kind": "groups", "groups": {"a": fitted, "b": {"kind": "standard_normal"}}}).inputs
    (table,) = inputs.evidence.tables
    assert {row[0] for row in table.rows} == {"fire"}
    assert [plot.form for plot in inputs.evidence.plots] == ["quantiles", "stability"]
    assert [facts.name for facts in inputs.sources] == ["claims.csv"]


def test_sign_of_mixed_groups_has_to_be_said(tmp_path):
    rows = ["date,x", *(f"2020-01-{k:02d},{v}" for k, v in enumerate([0.01, -0.02, 0.005, 0.0, -0.01], start=1))]
    (tmp_path / "r.csv").write_text("\n".join(rows) + "\n")
    fit = {"returns_file": "r.csv", "returns": "log", "unit": "fraction"}
    groups = {"past": {"kind": "historical", "fit": fit}, "other": {"kind": "standard_normal"}}
    experiment = loaded(tmp_path, {"kind": "groups", "groups": groups})
    with pytest.raises(FieldError, match="factors: must be given, 'returns' or 'losses'"):
        experiment.loss.bind(experiment.inputs)
    experiment = loaded(tmp_path, {"kind": "groups", "groups": {"past": groups["past"]}})
    assert experiment.loss.bind(experiment.inputs).factors == "returns"


@pytest.mark.parametrize("kind", ["fitted", "garch", "historical"])
def test_covariance_that_would_have_no_part_is_refused(kind, tmp_path, seed):
    inputs = {"kind": kind, "fit": prices(tmp_path, seed(90)) | {"covariance": "sample"}}
    with pytest.raises(RaresimError, match=f"must state no covariance, got 'sample': kind {kind} does not use one"):
        loaded(tmp_path, inputs)


@pytest.mark.slow
def test_copula_that_nobody_states_is_gaussian_or_t_as_aic_prefers(tmp_path, seed):
    plain, tailed = prices(tmp_path, seed(91)), prices(tmp_path, seed(92), dof=3.0)
    for fit, kind in ((plain, "gaussian"), (tailed, "t")):
        assert loaded(tmp_path, {"kind": "fitted", "fit": fit, "margins": "normal"}).inputs.joint.copula.kind == kind


def prices(folder, seed, dof=np.inf):
    """A table of 1,500 prices of two stocks whose log returns are normal, or t with shared mixing."""
    rng = np.random.default_rng(seed)
    mixing = np.ones((1500, 1)) if np.isinf(dof) else np.sqrt(dof / rng.chisquare(dof, (1500, 1)))
    returns = 0.01 * mixing * rng.multivariate_normal([0.0, 0.0], [[1.0, 0.5], [0.5, 1.0]], 1500)
    days = np.datetime64("2015-01-01") + np.arange(1500)
    rows = [f"{day},{a:.10g},{b:.10g}" for day, (a, b) in zip(days, 100 * np.exp(returns.cumsum(axis=0)), strict=True)]
    (folder / f"prices-{seed}.csv").write_text("\n".join(["date,A,B", *rows]) + "\n")
    return {"prices": f"prices-{seed}.csv", "returns": "log"}

"""The compound model: its law against closed forms, and its contracts against hand calculation."""

import math
from contextlib import nullcontext

import numpy as np
import pytest
from scipy import special, stats

import raresim
from raresim import copulas, marginals
from raresim.config import load as configs
from raresim.errors import ConfigError, DataError, FieldError
from raresim.models import CommonEvents, Compound, Contract, Corridor, GammaMixing, Line
from raresim.models.insurance.claims import PIECE, bounded, largest, next_scores
from raresim.models.insurance.frequencies import log_pgf, poisson_counts
from tests.helpers import block, losses, normals
from tests.statistical import assert_within_error


def line(name="a", mean=4.0, severity=None):
    return Line(name=name, frequency=marginals.Poisson(mu=mean), severity=severity or marginals.Gamma(a=2.0))


def draws(model, n, seed):
    u = normals(n, model.inputs.latent_dim, seed)
    return model.inputs.to_physical(u, block(n, model.inputs.dim))


def share(hit, exact):
    """Compare a share of draws with its probability."""
    assert_within_error(np.mean(hit), exact, math.sqrt(exact * (1 - exact) / len(hit)))


def poisson_gamma_tail(x, mean=4.0, shape=2.0):
    n = np.arange(1, 400)
    return float(stats.poisson.pmf(n, mean) @ special.gammaincc(shape * n, x))


@pytest.mark.parametrize("mean", [0.3, 7.0, 2000.0])
def test_poisson_counts_are_exact_in_both_tails(mean):
    u = np.concatenate([np.linspace(-8.0, 12.0, 400), [-30.0, 30.0]])
    found = poisson_counts(u, np.full(u.size, mean))
    law = marginals.Poisson(mu=mean)
    expected = np.empty(u.size)
    law.from_normal(u, expected)
    np.testing.assert_array_equal(found, expected)
    assert poisson_counts(np.array([5.0]), np.array([0.0]))[0] == 0.0


@pytest.mark.statistical(effect=0.25, false_fail=5e-6, false_pass=1e-3)
def test_scores_are_independent_normals_whatever_the_level_sums_them_to(seed):
    rng = np.random.default_rng(seed(920))
    n, m = 40_000, 5
    level = rng.standard_normal(n)
    row, score = np.empty(n * m, np.int64), np.empty(n * m)
    own = rng.integers(2**63, size=n).astype(np.uint64)
    next_scores(np.full(n, float(m)), level, own, np.zeros(2), np.zeros(2, np.int64), row, score)
    z = score.reshape(n, m)
    np.testing.assert_array_equal(row.reshape(n, m), np.arange(n)[:, None].repeat(m, axis=1))
    np.testing.assert_allclose(z.sum(axis=1), level * math.sqrt(m), atol=1e-12)
    for k in range(m):
        assert_within_error(z[:, k].mean(), 0.0, 1 / math.sqrt(n))
        assert_within_error((z[:, k] ** 2).mean(), 1.0, math.sqrt(2 / n))
        share(z[:, k] > 1.5, stats.norm.sf(1.5))
        for j in range(k):
            assert_within_error((z[:, k] * z[:, j]).mean(), 0.0, 1 / math.sqrt(n))


def test_largest_is_exact_far_out_and_others_stay_below_it():
    score, above, below = largest(np.array([1.0, 3.0, 3.0, 0.0]), np.array([9.0, -5.0, 12.0, 1.0]))
    np.testing.assert_allclose(score[0], 9.0, rtol=1e-12)
    np.testing.assert_allclose(3.0 * stats.norm.logcdf(score[1]), stats.norm.logcdf(-5.0), rtol=1e-10)
    np.testing.assert_allclose(3.0 * stats.norm.sf(score[2]), stats.norm.sf(12.0), rtol=1e-10)
    assert score[3] == -np.inf
    np.testing.assert_allclose(above[:3] + below[:3], 1.0)
    z = np.linspace(-9.0, 9.0, 50)
    p = 1e-40
    np.testing.assert_allclose(bounded(z, np.full(50, p), np.full(50, 1.0 - p)), z, rtol=1e-9)
    assert (bounded(z, np.full(50, 0.4), np.full(50, 0.6)) <= stats.norm.isf(0.4) + 1e-9).all()


@pytest.mark.statistical(effect=0.4, false_fail=1e-6, false_pass=1e-3)
def test_totals_and_largest_claims_follow_their_laws(seed):
    model = Compound(lines=[line()])
    x = draws(model, 40_000, seed(921))
    totals = model.loss.totals(x)
    for at in (2.0, 8.0, 15.0, 20.0):
        share(totals.gross[:, 0] > at, poisson_gamma_tail(at))
    for at in (1.0, 4.0, 8.0):
        share(totals.top[:, 0] > at, -math.expm1(-4.0 * float(stats.gamma(2.0).sf(at))))
    mean, std = model.loss.moments(model.inputs)
    assert_within_error(totals.gross.mean(), mean, std / 200.0)
    assert (mean, std) == pytest.approx((8.0, math.sqrt(4.0 * 6.0)))
    assert (totals.second <= totals.top).all()
    few = totals.gross[x[:, 0] == 2]
    np.testing.assert_allclose(few, (totals.top + totals.second)[x[:, 0] == 2])


def test_a_row_of_more_claims_than_a_piece_is_the_same_alone():
    model = Compound(lines=[line(mean=1.3 * PIECE), line("b", 3.0)])
    x = draws(model, 7, 5)
    together = losses(model.loss, x)
    np.testing.assert_array_equal([losses(model.loss, x[i : i + 1])[0] for i in range(7)], together)
    assert abs(together.mean() / (2.6 * PIECE) - 1.0) < 0.03


def annual(**terms):
    return Contract(name="xl", attachment=10.0, limit=20.0, **terms)


@pytest.mark.parametrize(
    ("terms", "layer", "paid"),
    [
        ({}, 70.0, 70.0),
        ({"share": 0.5}, 70.0, 35.0),
        ({"aggregate_deductible": 15.0}, 70.0, 55.0),
        ({"aggregate_deductible": 15.0}, 10.0, 0.0),
        ({"aggregate_deductible": 15.0, "aggregate_limit": 30.0, "share": 0.9}, 70.0, 27.0),
        ({"reinstatements": 1}, 70.0, 40.0),
        ({"reinstatements": 0}, 70.0, 20.0),
        ({"reinstatements": 2, "aggregate_deductible": 15.0}, 50.0, 35.0),
        ({"corridor": Corridor(start=10.0, end=30.0, kept=0.75)}, 25.0, 25.0 - 0.75 * 15.0),
        ({"corridor": Corridor(start=10.0, end=30.0)}, 70.0, 50.0),
    ],
)
def test_annual_terms_by_hand(terms, layer, paid):
    assert annual(**terms).recovered(np.array([layer]))[0] == pytest.approx(paid, rel=1e-14)


def test_reinstatements_are_paid_in_proportion():
    contract = annual(reinstatements=2, reinstatement_rates=[1.0, 0.5], premium=8.0, share=0.5)
    cost = contract.reinstated(np.array([0.0, 5.0, 20.0, 30.0, 40.0, 60.0]))
    np.testing.assert_allclose(cost, 0.5 * np.array([0.0, 2.0, 8.0, 10.0, 12.0, 12.0]))


def test_gross_ceded_and_net_are_of_the_same_claims():
    heavy = line("b", 1.0, marginals.Lognormal(mean=9.0, std=20.0))
    paid = annual(lines=["b"], reinstatements=1, reinstatement_rates=[1.0], premium=0.7)
    quota = Contract(name="q", limit=3.0, aggregate_limit=9.0, share=0.3)
    parts = {"lines": [line(), heavy], "contracts": [paid, quota]}
    models = {view: Compound(**parts, view=view) for view in ("gross", "ceded", "net")}
    x = draws(models["gross"], 3_000, 6)
    of = {view: losses(model.loss, x) for view, model in models.items()}
    layer = models["net"].loss.totals(x).layers
    np.testing.assert_allclose(of["net"], of["gross"] - of["ceded"] + paid.reinstated(layer[:, 0]), atol=1e-12)
    assert models["net"].loss.component_names == ("a", "b", "ceded: xl", "ceded: q")
    assert of["ceded"].max() > 0


def test_a_layer_takes_its_part_of_each_claim():
    model = Compound(
        lines=[
            Line(name="a", frequency=marginals.Binomial(n=3, p=1.0), severity=marginals.Uniform(loc=12.0, scale=1e-9))
        ],
        contracts=[Contract(name="xl", attachment=10.0, limit=1.5)],
        view="ceded",
    )
    np.testing.assert_allclose(losses(model.loss, draws(model, 5, 7)), 4.5)


@pytest.mark.statistical(effect=0.3, false_fail=1e-6, false_pass=1e-3)
@pytest.mark.parametrize(
    "options",
    [
        {"mixing": GammaMixing(std=0.6)},
        {"common_events": [CommonEvents(frequency=marginals.NegativeBinomial(mean=1.0, std=1.2), lines=["a", "b"])]},
        {"mixing": GammaMixing(std=0.6, lines=["a"])},
    ],
    ids=["mixing", "common events", "one mixed"],
)
def test_dependent_counts_have_their_moments_and_generating_function(options, seed):
    model = Compound(lines=[line(), line("b", 2.0)], **options)
    x = draws(model, 40_000, seed(922))
    counts = model.frequencies.counts(x)
    means, covariance = model.frequencies.means, model.frequencies.covariance
    centred = counts - means
    for i in range(2):
        assert_within_error(counts[:, i].mean(), means[i], counts[:, i].std() / 200.0)
        for j in range(2):
            products = centred[:, i] * centred[:, j]
            assert_within_error(products.mean(), covariance[i, j], products.std() / 200.0)
    top = model.loss.totals(x).top
    none = np.exp(
        model.frequencies.log_pgf([stats.gamma(2.0).sf(np.array([3.0])), stats.gamma(2.0).sf(np.array([4.0]))])
    )
    share((top[:, 0] <= 3.0) & (top[:, 1] <= 4.0), float(none[0]))
    mean, std = model.loss.moments(model.inputs)
    assert_within_error(losses(model.loss, x).mean(), mean, std / 200.0)


@pytest.mark.statistical(effect=0.3, false_fail=1e-6, false_pass=1e-3)
def test_a_copula_joins_counts(seed):
    joined = Compound(lines=[line(), line("b", 2.0)], copula=copulas.Gaussian(correlation=[[1.0, 0.7], [0.7, 1.0]]))
    counts = joined.frequencies.counts(draws(joined, 20_000, seed(923)))
    both = stats.multivariate_normal([0, 0], [[1, 0.7], [0.7, 1]]).cdf(
        stats.norm.ppf(stats.poisson.cdf([3, 1], [4, 2]))
    )
    share((counts[:, 0] <= 3) & (counts[:, 1] <= 1), float(both))
    assert joined.loss.moments(joined.inputs) is None


def test_generating_functions_agree_with_sums_over_the_atoms():
    missing = np.array([1e-14, 0.3, 1.0, 1.7])
    for law in (marginals.Poisson(mu=3.0), marginals.NegativeBinomial(n=2.5, p=0.6)):
        k = np.arange(400)
        p = np.exp(law.logpdf(k))
        np.testing.assert_allclose(
            np.expm1(log_pgf(law, missing)), [p @ ((1 - m) ** k - 1.0) for m in missing], rtol=1e-9, atol=1e-15
        )
    law = marginals.Binomial(n=7, p=0.2)
    np.testing.assert_allclose(log_pgf(law, missing[:3]), 7 * np.log1p(-0.2 * missing[:3]), rtol=1e-12)


WRONG = [
    (lambda: Compound(lines=[]), r"^lines: must have at least one line"),
    (lambda: Compound(lines=[line(), line()]), r"^lines\[1\]\.name: must differ"),
    (lambda: line(severity=marginals.Normal(loc=3.0)), r"^severity: must be a law of no negative claims"),
    (
        lambda: Line(name="a", frequency=marginals.Gamma(a=2.0), severity=marginals.Gamma(a=1.0)),
        r"^frequency: .* whole",
    ),
    (lambda: line(mean=1e9), r"^frequency: must have a mean of at most 1e\+07"),
    (lambda: line(name=" "), r"^name: must not be empty"),
    (lambda: annual(share=90.0), r"^share: must be from 0 to 1, got 90; is it in per cent\? 0.9 stands for 90 %"),
    (lambda: Contract(name="xl", limit=0.0), r"^limit: must be above 0, got 0"),
    (lambda: Contract(name="xl", limit=-3.0), r"^limit: must be above 0, got -3"),
    (lambda: Contract(name="xl", attachment=-1.0), r"^attachment: must be at least 0, got -1"),
    (lambda: annual(aggregate_deductible=-1.0), r"^aggregate_deductible: must be at least 0"),
    (lambda: annual(aggregate_limit=0.0), r"^aggregate_limit: must be above 0"),
    (
        lambda: annual(aggregate_limit=5.0, reinstatements=1),
        r"^aggregate_limit: must be left out beside reinstatements",
    ),
    (lambda: Contract(name="q", reinstatements=1), r"^reinstatements: needs a limit"),
    (lambda: annual(reinstatements=-1), r"^reinstatements: must be at least 0"),
    (
        lambda: annual(reinstatements=2, reinstatement_rates=[1.0], premium=1.0),
        r"^reinstatement_rates: must have a rate",
    ),
    (lambda: annual(reinstatements=1, reinstatement_rates=[100.0], premium=1.0), r"^reinstatement_rates: .* per cent"),
    (lambda: annual(reinstatements=1, reinstatement_rates=[1.0]), r"^premium: must be given"),
    (lambda: annual(premium=3.0), r"^premium: goes with reinstatements"),
    (lambda: annual(reinstatements=1, premium=3.0), r"^premium: goes with reinstatement_rates"),
    (lambda: Corridor(start=3.0, end=2.0), r"^end: must be above start"),
    (lambda: Corridor(start=-3.0, end=2.0), r"^start: must be at least 0"),
    (lambda: annual(lines=[]), r"^lines: must name at least one line"),
    (
        lambda: Compound(lines=[line()], contracts=[annual(lines=["x"])]),
        r"^contracts\[0\]\.lines: must name lines .*'x'",
    ),
    (lambda: Compound(lines=[line()], contracts=[annual(), annual()]), r"^contracts\[1\]\.name: must differ"),
    (lambda: Compound(lines=[line()], view="net"), r"^view: cannot be 'net' without contracts"),
    (lambda: Compound(lines=[line()], view="all"), r"^view: .*'all'"),
    (lambda: GammaMixing(std=0.0), r"^std: must be above 0"),
    (lambda: CommonEvents(frequency=marginals.Poisson(mu=1.0), lines=["a"]), r"^lines: must name at least two"),
    (lambda: CommonEvents(frequency=marginals.Gamma(a=1.0), lines=["a", "b"]), r"^frequency: must be a law on whole"),
    (
        lambda: Compound(
            lines=[Line(name="a", frequency=marginals.Binomial(n=3, p=0.5), severity=marginals.Gamma(a=1.0))],
            mixing=GammaMixing(std=0.5),
        ),
        r"^mixing: is for lines with a poisson frequency, got binomial of 'a'",
    ),
    (lambda: Compound(lines=[line()], mixing=GammaMixing(std=0.5, lines=["z"])), r"^mixing\.lines: must name lines"),
    (
        lambda: Compound(lines=[line()], copula=copulas.Gaussian(correlation=[[1.0, 0.5], [0.5, 1.0]])),
        r"^copula: must join the 1 lines, got one of dimension 2",
    ),
]


@pytest.mark.parametrize(("make", "message"), WRONG, ids=[message for _, message in WRONG])
def test_wrong_arguments_are_named(make, message):
    with pytest.raises(FieldError, match=message):
        make()


def test_expected_shortfall_of_an_infinite_mean_is_refused():
    heavy = Compound(lines=[line(severity=marginals.Pareto(b=0.9))])
    assert "infinite mean" in " ".join(heavy.notes())
    with pytest.raises(FieldError, match=r"infinite mean"):
        raresim.estimate(heavy, measures=raresim.ExpectedShortfall(level=0.99), seed=1)
    with pytest.raises(FieldError, match=r"infinite mean"):
        raresim.Experiment(model=heavy, measures=[raresim.ExpectedShortfall(level=0.99)], seed=1).run()
    capped = Compound(lines=heavy.lines, contracts=[annual()], view="ceded")
    raresim.estimate(capped, measures=raresim.ExpectedShortfall(level=0.9), seed=1, relative_error=0.2)


CLAIMS = "id,loss\n" + "".join(f"{k},{1.0 + 0.1 * (k * 7 % 13)}\n" for k in range(29))

YAML = """
model:
  kind: compound
  lines:
    - name: fire
      frequency: {kind: negative_binomial, mean: 3, std: 2.5}
      severity: {kind: lognormal, fit: {file: claims.csv, column: loss}}
  contracts:
    - {name: xl, attachment: 1.5, limit: 2, reinstatements: 1}
  view: net
measures: [{kind: value_at_risk, level: 0.99}]
method: {kind: auto}
seed: 1
"""


def test_a_severity_is_fitted_to_a_file_and_few_claims_are_said(tmp_path):
    (tmp_path / "claims.csv").write_text(CLAIMS)
    (tmp_path / "a.yaml").write_text(YAML)
    outline, _, _ = configs.load(tmp_path / "a.yaml").outline()
    assert outline.notes == (
        "line fire: severity fitted to 29 claims of claims.csv, fewer than 30: its tail beyond the largest of them is "
        "hardly known",
    )
    (tmp_path / "claims.csv").write_text(CLAIMS + "30,2.0\n")
    assert configs.load(tmp_path / "a.yaml").outline()[0].notes == (
        "line fire: severity fitted to 30 claims of claims.csv",
    )
    experiment = configs.load(tmp_path / "a.yaml").experiment()
    assert [facts["name"] for facts in experiment.files()] == ["claims.csv"]


@pytest.mark.parametrize("kind", ["lognormal", "normal", "empirical", "gamma"])
def test_negative_claims_are_refused_with_their_places(tmp_path, kind):
    (tmp_path / "claims.csv").write_text(CLAIMS.replace("\n3,", "\n3,-").replace("\n9,", "\n9,-"))
    (tmp_path / "a.yaml").write_text(YAML.replace("lognormal", kind))
    with pytest.raises(DataError, match=r"claims\.csv:5:loss: must be at least 0, got -.*\nclaims\.csv:11:loss: must"):
        configs.load(tmp_path / "a.yaml").outline()


@pytest.mark.parametrize(
    ("claim", "said"),
    [
        ("0", r"claims\.csv: column 'loss', its values counted from 0: lognormal needs .* values, got 0 at row 3$"),
        ("1e305", None),
    ],
    ids=["zero", "huge"],
)
def test_claims_that_a_law_does_not_hold_are_named(tmp_path, claim, said):
    """A claim of 1e305 gives a lognormal law whose mean no double holds: that is said, and is no internal error."""
    (tmp_path / "claims.csv").write_text(CLAIMS.replace("\n3,", f"\n3,{claim}\n99,"))
    (tmp_path / "a.yaml").write_text(YAML)
    with pytest.raises(DataError, match=said) if said else nullcontext():
        notes = configs.load(tmp_path / "a.yaml").outline()[0].notes
        assert any("infinite mean" in note for note in notes)


def test_places_in_yaml_are_those_of_the_key(tmp_path):
    (tmp_path / "claims.csv").write_text(CLAIMS)
    (tmp_path / "a.yaml").write_text(YAML.replace("limit: 2", "limit: 0"))
    with pytest.raises(ConfigError, match=r"a\.yaml:9:\d+: model\.contracts\[0\]\.limit: must be above 0, got 0"):
        configs.load(tmp_path / "a.yaml").outline()

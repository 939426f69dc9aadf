"""The transform against closed forms, the law of the largest claim, and what stands beside a run's numbers."""

import csv
import json
import math
import runpy

import numpy as np
import pytest
from scipy import special, stats

import raresim
from raresim import copulas, marginals
from raresim.config import load as configs
from raresim.models import Compound, Contract, Corridor, GammaMixing, Line
from raresim.models.insurance import compound_controls
from raresim.models.insurance.aggregate import Grid, sum_of, tails_of
from raresim.models.insurance.occurrence import Occurrence
from raresim.record.verdict import Status
from tests.helpers import ROOT
from tests.models.test_compound import poisson_gamma_tail
from tests.statistical import assert_within_error

LOMAX = marginals.Pareto(b=1.5, loc=-1.0)


def one(frequency, severity, **options):
    return Compound(lines=[Line(name="a", frequency=frequency, severity=severity)], **options)


def layer_line(name, cost, alpha, low, high):
    """A line with an expected cost to the layer from ``low`` to ``high``, of Pareto claims above ``low``."""
    each = low / (alpha - 1.0) * (1.0 - (low / high) ** (alpha - 1.0))
    return Line(name=name, frequency=marginals.Poisson(mu=cost / each), severity=marginals.Pareto(b=alpha, scale=low))


def us_wind():
    rates, means = (0.71, 0.40, 0.36, 0.17, 0.025), (2.28, 4.46, 13.0, 43.8, 46.5)
    stds = (8.63, 6.17, 21.9, 50.9, 51.5)
    return Compound(
        lines=[
            Line(name=f"cat{k + 1}", frequency=marginals.Poisson(mu=r), severity=marginals.Lognormal(mean=m, std=s))
            for k, (r, m, s) in enumerate(zip(rates, means, stds, strict=True))
        ]
    )


def levy_tail(x, mean=20.0):
    n = np.arange(1, 200)
    return float(stats.poisson.pmf(n, mean) @ special.erf(n / math.sqrt(2.0 * x)))


EXACT = {
    "light, by Poisson and gamma": (
        one(marginals.Poisson(mu=10.0), marginals.Gamma(a=2.0)),
        60.0,
        3.762648355598732e-5,
    ),
    "far": (one(marginals.Poisson(mu=10.0), marginals.Gamma(a=2.0)), 80.0, 2.932347752602834e-8),
    "infinite mean": (
        one(marginals.Poisson(mu=20.0), marginals.ScipyLaw(name="levy", parameters={"scale": 1.0})),
        1e12,
        levy_tail(1e12),
    ),
    "five Lomax": (one(marginals.Binomial(n=5, p=1.0), LOMAX), 1000.0, 1.5977420388584728e-4),
    "usual": (one(marginals.Poisson(mu=4.0), marginals.Gamma(a=2.0)), 8.0, poisson_gamma_tail(8.0)),
}


@pytest.mark.parametrize(("model", "x", "exact"), EXACT.values(), ids=EXACT)
def test_transform_hits_closed_forms_and_brackets_them(model, x, exact):
    (tail,) = tails_of(model.loss, [x])
    assert tail.value == pytest.approx(exact, rel=2e-5)
    assert tail.low < exact < tail.high
    assert tail.high - tail.low < 0.06 * exact


def test_several_losses_come_from_one_transform():
    model = one(marginals.NegativeBinomial(mean=4.0, std=3.0), marginals.Exponential())
    at = [4.0, 10.0, 25.0, 40.0]
    n = np.arange(1, 600)
    p = np.exp(model.lines[0].frequency.logpdf(n))
    exact = [float(p @ special.gammaincc(n, x)) for x in at]
    for tail, value in zip(tails_of(model.loss, at), exact, strict=True):
        assert tail.value == pytest.approx(value, rel=2e-4)
        assert tail.low < value < tail.high


def test_mixing_is_the_negative_binomial_law():
    mixed = one(marginals.Poisson(mu=4.0), marginals.Gamma(a=2.0), mixing=GammaMixing(std=0.5))
    same = one(marginals.NegativeBinomial(n=4.0, p=0.5), marginals.Gamma(a=2.0))
    (a,), (b,) = tails_of(mixed.loss, [40.0]), tails_of(same.loss, [40.0])
    assert a.value == pytest.approx(b.value, rel=1e-9)


def test_bear_and_nemlick_treaty_with_reinstatements():
    lines = [
        layer_line(name, cost, alpha, 300.0, 1000.0)
        for name, cost, alpha in (("A", 200.0, 1.5), ("B", 280.0, 1.3), ("C", 420.0, 1.1))
    ]
    terms = {"attachment": 300.0, "limit": 700.0}
    model = Compound(lines=lines, contracts=[Contract(name="t", **terms, reinstatements=3)], view="ceded")
    at = np.append(np.arange(5.0, 2800.0, 10.0), 2800.0)  # atoms at multiples of 700 are between two of them
    expected = 10.0 * math.fsum(tail.value for tail in tails_of(model.loss, at.tolist())[:-1])
    assert 0.8 * expected * 100 / 60 / 6000 == pytest.approx(0.198862, rel=2e-4)
    unlimited = Compound(lines=lines, contracts=[Contract(name="t", **terms)], view="ceded")
    two = tails_of(unlimited.loss, [2800.0, 5600.0])
    assert [tail.value for tail in two] == pytest.approx([0.0133502, 4.24054e-6], rel=1e-4)
    assert tails_of(model.loss, [2800.1])[0].value == 0.0


def test_bear_and_nemlick_treaty_with_an_aggregate_deductible():
    lines = [layer_line("A", 360.0, 0.9, 40.0, 200.0), layer_line("B", 90.0, 0.95, 40.0, 200.0)]
    contract = Contract(name="t", attachment=40.0, limit=160.0, aggregate_deductible=360.0)
    model = Compound(lines=lines, contracts=[contract], view="ceded")
    at = np.linspace(0.0, 3000.0, 601)
    tails = [tail.value for tail in tails_of(model.loss, (at + 1e-9).tolist())]
    assert float(np.trapezoid(tails, at)) * 100 / 75 / 12000 == pytest.approx(0.015755, rel=1e-3)


@pytest.mark.parametrize(
    ("contracts", "view", "is_sum"),
    [
        ([], "gross", True),
        ([Contract(name="t", attachment=2.0, limit=3.0, reinstatements=1)], "ceded", True),
        ([Contract(name="t", attachment=2.0, limit=3.0, reinstatements=1)], "net", False),
        ([Contract(name="t", attachment=2.0, limit=3.0, share=0.5)], "net", True),
        ([Contract(name="t", limit=3.0), Contract(name="u", limit=4.0)], "ceded", True),
        ([Contract(name="t", limit=3.0), Contract(name="u", limit=4.0)], "net", False),
        ([Contract(name="t", limit=3.0), Contract(name="u", aggregate_limit=4.0)], "ceded", False),
        ([Contract(name="t", corridor=Corridor(start=1.0, end=2.0))], "net", False),
    ],
)
def test_what_is_no_rising_sum_has_no_transform(contracts, view, is_sum):
    model = one(marginals.Poisson(mu=1.0), marginals.Gamma(a=2.0), contracts=contracts, view=view)
    assert (sum_of(model.loss) is not None) == is_sum


def test_a_copula_has_no_transform():
    lines = [Line(name=n, frequency=marginals.Poisson(mu=1.0), severity=marginals.Gamma(a=2.0)) for n in "ab"]
    joined = Compound(lines=lines, copula=copulas.Gaussian(correlation=[[1.0, 0.5], [0.5, 1.0]]))
    assert tails_of(joined.loss, [5.0]) is None


def test_net_of_a_layer_by_its_own_transform():
    """Claims of exactly 2 or 6 net of 3 xs 2 are 2 or 3: a compound Poisson law on whole numbers."""
    severity = marginals.Mixture(
        weights=[0.75, 0.25],
        components=[marginals.Uniform(loc=2.0, scale=1e-9), marginals.Uniform(loc=6.0 - 1e-9, scale=1e-9)],
    )
    model = one(
        marginals.Poisson(mu=2.0), severity, contracts=[Contract(name="t", attachment=2.0, limit=3.0)], view="net"
    )
    p = np.zeros(60)
    p[0] = math.exp(-2.0)
    for k in range(1, 60):  # Panjer's recursion
        p[k] = 2.0 / k * sum(j * f * p[k - j] for j, f in ((2, 0.75), (3, 0.25)) if k >= j)
    (tail,) = tails_of(model.loss, [11.5])
    assert tail.value == pytest.approx(1.0 - p[:12].sum(), rel=1e-6)


def test_largest_claim_has_the_published_return_periods():
    law = Occurrence(us_wind().frequencies)
    assert law.quantile(1 / 100) == pytest.approx(141.611, abs=6e-4)
    assert law.quantile(1 / 250) == pytest.approx(203.847, abs=6e-4)
    assert law.quantile(0.9) == 0.0


def test_largest_claim_under_a_layer_has_the_law_of_what_it_leaves():
    claims = one(marginals.Poisson(mu=0.1), marginals.Exponential(scale=3.0))
    layer = Contract(name="xl", attachment=2.0, limit=3.0)
    net, ceded = (
        Occurrence.of(Compound(lines=claims.lines, contracts=[layer], view=view).loss) for view in ("net", "ceded")
    )

    def law(claim):
        return -np.expm1(-0.1 * np.exp(-np.array(claim) / 3.0))

    np.testing.assert_allclose(net.exceeds(np.array([1.0, 1.99, 2.0, 2.5])), law([1.0, 1.99, 5.0, 5.5]), rtol=1e-12)
    np.testing.assert_allclose(
        ceded.exceeds(np.array([0.0, 1.0, 2.99, 3.0])), [*law([2.0, 3.0, 4.99]), 0.0], rtol=1e-12
    )
    assert net.quantile(float(law([3.0])[0])) == 2.0  # the layer takes all from 2 to 5
    assert ceded.quantile(1e-3) == 3.0
    assert ceded.mean_beyond(1e-3) == pytest.approx(3.0)
    heavy = one(marginals.Poisson(mu=1.0), marginals.Pareto(b=0.9)).lines
    limited = [Occurrence.of(Compound(lines=heavy, contracts=[layer], view=view).loss) for view in ("net", "ceded")]
    assert [math.isinf(found.mean_beyond(0.01)) for found in limited] == [True, False]


@pytest.mark.statistical(effect=0.3, false_fail=1e-6, false_pass=1e-3)
def test_largest_net_claim_is_that_of_simulated_years(seed):
    layers = [Contract(name="a", attachment=2.0, limit=3.0, share=0.6), Contract(name="b", attachment=3.0, share=0.3)]
    lines = one(marginals.Poisson(mu=2.0), marginals.Exponential(scale=3.0)).lines
    law = Occurrence.of(Compound(lines=lines, contracts=layers, view="net").loss)
    rng = np.random.default_rng(seed(945))
    claims = rng.exponential(3.0, (40_000, 15))
    claims[np.arange(15) >= rng.poisson(2.0, 40_000)[:, None]] = 0.0
    net = claims - 0.6 * np.clip(claims - 2.0, 0.0, 3.0) - 0.3 * np.maximum(claims - 3.0, 0.0)
    for x in (0.5, 2.1, 2.5, 6.0):
        p = float(law.exceeds(np.array([x]))[0])
        assert_within_error((net.max(axis=1) > x).mean(), p, math.sqrt(p * (1 - p) / 40_000))


def test_there_is_no_closed_form_of_a_largest_claim_that_contracts_overpay():
    lines = one(marginals.Poisson(mu=1.0), marginals.Gamma(a=2.0)).lines
    both = [Contract(name="t", limit=3.0), Contract(name="u", limit=4.0)]
    assert Occurrence.of(Compound(lines=lines, contracts=both, view="net").loss) is None
    model = Compound(lines=lines, contracts=both, view="net")
    result = raresim.estimate(model, measures=raresim.ValueAtRisk(level=0.9), seed=1, relative_error=0.1)
    (periods,) = (exhibit for exhibit in result.exhibits if exhibit.name == "return_periods")
    assert "the contracts together take more than a claim of" in periods.notes[0]
    assert periods.rows[0][5] is None


def test_mean_beyond_of_the_largest_claim():
    law = Occurrence(one(marginals.Poisson(mu=0.1), LOMAX).frequencies)
    tail = 1e-3
    u = (np.arange(400_000) + 0.5) / 400_000 * tail
    exact = np.mean((-np.log1p(-u) / 0.1) ** (-1 / 1.5) - 1.0)
    assert law.mean_beyond(tail) == pytest.approx(exact, rel=0.02)
    finite = Occurrence(one(marginals.Poisson(mu=0.1), marginals.Exponential(scale=3.0)).frequencies)
    exact = np.mean(-3.0 * np.log(-np.log1p(-u) / 0.1))
    assert finite.mean_beyond(tail) == pytest.approx(exact, rel=1e-4)
    assert math.isinf(Occurrence(one(marginals.Poisson(mu=1.0), marginals.Pareto(b=0.9)).frequencies).mean_beyond(0.1))


@pytest.mark.statistical(effect=0.3, false_fail=1e-6, false_pass=1e-3)
def test_wind_is_hit_with_controls_and_return_periods_beside_it(tmp_path, seed):
    measures = [
        raresim.Probability(above=[200.0, 500.0]),
        raresim.ValueAtRisk(level=[0.99, 0.996]),
        raresim.ExpectedShortfall(level=0.99),
    ]
    result = raresim.estimate(
        us_wind(), measures=measures, seed=seed(930), method=raresim.Auto(scheme="only"), relative_error=0.03
    )
    assert result.verdict.status == Status.TRUSTED
    assert result.evaluations["total"] < 60_000
    for estimate, exact in zip(result.estimates[:2], (5.5873e-3, 2.84956e-4), strict=True):
        assert_within_error(estimate.value, exact, estimate.std_error)
    by_name = {exhibit.name: exhibit for exhibit in result.exhibits}
    controls = by_name["controls"].rows
    assert {row[1] for row in controls} >= {"P(loss >= 200)", "VaR 99 %", "ES 99 %", "EL"}
    assert all(abs(row[4]) < 0.06 for row in controls if row[4] is not None)
    periods = by_name["return_periods"]
    assert [row[0] for row in periods.rows] == [100.0, 250.0]
    assert periods.rows[0][5] == pytest.approx(141.611, abs=1e-3)
    assert periods.rows[1][4] is None  # no shortfall was asked there
    folder = result.save(tmp_path / "run")
    with open(folder / "ept.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["SummaryId", "EPCalc", "EPType", "ReturnPeriod", "Loss"]
    assert [float(row["EPType"]) for row in rows] == [1, 1, 2, 2, 3, 3, 4]
    assert json.loads((folder / "result.json").read_text())["verdict"]["status"] == "trusted"


def test_grid_is_refined_towards_the_law():
    of = sum_of(one(marginals.Poisson(mu=4.0), marginals.Gamma(a=2.0)).loss)
    widths = []
    for points in (2**12, 2**16):
        grid = Grid(of, 20.0, points)
        theta, beyond, aliased = grid.tilt()
        low, high = (float(grid.tails(np.array([20.0]), way, theta)[0]) for way in ("down", "up"))
        widths.append(high - low)
        assert beyond < 1e-12
        assert aliased < 1e-7
    assert widths[1] < 0.1 * widths[0]


def recipe():
    """The section of the README, its blocks by language."""
    section = (ROOT / "README.md").read_text("utf-8").split("## From claims to return periods")[1].split("\n## ")[0]
    return {block.split("\n", 1)[0]: block.split("\n", 1)[1] for block in section.split("```")[1::2]}


def test_recipe_of_the_readme_goes_from_claims_to_return_periods(tmp_path):
    for name in ("claims.csv", "years.csv"):
        (tmp_path / name).write_bytes((ROOT / "configs" / "insurance" / name).read_bytes())
    (tmp_path / "fire.yaml").write_text(recipe()["yaml"].replace("0.02", "0.1"))
    result = configs.load(tmp_path / "fire.yaml").experiment().run()
    assert result.verdict.status in (Status.TRUSTED, Status.CAUTION)
    (periods,) = (exhibit for exhibit in result.exhibits if exhibit.name == "return_periods")
    assert {10.0, 50.0, 100.0, 200.0} <= {row[0] for row in periods.rows}
    losses = [row[1] for row in periods.rows]
    assert losses == sorted(losses)
    assert all(row[5] < row[1] for row in periods.rows)  # the largest claim net of the layer, and the sum of a year
    assert any("claims.csv" in line for line in result.description["model"])


def test_python_of_the_recipe_runs(capsys):
    exec(compile(recipe()["python"].replace("0.02", "0.2"), "README.md", "exec"), {})
    assert "trusted" in capsys.readouterr().out


def test_claims_of_the_configs_are_those_of_their_script(tmp_path):
    """``configs/insurance/claims.py`` writes them, byte for byte."""
    folder = ROOT / "configs" / "insurance"
    runpy.run_path(str(folder / "claims.py"))["main"](tmp_path)
    for name in ("claims.csv", "years.csv", "periods.csv"):
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes()


def test_quantiles_of_a_law_with_mostly_no_claim_are_not_lost_at_its_atom():
    model = one(marginals.Poisson(mu=0.2), marginals.Exponential(scale=3.0))
    grid = Grid.fitting(sum_of(model.loss), 30.0)
    theta, _, _ = grid.tilt()
    found = [compound_controls._quantile(grid, way, theta, 0.01) for way in ("nearest", "down", "up")]
    n = np.arange(1, 60)
    tail = float(stats.poisson.pmf(n, 0.2) @ special.gammaincc(n, found[0] / 3.0))
    assert tail == pytest.approx(0.01, rel=1e-4)
    assert found[1] < found[0] < found[2]

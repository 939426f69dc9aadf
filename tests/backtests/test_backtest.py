"""Backtests of VaR and ES: published numbers, exact laws, size and power, and what bad files are answered with."""

from __future__ import annotations

import datetime
import itertools
import json
import math

import numpy as np
import pytest
from scipy import stats

import raresim
from raresim import DataError, FieldError, Forecasts, ForecastSource
from raresim.backtests import backtest as module
from raresim.backtests import coverage, shortfall
from raresim.backtests.coverage import Transitions
from raresim.backtests.shortfall import Tail
from raresim.information import kl, mutual_information
from raresim.shell import cli
from tests.helpers import ROOT, python
from tests.invoking import CliRunner
from tests.statistical import assert_count, assert_count_at_least, assert_mean_is, assert_within_error

VAR, ES = 2.3263478740408408, 2.6652142203457694
"""Of the standard normal law at 0.99."""


def days_with(*exceeding, n=250):
    exceeds = np.zeros(n, dtype=bool)
    exceeds[list(exceeding)] = True
    return exceeds


def sequences(n):
    return np.array(list(itertools.product([False, True], repeat=n)))


def forecasts(n=250, seed=1, scale=1.0, **changes):
    losses = scale * np.random.default_rng(seed).standard_normal(n)
    return Forecasts.of(losses, **({"var": VAR, "es": ES} | changes))


# --- VaR: published numbers and exact laws -----------------------------------------------------------


def test_ratios_and_chi_square_p_values_of_a_published_example():
    """57 of 1,043 losses beyond a VaR at 95 %, in the manual of MATLAB's ``varbacktest``; 932, 53, 53, 4 pairs."""
    kupiec = coverage.proportion_of_failures(57, 1043, 0.05)
    assert (kupiec.statistic, kupiec.p_chi_square) == pytest.approx((0.46147, 0.49694), abs=5e-6)
    exceeds = np.zeros(1043, dtype=bool)
    runs = np.arange(53) * 19 + 5
    exceeds[runs] = True
    exceeds[runs[:4] + 1] = True
    assert Transitions.of(exceeds) == Transitions(932, 53, 53, 4)
    clusters = coverage.independence(exceeds)
    assert (clusters.statistic, clusters.p_chi_square) == pytest.approx((0.25866, 0.61104), abs=5e-6)
    both = coverage.conditional_coverage(exceeds, 0.05)
    assert (both.statistic, both.p_chi_square) == pytest.approx((0.72013, 0.69763), abs=5e-6)


@pytest.mark.parametrize(("count", "days", "tail"), [(7, 250, 0.01), (0, 250, 0.01), (40, 1000, 0.025), (60, 60, 0.05)])
def test_kupiec_is_a_divergence_and_a_binomial_tail(count, days, tail):
    found = coverage.proportion_of_failures(count, days, tail)
    share = count / days
    assert found.statistic == pytest.approx(2 * days * kl([share, 1 - share], [tail, 1 - tail]), rel=1e-9)
    chances = stats.binom.pmf(np.arange(days + 1), days, tail)
    assert found.p_value == pytest.approx(chances[chances <= chances[count] * (1 + 1e-7)].sum(), rel=1e-9)


def test_independence_is_mutual_information_of_neighbours():
    exceeds = days_with(3, 4, 5, 60, 90, 91, n=200)
    pairs = Transitions.of(exceeds)
    table = np.array([[pairs.n00, pairs.n01], [pairs.n10, pairs.n11]]) / 199
    assert pairs == Transitions(190, 3, 3, 3)
    assert coverage.independence(exceeds).statistic == pytest.approx(2 * 199 * mutual_information(table), rel=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
def test_exact_p_values_are_those_of_all_sequences(seed):
    n, tail = 10, 0.2
    exceeds = np.random.default_rng(seed).random(n) < 0.3
    everything = sequences(n)
    count = everything.sum(axis=1)
    clusters = np.array([coverage.independence(row).statistic for row in everything])
    both = clusters + [coverage.proportion_of_failures(int(k), n, tail).statistic for k in count]
    chance = tail**count * (1 - tail) ** (n - count)
    mine = (everything == exceeds).all(axis=1)
    alike = count == exceeds.sum()
    assert coverage.independence(exceeds).p_value == pytest.approx(np.mean(clusters[alike] >= clusters[mine] - 1e-9))
    p_both = chance[both >= both[mine] - 1e-9].sum()
    assert coverage.conditional_coverage(exceeds, tail).p_value == pytest.approx(p_both)


@pytest.mark.parametrize("n", [250, 1000])
def test_arrangements_have_all_the_probability(n):
    for count in (0, 1, 2, 17, n - 1, n):
        tables, chance = coverage._arrangements(count, n)
        assert chance.sum() == pytest.approx(1.0, rel=1e-9)
        assert (tables >= 0).all()
        assert (tables.sum(axis=0) == n - 1).all()


@pytest.mark.parametrize(
    "exceeds", [days_with(), days_with(249), days_with(0), ~days_with()], ids=["0", "-1", "1", "n"]
)
def test_degenerate_tables_have_nothing_to_say_of_clusters(exceeds):
    found = coverage.independence(exceeds)
    assert (found.statistic, found.p_value, found.p_chi_square) == (
        pytest.approx(0, abs=0.1),
        1.0,
        pytest.approx(1, abs=0.1),
    )
    both = coverage.conditional_coverage(exceeds, 0.01)
    assert math.isfinite(both.statistic)
    assert 0 <= both.p_value <= 1


def test_two_neighbours_in_a_year_are_seen():
    """Of all pairs of days, 249 are neighbours: the exact p-value is their share."""
    assert coverage.independence(days_with(100, 101)).p_value == pytest.approx(249 / math.comb(250, 2))
    assert coverage.independence(days_with(100, 180)).p_value > 0.9


def test_zones_are_those_of_the_basel_document():
    """Basel Committee 1996, table 2, and the multipliers of MAR32."""
    printed = [8.11, 28.58, 54.32, 75.81, 89.22, 95.88, 98.63, 99.60, 99.89, 99.97, 99.99]
    lights = [coverage.traffic_light(k, 250, 0.99) for k in range(12)]
    assert [round(100 * light.cumulative, 2) for light in lights[:11]] == pytest.approx(printed, abs=0.011)
    assert [light.zone for light in lights] == ["green"] * 5 + ["yellow"] * 5 + ["red"] * 2
    assert (lights[0].yellow_from, lights[0].red_from) == (5, 10)
    assert [1.5 + light.addon_mar32 for light in lights[4:]] == [1.5, 1.7, 1.76, 1.83, 1.88, 1.92, 2.0, 2.0]
    assert [3 + light.addon_1996 for light in lights[4:]] == [3, 3.4, 3.5, 3.65, 3.75, 3.85, 4, 4]


@pytest.mark.parametrize(("days", "level"), [(251, 0.99), (250, 0.975)])
def test_addons_are_stated_for_a_year_at_99_alone(days, level):
    assert coverage.traffic_light(7, days, level).addon_mar32 is None
    assert coverage.traffic_light(7, days, level).addon_1996 is None


@pytest.mark.parametrize(
    ("days", "tail", "alpha"), [(250, 0.01, 0.05), (250, 0.025, 0.01), (1000, 0.05, 0.1), (30, 0.4, 0.05)]
)
@pytest.mark.slow_cases("1000-0.05-0.1")
def test_accepted_counts_are_those_that_are_not_rejected(days, tail, alpha):
    low, high = coverage.accepted_counts(days, tail, alpha)
    accepted = [k for k in range(days + 1) if stats.binomtest(k, days, tail).pvalue > alpha]
    assert accepted == list(range(low, high + 1))


@pytest.mark.parametrize(("n", "tail"), [(60, 0.05), (250, 0.01), (250, 0.025)])
def test_exact_tests_never_reject_more_than_they_say(n, tail):
    """Summed over all sequences of days; the asymptotic test of the number rejects twice as often."""
    size, asymptotic = 0.0, 0.0
    for count in range(int(stats.binom.isf(1e-12, n, tail)) + 1):
        found = coverage.proportion_of_failures(count, n, tail)
        size += stats.binom.pmf(count, n, tail) * (found.p_value <= 0.05)
        asymptotic += stats.binom.pmf(count, n, tail) * (found.p_chi_square <= 0.05)
    assert 0.01 < size <= 0.05
    assert asymptotic > size


# --- ES: published critical values, simulation against the laws --------------------------------------


def null_of(law, days, seed=1):
    """Of Z2 at 97.5 % where the law is around 0."""
    ratio = float(law.quantile(0.025)) / law.shortfall(0.025)
    return shortfall.simulated(np.full(days, ratio), 0.025, [law], seed)[0]["acerbi_szekely_2"]


@pytest.mark.parametrize("name", ["normal", "t100", "t10"])
def test_critical_values_of_the_second_test_are_the_published_ones(name):
    """Acerbi & Szekely 2014, 250 days: -0.7 at 5 % and -1.8 at 0.01 %, whatever the law."""
    null = np.sort(np.concatenate([null_of(Tail.of(name), 250, seed) for seed in range(4)]))
    assert shortfall.critical_value(null, 0.05) == pytest.approx(-0.70, abs=0.02)
    assert shortfall.critical_value(null, 0.0001) == pytest.approx(-1.8, abs=0.15)


@pytest.mark.slow
def test_critical_value_of_a_heavy_tail_is_the_one_of_a_manual():
    """MATLAB's ``unconditionalT``: three degrees of freedom, 1,966 days, -0.42986 at 1 %, from a table of its own."""
    assert shortfall.critical_value(null_of(Tail.of("t3"), 1966), 0.01) == pytest.approx(-0.42986, abs=0.015)


def test_statistics_by_hand():
    losses, var, es = np.array([3.0, 1.0, 2.5, 2.0, 0.0]), np.full(5, 2.0), np.full(5, 2.5)
    found = shortfall.statistics(losses, var, es, 0.1)
    assert found["acerbi_szekely_1"] == pytest.approx(1 - (3 / 2.5 + 1) / 2)
    assert found["acerbi_szekely_2"] == pytest.approx(1 - (3 / 2.5 + 1) / 0.5)
    assert found["minimally_biased"] == pytest.approx(0.2 - (1 / 2.5 + 0.5 / 2.5) / 0.5)
    none = shortfall.statistics(losses - 9, var, es, 0.1)
    assert none == {"acerbi_szekely_1": None, "acerbi_szekely_2": 1.0, "minimally_biased": pytest.approx(0.2)}


def test_shortfall_is_the_mean_beyond_the_quantile():
    for law, exact in ((Tail("normal"), stats.norm()), (Tail("t", 3.0), stats.t(3)), (Tail("t", 7.5), stats.t(7.5))):
        q = float(law.quantile(0.01))
        assert q == pytest.approx(exact.isf(0.01), rel=1e-9)
        assert law.shortfall(0.01) == pytest.approx(exact.expect(lambda x: x, lb=q, conditional=True), rel=1e-6)


@pytest.mark.parametrize("name", ["normal", "t3", "t6.5", "gpd"])
@pytest.mark.parametrize("ratio", [0.5, 0.84, 0.999, 1.0])
def test_every_tail_has_the_var_and_the_es_of_the_day(name, ratio):
    """The mean of the excess, by quadrature in the probability of a larger one."""
    law, (x, w) = Tail.of(name), np.polynomial.legendre.leggauss(400)
    s = 30 * (x + 1)  # u = exp(-s)
    mean = (15 * 2 * w * np.exp(-s) * law.excess(np.exp(-s), np.full(400, ratio), 0.025)).sum()
    assert mean == pytest.approx(1 - ratio, rel=1e-5, abs=1e-12)
    assert law.excess(np.array([1.0]), np.array([ratio]), 0.025) == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("name", ["normal", "t2.1", "t4", "t200"])
def test_straight_lines_between_knots_are_the_quantile(name):
    law, u = Tail.of(name), np.concatenate([np.random.default_rng(1).random(2000), 10.0 ** -np.arange(17)])
    q = float(law.quantile(0.01))
    exact = (law.quantile(0.01 * u) - q) / (law.shortfall(0.01) - q)
    np.testing.assert_allclose(law.excess(u, np.full(len(u), 0.8), 0.01), 0.2 * exact, rtol=2e-6, atol=2e-7)


def test_gpd_tail_is_a_power_law():
    x = 1.0 + 0.8 / 0.5 * Tail("gpd").excess(np.array([0.3]), np.array([0.5]), 0.01)[0] / 0.8
    assert x ** (-1 / (1 - 0.5)) == pytest.approx(0.3)


@pytest.mark.parametrize("dof", [3.0, 5.5, 30.0])
@pytest.mark.parametrize(("tail", "var_tail"), [(0.025, 0.025), (0.025, 0.01)])
def test_the_ratio_of_a_t_law_gives_back_its_degrees_of_freedom(dof, tail, var_tail):
    law = Tail("t", dof)
    found = Tail.matched(law.shortfall(tail) / float(law.quantile(var_tail)), tail, var_tail)
    assert found == Tail("t", dof)


def test_ratios_beyond_those_of_t_laws_take_the_nearer_end():
    assert Tail.matched(1.05, 0.01, 0.01) == Tail("normal")
    assert Tail.matched(5.0, 0.01, 0.01) == Tail("t", shortfall.LEAST_DOF)


@pytest.mark.statistical(effect=0.015, false_fail=6e-7, false_pass=1e-3)
def test_simulated_histories_are_right_forecasts(seed):
    """The two statistics that are linear have mean 0; days that exceed are as many as they should be."""
    ratio = np.linspace(0.7, 0.95, 500)
    found = shortfall.simulated(ratio, 0.025, [Tail("normal"), Tail("gpd")], seed(7101))
    for null in found:
        assert_mean_is(null["acerbi_szekely_2"], 0.0)
        assert_mean_is(null["minimally_biased"], 0.0)
        assert len(null["acerbi_szekely_2"]) == shortfall.N_SIMULATED
    assert (found[0]["acerbi_szekely_2"] == 1.0).sum() == (found[1]["acerbi_szekely_2"] == 1.0).sum()
    at = shortfall._exceedances(1_000_000, 0.3, np.random.default_rng(seed(7102)))
    assert (np.diff(at) > 0).all()
    assert 0 <= at[0] <= at[-1] < 1_000_000
    assert_within_error(len(at) / 1e6, 0.3, math.sqrt(0.21 / 1e6))
    assert_within_error(np.mean(np.diff(at) == 1), 0.3, math.sqrt(0.21 / len(at)), scale=1.0)


def test_simulation_in_parts_sees_as_many_histories(monkeypatch):
    monkeypatch.setattr(shortfall, "AT_ONCE", 40_000)
    (null,) = shortfall.simulated(np.full(250, 0.85), 0.025, [Tail("normal")], 1)
    assert len(null["acerbi_szekely_2"]) == shortfall.N_SIMULATED
    assert shortfall.critical_value(null["acerbi_szekely_2"], 0.05) == pytest.approx(-0.70, abs=0.015)


@pytest.mark.parametrize("alpha", [1e-4, 0.01, 0.05, 0.3])
def test_critical_value_is_the_largest_that_rejects(alpha):
    null = np.sort(np.random.default_rng(1).standard_normal(50_000))
    critical = shortfall.critical_value(null, alpha)
    assert shortfall.p_value(null, critical) <= alpha < shortfall.p_value(null, null[null > critical][0])


# --- size and power ----------------------------------------------------------------------------------


def rejections(rng, law, histories, days, tail, scale):
    """How often each test rejects at 5 % where VaR and ES are ``scale`` times the right ones."""
    var, es = float(law.quantile(tail)), law.shortfall(tail)
    (null,) = shortfall.simulated(np.full(days, var / es), tail, [law], 1)
    count = dict.fromkeys(("kupiec", "independence", "conditional_coverage", *shortfall.STATISTICS, "verdict"), 0)
    forecast = scale * np.full(days, var), scale * np.full(days, es)
    known = {}
    for _ in range(histories):
        losses = rng.standard_normal(days) if law.kind == "normal" else rng.standard_t(law.dof, days)
        exceeds = losses > forecast[0]
        key = (int(exceeds.sum()), Transitions.of(exceeds))
        if key not in known:
            known[key] = {
                "kupiec": coverage.binomial_p(key[0], days, tail),
                "independence": coverage.independence(exceeds).p_value,
                "conditional_coverage": coverage.conditional_coverage(exceeds, tail).p_value,
            }
        p = dict(known[key])
        seen = shortfall.statistics(losses, *forecast, tail)
        p |= {name: 1.0 if z is None else shortfall.p_value(null[name], z) for name, z in seen.items()}
        p["verdict"] = min(p[name] for name in module.DECISIVE) * len(module.DECISIVE)
        for name, value in p.items():
            count[name] += value <= 0.05
    return count


@pytest.mark.slow
@pytest.mark.statistical(effect=0.08, false_fail=7e-7, false_pass=1e-3)
@pytest.mark.parametrize("law", [Tail("normal"), Tail("t", 5.0)], ids=str)
def test_no_test_rejects_right_forecasts_more_often_than_it_says(law, seed):
    for rejected in rejections(np.random.default_rng(seed(7201)), law, 1000, 250, 0.025, 1.0).values():
        assert_count_at_least(1000 - rejected, 1000, 0.95)


@pytest.mark.statistical(effect=0.45, false_fail=2e-7, false_pass=1e-2)
@pytest.mark.parametrize("law", [Tail("normal"), Tail("t", 4.0)], ids=str)
def test_simulated_p_values_reject_as_often_as_they_say(law, seed):
    """The losses are drawn by scipy, not by the simulation."""
    var, es = float(law.quantile(0.025)), law.shortfall(0.025)
    (null,) = shortfall.simulated(np.full(250, var / es), 0.025, [law], 1)
    exact = stats.norm() if law.kind == "normal" else stats.t(law.dof)
    draws = exact.rvs((8000, 250), random_state=np.random.default_rng(seed(7301)))
    found = [shortfall.statistics(row, np.full(250, var), np.full(250, es), 0.025) for row in draws]
    for name in ("acerbi_szekely_2", "minimally_biased"):
        rejected = sum(shortfall.p_value(null[name], one[name]) <= 0.05 for one in found)
        assert_count(rejected, 8000, 0.05)


@pytest.mark.slow
@pytest.mark.statistical(effect=0.25, false_fail=4e-7, false_pass=1e-3)
def test_a_var_and_es_that_are_a_fifth_too_small_are_found_in_a_year(seed):
    """At 97.5 %, normal losses: 80 % of the years by the number of exceedances, exactly, and 89 % by Z2."""
    rejected = rejections(np.random.default_rng(seed(7401)), Tail("normal"), 400, 250, 0.025, 0.8)
    low, high = coverage.accepted_counts(250, 0.025, 0.05)
    share = stats.norm.sf(0.8 * stats.norm.isf(0.025))
    power = stats.binom.cdf(low - 1, 250, share) + stats.binom.sf(high, 250, share)
    assert 0.78 < power < 0.83
    assert_count(rejected["kupiec"], 400, power)
    for name in ("acerbi_szekely_2", "minimally_biased"):
        assert_count_at_least(rejected[name], 400, 0.87)
    assert_count_at_least(rejected["verdict"], 400, 0.78)


@pytest.mark.statistical(effect=0.25, false_fail=1e-7, false_pass=1e-3)
def test_exceedances_that_come_in_clusters_are_found(seed):
    """A day after an exceedance exceeds with probability 0.25, others so that 2.5 % do in all: 1,000 days."""
    rng, found = np.random.default_rng(seed(7501)), 0
    after, alone = 0.25, 0.025 * 0.75 / 0.975
    for _ in range(300):
        uniform, exceeds = rng.random(1000), np.zeros(1000, dtype=bool)
        for day in range(1, 1000):
            exceeds[day] = uniform[day] < (after if exceeds[day - 1] else alone)
        found += coverage.independence(exceeds).p_value <= 0.05
    assert_count_at_least(found, 300, 0.9)


# --- the verdict -------------------------------------------------------------------------------------


def test_right_forecasts_are_not_rejected_and_nothing_is_left_out():
    found = raresim.backtest(forecasts(500), level=0.99)
    assert found.verdict == "not rejected"
    assert found.findings == ("no test rejects at 0.05",)
    assert [test.name for test in found.tests] == list(module.TITLES)
    assert found.tail == "normal"
    assert found.n_exceedances == (found.forecasts.losses > VAR).sum() > 0
    assert [check.tail for check in found.tails] == list(shortfall.COMPARED)


def test_a_model_that_is_far_too_small_is_rejected_with_reasons():
    found = raresim.backtest(forecasts(500, scale=1.5), level=0.99)
    assert found.verdict == "rejected"
    assert found.light.zone == "red"
    assert found.findings[0].startswith("VaR too small: ")
    assert any("too many or too large for the ES" in finding for finding in found.findings)


def test_a_var_that_is_too_large_is_rejected_too():
    found = raresim.backtest(Forecasts.of(np.zeros(500), 1.0), level=0.95)
    assert found.verdict == "rejected"
    assert found.findings[0].startswith("VaR too large: 0 exceedances, 25 expected")
    assert found.light.zone == "green"


def test_one_test_alone_makes_it_doubtful():
    losses = np.zeros(250)
    losses[[10, 40, 80, 130, 170, 220]] = 1.1
    found = raresim.backtest(Forecasts.of(losses, 1.0), level=0.99)
    assert found.test("kupiec").p_value == pytest.approx(0.041183, abs=1e-6)
    assert found.verdict == "doubtful"
    assert found.findings[-1] == "none of the 2 deciding p-values is at most 0.025"


def test_clusters_are_told():
    losses = np.zeros(250)
    losses[[100, 101, 102]] = 2.0
    found = raresim.backtest(Forecasts.of(losses, 1.0), level=0.99)
    assert found.verdict == "rejected"
    assert found.findings[0].startswith("exceedances are not independent: 2 of 3 exceedances with a next day")


def test_a_loss_equal_to_the_var_does_not_exceed():
    losses = np.zeros(250)
    losses[:2] = 1.0, np.nextafter(1.0, 2.0)
    assert list(np.flatnonzero(raresim.backtest(Forecasts.of(losses, 1.0), level=0.99).exceeds)) == [1]


def test_without_an_exceedance_the_first_es_test_says_nothing():
    found = raresim.backtest(Forecasts.of(np.zeros(250), VAR, ES), level=0.99)
    assert found.test("acerbi_szekely_1").p_value is None
    assert found.test("acerbi_szekely_2").statistic == 1.0
    assert found.verdict == "not rejected"
    json.dumps(found.to_dict(), allow_nan=False)


def test_few_expected_exceedances_are_told():
    found = raresim.backtest(forecasts(50), level=0.99)
    assert found.findings[-1].startswith("only 0.5 exceedances are expected of 50 days")


def test_same_seed_same_digits_and_another_seed_others():
    one, same, other = (raresim.backtest(forecasts(), level=0.99, seed=s).to_dict() for s in (1, 1, 2))
    assert one == same
    assert one["tests"][:3] == other["tests"][:3]
    assert one["tests"][4] != other["tests"][4]


@pytest.mark.parametrize(
    ("tail", "words"), [("t3", "Student t law, 3 degrees"), ("gpd", "power law"), ("normal", "normal law")]
)
def test_the_tail_is_chosen_and_stated(tail, words):
    found = raresim.backtest(forecasts(), level=0.99, tail=tail)
    assert found.tail == tail
    assert words in found.steps[-1]
    stated = next(check for check in found.tails if check.tail == tail)
    assert stated.critical == {t.name: t.critical for t in found.tests if t.measure == "es"}


@pytest.mark.slow
def test_another_level_of_the_es_takes_the_var_of_its_level():
    var, es = stats.norm.isf(0.025), Tail("normal").shortfall(0.025)
    given = raresim.backtest(forecasts(es=es, es_var=var), level=0.99, es_level=0.975)
    implied = raresim.backtest(forecasts(es=es), level=0.99, es_level=0.975)
    straight = raresim.backtest(forecasts(var=var, es=es), level=0.975)
    for found in (given, implied):
        assert found.tail == "normal"
        for name in shortfall.STATISTICS:
            assert found.test(name).statistic == pytest.approx(straight.test(name).statistic, rel=1e-9)
            assert found.test(name).p_value == pytest.approx(straight.test(name).p_value, rel=1e-9)
    assert any(step.startswith("VaR at 0.975 = 0.8425 times the one at 0.99") for step in implied.steps)
    assert not any("times the one" in step for step in given.steps)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"level": 99.9}, "level: must be above 0.5 and below 1, got 99.9; for 99.9 % write 0.999"),
        ({"level": 97.5}, "level: must be above 0.5 and below 1, got 97.5; for 97.5 % write 0.975"),
        ({"level": 0.01}, "level: must be above 0.5 and below 1, got 0.01; is it the tail? Write 0.99"),
        ({"level": 1.0}, "level: must be above 0.5 and below 1, got 1"),
        ({"level": math.nan}, "level: must be above 0.5 and below 1, got nan"),
        ({"level": -0.99}, "level: must be above 0.5 and below 1, got -0.99"),
        (
            {"level": 0.99, "es_level": 97.5},
            "es_level: must be above 0.5 and below 1, got 97.5; for 97.5 % write 0.975",
        ),
        ({"level": 0.99, "alpha": 5}, "alpha: must be above 0.0001 and below 0.5, got 5"),
        ({"level": 0.99, "seed": -1}, "seed: must be at least 0, got -1"),
        ({"level": 0.99, "tail": "t2"}, "tail: must be auto, normal, gpd, or t and degrees of freedom above 2 such as"),
        (
            {"level": 0.99, "tail": "cauchy"},
            "tail: must be auto, normal, gpd, or t and degrees of freedom above 2 such",
        ),
        (
            {"level": 0.99, "es_level": 0.975, "tail": "gpd"},
            "tail: 'gpd' gives no VaR at the level of the ES, 0.975; give it as",
        ),
    ],
)
def test_options_that_are_refused(options, message):
    with pytest.raises(FieldError) as caught:
        raresim.backtest(forecasts(), **options)
    assert str(caught.value).startswith(message)


# --- arrays ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"var": -VAR}, "array:0:var: must be a positive loss, got -2.32634787404; change the sign of a quantile"),
        ({"var": [VAR] * 3}, "array: var must be one number for each of 250 days, got shape (3,)"),
        ({"var": "high"}, "array: var must be numbers, one for each day"),
        ({"es": [math.nan] + [ES] * 249}, "array:0:es: must be finite, got nan; leave out the day"),
        ({"es": None, "es_var": 1.0}, "array: es_var needs es"),
        ({"dates": ["2020-01-01"]}, "array: must have 250 dates, one for each row, got 1"),
        ({"n": 29}, "array: at least 30 days are needed, got 29"),
    ],
)
def test_arrays_that_are_refused(changes, message):
    with pytest.raises(DataError) as caught:
        forecasts(**changes)
    assert str(caught.value).startswith(message)


def test_losses_are_one_number_a_day():
    with pytest.raises(DataError, match="loss must be one number for each day, got shape"):
        Forecasts.of(np.zeros((50, 2)), 1.0)


def test_given_arrays_stay_writable_and_are_not_kept():
    losses = np.zeros(50)
    kept = Forecasts.of(losses, 1.0)
    losses[0] = 5.0
    assert kept.losses[0] == 0.0
    with pytest.raises(ValueError, match="read-only"):
        kept.losses[0] = 1.0


# --- files -------------------------------------------------------------------------------------------

HEAD = "date,loss,var,es"
START = datetime.date(2024, 1, 1)


def lines(n=250, seed=1):
    losses = np.random.default_rng(seed).standard_normal(n)
    return [f"{START + datetime.timedelta(day)},{loss:.6f},2.326,2.665" for day, loss in enumerate(losses)]


def write(folder, rows=None, head=HEAD, name="desk.csv"):
    path = folder / name
    path.write_text("\n".join([head, *(lines() if rows is None else rows)]) + "\n", encoding="utf-8")
    return path


def call(*arguments):
    result = CliRunner().invoke(cli.app, ["backtest", *(str(a) for a in arguments)], env={"COLUMNS": "80"})
    return result.exit_code, result.stdout, result.stderr


def test_a_file_gives_what_its_arrays_give(tmp_path):
    columns = np.array([row.split(",")[1:] for row in lines()], dtype=float).T
    of_file = raresim.backtest(ForecastSource(file=write(tmp_path)), level=0.99)
    of_arrays = raresim.backtest(Forecasts.of(*columns), level=0.99)
    assert of_file.tests == of_arrays.tests
    assert of_file.forecasts.rows[0] == 2
    assert of_file.forecasts.dates[0] == START


def test_columns_are_found_by_usual_names_whatever_their_case_and_order(tmp_path):
    rows = [",".join(np.array(row.split(","))[[2, 0, 3, 1]]) for row in lines()]
    path = write(tmp_path, rows, "Value at Risk,Date,Expected Shortfall,Realised_Loss")
    found = ForecastSource(file=path).load()
    assert found.columns == {
        "date": "Date",
        "loss": "Realised_Loss",
        "var": "Value at Risk",
        "es": "Expected Shortfall",
    }
    assert found.var[0] == 2.326


def test_stated_columns_are_taken_and_others_not_read(tmp_path):
    path = write(tmp_path, [f"{row},junk" for row in lines()], "d,l,v,e,loss")
    found = ForecastSource(file=path, date="d", loss="l", var="v", es="e").load()
    assert found.es[0] == 2.665


def test_a_file_without_es_is_tested_for_var_alone(tmp_path):
    path = write(tmp_path, [row.rsplit(",", 1)[0] for row in lines()], "date,loss,var")
    found = raresim.backtest(ForecastSource(file=path), level=0.99)
    assert [test.measure for test in found.tests] == ["var"] * 3
    assert (found.tail, found.tails) == ("", ())
    assert "no column of ES: VaR alone is tested" in found.steps


def test_a_profit_and_loss_is_turned_round_and_that_is_said(tmp_path):
    plain = raresim.backtest(ForecastSource(file=write(tmp_path)), level=0.99)
    turned = [",".join([d, str(-float(x)), v, e]) for d, x, v, e in (row.split(",") for row in lines())]
    path = write(tmp_path, turned, "date,P&L,var,es", "pnl.csv")
    found = raresim.backtest(ForecastSource(file=path, pnl=True), level=0.99)
    assert found.tests == plain.tests
    assert found.steps[0] == "loss = -(P&L): the column is a profit and loss; VaR and ES are losses"
    assert plain.steps[0] == "loss = loss: positive is bad; VaR and ES are losses"


def test_days_may_be_left_out(tmp_path):
    assert ForecastSource(file=write(tmp_path, lines()[::3])).load().n_days == 84


def changed(at, cells):
    rows = lines()
    rows[at] = cells
    return rows


BAD_FILES = {
    "no such column": (
        None,
        HEAD,
        ["--var", "vra"],
        "desk.csv:1: unknown column 'vra'; did you mean 'var'? (allowed: date,",
    ),
    "no loss": (
        None,
        "date,x,var,es",
        [],
        "desk.csv:1: no column of realised losses: none is called loss or losses; name",
    ),
    "pnl unsaid": (
        None,
        "date,pnl,var,es",
        [],
        "or set `pnl` where profits are positive (columns: date, pnl, var, es)",
    ),
    "no date": (None, "x,loss,var,es", [], "desk.csv:1: no column of dates: none is called date or day; name it by"),
    "no var": (
        None,
        "date,loss,v99,es",
        [],
        "desk.csv:1: no column of VaR forecasts: none is called var or value_at_risk",
    ),
    "two losses": (
        None,
        "date,loss,var,Loss",
        [],
        "desk.csv:1: loss, Loss may all be the realised losses; choose by the",
    ),
    "one for two": (
        None,
        HEAD,
        ["--es", "var"],
        "desk.csv:1:var: cannot be both VaR forecasts and ES forecasts; name a",
    ),
    "no es var": (None, HEAD, ["--es-var", "v975"], "desk.csv:1: unknown column 'v975'"),
    "es var alone": (
        None,
        "date,loss,var,x",
        ["--es-var", "x"],
        "desk.csv:x: a VaR at the level of the ES needs",
    ),
    "empty cell": (
        changed(3, "2024-01-04,,2.3,2.6"),
        HEAD,
        [],
        "desk.csv:5:loss: is missing, got ''; fill it in or leave",
    ),
    "nan": (
        changed(3, "2024-01-04,0,NaN,2.6"),
        HEAD,
        [],
        "desk.csv:5:var: is missing, got 'NaN'; fill it in or leave out",
    ),
    "inf": (
        changed(3, "2024-01-04,inf,2.3,2.6"),
        HEAD,
        [],
        "desk.csv:5:loss: must be a finite number with a decimal point",
    ),
    "text": (
        changed(3, "2024-01-04,0,2.3,high"),
        HEAD,
        [],
        "desk.csv:5:es: must be a finite number with a decimal point,",
    ),
    "empty date": (changed(3, ",0,2.3,2.6"), HEAD, [], "desk.csv:5:date: must be a date YYYY-MM-DD or YYYY-MM, got ''"),
    "wrong date": (
        changed(3, "4.1.2024,0,2.3,2.6"),
        HEAD,
        [],
        "desk.csv:5:date: must be a date YYYY-MM-DD or YYYY-MM, got",
    ),
    "twice": (
        changed(3, "2024-01-03,0,2.3,2.6"),
        HEAD,
        [],
        "desk.csv:5:date: must be later than the row before, got 2024",
    ),
    "unsorted": (
        changed(3, "2023-01-04,0,2.3,2.6"),
        HEAD,
        [],
        "desk.csv:5:date: must be later than the row before, got 20",
    ),
    "short row": (changed(3, "2024-01-04,0,2.3"), HEAD, [], "desk.csv:5: has 3 cells, must have 4 as the header does"),
    "negative var": (
        changed(3, "2024-01-04,0,-2.3,2.6"),
        HEAD,
        [],
        "desk.csv:5:var: must be a positive loss, got -2.3",
    ),
    "zero es": (changed(3, "2024-01-04,0,2.3,0"), HEAD, [], "desk.csv:5:es: must be a positive loss, got 0"),
    "es below": (
        changed(3, "2024-01-04,0,2.3,2.2"),
        HEAD,
        [],
        "desk.csv:5:es: the ES is the mean of losses beyond the VaR and",
    ),
    "es far below": (
        changed(3, "2024-01-04,0,2.3,1.9"),
        HEAD,
        ["--es-level", "0.975", "--tail", "normal"],
        "cannot be below it, got 1.9 and a VaR of its level, by the tail law, 1.93776",
    ),
    "few": (lines(29), HEAD, [], "desk.csv: at least 30 days are needed, got 29"),
    "none": ([], HEAD, [], "desk.csv: has a header row but no data rows"),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_a_bad_file_is_refused_with_its_place(case, tmp_path):
    rows, head, options, message = BAD_FILES[case]
    code, stdout, stderr = call(write(tmp_path, rows, head), "--level", 0.99, *options)
    assert (code, stdout) == (2, "")
    assert message in stderr
    assert len(stderr.splitlines()) == 1


def test_a_file_that_is_not_there(tmp_path):
    assert call(tmp_path / "none.csv", "--level", 0.99) == (2, "", f"{tmp_path / 'none.csv'}: no such file\n")


def test_many_problems_come_together(tmp_path):
    rows = [f"{row.rsplit(',', 1)[0]},x" for row in lines()]
    code, _, stderr = call(write(tmp_path, rows), "--level", 0.99)
    assert code == 2
    assert len(stderr.splitlines()) == 21
    assert stderr.splitlines()[-1] == "desk.csv: stopped after 20 problems, there may be more"


# --- the shell ---------------------------------------------------------------------------------------


def test_the_table_fits_80_columns_and_begins_with_the_verdict(tmp_path):
    code, stdout, _ = call(write(tmp_path), "--level", 0.99)
    assert code == 0
    assert stdout.startswith("NOT REJECTED desk.csv")
    assert max(map(len, stdout.splitlines())) <= 80
    for title in module.TITLES.values():
        assert title in stdout
    for words in ("traffic light", "capital add-on", "How much the tests of ES depend on the tail law"):
        assert words in stdout


@pytest.mark.slow
def test_a_rejected_model_is_no_error(tmp_path):
    code, stdout, _ = call(write(tmp_path), "--level", 0.9)
    assert code == 0
    assert stdout.startswith("REJECTED desk.csv")


def test_the_results_and_the_figure_are_written(tmp_path):
    out, figure = tmp_path / "out.json", tmp_path / "out.png"
    code, stdout, _ = call(write(tmp_path), "--level", 0.99, "--json", out, "--figure", figure, "--alpha", 0.1)
    assert code == 0
    assert stdout.replace("\n", "").endswith(f"Results: {out}Figure: {figure}")
    content = json.loads(out.read_text())
    expected = raresim.backtest(ForecastSource(file=tmp_path / "desk.csv"), level=0.99, alpha=0.1).to_dict()
    assert content == json.loads(json.dumps(expected))
    assert content["sign"] == "loss-positive"
    assert len(content["exceedances"]["days"]) == content["exceedances"]["count"]
    for day in content["exceedances"]["days"]:
        assert day["loss"] > day["var"]
        assert lines()[day["row"] - 2].startswith(day["date"])
    assert figure.read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
@pytest.mark.parametrize("n", [250, 500])
def test_figure_marks_the_days_that_exceed(n):
    from raresim.report import backtest as pictures

    found = raresim.backtest(forecasts(n, dates=[START + datetime.timedelta(k) for k in range(n)]), level=0.99)
    one, again = pictures.draw(found), pictures.draw(found)
    assert one.png == again.png
    assert f"{found.n_exceedances} of {n} losses exceed" in one.title
    none = pictures.draw(raresim.backtest(Forecasts.of(np.minimum(found.forecasts.losses, VAR), VAR, ES), level=0.99))
    assert none.png != one.png


def test_an_output_never_replaces_the_file(tmp_path):
    path = write(tmp_path)
    before = path.read_bytes()
    for options in (["--json", path], ["--figure", tmp_path / "." / "desk.csv"], ["--json", "a", "--figure", "a"]):
        code, stdout, stderr = call(path, "--level", 0.99, *options)
        assert (code, stdout) == (2, "")
        assert stderr == "backtest: FILE, --json and --figure must be different files\n"
    assert path.read_bytes() == before


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    code, _, stderr = call(write(tmp_path), "--level", 0.99, "--json", tmp_path / "none" / "out.json")
    assert code == 2
    assert stderr.startswith(f"{tmp_path / 'none' / 'out.json'}: cannot be written: ")


def test_the_level_is_required(tmp_path):
    code, _, stderr = call(write(tmp_path))
    assert code == 2
    assert "--level" in stderr


@pytest.mark.slow
def test_oil_of_the_recipe(tmp_path):
    """Two models of crude oil, by `experiments/backtest/oil.py`: the normal one is rejected, Student's is doubtful."""
    script = "import runpy; runpy.run_path('experiments/backtest/oil.py', run_name='__main__')"
    python(script, tmp_path)
    page = (ROOT / "docs" / "recipes" / "backtest.md").read_text(encoding="utf-8")
    code, stdout, _ = call(tmp_path / "oil-normal.csv", "--level", 0.99)
    assert code == 0
    assert "\n".join(line.rstrip() for line in stdout.splitlines()) in page
    assert call(tmp_path / "oil-t4.csv", "--level", 0.99)[1].startswith("DOUBTFUL oil-t4.csv")

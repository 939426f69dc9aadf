"""The tail read from weighted rows: quantiles, means beyond them, intervals; against enumeration and closed forms."""

import math

import numpy as np
import pytest
from scipy import stats

from raresim.accumulators import weighted_losses
from raresim.accumulators.weighted_losses import WeightedLosses
from raresim.measures.curve import Certainty, TailCurve
from raresim.measures.intervals import LOOK_INFLATION, clopper_pearson
from tests.statistical import assert_count_at_least, assert_within_error

DIE = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])


def curve_of(loss, weight=None, n=None):
    weight = np.ones(loss.size) if weight is None else weight
    return TailCurve.of_rows(n or loss.size, loss, np.log(weight))


def shifted(rng, n, shift=3.0):
    """Draws of N(shift, 1), weighed for N(0, 1)."""
    x = rng.normal(shift, 1.0, n)
    return x, stats.norm.logpdf(x) - stats.norm.logpdf(x, shift)


# --- quantiles ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("tail", [0.5, 0.25, 0.1, 1 / 6, 0.05])
def test_value_at_risk_is_numpys_quantile_of_the_inverted_law(tail, seed):
    loss = np.random.default_rng(seed(1)).standard_t(4, 997)
    exact = np.quantile(loss, 1 - tail, method="inverted_cdf")
    assert curve_of(loss).value_at_risk(tail, Certainty(0.95)).value == exact


@pytest.mark.parametrize("tail", [0.4, 0.1, 0.01])
def test_weighted_value_at_risk_is_numpys(tail, seed):
    rng = np.random.default_rng(seed(2))
    loss, weight = rng.standard_normal(500), rng.exponential(1.0, 500)
    weight *= 500 / weight.sum()  # numpy divides by the sum of the weights, an estimate of a probability does not
    exact = np.quantile(loss, 1 - tail, weights=weight, method="inverted_cdf")
    assert curve_of(loss, weight).value_at_risk(tail, Certainty(0.95)).value == exact


def weighted_t(seed, n=1009):
    """Losses of a t law with random weights of the mean one."""
    rng = np.random.default_rng(seed)
    weight = rng.exponential(1.0, n)
    return rng.standard_t(4, n), weight * n / weight.sum()


@pytest.mark.parametrize("tail", [0.1, 0.025, 0.01])
def test_weighted_numbers_are_those_of_skfolio(tail, seed):
    measures = pytest.importorskip("skfolio.measures", reason="an outside oracle that is not installed")
    loss, weight = weighted_t(seed(11))
    curve = curve_of(loss, weight)
    at = curve.index(tail)
    options = {"beta": 1 - tail, "sample_weight": weight / weight.sum()}
    assert curve.loss[at] == pytest.approx(measures.value_at_risk(-loss, **options), rel=1e-13)
    assert curve.loss[at] + curve.excess(at)[0] / tail == pytest.approx(measures.cvar(-loss, **options), rel=1e-12)


@pytest.mark.parametrize("tail", [0.1, 0.025, 0.01])
def test_weighted_quantiles_are_those_of_quantlib(tail, seed):
    """Its expected shortfall is the mean of the losses beyond, which leaves out the atom at the value at risk."""
    quantlib = pytest.importorskip("QuantLib", reason="an outside oracle that is not installed")
    loss, weight = weighted_t(seed(12))
    statistics = quantlib.RiskStatistics()
    for x, w in zip(loss, weight, strict=True):
        statistics.add(-float(x), float(w))
    assert curve_of(loss, weight).value_at_risk(tail, Certainty(0.95)).value == statistics.valueAtRisk(1 - tail)


@pytest.mark.parametrize(
    ("tail", "value"),
    [(0.5, 3.0), (0.4999, 4.0), (1 / 3, 4.0), (0.3333, 5.0), (1 / 6, 5.0), (0.1666, 6.0), (1e-9, 6.0)],
)
def test_value_at_risk_of_a_die(tail, value):
    """The smallest loss that is exceeded with at most the tail: an atom belongs to itself."""
    assert curve_of(DIE).value_at_risk(tail, Certainty(0.95)).value == value


@pytest.mark.parametrize("tail", [0.5, 0.4, 0.2, 1 / 6, 0.1])
def test_expected_shortfall_of_a_die_is_the_mean_of_its_worst_share(tail):
    curve = curve_of(np.repeat(DIE, 7))
    at = curve.index(tail)
    fine = np.repeat(DIE, 6000)  # the worst share, cut through the atom
    worst = np.sort(fine)[::-1]
    taken = tail * worst.size
    whole = int(taken)
    mean = (worst[:whole].sum() + (taken - whole) * worst[min(whole, worst.size - 1)]) / taken
    assert curve.loss[at] + curve.excess(at)[0] / tail == pytest.approx(mean, rel=1e-3)


def test_ties_are_one_atom_whatever_their_order(seed):
    rng = np.random.default_rng(seed(3))
    loss, weight = rng.integers(0, 5, 400).astype(float), rng.exponential(1.0, 400)
    one, other = curve_of(loss, weight), curve_of(loss[::-1], weight[::-1])
    assert one.loss.tolist() == [4.0, 3.0, 2.0, 1.0, 0.0]
    np.testing.assert_allclose(one.weight, [weight[loss == x].sum() for x in one.loss], rtol=1e-14)
    np.testing.assert_allclose(one.square, [np.square(weight[loss == x]).sum() for x in one.loss], rtol=1e-14)
    np.testing.assert_allclose(one.beyond, other.beyond, rtol=1e-14)
    assert one.count.sum() == 400


def test_a_quantile_below_all_rows_is_not_known():
    curve = curve_of(np.array([3.0, 4.0]), n=100)
    assert curve.index(0.02) == 1
    assert curve.index(0.03) is None
    found = curve.value_at_risk(0.03, Certainty(0.95))
    assert math.isnan(found.value)
    assert (found.low, found.high, found.hits) == (-math.inf, math.inf, 0)


# --- intervals ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("tail", [0.2, 0.03, 0.01])
@pytest.mark.parametrize("factor", [1.0, LOOK_INFLATION])
def test_exact_interval_by_brute_force(tail, factor, seed):
    """Every loss for which neither count beyond it refutes the tail by its Clopper-Pearson interval."""
    loss = np.random.default_rng(seed(4)).standard_normal(400)
    falling = np.sort(loss)[::-1]

    def ends(hits):
        low, high = clopper_pearson(hits, 400, 0.9)
        p = hits / 400
        low = low * (low / p) ** (factor - 1) if hits else 0.0
        return low, min(1.0, high * (high / p) ** (factor - 1)) if hits else high * factor

    held = [k for k in range(400) if ends(k)[0] <= tail and ends(k + 1)[1] >= tail]
    found = curve_of(loss).value_at_risk(tail, Certainty(0.9, crude=True, factor=factor))
    assert (found.low, found.high) == (falling[max(held)], falling[min(held)])


def test_exact_interval_is_open_where_no_count_refutes():
    loss = np.arange(50.0)
    assert curve_of(loss).value_at_risk(0.01, Certainty(0.95, crude=True)).high == math.inf
    kept = curve_of(loss[40:], n=50)
    assert kept.value_at_risk(0.18, Certainty(0.95, crude=True)).low == -math.inf


def test_exact_interval_covers_by_the_binomial_law():
    """The law of the ranks is known whatever that of the losses: the coverage is a sum, not a simulation."""
    n, tail, confidence = 300, 0.05, 0.95
    k = np.arange(n + 1)
    ranks = curve_of(np.arange(n, 0.0, -1.0)).value_at_risk(tail, Certainty(confidence, crude=True))
    first, last = n - ranks.high, n - ranks.low  # rows above either end
    # the interval holds the quantile when the number of draws beyond it is from first + 1 to last
    covered = stats.binom.pmf(k, n, tail)[int(first) + 1 : int(last) + 1].sum()
    assert confidence <= covered <= 0.975


def test_interval_on_the_log_scale_by_brute_force(seed):
    loss, log_weight = shifted(np.random.default_rng(seed(5)), 600)
    curve = TailCurve.of_rows(600, loss, log_weight)
    certainty = Certainty(0.95, dof=15, factor=1.05)
    z = 1.05 * stats.t(15).ppf(0.975)
    falling, weight = np.sort(loss)[::-1], np.exp(log_weight[np.argsort(-loss)])
    p = np.array([weight[: k + 1].sum() / 600 for k in range(600)])
    x = [np.concatenate([weight[: k + 1], np.zeros(599 - k)]) for k in range(600)]
    r = np.array([row.std(ddof=1) / row.mean() / math.sqrt(600) for row in x])
    tail = 3e-4
    at = int(np.searchsorted(np.concatenate([[0.0], p[:-1]]), tail, side="right")) - 1
    k = at
    while p[k] * math.exp(z * r[k]) >= tail:
        k -= 1
    j = at
    while p[j] * math.exp(-z * r[j]) <= tail:
        j += 1
    found = curve.value_at_risk(tail, certainty)
    assert (found.value, found.low, found.high) == (falling[at], falling[j], falling[k + 1])
    assert found.std_error == pytest.approx((found.high - found.low) / (2 * z))
    assert found.tail_error == pytest.approx(r[at])
    assert found.hits == at + 1


@pytest.mark.slow
@pytest.mark.statistical(effect=0.08, false_fail=3e-7, false_pass=0.1)
@pytest.mark.parametrize("tail", [1e-2, 1e-4])
def test_weighted_interval_covers(tail, seed):
    rng = np.random.default_rng(seed(6))
    exact = stats.norm.isf(tail)
    curves = [TailCurve.of_rows(2000, *shifted(rng, 2000)) for _ in range(700)]
    found = [curve.value_at_risk(tail, Certainty(0.95)) for curve in curves]
    assert_count_at_least(sum(q.low <= exact <= q.high for q in found), 700, 0.94)
    errors = np.array([q.std_error for q in found])
    values = np.array([q.value for q in found])
    assert values.std(ddof=1) / errors.mean() == pytest.approx(1.0, abs=0.2)


@pytest.mark.statistical(effect=0.01, false_fail=2e-7, false_pass=0.1)
@pytest.mark.parametrize("tail", [1e-2, 1e-5])
def test_expected_shortfall_and_its_error(tail, seed):
    loss, log_weight = shifted(np.random.default_rng(seed(7)), 200_000, 3.0 if tail > 1e-4 else 4.5)
    curve = TailCurve.of_rows(loss.size, loss, log_weight)
    at = curve.index(tail)
    excess, error = curve.excess(at)
    exact = stats.norm.pdf(stats.norm.isf(tail)) / tail
    assert_within_error(curve.loss[at] + excess / tail, exact, error / tail)


# --- losses in pieces and in bins --------------------------------------------------------------------


def rows_of(loss, log_weight, size, floor):
    blocks = [
        WeightedLosses.of_block(loss[k : k + size], log_weight[k : k + size], floor) for k in range(0, loss.size, size)
    ]
    total = blocks[0]
    for block in blocks[1:]:
        total = total.merge(block)
    return total


def test_blocks_come_together_as_one(seed):
    loss, log_weight = shifted(np.random.default_rng(seed(8)), 5000)
    loss[17] = math.nan
    total = rows_of(loss, log_weight, 37, 2.5)
    at = np.flatnonzero(loss >= 2.5)
    assert (total.n, total.among, total.kept) == (5000, 5000, at.size)
    for part, expected in zip(total.joined(), (loss[at], log_weight[at], at), strict=True):
        np.testing.assert_array_equal(part, expected)
    assert len(total.loss) <= weighted_losses.PIECES


@pytest.mark.parametrize("size", [500, 3000, 20_000])
def test_bins_tell_nearly_what_the_rows_do(size, seed, monkeypatch):
    """A quantile from 1,024 bins is off by less than the distance of its neighbours, sums by less than a thousandth."""
    loss, log_weight = shifted(np.random.default_rng(seed(9)), 40_000)
    exact = TailCurve.of_rows(loss.size, loss[loss >= 2.0], log_weight[loss >= 2.0])
    monkeypatch.setattr(weighted_losses, "CAPACITY", 9000)
    monkeypatch.setattr(weighted_losses, "BINS", 1024)
    total = rows_of(loss, log_weight, size, 2.0)
    assert total.bins is not None
    assert total.bins.count.sum() == np.count_nonzero(loss >= 2.0)
    assert total.bins.sum_w.sum() == pytest.approx(np.exp(log_weight[loss >= 2.0]).sum(), rel=1e-12)
    curve = TailCurve.of(total)
    for tail in (1e-2, 1e-4):
        at = curve.index(tail)
        one, other = (c.value_at_risk(tail, Certainty(0.95)) for c in (exact, curve))
        assert abs(one.value - other.value) <= curve.gap(at)
        assert abs(one.std_error - other.std_error) <= curve.gap(at)
        assert other.tail_error == pytest.approx(one.tail_error, rel=0.05)
        means = [c.excess(c.index(tail)) for c in (exact, curve)]
        assert means[1][0] == pytest.approx(means[0][0], rel=0.02)
        assert means[1][1] == pytest.approx(means[0][1], rel=0.05)


def test_the_first_rows_stay_by_themselves_when_others_go_into_bins(seed, monkeypatch):
    loss, log_weight = shifted(np.random.default_rng(seed(10)), 20_000)
    monkeypatch.setattr(weighted_losses, "CAPACITY", 4000)
    total = rows_of(loss, log_weight, 1000, 2.0)
    kept, weights, row = total.joined()
    assert 3000 < kept.size <= 4000
    assert total.among % 1000 == 0
    first = np.flatnonzero(loss[: total.among] >= 2.0)
    np.testing.assert_array_equal(row, first)
    np.testing.assert_array_equal(kept, loss[first])
    np.testing.assert_array_equal(weights, log_weight[first])


def test_losses_all_alike_go_into_one_bin(monkeypatch):
    monkeypatch.setattr(weighted_losses, "CAPACITY", 10)
    total = rows_of(np.full(100, 3.0), np.zeros(100), 9, 1.0)
    assert total.bins.edges.tolist() == [3.0]
    assert total.bins.count.tolist() == [100]
    assert TailCurve.of(total).value_at_risk(0.5, Certainty(0.95)).value == 3.0

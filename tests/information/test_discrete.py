"""Finite laws: published values, SciPy, many digits, and the laws that entropy and divergence obey."""

import itertools
import math

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.spatial import distance

from raresim import information as info
from raresim.information import (
    chi_square,
    conditional_entropy,
    cross_entropy,
    entropy,
    jensen_shannon,
    joint_entropy,
    kl,
    mutual_information,
    perplexity,
    renyi,
    self_information,
)
from tests.information.strategies import channels, laws, several_laws, tables

ROUNDING = 1e-12
HORSES = np.array([1 / 2, 1 / 4, 1 / 8, 1 / 16, *[1 / 64] * 4])  # Cover & Thomas, 2nd ed., example 1.1.2
COVER_THOMAS = np.array(  # their example 2.2.1, rows Y and columns X there; here rows are what is known
    [[1 / 8, 1 / 16, 1 / 32, 1 / 32], [1 / 16, 1 / 8, 1 / 32, 1 / 32], [1 / 16] * 4, [1 / 4, 0, 0, 0]]
)


def exact(f, *arrays):
    """``f`` of the arrays as 60-digit numbers."""
    with mp.workdps(60):
        return float(f(*([mp.mpf(float(v)) for v in a] for a in arrays)))


def close(a, b):
    return a == b or a == pytest.approx(b, rel=1e-11, abs=ROUNDING)


# --- outside values ----------------------------------------------------------------------------------


@pytest.mark.parametrize("p", [1e-300, 2.8665157187919391e-07, 0.5, 1 - 1e-12, 5e-324])
def test_self_information_is_the_logarithm_to_many_digits(p):
    with mp.workdps(60):
        surprise = float(-mp.log(mp.mpf(p)))
    assert self_information(p) == pytest.approx(surprise, rel=1e-15)
    assert self_information(log_p=-surprise) == surprise


def test_self_information_goes_below_the_smallest_double():
    """A 100 sigma event: log P(Z > 100) = -5005.5242086942..."""
    assert self_information(log_p=stats.norm.logsf(100.0)) == pytest.approx(5005.5242086942, rel=1e-13)
    assert self_information(p=1e-300) == pytest.approx(690.7755278982137, rel=1e-15)


def test_five_sigma_event_in_nats_and_bits():
    p = stats.norm.sf(5.0)
    assert p == pytest.approx(2.8665e-07, rel=1e-4)
    assert self_information(p) == pytest.approx(15.0650, abs=5e-5)
    assert self_information(p, base=2) == pytest.approx(21.7342, abs=5e-5)


@given(several_laws(2))
@pytest.mark.slow
def test_entropy_and_kl_are_scipys(pair):
    p, q = pair
    assert close(entropy(p), stats.entropy(p))
    assert close(kl(p, q), stats.entropy(p, q))


def test_horse_race_of_cover_and_thomas():
    """Two bits; a code for eight equally likely horses wastes one."""
    assert entropy(HORSES, base=2) == pytest.approx(2, rel=1e-15)
    assert perplexity(HORSES) == pytest.approx(4, rel=1e-14)
    assert kl(HORSES, np.full(8, 1 / 8), base=2) == pytest.approx(1, rel=1e-14)


def test_coins_of_cover_and_thomas():
    """Their example 2.3.1 with r = 1/2 and s = 1/4: 0.2075 bits one way, 0.1887 the other."""
    p, q = [1 / 2, 1 / 2], [3 / 4, 1 / 4]
    assert kl(p, q, base=2) == pytest.approx(0.2075, abs=5e-5)
    assert kl(q, p, base=2) == pytest.approx(0.1887, abs=5e-5)


def test_table_of_cover_and_thomas():
    """H(X) = 7/4, H(Y) = 2, H(X|Y) = 11/8, H(Y|X) = 13/8, H(X,Y) = 27/8, I(X;Y) = 3/8 bits."""
    y_by_x, x_by_y = COVER_THOMAS, COVER_THOMAS.T
    assert entropy(COVER_THOMAS.sum(axis=0), base=2) == pytest.approx(7 / 4, rel=1e-14)
    assert entropy(COVER_THOMAS.sum(axis=1), base=2) == pytest.approx(2, rel=1e-14)
    assert conditional_entropy(y_by_x, base=2) == pytest.approx(11 / 8, rel=1e-14)
    assert conditional_entropy(x_by_y, base=2) == pytest.approx(13 / 8, rel=1e-14)
    assert joint_entropy(y_by_x, base=2) == pytest.approx(27 / 8, rel=1e-14)
    assert mutual_information(y_by_x, base=2) == pytest.approx(3 / 8, rel=1e-14)


@pytest.mark.parametrize("counts", [[[10, 20], [30, 40]], [[5, 1, 7], [2, 9, 4], [3, 3, 3]]])
def test_mutual_information_is_the_g_statistic(counts):
    """G = 2 N I(X; Y)."""
    counts = np.array(counts)
    g = stats.chi2_contingency(counts, correction=False, lambda_="log-likelihood").statistic
    assert mutual_information(counts / counts.sum()) == pytest.approx(g / (2 * counts.sum()), rel=1e-12)


@pytest.mark.slow
@given(several_laws(2))
def test_cross_entropy_is_the_length_of_the_wrong_code(pair):
    p, q = pair
    with mp.workdps(60):
        surprise = [-mp.log(mp.mpf(float(b))) if b else mp.inf for b in q]
        terms = [mp.mpf(float(a)) * s for a, s in zip(p, surprise, strict=True) if a]
        length = float(mp.fsum(terms))
    assert close(cross_entropy(p, q), length)


@pytest.mark.slow
@given(several_laws(2))
def test_jensen_shannon_is_the_square_of_scipys_distance(pair):
    p, q = pair
    with np.errstate(invalid="ignore"):  # SciPy takes the root of a rounding error below zero
        squared = np.nan_to_num(distance.jensenshannon(p, q) ** 2)
    assert jensen_shannon(p, q) == pytest.approx(squared, rel=1e-9, abs=ROUNDING)


@pytest.mark.slow
@pytest.mark.parametrize("alpha", [1e-3, 0.5, 0.999, 1 - 1e-9, 1 + 1e-12, 1 + 1e-6, 1.5, 2.0, 40.0])
@given(pair=several_laws(2))
def test_renyi_to_many_digits(alpha, pair):
    def formula(p, q):
        a = mp.mpf(alpha)
        if alpha > 1 and any(x > 0 and y == 0 for x, y in zip(p, q, strict=True)):
            return mp.inf
        total = mp.fsum(x**a * y ** (1 - a) for x, y in zip(p, q, strict=True) if x > 0 and y > 0)
        # a law of doubles adds to one up to 1e-16, which the division by alpha - 1 would blow up
        return mp.log(total / mp.fsum(p)) / (a - 1) if total else mp.inf

    p, q = pair
    assert renyi(p, q, alpha) == pytest.approx(exact(formula, p, q), rel=1e-9, abs=1e-9)


@pytest.mark.slow
@given(several_laws(2))
def test_chi_square_is_pearsons_statistic(pair):
    p, q = (0.999 * law + 0.001 / law.size for law in pair)
    statistic = stats.chisquare(1000 * p, 1000 * q, sum_check=False).statistic
    assert chi_square(p, q) == pytest.approx(statistic / 1000, rel=1e-9, abs=ROUNDING)


# --- Shannon's axioms --------------------------------------------------------------------------------


@pytest.mark.slow
@given(several_laws(2))
def test_entropy_is_continuous(pair):
    """``|H(p) - H(q)| <= h(t) + t log(k - 1)`` with the total variation ``t``: the classical Fannes bound.

    By Fano's inequality on the coupling that differs with probability ``t``; Zhang, IEEE Trans. Inf. Theory 53, 2007.
    """
    p, q = pair
    t = min(1.0, 0.5 * np.abs(p - q).sum())
    bound = entropy([t, 1 - t]) + t * math.log(p.size - 1)
    assert abs(entropy(p) - entropy(q)) <= bound + ROUNDING


@pytest.mark.parametrize("k", [2, 5])
@pytest.mark.parametrize("t", [1e-9, 0.1, 0.7, 1.0])
def test_continuity_bound_is_reached(k, t):
    """A certain outcome against one that spreads ``t`` evenly: the bound cannot be smaller."""
    certain, spread = np.eye(k)[0], np.array([1 - t, *[t / (k - 1)] * (k - 1)])
    bound = entropy([t, 1 - t]) + t * math.log(k - 1)
    assert entropy(spread) - entropy(certain) == pytest.approx(bound, rel=1e-12)


@pytest.mark.slow
@given(several_laws(1))
def test_entropy_is_largest_for_equally_likely_outcomes(one):
    (p,) = one
    assert entropy(p) <= entropy(np.full(p.size, 1 / p.size)) + ROUNDING
    assert entropy(np.full(p.size, 1 / p.size)) == pytest.approx(math.log(p.size), rel=1e-14)


@given(st.integers(1, 40))
def test_more_equally_likely_outcomes_are_more_uncertain(k):
    assert entropy(np.full(k + 1, 1 / (k + 1))) > entropy(np.full(k, 1 / k))


@pytest.mark.slow
@given(st.integers(2, 6).flatmap(laws), st.integers(2, 6).flatmap(laws))
def test_entropies_of_independent_laws_add(p, q):
    table = np.outer(p, q)
    assert close(joint_entropy(table), entropy(p) + entropy(q))
    assert close(conditional_entropy(table), entropy(q))
    assert mutual_information(table) == pytest.approx(0, abs=ROUNDING)


@pytest.mark.slow
@given(tables())
def test_choice_made_in_two_steps_has_the_same_entropy(table):
    """The grouping axiom: choose the row, then within it."""
    rows = table.sum(axis=1)
    within = sum(share * entropy(row / row.sum()) for share, row in zip(rows, table, strict=True) if share > 1e-290)
    assert close(joint_entropy(table), entropy(rows / rows.sum()) + within)
    assert close(conditional_entropy(table), within)


@pytest.mark.slow
@given(several_laws(1), st.randoms(use_true_random=False))
def test_entropy_does_not_depend_on_the_order_or_on_impossible_outcomes(one, random):
    (p,) = one
    shuffled = list(p)
    random.shuffle(shuffled)
    assert close(entropy([*shuffled, 0.0, 0.0]), entropy(p))


# --- divergences -------------------------------------------------------------------------------------


@pytest.mark.slow
@given(several_laws(2))
def test_kl_is_positive_unless_the_laws_are_equal(pair):
    """Pinsker: at least twice the squared total variation, so zero only where that is zero."""
    p, q = pair
    assert kl(p, q) >= 2 * (0.5 * np.abs(p - q).sum()) ** 2 - ROUNDING
    assert kl(p, p) == 0


def test_kl_has_a_direction():
    """To think that the impossible may happen costs a little; to exclude what happens costs everything."""
    certain, even = [1.0, 0.0], [0.5, 0.5]
    assert kl(certain, even) == pytest.approx(math.log(2))
    assert kl(even, certain) == math.inf


@pytest.mark.slow
@given(several_laws(2))
def test_kl_is_cross_entropy_less_entropy(pair):
    p, q = pair
    if math.isinf(cross_entropy(p, q)):
        assert kl(p, q) == math.inf
    else:
        assert close(kl(p, q), cross_entropy(p, q) - entropy(p))


@pytest.mark.slow
@given(st.data(), several_laws(2))
def test_processing_data_cannot_make_laws_easier_to_tell_apart(data, pair):
    p, q = pair
    channel = data.draw(channels(p.size))
    after = p @ channel, q @ channel
    for divergence in (kl, jensen_shannon, lambda a, b: renyi(a, b, 0.5), lambda a, b: renyi(a, b, 2.0)):
        assert divergence(*after) <= divergence(p, q) + 1e-9


@pytest.mark.slow
@given(st.data(), tables())
def test_processing_data_cannot_add_information(data, table):
    channel = data.draw(channels(table.shape[1]))
    assert mutual_information(table @ channel) <= mutual_information(table) + 1e-10


@pytest.mark.slow
@given(tables())
def test_mutual_information_is_what_knowing_one_tells_of_the_other(table):
    rows, columns = table.sum(axis=1), table.sum(axis=0)
    shared = mutual_information(table)
    assert close(shared, entropy(rows) + entropy(columns) - joint_entropy(table))
    assert close(shared, mutual_information(table.T))
    assert close(shared, entropy(columns) - conditional_entropy(table))


@pytest.mark.slow
@given(several_laws(2))
def test_jensen_shannon_is_symmetric_and_at_most_one_bit(pair):
    p, q = pair
    assert close(jensen_shannon(p, q), jensen_shannon(q, p))
    assert 0 <= jensen_shannon(p, q, base=2) <= 1 + ROUNDING
    assert jensen_shannon(p, p) == 0


def test_jensen_shannon_of_laws_with_nothing_in_common_is_one_bit():
    assert jensen_shannon([1, 0], [0, 1], base=2) == pytest.approx(1, rel=1e-15)


@pytest.mark.slow
@given(several_laws(2))
def test_renyi_grows_with_its_order_through_kl(pair):
    p, q = pair
    values = [renyi(p, q, alpha) for alpha in (0.1, 0.5, 0.9, 1.0, 1.1, 2.0, 5.0)]
    assert values[3] == kl(p, q)
    assert all(a <= b + 1e-9 for a, b in itertools.pairwise(values))


@pytest.mark.slow
@given(several_laws(2))
def test_chi_square_bounds_kl(pair):
    """``KL <= log(1 + chi^2)``: the cost of a proposal is below the variance of its weights."""
    p, q = pair
    assert kl(p, q) <= math.log1p(chi_square(p, q)) + 1e-9


@pytest.mark.slow
@given(several_laws(1), st.data())
def test_kl_from_the_law_given_an_event_is_the_surprise_of_the_event(one, data):
    """The optimal proposal is the target restricted to the event: its KL to the target is ``-log P``."""
    (p,) = one
    inside = np.array(data.draw(st.lists(st.booleans(), min_size=p.size, max_size=p.size)))
    probability = p[inside].sum()
    if probability > 1e-290:
        optimal = np.where(inside, p, 0.0) / probability
        assert kl(optimal, p) == pytest.approx(self_information(min(1.0, probability)), rel=1e-9, abs=ROUNDING)


@pytest.mark.slow
@given(several_laws(2), st.lists(st.integers(0, 1), min_size=1, max_size=30))
def test_average_surprise_of_a_sample_is_its_cross_entropy(pair, picks):
    """Negative log-likelihood per draw = cross-entropy of the empirical law, exactly."""
    belief = pair[0]
    labels = [pick * (belief.size - 1) for pick in picks]
    empirical = np.bincount(labels, minlength=belief.size) / len(labels)
    loss = info.mean_classification_loss(labels, probabilities=np.tile(belief, (len(labels), 1)))
    assert close(loss, cross_entropy(empirical, belief))


# --- edges -------------------------------------------------------------------------------------------


def test_impossible_outcomes_add_nothing():
    assert entropy([1.0, 0.0]) == 0.0
    assert math.copysign(1.0, entropy([1.0, 0.0])) == 1.0
    assert cross_entropy([1.0, 0.0], [0.5, 0.5]) == pytest.approx(math.log(2))
    assert kl([0.5, 0.5, 0.0], [0.25, 0.25, 0.5]) == pytest.approx(math.log(2))
    assert kl([1.0, 0.0], [1.0, 0.0]) == 0.0
    assert perplexity([0.0, 1.0]) == 1.0


def test_excluding_what_happens_costs_infinitely_much_without_a_warning():
    p, q = [0.5, 0.5], [1.0, 0.0]
    assert cross_entropy(p, q) == kl(p, q) == chi_square(p, q) == renyi(p, q, 1.5) == math.inf
    assert renyi(p, q, 0.5) == pytest.approx(math.log(2))
    assert renyi([1.0, 0.0], [0.0, 1.0], 0.5) == math.inf


def test_impossible_event_that_happens_is_infinitely_surprising():
    assert self_information(0.0) == self_information(log_p=-math.inf) == math.inf
    assert self_information(1.0) == self_information(log_p=0.0) == 0.0
    assert math.copysign(1.0, self_information(1.0)) == 1.0


def test_smallest_doubles_are_probabilities_too():
    tiny = 5e-324
    assert jensen_shannon([tiny, 1.0], [0.0, 1.0]) == pytest.approx(0.0, abs=1e-300)
    assert kl([1.0, 0.0], [tiny, 1.0]) == pytest.approx(744.4400719213812, rel=1e-15)
    assert cross_entropy([1.0, 0.0], [tiny, 1.0]) == pytest.approx(744.4400719213812, rel=1e-15)


def test_variance_of_weights_above_the_largest_double_is_infinite():
    assert chi_square([0.5, 0.5], [1.0, 1e-320]) == math.inf
    assert chi_square([0.5, 0.5], [1.0, 1e-300]) == pytest.approx(2.5e299, rel=1e-9)


@pytest.mark.parametrize("off", [9e-9, -9e-9])
def test_rounding_within_the_tolerance_is_no_error_anywhere(off):
    """The product of two margins is off by twice as much as the table."""
    table = np.array([[0.25, 0.25], [0.25, 0.25 + off]])
    assert mutual_information(table) == pytest.approx(0.0, abs=1e-15)
    assert conditional_entropy(table) == pytest.approx(math.log(2), rel=1e-7)
    assert jensen_shannon(table, table) == 0.0
    for alpha in (0.5, 1 + 1e-9, 3.0):
        assert renyi(table, table, alpha) == pytest.approx(0.0, abs=1e-7)


def test_entropy_takes_any_shape():
    p = np.array([0.1, 0.2, 0.3, 0.4])
    assert entropy(p.reshape(2, 2)) == entropy(p) == joint_entropy(p.reshape(2, 2))
    assert kl(p.reshape(2, 2), np.full((2, 2), 0.25)) == kl(p, np.full(4, 0.25))

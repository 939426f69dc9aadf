"""The archive of a search and the blend of candidates: weights of all draws as one sample, levels, shares."""

import math

import numpy as np
import pytest
from scipy import stats

from raresim import Normal, StandardNormal
from raresim.distributions.base import log_density
from raresim.search.archive import Archive
from raresim.search.blend import (
    LAYERS,
    LEAST_LAYERS,
    Candidate,
    fitted_layers,
    fitted_shares,
    layers,
    proposal,
    searching,
)
from raresim.search.fitting import mixed
from tests.helpers import block, draws, logpdf, normals
from tests.statistical import assert_within_error

TARGET = StandardNormal(dim=1)
WIDE = Normal(mean=[0.0], std=2.0)
SHIFTED = Normal(mean=[3.0], std=1.0)


def mixed_evenly(*laws):
    return mixed([1.0] * len(laws), laws)


def column(*values):
    return np.asfortranarray(np.array(values, dtype=float)[:, None])


def filled(laws, n, seed):
    """An archive of ``n`` draws of each law; the loss is the first coordinate."""
    archive = Archive(StandardNormal(dim=laws[0].dim))
    for k, law in enumerate(laws):
        u = draws(law, n, seed, k)
        archive.add(law, u, u[:, 0].copy())
    return archive


# --- weights -----------------------------------------------------------------------------------------


def test_weights_are_the_balance_heuristic():
    """``p / (sum_j n_j q_j / N)`` at every draw, also at those that were there before a law was added."""
    archive = Archive(TARGET)
    first, second = column(-1.0, 0.0, 2.5), column(3.0, 4.5)
    assert archive.add(WIDE, first, first[:, 0]) == slice(0, 3)
    assert archive.add(SHIFTED, second, second[:, 0]) == slice(3, 5)
    x = np.array([-1.0, 0.0, 2.5, 3.0, 4.5])
    mixture = (3 * stats.norm.pdf(x, 0.0, 2.0) + 2 * stats.norm.pdf(x, 3.0, 1.0)) / 5
    np.testing.assert_allclose(np.exp(archive.log_weight), stats.norm.pdf(x) / mixture, rtol=1e-12)
    np.testing.assert_array_equal(archive.u[:, 0], x)
    np.testing.assert_array_equal(archive.loss, x)
    assert (archive.size, archive.counts, archive.laws) == (5, [3, 2], [WIDE, SHIFTED])


def test_draws_of_the_target_alone_have_weight_one():
    archive = Archive(TARGET)
    for k in range(3):
        u = draws(TARGET, 10, 3, k)
        archive.add(TARGET, u, u[:, 0])
    np.testing.assert_allclose(archive.log_weight, 0.0, atol=1e-12)


def test_order_of_batches_changes_no_weight():
    a, b = column(-1.0, 0.5), column(2.0, 3.0, 4.0)
    one, two = Archive(TARGET), Archive(TARGET)
    one.add(WIDE, a, a[:, 0])
    one.add(SHIFTED, b, b[:, 0])
    two.add(SHIFTED, b, b[:, 0])
    two.add(WIDE, a, a[:, 0])
    np.testing.assert_allclose(np.sort(one.log_weight), np.sort(two.log_weight), rtol=1e-12)


@pytest.mark.statistical(effect=0.5, false_fail=2e-7, false_pass=1e-3)
def test_weights_add_to_the_number_of_draws(seed):
    """Laws that were not fitted to the draws: weights have the mean one, and those in an event its probability."""
    laws = [Normal(mean=np.zeros(3), std=1.8), Normal(mean=[2.0, 0.0, 0.0], std=1.2), StandardNormal(dim=3)]
    archive = filled(laws, 4000, seed(711))
    weight = np.exp(archive.log_weight)
    se = weight.std() / math.sqrt(weight.size)
    assert_within_error(weight.mean(), 1.0, se)
    assert se < 0.02
    failing = np.where(archive.loss >= 3.0, weight, 0.0)
    assert_within_error(failing.mean(), stats.norm.sf(3.0), failing.std() / math.sqrt(failing.size))


def test_draws_far_from_every_law_keep_finite_weights():
    archive = Archive(TARGET)
    far = column(30.0, 50.0)
    archive.add(Normal(mean=[40.0], std=1.0), far, far[:, 0])
    near = column(0.0)
    archive.add(TARGET, near, near[:, 0])
    assert np.isfinite(archive.log_weight).all()
    assert archive.log_weight[0] < -300


def test_blocks_are_copied_in_column_order():
    archive = Archive(StandardNormal(dim=2))
    u = block(2, 2, 1.0)
    archive.add(StandardNormal(dim=2), u, np.array([1.0, 2.0]))
    u[:] = 7.0
    np.testing.assert_array_equal(archive.u, 1.0)
    assert archive.u.flags.f_contiguous


# --- levels ------------------------------------------------------------------------------------------


def archive_of(losses):
    """Draws of the target, whose weights are one, with the given losses."""
    archive = Archive(TARGET)
    archive.add(TARGET, np.asfortranarray(normals(len(losses), 1, 5)), np.array(losses, dtype=float))
    return archive


def test_level_is_the_highest_that_enough_draws_reach():
    archive = archive_of(range(100))
    assert archive.level(1000.0, 10.0) == 90.0
    assert archive.level(1000.0, 50.0) == 50.0
    assert archive.level(95.0, 10.0) == 90.0
    assert archive.level(30.0, 10.0) == 30.0  # never beyond the goal


def test_level_among_ties_is_the_tie():
    archive = archive_of([0.0] * 50 + [1.0] * 30 + [2.0] * 5)
    assert archive.level(3.0, 5.0) == 2.0
    assert archive.level(3.0, 6.0) == 1.0
    assert archive.level(3.0, 35.0) == 1.0
    assert archive.level(3.0, 36.0) == 0.0


def test_level_with_too_few_draws_is_the_lowest_loss():
    assert archive_of([3.0, 1.0, 2.0]).level(9.0, 50.0) == 1.0
    assert archive_of([2.0] * 20).level(9.0, 50.0) == 2.0


def test_level_counts_what_draws_are_worth_not_how_many_they_are():
    """Ten light draws ahead of heavy ones add nothing to what the heavy ones are worth."""
    archive = Archive(TARGET)
    u = column(*([6.0] * 10 + [0.0] * 30))
    archive.add(WIDE, u, np.array([*range(40, 30, -1), *range(30, 0, -1)], dtype=float))
    weight = np.exp(archive.log_weight)
    at = archive.level(100.0, 15.0)
    beyond = weight[archive.loss >= at]
    assert beyond.sum() ** 2 / np.square(beyond).sum() >= 15.0
    fewer = weight[archive.loss > at]
    assert fewer.sum() ** 2 / np.square(fewer).sum() < 15.0
    assert at < 20.0


def test_draws_whose_weights_have_no_double_are_worth_nothing():
    """The highest loss has a weight of ``exp(-1200)`` beside the others, and its square is 0."""
    archive = Archive(TARGET)
    archive.add(mixed_evenly(TARGET, Normal(mean=[49.0], std=1.0)), column(0.0, 0.1, 0.2, 49.0), np.arange(4.0))
    assert archive.level(10.0, 1.0) == 2.0


def test_search_leaves_its_first_and_last_law_as_defence(seed):
    archive = filled([WIDE, SHIFTED, TARGET], 5, seed(712))
    archive.keep_searched()
    assert [archive.laws[j] for j in archive.searched] == [WIDE, TARGET]


# --- candidates --------------------------------------------------------------------------------------


def test_shares_follow_the_likelihood_of_fresh_draws(seed):
    """Draws of the second of three candidates give it nearly everything, from any beginning."""
    laws = [Normal(mean=[m], std=1.0) for m in (0.0, 4.0, 8.0)]
    candidates = [Candidate(str(k), law) for k, law in enumerate(laws)]
    u = draws(laws[1], 400, seed(713))
    for start in ([1 / 3] * 3, [0.8, 0.1, 0.1]):
        shares = fitted_shares(candidates, np.array(start), u, np.zeros(400))
        assert shares.sum() == pytest.approx(1.0)
        assert shares[1] > 0.85
        assert shares.min() > 0


def test_shares_of_a_mixture_are_recovered(seed):
    """300 and 700 draws of two laws far apart; nothing overlaps, so the shares are those of the draws."""
    laws = [Normal(mean=[m], std=1.0) for m in (-6.0, 6.0)]
    u = np.asfortranarray(np.concatenate([draws(laws[0], 300, seed(714)), draws(laws[1], 700, seed(715))]))
    shares = fitted_shares([Candidate("a", laws[0]), Candidate("b", laws[1])], np.array([0.5, 0.5]), u, np.zeros(1000))
    np.testing.assert_allclose(shares, [0.3, 0.7], atol=1e-6)
    weighted = fitted_shares(
        [Candidate("a", laws[0]), Candidate("b", laws[1])],
        np.array([0.5, 0.5]),
        u,
        np.log(np.where(u[:, 0] < 0, 7.0, 3.0)) - 900.0,  # weights far below the smallest double
    )
    np.testing.assert_allclose(weighted, [0.5, 0.5], atol=1e-6)


def test_shares_do_not_lower_the_likelihood(seed):
    laws = [Normal(mean=[0.0], std=1.0), Normal(mean=[1.0], std=2.0)]
    u = draws(Normal(mean=[1.0], std=1.5), 300, seed(716))
    logs = np.stack([logpdf(law, u) for law in laws], axis=1)
    before = np.array([0.5, 0.5])
    after = fitted_shares([Candidate("a", laws[0]), Candidate("b", laws[1])], before, u, np.zeros(300))
    assert (np.log(np.exp(logs) @ after)).mean() >= (np.log(np.exp(logs) @ before)).mean()


def test_the_law_around_regions_has_its_share_of_the_proposal(seed):
    """It is fitted to nothing: what no draw has shown is covered where a region is known."""
    archive = filled([WIDE, TARGET], 5, seed(717))
    archive.keep_searched()
    fitted, cover = Normal(mean=[4.0], std=0.3), Normal(mean=[-6.0], std=1.0)
    law = proposal([Candidate("fitted", fitted)], np.array([1.0]), archive, cover)
    x = np.linspace(-9.0, 7.0, 161)[:, None]
    assert (np.exp(logpdf(law, x)) >= 0.99 * LAYERS[3] * np.exp(logpdf(cover, x))).all()
    without = proposal([Candidate("fitted", fitted)], np.array([1.0]), archive)
    assert log_density(law, column(-6.0))[0] > log_density(without, column(-6.0))[0] + 5.0


@pytest.mark.parametrize("with_broad", [True, False])
def test_proposal_is_mostly_fitted_and_defended_by_the_search(with_broad, seed):
    """Its density is at least the defence's share of the first and the last law of the search, everywhere."""
    archive = filled([WIDE, TARGET, SHIFTED], 5, seed(717))
    archive.keep_searched()
    fitted, broad = Normal(mean=[4.0], std=0.3), Normal(mean=[4.0], std=1.0)
    law = proposal([Candidate("fitted", fitted, broad if with_broad else None)], np.array([1.0]), archive)
    x = np.linspace(-8.0, 12.0, 201)[:, None]
    density = np.exp(logpdf(law, x))
    assert (density >= 0.8 * np.exp(logpdf(fitted, x))).all()
    for defence in (WIDE, SHIFTED, *([broad] if with_broad else [])):
        assert (density >= 0.03 * np.exp(logpdf(defence, x))).all()
    assert np.trapezoid(density, x[:, 0]) == pytest.approx(1.0, abs=1e-3)


def test_candidates_with_a_negligible_share_are_left_out(seed):
    archive = filled([WIDE], 5, seed(718))
    archive.keep_searched()
    kept, dropped = Normal(mean=[4.0], std=1.0), Normal(mean=[-20.0], std=0.1)
    law = proposal([Candidate("kept", kept), Candidate("dropped", dropped)], np.array([0.99, 0.01]), archive)
    assert log_density(law, column(-20.0))[0] < -40


def test_search_draws_mostly_from_what_is_nowhere_narrower_than_the_target():
    narrow, broad = Normal(mean=[3.0], std=0.2), Normal(mean=[3.0], std=1.0)
    x = np.linspace(-5.0, 11.0, 161)[:, None]
    density = np.exp(logpdf(searching([Candidate("a", narrow, broad)]), x))
    assert (density >= 0.5 * np.exp(logpdf(broad, x))).all()
    assert (density >= 0.1 * np.exp(logpdf(narrow, x))).all()
    alone = np.exp(logpdf(searching([Candidate("a", narrow)]), x))
    np.testing.assert_allclose(alone, np.exp(logpdf(narrow, x)), rtol=1e-12)


# --- layers ------------------------------------------------------------------------------------------


THREE = LAYERS[:3] / LAYERS[:3].sum()
"""Where no region is known."""


def second_moment(laws, shares, u, log_weight):
    """Of an estimate from the layers, by draws with these weights."""
    logs = np.stack([log_density(law, u) for law in laws], axis=1)
    return float(np.mean(np.exp(log_weight + log_density(TARGET, u)) / (np.exp(logs) @ shares)))


def test_broad_layer_grows_where_the_fitted_law_is_too_narrow(seed):
    """The event is a half-line, the fitted law misses most of it; its broad copy does not."""
    narrow, broad = Normal(mean=[3.4], std=0.1), Normal(mean=[3.4], std=1.0)
    laws = [narrow, broad, WIDE]
    u = draws(broad, 4000, seed(719))
    u = np.asfortranarray(u[u[:, 0] > 3.0])
    log_weight = log_density(TARGET, u) - log_density(broad, u)
    shares = fitted_layers(laws, THREE, u, log_weight, log_density(TARGET, u))
    assert shares.sum() == pytest.approx(1.0)
    assert shares[1] > 0.5
    assert second_moment(laws, shares, u, log_weight) < 0.5 * second_moment(laws, THREE, u, log_weight)


def test_layers_keep_their_least_shares_where_the_fit_is_perfect(seed):
    fitted = Normal(mean=[3.0], std=1.0)
    u = draws(fitted, 2000, seed(720))
    log_p = log_density(TARGET, u)
    for n, begin in ((3, THREE), (4, LAYERS)):
        ideal = fitted_layers([fitted, *[WIDE] * (n - 1)], begin, u, log_density(fitted, u) - log_p, log_p)
        assert ideal[0] > 0.7
        assert (ideal >= 0.9 * LEAST_LAYERS[:n]).all()


def test_layers_are_of_the_candidates_that_are_drawn_from(seed):
    archive = filled([WIDE, TARGET], 5, seed(721))
    archive.keep_searched()
    kept, dropped = (Candidate(str(m), Normal(mean=[m], std=0.1), Normal(mean=[m], std=1.0)) for m in (4.0, -9.0))
    fitted, broad, past = layers([kept, dropped], np.array([0.99, 0.01]), archive, None)
    assert layers([kept, dropped], np.array([0.99, 0.01]), archive, SHIFTED)[3] is SHIFTED
    far = column(-9.0)
    assert log_density(fitted, far)[0] < -1000
    assert log_density(broad, far)[0] < -50
    assert log_density(past, far)[0] == pytest.approx(log_density(mixed_evenly(WIDE, TARGET), far)[0])


def test_points_found_after_the_last_refit_are_covered_too():
    """Shares were fitted for three layers, and a fourth has come since."""
    archive = Archive(StandardNormal(dim=2))
    archive.add(Normal(mean=[0.0, 0.0], std=1.5), np.zeros((4, 2), order="F"), np.zeros(4))
    archive.keep_searched()
    fitted = [Candidate("one", Normal(mean=[3.0, 0.0], std=1.0))]
    law = proposal(fitted, np.ones(1), archive, Normal(mean=[0.0, 3.0], std=1.0), np.array([0.8, 0.1, 0.1]))
    assert len(law.components) == 4
    assert law.weights[-1] == pytest.approx(LAYERS[-1])
    assert law.weights.sum() == pytest.approx(1.0)

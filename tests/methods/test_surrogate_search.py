"""Learning a surrogate: evaluations where the event is expected and where it is not, warps, and pools of all places."""

import numpy as np
import pytest
from scipy import integrate, stats

from raresim.diagnostics.surrogate import surrogate_checks
from raresim.distributions.mixture import Mixture
from raresim.distributions.normal import Normal
from raresim.methods.surrogate_design import AFAR_RADII
from raresim.methods.surrogate_pool import _refitted, pool_of
from raresim.methods.surrogate_search import FAILURES, Learner
from raresim.surrogate.belief import Predicted, calibration_of
from raresim.surrogate.components import first_system
from tests.statistical import assert_within_error


def begun(loss, dim, seed=1, **options):
    """A learner of a loss, or of several limit states where it returns a column for each."""
    learner = Learner(lambda u: loss(u).reshape(len(u), -1), dim, np.random.default_rng(seed), **options)
    learner.begin()
    return learner


def hidden(u):
    """A flat loss, and a plane in another unit that shows nowhere else."""
    return np.maximum(u[:, 0] - 4.0, 200.0 * (u[:, 1] - 4.8))


def test_a_part_in_another_unit_is_met_far_out():
    learner = begun(hidden, 2)
    assert not (learner.x[:, 1] > 4.8).any()
    learner.look_afar(8)
    assert learner.afar == len(learner.margins) - 10 > 0
    assert learner.afar_hits == np.count_nonzero(hidden(learner.x[10:]) >= 0.0) > 0
    assert np.linalg.norm(learner.x[10:], axis=1).max() <= AFAR_RADII[1] * (1.0 + 1e-12)


@pytest.mark.parametrize(("dim", "looks"), [(3, 7), (7, 4)])
def test_more_evaluations_are_far_out_where_there_are_few_inputs(dim, looks):
    learner = begun(lambda u: u[:, 0] - 3.0, dim)
    learner.learn(60, None)
    assert learner.afar == looks


def test_a_loss_that_is_what_it_seems_is_not_met_far_out():
    learner = begun(lambda u: u[:, 0] - 4.0, 2)
    learner.look_afar(8)
    assert learner.afar > 0
    assert learner.afar_hits == 0


def test_a_limit_state_that_is_hidden_in_another_unit_is_met_far_out_among_columns():
    learner = begun(lambda u: np.column_stack([hidden(u), u[:, 0] - u[:, 1] - 6.0]), 2)
    learner.look_afar(8)
    assert learner.uncrossed == []  # it was probed before
    assert learner.afar_hits == np.count_nonzero(learner.margin[learner.rebuilt :] >= 0.0) > 0


def test_predictions_that_never_come_true_are_far_from_expected():
    assert calibration_of([], 1.0) == 0.0
    assert calibration_of([Predicted(0.0, False)] * 36, 1.0) == pytest.approx(-6.0)
    assert calibration_of([Predicted(0.0, k % 2 == 0) for k in range(36)], 1.0) == pytest.approx(0.0)


def test_the_limit_state_that_is_farthest_off_gives_the_calibration():
    learner = begun(lambda u: u - 4.0, 2)
    assert learner.calibration == 0.0
    learner.predictions = [[Predicted(0.0, k % 2 == 0) for k in range(36)], [Predicted(0.0, False)] * 36]
    assert learner.calibration == pytest.approx(-6.0)


def test_a_boundary_is_seen_from_both_sides():
    """Where a cubed plane meets its threshold it is flat; evaluations beside it alone would all lie on one side."""
    learner = begun(lambda u: 20.0 * (u.sum(axis=1) / np.sqrt(3.0) - 3.0) ** 3, 3)
    learner.learn(70, None)
    assert learner.system.components[0].process.warp.shape in ("root", "asinh")
    assert learner.failures >= FAILURES


SQUARES, SLOPES, LEVEL = np.array([1.0, 0.835]), np.array([0.8, 0.33]), 40.0


def two_lobes(u):
    return u**2 @ SQUARES + u @ SLOPES - LEVEL


def outside():
    """The probability of the outside of that ellipse: an integral over the direction."""

    def beyond(angle):
        along = np.array([np.cos(angle), np.sin(angle)])
        a, b = SQUARES @ along**2, SLOPES @ along
        r = (-b + np.sqrt(b * b + 4.0 * a * LEVEL)) / (2.0 * a)
        return np.exp(-0.5 * r * r) / (2.0 * np.pi)

    return integrate.quad(beyond, 0.0, 2.0 * np.pi, epsabs=0.0, epsrel=1e-10, limit=200)[0]


@pytest.mark.statistical(effect=0.15, false_fail=1e-6, false_pass=1e-3)
def test_a_pool_has_the_far_side_of_an_ellipse_too():
    """Its other side has some per cent of the probability, 3 in 10^9, and a climb of a thousand draws loses it."""
    x = np.vstack([np.zeros(2), 6.0 * np.random.default_rng(3).uniform(-1.0, 1.0, (24, 2))])
    margin = two_lobes(x)
    system = first_system(x, margin[:, np.newaxis], 1, (0.0,), None)
    pool = pool_of(system, (x, margin), 20_000, np.random.default_rng(4))
    terms = pool.weight * (two_lobes(pool.points) >= 0.0)
    assert_within_error(terms.mean(), outside(), terms.std(ddof=1) / np.sqrt(terms.size))


def test_draws_too_far_out_to_have_a_weight_count_for_nothing():
    """Their density under the target is zero in floating point."""
    system = first_system(np.eye(2), np.array([[-1.0], [-2.0]]), 1, (0.0,), None)
    far = Mixture(weights=[1.0], components=[Normal(mean=np.array([60.0, 0.0]), std=np.ones(2))])
    law = _refitted(system, far, np.random.default_rng(1))
    assert np.isfinite(law.weights).all()


def test_many_inputs_of_which_one_direction_matters_are_learnt():
    """Seventeen axes have one length scale as they are, and fifteen where they are turned: starts must not be mixed."""
    direction = np.ones(17) / np.sqrt(17.0)
    learner = begun(lambda u: np.tanh(u @ direction - 2.5), 17)
    learner.learn(100, 0.05)
    chance = learner.pool.probability(learner.belief.failing)
    assert chance == pytest.approx(stats.norm.sf(2.5), rel=0.3)


def facts(**changed):
    names = ("evaluations", "failures", "distinct", "unsure", "pool_error", "largest_off", "limit_states", "undeclared")
    values = (100.0, 20.0, 1.0, 0.1, 0.01, 1.0, 1.0, 0.0)
    fine = {f"surrogate_{name}": value for name, value in zip(names, values, strict=True)}
    fine |= {"surrogate_inputs": 12.0, "surrogate_assisted": 0.0}
    fine |= {"surrogate_afar": 8.0, "surrogate_afar_hits": 0.0, "surrogate_calibration": 0.5}
    return fine | {f"surrogate_{name}": value for name, value in changed.items()}


SEEN = {"surrogate_correction": 0.01, "spread_over_known": 1.0}
REFUSED = {
    "surrogate_inputs": (facts(inputs=13.0), SEEN, 0.01, "caution", "the surrogate has 13 inputs (at most 12"),
    "surrogate_evaluations": (
        facts(evaluations=65.0),
        SEEN,
        0.01,
        "caution",
        "the surrogate learnt from 65 evaluations (66 wanted)",
    ),
    "surrogate_afar": (
        facts(afar_hits=1.0),
        SEEN,
        0.01,
        "untrusted",
        "the last 8 evaluations far out are not in the event, and 1 of",
    ),
    "surrogate_calibration": (facts(calibration=-5.0), SEEN, 0.01, "caution", "the event occurred less often"),
    "surrogate_spread": (facts(), SEEN | {"spread_over_known": 6.0}, 0.1, "untrusted", "is 6 times the variance that"),
}


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_what_contradicts_the_surrogate_is_refused(name):
    found, diagnostics, error, status, words = REFUSED[name]
    assert {c.status for c in surrogate_checks(facts(), SEEN, 0.01)} == {"trusted"}
    wanting = [c for c in surrogate_checks(found, diagnostics, error) if c.status != "trusted"]
    assert [(c.name, c.status) for c in wanting] == [(name, status)]
    assert words in wanting[0].message


def test_fewer_evaluations_are_enough_with_fewer_inputs_or_an_approximation():
    for found in (facts(evaluations=55.0, inputs=10.0), facts(evaluations=40.0, assisted=1.0)):
        assert {c.status for c in surrogate_checks(found, SEEN, 0.01)} == {"trusted"}


def test_batches_that_agree_well_may_spread_more_than_expected():
    spread = SEEN | {"spread_over_known": 6.0}
    assert {c.status for c in surrogate_checks(facts(), spread, 0.01)} == {"trusted"}


def bounded_in_sight(u):
    """A plane whose values hardly change where it has not failed yet, beside another one in other units."""
    return np.column_stack([np.expm1(2.0 * (u[:, 0] - 5.0)), 0.01 * (-u[:, 1] - 5.0)])


def test_limit_states_are_probed_until_each_is_seen_to_fail():
    learner = Learner(bounded_in_sight, 5, np.random.default_rng(1))
    learner.begin()
    assert learner.uncrossed == [0, 1]
    before = learner.seen
    learner.probe(100)
    assert learner.uncrossed == []
    assert learner.unprobed == 0
    assert learner.seen - before <= 9
    assert learner.pool.probability(learner.belief.failing[0]) == pytest.approx(2.0 * stats.norm.sf(5.0), rel=9.0)


def test_a_limit_state_that_no_evaluation_is_left_for_is_named():
    learner = Learner(bounded_in_sight, 5, np.random.default_rng(1))
    learner.begin()
    learner.probe(learner.seen)
    assert learner.unprobed == 2
    found = facts(limit_states=2.0, unprobed=2.0)
    (check,) = [c for c in surrogate_checks(found, SEEN, 0.01) if c.status != "trusted"]
    assert (check.name, check.status) == ("surrogate_limit_states", "caution")
    assert "2 of 2 limit states were neither seen to fail" in check.message


def test_one_loss_is_not_probed():
    learner = begun(lambda u: u[:, 0] - 5.0, 4)
    before = learner.seen
    learner.probe(100)
    assert learner.seen == before

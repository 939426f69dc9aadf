"""Shape of the weights' tail, against exact Pareto tails and an independent implementation."""

import math

import numpy as np
import pytest

from raresim.diagnostics.psis import bounded, khat
from tests.statistical import assert_within_error


def slow_khat(log_weights, n):
    """Zhang & Stephens (2009) sec. 2 with the prior of Vehtari et al. (2024) app. C, loop by loop.

    ``k`` here is the shape ``xi`` of the tail ``(1 + xi x / sigma)^(-1 / xi)``; the paper's ``k`` is ``-xi``.
    """
    size = math.ceil(min(0.2 * n, 3 * math.sqrt(n)))
    top = max(log_weights)
    weights = sorted(math.exp(w - top) for w in log_weights)
    size = min(size, len(weights) - 1)
    cut = weights[-size - 1]
    x = [w - cut for w in weights[-size:]]  # a weight that ties with the cut-off is an exceedance of zero
    m = len(x)
    quartile, largest = x[math.floor(m / 4 + 0.5) - 1], x[-1]
    grid = 30 + math.floor(math.sqrt(m))

    def shape(theta):
        return sum(math.log(1 - theta * xi) for xi in x) / m

    def log_likelihood(theta):
        return m * (math.log(-theta / shape(theta)) - shape(theta) - 1)

    thetas = [1 / largest + (1 - math.sqrt(grid / (j - 0.5))) / (3 * quartile) for j in range(1, grid + 1)]
    heights = [log_likelihood(theta) for theta in thetas]
    shares = [1 / sum(math.exp(h - own) for h in heights) for own in heights]
    k = shape(sum(theta * share for theta, share in zip(thetas, shares, strict=True)))
    return (k * m + 0.5 * 10) / (m + 10)


def pareto_log_weights(k, n, seed):
    """Log weights with an exact generalised Pareto law of shape ``k`` and scale one."""
    u = np.random.default_rng(seed).random(n)
    return np.log1p(np.expm1(-k * np.log(u)) / k)


EVEN = {
    "pareto 0.3": lambda u: np.log(np.expm1(-0.3 * np.log(u)) / 0.3),
    "pareto 0.7": lambda u: np.log(np.expm1(-0.7 * np.log(u)) / 0.7),
    "logistic": lambda u: 1.5 * np.log(u / (1 - u)),
    "ties": lambda u: np.floor(8 * np.log(np.expm1(-0.6 * np.log(u)) / 0.6)) / 8,
}

# ``psislw(-log_weights)`` of arviz-stats 0.8.0 at ``u = (i + 1/2) / n``; sizes where all agree on the tail's length.
ARVIZ = {
    ("pareto 0.3", 30): 0.385465914002686,
    ("pareto 0.3", 225): 0.3461658787228585,
    ("pareto 0.3", 900): 0.32431847403705416,
    ("pareto 0.3", 2500): 0.3153726848659984,
    ("pareto 0.7", 30): 0.4947299493618661,
    ("pareto 0.7", 225): 0.6481917517824185,
    ("pareto 0.7", 900): 0.6686985895462911,
    ("pareto 0.7", 2500): 0.6804152016359282,
    ("logistic", 30): 0.7233052951973891,
    ("logistic", 225): 1.2833516476803832,
    ("logistic", 900): 1.3742287223951417,
    ("logistic", 2500): 1.42059501141575,
    ("ties", 30): 0.47640636820629334,
    ("ties", 225): 0.5335732666550003,
    ("ties", 900): 0.5269480849770873,
    ("ties", 2500): 0.5051516923273656,
}


@pytest.mark.parametrize("shift", [0.0, 1e5])
@pytest.mark.parametrize(("law", "n"), ARVIZ)
def test_shape_agrees_with_arviz(law, n, shift):
    log_weights = EVEN[law]((np.arange(n) + 0.5) / n)
    assert khat(log_weights + shift, n) == pytest.approx(ARVIZ[law, n], abs=1e-6 if shift else 1e-9)


@pytest.mark.parametrize("k", [-0.2, 0.2, 0.5, 0.7, 1.2])
@pytest.mark.statistical(effect=0.4, false_fail=1e-7, false_pass=1e-3)
def test_shape_of_an_exact_pareto_tail_is_found(k, seed):
    """Mean of 200 fits of ``m = 3 sqrt(n)`` weights, each with error ``(1 + k) / sqrt(m)`` and the prior's pull to 0.5.

    A fifth of an error of one fit is added for the fit's own bias at this size.
    """
    n, m = 10_000, 300
    fits = [khat(pareto_log_weights(k, n, [seed(121), r]), n) for r in range(200)]
    assert_within_error(np.mean(fits), (m * k + 5) / (m + 10), (1 + k) / np.sqrt(m * 200) + 0.002)


@pytest.mark.parametrize("n", [40, 100, 1000, 30_000])
@pytest.mark.parametrize("law", ["lognormal", "pareto", "chi-square"])
def test_shape_agrees_with_a_slow_implementation(n, law, seed):
    rng = np.random.default_rng([seed(122), n])
    log_weights = {
        "lognormal": lambda: rng.normal(scale=1.5, size=n),
        "pareto": lambda: pareto_log_weights(0.6, n, [seed(123), n]),
        "chi-square": lambda: -rng.chisquare(3, size=n),
    }[law]()
    assert khat(log_weights, n) == pytest.approx(slow_khat(list(log_weights), n), rel=1e-9)


def test_largest_weights_are_enough(seed):
    log_weights = pareto_log_weights(0.4, 20_000, seed(124))
    largest = np.sort(log_weights)[::-1][:1000]
    assert khat(largest, 20_000) == khat(log_weights, 20_000)


@pytest.mark.parametrize("shift", [-1e5, -30.0, 1e5])
def test_shape_does_not_depend_on_scale_or_order(shift, seed):
    log_weights = pareto_log_weights(0.4, 5000, seed(125))
    shuffled = np.random.default_rng(seed(126)).permutation(log_weights) + shift
    assert khat(shuffled, 5000) == pytest.approx(khat(log_weights, 5000), rel=1e-6)


def test_input_is_left_alone(seed):
    log_weights = pareto_log_weights(0.4, 500, seed(127))
    before = log_weights.copy()
    khat(log_weights, 500)
    np.testing.assert_array_equal(log_weights, before)


NO_TAIL = {
    "no weights": np.empty(0),
    "one weight": np.zeros(1),
    "tail of four": np.arange(20.0),
    "constant": np.zeros(1000),
    "constant, shifted": np.full(1000, -1e5),
    "equal but for rounding": np.linspace(0, 1e-13, 1000),
    "constant tail": np.concatenate([np.full(500, -5.0), np.zeros(500)]),
    "three different ones": np.concatenate([np.zeros(997), [1.0, 2.0, 3.0]]),
}


@pytest.mark.parametrize("log_weights", NO_TAIL.values(), ids=NO_TAIL)
def test_weights_without_a_tail_have_no_shape(log_weights):
    assert khat(log_weights, log_weights.size) is None


@pytest.mark.parametrize(
    ("kept", "n", "known"), [(5, 10_000, False), (6, 10_000, True), (20, 20, False), (25, 25, True)]
)
def test_a_tail_has_at_least_five_weights_above_a_sixth(kept, n, known):
    """Of those that were kept, or a fifth of all."""
    weights = 1.3 * np.log(np.arange(1.0, kept + 1))
    assert khat(weights, n) == (pytest.approx(slow_khat(list(weights), n), rel=1e-9) if known else None)


def test_a_single_weight_far_above_the_others_has_a_shape():
    """Nineteen of twenty are below 1e-12 of it, and still have a quartile."""
    assert khat(np.append(np.linspace(-400.0, -40.0, 39), 0.0), 40) > 0.7


def test_evenly_spaced_weights_have_a_shape():
    """The exponential law is then on the grid of the fit, to the last bit."""
    even = np.log(np.arange(1.0, 7.0))
    moved = np.log([1.0, 2.0, 3.0, 4.0, 5.0, 6.0 + 1e-7])
    assert khat(even, 10_000) == pytest.approx(khat(moved, 10_000), rel=1e-5)


def test_bounded_weights_have_a_light_tail(seed):
    """Uniform weights: the generalised Pareto law of shape -1."""
    log_weights = np.log(np.random.default_rng(seed(128)).random(10_000))
    assert khat(log_weights, 10_000) < -0.8


def test_ties_in_the_tail_are_no_obstacle(seed):
    log_weights = np.round(pareto_log_weights(0.6, 10_000, seed(129)), 1)
    assert khat(log_weights, 10_000) == pytest.approx(slow_khat(list(log_weights), 10_000), rel=1e-9)


@pytest.mark.parametrize("spread", [50.0, 300.0, 400.0, 5000.0])
def test_wildly_unequal_weights_are_heavy_or_undecided(spread, seed):
    """Log weights spread over more than doubles can hold: a number above 0.7 or None, never NaN and never light."""
    for r in range(50):
        shape = khat(np.random.default_rng([seed(130), r]).normal(scale=spread, size=2000), 2000)
        assert shape is None or shape > 0.7


def test_hit_of_weight_zero_is_no_obstacle(seed):
    log_weights = pareto_log_weights(0.4, 1000, seed(131))
    log_weights[:50] = -np.inf
    assert khat(log_weights, 1000) == pytest.approx(khat(np.maximum(log_weights, -1e3), 1000))


# --- weights that are too even for a tail ------------------------------------------------------------


def passes(log_weights):
    """Whether the weights would pass although their shape is large, because the largest weight is small."""
    weights = np.exp(log_weights - log_weights.max())
    return bounded(1.0 / weights.mean(), weights.size)


def unending(k, n, seed):
    """Log weights ``w >= 1`` of the exact power law ``P(W > w) = w^(-1/k)``."""
    return -k * np.log(np.random.default_rng(seed).random(n))


def too_narrow(k, n, seed):
    """Log weights of a standard normal target under a normal proposal of variance ``1 - k``, whose shape is ``k``."""
    return 0.5 * k * np.square(np.random.default_rng(seed).standard_normal(n))


@pytest.mark.parametrize("n", [100, 400, 1000, 10_000])
@pytest.mark.parametrize(("k", "law"), [(0.5, unending), (0.7, unending), (0.7, pareto_log_weights), (0.7, too_narrow)])
def test_weights_without_a_variance_are_not_let_off(k, law, n, seed):
    """One in a thousand by design for the power law at 1/2; a rate of 3 % would show in 300 samples."""
    assert sum(passes(law(k, n, [seed(132), n, r])) for r in range(300)) <= 5


def plateaus(n, seed):
    """A plateau of nearly equal weights, and one in fifty that lies above it, by up to three times its height."""
    rng = np.random.default_rng(seed)
    return np.log1p(np.where(rng.random(n) < 0.02, 3.0 * rng.random(n) ** 2, 1e-3 * rng.random(n)))


def summands(n, seed):
    """``P(Y > x - S) / P(Y > x)``, ``Y`` and ``S`` Lomax of index 0.7 and ``S < x / 2``, for ``x = 10^5``."""
    other = np.random.default_rng(seed).pareto(0.7, n)
    return -0.7 * np.log1p(-np.minimum(other / 1e5, 0.5))


@pytest.mark.parametrize("law", [plateaus, summands])
def test_even_weights_are_let_off_whatever_their_shape(law, seed):
    for r in range(30):
        log_weights = law(2000, [seed(133), r])
        assert khat(log_weights, 2000) > 0.5
        assert passes(log_weights)


def test_unknown_ratio_is_not_let_off():
    assert not bounded(math.nan, 1000)
    assert not bounded(1.0, 0)

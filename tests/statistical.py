"""Assertions about random numbers. A test that makes one declares what it can see and how often it is wrong.

``@pytest.mark.statistical(effect=0.05, false_fail=1e-6, false_pass=1e-3)`` says of a test, over other seeds:

``effect``
    The smallest discrepancy that it must see, as a share of the exact value; absolute where that is 0, and for a law
    the largest difference of two distribution functions.
``false_fail``
    How often it may fail where nothing is wrong: `FALSE_FAIL` of each assertion, added up.
``false_pass``
    How often it may pass where something is wrong by ``effect``.

While the test runs, each assertion derives its bound from `FALSE_FAIL` and works out whether its own number of draws
sees ``effect`` so often; with fewer draws than that takes it fails, and so does one in a test that declares nothing.
"""

import math
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from scipy import stats

FALSE_FAIL = 1e-7
"""Of one assertion, two-sided, whatever the number of values that it compares."""

FROM_A_FIT = 2e-9
"""Where the error is the asymptotic one of a fit, which is a little too small: 6 of them are allowed."""


class WeakTestError(Exception):
    """The test does not see what it says it sees: a fault of its design, and no verdict on what it tests."""


@dataclass
class Declaration:
    """What a test says of itself, and the rate of false failures that its assertions have spent so far."""

    effect: float
    false_fail: float
    false_pass: float
    spent: float = 0.0

    def __post_init__(self):
        if not (self.effect > 0 and 0 < self.false_fail < 0.01 and 0 < self.false_pass <= 0.1):
            raise ValueError(f"not a design of a test: {self}")

    def admit(self, miss, false_fail):
        """Let an assertion be made that misses an effect ``e`` with probability ``miss(e)``."""
        missed = np.max(miss(self.effect))
        if missed > self.false_pass:
            raise WeakTestError(f"an effect of {self.effect:g} is missed with probability {missed:.2g}")
        self.spent += false_fail
        if self.spent > self.false_fail * (1 + 1e-9):
            raise WeakTestError(f"more assertions than a rate of false failures of {self.false_fail:g} allows")


_declared = []


@contextmanager
def declared(**design):
    """Assertions within are those of a test with this design."""
    _declared.append(Declaration(**design))
    try:
        yield _declared[-1]
    finally:
        _declared.pop()


def admit(miss, false_fail):
    if not _declared:
        raise WeakTestError("a statistical assertion in a test that declares no effect")
    _declared[-1].admit(miss, false_fail)


# --- a mean ------------------------------------------------------------------------------------------


def assert_within_error(estimate, exact, se, dof=math.inf, false_fail=None, scale=None):
    """Fail where ``estimate`` is too many standard errors from ``exact``: 5.3 of them for one value.

    Parameters
    ----------
    estimate, exact, se : float or array
        Broadcast; ``false_fail`` is divided by their number.
    dof : float
        Degrees of freedom of ``se``, where it comes from few replicates.
    false_fail : float, optional
        `FALSE_FAIL` when left out.
    scale : float or array, optional
        What the effect is a share of, where that is not the exact value.
    """
    estimate, exact, se = np.broadcast_arrays(estimate, exact, se)
    false_fail = FALSE_FAIL if false_fail is None else false_fail
    z = stats.t.isf(false_fail / 2 / estimate.size, dof)
    scale = np.where(exact == 0, 1.0, np.abs(exact)) if scale is None else scale
    assert np.isfinite(estimate).all()
    off = np.abs(estimate - exact)
    worst = np.unravel_index(np.argmax(off - z * se), off.shape)
    assert (off <= z * se).all(), (
        f"{estimate[worst]:.8g} is {off[worst] / se[worst]:.2f} standard errors from {exact[worst]:.8g}"
    )
    admit(lambda effect: miss_of_mean(effect * scale / np.where(se > 0, se, np.inf), z, dof, se), false_fail)


def miss_of_mean(shift, z, dof, se):
    """Probability that a mean that is ``shift`` errors off lies within ``z``; 0 where there is no error at all."""
    return np.where(se > 0, stats.t.cdf(z - shift, dof), 0.0)


def assert_log_within_error(value, exact, relative_error, dof=math.inf):
    """`assert_within_error` on the logarithmic scale, for estimates whose spread is that of a product."""
    assert_within_error(np.log(value) - np.log(exact), 0.0, relative_error, dof)


def assert_mean_is(values, exact):
    """The mean of independent ``values``, by their own spread and Student's t."""
    assert_within_error(np.mean(values), exact, np.std(values, ddof=1) / math.sqrt(len(values)), len(values) - 1)


# --- a spread ----------------------------------------------------------------------------------------


def assert_spread_is(values, exact):
    """The standard deviation of about normal ``values``, by the chi-square law of its square."""
    dof = len(values) - 1
    low, high = stats.chi2.ppf(FALSE_FAIL / 2, dof), stats.chi2.isf(FALSE_FAIL / 2, dof)

    def miss(effect):
        larger = stats.chi2.cdf(high / (1 + effect) ** 2, dof)
        smaller = stats.chi2.sf(low / (1 - effect) ** 2, dof) if effect < 1 else 0.0
        return max(larger, smaller)

    ratio = np.std(values, ddof=1) / exact
    assert low <= dof * ratio**2 <= high, f"the spread of {len(values)} values is {ratio:.3g} of {exact:.4g}"
    admit(miss, FALSE_FAIL)


def assert_scores_are_standard(z):
    """About normal values have the mean 0 and the standard deviation 1."""
    assert_within_error(np.mean(z), 0.0, 1 / math.sqrt(len(z)))
    assert_spread_is(z, 1.0)


# --- a share -----------------------------------------------------------------------------------------


def assert_count(count, n, p):
    """Fail when ``count`` of ``n`` trials of probability ``p`` lies in either tail of the binomial law.

    Of a count that may be 0 by chance only an excess is seen.
    """
    count, n, p = np.broadcast_arrays(count, n, p)
    alpha = FALSE_FAIL / count.size / 2

    def miss(effect):
        fewer = stats.binom.sf(stats.binom.ppf(alpha, n, p) - 1, n, np.maximum(p * (1 - effect), 0.0))
        more = stats.binom.cdf(stats.binom.isf(alpha, n, p), n, np.minimum(p * (1 + effect), 1.0))
        fewer = np.where(stats.binom.ppf(alpha, n, p) > 0, fewer, 0.0)
        return np.maximum(fewer, np.where(p * (1 + effect) < 1, more, 0.0))

    tail = np.minimum(stats.binom.cdf(count, n, p), stats.binom.sf(count - 1, n, p))
    assert (tail >= alpha).all(), f"{count} of {n} where {p} is expected: tail probability {tail.min():.2g}"
    admit(miss, FALSE_FAIL)


def assert_count_at_least(count, n, p):
    """Fail when ``count`` of ``n`` trials is too small for any probability of ``p`` or more."""
    fewest = stats.binom.ppf(FALSE_FAIL / np.size(count), n, p)
    assert np.all(count >= fewest), f"{count} of {n} where at least {p:.3g} is expected"
    admit(lambda effect: stats.binom.sf(fewest - 1, n, max(p * (1 - effect), 0.0)), FALSE_FAIL)


# --- a law -------------------------------------------------------------------------------------------


def assert_law_is(x, cdf):
    """Fail when the largest difference of the distribution functions is too large for draws ``x`` of ``cdf``."""
    n = len(x)
    limit = stats.kstwo.isf(FALSE_FAIL, n)
    distance = stats.kstest(x, cdf).statistic
    assert distance <= limit, f"{n} draws are {distance:.4g} from their law, where {limit:.4g} is chance"
    # Of another law, ``effect`` away: the inequality of Dvoretzky, Kiefer and Wolfowitz.
    admit(lambda effect: 2 * math.exp(-2 * n * max(effect - limit, 0.0) ** 2), FALSE_FAIL)


def assert_divergence_is_chance(divergence, n, parameters):
    """Fail when ``KL(fit || law)`` is too large for a fit by likelihood to ``n`` draws: ``2 n KL`` is chi-square."""
    limit = stats.chi2.isf(FALSE_FAIL, parameters)
    assert 0 <= divergence <= limit / (2 * n), f"{divergence:.3g} nats of {n:.0f} draws and {parameters} parameters"
    admit(lambda effect: stats.ncx2.cdf(limit, parameters, 2 * n * effect), FALSE_FAIL)

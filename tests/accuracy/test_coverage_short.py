"""Intervals over many seeds, and seeded bugs that the same statistics must see."""

from dataclasses import dataclass

import numpy as np
import pytest
from scipy import stats

from raresim import Importance, Linear, Mixture, Normal, Probability, PythonLoss, StandardNormal
from raresim.accumulators.tail import TailMoments
from raresim.engine.fold import Sampler
from raresim.record.verdict import Status
from tests.problems import Case, correlated, crude, linear_normal, solve, student
from tests.statistical import assert_count_at_least, assert_mean_is, assert_spread_is

SEEDS = 100


@dataclass(frozen=True, eq=False)
class Study:
    """The runs of one case over many seeds."""

    exact: float
    values: np.ndarray
    errors: np.ndarray
    covered: np.ndarray
    trusted: np.ndarray

    @classmethod
    def of(cls, case, seed, n=SEEDS, **options):
        options.setdefault("relative_error", 0.05)
        estimates = [solve(case, seed + s, **options).estimates[0] for s in range(n)]
        exact = case.exact[0]
        return cls(
            exact,
            np.array([e.value for e in estimates]),
            np.array([e.std_error for e in estimates]),
            np.array([e.interval[0] <= exact <= e.interval[1] for e in estimates]),
            np.array([e.verdict.status is Status.TRUSTED for e in estimates]),
        )

    def assert_sound(self):
        """Coverage is 95 % or more, there is no bias, and standard errors equal the spread."""
        assert_count_at_least(self.covered.sum(), self.covered.size, 0.95)
        assert_mean_is(self.values, self.exact)
        assert_spread_is(self.values, np.sqrt(np.mean(self.errors**2)))


CASES = [crude(2.0), correlated(4.0), student(3.0, 1e-5)]
"""Events on one side and on two, in three and in twenty dimensions, are those of ``experiments/coverage/run.py``."""


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=[c.name for c in CASES])
@pytest.mark.statistical(effect=0.8, false_fail=3e-7, false_pass=1e-3)
def test_intervals_errors_and_means_are_right(case, seed):
    study = Study.of(case, seed(10_000))
    study.assert_sound()
    off = np.abs(study.values / study.exact - 1) > 0.25
    assert not (off & study.trusted).any()
    assert study.trusted.mean() > 0.9


# --- more regions than starts can find ---------------------------------------------------------------


MANY = {
    "four faces": (2, lambda x: np.abs(x).max(axis=1), 4.0, 1 - (1 - 2 * stats.norm.sf(4.0)) ** 2),
    "four corners": (2, lambda x: np.abs(x).min(axis=1), 3.0, 4 * stats.norm.sf(3.0) ** 2),
    "six faces": (3, lambda x: np.abs(x).max(axis=1), 4.0, 1 - (1 - 2 * stats.norm.sf(4.0)) ** 3),
    "largest of five": (5, lambda x: x.max(axis=1), 4.0, 1 - (1 - stats.norm.sf(4.0)) ** 5),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", MANY)
def test_a_run_that_misses_a_region_is_not_trusted(name, seed):
    """25 seeds, most wrong in the last two cases: the test sees a verdict that trusts one in five wrong runs."""
    dim, loss, level, exact = MANY[name]
    case = Case(name, StandardNormal(dim=dim), PythonLoss(function=loss), Probability(above=level), [exact])
    study = Study.of(case, seed(11_000), 25)
    wrong = np.abs(study.values / exact - 1) > 0.25
    assert not (wrong & study.trusted).any()


# --- controls that must fail -------------------------------------------------------------------------

SHIFTED = Importance(proposal=Normal(mean=3 / np.sqrt(3), std=1.1, dim=3), defensive=0.1)
HALFWAY = Importance(proposal=Normal(mean=1.5 / np.sqrt(3), dim=3))  # most draws miss, so that misses matter
CONTROL = linear_normal(3, 3.0)
PHYSICAL = Case(
    "physical",
    Normal(mean=100.0, std=10.0, dim=2),
    Linear(weights="equal"),
    Probability(above="3 sigma"),
    [stats.norm.sf(3.0)],
    Importance(proposal=Normal(mean=121.0, std=11.0, dim=2), space="physical"),
)


def flipped_ratio(monkeypatch):
    right = Sampler.log_weight
    monkeypatch.setattr(Sampler, "log_weight", lambda self, u: np.negative(right(self, u)))


def missing_determinant(monkeypatch):
    monkeypatch.setattr(Normal, "log_det", 0.0)


def density_ten_percent_off(monkeypatch):
    right = Sampler.log_weight
    monkeypatch.setattr(Sampler, "log_weight", lambda self, u: right(self, u) + np.log(1.1))


def defensive_draws_without_their_density(monkeypatch):
    monkeypatch.setattr(Mixture, "logpdf", lambda self, x, out: self.components[0].logpdf(x, out))


def zeros_forgotten(monkeypatch):
    """The variance of the hits alone."""

    def relative_error(self, k):
        second = self.hits[k] * self.sum_w2[k] / self.sum_w[k] ** 2
        return np.sqrt(max(0.0, second - 1) / self.n)

    monkeypatch.setattr(TailMoments, "relative_error", relative_error)


CONTROLS = [
    (CONTROL, SHIFTED, flipped_ratio),
    (CONTROL, SHIFTED, missing_determinant),
    (PHYSICAL, PHYSICAL.method, missing_determinant),
    (CONTROL, SHIFTED, density_ten_percent_off),
    (CONTROL, SHIFTED, defensive_draws_without_their_density),
    (CONTROL, HALFWAY, zeros_forgotten),
]


def control(case, method, seed):
    return Study.of(case, seed, 60, method=method, relative_error=None, max_evaluations=5_000, audit="off")


@pytest.mark.parametrize(("case", "method"), [(CONTROL, SHIFTED), (CONTROL, HALFWAY), (PHYSICAL, PHYSICAL.method)])
@pytest.mark.statistical(effect=1.5, false_fail=3e-7, false_pass=1e-3)
@pytest.mark.slow
def test_statistics_are_silent_without_a_bug(case, method, seed):
    control(case, method, seed(12_000)).assert_sound()


@pytest.mark.slow
@pytest.mark.statistical(effect=1.5, false_fail=3e-7, false_pass=1e-3)
@pytest.mark.parametrize(
    ("case", "method", "bug"), CONTROLS, ids=[f"{bug.__name__}-{c.name}" for c, _, bug in CONTROLS]
)
def test_statistics_see_a_seeded_bug(case, method, bug, seed, monkeypatch):
    """With 60 seeds, each bug leaves at most 10 right intervals."""
    bug(monkeypatch)
    study = control(case, method, seed(12_000))
    with pytest.raises(AssertionError):
        study.assert_sound()

"""Budgets in seconds: what is planned, where the estimate ends, and that the run can be repeated digit by digit."""

import itertools
import time
from dataclasses import dataclass
from fractions import Fraction

import pytest

import raresim
from raresim import Crude, Executor, Experiment, Probability, PythonLoss, StandardNormal, Stop, SubsetSimulation
from raresim.accumulators.base import Accumulator
from raresim.engine.fold import Job, fold
from raresim.engine.problem import Problem
from raresim.errors import FieldError, LossError
from raresim.numerics.blocks import plan
from raresim.run import clock
from raresim.run import experiment as experiments
from raresim.run.checkpoint import Checkpoint, State, load
from raresim.run.clock import Clock, affordable, pace_of
from tests.reproducibility.test_bits import digits

CASES = {
    "crude": (Crude(), 1.0),
    "auto": (raresim.Auto(), 3.0),
    "subset_simulation": (SubsetSimulation(), 3.0),
}


def mean(x):
    return x.sum(axis=1) / x.shape[1] ** 0.5


def slow(x):
    time.sleep(1e-3 * len(x))
    return mean(x)


def failing(x):
    raise ValueError("no loss today")


def experiment(seed, kind="crude", **stop):
    method, above = CASES[kind]
    loss = PythonLoss(function=mean)
    given = {"relative_error": 1e-4, "max_evaluations": 500_000} | stop
    measures = [Probability(above=above)]
    return Experiment(
        inputs=StandardNormal(dim=3), loss=loss, measures=measures, method=method, seed=seed, stop=Stop(**given)
    )


def all_but_stopping(result):
    """The digits of a result: how it was told when to end is another matter."""
    parts, arrays = digits(result)
    search = {key: value for key, value in parts[4].items() if key != "decisions"}
    return [*parts[:4], search, parts[6]], arrays


class Watch:
    """A clock that is up after so many looks at it."""

    def __init__(self, looks):
        self.looks = itertools.count(1)
        self.up = looks

    def perf_counter(self):
        return 1e9 if next(self.looks) > self.up else 0.0


@pytest.mark.slow
@pytest.mark.parametrize("kind", list(CASES))
def test_run_that_its_time_ended_is_repeated_by_its_numbers(kind, seed, monkeypatch):
    """The time is up in the middle of the estimate, at a chunk that is not the last of its plan."""
    monkeypatch.setattr(experiments, "pace_of", lambda *_: 1e-9)
    timed = experiment(seed(4301), kind, seconds=100.0)
    up = 5 if kind != "subset_simulation" else 25
    with monkeypatch.context() as m:
        watch = Watch(up)
        m.setattr(clock.time, "perf_counter", watch.perf_counter)
        first = timed.run()
    stopping = first.stopping
    assert first.evaluations["estimate"] < 0.9 * timed.stop.max_evaluations
    assert stopping["ended_at"] == first.evaluations["tune"] + first.evaluations["estimate"]
    assert f"ended_at: {stopping['ended_at']}}} repeats its digits" in first.search["decisions"][-1]
    numbers = {key: stopping[key] for key in ("max_evaluations", "ended_at")}
    with Executor.of("threads", 2) as executor:
        again = experiment(seed(4301), kind, **numbers).run(executor)
    assert all_but_stopping(again) == all_but_stopping(first)


def test_run_that_ends_before_its_time_is_repeated_by_its_budget(seed):
    first = experiment(seed(4302), relative_error=0.1, seconds=60.0).run()
    assert "ended_at" not in first.stopping
    assert first.stopping["seconds"] == 60.0
    again = experiment(seed(4302), relative_error=0.1, max_evaluations=first.stopping["max_evaluations"]).run()
    assert all_but_stopping(again) == all_but_stopping(first)


def test_first_chunk_is_always_finished(seed, monkeypatch):
    monkeypatch.setattr(experiments, "pace_of", lambda *_: 1e-9)
    monkeypatch.setattr(experiments, "affordable", lambda *_: 100_000)
    found = experiment(seed(4303), seconds=1e-6, relative_error=None).run()
    assert found.evaluations["estimate"] == found.stopping["ended_at"] == 256


@dataclass(frozen=True, eq=False)
class Heads(Accumulator):
    """Coins: their number and the heads among them."""

    n: int
    heads: int

    def merge(self, other):
        return Heads(self.n + other.n, self.heads + other.heads)


@dataclass(frozen=True, eq=False)
class Toss(Job):
    """A chunk is one coin of ``coins``; a head takes eight times as long as a tail, on the clock ``now``."""

    coins: tuple
    now: list

    def __call__(self, block):
        self.now[0] += 2.0 if self.coins[block.index] else 0.25
        return Heads(1, self.coins[block.index])


def test_mean_is_without_bias_where_heads_take_longer(monkeypatch):
    """Over all sequences of coins, as Glynn and Heidelberger (1990) prove; with the coin under way it would be 0.58."""
    now, means, biased = [0.0], [], []
    monkeypatch.setattr(clock.time, "perf_counter", lambda: now[0])
    for coins in itertools.product((0, 1), repeat=9):
        now[0] = 0.0
        watched = Clock(begun=0.0, seconds=2.0)
        stage = plan(0, 9, 1, 1)
        found = fold(Executor(), Toss(coins, now), stage, enough=lambda total, w=watched: w.ends(total.n, 0))
        assert watched.stopped == found.n
        means.append(Fraction(found.heads, found.n))
        biased.append(Fraction(sum(coins[: found.n + 1]), found.n + 1))
    assert sum(means) / len(means) == Fraction(1, 2)
    assert abs(float(sum(biased) / len(biased)) - 0.58) < 0.1


@pytest.mark.parametrize(
    ("reserved", "evaluations", "elapsed", "up"),
    [
        (0, 1000, 9.9, False),
        (0, 1000, 10.1, True),
        (500, 1000, 6.0, False),
        (500, 1000, 8.0, True),
        (10**6, 10, 7.6, True),
    ],
)
def test_time_for_the_audit_is_left(reserved, evaluations, elapsed, up, monkeypatch):
    monkeypatch.setattr(clock.time, "perf_counter", lambda: 100.0 + elapsed)
    watched = Clock(begun=100.0, seconds=10.0)
    assert watched.ends(evaluations, reserved) is up
    assert watched.stopped == (evaluations if up else None)


def test_pace_is_that_of_the_loss():
    """Sleeping takes at least as long as it is told; a busy machine adds to it."""
    loss = PythonLoss(function=slow).bind(StandardNormal(dim=3))
    pace = pace_of(Problem(StandardNormal(dim=3), loss), 1, Executor(), 1.0)
    assert 1e-3 <= pace < 5e-3


def test_budget_has_two_digits_and_at_least_a_hundred():
    stop = Stop(seconds=10.0, max_evaluations=50_000)
    assert affordable(stop, 1e-3, 1, 0.0) == 9000
    assert affordable(stop, 1.234e-3, 2, 1.0) == 12_000
    assert affordable(stop, 1e-9, 1, 0.0) == 50_000
    assert affordable(stop, 1.0, 1, 0.0) == 100
    assert affordable(stop, 1e-3, 1, 20.0) == 100


def test_too_few_evaluations_are_refused_with_their_price(monkeypatch):
    monkeypatch.setattr(experiments, "pace_of", lambda *_: 0.5)
    with pytest.raises(
        FieldError, match=r"seconds: pays for about 100 evaluations of 0\.5 s each, which are too few"
    ) as e:
        raresim.estimate(3, mean, Probability(above="3 sigma"), seed=1, seconds=5.0)
    assert e.value.of == ("stop",)


def test_resumed_run_keeps_the_evaluations_that_it_was_planned_for(tmp_path, seed, monkeypatch):
    """Another timing would plan other draws, and the saved ones would be of no use."""
    before = State.of_bytes(State({"a": 1}, budget=5000).to_bytes())
    assert before.budget == 5000
    monkeypatch.setattr(experiments, "pace_of", lambda *_: pytest.fail("it was timed anew"))
    saved = Checkpoint(tmp_path / "checkpoint", {"a": 1}, before=before)
    found = experiment(seed(4307), seconds=60.0).run(checkpoint=saved)
    assert found.stopping["max_evaluations"] == found.evaluations["total"] == 5000
    assert load(tmp_path / "checkpoint").budget == 5000


def test_error_of_the_loss_comes_while_it_is_timed(seed):
    with pytest.raises(LossError, match="no loss today"):
        raresim.estimate(3, failing, Probability(above=3.0), seed=seed(4306), seconds=5.0)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"seconds": 0.0}, "seconds: must be positive and finite, got 0"),
        ({"ended_at": 0}, "ended_at: must be at least 1, got 0"),
        ({"seconds": 1.0, "ended_at": 5}, "ended_at: must not be given beside seconds: it repeats a run that a time"),
    ],
)
def test_refusal_says_what_is_allowed(given, message):
    with pytest.raises(FieldError) as caught:
        Stop(**given)
    assert message in str(caught.value)

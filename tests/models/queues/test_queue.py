"""Queues: probabilities against closed forms and first-step equations, and what is refused."""

import math
from dataclasses import dataclass

import numpy as np
import pytest

import raresim
from raresim import marginals
from raresim.engine.fold import Sampler
from raresim.engine.problem import Problem
from raresim.errors import FieldError
from raresim.methods.base import Tuned
from raresim.methods.offers import PILOT
from raresim.methods.scheme import Scheme
from raresim.models import Queue
from raresim.models.base import Model
from raresim.models.queues import chain_moments, exact
from raresim.models.queues.chain_draws import ChainDraws, Filling
from raresim.models.queues.chain_moments import ChainMoments
from raresim.models.queues.chain_scheme import SOLVED, TRIAL, Fill
from raresim.numerics.blocks import Block
from raresim.record.event import Event
from raresim.record.verdict import Status
from tests.statistical import assert_mean_is, assert_within_error

EXPONENTIAL = marginals.Exponential()
EVERY = marginals.Finite(values=[1.0 / 0.7], probabilities=[1.0])
LINE = {"arrival_rate": 0.1, "service_rates": [0.2, 0.7], "capacity": 20, "jumps": 200}


def run(model, above, error, seed, **options):
    return raresim.estimate(
        model, measures=raresim.Probability(above=above), relative_error=error, seed=seed, **options
    )


@pytest.mark.parametrize(
    ("model", "above", "reference"),
    [
        ({"service": EXPONENTIAL, "interarrival": EVERY, "customers": 300}, 30.0, 5.3075999e-08),
        ({"service": EXPONENTIAL, "arrival_rate": 0.7}, 30.0, 0.7 * math.exp(-9.0)),
        ({"arrival_rate": 0.3, "service_rates": [0.7], "capacity": 20, "jumps": 200}, 20.0, 5.826437e-08),
    ],
    ids=["D/M/1", "M/M/1", "overflow"],
)
@pytest.mark.statistical(effect=0.3, false_fail=1e-6, false_pass=1e-3)
def test_queues_of_one_server(model, above, reference, seed):
    result = run(Queue(**model), above, 0.03, seed(1))
    (found,) = result.estimates
    assert_within_error(found.value, reference, found.std_error)
    assert found.verdict.status is Status.TRUSTED
    assert result.evaluations["total"] < 3000


@pytest.mark.parametrize(
    ("rates", "capacity", "reference"),
    [
        ((0.04, 0.48, 0.48), 25, 2.87223131e-25),
        ((0.1, 0.7, 0.2), 20, 1.33514523e-06),
        ((0.1, 0.2, 0.7), 20, 1.33514523e-06),
    ],
)
@pytest.mark.statistical(effect=0.5, false_fail=1e-6, false_pass=1e-3)
def test_tandem_by_a_state_dependent_change(rates, capacity, reference, seed):
    assert exact.largest_number(rates[0], rates[1:], capacity) == pytest.approx(reference, rel=1e-8)
    model = Queue(arrival_rate=rates[0], service_rates=list(rates[1:]), capacity=capacity)
    result = run(model, capacity, 0.05, seed(2))
    (found,) = result.estimates
    assert_within_error(found.value, reference, found.std_error)
    assert found.relative_error <= 0.05
    assert found.verdict.status is Status.TRUSTED
    assert "mean square weight" in found.verdict.scope
    assert result.evaluations["audit"] == 0
    assert result.evaluations["total"] < 5_000


@pytest.mark.statistical(effect=0.5, false_fail=1e-6, false_pass=1e-3)
def test_several_levels_of_a_tandem(seed):
    model = Queue(**LINE | {"jumps": 1000})
    result = run(model, [1, 6.5, 12, 20], 0.05, seed(3))
    assert result.verdict.status is Status.TRUSTED
    for found in result.estimates:
        many = math.ceil(found.threshold)
        reference = exact.largest_number(0.1, (0.2, 0.7), many) if many > 1 else 1.0
        assert_within_error(found.value, reference, max(found.std_error, 1e-12))


@pytest.mark.statistical(effect=1.0, false_fail=1e-6, false_pass=1e-3)
def test_a_line_with_too_many_states_is_tried_and_audited(seed, monkeypatch):
    monkeypatch.setattr(chain_moments, "MOST_WORK", 0.0)
    result = run(Queue(**LINE | {"jumps": 1000}), 20, 0.1, seed(4), max_evaluations=8_000)
    (found,) = result.estimates
    assert result.evaluations["tune"] == 3 * TRIAL + PILOT
    assert found.verdict.status is not Status.TRUSTED
    assert_within_error(found.value, 1.33514523e-06, found.std_error)


@dataclass(frozen=True, eq=False)
class Swapped(Scheme):
    """The rates of arrivals and of the slowest server change places, wherever customers are."""

    gamma: float
    level: int
    name = "Parekh-Walrand"

    def tune(self, session):
        sampler = Sampler(session.problem, None, session.seed)
        rows = ChainDraws(sampler, tuple(session.events), (Filling(self.level, self.gamma, 1, 1.0, 1.0),), 1.0)
        return Tuned(None, starts=1, reached=1, regions=1, outcome="swapped", estimator=rows, facts={"searched": 1.0})


@dataclass(frozen=True, eq=False)
class SwappedQueue(Model):
    """A tandem that offers the change of rates that does not depend on its state."""

    kind = "swapped"
    queue: Queue

    @property
    def inputs(self):
        return self.queue.inputs

    @property
    def loss(self):
        return self.queue.loss

    @property
    def scheme(self):
        return Swapped(math.log(2.0), 20)

    def files(self):
        return []

    def describe(self):
        return self.queue.describe()


@pytest.mark.parametrize("number", range(2))
def test_the_change_that_does_not_see_the_state_ends_untrusted(number, seed):
    result = run(
        SwappedQueue(Queue(**LINE)),
        20,
        0.05,
        seed(10 + number),
        method=raresim.Auto(scheme="only"),
        max_evaluations=15_000,
    )
    assert result.verdict.status is Status.UNTRUSTED


def test_the_error_is_not_below_the_known_variance(seed):
    model = Queue(arrival_rate=0.08, service_rates=[1.0, 2.0, 2.6], capacity=6, jumps=200)
    (found,) = run(model, 6, 0.1, seed(6)).estimates
    moments = ChainMoments(model.loss)
    assert found.verdict.status is Status.TRUSTED
    known, rows = found.diagnostics["known_variance"], found.diagnostics["rows"]
    assert found.relative_error >= math.sqrt(known / rows) * (1.0 - 1e-12)
    shapes = Fill(model.loss).fillings([6], SOLVED)
    least = min(moments.log_square(filling) for (filling,) in shapes) - 2.0 * moments.log_probability(6)
    assert known == pytest.approx(math.exp(least) - 1.0, rel=1e-9)


def test_the_equations_show_what_the_swapped_rates_miss():
    """The mean square weight of Parekh and Walrand's change, over the squared probability: rows do not show it."""
    line = Queue(**LINE | {"jumps": 1000}).loss
    moments, level = ChainMoments(line), 20
    swapped = moments.log_square(Filling(level, line.gamma, 1, 1.0, 1.0))
    assert swapped - 2.0 * moments.log_probability(level) > math.log(1e8)


@pytest.mark.parametrize(("rates", "capacity"), [((0.3, 0.7), 9), ((0.1, 0.3, 0.2), 9), ((0.1, 0.4, 0.3, 0.5), 7)])
def test_the_equations_give_the_probability(rates, capacity):
    line = Queue(arrival_rate=rates[0], service_rates=list(rates[1:]), capacity=capacity, jumps=2000).loss
    moments = ChainMoments(line)
    p = math.exp(moments.log_probability(capacity))
    if len(rates) < 4:
        assert p == pytest.approx(exact.largest_number(rates[0], rates[1:], capacity), rel=1e-9)
    unchanged = moments.log_square(Filling(capacity, 0.0, 1, 1.0, 1.0))
    assert math.exp(unchanged) == pytest.approx(p, rel=1e-9)  # all weights are one
    if len(rates) == 2:  # all rows have the same weight
        log_square = moments.log_square(Filling(capacity, line.gamma, 1, 1.0, 1.0))
        assert log_square == pytest.approx(math.log(p) - line.gamma * (capacity - 1), rel=1e-9)


@pytest.mark.parametrize("jumps", [14, 60])
@pytest.mark.statistical(effect=0.2, false_fail=1e-6, false_pass=1e-3)
def test_the_equations_give_the_mean_square_weight(jumps, seed):
    """Also where paths are cut short: with 14 jumps a third of the event is left."""
    line = Queue(arrival_rate=0.3, service_rates=[0.5, 0.6], capacity=6, jumps=jumps).loss
    filling = Filling(6, line.gamma, 3, 2.0, 1.4)
    problem = Problem(line.inputs, line, "standard")
    rows = ChainDraws(Sampler(problem, None, seed(5)), (Event(6.0),), (filling,), 1.0)
    u = rows.draw(Block(stage=4, index=0, first=0, rows=20_000))
    loss = np.empty(len(u))
    line(u, loss)
    squares = np.where(loss >= 6.0, np.exp(2.0 * rows.log_weight(u)), 0.0)
    assert_mean_is(squares, math.exp(ChainMoments(line).log_square(filling)))


def test_a_line_moves_customers_on():
    model = Queue(arrival_rate=1.0, service_rates=[2.0, 2.0], capacity=4, jumps=10)
    arrive, first, second = -9.0, 0.0, 9.0
    x = np.full((3, 10), first, order="F")
    x[0, :6] = arrive, first, second, arrive, first, arrive  # three after the sixth jump
    x[1, :2] = first, second  # empty after two
    x[2, :4] = second, first, second, arrive  # the second server has nobody to serve at first
    np.testing.assert_array_equal(model.loss.components(x), [[2.0, 1.0], [1.0, 0.0], [1.0, 0.0]])
    assert model.loss.component_names == ("server_1", "server_2")


def test_paths_that_may_be_cut_short_are_said():
    assert Queue(**LINE | {"jumps": 1000}).notes() == []
    (note,) = Queue(**LINE).notes()
    assert "raise jumps" in note


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "^service: exactly one of service and service_rates must be given"),
        ({"service": EXPONENTIAL}, "^arrival_rate: exactly one of arrival_rate and interarrival must be given"),
        ({"service": EXPONENTIAL, "arrival_rate": 1.0}, "^service: .* waiting without end is certain, got rho = 1$"),
        ({"service": EXPONENTIAL, "interarrival": EXPONENTIAL}, "waiting without end is certain"),
        ({"service": EVERY, "arrival_rate": 0.1}, "^service: must have a density beside arrival_rate"),
        ({"service": marginals.Normal(), "arrival_rate": 0.1}, "^service: must be a law of times"),
        ({"service": EXPONENTIAL, "arrival_rate": 0.5, "capacity": 3}, "^capacity: must be left out beside service"),
        ({**LINE, "arrival_rate": None, "interarrival": EXPONENTIAL}, "^interarrival: must be left out beside"),
        ({**LINE, "capacity": None}, "^capacity: is required beside service_rates"),
        ({**LINE, "arrival_rate": 0.2}, "^arrival_rate: .* queue without end is certain, got rho = 1$"),
        ({**LINE, "service_rates": [0.2, 0.0]}, "^service_rates: must be positive"),
    ],
)
def test_what_is_refused(arguments, message):
    with pytest.raises(FieldError, match=message):
        Queue(**arguments)

"""Why searches give up: each reason has one advice, which reaches the verdict."""

import pickle

import numpy as np
import pytest

from raresim import CrossEntropy, Probability, PythonLoss, StandardNormal, Stop, SubsetSimulation
from raresim.diagnostics.endings import Ending, GaveUp, endings_of
from raresim.run.experiment import Experiment


def test_each_ending_has_an_advice_of_its_own():
    advice = [ending.advice for ending in Ending]
    assert all(": " in text and len(text) > 40 for text in advice)
    assert len(set(advice)) == len(advice)
    assert [Ending(str(ending)) for ending in Ending] == list(Ending)


def test_a_reason_is_its_words_and_keeps_its_kind():
    reason = pickle.loads(pickle.dumps(GaveUp(Ending.STALLED, "level stalled")))
    assert (reason, reason.ending, f"({reason})") == ("level stalled", Ending.STALLED, "(level stalled)")


def test_endings_are_named_once_in_their_order():
    reasons = [GaveUp(Ending.STALLED, "a"), GaveUp(Ending.BUDGET, "b"), "nearest point", GaveUp(Ending.STALLED, "c")]
    assert endings_of(reasons) == (Ending.BUDGET, Ending.STALLED)


def capped(x):
    return np.minimum(x.sum(axis=1), 2.0)


def total(x):
    return x.sum(axis=1)


@pytest.mark.parametrize(
    ("method", "loss", "budget", "ending"),
    [
        (CrossEntropy(), capped, 60_000, Ending.STALLED),
        (CrossEntropy(max_levels=1), total, 60_000, Ending.LEVELS),
        (CrossEntropy(), total, 9_000, Ending.BUDGET),
        (SubsetSimulation(samples=300), capped, 20_000, Ending.STALLED),
        (SubsetSimulation(samples=300, max_levels=2), total, 20_000, Ending.LEVELS),
    ],
    ids=lambda value: getattr(value, "kind", None) or getattr(value, "__name__", str(value)),
)
def test_what_helps_against_it_is_the_first_advice(method, loss, budget, ending, seed):
    result = Experiment(
        inputs=StandardNormal(dim=2),
        loss=PythonLoss(function=loss),
        measures=[Probability(above=12.0)],
        method=method,
        stop=Stop(max_evaluations=budget),
        seed=seed(1201),
        audit="off",
    ).run()
    assert result.search["gave_up"] == [str(ending)]
    assert result.estimates[0].verdict.advice[0] == ending.advice


def test_a_search_that_reached_the_event_gives_nothing_up(seed):
    result = Experiment(
        inputs=StandardNormal(dim=2),
        loss=PythonLoss(function=total),
        measures=[Probability(above=5.0)],
        stop=Stop(relative_error=0.2, max_evaluations=20_000),
        seed=seed(1202),
        audit="off",
    ).run()
    assert result.search["gave_up"] == []
    assert not {ending.advice for ending in Ending} & set(result.estimates[0].verdict.advice)

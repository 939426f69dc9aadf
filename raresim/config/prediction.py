"""The seconds that a run will take, predicted from draws that are timed: for ``raresim check --seconds``."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from raresim.config.load import Config

MOST = 30.0
"""Seconds for timing where a config has no budget in seconds; a third of them at most are used."""

UNITS = (("h", 3600.0), ("min", 60.0), ("s", 1.0), ("ms", 1e-3), ("us", 1e-6), ("ns", 1e-9))


def lines(config: Config, tuning: int) -> list[str]:
    """Lines that predict the time of a run; the user's loss is called for some draws.

    Parameters
    ----------
    config : Config
        The config of the run.
    tuning : int
        Evaluations that the search is expected to take.

    Raises
    ------
    RaresimError
        What would stop the run before its search.
    """
    from raresim.engine.executors import Executor
    from raresim.engine.problem import Problem
    from raresim.errors import FieldError
    from raresim.run.clock import affordable, pace_of

    experiment, workers = config.experiment(), config.execution().n_workers
    stop = experiment.stop
    try:
        problem = Problem(experiment.inputs, experiment.check(), experiment.method.draws_in)
        pace = pace_of(problem, experiment.seed, Executor(), stop.seconds or MOST)
    except FieldError as error:
        raise config.explain(error) from None
    shared = f"by {workers} workers" if workers > 1 else "by one worker"
    searching = f"about {_duration(pace * tuning / workers)} for tuning, " if tuning else ""
    found = [
        f"about {_duration(pace)} an evaluation by one worker",
        f"{searching}at most about "
        f"{_duration(pace * stop.max_evaluations / workers)} for {stop.max_evaluations:,} evaluations {shared}, "
        "and a few seconds to start and to draw figures",
    ]
    if stop.seconds is not None:
        found.append(f"{stop.seconds:g} s pay for about {affordable(stop, pace, workers, 0.0):,} evaluations {shared}")
    return found


def _duration(seconds: float) -> str:
    """A time with two digits, in the unit that suits it."""
    unit, size = next((pair for pair in UNITS if seconds >= pair[1]), UNITS[-1])
    return f"{float(f'{seconds / size:.2g}'):g} {unit}"

"""Do the intervals of the schemes of ruin, queues and systems of parts hold the truth in 95 % of the runs?

``python experiments/coverage/systems.py`` writes systems.md and systems.csv beside this file; ``--quick`` runs a few
seeds of some cases. Exact values are those of configs/systems, closed forms, and for heavy tails the transform of the
sum of ladder heights, whose two bounds agree to 1e-3.
"""

from __future__ import annotations

import math
from functools import cache

import study
from study import Outcome

import raresim
from raresim import marginals
from raresim.config import load
from raresim.models import Queue, Ruin
from raresim.models.base import Model
from raresim.models.insurance.aggregate import tails_of
from raresim.models.queues import exact

CONFIGS = study.HERE.parents[1] / "configs" / "systems"
EXPONENTIAL = marginals.Exponential()
HEAVY = marginals.GeneralisedPareto(xi=0.4)
ERROR = 0.05
ERRORS = {
    "tandem .1 .2 .7": 0.1,
    "grid 4 x 4": 5e-4,
    "dodecahedron": 1e-3,
    "4 out of 30 in a row": 5e-3,
    "PERT, ten tasks": 0.1,
}
"""Relative errors that are asked; `ERROR` of the others. Weights of minimal cuts are so even that at 5 % the error is
that of one missing row, and all intervals hold."""

FROM_CONFIGS = {
    "4 out of 30 in a row": "units-in-a-row",
    "grid 4 x 4": "network-grid",
    "dodecahedron": "network-dodecahedron",
    "D/M/1, waiting time": "queue-waiting-time",
    "PERT, ten tasks": "project",
}
QUICK = ("ruin, any time", "M/M/1, overflow", "tandem .1 .7 .2", "4 out of 30 in a row")


@cache
def case(name: str) -> tuple[Model, raresim.Probability, float]:
    """The model, the event and its exact probability."""
    if name in FROM_CONFIGS:
        experiment = load.load(CONFIGS / f"{FROM_CONFIGS[name]}.yaml").experiment()
        (measure,) = experiment.measures
        assert experiment.model is not None
        return experiment.model, measure, measure.reference.value
    model, above, value = (BY_HAND | LONG)[name]
    return model, raresim.Probability(above=above), value() if callable(value) else value


def ruin(rho: float = 0.75, **options: object) -> Ruin:
    return Ruin(**{"claims": EXPONENTIAL, "arrival_rate": rho, "premium_rate": 1.0, **options})


def line(*rates: float, capacity: int, jumps: int) -> tuple[Queue, float, float]:
    """Jumps are so many that less than 1e-4 of the probability is cut off."""
    model = Queue(arrival_rate=rates[0], service_rates=list(rates[1:]), capacity=capacity, jumps=jumps)
    return model, float(capacity), exact.largest_number(rates[0], rates[1:], capacity)


def heavy() -> float:
    """The probability of ruin with heavy claims, by the transform of the sum of ladder heights."""
    (found,) = tails_of(BY_HAND["ruin, heavy tail"][0].ladder.loss, [300.0], 2**18) or ()
    assert found.high < 1.002 * found.low
    return found.value


BY_HAND: dict[str, tuple] = {
    "ruin, any time": (ruin(), 60.0, exact.ruin_exponential(1.0, 0.75, 60.0)),
    "ruin by time 50": (ruin(0.7, horizon=50.0), 30.0, 2.7554182925e-05),
    "ruin, heavy tail": (ruin(0.3, claims=HEAVY), 300.0, heavy),
    "M/M/1, waiting time": (Queue(service=EXPONENTIAL, arrival_rate=0.7), 30.0, 0.7 * math.exp(-9.0)),
    "M/M/1, overflow": line(0.3, 0.7, capacity=20, jumps=200),
    "tandem .04 .48 .48": line(0.04, 0.48, 0.48, capacity=25, jumps=200),
    "tandem .1 .7 .2": line(0.1, 0.7, 0.2, capacity=20, jumps=600),
}
LONG = {"tandem .1 .2 .7": line(0.1, 0.2, 0.7, capacity=20, jumps=600)}


def outcomes(task: tuple[str, int, int]) -> list[tuple[Outcome, ...]]:
    """Run a case on ``count`` seeds from ``first`` on."""
    name, first, count = task
    model, measure, value = case(name)
    asked = {"method": raresim.Auto(scheme="only"), "relative_error": ERRORS.get(name, ERROR)}
    return [
        study.outcomes_of(
            raresim.estimate(model, measures=measure, seed=seed, max_evaluations=1_000_000, **asked), [value]
        )
        for seed in range(first, first + count)
    ]


if __name__ == "__main__":
    every = (*BY_HAND, *FROM_CONFIGS, *LONG)
    study.run_models("systems", __doc__, outcomes, dict.fromkeys(every, ("P",)), QUICK, quick_seeds=40)

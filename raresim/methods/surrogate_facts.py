"""What a surrogate leaves for the verdict: numbers about what it learnt from, and about what it does not know."""

from __future__ import annotations

import numpy as np

from raresim.losses.base import Loss
from raresim.methods.surrogate_pool import Pool
from raresim.methods.surrogate_search import Learner
from raresim.numerics.arrays import Float
from raresim.record.event import Event
from raresim.record.evidence import EvidencePlot
from raresim.search.hits import SPENT, Hits
from raresim.surrogate.belief import distinct_share, largest_off
from raresim.surrogate.warp import unwarped

OUTWARDS = 1.03
"""Factor from a nearest point of the event outwards, where the surrogate has to expect the event too."""

MOST_PLOTS = 3
"""Limit states whose predictions are drawn."""


def facts_of(learner: Learner, pool: Pool, failing: Float, loss: Loss, searched: Hits | None) -> dict[str, float]:
    """What the verdict looks at, see `raresim.diagnostics.surrogate`; of several events or limit states, the worst.

    Parameters
    ----------
    learner : Learner
        The surrogate, with all that it learnt from.
    pool : Pool
        The last pool.
    failing : (e, k) float64
        Probability that each of its points is in each event.
    loss : Loss
        The loss, bound.
    searched : Hits or None
        A search that followed no values of the loss, if the budget paid for one.
    """
    values = [pool.probability(likely) for likely in failing]
    found = {
        "searched": 1.0,
        "surrogate_evaluations": float(learner.seen),
        "surrogate_inputs": float(learner.x.shape[1]),
        "surrogate_failures": float(learner.failures),
        "surrogate_afar": float(learner.afar),
        "surrogate_afar_hits": float(learner.afar_hits),
        "surrogate_unprobed": float(learner.unprobed),
        "surrogate_calibration": learner.calibration,
        "surrogate_distinct": min(distinct_share(column) for column in learner.margins.T),
        **{f"surrogate_probability_{k}": value for k, value in enumerate(values)},
        "surrogate_unsure": max(map(pool.doubt, failing)),
        "surrogate_pool": min(map(pool.effective, failing)),
        "surrogate_pool_error": max(map(pool.error, failing)),
        "surrogate_largest_off": _largest_off(learner),
        "surrogate_temper": max(component.temper for component in learner.system.components),
        "surrogate_limit_states": float(len(learner.system.components)),
        "surrogate_assisted": float(sum(component.assisted for component in learner.system.components)),
        "surrogate_undeclared": float(len(loss.undeclared)),
    }
    if searched is not None:
        found["surrogate_searched"] = float(searched.ended != SPENT and searched.hits > 0)
        points = OUTWARDS * searched.nearest
        likely = learner.system.failing_at(points)[0] if len(points) else np.ones(1)
        found["surrogate_search_missed"] = float(np.count_nonzero(likely < 0.5))
    return found


def _largest_off(learner: Learner) -> float:
    """Largest error of an evaluation as the others predict it, in standard deviations, of all limit states."""
    components, offsets = learner.system.components, learner.system.offsets(learner.x)
    return max(largest_off(c.process, None if offsets is None else offsets[:, j]) for j, c in enumerate(components))


def plots_of(learner: Learner, event: Event, names: tuple[str, ...]) -> tuple[EvidencePlot, ...]:
    """The surrogate against the truth: each evaluation as the others predict it, for the first limit states.

    Predictions are in the unit of the loss, with two standard deviations.
    """
    offsets = learner.system.offsets(learner.x)
    plots = []
    for j, component in enumerate(learner.system.components[:MOST_PLOTS]):
        mean, spread = component.process.left_out()
        mean = mean if offsets is None else mean + offsets[:, j]
        wide = 2.0 * component.temper * spread
        low, middle, high = (
            event.sign * unwarped(component.process.warp, value) + event.threshold
            for value in (mean - wide, mean, mean + wide)
        )
        truth = event.sign * learner.margins[:, j] + event.threshold
        plots.append(
            EvidencePlot(
                "points",
                "Each evaluation as the others predict it" + (f": {names[j]}" if names else ""),
                "loss" if not names else "limit state",
                "prediction without it",
                tuple(truth.tolist()),
                tuple(middle.tolist()),
                tuple(np.minimum(low, high).tolist()),
                tuple(np.maximum(low, high).tolist()),
            )
        )
    return tuple(plots)

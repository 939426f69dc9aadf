"""What the schemes of walks and chains have in common: levels that rows are drawn for, and how heavy a row can be."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from raresim.accumulators.summary import Summary
from raresim.engine.session import Session
from raresim.estimators.base import Estimator
from raresim.methods.base import Tuned
from raresim.methods.scheme import largest_asked, spread_over
from raresim.methods.scheme_pilot import SchemePilot
from raresim.numerics.arrays import Float
from raresim.record.event import Event

MOST_LEVELS = 6
"""Levels that rows are drawn for, at most, spread over those that are asked."""

PLAIN = 0.2
"""Share of rows from the model itself where losses of 0 and less are asked for too; 0 otherwise."""

PILOT = 200
"""Rows of the pilot for each level."""

WORTH = 50.0
"""Relative variance of a row for one level up to which a scheme is offered: beyond it, the pilot is too small."""

HEAVIEST = 50.0
"""Weight of a row over the probability of the event up to which rows are said to see every part of it."""

PATIENCE = 100.0
"""`Tuned.patience` of rows whose weights have a bound, as for the exponential twist of a compound sum."""


def levels_of(session: Session) -> tuple[list[float], float]:
    """Levels that rows are drawn for, in order, and the share of rows from the model itself; no level: not served."""
    asked = largest_asked(session)
    levels = spread_over([x for x in asked if x > 0], MOST_LEVELS)
    return levels, PLAIN if asked and asked[0] <= 0 else 0.0


def log_most(events: Sequence[Event], levels: Sequence[float], log_bounds: Sequence[float]) -> list[float]:
    """Log of the largest weight of a row in each event, where a row at or beyond level ``j`` has at most that of
    ``log_bounds[j]``, in nats; infinite for an event below the lowest level."""
    return [
        min((b for x, b in zip(levels, log_bounds, strict=True) if x <= event.threshold), default=math.inf)
        for event in events
    ]


def heaviest(summary: Summary, log_weights: Sequence[float]) -> float:
    """The largest of the weights with the logs ``log_weights`` over the probability of its event, by ``summary``."""
    found = [log_w - summary.tail.log_probability(k) for k, log_w in enumerate(log_weights)]
    return math.exp(min(max(found), 700.0))


def offered(
    session: Session, rows: Estimator, levels: Sequence[float], name: str, sentence: str, log_weights: Sequence[float]
) -> tuple[Tuned, float] | None:
    """What a scheme offers after a pilot of its ``rows``, and how heavy a row can be; None where they are too uneven.

    Parameters
    ----------
    session : Session
        Its evaluations are fewer by those of the pilot where nothing is offered.
    rows : Estimator
        Makes the rows.
    levels : sequence of float
        That rows are drawn for.
    name, sentence : str
        What the scheme is called, and what it does.
    log_weights : sequence of float
        Log of the largest weight of a row in each event, in nats; infinite where none is known.
    """
    pilot = SchemePilot.of(session, rows, PILOT * len(levels), name)
    if not max(pilot.variances) <= WORTH * len(levels):
        session.max_evaluations -= pilot.rows
        return None
    outcome = f"{name} makes the event common"
    tuned = pilot.tuned(name, float(levels[-1]), outcome, (sentence, pilot.sentence))
    return replace(tuned, estimator=rows), heaviest(pilot.summary, log_weights)


def of_weights(factor: float) -> str:
    """Why rows with a bounded weight see every part of an event; empty where the bound is too far off."""
    if not factor <= HEAVIEST:
        return ""
    return (
        f"no row weighs more than {factor:.3g} times the estimate of the pilot, so a part of the event with a share "
        f"s of its probability has at least a share s / {factor:.3g} of the rows"
    )


def of_squares(factor: float) -> str:
    """Why rows with a known mean square weight see every part of an event; empty where it is too large.

    With ``E_q w^2 <= factor P(A)^2`` in the event ``A``, a part ``B`` of it has
    ``P(B)^2 = (E_q w 1_B)^2 <= factor P(A)^2 Q(B)`` by the inequality of Cauchy and Schwarz.
    """
    if not factor <= HEAVIEST:
        return ""
    return (
        f"by the equations of the model the mean square weight of a row is at most {factor:.3g} times the squared "
        "probability, so the error leaves nothing out, and a part of the event with a share s of its probability has "
        f"at least a share s^2 / {factor:.3g} of the rows"
    )


def bounded(
    made: tuple[Tuned, float] | None, rows: Callable[[float], Estimator], patience: float = PATIENCE
) -> Tuned | None:
    """What `offered` made, with ``rows`` that know how heavy they can be; None where nothing was made.

    Where weights have a bound, as many rows are enough as the pilot says: a search is not made beside them unless they
    cost ``patience`` times as much.
    """
    if made is None:
        return None
    tuned, factor = made
    return replace(tuned, estimator=rows(factor), patience=patience if of_weights(factor) else 1.0)


def log_mixture(shares: Float, log_ratio: Float, plain: float) -> Float:
    """``log(plain + sum_j shares_j exp(log_ratio_j))`` (n,) of ``log_ratio`` (n, j), ``-inf`` where that is 0."""
    with np.errstate(divide="ignore"):
        out = np.full(len(log_ratio), np.log(plain))
        for j, share in enumerate(shares):
            np.logaddexp(out, np.log(share) + log_ratio[:, j], out=out)
    return out

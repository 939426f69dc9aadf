"""The probability of events on many rays at once: a scan on a grid, then all boundaries together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from raresim.distributions.masses import log_sum
from raresim.numerics.arrays import Bool, Float, Index
from raresim.record.event import Event

TOLERANCE = 1e-7
"""Tolerance along a ray within which the boundary of an event is found."""

HUGE = 1e300
"""Replaces an infinite loss in the search for a boundary."""


class Shares(NamedTuple):
    """The result of a scan.

    Parameters
    ----------
    log_share : (m, n) float64
        Log of the probability of each event on each ray, in nats; ``-inf`` if no node of the grid is in the event.
    boundaries : (m, n) int
        How often each ray enters or leaves each event.
    evaluations : int
        Loss evaluations of the scan.
    """

    log_share: Float
    boundaries: NDArray[np.intp]
    evaluations: int


def log_shares(
    loss_at: Callable[[Index, Float], Float],
    events: Sequence[Event],
    nodes: Float,
    low: Float,
    log_mass: Callable[[Float, Float], Float],
    tolerance: float = TOLERANCE,
) -> Shares:
    """The probability of each event along each ray, exact except for parts that lie unseen between two nodes.

    Parameters
    ----------
    loss_at : callable
        From the indices (k,) of rays and the places (k,) on them to the losses (k,), in a new array.
    events : sequence of Event
        The ``m`` events.
    nodes : (j,) or (n, j) float64
        The grid, increasing: one for all rays, or one for each, as from `shifted`.
    low : (n,) float64
        Beginning of each ray; ``-inf`` for none. Places below it are not part of the ray.
    log_mass : callable
        From two arrays ``a < b`` of places to the log of the probability between them, in nats.
    tolerance : float
        Tolerance of a boundary, along the ray.

    Notes
    If one of two neighbouring nodes is in the event, there is a boundary between them, found by Chandrupatla's
    bracketing ([1]_, through SciPy). It stops by the width of the bracket alone: a loss that moves in steps equals the
    threshold on whole stretches, any place of which would pass for the boundary if the value could stop it. Before the
    first node and beyond the last, a ray is assumed to stay as it is there. The masses of the parts in the event are
    added in logs, so nothing cancels however far out they lie. An even number of boundaries between two nodes is not
    seen: the result is then off by the mass between them.

    References
    ----------
    .. [1] Chandrupatla, *A new hybrid quadratic/bisection algorithm for finding the zero of a nonlinear function
       without using derivatives*, Adv. Eng. Software 28, 1997.
    """
    places = np.maximum(nodes, low[:, None])
    losses, evaluations = _scan(loss_at, places)
    sign = np.array([event.sign for event in events])[:, None, None]
    threshold = np.array([event.threshold for event in events])[:, None, None]
    inside = sign * losses >= sign * threshold
    n, j = places.shape
    left = np.broadcast_to(np.column_stack([low, places]), (len(events), n, j + 1)).copy()
    right = np.broadcast_to(np.column_stack([places, np.full(n, np.inf)]), (len(events), n, j + 1)).copy()
    begins = np.concatenate([inside[..., :1], inside], axis=2)
    ends = np.concatenate([inside, inside[..., -1:]], axis=2)
    crossed = np.nonzero(begins != ends)
    if crossed[0].size:
        enters = ends[crossed]
        found, more = _boundaries(loss_at, events, crossed, left[crossed], right[crossed], enters, tolerance)
        left[crossed] = np.where(enters, found, left[crossed])
        right[crossed] = np.where(enters, right[crossed], found)
        evaluations += more
    parts = np.full(left.shape, -np.inf)
    counted = (begins | ends) & (left < right)
    parts[counted] = log_mass(left[counted], right[counted])
    return Shares(log_sum(parts), (begins != ends).sum(axis=2), evaluations)


def shifted(nodes: Float, n: int, rng: np.random.Generator) -> Float:
    """The grid ``nodes`` (j,) on each of ``n`` rays, moved at random by up to half of its spacing: (n, j).

    A part narrower than the spacing is then seen on a share of the rays, and on more of them with finer grids.
    """
    return np.asarray(nodes + ((nodes[1] - nodes[0]) * (rng.random(n) - 0.5))[:, None])


def _scan(loss_at: Callable[[Index, Float], Float], places: Float) -> tuple[Float, int]:
    """The loss at each of ``places`` (n, j), one call per node; places at the beginning of a ray are evaluated once."""
    n, j = places.shape
    losses = np.empty((n, j))
    evaluations = 0
    for k in range(j - 1, -1, -1):
        wanted: Bool = np.ones(n, dtype=np.bool_) if k == j - 1 else places[:, k] < places[:, k + 1]
        if k < j - 1:
            losses[:, k] = losses[:, k + 1]
        rows = np.flatnonzero(wanted)
        if rows.size:
            losses[rows, k] = loss_at(rows, places[rows, k])
            evaluations += rows.size
    return losses, evaluations


def _boundaries(
    loss_at: Callable[[Index, Float], Float],
    events: Sequence[Event],
    crossed: tuple[Any, ...],
    left: Float,
    right: Float,
    enters: Bool,
    tolerance: float,
) -> tuple[Float, int]:
    """The places where each crossed cell enters or leaves its event, and the evaluations spent."""
    from scipy.optimize import elementwise

    which, rays = crossed[0], crossed[1]
    sign = np.array([event.sign for event in events])[which]
    threshold = np.array([event.threshold for event in events])[which]

    def margin(t: Float, ray: Index, s: Float, level: Float) -> Float:
        """Positive in the event, negative outside: an event contains its boundary, and all ties of a stepped loss."""
        with np.errstate(over="ignore"):
            value = np.clip(s * loss_at(ray, t) - s * level, -HUGE, HUGE)
        return np.where(value == 0, np.finfo(float).tiny, value)

    result: Any = elementwise.find_root(
        margin,
        (left, right),
        args=(rays, sign, threshold),
        tolerances={"xatol": tolerance, "xrtol": 0.0, "fatol": 0.0, "frtol": 0.0},
    )
    return np.asarray(result.x, dtype=np.float64), int(result.nfev.sum())

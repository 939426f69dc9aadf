"""The nearest point of a failure region, from a point in it: planes that cut its edge, found from the event alone.

Outside of the event other regions may hide this one. Gradients are therefore taken a little inside its edge, where the
failing part is visible, and each round asks only whether points are in the event, never how far they are from it.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from raresim.numerics.arrays import Bool, Float
from raresim.search.design_points import CENTRAL_UP_TO, gradient_cost, unit

Evaluate = Callable[[Float], Float]
"""Losses (n,), larger is rarer, at points (n, d)."""

DEPTHS = (0.08, 0.01)
"""How far inside the event a gradient is taken, in standard deviations: near enough to show the limit state that ends
the event there, however flat others are. The second depth is used if the first shows no slope or a known one."""

STEP = 0.4
"""Step of a difference, relative to the depth."""

NEW = 0.2
"""Smallest length of the part of a unit normal across all known ones that makes it another limit state's."""

ROOM = 1.2
"""How far out the known planes are held while the next one is sought."""

BESIDE = 0.7
"""Distance beside an edge, to and from where the search came, at which the event is sought nearer to the origin."""

ROUNDS = 8
HALVINGS = 6
FOOT = 1.02
"""A point this near to the foot of the tangent plane, relative to its distance, counts as the nearest."""

AIMS = (1.02, 1.08, 1.2)
"""Distances beyond the foot of the planes, relative to it, at which the event is checked."""

PARTS = (0.5, 0.25)
"""Shares of the way to the foot that are tried if the event does not begin there."""

GAIN = 0.1
"""Distance that a round of `nearest_point` must gain for another one to follow."""

REACH = 1.0
"""How far along the axes an edge is sought if the loss moves in steps."""

FLAT = 0.95
"""If at least this share of the differences is zero, the loss moves in steps and the edges themselves are sought."""


def nearest_point(look: Evaluate, goal: float, u: Float, most: float = math.inf) -> Float:
    """A point (d,) of the event's edge near the origin, from a point ``u`` (d,) in the event.

    Parameters
    ----------
    look : callable
        The loss.
    goal : float
        The value that it has to reach.
    u : (d,)
        A point in the event.
    most : float
        Evaluations after which no further plane is sought.

    Notes
    -----
    The edge is found on the ray to the origin, and the gradient a little inside. If the foot of the tangent plane
    there, or a point on the way to it, is in the event, the search goes on from that edge. If not, as in a corner of
    several limit states, the part of the point across all planes so far is shrunk until the next plane stops it; its
    gradient is taken with room to the other planes. The nearest point beyond all of these planes is checked next: a
    least-distance problem, [1]_ ch. 23. For a convex region these are cutting planes; planes beyond an edge that is
    nearer to the origin are not, and are dropped.

    References
    ----------
    .. [1] Lawson & Hanson, *Solving least squares problems*, 1974.
    """

    spent = 0

    def losses(at: Float) -> Float:
        nonlocal spent
        spent += len(at)
        return look(at)

    def inside(at: Float) -> Bool:
        return losses(at) >= goal

    best = at = edge_between(inside, np.zeros_like(u), u)
    normals: list[Float] = []
    offsets: list[float] = []
    for _ in range(ROUNDS):
        if spent + gradient_cost(u.size) > most:
            break
        held = _onto(normals, at)
        across, blocked = at - held, at
        if normals:
            if np.linalg.norm(across) < GAIN:
                break
            roomy = ROOM * held
            if inside(roomy[None])[0]:  # no limit state beyond the known planes
                best = min(best, edge_between(inside, np.zeros_like(u), roomy), key=_norm)
                break
            blocked = edge_between(inside, roomy, roomy + across)
        normal = _new_normal(losses, goal, blocked, unit(across), normals, lambda: most - spent)
        if normal is None:
            break
        normals.append(normal)
        offsets.append(float(normal @ blocked))
        known = least_distance(np.array(normals), np.array(offsets))
        foot = normal * offsets[-1] if known is None else known[0]
        reach, before = _norm(foot), _norm(best)
        tried = [f * foot for f in AIMS if f * reach < before]
        if len(normals) == 1:
            tried += [_as_far(at + s * (foot - at), 0.99 * before) for s in PARTS]
        good = np.flatnonzero(inside(np.array(tried))) if tried else np.empty(0, dtype=np.intp)
        if good.size:
            edge = edge_between(inside, np.zeros_like(u), tried[int(good[0])])
            best = min(best, edge, key=_norm)
            aside = BESIDE * unit(at - edge)
            beside = np.array([_as_far(edge + way, 0.99 * _norm(edge)) for way in (aside, -aside)])
            if _norm(best) <= FOOT * reach and not inside(beside).any():
                break
            at = edge
            holds = [float(n @ edge) > c - GAIN for n, c in zip(normals, offsets, strict=True)]
            normals = [n for n, kept in zip(normals, holds, strict=True) if kept]
            offsets = [c for c, kept in zip(offsets, holds, strict=True) if kept]
        else:
            at = blocked
    return best


def _norm(v: Float) -> float:
    return float(np.linalg.norm(v))


def _new_normal(
    look: Evaluate, goal: float, edge: Float, inwards: Float, known: list[Float], left: Callable[[], float]
) -> Float | None:
    """The direction of ascent just inside an ``edge`` (d,); closer to it if no slope or a ``known`` one is seen.

    ``left`` gives the evaluations that are left.
    """
    normal = None
    for depth in DEPTHS:
        if left() < gradient_cost(edge.size):
            break
        normal = _normal(look, goal, edge + depth * inwards, STEP * depth, left)
        if normal is not None and (not known or _norm(normal - _onto(known, normal)) > NEW):
            break
    return normal


def edge_on_ray(look: Evaluate, goal: float, u: Float) -> Float:
    """The point where the event begins on the ray to ``u`` (d,), which is in it."""
    return edge_between(lambda at: look(at) >= goal, np.zeros_like(u), u)


def _onto(normals: list[Float], at: Float) -> Float:
    """``at`` (d,) projected on the span of the ``normals``; zero without any."""
    if not normals:
        return np.zeros_like(at)
    span = np.linalg.qr(np.array(normals).T)[0]
    held: Float = span @ (span.T @ at)
    return held


def least_distance(normals: Float, offsets: Float) -> tuple[Float, Float] | None:
    """The point ``v`` (d,) nearest to the origin with ``normals @ v >= offsets``, and its multipliers (k,).

    None if there is no such point. The least-distance problem of [1]_, ch. 23, by non-negative least squares.

    References
    ----------
    .. [1] Lawson & Hanson, *Solving least squares problems*, 1974.
    """
    k, d = normals.shape
    if (offsets <= 0).all():
        return np.zeros(d), np.zeros(k)
    if k == 1:
        return offsets[0] * normals[0], offsets.copy()
    from scipy.optimize import nnls

    scale = float(np.abs(offsets).max())
    matrix = np.concatenate([normals.T, offsets[np.newaxis] / scale])
    aim = np.zeros(d + 1)
    aim[d] = 1.0
    try:
        weights, _ = nnls(matrix, aim, maxiter=30 * k)
    except RuntimeError:
        return None
    residual = matrix @ weights - aim
    if residual[d] > -1e-9:
        return None
    return scale * residual[:d] / -residual[d], scale * weights / -residual[d]


def edge_between(inside: Callable[[Float], Bool], out: Float, within: Float) -> Float:
    """The edge (d,) between a point outside and a point in the event, by bisection."""
    low, high = 0.0, 1.0
    for _ in range(HALVINGS):
        middle = 0.5 * (low + high)
        if inside((out + middle * (within - out))[None])[0]:
            high = middle
        else:
            low = middle
    edge: Float = out + high * (within - out)
    return edge


def _as_far(v: Float, radius: float) -> Float:
    scaled: Float = radius * unit(v)
    return scaled


def _normal(look: Evaluate, goal: float, at: Float, step: float, left: Callable[[], float]) -> Float | None:
    """The direction (d,) of ascent at a point in the event, by differences of ``step``; None if no slope is seen.

    Mostly flat differences give way to the edges themselves where the evaluations that are ``left`` pay for these.
    """
    d = at.size
    if d <= CENTRAL_UP_TO:
        seen = look(np.concatenate([at + step * np.eye(d), at - step * np.eye(d)]))
        ahead, behind = seen[:d], seen[d:]
    else:
        seen = look(np.concatenate([at[None], at + step * np.eye(d)]))
        ahead, behind = seen[1:], np.full(d, seen[0])
    with np.errstate(invalid="ignore"):
        rise = ahead - behind
    rise[~np.isfinite(rise)] = 0.0
    if np.count_nonzero(rise == 0.0) >= FLAT * d and left() >= 2 * d * (1 + HALVINGS):
        rise = _edges(look, goal, at)
    return unit(rise) if np.isfinite(rise).all() and rise.any() else None


def _edges(look: Evaluate, goal: float, at: Float) -> Float:
    """A multiple of the normal (d,) just inside an edge: signed ``1 / distance`` to the edge along each axis.

    For losses that move in steps. It takes at most ``2 d (1 + HALVINGS)`` evaluations. Along an axis without an edge
    within `REACH`, the normal has a negligible part.
    """
    d = at.size
    ways = np.concatenate([np.eye(d), -np.eye(d)])
    high = np.full(2 * d, REACH)
    out = look(at + REACH * ways) < goal
    asked = np.flatnonzero(out)
    low = np.zeros(2 * d)
    for _ in range(HALVINGS if asked.size else 0):
        middle = 0.5 * (low[asked] + high[asked])
        within = look(at + middle[:, None] * ways[asked]) >= goal
        low[asked] = np.where(within, middle, low[asked])
        high[asked] = np.where(within, high[asked], middle)
    inverse = np.where(out, 2.0 / (low + high), 0.0)
    return np.asarray(inverse[d:] - inverse[:d])

"""The nearest point of a failure region, from a point in it: planes that cut its edge, told by the event alone.

Outside of the event other regions may hide this one. Gradients are therefore taken a little inside its edge, where what
fails is what is seen, and each round asks whether points are in the event, never how far they are from it.
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
"""How far inside the event a gradient is taken, in standard deviations: near enough for the limit state that ends it
there to be the one that is seen, however flat others are; the second where it seems to be one that is known."""

STEP = 0.4
"""Step of a difference, relative to the depth."""

NEW = 0.2
"""Length of the part of a normal that is across all known ones, from which it is another limit state's."""

ROOM = 1.2
"""How far out the known planes are held while the next one is looked for."""

BESIDE = 0.7
"""How far beside the foot of a plane the event is asked for nearer to the origin, back towards where it came from."""

ROUNDS = 8
HALVINGS = 6
FOOT = 1.02
"""A point this near to the foot of the tangent plane, relative to its distance, is taken for the nearest."""

AIMS = (1.02, 1.08, 1.2)
"""How far, relative to the foot of the planes, the event is asked for beyond it."""

PARTS = (0.5, 0.25)
"""Shares of the way to the foot that are tried where the event does not begin there."""

GAIN = 0.1
"""Distance that a round of `nearest_point` has to gain for another one to be made."""

REACH = 1.0
"""How far along the axes an edge is looked for where the loss moves in steps."""

FLAT = 0.95
"""Share of differences that are zero from which a loss moves by steps, and the edges themselves are looked for."""


def nearest_point(look: Evaluate, goal: float, u: Float, most: float = math.inf) -> Float:
    """A point (d,) of the event's edge near to the origin, from one ``u`` (d,) in the event.

    Parameters
    ----------
    look : callable
        The loss.
    goal : float
        What it has to reach.
    u : (d,)
        In the event.
    most : float
        Evaluations after which no other plane is looked for.

    Notes
    -----
    The edge is found on the ray to the origin, and the gradient a little inside. Where the event is met at the foot of
    the plane that touches it there, or on the way to it, the search goes on from that edge. Where it is not, as in a
    corner of several limit states, the part of the point across all planes so far is shrunk until the next one stops
    it; its gradient is taken where the others have room. The nearest point beyond all of these planes is asked for
    next: a least-distance problem, [1]_ ch. 23. Of a convex region these are cutting planes; those that an edge nearer
    to the origin lies before are none, and are dropped.

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
            if inside(roomy[None])[0]:  # nothing but the known planes
                best = min(best, edge_between(inside, np.zeros_like(u), roomy), key=_norm)
                break
            blocked = edge_between(inside, roomy, roomy + across)
        normal = _new_normal(losses, goal, blocked, unit(across), normals)
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


def _new_normal(look: Evaluate, goal: float, edge: Float, inwards: Float, known: list[Float]) -> Float | None:
    """The direction of ascent just inside an ``edge`` (d,); closer where none is seen, or one of the ``known``."""
    normal = None
    for depth in DEPTHS:
        normal = _normal(look, goal, edge + depth * inwards, STEP * depth)
        if normal is not None and (not known or _norm(normal - _onto(known, normal)) > NEW):
            break
    return normal


def edge_on_ray(look: Evaluate, goal: float, u: Float) -> Float:
    """Where the event begins on the ray to ``u`` (d,), which is in it."""
    return edge_between(lambda at: look(at) >= goal, np.zeros_like(u), u)


def _onto(normals: list[Float], at: Float) -> Float:
    """``at`` (d,) projected on the span of the ``normals``; zero where there are none."""
    if not normals:
        return np.zeros_like(at)
    span = np.linalg.qr(np.array(normals).T)[0]
    held: Float = span @ (span.T @ at)
    return held


def least_distance(normals: Float, offsets: Float) -> tuple[Float, Float] | None:
    """The point ``v`` (d,) nearest to the origin with ``normals @ v >= offsets``, and its multipliers (k,).

    None where there is no such point. The least-distance problem of [1]_, ch. 23: non-negative least squares.

    References
    ----------
    .. [1] Lawson & Hanson, *Solving least squares problems*, 1974.
    """
    from scipy.optimize import nnls

    k, d = normals.shape
    if (offsets <= 0).all():
        return np.zeros(d), np.zeros(k)
    if k == 1:
        return offsets[0] * normals[0], offsets.copy()
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
    """The edge (d,) between a point outside and one in the event, by halving."""
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


def _normal(look: Evaluate, goal: float, at: Float, step: float) -> Float | None:
    """The direction (d,) of ascent at a point in the event, by differences of ``step``; None where none is seen."""
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
    if np.count_nonzero(rise == 0.0) >= FLAT * d:
        rise = _edges(look, goal, at)
    return unit(rise) if np.isfinite(rise).all() and rise.any() else None


def _edges(look: Evaluate, goal: float, at: Float) -> Float:
    """What is proportional to a normal (d,) just inside an edge: ``1 / distance`` to it along each axis, signed.

    For losses that move in steps. Along an axis that meets no edge within `REACH` the normal has no part that matters.
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

"""The claims of a period, drawn one by one from a seed, two numbers that steer them, and how many they are.

Of ``n`` claims the largest has the standard normal score with the tail ``p = 1 - Phi(z)^(1/n)``, whatever the law is.
The others are independent below it. Were they not bounded, their scores would be ``n - 1`` independent standard
normals, of which the mean times the root of their number is a standard normal, the *level*: given the level, each score
is drawn given the sum of those that are left, which is a normal law again. So a search can make one claim large, or all
of them, by moving one number, and no claim is ever left out.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from raresim.models.own_risk import GOLDEN, Words, mixed, word_of
from raresim.numerics import normal_scores
from raresim.numerics.arrays import Float
from raresim.numerics.jit import kernel

PIECE = 2**15
"""Claims that are held at once."""

Rows = NDArray[np.int64]


class Piece(NamedTuple):
    """Some claims below the largest of their rows: which row each belongs to, and its standard normal score."""

    row: Rows
    score: Float


def line_seeds(seeds: Words, line: int) -> Words:
    """The generators' states of one line from those of the rows (n,)."""
    out = np.empty_like(seeds)
    _line_seeds(seeds, np.uint64(line), out)
    return out


def largest(count: Float, z: Float) -> tuple[Float, Float, Float]:
    """The largest of ``count`` claims (n,) that a standard normal ``z`` (n,) stands for.

    Returns
    -------
    score : (n,) float64
        Its standard normal score; minus infinity without a claim.
    above, below : (n,) float64
        The probabilities of one claim to be above and below it.
    """
    from scipy import special

    with np.errstate(divide="ignore"):
        log_below = special.log_ndtr(z) / count  # of no claim: minus infinity
        log_above = np.log(-np.expm1(log_below))
    score = np.empty(z.size)
    normal_scores.from_log_probabilities(log_below, log_above, score)
    return np.where(count > 0, score, -np.inf), -np.expm1(log_below), np.exp(log_below)


def others(count: Float, level: Float, seeds: Words, above: Float | None, below: Float | None) -> Iterator[Piece]:
    """The claims of each row, in pieces.

    Parameters
    ----------
    count : (n,) float64
        How many of each row.
    level : (n,) float64
        Of their scores: the sum over the root of their number.
    seeds : (n,) uint64
        The state of each row's generator.
    above, below : (n,) float64, optional
        The probabilities of a claim to be above and below the bound that they have; None without one.
    """
    state, place = np.zeros(2), np.zeros(2, np.int64)
    total = int(count.sum())
    while total > 0:
        size = min(PIECE, total)
        row, score = np.empty(size, np.int64), np.empty(size)
        next_scores(count, level, seeds, state, place, row, score)
        total -= size
        yield Piece(row, score if above is None or below is None else bounded(score, above[row], below[row]))


def bounded(score: Float, above: Float, below: Float) -> Float:
    """Scores (n,) of independent claims, given that each is below a bound: ``Phi(new) = below Phi(old)``."""
    from scipy import special

    lower = below * special.ndtr(score)
    upper = above + below * special.ndtr(-score)
    return np.where(lower < 0.5, special.ndtri(np.minimum(lower, 0.5)), -special.ndtri(np.minimum(upper, 0.5)))


@kernel
def _line_seeds(seeds: Words, line: np.uint64, out: Words) -> None:
    step = mixed((line + np.uint64(1)) * GOLDEN)
    for i in range(seeds.shape[0]):
        out[i] = mixed(seeds[i] ^ step)


@kernel
def next_scores(count: Float, level: Float, seeds: Words, state: Float, place: Rows, row: Rows, score: Float) -> None:
    """Fill ``row`` (k,) and ``score`` (k,) with the next claims, and advance ``place`` and ``state``.

    Parameters
    ----------
    count, level : (n,) float64
        As in `others`.
    seeds : (n,) uint64
        As in `others`.
    state : (2,) float64
        The sum of the scores of the row that are left, and the normal that the last pair has left over.
    place : (2,) int64
        The row, and how many of its claims are done.
    row : (k,) int64
        Overwritten.
    score : (k,) float64
        Overwritten.
    """
    i, done = place[0], place[1]
    left, spare = state[0], state[1]
    for k in range(score.shape[0]):
        while done >= count[i]:
            i += 1
            done = 0
        if done == 0:
            left = level[i] * math.sqrt(count[i])
        if done % 2 == 0:  # Box and Muller's pair
            u = (float(word_of(seeds[i], done) >> np.uint64(11)) + 0.5) * 2.0**-53
            v = (float(word_of(seeds[i], done + 1) >> np.uint64(11)) + 0.5) * 2.0**-53
            radius = math.sqrt(-2.0 * math.log(u))
            e, spare = radius * math.cos(2.0 * math.pi * v), radius * math.sin(2.0 * math.pi * v)
        else:
            e = spare
        m = count[i] - done
        z = left / m + math.sqrt((m - 1.0) / m) * e
        left -= z
        row[k], score[k] = i, z
        done += 1
    place[0], place[1] = i, done
    state[0], state[1] = left, spare


@kernel
def add_claims(
    row: Rows, claim: Float, attachment: Float, limit: Float, total: Float, layers: Float, top: Float
) -> None:
    """Add claims to what their rows have so far, in their order.

    Parameters
    ----------
    row : (k,) int64
        Of each claim.
    claim : (k,) float64
        Its size.
    attachment, limit : (c,) float64
        Of the layers that take part of it.
    total, top : (n,) float64
        Sum and largest of the claims.
    layers : (n, c) float64
        Sum of what each layer takes of them, ``min(max(x - attachment, 0), limit)``.
    """
    for k in range(row.shape[0]):
        i, x = row[k], claim[k]
        total[i] += x
        top[i] = max(top[i], x)
        for c in range(attachment.shape[0]):
            if x > attachment[c]:
                layers[i, c] += min(x - attachment[c], limit[c])

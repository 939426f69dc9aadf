"""Random losses that a surrogate should not be trusted on, with exact answers; `problem` makes one of each number.

All are declared to be smooth, most of them wrongly. The number of a problem seeds its draw, and chooses its kind. No
result of any method was used for a choice here.

* *wedge*: the event is a thin wedge, with its tip at some distance or at the origin, where a ratio has a pole (there it
  is set to zero, so that each row has a number);
* *discrete*: a count of coordinates beyond a level, or a plane in steps;
* *noisy*: a plane with noise, which is another at each call, or the same one wherever the row is the same;
* *many*: a plane, a ball's outside or a book of options in 13 to 50 inputs that all matter.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from branches import Quadratic, level_of
from exact_tails import normal_nodes
from scipy import integrate, stats

from raresim.numerics.arrays import Float

SALT = 20_724
"""Second part of the seed of a problem, beside its number."""

KINDS = ("wedge", "discrete", "noisy", "many")
BUDGETS = {"wedge": (100, 200), "discrete": (100, 200), "noisy": (100, 200), "many": (200, 300)}

Loss = Callable[[Float], Float]


@dataclass(frozen=True, eq=False)
class Unfit:
    """A problem in ``dim`` standard normals; the event is ``loss >= 0``.

    Parameters
    ----------
    kind : str
        One of `KINDS`.
    dim : int
        Number of inputs.
    budget : int
        Evaluations that it is asked with.
    loss : callable
        From rows (n, d) to losses (n,).
    probability : float
        The answer.
    """

    kind: str
    dim: int
    budget: int
    loss: Loss
    probability: float


def problem(number: int) -> Unfit:
    """The problem of this number."""
    rng = np.random.default_rng([number, SALT])
    kind = KINDS[number % len(KINDS)]
    dim = int(rng.integers(13, 51)) if kind == "many" else int(rng.integers(2, 13))
    first, second = BUDGETS[kind]
    budget = (first, second)[int(rng.integers(2))]
    if kind == "many":
        budget = first if dim <= 30 and budget == first else second
    loss, answer = DRAWS[kind](rng, dim)
    return Unfit(kind, dim, budget, loss, answer)


def _wedge(rng: np.random.Generator, dim: int) -> tuple[Loss, float]:
    turn = _rotation(rng, dim)[:, :2]
    if rng.random() < 0.5:
        least = 10.0 ** rng.uniform(1.0, 4.0)

        def ratio(u: Float) -> Float:
            a, b = (u @ turn).T
            return np.divide(b, a, out=np.zeros(len(u)), where=a != 0.0) - least

        return ratio, math.atan(1.0 / least) / math.pi
    slope, tip = 10.0 ** rng.uniform(-2.0, -0.5), rng.uniform(1.0, 4.0)
    units = 10.0 ** rng.uniform(-1.0, 1.0, 2)

    def wedge(u: Float) -> Float:
        a, b = (u @ turn).T
        return np.asarray(np.minimum(units[0] * (a - tip), units[1] * (slope * a - np.abs(b))))

    answer, _ = integrate.quad(lambda x: stats.norm.pdf(x) * (2.0 * stats.norm.cdf(slope * x) - 1.0), tip, tip + 12.0)
    return wedge, answer


def _discrete(rng: np.random.Generator, dim: int) -> tuple[Loss, float]:
    if rng.random() < 0.5:
        needed, level = int(rng.integers(1, max(2, dim // 2) + 1)), rng.uniform(1.5, 3.5)
        return lambda u: (u > level).sum(axis=1) - float(needed), float(
            stats.binom.sf(needed - 1, dim, stats.norm.sf(level))
        )
    weights, far, width = _rotation(rng, dim)[:, 0], rng.uniform(2.5, 5.5), 10.0 ** rng.uniform(-1.7, 0.5)
    return lambda u: np.floor((u @ weights - far) / width), float(stats.norm.sf(far))


def _noisy(rng: np.random.Generator, dim: int) -> tuple[Loss, float]:
    weights, far, noise = _rotation(rng, dim)[:, 0], rng.uniform(2.5, 5.0), 10.0 ** rng.uniform(-2.0, 0.0)
    fresh = np.random.default_rng(rng.integers(2**32)) if rng.random() < 0.5 else None

    def noisy(u: Float) -> Float:
        if fresh is not None:
            return np.asarray(u @ weights - far + noise * fresh.standard_normal(len(u)))
        seeds = [zlib.crc32(np.ascontiguousarray(row).tobytes()) for row in u]
        drawn = np.array([np.random.default_rng(seed).standard_normal() for seed in seeds])
        return np.asarray(u @ weights - far + noise * drawn)

    return noisy, float(stats.norm.sf(far / math.hypot(1.0, noise)))


def _many(rng: np.random.Generator, dim: int) -> tuple[Loss, float]:
    answer = 10.0 ** rng.uniform(-7.0, -2.0)
    form = int(rng.integers(3))
    linear = rng.standard_normal(dim) * (form != 1)
    square = (np.zeros(dim), np.ones(dim), np.exp(rng.uniform(-4.0, 0.0, dim)))[form]
    part = Quadratic(slice(0, dim), linear, square)
    level, turn = level_of(part, answer, normal_nodes()), _rotation(rng, dim)
    return lambda u: part.excess(u @ turn, level), answer


def _rotation(rng: np.random.Generator, dim: int) -> Float:
    """A random rotation, or in half of the draws the coordinates as they are."""
    if rng.random() < 0.5:
        return np.eye(dim)
    return np.asarray(stats.special_ortho_group.rvs(dim, random_state=rng)) if dim > 1 else np.eye(1)


DRAWS: dict[str, Callable[[np.random.Generator, int], tuple[Loss, float]]] = {
    "wedge": _wedge,
    "discrete": _discrete,
    "noisy": _noisy,
    "many": _many,
}

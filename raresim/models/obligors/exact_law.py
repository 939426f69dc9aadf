"""The law of the loss by recursion on a lattice given the factors, and quadrature over up to three of them."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np

from raresim.models.factors import CreditFactors
from raresim.models.obligors.conditional import probabilities, tail_laws
from raresim.models.obligors.defaults import DefaultLoss
from raresim.models.own_risk import Book, Places
from raresim.numerics.arrays import Float
from raresim.numerics.jit import kernel

MOST_FACTORS = 3

POINTS = (1024, 160, 48, 20)
"""Points of the lattice up to the largest loss that is asked for, and nodes of each factor where there are 1, 2, 3."""

SCAN = (0, 121, 41, 21)
"""Points of each factor at which it is looked where the mass is, on -9 to 9."""

REACH = 9.0
NEGLIGIBLE = 34.0
"""Nats below the likeliest place from which factors do not matter: 1e-15 of the probability."""

MOST_WORK = 1e9
"""Multiplications that the law may take: a few seconds."""

FURTHER = 2.5
"""How far the lattice goes beyond the largest loss that is asked for, for the mean of what is beyond."""

EXACT_ROUNDING = 1e-9
"""Distance from a multiple of the unit, as a share of it, up to which a severity is one."""


@dataclass(frozen=True, eq=False)
class ExactLaw:
    """Tail probabilities of the loss on a lattice.

    Parameters
    ----------
    unit : float
        Of the lattice, in the unit of the loss.
    beyond : (n,) float64
        The probability of a loss of at least 0, 1, 2, ... units.
    rounds : bool
        Whether severities are split between the two multiples next to them; else they are multiples.
    """

    unit: float
    beyond: Float
    rounds: bool

    @classmethod
    def of(cls, inputs: CreditFactors, loss: DefaultLoss, low: float, high: float) -> ExactLaw | None:
        """The law for losses from ``low`` to ``high``; None where factors or obligors are too many, or losses random.

        Notes
        -----
        Given the factors, the probability of each number of units follows by adding one obligor after the other. Split
        severities keep their means; what that adds to the variance is at most a quarter of a squared unit for each
        default. Factors are integrated by Gauss and Legendre's rule over the box outside of which they do not matter.
        """
        k = inputs.dim - 1
        if k > MOST_FACTORS or loss.book.a.any():
            return None
        severity = loss.severity
        most = min(FURTHER * high, float(severity.sum()))
        unit = common_unit(severity, most)
        rounds = unit is None
        unit = unit or high / POINTS[0]
        n = int(most / unit) + 2
        if float(POINTS[k]) ** k * severity.size * n > MOST_WORK:
            return None
        box = _box(inputs, loss, low)
        nodes, weights = np.polynomial.legendre.leggauss(POINTS[k])
        lines, masses = [], []
        for a, b in box:
            at = a + 0.5 * (b - a) * (nodes + 1.0)
            lines.append(at)
            masses.append(0.5 * (b - a) * weights * np.exp(-0.5 * at * at) / math.sqrt(2.0 * math.pi))
        v = np.array(list(itertools.product(*lines)))
        mass = np.array([math.prod(each) for each in itertools.product(*masses)])
        x = _factors(inputs, v)
        at = severity / unit
        first = np.floor(at + EXACT_ROUNDING).astype(np.int64)
        share = np.maximum(at - first, 0.0) if rounds else np.zeros(at.size)
        order = np.argsort(at, kind="stable")
        law = np.zeros(n + 1)
        lattice_law(np.ascontiguousarray(x), mass, loss.book, first, share, order, law)
        beyond = np.cumsum(law[::-1])[::-1]
        return cls(unit, beyond, rounds)

    def probability(self, level: float) -> float:
        """Of a loss of at least ``level``."""
        at = level / self.unit
        if not self.rounds:
            return float(self.beyond[min(math.ceil(at - EXACT_ROUNDING), self.beyond.size - 1)])
        # a lattice point stands for the half units on either side of it
        at = min(max(at + 0.5, 0.0), self.beyond.size - 1.001)
        k = int(at)
        low, high = float(self.beyond[k]), float(self.beyond[k + 1])
        return low ** (k + 1 - at) * high ** (at - k) if high > 0 else low

    def value_at_risk(self, tail: float) -> float:
        """The smallest loss with at most ``tail`` beyond it."""
        k = int(np.argmax(self.beyond <= tail))
        if not self.rounds:
            return self.unit * (k - 1)
        high, low = float(self.beyond[k - 1]), max(float(self.beyond[k]), 1e-300)
        return self.unit * (k - 1.5 + math.log(high / tail) / math.log(high / low))

    def expected_shortfall(self, tail: float) -> float:
        """The mean of the losses beyond that one."""
        q = self.value_at_risk(tail)
        at = self.unit * np.arange(self.beyond.size)
        law = self.beyond - np.append(self.beyond[1:], 0.0)
        return q + float(law @ np.maximum(at - q, 0.0)) / tail


def common_unit(severity: Float, most: float) -> float | None:
    """The largest unit of which all severities are multiples, found among a few; None where none is large enough."""
    least = float(severity[severity > 0].min())
    for parts in range(1, 5):
        unit = least / parts
        off = np.abs(severity / unit - np.round(severity / unit))
        if off.max() < EXACT_ROUNDING * max(1.0, float(severity.max()) / unit):
            multiples = np.round(severity / unit).astype(np.int64)
            unit *= int(np.gcd.reduce(multiples[multiples > 0]))
            return unit if most / unit <= 4 * POINTS[0] else None
    return None


def _factors(inputs: CreditFactors, v: Float) -> Float:
    u = np.zeros((len(v), inputs.dim), order="F")
    u[:, :-1] = v
    return inputs.to_physical(u, np.empty((len(v), inputs.dim), order="F"))


def _box(inputs: CreditFactors, loss: DefaultLoss, level: float) -> list[tuple[float, float]]:
    """The ends of each standard normal between which nearly all of the probability of ``level`` lies."""
    k = inputs.dim - 1
    line = np.linspace(-REACH, REACH, SCAN[k])
    v = np.array(list(itertools.product(*[line] * k)))
    x = _factors(inputs, v)
    bound, tail, slope = np.empty(len(v)), np.empty(len(v)), np.empty(x.shape)
    tail_laws(np.ascontiguousarray(x), loss.book, loss.severity, level, bound, tail, slope)
    height = tail - 0.5 * np.square(v).sum(axis=1)
    inside = v[height > height.max() - NEGLIGIBLE]
    step = line[1] - line[0]
    return [(max(-REACH, a - step), min(REACH, b + step)) for a, b in zip(inside.min(0), inside.max(0), strict=True)]


@kernel
def lattice_law(x: Float, mass: Float, book: Book, first: Places, share: Float, order: Places, law: Float) -> None:
    """The law of the loss in units, mixed over rows of factors.

    Parameters
    ----------
    x : (n, d) float64
        Factors.
    mass : (n,) float64
        Of each row.
    book : Book
        The obligors.
    first, share : (m,) int64 and (m,) float64
        What each loses at default: ``first`` units, or with the probability ``share`` one more.
    order : (m,) int64
        In which obligors are added, the smallest first.
    law : (l + 1,) float64
        Probabilities of 0 to l - 1 units, and of more in the last place; added to.
    """
    m = first.shape[0]
    p, eta, now = np.empty(m), np.empty(m), np.empty(law.shape[0])
    for i in range(x.shape[0]):
        probabilities(x[i], book, p, eta)
        recursion(p, first, share, order, now)
        for j in range(law.shape[0]):
            law[j] += mass[i] * now[j]


@kernel
def conditional_tails(
    x: Float, book: Book, first: Places, share: Float, order: Places, levels: Places, out: Float
) -> None:
    """The probability of at least ``levels`` (j,) units given each row of factors, into ``out`` (n, j)."""
    m = first.shape[0]
    p, eta, now = np.empty(m), np.empty(m), np.empty(levels.max() + 1)
    for i in range(x.shape[0]):
        probabilities(x[i], book, p, eta)
        recursion(p, first, share, order, now)
        for j in range(levels.shape[0]):
            out[i, j] = 0.0
            for k in range(now.shape[0] - 1, levels[j] - 1, -1):
                out[i, j] += now[k]


@kernel
def recursion(p: Float, first: Places, share: Float, order: Places, now: Float) -> None:
    """The law ``now`` (l + 1,) of the number of units, obligor by obligor; that of l and more in the last place."""
    last = now.shape[0] - 1
    now[:] = 0.0
    now[0] = 1.0
    top = 0
    for k in order:
        a, s, q = first[k], share[k], p[k]
        if q == 0.0:
            continue
        more = a + 1 if s > 0.0 else a
        if top + more >= last:  # what goes beyond the end
            for j in range(max(0, last - more), min(top, last - 1) + 1):
                if j + a >= last:
                    now[last] += q * now[j]
                else:
                    now[last] += q * s * now[j]
        top = min(top + more, last - 1)
        for j in range(top, -1, -1):
            moved = (1.0 - s) * now[j - a] if j >= a else 0.0
            if s > 0.0 and j > a:
                moved += s * now[j - a - 1]
            now[j] += q * (moved - now[j])

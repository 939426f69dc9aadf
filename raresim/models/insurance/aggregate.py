"""The law of a sum of a random number of claims by the fast Fourier transform on a tilted grid: a control.

Claims are rounded to a grid, their transforms go through the generating function of the numbers of claims, and the
inverse transform is the law of the sum: [1]_. Three things keep it exact where it is asked for, the far tail.

* A period with a claim of at least the largest loss that is asked has the event anyway; its probability is in closed
  form. Only the other claims, which are bounded, go through the transform, so a heavy tail is not cut.
* The grid is tilted towards the loss by ``exp(theta s)`` at the saddle point: there, what is computed is of the order
  of one, and rounding is relative to the probability, however small that is.
* Claims are rounded to the nearest point, and also all down and all up: the last two bound the truth.

References
----------
.. [1] Gruebel & Hermesmeier, *Computation of compound distributions I: aliasing errors and exponential tilting*,
   ASTIN Bulletin 29, 1999; their tilt points the other way, against aliasing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np

from raresim.errors import FieldError
from raresim.models.insurance.compound_loss import CompoundLoss
from raresim.models.insurance.frequencies import Frequencies
from raresim.models.insurance.per_claim import added_by, has_annual_terms
from raresim.numerics.arrays import Float

POINTS = 2**16
"""Of the grid."""

REACHES = (4, 16, 64, 256)
"""The grid ends at one of so many times the largest loss that is asked: the first that leaves out little enough."""

ATOM = 4.0
"""How many times as likely as the next one a point of the grid is that is taken for an atom."""

ALIASED = 1e-7
"""What the end of the grid may add, as a share of Chernoff's bound of the largest sum."""

MOST_TILT = 600.0
"""Largest exponent of the tilt."""

Rounding = Literal["nearest", "down", "up"]

ROUNDINGS: tuple[Rounding, ...] = ("nearest", "down", "up")

Above = Callable[[Float], Float]
"""The probability that what one claim of a line adds is at least each of some numbers (n,)."""


@dataclass(frozen=True, eq=False)
class Sum:
    """A loss that rises with a sum of what each claim adds to it.

    Parameters
    ----------
    frequencies : Frequencies
        Of the numbers of claims.
    above : tuple of callables
        For each line.
    to_sum : callable
        The smallest sum whose loss is at least each of some losses; infinite where none is.
    """

    frequencies: Frequencies
    above: tuple[Above, ...]
    to_sum: Callable[[float], float]


@dataclass(frozen=True)
class Tail:
    """A probability between two bounds.

    Parameters
    ----------
    value, low, high : float
        Of claims rounded to the nearest point of the grid; the bounds are those of claims rounded down and up, with
        what the end of the grid leaves out.
    """

    value: float
    low: float
    high: float


def sum_of(loss: CompoundLoss) -> Sum | None:
    """What a compound loss is a sum of; None where it is none, the numbers of claims are joined by a copula, or
    there are period tables.

    The gross loss is one. So is any with contracts that have no terms for the whole period, as long as it rises with
    each claim, and what one contract pays.
    """
    frequencies = loss.frequencies
    if frequencies.copula is not None or loss.tables:
        return None
    above: list[Above] = []
    single = loss.view == "ceded" and len(loss.contracts) == 1
    if has_annual_terms(loss) and not single:
        return None
    for i, line in enumerate(frequencies.lines):
        added = added_by(loss, i, placed=not single)
        if added is None:
            return None
        above.append(_above(line.severity, added.first_reaching))
    if single:
        return Sum(frequencies, tuple(above), lambda x: _first(loss, x))
    return Sum(frequencies, tuple(above), lambda x: x)


def _first(loss: CompoundLoss, x: float) -> float:
    """The smallest layer sum of which the only contract pays at least ``x``; infinite where none is."""
    contract = loss.contracts[0]
    if x <= 0.0:
        return 0.0
    high = 1.0 + contract.aggregate_deductible
    while high < 1e300 and contract.recovered(np.array([high]))[0] < x:
        high *= 2.0
    if high >= 1e300:
        return math.inf
    low = 0.0
    while (middle := 0.5 * (low + high)) not in (low, high):
        low, high = (low, middle) if contract.recovered(np.array([middle]))[0] >= x else (middle, high)
    return high


def _above(law: Any, inverse: Callable[[Float], Float]) -> Above:
    def above(y: Float) -> Float:
        x = inverse(y)
        out = np.where(x == -np.inf, 1.0, 0.0)
        rows = np.isfinite(x)
        out[rows] = np.exp(law.logsf(np.nextafter(x[rows], -np.inf)))
        return out

    return above


@dataclass(frozen=True, eq=False)
class Grid:
    """The law of the sum up to a loss, from one transform.

    Parameters
    ----------
    of : Sum
        The sum.
    most : float
        The largest sum that is asked, positive.
    points : int
        Of the grid.
    reach : int
        The grid ends at so many times the largest sum.
    """

    of: Sum
    most: float
    points: int = POINTS
    reach: int = REACHES[0]

    @classmethod
    def fitting(cls, of: Sum, most: float, points: int = POINTS) -> Grid:
        """The grid that ends as near to the largest sum as leaves out no more than `ALIASED` of its probability."""
        for reach in REACHES:
            grid = cls(of, most, points, reach)
            _, likely = grid.saddle_point(most)
            if grid.saddle_point(grid.step * points, "up")[1] <= ALIASED * likely:
                break
        return grid

    @property
    def step(self) -> float:
        """Of the grid, in the unit of the loss."""
        return self.most / (self.points // self.reach)

    @cached_property
    def _found(self) -> dict[Rounding, list[Float]]:
        return {}

    def masses(self, rounding: Rounding) -> list[Float]:
        """For each line, the probabilities of what one claim adds, on the grid up to the largest sum."""
        if rounding not in self._found:
            self._found[rounding] = self._rounded(rounding)
        return self._found[rounding]

    def _rounded(self, rounding: Rounding) -> list[Float]:
        k = np.arange(self.points // self.reach + 1, dtype=np.float64)
        shift = {"nearest": 0.5, "down": 0.0, "up": 1.0}[rounding]
        edges = np.minimum(np.append(k - shift, k[-1] + 1.0 - shift), k[-1]) * self.step
        out = []
        for above in self.of.above:
            tail = above(edges)
            if rounding == "up":  # the edges belong to the cells below them
                tail = above(np.nextafter(edges, np.inf))
                tail[edges < 0.0], tail[edges >= self.most] = 1.0, above(np.array([self.most]))[0]
            out.append(np.maximum(tail[:-1] - tail[1:], 0.0))
        return out

    def tails(self, at: Float, rounding: Rounding, theta: float) -> Float:
        """``P(S >= x)`` for each ``x`` (n,) up to the largest sum, with claims rounded, on a grid tilted by ``theta``.

        A point stands for sums from half a step below it. What of these is below the threshold is taken off, at the
        density of the point before; an atom on the threshold, such as a used-up limit, counts in full.
        """
        found, some = self.law(rounding, theta)
        sums = np.append(np.cumsum(found[::-1])[::-1], 0.0)
        place = at / self.step
        if rounding != "nearest":
            return np.asarray(sums[np.ceil(place - 1e-9).astype(np.int64)] + some)
        first = np.floor(place + 0.5 + 1e-9).astype(np.int64)
        before, here = found[np.maximum(first - 1, 0)], found[first]
        density = np.where(before > ATOM * here, here, before)  # an atom before it, as of no claim, is no density
        return np.asarray(sums[first] + some - (place + 0.5 - first) * density)

    def law(self, rounding: Rounding, theta: float) -> tuple[Float, float]:
        """Probabilities of the sums of a period without a claim of ``most``, and that of a period with one."""
        masses = self.masses(rounding)
        gone = [above(np.array([self.most])) for above in self.of.above]
        some = -math.expm1(float(self.of.frequencies.log_pgf(gone)[0]))
        k = np.arange(masses[0].size)
        weight = np.exp(theta * k * self.step)
        transforms = [np.fft.rfft(f * weight, self.points) for f in masses]
        log_g = self.of.frequencies.log_pgf([1.0 - t for t in transforms])
        scale = float(log_g[0].real)
        found = np.fft.irfft(np.exp(log_g - scale), self.points)
        at = np.arange(self.points) * self.step
        return np.exp(scale - theta * at) * np.maximum(found, 0.0), some

    def saddle_point(self, at: float, rounding: Rounding = "nearest") -> tuple[float, float]:
        """The tilt, at least 0, that makes a sum of ``at`` the usual one, and Chernoff's bound of reaching it."""
        from scipy import optimize

        masses = self.masses(rounding)
        k = np.arange(masses[0].size) * self.step

        def bound(exponent: float) -> float:
            with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
                weight = np.exp(exponent / self.most * k)
                missing = [np.array([1.0 - float(f @ weight)]) for f in masses]
                value = float(self.of.frequencies.log_pgf(missing)[0]) - exponent * at / self.most
            return value if math.isfinite(value) else 1e300

        tried = np.concatenate([[0.0], np.geomspace(1e-2, MOST_TILT, 40)])
        i = int(np.argmin([bound(exponent) for exponent in tried]))
        ends = (tried[max(i - 1, 0)], tried[min(i + 1, tried.size - 1)])
        found: Any = optimize.minimize_scalar(bound, bounds=ends, method="bounded", options={"xatol": 1e-3})
        best = float(found.x) if found.fun < bound(tried[i]) else float(tried[i])
        return best / self.most, math.exp(min(0.0, bound(best)))

    def tilt(self) -> tuple[float, float, float]:
        """The tilt, what of the sum is beyond the end of the grid, and what that adds to all probabilities; bounds.

        What is beyond the end comes back at the beginning, ``exp(theta end)`` times as likely as it is. The tilt is
        that of the saddle point, or as much of it as keeps this far below the probability of the largest sum.
        """
        end = self.step * self.points
        theta, likely = self.saddle_point(self.most)
        beyond = max(self.saddle_point(end, "up")[1], 1e-300)
        room = math.log(ALIASED * max(likely, 1e-280)) - math.log(beyond)
        theta = max(0.0, min(theta, room / end))
        return theta, beyond, beyond * math.exp(min(theta * end, 690.0))


def tails_of(loss: CompoundLoss, thresholds: Sequence[float], points: int = POINTS) -> list[Tail] | None:
    """``P(loss >= x)`` for each of ``thresholds`` with bounds; None where the loss is no sum of its claims."""
    of = sum_of(loss)
    if of is None:
        return None
    at = np.array([of.to_sum(x) for x in thresholds])
    proper = np.isfinite(at) & (at > 0.0)
    out = [Tail(0.0, 0.0, 0.0) if a == math.inf else Tail(1.0, 1.0, 1.0) for a in at]
    if proper.any():
        try:
            grid = Grid.fitting(of, float(at[proper].max()), points)
            theta, beyond, aliased = grid.tilt()
            each = {way: grid.tails(at[proper], way, theta) for way in ROUNDINGS}
        except FieldError:  # a law of counts with too many values
            return None
        for i, row in enumerate(np.flatnonzero(proper)):
            low, high = max(0.0, each["down"][i] - aliased), min(1.0, each["up"][i] + beyond)
            out[row] = Tail(float(each["nearest"][i]), float(low), float(high))
    return out

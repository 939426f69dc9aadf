"""The scenarios of an event: its likeliest point, and likeliest point, medoid and mean of each mode."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from raresim.distributions.base import Inputs
from raresim.measures.conditional import Given, Moments
from raresim.measures.modes import Labels, Modes, Prices, find_modes, find_points
from raresim.numerics.arrays import Bool, Float
from raresim.search.design_points import DesignPoint


@dataclass(frozen=True, eq=False)
class Scenario:
    """One point of the event, or the mean of a part of it.

    Parameters
    ----------
    name : str
        Name in the table.
    mode : int
        Number of the mode, from 1, by falling share of the event's probability.
    x : (d,) float64
        The risk factors.
    loss : float or None
        Loss at this point; None where it is unknown.
    radius : float or None
        Distance from the origin of standard normal space; None where it is not known.
    how : str
        What the point is, in words.
    """

    name: str
    mode: int
    x: Float
    loss: float | None
    radius: float | None
    how: str

    @property
    def column(self) -> str:
        """Its name as the head of a column."""
        return self.name.replace(" ", "_")


@dataclass(frozen=True, eq=False)
class Found:
    """The scenarios of an event, the likeliest first, with the shares of its modes.

    Parameters
    ----------
    given : Given
        The rows of the event.
    prices : Prices
        Evaluates further losses.
    modes : Modes
        What the climbs found.
    shares : Moments
        Share of the event's probability of each mode that is shown, then of the other modes together, if any.
    scenarios : tuple of Scenario
        In the order of the table.
    """

    given: Given
    prices: Prices
    modes: Modes
    shares: Moments
    scenarios: tuple[Scenario, ...]

    @property
    def inputs(self) -> Inputs:
        """The law of the risk factors."""
        return self.prices.inputs

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the factors: their own, or x1, x2, ..."""
        return self.inputs.names or tuple(f"x{j + 1}" for j in range(self.inputs.dim))

    @classmethod
    def of(cls, given: Given, prices: Prices, most: int) -> Found:
        """Search for modes, and choose scenarios of at most ``most`` of them."""
        sample, inside = given.sample, given.inside
        weight = given.weight[inside]
        if prices.explorer.session.problem.space == "standard":
            modes = find_modes(prices, given.threshold, sample.u[inside], weight)
            radius = np.linalg.norm(sample.u, axis=1)
        else:
            modes = find_points(prices, given.threshold, len(weight))
            radius = None
        mass = np.bincount(modes.label, weight, modes.count)
        order = np.argsort(-mass, kind="stable")[: np.count_nonzero(mass)]
        shown = min(len(order), most)
        place = np.full(modes.count, shown, dtype=np.intp)
        place[order[:shown]] = np.arange(shown)
        rank = np.full(len(inside), -1, dtype=np.intp)
        rank[inside] = place[modes.label]
        nearest: dict[int, DesignPoint] = {}
        for point, mode in sorted(zip(modes.points, modes.mode, strict=True), key=lambda pair: pair[0].beta):
            nearest.setdefault(int(place[mode]), point)
        shares = given.shares(rank, shown + (len(order) > shown))
        return cls(given, prices, modes, shares, _Choice(given, prices, rank, radius, nearest).scenarios(shown))


@dataclass(frozen=True, eq=False)
class _Choice:
    """Chooses scenarios of modes.

    Parameters
    ----------
    given : Given
        The rows.
    prices : Prices
        Evaluates further losses.
    rank : (k,) int
        The mode of each kept row, from 0 by falling share; -1 outside the event.
    radius : (k,) float64 or None
        Distance of each kept row from the origin of standard normal space; None where it is unknown.
    nearest : dict
        For each mode that has a design point, the one nearest to the origin.
    """

    given: Given
    prices: Prices
    rank: Labels
    radius: Float | None
    nearest: dict[int, DesignPoint]

    def scenarios(self, count: int) -> tuple[Scenario, ...]:
        """The most likely scenario; for each mode its likeliest point (if another), its medoid and its mean."""
        likeliest = [self._likeliest(k) for k in range(count)]
        first = min(likeliest, key=lambda s: math.inf if s.radius is None else s.radius)
        chosen = [replace(first, name="most likely")]
        for k, own in enumerate(likeliest):
            chosen += [own] if own is not first else []
            chosen += self._typical(k)
        return tuple(chosen)

    def _likeliest(self, k: int) -> Scenario:
        """The design point of a mode, or its densest draw if there is no design point or the draw is denser."""
        name, rows = f"mode {k + 1} likeliest", np.flatnonzero(self.rank == k)
        sample, point = self.given.sample, self.nearest.get(k)
        far = sample.loss if self.radius is None else self.radius
        row = int(rows[far[rows].argmin()])
        if point is not None and (self.radius is None or point.beta <= self.radius[row] + 1e-9):
            how = f"on the boundary, no design point: {point.note}" if point.note else "design point"
            return Scenario(name, k + 1, self.prices.factors(point.u[None])[0], point.loss, point.beta, how)
        how = "the draw with the smallest loss" if self.radius is None else "the densest draw"
        return self._draw(name, k, row, how)

    def _typical(self, k: int) -> list[Scenario]:
        """The medoid of a mode, which is the draw nearest to its mean in squared distance, and the mean itself."""
        rows: Bool = self.rank == k
        sample = self.given.sample
        weight = sample.weight[rows] / sample.weight[rows].sum()
        space = _scaled(sample.x[rows], weight) if self.radius is None else sample.u[rows]
        medoid = np.flatnonzero(rows)[np.square(space - weight @ space).sum(axis=1).argmin()]
        mean = weight @ sample.x[rows]
        (loss,) = self.prices.known(mean[None])
        return [
            self._draw(f"mode {k + 1} draw", k, int(medoid), "the medoid of its draws"),
            Scenario(f"mode {k + 1} mean", k + 1, mean, loss, None, "the weighted mean of its draws"),
        ]

    def _draw(self, name: str, k: int, row: int, how: str) -> Scenario:
        sample = self.given.sample
        radius = None if self.radius is None else float(self.radius[row])
        return Scenario(name, k + 1, sample.x[row], float(sample.loss[row]), radius, how)


def _scaled(x: Float, weight: Float) -> Float:
    """Columns of ``x`` (k, d) in their own standard deviations."""
    std = np.sqrt(weight @ np.square(x - weight @ x))
    scaled: Float = x / np.where(std > 0, std, 1.0)
    return scaled

"""The canary for a wrong density: the run's draws and weights estimate probabilities that are known."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from raresim.diagnostics.ess import effective, effective_of_logs
from raresim.distributions.base import Distribution
from raresim.distributions.binned_ratio import BinnedRatio
from raresim.engine.fold import Sampler
from raresim.numerics.arrays import Float
from raresim.numerics.blocks import Block
from raresim.numerics.streams import stream

Inside = np.ndarray[tuple[int], np.dtype[np.bool_]]
Whole = np.ndarray[tuple[int, ...], np.dtype[np.int64]]

LEAST_DRAWS, MOST_DRAWS, MOST_WORK = 2_000, 28_000, 20_000_000
"""Draws of the proposal are between the first two; draws times coordinates times components are below the third."""

AGAIN = 10
"""Work that a second attempt may take, in multiples of the first, where the first could not tell."""

LOOKED_AT = 8_000
"""Draws of all components together by which their regions are placed; at least a hundred of each."""

REGIONS = 64
"""Largest number of components that get a region, by falling share: with more, each would have too few draws."""

EVEN, LEAST, EACH = 0.25, 3, 40.0
"""A region is kept if the effective number of the first draws in it is at least the first share of their number, with
at least as many draws as the second, or is at least the third."""

BESIDE = 0.2
"""A region is left out if its effective number of draws is below this share of the best region's: the mean over all
regions is only as exact as the worst of them."""

EVENLY = 1.5
"""Width of a window of the log density ratio, in nats."""

ENOUGH, MOST_SHARE = 60.0, 0.06
"""Effective number of draws that all regions must have, and largest share that one draw may have, for a known error."""


@dataclass(frozen=True, eq=False)
class Region:
    """A cylinder about an axis through the origin, cut off at both ends, of known probability under standard normals.

    Parameters
    ----------
    axis : (d,) float64
        A vector of length one.
    low, high : float
        Ends of the coordinate along the axis.
    radius : float
        Radius of the cylinder.
    """

    axis: Float
    low: float
    high: float
    radius: float

    @classmethod
    def around(cls, law: Distribution, rng: np.random.Generator, n: int) -> Region:
        """The region beyond the middle of ``law`` that holds nearly half of its draws, from ``n`` draws."""
        u = np.empty((n, law.dim), order="F")
        law.sample(rng, u)
        middle = u.mean(axis=0)
        distance = math.sqrt(float(middle @ middle))
        axis = middle / distance if distance > 0 else np.eye(law.dim)[0]
        along, across = _cylinder(u, axis)
        low, high = np.quantile(along, (0.5, 0.95))
        return cls(axis, float(low), float(high), float(np.quantile(across, 0.95)))

    def holds(self, u: Float) -> Inside:
        """Which rows of ``u`` (n, d) lie in it."""
        along, across = _cylinder(u, self.axis)
        inside: Inside = (along >= self.low) & (along < self.high)
        return inside & (across <= self.radius)

    @property
    def log_probability(self) -> float:
        """Log of the probability under standard normals, in nats."""
        from raresim.distributions.masses import log_chi_tail, log_normal_mass

        along = float(log_normal_mass(np.array([self.low]), np.array([self.high]))[0])
        if self.axis.size == 1:
            return along
        return along + float(log_chi_tail(self.axis.size - 1, np.array([self.radius]), upper=False)[0])


@dataclass(frozen=True, eq=False)
class Ring:
    """A range of the distance from the origin in some directions.

    Parameters
    ----------
    basis : (d, k) float64
        The directions, orthonormal.
    low, high : float
        Ends of the distance.
    """

    basis: Float
    low: float
    high: float

    @classmethod
    def around(cls, law: Distribution, basis: Float, rng: np.random.Generator, n: int) -> Ring:
        """The ring beyond the median distance that holds nearly half of the draws of ``law``, from ``n`` draws."""
        u = np.empty((n, law.dim), order="F")
        law.sample(rng, u)
        low, high = np.quantile(np.sqrt(np.square(u @ basis).sum(axis=1)), (0.5, 0.95))
        return cls(basis, float(low), float(high))

    def holds(self, u: Float) -> Inside:
        """Which rows of ``u`` (n, d) lie in it."""
        square = np.square(u @ self.basis).sum(axis=1)
        return np.asarray((square >= self.low**2) & (square < self.high**2))

    @property
    def log_probability(self) -> float:
        """Log of the probability under standard normals, in nats."""
        from raresim.distributions.masses import log_chi_mass

        return float(log_chi_mass(self.basis.shape[1], np.array([self.low]), np.array([self.high]))[0])


@dataclass(frozen=True, eq=False)
class Window:
    """A range of the log density ratio of a law to standard normals, rounded coordinate by coordinate.

    In many dimensions the weights of a law that tilts many coordinates are even in such a range and in no cylinder.

    Parameters
    ----------
    steps : (k, b) int64
        What each coordinate adds to the sum in each bin, in units of ``lattice``.
    low, high : int
        Ends of the sum of the steps.
    edges : (b - 1,) float64
        Where one bin ends and the next begins, the same for all coordinates.
    lattice : float
        Unit of the steps, in nats.
    basis : (d, k) float64, optional
        Orthonormal directions of the coordinates; without it, the coordinates are those of the draws.
    """

    steps: Whole
    low: int
    high: int
    edges: Float
    lattice: float
    basis: Float | None = None

    @classmethod
    def around(cls, law: Distribution, ratio: BinnedRatio, rng: np.random.Generator, n: int) -> Window:
        """The window from the middle of ``law`` on, from ``n`` draws, at most `EVENLY` nats wide."""
        steps = np.rint(ratio.steps / ratio.unit).astype(np.int64)
        window = cls(steps, 0, 0, ratio.edges, ratio.unit, ratio.basis)
        u = np.empty((n, law.dim), order="F")
        law.sample(rng, u)
        low, high = np.quantile(window.sums(u), (0.5, 0.95))
        most = math.floor(low) + int(EVENLY / window.lattice)
        return replace(window, low=math.floor(low), high=min(math.floor(high), most))

    def sums(self, u: Float) -> Whole:
        """For each row of ``u`` (n, d), the sum of the steps of its coordinates' bins."""
        along = u if self.basis is None else u @ self.basis
        total = np.zeros(len(u), np.int64)
        for steps, coordinate in zip(self.steps, along.T, strict=True):
            total += steps[np.searchsorted(self.edges, coordinate, side="right")]
        return total

    def holds(self, u: Float) -> Inside:
        """Which rows of ``u`` (n, d) lie in it."""
        sums = self.sums(u)
        return np.asarray((sums >= self.low) & (sums <= self.high))

    @property
    def log_probability(self) -> float:
        """Log of the probability under standard normals, in nats.

        Coordinates are tilted by their rounded steps, which makes the window likely: the law of the sum is then a
        convolution of bulks, not tails, and the tilt is undone exactly.
        """
        from raresim.distributions.masses import log_normal_mass

        ends = np.concatenate([[-math.inf], self.edges, [math.inf]])
        log_width = log_normal_mass(ends[:-1], ends[1:])
        tilted = log_width + self.lattice * self.steps
        log_mass = np.logaddexp.reduce(tilted, axis=1)
        least, most = self.steps.min(axis=1), self.steps.max(axis=1)
        size = int((most - least).sum()) + 1
        spectrum = np.ones(size // 2 + 1, dtype=np.complex128)
        different, times = np.unique(self.steps, axis=0, return_counts=True)
        for row, many in zip(different, times, strict=True):
            share = log_width + self.lattice * row
            share = np.exp(share - share.max())
            places = np.bincount(row - row.min(), share / share.sum(), minlength=size)
            spectrum *= np.fft.rfft(places) ** int(many)
        law = np.fft.irfft(spectrum, size)
        sums = np.arange(self.low, self.high + 1)
        held = np.maximum(law[sums - int(least.sum())], 0.0)
        back = float(np.log(held @ np.exp(-self.lattice * (sums - self.low))))
        return float(log_mass.sum()) + back - self.lattice * self.low


@dataclass(frozen=True)
class Canary:
    """The estimates, from the run's draws, of regions whose probability is known.

    Parameters
    ----------
    draws : int
        Draws of the proposal.
    regions : int
        Number of the components' regions with enough draws.
    z : float or None
        Distance from 1, in standard errors, of the mean of the regions' estimates, each divided by its probability;
        None where there is no region.
    ratio : float or None
        That mean: close to 1 where draws, densities and weights fit each other.
    """

    draws: int
    regions: int
    z: float | None
    ratio: float | None


def canary(sampler: Sampler, stage: int) -> Canary:
    """Estimate the probability of regions around the proposal's components, in standard normal space.

    Parameters
    ----------
    sampler : Sampler
        The sampler with the proposal of the run; its loss is not called.
    stage : int
        Stage of the draws.

    Notes
    -----
    A density that is wrong by a factor makes every weight and every estimate wrong by it, and no diagnostic of the
    weights can show that. A region of known probability can. Half-spaces through the components' means would be enough
    if the proposal were as wide as the target across them; where it is narrower, their weights have no variance, so the
    regions end where the component does.

    A quarter of the draws decides which regions have enough draws, and the others estimate these regions. Each draw has
    a score: the mean over the regions of its weight there, divided by the region's probability. Scores are independent
    and have the mean one. Where no region has enough draws, a second attempt takes more of them.
    """
    proposal = sampler.proposal
    if proposal is None:
        raise ValueError("draws of the target have no weights to test")
    work = proposal.dim * len(proposal.parts[1])
    n = max(LEAST_DRAWS, min(MOST_DRAWS, MOST_WORK // work))
    found = _canary(sampler, proposal, stage, n, 0)
    more = min(MOST_DRAWS, AGAIN * MOST_WORK // work)
    return found if found.z is not None or more <= n else _canary(sampler, proposal, stage, more, 2)


def _canary(sampler: Sampler, proposal: Distribution, stage: int, n: int, index: int) -> Canary:
    """From ``n`` draws, in block ``index`` of the stage and the next one."""
    shares, laws = proposal.parts
    largest = np.argsort(-shares, kind="stable")[:REGIONS]
    (rng,) = stream(sampler.seed, stage, index).spawn(1)
    looked_at = max(100, LOOKED_AT // largest.size)
    regions = [_around(laws[k], rng, looked_at) for k in largest]
    first, second = Block(stage, index, 0, n // 4), Block(stage, index + 1, n // 4, n - n // 4)
    u = sampler.draw(first)
    log_weight = sampler.log_weight(u)
    worth = np.array([effective_of_logs(log_weight[region.holds(u)]) for region in regions])
    enough = np.minimum(EACH, BESIDE * worth.max(initial=0.0))
    kept = [
        region
        for region, of_region in zip(regions, worth.tolist(), strict=True)
        if of_region >= enough and _even(log_weight[region.holds(u)])
    ]
    u = sampler.draw(second)
    return _compared(u, sampler.log_weight(u), kept)


def _around(law: Distribution, rng: np.random.Generator, n: int) -> Region | Ring | Window:
    """The region around ``law``, from ``n`` draws, whose probability is known and in which its weights are even."""
    if (basis := law.radial) is not None:
        return Ring.around(law, basis, rng, n)
    if (ratio := law.binned_ratio()) is not None:
        return Window.around(law, ratio, rng, n)
    return Region.around(law, rng, n)


def _compared(u: Float, log_weight: Float, regions: Sequence[Region | Ring | Window]) -> Canary:
    judged, score = len(regions), np.zeros(u.shape[0])
    for region in regions:
        inside = region.holds(u)
        score[inside] += np.exp(log_weight[inside] - region.log_probability)
    if effective(score) < ENOUGH or score.max() > MOST_SHARE * score.sum():
        return Canary(score.size, 0, None, None)
    score /= judged
    error = float(score.std(ddof=1)) / math.sqrt(score.size)
    ratio = float(score.mean())
    return Canary(score.size, judged, (ratio - 1.0) / error, ratio)


def _even(log_weight: Float) -> bool:
    """Whether the weights of a region's draws are even enough for the spread of other draws to give the error."""
    worth = effective_of_logs(log_weight)
    return worth >= EACH or (log_weight.size >= LEAST and worth >= EVEN * log_weight.size)


def _cylinder(u: Float, axis: Float) -> tuple[Float, Float]:
    """Coordinates (n,) along ``axis``, and distances (n,) from it."""
    along = u @ axis
    return along, np.sqrt(np.maximum(np.square(u).sum(axis=1) - np.square(along), 0.0))

"""The candidates of `auto`: laws fitted to the draws of a search beyond a level, by mixtures and by tilts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from raresim.diagnostics.ess import effective
from raresim.distributions.base import Distribution, log_density
from raresim.distributions.low_rank_normal import LowRankNormal
from raresim.methods.auto_regions import Known, part_at, side_of
from raresim.numerics.arrays import Float, Index
from raresim.proposals.histogram_tilt import HistogramTilting
from raresim.search.archive import Archive
from raresim.search.blend import Candidate
from raresim.search.fitting import WIDE, Fit, Part, capped, em, fit_mixture, mixed, radial
from raresim.search.quadratic import fit_quadratic, tilted_together
from raresim.search.ridge import ridge_direction
from raresim.search.walks import AXES

BATCH = 200
"""Draws of a level, in up to ten dimensions; ten more for each further one, up to `MOST_EXTRA` of them."""

MOST_EXTRA = 40

LEAST_NEAR, NEAR_PER_TERM = 300, 4
"""Draws for the fit of a quadratic: the smallest number, and the number per term."""

SIMULATED, SIMULATIONS, SIMULATED_ESS = 3000, 3, 50.0
"""Draws of the event of a quadratic, largest number of such batches, and their smallest effective number."""

MOST_TILTS = 6
"""Regions that get a tilt by a quadratic of their own: those with the most mass."""

TILTED = 20
"""Number of coordinates from which one tilt of all coordinates is a candidate."""

RADIAL_NATS = 1.0
"""Nats of cross-entropy by which a law of the radius alone may be worse at first and still be a candidate."""

MOST_BEGUN = 24
"""Components from which fits start: those of the nearest points."""


def batch_size(dim: int) -> int:
    """Draws of a level in ``dim`` dimensions."""
    return BATCH + 10 * min(max(0, dim - 10), MOST_EXTRA)


@dataclass(eq=False)
class Fits:
    """Fits candidates to the draws of an archive.

    Parameters
    ----------
    archive : Archive
        The draws so far.
    known : Known
        Regions of the event.
    at_least : int
        Limit states that fail together in the event, if the loss has limit states.
    single : bool
        Whether the final draws are made one by one: some laws cannot be drawn from by a net.
    rng : Generator
        Makes the draws that a quadratic simulates.
    begin : list of Part
        Components from which the fits of mixtures begin.
    """

    archive: Archive
    known: Known
    at_least: int
    single: bool
    rng: np.random.Generator
    begin: list[Part] = field(default_factory=list)
    tilt: HistogramTilting = field(default_factory=HistogramTilting)

    @property
    def target(self) -> Distribution:
        return self.archive.target

    @property
    def dim(self) -> int:
        return self.archive.target.dim

    def beyond(self, level: float, simulate: bool = False) -> list[Candidate]:
        """Candidates for the law of the target beyond ``level``."""
        archive, d = self.archive, self.dim
        elite = archive.loss >= level
        u, weight = archive.u[elite], np.exp(archive.log_weight[elite])
        begin: list[Sequence[Part]] = [sorted(self.begin, key=lambda part: part.rate)[:MOST_BEGUN]]
        if d > 10:
            recent = slice(max(0, archive.size - max(3 * batch_size(d), 4 * d)), None)
            direction = ridge_direction(archive.u[recent], archive.loss[recent])
            if direction is not None:
                along = float(capped(weight) @ (u @ direction))
                if abs(along) > 0.5:
                    begin.append([part_at(along * direction, 1.0)])
        fits = {"pooled variances": fit_mixture(u, weight, "pooled", self.rng, begin)}
        if 2 < d <= WIDE:
            fits["free variances"] = fit_mixture(u, weight, "unit", self.rng, begin)
        if simulate and 2 < d <= AXES:
            simulated = self.simulated(level, min(fits.values(), key=lambda fit: fit.bic))
            if simulated is not None:
                fits["by a quadratic"] = simulated
        candidates = [Candidate(name, f.law(), f.broad(), len(f.parts)) for name, f in fits.items()]
        if simulate and 2 < d <= AXES:
            candidates += self.tilted(level)
        if d > 1 and self.single:
            law, broad = radial(u, weight)
            logs = log_density(law, u)
            best = max(float(capped(weight) @ log_density(c.law, u)) for c in candidates)
            if float(capped(weight) @ logs) > best - RADIAL_NATS:
                candidates.append(Candidate("all directions alike", law, broad))
        if d >= TILTED and self.single:
            stats = self.tilt.suffstats(self.target, np.asfortranarray(u), capped(weight))
            candidates.append(Candidate("tilt of all coordinates", self.tilt.fit(self.target, stats)))
        return candidates

    def simulated(self, level: float, fit: Fit) -> Fit | None:
        """``fit`` repeated with draws that a quadratic places in the event; None if the quadratic does not serve.

        The quadratic is fitted to the draws that are most likely under ``fit``, on both sides of the level. Its event
        can be drawn from as often as a covariance needs.
        """
        archive, target = self.archive, self.target
        near = np.argsort(-log_density(fit.broad(), archive.u), kind="stable")
        near = near[: self.enough_near]
        quadratic = fit_quadratic(archive.u[near], archive.loss[near] - level)
        if quadratic is None:
            return None
        parts = [replace(part, anchor=None, frame=None) for part in fit.parts]
        law, broad = fit.law(), fit.broad()
        for _ in range(SIMULATIONS):
            drawn = mixed([0.7, 0.3], [law, broad])
            u = np.empty((SIMULATED, self.dim), order="F")
            drawn.sample(self.rng, u)
            u = u[quadratic(u) >= 0.0]
            weight = np.exp(log_density(target, u) - log_density(drawn, u))
            if effective(weight) < SIMULATED_ESS:
                return None
            fit = em(u, capped(weight), parts, "pooled")
            parts, law, broad = list(fit.parts), fit.law(), fit.broad()
        return fit

    def tilted(self, level: float) -> list[Candidate]:
        """The target tilted by a quadratic, fitted to the draws whose losses are nearest to ``level``.

        If several regions are known, also a mixture of such tilts, each fitted on the side of a region; if the loss has
        limit states, one for each choice of them that fails together.
        """
        laws = {"tilt by a quadratic": [(1.0, self.tilt_from(self.near(self.archive.loss, level), level))]}
        if self.archive.states is not None:
            laws["tilts by limit states"] = self.tilts_of_states(level)
        elif len(self.known.regions) > 1:
            laws["tilts by quadratics"] = self.tilts_of_regions(level)
        made = []
        for name, each in laws.items():
            there = [(share, law) for share, law in each if law is not None]
            if there:
                shares, tilts = [share for share, _ in there], [law for _, law in there]
                made.append(Candidate(name, mixed(shares, tilts), mixed(shares, [_no_narrower(t) for t in tilts])))
        return made

    def near(self, loss: Float, level: float, among: Index | None = None) -> Index:
        """Rows of the archive, among ``among`` if given, whose ``loss`` (n,) is nearest to ``level``."""
        rows = np.arange(loss.size) if among is None else among
        return rows[np.argsort(np.abs(loss[rows] - level), kind="stable")[: self.enough_near]]

    @property
    def enough_near(self) -> int:
        """Number of draws for the fit of a quadratic."""
        return max(LEAST_NEAR, NEAR_PER_TERM * (self.dim + 1) * (self.dim + 2) // 2)

    def tilt_from(self, rows: Index, level: float) -> LowRankNormal | None:
        """The target tilted by the quadratic that these rows of the archive show."""
        archive = self.archive
        quadratic = fit_quadratic(archive.u[rows], archive.loss[rows] - level)
        return None if quadratic is None else quadratic.tilted()

    def tilts_of_regions(self, level: float) -> list[tuple[float, LowRankNormal | None]]:
        """A tilt for each of the regions with the most mass, from the draws on its side."""
        archive = self.archive
        points = np.array([region.point for region in self.known.regions])
        side, failing = side_of(archive.u, points), archive.loss >= level
        mass = np.bincount(side[failing], capped(np.exp(archive.log_weight[failing])), minlength=len(points))
        largest = [k for k in np.argsort(-mass, kind="stable")[:MOST_TILTS] if mass[k] > 0.0]
        return [
            (float(mass[k]), self.tilt_from(self.near(archive.loss, level, np.flatnonzero(side == k)), level))
            for k in largest
        ]

    def tilts_of_states(self, level: float) -> list[tuple[float, LowRankNormal | None]]:
        """A tilt for each choice of limit states that fail together in the draws with the most mass."""
        archive, least = self.archive, self.at_least
        states = archive.states
        if states is None:
            return []
        failing = np.flatnonzero(archive.loss >= level)
        weight = capped(np.exp(archive.log_weight[failing]))
        sizes = np.maximum(np.median(np.abs(states - level), axis=0), 1e-300)
        highest = np.sort(np.argsort(-(states[failing] - level) / sizes, axis=1, kind="stable")[:, :least], axis=1)
        choices, number = np.unique(highest, axis=0, return_inverse=True)
        mass = np.bincount(number.reshape(-1), weight, minlength=len(choices))
        largest = np.argsort(-mass, kind="stable")[:MOST_TILTS]
        fitted = {}
        for k in np.unique(choices[largest]):
            rows = self.near(states[:, k], level)
            if (quadratic := fit_quadratic(archive.u[rows], states[rows, k] - level)) is not None:
                fitted[k] = quadratic
        return [
            (float(mass[c]), tilted_together([fitted[k] for k in choices[c]]))
            for c in largest
            if all(k in fitted for k in choices[c])
        ]


def _no_narrower(law: LowRankNormal) -> LowRankNormal:
    """``law``, widened to be nowhere narrower than the target."""
    return replace(law, variances=np.maximum(law.variances, 1.0))

"""The exponential twist of any law without a heavy tail: its moment generating function, and draws of the twisted law.

The law is looked at in the standard normal score ``u`` of its values ``x(u)``: cells of ``u`` have masses of
``exp(theta x(u)) phi(u)``, by quadrature. A draw takes a cell by its mass, and a score in it by rejection: it has the
twisted law exactly, and no closed form is needed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from raresim.marginals.base import U_MAX, Marginal
from raresim.numerics import normal_scores
from raresim.numerics.arrays import Float

WIDTH, NODES = 0.1, 10
"""Width of a cell of scores, and points of the quadrature in it."""

END = 37.0
"""Score of the last end of a cell, inside of the tables of all laws (`raresim.marginals.base.U_MAX`)."""

BEYOND = 1e-13
"""Share of the mass in the last cells from which a moment generating function counts as infinite."""

MIDDLE = 18.0
"""Score at which the rate of a tail is compared with that at its end: log probabilities -165 and -688."""

FALLING = 0.97
"""Rate at the end over that in the middle below which a tail is heavy. A Weibull law of shape 0.9 has 0.85; a gamma law
of shape 0.1, whose tail is exponential, 0.996."""


class Grid(NamedTuple):
    """The cells of a law: ends of their scores and values there (k + 1,), values at the points of the quadrature and
    logs of their weights (k, m); of a discrete law the atoms (1, m) and their log probabilities."""

    ends: Float
    at_ends: Float
    x: Float
    log_weight: Float


@dataclass(frozen=True, eq=False)
class Twistable:
    """A law of numbers that are not negative, to be twisted.

    Parameters
    ----------
    law : Marginal
        The law; a discrete one has a table of atoms.
    """

    law: Marginal

    @cached_property
    def grid(self) -> Grid:
        """Cells of scores; of a discrete law, its atoms."""
        if self.law.discrete:
            atoms = np.asarray(getattr(self.law, "atoms"))  # noqa: B009
            log_p = self.law.logpdf(atoms)
            return Grid(np.empty(0), atoms, atoms[None, :], log_p[None, :])
        ends = np.linspace(-END, END, round(2.0 * END / WIDTH) + 1)
        nodes, weights = np.polynomial.legendre.leggauss(NODES)
        u = ends[:-1, None] + 0.5 * WIDTH * (nodes + 1.0)
        log_weight = np.log(0.5 * WIDTH * weights / math.sqrt(2.0 * math.pi)) - 0.5 * u * u
        return Grid(ends, self.values(ends), self.values(u.ravel()).reshape(u.shape), log_weight)

    def values(self, u: Float) -> Float:
        """Values of the law at scores ``u`` (n,)."""
        out = np.empty(u.size)
        self.law.from_normal(u, out)
        return out

    @cached_property
    def is_heavy(self) -> bool:
        """Whether its tail falls more slowly than any exponential function: it has no exponential moment."""
        if self.law.discrete:
            return False
        u = np.array([MIDDLE, MIDDLE + 0.5, END - 0.5, END])
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            x = self.values(u)
            rate = np.diff(-normal_scores.log_tail(u))[::2] / np.diff(x)[::2]
        return not (np.isfinite(x).all() and rate[1] >= FALLING * rate[0]) and self.law.support[1] == math.inf

    @cached_property
    def known(self) -> tuple[dict[float, float], dict[float, TwistedLaw]]:
        """Log means and twisted laws so far, by the twist: each run of a model asks for the same ones."""
        return {}, {}

    def log_mean(self, theta: float) -> float:
        """``log E exp(theta X)``; infinite where there is no such mean."""
        means, _ = self.known
        if theta not in means:
            means[theta] = self._log_mean(theta)
        return means[theta]

    def _log_mean(self, theta: float) -> float:
        from scipy import special

        with np.errstate(over="ignore", invalid="ignore"):
            log_mass = self.log_masses(theta)
        if np.isnan(log_mass).any() or (log_mass == np.inf).any():
            return math.inf
        total = float(special.logsumexp(log_mass))
        if theta > 0 and not self.law.discrete and math.exp(float(log_mass[-1]) - total) > BEYOND:
            return math.inf
        return total

    def log_masses(self, theta: float) -> Float:
        """Of each cell, or atom, under the twist, not normalised, (k,)."""
        from scipy import special

        log_mass = theta * self.grid.x + self.grid.log_weight
        return log_mass[0] if self.law.discrete else np.asarray(special.logsumexp(log_mass, axis=1))

    def largest(self) -> float:
        """A twist with a finite mean, half of which still has one twice as far from 0: where a search may begin."""
        theta = 1.0 / max(self.law.moments().mean, 1e-300)
        while not math.isfinite(self.log_mean(theta)):
            theta *= 0.5
        return theta

    def twisted(self, theta: float) -> TwistedLaw:
        """The law with the density ratio ``exp(theta x - log E exp(theta X))``."""
        _, laws = self.known
        return laws.setdefault(theta, TwistedLaw(self, theta))


@dataclass(frozen=True, eq=False)
class TwistedLaw:
    """A law of standard normal scores whose values are twisted.

    Parameters
    ----------
    plain : Twistable
        The law.
    theta : float
        The twist, over the unit of the values.
    """

    plain: Twistable
    theta: float

    @cached_property
    def upto(self) -> Float:
        """Probabilities of the cells, or atoms, cumulated."""
        log_mass = self.plain.log_masses(self.theta)
        p = np.exp(log_mass - log_mass.max())
        return np.asarray(np.cumsum(p) / p.sum())

    def sample(self, rng: np.random.Generator, n: int) -> Float:
        """Standard normal scores (n,) of independent draws; the stream is advanced in place."""
        if self.plain.law.discrete:
            return self._of_atoms(rng, n)
        cell = np.minimum(np.searchsorted(self.upto, rng.random(n), side="right"), self.upto.size - 1)
        out, left = np.empty(n), np.arange(n)
        ends, at_ends, _, _ = self.plain.grid
        low, high = ends[:-1], ends[1:]
        most = np.maximum(self.theta * at_ends[:-1], self.theta * at_ends[1:])
        most = most - 0.5 * np.where(low >= 0, low, np.where(high <= 0, high, 0.0)) ** 2
        while left.size:
            u = low[cell[left]] + WIDTH * rng.random(left.size)
            log_density = self.theta * self.plain.values(u) - 0.5 * u * u
            taken = np.log(rng.random(left.size)) < log_density - most[cell[left]]
            out[left[taken]] = u[taken]
            left = left[~taken]
        return out

    def _of_atoms(self, rng: np.random.Generator, n: int) -> Float:
        """Scores between those at which the map steps to an atom and to the next."""
        law, atoms = self.plain.law, self.plain.grid.at_ends
        place = np.minimum(np.searchsorted(self.upto, rng.random(n), side="right"), atoms.size - 1)
        share = rng.random(n)
        p = np.exp(law.logpdf(atoms))
        below, above = np.append(0.0, law.cdf(atoms)[:-1]), law.sf(atoms)
        with np.errstate(divide="ignore"):
            log_p = np.log(below[place] + share * p[place])
            log_q = np.log(above[place] + (1.0 - share) * p[place])
        out = np.empty(n)
        normal_scores.from_log_probabilities(log_p, log_q, out)
        return np.asarray(np.clip(out, -U_MAX, U_MAX))

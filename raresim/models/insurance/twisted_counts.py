"""Factors of a compound model whose numbers of claims are twisted exponentially with the sum of its claims."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar

import numpy as np

from raresim.errors import FieldError
from raresim.marginals.base import Marginal
from raresim.marginals.finite import Finite
from raresim.marginals.negative_binomial import NegativeBinomial
from raresim.marginals.poisson import Poisson
from raresim.models.insurance.biased_factors import choices_of
from raresim.models.insurance.compound_factors import CompoundFactors
from raresim.models.insurance.compound_scheme import SchemeFactors
from raresim.models.insurance.frequencies import Frequencies
from raresim.models.own_risk import Places, seeds
from raresim.numerics.arrays import Float

LEAST_LOG = -700.0
"""Log probabilities, relative to the largest of a law, below which an atom is left out: it is not drawn in any run."""


def twisted_law(law: Marginal, log_m: float) -> Marginal:
    """The law ``P(N = k) m^k / E m^N`` of a number of claims, with ``m = exp(log_m)``.

    Raises
    ------
    FieldError
        When ``E m^N`` is infinite.
    """
    if law.kind == "poisson":
        return Poisson(mu=law.moments().mean * math.exp(log_m))
    if law.kind == "negative_binomial":
        n, p = float(getattr(law, "n")), float(getattr(law, "p"))  # noqa: B009
        return NegativeBinomial(n=n, p=1.0 - (1.0 - p) * math.exp(log_m))
    atoms = np.asarray(getattr(law, "atoms"))  # noqa: B009
    log_p = law.logpdf(atoms) + atoms * log_m
    log_p = log_p - log_p.max()
    kept = log_p > LEAST_LOG
    p = np.exp(log_p[kept])
    return Finite(values=atoms[kept].tolist(), probabilities=(p / p.sum()).tolist())


def is_twistable(law: Marginal) -> bool:
    """Whether `twisted_law` knows the law."""
    return law.kind in ("poisson", "negative_binomial") or getattr(law, "atoms", None) is not None


@dataclass(frozen=True, eq=False)
class TwistedNumbers:
    """The joint law of the numbers of claims, twisted.

    Parameters
    ----------
    frequencies : Frequencies
        The laws of lines and common events; the common factor keeps its law.
    factor : float
        What multiplies the common factor.
    """

    frequencies: Frequencies
    factor: float

    @classmethod
    def of(cls, plain: Frequencies, log_m: Float) -> TwistedNumbers:
        """The joint law ``P(N = k) prod m_i^k_i / E prod m_i^N_i`` with ``m_i = exp(log_m_i)`` (lines,).

        A gamma factor ``g`` of Poisson lines has the density ratio ``exp(g sum mean_i (m_i - 1))``, which multiplies it
        by a number. An event that brings claims to several lines is twisted by the product of theirs.
        """
        factor = 1.0
        if plain.mixing is not None:
            means = [line.frequency.moments().mean for line in plain.lines]
            grown = math.fsum(m * math.expm1(k) for m, k, mixed in zip(means, log_m, plain.mixed, strict=True) if mixed)
            factor = 1.0 / (1.0 - plain.mixing.std**2 * grown)
        lines = []
        for line, k, mixed in zip(plain.lines, log_m, plain.mixed, strict=True):
            lines.append(replace(line, frequency=twisted_law(line.frequency, k + math.log(factor) * mixed)))
        common = []
        for events in plain.common:
            k = math.fsum(k for line, k in zip(plain.lines, log_m, strict=True) if line.name in events.lines)
            common.append(replace(events, frequency=twisted_law(events.frequency, k)))
        return cls(Frequencies(tuple(lines), None, plain.mixing, tuple(common)), factor)


@dataclass(frozen=True, eq=False)
class TwistedCounts(SchemeFactors):
    """Factors of a compound model, for each row twisted for one of several aims.

    Parameters
    ----------
    plain : CompoundFactors
        Of the model, without a copula and period tables.
    numbers : tuple of TwistedNumbers
        For each aim.
    shares : (k,) float64
        Of the rows of each aim; with what is left, rows come from the model itself.
    """

    kind: ClassVar[str] = "twisted_compound_factors"

    plain: CompoundFactors
    numbers: tuple[TwistedNumbers, ...]
    shares: Float

    @cached_property
    def plain_share(self) -> float:
        """Of the rows that come from the model itself."""
        return 1.0 - float(self.shares.sum())

    def choices(self, x: Float) -> Places:
        """The aim that the seed of each row of ``x`` (n, d) chooses, (n,) int64; the number of aims for the model."""
        chosen = np.empty(len(x), np.int64)
        choices_of(seeds(x), np.append(np.cumsum(self.shares), 1.0), chosen)
        return chosen

    def to_physical(self, u: Float, x: Float) -> Float:
        self.plain.to_physical(u, x)
        of_u, of_x = self.plain.frequencies.latent_dim, len(self.plain.frequencies.names)
        chosen = self.choices(x)
        for j, law in enumerate(self.numbers):
            rows = np.flatnonzero(chosen == j)
            if rows.size:
                out = np.empty((rows.size, of_x), order="F")
                law.frequencies.to_physical(np.asfortranarray(u[rows, :of_u]), out)
                if law.frequencies.mixing is not None:
                    out[:, -1] *= law.factor
                x[rows, :of_x] = out
        return x

    def describe(self) -> list[str]:
        return [*self.plain.describe(), "numbers of claims are twisted towards a loss"]


def numbers_of(plain: Frequencies, log_m: Float) -> TwistedNumbers | None:
    """As `TwistedNumbers.of`; None where the twist does not exist."""
    try:
        return TwistedNumbers.of(plain, log_m)
    except (FieldError, ValueError, OverflowError):
        return None

"""Factors of a compound model of which one line has the number of claims biased by its size."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from raresim.marginals.base import Marginal
from raresim.marginals.finite import Finite
from raresim.marginals.negative_binomial import NegativeBinomial
from raresim.models.insurance.compound_factors import CompoundFactors
from raresim.models.insurance.compound_scheme import SchemeFactors
from raresim.models.own_risk import Places, mixed, seeds, word_of
from raresim.numerics.arrays import Float
from raresim.numerics.jit import kernel

ROUNDING = 1e-9
"""What shares may leave of one without a row being drawn for it."""


@dataclass(frozen=True, eq=False)
class SizeBiased:
    """The law ``k P(N = k) / E N`` of a number of claims.

    Parameters
    ----------
    law : Marginal
        Of ``N``.
    """

    law: Marginal

    @cached_property
    def _shifted(self) -> tuple[Marginal, float]:
        """A law, and what is added to it."""
        if self.law.kind == "poisson":
            return self.law, 1.0
        if self.law.kind == "negative_binomial":
            n, p = float(getattr(self.law, "n")), float(getattr(self.law, "p"))  # noqa: B009
            return NegativeBinomial(n=n + 1.0, p=p), 1.0
        atoms = np.asarray(getattr(self.law, "atoms"))  # noqa: B009
        mass = atoms * np.exp(self.law.logpdf(atoms))
        kept = mass > 0
        return Finite(values=atoms[kept].tolist(), probabilities=(mass[kept] / mass.sum()).tolist()), 0.0

    def from_normal(self, u: Float, out: Float) -> None:
        """Map standard normals ``u`` (n,) to draws in ``out`` (n,)."""
        law, shift = self._shifted
        law.from_normal(u, out)
        out += shift


@dataclass(frozen=True, eq=False)
class BiasedFactors(SchemeFactors):
    """Factors of a compound model of independent lines: the line of the row's largest claim has a size-biased number.

    Parameters
    ----------
    plain : CompoundFactors
        Of the model.
    shares : (k, lines) float64
        Of the choices, an aim and a line, that each row makes by its seed; with what is left, rows come from the model
        itself.
    """

    kind: ClassVar[str] = "biased_compound_factors"

    plain: CompoundFactors
    shares: Float

    @cached_property
    def biased(self) -> tuple[SizeBiased, ...] | None:
        """The laws of the lines; None where the numbers of claims depend on each other, and stay as they are."""
        if not self.plain.frequencies.are_independent:
            return None
        return tuple(SizeBiased(line.frequency) for line in self.plain.lines)

    def choices(self, x: Float) -> tuple[Places, Places]:
        """The aim and the line that the seed of each row of ``x`` (n, d) chooses, (n,) int64 each; -1 for the model."""
        chosen = np.empty(len(x), np.int64)
        choices_of(seeds(x), np.append(np.cumsum(self.shares.ravel()), 1.0), chosen)
        plain = chosen == self.shares.size
        aim, line = chosen // self.shares.shape[1], chosen % self.shares.shape[1]
        return np.where(plain, -1, aim), np.where(plain, -1, line)

    @property
    def plain_share(self) -> float:
        """Of the rows that come from the model itself."""
        left = 1.0 - float(self.shares.sum())
        return left if left > ROUNDING else 0.0

    def to_physical(self, u: Float, x: Float) -> Float:
        self.plain.to_physical(u, x)
        if self.biased is not None:
            line = self.choices(x)[1]
            for i, law in enumerate(self.biased):
                rows = np.flatnonzero(line == i)
                if rows.size:
                    out = np.empty(rows.size)
                    law.from_normal(u[rows, i], out)
                    x[rows, i] = out
        return x

    def describe(self) -> list[str]:
        return [*self.plain.describe(), "the line of the largest claim has its number of claims biased by its size"]


@kernel
def choices_of(own: Any, upto: Float, out: Places) -> None:
    """The first of the cumulated shares ``upto`` (k,) that a word of each generator ``own`` (n,) is below."""
    for i in range(own.shape[0]):
        v = float(mixed(word_of(own[i], 0) ^ np.uint64(0xA0761D6478BD642F)) >> np.uint64(11)) * 2.0**-53
        k = 0
        while k < upto.shape[0] - 1 and v >= upto[k]:
            k += 1
        out[i] = k

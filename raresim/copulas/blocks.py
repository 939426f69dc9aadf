"""Copulas side by side, independent of each other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from raresim.copulas.base import Copula
from raresim.copulas.clayton import Clayton
from raresim.copulas.independence import Independence
from raresim.copulas.t import T
from raresim.errors import FieldError
from raresim.numerics.arrays import Float
from raresim.registry import member


@member("copula")
@dataclass(frozen=True, kw_only=True, eq=False)
class Blocks(Copula):
    """Independent groups of coordinates, each with a copula of its own.

    Parameters
    ----------
    copulas : sequence of Copula
        Copulas in the order of the coordinates; the latent normals are in the same order.
    """

    kind: ClassVar[str] = "blocks"

    copulas: Sequence[Copula]
    dim: int = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not self.copulas:
            raise FieldError("copulas", "must have at least one entry, got none")
        object.__setattr__(self, "copulas", tuple(self.copulas))
        object.__setattr__(self, "dim", sum(c.dim for c in self.copulas))

    @property
    def latent_dim(self) -> int:
        return sum(c.latent_dim for c in self.copulas)

    def _parts(self) -> Iterator[tuple[Copula, slice, slice]]:
        """Each copula with the columns of its latent normals and of its scores."""
        first = start = 0
        for copula in self.copulas:
            yield copula, slice(first, first + copula.latent_dim), slice(start, start + copula.dim)
            first, start = first + copula.latent_dim, start + copula.dim

    def scores(self, u: Float, v: Float) -> None:
        for copula, latent, own in self._parts():
            copula.scores(u[:, latent], v[:, own])

    def logpdf(self, v: Float, out: Float) -> None:
        part = np.empty(out.shape)
        out[:] = 0.0
        for copula, _, own in self._parts():
            copula.logpdf(v[:, own], part)
            out += part

    def tail_dependence(self) -> tuple[Float, Float]:
        lower, upper = np.zeros((2, self.dim, self.dim))
        for copula, _, own in self._parts():
            lower[own, own], upper[own, own] = copula.tail_dependence()
        return lower, upper

    def kendall(self) -> Float:
        tau = np.zeros((self.dim, self.dim))
        for copula, _, own in self._parts():
            tau[own, own] = copula.kendall()
        return tau

    def describe(self) -> list[str]:
        lines = [f"{len(self.copulas)} independent groups, {self.dim} numbers"]
        for copula, _, own in self._parts():
            lines += [f"{own.start + 1} to {own.stop}: " + "; ".join(copula.describe())]
        return lines

    @staticmethod
    def examples() -> list[Blocks]:
        """Members for the conformance tests."""
        return [Blocks(copulas=[Clayton(theta=2.0, dim=2), Independence(dim=1), T(dof=5.0, rho=0.4, dim=2)])]

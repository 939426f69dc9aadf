"""The contract of a copula: how risk factors depend on each other, apart from the law of each.

A copula here maps independent standard normals to *dependent* ones, the normal scores: each is standard normal, and
together they have the copula. No probability near 1 is ever formed, so both tails are exact, and each marginal
maps its own score as it would map an independent normal.

To add one: a frozen dataclass in a file of its own in this folder, decorated with ``@member("copula")``, with a
``kind``, the methods below and ``examples()``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from raresim.numerics.arrays import Float


class Copula(ABC):
    """The dependence of ``dim`` coordinates."""

    kind: ClassVar[str]

    dim: int

    @property
    @abstractmethod
    def latent_dim(self) -> int:
        """Number of independent standard normals that `scores` takes."""

    @abstractmethod
    def scores(self, u: Float, v: Float) -> None:
        """Map independent standard normals to dependent ones.

        Parameters
        ----------
        u : (n, latent_dim) float64, Fortran order
            Independent standard normals, one draw per row; not changed.
        v : (n, dim) float64, Fortran order
            Overwritten with the normal scores ``Phi^-1(U_j)``; not the memory of ``u``.
        """

    @abstractmethod
    def logpdf(self, v: Float, out: Float) -> None:
        """Write the log of the copula density ``c(Phi(v_1), ..., Phi(v_d))`` at each row of ``v`` into ``out`` (n,).

        In nats, with respect to the product of the margins: zero everywhere for independence.
        """

    @abstractmethod
    def tail_dependence(self) -> tuple[Float, Float]:
        """Lower and upper tail dependence of each pair, ``lim P(U_i < t | U_j < t)``, as two (dim, dim) matrices."""

    @abstractmethod
    def kendall(self) -> Float:
        """Kendall's tau of each pair, (dim, dim); NaN where no closed form is known."""

    @abstractmethod
    def describe(self) -> list[str]:
        """Lines that describe the copula in words."""

"""The survival version of a copula."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from raresim.copulas.base import Copula
from raresim.copulas.clayton import Clayton
from raresim.copulas.gumbel import Gumbel
from raresim.copulas.summary import dependence_lines
from raresim.numerics import arrays
from raresim.numerics.arrays import Float
from raresim.registry import member


@member("copula")
@dataclass(frozen=True, kw_only=True, eq=False)
class Survival(Copula):
    """The copula of ``1 - U``: its lower tail is the upper tail of ``U``, and its upper tail the lower one.

    Parameters
    ----------
    copula : Copula
        The copula of ``U``.

    Notes
    -----
    Scores and latent normals both change sign, so a score that rises in a latent normal still rises in it.
    """

    kind: ClassVar[str] = "survival"

    copula: Copula
    dim: int = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "dim", self.copula.dim)

    @property
    def latent_dim(self) -> int:
        return self.copula.latent_dim

    def scores(self, u: Float, v: Float) -> None:
        reflected = arrays.scratch("survival", *u.shape)
        np.negative(u, out=reflected)
        self.copula.scores(reflected, v)
        np.negative(v, out=v)

    def logpdf(self, v: Float, out: Float) -> None:
        self.copula.logpdf(np.negative(v), out)

    def tail_dependence(self) -> tuple[Float, Float]:
        lower, upper = self.copula.tail_dependence()
        return upper, lower

    def kendall(self) -> Float:
        return self.copula.kendall()

    def describe(self) -> list[str]:
        return [f"survival version of: {self.copula.describe()[0]}", *dependence_lines(self)]

    @staticmethod
    def examples() -> list[Survival]:
        """Members for the conformance tests."""
        return [Survival(copula=Clayton(theta=1.5, dim=2)), Survival(copula=Gumbel(tau=0.4, dim=3))]

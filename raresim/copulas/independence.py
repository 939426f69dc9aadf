"""The independence copula."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from raresim.arguments import checks
from raresim.copulas.base import Copula
from raresim.numerics.arrays import Float
from raresim.registry import member


@member("copula")
@dataclass(frozen=True, kw_only=True, eq=False)
class Independence(Copula):
    """Independent coordinates, ``C(u) = prod_j u_j``: the scores are the latent normals.

    Parameters
    ----------
    dim : int
        Number of coordinates.
    """

    kind: ClassVar[str] = "independence"

    dim: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "dim", checks.dimension("dim", self.dim, most=checks.MAX_MATRIX_DIM))

    @property
    def latent_dim(self) -> int:
        return self.dim

    def scores(self, u: Float, v: Float) -> None:
        v[:] = u

    def logpdf(self, v: Float, out: Float) -> None:
        out[:] = 0.0

    def tail_dependence(self) -> tuple[Float, Float]:
        return np.eye(self.dim), np.eye(self.dim)

    def kendall(self) -> Float:
        return np.eye(self.dim)

    def describe(self) -> list[str]:
        return [f"independence of {self.dim}"]

    @staticmethod
    def examples() -> list[Independence]:
        """Members for the conformance tests."""
        return [Independence(dim=1), Independence(dim=3)]

"""The inputs of a credit model: common factors, a common shock, and the seed of what obligors do by themselves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from raresim.data import FileFacts
from raresim.distributions.base import Inputs
from raresim.distributions.mixing import log_mixing, log_mixing_table
from raresim.marginals.base import Marginal
from raresim.numerics import arrays
from raresim.numerics.arrays import Float, frozen
from raresim.numerics.exponentials import exponential
from raresim.numerics.interpolation import PiecewisePolynomial

SHOCK, OWN = "shock", "own_risk"
"""Names of the last two factors."""

STEP = 1e-4
"""Half the difference of standard normals by which the slope of the shock is taken."""


@dataclass(frozen=True, kw_only=True, eq=False)
class CreditFactors(Inputs):
    """Standard normal factors, a positive shock that multiplies all asset values, and a standard normal as a seed.

    Parameters
    ----------
    factors : tuple of str
        Names of the common factors; larger is worse.
    root : (k, k) float64, optional
        Lower triangular root of their correlation; None where they are independent.
    dof : float, optional
        Degrees of freedom of a t copula: the shock is ``sqrt(dof / W)`` with ``W`` of the chi-square law.
    variance : Marginal, optional
        Law of the squared shock of another normal-variance mixture. Without either there is no shock.

    Notes
    -----
    The standard normals that are mapped stand in the order of the factors. That of the shock is larger where the shock
    is. ``own_risk`` is passed on as it is: see `raresim.models.base`.
    """

    kind: ClassVar[str] = "credit_factors"

    factors: tuple[str, ...]
    root: Float | None = None
    dof: float | None = None
    variance: Marginal | None = None

    table: PiecewisePolynomial | None = field(init=False, repr=False, default=None)

    def __post_init__(self) -> None:
        if self.dof is not None:
            object.__setattr__(self, "table", log_mixing_table(self.dof))

    @property
    def has_shock(self) -> bool:
        """Whether asset values are multiplied by a common shock."""
        return self.dof is not None or self.variance is not None

    @property
    def dim(self) -> int:
        return len(self.factors) + self.has_shock + 1

    @property
    def names(self) -> tuple[str, ...]:
        return (*self.factors, *((SHOCK,) if self.has_shock else ()), OWN)

    @property
    def fitted(self) -> None:
        return None

    @property
    def sources(self) -> tuple[FileFacts, ...]:
        return ()

    @property
    def assumptions(self) -> Mapping[str, Any]:
        return {}

    @property
    def is_normal(self) -> bool:
        return not self.has_shock

    def to_physical(self, u: Float, x: Float) -> Float:
        k = len(self.factors)
        if self.root is None and not self.has_shock:
            return u
        if self.root is None:
            x[:, :k] = u[:, :k]
        else:
            for j in range(k):  # column by column: a matrix product's last digits depend on the number of rows
                x[:, j] = self.root[j, 0] * u[:, 0]
                for i in range(1, j + 1):
                    x[:, j] += self.root[j, i] * u[:, i]
        if self.has_shock:
            self.shock(u[:, k], x[:, k])
        x[:, -1] = u[:, -1]
        return x

    def shock(self, u: Float, out: Float) -> None:
        """Write the shock that belongs to standard normals ``u`` (n,) into ``out`` (n,)."""
        if self.table is not None:
            lowered = np.negative(u, out=arrays.scratch("mixing normal", u.size, 1)[:, 0])
            log_mixing(lowered, self.table, out)
            exponential(out, out)
        elif self.variance is not None:
            self.variance.from_normal(u, out)
            np.sqrt(out, out=out)

    def pulled_back(self, v: Float, slope: Float) -> Float:
        """The gradient in standard normals ``v`` (n, k) of what has the gradient ``slope`` (n, d) in the factors.

        It is without the column of ``own_risk``, (n, k).
        """
        k = len(self.factors)
        out = np.array(slope[:, :-1])
        if self.root is not None:
            out[:, :k] = slope[:, :k] @ self.root
        if self.has_shock:
            low, high = np.empty(len(v)), np.empty(len(v))
            self.shock(v[:, k] - STEP, low)
            self.shock(v[:, k] + STEP, high)
            out[:, k] *= (high - low) / (2.0 * STEP)
        return out

    def linear_moments(self, weights: Float) -> tuple[float, float] | None:
        if self.has_shock:
            return None
        k = len(self.factors)
        turned = weights[:k] if self.root is None else self.root.T @ weights[:k]
        return 0.0, float(np.sqrt(turned @ turned + weights[-1] ** 2))

    def describe(self) -> list[str]:
        many = len(self.factors)
        first = f"{many} common factor{'s' * (many > 1)}, {'correlated ' * (self.root is not None)}standard normal"
        lines = [f"{first}: {', '.join(self.factors[:12])}{', ...' if many > 12 else ''}"]
        if self.dof is not None:
            lines.append(f"a common shock, sqrt({self.dof:g} / chi-square with {self.dof:g} degrees of freedom)")
        elif self.variance is not None:
            lines.append(f"a common shock, whose square is {self.variance.describe()}")
        return [*lines, "own_risk: the seed of what each obligor does by itself"]

    @staticmethod
    def examples() -> list[CreditFactors]:
        """Members for the tests of the contract of inputs."""
        root = frozen(np.linalg.cholesky(np.array([[1.0, 0.4], [0.4, 1.0]])))
        return [CreditFactors(factors=("common",)), CreditFactors(factors=("a", "b"), root=root, dof=5.0)]

"""Daily log returns with GARCH(1,1) volatilities."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar

from raresim.arguments import checks
from raresim.data import ReturnsSource, table_of
from raresim.distributions.base import Inputs
from raresim.errors import FieldError
from raresim.inputs import garch as recursion
from raresim.marginals.student_t import StudentT
from raresim.models.paths.process import STANDARD, Process, check_price, finite, independent
from raresim.models.paths.walk import summed
from raresim.numerics import arrays
from raresim.numerics.arrays import Float
from raresim.registry import member

BY_HAND = ("omega", "alpha", "beta", "gamma", "mean", "variance", "dof")


@member("process")
@dataclass(frozen=True, kw_only=True, eq=False)
class GarchReturns(Process):
    r"""Log returns with GARCH(1,1) or GJR volatilities, fitted to past returns or by stated parameters.

    A step is a row of the data, such as a day: ``r = mean + s z`` with ``s^2 = omega + (alpha + gamma 1{e < 0}) e^2 +
    beta s^2`` from the values of the day before, ``e = s z``.

    Parameters
    ----------
    fit : ReturnsSource, optional
        The returns of one column, as for ``inputs: {kind: garch}``; they have to be log returns.
    innovations : str
        With ``fit``: the kind of a continuous marginal, such as normal or student_t, that is fitted to the residuals.
    gjr : bool
        With ``fit``: whether losses may move the volatility more than gains.
    price : float
        The first price.
    omega, alpha, beta : float, optional
        Without ``fit``: the parameters; ``omega`` is in the squared unit of the returns.
    gamma : float, optional
        What is added to ``alpha`` after a loss.
    mean : float, optional
        Mean return of a step.
    variance : float, optional
        Variance of the first step; the long-run variance by default.
    dof : float, optional
        Degrees of freedom of Student t innovations, above 2; left out, they are normal.

    Raises
    ------
    FieldError
        When both or neither of ``fit`` and parameters are given, or the variance has no long-run level.
    DataError
        When the data cannot be used, or the fit does not converge.

    Notes
    -----
    Fitted as `raresim.inputs.garch.Garch`, whose returns of each day are then the factors.
    """

    kind: ClassVar[str] = "garch"
    in_time: ClassVar[bool] = False
    by_normals: ClassVar[bool] = False

    fit: ReturnsSource | None = field(default=None, metadata={"typed": False})  # or data in memory, from Python
    innovations: str = "student_t"
    gjr: bool = False
    price: float = 1.0
    omega: float | None = None
    alpha: float | None = None
    beta: float | None = None
    gamma: float | None = None
    mean: float | None = None
    variance: float | None = None
    dof: float | None = None

    def __post_init__(self) -> None:
        check_price(self)
        given = [name for name in BY_HAND if getattr(self, name) is not None]
        if self.fit is not None:
            if given:
                raise FieldError(given[0], "must be left out beside fit, which finds it")
            self._check_columns()
            _ = self.fitted_to(1)
            return
        for name in ("omega", "alpha", "beta"):
            if getattr(self, name) is None:
                raise FieldError(name, "is required without fit")
        self._check_parameters()

    def _check_columns(self) -> None:
        table = table_of(self.fit, "garch")
        if len(table.names) != 1:
            raise FieldError("fit", f"must have one column, got {len(table.names)}: {', '.join(table.names[:5])}")
        if table.returns == "simple":
            raise FieldError("fit", "must be log returns, because days are added up: use `returns: log`")

    def _check_parameters(self) -> None:
        for name in ("omega", "variance"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, checks.positive(name, getattr(self, name)))
        for name in ("alpha", "beta", "gamma", "mean"):
            object.__setattr__(self, name, finite(name, getattr(self, name) or 0.0))
        for name in ("alpha", "beta"):
            if getattr(self, name) < 0:
                raise FieldError(name, f"must not be negative, got {getattr(self, name):g}")
        if self.gamma is not None and self.alpha is not None and self.alpha + self.gamma < 0:
            raise FieldError("gamma", f"must be at least -alpha, got {self.gamma:g}")
        if not self.persistence < 1.0:
            raise FieldError(
                "beta",
                "must leave alpha + beta + gamma / 2 below 1: the variance has no long-run level, got "
                f"{self.persistence:g}",
            )
        if self.dof is not None and not 2 < self.dof < math.inf:
            raise FieldError("dof", f"must be above 2, for a variance to exist, and finite, got {self.dof:g}")

    @property
    def persistence(self) -> float:
        """Share of a variance shock that is left after a step, of stated parameters with symmetric innovations."""
        return (self.alpha or 0.0) + (self.beta or 0.0) + 0.5 * (self.gamma or 0.0)

    @cached_property
    def _fits(self) -> dict[int, recursion.Garch]:
        return {}

    def fitted_to(self, steps: int) -> recursion.Garch:
        """The fitted law of the returns of so many steps."""
        if steps not in self._fits:
            made = recursion.Garch(
                fit=self.fit,  # type: ignore[arg-type]  # not None where this is called
                horizon=steps,
                model="gjr" if self.gjr else "garch",
                innovations=self.innovations,
                aggregate="path",
            )
            self._fits[steps] = made
        return self._fits[steps]

    @property
    def first(self) -> float:
        return self.price

    @property
    def law(self) -> StudentT | None:
        """The law of stated innovations before they are standardised; None for the standard normal."""
        return None if self.dof is None else StudentT(dof=self.dof)

    def factors(self, steps: int, dt: float) -> Inputs:
        if self.fit is not None:
            return self.fitted_to(steps)
        return independent(steps, innovation=self.law or STANDARD)

    def fill(self, x: Float, dt: float, path: Float) -> None:
        if self.fit is not None:
            summed(x, path)
            return
        omega, alpha, beta = self.omega or 0.0, self.alpha or 0.0, self.beta or 0.0
        z, returns = (arrays.scratch(name, *path.shape) for name in ("garch_z", "garch_returns"))
        spread = 1.0 if self.dof is None else math.sqrt(self.dof / (self.dof - 2.0))
        recursion.standardise(x[:, : path.shape[1]], 0.0, spread, z)
        now = self.variance or omega / (1.0 - self.persistence)
        recursion.path(z, self.mean or 0.0, omega, alpha, self.gamma or 0.0, beta, now, returns)
        summed(returns, path)

    def describe(self) -> list[str]:
        if self.fit is not None:
            name = "GJR-GARCH(1,1)" if self.gjr else "GARCH(1,1)"
            return [f"{name} log returns from a price of {self.price:g}, fitted"]
        law = "normal" if self.law is None else self.law.describe()
        return [
            f"GARCH(1,1) log returns from a price of {self.price:g}: omega {self.omega:g}, alpha {self.alpha:g}, gamma "
            f"{self.gamma:g}, beta {self.beta:g}, persistence {self.persistence:.4g}, innovations {law}"
        ]

    @staticmethod
    def examples() -> list[GarchReturns]:
        """Members for the conformance tests."""
        return [
            GarchReturns(omega=1e-6, alpha=0.08, beta=0.9),
            GarchReturns(omega=1e-6, alpha=0.03, beta=0.9, gamma=0.08, dof=6.0, variance=4e-4),
        ]

"""A shifted, scaled or reflected law."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from raresim.errors import FieldError
from raresim.marginals.base import Continuous, Marginal, Moments
from raresim.marginals.finite import Atoms, Tabulated
from raresim.marginals.parameters import finite
from raresim.numerics.arrays import Float
from raresim.registry import member


class Wrapper(Marginal):
    """A law made of other laws, continuous or discrete as they are; every method asks its form."""

    _form: Continuous | Tabulated

    @property
    def support(self) -> tuple[float, float]:
        return self._form.support

    def logpdf(self, x: ArrayLike) -> Float:
        return self._form.logpdf(x)

    def logcdf(self, x: ArrayLike) -> Float:
        return self._form.logcdf(x)

    def logsf(self, x: ArrayLike) -> Float:
        return self._form.logsf(x)

    def quantile(self, log_p: ArrayLike, upper: bool = False) -> Float:
        return self._form.quantile(log_p, upper)

    def from_normal(self, u: Float, out: Float) -> None:
        self._form.from_normal(u, out)

    def moments(self) -> Moments:
        return self._form.moments()

    def entropy(self) -> float:
        return self._form.entropy()

    @property
    def atoms(self) -> Float | None:
        """The values of a discrete law, as in `Discrete`; None for a continuous law."""
        return self._form.atoms if isinstance(self._form, Tabulated) else None

    @property
    def _table(self) -> Any:
        return self._form._table

    def _take(self, form: Continuous | Tabulated) -> None:
        """Set the form; call this once, at the end of ``__post_init__``."""
        object.__setattr__(self, "_form", form)
        object.__setattr__(self, "discrete", form.discrete)


@member("marginal")
@dataclass(frozen=True, kw_only=True, eq=False)
class Affine(Wrapper):
    """The law of ``loc + scale * X``.

    Parameters
    ----------
    law : Marginal
        Law of ``X``; a discrete law must be able to list its values.
    loc : float
        Shift.
    scale : float
        Factor, not 0. A negative factor reflects the law: its upper tail is the lower tail of ``X``, to the last digit.
    """

    kind: ClassVar[str] = "affine"

    law: Marginal
    loc: float = 0.0
    scale: float = 1.0
    _form: Continuous | Tabulated = field(init=False, repr=False)

    def __post_init__(self) -> None:
        finite("loc", self.loc)
        if finite("scale", self.scale) == 0:
            raise FieldError("scale", "must not be 0: the law would be a single number")
        if self.law.discrete:
            self._take(Listed(_moved(listed("law", self.law), self.loc, self.scale)))
        else:
            sign = math.copysign(1.0, self.scale)
            self._take(_Moved(law=self.law, sign=sign, loc=float(self.loc), scale=abs(float(self.scale))))

    def describe(self) -> str:
        return f"{self.loc:.6g} + {self.scale:.6g} * {self.law.describe()}"

    @staticmethod
    def examples() -> list[Affine]:
        """Members for the conformance tests."""
        from raresim.marginals.exponential import Exponential
        from raresim.marginals.lognormal import Lognormal
        from raresim.marginals.poisson import Poisson

        return [
            Affine(law=Lognormal(s=0.5), loc=2.0, scale=-3.0),
            Affine(law=Exponential(scale=2.0), loc=-1.0, scale=0.5),
            Affine(law=Poisson(mu=3.0), loc=1.0, scale=-2.0),
        ]


@dataclass(frozen=True, kw_only=True, eq=False)
class _Moved(Continuous):
    """``loc + scale * Y`` where ``Y`` is the continuous ``law``, reflected if ``sign`` is -1."""

    law: Marginal
    sign: float
    loc: float
    scale: float

    @property
    def _is_reflected(self) -> bool:
        return self.sign < 0

    @property
    def _support(self) -> tuple[float, float]:
        low, high = self.law.support
        return (-high, -low) if self._is_reflected else (low, high)

    def _logpdf(self, z: Float) -> Float:
        return self.law.logpdf(self.sign * z)

    def _logcdf(self, z: Float) -> Float:
        return self.law.logsf(-z) if self._is_reflected else self.law.logcdf(z)

    def _logsf(self, z: Float) -> Float:
        return self.law.logcdf(-z) if self._is_reflected else self.law.logsf(z)

    def _quantile(self, log_p: Float, upper: bool) -> Float:
        return self.sign * self.law.quantile(log_p, upper ^ self._is_reflected)

    # The law's own table is already made, and may be exact where a table of this map could not be.
    def from_normal(self, u: Float, out: Float) -> None:
        if self._is_reflected:
            self.law.from_normal(-u, out)
        else:
            self.law.from_normal(u, out)
        out *= self.sign * self.scale
        out += self.loc

    @property
    def _table(self) -> Any:  # the table of the law, which makes the map
        return getattr(self.law, "_table", None)

    def moments(self) -> Moments:
        mean, variance, skewness, kurtosis = self.law.moments()
        factor = self.sign * self.scale
        return Moments(self.loc + factor * mean, factor**2 * variance, self.sign * skewness, kurtosis)

    def entropy(self) -> float:
        return self.law.entropy() + math.log(self.scale)


def _moved(atoms: Atoms, loc: float, scale: float) -> Atoms:
    """The table of ``loc + scale * X``; for a reflection, ``P(X >= v)`` is ``P(X > w)`` at the value ``w`` before."""
    values = loc + scale * atoms.values
    if scale < 0:
        at_least, less = np.append(0.0, atoms.log_sf[:-1]), np.append(-np.inf, atoms.log_cdf[:-1])
        atoms = Atoms(values[::-1], atoms.log_p[::-1], at_least[::-1], less[::-1])
    else:
        atoms = Atoms(values, atoms.log_p, atoms.log_cdf, atoms.log_sf)
    if not (np.diff(atoms.values) > 0).all():
        raise FieldError("scale", f"is so small beside loc that values of the law coincide, got {scale:g}")
    return atoms


@dataclass(frozen=True, eq=False)
class Listed(Tabulated):
    """A discrete law given by the table of its values."""

    _table: Atoms


def listed(name: str, law: Marginal) -> Atoms:
    """The table of a discrete law, the argument ``name``; raises `FieldError` when its values are too many."""
    values: Float | None = getattr(law, "atoms", None)
    if values is None:
        raise FieldError(name, f"must have values that can be listed, but {law.describe()} has too many")
    return Atoms(values, law.logpdf(values), law.logcdf(values), law.logsf(values))

"""Any continuous law of scipy.stats, by name."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from raresim.arguments.synonyms import unknown
from raresim.errors import FieldError
from raresim.marginals.base import Continuous, Moments, QuantileTable
from raresim.marginals.inversion import solve
from raresim.numerics.arrays import Float
from raresim.registry import member

POLISHING = 3
CLOSE = 0.01
"""Largest relative error of SciPy's quantile, as a probability, that its own tail functions can correct."""

SMALLEST = -690.0
"""Log of the smallest probability at which SciPy's quantiles are called."""

_PROBES = np.array([-2.0, -10.0, -30.0, -100.0, -300.0, -650.0, -705.0])
PROBE_ERROR = 1e-9


@member("marginal")
@dataclass(frozen=True, kw_only=True, eq=False)
class ScipyLaw(Continuous):
    """A continuous law of ``scipy.stats`` by its name there: the general way, but slow.

    The law is exactly as good as SciPy's functions. Newton steps improve the quantiles ``ppf`` and ``isf`` where
    ``logcdf`` and ``logsf`` agree with them. Where these lose their digits far out, as one minus a probability does at
    1e-16, the map from a standard normal loses them too; where SciPy has no value at all, the map ends at SciPy's last
    value. The map is tabulated if SciPy has a distribution function and a quantile function for this law, with tails
    exact down to 1e-305; otherwise each draw costs microseconds, or a millisecond where SciPy integrates or searches
    for each value.

    Parameters
    ----------
    name : str
        Name of the law in ``scipy.stats``, such as ``"johnsonsu"``.
    parameters : mapping of str to float
        All shape parameters of the law, by SciPy's names, and ``loc`` and ``scale`` where they are not 0 and 1.
    """

    kind: ClassVar[str] = "scipy"

    name: str
    parameters: Mapping[str, float] = field(default_factory=dict)
    loc: float = field(init=False, repr=False)
    scale: float = field(init=False, repr=False)

    def __post_init__(self) -> None:
        law = _found(self.name)
        shapes = _shape_names(law)
        allowed = [*shapes, "loc", "scale"]
        values: dict[str, float] = {}
        for key, value in self.parameters.items():
            if key not in allowed:
                raise FieldError("parameters", unknown(f"parameter of {self.name}", key, allowed))
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
                raise FieldError("parameters", f"{key} must be a finite number, got {value!r}")
            values[key] = float(value)
        if missing := [name for name in shapes if name not in values]:
            raise FieldError("parameters", f"{self.name} needs {', '.join(shapes)}; missing: {', '.join(missing)}")
        loc, scale = values.pop("loc", 0.0), values.pop("scale", 1.0)
        if scale <= 0:
            raise FieldError("parameters", f"scale must be positive, got {scale:g}")
        if not bool(law._argcheck(*(values[name] for name in shapes))):
            given = ", ".join(f"{name} = {value:g}" for name, value in values.items())
            raise FieldError("parameters", f"scipy.stats.{self.name} does not allow {given}")
        object.__setattr__(self, "parameters", dict(self.parameters))
        object.__setattr__(self, "loc", loc)
        object.__setattr__(self, "scale", scale)

    @property
    def _scipy(self) -> Any:
        return _found(self.name)

    @property
    def _shapes(self) -> dict[str, float]:
        return {name: float(self.parameters[name]) for name in _shape_names(self._scipy)}

    @cached_property
    def _support(self) -> tuple[float, float]:  # called often, and slow in SciPy
        low, high = self._scipy.support(**self._shapes)
        return float(low), float(high)

    def _logpdf(self, z: Float) -> Float:
        return self._evaluate("logpdf", z)

    def _logcdf(self, z: Float) -> Float:
        return self._evaluate("logcdf", z)

    def _logsf(self, z: Float) -> Float:
        return self._evaluate("logsf", z)

    def _evaluate(self, function: str, argument: Float) -> Float:
        with np.errstate(all="ignore"):
            return np.asarray(getattr(self._scipy, function)(argument, **self._shapes), dtype=np.float64)

    def _quantile(self, log_p: Float, upper: bool) -> Float:
        z = self._scipy_quantile(np.maximum(log_p, SMALLEST), upper)
        is_close = np.abs(self._error(z, log_p, upper)) < CLOSE
        if is_close.any():
            z[is_close] = self._polished(z[is_close], log_p[is_close], upper)
        lost = ~is_close
        if lost.any():
            found = solve(self, log_p[lost], upper)
            is_better = np.abs(self._error(found, log_p[lost], upper)) < CLOSE
            z[lost] = np.where(is_better | ~np.isfinite(z[lost]), found, z[lost])
        return z

    def _scipy_quantile(self, log_p: Float, upper: bool) -> Float:
        return self._evaluate("isf" if upper else "ppf", np.exp(log_p)).copy()

    def _error(self, z: Float, log_p: Float, upper: bool) -> Float:
        """Difference of the log of the tail at ``z`` from ``log_p``; infinite where SciPy has no value."""
        gap = (self._logsf(z) if upper else self._logcdf(z)) - log_p
        return np.where(np.isfinite(z) & np.isfinite(gap), gap, np.inf)

    def _polished(self, z: Float, log_p: Float, upper: bool) -> Float:
        """``z`` after Newton steps on the log of the tail, made as long as they reduce the error."""
        gap = self._error(z, log_p, upper)
        low, high = self._support
        for _ in range(POLISHING):
            with np.errstate(all="ignore"):
                step = gap * np.exp(gap + log_p - self._logpdf(z))
                following = z + step if upper else z - step
            usable = np.isfinite(following) & (following >= low) & (following <= high)
            following = np.where(usable, following, z)
            closer = self._error(following, log_p, upper)
            better = np.abs(closer) < np.abs(gap)
            if not better.any():
                break
            z, gap = np.where(better, following, z), np.where(better, closer, gap)
        return z

    @cached_property
    def _table(self) -> QuantileTable | None:
        from scipy import stats

        # A table would take minutes where SciPy integrates or searches for each value.
        if any(getattr(type(self._scipy), name) is getattr(stats.rv_continuous, name) for name in ("_cdf", "_ppf")):
            return None
        for upper in (False, True):
            error = self._error(self._quantile(_PROBES, upper), _PROBES, upper)
            if not (np.abs(error) < PROBE_ERROR).all():
                return None
        return QuantileTable.of(self)

    def moments(self) -> Moments:
        mean, variance, skewness, kurtosis = self._scipy.stats(**self._shapes, moments="mvsk")
        return Moments(
            self.loc + self.scale * float(mean), self.scale**2 * float(variance), float(skewness), float(kurtosis)
        )

    def entropy(self) -> float:
        return math.log(self.scale) + float(self._scipy.entropy(**self._shapes))

    def describe(self) -> str:
        given = ", ".join(f"{name} {value:.6g}" for name, value in self.parameters.items())
        return f"scipy {self.name} ({given})" if given else f"scipy {self.name}"

    @staticmethod
    def examples() -> list[ScipyLaw]:
        """Members for the conformance tests."""
        return [
            ScipyLaw(name="johnsonsu", parameters={"a": 0.5, "b": 1.5, "loc": 1.0, "scale": 2.0}),
            ScipyLaw(name="moyal"),
        ]


def _found(name: str) -> Any:
    """The law that ``scipy.stats`` has under ``name``."""
    from scipy import stats

    law = getattr(stats, name, None)
    if isinstance(law, stats.rv_continuous):
        return law
    if isinstance(law, stats.rv_discrete):
        raise FieldError("name", f"must be a continuous law of scipy.stats, but {name!r} is discrete")
    names = [n for n in dir(stats) if isinstance(getattr(stats, n), stats.rv_continuous)]
    near = difflib.get_close_matches(name, names, n=3)
    hint = f"; did you mean {' or '.join(map(repr, near))}?" if near else ""
    raise FieldError("name", f"must be a continuous law of scipy.stats, got {name!r}{hint}")


def _shape_names(law: Any) -> list[str]:
    return [name.strip() for name in law.shapes.split(",")] if law.shapes else []

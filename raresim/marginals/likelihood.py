"""Maximum likelihood for any marginal that states its parameters' domains and a start."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from raresim.errors import DataError, FieldError
from raresim.numerics.arrays import Float

if TYPE_CHECKING:
    from raresim.data import FileFacts
    from raresim.marginals.base import Marginal

Domain = Literal["real", "positive"] | tuple[float, float]
"""Domain of a parameter: any number, above zero, or strictly between two numbers."""


class Criteria:
    """The criteria by which fits by maximum likelihood are compared."""

    parameters: Mapping[str, float]
    log_likelihood: float
    n: int

    @property
    def aic(self) -> float:
        """Akaike's criterion, ``2 k - 2 log L``: smaller is better."""
        return 2.0 * len(self.parameters) - 2.0 * self.log_likelihood

    @property
    def bic(self) -> float:
        """Schwarz's criterion, ``k log n - 2 log L``: smaller is better."""
        return len(self.parameters) * math.log(self.n) - 2.0 * self.log_likelihood


@dataclass(frozen=True, eq=False)
class MarginalFit(Criteria):
    """A law fitted to data.

    Parameters
    ----------
    law : Marginal
        The law with the fitted parameters.
    parameters : mapping
        Name to value of the fitted parameters.
    std_errors : mapping
        Name to standard error, from the observed information; NaN where the likelihood is not smooth there.
    log_likelihood : float
        Log likelihood at the maximum, in nats; for a weighted fit, the weighted sum.
    n : int
        Number of observations.
    """

    law: Marginal
    parameters: Mapping[str, float]
    std_errors: Mapping[str, float]
    log_likelihood: float
    n: int


@dataclass(frozen=True, eq=False)
class FittedColumn:
    """The fit of a law to a column, as a config asked for it.

    Parameters
    ----------
    fit : MarginalFit
        The fit.
    values : (n,) float64
        The observations.
    facts : FileFacts
        Facts about the file.
    """

    fit: MarginalFit
    values: Float
    facts: FileFacts


def observations(values: ArrayLike, weights: ArrayLike | None, least: int = 2) -> tuple[Float, Float]:
    """``values`` and ``weights`` as checked vectors; raises `DataError` where no law can be fitted to them."""
    try:
        x = np.asarray(values, dtype=np.float64).ravel()
    except (TypeError, ValueError):
        raise DataError("the values must be numbers") from None
    if x.size < least:
        raise DataError(f"at least {least} values are needed, got {x.size}")
    if bad := int((~np.isfinite(x)).sum()):
        first = int(np.argmin(np.isfinite(x)))
        raise DataError(f"the values must be finite, got {bad} that are not, the first at row {first}: {x[first]}")
    w = np.ones(x.size) if weights is None else np.asarray(weights, dtype=np.float64).ravel()
    if w.shape != x.shape or not np.isfinite(w).all() or (w < 0).any() or w.sum() <= 0:
        raise DataError(f"weights must be {x.size} numbers, not negative and not all 0")
    used = x[w > 0]
    if least > 1 and used.min() == used.max():
        raise DataError(f"all {used.size} values are {used[0]:g}: nothing can be fitted to a constant")
    return x, w


def above_zero(cls: type[Marginal], x: Float) -> None:
    """Raise `DataError` where a value is not positive."""
    if (x <= 0).any():
        raise DataError(f"{cls.kind} needs positive values, got {x.min():g} at row {int(x.argmin())}")


def maximise(cls: type[Marginal], values: ArrayLike, weights: ArrayLike | None = None) -> MarginalFit:
    """Fit ``cls`` by maximum likelihood from its own `start`, in unconstrained coordinates."""
    from scipy import optimize

    if not cls.PARAMETERS:
        raise DataError(f"{cls.kind} cannot be fitted to data; state its parameters")
    x, w = observations(values, weights, least=len(cls.PARAMETERS) + 1)
    names = list(cls.PARAMETERS)
    first = cls.start(x, w)

    def cost(point: Float) -> float:
        try:
            law = cls(**{name: _natural(cls.PARAMETERS[name], t) for name, t in zip(names, point, strict=True)})
        except (FieldError, OverflowError):
            return math.inf
        with np.errstate(all="ignore"):
            total = -float(w @ law.logpdf(x)) / w.sum()
        return total if math.isfinite(total) else 1e300

    point = np.array([_free(cls.PARAMETERS[name], first[name]) for name in names])
    if cost(point) >= 1e300:
        low, high = cls(**first).support
        raise DataError(
            f"{cls.kind} cannot take these values ({x.min():g} to {x.max():g}): "
            f"the law with which the fit starts lies between {low:g} and {high:g}"
        )
    options: Any = {"xatol": 1e-9, "fatol": 1e-13, "maxiter": 4000, "maxfev": 8000, "adaptive": len(names) > 2}
    # SciPy starts with steps of 5 %, which are too small for a location that happens to lie next to 0.
    least = np.array([0.05 * x.std() if cls.PARAMETERS[name] == "real" else 2.5e-4 for name in names])
    for _ in range(3):
        steps = np.where(np.abs(point) < 0.02 * least, least, 0.05 * point)
        options["initial_simplex"] = point + np.vstack([np.zeros(len(names)), np.diag(steps)])
        found = optimize.minimize(cost, point, method="Nelder-Mead", options=options)
        moved, point = float(np.abs(found.x - point).max()), found.x
        if moved < 1e-6:
            break
    return _fitted(cls, {n: _natural(cls.PARAMETERS[n], t) for n, t in zip(names, point, strict=True)}, x, w)


def closed_form(
    cls: type[Marginal], parameters: Mapping[str, float], std_errors: Mapping[str, float], x: Float, w: Float
) -> MarginalFit:
    """The fit of a law whose maximum has a closed form: ``parameters`` with their ``std_errors``."""
    law = cls(**parameters)
    return MarginalFit(law, dict(parameters), dict(std_errors), float(w @ law.logpdf(x)), x.size)


def _fitted(cls: type[Marginal], parameters: dict[str, float], x: Float, w: Float) -> MarginalFit:
    return closed_form(cls, parameters, information_errors(cls, parameters, x, w), x, w)


def information_errors(cls: type[Marginal], parameters: Mapping[str, float], x: Float, w: Float) -> dict[str, float]:
    """Standard errors from the observed information, minus the second derivatives of the log likelihood."""
    names = list(parameters)
    centre = np.array([parameters[name] for name in names])
    steps = np.array([1e-4 * max(abs(c), 1e-2 * float(x.std())) for c in centre])
    for k, name in enumerate(names):
        domain = cls.PARAMETERS[name]
        if domain == "positive":
            steps[k] = min(steps[k], 0.01 * centre[k])
        elif isinstance(domain, tuple):
            steps[k] = min(steps[k], 0.01 * (centre[k] - domain[0]), 0.01 * (domain[1] - centre[k]))

    def value(shift: Float) -> float:
        try:
            law = cls(**dict(zip(names, centre + shift * steps, strict=True)))
        except FieldError:
            return math.nan
        with np.errstate(all="ignore"):
            return float(w @ law.logpdf(x))

    k = len(names)
    unit = np.eye(k)
    hessian = np.empty((k, k))
    for i in range(k):
        for j in range(i + 1):
            a, b = unit[i], unit[j]
            hessian[i, j] = hessian[j, i] = (value(a + b) - value(a - b) - value(b - a) + value(-a - b)) / 4.0
    information = -hessian / np.outer(steps, steps)
    if not np.isfinite(information).all() or np.linalg.eigvalsh(information)[0] <= 0:
        return dict.fromkeys(names, math.nan)
    return {name: math.sqrt(v) for name, v in zip(names, np.diag(np.linalg.inv(information)), strict=True)}


def _natural(domain: Domain, t: float) -> float:
    if domain == "real":
        return float(t)
    if domain == "positive":
        return math.exp(t)
    low, high = domain
    return low + (high - low) / (1.0 + math.exp(-t))


def _free(domain: Domain, value: float) -> float:
    if domain == "real":
        return value
    if domain == "positive":
        return math.log(value)
    low, high = domain
    share = (value - low) / (high - low)
    return math.log(share / (1.0 - share))

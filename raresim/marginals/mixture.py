"""A mixture of laws of one number."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from raresim.arguments import checks
from raresim.arguments.checks import Vector
from raresim.errors import FieldError
from raresim.marginals.affine import Listed, Wrapper, listed
from raresim.marginals.base import Continuous, Marginal, Moments
from raresim.marginals.finite import Atoms, Tabulated
from raresim.marginals.numeric_tails import expect
from raresim.numerics import arrays
from raresim.numerics.arrays import Float
from raresim.registry import member

STEPS = 200


@member("marginal")
@dataclass(frozen=True, kw_only=True, eq=False)
class Mixture(Wrapper):
    """Mixture of laws: density and tail probabilities are sums over the components with the weights ``w_k``.

    Where components overlap smoothly, the map from a standard normal is tabulated. With gaps or edges inside the
    support each draw is solved for, which is as exact and takes some microseconds.

    Parameters
    ----------
    weights : (k,)
        Shares, positive, adding to one within 1e-9.
    components : sequence of Marginal
        The ``k`` laws, all continuous or all discrete; a mixture among them is replaced by its own components, and
        discrete laws must be able to list their values.
    """

    kind: ClassVar[str] = "mixture"

    weights: Vector
    components: Sequence[Marginal]
    shares: Float = field(init=False, repr=False)
    _form: Continuous | Tabulated = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not self.components:
            raise FieldError("components", "must name at least one law")
        shares = checks.vector("weights", self.weights, len(self.components))
        if not (shares > 0).all():
            raise FieldError("weights", f"must be positive, got {shares.min():g}")
        if abs(shares.sum() - 1.0) > 1e-9:
            raise FieldError("weights", f"must add to 1, got {shares.sum():.12g}")
        if len({c.discrete for c in self.components}) > 1:
            kinds = ", ".join(f"{c.kind} ({'discrete' if c.discrete else 'continuous'})" for c in self.components)
            raise FieldError("components", f"must be all continuous or all discrete, got {kinds}")
        flat = [pair for w, c in zip(shares / shares.sum(), self.components, strict=True) for pair in _parts(w, c)]
        shares, components = arrays.frozen(np.array([w for w, _ in flat])), tuple(c for _, c in flat)
        for name, value in (("weights", shares), ("shares", shares), ("components", components)):
            object.__setattr__(self, name, value)
        if components[0].discrete:
            values = np.unique(np.concatenate([listed("components", c).values for c in components]))
            mixed = _Blend(shares, components)
            self._take(Listed(Atoms(values, mixed.logpdf(values), mixed.logcdf(values), mixed.logsf(values))))
        else:
            self._take(_Blend(shares, components))

    def describe(self) -> str:
        parts = (f"{w:.6g} of {c.describe()}" for w, c in zip(self.shares, self.components, strict=True))
        return f"mixture: {', '.join(parts)}"

    @staticmethod
    def examples() -> list[Mixture]:
        """Members for the conformance tests."""
        from raresim.marginals.normal import Normal
        from raresim.marginals.poisson import Poisson
        from raresim.marginals.student_t import StudentT

        calm, crisis = Normal(mean=0.05, std=1.0), Normal(mean=-1.0, std=2.5)
        return [
            Mixture(weights=[0.9, 0.1], components=[calm, crisis]),
            Mixture(weights=[0.7, 0.3], components=[Normal(loc=0.0, scale=1.0), StudentT(dof=4.0, loc=0.5, scale=2.0)]),
            Mixture(weights=[0.8, 0.2], components=[Poisson(mu=1.0), Poisson(mu=8.0)]),
        ]


def _parts(share: float, law: Marginal) -> list[tuple[float, Marginal]]:
    """``law`` with its share, or the components of a mixture with theirs."""
    if not isinstance(law, Mixture):
        return [(share, law)]
    return [(share * w, c) for w, c in zip(law.shares, law.components, strict=True)]


@dataclass(frozen=True, eq=False)
class _Blend(Continuous):
    """The mixture of continuous laws."""

    shares: Float
    components: tuple[Marginal, ...]

    @property
    def _support(self) -> tuple[float, float]:
        ends = [c.support for c in self.components]
        return min(low for low, _ in ends), max(high for _, high in ends)

    def _logpdf(self, z: Float) -> Float:
        return self._sum([c.logpdf(z) for c in self.components])

    def _logcdf(self, z: Float) -> Float:
        return self._sum([c.logcdf(z) for c in self.components])

    def _logsf(self, z: Float) -> Float:
        return self._sum([c.logsf(z) for c in self.components])

    def _sum(self, logs: Sequence[Float]) -> Float:
        total = np.full(logs[0].shape, -np.inf)
        for w, log in zip(self.shares, logs, strict=True):
            total = np.logaddexp(total, math.log(w) + log)
        return total

    def _quantile(self, log_p: Float, upper: bool) -> Float:
        """Newton steps for the log of the tail between two bounds.

        The quantile lies between the smallest and the largest quantile of the components. The steps start where the
        largest term alone has the tail; the quantile lies beyond that place.
        """
        inner, outer = (np.fmin, np.fmax) if upper else (np.fmax, np.fmin)
        near, far, start = (np.full(log_p.shape, np.nan) for _ in range(3))
        for w, component in zip(self.shares, self.components, strict=True):
            z = component.quantile(log_p, upper)
            near, far = inner(near, z), outer(far, z)
            alone = log_p - math.log(w)
            start = outer(start, component.quantile(np.where(alone < 0, alone, np.nan), upper))
        near = outer(near, start)
        low, high = (near, far) if upper else (far, near)
        sign = -1.0 if upper else 1.0
        z = near
        for _ in range(STEPS):
            log_tail = self._logsf(z) if upper else self._logcdf(z)
            gap = sign * (log_tail - log_p)
            low, high = np.where(gap <= 0, z, low), np.where(gap >= 0, z, high)
            with np.errstate(all="ignore"):
                following = z - gap * np.exp(log_tail - self._logpdf(z))
            inside = (following >= low) & (following <= high)
            following = np.where(gap == 0, z, np.where(inside, following, 0.5 * low + 0.5 * high))
            # The second condition: as near as the rounding of the logarithm allows.
            done = (np.abs(following - z) <= 4e-16 * np.abs(z)) | (np.abs(gap) <= 3e-16 * (1.0 - log_p))
            z = following
            if done.all():
                break
        return z

    def moments(self) -> Moments:
        each = np.array([c.moments() for c in self.components])
        means, variances = each[:, 0], each[:, 1]
        third, fourth = each[:, 2] * variances**1.5, (each[:, 3] + 3.0) * variances**2
        mean = float(self.shares @ means)
        d = means - mean
        variance = float(self.shares @ (variances + d**2))
        third_whole = float(self.shares @ (third + 3.0 * d * variances + d**3))
        fourth_whole = float(self.shares @ (fourth + 4.0 * d * third + 6.0 * d**2 * variances + d**4))
        return Moments(mean, variance, third_whole / variance**1.5, fourth_whole / variance**2 - 3.0)

    def entropy(self) -> float:
        """Entropy as an average over the components, each integrated by its own smooth map."""
        terms = [w * expect(c, self.logpdf) for w, c in zip(self.shares, self.components, strict=True)]
        return -float(sum(terms))

"""Independent risk factors, each tilted exponentially to a mean of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from raresim.arguments import checks
from raresim.arguments.checks import Vector
from raresim.distributions import margins
from raresim.distributions.base import Distribution
from raresim.distributions.independent import Independent
from raresim.distributions.normal import Normal
from raresim.distributions.standard_normal import StandardNormal
from raresim.errors import FieldError
from raresim.marginals import bernoulli, binomial, exponential, finite, gamma, geometric, negative_binomial, poisson
from raresim.marginals import normal as normal_marginal
from raresim.marginals.base import Marginal
from raresim.numerics.arrays import Float
from raresim.registry import member


@member("distribution")
@dataclass(frozen=True, kw_only=True, eq=False)
class ExponentialTilt(Distribution):
    """Law of independent factors with density ``p_j(x) exp(theta_j x - K_j(theta_j))``: [1]_ ch. 9.

    ``p_j`` is the law of the factor and ``K_j`` the log of its moment generating function. The tilt ``theta_j`` is the
    one that gives the factor its stated mean, ``K_j'(theta_j)``. The tilted law is of the same kind as ``p_j``.

    Parameters
    ----------
    law : Distribution
        Law of the untilted factors: independent with marginals of the kinds normal, exponential, gamma, poisson,
        bernoulli, binomial, geometric, negative_binomial or finite; a normal law without correlation; or the standard
        normal.
    mean : (d,)
        Means of the tilted factors, in their units, inside the range of each.

    Raises
    ------
    FieldError
        When the law is not one of these, or a mean is outside the range of its factor.

    References
    ----------
    .. [1] Owen, *Monte Carlo theory, methods and examples*, 2013.
    """

    kind: ClassVar[str] = "exponential_tilt"

    law: Distribution
    mean: Vector

    untilted: tuple[Marginal, ...] = field(init=False, repr=False)
    laws: tuple[Marginal, ...] = field(init=False, repr=False)
    means: Float = field(init=False, repr=False)

    def __post_init__(self) -> None:
        untilted = natural_factors("law", self.law)
        means = checks.vector("mean", self.mean, len(untilted))
        for j, (law, mean) in enumerate(zip(untilted, means, strict=True)):
            low, high = law.support
            if not low < mean < high:
                raise FieldError("mean", f"must be above {low:g} and below {high:g} at position {j}, got {mean:.15g}")
        object.__setattr__(self, "means", means)
        object.__setattr__(self, "untilted", untilted)
        object.__setattr__(
            self, "laws", tuple(tilted(law, float(mean)) for law, mean in zip(untilted, means, strict=True))
        )

    @property
    def dim(self) -> int:
        return len(self.laws)

    def sample(self, rng: np.random.Generator, x: Float) -> None:
        """Fill ``x``; where a tilt only stretches a factor, from the untilted law, whose tables are already made."""
        for j, (law, untilted) in enumerate(zip(self.laws, self.untilted, strict=True)):
            if isinstance(law, (exponential.Exponential, gamma.Gamma)):
                untilted.sample(rng, x[:, j])
                x[:, j] -= law.loc
                x[:, j] *= (self.means[j] - law.loc) / (untilted.moments().mean - law.loc)
                x[:, j] += law.loc
            else:
                law.sample(rng, x[:, j])

    def logpdf(self, x: Float, out: Float) -> None:
        margins.log_density(self.laws, x, out)

    @staticmethod
    def examples() -> list[ExponentialTilt]:
        """Members for the conformance tests."""
        factors = {"x": normal_marginal.Normal(loc=1.0), "y": normal_marginal.Normal(scale=2.0)}
        return [ExponentialTilt(law=Independent(marginals=factors), mean=[3.0, -1.0])]


def natural_factors(name: str, law: Distribution) -> tuple[Marginal, ...]:
    """The marginals of the argument ``name``, a law of independent factors that all have a tilt.

    Raises
    ------
    FieldError
        When the factors are not independent, or a marginal has no closed-form tilt.
    """
    if isinstance(law, StandardNormal):
        return (normal_marginal.Normal(),) * law.dim
    if isinstance(law, Normal) and not law.correlated:
        pairs = zip(law.location, law.scales, strict=True)
        return tuple(normal_marginal.Normal(loc=float(loc), scale=float(scale)) for loc, scale in pairs)
    if not isinstance(law, Independent):
        raise FieldError(name, f"must have independent factors to be tilted, got a law of kind {law.kind}")
    for factor, marginal in zip(law.names, law.laws, strict=True):
        if type(marginal) not in TILTS:
            allowed = ", ".join(sorted(known.kind for known in TILTS))
            raise FieldError(
                name, f"has no closed form for the factor {factor} of kind {marginal.kind} (allowed: {allowed})"
            )
    return law.laws


def tilted(law: Marginal, mean: float) -> Marginal:
    """The exponential tilt of ``law`` that has ``mean``, inside the support."""
    return TILTS[type(law)](law, mean)


def _tilted_finite(law: finite.Finite, mean: float) -> finite.Finite:
    """Tilt of listed values: ``theta`` is the root of an increasing function, bracketed by doubling."""
    from scipy import optimize, special

    values, log_p = law._table.values, law._table.log_p
    unit = float(np.ptp(values))
    z = (values - mean) / unit

    def off(theta: float) -> float:
        return float(special.softmax(log_p + theta * z) @ z)

    width = 1.0
    while off(-width) * off(width) > 0:
        width *= 2.0
    theta = float(optimize.brentq(off, -width, width, xtol=1e-14, rtol=1e-14))
    return finite.Finite(values=values, probabilities=special.softmax(log_p + theta * z))


# The tilted law of each kind with a given mean. `Any` stands for the class that is the key.
TILTS: dict[type[Marginal], Callable[[Any, float], Marginal]] = {
    normal_marginal.Normal: lambda law, mean: normal_marginal.Normal(loc=mean, scale=law.scale),
    exponential.Exponential: lambda law, mean: exponential.Exponential(loc=law.loc, scale=mean - law.loc),
    gamma.Gamma: lambda law, mean: gamma.Gamma(a=law.a, loc=law.loc, scale=(mean - law.loc) / law.a),
    poisson.Poisson: lambda law, mean: poisson.Poisson(mu=mean),
    bernoulli.Bernoulli: lambda law, mean: bernoulli.Bernoulli(p=mean),
    binomial.Binomial: lambda law, mean: binomial.Binomial(n=law.n, p=mean / law.n),
    geometric.Geometric: lambda law, mean: geometric.Geometric(p=1.0 / mean),
    negative_binomial.NegativeBinomial: lambda law, mean: negative_binomial.NegativeBinomial(
        n=law.n, p=law.n / (law.n + mean)
    ),
    finite.Finite: _tilted_finite,
}

"""Frozen laws of ``scipy.stats`` as marginals: the law of the same name here, with both tails, else `ScipyLaw`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from raresim.marginals.affine import Affine
from raresim.marginals.base import Marginal
from raresim.marginals.bernoulli import Bernoulli
from raresim.marginals.beta import Beta
from raresim.marginals.binomial import Binomial
from raresim.marginals.exponential import Exponential
from raresim.marginals.gamma import Gamma
from raresim.marginals.generalised_pareto import GeneralisedPareto
from raresim.marginals.geometric import Geometric
from raresim.marginals.gev import Gev
from raresim.marginals.gumbel import Gumbel
from raresim.marginals.gumbel_min import GumbelMin
from raresim.marginals.laplace import Laplace
from raresim.marginals.logistic import Logistic
from raresim.marginals.lognormal import Lognormal
from raresim.marginals.negative_binomial import NegativeBinomial
from raresim.marginals.normal import Normal
from raresim.marginals.pareto import Pareto
from raresim.marginals.poisson import Poisson
from raresim.marginals.scipy_law import ScipyLaw
from raresim.marginals.student_t import StudentT
from raresim.marginals.triangular import Triangular
from raresim.marginals.truncated_normal import TruncatedNormal
from raresim.marginals.uniform import Uniform
from raresim.marginals.weibull import Weibull


def _truncated(a: float, b: float, loc: float, scale: float) -> Marginal:
    low, high = (loc + scale * end if np.isfinite(end) else None for end in (a, b))
    if low is None and high is None:
        return Normal(loc=loc, scale=scale)
    return TruncatedNormal(mean=loc, std=scale, low=low, high=high)


SAME: Mapping[str, Callable[..., Marginal]] = {
    "beta": Beta,
    "expon": Exponential,
    "gamma": Gamma,
    "genextreme": lambda c, loc, scale: Gev(xi=-c, loc=loc, scale=scale),
    "genpareto": lambda c, loc, scale: GeneralisedPareto(xi=c, loc=loc, scale=scale),
    "gumbel_l": GumbelMin,
    "gumbel_r": Gumbel,
    "laplace": Laplace,
    "logistic": Logistic,
    "lognorm": Lognormal,
    "norm": Normal,
    "pareto": Pareto,
    "t": lambda df, loc, scale: StudentT(dof=df, loc=loc, scale=scale),
    "triang": Triangular,
    "truncnorm": _truncated,
    "uniform": Uniform,
    "weibull_min": Weibull,
}
"""SciPy's names of continuous laws that raresim has, and what takes SciPy's parameters. Their maps are accurate in both
tails; those of other laws are as accurate as SciPy's functions."""

COUNTS: Mapping[str, Callable[..., Marginal]] = {
    "bernoulli": Bernoulli,
    "binom": Binomial,
    "geom": Geometric,
    "nbinom": NegativeBinomial,
    "poisson": Poisson,
}
"""The same of discrete laws."""


def of_frozen(value: Any) -> Marginal | None:
    """The marginal that the frozen law ``value`` of ``scipy.stats`` is; None where it is no such law of one number.

    Raises
    ------
    FieldError
        When a parameter is not allowed.
    """
    from scipy import stats

    law = getattr(value, "dist", None)
    if not isinstance(law, stats.rv_continuous | stats.rv_discrete) or type(law) is not type(_named(law.name)):
        return None
    given = _parameters(law, value)
    if given is None:
        return None
    if isinstance(law, stats.rv_discrete):
        return _discrete(law.name, given)
    if law.name in SAME:
        return SAME[law.name](**given)
    return ScipyLaw(name=law.name, parameters=given)


def _named(name: str) -> Any:
    from scipy import stats

    return getattr(stats, name, None)


def _parameters(law: Any, value: Any) -> dict[str, float] | None:
    """All parameters by SciPy's names, with ``loc`` and, of continuous laws, ``scale``; None where one is an array."""
    shapes = [name.strip() for name in (law.shapes or "").split(",") if name.strip()]
    is_continuous = hasattr(law, "logpdf")
    defaults = {"loc": 0.0, "scale": 1.0} if is_continuous else {"loc": 0.0}
    given = defaults | dict(zip([*shapes, *defaults], value.args, strict=False)) | value.kwds
    if any(np.ndim(number) for number in given.values()):
        return None
    return {name: float(given[name]) for name in [*shapes, *defaults] if name in given}


def _discrete(name: str, given: dict[str, float]) -> Marginal | None:
    """The discrete law of this name, shifted by SciPy's ``loc``; None where raresim has none."""
    loc = given.pop("loc")
    if name not in COUNTS:
        return None
    law = COUNTS[name](**given)
    return law if loc == 0.0 else Affine(law=law, loc=loc)

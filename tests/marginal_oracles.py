"""Marginals as SciPy knows them: from the fields that a user gives, never from the code under test."""

import numpy as np
from scipy import stats


def _given(law, *names):
    """The fields ``names`` of ``law`` as keyword arguments."""
    return {name: getattr(law, name) for name in names}


FROZEN = {
    "bernoulli": lambda law: stats.bernoulli(law.p),
    "beta": lambda law: stats.beta(**_given(law, "a", "b", "loc", "scale")),
    "binomial": lambda law: stats.binom(law.n, law.p),
    "exponential": lambda law: stats.expon(**_given(law, "loc", "scale")),
    "gamma": lambda law: stats.gamma(**_given(law, "a", "loc", "scale")),
    "generalised_pareto": lambda law: stats.genpareto(law.xi, **_given(law, "loc", "scale")),
    "gev": lambda law: stats.genextreme(-law.xi, **_given(law, "loc", "scale")),
    "geometric": lambda law: stats.geom(law.p),
    "gumbel": lambda law: stats.gumbel_r(**_given(law, "loc", "scale")),
    "gumbel_min": lambda law: stats.gumbel_l(**_given(law, "loc", "scale")),
    "laplace": lambda law: stats.laplace(**_given(law, "loc", "scale")),
    "logistic": lambda law: stats.logistic(**_given(law, "loc", "scale")),
    "lognormal": lambda law: stats.lognorm(**_given(law, "s", "loc", "scale")),
    "negative_binomial": lambda law: stats.nbinom(law.n, law.p),
    "normal": lambda law: stats.norm(**_given(law, "loc", "scale")),
    "pareto": lambda law: stats.pareto(**_given(law, "b", "loc", "scale")),
    "poisson": lambda law: stats.poisson(law.mu),
    "student_t": lambda law: stats.t(law.dof, **_given(law, "loc", "scale")),
    "triangular": lambda law: stats.triang(**_given(law, "c", "loc", "scale")),
    "uniform": lambda law: stats.uniform(**_given(law, "loc", "scale")),
    "weibull": lambda law: stats.weibull_min(**_given(law, "c", "loc", "scale")),
}


def frozen(law):
    """The frozen SciPy law of ``law``, or None where SciPy has none of this kind."""
    return FROZEN[law.kind](law) if law.kind in FROZEN else None


def breaks(law):
    """Where the density of a continuous ``law`` jumps, inside its support."""
    if law.kind != "semi_parametric":
        return []
    thresholds = [t for t in (law.lower_threshold, law.upper_threshold) if t is not None]
    return [x for x in np.unique([*law.values, *thresholds]) if law.support[0] < x < law.support[1]]

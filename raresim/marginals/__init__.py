"""The laws of one risk factor, by constructor: ``from raresim import marginals; marginals.Gamma(a=2.0)``."""

from raresim.marginals import frozen as _frozen  # noqa: F401  # laws of SciPy become marginals
from raresim.marginals.affine import Affine
from raresim.marginals.bernoulli import Bernoulli
from raresim.marginals.beta import Beta
from raresim.marginals.binomial import Binomial
from raresim.marginals.empirical import Empirical
from raresim.marginals.exponential import Exponential
from raresim.marginals.finite import Finite
from raresim.marginals.gamma import Gamma
from raresim.marginals.generalised_pareto import GeneralisedPareto
from raresim.marginals.geometric import Geometric
from raresim.marginals.gev import Gev
from raresim.marginals.gumbel import Gumbel
from raresim.marginals.gumbel_min import GumbelMin
from raresim.marginals.laplace import Laplace
from raresim.marginals.logistic import Logistic
from raresim.marginals.lognormal import Lognormal
from raresim.marginals.mixture import Mixture
from raresim.marginals.negative_binomial import NegativeBinomial
from raresim.marginals.normal import Normal
from raresim.marginals.normal_inverse_gaussian import NormalInverseGaussian
from raresim.marginals.pareto import Pareto
from raresim.marginals.poisson import Poisson
from raresim.marginals.scipy_law import ScipyLaw
from raresim.marginals.semi_parametric import SemiParametric
from raresim.marginals.skewed_t import SkewedT
from raresim.marginals.student_t import StudentT
from raresim.marginals.triangular import Triangular
from raresim.marginals.truncated import Truncated
from raresim.marginals.truncated_normal import TruncatedNormal
from raresim.marginals.uniform import Uniform
from raresim.marginals.variance_gamma import VarianceGamma
from raresim.marginals.weibull import Weibull

__all__ = [
    "Affine",
    "Bernoulli",
    "Beta",
    "Binomial",
    "Empirical",
    "Exponential",
    "Finite",
    "Gamma",
    "GeneralisedPareto",
    "Geometric",
    "Gev",
    "Gumbel",
    "GumbelMin",
    "Laplace",
    "Logistic",
    "Lognormal",
    "Mixture",
    "NegativeBinomial",
    "Normal",
    "NormalInverseGaussian",
    "Pareto",
    "Poisson",
    "ScipyLaw",
    "SemiParametric",
    "SkewedT",
    "StudentT",
    "Triangular",
    "Truncated",
    "TruncatedNormal",
    "Uniform",
    "VarianceGamma",
    "Weibull",
]

"""The laws of the study, with their tails in mpmath and their quantiles in SciPy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mpmath import mp, mpf
from scipy import stats

from raresim import marginals as m
from raresim.marginals.base import Marginal
from raresim.registry import members

Tail = Callable[[Any, bool], Any]
"""Function of ``(x, upper)``: the tail probability of ``x`` on that side."""


@dataclass(frozen=True)
class Case:
    """A law and the same law outside of raresim.

    Parameters
    ----------
    law : Marginal
        The law.
    tail : Tail
        Its tail in mpmath.
    scipy : object
        The law in SciPy, None where it has none.
    common : bool
        Whether the law has to meet the bar for the cost of common laws.
    density : callable, optional
        The density in mpmath of which ``tail`` is the integral, where each integral takes seconds.
    """

    law: Marginal
    tail: Tail
    scipy: Any
    common: bool = False
    density: Callable[[Any], Any] | None = None


def _of_survival(survival: Callable[[Any], Any], distribution: Callable[[Any], Any]) -> Tail:
    return lambda x, upper: survival(x) if upper else distribution(x)


def _beta(a: float, b: float) -> Tail:
    return lambda x, upper: (
        mp.betainc(a, b, x, 1, regularized=True) if upper else mp.betainc(a, b, 0, x, regularized=True)
    )


def _gamma(a: float) -> Tail:
    return lambda x, upper: (
        mp.gammainc(a, x, mp.inf, regularized=True) if upper else mp.gammainc(a, 0, x, regularized=True)
    )


def _student(dof: float) -> Callable[[Any], Any]:
    """Lower tail of a Student t law."""

    def lower(x: Any) -> Any:
        half = mp.betainc(mpf(dof) / 2, mpf(1) / 2, 0, dof / (dof + x * x), regularized=True) / 2
        return half if x < 0 else 1 - half

    return lower


def _skewed(dof: float, skew: float) -> Tail:
    """Hansen (1994): two halves of Student t laws."""
    dof, skew = mpf(dof), mpf(skew)
    c = mp.gamma((dof + 1) / 2) / (mp.sqrt(mp.pi * (dof - 2)) * mp.gamma(dof / 2))
    a = 4 * skew * c * (dof - 2) / (dof - 1)
    b = mp.sqrt(1 + 3 * skew**2 - a**2)
    lower = _student(float(dof))

    def tail(x: Any, upper: bool) -> Any:
        y = (b * x + a) * mp.sqrt(dof / (dof - 2))
        if y < 0:
            below = (1 - skew) * lower(y / (1 - skew))
            return 1 - below if upper else below
        above = (1 + skew) * lower(-y / (1 + skew))
        return above if upper else 1 - above

    return tail


def _quadrature(density: Callable[[Any], Any], reach: float, rule: str = "tanh-sinh") -> Tail:
    """Tails of a density on the line that falls by 1/e or more within ``reach``, by a rule of mpmath."""

    def tail(x: Any, upper: bool) -> Any:
        side = 1 if upper else -1
        steps = [0, mpf("0.01"), mpf("0.1"), mpf("0.5"), 1, 2, 3, 4, 6, 8, 10, 14, 20, 30, 40]
        points = sorted({x + side * reach * s for s in steps} | ({mpf(0)} if side * x < 0 else set()))
        return mp.quad(density, points, method=rule)

    return tail


def _nig(a: float, b: float) -> Callable[[Any], Any]:
    a, b = mpf(a), mpf(b)
    g = mp.sqrt(a * a - b * b)
    return lambda t: a * mp.besselk(1, a * mp.sqrt(1 + t * t)) * mp.exp(g + b * t) / (mp.pi * mp.sqrt(1 + t * t))


def _uniform(x: Any, upper: bool) -> Any:
    return 1 - x if upper else x


def _triangular(c: float) -> Tail:
    def tail(x: Any, upper: bool) -> Any:
        below = x * x / c if x < c else 1 - (1 - x) ** 2 / (1 - c)
        return ((1 - x) ** 2 / (1 - c) if x >= c else 1 - below) if upper else below

    return tail


def cases() -> list[Case]:
    """Every law with a density that has a tail of its own (a wrapper has the tail of the law inside)."""
    e = mp.exp
    weibull = mpf("0.7")
    xi = mpf("0.25")
    cut = mp.ncdf(-1)
    return [
        Case(m.Normal(), lambda x, up: mp.ncdf(-x if up else x), stats.norm(), True),
        Case(
            m.Lognormal(s=1.0),
            lambda x, up: mp.ncdf(-mp.log(x) if up else mp.log(x)),
            stats.lognorm(1.0),
            True,
        ),
        Case(m.Exponential(), _of_survival(lambda x: e(-x), lambda x: -mp.expm1(-x)), stats.expon(), True),
        Case(
            m.Weibull(c=0.7),
            _of_survival(lambda x: e(-(x**weibull)), lambda x: -mp.expm1(-(x**weibull))),
            stats.weibull_min(0.7),
            True,
        ),
        Case(m.Gumbel(), _of_survival(lambda x: -mp.expm1(-e(-x)), lambda x: e(-e(-x))), stats.gumbel_r(), True),
        Case(
            m.GumbelMin(),
            _of_survival(lambda x: e(-e(x)), lambda x: -mp.expm1(-e(x))),
            stats.gumbel_l(),
            True,
        ),
        Case(
            m.GeneralisedPareto(xi=0.25),
            _of_survival(lambda x: (1 + xi * x) ** (-1 / xi), lambda x: 1 - (1 + xi * x) ** (-1 / xi)),
            stats.genpareto(0.25),
            True,
        ),
        Case(m.Uniform(), _uniform, stats.uniform(), True),
        Case(
            m.Logistic(),
            _of_survival(lambda x: 1 / (1 + e(x)), lambda x: 1 / (1 + e(-x))),
            stats.logistic(),
            True,
        ),
        Case(
            m.Laplace(),
            lambda x, up: e(-abs(x)) / 2 if (x > 0) == up else 1 - e(-abs(x)) / 2,
            stats.laplace(),
            True,
        ),
        Case(
            m.Gev(xi=0.25),
            _of_survival(lambda x: -mp.expm1(-((1 + xi * x) ** (-1 / xi))), lambda x: e(-((1 + xi * x) ** (-1 / xi)))),
            stats.genextreme(-0.25),
        ),
        Case(m.Pareto(b=2.0), _of_survival(lambda x: x**-2, lambda x: 1 - x**-2), stats.pareto(2.0)),
        Case(m.Triangular(c=0.3), _triangular(mpf(0.3)), stats.triang(0.3)),
        Case(m.StudentT(dof=3.0), lambda x, up: _student(3.0)(-x if up else x), stats.t(3.0)),
        Case(m.SkewedT(dof=4.0, skew=-0.3), _skewed(4.0, -0.3), None),
        Case(m.Gamma(a=2.5), _gamma(2.5), stats.gamma(2.5)),
        Case(m.Gamma(a=0.5), _gamma(0.5), stats.gamma(0.5)),
        Case(m.Beta(a=0.5, b=3.0), _beta(0.5, 3.0), stats.beta(0.5, 3.0)),
        Case(
            m.TruncatedNormal(mean=0.0, std=1.0, low=1.0),
            lambda x, up: mp.ncdf(-x) / cut if up else (cut - mp.ncdf(-x)) / cut,
            stats.truncnorm(1.0, float("inf")),
        ),
        Case(
            m.NormalInverseGaussian(a=2.0, b=0.5),
            _quadrature(_nig(2.0, 0.5), 1.0, "gauss-legendre"),  # smooth, and dear: fewer points do
            stats.norminvgauss(2.0, 0.5),
            density=_nig(2.0, 0.5),
        ),
        Case(
            m.VarianceGamma(nu=0.5, theta=-0.2),
            _quadrature(_vg(0.5, -0.2), 1.0),
            None,
            density=_vg(0.5, -0.2),
        ),
    ]


def others() -> list[Marginal]:
    """An example of every kind that is not among the cases, without SciPy's laws, whose cost is SciPy's."""
    known = {case.law.kind for case in cases()} | {"scipy"}
    return [cls.examples()[0] for kind, cls in members("marginal").items() if kind not in known]


def _vg(nu: float, theta: float) -> Callable[[Any], Any]:
    """Madan, Carr & Chang (1998), eq. 23, with sigma 1 and location 0."""
    nu, theta = mpf(nu), mpf(theta)
    order = 1 / nu - mpf(1) / 2
    front = 2 / (nu ** (1 / nu) * mp.sqrt(2 * mp.pi) * mp.gamma(1 / nu))

    def density(t: Any) -> Any:
        t = t or mpf("1e-30")
        z = abs(t) * mp.sqrt(2 / nu + theta**2)
        return front * mp.exp(theta * t) * (t * t / (2 / nu + theta**2)) ** (order / 2) * mp.besselk(order, z)

    return density

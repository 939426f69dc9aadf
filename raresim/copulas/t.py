"""The Student t copula."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import numpy as np

from raresim.arguments import checks
from raresim.arguments.checks import Matrix
from raresim.copulas import elliptical
from raresim.copulas.base import Copula
from raresim.copulas.fit import CopulaFit, maximise, pairs, std_error_of
from raresim.copulas.ranks import correlation_by_kendall, scores_of
from raresim.copulas.student_t_map import StudentTMap, student_t_copula_tail
from raresim.copulas.summary import dependence_lines
from raresim.data.correlation import Repair, RepairMode, correlation
from raresim.distributions.mixing import log_mixing
from raresim.distributions.normal_passes import dense_distance, lower_affine
from raresim.distributions.student_t import DOF_RANGE
from raresim.errors import DataError, FieldError
from raresim.numerics import arrays
from raresim.numerics.arrays import Float
from raresim.registry import member

DOF_BOUNDS = (0.5, 300.0)
"""Degrees of freedom that a fit may find."""


TMeasure = Literal["normal", "kendall"]


@member("copula")
@dataclass(frozen=True, kw_only=True, eq=False)
class T(Copula):
    """Dependence of the multivariate Student t law: joint extremes in both tails, even without correlation.

    Parameters
    ----------
    correlation : (d, d), optional
        Correlation matrix of the normals behind the law, positive definite.
    rho : float, optional
        Instead of ``correlation``: one correlation for all pairs; needs ``dim``.
    dof : float
        Degrees of freedom, from 0.1 to 1e5.
    dim : int, optional
        Number of coordinates.
    measure : {"normal", "kendall"}
        The measure that is given: the correlation ``r`` of the normals, or Kendall's ``tau``, which gives
        ``r = sin(pi tau / 2)``. Spearman's has no closed form here.
    repair : {"none", "nearest"}
        What to do with a matrix that is not positive definite: refuse it, or take the nearest one that is.

    Raises
    ------
    FieldError
        When no correlation matrix has these values, or ``dof`` is out of range.

    Notes
    -----
    The first latent normal makes the mixing variable that all coordinates share; a larger one is *calmer*
    (`raresim.distributions.mixing`). The others are as in the Gaussian copula. A table, checked to 1e-11 when it is
    made, gives the score from the log of the t variate's size.

    References
    ----------
    .. [1] S. Demarta and A. J. McNeil, *The t copula and related copulas*, International Statistical Review 73 (2005)
       111-129.
    """

    kind: ClassVar[str] = "t"

    dof: float
    correlation: Matrix | None = None
    rho: float | None = None
    dim: int = 0
    measure: Literal["normal", "kendall"] = "normal"
    repair: Literal["none", "nearest"] = "none"

    matrix: Float = field(init=False, repr=False)
    factor: Float = field(init=False, repr=False)
    repaired: Repair | None = field(init=False, repr=False)
    margin: StudentTMap = field(init=False, repr=False)

    def __post_init__(self) -> None:
        check_dof("dof", self.dof)
        checks.one_of("measure", self.measure, TMeasure)
        checks.one_of("repair", self.repair, RepairMode)
        dim, matrix, repaired = elliptical.resolve(self.dim, self.correlation, self.rho, self.measure, self.repair)
        object.__setattr__(self, "dim", dim)
        object.__setattr__(self, "matrix", matrix)
        object.__setattr__(self, "factor", checks.cholesky("correlation", matrix))
        object.__setattr__(self, "repaired", repaired)
        object.__setattr__(self, "margin", StudentTMap(float(self.dof)))

    @property
    def latent_dim(self) -> int:
        return self.dim + 1

    def scores(self, u: Float, v: Float) -> None:
        lower_affine(u[:, 1:], self.factor, np.zeros(self.dim), v)
        mixing = arrays.scratch("t_mixing", u.shape[0], 1)[:, 0]
        log_mixing(u[:, 0], self.margin.mixing_table, mixing)
        for j in range(self.dim):
            scale_to_score(self.margin, mixing, v[:, j])

    def logpdf(self, v: Float, out: Float) -> None:
        x = np.empty(v.shape, order="F")
        for j in range(self.dim):
            self.margin.log_variate(np.ascontiguousarray(v[:, j]), x[:, j])
        t_copula_logpdf(self.margin, self.factor, np.sign(v), x, out)

    def tail_dependence(self) -> tuple[Float, Float]:
        tail = student_t_copula_tail(self.matrix, self.dof)
        return tail, tail

    def kendall(self) -> Float:
        return elliptical.kendall(self.matrix)

    def describe(self) -> list[str]:
        lines = [f"Student t copula of {self.dim}, dof {self.dof:.4g}", *dependence_lines(self)]
        return lines if self.repaired is None else [*lines, self.repaired.line]

    @classmethod
    def fit(cls, scores: Float) -> CopulaFit:
        """The t copula with the correlation from Kendall's tau, and ``dof`` by maximum likelihood given it.

        Parameters
        ----------
        scores : (n, d) float64
            Normal scores of the observations, as `raresim.copulas.ranks.pseudo_scores` makes them.

        Raises
        ------
        DataError
            When the likelihood still rises at the largest ``dof``: such data are as good as Gaussian.

        Notes
        -----
        The method of McNeil, Frey and Embrechts, *Quantitative Risk Management*, section 7.5. The standard error of
        ``dof`` comes from the observed information of ``dof`` alone; the standard errors of the correlations come from
        the variance of tau.
        """
        v = scores_of(scores)
        estimate, errors = correlation_by_kendall(v)
        matrix, _ = correlation("correlation", estimate, "nearest")
        factor = checks.cholesky("correlation", matrix)
        sign = np.sign(v)
        sizes, where = np.unique(np.abs(v).round(12), return_inverse=True)  # the ranks of all columns are alike
        terms, x = np.empty(len(v)), np.empty(v.shape, order="F")

        def total(dof: float) -> float:
            margin = StudentTMap(dof)
            x[:] = margin.log_variate_exactly(sizes)[where].reshape(v.shape)
            t_copula_logpdf(margin, factor, sign, x, terms)
            return float(terms.sum())

        log_dof, at_end = maximise(lambda log: total(math.exp(log)), *(math.log(b) for b in DOF_BOUNDS))
        if at_end == "high":
            raise DataError(
                f"dof: the likelihood still rises at the largest allowed value, {DOF_BOUNDS[1]:g}: "
                "these data are as good as Gaussian; use kind gaussian"
            )
        if at_end == "low":
            raise DataError(
                f"dof: the likelihood still rises at the smallest allowed value, {DOF_BOUNDS[0]:g}: "
                "these data have more joint extremes than any t copula; look for ties or repeated rows"
            )
        dof = math.exp(log_dof)
        copula = cls(dof=dof, correlation=matrix)
        parameters = {**pairs(matrix), "dof": dof}
        std_errors = {**pairs(errors), "dof": std_error_of(total, dof, *DOF_BOUNDS)}
        return CopulaFit(copula, parameters, std_errors, total(dof), len(v))

    @staticmethod
    def examples() -> list[T]:
        """Members for the conformance tests."""
        return [
            T(dof=4.0, rho=0.5, dim=2),
            T(dof=2.5, correlation=[[1.0, 0.6, -0.3], [0.6, 1.0, 0.2], [-0.3, 0.2, 1.0]]),
            T(dof=30.0, rho=0.2, dim=3, measure="kendall"),
        ]


def check_dof(name: str, dof: float) -> None:
    """Raise `FieldError` unless ``dof`` is in `DOF_RANGE`."""
    low, high = DOF_RANGE
    if not low <= dof <= high:
        raise FieldError(name, f"must be from {low:g} to {high:g} (beyond: kind gaussian), got {dof:.15g}")


def scale_to_score(margin: StudentTMap, mixing: Float, column: Float) -> None:
    """Turn a column (n,) of normals into scores of the t variates ``exp(mixing)`` times as large, in place."""
    x, size = arrays.scratch("t_sizes", column.shape[0], 2).T
    with np.errstate(divide="ignore"):
        np.log(np.abs(column, out=x), out=x)
    x += mixing
    margin.score(x, size)
    np.copysign(size, column, out=column)


def t_copula_logpdf(margin: StudentTMap, factor: Float, sign: Float, x: Float, out: Float) -> None:
    """Log density of the t copula where the t variates are ``sign * exp(x)`` (n, d).

    The quadratic form is computed after division by the largest variate of the row, which may overflow a double.
    """
    nu, d = margin.dof, x.shape[1]
    largest = x.max(axis=1)
    largest = np.where(np.isfinite(largest), largest, 0.0)
    y = np.asfortranarray(sign * np.exp(x - largest[:, None]))
    dense_distance(y, factor, np.zeros(d), out)
    with np.errstate(divide="ignore"):
        np.log(out, out=out)
    joint = np.logaddexp(0.0, out + 2.0 * largest - math.log(nu))
    constant = math.lgamma(0.5 * (nu + d)) - math.lgamma(0.5 * nu) - 0.5 * d * math.log(nu * math.pi)
    out[:] = constant - float(np.log(np.diag(factor)).sum()) - 0.5 * (nu + d) * joint
    out -= margin.logpdf(x).sum(axis=1)

"""Copulas fitted to data: pseudo-observations, Kendall's tau, and maximum likelihood given the margins' ranks."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from raresim.arguments import checks
from raresim.copulas.archimedean import Archimedean
from raresim.copulas.base import Copula
from raresim.copulas.gaussian import Gaussian
from raresim.copulas.student_t_map import StudentTMap
from raresim.copulas.t import T, t_copula_logpdf
from raresim.data.correlation import correlation
from raresim.distributions.covariances import refuse_dependencies
from raresim.errors import DataError
from raresim.marginals.likelihood import Criteria
from raresim.numerics.arrays import Float
from raresim.numerics.jit import kernel
from raresim.registry import lookup

By = Literal["scores", "kendall"]

DOF_BOUNDS = (0.5, 300.0)
_GRID = 24


@dataclass(frozen=True, eq=False)
class CopulaFit(Criteria):
    """A copula fitted to pseudo-observations.

    Parameters
    ----------
    copula : Copula
        The copula with the fitted parameters.
    parameters : mapping
        Name to value of the fitted parameters; ``rho[i][j]`` for a correlation.
    std_errors : mapping
        Name to standard error.
    log_likelihood : float
        Log likelihood of the copula at the scores, in nats.
    n : int
        Number of observations.
    """

    copula: Copula
    parameters: Mapping[str, float]
    std_errors: Mapping[str, float]
    log_likelihood: float
    n: int


def fit_kind(kind: str | None, scores: Float) -> CopulaFit:
    """The copula of a kind that fits normal scores (n, d) best; without a kind, Gaussian or t, whichever AIC prefers.

    Raises
    ------
    DataError
        When the kind does not fit the data.
    """
    if kind is not None:
        law: Any = lookup("copula", kind)
        fit: CopulaFit = law.fit(scores)
        return fit
    gaussian = fit_gaussian(scores, "scores")
    try:
        return min(fit_t(scores), gaussian, key=lambda fit: fit.aic)
    except DataError:  # no finite degrees of freedom: as good as Gaussian
        return gaussian


def refuse_dependent_scores(kind: str | None, names: Sequence[str], scores: Float) -> None:
    """Raise `DataError` where a correlation matrix of ``scores`` (n, d) would be singular, naming the columns."""
    if kind in (None, "gaussian", "t"):
        remedy = "no copula of their ranks can be fitted; leave such columns out with `columns`, or use more rows"
        refuse_dependencies(names, scores, remedy)


def pseudo_scores(values: ArrayLike) -> Float:
    """Normal scores of observations, ``Phi^-1(rank / (n + 1))`` column by column; ties share their mean rank.

    Parameters
    ----------
    values : (n, d) array_like
        Observations, finite, one per row.

    Returns
    -------
    (n, d) float64, Fortran order

    Raises
    ------
    DataError
        When there are too few rows, values that are not finite, or a constant column.
    """
    from scipy import special, stats

    table = _table(values)
    for j, column in enumerate(table.T):
        if column.min() == column.max():
            raise DataError(f"column {j} is constant ({column[0]:g}): its ranks say nothing")
    ranks = stats.rankdata(table, axis=0)
    return np.asfortranarray(special.ndtri(ranks / (table.shape[0] + 1.0)))


def kendall_matrix(values: ArrayLike) -> Float:
    """Kendall's tau-b of each pair of columns of ``values`` (n, d), as a (d, d) matrix."""
    from scipy import stats

    table = _table(values)
    d = table.shape[1]
    tau = np.eye(d)
    for i in range(d):
        for j in range(i):
            tau[i, j] = tau[j, i] = stats.kendalltau(table[:, i], table[:, j]).statistic
    if np.isnan(tau).any():
        raise DataError("Kendall's tau is not defined where a column is constant")
    return tau


def log_likelihood(copula: Copula, scores: Float) -> float:
    """Log likelihood of a copula at normal scores (n, d), in nats."""
    terms = np.empty(len(scores))
    copula.logpdf(scores, terms)
    return float(terms.sum())


def fit_gaussian(scores: Float, by: By) -> CopulaFit:
    """Fit of `Gaussian`.

    Notes
    -----
    The correlation of normal scores is as efficient as any estimate that does not know the margins, with standard error
    ``(1 - r^2) / sqrt(n)`` (Klaassen & Wellner, Bernoulli 3, 1997). The standard error of a correlation from Kendall's
    tau follows from the variance of tau, by the delta method.
    """
    checks.one_of("by", by, By)
    v = _scores(scores)
    if by == "scores":
        matrix = np.corrcoef(v, rowvar=False)
        errors = np.asarray((1.0 - matrix**2) / math.sqrt(len(v)))
    else:
        matrix, errors = _correlation_by_kendall(v)
    copula = Gaussian(correlation=matrix, repair="nearest" if by == "kendall" else "none")
    parameters, std_errors = _pairs(copula.matrix), _pairs(errors)
    return CopulaFit(copula, parameters, std_errors, log_likelihood(copula, v), len(v))


def fit_t(scores: Float) -> CopulaFit:
    """Fit of `T`: the correlation is ``sin(pi tau / 2)``, then ``dof`` has maximum likelihood given the correlation.

    Notes
    -----
    The method of McNeil, Frey and Embrechts, *Quantitative Risk Management*, section 7.5. The standard error of ``dof``
    comes from the observed information of ``dof`` alone; the standard errors of the correlations come from the variance
    of tau.
    """
    v = _scores(scores)
    estimate, errors = _correlation_by_kendall(v)
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

    log_dof, at_end = _maximise(lambda log: total(math.exp(log)), *(math.log(b) for b in DOF_BOUNDS))
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
    copula = T(dof=dof, correlation=matrix)
    parameters = {**_pairs(matrix), "dof": dof}
    std_errors = {**_pairs(errors), "dof": _std_error(total, dof, *DOF_BOUNDS)}
    return CopulaFit(copula, parameters, std_errors, total(dof), len(v))


def fit_archimedean(cls: type[Archimedean], scores: Float) -> CopulaFit:
    """Fit of one Archimedean copula by maximum likelihood in ``theta``, searched on the scale of Kendall's tau.

    Notes
    -----
    The standard error comes from the observed information and treats the ranks as if they were the margins. Genest,
    Ghoudi and Rivest, Biometrika 82, 1995, have the part that is missing, which is small except for strong dependence.
    """
    v = _scores(scores)
    d = v.shape[1]
    low, high = cls.THETAS

    def total(theta: float) -> float:
        return log_likelihood(cls(theta=theta, dim=d), v)  # type: ignore[call-arg]  # every member has these fields

    def by_tau(tau: float) -> float:
        return total(min(max(cls.theta_of(tau), low), high))

    tau, at_end = _maximise(by_tau, cls.tau_of(low), cls.tau_of(high))
    if at_end:
        end, meaning = (low, "smallest") if at_end == "low" else (high, "largest")
        reason = "show no positive dependence of this kind" if at_end == "low" else "move together almost perfectly"
        raise DataError(
            f"theta: the likelihood of {cls.kind} is largest at the {meaning} theta, {end:g}: these data {reason}"
        )
    theta = min(max(cls.theta_of(tau), low), high)
    copula = cls(theta=theta, dim=d)  # type: ignore[call-arg]
    return CopulaFit(copula, {"theta": theta}, {"theta": _std_error(total, theta, low, high)}, total(theta), len(v))


def _maximise(total: Callable[[float], float], low: float, high: float) -> tuple[float, Literal["", "low", "high"]]:
    """The maximiser of ``total``, and the end of the range at which it lies, if any: a grid, then Brent's search."""
    from scipy import optimize

    grid = np.linspace(low, high, _GRID)
    with np.errstate(all="ignore"):
        values = np.array([total(float(point)) for point in grid])
    best = int(np.nanargmax(values))
    bracket = grid[max(best - 1, 0)], grid[min(best + 1, _GRID - 1)]
    found = optimize.minimize_scalar(
        lambda point: -total(float(point)), bounds=bracket, method="bounded", options={"xatol": 1e-8 * (high - low)}
    )
    at = float(found.x)
    if best in {0, _GRID - 1} and values[best] >= -float(found.fun):
        return at, "low" if best == 0 else "high"
    return at, ""


def _std_error(total: Callable[[float], float], at: float, low: float, high: float) -> float:
    """Standard error from the second derivative of the log likelihood; NaN where this is not negative."""
    step = min(1e-3 * at, 0.5 * (at - low), 0.5 * (high - at))
    if step <= 0:
        return math.nan
    curvature = (total(at + step) - 2.0 * total(at) + total(at - step)) / step**2
    return 1.0 / math.sqrt(-curvature) if curvature < 0 else math.nan


def _correlation_by_kendall(v: Float) -> tuple[Float, Float]:
    """``sin(pi tau / 2)`` of each pair and its standard error.

    Notes
    -----
    Tau is a U-statistic: its standard error is ``2 sd(4 C(u, v) - 2 u - 2 v) / sqrt(n)`` with the empirical copula
    ``C`` at the observations.
    """
    from scipy import stats

    tau = kendall_matrix(v)
    n, d = v.shape
    errors = np.zeros((d, d))
    ranks = stats.rankdata(v, method="max", axis=0).astype(np.int64)
    below = np.empty(n)
    for i in range(d):
        for j in range(i):
            order = np.argsort(ranks[:, i], kind="stable")
            count_below(ranks[order, i], ranks[order, j], below)
            u, w = ranks[order, i] / n, ranks[order, j] / n
            spread = float(np.std(4.0 * below / n - 2.0 * u - 2.0 * w, ddof=1))
            error = 2.0 * spread / math.sqrt(n)
            errors[i, j] = errors[j, i] = 0.5 * math.pi * math.cos(0.5 * math.pi * tau[i, j]) * error
    return np.sin(0.5 * math.pi * tau), errors


@kernel
def count_below(first: np.ndarray, second: np.ndarray, out: Float) -> None:
    """Count, for each point, the points not above it in either rank, itself included, by a Fenwick tree.

    ``first`` is in ascending order.
    """
    n = first.shape[0]
    tree = np.zeros(n + 1, dtype=np.int64)
    start = 0
    while start < n:
        stop = start
        while stop < n and first[stop] == first[start]:
            k = second[stop]
            while k <= n:
                tree[k] += 1
                k += k & -k
            stop += 1
        for i in range(start, stop):
            total = 0
            k = second[i]
            while k > 0:
                total += tree[k]
                k -= k & -k
            out[i] = total
        start = stop


def _pairs(matrix: Float) -> dict[str, float]:
    d = matrix.shape[0]
    return {f"rho[{i}][{j}]": float(matrix[i, j]) for i in range(d) for j in range(i)}


def _scores(scores: Float) -> Float:
    v = _table(scores)
    if v.shape[1] < 2:
        raise DataError("a copula needs at least 2 columns, got 1")
    return np.asfortranarray(v)


def _table(values: ArrayLike) -> Float:
    try:
        table = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise DataError("the observations must be numbers") from None
    if table.ndim != 2 or table.shape[0] < 3:
        raise DataError(f"the observations must be a table of at least 3 rows, got shape {table.shape}")
    if not np.isfinite(table).all():
        row, column = np.argwhere(~np.isfinite(table))[0]
        raise DataError(f"the observations must be finite, got {table[row, column]} at row {row}, column {column}")
    return table

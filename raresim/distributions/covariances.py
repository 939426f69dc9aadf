"""Covariances and degrees of freedom that are fitted for an input law."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from raresim.arguments.checks import cholesky, matrix, one_of, vector
from raresim.data import CovarianceMethod, ReturnsData, ReturnsTable
from raresim.errors import DataError
from raresim.numerics.arrays import Float, frozen
from raresim.numerics.surroundings import in_one_thread

DOF_BOUNDS = (2.05, 200.0)

DEPENDENT = 1e-10
"""A column of length 1 counts as made of the columns before it if what is left beside them is no longer than this."""

MOST_NAMED = 5
"""Most columns that a message names."""


@dataclass(frozen=True, eq=False)
class CovarianceEstimate:
    """A covariance matrix and how far it was shrunk.

    Parameters
    ----------
    cov : (d, d) float64
        Symmetric, in squared units of the values, read-only.
    shrinkage : float
        Weight of the target in [0, 1], dimensionless; 0 for the sample covariance.
    moved : float
        Largest change of a correlation by the shrinkage.
    """

    cov: Float
    shrinkage: float
    moved: float = 0.0


def covariance(values: Float, method: CovarianceMethod = "ledoit_wolf") -> CovarianceEstimate:
    r"""Covariance of the columns of ``values``.

    Parameters
    ----------
    values : (n, d) float64
        Independent rows, any unit; at least 2.
    method : {"ledoit_wolf", "sample"}
        ``sample`` divides by ``n - 1`` and needs ``n > d``, since the matrix is singular otherwise. ``ledoit_wolf``
        is positive definite for any ``d`` from ``n = 3`` on; 2 rows say nothing about their own spread.

    Raises
    ------
    DataError
        When there are too few rows, or a column is constant.

    Notes
    -----
    ``ledoit_wolf`` keeps the sample variance of each column (divided by ``n``) and pulls the sample correlations
    towards 0: it is Ledoit and Wolf's [1]_ shrinkage towards the identity, applied to columns of unit variance. So the
    unit of a column does not matter, and a quiet column keeps its volatility beside a loud one. With standardised rows
    :math:`z_k` and :math:`R = \frac1n \sum_k z_k z_k^\top`, the sums run over pairs :math:`i \ne j` only, because the
    diagonal is 1 in both:

    .. math::
        \delta^2 = \sum_{i \ne j} R_{ij}^2, \quad
        \bar\beta^2 = \frac1{n^2} \sum_k \sum_{i \ne j} (z_{ki} z_{kj} - R_{ij})^2, \quad
        \beta^2 = \min(\bar\beta^2, \delta^2),

    and the correlations are :math:`(1 - \rho) R_{ij}`, where the intensity :math:`\rho = \beta^2 / \delta^2` has the
    least expected squared error of the correlations ([2]_, target D). The sums need no loop over ``k``: because
    :math:`\sum_k z_{ki} z_{kj} = n R_{ij}`, the sum in :math:`\bar\beta^2` equals
    :math:`\sum_k (z_k^\top z_k)^2 - \sum_k \sum_i z_{ki}^4 - n \delta^2`. Cost :math:`O(n d^2)`, memory
    :math:`O(n d + d^2)`.

    References
    ----------
    .. [1] O. Ledoit and M. Wolf, *A well-conditioned estimator for large-dimensional covariance matrices*,
       Journal of Multivariate Analysis 88 (2004) 365-411, section 3.
    .. [2] J. Schaefer and K. Strimmer, *A shrinkage approach to large-scale covariance matrix estimation and
       implications for functional genomics*, Statistical Applications in Genetics and Molecular Biology 4 (2005) 32.

    Examples
    --------
    >>> values = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 2.0], [0.0, -2.0]])
    >>> covariance(values, "sample").cov.diagonal()
    array([0.66666667, 2.66666667])
    """
    one_of("covariance", method, CovarianceMethod)
    n, d = values.shape
    if n < 2:
        raise DataError(f"covariance: at least 2 rows are needed, got {n}")
    centred = values - values.mean(axis=0)
    if method == "ledoit_wolf":
        return _ledoit_wolf(centred)
    if n <= d:
        raise DataError(
            f"covariance: a sample covariance of {d} columns needs more than {d} rows, got {n}; "
            "use `covariance: ledoit_wolf`, more rows or fewer columns"
        )
    return CovarianceEstimate(cov=frozen(centred.T @ centred / (n - 1)), shrinkage=0.0)


def _ledoit_wolf(centred: Float) -> CovarianceEstimate:
    """The estimate of `covariance` from centred rows, in its notation."""
    n, d = centred.shape
    scales = np.sqrt(np.einsum("ki,ki->i", centred, centred) / n)
    if not scales.all():
        raise DataError(f"covariance: column {int(np.argmin(scales))} is constant: it has no correlation with others")
    z = centred / scales
    sample = z.T @ z / n
    pairs = sample - np.diag(np.diag(sample))
    dispersion = float((pairs**2).sum())
    squares = z * z
    spread = float((squares.sum(axis=1) ** 2).sum() - (squares**2).sum()) - n * dispersion
    error = max(spread, 0.0) / n**2  # a sum of squares: below zero only by rounding
    # Without dispersion (one column, say) there is nothing to shrink.
    shrinkage = min(error, dispersion) / dispersion if dispersion > 0 else 0.0
    correlation = (1.0 - shrinkage) * pairs + np.eye(d)
    moved = shrinkage * float(np.abs(pairs).max())
    return CovarianceEstimate(cov=frozen(correlation * np.outer(scales, scales)), shrinkage=shrinkage, moved=moved)


def covariance_of(table: ReturnsTable, source: ReturnsData) -> tuple[CovarianceEstimate, list[str]]:
    """The covariance of ``table`` that ``source`` asks for, and `dependencies` of its columns.

    Raises
    ------
    DataError
        When a sample covariance is asked for and would be singular; the message names the columns that make it so.
    """
    if source.covariance == "sample":
        remedy = "their sample covariance is singular; leave such columns out with `columns`, use more rows, or "
        refuse_dependencies(table.names, table.values, remedy + "`covariance: ledoit_wolf`")
        return covariance(table.values, "sample"), []
    return covariance(table.values), dependencies(table.names, table.values)


def fit_student_t_dof(values: Float, mean: ArrayLike, cov: ArrayLike) -> float:
    r"""Maximum-likelihood degrees of freedom of a multivariate Student t of given mean and covariance.

    Parameters
    ----------
    values : (n, d) float64
        Independent rows, any unit.
    mean : (d,) float64
        Mean, held fixed; unit of ``values``.
    cov : (d, d) float64
        Covariance, held fixed; squared unit of ``values``, positive definite.

    Returns
    -------
    float
        Degrees of freedom :math:`\nu`, dimensionless, inside `DOF_BOUNDS`. At a bound `DataError` is
        raised: such data are as good as normal, or too heavy-tailed to have a covariance.

    Notes
    -----
    This is the second of two steps. First mean and covariance are estimated by moments; then the scale matrix is
    tied to them as :math:`\Sigma (\nu - 2) / \nu`, so that the fitted law has exactly this covariance
    whatever :math:`\nu` is, and only :math:`\nu` is searched. The moments are consistent for
    :math:`\nu > 2`, so this estimate of :math:`\nu` is too. Against the joint maximum likelihood of [1]_ it
    gives up some efficiency, more so below 4 degrees of freedom; it gains a portfolio variance that
    agrees with the data, and a search in one dimension. Rows enter through
    :math:`q_k = (x_k - \mu)^\top \Sigma^{-1} (x_k - \mu)` alone:

    .. math::
        \log f_\nu(x_k) = \log\Gamma\frac{\nu + d}2 - \log\Gamma\frac\nu2 - \frac d2 \log \pi(\nu - 2)
        - \frac12 \log|\Sigma| - \frac{\nu + d}2 \log\Bigl(1 + \frac{q_k}{\nu - 2}\Bigr).

    A grid on :math:`\log(\nu - 2)` brackets the highest peak, Brent's bounded search refines it.

    References
    ----------
    .. [1] C. Liu and D. B. Rubin, *ML estimation of the t distribution using EM and its extensions, ECM
       and ECME*, Statistica Sinica 5 (1995) 19-39.
    """
    from scipy.optimize import minimize_scalar

    distances = _squared_distances(values, mean, cov)
    d = values.shape[1]

    def cost(log_excess: float) -> float:
        return -_mean_log_likelihood(math.exp(log_excess), distances, d)

    low, high = (math.log(bound - 2.0) for bound in DOF_BOUNDS)
    grid = np.linspace(low, high, 65)
    best = int(np.argmin([cost(point) for point in grid]))
    bracket = (grid[max(best - 1, 0)], grid[min(best + 1, grid.size - 1)])
    found = minimize_scalar(cost, bounds=bracket, method="bounded", options={"xatol": 1e-10})
    if cost(high) <= found.fun:
        raise DataError(
            f"dof: the likelihood still rises at the largest allowed value, {DOF_BOUNDS[1]:g}: "
            "these tails are no heavier than normal; use `kind: normal`"
        )
    if cost(low) <= found.fun:
        raise DataError(
            f"dof: the likelihood still rises at the smallest allowed value, {DOF_BOUNDS[0]:g}: "
            "these tails are too heavy for a covariance; look for outliers or another date range, "
            "or state the law's parameters instead of fitting it"
        )
    return 2.0 + math.exp(found.x)


def _squared_distances(values: Float, mean: ArrayLike, cov: ArrayLike) -> Float:
    """Squared Mahalanobis distance of each row, ``(n,)``, dimensionless."""
    from scipy.linalg import solve_triangular

    d = values.shape[1]
    factor = cholesky("cov", matrix("cov", cov, d))
    white = solve_triangular(factor, (values - vector("mean", mean, d)).T, lower=True)
    distances: Float = np.einsum("ik,ik->k", white, white)
    return distances


def _mean_log_likelihood(excess: float, distances: Float, d: int) -> float:
    """Mean of ``log f`` in `fit_student_t_dof` at ``dof = 2 + excess``, without its ``log|cov| / 2``."""
    half = 1.0 + 0.5 * excess
    constant = math.lgamma(half + 0.5 * d) - math.lgamma(half) - 0.5 * d * math.log(math.pi * excess)
    return constant - (half + 0.5 * d) * float(np.log1p(distances / excess).mean())


def dependencies(names: Sequence[str], values: Float) -> list[str]:
    """Sentences on which columns of ``values`` (n, d) follow from others, or on the rows where these are too few.

    Columns are compared exactly, up to rounding: a near copy does not count.
    """
    n, d = values.shape
    if d < 2:
        return []
    if n <= d:
        return [f"{n} rows are too few for {d} columns: more than {d} are needed to see all their correlations"]
    centred = values - values.mean(axis=0)
    unit = centred / np.linalg.norm(centred, axis=0)
    with in_one_thread():  # a second one waits more than it works, for so few columns
        left_over = np.abs(np.diag(np.linalg.qr(unit, mode="r")))
    found: list[str] = []
    free: list[int] = []
    for j in range(d):
        if left_over[j] > DEPENDENT:
            free.append(j)
            continue
        shares = np.linalg.lstsq(unit[:, free], unit[:, j], rcond=None)[0]
        others = [free[k] for k in np.flatnonzero(np.abs(shares) > DEPENDENT**0.5)]
        found.append(f"column {names[j]!r} is {_made_of(names, values, j, others)}")
    return found


def _made_of(names: Sequence[str], values: Float, j: int, others: Sequence[int]) -> str:
    """How column ``j`` follows from ``others``, in words."""
    if len(others) == 1:
        exact = np.array_equal(values[:, j], values[:, others[0]])
        return f"a {'copy' if exact else 'multiple'} of column {names[others[0]]!r}"
    shown = ", ".join(repr(names[k]) for k in others[:MOST_NAMED])
    more = len(others) - MOST_NAMED
    return f"a linear combination of the columns {shown}{f' and {more} more' if more > 0 else ''}"


def refuse_dependencies(names: Sequence[str], values: Float, remedy: str) -> None:
    """Raise `DataError` where columns follow from others, or rows are too few; ``remedy`` ends its message."""
    if found := dependencies(names, values):
        shown = "; ".join(found[:MOST_NAMED])
        more = len(found) - MOST_NAMED
        raise DataError(f"{shown}{f'; and {more} more' if more > 0 else ''}: {remedy}")

"""Ranks of observations: normal scores, Kendall's tau, and the correlation from it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from raresim.distributions.covariances import refuse_dependencies
from raresim.errors import DataError
from raresim.numerics.arrays import Float
from raresim.numerics.jit import kernel


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
            raise DataError(f"column {j} is constant ({column[0]:g}): its ranks hold no information")
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
        raise DataError("Kendall's tau is not defined if a column is constant")
    return tau


def correlation_by_kendall(v: Float) -> tuple[Float, Float]:
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


def refuse_dependent_scores(kind: str | None, names: Sequence[str], scores: Float) -> None:
    """Raise `DataError`, with the columns, if a correlation matrix of ``scores`` (n, d) would be singular."""
    if kind in (None, "gaussian", "t"):
        remedy = "no copula of their ranks can be fitted; leave such columns out with `columns`, or use more rows"
        refuse_dependencies(names, scores, remedy)


def scores_of(scores: Float) -> Float:
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


@kernel
def count_below(first: np.ndarray, second: np.ndarray, out: Float) -> None:
    """For each point count the points that are not above it in either rank, itself included, with a Fenwick tree.

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

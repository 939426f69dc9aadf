"""Closed forms between normal laws."""

from __future__ import annotations

import math
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from raresim.arguments import checks
from raresim.errors import FieldError
from raresim.information.discrete import check_order
from raresim.information.units import LOG_MAX, per_nat
from raresim.numerics.arrays import Float

LowRank: TypeAlias = tuple[Float, Float, Float]
"""A normal law with covariance ``I + V (diag(v) - I) V'``: mean (d,), orthonormal ``V`` (d, k), ``v`` (k,)."""


def entropy_normal(cov: ArrayLike, *, base: float = math.e) -> float:
    """Differential entropy ``log|2 pi e C| / 2`` of a normal law.

    Parameters
    ----------
    cov : (d, d) or (d,)
        Covariance; a vector stands for a diagonal matrix.
    base : float
        Unit.
    """
    spread = _spread("cov", cov)
    dim = int(spread.shape[0])
    return per_nat(base) * (0.5 * dim * (1.0 + math.log(2.0 * math.pi)) + _half_log_det(spread))


def kl_normal(
    mean_p: ArrayLike, cov_p: ArrayLike, mean_q: ArrayLike, cov_q: ArrayLike, *, base: float = math.e
) -> float:
    """``KL(p || q) = (tr(Cq^-1 Cp) - d + (mq - mp)' Cq^-1 (mq - mp) + log|Cq| - log|Cp|) / 2``.

    Parameters
    ----------
    mean_p, mean_q : (d,)
        Means.
    cov_p, cov_q : (d, d) or (d,)
        Covariances; a vector stands for a diagonal matrix.
    base : float
        Unit.

    Raises
    ------
    FieldError
        When sizes disagree or a covariance is not positive definite.

    References
    ----------
    .. [1] Kullback, *Information Theory and Statistics*, 1959, ch. 9.
    """
    p, q, gap = _pair(mean_p, cov_p, mean_q, cov_q)
    if p.ndim == 1 and q.ndim == 1:
        with np.errstate(over="ignore", divide="ignore"):  # a ratio above the largest double is infinite
            ratio = p / q
            log_ratio = np.where(np.abs(ratio - 1.0) < 0.5, np.log(ratio), np.log(p) - np.log(q))
            return per_nat(base) * max(0.0, float(0.5 * (ratio - 1.0 - log_ratio + gap**2 / q).sum()))
    factor = np.linalg.cholesky(_dense(q))
    scaled = np.linalg.solve(factor, np.linalg.cholesky(_dense(p)))
    shift = np.linalg.solve(factor, gap)
    distance = float(np.square(scaled).sum() - gap.size + shift @ shift)
    return per_nat(base) * max(0.0, 0.5 * distance + _half_log_det(q) - _half_log_det(p))


def cross_entropy_normal(
    mean_p: ArrayLike, cov_p: ArrayLike, mean_q: ArrayLike, cov_q: ArrayLike, *, base: float = math.e
) -> float:
    """``H(p, q) = H(p) + KL(p || q)`` between two normal laws."""
    extra = kl_normal(mean_p, cov_p, mean_q, cov_q, base=base)  # first: its checks name these arguments
    return entropy_normal(cov_p, base=base) + extra


def renyi_normal(
    mean_p: ArrayLike, cov_p: ArrayLike, mean_q: ArrayLike, cov_q: ArrayLike, alpha: float, *, base: float = math.e
) -> float:
    """Renyi divergence of order ``alpha`` between two normal laws, [1]_ table 2.

    With ``C = alpha Cq + (1 - alpha) Cp``: ``alpha d' C^-1 d / 2 + (log|C| - (1 - alpha) log|Cp| - alpha log|Cq|) /
    (2 (1 - alpha))``; infinite where ``C`` is not positive definite.

    References
    ----------
    .. [1] Gil, Alajaji & Linder, *Renyi divergence measures for commonly used univariate continuous distributions*,
       Inf. Sci. 249, 2013.
    """
    check_order(alpha)
    if alpha == 1:
        return kl_normal(mean_p, cov_p, mean_q, cov_q, base=base)
    p, q, gap = _pair(mean_p, cov_p, mean_q, cov_q)
    if p.ndim != q.ndim:
        p, q = _dense(p), _dense(q)
    mixed = alpha * q + (1.0 - alpha) * p
    if not _is_positive(mixed):
        return math.inf
    distance = gap @ (gap / mixed if mixed.ndim == 1 else np.linalg.solve(mixed, gap))
    logs = _half_log_det(mixed) - (1.0 - alpha) * _half_log_det(p) - alpha * _half_log_det(q)
    return per_nat(base) * max(0.0, float(0.5 * alpha * distance + logs / (1.0 - alpha)))


def chi_square_normal(mean_p: ArrayLike, cov_p: ArrayLike, mean_q: ArrayLike, cov_q: ArrayLike) -> float:
    """``exp(Renyi_2) - 1``: the relative variance of the weights ``p/q`` under ``q``; infinite unless ``2 Cq > Cp``."""
    order_two = renyi_normal(mean_p, cov_p, mean_q, cov_q, 2.0)
    return math.expm1(order_two) if order_two < LOG_MAX else math.inf


def kl_low_rank(p: LowRank, q: LowRank) -> float:
    """KL(p || q) between normal laws that differ from the identity in a few directions, in nats.

    It is `kl_normal` with the determinant ``prod v`` and the inverse ``I + V (diag(1/v) - I) V'``. The numbers of
    directions of the two laws may differ and may be zero.

    Raises
    ------
    FieldError
        When shapes disagree, the directions are not orthonormal to 1e-8 or a variance is not positive.
    """
    mean_p, basis_p, spread_p = _low_rank("p", p)
    mean_q, basis_q, spread_q = _low_rank("q", q)
    if mean_p.size != mean_q.size:
        raise FieldError("q", f"must have the dimension of p, {mean_p.size}, got {mean_q.size}")
    gap = mean_q - mean_p
    inverse = 1.0 / spread_q - 1.0
    overlap = (basis_q.T @ basis_p) ** 2
    trace_less_d = inverse.sum() + (spread_p - 1.0).sum() + inverse @ overlap @ (spread_p - 1.0)
    distance = gap @ gap + inverse @ (basis_q.T @ gap) ** 2
    return max(0.0, float(0.5 * (trace_less_d + distance + np.log(spread_q).sum() - np.log(spread_p).sum())))


def _pair(mean_p: ArrayLike, cov_p: ArrayLike, mean_q: ArrayLike, cov_q: ArrayLike) -> tuple[Float, Float, Float]:
    """Both covariances, and the difference of the means."""
    p, q = _spread("cov_p", cov_p), _spread("cov_q", cov_q)
    if p.shape[0] != q.shape[0]:
        raise FieldError("cov_q", f"must have the size of cov_p, {p.shape[0]}, got {q.shape[0]}")
    gap = checks.vector("mean_q", mean_q, p.shape[0]) - checks.vector("mean_p", mean_p, p.shape[0])
    return p, q, gap


def _low_rank(field: str, law: LowRank) -> LowRank:
    mean, basis, spread = (np.asarray(part, dtype=np.float64) for part in law)
    if basis.ndim != 2 or mean.shape != basis.shape[:1] or spread.shape != basis.shape[1:]:
        shapes = f"{mean.shape}, {basis.shape} and {spread.shape}"
        raise FieldError(field, f"must be a mean (d,), directions (d, k) and variances (k,), got shapes {shapes}")
    if not (spread > 0).all():
        raise FieldError(field, f"must have positive variances, got {spread[~(spread > 0)][0]:g}")
    gap = np.abs(basis.T @ basis - np.eye(spread.size)).max(initial=0.0)
    if not gap <= 1e-8:
        raise FieldError(field, f"must have orthonormal directions, got a product off by {gap:.2g}")
    return mean, basis, spread


def _spread(field: str, cov: ArrayLike) -> Float:
    """A covariance matrix, or the vector of a diagonal one; checked to be positive definite."""
    if np.ndim(cov) < 2:
        return checks.positive_vector(field, cov)
    dense = checks.matrix(field, cov)
    checks.cholesky(field, dense)
    return dense


def _dense(spread: Float) -> Float:
    return np.diag(spread) if spread.ndim == 1 else spread


def _half_log_det(spread: Float) -> float:
    if spread.ndim == 1:
        return float(0.5 * np.log(spread).sum())
    return float(0.5 * np.linalg.slogdet(spread)[1])


def _is_positive(spread: Float) -> bool:
    lowest = spread if spread.ndim == 1 else np.linalg.eigvalsh(spread)
    return bool(lowest.min() > 0)

"""Entropy and divergences of finite laws: arrays of probabilities.

Exact at the edges: ``0 log 0`` is 0, and an event of probability zero that happens is infinitely surprising.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from raresim.errors import FieldError
from raresim.information.units import LOG_MAX, per_nat
from raresim.numerics.arrays import Float

TOLERANCE = 1e-8
"""Largest distance of the sum of probabilities from one; they are never rescaled."""


def self_information(p: float | None = None, *, log_p: float | None = None, base: float = math.e) -> float:
    """Surprise ``-log p`` of an event.

    It is also KL(optimal || target) of a rare event: the optimal proposal is the target restricted to the event, so its
    log density ratio is the constant ``-log p``. Crude Monte Carlo needs about ``exp(-log p)`` draws [1]_.

    Parameters
    ----------
    p : float
        Probability in [0, 1]; 0 gives infinity.
    log_p : float
        Natural logarithm of the probability, for probabilities below the smallest double.
    base : float
        Unit: e for nats, 2 for bits.

    Raises
    ------
    FieldError
        When neither or both of ``p`` and ``log_p`` are given, or the number is no probability.

    References
    ----------
    .. [1] Chatterjee & Diaconis, *The sample size required in importance sampling*, Ann. Appl. Probab. 28, 2018.
    """
    unit = per_nat(base)
    if (p is None) == (log_p is None):
        raise FieldError("p", "give exactly one of p and log_p")
    if p is not None:
        if not 0 <= p <= 1:
            raise FieldError("p", f"must be from 0 to 1, got {p:.15g}")
        return math.inf if p == 0 else 0.0 - unit * math.log(p)
    if log_p is None or not log_p <= 0:
        raise FieldError("log_p", f"must be at most 0, got {log_p}")
    return 0.0 - unit * log_p


def entropy(p: ArrayLike, *, base: float = math.e) -> float:
    """Shannon entropy ``-sum p log p``: the mean surprise of a law.

    Parameters
    ----------
    p : array_like
        Probabilities, of any shape (a table is the joint law of its indices), adding to one within `TOLERANCE`.
    base : float
        Unit: e for nats, 2 for bits.

    References
    ----------
    .. [1] Shannon, *A mathematical theory of communication*, Bell Syst. Tech. J. 27, 1948, sec. 6.
    """
    law = _law("p", p)
    return per_nat(base) * float(-_x_log_y(law, law).sum()) + 0.0


def perplexity(p: ArrayLike) -> float:
    """``exp(H(p))``: the number of equally likely outcomes that would be as uncertain."""
    return math.exp(entropy(p))


def joint_entropy(table: ArrayLike, *, base: float = math.e) -> float:
    """``H(X, Y)`` of a joint law ``table[x, y]``."""
    return entropy(_table(table), base=base)


def conditional_entropy(table: ArrayLike, *, base: float = math.e) -> float:
    """``H(Y | X) = H(X, Y) - H(X)`` of a joint law ``table[x, y]``: the uncertainty of Y when X is known."""
    joint = _table(table)
    return per_nat(base) * (entropy(joint) - entropy(joint.sum(axis=1)))


def mutual_information(table: ArrayLike, *, base: float = math.e) -> float:
    """``I(X; Y) = KL(p(x, y) || p(x) p(y))`` of a joint law ``table[x, y]``.

    It is summed as ``sum_x p(x) KL(p(y | x) || p(y))``, because a product of two margins may be below the smallest
    double.
    """
    joint = _table(table)
    rows, y = joint.sum(axis=1), joint.sum(axis=0) / joint.sum()
    return per_nat(base) * float(sum(p * _relative(row / p, y) for p, row in zip(rows, joint, strict=True) if p > 0))


def cross_entropy(p: ArrayLike, q: ArrayLike, *, base: float = math.e) -> float:
    """``H(p, q) = -sum p log q``: the mean surprise of draws from ``p`` for an observer who believes ``q``.

    It is infinite if ``q`` excludes outcomes that ``p`` allows.
    """
    law, belief = _pair(p, q)
    return per_nat(base) * float(-_x_log_y(law, belief).sum()) + 0.0


def kl(p: ArrayLike, q: ArrayLike, *, base: float = math.e) -> float:
    """``KL(p || q) = sum p log(p / q) = H(p, q) - H(p)``: the extra surprise of believing ``q``.

    It is at least 0, and 0 only for equal laws; it is not symmetric, and infinite if ``q`` excludes outcomes of ``p``.

    References
    ----------
    .. [1] Kullback & Leibler, *On information and sufficiency*, Ann. Math. Stat. 22, 1951.
    """
    return per_nat(base) * _relative(*_pair(p, q))


def jensen_shannon(p: ArrayLike, q: ArrayLike, *, base: float = math.e) -> float:
    """``(KL(p || m) + KL(q || m)) / 2`` with ``m = (p + q) / 2``: symmetric, at most ``log 2``.

    References
    ----------
    .. [1] Lin, *Divergence measures based on the Shannon entropy*, IEEE Trans. Inf. Theory 37, 1991.
    """
    law, belief = _pair(p, q)
    twice = law + belief  # halving it could round a probability to zero
    return per_nat(base) * 0.25 * (_relative(2.0 * law, twice) + _relative(2.0 * belief, twice))


def renyi(p: ArrayLike, q: ArrayLike, alpha: float, *, base: float = math.e) -> float:
    """Renyi divergence ``log(sum p^alpha q^(1 - alpha)) / (alpha - 1)``; KL at ``alpha = 1``.

    Parameters
    ----------
    p, q : array_like
        Probabilities of one shape.
    alpha : float
        Order, positive.
    base : float
        Unit.

    References
    ----------
    .. [1] van Erven & Harremoes, *Renyi divergence and Kullback-Leibler divergence*, IEEE Trans. Inf. Theory 60, 2014.
    """
    check_order(alpha)
    if alpha == 1:
        return kl(p, q, base=base)
    law, belief = _pair(p, q)
    if alpha > 1 and (law[belief == 0] > 0).any():
        return math.inf
    both = (law > 0) & (belief > 0)
    if not both.any():
        return math.inf
    ratio = np.log(law[both]) - np.log(belief[both])
    missing = float(law[belief == 0].sum())
    if (
        abs(alpha - 1) * np.abs(ratio).max() < 1 and missing < 0.5
    ):  # the sum is near one: rounding would dominate its logarithm
        change = float((law[both] * np.expm1((alpha - 1) * ratio)).sum()) - missing
        return per_nat(base) * max(0.0, math.log1p(change) / (alpha - 1))
    logs = np.log(law[both]) + (alpha - 1) * ratio
    top = float(logs.max())
    return per_nat(base) * max(0.0, (top + math.log(np.exp(logs - top).sum())) / (alpha - 1))


def chi_square(p: ArrayLike, q: ArrayLike) -> float:
    """``sum (p - q)^2 / q = exp(Renyi_2) - 1``: the relative variance of the weights ``p/q`` under ``q``."""
    order_two = renyi(p, q, 2.0)
    return math.expm1(order_two) if order_two < LOG_MAX else math.inf


def check_order(alpha: float) -> None:
    """Raise `FieldError` unless ``alpha`` is positive and finite."""
    if not (math.isfinite(alpha) and alpha > 0):
        raise FieldError("alpha", f"must be positive, got {alpha:g}")


def _x_log_y(x: Float, y: Float) -> Float:
    """``x log y`` with ``0 log 0 = 0``; ``-inf`` where ``y`` is 0 and ``x`` is not."""
    from scipy.special import xlogy

    return np.asarray(xlogy(x, y), dtype=np.float64)


def _relative(x: Float, y: Float) -> float:
    """``sum x log(x / y)``, at least 0, for arrays with equal sums."""
    from scipy.special import rel_entr

    return max(0.0, float(rel_entr(x, y).sum()))


def _law(field: str, p: ArrayLike) -> Float:
    law = np.asarray(p, dtype=np.float64)
    if law.size == 0:
        raise FieldError(field, "must not be empty")
    if not (law >= 0).all():
        worst = law[~(law >= 0)].flat[0]
        raise FieldError(field, f"must be probabilities, none negative, got {worst:g}")
    if abs(law.sum() - 1.0) > TOLERANCE:
        raise FieldError(field, f"must add to 1 within {TOLERANCE:g}, got {law.sum():.12g}")
    return law


def _pair(p: ArrayLike, q: ArrayLike) -> tuple[Float, Float]:
    law, belief = _law("p", p), _law("q", q)
    if law.shape != belief.shape:
        raise FieldError("q", f"must have the shape of p, {law.shape}, got {belief.shape}")
    return law, belief


def _table(table: ArrayLike) -> Float:
    joint = _law("table", table)
    if joint.ndim != 2:
        raise FieldError("table", f"must have two dimensions, table[x, y], got {joint.ndim}")
    return joint

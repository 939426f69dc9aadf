"""Negative log-likelihood as the loss of a classifier: cross-entropy from a one-hot law."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from raresim.errors import FieldError
from raresim.information.discrete import TOLERANCE
from raresim.information.units import per_nat
from raresim.numerics.arrays import Float


def classification_loss(
    labels: ArrayLike,
    *,
    probabilities: ArrayLike | None = None,
    logits: ArrayLike | None = None,
    base: float = math.e,
) -> Float:
    """``-log q(y)`` of each sample: the cross-entropy ``H(one-hot(y), q)``.

    Parameters
    ----------
    labels : (n,) int, or (n, k)
        The class of each sample, or one-hot rows.
    probabilities : (n, k) float
        Probabilities of the classes, adding to one in each row.
    logits : (n, k) float
        Unnormalised log probabilities instead; ``q = softmax(logits)``, computed in logs so that no logit is too large.
    base : float
        Unit.

    Returns
    -------
    (n,) float64
        Infinite where the true class has probability zero.

    Raises
    ------
    FieldError
        When shapes do not match, a row is no law, or a logit is NaN or +infinity.
    """
    if (probabilities is None) == (logits is None):
        raise FieldError("probabilities", "give exactly one of probabilities and logits")
    log_q = _log_probabilities(probabilities) if logits is None else _log_softmax(logits)
    index = _classes(labels, *log_q.shape)
    return -per_nat(base) * log_q[np.arange(index.size), index] + 0.0


def mean_classification_loss(
    labels: ArrayLike,
    *,
    probabilities: ArrayLike | None = None,
    logits: ArrayLike | None = None,
    base: float = math.e,
) -> float:
    """The average of `classification_loss`: the empirical cross-entropy of the classifier."""
    return float(classification_loss(labels, probabilities=probabilities, logits=logits, base=base).mean())


def _log_probabilities(probabilities: ArrayLike | None) -> Float:
    q = _rows("probabilities", probabilities)
    if not (q >= 0).all():
        raise FieldError("probabilities", "must not be negative or NaN")
    off = np.abs(q.sum(axis=1) - 1.0)
    if off.max() > TOLERANCE:
        row = int(off.argmax())
        raise FieldError(
            "probabilities", f"must add to 1 in each row within {TOLERANCE:g}, got {q[row].sum():.12g} in row {row}"
        )
    logs = np.full(q.shape, -np.inf)
    np.log(q, out=logs, where=q > 0)
    return logs


def _log_softmax(logits: ArrayLike) -> Float:
    z = _rows("logits", logits)
    if np.isnan(z).any() or (z == np.inf).any() or (z == -np.inf).all(axis=1).any():
        raise FieldError("logits", "must not be NaN or +infinity, nor all -infinity in a row")
    with np.errstate(over="ignore"):  # a gap above the largest double is infinite
        z = z - z.max(axis=1, keepdims=True)
    logs: Float = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
    return logs


def _rows(field: str, values: ArrayLike | None) -> Float:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 2 or 0 in array.shape:
        raise FieldError(field, f"must have shape (n, k), got {array.shape}")
    return array


def _classes(labels: ArrayLike, n: int, k: int) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    y = np.asarray(labels)
    if y.shape == (n, k) and y.ndim == 2:
        if not (((y == 0) | (y == 1)).all() and (y.sum(axis=1) == 1).all()):
            raise FieldError("labels", "must be one-hot rows: a single 1 in each, else 0")
        return np.asarray(y.argmax(axis=1), dtype=np.intp)
    if y.shape != (n,):
        raise FieldError("labels", f"must have shape ({n},) or ({n}, {k}), got {y.shape}")
    if y.dtype.kind not in "iu":
        raise FieldError("labels", f"must be whole numbers, got {y.dtype}")
    if ((y < 0) | (y >= k)).any():
        raise FieldError("labels", f"must be from 0 to {k - 1}, got {y[(y < 0) | (y >= k)][0]}")
    return y.astype(np.intp)

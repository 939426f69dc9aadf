"""A copula's dependence in a line of text."""

from __future__ import annotations

import math

import numpy as np

from raresim.copulas.base import Copula
from raresim.numerics.arrays import Float


def dependence_lines(copula: Copula) -> list[str]:
    """Kendall's tau and tail dependence in words: one number where all pairs have the same, else the range."""
    if copula.dim < 2:
        return []
    lower, upper = copula.tail_dependence()
    named = {
        "Kendall's tau": copula.kendall(),
        "lower tail dependence": lower,
        "upper tail dependence": upper,
    }
    parts = [f"{name} {text}" for name, values in named.items() if (text := _range(values))]
    return [", ".join(parts)] if parts else []


def _range(values: Float) -> str:
    pairs = values[np.triu_indices(values.shape[0], 1)]
    known = pairs[np.isfinite(pairs)]
    if not known.size:
        return ""
    low, high = _number(float(known.min())), _number(float(known.max()))
    of = "" if known.size == pairs.size else f" ({known.size} of {pairs.size} pairs known)"
    return (low if low == high else f"{low} to {high}") + of


def _number(value: float) -> str:
    return "0" if math.isclose(value, 0.0, abs_tol=1e-12) else f"{value:.4g}"


def constant(dim: int, pair: float) -> Float:
    """The (dim, dim) matrix with ones on the diagonal and ``pair`` elsewhere."""
    matrix = np.full((dim, dim), pair)
    np.fill_diagonal(matrix, 1.0)
    return matrix

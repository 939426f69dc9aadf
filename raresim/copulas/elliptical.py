"""The correlation matrix of a copula, from the arguments that may state it."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np

from raresim.arguments import checks
from raresim.arguments.checks import Matrix
from raresim.copulas.summary import constant
from raresim.data.correlation import Repair, RepairMode, correlation, entries
from raresim.errors import FieldError
from raresim.numerics.arrays import Float

Measure = Literal["normal", "spearman", "kendall"]


def resolve(
    dim: int, matrix: Matrix | None, rho: float | None, measure: Measure, repair: RepairMode
) -> tuple[int, Float, Repair | None]:
    """The dimension, the Pearson correlation of the normals, and the repair of this matrix.

    Parameters
    ----------
    dim : int
        0 where it was not given.
    matrix, rho
        The matrix, or one number for all pairs; exactly one of the two.
    measure : {"normal", "spearman", "kendall"}
        The measure that they state: Pearson's correlation of the normals ``r``, Spearman's ``(6 / pi) arcsin(r / 2)``
        (for the Gaussian copula), or Kendall's ``(2 / pi) arcsin r``.
    """
    if (matrix is None) == (rho is None):
        given = "neither" if matrix is None else "both"
        raise FieldError("correlation", f"give either correlation (a matrix) or rho (one number), got {given}")
    if dim:
        dim = checks.dimension("dim", dim, most=checks.MAX_MATRIX_DIM)
    if rho is not None:
        if dim < 2:
            raise FieldError("dim", f"must be at least 2 where rho is given, got {dim}")
        if not -1.0 <= rho <= 1.0:
            raise FieldError("rho", f"must be from -1 to 1, got {rho:.15g}")
        normal = float(to_normal(np.array(rho), measure))
        if repair == "none" and not -1.0 / (dim - 1) < normal < 1.0:
            least = -1.0 / (dim - 1)
            raise FieldError(
                "rho",
                f"must be a normal correlation above {least:.6g} and below 1 for {dim} numbers, got {normal:.6g}"
                + ("" if measure == "normal" else f" ({measure} {rho:g})"),
            )
        return dim, *correlation("rho", constant(dim, normal), repair)
    given_matrix = entries("correlation", matrix)  # type: ignore[arg-type]  # not None
    if dim and given_matrix.shape[0] != dim:
        raise FieldError("correlation", f"must be {dim} x {dim}, got {given_matrix.shape[0]} x {given_matrix.shape[0]}")
    normal_matrix = np.array(to_normal(given_matrix, measure))
    np.fill_diagonal(normal_matrix, 1.0)
    return given_matrix.shape[0], *correlation("correlation", normal_matrix, repair)


def to_normal(value: Float, measure: Measure) -> Float:
    """Pearson's correlation of two normals from Spearman's or Kendall's."""
    if measure == "spearman":
        return np.asarray(2.0 * np.sin(math.pi / 6.0 * value))
    if measure == "kendall":
        return np.asarray(np.sin(0.5 * math.pi * value))
    return value


def kendall(correlation: Float) -> Float:
    """Kendall's tau of every elliptical law with this correlation."""
    return np.asarray(2.0 / math.pi * np.arcsin(np.clip(correlation, -1.0, 1.0)))

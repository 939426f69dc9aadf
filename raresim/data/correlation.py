"""Correlation matrices: the check of a matrix, and the nearest correlation matrix to one that is not quite valid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from raresim.arguments import checks
from raresim.data.names import aligned
from raresim.errors import FieldError
from raresim.numerics.arrays import Float, frozen

RepairMode = Literal["none", "nearest"]

EIGENVALUE_FLOOR = 1e-8
"""Smallest eigenvalue that a repaired matrix is left with, before its diagonal is made 1 again."""

ITERATIONS = 2000
TOLERANCE = 1e-12


@dataclass(frozen=True, kw_only=True)
class Repair:
    """How far a matrix was moved to become a correlation matrix.

    Parameters
    ----------
    distance : float
        Frobenius norm of the difference.
    largest_change : float
        Largest absolute change of an entry.
    """

    distance: float
    largest_change: float

    @property
    def line(self) -> str:
        """The repair in words."""
        return (
            f"repaired to the nearest correlation matrix: moved by {self.distance:.3g} in the Frobenius norm, "
            f"no entry by more than {self.largest_change:.3g}"
        )


def correlation(field: str, matrix: ArrayLike, repair: RepairMode = "none") -> tuple[Float, Repair | None]:
    """Check a correlation matrix.

    Parameters
    ----------
    field : str
        Name of the argument in messages.
    matrix : (d, d) array_like
        Symmetric, with unit diagonal and entries from -1 to 1.
    repair : {"none", "nearest"}
        What to do with a matrix that is not positive definite: refuse it, or take the nearest one that is.

    Returns
    -------
    The matrix, (d, d) float64 and read-only, and how far it was moved; None where it was not moved.

    Raises
    ------
    FieldError
        When ``matrix`` is not a correlation matrix and is not to be repaired, or cannot be repaired.
    """
    checks.one_of("repair", repair, RepairMode)
    given = entries(field, matrix)
    smallest = float(np.linalg.eigvalsh(given)[0])
    if smallest > given.shape[0] * np.finfo(float).eps:
        return given, None
    if repair == "none":
        raise FieldError(
            field,
            f"must be positive definite, got a matrix with smallest eigenvalue {smallest:.3g}; "
            "`repair: nearest` takes the nearest correlation matrix instead",
        )
    found = nearest(given)
    change = found - given
    return frozen(found), Repair(distance=float(np.linalg.norm(change)), largest_change=float(np.abs(change).max()))


def entries(field: str, matrix: ArrayLike) -> Float:
    """``matrix``, symmetric with unit diagonal and entries from -1 to 1; raises `FieldError` if it is not."""
    given = checks.matrix(field, aligned(matrix=matrix)[1]["matrix"])
    off = np.abs(np.diag(given) - 1.0)
    if off.max() > 1e-12:
        i = int(off.argmax())
        raise FieldError(field, f"must have ones on the diagonal, got {given[i, i]:g} at [{i}][{i}]")
    if np.abs(given).max() > 1.0 + 1e-12:
        i, j = divmod(int(np.abs(given).argmax()), given.shape[0])
        raise FieldError(field, f"must have entries from -1 to 1, got {given[i, j]:.15g} at [{i}][{j}]")
    exact = np.clip(0.5 * (given + given.T), -1.0, 1.0)
    np.fill_diagonal(exact, 1.0)
    return frozen(exact)


def nearest(matrix: Float) -> Float:
    """The positive definite correlation matrix nearest to a symmetric one, in the Frobenius norm.

    Notes
    -----
    Alternating projections on the positive semidefinite matrices and on the matrices of unit diagonal, with Dykstra's
    correction of the former ([1]_, algorithm 3.3). The limit is on the edge of the cone, so its eigenvalues are then
    raised to `EIGENVALUE_FLOOR` and the diagonal is scaled back to 1, which moves the matrix by less than ``d`` times
    this floor.

    References
    ----------
    .. [1] N. J. Higham, *Computing the nearest correlation matrix - a problem from finance*, IMA Journal of
       Numerical Analysis 22 (2002) 329-343.
    """
    y = np.array(matrix)
    correction = np.zeros_like(y)
    for _ in range(ITERATIONS):
        shifted = y - correction
        x = _with_eigenvalues_above(shifted, 0.0)
        correction = x - shifted
        following = x.copy()
        np.fill_diagonal(following, 1.0)
        moved = float(np.linalg.norm(following - y)) / float(np.linalg.norm(following))
        y = following
        if max(moved, float(np.linalg.norm(y - x)) / float(np.linalg.norm(y))) < TOLERANCE:
            break
    found = _with_eigenvalues_above(y, EIGENVALUE_FLOOR)
    scale = 1.0 / np.sqrt(np.diag(found))
    found *= scale[:, None] * scale
    np.fill_diagonal(found, 1.0)
    return found


def _with_eigenvalues_above(matrix: Float, least: float) -> Float:
    values, vectors = np.linalg.eigh(matrix)
    raised = (vectors * np.maximum(values, least)) @ vectors.T
    return np.asarray(0.5 * (raised + raised.T))

"""Sensitivities and a covariance that a user gives by hand, as numbers or files, put in one order by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from raresim.arguments import checks
from raresim.data import files
from raresim.data.correlation import RepairMode, correlation
from raresim.data.names import aligned, in_order, labels_of
from raresim.distributions.base import Inputs
from raresim.distributions.normal import Normal
from raresim.distributions.standard_normal import StandardNormal
from raresim.distributions.student_t import StudentT
from raresim.errors import DataError, FieldError
from raresim.models.market.sensitivities import Sensitivities
from raresim.models.market.tables import Column, Square
from raresim.numerics.arrays import Float, frozen

ROUNDING = 1e-9
"""How far above 1 a correlation may be by the digits of a file."""


def given(deltas: Any, gammas: Any, covariance: Any, known: Sequence[str] | None) -> Sensitivities:
    """Put all in the order of the factors: that of ``known``, their law's, or else that of ``deltas``.

    Raises
    ------
    FieldError, DataError
        When a name is unknown or missing, or a size is wrong.
    """
    diagonal: Float | None = None
    if isinstance(deltas, (str, Path)):
        column = Column.read(Path(deltas), "delta", ("gamma",))
        labels: tuple[str, ...] | None = column.names
        numbers: Any = dict(zip(column.names, column.values["delta"].tolist(), strict=True))
        diagonal = column.values.get("gamma")
        if diagonal is not None and gammas is not None:
            raise FieldError("gammas", f"must be left out: {column.file} has a column gamma")
    else:
        labels, numbers = labels_of(deltas), deltas
    names = tuple(known) if known is not None else labels
    delta = checks.vector("deltas", numbers) if names is None else in_order("deltas", numbers, names)
    if diagonal is not None and labels is not None and names is not None:
        gamma = in_order("deltas", dict(zip(labels, diagonal.tolist(), strict=True)), names)
    else:
        gamma = _gammas(gammas, names, delta.size)
    cov, notes = (None, ()) if covariance is None else _covariance(covariance, names, delta.size)
    source = Path(covariance).name if isinstance(covariance, (str, Path)) else "covariance"
    return Sensitivities(names, delta, gamma, cov, source, notes)


def _gammas(gammas: Any, names: tuple[str, ...] | None, d: int) -> Float:
    """The matrix (d, d), or the diagonal (d,) where that is given."""
    if gammas is None:
        return frozen(np.zeros(d))
    if isinstance(gammas, (str, Path)):
        square = Square.read(Path(gammas), "gamma")
        order = _needed("gammas", names)
        for name in square.names:
            if name not in order:
                raise DataError(f"{square.file}: {files.no_such('factor', name, order)}")
        full = np.zeros((d, d))
        at = [order.index(name) for name in square.names]
        full[np.ix_(at, at)] = square.matrix
        return frozen(full)
    if isinstance(gammas, Mapping):
        order = _needed("gammas", names)
        if unknown := [name for name in gammas if name not in order]:
            raise FieldError("gammas", files.no_such("name", unknown[0], order))
        return checks.vector("gammas", [gammas.get(name, 0.0) for name in order], d)
    if np.ndim(gammas) < 2:
        return checks.vector("gammas", gammas if names is None else in_order("gammas", gammas, names), d)
    return checks.matrix("gammas", _ordered(gammas, names), d)


def _covariance(covariance: Any, names: tuple[str, ...] | None, d: int) -> tuple[Float, tuple[str, ...]]:
    """The covariance (d, d) of the factors, and what is left out of it."""
    if not isinstance(covariance, (str, Path)):
        return checks.matrix("covariance", _ordered(covariance, names), d), ()
    square = Square.read(Path(covariance), "covariance")
    order = _needed("covariance", names)
    if absent := [name for name in order if name not in square.names]:
        raise DataError(
            f"{square.file}: has no row for {len(absent)} of {len(order)} factors: {files.listed(absent)}; add them, "
            "or leave them out of deltas"
        )
    further = [name for name in square.names if name not in order]
    many = f"{len(further)} factor{'s' * (len(further) > 1)} of {square.file}"
    notes = (f"{many} without a delta left out",) if further else ()
    return square.of(order), notes


def _needed(field: str, names: tuple[str, ...] | None) -> tuple[str, ...]:
    if names is None:
        raise FieldError(field, "needs deltas with names, which say what its factors are: a file or a mapping")
    return names


def _ordered(matrix: Any, names: tuple[str, ...] | None) -> Any:
    """A frame of pandas in the order of ``names``; any other matrix as it is."""
    labels, found = aligned(matrix=matrix)
    if labels is None or names is None or set(labels) != set(names):
        return found["matrix"]
    at = [labels.index(name) for name in names]
    return np.asarray(found["matrix"])[np.ix_(at, at)]


def factors_of(
    found: Sensitivities, law: Inputs | None, dof: float | None, repair: RepairMode
) -> tuple[Inputs, tuple[str, ...]]:
    """The law of the factors, and what is to be said of a covariance that was repaired.

    Raises
    ------
    FieldError, DataError
        When the covariance is not positive definite and not to be repaired.
    """
    d = found.delta.size
    names = found.names or tuple(f"x{i}" for i in range(1, d + 1))
    if law is not None:
        if law.dim != d:
            raise FieldError("factors", f"must be {d} as there are deltas, got {law.dim}")
        return named(law, names), ()
    cov = np.asarray(found.covariance)
    variance = np.diag(cov)
    if not (variance > 0).all():
        i = int(np.argmin(variance))
        raise DataError(f"{found.source}: the variance of {names[i]} must be positive, got {variance[i]:.6g}")
    std = np.sqrt(variance)
    scaled = cov / std[:, None] / std
    off = np.abs(scaled) - np.eye(d)
    if off.max() > 1.0 + ROUNDING:
        i, j = divmod(int(off.argmax()), d)
        raise DataError(
            f"{found.source}: {names[i]} and {names[j]} have the covariance {cov[i, j]:.6g}, more than their standard "
            f"deviations {std[i]:.6g} and {std[j]:.6g} allow"
        )
    np.fill_diagonal(scaled, 1.0)
    good, moved = correlation("covariance", scaled, repair)
    notes: tuple[str, ...] = ()
    if moved is not None:
        cov, notes = good * std[:, None] * std, (f"correlations of {found.source}: {moved.line}",)
    if dof is None:
        return Normal(mean=0.0, cov=cov, labels=names), notes
    return StudentT(dof=dof, loc=0.0, shape=cov * (dof - 2.0) / dof, labels=names), notes


def named(law: Inputs, names: tuple[str, ...]) -> Inputs:
    """``law`` with the names of its factors, where it has none and can have some."""
    if law.names is not None:
        return law
    if isinstance(law, StandardNormal):
        return Normal(mean=np.zeros(law.dim), std=1.0, labels=names)
    return replace(law, labels=names) if isinstance(law, (Normal, StudentT)) else law

"""Evaluations of an earlier run as the beginning of another: read from its folder, refused where they do not fit."""

from __future__ import annotations

import csv
import hashlib
import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from raresim.distributions.base import Inputs
from raresim.errors import DataError, FieldError
from raresim.files.plain_files import whole
from raresim.losses.base import Loss
from raresim.losses.evaluations import columns_of
from raresim.numerics.arrays import Float
from raresim.record.evaluated import STAGES, Evaluated

MOST_BYTES = 64 * 1024 * 1024

SAME = 1e-9
"""Largest difference of a factor and its map of the standard normals, relative to the size of the factor."""


def known_in(folder: Path, inputs: Inputs, loss: Loss) -> Evaluated:
    """The evaluations of the run in ``folder``, those of its first design first.

    Parameters
    ----------
    folder : Path
        A run folder.
    inputs, loss
        Of the run that begins, bound.

    Raises
    ------
    FieldError
        When the folder holds no such table.
    DataError
        When the table is damaged, or the earlier run had other inputs or another loss.
    """
    path, columns = folder / "evaluations.csv", columns_of(inputs, loss)
    if not path.is_file():
        raise FieldError("evaluations", f"must be the folder of a run with method surrogate: no file {path}")
    _refuse_other_loss(folder, loss)
    lines = list(csv.reader(whole(path, MOST_BYTES).decode("utf-8").splitlines()))
    if not lines or tuple(lines[0]) != columns:
        there = ", ".join(lines[0][:20]) if lines else "nothing"
        raise DataError(f"{path}: must have the columns {', '.join(columns)}, got {there}")
    rows = [_row(path, number, line, columns) for number, line in enumerate(lines[1:], 2)]
    rows.sort(key=lambda row: row[0] != STAGES[1])
    numbers = np.array([row[1:] for row in rows], dtype=np.float64).reshape(len(rows), -1)
    d, dim = inputs.latent_dim, inputs.dim
    u, x, last = numbers[:, :d], numbers[:, d : d + dim], numbers[:, -1]
    _refuse_other_inputs(path, inputs, u, x)
    values = numbers[:, d + dim : -1] if loss.limit_state_names else last[:, np.newaxis]
    return Evaluated(tuple(str(row[0]) for row in rows), u, values, last)


def _row(path: Path, number: int, line: list[str], columns: tuple[str, ...]) -> tuple[Any, ...]:
    """A row of the table: the stage, and numbers, NaN for those that are not known."""
    if len(line) != len(columns):
        raise DataError(f"{path}: row {number}: must have {len(columns)} cells, got {len(line)}")
    if line[0] not in STAGES:
        raise DataError(f"{path}: row {number}, column stage: must be one of {', '.join(STAGES)}, got {line[0]!r}")
    found: list[Any] = [line[0]]
    for name, cell in zip(columns[1:], line[1:], strict=True):
        try:
            value = float(cell) if cell else math.nan
        except ValueError:
            value = math.inf
        if math.isinf(value) or (math.isnan(value) and (cell or name == "loss")):
            raise DataError(f"{path}: row {number}, column {name}: must be a finite number, got {cell!r:.40}")
        found.append(value)
    return tuple(found)


def _refuse_other_inputs(path: Path, inputs: Inputs, u: Float, x: Float) -> None:
    """Raise `DataError` unless the inputs map the standard normals ``u`` (n, d) to the factors ``x``."""
    mapped = inputs.to_physical(np.asfortranarray(u), np.empty(x.shape, order="F"))
    off = ~(np.abs(mapped - x) <= SAME * np.maximum(np.abs(x), 1e-300))
    if off.any():
        row, column = map(int, np.argwhere(off)[0])
        raise DataError(
            f"{path}: row {row + 2}: belongs to other inputs: factor {column + 1} is {x[row, column]:.9g} there, and "
            f"{mapped[row, column]:.9g} for the inputs of this run"
        )


def _refuse_other_loss(folder: Path, loss: Loss) -> None:
    """Raise `DataError` where the run in ``folder`` described its loss in other words, or files of it have changed."""
    stored = json.loads(whole(folder / "result.json", MOST_BYTES))
    there = stored.get("description", {}).get("loss")
    if there != loss.describe():
        raise DataError(f"{folder}: had another loss: {' '.join(there or ['none'])}; here {' '.join(loss.describe())}")
    manifest = json.loads(whole(folder / "manifest.json", MOST_BYTES))
    then = {facts["name"]: facts["sha256"] for facts in manifest.get("files", ())}
    for path in loss.files():
        if (known := then.get(path.name)) is not None and known != hashlib.sha256(path.read_bytes()).hexdigest():
            raise DataError(f"{path}: has changed since the run in {folder}: its evaluations are of another loss")

"""Weights of a portfolio from a file."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from raresim.arrays import Float, frozen
from raresim.data import files
from raresim.data.files import MISSING, Problems


def read_positions(path: Path, names: Sequence[str]) -> Float:
    """Weights of a portfolio from a file with the columns ``id`` and ``weight``.

    Parameters
    ----------
    path : path
        CSV or Parquet; further columns are allowed and not read. One row for each of ``names``, in any order.
    names : sequence of str
        The ``d`` names that can be held, in the order of the result.

    Returns
    -------
    (d,) float64
        Weights as they stand in the file, read-only; a name that is not held has to be there with weight 0.
    """
    file = files.read(Path(path))
    problems = Problems(file.name)
    for needed in ("id", "weight"):
        if needed not in file.header:
            problems.add(
                f"a column {needed!r} is required, got {files.listed(file.header)}; add or rename it", file.header_row
            )
    problems.stop()
    seen: dict[str, int] = {}
    weights: dict[str, float] = {}
    for row, (name, weight) in file.rows(file.place(("id", "weight")), problems):
        if name in seen:
            problems.add(f"{name!r} is in row {seen[name]} already; keep one row for each", row, "id")
        elif name not in names:
            problems.add(files.no_such("id", name, names), row, "id")
        else:
            weights[name] = _weight(weight, row, problems)
        seen.setdefault(name, row)
    if absent := [name for name in names if name not in seen]:
        problems.add(
            f"no row for {len(absent)} of {len(names)} names: {', '.join(absent)}; "
            "add each, with weight 0 where there is no position"
        )
    elif not any(weights.values()):
        problems.add("every weight is 0; at least one position must be held")
    problems.stop()
    ordered: Float = frozen(np.array([weights[name] for name in names]))
    return ordered


def _weight(cell: str, row: int, problems: Problems) -> float:
    """One weight; NaN where it is wrong, which has then been put on the list."""
    if cell in MISSING:
        problems.add("is missing; write 0 for no position", row, "weight")
        return math.nan
    return files.number(cell, "write 0 for no position", problems, row, "weight")

"""Market data and losses from files and frames, checked cell by cell.

A file is CSV or Parquet, told apart by its name: ``.parquet`` is Parquet, everything else CSV. Nothing is guessed or
repaired: the unit, the kind of return and what to do with a missing value are stated by the user, and whatever is
wrong is listed as ``file.csv:ROW:COLUMN: message``. ROW is the line of a CSV file (its header is line 1), the row of a
Parquet file counted from 1, and the index of a row of an array, counted from 0.
"""

from raresim.data.column import Column, ColumnSource
from raresim.data.files import MAX_PROBLEMS
from raresim.data.forecasts import Forecasts, ForecastSource
from raresim.data.positions import Positions, held_names, read_positions
from raresim.data.returns import (
    CovarianceMethod,
    FileFacts,
    ReturnKind,
    ReturnsData,
    ReturnsSource,
    ReturnsTable,
    as_source,
    table_of,
)

__all__ = [
    "MAX_PROBLEMS",
    "Column",
    "ColumnSource",
    "CovarianceMethod",
    "FileFacts",
    "ForecastSource",
    "Forecasts",
    "Positions",
    "ReturnKind",
    "ReturnsData",
    "ReturnsSource",
    "ReturnsTable",
    "as_source",
    "held_names",
    "read_positions",
    "table_of",
]

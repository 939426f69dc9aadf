"""The law of a part, from the number that a file or a config gives for it."""

from __future__ import annotations

import math

from raresim.data import files
from raresim.data.files import MISSING_ADVICE, Problems
from raresim.marginals.base import Marginal
from raresim.marginals.exponential import Exponential

FAILURE, MEAN = "failure_probability", "mean"
NUMBERS = (FAILURE, MEAN)
"""Columns of which a file has one."""


def failing_with(probability: float) -> Marginal:
    """The exponential lifetime that ends by time 1 with the given probability."""
    return Exponential(scale=-1.0 / math.log1p(-probability))


def law_of_cell(cell: str, column: str, problems: Problems, row: int) -> Marginal:
    """The law that a cell stands for; what is wrong with it goes on the list of ``problems``."""
    value = files.number(cell, MISSING_ADVICE, problems, row, column)
    if column == FAILURE and not 0 < value < 1:
        problems.add(f"must be above 0 and below 1, got {cell}", row, column)
    elif column == MEAN and not value > 0:
        problems.add(f"must be above 0, got {cell}", row, column)
    else:
        return failing_with(value) if column == FAILURE else Exponential(scale=value)
    return Exponential()

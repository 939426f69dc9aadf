"""The lines of the table, and the files they are written to."""

from __future__ import annotations

import csv
import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import numpy as np

import raresim

HEADER = ["figure", "median", "min to max", "unit", "bar", "bar is"]


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Parameters
    ----------
    what, unit : str
        The figure and its unit.
    values : sequence of float
        One per round.
    bar : float or None
        The bar that the figure has to meet.
    at_least : bool
        Whether the bar is a floor (else a ceiling).
    """

    what: str
    values: Sequence[float]
    unit: str
    bar: float | None = None
    at_least: bool = True

    @property
    def median(self) -> float:
        """The middle value."""
        return float(np.median(self.values))

    def meets(self, slack: float = 1.0) -> bool:
        """Whether the median is within ``slack`` times the bar."""
        if self.bar is None:
            return True
        return self.median >= self.bar / slack if self.at_least else self.median <= self.bar * slack

    def cells(self) -> list[str]:
        """The line, as text."""
        sign = ">=" if self.at_least else "<="
        bar = "" if self.bar is None else f"{sign} {self.bar:g}"
        verdict = "" if self.bar is None else "met" if self.meets() else "missed"
        spread = f"{min(self.values):.4g} to {max(self.values):.4g}"
        return [self.what, f"{self.median:.4g}", spread, self.unit, bar, verdict]


def machine() -> str:
    """The processor and the versions, in a line."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [line.split(":")[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
        cpu = names[0] if names else cpu
    versions = ", ".join(map(_version, ("numpy", "scipy", "numba", "openturns")))
    here = f"{cpu}, {os.cpu_count()} cores, Python {platform.python_version()}"
    return f"{here}, raresim {raresim.__version__}, {versions}"


def _version(package: str) -> str:
    try:
        return f"{package} {metadata.version(package)}"
    except metadata.PackageNotFoundError:
        return f"{package} (not installed)"


def write(folder: Path, rows: Sequence[Row], facts: str) -> None:
    """Write table.md and table.csv."""
    table = [HEADER, ["---"] * len(HEADER), *(row.cells() for row in rows)]
    lines = ["| " + " | ".join(cells) + " |" for cells in table]
    (folder / "table.md").write_text("\n".join([facts, "", *lines]) + "\n", encoding="utf-8")
    with (folder / "table.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(HEADER)
        writer.writerows(row.cells() for row in rows)

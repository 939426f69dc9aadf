"""Writes the tapes of this folder: ``python configs/credit/tapes.py FOLDER``. The names are invented."""

import csv
import math
import sys
from collections.abc import Iterator
from pathlib import Path

RATINGS = (("A", 0.0008), ("BBB", 0.0025), ("BB", 0.011), ("B", 0.045))
SECTORS = ("energy", "industry", "retail", "property")


def book() -> Iterator[list[str | int | float]]:
    """120 obligors of four sectors: a few large exposures, ratings from A to B, correlations by rating."""
    yield ["id", "rating", "sector", "ead", "pd", "lgd", "rho"]
    for k in range(120):
        rating, pd = RATINGS[(k * 7 + k // 16) % 4]
        ead = 100 * round(40.0 * math.exp(1.1 * math.sin(2.4 * k) + 0.4 * math.sin(5.1 * k)))
        lgd = (0.25, 0.4, 0.45, 0.6)[(k * 3 + k // 7) % 4]
        rho = round(0.12 + 0.12 * math.exp(-50.0 * pd), 4)
        yield [f"C{k + 1:03d}", rating, SECTORS[k % 4], ead, pd, lgd, rho]


def glasserman_li() -> Iterator[list[str | int | float]]:
    """The 21-factor portfolio of Glasserman & Li (2005), sec. 6: a market, ten industries, ten regions."""
    yield ["id", "ead", "pd", "loading_market", "industry", "loading_industry", "region", "loading_region"]
    for k in range(1, 1001):
        pd = 0.01 * (1.0 + math.sin(16.0 * math.pi * k / 1000.0))
        ead = 1.0 + 99.0 * (k - 1) / 999.0
        yield [k, f"{ead:.12g}", f"{pd:.12g}", 0.8, f"i{(k - 1) // 100}", 0.4, f"r{(k - 1) // 10 % 10}", 0.4]


def rated() -> Iterator[list[str | int | float]]:
    """The same 120 obligors with ratings in place of default probabilities, and the years to their maturities."""
    rows = book()
    yield [*next(rows)[:4], "lgd", "rho", "maturity"]
    for k, (name, rating, sector, ead, _, lgd, rho) in enumerate(rows):
        yield [name, rating, sector, ead, lgd, rho, 1 + (k * 5) % 7]


def transitions() -> Iterator[list[str | int | float]]:
    """One year's transitions of four ratings; the numbers are invented."""
    yield ["from", "A", "BBB", "BB", "B", "D"]
    yield ["A", 0.91, 0.08, 0.008, 0.0012, 0.0008]
    yield ["BBB", 0.05, 0.88, 0.055, 0.0125, 0.0025]
    yield ["BB", 0.005, 0.07, 0.82, 0.094, 0.011]
    yield ["B", 0.001, 0.004, 0.07, 0.88, 0.045]


FILES = {
    "tape.csv": book,
    "glasserman_li_21.csv": glasserman_li,
    "rated.csv": rated,
    "transitions.csv": transitions,
}


def write(folder: Path) -> None:
    """Write all files."""
    for name, rows in FILES.items():
        with (folder / name).open("w", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows(rows())


if __name__ == "__main__":
    write(Path(sys.argv[1]))

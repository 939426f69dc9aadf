"""Write the claims of this folder: ``python configs/insurance/claims.py``. Everything in them is invented.

``claims.csv`` has 140 fire claims of ten years, in thousands, lognormal; ``years.csv`` their number in each year.
``periods.csv`` is a period loss table of 1,000 simulated years in the columns of ktools: what each storm costs.
Summary 1 has fixed losses, summary 2 the same with secondary uncertainty; years without a storm have no rows.
"""

from __future__ import annotations

import datetime
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
YEARS = range(2015, 2025)
PERIODS, STORMS, RATE = 1_000, 60, 0.45


def main(folder: Path = HERE) -> None:
    """Draw the claims, and write both files into ``folder``."""
    rng = np.random.Generator(np.random.PCG64(20))
    counts = [14, 9, 17, 12, 20, 11, 13, 16, 10, 18]
    claims = ["claim,year,loss"]
    for year, many in zip(YEARS, counts, strict=True):
        for loss in np.exp(3.0 + 1.3 * rng.standard_normal(many)):
            claims.append(f"{len(claims)},{year},{loss:.1f}")
    years = ["year,claims", *(f"{year},{many}" for year, many in zip(YEARS, counts, strict=True))]
    for name, lines in (("claims.csv", claims), ("years.csv", years), ("periods.csv", periods())):
        (folder / name).write_bytes(("\n".join(lines) + "\n").encode())


def periods() -> list[str]:
    """The lines of the period loss table."""
    rng = np.random.Generator(np.random.PCG64(21))
    exposure = np.round(40.0 + 400.0 * rng.random(STORMS))
    mean = np.round(exposure * (0.02 + 0.5 * rng.random(STORMS) ** 3), 1)
    table = [[], []]
    for period, many in enumerate(rng.poisson(RATE, PERIODS), start=1):
        for storm, day in zip(rng.integers(STORMS, size=many), rng.integers(365, size=many), strict=True):
            date = datetime.date(2023, 1, 1) + datetime.timedelta(days=int(day))
            when = f"{period},{date.month},{date.day}"
            for summary, rows in enumerate(table):
                std = summary * min(0.8 * mean[storm], 0.3 * exposure[storm])
                loss = f"{mean[storm]:.1f},{std:.1f},{exposure[storm]:.0f}"
                rows.append(f"{summary + 1},{storm + 1},{period},{loss},{when}")
    head = "summary_id,event_id,period_no,mean,standard_deviation,exposure_value,occ_year,occ_month,occ_day"
    return [head, *table[0], *table[1]]


if __name__ == "__main__":
    main()

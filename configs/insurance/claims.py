"""Write the claims of this folder: ``python configs/insurance/claims.py``. Everything in them is invented.

``claims.csv`` has 140 fire claims of ten years, in thousands, lognormal; ``years.csv`` the number of them in each year.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
YEARS = range(2015, 2025)


def main(folder: Path = HERE) -> None:
    """Draw the claims, and write both files into ``folder``."""
    rng = np.random.Generator(np.random.PCG64(20))
    counts = [14, 9, 17, 12, 20, 11, 13, 16, 10, 18]
    claims = ["claim,year,loss"]
    for year, many in zip(YEARS, counts, strict=True):
        for loss in np.exp(3.0 + 1.3 * rng.standard_normal(many)):
            claims.append(f"{len(claims)},{year},{loss:.1f}")
    years = ["year,claims", *(f"{year},{many}" for year, many in zip(YEARS, counts, strict=True))]
    for name, lines in (("claims.csv", claims), ("years.csv", years)):
        (folder / name).write_bytes(("\n".join(lines) + "\n").encode())


if __name__ == "__main__":
    main()

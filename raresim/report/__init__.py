"""The report: a finished run folder in, ``figures/*.png`` and one self-contained ``report.html`` out.

Only the folder is read, so a page can be rebuilt years later, and the same folder gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from raresim.report.run import Run

__all__ = ["build"]


def build(run_dir: Path, draw: Callable[[Run], Mapping[str, Any]] | None = None) -> Path:
    """Write the figures and the page of a finished run.

    Parameters
    ----------
    run_dir : Path
        A run folder whose manifest says ``finished``.
    draw : callable, optional
        Draws the pictures of the run, in place of `raresim.report.page.pictures`.

    Returns
    -------
    Path
        ``run_dir/report.html``; the figures are in ``run_dir/figures`` and inside the page.

    Raises
    ------
    ConfigError
        When the folder is incomplete, broken, unfinished, of another schema version, or not writable.
    """
    from raresim.numerics.surroundings import usual_arithmetic
    from raresim.report.page import write  # here, so that importing the package stays free of drawing code
    from raresim.report.run import read

    with usual_arithmetic():
        run = read(Path(run_dir))
        return write(run, draw(run) if draw else None)

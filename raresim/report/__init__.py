"""The report: a finished run folder in, ``figures/*.png`` and one self-contained ``report.html`` out.

Only the folder is read, so a page can be rebuilt years later, and the same folder gives the same bytes.
"""

from __future__ import annotations

from pathlib import Path

__all__ = ["build"]


def build(run_dir: Path) -> Path:
    """Write the figures and the page of a finished run.

    Parameters
    ----------
    run_dir : Path
        A run folder whose manifest says ``finished``.

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
        return write(read(Path(run_dir)))

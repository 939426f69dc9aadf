"""The page as PDF, printed by the Chromium of this machine: nothing is drawn a second time."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from raresim.errors import ConfigError

__all__ = ["browser", "write"]

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "msedge")
"""Programs that can print a page, the first that is found."""

OPTIONS = (
    "--headless",
    "--disable-gpu",
    "--no-first-run",
    "--no-pdf-header-footer",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-extensions",
    "--disable-sync",
)

LONGEST = 300.0
"""Seconds that printing may take."""


def browser() -> str | None:
    """The path of a Chromium, or None."""
    return next((path for name in BROWSERS if (path := shutil.which(name))), None)


def write(page: Path, out: Path) -> None:
    """Print the HTML file ``page`` to the PDF file ``out``.

    Raises
    ------
    ConfigError
        When there is no Chromium, or it does not print the page.
    """
    program = browser()
    if program is None:
        raise ConfigError(
            f"{out}: a PDF needs Chromium or Chrome, and none of {', '.join(BROWSERS)} is on the path; install one, or "
            f"print {page} from any browser"
        )
    with tempfile.TemporaryDirectory(prefix="raresim-pdf-") as folder:
        made = Path(folder) / "page.pdf"
        given = [f"--user-data-dir={folder}/profile", f"--print-to-pdf={made}", page.absolute().as_uri()]
        if hasattr(os, "geteuid") and os.geteuid() == 0:
            given.insert(0, "--no-sandbox")  # Chromium has no sandbox for root; the page has no script
        try:
            done = subprocess.run(
                [program, *OPTIONS, *given], capture_output=True, timeout=LONGEST, check=False, stdin=subprocess.DEVNULL
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ConfigError(f"{out}: {program} could not print {page}: {error}") from None
        if not made.is_file() or not made.stat().st_size:
            last = (done.stderr.decode(errors="replace").strip().splitlines() or ["no message"])[-1]
            raise ConfigError(f"{out}: {program} did not print {page} (exit code {done.returncode}): {last}")
        out.unlink(missing_ok=True)  # never through a link
        shutil.move(made, out)

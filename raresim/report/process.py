"""Figures and page by a process of its own, which gets ready while a run still draws."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

from raresim import report

DONE = b"done"


class Drawing:
    """A process that loads the drawing code at once, so that a page needs half the time when the numbers are there.

    There is none where this one has loaded the code already, or where there is only one core. Without it, or when it
    ends early, `build` draws in this process.
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        if "matplotlib" not in sys.modules and (os.cpu_count() or 1) > 1:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", __name__],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # an interruption from the keyboard is for the run
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()

    def build(self, run_dir: Path) -> Path:
        """As `raresim.report.build`."""
        if self._process is not None and self._process.poll() is None:
            try:
                answer, _ = self._process.communicate(os.fsencode(run_dir.absolute()))
            except OSError:  # it has just ended
                answer = b""
            if answer.strip() == DONE:
                return run_dir / "report.html"
        return report.build(run_dir)


def main() -> None:
    """Load the code, then build the page of the folder whose path comes on standard input."""
    from raresim.report.page import load_figures

    load_figures()
    if folder := sys.stdin.buffer.read():
        report.build(Path(os.fsdecode(folder)))
        sys.stdout.buffer.write(DONE)


if __name__ == "__main__":
    main()

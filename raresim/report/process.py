"""Figures and page by a process of its own, which gets ready while a run still draws.

Where the system can split a process, a copy of it draws half of the figures: the run has ended, and a core is free.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from raresim import report

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from raresim.report.run import Run

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
            if self._process.poll() is None:
                _end(self._process)
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


def _end(process: subprocess.Popen[bytes]) -> None:
    """End ``process`` and its copy: as long as one of them lives, the end of what they write is not seen."""
    if hasattr(os, "killpg"):  # the process began a session of its own, and leads its group
        with suppress(ProcessLookupError):  # it has just ended
            os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()


def main() -> None:
    """Load the code, then build the page of the folder whose path comes on standard input."""
    from raresim.report.page import load_figures

    load_figures()
    if folder := sys.stdin.buffer.read():
        report.build(Path(os.fsdecode(folder)), in_halves if sys.platform == "linux" else None)
        sys.stdout.buffer.write(DONE)


def in_halves(run: Run) -> dict[str, Any]:
    """The pictures of ``run``, as `raresim.report.page.pictures`; a copy of this process draws every second figure."""
    from raresim.report.page import DRAWN, pictures

    names = list(DRAWN)
    context = multiprocessing.get_context("fork")
    there, here = context.Pipe(duplex=False)
    copy = context.Process(target=_send, args=(here, there, run, names[1::2]), daemon=True)
    copy.start()
    here.close()  # so that the end of the copy is seen, however it ends
    found = pictures(run, names[::2])
    found |= there.recv()
    copy.join()
    return found


def _send(connection: Connection, other: Connection, run: Run, names: list[str]) -> None:
    """Draw the figures ``names`` and send them; ``other``, the end that receives them, is for the first process alone.

    Were it open here too, sending would wait for ever where that process has ended.
    """
    from raresim.report.page import pictures

    other.close()
    connection.send(pictures(run, names))


if __name__ == "__main__":
    main()

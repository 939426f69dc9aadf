"""A program that runs in a folder of its own, until it ends, takes too long, or is not wanted any more."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from raresim.errors import LossError
from raresim.losses.isolation import ending
from raresim.losses.rows import RowError
from raresim.losses.stopping import Stop

PRINTED, COMPLAINED = "stdout.txt", "stderr.txt"
"""The files in the folder of a row that get what its program writes to standard output and standard error."""

STEP = 0.1
"""Seconds between two looks at whether a running program is still wanted."""

SHOWN = 200
"""Largest number of characters of a program's last line that a message shows."""


def launch(
    command: Sequence[str],
    folder: Path,
    working_folder: Path,
    environment: Mapping[str, str],
    timeout: float | None,
    stop: Stop,
) -> None:
    """Run a program without a shell and wait for its end; what it prints goes into files in ``folder``.

    A program that does not end in time is killed, with the programs that it started. Its standard input is empty.

    Parameters
    ----------
    command : sequence of str
        The program and its arguments.
    folder, working_folder : Path
        Where its output goes, and where it runs.
    environment : mapping
        Its environment variables, beside those of this process.
    timeout : float or None
        Seconds that it may take.
    stop : Stop
        Set when nobody waits for the answer any more.

    Raises
    ------
    RowError
        When it ends with an exit code other than 0 or by a signal, or takes too long.
    LossError
        When it cannot be started.
    """
    with (folder / PRINTED).open("wb") as printed, (folder / COMPLAINED).open("wb") as complained:
        try:
            process = subprocess.Popen(
                command,
                cwd=working_folder,
                env={**os.environ, **environment},
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=complained,
                start_new_session=True,
            )
        except OSError as error:
            raise LossError(f"cannot be started: {error.strerror or error}: {command[0]}") from None
        try:
            exit_code = _end(process, timeout, stop)
        except BaseException:
            _kill(process)
            raise
    if exit_code < 0:
        raise RowError("died", f"was ended by {ending(exit_code)}{_last_line(folder)}")
    if exit_code:
        raise RowError("exit", f"ended with exit code {exit_code}{_last_line(folder)}")


def _end(process: subprocess.Popen[bytes], timeout: float | None, stop: Stop) -> int:
    """The exit code of a process; raises `RowError` when it takes longer than ``timeout``, or ``stop`` is set."""
    begun = time.monotonic()
    while True:
        left = STEP if timeout is None else min(STEP, timeout - (time.monotonic() - begun))
        if stop.is_set():
            raise RowError("raised", "was stopped")
        if left <= 0.0:
            raise RowError("timeout", f"gave no answer within {timeout:g} s")
        with suppress(subprocess.TimeoutExpired):
            return process.wait(left)


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End a process and those that it started, which share its group where the system has groups."""
    with suppress(ProcessLookupError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    process.wait()


def _last_line(folder: Path) -> str:
    """The last line that the program wrote to standard error, or else to standard output, in words; empty if none."""
    for name in (COMPLAINED, PRINTED):
        lines = (folder / name).read_text("utf-8", errors="replace").split("\n")
        if said := [line.strip() for line in lines if line.strip()]:
            return f"; its last line: {said[-1][:SHOWN]!r}"
    return "; it printed nothing"

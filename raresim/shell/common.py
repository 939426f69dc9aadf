"""What the verbs of the shell share: options, exit codes, one message for each error, and output for programs."""

from __future__ import annotations

import json
import logging
import os
import shutil
import signal
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, Literal, ParamSpec

import typer

from raresim import __version__
from raresim.arguments import numerals
from raresim.errors import ConfigError, ExitCode, RaresimError, visible
from raresim.files.run_folders import latest

P = ParamSpec("P")

FORMAT_VERSION = 1
"""Version of what ``--format json`` prints: another one where a key goes or changes its meaning; keys may be added."""

EXIT_CODES = """\b
Exit codes
  0    finished; the verdict is trusted or caution
  1    an internal error, or a file that cannot be written
  2    a mistake in the command or the config
  3    a mistake in the user's loss or data
  4    verify: the same within errors, on another machine or version
  5    verify: different
  10   caution, where --require trusted was given
  20   untrusted
  21   bound only: no event was seen
  130  interrupted (SIGINT); the state is saved
  143  terminated (SIGTERM); the state is saved
"""
"""The end of ``raresim --help``; click keeps the lines of a paragraph that begins with a backspace."""


class Interrupted(KeyboardInterrupt):
    """A signal that asks the run to end."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.exit_code = ExitCode(128 + number)


def exits(verb: Callable[P, int]) -> Callable[P, None]:
    """Turn a verb's return value and errors into the exit code; errors are one message on standard error."""

    @wraps(verb)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            code = verb(*args, **kwargs)
        except RaresimError as error:
            if kwargs.get("debug"):
                raise
            complain(str(error))
            code = error.exit_code
        except OSError as error:
            if kwargs.get("debug"):
                raise
            complain("\n".join([_of_system(error), *getattr(error, "__notes__", [])]))
            code = ExitCode.INTERNAL
        except Exception as error:
            if kwargs.get("debug"):
                raise
            complain(f"internal error: {type(error).__name__}: {error} (--debug shows where; please report it)")
            code = ExitCode.INTERNAL
        except KeyboardInterrupt as stop:
            complain("\n".join(["interrupted", *getattr(stop, "__notes__", ["the unfinished run was not saved"])]))
            code = stop.exit_code if isinstance(stop, Interrupted) else ExitCode.INTERRUPTED
        raise typer.Exit(code)

    return run


def _of_system(error: OSError) -> str:
    """The file first and then what the system says of it, without the number of the error."""
    if error.filename is None or error.strerror is None:
        return str(error)
    names = [os.fsdecode(name) for name in (error.filename, error.filename2) if isinstance(name, str | bytes)]
    return f"{' and '.join(names)}: {error.strerror}" if names else str(error)


def complain(message: str) -> None:
    """Print a message on standard error."""
    print(visible(message.replace("\r", " ")), file=sys.stderr)  # noqa: T201  # the shell's error channel


def folded(line: str) -> str:
    """``line``, on a terminal with breaks between words and its further lines indented; as it is for a program."""
    if not sys.stdout.isatty():
        return line
    begin = " " * (len(line) - len(line.lstrip()) + 2)
    width = max(40, shutil.get_terminal_size().columns)
    return textwrap.fill(line, width, subsequent_indent=begin, break_long_words=False, break_on_hyphens=False)


def emit(verb: str, content: Mapping[str, Any]) -> None:
    """Print what a verb found as one JSON object with the version of its form; a number that is not finite is null."""
    from raresim.record.codec import plain

    head = {"schema_version": FORMAT_VERSION, "raresim": __version__, "verb": verb}
    typer.echo(json.dumps(plain(head | dict(content)), indent=1, allow_nan=False))


def counted(least: int) -> Callable[[str], int]:
    """A reader of a count on the command line, as in a config: ``1e6`` is a count."""

    def read(given: str | int) -> int:  # a default comes as a number
        text = str(given)
        value = numerals.count(text)
        if value is None:
            raise typer.BadParameter(f"must be a whole number, got {text!r}{numerals.advice(text)}")
        if value < least:
            raise typer.BadParameter(f"must be at least {least}, got {text}")
        return value

    return read


def decimal(given: str | float) -> float:
    """Read a number on the command line as in a config."""
    value = numerals.number(str(given))
    if value is None:
        raise typer.BadParameter(f"must be a number, got {given!r}{numerals.advice(given)}")
    return value


def run_folder(given: str | Path) -> Path:
    """The path of a run folder; ``runs/NAME/latest`` stands for the newest run of that name."""
    return latest(Path(given))


class _OnStandardError(logging.Handler):
    """Prints log lines on the standard error of the moment: above the bar, where there is one."""

    def emit(self, record: logging.LogRecord) -> None:
        print(visible(self.format(record)), file=sys.stderr)  # noqa: T201  # a log line of the shell


def log_lines(wanted: bool) -> None:
    """Print the log of raresim on standard error from now on, where that is ``wanted``."""
    logger = logging.getLogger("raresim")
    for handler in [each for each in logger.handlers if isinstance(each, _OnStandardError)]:
        logger.removeHandler(handler)
        logger.setLevel(logging.NOTSET)
    if wanted:
        handler = _OnStandardError()
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)


Workers = Annotated[
    int | None,
    typer.Option(
        help="Number of workers, instead of the config's.", parser=counted(1), metavar="COUNT", show_default=False
    ),
]
File = Annotated[Path, typer.Argument(metavar="FILE", help="Experiment config, YAML 1.2.", show_default=False)]
RunFolder = Annotated[
    Path,
    typer.Argument(
        metavar="RUN_DIR",
        help="A finished run folder; runs/NAME/latest is the newest of that name.",
        parser=run_folder,
        show_default=False,
    ),
]
Methods = Annotated[
    str | None, typer.Option(help="Kinds of methods to run FILE with, joined by commas.", show_default=False)
]
Seeds = Annotated[
    int | None,
    typer.Option(
        help="Repeat each run with so many seeds, beginning with the config's.",
        parser=counted(1),
        metavar="COUNT",
        show_default=False,
    ),
]
Debug = Annotated[bool, typer.Option("--debug", help="Show the stack trace of an error.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")]
Verbose = Annotated[
    bool,
    typer.Option("--verbose", "-v", help="Print each step with its time on standard error.", callback=log_lines),
]
Format = Annotated[
    Literal["text", "json"], typer.Option("--format", help="Text for people, or one JSON object for programs.")
]


def with_workers(overrides: list[str], workers: int | None) -> list[str]:
    """The changes to a config, with the number of workers if it is given."""
    return overrides if workers is None else [*overrides, f"execution.workers={workers}"]


@contextmanager
def signals_interrupt() -> Iterator[None]:
    """Raise `Interrupted` at the first SIGINT or SIGTERM; a second one ends the process at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(number: int, _: object) -> None:
        for each in before:
            signal.signal(each, signal.SIG_DFL)
        raise Interrupted(number)

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in before:
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def write_output(path: Path, content: bytes) -> None:
    """Write a file; raises `ConfigError` where it cannot be written, or is no plain file."""
    from raresim.files import plain_files

    try:
        if path.is_symlink() or (path.exists() and not path.is_file()):
            raise OSError(None, "it is a link, a folder or a device")
        plain_files.replace(path, content)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise ConfigError(f"{path}: cannot be written: {getattr(error, 'strerror', error)}") from None

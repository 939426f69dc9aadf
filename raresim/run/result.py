"""The outcome of a run in Python, and the run folder to which it is saved and from which it is read."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from raresim import report
from raresim.errors import ConfigError, FieldError
from raresim.files.storage import naming, sync_folder
from raresim.losses.failures import KINDS, Failures
from raresim.record.draws import Draws, read_draws
from raresim.record.folder import arrays_in, fields_of, log_in
from raresim.record.frames import Library, present
from raresim.record.outcome import Outcome
from raresim.report import brief

if TYPE_CHECKING:
    from raresim.report.plots import Plots

MAX_NAME = 255

FAILED_ROWS = "failed_rows.npz"

Build = Callable[[Path], Path]
"""Draws figures and page into a folder that holds the other files of a run, and returns the path of the page."""


@dataclass(frozen=True, eq=False, repr=False)
class Result(Outcome):
    """The outcome of a run.

    At a prompt it shows its numbers in a few lines, in a notebook as a table.

    Parameters
    ----------
    failures : Failures
        Rows to which the user's loss gave no number: ``failed_rows.npz``.
    draws : Draws, optional
        The weighted sample of the event that the run was asked for: ``draws.csv`` or ``draws.parquet``.
    """

    failures: Failures = field(default_factory=Failures.nothing, repr=False)
    draws: Draws | None = field(default=None, repr=False)

    def __repr__(self) -> str:
        return brief.text(self)

    def _repr_html_(self) -> str:
        return brief.html(self)

    @property
    def plot(self) -> Plots:
        """Figures on matplotlib's axes: ``result.plot.convergence()``, ``curve``, ``contributions``, ``weights``."""
        from raresim.report.plots import Plots

        return Plots(self)

    def weighted_draws(self, library: Library | None = None) -> Any:
        """The weighted sample of the event: factors, losses of the parts, loss, log weight and weight of each draw.

        With ``weight``, sums over the rows estimate expectations over the event: the sum of the weights is its
        probability, and their mean of a column is that column's mean given the event. ``log_weight`` is ``log p/q`` of
        the single draw, in nats.

        Parameters
        ----------
        library : "pandas" or "polars", optional
            The library of the data frame. Left out, the one that is there; where there is none, the columns are
            returned as a dict of arrays (k,).

        Raises
        ------
        FieldError
            When the run kept no draws, or there is no such library.
        """
        if self.draws is None:
            why = self.manifest.get("draws", {}).get("why")
            ask = "the run kept none: ask for them with `draws=10000` in Python or `output: {draws: 10000}` in YAML"
            raise FieldError("draws", why or ask)
        if library is None and present() is None:
            return self.draws.to_arrays()
        return self.draws.to_frame(library)

    def save(self, directory: str | Path, build: Build | None = None) -> Path:
        """Write the run folder, with figures and report, and return its path.

        Everything is written to a temporary sibling that is renamed at the end: a folder that exists is complete.
        ``build`` draws in place of `raresim.report.build`.

        Raises
        ------
        ConfigError
            When ``directory`` exists and is not empty.
        OSError
            With the path that could not be written; ``directory`` does then not exist.
        """
        final = Path(directory)
        refuse_existing(final)
        write_folder(final, self.files(status="finished"), build)
        return final

    def files(self, status: str = "interrupted") -> dict[str, bytes]:
        """The content of a run folder without figures and page, by file name; ``status`` goes into the manifest."""
        failed = {FAILED_ROWS: self.failures.to_bytes()} if self.failures.kept else {}
        drawn = {self.draws.file: self.draws.to_bytes()} if self.draws is not None else {}
        return self.content(status) | failed | drawn


def read_run(folder: str | Path) -> Result:
    """Read a run folder back: the `Result` that was saved there.

    It equals that result, except that a free table such as ``diagnostics`` has None for a number that was not finite,
    which JSON cannot store.

    Parameters
    ----------
    folder : str or Path
        A run folder. Its figures and page are not read, and none of its code is run.

    Raises
    ------
    ConfigError
        When the folder is incomplete, broken, of an unfinished run or of another version of the format. The message
        names the file and what is wrong with it.
    """
    folder = Path(folder)
    held = fields_of(folder)
    failures = _failures(folder / FAILED_ROWS, held["failed"])
    return Result(**held, log=log_in(folder), failures=failures, draws=read_draws(folder))


def _failures(path: Path, counted: Mapping[str, Any]) -> Failures:
    """The rows without a loss that are stored in the folder, with the counts of all such rows."""
    if not os.path.lexists(path):
        return Failures.nothing()
    stored = arrays_in(path)
    try:
        kinds = counted["kinds"]
        return Failures(
            counts=np.array([kinds.get(kind, 0) for kind in KINDS], dtype=np.int64),
            retried=counted["retried"],
            x=stored["x"],
            loss=stored["loss"],
            kind=np.array([KINDS.index(kind) for kind in stored["kind"]], dtype=np.int64),
            message=tuple(map(str, stored["message"])),
            place=np.column_stack([stored[name] for name in ("stage", "block", "row")]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"{path}: does not hold the failed rows of a run ({type(error).__name__}: {error})") from None


def default_folder(name: str, leaf: str) -> Path:
    """``runs/NAME/LEAF``, below the working folder; raises `ConfigError` if a link would lead out of it."""
    folder = Path("runs") / name / leaf
    for part in (folder.parent, folder):
        if part.is_symlink():
            raise ConfigError(f"{part}: is a symbolic link; remove it, or name the run folder with --out")
    return folder


def write_folder(final: Path, files: Mapping[str, bytes], build: Build | None = None) -> None:
    """Make the run folder ``final`` from ``files``, with figures and page: complete, or not at all.

    ``build`` draws in place of `raresim.report.build`. An empty folder in its place is replaced.
    """
    final.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{final.name[:50]}-", dir=final.parent))
    try:
        for name, content in files.items():
            with naming(final / name), (draft / name).open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        try:
            (build or report.build)(draft)
        except ConfigError as error:  # its text names the draft
            raise OSError(str(error).replace(str(draft), str(final))) from error
        draft.chmod(0o755)
        with naming(final):
            if final.exists():
                final.rmdir()
            os.replace(draft, final)
            sync_folder(final.parent)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise


def refuse_existing(folder: Path) -> None:
    """Raise `ConfigError` if ``folder`` exists and is not empty, or could not be made after the run."""
    try:
        mode = os.lstat(folder).st_mode
    except FileNotFoundError:
        _refuse_below(folder)
        return
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise ConfigError(f"{folder}: cannot be a run folder: {getattr(error, 'strerror', None) or error}") from None
    if folder.name in ("", ".."):
        raise ConfigError(f"{folder}: must end in the name of the run folder")
    if stat.S_ISLNK(mode):
        raise ConfigError(f"{folder}: is a symbolic link; give the folder that it leads to")
    if not stat.S_ISDIR(mode):
        raise ConfigError(f"{folder}: is not a folder")
    if any(folder.iterdir()):
        raise ConfigError(f"{folder}: already holds files; choose another folder or remove it")


def _refuse_below(folder: Path) -> None:
    if longest := next((part for part in folder.parts if len(os.fsencode(part)) > MAX_NAME), None):
        raise ConfigError(f"{folder}: a folder's name has at most {MAX_NAME} bytes, got {len(os.fsencode(longest))}")
    above = next(parent for parent in folder.absolute().parents if os.path.lexists(parent))
    if not above.is_dir() or not os.access(above, os.W_OK):
        raise ConfigError(f"{folder}: cannot be made: {above} is not a folder that can be written to")

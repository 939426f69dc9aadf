"""Which run folders may go, and their removal: never a folder that is not a run's, or that holds what no run wrote."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from raresim.errors import CheckpointError, ConfigError
from raresim.files.run_folders import CHECKPOINT, MANIFEST, SUFFIX
from raresim.files.run_index import Entry

OF_SEVERAL = ("sweep.json", "compare.json")
"""Files of a sweep and a comparison: the runs beside them belong together, and are not pruned."""

WRITTEN = (".csv", ".html", ".json", ".jsonl", ".npz", ".parquet", ".pdf", ".png", ".svg", ".yaml")
"""Ends of the names of files that a run writes."""

OF_A_STATE = (CHECKPOINT, "lock", "so-far")
"""Beginnings of what an unfinished run keeps."""

UNITS = {"h": 1 / 24, "d": 1.0, "w": 7.0}
"""Days in each unit of an age."""


class Doomed(NamedTuple):
    """A folder that may go, or why it stays."""

    entry: Entry
    folder: Path
    objection: str


def age(text: str) -> timedelta:
    """``12h``, ``30d`` or ``4w`` as a time; raises `ConfigError` for anything else."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([hdw])", text.strip())
    if match is None:
        raise ConfigError(
            f"runs prune: --older-than must be a number of hours, days or weeks, 12h, 30d or 4w, got {text!r}"
        )
    try:
        return timedelta(days=float(match[1]) * UNITS[match[2]])
    except OverflowError:
        raise ConfigError(f"runs prune: --older-than is too long, got {text!r}") from None


def chosen(
    entries: Sequence[Entry], root: Path, keep: int | None, older: timedelta | None, incomplete: bool
) -> list[Doomed]:
    """The runs to remove, each with what speaks against it.

    Parameters
    ----------
    entries : sequence of Entry
        Runs below ``root``, the newest first.
    root : Path
        The folder of the index.
    keep : int or None
        Finished runs of each name that stay, the newest.
    older : timedelta or None
        Only runs that began longer ago.
    incomplete : bool
        Unfinished runs, instead of finished ones unless ``keep`` or ``older`` is given too.
    """
    before = (datetime.now(UTC) - older).isoformat() if older is not None else None
    seen: dict[str, int] = {}
    found = []
    for entry in entries:
        folder = root / entry.path
        is_part = any((folder.parent / name).is_file() for name in OF_SEVERAL)
        if entry.status == "unreadable" or is_part:
            continue
        if entry.status == "unfinished":
            is_meant = incomplete
        else:
            seen[entry.name] = seen.get(entry.name, 0) + 1
            is_meant = (keep is not None or before is not None) and seen[entry.name] > (keep or 0)
        if is_meant and (before is None or entry.started < before):
            found.append(Doomed(entry, folder, _objection(folder)))
    return found


def remove(doomed: Sequence[Doomed]) -> Iterator[Doomed]:
    """Remove the folders to which there is no objection, and yield what became of each."""
    from raresim.shell.unfinished import held

    for each in doomed:
        objection = each.objection or _objection(each.folder)  # it may have changed since
        if not objection:
            try:
                if each.folder.name.endswith(SUFFIX):
                    with held(each.folder):
                        pass
                shutil.rmtree(each.folder)
            except (OSError, CheckpointError) as error:
                objection = str(error)
        yield each._replace(objection=objection)


def _objection(folder: Path) -> str:
    """Why ``folder`` must stay; empty where nothing speaks against its removal."""
    if folder.is_symlink() or not folder.is_dir():
        return "it is not a folder"
    names = sorted(path.name for path in folder.iterdir())
    if folder.name.endswith(SUFFIX):
        foreign = [name for name in names if not name.startswith(OF_A_STATE)]
    elif {MANIFEST, "result.json"} <= set(names):
        foreign = [name for name in names if name not in (CHECKPOINT, "figures") and not name.endswith(WRITTEN)]
    else:
        return "it is not a run folder"
    return f"it holds {foreign[0]}, which no run wrote" if foreign else ""

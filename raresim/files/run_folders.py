"""Which run folder is meant: the newest of a name, or those below a path that is not one, the newest first."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from raresim.errors import ConfigError
from raresim.files import plain_files

__all__ = ["below", "latest", "mend_latest", "point_latest", "refuse_no_run"]

MANIFEST, CHECKPOINT = "manifest.json", "checkpoint"
"""A file that every finished run's folder holds, and one that the folder of a run that can be resumed holds."""

SUFFIX = ".partial"
"""End of the folder's name while a run is not finished."""

LATEST = "latest"
"""A link to the newest of the run folders beside it; a file with that folder's name where links cannot be made."""

MOST = 5
"""Most runs that a message names."""


def point_latest(folder: Path) -> None:
    """Let ``latest``, beside the run folder ``folder``, stand for it; something else of that name is left alone."""
    link = folder.with_name(LATEST)
    if link.is_dir() and not link.is_symlink():
        return
    draft = folder.with_name(f".{LATEST}-{os.getpid()}")
    with suppress(OSError):  # the run is finished and must not fail for a convenience
        draft.unlink(missing_ok=True)
        try:
            draft.symlink_to(folder.name, target_is_directory=True)
        except (OSError, NotImplementedError):
            draft.write_text(f"{folder.name}\n", encoding="utf-8")
        draft.replace(link)


def latest(path: Path) -> Path:
    """The run folder that ``path`` stands for, where it is called ``latest``; any other path is returned unchanged."""
    if path.name != LATEST:
        return path
    try:
        text = os.readlink(path) if path.is_symlink() else plain_files.read(path, 1000).decode("utf-8").strip()
    except (OSError, ValueError):
        return path
    is_name = text not in ("", ".", "..") and not set(text) & {"/", "\\", "\0"}
    return path.with_name(text) if is_name else path


def mend_latest(parent: Path) -> None:
    """Where the run that ``latest`` in ``parent`` stands for is gone, let it stand for the newest that is left."""
    link = parent / LATEST
    if not os.path.lexists(link) or latest(link).is_dir():
        return
    left = [path for path in below(parent) if path.parent == parent and not path.name.endswith(SUFFIX)]
    with suppress(OSError):
        link.unlink()
    if left:
        point_latest(left[0])


def below(folder: Path) -> list[Path]:
    """The folders of finished and unfinished runs in ``folder`` and in the folders in it, the newest first."""
    found = [path for depth in ("*", "*/*") for path in folder.glob(f"{depth}/{MANIFEST}")]
    found = [path for path in found if not path.parent.parent.name.endswith(SUFFIX) and not path.parent.is_symlink()]
    found += [path for depth in ("", "*/") for path in folder.glob(f"{depth}*{SUFFIX}/{CHECKPOINT}")]
    return [path.parent for path in sorted(found, key=lambda path: (path.stat().st_mtime_ns, str(path)), reverse=True)]


def refuse_no_run(folder: Path) -> None:
    """Raise `ConfigError` where ``folder`` is not the folder of a finished run; it names the runs that may be meant.

    Only the manifest is looked for: a reader reports what else is missing.
    """
    if (folder / MANIFEST).exists() or (folder / MANIFEST).is_symlink():
        return
    place = folder if folder.is_dir() else folder.parent
    runs = below(place)
    if not runs:
        if folder.is_dir():
            raise ConfigError(f"{folder / MANIFEST}: missing; the run folder is incomplete")
        raise ConfigError(f"{folder}: no such run folder")
    named = [f"{run} (not finished)" if run.name.endswith(SUFFIX) else str(run) for run in runs[:MOST]]
    more = f"\n  and {len(runs) - MOST} more" if len(runs) > MOST else ""
    what = "is not a run folder" if folder.is_dir() else "no such run folder"
    holds = f"{'it' if folder.is_dir() else place} holds {len(runs)} run{'s' * (len(runs) > 1)}"
    raise ConfigError(f"{folder}: {what}; {holds}, name one of them (newest first):\n  " + "\n  ".join(named) + more)

"""The runs that may be meant where a path is not a run folder: those below it, the newest first."""

from __future__ import annotations

from pathlib import Path

from raresim.errors import ConfigError

__all__ = ["below", "refuse_no_run"]

MANIFEST, CHECKPOINT = "manifest.json", "checkpoint"
"""A file that every finished run's folder holds, and one that the folder of a run that can be resumed holds."""

SUFFIX = ".partial"
"""End of the folder's name while a run is not finished."""

MOST = 5
"""Most runs that a message names."""


def below(folder: Path) -> list[Path]:
    """The folders of finished and unfinished runs in ``folder`` and in the folders in it, the newest first."""
    found = [path for depth in ("*", "*/*") for path in folder.glob(f"{depth}/{MANIFEST}")]
    found = [path for path in found if not path.parent.parent.name.endswith(SUFFIX)]
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

"""Which run is meant where a path is that of none: the runs below it, the newest first."""

from __future__ import annotations

from pathlib import Path

from raresim.errors import ConfigError

__all__ = ["below", "refuse_no_run"]

MANIFEST, CHECKPOINT = "manifest.json", "checkpoint"
"""What the folder of a finished run holds, and what that of one which can be gone on with."""

SUFFIX = ".partial"
"""How the name of the folder of a run ends that is not finished."""

MOST = 5
"""Runs that are named."""


def below(folder: Path) -> list[Path]:
    """The run folders in ``folder`` and in the folders in it, and those of runs not finished, the newest first."""
    found = [path for depth in ("*", "*/*") for path in folder.glob(f"{depth}/{MANIFEST}")]
    found = [path for path in found if not path.parent.parent.name.endswith(SUFFIX)]
    found += [path for depth in ("", "*/") for path in folder.glob(f"{depth}*{SUFFIX}/{CHECKPOINT}")]
    return [path.parent for path in sorted(found, key=lambda path: (path.stat().st_mtime_ns, str(path)), reverse=True)]


def refuse_no_run(folder: Path) -> None:
    """Raise `ConfigError` where ``folder`` is not that of a finished run, with the runs that may be meant.

    What a run folder lacks beside its manifest is for others to say.
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
    what = "is no run folder" if folder.is_dir() else "no such run folder"
    holds = f"{'it' if folder.is_dir() else place} holds {len(runs)} run{'s' * (len(runs) > 1)}"
    raise ConfigError(f"{folder}: {what}; {holds}, name one (the newest first):\n  " + "\n  ".join(named) + more)

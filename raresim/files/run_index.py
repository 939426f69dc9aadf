"""An index of the run folders below a folder: a SQLite file that holds nothing which the run folders do not hold.

It saves reading every folder each time. A folder is read again where its manifest or its result has changed, and the
index is made anew where it is missing, damaged or of another version.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from raresim.errors import ConfigError, visible
from raresim.files import plain_files, yaml_tree
from raresim.files.run_folders import CHECKPOINT, MANIFEST, SUFFIX

__all__ = ["INDEX", "Entry", "folders", "indexed"]

INDEX = "index.sqlite"

VERSION = 1
"""Version of the table; an index of another one is made anew."""

DEEPEST = 4
"""Levels of folders that are searched: runs/NAME/sweep-HASH/RUN has three."""

MAX_BYTES = 16 * 1024**2
"""Bytes of a file that are read at most."""

WAIT = 10.0
"""Seconds that a second process waits for the first."""


@dataclass(frozen=True)
class Entry:
    """A run in the index.

    Parameters
    ----------
    path : str
        Its folder, from the folder of the index, with ``/``.
    mark : str
        Times and sizes of the files that it was read from.
    name, method, seed : str
        As in its ``result.json``; empty where the run is not finished.
    status : str
        ``finished``; ``interrupted`` for an estimate so far; ``unfinished`` for a run that can be resumed or was
        killed; ``unreadable``.
    verdict : str
        Verdict of the run, as stored; empty without one.
    started : str
        Date and time of its start, ISO 8601, in UTC; of an unfinished run the time of its last state.
    seconds : float
        Seconds that it took.
    evaluations : int
        Evaluations in all.
    config : str
        The dotted keys of its resolved config with their values, JSON.
    estimates : str
        Label, value, interval, relative error and verdict of each number, JSON.
    """

    path: str
    mark: str
    name: str = ""
    method: str = ""
    seed: str = ""
    status: str = "unreadable"
    verdict: str = ""
    started: str = ""
    seconds: float = 0.0
    evaluations: int = 0
    config: str = "{}"
    estimates: str = "[]"

    @property
    def settings(self) -> dict[str, Any]:
        """The dotted keys of its config with their values."""
        found: dict[str, Any] = json.loads(self.config)
        return found

    @property
    def numbers(self) -> list[dict[str, Any]]:
        """Its numbers, with the keys ``label``, ``value``, ``interval``, ``relative_error`` and ``verdict``."""
        found: list[dict[str, Any]] = json.loads(self.estimates)
        return found


def indexed(root: Path) -> list[Entry]:
    """The runs below ``root``, the newest first; its index is brought up to date.

    Where the index cannot be written, as in a folder of somebody else, the runs are read without one.

    Raises
    ------
    ConfigError
        When ``root`` is not a folder, or something that is not an ordinary file stands in the place of the index.
    """
    if not root.is_dir():
        raise ConfigError(f"{root}: no such folder; run folders are looked for in runs/, or in the folder of --root")
    index = root / INDEX
    if os.path.lexists(index) and (index.is_symlink() or not index.is_file()):
        raise ConfigError(f"{index}: must be an ordinary file, the index of the runs; remove it")
    for place in (index, index, Path(":memory:")):  # twice: a damaged index is removed the first time
        try:
            with closing(sqlite3.connect(place, timeout=WAIT)) as base, base:
                return sorted(_updated(base, root), key=lambda entry: (entry.started, entry.path), reverse=True)
        except sqlite3.OperationalError:  # it cannot be written, or another process holds it
            continue
        except sqlite3.DatabaseError:
            index.unlink(missing_ok=True)
    raise ConfigError(f"{index}: cannot be made")


def folders(root: Path, depth: int = DEEPEST) -> Iterator[Path]:
    """The folders of finished and unfinished runs below ``root``; links are not followed."""
    with suppress(OSError), os.scandir(root) as found:
        for item in sorted(found, key=lambda item: item.name):
            if item.name.startswith(".") or not item.is_dir(follow_symlinks=False):
                continue
            path = Path(item.path)
            if item.name.endswith(SUFFIX) or (path / MANIFEST).is_file():
                yield path
            elif depth > 1:
                yield from folders(path, depth - 1)


def _updated(base: sqlite3.Connection, root: Path) -> list[Entry]:
    """The entries of the index, after what has changed below ``root`` was read again."""
    names = [field.name for field in fields(Entry)]
    if base.execute("PRAGMA user_version").fetchone()[0] != VERSION:
        base.execute("DROP TABLE IF EXISTS runs")
        base.execute(f"CREATE TABLE runs ({', '.join(names)}, PRIMARY KEY (path))")
        base.execute(f"PRAGMA user_version = {VERSION}")
    held = {row[0]: Entry(*row) for row in base.execute(f"SELECT {', '.join(names)} FROM runs")}
    found: dict[str, Entry] = {}
    for folder in folders(root):
        path, mark = folder.relative_to(root).as_posix(), _mark(folder)
        known = held.get(path)
        found[path] = known if known is not None and known.mark == mark else _read(folder, path, mark)
    base.executemany("DELETE FROM runs WHERE path = ?", [(path,) for path in held if path not in found])
    changed = [entry for path, entry in found.items() if held.get(path) != entry]
    places = ", ".join("?" * len(names))
    base.executemany(f"INSERT OR REPLACE INTO runs VALUES ({places})", [tuple(asdict(e).values()) for e in changed])
    return list(found.values())


def _mark(folder: Path) -> str:
    """Changes whenever what is read from ``folder`` changes."""
    marks = []
    for name in (CHECKPOINT,) if folder.name.endswith(SUFFIX) else (MANIFEST, "result.json", "resolved.yaml"):
        with suppress(OSError):
            facts = os.lstat(folder / name)
            marks.append(f"{facts.st_mtime_ns}:{facts.st_size}")
    return " ".join(marks)


def _read(folder: Path, path: str, mark: str) -> Entry:
    """What the files in ``folder`` say of the run."""
    if folder.name.endswith(SUFFIX):
        return Entry(path, mark, name=folder.parent.name, status="unfinished", started=_saved(folder))
    try:
        manifest, result = (_object(folder / name) for name in (MANIFEST, "result.json"))
        numbers = [
            {key: each.get(key) for key in ("label", "value", "interval", "relative_error")}
            | {"verdict": each["verdict"]["status"]}
            for each in result["estimates"]
        ]
        return Entry(
            path,
            mark,
            name=visible(str(result["name"])),
            method=visible(str(result["method"])),
            seed=str(result["seed"]),
            status=visible(str(manifest["status"])),
            verdict=visible(str(result["verdict"]["status"])),
            started=visible(str(manifest.get("started", ""))),
            seconds=float(manifest.get("seconds") or 0.0),
            evaluations=int(result["evaluations"]["total"]),
            config=visible(json.dumps(_settings(folder / "resolved.yaml"))),
            estimates=visible(json.dumps(numbers)),
        )
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError, ConfigError):
        return Entry(path, mark, name=folder.parent.name)


def _object(path: Path) -> dict[str, Any]:
    found = json.loads(plain_files.read(path, MAX_BYTES, follow=False))
    if not isinstance(found, dict):
        raise TypeError("not an object")
    return found


def _settings(path: Path) -> dict[str, Any]:
    """The flat keys of a resolved config; none for a run from Python."""
    if not os.path.lexists(path):
        return {}
    text = plain_files.read(path, MAX_BYTES, follow=False).decode("utf-8")
    return dict(yaml_tree.flat("", yaml_tree.parse(text, str(path)).data))


def _saved(partial: Path) -> str:
    """When the state of an unfinished run was saved last."""
    place = partial / CHECKPOINT
    with suppress(OSError):
        when = os.lstat(place if place.exists() else partial).st_mtime
        return datetime.fromtimestamp(when, UTC).isoformat(timespec="seconds")
    return ""

"""Where the numbers come from: files, versions and settings of a run, as the page prints them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from raresim.report import tables

FACTS = {
    "config_sha256": "Configuration SHA-256",
    "seed": "Seed",
    "raresim": "raresim",
    "python": "Python",
    "packages": "Packages",
    "cpu": "CPU",
    "executor": "Executor",
    "workers": "Workers",
    "started": "Started",
    "seconds": "Duration",
}

DRAWS = ("draws.csv", "draws.parquet")
"""Names of the file with the sample of the event: the page links to no other."""


def facts(manifest: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Provenance as title, key and text: the known entries in a fixed order, then the others of the manifest."""
    known = [(title, key, _plain(manifest[key], key)) for key, title in FACTS.items() if manifest.get(key) is not None]
    rest = sorted(set(manifest) - set(FACTS) - {"files", "status"})
    return known + [(key.replace("_", " "), key, _plain(manifest[key])) for key in rest if manifest[key] is not None]


def draws(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The sample of the event that lies beside the page, or why there is none; empty where none was wanted."""
    found = manifest.get("draws")
    if not isinstance(found, dict):
        return {}
    if found.get("file") not in DRAWS:
        return {"why": f"{_plain(found.get('why', ''))[:1].upper()}{_plain(found.get('why', ''))[1:]}."}
    counts = {key: found[key] if isinstance(found.get(key), int) else 0 for key in ("rows", "of")}
    return {"href": found["file"], **counts}


def files(manifest: Mapping[str, Any]) -> list[dict[str, str]]:
    """One row per input file; any value other than a name, a size or a digest goes into ``more``."""
    files = manifest.get("files")
    rows = []
    for entry in files if isinstance(files, list) else []:
        given = entry if isinstance(entry, dict) else {"name": entry}
        more = {k: v for k, v in given.items() if k not in ("name", "bytes", "sha256") and v is not None}
        rows.append(
            {
                "name": _plain(given.get("name", "")),
                "bytes": _plain(given.get("bytes", "")),
                "sha256": _plain(given.get("sha256", "")),
                "more": _plain(more),
            }
        )
    return rows


def _plain(value: Any, key: str = "") -> str:
    """Any JSON value on one line."""
    if isinstance(value, dict):
        return ", ".join(f"{name} {_plain(item)}" for name, item in value.items())
    if isinstance(value, list):
        return ", ".join(_plain(item) for item in value)
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: ""}[value]
    if isinstance(value, int | float):
        if key == "seconds":
            return tables.duration(value)
        return str(value) if key == "seed" else tables.count(value) if isinstance(value, int) else tables.number(value)
    return str(value)

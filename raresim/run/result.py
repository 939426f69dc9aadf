"""What a run leaves: numbers with intervals and verdicts, and the run folder that holds them."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import shutil
import stat
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from raresim.errors import ConfigError
from raresim.files.storage import naming, sync_folder
from raresim.losses.failures import Failures
from raresim.numerics.arrays import Float
from raresim.record.evidence import Evidence
from raresim.record.exhibits import Exhibit
from raresim.record.records import ConvergencePoint, Estimate, Iteration
from raresim.record.verdict import Status, Verdict

SCHEMA_VERSION = 1
MAX_NAME = 255

FAILED_ROWS = "failed_rows.npz"


@dataclass(frozen=True, eq=False)
class Arrays:
    """Draws kept for the figures.

    Parameters
    ----------
    loss, log_weight : (k,) float64
        The first draws of the estimate stage, in the unit of the loss and in nats.
    top_log_weight : (j,) float64
        The largest log weights among the hits of the primary estimate, largest first, in nats.
    """

    loss: Float
    log_weight: Float
    top_log_weight: Float


@dataclass(frozen=True, eq=False)
class Result:
    """The outcome of a run.

    Parameters
    ----------
    estimates : tuple of Estimate
        In the order in which they were asked for.
    verdict : Verdict
        The worst of theirs.
    evaluations : mapping
        Loss evaluations of each stage and in all.
    failures : Failures
        Rows to which the user's loss gave no number: ``failed_rows.npz``.
    failed : mapping
        How many these are, by stage and kind; empty where every row has a loss.
    """

    name: str
    seed: int
    method: str
    description: Mapping[str, list[str]]
    estimates: tuple[Estimate, ...]
    verdict: Verdict
    evaluations: Mapping[str, int]
    seconds: Mapping[str, float]
    speedup_over_crude: float | None
    diagnostics: Mapping[str, Any]
    search: Mapping[str, Any]
    stopping: Mapping[str, Any]
    iterations: tuple[Iteration, ...]
    convergence: tuple[ConvergencePoint, ...]
    arrays: Arrays = field(repr=False)
    manifest: Mapping[str, Any] = field(repr=False)
    evidence: Evidence = field(default=Evidence(), repr=False)
    trace: Evidence = field(default=Evidence(), repr=False)
    exhibits: tuple[Exhibit, ...] = field(default=(), repr=False)
    log: tuple[Mapping[str, Any], ...] = field(default=(), repr=False)
    texts: Mapping[str, str] = field(default_factory=dict, repr=False)
    failures: Failures = field(default_factory=Failures.nothing, repr=False)
    failed: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """The content of ``result.json``: plain numbers, strings, lists and dicts; what is not finite is None."""
        plain = {
            "schema_version": SCHEMA_VERSION,
            "name": self.name,
            "seed": self.seed,
            "method": self.method,
            "description": dict(self.description),
            "estimates": [asdict(e) for e in self.estimates],
            "evaluations": dict(self.evaluations),
            "seconds": dict(self.seconds),
            "speedup_over_crude": self.speedup_over_crude,
            "diagnostics": dict(self.diagnostics),
            "search": dict(self.search),
            "stopping": dict(self.stopping),
            "failed": dict(self.failed),
            "iterations": [asdict(i) for i in self.iterations],
            "verdict": asdict(self.verdict),
        }
        converted: dict[str, Any] = _plain(plain)
        return converted

    def save(self, directory: str | Path) -> Path:
        """Write the run folder, with figures and report, and return its path.

        Everything is written to a temporary sibling that is renamed at the end, so a folder that exists is whole.

        Raises
        ------
        ConfigError
            When ``directory`` exists and is not empty.
        OSError
            With the path of what could not be written; ``directory`` is then not there.
        """
        final = Path(directory)
        refuse_existing(final)
        write_folder(final, self.files(status="finished"))
        return final

    def files(self, status: str = "interrupted") -> dict[str, bytes]:
        """The content of a run folder without figures and page, by file name; ``status`` goes into the manifest."""
        content = {name: text.encode() for name, text in self.texts.items()}
        content["result.json"] = _json(self.to_dict())
        content["metrics.json"] = _json(self.metrics())
        content["manifest.json"] = _json(_plain({**self.manifest, "status": status}))
        content["convergence.csv"] = _csv(ConvergencePoint, self.convergence)
        content["iterations.csv"] = _csv(Iteration, self.iterations)
        for name, shown in (("evidence", self.evidence), ("trace", self.trace)):
            if shown.tables or shown.plots:
                content[f"{name}.json"] = _json(_plain(asdict(shown)))
        for exhibit in self.exhibits:
            content[f"{exhibit.name}.csv"] = _table(exhibit.columns, exhibit.rows)
        if self.exhibits:
            content["exhibits.json"] = _json({"exhibits": [_plain(asdict(exhibit)) for exhibit in self.exhibits]})
        lines = (json.dumps(_plain(entry)) + "\n" for entry in self.log)
        content["log.jsonl"] = "".join(lines).encode()
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **vars(self.arrays))
        content["arrays.npz"] = buffer.getvalue()
        if self.failures.kept:
            content[FAILED_ROWS] = self.failures.to_bytes()
        return content

    def metrics(self) -> dict[str, float | None]:
        """The content of ``metrics.json``: flat names and numbers."""
        flat: dict[str, float | None] = {"evaluations": self.evaluations["total"]}
        for k, e in enumerate(self.estimates):
            numbers = {
                "threshold": e.threshold,
                "value": e.value,
                "std_error": e.std_error,
                "relative_error": e.relative_error,
                "lower": e.interval[0],
                "upper": e.interval[1],
            }
            flat |= {f"{e.kind}_{k}_{name}": _plain(number) for name, number in numbers.items()}
        flat |= {name: _plain(v) for name, v in self.diagnostics.items() if not isinstance(v, Mapping)}
        flat["trusted"] = float(self.verdict.status is Status.TRUSTED)
        return flat


def default_folder(name: str, leaf: str) -> Path:
    """``runs/NAME/LEAF``, below the working folder; raises `ConfigError` where a link would lead out of it."""
    folder = Path("runs") / name / leaf
    for part in (folder.parent, folder):
        if part.is_symlink():
            raise ConfigError(f"{part}: is a symbolic link; remove it, or name the run folder with --out")
    return folder


def write_folder(final: Path, files: Mapping[str, bytes]) -> None:
    """Make the run folder ``final`` of ``files``, with figures and page: whole, or not at all.

    An empty folder in its place is replaced.
    """
    from raresim import report

    final.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{final.name[:50]}-", dir=final.parent))
    try:
        for name, content in files.items():
            with naming(final / name), (draft / name).open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        try:
            report.build(draft)
        except ConfigError as error:  # it speaks of the draft
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
    """Raise `ConfigError` when ``folder`` is there and holds something, or could not be made after the run."""
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


def _plain(value: Any) -> Any:
    """``value`` as JSON can hold it."""
    if isinstance(value, Mapping):
        return {key: _plain(v) for key, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, (bool, str)) or value is None:
        return value
    if isinstance(value, (int, np.integer)):
        return int(value)
    if isinstance(value, (float, np.floating)):
        return float(value) if math.isfinite(value) else None
    raise TypeError(f"cannot be stored: {value!r}")


def _json(content: Mapping[str, Any]) -> bytes:
    return (json.dumps(content, indent=1, allow_nan=False) + "\n").encode()


def _csv(row_type: type, rows: Iterable[Any]) -> bytes:
    names = list(row_type.__dataclass_fields__)  # type: ignore[attr-defined]  # only called with dataclasses
    return _table(names, ([getattr(row, name) for name in names] for row in rows))


def _table(columns: Iterable[str], rows: Iterable[Iterable[Any]]) -> bytes:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return buffer.getvalue().encode()

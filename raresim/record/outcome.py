"""The outcome of a run, as plain values that a run folder holds."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from raresim.arguments.synonyms import unknown
from raresim.errors import FieldError
from raresim.numerics.arrays import Float
from raresim.record.codec import plain
from raresim.record.evidence import Evidence
from raresim.record.exhibits import Exhibit
from raresim.record.frames import Library, frame
from raresim.record.records import ConvergencePoint, Estimate, Iteration
from raresim.record.verdict import Status, Verdict

SCHEMA_VERSION = 1
"""Version of the format of ``result.json``."""

RESULT = (
    "name",
    "seed",
    "method",
    "description",
    "estimates",
    "evaluations",
    "seconds",
    "speedup_over_crude",
    "diagnostics",
    "search",
    "stopping",
    "failed",
    "iterations",
    "verdict",
)
"""The fields of an outcome that ``result.json`` holds, in its order."""

TEXTS = ("config.yaml", "resolved.yaml")
"""The config as given, and with every default: files of a run that began with a config."""


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
class Outcome:
    """The outcome of a run. Two outcomes are equal if run folders of both hold the same.

    Parameters
    ----------
    estimates : tuple of Estimate
        Estimates in the order in which they were asked for.
    verdict : Verdict
        The worst of their verdicts.
    evaluations : mapping
        Loss evaluations of each stage and in total.
    failed : mapping
        Rows to which the user's loss gave no number, by stage and kind; empty if every row has a loss.
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
    failed: Mapping[str, Any] = field(default_factory=dict)

    def to_frame(self, library: Library | None = None) -> Any:
        """The estimates as a data frame of pandas or polars, a row each; see `raresim.record.frames.frame`."""
        columns = ("kind", "label", "direction", "threshold", "level", "value", "std_error", "relative_error")
        more = ("lower", "upper", "confidence", "holds_confidence", "unit", "verdict", "asked", "reference")
        rows = [
            (
                *(getattr(e, name) for name in (*columns, *more[:5])),
                str(e.verdict.status),
                e.asked,
                None if e.reference is None else e.reference.value,
            )
            for e in self.estimates
        ]
        return frame((*columns, *more), rows, library)

    def exhibit(self, name: str) -> Exhibit:
        """The exhibit called ``name``, such as "contributions"; raises `FieldError` with those that there are."""
        for exhibit in self.exhibits:
            if exhibit.name == name:
                return exhibit
        raise FieldError("exhibit", unknown("exhibit", name, [exhibit.name for exhibit in self.exhibits]))

    def to_dict(self) -> dict[str, Any]:
        """The content of ``result.json``: plain numbers, strings, lists and dicts; None if not finite."""
        held: dict[str, Any] = plain({name: getattr(self, name) for name in RESULT})
        return {"schema_version": SCHEMA_VERSION} | held

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Outcome):
            return NotImplemented
        return self.content() == other.content()

    __hash__ = None  # type: ignore[assignment]  # its mappings may change

    def content(self, status: str = "interrupted") -> dict[str, bytes]:
        """The content of a run folder without figures and page, by file name; ``status`` goes into the manifest."""
        content = {name: text.encode() for name, text in self.texts.items()}
        content["result.json"] = _json(self.to_dict())
        content["metrics.json"] = _json(self.metrics())
        content["manifest.json"] = _json(plain({**self.manifest, "status": status}))
        content["convergence.csv"] = _csv(ConvergencePoint, self.convergence)
        content["iterations.csv"] = _csv(Iteration, self.iterations)
        for name, shown in (("evidence", self.evidence), ("trace", self.trace)):
            if shown.tables or shown.plots:
                content[f"{name}.json"] = _json(plain(shown))
        for exhibit in self.exhibits:
            content[f"{exhibit.name}.csv"] = _table(exhibit.columns, exhibit.rows)
        if self.exhibits:
            content["exhibits.json"] = _json(plain({"exhibits": self.exhibits}))
        lines = (json.dumps(plain(entry)) + "\n" for entry in self.log)
        content["log.jsonl"] = "".join(lines).encode()
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **vars(self.arrays))
        content["arrays.npz"] = buffer.getvalue()
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
                "lower": e.lower,
                "upper": e.upper,
            }
            flat |= {f"{e.kind}_{k}_{name}": plain(number) for name, number in numbers.items()}
        flat |= {name: plain(v) for name, v in self.diagnostics.items() if not isinstance(v, Mapping)}
        flat["trusted"] = float(self.verdict.status is Status.TRUSTED)
        return flat


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

"""Read a run folder: every file checked for what the page needs, every problem named with its path."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import re
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from raresim.diagnostics.verdict import judge, overall
from raresim.errors import ConfigError, visible
from raresim.files import plain_files, run_folders
from raresim.record.evidence import Evidence, EvidencePlot, EvidenceTable
from raresim.record.exhibits import Exhibit
from raresim.record.verdict import Status
from raresim.report import tables

__all__ = ["Check", "Entropies", "Estimate", "Information", "Iteration", "Reference", "Run", "Trace", "Verdict", "read"]

SCHEMA_VERSION = 1
MAX_BYTES = 256 * 1024**2
SMALLEST = float(np.finfo(np.float64).tiny)
STATUSES = tuple(map(str, Status))
FIT_FORMS = ("quantiles", "stability")
TRACE_FORMS = ("line", "points")
EXHIBIT_FORMS = (*TRACE_FORMS, "bars", "curve", "band", "marks")
EXHIBIT_NAME = re.compile(r"[a-z][a-z0-9_]{0,60}")
"""Figures are called after exhibits: a name that could lead elsewhere is refused."""

UNITS = ("draw", "line", "direction", "replicate")
TRACE_COLUMNS = ("estimate", "evaluations", "value", "std_error", "lower", "upper")

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Check:
    """One line of a verdict."""

    name: str
    value: float | str | None
    status: str
    message: str


@dataclass(frozen=True)
class Verdict:
    """Whether to believe a number, why, and what to change."""

    status: str
    scope: str
    hidden_mass_bound: float | None
    checks: tuple[Check, ...]
    advice: tuple[str, ...]


@dataclass(frozen=True)
class Reference:
    """A value from elsewhere to compare with; the run never used it."""

    value: float
    source: str


@dataclass(frozen=True)
class Information:
    """What an event costs crude Monte Carlo and the proposal; everything is None without a hit."""

    event_nats: float | None
    event_bits: float | None
    crude_draws: float | None
    proposal_nats: float | None
    proposal_bits: float | None
    proposal_draws: float | None
    saved_share: float | None


@dataclass(frozen=True)
class Entropies:
    """Entropy of the optimal law of the event, and its cross-entropy against target and last level's law, in nats."""

    optimal: float
    target: float
    proposal: float


@dataclass(frozen=True)
class Estimate:
    """One measure of the run. ``threshold`` and values carry the user's sign."""

    index: int
    kind: str
    label: str
    direction: str
    threshold: float | None
    threshold_note: str
    level: float | None
    value: float | None
    log_value: float | None
    std_error: float | None
    relative_error: float | None
    lower: float | None
    upper: float | None
    confidence: float | None
    interval_kind: str
    holds_confidence: bool
    unit: str
    reference: Reference | None
    information: Information | None
    diagnostics: Mapping[str, float | None]
    verdict: Verdict
    asked: bool

    @property
    def confidence_words(self) -> str:
        """The confidence of the interval, called nominal where it does not hold; empty where there is none."""
        if self.confidence is None:
            return ""
        return f"{'' if self.holds_confidence else 'nominal '}{tables.percent(self.confidence)}"

    @property
    def is_below(self) -> bool:
        """Whether the event is ``loss <= threshold``."""
        return self.direction == "below"

    @property
    def is_bound(self) -> bool:
        """Whether only an upper limit is known, because no event was seen."""
        return self.verdict.status == "bound_only"

    @property
    def is_exactly_the_reference(self) -> bool:
        """Whether nine digits are those of the reference, which an exact method may reach without an error to tell."""
        return (
            self.reference is not None
            and self.value is not None
            and math.isclose(self.value, self.reference.value, rel_tol=1e-9)
        )

    @property
    def is_below_doubles(self) -> bool:
        """Whether the value is positive but only its logarithm can be stored."""
        return self.log_value is not None and not self.is_bound and abs(self.value or 0.0) < SMALLEST


@dataclass(frozen=True)
class Iteration:
    """One level of one start of the tuning."""

    start: str
    iteration: int
    level: float | None
    rarity: float | None
    evaluations: float | None
    elites: float | None
    ess: float | None
    kl_optimal_proposal: float | None
    kl_step: float | None
    cross_entropy: float | None
    entropy: float | None
    log_probability: float | None
    note: str


@dataclass(frozen=True)
class Trace:
    """How one estimate developed with the evaluations of the estimate stage; all arrays ``(m,)``."""

    evaluations: Array
    value: Array
    std_error: Array
    lower: Array
    upper: Array


@dataclass(frozen=True)
class Run:
    """A finished run folder in memory. ``loss`` and ``log_weight`` are the kept draws, ``(k,)``.

    ``unit`` says what an independent row of the estimate is; where it is not a draw, no draws may have been kept.
    ``verdict`` and those of the estimates are derived again from the stored numbers; ``stored_status`` is what the
    folder says. ``evidence`` is empty where the inputs were not fitted, ``trace`` where the method left nothing of its
    way; in their plots NaN stands for a number that was not finite. ``failed`` counts rows without a loss,
    ``failed_kinds`` by how.
    """

    folder: Path
    name: str
    seed: str
    method: str
    unit: str
    description: Mapping[str, tuple[str, ...]]
    estimates: tuple[Estimate, ...]
    evaluations: Mapping[str, float | None]
    seconds: Mapping[str, float | None]
    speedup_over_crude: float | None
    diagnostics: Mapping[str, float | None]
    entropy: Mapping[str, float | None]
    iterations: tuple[Iteration, ...]
    verdict: Verdict
    stored_status: str
    manifest: Mapping[str, Any]
    config: str
    resolved: str
    traces: Mapping[int, Trace]
    loss: Array
    log_weight: Array
    top_log_weight: Array
    nominal_loss: Array
    evidence: Evidence
    trace: Evidence
    exhibits: tuple[Exhibit, ...]
    decisions: tuple[str, ...]
    failed: Mapping[str, float | None]
    failed_kinds: Mapping[str, float | None]

    @property
    def primary(self) -> Estimate:
        """The rarest estimate that was asked for: the smallest probability, else the highest level, else the first."""
        asked = [e for e in self.estimates if e.asked] or self.estimates
        probabilities = [e for e in asked if e.kind == "probability" and e.value is not None]
        if probabilities:
            return min(probabilities, key=lambda e: (e.value, 0.0 if e.log_value is None else e.log_value))
        return max(asked, key=lambda e: -1.0 if e.level is None else e.level)

    @property
    def is_weighted(self) -> bool:
        """Whether draws came from a proposal; a method that tunes may also have ended with the target itself."""
        return self.method != "crude" and (self.log_weight.size == 0 or bool(np.any(self.log_weight != 0)))

    @property
    def entropies(self) -> Entropies | None:
        """The entropies of the primary event; None unless a proposal was tuned up to its threshold."""
        stored = (self.entropy.get(k) for k in ("optimal", "cross_entropy_target", "cross_entropy_proposal"))
        optimal, target, proposal = stored
        threshold, level = self.primary.threshold, self.iterations[-1].level if self.iterations else None
        if not self.is_weighted or threshold is None or level is None or not math.isclose(level, threshold):
            return None
        if optimal is None or target is None or proposal is None:
            return None
        return Entropies(optimal, target, proposal)

    def threshold_of(self, estimate: Estimate) -> float | None:
        """Where the tail of ``estimate`` begins; an expected shortfall begins at its value at risk."""
        if estimate.threshold is not None:
            return estimate.threshold
        if estimate.kind == "value_at_risk":
            return estimate.value
        same_tail = [e for e in self.estimates if e.kind == "value_at_risk" and e.level == estimate.level]
        if same_tail:
            return same_tail[0].value
        if estimate.level is None or self.loss.size == 0:
            return None
        order = np.argsort(-self.loss)
        weight = np.exp(self.log_weight[order] - np.max(self.log_weight))
        n_tail = int(np.count_nonzero(np.cumsum(weight) <= (1 - estimate.level) * np.sum(weight)))
        return float(self.loss[order[max(0, n_tail - 1)]])

    def is_hit(self, estimate: Estimate) -> npt.NDArray[np.bool_]:
        """Which kept draws are in the tail of ``estimate``, ``(k,)``."""
        threshold = self.threshold_of(estimate)
        if threshold is None:
            return np.zeros(self.loss.shape, dtype=np.bool_)
        return self.loss <= threshold if estimate.is_below else self.loss >= threshold


@dataclass(frozen=True)
class _Fields:
    """A JSON object and where it stands, so that every complaint can say so."""

    where: str
    data: Mapping[str, Any]

    @classmethod
    def of(cls, where: str, data: Any) -> _Fields:
        if not isinstance(data, dict):
            raise ConfigError(f"{where}: must be an object, got {_shown(data)}")
        return cls(where, data)

    def need(self, key: str) -> Any:
        if key not in self.data:
            raise ConfigError(f"{self.where}.{key}: missing")
        return self.data[key]

    def fail(self, key: str, allowed: str) -> ConfigError:
        return ConfigError(f"{self.where}.{key}: must be {allowed}, got {_shown(self.data[key])}")

    def text(self, key: str, default: str | None = None) -> str:
        """A string; ``null`` or absent gives ``default`` where there is one."""
        if default is not None and self.data.get(key) is None:
            return default
        value = self.need(key)
        if not isinstance(value, str):
            raise self.fail(key, "a text")
        return value

    def flag(self, key: str, default: bool) -> bool:
        """True or false; absent gives ``default``."""
        value = self.data.get(key, default)
        if not isinstance(value, bool):
            raise self.fail(key, "true or false")
        return value

    def number(self, key: str) -> float | None:
        """A number; ``null``, absent and not finite are all None."""
        value = self.data.get(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.fail(key, "a number or null")
        try:
            return float(value) if math.isfinite(value) else None
        except OverflowError:
            raise self.fail(key, "a number that fits a double") from None

    def number_or_text(self, key: str) -> float | str | None:
        value = self.data.get(key)
        if isinstance(value, bool):
            return "yes" if value else "no"
        return value if isinstance(value, str) else self.number(key)

    def items(self, key: str) -> list[Any]:
        value = self.data.get(key)
        if value is None:
            return []
        if not isinstance(value, list):
            raise self.fail(key, "a list")
        return value

    def sequence(self, key: str) -> tuple[float, ...]:
        """Numbers, with NaN for ``null``; the list itself has to be there."""
        if not isinstance(self.need(key), list):
            raise self.fail(key, "a list of numbers")
        entries = _Fields(self.where, {f"{key}[{i}]": item for i, item in enumerate(self.data[key])})
        return tuple(math.nan if (x := entries.number(name)) is None else x for name in entries.data)

    def objects(self, key: str) -> list[_Fields]:
        return [_Fields.of(f"{self.where}.{key}[{i}]", item) for i, item in enumerate(self.items(key))]

    def texts(self, key: str) -> tuple[str, ...]:
        if not all(isinstance(item, str) for item in self.items(key)):
            raise self.fail(key, "a list of texts")
        return tuple(self.items(key))

    def child(self, key: str) -> _Fields:
        """An object; ``null`` or absent is an empty one."""
        return _Fields.of(f"{self.where}.{key}", {} if self.data.get(key) is None else self.data[key])

    def numbers(self) -> dict[str, float | None]:
        """Every entry that is a number or null; nested tables belong to other readers."""
        return {key: self.number(key) for key, value in self.data.items() if not isinstance(value, dict | list)}


def read(run_dir: Path) -> Run:
    """Read a finished run folder; raises `ConfigError` that names the file and what is wrong with it."""
    run_folders.refuse_no_run(run_dir)
    manifest = _json(run_dir / "manifest.json")
    if (status := manifest.text("status")) not in ("finished", "interrupted"):
        raise ConfigError(f"{manifest.where}: a report needs a finished run, this one is {status!r}; resume it first")
    result = _json(run_dir / "result.json")
    if (version := result.need("schema_version")) != SCHEMA_VERSION:
        raise ConfigError(
            f"{result.where}.schema_version: this raresim reads version {SCHEMA_VERSION}, got"
            f" {_shown(version)}; use the raresim release that wrote the folder"
        )
    search = result.child("search")
    estimates = tuple(_estimate(i, fields, search) for i, fields in enumerate(result.objects("estimates")))
    if not estimates:
        raise ConfigError(f"{result.where}.estimates: must hold at least one estimate")
    description = result.child("description")
    stored = _verdict(_Fields.of(f"{result.where}.verdict", result.need("verdict")))
    has_config = manifest.data.get("config_sha256") is not None  # a run started from Python has no YAML
    return Run(
        folder=run_dir,
        name=result.text("name"),
        seed=str(result.need("seed")),
        method=result.text("method"),
        unit=_unit(search),
        description={key: description.texts(key) for key in description.data},
        estimates=estimates,
        evaluations=result.child("evaluations").numbers(),
        seconds=result.child("seconds").numbers(),
        speedup_over_crude=result.number("speedup_over_crude"),
        diagnostics=result.child("diagnostics").numbers(),
        entropy=result.child("diagnostics").child("entropy").numbers(),
        iterations=tuple(_iteration(fields) for fields in result.objects("iterations")),
        verdict=_overall(estimates) if "audit" in search.data else stored,
        stored_status=stored.status,
        manifest=manifest.data,
        config=_text(run_dir / "config.yaml", required=has_config),
        resolved=_text(run_dir / "resolved.yaml", required=has_config),
        traces=_traces(run_dir / "convergence.csv", len(estimates)),
        evidence=_evidence(run_dir / "evidence.json", FIT_FORMS),
        trace=_evidence(run_dir / "trace.json", TRACE_FORMS),
        exhibits=_exhibits(run_dir / "exhibits.json"),
        decisions=search.texts("decisions"),
        failed=result.child("failed").numbers(),
        failed_kinds=result.child("failed").child("kinds").numbers(),
        **_arrays(run_dir / "arrays.npz"),
    )


def _estimate(index: int, fields: _Fields, search: _Fields) -> Estimate:
    reference = fields.child("reference")
    reference_value = reference.number("value")
    ends = fields.items("interval")
    if len(ends) not in (0, 2):
        raise fields.fail("interval", "[lower, upper]")
    lower, upper = (_Fields(fields.where, {"interval": end}).number("interval") for end in ends or (None, None))
    return Estimate(
        index=index,
        kind=fields.text("kind"),
        label=fields.text("label", "") or fields.text("kind"),
        direction=fields.text("direction", "above"),
        threshold=fields.number("threshold"),
        threshold_note=fields.text("threshold_note", ""),
        level=fields.number("level"),
        value=None if fields.need("value") is None else fields.number("value"),
        log_value=fields.number("log_value"),
        std_error=fields.number("std_error"),
        relative_error=fields.number("relative_error"),
        lower=lower,
        upper=upper,
        confidence=fields.number("confidence"),
        interval_kind=fields.text("interval_kind", ""),
        holds_confidence=fields.flag("holds_confidence", True),
        unit=fields.text("unit", ""),
        reference=None if reference_value is None else Reference(reference_value, reference.text("source", "")),
        information=_information(fields),
        diagnostics=fields.child("diagnostics").numbers(),
        verdict=_judged(fields, search),
        asked=fields.flag("asked", True),
    )


def _overall(estimates: Sequence[Estimate]) -> Verdict:
    return overall([e.verdict for e in estimates], [e.asked for e in estimates])


def _judged(fields: _Fields, search: _Fields) -> Verdict:
    """The verdict of an estimate from its stored numbers; the stored one where the folder lacks some of them."""
    stored = _verdict(_Fields.of(f"{fields.where}.verdict", fields.need("verdict")))
    if "audit" not in search.data:
        return stored
    try:
        again = judge(fields.child("diagnostics").data, fields.number("relative_error"), search.data)
        checks = tuple(
            Check(c.name, _Fields(fields.where, {c.name: c.value}).number(c.name), str(c.status), str(c.message))
            for c in again.checks
        )
        return Verdict(str(again.status), again.scope, again.hidden_mass_bound, checks, again.advice)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise ConfigError(f"{fields.where}: its numbers give no verdict ({type(error).__name__}: {error})") from None


def _unit(search: _Fields) -> str:
    """A folder from before there were other units holds draws."""
    unit = search.text("unit", "draw")
    if unit not in UNITS:
        raise search.fail("unit", f"one of {', '.join(UNITS)}")
    return unit


def _information(fields: _Fields) -> Information | None:
    """None for a folder that was written before there was an information budget."""
    if fields.data.get("information") is None:
        return None
    stored = fields.child("information")
    return Information(**{key: stored.number(key) for key in Information.__dataclass_fields__})


def _verdict(fields: _Fields) -> Verdict:
    status = fields.text("status")
    if status not in STATUSES:
        raise fields.fail("status", f"one of {', '.join(STATUSES)}")
    checks = tuple(
        Check(c.text("name"), c.number_or_text("value"), c.text("status"), c.text("message", ""))
        for c in fields.objects("checks")
    )
    return Verdict(
        status=status,
        scope=fields.text("scope", ""),
        hidden_mass_bound=fields.number("hidden_mass_bound"),
        checks=checks,
        advice=fields.texts("advice"),
    )


def _iteration(fields: _Fields) -> Iteration:
    index = fields.number("iteration")
    return Iteration(
        start=str(fields.data.get("start", "")),
        iteration=0 if index is None else int(index),
        level=fields.number("level"),
        rarity=fields.number("rarity"),
        evaluations=fields.number("evaluations"),
        elites=fields.number("elites"),
        ess=fields.number("ess"),
        kl_optimal_proposal=fields.number("kl_optimal_proposal"),
        kl_step=fields.number("kl_step"),
        cross_entropy=fields.number("cross_entropy"),
        entropy=fields.number("entropy"),
        log_probability=fields.number("log_probability"),
        note=fields.text("note", ""),
    )


def _evidence(path: Path, forms: tuple[str, ...]) -> Evidence:
    """Empty without the file: most inputs are not fitted, and many methods leave nothing of their way."""
    if not os.path.lexists(path):
        return Evidence()
    stored = _json(path)
    return Evidence(
        tables=tuple(_table(fields) for fields in stored.objects("tables")),
        plots=tuple(_plot(fields, forms) for fields in stored.objects("plots")),
    )


def _exhibits(path: Path) -> tuple[Exhibit, ...]:
    """None without the file: most measures are single numbers."""
    if not os.path.lexists(path):
        return ()
    return tuple(_exhibit(fields) for fields in _json(path).objects("exhibits"))


def _exhibit(fields: _Fields) -> Exhibit:
    table = _table(fields)
    name, status = fields.text("name"), fields.text("status")
    if not EXHIBIT_NAME.fullmatch(name):
        raise fields.fail("name", "lower case letters, digits and underscores")
    if status not in STATUSES:
        raise fields.fail("status", f"one of {', '.join(STATUSES)}")
    plots = tuple(_plot(plot, EXHIBIT_FORMS) for plot in fields.objects("plots"))
    return Exhibit(name, table.title, table.columns, table.rows, fields.texts("notes"), status, plots)


def _table(fields: _Fields) -> EvidenceTable:
    columns = fields.texts("columns")
    if not columns:
        raise ConfigError(f"{fields.where}.columns: must name at least one column")
    return EvidenceTable(
        title=fields.text("title"),
        columns=columns,
        rows=tuple(_row(fields.where, i, row, len(columns)) for i, row in enumerate(fields.items("rows"))),
    )


def _row(where: str, index: int, row: Any, n_columns: int) -> tuple[str | float | None, ...]:
    at = f"rows[{index}]"
    if not isinstance(row, list) or len(row) != n_columns:
        raise _Fields(where, {at: row}).fail(at, f"a list of {n_columns} cells")
    cells = _Fields(where, {f"{at}[{j}]": cell for j, cell in enumerate(row)})
    for name, cell in cells.data.items():
        if isinstance(cell, bool | list | dict):
            raise cells.fail(name, "a text, a number or null")
    return tuple(cells.number_or_text(name) for name in cells.data)


def _plot(fields: _Fields, forms: tuple[str, ...]) -> EvidencePlot:
    form = fields.text("form")
    if form not in forms:
        raise fields.fail("form", f"one of {', '.join(forms)}")
    x, y, low, high = points = [fields.sequence(key) for key in ("x", "y", "low", "high")]
    if form in EXHIBIT_FORMS and not low and not high:
        points = [x, y]
    if len(set(map(len, points))) > 1:
        lengths = ", ".join(str(len(numbers)) for numbers in points)
        raise ConfigError(f"{fields.where}: x, y, low and high must have the same length, got {lengths}")
    labels = fields.texts("labels") if "labels" in fields.data else ()
    if form == "bars" and len(labels) != len(y):
        raise ConfigError(f"{fields.where}: labels must have the length of y, {len(y)}, got {len(labels)}")
    title, x_label, y_label = (fields.text(key) for key in ("title", "x_label", "y_label"))
    return EvidencePlot(form, title, x_label, y_label, x, y, low, high, labels)


def _traces(path: Path, n_estimates: int) -> dict[int, Trace]:
    rows: dict[int, list[list[float]]] = {}
    reader = csv.DictReader(_text(path).splitlines())
    if absent := [column for column in TRACE_COLUMNS if column not in (reader.fieldnames or ())]:
        raise ConfigError(f"{path}: column {absent[0]!r} is missing")
    for line, row in enumerate(reader, start=2):
        try:
            index = int(row["estimate"])
            numbers = [float("nan" if row[column] == "" else row[column]) for column in TRACE_COLUMNS[1:]]
        except (TypeError, ValueError):
            raise ConfigError(f"{path}:{line}: must be one whole number and five numbers") from None
        if not 0 <= index < n_estimates:
            raise ConfigError(f"{path}:{line}: estimate {index} is not in result.json, which has {n_estimates}")
        rows.setdefault(index, []).append(numbers)
    return {index: Trace(*np.array(numbers).T) for index, numbers in sorted(rows.items())}


_UNREADABLE = (OSError, ValueError, EOFError, TypeError, AttributeError, MemoryError, RuntimeError, zipfile.BadZipFile)
"""What numpy and zipfile raise for archives that are broken, encrypted, or whose arrays claim to be huge."""


def _arrays(path: Path) -> dict[str, Array]:
    names = {"loss": True, "log_weight": True, "top_log_weight": False, "nominal_loss": False}
    arrays: dict[str, Array] = {}
    content = _content(path)
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as packed:
            size = sum(entry.file_size for entry in packed.infolist())
        if size > MAX_BYTES:
            raise ConfigError(f"{path}: must unpack to at most {MAX_BYTES:,} bytes, got {size:,}")
        with np.load(io.BytesIO(content), allow_pickle=False) as stored:
            for name, is_required in names.items():
                if name not in stored.files and is_required:
                    raise ConfigError(f"{path}: array {name!r} is missing")
                arrays[name] = np.asarray(stored[name] if name in stored.files else [], dtype=np.float64)
    except _UNREADABLE as error:
        raise ConfigError(f"{path}: cannot be read as arrays ({type(error).__name__})") from None
    for name, array in arrays.items():
        if array.ndim != 1 or np.isnan(array).any():
            raise ConfigError(f"{path}: array {name!r} must be one-dimensional and free of NaN")
    if arrays["loss"].shape != arrays["log_weight"].shape:
        raise ConfigError(f"{path}: 'loss' and 'log_weight' must have the same length")
    return arrays


def _json(path: Path) -> _Fields:
    try:
        return _Fields.of(str(path), _visible(json.loads(_text(path), parse_constant=lambda _: None)))
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: is not valid JSON ({error})") from None


def _text(path: Path, *, required: bool = True) -> str:
    if not required and not os.path.lexists(path):
        return ""
    return _content(path).decode("utf-8", errors="replace")


def _content(path: Path) -> bytes:
    """The bytes of a file of the folder itself: a link could bring any other file into the page."""
    if not os.path.lexists(path) or path.is_dir():
        raise ConfigError(f"{path}: missing; the run folder is incomplete")
    try:
        content = plain_files.read(path, MAX_BYTES + 1, follow=False)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    if len(content) > MAX_BYTES:
        raise ConfigError(f"{path}: must be at most {MAX_BYTES:,} bytes, got more")
    return content


def _visible(value: Any) -> Any:
    """Every text of a JSON value, keys too, made `visible`: it goes to terminals, figures and the page."""
    if isinstance(value, dict):
        return {visible(key): _visible(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_visible(item) for item in value]
    return visible(value) if isinstance(value, str) else value


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."

"""A run folder as the report reads it: the stored outcome, with verdicts recomputed from the stored numbers."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from raresim.diagnostics.verdict import judge, overall
from raresim.errors import ConfigError
from raresim.record.codec import Stored, plain
from raresim.record.codec import read as read_stored
from raresim.record.folder import fields_of
from raresim.record.outcome import Outcome
from raresim.record.records import Estimate
from raresim.record.rows import UNITS
from raresim.record.verdict import Status, Verdict
from raresim.report import tables

__all__ = ["Entropies", "Run", "Trace", "read"]

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Entropies:
    """Entropy of the optimal law of the event, and its cross-entropy against the target and the last level, in nats."""

    optimal: float
    target: float
    proposal: float


@dataclass(frozen=True)
class Trace:
    """The path of one estimate over the evaluations of the estimate stage; all arrays ``(m,)``."""

    evaluations: Array
    value: Array
    std_error: Array
    lower: Array
    upper: Array


@dataclass(frozen=True, eq=False, kw_only=True)
class Run(Outcome):
    """A finished run folder in memory.

    Parameters
    ----------
    folder : Path
        Path of the folder.
    stored_status : Status
        The status of the run as stored; ``verdict`` and the verdicts of the estimates follow from the stored numbers.
    """

    folder: Path
    stored_status: Status

    @classmethod
    def of(cls, outcome: Outcome) -> Run:
        """The run of an ``outcome`` that is in memory, under its name; a run is itself."""
        if isinstance(outcome, cls):
            return outcome
        held = {f.name: getattr(outcome, f.name) for f in fields(Outcome)}
        return cls(**held, folder=Path(outcome.name), stored_status=outcome.verdict.status)

    @property
    def unit(self) -> str:
        """What an independent row of the estimate is; an old folder without this entry holds draws."""
        unit: str = self.search.get("unit", "draw")
        return unit

    @property
    def loss_unit(self) -> str:
        """The unit of the loss; empty where the user gave none."""
        named = next((e.unit for e in self.estimates if e.unit not in ("", "dimensionless", "loss")), "")
        assumed = self.search.get("assumptions")
        return named or str(assumed.get("unit", "") if isinstance(assumed, Mapping) else "")

    @property
    def decisions(self) -> tuple[str, ...]:
        """The decisions of the method, a sentence each."""
        return tuple(self.search.get("decisions", ()))

    @functools.cached_property
    def traces(self) -> Mapping[int, Trace]:
        """The path of each estimate that has one, by its index."""
        points: dict[int, list[tuple[float, ...]]] = {}
        for p in self.convergence:
            points.setdefault(p.estimate, []).append((p.evaluations, p.value, p.std_error, p.lower, p.upper))
        return {index: Trace(*np.array(rows, dtype=np.float64).T) for index, rows in sorted(points.items())}

    def index(self, estimate: Estimate) -> int:
        """The index of ``estimate`` in the run."""
        return next(k for k, e in enumerate(self.estimates) if e is estimate)

    def trace_of(self, estimate: Estimate) -> Trace | None:
        """The path of ``estimate``; None where none was recorded."""
        return self.traces.get(self.index(estimate))

    @property
    def primary(self) -> Estimate:
        """The rarest estimate that was asked for: the smallest probability, else the highest level, else the first."""
        asked = [e for e in self.estimates if e.asked] or self.estimates
        probabilities = [e for e in asked if e.kind == "probability" and tables.is_known(e.value)]
        if probabilities:
            return min(probabilities, key=lambda e: (e.value, e.log_value if tables.is_known(e.log_value) else 0.0))
        return max(asked, key=lambda e: -1.0 if e.level is None else e.level)

    @property
    def is_weighted(self) -> bool:
        """Whether draws came from a proposal; a method that tunes may have ended with the target itself."""
        log_weight = self.arrays.log_weight
        return self.method != "crude" and (log_weight.size == 0 or bool(np.any(log_weight != 0)))

    @property
    def entropies(self) -> Entropies | None:
        """The entropies of the primary event; None unless a proposal was tuned up to its threshold."""
        stored = Stored(f"{self.folder}.diagnostics.entropy", self.diagnostics.get("entropy") or {}).numbers()
        optimal, target, proposal = map(stored.get, ("optimal", "cross_entropy_target", "cross_entropy_proposal"))
        level = self.iterations[-1].level if self.iterations else math.nan
        if not self.is_weighted or not math.isclose(level, self.primary.threshold):
            return None
        if optimal is None or target is None or proposal is None:
            return None
        return Entropies(optimal, target, proposal)

    def threshold_of(self, estimate: Estimate) -> float | None:
        """The loss at which the tail of ``estimate`` begins; for an expected shortfall, its value at risk."""
        if tables.is_known(estimate.threshold):
            return estimate.threshold
        if estimate.kind == "value_at_risk":
            return estimate.value if tables.is_known(estimate.value) else None
        same_tail = [e for e in self.estimates if e.kind == "value_at_risk" and e.level == estimate.level]
        if same_tail:
            return same_tail[0].value if tables.is_known(same_tail[0].value) else None
        loss, log_weight = self.arrays.loss, self.arrays.log_weight
        if estimate.level is None or loss.size == 0:
            return None
        order = np.argsort(-loss)
        weight = np.exp(log_weight[order] - np.max(log_weight))
        n_tail = int(np.count_nonzero(np.cumsum(weight) <= (1 - estimate.level) * np.sum(weight)))
        return float(loss[order[max(0, n_tail - 1)]])

    def is_hit(self, estimate: Estimate) -> npt.NDArray[np.bool_]:
        """Which of the kept draws are in the tail of ``estimate``, ``(k,)``."""
        threshold, loss = self.threshold_of(estimate), self.arrays.loss
        if threshold is None:
            return np.zeros(loss.shape, dtype=np.bool_)
        return loss <= threshold if estimate.is_below else loss >= threshold


def read(folder: Path) -> Run:
    """Read a finished run folder; raises `ConfigError` that names the file and what is wrong with it."""
    held = fields_of(folder)
    where = str(folder / "result.json")
    search = _search(Stored(f"{where}.search", held["search"]))
    numbers = {name: _numbers(Stored(f"{where}.{name}", held[name])) for name in ("diagnostics", "failed")}
    estimates = tuple(_judged(f"{where}.estimates[{k}]", e, search) for k, e in enumerate(held["estimates"]))
    stored: Verdict = held["verdict"]
    verdict = overall([e.verdict for e in estimates], [e.asked for e in estimates]) if "audit" in search else stored
    return Run(
        **held | numbers | {"estimates": estimates, "verdict": verdict},
        folder=folder,
        stored_status=stored.status,
    )


def _numbers(stored: Stored) -> dict[str, Any]:
    """The entries that are numbers, and the entries that are tables of numbers themselves."""
    tables = {key: stored.child(key).numbers() for key, value in stored.value.items() if isinstance(value, dict)}
    return stored.numbers() | tables


def _search(stored: Stored) -> Mapping[str, Any]:
    """The facts of the search; those that the page prints are checked."""
    unit, decisions = stored.child("unit"), stored.child("decisions")
    if unit.value is not None and unit.value not in UNITS:
        raise unit.wants(f"one of {', '.join(UNITS)}")
    read_stored(list[str], decisions)
    search: Mapping[str, Any] = stored.value
    return search


def _judged(where: str, estimate: Estimate, search: Mapping[str, Any]) -> Estimate:
    """The estimate with the verdict of its stored numbers; with the stored verdict if the folder lacks some of them."""
    diagnostics = Stored(f"{where}.diagnostics", estimate.diagnostics)
    numbers = diagnostics.numbers()
    if "audit" not in search:
        return replace(estimate, diagnostics=numbers)
    relative_error = estimate.relative_error if math.isfinite(estimate.relative_error) else None
    try:
        verdict = judge(estimate.diagnostics, relative_error, search)
        checks = read_stored(Verdict, Stored(where, plain(verdict))).checks
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise ConfigError(f"{where}: its numbers give no verdict ({type(error).__name__}: {error})") from None
    return replace(estimate, diagnostics=numbers, verdict=replace(verdict, checks=checks))

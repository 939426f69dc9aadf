"""A finished run once more: from the config that its folder keeps, and held against the numbers that it holds."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raresim.errors import ConfigError, DataError
from raresim.files import run_folders
from raresim.files.run_folders import CHECKPOINT
from raresim.record.folder import fields_of
from raresim.record.outcome import Outcome
from raresim.record.records import Estimate
from raresim.run.checkpoint import load
from raresim.shell.unfinished import config_in

if TYPE_CHECKING:
    from raresim.config.load import Config
    from raresim.run.experiment import Experiment

APART = 4.0
"""Standard errors that two runs may be apart on different machines."""

ENVIRONMENT = ("raresim", "python", "platform", "cpu", "packages", "bit_generator", "stream_version")
"""Entries of the manifest that digits may depend on."""


@dataclass(frozen=True)
class Verification:
    """How a run came out again.

    Parameters
    ----------
    same : tuple of str
        Labels of the numbers that have the same bits.
    changed : tuple of str
        The others, with both values in words.
    agrees : bool
        Whether all of them are within their errors.
    elsewhere : tuple of str
        What differs between the two machines and their software.
    """

    same: tuple[str, ...]
    changed: tuple[str, ...]
    agrees: bool
    elsewhere: tuple[str, ...]


def planned(run_dir: Path, overrides: list[str]) -> tuple[Config, Experiment]:
    """Config and experiment of the finished run in ``run_dir``, read from there, with its files at their old places.

    Raises
    ------
    ConfigError
        When the folder holds no finished run that began from a config, or an extended one, which has two budgets.
    DataError
        When a file that the run read has changed.
    """
    run_folders.refuse_no_run(run_dir)
    path = run_dir / CHECKPOINT
    state = load(path)
    if state is None:
        raise ConfigError(f"{path}: is missing: a run from Python, or with execution.checkpoint null, has no config")
    if "extended" in state.identity:
        raise ConfigError(f"{run_dir}: is an extension; run the folder that it extends again, and extend that")
    stored, changes = fields_of(run_dir), list(overrides)
    if "seconds" in stored["stopping"]:  # a run for so long was planned for so many evaluations
        changes += ["stop.seconds=null", f"stop.max_evaluations={state.budget}"]
    if ended_at := stored["stopping"].get("ended_at"):
        changes.append(f"stop.ended_at={ended_at}")
    if stored["stopping"].get("by_hand"):
        changes.append("stop.by_hand=true")
    config = config_in(run_dir, state, changes)
    experiment = config.experiment()
    now = {facts["name"]: facts["sha256"] for facts in experiment.files()}
    then = {facts["name"]: facts["sha256"] for facts in stored["manifest"].get("files", ())}
    if changed := [name for name in now if then.get(name, now[name]) != now[name]]:
        raise DataError(f"{changed[0]}: has changed since the run in {run_dir}: its numbers cannot come out again")
    return config, experiment


def verification(stored: Outcome, new: Outcome) -> Verification:
    """``new`` held against ``stored``."""
    same, changed, agrees = [], [], True
    for a, b in zip(stored.estimates, new.estimates, strict=True):
        if _digits(a) == _digits(b):
            same.append(a.label)
            continue
        error = math.hypot(a.std_error, b.std_error)
        agrees = agrees and abs(a.value - b.value) <= APART * error
        changed.append(f"{a.label}: {a.value!r} in the folder, {b.value!r} now")
    return Verification(tuple(same), tuple(changed), agrees, _elsewhere(stored.manifest, new.manifest))


def _digits(estimate: Estimate) -> list[float | None]:
    """Value, ends and error; None where it is not finite, for which a folder has one sign only."""
    numbers = (estimate.value, *estimate.interval, estimate.std_error)
    return [number if math.isfinite(number) else None for number in numbers]


def _elsewhere(then: Any, now: Any) -> tuple[str, ...]:
    found = []
    for key in ENVIRONMENT:
        if key != "packages":
            pairs = [(key, then.get(key), now.get(key))]
        else:
            old, new = then.get(key) or {}, now.get(key) or {}
            pairs = [(name, old.get(name), new.get(name)) for name in dict.fromkeys([*old, *new])]
        found += [f"{name} {a} in the folder, {b} now" for name, a, b in pairs if a != b]
    return tuple(found)

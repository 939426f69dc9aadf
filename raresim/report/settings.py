"""What differs between the configs of runs: the keys, and the value of each run."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import Any

from raresim.files import yaml_tree
from raresim.report.run import Run

OF_NO_PROBLEM = ("name", "preset", "seed", "execution", "sweep")
"""Sections of a config that no number depends on but through random numbers."""

OF_THE_WAY = ("method", "stop", "audit")
"""Sections that say how a number is found. Their keys are shown, but runs that differ in them have the same problem."""

LONGEST = 48
"""Characters of a description that are shown."""

NO_VALUE = "-"
"""Shown for a key that a run does not have."""


def changed(runs: Sequence[Run]) -> dict[str, list[Any]]:
    """The keys of the configs that are not the same in all ``runs``, each with the value of each run, in their order.

    Options of methods are compared only where all runs have the same method. Paths are reduced to their last part: a
    file is identified by its hash, wherever it lies. Where a run has no config, as from Python, inputs and loss that
    are not the same are told in words.
    """
    if all("resolved.yaml" in run.texts for run in runs):
        return _of_configs(runs) | _of_files(runs)
    return _of_words(runs) | _of_files(runs)


def is_of_the_problem(key: str) -> bool:
    """Whether another value of ``key`` makes another problem, and not another way to its answer."""
    return re.split(r"[.\[]", key, maxsplit=1)[0] not in OF_THE_WAY


def _of_configs(runs: Sequence[Run]) -> dict[str, list[Any]]:
    configs = [{key: _leaf(value) for key, value in yaml_tree.flat("", _settings(run))} for run in runs]
    keys = dict.fromkeys(key for config in configs for key in config)
    if len({config.get("method.kind") for config in configs}) > 1:
        keys = {key: None for key in keys if not key.startswith("method.")}
    values = {key: [config.get(key, NO_VALUE) for config in configs] for key in keys}
    return {key: each for key, each in values.items() if any(value != each[0] for value in each)}


def _of_words(runs: Sequence[Run]) -> dict[str, list[Any]]:
    """Inputs and loss by the first line that tells them apart, where their descriptions differ."""
    found = {}
    for part in ("inputs", "loss"):
        told = [run.description.get(part, ()) for run in runs]
        lines = zip_longest(*told, fillvalue=NO_VALUE)
        if differing := next((line for line in lines if len(set(line)) > 1), None):
            found[part] = [text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..." for text in differing]
    return found


def _settings(run: Run) -> Mapping[str, Any]:
    content = yaml_tree.parse(run.texts["resolved.yaml"], str(run.folder / "resolved.yaml")).data
    return {key: value for key, value in content.items() if key not in OF_NO_PROBLEM}


def _leaf(value: Any) -> Any:
    return re.split(r"[/\\]", value)[-1] if isinstance(value, str) else value


def _of_files(runs: Sequence[Run]) -> dict[str, list[Any]]:
    """The input files of the same name whose content differs, by the first digits of their SHA-256."""
    hashes = [_hashes(run) for run in runs]
    shared = [name for name in hashes[0] if all(name in each for each in hashes)]
    found = {f"sha256 of {name}": [each[name][:8] for each in hashes] for name in shared}
    return {key: each for key, each in found.items() if len(set(each)) > 1}


def _hashes(run: Run) -> dict[str, str]:
    """Name and SHA-256 of each input file."""
    files = run.manifest.get("files")
    given = [entry for entry in files if isinstance(entry, dict)] if isinstance(files, list) else []
    return {str(entry.get("name")): str(entry.get("sha256")) for entry in given}

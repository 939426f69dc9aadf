"""A sweep: a config with several values of some keys, each combination a run."""

from __future__ import annotations

import hashlib
import itertools
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raresim.config import load as configs
from raresim.config.load import Config
from raresim.errors import ConfigError
from raresim.files import yaml_tree

MOST_CELLS = 1000
"""Largest number of runs of one sweep."""

_PART = re.compile(r"""("(?:[^"\\]|\\.)*"|'[^']*'|[\[{]|[\]}]|,|[^,\[\]{}"']+)""")


@dataclass(frozen=True)
class Cell:
    """One run of a sweep.

    Parameters
    ----------
    settings : tuple of str
        What it changes, ``key=value``, as a person reads it.
    assignments : tuple of str
        The same as the config needs it: the method of the config keeps its options.
    config : Config
        The config of the run.
    """

    settings: tuple[str, ...]
    assignments: tuple[str, ...]
    config: Config

    @property
    def name(self) -> str:
        """The name of its folder: the first digits of the digest of its config."""
        return self.config.digest[:12]

    @property
    def short(self) -> str:
        """The settings by the last parts of their keys."""
        return ", ".join(f"{key.rpartition('.')[2]}={value}" for key, _, value in map(_parted, self.settings))

    def __str__(self) -> str:
        return ", ".join(self.settings)


@dataclass(frozen=True, eq=False)
class Sweep:
    """The runs of a sweep, in the order of their values.

    Parameters
    ----------
    name : str
        Name of the experiment.
    values : mapping of str to tuple of str
        The swept keys and their values, as YAML.
    cells : tuple of Cell
        All combinations.
    """

    name: str
    values: Mapping[str, tuple[str, ...]]
    cells: tuple[Cell, ...]


def read(file: Path, assignments: Iterable[str] = (), methods: Sequence[str] = (), seeds: int | None = None) -> Sweep:
    """The sweep of a config file.

    Parameters
    ----------
    file : Path
        The config. Its section ``sweep``, if it has one, maps keys to lists of values.
    assignments : iterable of str
        ``key=a,b,c``: several values of a key, which replace those of the section; ``key=a``: one value for all runs.
        A comma within brackets, braces or quotation marks does not separate values.
    methods : sequence of str
        Kinds of methods to run each combination with. The config's own keeps its options.
    seeds : int, optional
        Runs of each combination, with the config's seed and the following ones.

    Raises
    ------
    ConfigError
        When nothing is swept, two combinations are the same run, there are too many, or a config is wrong.
    """
    swept, fixed = _section(file), []
    for assignment in assignments:
        key, _, value = assignment.partition("=")
        several = _split(value)
        if len(several) > 1:
            swept[key.strip()] = tuple(several)
        else:
            fixed.append(assignment)
            swept.pop(key.strip(), None)
    first = configs.load(file, fixed, sweeping=True)
    content = first.resolved()
    if methods:
        swept["method"] = tuple(methods)
    if seeds is not None:
        swept["seed"] = tuple(str(content["seed"] + k) for k in range(seeds))
    if not swept:
        raise ConfigError(f"{file}: nothing is swept: give several values of a key, such as seed=1,2,3")
    number = 1
    for values in swept.values():
        number *= len(values)
    if number > MOST_CELLS:
        raise ConfigError(f"{file}: the sweep has {number:,} runs, at most {MOST_CELLS:,} are allowed")
    own = {f"method={kind}": f"method={{kind: {kind}}}" for kind in methods}
    own[f"method={content['method']['kind']}"] = f"method={json.dumps(content['method'])}"
    cells = tuple(_cells(file, fixed, swept, own))
    _refuse_twins(file, cells)
    return Sweep(first.checked_name(), swept, cells)


def _parted(setting: str) -> tuple[str, str, str]:
    return setting.partition("=")


def _section(file: Path) -> dict[str, tuple[str, ...]]:
    """The values of the section ``sweep``, as YAML; empty without one."""
    tree, _ = yaml_tree.read(file)
    section = tree.data.get("sweep")
    if section is None:
        return {}
    if not isinstance(section, dict) or not section:
        raise tree.error(("sweep",), "must map keys to lists of values, such as {seed: [1, 2, 3]}")
    for key, values in section.items():
        if not isinstance(values, list) or len(values) < 2:
            raise tree.error(("sweep", key), "must be a list of at least two values")
    return {key: tuple(json.dumps(value, default=str) for value in values) for key, values in section.items()}


def _split(text: str) -> list[str]:
    """The values that commas separate outside brackets, braces and quotation marks."""
    values, depth = [""], 0
    for part in _PART.findall(text):
        depth += (part in "[{") - (part in "]}") if len(part) == 1 else 0
        if part == "," and depth == 0:
            values.append("")
        else:
            values[-1] += part
    return [value.strip() for value in values]


def _cells(
    file: Path, fixed: Sequence[str], swept: Mapping[str, Sequence[str]], own: Mapping[str, str]
) -> Iterator[Cell]:
    """All combinations; ``own`` has the assignments of settings that are not assignments themselves."""
    for values in itertools.product(*swept.values()):
        settings = tuple(f"{key}={value}" for key, value in zip(swept, values, strict=True))
        assignments = tuple(own.get(setting, setting) for setting in settings)
        yield Cell(settings, assignments, configs.load(file, fixed, settings=assignments, sweeping=True))


def _refuse_twins(file: Path, cells: Sequence[Cell]) -> None:
    seen: dict[str, Cell] = {}
    for cell in cells:
        twin = seen.setdefault(cell.config.digest, cell)
        if twin is not cell:
            raise ConfigError(f"{file}: two runs of the sweep are the same: {twin} and {cell}")


def specification(sweep: Sweep) -> dict[str, Any]:
    """What ``sweep.json`` holds of a sweep: its keys, and the folder and the settings of each run."""
    return {
        "schema_version": 1,
        "name": sweep.name,
        "values": {key: list(values) for key, values in sweep.values.items()},
        "runs": [{"folder": cell.name, "settings": list(cell.settings)} for cell in sweep.cells],
    }


def digest(sweep: Sweep) -> str:
    """SHA-256 of the digests of all runs."""
    return hashlib.sha256("".join(cell.config.digest for cell in sweep.cells).encode()).hexdigest()

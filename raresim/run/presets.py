"""Levels, horizon and names for regulatory reports: values that a preset fills into a config, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from raresim.errors import ConfigError
from raresim.files.yaml_tree import Tree

Name = Literal["solvency2", "irb", "frtb-es", "sst", "cat-ep"]

RETURN_PERIODS = (2, 5, 10, 20, 25, 30, 50, 75, 100, 150, 200, 250, 500, 1000, 5000, 10000)
"""Years of an exceedance table, as in catastrophe models."""


@dataclass(frozen=True)
class Preset:
    """The values of one preset.

    Parameters
    ----------
    title : str
        Its title, with the source.
    horizon : str
        Horizon that the loss must have; raresim changes no loss to fit it.
    measures : tuple of mapping
        Measures as in a config, used if the config names none.
    levels : mapping
        From the kind of a measure to its level if the config gives none.
    """

    title: str
    horizon: str
    measures: tuple[Mapping[str, Any], ...]
    levels: Mapping[str, float]


PRESETS: Mapping[Name, Preset] = {
    "solvency2": Preset(
        "Solvency II: 99.5 % value at risk of basic own funds (Directive 2009/138/EC, article 101)",
        "one year",
        ({"kind": "value_at_risk", "level": 0.995}, {"kind": "expected_shortfall", "level": 0.995}),
        {"value_at_risk": 0.995, "expected_shortfall": 0.995, "contributions": 0.995, "scenarios": 0.995},
    ),
    "irb": Preset(
        "Internal ratings: 99.9 % value at risk of credit losses (Basel framework, CRE31)",
        "one year",
        ({"kind": "value_at_risk", "level": 0.999}, {"kind": "expected_shortfall", "level": 0.999}),
        {"value_at_risk": 0.999, "expected_shortfall": 0.999, "contributions": 0.999, "scenarios": 0.999},
    ),
    "frtb-es": Preset(
        "Market risk, internal models: 97.5 % expected shortfall (Basel framework, MAR33)",
        "10 days, before liquidity horizons",
        ({"kind": "expected_shortfall", "level": 0.975}, {"kind": "value_at_risk", "level": [0.975, 0.99]}),
        {"value_at_risk": 0.99, "expected_shortfall": 0.975, "contributions": 0.975, "scenarios": 0.975},
    ),
    "sst": Preset(
        "Swiss Solvency Test: 99 % expected shortfall of the change of risk-bearing capital",
        "one year",
        ({"kind": "expected_shortfall", "level": 0.99}, {"kind": "value_at_risk", "level": 0.99}),
        {"value_at_risk": 0.99, "expected_shortfall": 0.99, "contributions": 0.99, "scenarios": 0.99},
    ),
    "cat-ep": Preset(
        "Catastrophe exceedance: losses at return periods of 2 to 10,000 years",
        "one year, with all its events",
        (
            {"kind": "exceedance", "return_periods": list(RETURN_PERIODS)},
            {"kind": "value_at_risk", "level": [0.99, 0.995, 0.996]},
            {"kind": "expected_shortfall", "level": [0.99, 0.995, 0.996]},
        ),
        {"value_at_risk": 0.995, "expected_shortfall": 0.995, "contributions": 0.995, "scenarios": 0.995},
    ),
}


def fill(tree: Tree) -> list[str]:
    """Fill in the values of the config's ``preset``, and return a line for each value.

    Given measures keep their values; a measure without level and threshold gets the preset's level.

    Raises
    ------
    ConfigError
        When there is no such preset.
    """
    name = tree.data.get("preset")
    if name is None:
        return []
    if name not in PRESETS:
        raise _no_such(tree, name)
    preset = PRESETS[name]
    lines = [f"preset {name}: {preset.title}", f"horizon: {preset.horizon}, a name only: the loss must have it"]
    if "measures" not in tree.data:
        tree.data["measures"] = [dict(measure) for measure in preset.measures]
        tree.places[("measures",)] = f"{tree.place(('preset',))}: preset {name}"
        return [*lines, *(f"measures[{k}]: {_shown(measure)}" for k, measure in enumerate(preset.measures))]
    measures = tree.data["measures"]
    for k, measure in enumerate(measures if isinstance(measures, list) else []):
        level = preset.levels.get(str(measure.get("kind"))) if isinstance(measure, dict) else None
        if level is not None and not {"level", "tail", "above", "below"} & set(measure):
            measure["level"] = level
            tree.places[("measures", k, "level")] = f"{tree.place(('preset',))}: preset {name}"
            lines.append(f"measures[{k}]: level: {level:g}")
    return lines


def _no_such(tree: Tree, name: Any) -> ConfigError:
    return tree.error(("preset",), f"must be one of {', '.join(PRESETS)}, got {name!r}")


def _shown(measure: Mapping[str, Any]) -> str:
    return ", ".join(f"{key}: {value}" for key, value in measure.items())

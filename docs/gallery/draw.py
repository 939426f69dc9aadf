"""Pictures of the gallery: ``python docs/gallery/draw.py [NAME ...]`` runs configs and draws a picture of each.

Runs are whole. Without names it takes the configs that have no picture yet, or that changed since. A picture and a
line of numbers go to ``docs/gallery/pictures``; the site shows them, and makes no run when it is built.
"""

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from ruamel.yaml import YAML

import raresim

ROOT = Path(__file__).parents[2]
PICTURES = Path(__file__).parent / "pictures"
SIZE = (4.6, 3.0)
"""Inches."""


def configs() -> dict[str, Path]:
    """Every config of the repository by its name."""
    return {path.stem: path for path in sorted((ROOT / "configs").rglob("*.yaml"))}


def digest(path: Path) -> str:
    """What tells a config from a changed one; comments do not count."""
    content = json.dumps(YAML(typ="safe").load(path), sort_keys=True, default=str)
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def made(name: str) -> dict[str, Any]:
    """The numbers of the run that the picture of config ``name`` is from; empty where there is none."""
    path = PICTURES / f"{name}.json"
    return dict(json.loads(path.read_text("utf-8"))) if path.exists() else {}


def make(name: str, path: Path) -> None:
    """Run a config and keep a picture and the numbers."""
    result = raresim.load(path).experiment().run()
    figure = Figure(SIZE, layout="constrained")
    what = draw(result, figure.subplots())
    PICTURES.mkdir(exist_ok=True)
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        figure.savefig(PICTURES / f"{name}.svg", metadata={"Date": None})
    numbers = {
        "config": digest(path),
        "picture": what,
        "estimate": result.estimates[0].value,
        "relative_error": result.estimates[0].relative_error,
        "evaluations": result.evaluations["total"],
        "verdict": str(result.verdict.status),
    }
    (PICTURES / f"{name}.json").write_text(json.dumps(numbers, indent=1) + "\n", "utf-8")


def draw(result: raresim.Result, axes: Any) -> str:
    """Draw the exceedance curve if there is one, else the path of the estimate; return what it shows."""
    try:
        result.plot.curve(axes)
        axes.xaxis.set_major_locator(MaxNLocator(5))
    except raresim.FieldError:
        result.plot.convergence(axes)
        return "the estimate and its interval as the run goes on"
    return "the exceedance curve with its intervals"


if __name__ == "__main__":
    found = configs()
    for name in sys.argv[1:] or [name for name, path in found.items() if made(name).get("config") != digest(path)]:
        print(name, flush=True)  # noqa: T201  # progress of a script
        make(name, found[name])

"""A new part is one file: written into a folder of its own, it is in YAML, the schema and the conformance tests."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import raresim

ROOT = Path(raresim.__file__).parent

PARTS = {
    "loss": ("losses/linear.py", "Linear"),
    "marginal": ("marginals/gamma.py", "Gamma"),
    "copula": ("copulas/clayton.py", "Clayton"),
    "method": ("methods/importance.py", "Importance"),
    "measure": ("measures/probability.py", "Probability"),
    "model": ("models/credit.py", "Credit"),
    "proposal_family": ("proposals/gaussian.py", "Gaussian"),
}
"""A member of each family that is written anew, under another kind and another name."""

CONFIG = """\
name: parts
seed: 1
inputs:
  kind: copula
  marginals: [{kind: brand_new, a: 2.0}, {kind: gamma, a: 3.0}]
  copula: {kind: brand_new, theta: 1.5, dim: 2}
loss: {kind: brand_new, weights: [1.0, 1.0]}
measures: [{kind: brand_new, above: 12.0}]
method:
  kind: brand_new
  proposal: {kind: normal, mean: [2.0, 2.0, 2.0], std: 1.0}
stop: {max_evaluations: 2000}
"""

PROBE = """
import importlib, json, sys
from pathlib import Path
folder, config = map(Path, sys.argv[1:])
for package in folder.iterdir():
    importlib.import_module(f"raresim.{package.name}").__path__.append(str(package))
from raresim import registry
from raresim.config import load, schema
from tests.test_registry import EVERY_MEMBER
families = json.loads(sys.stdin.read())
found = {}
for family in families:
    cls = registry.members(family).get("brand_new")
    found[family] = {
        "listed": cls is not None,
        "schema": '"brand_new"' in json.dumps(schema.experiment_model().model_json_schema()),
        "conformance": any(f == family and kind == "brand_new" for f, kind, _ in EVERY_MEMBER),
    }
experiment = load.load(config).experiment()
found["parts"] = sorted({type(p).__name__ for p in (experiment.loss, *experiment.measures, experiment.method)})
json.dump(found, sys.stdout)
"""


def written_anew(folder: Path) -> None:
    """The file of each part with its kind and its class renamed."""
    for path, name in PARTS.values():
        text = (ROOT / path).read_text()
        kind = f'kind: ClassVar[str] = "{Path(path).stem}"'
        assert text.count(kind) == 1
        text = text.replace(kind, 'kind: ClassVar[str] = "brand_new"').replace(f"class {name}(", f"class {name}Anew(")
        new = folder / path.replace(Path(path).stem, "brand_new")
        new.parent.mkdir(exist_ok=True)
        new.write_text(text)


@pytest.mark.slow
def test_a_part_of_each_family_is_one_file(tmp_path):
    folder, config = tmp_path / "package", tmp_path / "parts.yaml"
    folder.mkdir()
    written_anew(folder)
    config.write_text(CONFIG)
    done = subprocess.run(
        [sys.executable, "-c", PROBE, str(folder), str(config)],
        input=json.dumps(list(PARTS)),
        capture_output=True,
        text=True,
        cwd=ROOT.parent,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found.pop("parts") == ["ImportanceAnew", "LinearAnew", "ProbabilityAnew"]
    everywhere = {"listed": True, "schema": True, "conformance": True}
    assert found == dict.fromkeys(PARTS, everywhere)

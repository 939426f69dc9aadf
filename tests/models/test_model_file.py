"""A new model is one file: a worked example, put beside the others and run from YAML; and the README's recipe."""

import re
import shutil
import subprocess
import sys

import pytest
from typer.testing import CliRunner

import raresim
from raresim.config import load as configs
from raresim.shell import cli
from tests.helpers import ROOT

MODEL = '''\
"""A bond that pays nothing where a rate is too high: the smallest model."""

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from raresim.distributions.base import Inputs
from raresim.distributions.normal import Normal
from raresim.losses.base import Loss
from raresim.losses.linear import Linear
from raresim.models.base import Model
from raresim.models.controls import Control
from raresim.registry import member


@member("model")
@dataclass(frozen=True, kw_only=True)
class RateBook(Model):
    """A book of positions in normal rates.

    Parameters
    ----------
    positions : sequence of float
        Loss for each standard deviation of each rate.
    """

    kind: ClassVar[str] = "rate_book"

    positions: list[float]

    @cached_property
    def inputs(self) -> Inputs:
        return Normal(mean=0.0, std=1.0, dim=len(self.positions))

    @cached_property
    def loss(self) -> Loss:
        return Linear(weights=self.positions, factors="losses")

    def controls(self, estimates, preset):
        from scipy.special import ndtr

        std = float(np.linalg.norm(self.positions))
        tails = [float(ndtr(-e.threshold / std)) for e in estimates]
        pairs = zip(estimates, tails, strict=True)
        return tuple(Control("normal tail", e.label, tail, e.value, "nothing", 1e-6) for e, tail in pairs)

    def files(self) -> list:
        return []

    def describe(self) -> list[str]:
        return [f"{len(self.positions)} positions in normal rates"]

    @staticmethod
    def examples() -> list:
        return [RateBook(positions=[1.0, -2.0])]
'''

CONFIG = """\
seed: 1
model: {kind: rate_book, positions: [3.0, 4.0]}
measures: [{kind: probability, above: 20.0}]
stop: {relative_error: 0.05}
"""

PROBE = """
import sys
from raresim import models
models.__path__.append(sys.argv[1])
from raresim.shell.cli import main
from tests.helpers import ROOT
sys.argv = ["raresim", *sys.argv[2:]]
main()
"""


def in_shell(folder, *arguments):
    command = [sys.executable, "-c", PROBE, str(folder / "package"), *arguments]
    return subprocess.run(command, capture_output=True, encoding="utf-8", cwd=ROOT, check=False)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "rate_book.py").write_text(MODEL)
    (tmp_path / "case.yaml").write_text(CONFIG)
    return tmp_path


@pytest.mark.slow
def test_a_model_of_one_file_is_listed_checked_and_run(folder):
    listed = in_shell(folder, "list", "models")
    assert "rate_book" in listed.stdout, listed.stderr
    checked = in_shell(folder, "check", str(folder / "case.yaml"))
    assert "2 positions in normal rates" in checked.stdout, checked.stderr
    done = in_shell(folder, "run", str(folder / "case.yaml"), "--out", str(folder / "out"))
    assert done.returncode == 0, done.stderr
    assert "normal tail" in (folder / "out" / "controls.csv").read_text()


BOTH = """\
seed: 1
inputs: {kind: standard_normal, dim: 2}
model: {kind: credit, tape: tape.csv}
measures: [{kind: probability, above: 2.0}]
"""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (BOTH, ":3:1: model: must be left out where inputs are given: a run takes either inputs and loss, or a model"),
        (BOTH.replace("model", "modle"), "top level: unknown key 'modle'; did you mean 'model'?"),
        (
            "seed: 1\nmeasures: [{kind: probability, above: 2.0}]\n",
            ":1:1: inputs: is required but missing; a run takes",
        ),
        (re.sub(r"inputs: .*\n", "", BOTH), ":2:23: model.tape: no such file: "),
    ],
)
def test_a_run_takes_either_inputs_and_loss_or_a_model(tmp_path, text, message):
    path = tmp_path / "case.yaml"
    path.write_text(text)
    with pytest.raises(raresim.ConfigError) as caught:
        configs.load(path).experiment()
    assert message in str(caught.value)


def recipe():
    """The section of the README, and its blocks by language."""
    section = (ROOT / "README.md").read_text("utf-8").split("## From a tape to a capital number")[1].split("\n## ")[0]
    return dict(re.findall(r"```(\w+)\n(.*?)```", section, re.S))


@pytest.mark.slow
def test_the_recipe_of_the_readme_works(tmp_path, monkeypatch):
    shutil.copy(ROOT / "configs" / "credit" / "tape.csv", tmp_path)
    (tmp_path / "capital.yaml").write_text(recipe()["yaml"])
    monkeypatch.chdir(tmp_path)
    checked = CliRunner().invoke(cli.app, ["check", "capital.yaml"])
    assert "120 obligors of tape.csv" in checked.output
    run = CliRunner().invoke(cli.app, ["run", "capital.yaml", "stop.relative_error=0.1", "--out", "out"])
    assert run.exit_code == 0, run.output
    assert "ASRF with granularity" in run.output
    for name in ("controls", "contributions_by_sector", "contributions_by_rating", "unexpected_loss", "scenarios"):
        assert (tmp_path / "out" / f"{name}.csv").is_file()
    assert "controls" in (tmp_path / "out" / "report.html").read_text().lower()


@pytest.mark.slow
def test_the_recipe_in_python_works(tmp_path, monkeypatch, capsys):
    shutil.copy(ROOT / "configs" / "credit" / "tape.csv", tmp_path)
    monkeypatch.chdir(tmp_path)
    exec(compile(recipe()["python"].replace("0.02", "0.2"), "README.md", "exec"), {})
    assert "trusted" in capsys.readouterr().out

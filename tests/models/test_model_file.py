"""A new model is one file: a worked example, put beside the others and run from YAML; and the recipe for credit."""

import json
import re
import shutil

import pytest
from typer.testing import CliRunner

import raresim
from raresim.config import load as configs
from raresim.shell import cli
from tests.helpers import ROOT, python

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
import json
import sys
from typer.testing import CliRunner
import raresim.report
from raresim import models
from raresim.report.process import Drawing
from raresim.shell import cli
models.__path__.append(sys.argv[1])
raresim.report.build = lambda folder: folder  # no figures: they are most of a short run
Drawing.__enter__ = lambda drawing: drawing
done = [CliRunner().invoke(cli.app, arguments) for arguments in json.loads(sys.argv[2])]
print(json.dumps([(one.exit_code, one.output) for one in done]))
"""


def in_shell(folder, *calls):
    """Exit code and output of each of several calls of the shell, in a process that finds the model."""
    return json.loads(python(PROBE, folder / "package", json.dumps(calls)))


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "rate_book.py").write_text(MODEL)
    (tmp_path / "case.yaml").write_text(CONFIG)
    return tmp_path


@pytest.mark.slow
def test_a_model_of_one_file_is_listed_checked_and_run(folder):
    case, out = str(folder / "case.yaml"), str(folder / "out")
    listed, checked, done = in_shell(folder, ["list", "models"], ["check", case], ["run", case, "--out", out])
    assert "rate_book" in listed[1]
    assert "2 positions in normal rates" in checked[1]
    assert done[0] == 0, done[1]
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
    """The page on credit, its blocks by language."""
    return dict(re.findall(r"```(\w+)\n(.*?)```", (ROOT / "docs" / "recipes" / "credit.md").read_text("utf-8"), re.S))


@pytest.mark.slow
def test_the_recipe_for_credit_works(tmp_path, monkeypatch):
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

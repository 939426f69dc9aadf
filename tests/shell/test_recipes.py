"""Recipes: what ``raresim init`` writes runs at once."""

from __future__ import annotations

import json

import pytest

from raresim.shell import cli, recipes
from tests.helpers import ROOT
from tests.invoking import CliRunner


def invoke(*arguments):
    return CliRunner().invoke(cli.app, list(arguments))


@pytest.mark.parametrize("name", recipes.names())
def test_a_recipe_runs_as_it_is_written(name, tmp_path, monkeypatch, no_figures):
    monkeypatch.chdir(tmp_path)
    done = invoke("init", name)
    assert done.exit_code == 0, done.output
    assert done.output.splitlines()[-1] == f"Run it: raresim run {name}/{name}.yaml"
    assert invoke("check", f"{name}/{name}.yaml").exit_code == 0
    run = invoke("run", f"{name}/{name}.yaml", "stop.relative_error=0.1", "--out", "out")
    assert run.exit_code == 0, run.output
    assert json.loads((tmp_path / "out" / "result.json").read_text())["verdict"]["status"] in ("trusted", "caution")


def test_recipes_are_listed_with_what_they_are_for():
    assert {"costly", "credit", "insurance", "function", "portfolio", "reliability"} <= set(recipes.names())
    listed = " ".join(invoke("init").output.split())
    for name in recipes.names():
        assert name in listed
        assert " ".join(recipes.purpose(name).split()[:4]) in listed


def test_nothing_is_overwritten(tmp_path):
    (tmp_path / "tape.csv").write_text("mine")
    done = invoke("init", "credit", "--out", str(tmp_path))
    assert done.exit_code == 2
    assert "tape.csv: exists; give another folder with --out" in done.output
    assert [path.name for path in tmp_path.iterdir()] == ["tape.csv"]
    assert (tmp_path / "tape.csv").read_text() == "mine"


def test_an_unknown_recipe_is_refused_with_the_known_ones(tmp_path):
    done = invoke("init", "credits", "--out", str(tmp_path / "x"))
    assert done.exit_code == 2
    assert (
        "unknown recipe 'credits'; did you mean 'credit'? (allowed: costly, credit, function, insurance, "
        in done.output
    )
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    ("written", "original"),
    [
        ("costly/beam.py", "programs/beam.py"),
        ("costly/beam.in.template", "programs/beam.in.template"),
        ("credit/tape.csv", "credit/tape.csv"),
        ("insurance/claims.csv", "insurance/claims.csv"),
        ("insurance/years.csv", "insurance/years.csv"),
    ],
)
def test_files_of_recipes_are_those_of_the_configs(written, original):
    folder = ROOT / "raresim" / "shell" / "recipe_files"
    assert (folder / written).read_bytes() == (ROOT / "configs" / original).read_bytes()

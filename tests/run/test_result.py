"""The run folder: whole or not there."""

import csv
import json

import numpy as np
import pytest

from raresim import report
from raresim.errors import ConfigError
from tests.problems import crude, linear_normal, solve


@pytest.fixture(scope="module")
def result(seed):
    return solve(linear_normal(2, 4.0), seed(331), relative_error=0.05)


@pytest.fixture
def no_report(monkeypatch):
    """Folders without figures: the report has tests of its own."""
    monkeypatch.setattr(report, "build", lambda folder: None)


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.usefixtures("no_report")
def test_folder_holds_what_the_run_found(result, tmp_path):
    folder = result.save(tmp_path / "runs" / "one")
    assert json.loads((folder / "result.json").read_text()) == result.to_dict()
    assert json.loads((folder / "manifest.json").read_text())["status"] == "finished"
    assert [float(r["level"]) for r in rows(folder / "iterations.csv")] == [i.level for i in result.iterations]
    assert [int(r["evaluations"]) for r in rows(folder / "convergence.csv")] == [
        c.evaluations for c in result.convergence
    ]
    assert len((folder / "log.jsonl").read_text().splitlines()) == len(result.log)
    with np.load(folder / "arrays.npz") as stored:
        np.testing.assert_array_equal(stored["loss"], result.arrays.loss)


@pytest.mark.usefixtures("no_report")
def test_metrics_are_flat_numbers(result, tmp_path):
    metrics = json.loads((result.save(tmp_path / "run") / "metrics.json").read_text())
    assert all(v is None or isinstance(v, (int, float)) for v in metrics.values())
    assert metrics["probability_0_value"] == result.estimates[0].value
    assert metrics["trusted"] == 1.0


@pytest.mark.usefixtures("no_report")
def test_a_result_without_a_hit_can_be_saved(seed, tmp_path):
    empty = solve(crude(9.0), seed(332), relative_error=None, max_evaluations=1000)
    assert json.loads((empty.save(tmp_path / "run") / "metrics.json").read_text())["probability_0_std_error"] is None


@pytest.mark.usefixtures("no_report")
def test_a_folder_that_holds_something_is_refused_and_an_empty_one_used(result, tmp_path):
    result.save(tmp_path)
    with pytest.raises(ConfigError, match="already holds files; choose another folder or remove it"):
        result.save(tmp_path)


def test_a_report_that_fails_leaves_nothing(result, tmp_path, monkeypatch):
    def fail(folder):
        raise OSError("disk full")

    monkeypatch.setattr(report, "build", fail)
    with pytest.raises(OSError, match="disk full"):
        result.save(tmp_path / "run")
    assert list(tmp_path.iterdir()) == []

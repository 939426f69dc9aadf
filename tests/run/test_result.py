"""The run folder: whole or not there."""

import csv
import dataclasses
import json
import math
import re
from collections.abc import Mapping

import numpy as np
import pytest

import raresim
from raresim import report
from raresim.errors import ConfigError
from raresim.report.run import read as run_of_report
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


# ------------------------------------------------------------------ reading a folder back


def sum_of(x):
    return x.sum(axis=1)


def sum_that_fails(x):
    loss = x.sum(axis=1)
    return np.where((loss > 3.0) & (loss < 3.05), np.nan, loss)


def plane(method="auto", *measures, loss=sum_of):
    """A run on a plane in four dimensions, at 4 standard deviations where nothing else is asked."""
    asked = list(measures) or raresim.Probability(above=8.0)
    inputs = raresim.StandardNormal(dim=4)
    return raresim.estimate(inputs, loss, asked, method, seed=11, relative_error=0.1, max_evaluations=40_000)


TAIL = (raresim.ValueAtRisk(level=0.999), raresim.ExpectedShortfall(level=0.999), raresim.Exceedance(points=30))

SAVED = {
    "plain": lambda: plane("crude", raresim.Probability(above=3.0)),
    "no hit": lambda: plane("crude", raresim.Probability(above=80.0), *TAIL[:2]),
    "levels": lambda: plane("cross_entropy", *TAIL),
    "decisions": lambda: plane("auto"),
    "replicates": lambda: plane("subset_simulation"),
    "failed rows": lambda: plane("auto", loss=raresim.PythonLoss(function=sum_that_fails, on_failure="bound")),
    "fitted": lambda: raresim.estimate(
        raresim.FittedInputs(fit=0.01 * np.random.Generator(np.random.Philox(7)).standard_t(5, (400, 2))),
        raresim.Linear(weights=[-0.5, -0.5]),
        raresim.Probability(above=0.05),
        seed=3,
        relative_error=0.2,
        max_evaluations=20_000,
    ),
}


FREE = re.compile(r"diagnostics|checks|search|stopping|log\[")
"""Places of numbers whose type does not say what null stands for."""


def differences(a, b, where=""):
    """Places where two records differ; None stands for any number of a free table that is not finite."""
    if dataclasses.is_dataclass(a) and type(a) is type(b):
        for f in dataclasses.fields(a):
            yield from differences(getattr(a, f.name), getattr(b, f.name), f"{where}.{f.name}")
    elif isinstance(a, np.ndarray):
        yield from differences(a.tolist(), b.tolist(), where)
    elif isinstance(a, Mapping):
        if list(a) != list(b):
            yield where
        for key in a:
            yield from differences(a[key], b[key], f"{where}[{key}]")
    elif isinstance(a, (list, tuple)):
        if len(a) != len(b):
            yield where
        for k, (x, y) in enumerate(zip(a, b, strict=False)):
            yield from differences(x, y, f"{where}[{k}]")
    elif isinstance(a, float) and not math.isfinite(a) and b is None and FREE.search(where):
        return
    elif a != b and not (math.isnan(a) and math.isnan(b)):
        yield where


@pytest.mark.usefixtures("no_report")
@pytest.mark.parametrize("name", SAVED)
@pytest.mark.slow_cases("fitted")
def test_a_folder_gives_back_the_result_that_was_saved(name, tmp_path):
    saved = SAVED[name]()
    back = raresim.read_run(saved.save(tmp_path / "run"))
    assert back == saved
    assert list(differences(saved, back)) == []
    assert back.files("finished") == {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()}


@pytest.mark.usefixtures("no_report")
def test_results_that_differ_in_one_number_are_not_equal(result, tmp_path):
    first = result.estimates[0]
    assert result != dataclasses.replace(result, estimates=(dataclasses.replace(first, value=first.value + 1e-20),))
    assert result != "a result"


@pytest.mark.usefixtures("no_report")
def test_what_is_infinite_without_a_hit_is_so_again(tmp_path):
    back = raresim.read_run(SAVED["no hit"]().save(tmp_path / "run")).estimates[0]
    assert (back.value, back.log_value, back.std_error) == (0.0, -math.inf, math.inf)
    assert back.information.event_nats == math.inf


@pytest.mark.usefixtures("no_report")
def test_a_broken_line_of_the_log_is_named_and_no_matter_of_the_report(tmp_path):
    folder = SAVED["no hit"]().save(tmp_path / "run")
    (folder / "log.jsonl").write_text('{"event": "estimate"}\n[1]\n')
    with pytest.raises(ConfigError, match=r"log.jsonl:2: "):
        raresim.read_run(folder)
    assert run_of_report(folder).log == ()


def test_a_folder_that_is_no_run_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"none: no such run folder"):
        raresim.read_run(tmp_path / "none")


@pytest.mark.usefixtures("no_report")
def test_a_broken_archive_of_failed_rows_is_named(tmp_path):
    folder = SAVED["failed rows"]().save(tmp_path / "run")
    np.savez(folder / "failed_rows.npz", x=np.zeros((1, 4)))
    with pytest.raises(ConfigError, match=r"failed_rows.npz: does not hold the failed rows of a run"):
        raresim.read_run(folder)

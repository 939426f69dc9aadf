"""Sweeps: which runs they are, that none is run twice, and what they leave."""

import csv
import json
import shutil

import pytest

from raresim.config import load as configs
from raresim.config import sweeps
from raresim.config.keys import json_schema
from raresim.errors import ConfigError
from raresim.report.run import read
from raresim.shell import cli
from tests.invoking import CliRunner

pytestmark = pytest.mark.usefixtures("no_figures")

CONFIG = """\
name: case
seed: 5
inputs: {kind: normal, mean: [0, 0], std: 1}
loss: {kind: python, function: "losses.py:first"}
measures: [{kind: probability, above: 2.0, reference: {value: 0.0227501, source: normal tail}}]
method: {kind: crude}
stop: {relative_error: null, max_evaluations: 3000}
execution: {executor: serial}
"""

LOSSES = """\
from pathlib import Path


def first(x):
    with Path(__file__).with_name("calls").open("a") as file:
        file.write("call\\n")
    return x[:, 0]


def broken(x):
    raise ValueError("no")
"""


@pytest.fixture
def config(tmp_path):
    (tmp_path / "losses.py").write_text(LOSSES)
    path = tmp_path / "case.yaml"
    path.write_text(CONFIG)
    return path


def call(*arguments):
    result = CliRunner().invoke(cli.app, [str(a) for a in arguments], env={"COLUMNS": "80"})
    return result.exit_code, result.stdout, result.stderr


def calls(config):
    path = config.with_name("calls")
    return len(path.read_text().splitlines()) if path.exists() else 0


# ------------------------------------------------------------------ which runs


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("1,2,3", ["1", "2", "3"]),
        ("1", ["1"]),
        ("[1,2],[3,4]", ["[1,2]", "[3,4]"]),
        ("{kind: a, b: [1, 2]}, {kind: c}", ["{kind: a, b: [1, 2]}", "{kind: c}"]),
        ('"a,b",c', ['"a,b"', "c"]),
        ("'a,b', 'c'", ["'a,b'", "'c'"]),
        ("5 sigma,4 sigma", ["5 sigma", "4 sigma"]),
        ("1,,2", ["1", "", "2"]),
    ],
)
def test_commas_separate_values_outside_brackets_and_quotes(text, values):
    assert sweeps._split(text) == values


def test_every_combination_is_a_run_with_a_folder_of_its_own(config):
    sweep = sweeps.read(config, ["measures[0].above=2,3", "inputs.std=1,2", "stop.max_evaluations=1000"], seeds=2)
    assert [cell.short for cell in sweep.cells[:3]] == [
        "above=2, std=1, seed=5",
        "above=2, std=1, seed=6",
        "above=2, std=2, seed=5",
    ]
    assert len(sweep.cells) == len({cell.name for cell in sweep.cells}) == 8
    resolved = sweep.cells[-1].config.resolved()
    assert (resolved["measures"][0]["above"], resolved["inputs"]["std"], resolved["seed"]) == (3, 2, 6)
    assert resolved["stop"]["max_evaluations"] == 1000


def test_the_method_of_the_config_keeps_its_options(config):
    config.write_text(CONFIG.replace("{kind: crude}", "{kind: auto, draws: sobol}"))
    sweep = sweeps.read(config, methods=["crude", "auto", "line_sampling"])
    assert [cell.short for cell in sweep.cells] == ["method=crude", "method=auto", "method=line_sampling"]
    assert [cell.config.resolved()["method"].get("draws") for cell in sweep.cells] == [None, "sobol", "independent"]


def test_the_section_of_a_config_is_the_same_as_arguments(config):
    by_arguments = sweeps.read(config, ["inputs.std=1,2"])
    config.write_text(CONFIG + "sweep: {inputs.std: [1, 2]}\n")
    by_section = sweeps.read(config)
    assert [c.config.digest for c in by_section.cells] == [c.config.digest for c in by_arguments.cells]
    assert sweeps.read(config, ["inputs.std=3", "seed=1,2"]).values == {"seed": ("1", "2")}
    code, out, _ = call("check", config)
    assert (code, "sweep: 2 runs of inputs.std" in out) == (0, True)
    code, _, err = call("run", config)
    assert code == 2
    assert f"{config}:9:1: sweep: is several runs; use raresim sweep" in err
    assert "sweep" in json_schema()["properties"]


@pytest.mark.parametrize(
    ("section", "arguments", "message"),
    [
        ("", [], "nothing is swept"),
        ("", ["seed=1"], "nothing is swept"),
        ("", ["seed=1,1"], "two runs of the sweep are the same: seed=1 and seed=1"),
        ("", [f"seed={','.join(map(str, range(1001)))}"], "1,001 runs, at most 1,000"),
        ("", ["inputs.stdd=1,2"], "did you mean 'std'"),
        ("", ["execution.workers=1,2"], "two runs of the sweep are the same"),
        ("sweep: 3\n", [], ":9:1: sweep: must map keys to lists"),
        ("sweep: {seed: 3}\n", [], "sweep.seed: must be a list of at least two values"),
        ("sweep: {seed: [3]}\n", [], "sweep.seed: must be a list of at least two values"),
    ],
)
def test_what_is_no_sweep_is_said(config, section, arguments, message):
    config.write_text(CONFIG + section)
    with pytest.raises(ConfigError) as caught:
        sweeps.read(config, arguments)
    assert message in str(caught.value)


def test_run_never_splits_commas(config):
    with pytest.raises(ConfigError, match=r"inputs\.std"):
        configs.load(config, ["inputs.std=1,2"])


# ------------------------------------------------------------------ running


def test_runs_are_compared_and_drawn(config, tmp_path):
    out = tmp_path / "out"
    code, stdout, stderr = call("sweep", config, "inputs.std=1,2", "--seeds", 2, "--out", out)
    assert code == 0, stderr
    assert "run 4 of 4, inputs.std=2, seed=6: is done" in stderr
    assert "difference: from std=1, seed=5" in stdout
    assert f"Runs, compare.csv and sweep.png: {out}" in stdout.replace("\n", "")
    spec = json.loads((out / "sweep.json").read_text())
    assert spec["values"] == {"inputs.std": ["1", "2"], "seed": ["5", "6"]}
    with (out / "compare.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [(row["inputs.std"], row["seed"]) for row in rows] == [
        ("1.0", "5"),
        ("1.0", "6"),
        ("2.0", "5"),
        ("2.0", "6"),
    ]
    for row, run in zip(rows, spec["runs"], strict=True):
        assert float(row["value"]) == read(out / run["folder"]).estimates[0].value
    assert (out / "sweep.png").read_bytes().startswith(b"\x89PNG")


def test_nothing_is_run_twice(config, tmp_path):
    out = tmp_path / "out"
    arguments = ("sweep", config, "inputs.std=1,2", "--out", out, "-q")
    assert call(*arguments)[0] == 0
    made = calls(config)
    code, _, stderr = call(*arguments)
    assert code == 2
    assert "already holds this sweep; --resume goes on with it" in stderr
    first, second = (out / run["folder"] for run in json.loads((out / "sweep.json").read_text())["runs"])
    shutil.rmtree(second)
    kept = (first / "manifest.json").read_bytes()
    code, stdout, _ = call(*arguments, "--resume")
    assert code == 0
    assert calls(config) - made == made / 2
    assert (first / "manifest.json").read_bytes() == kept
    assert "difference" in stdout
    code, _, stderr = call("sweep", config, "inputs.std=1,3", "--out", out, "--resume", "-q")
    assert code == 2
    assert "already holds another sweep" in stderr


def test_a_run_that_fails_does_not_end_the_others(config, tmp_path):
    out = tmp_path / "out"
    code, stdout, _ = call("sweep", config, 'loss.function="losses.py:first","losses.py:broken"', "--out", out, "-q")
    assert code == 3
    assert "did not run" in stdout
    assert len((out / "compare.csv").read_text().splitlines()) == 2
    code, _, stderr = call(
        "sweep", config, "loss.function=losses.py:broken", "seed=1,2", "--out", tmp_path / "no", "-q"
    )
    assert code == 3
    assert stderr.count("ValueError: no") == 2


@pytest.mark.slow
def test_jobs_give_the_same_numbers(config, tmp_path):
    tables = []
    for jobs in (1, 2):
        out = tmp_path / f"out{jobs}"
        assert call("sweep", config, "inputs.std=1,2", "--jobs", jobs, "--out", out, "-q")[0] == 0
        with (out / "compare.csv").open(encoding="utf-8") as file:
            tables.append([row["value"] for row in csv.DictReader(file)])
    assert tables[0] == tables[1]


def test_a_run_of_a_sweep_can_be_extended(config, tmp_path):
    config.write_text(CONFIG + "sweep: {inputs.std: [1, 2]}\n")
    out = tmp_path / "out"
    assert call("sweep", config, "--out", out, "-q")[0] == 0
    second = out / json.loads((out / "sweep.json").read_text())["runs"][1]["folder"]
    code, _, stderr = call("extend", second, "--budget", 1000, "--out", tmp_path / "longer", "-q")
    assert code == 0, stderr
    longer = read(tmp_path / "longer")
    assert longer.evaluations["total"] == 4000
    assert "std: 2" in longer.texts["resolved.yaml"]

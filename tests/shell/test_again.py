"""A finished run again: the same bits, or what differs."""

import json
import math

import pytest

from raresim.errors import ExitCode
from raresim.run.result import read_run
from tests.shell.test_sweep import LOSSES, call, config  # noqa: F401  # a fixture

pytestmark = pytest.mark.usefixtures("no_figures")


@pytest.fixture
def finished(config, tmp_path):  # noqa: F811
    assert call("run", config, "stop.max_evaluations=2000", "--out", tmp_path / "run", "-q")[0] == 0
    return tmp_path / "run"


def change(folder, **changes):
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def shift(folder, errors):
    """Move the stored number by so many standard errors."""
    path = folder / "result.json"
    stored = json.loads(path.read_text())
    stored["estimates"][0]["value"] += errors * stored["estimates"][0]["std_error"]
    path.write_text(json.dumps(stored))


def test_the_same_bits(finished):
    before = {path.name: path.read_bytes() for path in finished.iterdir() if path.is_file()}
    code, stdout, stderr = call("verify", finished, "--workers", 1, "-q")
    assert code == 0, stderr
    assert "the same bits in all 1 numbers" in stdout.replace("\n", " ")
    assert {path.name: path.read_bytes() for path in finished.iterdir() if path.is_file()} == before
    assert [path.name for path in finished.parent.glob("run*")] == ["run"]


@pytest.mark.parametrize(
    ("errors", "manifest", "code", "said"),
    [
        (0.5, {}, ExitCode.DIFFERENT, "different"),
        (0.5, {"python": "3.99.0"}, ExitCode.WITHIN_ERROR, "python 3.99.0 in the folder, 3."),
        (0.5, {"packages": {"numpy": "9.9"}}, ExitCode.WITHIN_ERROR, "numpy 9.9 in the folder, "),
        (50.0, {"python": "3.99.0"}, ExitCode.DIFFERENT, "different"),
        (0.0, {"python": "3.99.0"}, ExitCode.OK, "the same bits"),
    ],
)
def test_what_differs_is_said(finished, errors, manifest, code, said):
    shift(finished, errors)
    change(finished, **manifest)
    found, stdout, _ = call("verify", finished, "-q")
    assert found == code
    assert said in stdout


def test_a_number_without_an_error_is_the_same(config, tmp_path):  # noqa: F811
    """A value at risk beyond all draws has neither an error nor an upper end."""
    rare = ("measures=[{kind: value_at_risk, level: 0.99999999}]", "stop.max_evaluations=30000")
    assert call("run", config, *rare, "--out", tmp_path / "run", "-q")[0] in (20, 21)
    assert not math.isfinite(read_run(tmp_path / "run").estimates[0].interval[1])
    code, stdout, _ = call("verify", tmp_path / "run", "-q")
    assert (code, "the same bits in all 1 numbers" in stdout.replace("\n", " ")) == (0, True)


def test_a_rerun_is_a_run_of_its_own(finished, tmp_path):
    code, stdout, stderr = call("rerun", finished, "--out", tmp_path / "more", "-q")
    assert code == 0, stderr
    assert f"Report: {tmp_path / 'more' / 'report.html'}" in stdout
    one, two = read_run(finished), read_run(tmp_path / "more")
    assert one.estimates == two.estimates
    assert one.texts == two.texts
    assert call("rerun", finished, "-q")[0] == 0
    assert len(list(tmp_path.glob("*-*/manifest.json"))) == 1


def test_what_cannot_be_run_again_is_said(finished, tmp_path):
    losses = tmp_path / "losses.py"
    losses.write_text(losses.read_text() + "\n# changed\n")
    code, _, stderr = call("verify", finished, "-q")
    assert code == 3
    assert "losses.py: has changed since the run in" in stderr
    losses.write_text(LOSSES)
    assert call("extend", finished, "--budget", 100, "--out", tmp_path / "longer", "-q")[0] == 0
    code, _, stderr = call("verify", tmp_path / "longer", "-q")
    assert code == 2
    assert "is an extension" in stderr
    (finished / "checkpoint").unlink()
    code, _, stderr = call("rerun", finished, "-q")
    assert code == 2
    assert "is missing: a run from Python" in stderr
    code, _, stderr = call("verify", tmp_path, "-q")
    assert code == 2


def test_a_run_for_some_seconds_is_repeated_to_its_last_evaluation(config, tmp_path):  # noqa: F811
    out = tmp_path / "timed"
    timed = ("stop.seconds=0.5", "stop.max_evaluations=1e9")
    code, _, stderr = call("run", config, *timed, "--out", out, "-q")
    assert code in (0, 20), stderr  # a busy machine makes too few draws for a verdict
    assert read_run(out).stopping["seconds"] == 0.5
    code, stdout, stderr = call("verify", out, "-q")
    assert code == 0, stdout + stderr

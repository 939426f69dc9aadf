"""Evaluations of a costly loss are not lost and not made twice: after a kill, an extension or a new threshold."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from typer.testing import CliRunner

from raresim import DataError, FieldError, Normal, Probability, PythonLoss, Surrogate, estimate, read_run
from raresim.engine.journal import SLOW, Journal
from raresim.methods.surrogate_design import first_size
from raresim.shell import cli

LOSS = """import pathlib
HERE = pathlib.Path(__file__).parent
def counted(x):
    with (HERE / "rows.log").open("a") as log:
        log.writelines(row.tobytes().hex() + "\\n" for row in x)
    if (HERE / "stop").exists() and len((HERE / "rows.log").read_text().split()) > 30:
        raise KeyboardInterrupt
    return x.sum(axis=1) / 2.0**0.5 + 0.02 * x[:, 0] ** 2
"""

CONFIG = """seed: 1
inputs: {kind: standard_normal, dim: 2}
loss: {kind: python, function: losses.py:counted, smooth: true}
measures: [{kind: probability, above: 3.0}]
method: {kind: surrogate}
stop: {relative_error: null, max_evaluations: 100}
"""

AGAIN = 8
"""Rows that the beginning of a run evaluates twice, to see whether the loss has noise."""

DRAWN_AGAIN = 5
"""Points that the correction may draw twice from its pool, as draws with replacement may be."""


def call(*arguments):
    result = CliRunner().invoke(cli.app, [str(a) for a in (*arguments, "-q")])
    return result.exit_code, result.output


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "losses.py").write_text(LOSS)
    (tmp_path / "costly.yaml").write_text(CONFIG)
    return tmp_path


def rows(folder):
    return (folder / "rows.log").read_text().split()


def twice(folder):
    """How many of the rows were evaluated again."""
    return sum(n - 1 for n in Counter(rows(folder)).values())


@pytest.mark.slow
@pytest.mark.usefixtures("no_figures")
def test_a_run_that_was_stopped_evaluates_only_what_is_left(folder):
    (folder / "stop").touch()
    assert call("run", folder / "costly.yaml", "--out", folder / "out")[0] == 130
    before = len(rows(folder))
    (folder / "stop").unlink()
    assert call("run", folder / "costly.yaml", "--out", folder / "out", "--resume")[0] == 0
    stopped = read_run(folder / "out")
    assert twice(folder) <= AGAIN + DRAWN_AGAIN + 8  # and the rows of the call in which it was stopped
    assert 0 <= stopped.evaluations["total"] - len(set(rows(folder))) <= DRAWN_AGAIN
    assert before > 30


@pytest.mark.slow
@pytest.mark.usefixtures("no_figures")
def test_an_extension_and_another_threshold_use_every_row(folder):
    assert call("run", folder / "costly.yaml", "--out", folder / "first")[0] == 0
    first = read_run(folder / "first")
    assert call("extend", folder / "first", "--budget", 40, "--out", folder / "longer")[0] == 0
    longer = read_run(folder / "longer")
    assert longer.evaluations["total"] >= first.evaluations["total"] + 32
    made = set(rows(folder))
    assert 0 <= longer.evaluations["total"] - len(made) <= DRAWN_AGAIN

    changes = ("measures[0].above=4.0", f"method={{kind: surrogate, evaluations: {folder / 'longer'}}}", "seed=2")
    assert call("run", folder / "costly.yaml", *changes, "--out", folder / "farther")[0] == 0
    farther = read_run(folder / "farther")
    assert twice(folder) <= 2 * (AGAIN + DRAWN_AGAIN)
    new = len(set(rows(folder))) - len(made)
    assert 0 <= farther.evaluations["total"] - new <= DRAWN_AGAIN
    assert farther.evaluations["tune"] <= first.evaluations["tune"] - first_size(2)  # the first design is there
    table = farther.exhibit("evaluations")
    assert len(table.rows) == longer.evaluations["total"] + farther.evaluations["total"]
    x = np.array([row[3:] for row in table.rows])
    np.testing.assert_array_equal(x[:, -1], x[:, :2].sum(axis=1) / 2.0**0.5 + 0.02 * x[:, 0] ** 2)
    assert (folder / "farther" / "evaluations.csv").read_text().startswith("stage,u1,u2,x1,x2,loss\n")


def plane(x):
    return x.sum(axis=1)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    out = tmp_path_factory.mktemp("earlier") / "run"
    solve(Normal(mean=1.0, std=2.0, dim=2), plane).save(out)
    return out


def solve(inputs, loss, folder=None):
    costly = PythonLoss(function=loss, smooth=True)
    method = Surrogate(evaluations=folder)
    return estimate(inputs, costly, Probability(above=14.0), method, seed=1, max_evaluations=100, relative_error=0.1)


def other(x):
    return x.sum(axis=1)


def test_rows_of_another_problem_are_refused(saved, tmp_path):
    with pytest.raises(DataError, match=r"row 2: belongs to other inputs: factor 1 is 1 there, and 2 for the inputs"):
        solve(Normal(mean=2.0, std=2.0, dim=2), plane, saved)
    with pytest.raises(DataError, match=r"had another loss: .*plane.*; here .*other"):
        solve(Normal(mean=1.0, std=2.0, dim=2), other, saved)
    with pytest.raises(FieldError, match="evaluations: must be the folder of a run with method surrogate: no file"):
        solve(Normal(mean=1.0, std=2.0, dim=2), plane, tmp_path)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("design,0.0,", "plan,0.0,", "row 2, column stage: must be one of search, design, learning, correction, got"),
        ("design,0.0,", "design,nan,", "row 2, column u1: must be a finite number, got 'nan'"),
        ("stage,u1,u2,x1,x2,loss", "stage,u1,u2,x1,x2,cost", "must have the columns stage, u1, u2, x1, x2, loss, got"),
    ],
)
def test_a_damaged_table_is_refused(old, new, message, saved, tmp_path):
    for name in ("result.json", "manifest.json"):
        (tmp_path / name).write_text((saved / name).read_text())
    (tmp_path / "evaluations.csv").write_text((saved / "evaluations.csv").read_text().replace(old, new))
    with pytest.raises(DataError, match=message):
        solve(Normal(mean=1.0, std=2.0, dim=2), plane, tmp_path)


def test_a_slow_row_is_saved_at_once_and_a_quick_one_is_not():
    journal, saved = Journal(), []
    journal.save = lambda: saved.append(1)
    journal.hurry(0.9 * SLOW, 1)
    assert saved == []
    journal.hurry(8.5 * SLOW, 8)
    assert saved == [1]
    worker = journal.part([])
    worker.hurry(2.0 * SLOW, 1)
    journal.take(worker)
    assert saved == [1, 1]


def test_the_first_probability_is_exact_to_its_error(saved):
    number = read_run(saved).estimates[0]
    assert number.value == pytest.approx(stats.norm.sf(12.0 / np.sqrt(8.0)), rel=0.2)
    assert Path(saved, "evaluations.csv").exists()

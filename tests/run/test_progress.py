"""The progress of a run in Python: a bar, a function that is told, or nothing; never another digit."""

import json
import sys
from types import SimpleNamespace

import pytest

import raresim
from raresim.errors import FieldError
from raresim.run.progress import reporting
from tests.problems import linear_normal

CASE = linear_normal(2, 3.0)


def solve(**options):
    return raresim.estimate(
        CASE.inputs, CASE.loss, CASE.measure, "cross_entropy", seed=3, relative_error=0.02, **options
    )


def digits(found):
    return json.dumps({key: value for key, value in found.to_dict().items() if key != "seconds"})


def test_a_function_is_told_every_stage_and_changes_no_digit():
    told = []
    assert digits(solve(progress=told.append)) == digits(solve()) == digits(solve(progress=False))
    stages = [*dict.fromkeys(step.stage for step in told)]
    assert [stage for stage in stages if stage in ("tune", "estimate", "audit")] == ["tune", "estimate", "audit"]
    rows = [step for step in told if step.stage == "estimate"]
    assert (rows[0].done, rows[0].share) == (0, 0.0)
    assert (rows[-1].done, rows[-1].share) == (rows[-1].total, 1.0)
    assert "relative error" in rows[-1].text
    assert [step.seconds for step in told] == sorted(step.seconds for step in told)
    assert raresim.StageProgress("audit", 3, 0, "", 1.0).share is None


def test_a_bar_shows_each_stage(capsys):
    solve(progress=True)
    shown = capsys.readouterr()
    assert all(stage in shown.err for stage in ("tune", "estimate", "audit"))
    assert shown.out == ""


def test_an_exception_of_the_function_ends_the_run():
    def stop(step):
        if step.stage == "estimate":
            raise InterruptedError("enough")

    with pytest.raises(InterruptedError, match="enough"):
        solve(progress=stop)


@pytest.mark.parametrize("wrong", [3, "bar", raresim.StageProgress])
def test_anything_else_is_refused(wrong):
    with pytest.raises(FieldError, match="progress: must be True, False or a function of a StageProgress, got"):
        solve(progress=wrong)


def test_a_notebook_shows_bars_without_widgets(monkeypatch):
    """IPython itself is asked for nothing but `display` and `HTML`; a warning of rich would be an error here."""
    pictures = []
    handle = SimpleNamespace(update=pictures.append)
    module = SimpleNamespace(HTML=str, display=lambda first, display_id: pictures.append(first) or handle)
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(display=module))
    monkeypatch.setitem(sys.modules, "IPython.display", module)
    monkeypatch.setattr("rich.console._is_jupyter", lambda: True)
    with reporting(True) as report:
        report("explore", 10, 0, "")
        report("estimate", 500, 2000, "error 3 %, <asked> 1 %")
    assert pictures[0] == ""
    assert '<td>estimate</td><td><progress value="500" max="2000"></progress></td><td>500 of 2,000</td>' in pictures[-1]
    assert "<td>explore</td><td></td><td>10</td>" in pictures[-1]
    assert "&lt;asked&gt;" in pictures[-1]
    assert len(pictures) == 2  # not one for each report

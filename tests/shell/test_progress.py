"""Progress: something moves at once, one bar for the run, and a time that is left against the prediction."""

from __future__ import annotations

import io
import re
import time
from pathlib import Path

import pytest
from rich.console import Console

from raresim import CrossEntropy, Crude, Linear, Probability, StandardNormal, Stop, ValueAtRisk
from raresim.measures.base import Measure
from raresim.run.experiment import Experiment
from raresim.shell import progress
from raresim.shell.progress import Course, Forecast, forecast
from tests.shell.test_cli import call, crude

SLOW = """
import time
def slow(x):
    time.sleep(0.02 * len(x))
    return x[:, 0]
"""


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    seconds = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: seconds[0])
    return seconds


def said(clock: list[float], expected: Forecast, *reports: tuple[float, str, int, int]) -> list[str]:
    """What is said after each of ``reports``, the first number of each being the time."""
    course, texts = Course(), []
    course.expected = expected
    for at, *report in reports:
        clock[0] = at
        course.hear(*report)
        texts.append(course.text())
    return texts


def test_18_17_a_slow_loss_is_heard_of_within_a_second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A block takes two seconds: before it is done there is a line, and it counts the seconds."""
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.3)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "losses.py").write_text(SLOW)
    path = crude(tmp_path, loss="{kind: python, function: losses.py:slow}", n=100)
    _, _, stderr = call("run", path, "execution.executor=serial", "--out", tmp_path / "out")
    assert re.fullmatch(r"(starting|estimate): 0%, \d+ s", stderr.splitlines()[0])
    assert len([line for line in stderr.splitlines() if line.startswith("estimate")]) >= 2


def test_the_bar_goes_from_search_to_audit_and_never_back(clock: list[float]) -> None:
    """A search of 1,000 rows in two steps, an estimate of 4,000 in two looks, and an audit of a fifth of both."""
    steps = [
        (0, "explore", 0, 500),
        (5, "explore", 500, 500),
        (5, "tune", 0, 500),
        (10, "tune", 500, 500),
        (10, "estimate", 0, 2000),
        (20, "estimate", 2000, 2000),
        (20, "estimate", 2000, 4000),
        (30, "estimate", 4000, 4000),
        (30, "audit", 0, 1000),
        (35, "audit", 1000, 1000),
    ]
    texts = said(clock, Forecast(1000, 4000, 0.2), *steps)
    shares = [int(text.partition("%")[0]) for text in texts]
    assert shares == sorted(shares)
    assert shares == [0, 8, 8, 17, 28, 83, 83, 83, 83, 99]


def test_18_17_what_is_left_of_the_search_is_held_against_the_prediction(clock: list[float]) -> None:
    texts = said(
        clock, Forecast(1000), (0, "tune", 0, 400), (4, "tune", 400, 400), (6, "tune", 0, 600), (8, "tune", 200, 600)
    )
    assert texts == ["0%, 0 s", "20%, 100 rows/s, 6 s left to search", "20%, 67 rows/s, 9 s left to search",
                     "30%, 75 rows/s, 6 s left to search"]  # fmt: skip
    course = Course()
    course.hear("tune", 0, 2000)
    clock[0] += 10.0
    course.hear("tune", 2000, 2000)
    assert "left" not in course.text()  # nothing was predicted


def test_18_17_the_estimate_says_what_is_left_until_it_ends(clock: list[float]) -> None:
    texts = said(clock, Forecast(), (0, "estimate", 0, 1000), (5, "estimate", 250, 1000), (20, "estimate", 1000, 1000))
    assert texts == ["0%, 0 s", "25%, 50 rows/s, 15 s left", "99%, 50 rows/s, 20 s"]


def test_nothing_is_left_of_a_search_that_took_no_rows(clock: list[float]) -> None:
    """Subset simulation begins with its estimate, whatever was predicted for its search; an audit follows."""
    steps = [(0, "estimate", 0, 100), (10, "estimate", 100, 100), (10, "audit", 0, 50), (12, "audit", 25, 50)]
    assert said(clock, Forecast(20_000), *steps)[-1] == "99%, 12 rows/s, 12 s"


def test_18_17_what_is_left_runs_down_while_nothing_is_told(clock: list[float]) -> None:
    course = Course()
    course.hear("estimate", 0, 1000)
    clock[0] = 5.0
    course.hear("estimate", 250, 1000)
    clock[0] = 9.0
    assert course.text() == "25%, 50 rows/s, 11 s left"
    clock[0] = 90.0
    assert course.text() == "25%, 50 rows/s, 1 s left"


def test_rows_of_an_unfinished_run_do_not_make_the_rate(clock: list[float]) -> None:
    """900 rows were done before: 100 more took ten seconds."""
    texts = said(clock, Forecast(), (0, "estimate", 900, 2000), (10, "estimate", 1000, 2000))
    assert texts[-1] == "50%, 10 rows/s, 1 min 40 s left"


def test_the_forecast_is_that_of_check() -> None:
    given = {"inputs": StandardNormal(dim=2), "loss": Linear(weights="equal"), "seed": 1}
    rare = Experiment(**given, measures=[ValueAtRisk(level=0.999)], method=CrossEntropy(starts=1))
    expected = forecast(rare)
    assert expected.search > rare.method.cost(2, 2) > 0
    assert (expected.estimate, expected.audit) == (None, 0.3)
    stop = Stop(relative_error=None, max_evaluations=5000)
    plain = Experiment(**given, measures=[Probability(above=1.0)], method=Crude(), stop=stop)
    assert forecast(plain) == Forecast(0, 5000, 0.0)


def test_18_17_there_is_one_bar_before_anything_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """At 80 columns, with the words of a long note cut."""
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=80)
    monkeypatch.setattr(progress, "Console", lambda **_: console)
    with progress.progress(quiet=False) as report:
        before = screen.getvalue()
        report("explore", 0, 10_000, "")
        report("estimate", 1_000_000, 2_400_000, "relative error 0.39%, asked 1.00%" + ", and more" * 9)
        for _ in range(100):
            if "relative error" in screen.getvalue():
                break
            time.sleep(0.05)
    assert "starting" in before
    lines = [re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", line) for line in re.split(r"[\r\n]+", screen.getvalue())]
    assert max(map(len, lines)) <= 80
    assert all(line.startswith(("starting", "explore", "estimate")) for line in lines if line)
    assert [line for line in lines if line.startswith("estimate") and "relative error 0.39%" in line]
    assert screen.getvalue().count("\n") == 1  # the end of the only line


@pytest.mark.parametrize(("measure", "asked"), [(ValueAtRisk(level=0.999), 0.01), (Probability(above=3.0), 0.05)])
def test_18_17_the_last_words_of_the_estimate_agree_with_the_result(measure: Measure, asked: float) -> None:
    """For a quantile it is the quantile's own error, not the many times larger error of the probability beyond it."""
    heard = []
    experiment = Experiment(
        inputs=StandardNormal(dim=2),
        loss=Linear(weights="equal"),
        measures=[measure],
        method=CrossEntropy(starts=1),
        stop=Stop(relative_error=asked, max_evaluations=100_000),
        seed=3,
        audit="off",
    )
    result = experiment.run(report=lambda *told: heard.append(told))
    (last,) = [told[3] for told in heard if told[0] == "estimate"][-1:]
    error = float(re.fullmatch(rf"relative error ([\d.]+)%, asked {asked:.2%}", last)[1]) / 100
    assert error == pytest.approx(result.estimates[0].relative_error, rel=0.15)
    assert next(told[1] for told in heard if told[0] == "tune") == 0

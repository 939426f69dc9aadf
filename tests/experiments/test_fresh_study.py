"""The study of trust on random problems: what its rows keep, what its tables count, and what is run once."""

import importlib
import math
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from raresim.losses.noise import ROWS_AGAIN

STUDIES = Path(__file__).parents[2] / "experiments"
NAMES = (
    *("problems", "targets", "runs", "suite", "trials", "libraries", "verdicts", "exact_tails", "branches"),
    *("random_problems", "rows", "fresh_trials", "fresh_tables", "fresh"),
)


def modules():
    """The files of the study, without leaving their names behind."""
    hidden = {name: sys.modules.pop(name) for name in NAMES if name in sys.modules}
    before = list(sys.path)
    sys.path[:0] = [str(STUDIES / "trust"), str(STUDIES / "methods")]
    try:
        return [importlib.import_module(name) for name in NAMES[-5:]]
    finally:
        sys.path[:] = before
        for name in NAMES:
            sys.modules.pop(name, None)
        sys.modules.update(hidden)


random_problems, rows, trials, tables, study = modules()


def a_run(number=1, ratio=1.0, reported=0.04, verdict="trusted", method="auto", **more):
    """A run whose estimate is ``ratio`` times the answer."""
    p = 1e-6
    low, high = (p * ratio * math.exp(side * 1.96 * reported) for side in (-1, 1))
    numbers = {
        "error": 0.04,
        "budget": 200_000,
        "kind": "smooth",
        "form": "mixed",
        "dim": 7,
        "branches": 3,
        "missed": int(p > high) - int(p < low),
        "far": abs(math.log(ratio)) > 3.3 * reported if ratio > 0 else True,
        "before": 600,
        "sample": 400,
        "audit": 100,
        "calls": 1100,
        "seconds": 0.1,
        "way": "tuned",
        "rounds": 1,
        "hidden": 1e-3,
        "unconditional": False,
        "checks": f"hits:400:t relative_error:{reported:.3g}:t",
        "outcome": "",
    }
    fields = numbers | more
    return trials.Fresh(
        method=method,
        number=number,
        probability=p,
        estimate=p * ratio,
        reported=reported,
        low=low,
        high=high,
        verdict=verdict,
        **fields,
    )


def lost(number=1, message="late | again", **more):
    none = {"verdict": "failed", "checks": "", "outcome": message}
    return replace(a_run(number, **more), estimate=math.nan, reported=math.nan, low=math.nan, high=math.nan, **none)


# Runs.


def test_a_number_belongs_to_a_part_or_to_none():
    assert [trials.part_of(number) for number in (0, 999, 30_000, 31_999)] == ["open", "open", "unseen", "unseen"]
    for number in (1_000, 29_999, 32_000):
        with pytest.raises(ValueError, match="is in no part"):
            trials.part_of(number)
    assert a_run(30_001).file == "fresh-auto-unseen"


def test_numbers_have_to_be_those_of_the_part():
    assert study.numbers_of("", "unseen") == range(30_000, 32_000)
    assert study.numbers_of("5:9", "open") == range(5, 9)
    for text, part in (("5:9", "unseen"), ("990:1001", "open"), ("9:9", "open")):
        with pytest.raises(SystemExit, match=f"the {part} part is"):
            study.numbers_of(text, part)


def test_the_unseen_part_is_not_run_again(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["fresh.py", "--part", "unseen", "--again"])
    with pytest.raises(SystemExit, match="the unseen part is run once"):
        study.main()


def test_what_is_planned_of_the_unseen_part_is_measured_on_the_open_one(monkeypatch, capsys):
    asked = []

    def measured(keys, seconds, workers):
        asked.extend(number for _, number, _, _ in keys)
        return [a_run(number, seconds=3.0) for number in asked]

    monkeypatch.setattr(study, "run_all", measured)
    monkeypatch.setattr(sys, "argv", ["fresh.py", "--part", "unseen", "--plan", "--methods", "auto"])
    study.main()
    assert asked
    assert {trials.part_of(number) for number in asked} == {"open"}
    assert "auto: asked about" in capsys.readouterr().out


def test_what_is_kept_is_not_run_again(monkeypatch, tmp_path):
    monkeypatch.setattr(rows.save, "__defaults__", (tmp_path,))
    monkeypatch.setattr(rows.read, "__defaults__", (tmp_path,))
    monkeypatch.setattr(study.fresh_tables, "write", lambda *_: None)
    rows.save([a_run(0), a_run(2, error=0.1)], tmp_path)
    asked = []

    def run_all(keys, seconds, workers):
        asked.append(sorted(number for _, number, _, _ in keys))
        return [a_run(number) for number in asked[-1]]

    monkeypatch.setattr(study, "run_all", run_all)
    for more in ([], [], ["--again"]):
        monkeypatch.setattr(sys, "argv", ["fresh.py", "--methods", "auto", "--numbers", "0:3", *more])
        study.main()
    assert asked == [[1, 2], [], [0, 1, 2]], "a row of another stop is another run"


def test_methods_are_asked_what_they_can_answer():
    assert trials.applies("auto", 1e-9, 100)
    assert not trials.applies("crude", 1e-5, 2)
    assert trials.applies("crude", 1e-3, 100)
    assert not trials.applies("improved_cross_entropy", 1e-3, 7)
    assert trials.run_fresh(("crude", 0, 0.1, 2_000), 60.0) is None, "the answer of number 0 is 5.8e-8"


@pytest.mark.parametrize("can", [True, False])
@pytest.mark.slow_cases("True")
def test_limit_states_are_asked_about_where_raresim_takes_them(monkeypatch, can):
    @dataclass
    class WithStates:
        function: Any
        limit_states: bool = False
        system: Any = None

    @dataclass
    class Without:
        function: Any

    monkeypatch.setattr(trials, "PythonLoss", WithStates if can else Without)
    assert (trials.COLUMNS in trials.available(trials.METHODS)) == can
    if can:
        several = next(p for p in map(random_problems.problem, range(200)) if isinstance(p.system, int))
        counted, loss = trials.loss_of(several, trials.COLUMNS)
        x = np.ones((3, several.dim))
        assert loss.function(x).shape == (3, several.branches)
        assert (counted.rows, loss.limit_states, loss.system) == (3, True, {"at_least": several.system})


def test_a_run_keeps_the_problem_its_verdict_and_what_was_counted():
    asked = random_problems.problem(3)
    run = trials.run_fresh(("design_point", 3, 0.1, 20_000), 60.0)
    assert (run.kind, run.form, run.dim, run.branches) == (asked.kind, asked.form, asked.dim, asked.branches)
    assert run.probability == asked.probability
    assert run.answered
    assert 0 <= run.calls - run.evaluations <= ROWS_AGAIN
    assert run.evaluations > 500
    assert run.near
    again = trials.run_fresh(("design_point", 3, 0.1, 20_000), 60.0)
    assert replace(again, seconds=run.seconds) == run


def test_rows_come_back(tmp_path):
    rows.save([a_run(2), lost(1), a_run(30_000, method="crude")], tmp_path)
    back = rows.read(trials.Fresh, ["fresh-auto-open", "fresh-crude-unseen"], tmp_path)
    assert sorted(back) == [("auto", 1, 0.04, 200_000), ("auto", 2, 0.04, 200_000), ("crude", 30_000, 0.04, 200_000)]
    assert back["auto", 2, 0.04, 200_000] == replace(a_run(2), **_rounded(a_run(2)))
    assert not back["auto", 1, 0.04, 200_000].answered


def _rounded(run):
    return {name: float(f"{getattr(run, name):.6g}") for name in ("estimate", "low", "high")}


# Tables.


def test_a_run_is_wrong_when_far_off_or_when_its_interval_of_999_misses():
    assert not a_run(ratio=1.1).wrong
    assert a_run(ratio=1.3, reported=0.5).wrong
    assert a_run(ratio=1.1, reported=0.01).wrong
    assert a_run(ratio=1.1, reported=0.01).solved, "near and trusted, though its interval misses"
    assert not a_run(verdict="caution").solved


def test_a_row_counts_what_it_says():
    runs = [
        *(a_run(k) for k in range(1, 95)),
        a_run(95, 0.5),
        a_run(96, 1.12),
        a_run(97, 0.9, verdict="caution", sample=9_400),
        a_run(98, 0.1, verdict="untrusted"),
        a_run(99, 0.6, verdict="bound_only"),
        lost(100),
    ]
    row = tables.row_of(runs)
    assert (row["problems"], row["answered"], row["trusted"]) == ("100", "99", "96 (96 %)")
    assert row["trusted and wrong"].startswith("1 of 96, 1.04 % (limit 4.8")
    assert (row["near"], row["solved"]) == ("96 (96 %)", "95 (95 %)")
    assert row["coverage if trusted %"].startswith("97.9 (92.7 to 99.7")
    assert row["below / above"] == "1 / 1"
    assert row["evaluations"] == "1,100 (1,100 to 1,100)"
    assert (row["caution"], row["untrusted"], row["bound only"]) == ("1", "1", "1")
    assert tables.row_of([lost()])["coverage if trusted %"] == ""


def test_limits_of_shares_are_exact():
    assert tables.interval(tables.Share(0, 100)) == pytest.approx((0.0, 1.0 - 0.025**0.01))
    assert tables.interval(tables.Share(100, 100)) == pytest.approx((0.025**0.01, 1.0))


def test_parts_and_stops_have_tables_of_their_own(tmp_path):
    runs = [
        *(a_run(k) for k in range(10)),
        a_run(10, 0.5, kind="stepped", form="credit"),
        lost(11, kind="one", form="single"),
        *(a_run(k, error=0.1, budget=20_000) for k in range(3)),
        *(a_run(30_000 + k, method="crude") for k in range(4)),
    ]
    tables.write(runs, "a machine", tmp_path)
    text = (tmp_path / "fresh.md").read_text()
    titles = [line for line in text.splitlines() if line.startswith("## ") and ":" not in line]
    assert titles == [
        "## Open part, 4 % and 200,000 evaluations",
        "## Open part, 10 % and 20,000 evaluations",
        "## Unseen part, 4 % and 200,000 evaluations",
    ]
    first = text.partition(titles[0])[2].partition(titles[1])[0]
    assert "| auto | several, smooth | 10 | 10 |" in first
    assert "| auto | all | 12 | 11 |" in first
    assert "| with steps | credit | 1 | 1 |" in first
    assert "| 10 | auto | with steps | credit | 7 | 3 | 1e-06 | 0.5 |" in first, "the one that is wrong is named"
    assert "late / again" in first, "a bar would end the cell"
    assert "| crude | all | 4 | 4 |" in text.partition(titles[2])[2]
    table = (tmp_path / "fresh.csv").read_text().splitlines()
    assert table[0].startswith("part,error,budget,method,kind,form,problems,")
    assert sum(line.startswith("unseen,0.04,200000,crude,") for line in table) == 3, "a kind, all kinds, and a form"


def test_what_is_wanted_is_compared_with_what_is_measured():
    many = [a_run(k) for k in range(600)]
    bars = {row["bar"]: row for row in tables.bar_rows([*many, *(lost(k, kind="one") for k in range(600, 610))])}
    assert (bars["trusted and wrong"][""], bars["its limit"][""]) == ("met", "met")
    assert bars["solved, several, smooth"]["measured"] == "600 of 600, 100 %"
    assert (bars["solved, one branch"]["measured"], bars["solved, one branch"][""]) == ("0 of 10, 0 %", "missed")
    assert bars["coverage if trusted"][""] == "missed", "too wide is not wanted either"
    wrong = {row["bar"]: row for row in tables.bar_rows([*many, *(a_run(k, 0.5) for k in range(600, 604))])}
    assert wrong["trusted and wrong"][""] == "missed"
    assert not tables.bar_rows([a_run(verdict="caution")])


def test_the_short_version_fails_on_wrong_trust_lost_runs_and_rows_that_are_not_counted():
    good = [a_run(k) for k in range(100)]
    assert list(study.check(good)) == ["0 of 100 trusted runs are wrong, of 100 runs; at most 6 allowed"]
    list(study.check([*good, a_run(101, verdict="refused"), *(a_run(k, 0.5) for k in range(200, 206))]))
    with pytest.raises(SystemExit, match=r"9 of 109 trusted runs are wrong.*auto on number 200 \(mixed, 0\.5 times\)"):
        list(study.check([*good, *(a_run(k, 0.5) for k in range(200, 209))]))
    with pytest.raises(SystemExit, match="none of 1 runs is trusted"):
        list(study.check([a_run(verdict="caution")]))
    with pytest.raises(SystemExit, match=r"number 1 \(mixed\): failed: late"):
        list(study.check([lost()]))
    with pytest.raises(SystemExit, match="999 rows, not 1100"):
        list(study.check([a_run(calls=999)]))


def test_the_short_version_takes_open_problems_of_few_dimensions(monkeypatch):
    monkeypatch.setattr(study, "QUICK_PROBLEMS", 5)
    numbers = study.quick_numbers()
    assert len(numbers) == 5
    assert all(trials.part_of(number) == "open" for number in numbers)
    assert all(random_problems.problem(number).dim <= study.QUICK_DIM for number in numbers)


def test_a_draft_whose_answer_cannot_be_worked_out_is_drawn_again(monkeypatch):
    made, attempts = random_problems._made, []

    def failing(number, probability, attempt):
        attempts.append(attempt)
        if attempt < 2:
            raise ArithmeticError("the integral does not converge")
        return made(number, probability, attempt)

    expected = made(7, None, 2)
    monkeypatch.setattr(random_problems, "_made", failing)
    assert random_problems.problem(7).text == expected.text
    assert attempts == [0, 1, 2]
    monkeypatch.setattr(random_problems, "ATTEMPTS", 2)
    with pytest.raises(ArithmeticError, match="does not converge"):
        random_problems.problem(7)

"""The study of methods: what it counts, what it keeps, and when its short version fails."""

import importlib
import math
import re
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import special, stats

from raresim.losses.noise import ROWS_AGAIN

STUDY = Path(__file__).parents[2] / "experiments" / "methods"
NAMES = ("problems", "targets", "runs", "summary", "run")


def modules():
    """The files of the study, without leaving their names behind: `problems` is also one of the tests."""
    hidden = {name: sys.modules.pop(name) for name in NAMES if name in sys.modules}
    sys.path.insert(0, str(STUDY))
    try:
        return [importlib.import_module(name) for name in NAMES]
    finally:
        sys.path.remove(str(STUDY))
        for name in NAMES:
            sys.modules.pop(name, None)
        sys.modules.update(hidden)


problems, targets, runs, summary, study = modules()
P = problems.PROBLEMS["RP22"].probability
KEY = ("crude", "RP53", 0.05, 200_000, 1)


def a_run(seed=1, ratio=1.0, reported=0.05, verdict="trusted", problem="RP22", **more):
    """A run whose estimate is ``ratio`` times the answer."""
    p = runs.QUESTIONS[problem].probability
    low, high = p * ratio * math.exp(-1.96 * reported), p * ratio * math.exp(1.96 * reported)
    covered = low <= p <= high
    numbers = {"before": 600, "sample": 400, "audit": 0, "calls": 1000, "seconds": 0.1, "outcome": "reached, at last"}
    made = runs.Run(
        "auto", problem, 0.05, 10**6, seed, p * ratio, reported, low, high, covered, verdict=verdict, **numbers
    )
    return replace(made, **more)


def refusal(seed):
    return a_run(seed, math.nan, math.nan, runs.REFUSED, outcome="loss: must be | linear")


def test_a_run_counts_what_the_loss_was_given():
    run = runs.measure(KEY, 20.0)
    assert run.answered
    assert run.key == KEY
    assert 0 <= run.calls - run.evaluations <= ROWS_AGAIN
    assert run.evaluations == run.sample > 1000
    assert run.covered == (run.low <= problems.PROBLEMS["RP53"].probability <= run.high)
    assert run.within(5.0)


def test_a_method_that_does_not_take_the_question_is_refused_and_gets_a_linear_loss_where_there_is_one():
    run = runs.measure(("asmussen_kroese", "RP22", 0.05, 200_000, 1), 20.0)
    assert run.verdict == runs.REFUSED
    assert "linear" in run.outcome
    assert math.isnan(run.estimate)
    assert runs.measure(("asmussen_kroese", "LOMAX-SUM-5", 0.05, 200_000, 1), 20.0).within(5.0)


@pytest.mark.parametrize(
    ("fault", "seconds", "message"),
    [("slow", 0.1, "not done after 0.1 s"), ("broken", 20.0, "LossError: .*no such river")],
)
def test_a_run_that_hangs_or_raises_has_failed(monkeypatch, fault, seconds, message):
    """A first run loads what the second must not be interrupted in: a module that is half imported stays broken."""
    assert runs.measure(KEY, 60.0).answered

    def loss(x):
        if fault == "broken":
            raise KeyError("no such river")
        time.sleep(30.0)

    monkeypatch.setitem(runs.QUESTIONS, "RP53", replace(problems.PROBLEMS["RP53"], loss=loss))
    run = runs.measure(KEY, seconds)
    assert run.verdict == runs.FAILED
    assert not run.answered
    assert run.calls > 0
    assert run.seconds < 15.0
    assert re.match(message, run.outcome)


def test_kept_runs_come_back_and_a_run_with_the_same_key_is_replaced(tmp_path):
    first = [a_run(seed, ratio=1.1) for seed in (2, 1)]
    other = a_run(1, method="crude", reported=math.inf, estimate=0.0)
    runs.save([*first, other], tmp_path)
    assert runs.read(tmp_path).keys() == {run.key for run in [*first, other]}
    back = runs.read(tmp_path, ["crude"])[other.key]
    assert back.reported == math.inf
    assert (back.covered, back.calls, back.outcome) == (other.covered, other.calls, other.outcome)
    written = (tmp_path / "auto.csv.gz").read_bytes()
    runs.save([a_run(1, ratio=1.1)], tmp_path)
    assert (tmp_path / "auto.csv.gz").read_bytes() == written, "the same runs are the same bytes"
    runs.save([a_run(1, ratio=0.9, verdict="caution")], tmp_path)
    kept = runs.read(tmp_path, ["auto"])
    assert [kept[key].verdict for key in sorted(kept)] == ["caution", "trusted"]
    assert kept[a_run(1).key].deviation == pytest.approx(-0.1, abs=1e-6)


def test_a_cell_is_of_the_runs_with_an_estimate():
    of = [a_run(1, 1.1), a_run(2, 0.9), a_run(3, 1.1, sample=1400), refusal(4)]
    cell = summary.Cell.of(of)
    assert cell.bias == pytest.approx(0.1 / 3)
    assert cell.rmse == pytest.approx(0.1)
    assert cell.evaluations == 1000
    assert cell.to_five == pytest.approx(4000 / 3 * 4)
    assert cell.reported_to_five == pytest.approx(1000)
    assert cell.coverage == pytest.approx(2 / 3), "0.9 times exp(1.96 * 0.05) is below one"
    assert cell.variance_ratio == pytest.approx((1 / P - 1) / (400 * 0.05**2))
    assert cell.verdicts == {"trusted": 3, "refused": 1}
    assert math.isnan(summary.Cell.of([a_run(1), refusal(2), refusal(3)]).to_five)


def test_the_best_peer_is_the_cheapest_that_is_not_biased(monkeypatch):
    def row(method, bias, to_five):
        return {
            "problem": "RP22",
            "library": "a 1",
            "method": method,
            "rel_bias": bias,
            "evaluations_to_5_percent": to_five,
        }

    rows = [row("A", "0.1", "900"), row("B", "-0.26", "100"), row("C", "", ""), row("D", "-0.2", "500")]
    monkeypatch.setattr(summary, "_table", lambda name: rows)
    assert summary.best_peers() == {"RP22": summary.Peer("a, D", 500.0)}
    cell = summary.Cell.of([a_run(1, 1.05), a_run(2, 0.95)])
    assert summary.gain(cell, summary.best_peers()) == pytest.approx(0.5)
    assert summary.gain(summary.Cell.of([refusal(1)]), summary.best_peers()) == 0.0
    assert math.isnan(summary.gain(cell, {}))


def test_the_summary_counts_false_trust_failures_and_gains():
    of = [
        a_run(1),
        a_run(2, 1.3),
        a_run(3, 1.3, verdict="caution"),
        refusal(4),
        a_run(5, math.nan, verdict=runs.FAILED),
    ]
    peers = {"RP22": summary.Peer("a", 1e-3)}
    row = summary.summary_row(("auto", -0.05, 10**6), [summary.Cell.of(of)], peers)
    assert row["trusted and wrong"] == "1 of 2"
    assert row["near or not trusted"] == "60.0 %"
    assert row["d <= 100: trusted and within 3 errors"] == "20.0 %"
    assert (row["refused"], row["failed"]) == ("1", "1")
    assert (row["problems with a peer"], row["fewer than the peer"], row["more than twice, or no estimate"]) == (
        "1",
        "0",
        "1",
    )
    assert row["other evaluations than counted"] == "0"


@pytest.mark.parametrize(("count", "n"), [(0, 59), (2, 100), (7, 7)])
def test_the_limit_is_that_of_clopper_and_pearson(count, n):
    limit = summary.upper_limit(count, n)
    assert limit == 1.0 if count == n else stats.binom.cdf(count, n, limit) == pytest.approx(0.05)


def test_tables_and_figure_are_written(tmp_path):
    kept = [a_run(seed, 1 + 0.05 * (-1) ** seed) for seed in range(1, 5)]
    kept += [replace(a_run(seed, problem="LIMIT-SHELL"), sample=30_000) for seed in (1, 2)]
    kept += [replace(refusal(1), method="crude"), a_run(9, budget=500)]
    summary.write(kept, tmp_path)
    text = (tmp_path / "table.md").read_text()
    for part in ("## Summary: held out", "## Targets", "## Problems: auto, 5 %, 1,000,000", "## Refused and failed"):
        assert part in text
    assert "## Summary: tuning" not in text, "RP22 is held out"
    assert "must be / linear" in text, "a bar would end the cell"
    peer = summary.best_peers()["RP22"].to_five
    assert f"| {peer / 1000:.2g} |" in text
    assert "| auto, 5 %, 1,000,000 | 1 | 4 | 0 | 0 |" in text
    assert "| 30,600 | 20,000 | 0 | 1.000 to 1.000, mean 1.000 | 2 / 0 / 0 / 0 | 0, 0 | missed |" in text
    assert (tmp_path / "gain.png").read_bytes().startswith(b"\x89PNG")
    assert "| auto, 5 %, 500 | 1 | 1 | 0 | 0 |" in text
    assert text.count("| 1 |\n") == 2, "the run over its budget, in two summaries"
    assert (tmp_path / "table.csv").read_text().count("\n") == 4, "the head and three columns"


def test_a_target_is_met_by_runs_within_the_limit_that_are_trusted_and_near():
    target = targets.TARGETS["LIMIT-SHELL"]
    cheap, dear = (a_run(problem="LIMIT-SHELL", sample=n) for n in (100, 10**5))
    assert summary.met(target, [cheap, cheap, dear, dear])
    assert not summary.met(target, [cheap, dear, dear])
    assert not summary.met(target, [cheap, replace(cheap, verdict="caution"), dear])
    assert not summary.met(target, [cheap] * 9 + [replace(cheap, estimate=2e-6)])
    assert summary.met(replace(target, refusable=True), [replace(dear, verdict="caution")])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "id"),
    [
        ("line_sampling", "LIMIT-LIN-1000"),
        ("line_sampling", "LIMIT-1E-12"),
        ("directional_sampling", "LIMIT-SHELL"),
    ],
)
def test_targets_have_the_answer_that_an_exact_method_finds(method, id):
    run = runs.measure((method, id, 0.05, 10**6, 1), 30.0)
    assert run.deviation == pytest.approx(0.0, abs=1e-6)


def test_targets_of_many_sides_have_their_closed_forms():
    beyond = special.ndtr(-5.5)
    plain, rotated, both = (targets.TARGETS[f"LIMIT-{id}"].problem for id in ("MAX-20", "MAX-20-ROTATED", "TWO-SIDED"))
    assert plain.probability == rotated.probability
    assert plain.probability == pytest.approx(20 * beyond - 190 * beyond**2, rel=1e-12)
    assert both.probability == pytest.approx(2 * stats.norm.sf(5.0))
    rotation = rotated.loss.keywords["rotation"]
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(20), atol=1e-12)
    assert abs(rotation).max() < 0.95, "no axis is left in place"
    np.testing.assert_allclose(rotated.loss(5.5 * rotation), 0.0, atol=1e-12)
    np.testing.assert_allclose(plain.loss(5.5 * np.eye(20)), 0.0, atol=1e-12)
    np.testing.assert_allclose(
        both.loss(np.array([[1.0], [-1.0]]) * np.full(20, 5.0 / math.sqrt(20.0))), 0.0, atol=1e-12
    )


def test_the_short_version_fails_on_a_wrong_trusted_run_a_refusal_and_intervals_that_miss():
    good = [a_run(seed) for seed in range(1, 41)]
    assert list(study.check(good))[-1] == "auto: 40 of 40 intervals hold the answer"
    for wrong, message in ((a_run(41, 1.4), "trusted, off by \\+40"), (refusal(41), "refused: loss")):
        with pytest.raises(SystemExit, match=message):
            list(study.check([*good, wrong]))
    list(study.check([*good, a_run(41, 1.4, verdict="caution")]))
    with pytest.raises(SystemExit, match="20 of 40 intervals"):
        list(study.check(good[:20] + [a_run(seed, 1.13) for seed in range(21, 41)]))


def test_the_command_line_names_what_it_does_not_know(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["run.py", "--methods", "crude,magic"])
    with pytest.raises(SystemExit):
        study.main()
    assert "unknown 'magic'; one of asmussen_kroese, auto" in capsys.readouterr().err


def test_the_sets_are_the_two_parts_of_all():
    assert sorted(study.SETS["tuning"] + study.SETS["held-out"]) == sorted(study.SETS["all"])
    assert all(problems.is_held_out(id) for id in study.SETS["held-out"])
    assert not set(study.SETS["targets"]) & set(study.SETS["all"])

"""The study of trust: exact answers of its problems, what its rows keep, and what its tables count."""

import importlib
import math
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import integrate, ndimage, special, stats

import raresim
from raresim.losses.noise import ROWS_AGAIN
from raresim.record.verdict import Status

STUDIES = Path(__file__).parents[2] / "experiments"
NAMES = ("problems", "targets", "runs", "suite", "rows", "trials", "libraries", "verdicts", "run", "cells")


def modules():
    """The files of the study, without leaving their names behind."""
    hidden = {name: sys.modules.pop(name) for name in NAMES if name in sys.modules}
    before = list(sys.path)
    sys.path[:0] = [str(STUDIES / "trust"), str(STUDIES / "methods")]
    try:
        return [importlib.import_module(name) for name in NAMES[3:]]
    finally:
        sys.path[:] = before
        for name in NAMES:
            sys.modules.pop(name, None)
        sys.modules.update(hidden)


suite, rows, trials, libraries, verdicts, study, cells = modules()
CASES = suite.CASES
PLANAR = [id for id, case in CASES.items() if case.problem.dim == 2]


def h(id, x):
    """The limit state of a problem, at standard normals."""
    state = libraries.LimitState(CASES[id], most=10**7)
    return state(np.asarray(x, dtype=float))


def a_trial(seed=1, ratio=1.0, reported=0.05, verdict="trusted", problem="RP22", method="auto", **more):
    """A run whose estimate is ``ratio`` times the answer."""
    p = CASES[problem].problem.probability
    low, high = (p * ratio * math.exp(side * 1.96 * reported) for side in (-1, 1))
    numbers = {
        "missed": int(p > high) - int(p < low),
        "far": abs(math.log(ratio)) > 3.3 * reported,
        "before": 600,
        "sample": 400,
        "audit": 100,
        "calls": 1100,
        "seconds": 0.1,
        "hidden": 1e-3,
        "unconditional": False,
        "checks": f"hits:400:t relative_error:{reported:.3g}:t khat:0.1:t uncovered:0.01:{verdict[0]}",
        "outcome": "",
    }
    return trials.Trial(method, problem, seed, p * ratio, reported, low, high, verdict=verdict, **numbers | more)


# The suite.


def test_the_rule_takes_the_problems_that_it_says():
    known = [case for case in CASES.values() if case.kind == "known"]
    assert {case.kind for case in CASES.values()} == {"known", "trap", "needle"}
    assert all(2 <= case.problem.dim <= 100 and 1e-9 <= case.problem.probability <= 1e-2 for case in known)
    ids = {case.problem.id for case in known}
    assert {"FOUR-BRANCH-WAARTS", "RP111", "MAX-IID-100"} <= ids, "those of several modes are all in"
    assert not {"DG-A3-a", "RP107", "LIN-2-B5"} & ids, "a commoner threshold, not held out, not drawn"
    assert sum(case.reachable for case in CASES.values()) >= 24


def test_traps_have_the_probabilities_of_other_formulas():
    two = 2.0 * integrate.quad(lambda t: stats.t.pdf(t, 3) * stats.t.sf(30.0 - t, 3), -np.inf, np.inf, limit=500)[0]
    assert suite.either_t_sum(30.0, 2) == pytest.approx(two, rel=1e-6)
    assert suite.beyond_polygon(4, 3.0) == pytest.approx(1.0 - (1.0 - 2.0 * stats.norm.sf(3.0)) ** 2, rel=1e-10)
    curved = integrate.quad(lambda z: stats.norm.pdf(z) * 2.0 * stats.norm.sf(3.0 + 0.2 * z * z), -12.0, 12.0)[0]
    assert suite.curved_probability(2, 3.0, 0.2) == pytest.approx(curved, rel=1e-8)
    assert suite.any_of(0.1, 0.2) == pytest.approx(0.28)
    assert CASES["TRAP-EQUAL"].problem.probability == pytest.approx(2.0 * stats.norm.sf(-special.ndtri(5e-6)))


def test_the_stated_proposals_aim_at_points_where_failure_begins():
    for id, case in CASES.items():
        if case.aim is not None:
            closer, farther = h(id, [0.999 * case.aim, 1.001 * case.aim])
            assert closer > 0.0 >= farther, id


def test_needles_are_failing_parts_of_their_own_and_too_small_to_be_met():
    needles = {id: case for id, case in CASES.items() if case.kind == "needle"}
    assert len(needles) >= 3
    for case in needles.values():
        assert 0.25 * case.problem.probability < case.missed < 1.0 / suite.N0, "missing it is wrong"
    ball = CASES["NEEDLE-BALL"]
    part = ball.problem.loss.keywords["part"].keywords
    centre, radius = part["centre"], part["radius"]

    def ring(r):
        return r * special.i0(r * np.linalg.norm(centre)) * math.exp(-0.5 * (r * r + centre @ centre))

    assert ball.missed == pytest.approx(integrate.quad(ring, 0.0, radius)[0], rel=1e-9)
    inside = {"NEEDLE-BALL": centre, "NEEDLE-STRIP": np.array([3.505, -3.505]) / math.sqrt(2.0) - 1.0}
    inside |= {"NEEDLE-CLIFF": np.r_[3.0, -3.0, np.full(18, -0.2)], "NEEDLE-BOX": np.full(5, -1.0)}
    assert inside.keys() == needles.keys()
    for id, point in inside.items():
        assert h(id, [point])[0] < 0.0 < h(id, [-point])[0]


@pytest.mark.parametrize("id", PLANAR)
def test_what_is_called_a_needle_in_the_plane_is_one_by_the_rule_and_nothing_else_is(id):
    """On a grid: whether the failing cells lie in one component of the set below the origin's value."""
    axis = np.arange(-6.0, 6.001, 0.01)
    x, y = np.meshgrid(axis, axis, indexing="ij")
    value = h(id, np.column_stack([x.ravel(), y.ravel()])).reshape(x.shape)
    parts, _ = ndimage.label(value <= h(id, [[0.0, 0.0]])[0] + 1e-9, np.ones((3, 3)))
    failing = np.unique(parts[value <= 0.0])
    assert (failing.size > 1) == (CASES[id].kind == "needle")


# One run.


@pytest.mark.parametrize("method", ["crude", "cross_entropy", "subset_simulation"])
def test_the_sure_interval_is_the_one_that_a_run_with_this_confidence_has(method):
    problem = CASES["RP22"].problem
    found = [
        raresim.estimate(
            problem.inputs,
            problem.loss,
            replace(problem.measure, confidence=confidence),
            method,
            seed=2,
            relative_error=0.05,
            max_evaluations=40_000,
        )
        for confidence in (0.95, 0.999)
    ]
    sure = trials.sure_interval(found[0].estimates[0], found[0].stopping)
    assert found[0].estimates[0].value == found[1].estimates[0].value
    assert sure == pytest.approx(found[1].estimates[0].interval, rel=1e-9)


def test_a_run_keeps_what_its_verdict_looked_at_and_what_was_counted():
    run = trials.run_trial(("design_point", "RP22", 1), 60.0)
    assert run.answered
    assert 0 <= run.calls - run.evaluations <= ROWS_AGAIN
    assert run.evaluations > 1000
    assert run.seen["hits"].value > 100
    assert run.seen["hits"].status is Status.TRUSTED
    again = trials.run_trial(("design_point", "RP22", 1), 60.0)
    assert replace(again, seconds=run.seconds) == run


def test_a_user_who_knows_of_one_mode_of_two_gets_half_and_no_trust():
    run = trials.run_trial(("importance", "TRAP-EQUAL", 1), 60.0)
    assert run.off == pytest.approx(0.5, abs=0.1)
    assert run.wrong
    assert run.missed == 1
    assert not run.trusted


def test_methods_are_asked_what_they_can_answer():
    assert not trials.applies("crude", CASES["RP111"])
    assert not trials.applies("importance", CASES["RP22"])
    assert not trials.applies("improved_cross_entropy", CASES["TRAP-LINEAR-50"])
    assert trials.applies("importance", CASES["NEEDLE-BOX"])
    assert study.keys_of(["crude"], ["RP22", "RP111"], 2) == [("crude", "RP22", 1), ("crude", "RP22", 2)]


def test_rows_come_back_and_one_with_the_same_key_is_replaced(tmp_path):
    rows.save([a_trial(2), a_trial(1, 1.2), a_trial(1, method="crude", hidden=math.nan)], tmp_path)
    rows.save([a_trial(1, 1.3)], tmp_path)
    back = rows.read(trials.Trial, ["auto", "crude"], tmp_path)
    assert sorted(back) == [("auto", "RP22", 1), ("auto", "RP22", 2), ("crude", "RP22", 1)]
    assert back["auto", "RP22", 1].off == pytest.approx(1.3, rel=1e-5)
    assert back["auto", "RP22", 2].seen == a_trial(2).seen
    assert math.isnan(back["crude", "RP22", 1].hidden)


# The tables.


def test_a_run_is_wrong_when_far_off_or_when_its_interval_of_999_misses():
    assert not a_trial(ratio=1.1).wrong
    assert a_trial(ratio=1.3, reported=0.5).wrong
    assert a_trial(ratio=1.1, reported=0.01).wrong
    assert not a_trial(ratio=1.1, reported=0.01).is_far_off


def test_shares_count_what_they_say():
    runs = [
        a_trial(1),
        a_trial(2, 1.4),
        a_trial(3, 0.3, verdict="untrusted"),
        a_trial(4, 1.02, verdict="caution"),
        a_trial(5, 1.1, reported=0.2, verdict="caution"),
        a_trial(6, 0.4, verdict="caution"),
    ]
    assert verdicts.false_trust(runs) == verdicts.Share(1, 2)
    assert verdicts.false_alarm(runs) == verdicts.Share(1, 2), "the fifth reports too large an error"
    assert verdicts.sensitivity(runs) == verdicts.Share(2, 3)
    assert verdicts.gross_sensitivity(runs) == verdicts.Share(1, 2)
    assert verdicts.below(runs) == verdicts.Share(2, 6)
    assert verdicts.above(runs) == verdicts.Share(1, 6)
    assert verdicts.audit_share(runs) == pytest.approx(0.1)
    assert verdicts.Share(0, 598).limit == pytest.approx(0.005, abs=1e-5)
    assert stats.binom.cdf(3, 500, verdicts.Share(3, 500).limit) == pytest.approx(0.05)


def test_a_check_that_is_left_out_no_longer_stops_a_run():
    stopped = a_trial(1, 1.5, verdict="untrusted")
    assert verdicts.verdict_without(stopped, "uncovered") is Status.TRUSTED
    assert verdicts.verdict_without(stopped, "khat") is Status.UNTRUSTED
    assert verdicts.verdict_with(stopped, "khat") is Status.TRUSTED
    assert verdicts.verdict_with(stopped, "uncovered") is Status.UNTRUSTED
    table = {row["check"]: row for row in verdicts.ablation_rows([stopped, a_trial(2)])}
    assert table["uncovered"]["wrong runs only it stops"] == "1"
    assert table["uncovered"]["false trust without it"].startswith("1 of 2, 50 %")
    assert table["khat"]["wrong runs only it stops"] == "0"
    assert table["khat"]["false trust, hits, error and it"].startswith("1 of 2, 50 %")


def test_auc_and_curve_are_of_the_score_that_speaks_against_a_run():
    bad, good = np.array([3.0, 2.0, 1.0]), np.array([0.0, 1.0])
    assert verdicts.auc(bad, good) == pytest.approx(5.5 / 6)
    false, true = verdicts.curve(bad, good)
    assert integrate.trapezoid(true, false) == pytest.approx(5.5 / 6)
    assert (false[0], true[0], false[-1], true[-1]) == (0.0, 0.0, 1.0, 1.0)
    few, many = a_trial(1, 1.5, checks="hits:100:t"), a_trial(2, checks="hits:900:t khat::t")
    assert verdicts.auc(*verdicts.scores([few, many], "hits")) == 1.0
    assert verdicts.scores([few, many], "khat")[1].size == 0, "no value is no score"
    low, high = (a_trial(1, ratio, checks=f"canary:{z}:t") for ratio, z in ((1.5, -3.0), (1.0, 2.0)))
    assert verdicts.auc(*verdicts.scores([low, high], "canary")) == 1.0, "its sign does not matter"


def test_the_spread_between_seeds_is_compared_with_the_reported_error():
    rng = np.random.default_rng(5)
    runs = [a_trial(seed, 1.0 + 0.1 * z, reported=0.05) for seed, z in enumerate(rng.standard_normal(2000))]
    ratio, error = verdicts.Cell("auto", CASES["RP22"], runs, 0).spread
    assert ratio == pytest.approx(2.0, rel=0.08)
    assert error == pytest.approx(ratio / math.sqrt(2 * 2000), rel=0.15)


def test_a_library_is_wrong_by_the_same_rule():
    p = CASES["RP22"].problem.probability
    run = libraries.Rival("other", "RP22", 1, 0.5 * p, 0.04, 100, 0.1, "", "1.0")
    assert verdicts.rival_is_wrong(run)
    assert verdicts.converged(run, 0.05)
    assert not verdicts.converged(replace(run, variation=-1.0), 0.05)
    assert not verdicts.converged(replace(run, estimate=math.nan, variation=math.nan), 0.05)
    assert not verdicts.rival_is_wrong(replace(run, estimate=1.1 * p))
    assert verdicts.rival_is_wrong(replace(run, estimate=1.1 * p, variation=0.01))


def test_libraries_are_given_the_limit_state_and_counted():
    state = libraries.LimitState(CASES["TRAP-DECOY"])
    np.testing.assert_allclose(state(np.array([[4.0, 0.0], [0.0, 4.2], [0.0, 0.0]])), [0.0, 0.0, 4.0], atol=1e-12)
    assert state.rows == 3
    with pytest.raises(RuntimeError, match="more than 200,000"):
        state(np.zeros((200_000, 2)))


def test_tables_and_figure_are_written(tmp_path):
    runs = [a_trial(seed, 1.0 + 0.02 * (seed % 5 - 2)) for seed in range(1, 161)]
    runs += [a_trial(seed, 0.5, problem="TRAP-EQUAL", method="cross_entropy") for seed in (1, 2)]
    runs += [a_trial(seed, 0.4, problem="NEEDLE-BOX") for seed in (1, 2)]
    runs += [a_trial(3, math.nan, verdict=trials.FAILED, problem="NEEDLE-BOX", outcome="late | again", checks="")]
    rivals = [libraries.Rival("other", "RP22", seed, 0.004, 0.05, 100, 0.1, "", "1.0") for seed in (1, 2)]
    verdicts.write(runs, rivals, "a machine", tmp_path)
    text = (tmp_path / "table.md").read_text()
    pooled = text.split("## Pooled: reachable problems")[1].split("##")[0]
    assert "2 of 162, 1.23 % (limit 3.84 %)" in pooled, "needles are beside, not in it"
    assert "| false trust, limit | at most 0.5 % | 2 of 162, 1.23 % (limit 3.84 %) |  | missed |" in text
    assert "4 of 164" in text.split("## Pooled: needles included")[1].split("##")[0]
    assert "late / again" in text, "a bar would end the cell"
    assert "| other (1.0) | 2 | 0 | 100 % |" in text
    assert (tmp_path / "roc.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "table.csv").read_text().count("\n") == 4, "the head and three cells"


def test_the_short_version_fails_on_wrong_trust_lost_runs_and_intervals_that_miss():
    good = [a_trial(seed) for seed in range(1, 101)]
    assert list(study.check(good))[-1] == "100 of 100 trusted intervals hold the answer"
    list(study.check([*good, a_trial(101, 1.5)]))
    with pytest.raises(SystemExit, match=r"10 of 110 trusted runs are wrong.*RP22, seed 101: 1.5 times"):
        list(study.check([*good, *(a_trial(seed, 1.5) for seed in range(101, 111))]))
    list(study.check([*good, *(a_trial(seed, 1.5, verdict="caution") for seed in range(101, 111))]))
    with pytest.raises(SystemExit, match="100 of 130 trusted intervals"):
        list(study.check([*good, *(a_trial(seed, 1.12) for seed in range(101, 131))]))
    with pytest.raises(SystemExit, match="failed: late"):
        list(study.check([a_trial(1, verdict=trials.FAILED, outcome="late")]))
    with pytest.raises(SystemExit, match="999 rows, not 1100"):
        list(study.check([a_trial(1, calls=999)]))


# Two thousand seeds of a cell.


def of_cell(runs, size=100, method="auto", problem="RP22"):
    parts = [cells.Part.of(method, problem, k + 1, runs[k : k + size]) for k in range(0, len(runs), size)]
    return cells.Cell(method, problem, parts)


@pytest.fixture
def many(seed):
    """Estimates that scatter as they say, a tenth of them not trusted."""
    noise = np.random.default_rng(seed(51)).standard_normal(2000)
    return [
        a_trial(k, math.exp(0.05 * z), verdict="caution" if k % 10 == 0 else "trusted") for k, z in enumerate(noise)
    ]


def test_a_cell_counts_its_trusted_runs_and_compares_their_spread_with_their_error(many):
    cell = of_cell(many)
    trusted = [run for run in many if run.trusted]
    off = np.array([run.off for run in trusted])
    assert (cell.trusted, cell.total("seeds")) == (1800, 2000)
    assert cell.total("below") == sum(run.missed == 1 for run in trusted) > 0
    assert cell.total("above") == sum(run.missed == -1 for run in trusted) > 0
    assert cell.coverage[0] == pytest.approx(np.mean([run.missed == 0 for run in trusted]))
    ratio, error = verdicts.Cell("auto", CASES["RP22"], tuple(many), 0).spread
    assert cell.spread == pytest.approx((ratio, error), rel=1e-3)
    assert cell.bias == pytest.approx(off.mean() - 1.0)
    assert (cell.is_exact, cell.beyond) == (False, [])


@pytest.mark.parametrize(
    ("stretch", "shift", "beyond"),
    [
        (1.0, 0.0, []),
        (1.3, 0.0, ["coverage", "below", "above", "sd / se"]),
        (0.7, 0.0, ["coverage", "sd / se"]),
        (1.0, -0.03, ["coverage", "below"]),
        (1.0, 0.03, ["coverage", "above"]),
    ],
    ids=["right", "too small errors", "too large errors", "too low", "too high"],
)
def test_what_misses_a_bar_by_more_than_chance_is_named(many, stretch, shift, beyond):
    runs = [a_trial(run.seed, math.exp(stretch * math.log(run.off) + shift)) for run in many]
    assert of_cell(runs).beyond == beyond
    named = cells.bars([of_cell(runs)])
    assert [row["by more than chance"] != "0" for row in named] == [
        name in beyond for name in ("coverage", "below", "above", "sd / se")
    ]


def test_an_exact_method_misses_no_bar_by_covering_always():
    cell = of_cell([a_trial(k, 1.0 + 1e-6 * (-1) ** k) for k in range(400)])
    assert cell.is_exact
    assert (cell.coverage[0], cell.beyond, cell.row()["sd / se"]) == (1.0, [], "exact")


def test_cells_with_few_trusted_runs_are_left_out():
    few = [a_trial(k, verdict="trusted" if k < 199 else "caution") for k in range(400)]
    assert cells.cells_of([cells.Part.of("auto", "RP22", 1, few)]) == []


def test_parts_come_back_and_the_table_is_made_of_them(tmp_path, monkeypatch, many):
    monkeypatch.setattr(cells, "HERE", tmp_path)
    assert cells.rows.read(cells.Part, [cells.FILE], tmp_path) == {}
    parts = {p.key: p for p in of_cell(many).parts}
    cells.rows.save(parts.values(), tmp_path)
    back = cells.rows.read(cells.Part, [cells.FILE], tmp_path)
    assert list(back) == sorted(parts)
    assert all(back[key].trusted == parts[key].trusted for key in parts)
    assert back["auto", "RP22", 1].off2 == pytest.approx(parts["auto", "RP22", 1].off2, rel=1e-5)
    cells.write(back.values())
    text = (tmp_path / "cells.md").read_text()
    assert "2,000 runs" in text
    assert "| auto | RP22 | known | 2 | 0.00421 | 2,000 | 1,800 |" in text


def test_cells_that_are_run_are_those_of_which_half_of_the_runs_are_trusted(monkeypatch):
    kept = [
        *(a_trial(k, verdict="trusted" if k < 5 else "caution") for k in range(10)),
        *(a_trial(k, verdict="trusted" if k < 4 else "caution", problem="RP35") for k in range(10)),
        *(a_trial(k, problem="RP75", seconds=0.01) for k in range(10)),
        *(a_trial(k, problem="NEEDLE-BALL") for k in range(10)),
    ]
    monkeypatch.setattr(cells.rows, "read", lambda kind, methods: {run.key: run for run in kept})
    assert cells.trusted_cells(("auto",), CASES) == [("auto", "RP75"), ("auto", "RP22")]
    assert cells.trusted_cells(("auto",), ["RP22"]) == [("auto", "RP22")]

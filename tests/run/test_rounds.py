"""Rounds: what an audit finds begins another search, and nothing of an earlier round is in a later estimate."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

import raresim
from raresim import Auto, Experiment, Importance, Normal, Probability, PythonLoss, StandardNormal, Stop
from raresim.accumulators.summary import Summary
from raresim.accumulators.tail import TailMoments
from raresim.config import load as configs
from raresim.distributions.mixture import Mixture
from raresim.engine.executors import Executor
from raresim.engine.problem import Problem
from raresim.engine.session import Session
from raresim.estimators.weighted_draws import WeightedDraws
from raresim.losses.noise import ROWS_AGAIN
from raresim.methods import auto_fits, auto_search
from raresim.methods.base import Tuned
from raresim.numerics.blocks import plan
from raresim.record.event import Event
from raresim.record.verdict import Status
from raresim.run import path, rounds
from raresim.run.audit import Audit, _AuditClimb
from raresim.run.checkpoint import Checkpoint, State
from raresim.run.estimation import estimate as estimate_stage
from raresim.run.looks import weights_settled
from raresim.run.rounds import MOST, Round, ended, held_on_the_way, missed_by, reserved_next
from raresim.run.sample import Progress, Sample
from raresim.run.soundings import Sound, Sounded, Thin
from raresim.search.explorer import EvaluatePoints
from raresim.search.hits import Region
from raresim.shell import unfinished
from tests.statistical import assert_mean_is

FAR = 4.89
EXACT = 1.0 - stats.norm.cdf(FAR) ** 2
"""1.008e-6: of the smallest case."""


def steep(x):
    """Two planes at the same distance, the second five times as steep."""
    return np.maximum(x[:, 0] - FAR, 5.0 * (x[:, 1] - FAR))


def blind(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the first search of each run of `auto` see the flat plane alone; what an audit shows it, it looks at."""

    def look_for_regions(search: Any) -> None:
        search.walks = search.found = 4
        search.known.regions = [Region(FAR * np.eye(search.dim)[0], 0)]
        search.around(search.known.points)

    monkeypatch.setattr(auto_search.Search, "look_for_regions", look_for_regions)
    monkeypatch.setattr(auto_fits.Fits, "tilted", lambda *_: [])


def smallest(seed: int, **changes: Any) -> Experiment:
    """The smallest case, in ten dimensions."""
    given = {"measures": [Probability(above=0.0)], "stop": Stop(relative_error=0.05)} | changes
    return Experiment(inputs=StandardNormal(dim=10), loss=PythonLoss(function=steep), seed=seed, **given)


def rounds_of(result: raresim.Result) -> list[dict[str, Any]]:
    return result.search["rounds"]


# --- a region that was missed ------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.statistical(effect=0.3, false_fail=1e-7, false_pass=0.01)
def test_a_region_that_the_search_missed_is_found_and_estimated(seed, monkeypatch):
    """The first round reports a half, and its audit says so; the second the whole."""
    blind(monkeypatch)
    results = [smallest(seed(6000 + k)).run() for k in range(14)]
    repaired = [r for r in results if rounds_of(r)]
    assert len(repaired) >= 13
    first = np.array([rounds_of(r)[0]["values"][0] for r in repaired]) / EXACT
    assert np.median(first) == pytest.approx(0.5, abs=0.1)
    assert_mean_is([r.estimates[0].value / EXACT for r in repaired], 1.0)
    assert sum(r.verdict.status is Status.TRUSTED for r in repaired) >= len(repaired) - 2
    for r in repaired:
        assert any(
            "failing draws of the audit led to 1 new points of regions" in line for line in r.search["decisions"]
        )
        assert rounds_of(r)[0]["missed"] > 0
        assert sum(row.start == "audit" for row in r.iterations) == len(rounds_of(r))


def test_a_run_that_misses_nothing_has_one_round(seed):
    result = smallest(seed(6020)).run()
    assert rounds_of(result) == []
    assert "rounds" not in result.evaluations
    assert result.estimates[0].value == pytest.approx(EXACT, rel=0.3)


def test_a_method_that_cannot_search_again_has_one_round_and_says_what_is_missed(seed):
    """Half is missed, and the proposal was the user's."""
    method = Importance(proposal=Normal(mean=FAR * np.eye(10)[0], std=1.0))
    result = smallest(seed(6021), method=method).run()
    assert rounds_of(result) == []
    assert result.verdict.status is Status.UNTRUSTED
    assert result.estimates[0].value == pytest.approx(0.5 * EXACT, rel=0.3)


# --- what is fresh -----------------------------------------------------------------------------------


def test_estimate_and_audit_of_a_round_have_draws_of_their_own(seed, monkeypatch):
    """No stage is drawn from twice: not by searches, estimates or audits of all rounds."""
    blind(monkeypatch)
    stages: dict[str, list[int]] = {"search": [], "estimate": [], "soundings": [], "climbs": []}
    kinds = {"search": EvaluatePoints, "estimate": WeightedDraws, "soundings": Sound, "climbs": _AuditClimb}
    for name, job in kinds.items():
        original = job.__call__

        def call(self, block, name=name, original=original):
            stages[name].append(block.stage)
            return original(self, block)

        monkeypatch.setattr(job, "__call__", call)
    result = smallest(seed(6030)).run()
    n = 1 + len(rounds_of(result))
    assert n > 1
    assert len(set(stages["soundings"])) == len(set(stages["climbs"])) == n
    assert len(set(stages["estimate"])) == n
    for one, other in itertools.combinations(stages.values(), 2):
        assert not set(one) & set(other)


@pytest.mark.slow
def test_an_estimate_has_no_draw_of_an_earlier_round(seed, monkeypatch):
    """Its rows and hits are those of its own stage, though the proposal is fitted to all that was drawn before."""
    blind(monkeypatch)
    result = smallest(seed(6031)).run()
    assert rounds_of(result)
    log = [entry for entry in result.log if entry["event"] == "estimate"]
    assert len({entry["stage"] for entry in log}) == 1 + len(rounds_of(result))
    assert result.evaluations["estimate"] == result.estimates[0].diagnostics["rows"]
    last = max(entry["stage"] for entry in log)
    rows = sum(entry["rows"] for entry in log if entry["stage"] == last)
    assert result.evaluations["estimate"] == rows


def test_rounds_are_part_of_what_a_run_costs(seed, monkeypatch):
    """By the loss itself: every evaluation is in one stage, but those that look for noise."""
    blind(monkeypatch)
    rows: list[int] = []

    def counted(x):
        rows.append(len(x))
        return steep(x)

    result = dataclasses.replace(smallest(seed(6032)), loss=PythonLoss(function=counted)).run()
    spent = result.evaluations
    assert len(rounds_of(result)) >= 1
    assert spent["rounds"] == sum(r["estimate"] + r["audit"] for r in rounds_of(result))
    assert spent["total"] == sum(n for stage, n in spent.items() if stage != "total") == sum(rows) - ROWS_AGAIN
    assert sum(row.evaluations for row in result.iterations) == spent["tune"]


@pytest.mark.slow
def test_the_table_of_rounds_tells_how_each_ended(seed, monkeypatch):
    blind(monkeypatch)
    result = smallest(seed(6033)).run()
    for r in rounds_of(result):
        assert list(r) == ["values", "missed", "estimate", "audit"]
        assert len(r["values"]) == len(result.estimates)
        assert min(r["missed"], r["estimate"], r["audit"]) > 0


# --- how many, and whose verdict ---------------------------------------------------------------------


class Never(Auto):
    """A method whose search finds nothing new however often it is asked."""

    kind = "never"

    def tune(self, session):
        proposal = Normal(mean=FAR * np.eye(10)[0], std=1.0)
        tuned = Tuned(proposal, evaluations=100, starts=4, reached=4, regions=1, variances=(2.0,))
        return dataclasses.replace(tuned, again=lambda missed: self._again(tuned, 1))

    def _again(self, tuned, number):
        more = dataclasses.replace(tuned, evaluations=tuned.evaluations + 10 * number)
        return dataclasses.replace(more, again=lambda missed: self._again(tuned, number + 1))


def test_there_are_three_rounds_at_most(seed):
    result = smallest(seed(6040), method=Never()).run()
    assert len(rounds_of(result)) == MOST - 1 == 2
    assert result.evaluations["tune"] == 120
    assert result.verdict.status is Status.UNTRUSTED
    values = [*(r["values"][0] for r in rounds_of(result)), result.estimates[0].value]
    assert len(set(values)) == 3
    assert values == pytest.approx([0.5 * EXACT] * 3, rel=0.3)


@pytest.mark.parametrize("better", ["first", "last"])
def test_the_verdict_is_that_of_the_last_round(better, seed, monkeypatch):
    """Two rounds, of which one has a good audit; the first is judged only in that another follows."""
    audits: list[Audit] = []

    def audit(*arguments, **options):
        audits.append(found := whole(*arguments, **options))
        return found

    whole = path.audit
    monkeypatch.setattr(path, "audit", audit)

    class Turning(Never):
        kind = "turning"

        def tune(self, session):
            one = Normal(mean=FAR * np.eye(10)[0], std=1.0)
            two = Mixture(weights=[0.5, 0.5], components=(one, Normal(mean=FAR * np.eye(10)[1], std=1.0)))
            laws = (two, one) if better == "first" else (one, two)
            tuned = Tuned(laws[0], evaluations=100, starts=4, reached=4, regions=1, variances=(2.0,))
            return dataclasses.replace(tuned, again=lambda _: dataclasses.replace(tuned, proposal=laws[1]))

    force = np.zeros((1, 10))
    monkeypatch.setattr(
        path, "missed_by", lambda tuned, sample, audited, rounds, left, reserved: None if rounds else force
    )
    result = smallest(seed(6041), method=Turning()).run()
    assert len(audits) == 2
    last = audits[1].diagnostics(0)
    assert {k: v for k, v in result.estimates[0].diagnostics.items() if k in last} == last
    assert result.search["audit"] == audits[1].facts()
    assert result.evaluations["audit"] == audits[1].evaluations
    assert rounds_of(result)[0]["audit"] == audits[0].evaluations
    assert (result.verdict.status is Status.TRUSTED) is (better == "last")


def sounded(uncovered: float, *shares: float) -> Audit:
    """An audit whose soundings found draws at which a row would add these ``shares`` of the estimate."""
    thin = Thin(np.arange(2.0 * len(shares)).reshape(-1, 2), np.array(shares))
    seen = Sounded(
        1.0, 4.2, 40, 20, 2, 2, "all hits explained", 500, np.array([9]), np.zeros(1), np.full(1, 0.1),
        np.array([uncovered]), thin,
    )  # fmt: skip
    return Audit("quick", soundings=(seen,), signs=(1.0,), log_values=(0.0,), errors=(0.05,))


def rows_of(proposal: Any, n: int, seed: int) -> Sample:
    """The sample of ``n`` draws of ``proposal`` for the plane four away."""
    inputs = StandardNormal(dim=2)
    problem = Problem(inputs, PythonLoss(function=lambda x: x[:, 0] - 4.0).bind(inputs), "standard")
    session = Session(problem, [Event(0.0)], seed, Executor(), n, lambda *_: None)
    return estimate_stage(session, Tuned(proposal, variances=(2.0,)), Stop(max_evaluations=n))


def test_another_round_needs_a_method_a_finding_and_two_audits_of_budget(seed):
    tuned = Tuned(None, again=lambda _: tuned)
    sample = rows_of(Normal(mean=[4.0, 0.0], std=1.0), 2000, seed(6045))
    found = sounded(0.5, 0.9, 0.2, 0.05)
    repaired, on_the_way = Round((1.0,), 3, 100, 50), Round((1.0,), 0, 0, 50)
    assert missed_by(tuned, sample, found, (), 2000, 1000).tolist() == [[0.0, 1.0], [2.0, 3.0]]
    assert missed_by(tuned, sample, found, (repaired,), 2000, 1000) is not None
    assert missed_by(tuned, sample, found, (repaired, on_the_way), 2000, 1000) is not None
    assert missed_by(tuned, sample, found, (repaired, on_the_way, repaired), 2000, 1000) is None
    assert missed_by(tuned, sample, found, (), 1999, 1000) is None
    assert missed_by(dataclasses.replace(tuned, again=None), sample, found, (), 2000, 1000) is None
    for share, is_much in ((9e-13, False), (1e-12, True), (0.0, False), (math.nan, False)):
        assert (missed_by(tuned, sample, sounded(share, 0.9), (), 2000, 1000) is not None) is is_much
    assert missed_by(tuned, sample, Audit("quick", "it was switched off"), (), 2000, 1000) is None


def test_heavy_weights_ask_for_another_round_of_a_method_that_can_mend_them(seed):
    """The failing draws where a row would be heaviest begin it; settled weights and other methods have none."""
    settled = rows_of(Normal(mean=[4.0, 0.0], std=1.0), 2000, seed(6046))
    heavy = rows_of(Normal(mean=[4.0, 0.0], std=[1.0, 0.45]), 2000, seed(6047))
    assert weights_settled(settled.summary)
    assert not weights_settled(heavy.summary)
    found = sounded(0.0, 0.05, 0.01)
    mends = Tuned(None, again=lambda _: mends, mends=True)
    assert missed_by(mends, settled, found, (), 2000, 1000) is None
    assert missed_by(mends, heavy, found, (), 2000, 1000).tolist() == [[0.0, 1.0], [2.0, 3.0]]
    assert missed_by(dataclasses.replace(mends, mends=False), heavy, found, (), 2000, 1000) is None
    assert missed_by(mends, heavy, sounded(0.5, 0.9, 0.01), (), 2000, 1000).tolist() == [[0.0, 1.0]]


def test_the_estimate_after_heavy_weights_has_as_many_rows_at_least(seed, monkeypatch):
    """A smaller sample may pass because it has not met the tail."""
    narrow, wide = Normal(mean=[4.0, 0.0], std=[1.0, 0.45]), Normal(mean=[4.0, 0.0], std=1.0)

    class Mending(Never):
        kind = "mending"

        def tune(self, session):
            again = Tuned(wide, evaluations=200, starts=4, reached=4, regions=1, variances=(2.0,))
            return dataclasses.replace(again, proposal=narrow, variances=(40.0,), again=lambda _: again, mends=True)

    result = Experiment(
        inputs=StandardNormal(dim=2),
        loss=PythonLoss(function=lambda x: x[:, 0] - 4.0),
        measures=[Probability(above=0.0)],
        method=Mending(),
        stop=Stop(relative_error=0.1),
        seed=seed(6048),
    ).run()
    (first,) = rounds_of(result)
    assert first["estimate"] >= 4000
    assert result.evaluations["estimate"] >= first["estimate"]
    assert result.estimates[0].diagnostics["khat"] < 0.5
    assert result.estimates[0].value == pytest.approx(stats.norm.sf(4.0), rel=0.1)


def test_the_audit_of_another_round_has_what_the_last_one_took_held_back():
    found = sounded(0.5, 0.9)
    assert found.evaluations == 500
    assert reserved_next(40_000, found) == 625
    assert reserved_next(600, found) == 600


def test_an_estimate_holds_back_most_of_the_budget_once_in_each_round_that_another_may_follow():
    tuned = Tuned(None, again=lambda _: tuned)
    repaired, on_the_way = Round((1.0,), 3, 100, 50), Round((1.0,), 0, 0, 50)
    assert held_on_the_way(tuned, (), 10_000, 1000) == 7000
    assert held_on_the_way(tuned, (), 10_000, 8000) == 8000
    assert held_on_the_way(tuned, (on_the_way,), 10_000, 1000) == 1000
    assert held_on_the_way(tuned, (on_the_way, repaired), 10_000, 1000) == 7000
    assert held_on_the_way(tuned, (repaired, repaired), 10_000, 1000) == 1000
    assert held_on_the_way(dataclasses.replace(tuned, again=None), (), 10_000, 1000) == 1000


def test_a_round_keeps_what_came_out_of_it():
    tail = TailMoments.of_hits(1000, [np.log([2.0, 3.0]), np.empty(0)])
    sample = Sample(Summary(tail, None, None, 1000), (), 1, True)
    audited = Audit("quick", log_values=(0.0, 0.0))
    round_ = ended(sample, audited, np.zeros((7, 2)))
    assert round_ == Round((pytest.approx(0.005), 0.0), 7, 1000, 0)
    assert round_.evaluations == 1000
    assert ended(sample, audited, None) == Round((pytest.approx(0.005), 0.0), 0, 0, 0)
    assert json.loads(json.dumps(round_.facts())) == round_.facts()


@pytest.mark.parametrize("budget", [3000, 4500, 5000, 5500, 6000, 8000, 12_000])
@pytest.mark.slow_cases("5500", "6000", "12000", "8000")
def test_rounds_stay_within_the_budget(budget, seed, monkeypatch):
    """And where it does not pay for another one, the audit's finding stands."""
    blind(monkeypatch)
    result = smallest(seed(6042), stop=Stop(relative_error=0.05, max_evaluations=budget)).run()
    assert result.evaluations["total"] <= budget
    if result.verdict.status is Status.TRUSTED:
        assert rounds_of(result)
        assert result.estimates[0].value == pytest.approx(EXACT, rel=0.3)


@pytest.mark.slow
def test_a_search_that_may_take_nothing_more_ends_its_round(seed, monkeypatch):
    """The tuning has spent what it may: no climb from the failing draws and no row of the table, but an estimate."""
    whole, left = auto_search.Search.again, []

    def again(search, missed):
        search.session.max_evaluations = search.explorer.evaluations + 700
        search.session.reserved = 0
        left.append(search.limit - search.explorer.evaluations)
        return whole(search, missed)

    blind(monkeypatch)
    monkeypatch.setattr(auto_search.Search, "again", again)
    result = smallest(seed(6044)).run()
    assert max(left) <= 0
    assert rounds_of(result)
    assert "audit" not in [row.start for row in result.iterations]
    assert all(row.evaluations > 0 for row in result.iterations)


# --- an audit on the way -----------------------------------------------------------------------------

LONG = Stop(relative_error=0.004, max_evaluations=80_000)
"""An error for which the estimate takes more than three tenths of the budget."""


@pytest.mark.slow
def test_an_estimate_goes_on_after_an_audit_on_the_way(seed, monkeypatch):
    """Its rows are those of one stage, all of them count, and the audit is made anew at the end."""
    one = dataclasses.replace(smallest(seed(6070), stop=LONG), inputs=StandardNormal(dim=3))
    result = one.run()
    assert [(r["missed"], r["estimate"]) for r in rounds_of(result)] == [(0, 0)]
    assert result.evaluations["rounds"] == rounds_of(result)[0]["audit"] > 0
    assert result.evaluations["estimate"] == result.estimates[0].diagnostics["rows"] > 0.3 * 70_000
    assert len({entry["stage"] for entry in result.log if entry["event"] == "estimate"}) == 1
    assert result.estimates[0].value == pytest.approx(EXACT, rel=6 * result.estimates[0].relative_error)
    monkeypatch.setattr(rounds, "ON_THE_WAY", 1.0)
    whole = one.run()
    assert rounds_of(whole) == []
    assert whole.estimates[0].value == pytest.approx(result.estimates[0].value, rel=0.05)


@pytest.mark.slow
@pytest.mark.parametrize("budget", range(6000, 12_000, 1000))
@pytest.mark.parametrize("method", [Auto(), raresim.LineSampling(), raresim.CrossEntropy(samples=400)])
def test_an_audit_on_the_way_may_take_what_the_estimate_would_go_on_with(method, budget, seed):
    """The run then ends with the rows that it has, and is judged by that audit."""
    stop = Stop(relative_error=0.001, max_evaluations=budget)
    one = smallest(seed(6072), stop=stop, method=method, measures=[Probability(above=-1.0)])
    result = dataclasses.replace(one, inputs=StandardNormal(dim=3)).run()
    assert result.evaluations["estimate"] > 0
    assert result.evaluations["total"] <= 1.1 * budget


@pytest.mark.slow
def test_an_audit_on_the_way_that_finds_what_is_missed_saves_the_rest(seed, monkeypatch):
    """The first estimate has not taken more than its part, and the second one reaches the asked error."""
    blind(monkeypatch)
    result = smallest(seed(6071), stop=LONG).run()
    first = rounds_of(result)[0]
    assert first["missed"] > 0
    assert first["estimate"] <= 0.31 * 80_000
    assert result.estimates[0].value == pytest.approx(EXACT, rel=0.1)
    assert result.evaluations["total"] <= 80_000


# --- digits ------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_workers_change_no_digit_of_a_run_with_rounds(seed, monkeypatch):
    blind(monkeypatch)
    found = []
    for kind, workers in (("serial", 1), ("threads", 2)):
        with Executor.of(kind, workers) as executor:
            result = smallest(seed(6050)).run(executor)
        parts = result.to_dict()
        found.append({k: parts[k] for k in ("estimates", "search", "evaluations", "iterations", "verdict")})
    assert rounds_of(result)
    assert json.dumps(found[0], default=float) == json.dumps(found[1], default=float)


CONFIG = """\
seed: {seed}
inputs: {{kind: standard_normal, dim: 10}}
loss: {{kind: python, function: "steep.py:loss"}}
measures: [{{kind: probability, above: 0.0}}]
method: {{kind: auto}}
stop: {{relative_error: 0.05, max_evaluations: 200000}}
execution: {{executor: serial, workers: 1, checkpoint: 1000.0}}
"""

LOSS = f"""\
import numpy as np
def loss(x):
    return np.maximum(x[:, 0] - {FAR}, 5.0 * (x[:, 1] - {FAR}))
"""


@pytest.fixture
def case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: Any) -> Path:
    """A config of which the first round misses a region, and whose folders have no pictures."""
    monkeypatch.setattr("raresim.report.build", lambda folder: folder)
    blind(monkeypatch)
    (tmp_path / "steep.py").write_text(LOSS)
    (tmp_path / "case.yaml").write_text(CONFIG.format(seed=seed(6060)))
    return tmp_path / "case.yaml"


def run(path: Path, out: Path, report: Any = lambda *_: None) -> dict[str, Any]:
    content = unfinished.complete(configs.load(path), out, report).to_dict()
    return {key: value for key, value in content.items() if key != "seconds"}


class Stages:
    """Told the progress of a run; interrupts it at a report with a given number."""

    def __init__(self, stop: int = -1) -> None:
        self.told: list[str] = []
        self.stop = stop

    def __call__(self, stage: str, *_: Any) -> None:
        self.told.append(stage)
        if len(self.told) == self.stop:
            raise KeyboardInterrupt

    def ends_of(self, stage: str) -> list[int]:
        """Numbers of the last reports of each time that the run was in ``stage``."""
        numbers = range(1, len(self.told) + 1)
        is_in = [name == stage for name in self.told]
        return [k for k, now, then in zip(numbers, is_in, [*is_in[1:], False], strict=True) if now and not then]


@pytest.mark.slow
def test_a_run_that_is_interrupted_in_any_round_goes_on_to_the_same_digits(case: Path, tmp_path: Path) -> None:
    """In the first estimate, its audit, the second search, the second estimate and the last audit."""
    stages = Stages()
    whole = run(case, tmp_path / "whole", stages)
    assert len(whole["search"]["rounds"]) >= 1
    estimates, audits = stages.ends_of("estimate"), stages.ends_of("audit")
    assert len(estimates) == len(audits) == 1 + len(whole["search"]["rounds"])
    places = {estimates[0], audits[0], audits[0] + 3, (audits[0] + estimates[1]) // 2, estimates[1], audits[1]}
    for place in sorted(places):
        out = tmp_path / f"out-{place}"
        with pytest.raises(KeyboardInterrupt):
            run(case, out, Stages(place))
        assert run(case, out) == whole, f"interrupted at report {place} of {len(stages.told)}"


@pytest.mark.slow
def test_a_run_may_be_interrupted_in_every_round(case: Path, tmp_path: Path) -> None:
    stages = Stages()
    whole = run(case, tmp_path / "whole", stages)
    for place in (stages.ends_of("estimate")[0], stages.ends_of("audit")[0], stages.ends_of("estimate")[1]):
        with pytest.raises(KeyboardInterrupt):
            run(case, tmp_path / "out", Stages(place))
    assert run(case, tmp_path / "out") == whole


@pytest.mark.slow
def test_a_resumed_run_evaluates_no_row_of_its_first_round_again(case: Path, tmp_path: Path, monkeypatch: Any) -> None:
    """The search and the audits are in the journal, the estimates of the rounds in the state."""
    stages = Stages()
    whole = run(case, tmp_path / "whole", stages)
    with pytest.raises(KeyboardInterrupt):
        run(case, tmp_path / "out", Stages(stages.ends_of("estimate")[1]))
    state = unfinished.state_of(tmp_path / "out.partial")
    assert len(state.rounds) == 1
    assert state.rounds[0].audited >= 30
    rows = []
    original = PythonLoss.__call__

    def counted(self, x, out):
        rows.append(len(x))
        original(self, x, out)

    monkeypatch.setattr(PythonLoss, "__call__", counted)
    assert run(case, tmp_path / "out") == whole
    last = whole["evaluations"]
    assert sum(rows) <= last["estimate"] + last["audit"]


@pytest.mark.slow
def test_an_interrupted_round_says_which_rounds_were_before_it(case: Path, tmp_path: Path) -> None:
    stages = Stages()
    whole = run(case, tmp_path / "whole", stages)
    with pytest.raises(KeyboardInterrupt):
        run(case, tmp_path / "out", Stages(stages.ends_of("estimate")[1]))
    folder = unfinished.so_far(tmp_path / "out.partial")
    content = json.loads((folder / "result.json").read_text())
    assert content["search"]["rounds"] == json.loads(json.dumps(whole["search"]["rounds"][:1]))
    assert content["search"]["interrupted"] is True
    assert content["estimates"][0]["verdict"]["status"] != "trusted"
    assert content["evaluations"]["rounds"] == whole["evaluations"]["rounds"]


@pytest.mark.slow
def test_a_run_with_rounds_is_extended_in_its_last_one(case: Path, tmp_path: Path) -> None:
    """More draws of the last proposal; the rounds before stay as they were, and none of their losses is needed."""
    first = run(case, tmp_path / "first")
    config, finished = unfinished.extended(tmp_path / "first", 5_000)
    rows = []
    original = PythonLoss.__call__

    def counted(self, x, out):
        rows.append(len(x))
        original(self, x, out)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PythonLoss, "__call__", counted)
        more = unfinished.complete(config, tmp_path / "more", lambda *_: None, finished)
    assert sum(rows) == 5_000
    assert more.search["rounds"] == first["search"]["rounds"]
    assert more.evaluations["rounds"] == first["evaluations"]["rounds"]
    assert more.evaluations["estimate"] == first["evaluations"]["estimate"] + 5_000
    assert more.evaluations["tune"] == first["evaluations"]["tune"]
    assert more.search["audit"] == first["search"]["audit"]
    assert more.estimates[0].std_error < first["estimates"][0]["std_error"]
    assert more.estimates[0].value == pytest.approx(EXACT, rel=0.2)


@pytest.fixture
def long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: Any) -> Path:
    """A config whose estimate is audited on the way and goes on."""
    monkeypatch.setattr("raresim.report.build", lambda folder: folder)
    (tmp_path / "steep.py").write_text(LOSS)
    text = CONFIG.format(seed=seed(6080)).replace("dim: 10", "dim: 3")
    text = text.replace(
        "relative_error: 0.05, max_evaluations: 200000", "relative_error: 0.008, max_evaluations: 20000"
    )
    (tmp_path / "long.yaml").write_text(text)
    return tmp_path / "long.yaml"


@pytest.mark.slow
def test_an_estimate_that_is_interrupted_before_or_after_its_audit_on_the_way_goes_on(long, tmp_path) -> None:
    stages = Stages()
    whole = run(long, tmp_path / "whole", stages)
    assert [r["missed"] for r in whole["search"]["rounds"]] == [0]
    for place in (*stages.ends_of("estimate"), *stages.ends_of("audit")):
        out = tmp_path / f"out-{place}"
        with pytest.raises(KeyboardInterrupt):
            run(long, out, Stages(place))
        assert run(long, out) == whole, f"interrupted at report {place} of {len(stages.told)}"


@pytest.mark.slow
def test_an_estimate_that_was_audited_on_the_way_is_extended(long, tmp_path) -> None:
    """By as much as was asked for, after its last row; the audit on the way stays what it was."""
    first = run(long, tmp_path / "first")
    config, finished = unfinished.extended(tmp_path / "first", 5_000)
    rows = []
    original = PythonLoss.__call__

    def counted(self, x, out):
        rows.append(len(x))
        original(self, x, out)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PythonLoss, "__call__", counted)
        more = unfinished.complete(config, tmp_path / "more", lambda *_: None, finished)
    assert sum(rows) == 5_000
    assert more.search["rounds"] == first["search"]["rounds"]
    assert more.evaluations["estimate"] == first["evaluations"]["estimate"] + 5_000
    assert more.estimates[0].value == pytest.approx(EXACT, rel=0.05)


# --- the state ---------------------------------------------------------------------------------------


def progress(rows: int, audited: int | None = None) -> Progress:
    return Progress(plan(3, rows, 2), 0, None, 1, rows, audited=audited)


def test_rounds_survive_the_file_of_a_state() -> None:
    state = State({"config": {}}, 3, progress=progress(7), rounds=(progress(5, 30), progress(6, 40)))
    again = State.of_bytes(state.to_bytes())
    assert again.to_bytes() == state.to_bytes()
    assert [p.rows for p in again.rounds] == [5, 6]
    assert [p.audited for p in again.rounds] == [30, 40]
    assert again.progress.rows == 7
    assert State.of_bytes(State({"config": {}}).to_bytes()).rounds in ((), [])


def test_a_checkpoint_hands_each_round_its_own_progress(tmp_path: Path) -> None:
    """Those that are whole first; what is known of the one under way; nothing of one that has not begun."""
    before = State({}, 1, progress=progress(7), rounds=(progress(5, 30),))
    saved = Checkpoint(tmp_path / "checkpoint", {}, before=before)
    assert saved.begin_round(0) is before.rounds[0]
    saved.end_round(1)  # gone through again: it is known already
    assert saved.begin_round(1) is before.progress
    assert saved.rounds == before.rounds
    saved.keep(progress(9, 40))
    saved.end_round(2)
    assert [p.rows for p in saved.rounds] == [5, 9]
    assert saved.progress is None
    assert saved.begin_round(2) is None
    fresh = Checkpoint(tmp_path / "other", {})
    assert fresh.begin_round(0) is None
    assert (fresh.rounds, fresh.resumed) == ((), False)

"""Shares of limit states in the event of a system: against exact ones, in every output, and where there are none."""

from __future__ import annotations

import csv
import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats
from typer.testing import CliRunner

import raresim
from raresim import PythonLoss
from raresim.accumulators.failing_states import failing_states
from raresim.accumulators.tail import TailMoments
from raresim.losses.failures import collecting
from raresim.losses.noise import ROWS_AGAIN
from raresim.measures.limit_states import COLUMNS, share_of
from raresim.record.event import Event
from raresim.record.exhibits import Exhibit
from raresim.run.result import Result
from raresim.shell import cli
from tests.statistical import assert_count_at_least, assert_within_error

DISTANCES = np.array([2.5, 2.7, 3.0])
SLOPES = np.array([1.0, 5.0, 1e3])
UP = raresim.Probability(above=0.0)


def planes(x: Any) -> Any:
    return (x[:, :3] - DISTANCES) * SLOPES


def loss_of(system: Any = "any", **options: Any) -> PythonLoss:
    return PythonLoss(function=planes, limit_states=["a", "b", "c"], system=system, **options)


def estimate(
    system: Any = "any", method: Any = "crude", seed: int = 1, budget: int = 200_000, **options: Any
) -> Result:
    loss = options.pop("loss", None) or loss_of(system)
    measures = options.pop("measures", UP)
    return raresim.estimate(
        3, loss, measures, method, seed=1, relative_error=None, max_evaluations=budget, audit="off", **options
    )


def table(result: Result) -> Exhibit:
    (found,) = (exhibit for exhibit in result.exhibits if exhibit.name == "limit_states")
    return found


def cells(exhibit: Exhibit, column: str) -> dict[Any, Any]:
    place = COLUMNS.index(column)
    return {row[0]: row[place] for row in exhibit.rows}


def exact(least: int) -> tuple[dict[str, float], dict[str, float]]:
    """Shares, and the decisive part of each, of three independent limit states."""
    p = stats.norm.sf(DISTANCES)
    event, share, decisive = 0.0, np.zeros(3), np.zeros(3)
    for fails in itertools.product([0, 1], repeat=3):
        at = np.array(fails)
        chance = float(np.prod(np.where(at, p, 1.0 - p)))
        if at.sum() >= least:
            event += chance
            share += chance * at
            decisive += chance * at * (at.sum() == least)
    return tuple(dict(zip("abc", values / event, strict=True)) for values in (share, decisive))


def towards(corners: Any) -> raresim.Importance:
    """Draws around some points that are nearest to the origin, their coordinates 0 or the distances of the planes."""
    laws = [raresim.Normal(mean=np.array(corner) * DISTANCES, std=1.0) for corner in corners]
    return raresim.Importance(proposal=raresim.Mixture(weights=[1 / len(laws)] * len(laws), components=laws))


SINGLES, PAIRS = np.eye(3), 1.0 - np.eye(3)


@pytest.mark.statistical(effect=0.1, false_fail=6e-7, false_pass=1e-3)
@pytest.mark.parametrize("method", ["crude", towards(SINGLES), "auto"], ids=["crude", "importance", "auto"])
@pytest.mark.slow_cases("auto")
def test_shares_are_the_exact_ones(method: Any) -> None:
    """Shares, and decisive parts; 5 standard errors of each. The effect is a share of the event."""
    found = table(estimate(method=method, budget=400_000 if method == "crude" else 60_000))
    for column, truth in zip(("share", "decisive"), exact(1), strict=True):
        value, error = cells(found, column), cells(found, "std_error" if column == "share" else f"{column}_std_error")
        for name in "abc":
            assert_within_error(value[name], truth[name], error[name], scale=1.0)


@pytest.mark.statistical(effect=0.1, false_fail=6e-7, false_pass=1e-3)
def test_shares_of_two_that_fail_together() -> None:
    found = table(estimate({"at_least": 2}, towards(PAIRS), budget=60_000))
    for column, truth in zip(("share", "decisive"), exact(2), strict=True):
        value, error = cells(found, column), cells(found, "std_error" if column == "share" else f"{column}_std_error")
        for name in "abc":
            assert_within_error(value[name], truth[name], error[name], scale=1.0)


def test_where_all_have_to_fail_each_does() -> None:
    far = raresim.Importance(proposal=raresim.Normal(mean=2.5, std=1.0, dim=3))
    found = table(estimate("all", far, budget=2_000))
    for row in found.rows:
        assert row[2:10] == (1.0, 0.0, 1.0, 1.0) * 2


@pytest.mark.slow
@pytest.mark.statistical(effect=0.09, false_fail=3e-7, false_pass=1e-3)
@pytest.mark.parametrize("drawn", ["weighted", "counted"])
def test_intervals_of_shares_cover(drawn: str, seed: Any) -> None:
    """Of 1,000 samples of 2,000 draws, each share by itself; those of counts are exact."""
    truth, event, covered = list(exact(1)[0].values()), Event(0.0), np.zeros(3)
    rng = np.random.default_rng(seed(960))
    for _ in range(1_000):
        if drawn == "weighted":
            place = rng.integers(0, 3, 2_000)
            u = rng.standard_normal((2_000, 3)) + np.eye(3)[place] * DISTANCES
            log_weight = -np.log(np.exp(u * DISTANCES - 0.5 * DISTANCES**2).mean(axis=1))
        else:
            u, log_weight = rng.standard_normal((10_000, 3)), np.zeros(10_000)
        states = planes(u)
        inside = [states.max(axis=1) >= 0.0]
        whole = TailMoments.of_block(log_weight, inside)
        parts = failing_states([event], inside, log_weight, states, 1)
        shares = [share_of(whole, 0, parts, j, 0.95, 1.0) for j in range(3)]
        covered += [share.low <= at <= share.high for share, at in zip(shares, truth, strict=True)]
    for count in covered:
        assert_count_at_least(int(count), 1_000, 0.93)


def moments(log_weight: Any, fails: Any) -> tuple[TailMoments, TailMoments]:
    fails = np.asarray(fails, dtype=float)
    inside = [fails.max(axis=1) >= 1.0]
    return TailMoments.of_block(log_weight, inside), failing_states([Event(1.0)], inside, log_weight, fails, 1)


def test_a_share_is_a_ratio_of_weights_with_its_error() -> None:
    rng = np.random.default_rng(5)
    log_weight, fails = rng.normal(-20.0, 1.0, 400), rng.random((400, 3)) < [0.1, 0.2, 0.02]
    whole, parts = moments(log_weight, fails)
    weight, inside = np.exp(log_weight), fails.any(axis=1)
    alone = fails & (fails.sum(axis=1) == 1)[:, None]
    for j, part in enumerate([*fails.T, *alone.T]):
        share = share_of(whole, 0, parts, j, 0.95, 1.0)
        expected = weight[part].sum() / weight[inside].sum()
        influence = np.where(inside, weight * (part - expected), 0.0) / weight[inside].sum()
        assert share.value == pytest.approx(expected, rel=1e-12)
        assert share.std_error == pytest.approx(math.sqrt((influence**2).sum()), rel=1e-9)
        assert share.low < share.value < share.high
    wider = share_of(whole, 0, parts, 0, 0.95, 1.5)
    assert wider.low < share_of(whole, 0, parts, 0, 0.95, 1.0).low


def test_counts_give_the_exact_binomial_interval() -> None:
    fails = np.zeros((50, 2))
    fails[:20, 0], fails[15:40, 1] = 1.0, 1.0
    share = share_of(*_first(moments(np.zeros(50), fails)), 0.95, 1.0)
    exact_interval = stats.binomtest(20, 40).proportion_ci(0.95, "exact")
    np.testing.assert_allclose([share.low, share.high], exact_interval, rtol=1e-9)


def _first(both: tuple[TailMoments, TailMoments]) -> tuple[TailMoments, int, TailMoments, int]:
    return both[0], 0, both[1], 0


def test_what_all_hits_agree_on_is_bounded_from_one_side() -> None:
    fails = np.zeros((50, 2))
    fails[:30, 0] = 1.0
    whole, parts = moments(np.full(50, -3.0), fails)
    always, never = (share_of(whole, 0, parts, j, 0.95, 1.0) for j in (0, 1))
    bound = 1.0 - 0.05 ** (1 / 30)
    assert (always.value, always.high, never.value, never.low) == (1.0, 1.0, 0.0, 0.0)
    assert (1.0 - always.low, never.high) == (pytest.approx(bound), pytest.approx(bound))
    assert math.isnan(always.std_error)


def test_halves_merge_to_whole() -> None:
    rng = np.random.default_rng(6)
    log_weight, states = rng.normal(size=300), rng.normal(size=(300, 4)) - 1.0
    events, inside = [Event(0.0), Event(0.5)], [states.max(axis=1) >= t for t in (0.0, 0.5)]

    def part(rows: slice) -> TailMoments:
        return failing_states(events, [mask[rows] for mask in inside], log_weight[rows], states[rows], 1)

    whole, merged = part(slice(0, 300)), part(slice(0, 120)).merge(part(slice(120, 300)))
    assert (whole.n, whole.hits.tolist()) == (merged.n, merged.hits.tolist())
    for name in ("peak", "sum_w", "sum_w2", "sum_w_log"):
        np.testing.assert_allclose(getattr(whole, name), getattr(merged, name), rtol=1e-12, atol=1e-12)
    assert whole.hits.size == 2 * 2 * 4


def test_workers_do_not_change_a_digit() -> None:
    one, two = (table(estimate(workers=workers, budget=50_000)) for workers in (1, 2))
    assert one == two


@pytest.mark.parametrize("method", ["crude", "cross_entropy", "auto"])
@pytest.mark.slow_cases("auto")
def test_shares_cost_no_evaluation(method: str) -> None:
    rows = []

    def counted(x: Any) -> Any:
        rows.append(len(x))
        return planes(x)

    loss = PythonLoss(function=counted, limit_states=["a", "b", "c"])
    result = estimate(method=method, budget=20_000, loss=loss)
    assert sum(rows) == result.evaluations["total"] + ROWS_AGAIN
    assert len(table(result).rows) == 3


def test_each_threshold_has_its_rows() -> None:
    found = table(estimate(measures=raresim.Probability(above=[-0.5, 0.0])))
    assert [row[1] for row in found.rows] == [-0.5] * 3 + [0.0] * 3
    assert [plot.title for plot in found.plots] == [
        "Share of each limit state in P(loss >= -0.5)",
        "Share of each limit state in P(loss >= 0)",
    ]


def test_the_largest_share_comes_first() -> None:
    shares = [row[2] for row in table(estimate()).rows]
    assert shares == sorted(shares, reverse=True)


def test_a_row_that_fails_is_in_no_event() -> None:
    def partly(x: Any) -> Any:
        out = planes(x)
        out[x[:, 0] > 2.8] = np.nan
        return out

    with collecting():
        loss = PythonLoss(function=partly, limit_states=["a", "b", "c"], on_failure="bound")
        result = estimate(loss=loss)
    assert result.failed["rows"] > 0
    assert cells(table(result), "share")["a"] < cells(table(estimate()), "share")["a"]


NONE = "Shares are not available: they need single weighted draws, and the rows of"


@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("line_sampling", {}),
        ("directional_sampling", {}),
        ("subset_simulation", {}),
        ("auto", {"draws": "sobol"}),
        ("cross_entropy", {"draws": "antithetic"}),
    ],
)
@pytest.mark.slow_cases("auto-options3")
def test_rows_that_are_no_draws_say_that_there_are_no_shares(method: str, options: dict[str, str]) -> None:
    from raresim.registry import lookup

    made: Any = lookup("method", method)(**options)
    found = table(estimate(method=made, budget=30_000))
    assert found.rows == ()
    assert found.notes[0].startswith(f"{NONE} {method} with these options are not such draws. Use auto, ")


def test_a_value_at_risk_has_no_shares_and_says_what_to_ask() -> None:
    found = table(estimate(measures=[raresim.ValueAtRisk(level=0.99)]))
    assert found.rows == ()
    assert found.notes == ("VaR 99 % has no threshold that is known beforehand: ask for a probability there.",)


def test_an_event_without_a_hit_has_nothing_to_share() -> None:
    found = table(estimate(measures=raresim.Probability(above=9e3), budget=2_000))
    assert found.rows == ()
    assert found.notes == ("No draw reached the event, P(loss >= 9000): there is nothing to share.",)


def test_few_hits_are_read_with_caution() -> None:
    found = table(estimate(budget=2_000))
    assert any("effective hits: use more evaluations" in note for note in found.notes)
    assert found.status != "trusted"


def test_a_loss_without_limit_states_has_no_table() -> None:
    result = raresim.estimate(3, lambda x: x[:, 0], raresim.Probability(above=2.0), seed=1, relative_error=0.1)
    assert result.exhibits == ()


CONFIG = """\
seed: 1
inputs: {kind: standard_normal, dim: 3}
loss:
  kind: python
  function: desks.py:excess
  limit_states: [rates, fx, <b>credit]
  system: SYSTEM
measures: [{kind: probability, above: 0}]
method: METHOD
stop: {relative_error: null, max_evaluations: 30000}
audit: "off"
"""


def written(folder: Path, system: str = "any", method: str = "{kind: crude}") -> Path:
    (folder / "desks.py").write_text(
        "import numpy as np\ndef excess(x):\n    return (x - np.array([2.5, 2.7, 3.0])) * np.array([1.0, 5.0, 1e3])\n"
    )
    path = folder / "desks.yaml"
    path.write_text(CONFIG.replace("SYSTEM", system).replace("METHOD", method))
    return path


def call(*arguments: object) -> tuple[int, str]:
    done = CliRunner().invoke(cli.app, [*map(str, arguments)])
    return done.exit_code, done.output


@pytest.mark.slow
def test_a_run_from_the_shell_shows_shares_in_terminal_file_and_report(tmp_path: Path) -> None:
    out = tmp_path / "out"
    code, shown = call("run", written(tmp_path), "--out", out, "-q")
    assert code in (0, 10, 20)
    assert "Limit states in the event" in shown
    assert "limit_states.csv, 3 rows" in shown
    rows = list(csv.DictReader((out / "limit_states.csv").read_text(encoding="utf-8").splitlines()))
    assert tuple(rows[0]) == COLUMNS
    assert {row["limit_state"] for row in rows} == {"rates", "fx", "<b>credit"}
    assert all(float(row["lower"]) <= float(row["share"]) <= float(row["upper"]) for row in rows)
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "Limit states in the event" in page
    assert "&lt;b&gt;credit" in page
    assert "<b>credit" not in page
    assert 'id="term-limit-states"' in page
    assert "the event is that any of them reaches the threshold" in page
    assert (out / "figures" / "exhibit-limit_states-1.png").is_file()


@pytest.mark.slow
def test_a_run_that_is_extended_shares_as_if_it_had_been_longer(tmp_path: Path) -> None:
    path = written(tmp_path)
    assert call("run", path, "stop.max_evaluations=20000", "--out", tmp_path / "short", "-q")[0] in (0, 10, 20)
    assert call("extend", tmp_path / "short", "--budget", 10_000, "--out", tmp_path / "more", "-q")[0] in (0, 10, 20)
    assert call("run", path, "--out", tmp_path / "long", "-q")[0] in (0, 10, 20)
    more, long = ((tmp_path / name / "limit_states.csv").read_text() for name in ("more", "long"))
    assert more == long


@pytest.mark.parametrize(
    ("system", "message"),
    [
        ("most", "loss.system: must be 'any' or 'all' or a mapping, got the text 'most'"),
        ("{at_least: 4}", "loss.system: at_least must be at most the number of limit states, 3, got 4"),
        ("{at_last: 2}", "loss.system: unknown key 'at_last'; did you mean 'at_least'? (allowed: at_least)"),
        ("{at_least: two}", "loss.system.at_least: must be a whole number, got the text 'two'"),
    ],
)
def test_a_wrong_system_is_found_without_importing_the_loss(tmp_path: Path, system: str, message: str) -> None:
    path = written(tmp_path, system)
    (tmp_path / "desks.py").write_text("raise RuntimeError\ndef excess(x):\n    return x\n")
    code, shown = call("check", path)
    assert code == 2
    assert message in " ".join(shown.split())


def test_small_losses_are_refused_without_importing_the_loss(tmp_path: Path) -> None:
    path = written(tmp_path)
    path.write_text(path.read_text().replace("above: 0", "below: 0"))
    code, shown = call("check", path)
    assert code == 2
    assert "that fails at g <= 0, return -g and ask `above: 0`" in " ".join(shown.split())


def test_check_accepts_limit_states_and_shows_them_resolved(tmp_path: Path) -> None:
    code, shown = call("check", written(tmp_path, "{at_least: 2}"), "--show")
    assert code == 0
    assert "at_least: 2" in shown


def test_too_few_limit_states_end_the_run_as_a_fault_of_the_loss(tmp_path: Path) -> None:
    path = written(tmp_path, "{at_least: 4}")
    path.write_text(path.read_text().replace("[rates, fx, <b>credit]", "true"))
    code, shown = call("run", path, "--out", tmp_path / "out", "-q")
    assert code == 3
    assert "at_least must be at most the number of limit states, 3, got 4" in " ".join(shown.split())

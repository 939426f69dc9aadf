"""Soundings: what they find of regions that the estimate misses, and what they make of the probability."""

import dataclasses
import itertools
import json
import math

import numpy as np
import pytest
from scipy import stats

import raresim
from raresim import (
    Auto,
    CrossEntropy,
    Importance,
    LineSampling,
    Normal,
    Probability,
    PythonLoss,
    StandardNormal,
    SubsetSimulation,
)
from raresim.distributions.mixture import Mixture
from raresim.engine.executors import Executor
from raresim.engine.fold import Sampler
from raresim.engine.problem import Problem
from raresim.estimators.weighted_draws import WeightedDraws
from raresim.methods import auto_search
from raresim.numerics.blocks import Block
from raresim.record.event import Event
from raresim.record.verdict import Status
from raresim.run import soundings as module
from raresim.run.soundings import DRAWS, KEPT, Sound, _laws
from raresim.search.hits import Region, find_by_hits
from tests.helpers import draws, logpdf
from tests.problems import experiment, linear_normal, solve, two_sided
from tests.statistical import assert_count_at_least, assert_mean_is

FAR = 4.0
HALF = stats.norm.sf(FAR)
BOTH = 1.0 - (1.0 - HALF) ** 2


def steep(x):
    """Two planes four away; the second is five times as steep."""
    return np.maximum(x[:, 0] - FAR, 5.0 * (x[:, 1] - FAR))


def around(d, *axes):
    """A proposal with a component on each of these axes."""
    laws = tuple(Normal(mean=FAR * np.eye(d)[k], std=1.0) for k in axes)
    return laws[0] if len(laws) == 1 else Mixture(weights=np.full(len(laws), 1.0 / len(laws)), components=laws)


def sounding(loss, d, proposal, events, values, seed, rows=2000, most=1500, inputs=None, space="standard"):
    """What soundings of each side say of an estimate with these ``values`` from ``rows`` draws of ``proposal``."""
    inputs = inputs or StandardNormal(dim=d)
    problem = Problem(inputs, PythonLoss(function=loss).bind(inputs), space)
    job = WeightedDraws(Sampler(problem, proposal, seed), tuple(events))
    sides = tuple(sorted({e.sign for e, v in zip(events, values, strict=True) if v > 0}))
    logs = tuple(math.log(v) if v > 0 else -math.inf for v in values)
    sizes = tuple(math.log(rows) + log for log in logs)
    sound = Sound(problem, seed, job, tuple(events), sides, sizes, logs, most)
    return [sound(Block(7, k, k, 1)).seen[0] for k in range(len(sides))]


# --- what they find ----------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.statistical(effect=0.8, false_fail=1e-7, false_pass=0.1)
@pytest.mark.parametrize("d", [2, 10, 40])
def test_an_estimate_that_misses_one_of_two_unlike_planes_is_flagged(d, seed):
    """The flat plane of the pair is missed, then the steep one. The missed part is as large as the estimate."""
    flagged = 0
    for axis in (0, 1):
        found = [
            sounding(steep, d, around(d, axis), [Event(0.0)], [HALF], seed(5400 + k), most=1500 + 20 * d)[0]
            for k in range(30)
        ]
        flagged += sum(s.uncovered[0] > 0.2 for s in found)
        shares = [s.uncovered[0] for s in found if s.regions == 2]
        assert np.mean(shares) == pytest.approx(1.0, abs=0.3)
        for s in found:
            if s.regions == 2:
                assert 0 < len(s.thin.missed) <= len(s.thin.u) <= KEPT
                missed = s.thin.missed[:, 1 - axis] - s.thin.missed[:, axis]
                assert np.mean(missed > 0) > 0.9
    assert_count_at_least(flagged, 60, 0.95)


@pytest.mark.parametrize("d", [2, 10, 40])
def test_an_estimate_that_draws_both_is_not(d, seed):
    for k in range(20):
        (s,) = sounding(steep, d, around(d, 0, 1), [Event(0.0)], [BOTH], seed(5500 + k), most=1500 + 20 * d)
        assert s.uncovered[0] < 0.01
        assert len(s.thin.missed) == 0 or s.uncovered[0] > 0


@pytest.mark.slow
@pytest.mark.statistical(effect=0.2, false_fail=2e-7, false_pass=1e-3)
def test_soundings_estimate_the_probability(seed):
    """From the draws around the points, whatever the estimate is; its own error is about the spread."""
    found = [sounding(steep, 5, around(5, 0), [Event(0.0)], [HALF], seed(5600 + k))[0] for k in range(120)]
    whole = [s for s in found if s.regions == 2]
    assert len(whole) > 110
    ratios = np.array([math.exp(s.log_probability[0]) for s in whole]) / BOTH
    assert_mean_is(ratios, 1.0)
    errors = np.array([s.relative_error[0] for s in whole])
    assert np.median(errors) == pytest.approx(ratios.std(), rel=0.35)
    assert np.mean([s.failing[0] / (DRAWS * s.regions) for s in whole]) > 0.4


@pytest.mark.parametrize("which", [0, 1])
def test_each_side_has_soundings_of_its_own(which, seed):
    """``loss <= -4`` and ``loss >= 4``, each asked of a proposal that draws one of the two alone."""

    def loss(x):
        return x[:, 0] + 0.0 * x[:, 1]

    proposal = Normal(mean=[FAR if which else -FAR, 0.0], std=1.0)
    events = [Event(FAR), Event(-FAR, "below")]
    below, above = sounding(loss, 2, proposal, events, [HALF, HALF], seed(5700))
    assert (below.sign, above.sign) == (-1.0, 1.0)
    assert math.isnan(below.uncovered[0])
    assert math.isnan(above.uncovered[1])
    assert (below.failing[0], above.failing[1]) == (0, 0)
    shares = [below.uncovered[1], above.uncovered[0]]
    assert shares[which] == 0.0
    assert shares[1 - which] > 0.25
    assert all(np.sign(below.thin.missed[:, 0]) == -1) if which else all(np.sign(above.thin.missed[:, 0]) == 1)
    (alone,) = sounding(loss, 2, proposal, events, [HALF, 0.0], seed(5701))
    assert alone.sign == 1.0


def test_every_event_is_counted_and_weighed_by_itself(seed):
    """The regions are looked for at the rarest; easier events have more failing draws, and more probability."""
    events = [Event(-1.0), Event(-0.5), Event(0.0)]
    exact = [1.0 - (1.0 - stats.norm.sf(FAR + t)) * (1.0 - stats.norm.sf(FAR + t / 5.0)) for t in (-1.0, -0.5, 0.0)]
    (s,) = sounding(steep, 3, around(3, 0, 1), events, exact, seed(5710))
    assert s.failing[0] > s.failing[1] > s.failing[2] > 0
    assert s.log_probability[0] > s.log_probability[1] > s.log_probability[2]
    assert math.exp(s.log_probability[2]) == pytest.approx(exact[2], rel=0.7)
    assert s.failing.dtype == np.int64


def test_draws_that_another_round_begins_with_are_in_the_rarest_event(seed):
    """The easier of two events is missed as well; a search for the rarer one cannot begin outside it."""
    events = [Event(-3.0), Event(0.0)]
    exact = [1.0 - (1.0 - stats.norm.sf(FAR + t)) * (1.0 - stats.norm.sf(FAR + t / 5.0)) for t in (-3.0, 0.0)]
    for k in range(5):
        (s,) = sounding(steep, 3, around(3, 0), events, exact, seed(5720 + k))
        assert len(s.thin.missed)
        assert steep(s.thin.missed).min() >= 0.0


def test_an_event_that_the_estimate_has_not_seen_is_not_asked_about(seed):
    (s,) = sounding(steep, 3, around(3, 0, 1), [Event(0.0), Event(50.0)], [BOTH, 0.0], seed(5730))
    assert s.failing[1] == 0
    assert math.isnan(s.uncovered[1])
    assert s.log_probability[1] == -math.inf
    assert s.failing[0] > 0


def test_where_nothing_is_hit_nothing_is_said(seed):
    (s,) = sounding(lambda x: x[:, 0], 3, around(3, 0), [Event(60.0)], [1e-300], seed(5740))
    assert (s.hits, s.regions, s.failing[0], s.ended) == (0, 0, 0, "no hit")
    assert s.thin.u.shape == (0, 3)
    assert math.isnan(s.uncovered[0])
    assert (s.log_probability[0], s.relative_error[0]) == (-math.inf, math.inf)


def test_what_is_uncovered_is_a_share_of_the_estimate(seed):
    """Beside an estimate ten times too large, or too small, the same missed half is a tenth, or ten times as much."""
    shares = [
        sounding(steep, 3, around(3, 0), [Event(0.0)], [HALF * f], seed(5750), rows=round(2000 / f))[0].uncovered[0]
        for f in (0.1, 1.0, 10.0)
    ]
    assert shares[0] == pytest.approx(10.0 * shares[1], rel=0.1)
    assert shares[2] == pytest.approx(0.1 * shares[1], rel=0.1)


@pytest.mark.parametrize("space", ["standard", "physical"])
def test_the_proposal_is_asked_in_its_own_space(space, seed):
    """Inputs of mean 1 and standard deviation 2: one half is missed, or none, in both spaces."""
    inputs = Normal(mean=[1.0, 1.0], std=2.0)

    def loss(x):
        return steep((x - 1.0) / 2.0)

    for axes, is_missed in (((0,), True), ((0, 1), False)):
        proposal = around(2, *axes)
        if space == "physical":
            laws = tuple(Normal(mean=1.0 + 2.0 * FAR * np.eye(2)[k], std=2.0) for k in axes)
            proposal = laws[0] if len(laws) == 1 else Mixture(weights=[0.5, 0.5], components=laws)
        value = HALF if is_missed else BOTH
        (s,) = sounding(loss, 2, proposal, [Event(0.0)], [value], seed(5760), inputs=inputs, space=space)
        assert s.regions == 2
        assert s.uncovered[0] > 0.5 if is_missed else s.uncovered[0] < 0.01
        if is_missed:
            assert (s.thin.missed[:, 1] > 2.0).all()  # in standard normal space


# --- the arithmetic ----------------------------------------------------------------------------------


@pytest.mark.statistical(effect=0.25, false_fail=3e-7, false_pass=1e-3)
def test_draws_around_points_weigh_to_the_probability(seed):
    """For half-spaces beyond, on and before the points, and one between them: a mixture, weighed as one law."""
    law = _laws([Region(np.array([3.0, 0.0, 0.0])), Region(np.array([0.0, 3.5, 0.0]))])
    direction = np.array([1.0, 1.0, 0.0]) / math.sqrt(2.0)
    u = draws(law, 400_000, seed(5770))
    weight = np.exp(stats.norm.logpdf(u).sum(axis=1) - logpdf(law, u))
    exact = [stats.norm.sf(3.2), stats.norm.sf(3.5), stats.norm.sf(3.5)]
    for hit, truth in zip((u[:, 0] >= 3.2, u[:, 1] >= 3.5, u @ direction >= 3.5), exact, strict=True):
        assert_mean_is(weight * hit / truth, 1.0)


@pytest.mark.statistical(effect=0.05, false_fail=2e-7, false_pass=1e-3)
def test_a_region_that_bends_is_drawn_beyond_its_sphere(seed):
    """Beside a plane: both are weighed to their probabilities."""
    bent = Region(np.array([0.0, 4.0, 0.0, 0.0]), sphere=(np.eye(4)[:, 1:3], 4.0))
    law = _laws([Region(np.array([4.0, 0.0, 0.0, 0.0])), bent])
    u = draws(law, 200_000, seed(5780))
    weight = np.exp(stats.norm.logpdf(u).sum(axis=1) - logpdf(law, u))
    assert_mean_is(weight * (np.linalg.norm(u[:, 1:3], axis=1) >= 4.0) / stats.chi.sf(4.0, 2), 1.0)
    assert_mean_is(weight * (u[:, 0] >= 4.0) / stats.norm.sf(4.0), 1.0)


def test_half_of_the_draws_begin_at_the_plane_and_half_lie_around_the_point(seed):
    point = np.array([0.0, 0.0, -6.0])
    beyond, around_it = _laws([Region(point)]).components
    u = draws(beyond, 1000, seed(5790))
    assert (u[:, 2] <= -6.0 + module.BEFORE + 1e-9).all()
    assert u[:, 2].mean() == pytest.approx(-5.86, abs=0.1)
    assert draws(around_it, 1000, seed(5791)).mean(axis=0) == pytest.approx(point, abs=0.3)


def test_what_was_evaluated_is_counted(seed):
    """By the loss itself: the draws, the climbs, and those around the points."""
    rows = []

    def counted(x):
        rows.append(len(x))
        return steep(x)

    (s,) = sounding(counted, 4, around(4, 0), [Event(0.0)], [HALF], seed(5800))
    assert s.evaluations == sum(rows)
    assert rows[-1] == DRAWS * s.regions


# --- in a run ----------------------------------------------------------------------------------------


def check(result, name, k=0):
    return next(c for c in result.estimates[k].verdict.checks if c.name == name)


@pytest.mark.parametrize(
    ("method", "name"),
    [
        (Importance(proposal=around(3, 0)), "stated"),
        (Importance(proposal=around(3, 0), defensive=0.1), "defensive"),
        (LineSampling(direction=[1.0, 0.0, 0.0]), "lines"),
    ],
    ids=lambda x: x if isinstance(x, str) else "",
)
@pytest.mark.slow_cases("-lines")
def test_a_run_that_draws_one_of_two_planes_is_not_trusted(method, name, seed):
    """By its weights, and by the climbs of most runs, it is as good as can be."""
    for k in range(4):
        result = raresim.estimate(3, steep, Probability(above=0.0), method, seed=seed(5810 + k), relative_error=0.05)
        assert result.verdict.status is not Status.TRUSTED
        (sounded,) = result.search["audit"]["soundings"]
        if sounded["regions"] == 2 and name != "lines":
            assert check(result, "soundings").status is Status.UNTRUSTED


@pytest.mark.slow
@pytest.mark.parametrize("method", [Auto(), CrossEntropy(), LineSampling()], ids=lambda m: m.kind)
def test_a_run_that_draws_both_passes_its_soundings(method, seed):
    results = [
        raresim.estimate(3, steep, Probability(above=0.0), method, seed=seed(5820 + k), relative_error=0.05)
        for k in range(5)
    ]
    right = [r for r in results if r.estimates[0].value > 0.8 * BOTH]
    assert len(right) >= 4
    assert sum(check(r, "soundings").status is Status.TRUSTED for r in right) >= len(right) - 1
    assert all(check(r, "soundings_level").status is Status.TRUSTED for r in right)


@pytest.mark.slow
def test_replicates_that_miss_the_steep_plane_are_flagged(seed):
    """Twenty times as steep, and a little farther: climbs of the estimate mostly end at the other one."""

    def loss(x):
        return np.maximum(x[:, 0] - 4.0, 20.0 * (x[:, 1] - 4.2))

    exact = stats.norm.sf(4.0) + stats.norm.sf(4.2)
    options = {"relative_error": 0.05, "max_evaluations": 100_000}
    results = [
        raresim.estimate(2, loss, Probability(above=0.0), SubsetSimulation(), seed=seed(5830 + k), **options)
        for k in range(12)
    ]
    missing = [r for r in results if r.estimates[0].value < 0.8 * exact]
    assert len(missing) > 3
    assert all(check(r, "soundings").value is not None for r in results)
    assert all(r.verdict.status is not Status.TRUSTED for r in missing)


def test_the_asked_error_changes_nothing_of_the_soundings(seed):
    """The same draws, hits and regions at 1 % and 10 %, and climbs that are never smaller than the least."""
    method = Importance(proposal=around(5, 0, 1))
    results = [
        raresim.estimate(5, steep, Probability(above=0.0), method, seed=seed(5840), relative_error=error)
        for error in (0.01, 0.1)
    ]
    one, other = (r.search["audit"]["soundings"] for r in results)
    assert one == other
    table = [next(t for t in r.trace.tables if t.title.startswith("Audit: soundings")) for r in results]
    assert table[0].rows[0][:-1] == table[1].rows[0][:-1]
    assert results[0].evaluations["estimate"] > 4 * results[1].evaluations["estimate"]
    assert min(r.search["audit"]["samples"] for r in results) >= 30


def test_soundings_draw_from_a_stream_that_no_search_has(seed, monkeypatch):
    """The state of the generator with which each look for hits begins: the audit's differs from the search's."""
    states = {"search": [], "audit": []}

    def told(kind):
        def find(evaluate, dim, goal, rng, *arguments, **options):
            states[kind].append(json.dumps(rng.bit_generator.state, default=str))
            return find_by_hits(evaluate, dim, goal, rng, *arguments, **options)

        return find

    monkeypatch.setattr(auto_search, "find_by_hits", told("search"))
    monkeypatch.setattr(module, "find_by_hits", told("audit"))
    result = raresim.estimate(5, steep, Probability(above=0.0), seed=seed(5850), relative_error=0.05)
    assert len(states["search"]) == len(states["audit"]) == 1 + len(result.search["rounds"])
    every = [*states["search"], *states["audit"]]
    assert len(set(every)) == len(every)


def test_soundings_begin_from_nothing(seed, monkeypatch):
    """What the search knows of regions is not told to the audit."""
    known = []

    def told(evaluate, dim, goal, rng, hits, most=math.inf, known_=(), *arguments, **options):
        known.extend(known_)
        assert "known" not in options
        return find_by_hits(evaluate, dim, goal, rng, hits, most, known_, *arguments, **options)

    monkeypatch.setattr(module, "find_by_hits", told)
    raresim.estimate(5, steep, Probability(above=0.0), seed=seed(5851), relative_error=0.05)
    assert known == []


@pytest.mark.slow
def test_workers_change_no_digit_of_the_soundings(two_processes, seed):
    one = experiment(two_sided(3, 4.0), seed(5860), relative_error=0.05)
    stored = []
    with Executor.of("threads", 2) as two_threads:
        for executor in (None, two_threads, two_processes):
            result = dataclasses.replace(one, loss=two_sided(3, 4.0).loss).run(executor)
            found = {k: v for e in result.estimates for k, v in e.diagnostics.items() if k.startswith("soundings")}
            stored.append(json.dumps([result.search["audit"]["soundings"], found, result.evaluations], default=float))
    assert stored[0] == stored[1] == stored[2]


def test_what_is_stored_of_soundings_is_what_they_said(seed):
    result = solve(linear_normal(3, 4.0), seed(5870), relative_error=0.05)
    (stored,) = result.search["audit"]["soundings"]
    assert list(stored) == ["width", "draws", "hits", "regions", "climbs", "ended"]
    d = result.estimates[0].diagnostics
    assert [d[f"soundings_{key}"] for key in ("width", "draws", "hits", "regions")] == list(stored.values())[:4]
    assert d["soundings_uncovered"] == 0.0
    assert 0 < d["soundings_failing"] <= DRAWS * stored["regions"]
    assert abs(d["soundings_log_ratio"]) < 5.0 * d["soundings_error"]


@pytest.mark.parametrize("budget", range(5000, 10_000, 1000))
@pytest.mark.parametrize("method", [LineSampling(), Importance(proposal=around(3, 0, 1))], ids=lambda m: m.kind)
def test_soundings_do_not_spend_what_is_not_there(method, budget, seed):
    """Many regions, lines through failing draws, an error that is never reached: the budget holds it all.

    The cost of a line through a draw is known only on average, and some lines in other cones are made with the first.
    """

    def many(x):
        return np.maximum(np.abs(x).max(axis=1) - FAR, 3.0 * (x.sum(axis=1) / math.sqrt(3.0) - FAR))

    options = {"relative_error": 0.001, "max_evaluations": budget}
    result = raresim.estimate(3, many, Probability(above=0.0), method, seed=seed(5880), **options)
    over = 1.1 if method.kind == "line_sampling" else 1.0
    assert result.evaluations["total"] <= over * budget


def test_an_audit_of_two_sides_is_paid_for(seed):
    """What is held back is enough for soundings of both sides, where the estimate takes all that it may."""
    measures = [Probability(above=4.0), Probability(below=-4.0)]
    both = Mixture(weights=[0.5, 0.5], components=(Normal(mean=[2.3] * 3), Normal(mean=[-2.3] * 3)))
    one = dataclasses.replace(
        experiment(linear_normal(3, 4.0), seed(5890), method=Importance(proposal=both), relative_error=1e-4),
        measures=measures,
    )
    result = dataclasses.replace(one, stop=raresim.Stop(relative_error=1e-4, max_evaluations=24_000)).run()
    assert [s["hits"] > 0 for s in result.search["audit"]["soundings"]] == [True, True]
    assert all(check(result, "soundings", k).status is Status.TRUSTED for k in range(2))


def test_two_orders_of_events_give_the_same_numbers(seed):
    events, values = [Event(-0.5), Event(0.0)], [3e-4, BOTH]
    found = []
    for order in itertools.permutations(range(2)):
        (s,) = sounding(steep, 3, around(3, 0), [events[k] for k in order], [values[k] for k in order], seed(5900))
        found.append([(s.failing[order.index(k)], s.log_probability[order.index(k)]) for k in range(2)])
    assert found[0] == found[1]

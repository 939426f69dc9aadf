"""The study of stepped losses: exact answers of its problems, its table, and when its short version fails."""

import importlib
import math
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

STUDIES = Path(__file__).parents[2] / "experiments"
NAMES = ("problems", "targets", "runs", "rows", "steps")


def module():
    """The study, without leaving the names of its files behind."""
    hidden = {name: sys.modules.pop(name) for name in NAMES if name in sys.modules}
    before = list(sys.path)
    sys.path[:0] = [str(STUDIES / "trust"), str(STUDIES / "methods")]
    try:
        return importlib.import_module("steps")
    finally:
        sys.path[:] = before
        for name in NAMES:
            sys.modules.pop(name, None)
        sys.modules.update(hidden)


steps = module()


def a_run(seed=1, ratio=1.0, missed=0, verdict="trusted", method="line_sampling", problem="RINGS-4"):
    return steps.Run(method, problem, seed, ratio, 0.05, missed, 10_000, 0.1, verdict, "")


def test_there_are_eight_problems_of_each_kind():
    kinds = [case.kind for case in steps.CASES.values()]
    assert (kinds.count("stepped"), kinds.count("smooth")) == (8, 8)
    assert all(1e-5 < case.exact < 1e-3 for case in steps.CASES.values())


@pytest.mark.parametrize("case", steps.CASES.values(), ids=lambda case: case.id)
@pytest.mark.slow
def test_answers_are_those_of_many_draws(case):
    """A million draws, one seed, five errors."""
    rng, n, hits = np.random.default_rng(11), 1_000_000, 0
    for _ in range(n // 20_000):
        u = np.asfortranarray(rng.standard_normal((20_000, case.inputs.latent_dim)))
        x = case.inputs.to_physical(u, np.empty((20_000, case.inputs.dim), order="F"))
        hits += int((case.loss(x) >= case.threshold).sum())
    assert abs(hits - n * case.exact) < 5.0 * math.sqrt(n * case.exact) + 3.0


@pytest.mark.slow
def test_defaults_have_the_law_of_another_formula():
    ones = np.ones(30)
    assert steps.beyond_defaults(2.0, ones, 9) == pytest.approx(steps.beyond_defaults_alike(2.0, 30, 9), rel=1e-9)
    assert steps.beyond_bowl(3.0, 3, 0.0) == pytest.approx(stats.norm.sf(3.0), rel=1e-9)


def test_staircases_have_steps_and_the_others_none():
    """The losses of half of the problems take few values along a line."""
    rng = np.random.default_rng(12)
    for case in steps.CASES.values():
        start, way = rng.standard_normal((2, case.inputs.latent_dim))
        u = np.asfortranarray(start + np.linspace(-3.0, 3.0, 1_001)[:, None] * way)
        x = case.inputs.to_physical(u, np.empty((1_001, case.inputs.dim), order="F"))
        assert (np.unique(case.loss(x)).size < 300) == (case.kind == "stepped"), case.id


def test_a_run_is_a_row_that_is_read_back(tmp_path):
    run = steps.run_one(("subset_simulation", "CORNER-2", 1))
    assert run.verdict in {"trusted", "caution"}
    assert 0.5 < run.ratio < 2.0
    steps.rows.save([run], tmp_path)
    (back,) = steps.rows.read(steps.Run, [steps.FILE], tmp_path).values()
    assert back.key == run.key
    assert back.ratio == pytest.approx(run.ratio, rel=1e-5)


def test_short_version_fails_on_intervals_that_miss_and_on_no_trust():
    held = [a_run(seed) for seed in range(60)]
    assert list(steps.check(held)) == [
        "line_sampling: 60 of 60 runs are trusted, 60 of their intervals hold the answer"
    ]
    missed = [replace(run, missed=1) if run.seed < 20 else run for run in held]
    with pytest.raises(SystemExit, match=r"^40 of 60 trusted intervals of line_sampling hold"):
        list(steps.check(missed))
    with pytest.raises(SystemExit, match=r"^none of 60 runs of line_sampling is trusted"):
        list(steps.check([replace(run, verdict="caution") for run in held]))
    with pytest.raises(SystemExit, match=r"^line_sampling on RINGS-4, seed 3: "):
        list(steps.check([*held, a_run(3, verdict="failed")]))


def test_table_counts_misses_on_their_side_and_leaves_exact_cells_out_of_the_sums():
    inexact = [a_run(seed, ratio=1.0 + 0.01 * seed, missed=int(seed == 9)) for seed in range(10)]
    exact = [a_run(seed, problem="BOTH-10") for seed in range(10)]
    page = steps.page([*inexact, *exact])
    assert "| line_sampling | smooth | 10 | 100.0 | 0 | 90.0 (55.5 to 99.7) | 1 / 0 | 1.045 | 10,000 | 0.10 |" in page
    assert "| line_sampling | BOTH-10 | smooth, exact | 10 |" in page

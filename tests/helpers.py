"""Assertions and shortcuts that every test may use; nothing here knows a particular problem."""

import functools
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from raresim import registry
from raresim.accumulators.tail import TailMoments
from raresim.engine.executors import Executor
from raresim.engine.problem import Problem
from raresim.engine.session import Session
from raresim.measures.intervals import log_scale
from raresim.numerics.streams import stream
from tests.statistical import assert_count_at_least, assert_spread_is

ROOT = Path(__file__).parents[1]


def runs_of(method, evaluate, thresholds, seed, n, d=3):
    """``n`` independent runs of a population method in ``d`` dimensions."""
    thresholds = np.atleast_1d(np.asarray(thresholds, dtype=float))
    return [method.run(evaluate, d, thresholds, stream(seed, 0, r), 10**9) for r in range(n)]


def assert_intervals_of_replicates_cover(values, exact, coverage):
    """Rows of ``values`` (intervals, replicates) each give a 95 % interval: it covers, and its error is the spread."""
    repeats, replicates = values.shape
    tails = [TailMoments.of_hits(replicates, [np.log(row[row > 0])]) for row in values]
    estimates = np.exp([tail.log_probability(0) for tail in tails])
    errors = np.array([tail.relative_error(0) for tail in tails])
    intervals = [log_scale(v, e, 0.95, replicates - 1) for v, e in zip(estimates, errors, strict=True)]
    assert_count_at_least(sum(low <= exact <= high for low, high in intervals), repeats, coverage)
    assert_spread_is(estimates / exact, math.sqrt(np.mean(errors**2)))


def examples(family):
    """Every example of every registered member of ``family``, as pytest parameters."""
    return [
        pytest.param(example, id=f"{kind}-{k}")
        for kind, cls in registry.members(family).items()
        for k, example in enumerate(_examples_of(cls))
    ]


@functools.cache
def _examples_of(cls):
    """Made once in a process: some are fitted to data, and others compute tables that they keep."""
    return tuple(cls.examples())


def block(n, d, fill=np.nan):
    """A block-shaped array, ``(n, d)`` in Fortran order."""
    return np.full((n, d), fill, order="F")


def draws(law, n, seed, index=0):
    """``n`` draws of ``law`` from a stream of its own."""
    x = block(n, law.dim)
    law.sample(stream(seed, 0, index), x)
    return x


def logpdf(law, x):
    """Log density of ``law`` at the rows of ``x``."""
    out = np.full(len(x), np.nan)
    law.logpdf(np.asfortranarray(x, dtype=float), out)
    return out


def losses(loss, x):
    """A bound ``loss`` of the rows of ``x``."""
    out = np.full(len(x), np.nan)
    loss(np.asfortranarray(x, dtype=float), out)
    return out


def normals(n, d, seed):
    """``(n, d)`` standard normals in Fortran order that do not come from raresim."""
    return np.asfortranarray(np.random.default_rng(seed).standard_normal((n, d)))


def python(code, *arguments, cwd=ROOT):
    """Run ``code`` in a fresh interpreter that finds raresim and the tests; its output, stripped."""
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def session_of(problem: Problem, executor: Executor | None = None, seed: int = 1) -> Session:
    """A session with a budget that no test spends, which tells nobody of its progress."""
    return Session(problem, [], seed, executor or Executor(), 10**6, lambda *_: None)

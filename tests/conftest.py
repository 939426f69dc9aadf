"""Seeds of the whole suite, literal in the tests, shifted together by ``--reseed N``; examples that Hypothesis tries.

``HYPOTHESIS_PROFILE=nightly pytest`` (or ``--hypothesis-profile nightly``) tries 5,000 new examples of each property;
without it, the same 100 each time.
"""

import os
from contextlib import nullcontext

import pytest
from hypothesis import settings

from tests.statistical import declared

COLLECTED, RATES = pytest.StashKey(), pytest.StashKey()
"""The files of a run, and how many of their tests declare a rate of false failures, with the sum of these rates."""

settings.register_profile("fixed", derandomize=True, deadline=None, max_examples=100)
settings.register_profile("reseeded", deadline=None, max_examples=100)
settings.register_profile("nightly", deadline=None, max_examples=5000)


def pytest_addoption(parser):
    parser.addoption("--reseed", type=int, default=0, metavar="N", help="shift every seed by N million")


def pytest_configure(config):
    asked = config.getoption("--hypothesis-profile") or os.environ.get("HYPOTHESIS_PROFILE")
    settings.load_profile(asked or ("reseeded" if config.getoption("--reseed") else "fixed"))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config, items):
    """Runs before any are deselected; if only parts of files are asked for, no file counts as collected."""
    marks = [mark for item in items if (mark := item.get_closest_marker("statistical"))]
    parts = any("::" in argument for argument in config.args)
    mark_slow_cases(items, whole=not parts)
    config.stash[COLLECTED] = set() if parts else {item.path for item in items}
    config.stash[RATES] = len(marks), sum(mark.kwargs["false_fail"] for mark in marks)


def mark_slow_cases(items, whole):
    """Mark the cases of a parametrised test that its ``slow_cases`` names, each of which has to be there."""
    wanted = {}
    for item in items:
        for mark in item.iter_markers("slow_cases"):
            left = wanted.setdefault((item.path, item.originalname), set(mark.args))
            if item.callspec.id in mark.args:
                left.discard(item.callspec.id)
                item.add_marker("slow")
    if whole and (missing := {name: cases for name, cases in wanted.items() if cases}):
        raise pytest.UsageError(f"slow_cases names cases that are not there: {missing}")


@pytest.fixture(scope="session")
def seed(pytestconfig):
    """A function from the literal seed of a test to the one in use."""
    shift = 1_000_000 * pytestconfig.getoption("--reseed")
    return lambda literal: literal + shift


@pytest.fixture(scope="session")
def two_processes():
    """A pool of two processes, each of which needs more than a second for its imports: it starts once.

    It is for losses that leave a process as they found it; those that do not have pools of their own.
    """
    from raresim.engine.executors import Executor

    with Executor.of("processes", 2) as pool:
        yield pool


@pytest.fixture
def no_canary(monkeypatch):
    """Runs that do not test the density of their proposal: it takes most of a short run and changes no estimate."""
    monkeypatch.setattr("raresim.run.experiment.canary_of", lambda session, tuned: None)


@pytest.fixture
def no_figures(monkeypatch):
    """Run folders without figures and page: they are most of a short run, and have tests of their own."""
    monkeypatch.setattr("raresim.report.build", lambda folder: folder)
    monkeypatch.setattr("raresim.report.process.Drawing.__enter__", lambda drawing: drawing)  # starts no process


@pytest.fixture(autouse=True)
def design(request):
    """The declaration of a test about random numbers applies to its assertions."""
    marker = request.node.get_closest_marker("statistical")
    with declared(**marker.kwargs) if marker else nullcontext():
        yield

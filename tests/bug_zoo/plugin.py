"""Seeds one bug before any test module is imported: ``RARESIM_BUG=NAME pytest -p tests.bug_zoo.plugin TESTS``."""

import importlib
import os
import sys

import pytest
from hypothesis import Phase, settings

from tests.bug_zoo.bugs import BUGS
from tests.bug_zoo.zygote import VARIABLE

CRASHED = 70
"""Exit code where a test ended with an exception that is no verdict of the test: the bug broke it, nobody saw it."""

VERDICTS = (AssertionError, pytest.fail.Exception, Warning)
"""What a test that saw something raises; warnings are errors throughout the suite."""


def pytest_configure():
    if name := os.environ.get(VARIABLE):
        seed(next(bug for bug in BUGS if bug.name == name))


def pytest_sessionstart():
    """The first example that fails is enough: it need not be made small."""
    phases = (Phase.explicit, Phase.generate)
    settings.register_profile("zoo", derandomize=True, deadline=None, phases=phases, report_multiple_bugs=False)
    settings.load_profile("zoo")


def pytest_exception_interact(call):
    if not isinstance(call.excinfo.value, VERDICTS):
        pytest.exit(f"not a verdict: {call.excinfo.value!r}", returncode=CRASHED)


def seed(bug):
    """Put the broken function in its place, and wherever a module of raresim has the right one under a name."""
    owner, name = place(bug.where)
    right = vars(owner)[name]
    wrong = bug.broken(right)
    setattr(owner, name, wrong)
    for module in [m for n, m in sys.modules.items() if n.partition(".")[0] == "raresim"]:
        for alias in [n for n, value in vars(module).items() if value is right]:
            setattr(module, alias, wrong)


def place(where):
    """Module or class, and the attribute of it, that ``package.module:Class.attribute`` names."""
    module, _, path = where.partition(":")
    owner = importlib.import_module(module)
    *classes, name = path.split(".")
    for each in classes:
        owner = getattr(owner, each)
    return owner, name

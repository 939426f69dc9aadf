"""Every seeded bug is seen by a test of the suite, and the tests that see them pass without one."""

import os
import subprocess
import sys

import pytest

from tests.bug_zoo.bugs import BUGS
from tests.bug_zoo.plugin import VARIABLE, place
from tests.helpers import ROOT

FAILED = 1
"""Exit code of pytest where a test failed; others are no test, a wrong name, a crash."""


def run(tests, bug=None):
    """Exit code and output of pytest on ``tests``, with one bug or none."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    env["PYTHONPATH"] = str(ROOT)
    if bug:
        env[VARIABLE] = bug
    options = ["-q", "-x", "--tb=short", "-p", "tests.bug_zoo.plugin", "-p", "no:cacheprovider"]
    command = [sys.executable, "-m", "pytest", *options, *tests]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, env=env)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_bug_is_seen(bug):
    code, output = run(bug.caught_by, bug.name)
    assert code == FAILED, f"{bug.name} ({bug.what}): exit code {code}\n{output}"


def test_nothing_is_seen_without_a_bug():
    code, output = run(sorted({test for bug in BUGS for test in bug.caught_by}))
    assert code == 0, output


def test_bugs_are_many_and_each_is_in_a_place_of_its_own_name():
    assert len(BUGS) >= 30
    assert len({bug.name for bug in BUGS}) == len(BUGS)
    for bug in BUGS:
        owner, name = place(bug.where)
        assert name in vars(owner), bug.where
        assert bug.what
        assert 1 <= len(bug.caught_by) <= 3


def test_a_bug_is_in_every_module_that_imports_it():
    """The broken function replaces copies under other names too, here `estimate_stage` of the experiment."""
    code = (
        "import raresim\n"
        "from tests.bug_zoo import plugin\n"
        "from tests.bug_zoo.bugs import Bug\n"
        "from raresim import estimation, experiment\n"
        "wrong = object()\n"
        "plugin.seed(Bug('x', 'x', 'raresim.estimation:estimate', lambda right: wrong, ()))\n"
        "assert estimation.estimate is experiment.estimate_stage is wrong\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr

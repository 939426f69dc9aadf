"""Every seeded bug is seen by a test of the suite, and the tests that see them pass without one."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress

import psutil
import pytest

from tests.bug_zoo.bugs import BUGS
from tests.bug_zoo.plugin import place
from tests.bug_zoo.runs import CAN_FORK, ROOT, Forks, environment, run_afresh
from tests.conftest import COLLECTED

FAILED = 1
"""Exit code of pytest where a test failed; others are no test, a wrong name, a crash."""

forks = pytest.mark.skipif(not CAN_FORK, reason="each run has an interpreter of its own")


@pytest.fixture(scope="session")
def run():
    """Exit code and output of pytest on tests, with one bug or none."""
    if not CAN_FORK:
        yield run_afresh
        return
    forked = Forks()
    yield forked
    forked.close()


@pytest.mark.slow
@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_bug_is_seen(bug, run):
    code, output = run(bug.caught_by, bug.name)
    assert code == FAILED, f"{bug.name} ({bug.what}): exit code {code}\n{output}"


@pytest.mark.slow
def test_nothing_is_seen_without_a_bug(run, pytestconfig):
    """One of each file where this run of pytest makes them all itself: left to show is that forks do no harm."""
    tests = sorted({test for bug in BUGS for test in bug.caught_by})
    files = {test: ROOT / test.partition("::")[0] for test in tests}
    narrowed = pytestconfig.option.markexpr or pytestconfig.option.keyword
    if not narrowed and set(files.values()) <= pytestconfig.stash[COLLECTED]:
        tests = sorted({file: test for test, file in files.items()}.values())
    code, output = run(tests)
    assert code == 0, output


@pytest.mark.slow
def test_a_run_that_breaks_outside_of_its_tests_has_seen_nothing(run):
    code, output = run(BUGS[0].caught_by, "no such bug")
    assert code not in (0, FAILED), output


def test_bugs_are_many_and_each_is_in_a_place_of_its_own_name():
    assert len(BUGS) >= 30
    assert len({bug.name for bug in BUGS}) == len(BUGS)
    for bug in BUGS:
        owner, name = place(bug.where)
        assert name in vars(owner), bug.where
        assert bug.what
        assert 1 <= len(bug.caught_by) <= 3


@pytest.mark.slow
def test_a_bug_is_in_every_module_that_imports_it():
    """The broken function replaces copies under other names too, here `estimate_stage` of the path."""
    code = (
        "import raresim\n"
        "from tests.bug_zoo import plugin\n"
        "from tests.bug_zoo.bugs import Bug\n"
        "from raresim.run import estimation, path\n"
        "wrong = object()\n"
        "plugin.seed(Bug('x', 'x', 'raresim.run.estimation:estimate', lambda right: wrong, ()))\n"
        "assert estimation.estimate is path.estimate_stage is wrong\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr


# --- runs in forks -----------------------------------------------------------------------------------

WHAT_A_RUN_FINDS = """
import json, os, signal, sys
from pathlib import Path

found = {
    "modules": sorted(name for name in sys.modules if name.partition(".")[0] in ("raresim", "tests")),
    "compiled": sorted(
        f"{name}.{key}"
        for name, module in list(sys.modules.items())
        if name.partition(".")[0] == "raresim"
        for key, value in vars(module).items()
        if getattr(value, "_compiled", None) is not None or "numba" in type(value).__module__
    ),
    "signals": [str(signal.getsignal(number)) for number in (signal.SIGINT, signal.SIGTERM)],
    "path": sys.path,
    "environment": dict(os.environ),
}
Path(__file__).with_suffix(".json").write_text(json.dumps(found))

def test_nothing():
    pass
"""


@pytest.mark.slow
@forks
def test_a_forked_run_finds_what_a_fresh_one_does(run, tmp_path):
    """The same modules of this project were imported when the bug was seeded, and no kernel was made."""
    test = tmp_path / "test_finds.py"
    test.write_text(WHAT_A_RUN_FINDS)
    found = []
    for way in (run, run_afresh):
        code, output = way([str(test)], BUGS[0].name)
        assert code == 0, output
        found.append(json.loads(test.with_suffix(".json").read_text()))
    assert found[0] == found[1]
    assert "raresim.engine.fold" in found[0]["modules"]
    assert found[0]["compiled"] == []


ENDLESS = """
import subprocess, sys, time
from pathlib import Path

def test_endless():
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    Path(__file__).with_suffix(".begun").touch()
    time.sleep(600)
"""


@pytest.mark.slow
@forks
@pytest.mark.parametrize("name", ["SIGKILL", "SIGINT"])
def test_an_interrupted_run_leaves_no_process_behind(name, tmp_path):
    """Neither where the process that asked for it is killed, nor after Ctrl-C, which all of a terminal's group get."""
    test = tmp_path / "test_endless.py"
    test.write_text(ENDLESS)
    code = f"from tests.bug_zoo.runs import Forks; Forks()([{str(test)!r}])"
    asking = subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, env=environment(), start_new_session=True, stderr=subprocess.DEVNULL
    )
    started = []
    try:
        deadline = time.monotonic() + 60
        while not test.with_suffix(".begun").exists():
            assert asking.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        started += psutil.Process(asking.pid).children(recursive=True)
        assert len(started) == 3  # the zygote, its fork, and what the test started
        if name == "SIGKILL":
            asking.kill()
        else:
            os.killpg(asking.pid, signal.SIGINT)
        asking.wait(10)
        assert not psutil.wait_procs(started, timeout=10)[1]
    finally:
        for process in started or [asking]:
            with suppress(psutil.NoSuchProcess):
                process.kill()

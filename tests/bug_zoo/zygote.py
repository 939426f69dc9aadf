"""A process that has loaded what all runs of pytest on a seeded bug load, and forks one of itself for each.

``python -m tests.bug_zoo.zygote`` reads a line of JSON for each run, ``{"tests": [...], "bug": NAME, "output": PATH}``,
and answers with its exit code. A run ends with the process that asked for it.

Shared are other people's libraries, and of this project exactly what a fresh process has imported when ``plugin.py``
seeds the bug: the plugin, the bugs, and what these import. A bug is therefore seeded among the same modules as in a
fresh process, whatever they hold by name, in a table or as a default, and everything else (test modules,
``conftest.py``, the rest of raresim) is imported after it. No kernel of raresim has been made, no pytest was started.
"""

import atexit
import gc
import importlib
import json
import os
import select
import signal
import sys
import threading
import traceback
from contextlib import suppress
from pathlib import Path

OPTIONS = ("-q", "-x", "--tb=short", "-p", "tests.bug_zoo.plugin", "-p", "no:cacheprovider")
"""Of every run of pytest, forked or not."""

VARIABLE = "RARESIM_BUG"
"""Environment variable with the name of the bug; without it nothing is changed."""

LIBRARIES = (
    "hypothesis.extra.numpy",
    "mpmath",
    "numba",
    "pydantic.main",
    "pytest",
    "pytest_timeout",
    "ruamel.yaml",
    "scipy.integrate",
    "scipy.optimize",
    "scipy.stats",
    "xdist.plugin",
)
"""Slow to import, and without threads; pandas and pyarrow start one, which would not be there after a fork."""

NOT_REWRITTEN = "ignore:Module already imported so cannot be rewritten:pytest.PytestAssertRewriteWarning"
"""Plugins of pytest are loaded before it; the asserts that nobody rewrites are their own, not those of tests."""

STOPPED_BY = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP) if hasattr(os, "fork") else ()

FOUND = {number: signal.getsignal(number) for number in STOPPED_BY}
"""What a fresh process does at these signals: one that a shell has started in the background ignores Ctrl-C."""


def serve():
    """Answer until nobody asks."""
    load()
    for number in STOPPED_BY:
        signal.signal(number, lambda number, frame: sys.exit(128 + number))
    while line := sys.stdin.readline():
        signal.pthread_sigmask(signal.SIG_BLOCK, STOPPED_BY)
        child = forked(**json.loads(line))
        try:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPED_BY)
            sys.stdout.write(f"{exit_code(child)}\n")
            sys.stdout.flush()
        except BaseException:
            with suppress(OSError):
                os.killpg(child, signal.SIGKILL)
                os.waitpid(child, 0)
            raise


def load():
    """Import what is shared; what is left alone by the garbage collector is not copied in each child."""
    for name in LIBRARIES:
        importlib.import_module(name)
    load_compiler()
    importlib.import_module("tests.bug_zoo.plugin")
    if (threads := count_threads()) > 1:
        sys.exit(f"not forked: {threads} threads of which only one would be left; a library has started the others")
    gc.collect()
    gc.freeze()


def load_compiler():
    """Numba imports most of itself when something is first compiled."""
    import numba
    import numpy as np

    def draws(rng, x):
        for i in range(x.size):
            x[i] = rng.standard_normal()

    numba.njit(nogil=True)(draws)(np.random.default_rng(1), np.empty(1))


def count_threads():
    """Those that Python did not start too, where the system tells."""
    tasks = Path("/proc/self/task")
    return len(list(tasks.iterdir())) if tasks.exists() else threading.active_count()


def forked(tests, bug, output):
    """Number of a child, leader of a group of its own, that runs pytest."""
    child = os.fork()
    if child:
        with suppress(OSError):  # the child was quicker, or is gone
            os.setpgid(child, child)
        return child
    from tests.bug_zoo.plugin import CRASHED

    code = CRASHED
    try:
        become_a_fresh_process(output)
        if bug:
            os.environ[VARIABLE] = bug
        code = int(sys.modules["pytest"].main([*OPTIONS, "-W", NOT_REWRITTEN, *tests]))
    except BaseException:
        traceback.print_exc()
    finally:
        end(code)


def become_a_fresh_process(output):
    """Nothing to read, output to a file, and the signals as Python finds them."""
    os.setpgid(0, 0)
    for number, handler in FOUND.items():
        signal.signal(number, handler)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPED_BY)
    nothing = os.open(os.devnull, os.O_RDONLY)
    written = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for source, *targets in ((nothing, 0), (written, 1, 2)):
        for target in targets:
            os.dup2(source, target)
        os.close(source)


def end(code):
    """End as an interpreter does, but leave the memory to the system, which is quicker."""
    try:
        threading._shutdown()
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)


def exit_code(child):
    """Wait for ``child``, as long as somebody waits for the answer."""
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        if select.select([sys.stdin], [], [], 0.01)[0]:
            sys.exit("nobody waits for the run")


if __name__ == "__main__":
    serve()

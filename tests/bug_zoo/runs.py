"""Runs of pytest with one seeded bug or none, each in a process that nothing has happened in before."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.bug_zoo.zygote import OPTIONS, VARIABLE

ROOT = Path(__file__).parents[2]

CAN_FORK = hasattr(os, "fork") and sys.platform != "darwin"
"""On a Mac the system's own libraries have threads, and may crash in a fork."""

ONE_THREAD = {f"{library}_NUM_THREADS": "1" for library in ("MKL", "OMP", "OPENBLAS")}
"""Only the thread that forks goes on in the child."""


def environment(bug=None):
    """That of this process, without its pytest's."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    return env | ONE_THREAD | {"PYTHONPATH": str(ROOT)} | ({VARIABLE: bug} if bug else {})


def run_afresh(tests, bug=None):
    """Exit code and output of ``python -m pytest`` on ``tests``."""
    command = [sys.executable, "-m", "pytest", *OPTIONS, *tests]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, env=environment(bug))
    return done.returncode, done.stdout + done.stderr


class Forks:
    """The same from forks of one process, ``zygote.py``, which is started by the first run and lasts until `close`."""

    def __init__(self):
        self._zygote = None

    def __call__(self, tests, bug=None):
        with tempfile.TemporaryDirectory() as folder:
            output = Path(folder, "output")
            try:
                code = self._ask({"tests": list(tests), "bug": bug, "output": str(output)})
            except BaseException:
                self.close()
                raise
            return code, output.read_text(errors="replace")

    def _ask(self, request):
        if self._zygote is None:
            command = [sys.executable, "-m", "tests.bug_zoo.zygote"]
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
            self._zygote = subprocess.Popen(command, cwd=ROOT, env=environment(), **pipes)
        self._zygote.stdin.write(f"{json.dumps(request)}\n")
        self._zygote.stdin.flush()
        answer = self._zygote.stdout.readline()
        if not answer:
            raise ChildProcessError(f"the zygote ended with exit code {self._zygote.wait()}")
        return int(answer)

    def close(self):
        """End the zygote, and with it the run that it is at."""
        if self._zygote is not None:
            zygote, self._zygote = self._zygote, None
            zygote.communicate()

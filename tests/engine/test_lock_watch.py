"""Threads that wait for the interpreter lock give way to processes, without a change of digits."""

import threading
import time
from itertools import count

import pytest

from raresim import Crude, Experiment, Linear, Probability, PythonLoss, StandardNormal, Stop
from raresim.engine import lock_watch
from raresim.engine.executors import Execution, Executor
from raresim.engine.lock_watch import LockWatch

SLOW = """\
import numpy as np

def loss(x):
    return np.array([sum(value * 0.5 for value in row) for row in x.tolist()])
"""


@pytest.fixture
def decided(monkeypatch):
    """The lock is known to be held when the fourth chunk is about to begin."""
    asked = count()
    monkeypatch.setattr(LockWatch, "is_held", property(lambda _: next(asked) >= 3))


def spin(seconds):
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        pass


def watched(function):
    """A watch over two threads that call ``function``."""
    watch = LockWatch()
    threads = [threading.Thread(target=function, args=(1.0,)) for _ in range(2)]
    with watch.on():
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return watch


def test_python_code_holds_the_lock_and_waiting_does_not(monkeypatch):
    monkeypatch.setattr(lock_watch, "ENOUGH", 0.2)
    monkeypatch.setattr(lock_watch, "PROBES", 2)
    assert watched(spin).is_held
    assert not watched(time.sleep).is_held


def run(function, executor):
    loss = function if isinstance(function, Linear) else PythonLoss(function=function)
    experiment = Experiment(
        inputs=StandardNormal(dim=3),
        loss=loss,
        measures=[Probability(above=1.0)],
        method=Crude(),
        stop=Stop(relative_error=None, max_evaluations=500_000),
        seed=1,
        audit="off",
    )
    return experiment.run(executor)


@pytest.mark.slow
def test_a_loss_that_holds_the_lock_moves_to_processes_and_keeps_its_digits(decided, tmp_path):
    path = tmp_path / "slow.py"
    path.write_text(SLOW)
    with Executor.of("auto", 2) as executor:
        found = run(f"{path}:loss", executor)
        assert not executor.shares_memory
    moved = [entry["text"] for entry in found.log if entry["event"] == "executor"]
    assert len(moved) == 1
    assert moved[0].startswith("2 processes instead of threads: the loss holds the interpreter lock")
    assert found.estimates == run(f"{path}:loss", None).estimates


@pytest.mark.slow
def test_a_loss_that_cannot_be_sent_stays_on_threads(decided):
    def local(x):
        return x @ [0.5, 0.5, 0.5] + 0.0 * sum(1.0 for _ in range(20_000))

    with Executor.of("auto", 2) as executor:
        found = run(local, executor)
        assert executor.shares_memory
    assert found.estimates == run(local, None).estimates


def test_the_loss_settles_what_a_run_begins_with():
    auto, python = Execution(), PythonLoss(function=spin)
    assert auto.kind_for(Linear(weights=[1.0])) == "threads"
    assert auto.kind_for(python) == "auto"
    assert auto.kind_for(PythonLoss(function=spin, timeout=1.0)) == "processes"
    assert Execution(memory="4 GiB").kind_for(python) == "threads"
    assert Execution(executor="serial").kind_for(PythonLoss(function=spin, timeout=1.0)) == "serial"

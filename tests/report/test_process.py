"""Figures and page by a process of its own."""

import os
import shutil
import signal
import subprocess
import sys
import time

import psutil
import pytest

import raresim
from raresim import report
from raresim.report.process import Drawing


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    far = raresim.Probability(above=6.0)
    result = raresim.estimate(2, lambda x: x.sum(axis=1), far, seed=1, max_evaluations=20_000)
    return result.save(tmp_path_factory.mktemp("run") / "a run\nöf two")


@pytest.fixture
def begun(monkeypatch):
    """A drawing process, though this one has loaded the code too."""
    monkeypatch.delitem(sys.modules, "matplotlib", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    with Drawing() as drawing:
        monkeypatch.undo()
        yield drawing


def drawn(run_dir):
    names = ["report.html", *(f"figures/{path.name}" for path in sorted((run_dir / "figures").iterdir()))]
    return {name: (run_dir / name).read_bytes() for name in names}


def test_the_process_draws_the_same_bytes(folder, tmp_path, begun, monkeypatch):
    here = shutil.copytree(folder, tmp_path / folder.name)
    shutil.rmtree(here / "figures")
    (here / "report.html").unlink()
    monkeypatch.setattr("raresim.report.build", lambda _: pytest.fail("drawn by this process"))
    assert begun.build(here) == here / "report.html"
    assert drawn(here) == drawn(folder)


def test_a_process_that_was_killed_is_not_missed(folder, tmp_path, begun):
    here = shutil.copytree(folder, tmp_path / "here")
    (here / "report.html").unlink()
    os.kill(begun._process.pid, signal.SIGKILL)
    assert begun.build(here) == here / "report.html"
    assert drawn(here) == drawn(folder)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="a copy draws half of the figures on Linux only")
@pytest.mark.parametrize("alone", [False, True], ids=["interrupted", "killed"])
def test_the_copy_of_a_process_ends_with_it(folder, tmp_path, begun, alone):
    """An interruption while the figures were drawn waited for ever for the copy, which waited for a reader."""
    first = begun._process
    first.stdin.write(os.fsencode(shutil.copytree(folder, tmp_path / "here")))
    first.stdin.close()
    while not (copies := psutil.Process(first.pid).children()):
        assert first.poll() is None
        time.sleep(0.01)
    first.stdin = None  # as after `communicate`, which an interruption ends
    if alone:
        os.kill(first.pid, signal.SIGKILL)
        first.wait()
    begun.__exit__(None, None, None)
    begun._process = None
    _, alive = psutil.wait_procs(copies, timeout=60)
    assert not alive


def test_what_cannot_be_drawn_is_said_by_this_process(tmp_path, begun):
    with pytest.raises(raresim.ConfigError, match=r"manifest\.json"):
        begun.build(tmp_path)


def test_a_process_without_a_run_ends(begun):
    process = begun._process
    begun.__exit__(None, None, None)
    assert process.returncode is not None


def test_there_is_none_where_the_code_is_loaded_or_there_is_one_core(monkeypatch):
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("begun"))
    report.page.load_figures()
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    with Drawing():
        pass
    monkeypatch.delitem(sys.modules, "matplotlib")
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    with Drawing():
        pass

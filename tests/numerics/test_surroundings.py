"""What a user's loss changes for the whole process: it reaches neither raresim's arithmetic nor its files."""

import decimal
import locale
import os
import signal
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import threadpoolctl
from typer.testing import CliRunner

import raresim
from raresim import CrossEntropy, Probability, PythonLoss, StandardNormal, ValueAtRisk
from raresim.engine.executors import Executor
from raresim.errors import LossError
from raresim.measures.levels import level_of, percent
from raresim.numerics import surroundings
from raresim.numerics.surroundings import in_one_thread, undisturbed
from raresim.shell import cli
from tests import unruly


@pytest.fixture(autouse=True)
def mended(monkeypatch):
    """The surroundings of the other tests."""
    monkeypatch.setattr(sys, "path", sys.path[:])
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    alarm, errors, folder = signal.getsignal(signal.SIGALRM), np.geterr(), os.getcwd()
    spoken, printed = locale.setlocale(locale.LC_ALL), np.get_printoptions()
    with warnings.catch_warnings(), decimal.localcontext():
        yield
    locale.setlocale(locale.LC_ALL, spoken)
    np.set_printoptions(**printed)
    signal.signal(signal.SIGALRM, alarm)
    np.seterr(**errors)
    os.chdir(folder)


def run(function, executor=None, above=4.0, **options):
    experiment = raresim.Experiment(
        inputs=StandardNormal(dim=3),
        loss=PythonLoss(function=function, **options),
        measures=[Probability(above=above)],
        method=CrossEntropy(samples=1000),
        stop=raresim.Stop(relative_error=0.1, max_evaluations=50_000),
        seed=641,
        audit="quick",
    )
    return experiment.run(executor)


def digits(result):
    return [result.to_dict()[key] for key in ("estimates", "verdict", "iterations", "evaluations")]


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "workers"), [("serial", 1), ("threads", 2), ("processes", 2)])
def test_18_10_what_a_loss_sets_for_its_process_changes_no_digit(kind, workers):
    before = np.geterr()
    function = unruly.unruly if kind == "threads" else unruly.of_the_main_thread
    with Executor.of(kind, workers) as executor:
        found = run(function, executor)
    assert np.geterr() == before
    assert digits(found) == digits(run(unruly.total))


def test_libraries_of_linear_algebra_are_looked_for_again_after_an_import(monkeypatch):
    """Each import may load one; without an import the search is not made again."""
    searches = []
    whole = threadpoolctl.ThreadpoolController
    monkeypatch.setattr(threadpoolctl, "ThreadpoolController", lambda: searches.append(1) or whole())
    surroundings._linear_algebra.cache_clear()
    for _ in range(2):
        with in_one_thread():
            pass
    assert len(searches) == 1
    monkeypatch.setitem(sys.modules, "another_library", sys)
    with in_one_thread():
        pass
    assert len(searches) == 2
    surroundings._linear_algebra.cache_clear()


def test_decimals_that_a_loss_rounds_are_its_own():
    with decimal.localcontext() as context:
        context.prec = 2
        measure = ValueAtRisk(level=[0.9995, 0.99999])
        assert measure.tails == (0.0005, 0.00001)
        assert [level_of(tail) for tail in measure.tails] == [0.9995, 0.99999]
        assert [percent(tail) for tail in measure.tails] == ["99.95 %", "99.999 %"]


@pytest.mark.parametrize("threads", [False, True])
def test_18_10_floating_point_errors_that_a_loss_wants_raised_are_its_own(threads):
    """The log weights of draws far out underflow in raresim, as they must."""
    seen = []

    def loss(x):
        seen.append(np.geterr()["under"])
        np.seterr(all="raise")
        return unruly.total(x)

    with Executor.of("threads" if threads else "serial", 2 if threads else 1) as executor:
        run(loss, executor)
    assert set(seen) == {"ignore"}


def test_18_10_what_the_module_of_a_loss_sets_holds_in_its_calls_and_nowhere_else(tmp_path):
    path = tmp_path / "strict.py"
    path.write_text(
        "import numpy as np\n\nnp.seterr(all='raise')\n\n\n"
        "def loss(x):\n    return np.exp(-1e6 * np.abs(x[:, 0])) + x.sum(axis=1)\n"
    )
    before = np.geterr()
    with pytest.raises(LossError, match=r"FloatingPointError: underflow encountered in exp \(strict.py, line 7\)"):
        run(f"{path}:loss")
    assert np.geterr() == before


def test_18_10_a_script_that_wants_errors_raised_gets_them_in_its_loss_only():
    def loss(x):
        return np.exp(-1e6 * np.abs(x[:, 0])) + x.sum(axis=1)

    with np.errstate(all="raise"):
        with pytest.raises(LossError, match="FloatingPointError: underflow"):
            run(loss)
        assert digits(run(unruly.total)) == digits(run(unruly.total))


MOVES = {
    "in a call": "import os\n\n\ndef loss(x):\n    os.chdir('/')\n    return x.sum(axis=1)\n",
    "when imported": "import os\n\nos.chdir('/')\n\n\ndef loss(x):\n    return x.sum(axis=1)\n",
    "to a folder that goes away": (
        "import os\nimport tempfile\n\n\ndef loss(x):\n    with tempfile.TemporaryDirectory() as folder:\n"
        "        os.chdir(folder)\n    return x.sum(axis=1)\n"
    ),
}

CONFIG = """\
name: moving
seed: 1
inputs: {kind: normal, dim: 3}
loss: {kind: python, function: losses.py:loss}
measures: [{kind: probability, above: 6.0}]
method: {kind: cross_entropy, samples: 500}
stop: {max_evaluations: 20000}
execution: {executor: EXECUTOR, checkpoint: 0.01}
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("executor", "moves"),
    [
        ("serial", "in a call"),
        ("threads, workers: 2", "when imported"),
        ("serial", "to a folder that goes away"),
        ("processes, workers: 1", "to a folder that goes away"),
    ],
)
def test_18_10_a_loss_may_change_the_working_folder(executor, moves, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("configs").mkdir()
    Path("configs/losses.py").write_text(MOVES[moves])
    Path("configs/moving.yaml").write_text(CONFIG.replace("EXECUTOR", executor))
    done = CliRunner().invoke(cli.app, ["run", "configs/moving.yaml", "-q"])
    assert done.exit_code in (0, 20), done.output
    assert Path.cwd() == tmp_path
    (folder,) = tmp_path.glob("runs/moving/2*")
    assert (folder / "report.html").is_file()
    monkeypatch.setattr("raresim.report.build", lambda folder: folder)  # one page is enough
    monkeypatch.setattr("raresim.report.process.Drawing.__enter__", lambda drawing: drawing)
    again = CliRunner().invoke(cli.app, ["extend", str(folder.relative_to(tmp_path)), "--budget", "5000", "-q"])
    assert again.exit_code in (0, 20), again.output
    assert len(list(tmp_path.glob("runs/moving/2*"))) == 2


def test_18_10_rows_that_fail_are_saved_where_the_run_began(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = MOVES["in a call"].replace("return x.sum(axis=1)", "raise ValueError('no premium')")
    Path("losses.py").write_text(text)
    Path("moving.yaml").write_text(CONFIG.replace("EXECUTOR", "serial"))
    done = CliRunner().invoke(cli.app, ["run", "moving.yaml", "--out", "out", "-q"])
    assert done.exit_code == 3, done.output
    assert (tmp_path / "out-failed_rows.npz").is_file()
    assert str(tmp_path / "losses.py") in done.stderr


def test_the_working_folder_comes_back_where_it_is_still_there(tmp_path):
    here = os.getcwd()
    with undisturbed():
        os.chdir(tmp_path)
    assert os.getcwd() == here
    gone = tmp_path / "gone"
    gone.mkdir()
    os.chdir(gone)
    gone.rmdir()
    with undisturbed():
        os.chdir(tmp_path)
    assert os.getcwd() == str(tmp_path)

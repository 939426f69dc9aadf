"""Pools of any library: the bits of a run in this thread, and a pool of somebody else stays as it is."""

import multiprocessing
import pickle
from concurrent import futures

import numpy as np
import pytest

from raresim import Crude, Executor, Probability, PythonLoss, StandardNormal
from raresim.engine import groups, workers
from raresim.engine.parcels import Packer, parcel_of, unpacked
from raresim.engine.problem import Problem
from raresim.errors import FieldError, LossError
from raresim.losses.travel import travelling
from tests import dying
from tests.problems import Case, solve
from tests.reproducibility.test_bits import digits

OPTIONS = {"relative_error": 0.02, "max_evaluations": 100_000, "method": Crude()}
CASE = Case("total", StandardNormal(dim=3), PythonLoss(function=dying.total), Probability(above=2.0), [])


class Future:
    def __init__(self, value):
        self.value = value

    def result(self):
        return self.value


class Plain:
    """The least that a pool may be: ``submit``, and futures with ``result()`` alone; what it gets can be pickled."""

    def __init__(self):
        self.sizes = []

    def submit(self, function, *arguments):
        function, arguments = pickle.loads(pickle.dumps((function, arguments)))
        self.sizes.append(len(arguments[1]))
        return Future(function(*arguments))


def test_least_pool_gives_the_same_bits(seed):
    pool = Plain()
    found = digits(solve(CASE, seed(4101), pool, **OPTIONS))
    assert found == digits(solve(CASE, seed(4101), **OPTIONS))
    assert sum(pool.sizes) >= 16


@pytest.mark.slow
@pytest.mark.parametrize("library", ["loky", "concurrent.futures"])
def test_pool_of_processes_gives_the_same_bits_and_goes_on(library, seed):
    if library == "loky":
        pool = pytest.importorskip("loky").get_reusable_executor(max_workers=2)
    else:
        pool = futures.ProcessPoolExecutor(2, multiprocessing.get_context("spawn"))
    with pool:
        with Executor(pool) as executor:
            assert executor.workers == 2
            found = digits(solve(CASE, seed(4102), executor, **OPTIONS))
        assert pool.submit(abs, -3).result() == 3
    assert found == digits(solve(CASE, seed(4102), **OPTIONS))


@pytest.mark.slow
def test_pool_that_breaks_over_a_row_says_which_row(seed):
    loss = PythonLoss(function=dying.segmentation_fault)
    case = Case("fault", StandardNormal(dim=3), loss, Probability(above=2.0), [])
    with (
        futures.ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool,
        pytest.raises(LossError, match=r"ended the process that it ran in \(SIGSEGV\).*row \d+"),
    ):
        solve(case, seed(4103), pool, method=Crude(), relative_error=None, max_evaluations=4000)


@pytest.mark.parametrize("takes", [True, False])
def test_owned_pool_is_shut_down_whatever_it_takes(takes):
    ended = []

    class Able(Plain):
        def shutdown(self, wait=True, cancel_futures=False):
            ended.append(cancel_futures)

    class Unable(Plain):
        def shutdown(self, wait=True):
            ended.append(None)

    pool = Able() if takes else Unable()
    with Executor(pool, 2):
        pass
    assert ended == []
    with Executor(pool, 2, owns=True):
        pass
    assert ended == [True if takes else None]


def test_chunks_go_in_groups_that_take_long_enough(seed, monkeypatch):
    """A chunk alone until one was timed, then as many as take the asked time: here, all that are left."""
    pool = Plain()
    monkeypatch.setattr(groups, "TASK", 3600.0)
    monkeypatch.setattr(groups, "LONGEST", 7200.0)
    solve(CASE, seed(4104), Executor(pool, 1), method=Crude(), relative_error=None, max_evaluations=50_000)
    assert pool.sizes[0] == 1
    assert pool.sizes[1] > 16
    assert len(pool.sizes) == 2


def test_problem_is_packed_once_for_all_jobs():
    problem = Problem(CASE.inputs, CASE.loss.bind(CASE.inputs))
    packer = Packer()
    one, two = packer.pack(["one", problem]), packer.pack(["two", problem])
    assert list(one.problems) == list(two.problems)
    assert one.job.token != two.job.token
    (token,) = one.problems
    sent = parcel_of(token, problem)
    name, found = unpacked(one.job, {token: unpacked(sent, {})})
    assert name == "one"
    assert found is unpacked(two.job, {token: unpacked(sent, {})})[1]
    assert found.loss.name == "total"


def test_file_of_the_function_travels_along(tmp_path):
    """It is found where its path does not lead to it, or to another version."""
    path = tmp_path / "own.py"
    path.write_text("def loss(x):\n    return 2.0 * x[:, 0]\n")
    loss = PythonLoss(function=f"{path}:loss").bind(StandardNormal(dim=2))
    with travelling():
        sent = pickle.dumps(loss)
    alone = pickle.dumps(loss)
    out = np.empty(1)
    for spoil in (lambda: path.write_text("def loss(x):\n    return 0.0 * x[:, 0]\n"), path.unlink):
        spoil()
        pickle.loads(sent)(np.ones((1, 2), order="F"), out)
        assert out[0] == 2.0
    with pytest.raises(FileNotFoundError):
        pickle.loads(alone)


def test_file_that_is_gone_when_it_is_to_travel(tmp_path):
    path = tmp_path / "gone.py"
    path.write_text("def loss(x):\n    return x[:, 0]\n")
    loss = PythonLoss(function=f"{path}:loss").bind(StandardNormal(dim=2))
    path.unlink()
    with pytest.raises(FieldError, match=r"function: cannot be sent to the workers: .*gone\.py: No such file"):
        parcel_of("token", Problem(StandardNormal(dim=2), loss))


def test_module_that_a_worker_does_not_have():
    sent = Packer().pack(futures.ThreadPoolExecutor).job
    broken = type(sent)(sent.token, sent.content.replace(b"concurrent.futures.thread", b"concurrent.futures.thraed"))
    with pytest.raises(FieldError, match=r"a worker cannot import what the run needs: .*thraed"):
        unpacked(broken, {})


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"versions": {"numpy": "2.0", "numba": "1"}}, "numba 1 there, 2 here."),
        ({"versions": {"numpy": "2.0"}}, "numba missing there, 2 here."),
        ({"features": frozenset({"avx2", "fma"})}, "CPU features only there: fma."),
        ({"features": frozenset()}, "CPU features only here: avx2."),
        ({"cpu": "znver4"}, "CPU znver4 there, skylake here."),
    ],
)
def test_worker_that_differs_is_refused_by_what_differs(changed, message):
    here = {"versions": {"numpy": "2.0", "numba": "2"}, "cpu": "skylake", "features": frozenset({"avx2"})}
    with pytest.raises(FieldError) as caught:
        workers.Kind(**here).refuse_other(workers.Kind(**here | changed))
    assert f"digits could differ too: {message}" in str(caught.value)
    workers.Kind(**here).refuse_other(workers.Kind(**here))

"""Ordered maps: the same results, in the same order, wherever they are computed."""

import pickle
import threading
import time
from concurrent import futures

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from raresim import Crude, Probability, PythonLoss, StandardNormal
from raresim.engine.executors import Executor
from raresim.errors import FieldError
from tests.helpers import python
from tests.problems import Case, solve

MORE_THAN_ONE = Probability(above=1.5)


def square_slowly_if_even(k):
    time.sleep(0.003 * (k % 2 == 0))
    return k * k


def fail_at_three(k):
    if k >= 3:
        raise ValueError(f"item {k}")
    return k


@pytest.mark.parametrize(("kind", "workers"), [("serial", 1), ("threads", 1), ("threads", 3)])
def test_results_come_in_the_order_of_the_items(kind, workers):
    with Executor.of(kind, workers) as executor:
        assert list(executor.map(square_slowly_if_even, range(40))) == [k * k for k in range(40)]


def test_any_pool_of_the_standard_library_will_do():
    with futures.ThreadPoolExecutor(2) as pool:
        assert list(Executor(pool, 2).map(square_slowly_if_even, range(5))) == [0, 1, 4, 9, 16]


@pytest.mark.parametrize(("kind", "workers"), [("serial", 1), ("threads", 3)])
def test_the_first_error_in_the_order_of_the_items_is_raised(kind, workers):
    with Executor.of(kind, workers) as executor, pytest.raises(ValueError, match="item 3"):
        list(executor.map(fail_at_three, range(40)))


def test_results_that_wait_are_few():
    """Memory must not grow with the number of items: at most ``2 workers`` are begun ahead of the reader."""
    begun = []
    with Executor.of("threads", 2) as executor:
        results = executor.map(begun.append, iter(range(1000)))
        for _ in range(10):
            next(results)
        time.sleep(0.02)
        assert len(begun) <= 10 + 4
        results.close()


def test_items_that_have_not_begun_are_cancelled_after_an_error():
    begun, gate = [], threading.Event()

    def wait(k):
        begun.append(k)
        if k == 0:
            raise ValueError("first")
        gate.wait(1)

    with Executor.of("threads", 1) as executor:
        with pytest.raises(ValueError, match="first"):
            list(executor.map(wait, range(100)))
        gate.set()
    assert len(begun) <= 2


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Executor.of("threads", 0), "workers: must be at least 1, got 0"),
        (lambda: Executor(None, 0), "workers: must be at least 1, got 0"),
        (
            lambda: Executor.of("cluster", 2),
            "executor: must be auto, serial, threads, processes or dask, got 'cluster'",
        ),
    ],
)
def test_refusal_says_what_is_allowed(build, message):
    with pytest.raises(FieldError) as caught:
        build()
    assert str(caught.value) == message


def test_function_that_has_no_home_cannot_go_to_processes():
    """A lambda cannot be found again by another process: the message says what to do instead."""
    loss = PythonLoss(function=lambda x: x[:, 0])
    with pytest.raises(FieldError, match="cannot be sent to other processes"):
        pickle.dumps(loss)


def threads_of_linear_algebra(x):
    """The number of them, as the loss of each row."""
    return np.full(len(x), max(each["num_threads"] for each in threadpool_info() if each["user_api"] == "blas"))


@pytest.mark.parametrize(
    ("kind", "workers", "timeout"),
    [("serial", 1, None), ("threads", 2, None), ("processes", 2, None), ("serial", 1, 20.0)],
)
@pytest.mark.slow_cases("processes-2-None")
def test_linear_algebra_has_one_thread_while_a_run_lasts(kind, workers, timeout, monkeypatch):
    """Sums in another order would change the last digits; as the tests have one thread already, two are asked for."""
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "2")
    loss = PythonLoss(function=threads_of_linear_algebra, timeout=timeout)
    case = Case("threads", StandardNormal(dim=2), loss, MORE_THAN_ONE, [0.0])
    with threadpool_limits(2, "blas"), Executor.of(kind, workers) as executor:
        assert threads_of_linear_algebra(np.empty((1, 2))).max() == 2
        result = solve(case, 1, executor, method=Crude(), max_evaluations=2_000)
        assert threads_of_linear_algebra(np.empty((1, 2))).max() == 2
    assert result.estimates[0].diagnostics["hits"] == 0
    assert result.evaluations["estimate"] == 2_000


LOADS_A_LIBRARY = """
import numpy as np
import raresim
from threadpoolctl import threadpool_info

def threads(x):
    import scipy.linalg
    return np.full(len(x), max(each["num_threads"] for each in threadpool_info() if each["user_api"] == "blas"))

more_than_one = raresim.Probability(above=1.5)
found = raresim.estimate(2, threads, more_than_one, method="crude", relative_error=None, max_evaluations=500, seed=1)
print(found.estimates[0].diagnostics["hits"], int(threads(np.empty((1, 2))).max()))
"""


@pytest.mark.slow
def test_a_library_that_comes_in_the_middle_of_a_run_has_one_thread(monkeypatch):
    """SciPy has one of its own, which nothing has loaded in a fresh process, and two threads of it are asked for."""
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "2")
    assert python(LOADS_A_LIBRARY).split() == ["0", "2"]

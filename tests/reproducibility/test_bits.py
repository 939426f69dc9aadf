"""Same experiment, same bits: for any executor and number of workers, and again."""

import contextlib

import numpy as np
import pytest

from raresim import Probability, PythonLoss, StandardNormal
from raresim.engine.executors import Executor
from tests.helpers import python
from tests.problems import Case, betting, crude, guaranteed, linear_normal, solve, student, two_sided

PARTS = ("estimates", "diagnostics", "iterations", "evaluations", "search", "stopping", "verdict")
EXECUTORS = [("serial", 1), ("threads", 1), ("threads", 2), ("threads", 3), ("processes", 2)]

MODEL = """
import numpy as np

def loss(x):
    return np.exp(0.3 * x).sum(axis=1)
"""


@pytest.fixture(scope="module")
def from_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "model.py"
    path.write_text(MODEL)
    loss = PythonLoss(function=f"{path}:loss")
    return Case("file", StandardNormal(dim=4), loss, Probability(above=["5 sigma", 9.0]), [])


@pytest.fixture(scope="module", params=["normal", "student", "file", "crude", "two-sided", "guarantee", "betting"])
def case(request, from_file):
    return {
        "normal": linear_normal(3, 5.0),
        "student": student(3.0, 1e-5),
        "file": from_file,
        "crude": crude(2.0),
        "two-sided": two_sided(3, 4.0),
        "guarantee": guaranteed(2.0),
        "betting": betting(2.0),
    }[request.param]


@pytest.fixture(scope="module")
def executors(two_processes):
    with contextlib.ExitStack() as stack:
        in_this = {key: stack.enter_context(Executor.of(*key)) for key in EXECUTORS if key[0] != "processes"}
        yield in_this | {("processes", 2): two_processes}


def digits(result):
    """All that a run found, exactly: JSON parts and the bytes of the kept rows."""
    parts = result.to_dict()
    return [parts[name] for name in PARTS], {k: v.tobytes() for k, v in vars(result.arrays).items()}


@pytest.fixture(scope="module")
def expected():
    """The digits of each case in this thread, computed once."""
    return {}


@pytest.mark.parametrize("key", EXECUTORS, ids=lambda key: f"{key[0]}-{key[1]}")
@pytest.mark.slow_cases("file-serial-1", "file-threads-1", "file-threads-2", "file-threads-3")
def test_every_executor_gives_the_same_bits(case, key, executors, expected, seed):
    options = {"relative_error": 0.02, "max_evaluations": 400_000}
    if case.name not in expected:
        expected[case.name] = digits(solve(case, seed(301), **options))
    assert digits(solve(case, seed(301), executors[key], **options)) == expected[case.name]


@pytest.mark.slow
def test_a_run_in_a_fresh_interpreter_gives_the_same_bits(seed):
    code = (
        "import sys; from tests.problems import linear_normal, solve; "
        "print(repr(solve(linear_normal(3, 5.0), int(sys.argv[1]), relative_error=0.02).estimates[0].value))"
    )
    value = solve(linear_normal(3, 5.0), seed(302), relative_error=0.02).estimates[0].value
    assert python(code, seed(302)) == repr(value)


MEMORY = """
import resource, sys
from raresim.engine.executors import Executor
from tests.problems import crude, linear_normal, solve
case = {"crude": crude(2.0), "cross_entropy": linear_normal(2, 3.0)}[sys.argv[1]]

def peak(n):
    with Executor.of("threads", 2) as executor:
        solve(case, 1, executor, relative_error=None, max_evaluations=n)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024

print(peak(100_000), peak(4_000_000), peak(20_000_000))
"""


@pytest.mark.slow
@pytest.mark.parametrize("method", ["crude", "cross_entropy"])
def test_memory_does_not_grow_with_the_number_of_draws(method):
    """Up to 4 10^6 draws the peak grows with the blocks (80 MB); after that not by a double per draw (128 MB)."""
    small, medium, large = map(int, python(MEMORY, method).split())
    assert medium - small < 150
    assert large - medium < 40


@pytest.mark.slow
def test_rows_that_are_kept_do_not_depend_on_the_workers(seed):
    one = solve(crude(2.0), seed(303), relative_error=None, max_evaluations=200_000)
    with Executor.of("threads", 3) as executor:
        many = solve(crude(2.0), seed(303), executor, relative_error=None, max_evaluations=200_000)
    np.testing.assert_array_equal(one.arrays.loss, many.arrays.loss)

"""Functions of one row that numba compiles: the numbers of the plain function, and errors in words."""

import math
import pickle
import time

import numba
import numpy as np
import pytest

import raresim
from raresim.config import load as configs
from raresim.engine.executors import Executor
from raresim.losses.python import PythonLoss


def basket(x):
    value = 0.0
    for i in range(x.size):
        value += max(0.0, 100.0 * math.exp(0.2 * x[i]) - 100.0)
    return value


def squares(x):
    return x**2


def ends(x):
    x.sort()  # its own copy
    return x[0], x[-1]


def uneven(x):
    return x[x > 0]


def too_large(x):
    if x[0] > 3.0:
        raise ValueError("too large")
    return x.sum()


def text(x):
    return str(x[0])


def unknown(x):
    return math.prod(sorted({repr(x)}))


@pytest.mark.parametrize("function", [basket, numba.njit(basket)], ids=["plain", "compiled by the user"])
def test_a_run_has_the_digits_of_the_plain_function(function, seed):
    wanted = {"measures": raresim.Probability(above=150.0), "seed": seed(1), "max_evaluations": 6_000}
    wanted |= {"method": raresim.CrossEntropy(samples=300), "audit": "off"}
    rows = raresim.estimate(4, PythonLoss(function=basket, vectorised=False), **wanted)
    compiled = raresim.estimate(4, PythonLoss(function=function, jit=True), **wanted)
    assert compiled.estimates[0].value == rows.estimates[0].value
    assert compiled.estimates[0].value > 0
    assert compiled.evaluations == rows.evaluations


@pytest.mark.parametrize("options", [{"parts": True}, {"parts": ["a", "b", "c"]}, {"limit_states": True}])
@pytest.mark.slow
def test_columns_are_those_of_the_plain_function(options):
    inputs = raresim.StandardNormal(dim=3)
    x = np.asfortranarray(np.random.default_rng(1).standard_normal((50, 3)))
    out = {}
    for how in ({"jit": True}, {"vectorised": False}):
        loss = PythonLoss(function=squares, **how, **options).bind(inputs)
        out[str(how)] = loss.states(x) if "limit_states" in options else loss.components(x)
    compiled, plain = out.values()
    np.testing.assert_array_equal(compiled, plain)
    np.testing.assert_array_equal(compiled, x**2)


@pytest.mark.slow
def test_what_a_function_writes_into_its_row_stays_there():
    loss = PythonLoss(function=ends, jit=True, limit_states=["low", "high"]).bind(raresim.StandardNormal(dim=3))
    x = np.asfortranarray([[3.0, 1.0, 2.0], [0.0, -1.0, 5.0]])
    before = x.copy()
    np.testing.assert_array_equal(loss.states(x), [[1.0, 3.0], [-1.0, 5.0]])
    np.testing.assert_array_equal(x, before)


@pytest.mark.parametrize(
    ("function", "options", "message"),
    [
        (unknown, {}, r"unknown: numba cannot compile it for one row: .*; leave out `jit: true`"),
        (text, {}, r"text: must return one number for one row, compiled it returns "),
        (squares, {}, r"squares: must return one number for one row, compiled it returns array"),
        (basket, {"parts": True}, r"basket: must return an array of numbers or a tuple of floats for one row"),
    ],
)
def test_what_cannot_be_compiled_is_said_before_the_run(function, options, message):
    with pytest.raises(raresim.LossError, match=message):
        PythonLoss(function=function, jit=True, **options).bind(raresim.StandardNormal(dim=3))


def test_a_row_that_raises_is_named_and_can_be_bounded():
    wanted = {
        "measures": raresim.Probability(above=6.0),
        "seed": 1,
        "max_evaluations": 5_000,
        "method": raresim.Crude(),
    }
    with pytest.raises(raresim.LossError, match=r"raised ValueError: too large .*row \d+, the scenario"):
        raresim.estimate(2, PythonLoss(function=too_large, jit=True), **wanted)
    compiled = raresim.estimate(2, PythonLoss(function=too_large, jit=True, on_failure="bound"), **wanted)
    rows = raresim.estimate(2, PythonLoss(function=too_large, vectorised=False, on_failure="bound"), **wanted)
    assert compiled.failed["rows"] == rows.failed["rows"] > 0
    assert compiled.estimates[0].interval == rows.estimates[0].interval


def test_numbers_of_different_length_are_an_error():
    loss = PythonLoss(function=uneven, jit=True, parts=True).bind(raresim.StandardNormal(dim=2))
    with pytest.raises(raresim.LossError, match="must return the parts of the loss"):
        loss.components(np.asfortranarray([[1.0, 1.0], [1.0, -1.0]]))


def test_it_excludes_vectorised_false():
    with pytest.raises(raresim.FieldError, match="vectorised: must be left out beside jit"):
        PythonLoss(function=basket, jit=True, vectorised=False)


def test_a_worker_process_compiles_the_function_again():
    loss = PythonLoss(function=basket, jit=True).bind(raresim.StandardNormal(dim=2))
    x = np.asfortranarray([[1.0, 2.0], [-1.0, 0.5]])
    here, there = np.empty(2), np.empty(2)
    loss(x, here)
    pickle.loads(pickle.dumps(loss))(x, there)
    np.testing.assert_array_equal(here, there)


@pytest.mark.slow
def test_executors_give_the_same_bits_from_a_file(two_processes, tmp_path):
    (tmp_path / "book.py").write_text("import math\n\ndef loss(x):\n    return math.exp(0.3 * x[0]) + x[1]\n")
    path = tmp_path / "book.yaml"
    path.write_text(
        "seed: 1\ninputs: {kind: normal, mean: [0, 0], std: 1}\n"
        "loss: {kind: python, function: book.py:loss, jit: true}\n"
        "measures: [{kind: probability, above: 5}]\nstop: {max_evaluations: 20000}\n"
    )
    values = set()
    with Executor.of("threads", 2) as two_threads:
        for executor in (None, two_threads, two_processes):
            values.add(configs.load(path).experiment().run(executor).estimates[0].value)
    assert len(values) == 1


def test_the_compiled_loop_is_faster_than_a_loop_of_python():
    """Measured side by side: about a thousand times; the bar leaves room for a busy machine."""
    inputs = raresim.StandardNormal(dim=20)
    x = np.asfortranarray(np.random.default_rng(1).standard_normal((2_000, 20)))
    out, took = np.empty(len(x)), {}
    for name, options in (("compiled", {"jit": True}), ("plain", {"vectorised": False})):
        loss = PythonLoss(function=basket, **options).bind(inputs)
        loss(x, out)
        times = []
        for _ in range(3):
            begun = time.perf_counter()
            loss(x, out)
            times.append(time.perf_counter() - begun)
        took[name] = min(times)
    assert took["plain"] > 20 * took["compiled"]

"""Compiled kernels equal their Python source, are compiled once, and are not imported before they are used."""

import functools
import importlib
import pkgutil
import types

import numpy as np
import pytest

import raresim
from raresim import registry
from tests.helpers import block, normals, python
from tests.models import kernel_arguments as models
from tests.models.paths import kernel_arguments as paths
from tests.models.queues import kernel_arguments as queues
from tests.models.systems import kernel_arguments as systems

N, D = 700, 6  # more than two tiles of rows, more columns than the unrolled four


def kernels():
    """Name -> kernel, of every module of the package."""
    names = [info.name for info in pkgutil.walk_packages(raresim.__path__, "raresim.") if ".report" not in info.name]
    every = [pair for module in names for pair in vars(importlib.import_module(module)).items()]
    found = [(name, value) for name, value in every if hasattr(value, "py_func")]
    assert len({value.py_func for _, value in found}) == len({name for name, _ in found})
    return dict(found)


@functools.cache
def sources(module):
    """The names of ``module`` with all kernels, its own and those of others, as their Python source throughout."""
    names = dict(vars(importlib.import_module(module)))
    for name, value in names.items():
        if hasattr(value, "py_func"):
            source, home = value.py_func, value.py_func.__module__
            own = home == module
            names[name] = types.FunctionType(source.__code__, names) if own else sources(home)[source.__name__]
    return names


def factor():
    """A lower triangular matrix with a zero above the diagonal."""
    return np.tril(np.random.default_rng(101).normal(size=(D, D))) + 3 * np.eye(D)


def rng():
    return np.random.Generator(np.random.PCG64DXSM(102))


def columns(x):
    """The columns of ``x``."""
    return [x[:, j] for j in range(x.shape[1])]


def words():
    """The state of an SFC64."""
    return np.random.SFC64(106).state["state"]["state"]


X, W, LOC, SCALE = normals(N, D, 103), np.arange(N) / N, np.linspace(-1, 1, D), np.linspace(0.5, 2, D)
BASIS = np.asfortranarray(np.linalg.qr(np.random.default_rng(104).normal(size=(D, 2)))[0])

PANELS = np.array([[0.1, 0.12, 0.02], [0.15, 0.15, 0.0]])  # polynomials that rise from 0 over [-1, 1]
GUIDE = np.array([0, 0, 1, 1])

# Arguments of each kernel, by its own names; made anew for every call.
ARGUMENTS = (
    {
        "affine_rows": lambda: (X, 100, 600, factor(), LOC, block(N, D), 50, block(500, 0)),
        "affine_sums": lambda: (X, factor(), LOC, SCALE, np.empty(N)),
        "dense_ratio": lambda: (X, factor(), LOC, 5.0, 6.0, np.empty(N)),
        "diagonal_ratio": lambda: (X, SCALE, LOC, 5.0, 6.0, np.empty(N)),
        "add_along": lambda: (normals(N, 2, 105), BASIS, LOC, X.copy(order="F")),
        "add_column": lambda: (2.0, W, np.ones(N)),
        "add_winnings": lambda: (np.exp(-np.abs(W)), np.array([-0.5, 0.5, 3.0]), np.zeros(3)),
        "add_four": lambda: (factor(), 2, 0, *columns(normals(N, 4, 107)), *columns(normals(N, 4, 108))),
        "centred_squared_norm": lambda: (X, LOC, np.empty(N)),
        "combine": lambda: (np.eye(D)[:, :2] + 0.5, normals(N, 2, 110), SCALE, LOC, X.copy(order="F")),
        "count_below": lambda: (np.arange(1, N + 1), np.random.default_rng(1).permutation(N) + 1, np.empty(N)),
        "evaluate": lambda: (np.linspace(-1.0, 6.0, N), normals(5, 8, 111), 0.0, 1.0, np.empty(N)),
        "hermite_sums": lambda: (np.linspace(-6, 6, N), W, np.empty(40)),
        "horner": lambda: (normals(5, 8, 111), np.arange(N) % 5, W, np.empty(N)),
        "hyperbolic_sine": lambda: (np.exp(W), 1.0, 2.0),
        "inverse": lambda: (PANELS, np.arange(N) % 2, -np.linspace(1.5, 3.0, N), np.full(N, -5.0), True, np.empty(N)),
        "invert": lambda: (np.linspace(-0.1, 1.1, N), np.array([0.0, 0.3, 1.0]), np.arange(3.0), GUIDE, np.empty(N)),
        "log_geometric": lambda: (np.linspace(-5, 60, N), np.linspace(1, -1, N), np.empty(N)),
        "log_sibuya": lambda: (-40 * W - 1e-3, 0.6, np.empty(N)),
        "path": lambda: (X, 0.1, 0.2, 0.1, 0.05, 0.8, 1.5, block(N, D)),
        "standardise": lambda: (X, 0.1, 2.0, block(N, D)),
        "stretched": lambda: (W, 0.3, 2.0, np.empty(N)),
        "total": lambda: (X, 0.1, 0.2, 0.1, 0.05, 0.8, 1.5, np.empty(N)),
        "compress": lambda: (W, W > 0.5, np.zeros(N + 1)),
        "copy_column": lambda: (W, np.empty(N)),
        "dense_distance": lambda: (X, factor(), LOC, np.empty(N)),
        "diagonal_distance": lambda: (X, SCALE, LOC, np.empty(N)),
        "exponentiate": lambda: (np.linspace(-800.0, 800.0, N),),
        "fill_mixing": lambda: (rng(), 3.0, np.empty(N)),
        "fill_from_generator": lambda: (rng(), SCALE, LOC, block(N, D)),
        "fill_from_words": lambda: (words(), SCALE, LOC, block(N, D)),
        "lower_affine": lambda: (X, factor(), LOC, block(N, D)),
        "next_word": lambda: (words(),),
        "normal_logpdf": lambda: (X[:, :2], LOC[:2], SCALE[:2] - 1.0, 0.8, -3.0, W.copy()),
        "outside": lambda: (words(), np.uint64(2**64 - 2)),
        "project": lambda: (X, BASIS, LOC, block(N, 2)),
        "revalued_sum": lambda: (0.1 * X, LOC, np.empty(N)),
        "scale_shift": lambda: (X, SCALE, LOC, block(N, D)),
        "sines_of_multiples": lambda: (np.sin(W), 2.0 * np.cos(W), np.empty((N, 12))),
        "settle": lambda: (40.0, True, np.empty(D, bool), np.array([-1e-18, 0.3, 0.9, 1.1, 1.2, 7.0])),
        "set_column": lambda: (1.0, 2.0, W, np.empty(N)),
        "set_four": lambda: (LOC, factor(), 2, *columns(normals(N, 4, 107)), *columns(block(N, 4))),
        "squared_norm": lambda: (X, np.empty(N)),
        "stretch": lambda: (X.copy(order="F"), LOC, W),
        "tail": lambda: (words(),),
        "tail_moments": lambda: (np.linspace(-9, 9, N), -np.linspace(-9, 9, N), 1.5, W, np.empty(N)),
        "uniform": lambda: (words(),),
        "weighted_products": lambda: (X, W, np.empty((D, D))),
        "weighted_residuals": lambda: (X, np.sqrt(W), LOC, W, SCALE, block(N, D)),
        "weighted_squares": lambda: (X, W, np.empty(D)),
        "weighted_sum": lambda: (X, LOC, np.empty(N)),
        "weighted_sums": lambda: (X, W, np.empty(D)),
        "add_steps": lambda: (X, np.linspace(-1, 1, 3), normals(D, 4, 112), W.copy()),
        "along_and_square": lambda: (X, LOC, np.empty(N), np.empty(N)),
        "draw_cosines": lambda: (rng(), 3.0, D, np.empty(N), np.empty(N)),
        "draw_tails": lambda: (rng(), np.tile([0.2, 0.5, 0.9], (D, 1)), np.array([0.0, 0.1, 0.5]), block(N, D)),
        "move_along": lambda: (W, LOC, X.copy(order="F")),
    }
    | models.ARGUMENTS
    | paths.ARGUMENTS
    | queues.ARGUMENTS
    | systems.ARGUMENTS
)


def test_every_kernel_is_compared_with_its_source():
    assert sorted(kernels()) == sorted(ARGUMENTS)


@pytest.mark.parametrize("name", ARGUMENTS)
@pytest.mark.slow_cases("word_of", "default_losses", "compress", "chances_of")
def test_kernel_equals_its_source(name):
    """Same value, same arrays afterwards; strict arithmetic leaves only libm's last digit. Words wrap around."""
    kernel, compiled, plain = kernels()[name], ARGUMENTS[name](), ARGUMENTS[name]()
    with np.errstate(over="ignore"):
        values = kernel(*compiled), sources(kernel.py_func.__module__)[name](*plain)
    if values[1] is not None:
        np.testing.assert_allclose(*values, rtol=1e-14)
    for one, other in zip(compiled, plain, strict=True):
        if isinstance(one, np.ndarray):
            np.testing.assert_allclose(one, other, rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize("name", ["scale_shift", "lower_affine"])
def test_map_kernels_may_write_over_their_input(name):
    kernel, apart, within = kernels()[name], ARGUMENTS[name](), ARGUMENTS[name]()
    x = X.copy(order="F")
    kernel(*apart)
    kernel(x, *within[1:-1], x)
    np.testing.assert_array_equal(x, apart[-1])


SLOW_IMPORTS = "{'numba', 'scipy', 'matplotlib', 'pydantic', 'ruamel'}"


def test_listing_a_family_imports_nothing_slow():
    """All families in one process: what one of them has imported is found after it."""
    code = f"import sys; from raresim import registry; print([f for f in {tuple(registry.FAMILIES)} "
    assert python(f"{code} if registry.members(f) and {SLOW_IMPORTS} & set(sys.modules)])") == "[]"


def test_importing_raresim_imports_not_even_numpy():
    assert python("import sys, raresim; print({'numpy', 'raresim.run.experiment'} & set(sys.modules))") == "set()"


def test_every_public_name_is_there_and_no_other():
    assert raresim.__all__ == sorted(raresim.__all__)
    for name in set(raresim.__all__) - {"load"}:
        assert getattr(raresim, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'Sampler'"):
        _ = raresim.Sampler


LOADED = """
import sys
import numpy as np
from raresim.distributions.normal import Normal
x = np.empty((100, 3), order="F")
Normal(mean=np.zeros(3), std=1.0).sample(np.random.Generator(np.random.PCG64(1)), x)
print(np.isfinite(x).all(), "numba" in sys.modules, "numba.np.linalg" in sys.modules)
"""


def test_a_kernel_on_disk_is_loaded_without_the_compiler():
    """The first process may have to compile it."""
    python(LOADED)
    assert python(LOADED) == "True True False"


SIGNATURES = """
import sys
from raresim.engine.executors import Executor
from tests.problems import PROBLEMS, solve
from tests.numerics.test_jit import as_blocks, kernels
with Executor.of("threads", 2) as executor:
    for case in PROBLEMS:
        if case.name in {"normal-d3-3", "correlated-4", "student-3-1e-05", "two-sided-d3-4"}:
            solve(case, 1, executor, relative_error=0.1)
ready = {name: k.compiled() if hasattr(k, "compiled") else k for name, k in kernels().items()}
print({name: k.signatures for name, k in ready.items() if len(set(map(as_blocks, k.signatures))) > 1})
"""


def as_blocks(signature):
    """A signature with the arrays of single rows as those of blocks: one row is contiguous both ways.

    Columns of it are strided for the compiler, which a kernel that takes columns sees where it is compiled with its
    caller, and not where that comes from the cache.
    """
    return tuple(
        a.copy(layout="F") if (getattr(a, "ndim", 0), getattr(a, "layout", "")) in {(2, "C"), (1, "A")} else a
        for a in signature
    )


@pytest.mark.slow
def test_a_run_compiles_a_kernel_once():
    """One signature per kernel over runs that differ in inputs and proposal: layouts and flags must not vary."""
    assert python(SIGNATURES) == "{}"


def test_kernel_keeps_name_and_text_of_its_source():
    kernel = kernels()["squared_norm"]
    assert kernel.__name__ == "squared_norm"
    assert "out[i]" in kernel.__doc__

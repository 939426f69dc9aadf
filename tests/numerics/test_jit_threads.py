"""Kernels that call kernels may be first used by several threads at once."""

import importlib.util
import threading
import time

import numba
import numpy as np

SOURCE = """
from raresim.numerics.jit import kernel

@kernel
def outer(x):
    return first(x) + second(x)

@kernel
def first(x):
    return x[0]

@kernel
def second(x):
    return x[1]
"""


def test_first_use_by_several_threads(tmp_path, monkeypatch):
    """No thread may compile a kernel while another is still preparing the kernels that it calls."""
    njit = numba.njit
    njit(lambda x: x + 1)(1)  # numba takes its time to come up, which would hide the race

    def slow(*functions, **options):
        time.sleep(0.2 if "nogil" in options else 0.0)
        return njit(*functions, **options)

    monkeypatch.setattr(numba, "njit", slow)
    path = tmp_path / "kernels.py"
    path.write_text(SOURCE, encoding="utf-8")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    sums = []

    def use(wait):
        time.sleep(wait)
        sums.append(module.outer(np.array([1.0, 2.0])))

    threads = [threading.Thread(target=use, args=(0.05 * k,)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sums == [3.0] * 8

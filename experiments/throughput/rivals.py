"""The same job without raresim: blocked NumPy, whole arrays with SciPy's densities, and OpenTURNS.

Each takes the number of draws and a seed, and returns the probability and its standard error. All map every draw to
the risk factors before they take the loss, as a loss that is not linear would need.
"""

from __future__ import annotations

import itertools
import math
import time
from functools import partial
from typing import Any

import numpy as np
from portfolio import DIM, Answer, Portfolio, Program, portfolio
from scipy.stats import multivariate_normal

try:
    import openturns as ot
except ImportError:
    ot = None

BLOCK_ROWS = (2048, 4096, 8192, 16384, 32768)
SCAN_ROWS = 2**18
OT_BLOCKS = (1000, 10_000)
OT_SCAN_ROWS = 20_000


def blocked_numpy(n: int, seed: int, rows: int) -> Answer:
    """Blocks of ``rows`` draws in buffers that are made once; risk factors are rows, draws are columns.

    This layout, NumPy's fastest bit generator and the one-product form of ``log p - log q`` were faster than draws as
    rows, PCG64 and a triangular product of BLAS.
    """
    job = portfolio()
    rng = np.random.Generator(np.random.SFC64(seed))
    z, x = np.empty((DIM, rows)), np.empty((DIM, rows))
    loss, log_weight = np.empty(rows), np.empty(rows)
    centre = (job.factor @ job.shift)[:, None]
    half_square = 0.5 * float(job.shift @ job.shift)
    total = squares = 0.0
    for first in range(0, n, rows):
        rng.standard_normal(out=z)
        np.matmul(job.factor, z, out=x)
        x += centre
        np.matmul(job.weights, x, out=loss)
        np.matmul(job.shift, z, out=log_weight)
        hit = loss >= job.threshold
        hit[n - first :] = False
        weight = np.exp(-log_weight[hit] - half_square)
        total += weight.sum()
        squares += weight @ weight
    return _answer(n, float(total), float(squares))


def whole_array(n: int, seed: int) -> Answer:
    """Every draw at once, densities of target and proposal by `scipy.stats.multivariate_normal`."""
    job = portfolio()
    centre = job.factor @ job.shift
    z = np.random.default_rng(seed).standard_normal((n, DIM))
    x = centre + z @ job.factor.T
    log_p = multivariate_normal.logpdf(x, np.zeros(DIM), job.cov)
    log_q = multivariate_normal.logpdf(x, centre, job.cov)
    weight = np.where(x @ job.weights >= job.threshold, np.exp(log_p - log_q), 0.0)
    return _answer(n, float(weight.sum()), float((weight**2).sum()))


def fastest_blocked_numpy() -> tuple[str, Program]:
    """`blocked_numpy` with the block size that is fastest here, and the size."""
    rows = min(BLOCK_ROWS, key=lambda rows: _seconds(partial(blocked_numpy, rows=rows), SCAN_ROWS))
    return f"{rows:,} draws a block", partial(blocked_numpy, rows=rows)


def fastest_openturns() -> tuple[str, Program] | None:
    """OpenTURNS, if installed, with the loss, space and block size that are fastest here, and their names."""
    if ot is None:
        return None
    ot.TBB.Disable()
    ot.Log.Show(ot.Log.NONE)
    job = portfolio()
    choices = itertools.product(_openturns_losses(job).items(), ("physical", "standard"), OT_BLOCKS)
    programs = {
        f"{name}, {space} space, {block:,} draws a block": partial(
            _openturns_run, job, loss, space == "standard", block
        )
        for (name, loss), space, block in choices
    }
    best = min(programs, key=lambda name: _seconds(programs[name], OT_SCAN_ROWS))
    return best, programs[best]


def _openturns_losses(job: Portfolio) -> dict[str, Any]:
    names = [f"x{k}" for k in range(DIM)]
    formula = " + ".join(f"{w!r} * {x}" for w, x in zip(job.weights.tolist(), names, strict=True))
    return {
        "SymbolicFunction": ot.SymbolicFunction(names, [formula]),
        "LinearFunction": ot.LinearFunction([0.0] * DIM, [0.0], ot.Matrix([job.weights.tolist()])),
        "PythonFunction": ot.PythonFunction(DIM, 1, func_sample=lambda x: (np.asarray(x) @ job.weights)[:, None]),
    }


def _openturns_run(job: Portfolio, loss: Any, standard: bool, block: int, n: int, seed: int) -> Answer:
    cov = ot.CovarianceMatrix(job.cov.tolist())
    factors = ot.RandomVector(ot.Normal(ot.Point(DIM), cov))
    event = ot.ThresholdEvent(ot.CompositeRandomVector(loss, factors), ot.GreaterOrEqual(), job.threshold)
    if standard:
        event = ot.StandardEvent(event)
        proposal = ot.Normal(ot.Point(job.shift), ot.CovarianceMatrix(DIM))
    else:
        proposal = ot.Normal(ot.Point(job.factor @ job.shift), cov)
    ot.RandomGenerator.SetSeed(seed)
    algorithm = ot.ProbabilitySimulationAlgorithm(event, ot.ImportanceSamplingExperiment(proposal))
    algorithm.setMaximumCoefficientOfVariation(0.0)
    algorithm.setBlockSize(block)
    algorithm.setMaximumOuterSampling(n // block)
    algorithm.run()
    result = algorithm.getResult()
    if result.getOuterSampling() * block != n:
        raise ValueError(f"must take {n} draws, took {result.getOuterSampling() * block}")
    return result.getProbabilityEstimate(), result.getStandardDeviation()


def _answer(n: int, total: float, squares: float) -> Answer:
    mean = total / n
    return mean, math.sqrt((squares / n - mean**2) / (n - 1))


def _seconds(program: Program, n: int) -> float:
    """The shortest of three runs after one that is not counted."""
    program(n, 0)
    times = []
    for seed in range(3):
        begun = time.process_time()
        program(n, seed)
        times.append(time.process_time() - begun)
    return min(times)

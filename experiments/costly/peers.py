"""Adaptive kriging of UQpy, AK-MCS [1]_, on the problems of the literature at the same numbers of evaluations.

raresim does not depend on UQpy: ``run.py --peers`` needs an environment in which it is installed beside raresim. Every
problem is given to it as a function of independent standard normals. The surrogate is scikit-learn's Gaussian process
with a Matern-5/2 kernel, which UQpy takes: its own, as its example has it, was tried once and ended with a covariance
that is not positive definite. The first design has 20 points by Latin hypercube, each learning set another 10,000. Its
learning stops by itself where ``U >= 2`` everywhere in such a set; here it does not, which is in its favour: on four
branches it stopped after one step, 2,000 times too low. The answer is the share of `FINAL` draws at which the mean of
the process fails. There is no interval.

References
----------
.. [1] Echard, Gayton & Lemaire, *AK-MCS: an active learning reliability method combining Kriging and Monte Carlo
   simulation*, Struct. Saf. 33, 2011.
"""

from __future__ import annotations

import contextlib
import io
import logging
import math
import time
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from importlib import metadata
from typing import Any

import numpy as np
from problems import PROBLEMS, ReferenceProblem

from raresim.numerics.arrays import Float
from raresim.record.event import Event

try:
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import ConstantKernel, Matern
    from UQpy.distributions import Normal
    from UQpy.run_model.RunModel import RunModel
    from UQpy.sampling import AdaptiveKriging, LatinHypercubeSampling
    from UQpy.sampling.adaptive_kriging_functions import UFunction
except ImportError:
    AdaptiveKriging, RunModel = None, object

FILE = "peers"
FIRST, LEARNING_SET, STARTS, NEVER = 20, 10_000, 2, 10**9
FINAL, AT_ONCE = 1_000_000, 20_000
"""Draws of the final share, and of them those that are predicted at once."""

NAMES = ("FOUR-BRANCH-WAARTS", "R-S", "RP14", "OSC-REE", "OSC-AKMCS")
SEEDS, BUDGETS = 5, (100,)
"""Runs of a problem, and their evaluations."""


@dataclass(frozen=True)
class Peer:
    """A row of the file of peers.

    Parameters
    ----------
    problem, budget, seed
        What was run.
    ratio : float
        The estimate divided by the answer; NaN without an estimate.
    calls : int
        Evaluations of the loss.
    seconds : float
        Seconds of the processor.
    outcome : str
        The message where there is no estimate.
    version : str
        Version of UQpy.
    """

    problem: str
    budget: int
    seed: int
    ratio: float
    calls: int
    seconds: float
    outcome: str
    version: str

    @property
    def key(self) -> tuple[str, int, int]:
        return self.problem, self.budget, self.seed

    @property
    def file(self) -> str:
        return FILE


@dataclass(eq=False)
class Model(RunModel):  # type: ignore[misc]  # UQpy takes nothing else, and its own model is a file that it imports
    """A problem in the place of a ``RunModel``: it fails at or below zero."""

    problem: ReferenceProblem
    qoi_list: list[float] = field(default_factory=list)

    def run(self, samples: Float, append_samples: bool = True) -> None:
        """Evaluate ``samples`` (n, d) of standard normals."""
        event: Event = self.problem.measure.questions(_none, _none)[0].event
        u = np.asfortranarray(np.atleast_2d(samples), dtype=np.float64)
        x = self.problem.inputs.to_physical(u, np.empty((len(u), self.problem.inputs.dim), order="F"))
        margins = event.sign * (event.threshold - self.problem.loss(x))
        self.qoi_list = [*(self.qoi_list if append_samples else []), *(float(v) for v in margins)]


@dataclass(eq=False)
class Process:
    """scikit-learn's Gaussian process with the methods that UQpy calls."""

    dim: int
    seed: int

    def fit(self, samples: Float, values: Any, optimizations_number: int | None = None) -> None:
        """Fit parameters to values (n,) at ``samples`` (n, d), from `STARTS` starts."""
        kernel = ConstantKernel(1.0, (1e-4, 1e6)) * Matern(np.full(self.dim, 2.0), (1e-1, 1e3), nu=2.5)
        self.found = GaussianProcessRegressor(
            kernel, alpha=1e-8, normalize_y=True, n_restarts_optimizer=STARTS, random_state=self.seed
        ).fit(samples, np.asarray(values, dtype=np.float64).reshape(-1))

    def predict(self, points: Float, return_std: bool = False) -> Any:
        """Mean (m,), and the standard deviation (m,) if it is asked for."""
        return self.found.predict(points, return_std=return_std)


def _none(*_: Any) -> Any:
    raise ValueError("the thresholds of the literature are numbers")


def share_of_failures(predict: Any, dim: int, seed: int) -> float:
    """Share of `FINAL` draws at which the mean of the process fails."""
    rng = np.random.default_rng(seed)
    failures = 0
    for _ in range(FINAL // AT_ONCE):
        failures += int(np.count_nonzero(np.ravel(predict(rng.standard_normal((AT_ONCE, dim)))) <= 0.0))
    return failures / FINAL


def runs(name: str, seed: int, budgets: Iterable[int] = BUDGETS) -> Iterator[Peer]:
    """One process, asked at each budget in turn; an error is a result too."""
    problem, version = PROBLEMS[name], metadata.version("UQpy")
    dim, model, begun = problem.inputs.latent_dim, Model(problem), time.process_time()
    laws = [Normal(0.0, 1.0) for _ in range(dim)]
    process = Process(dim, seed)
    learner = None
    warnings.simplefilter("ignore")
    for budget in budgets:
        ratio, outcome = math.nan, ""
        try:
            with contextlib.redirect_stdout(io.StringIO()), np.errstate(all="ignore"):
                if learner is None:
                    first = LatinHypercubeSampling(distributions=laws, nsamples=FIRST, random_state=seed).samples
                    learner = AdaptiveKriging(
                        distributions=laws,
                        runmodel_object=model,
                        surrogate=process,
                        learning_function=UFunction(u_stop=NEVER),
                        samples=first,
                        learning_nsamples=LEARNING_SET,
                        random_state=seed + 1,
                    )
                learner.run(nsamples=budget)
                ratio = share_of_failures(process.predict, dim, seed) / problem.probability
        except Exception as error:
            outcome = f"{type(error).__name__}: {error}".split("\n")[0][:100]
        taken = round(time.process_time() - begun, 1)
        yield Peer(name, budget, seed, ratio, len(model.qoi_list), taken, outcome, version)


def run_all(there: Iterable[tuple[str, int, int]]) -> Iterator[Peer]:
    """The runs that are not ``there``."""
    if AdaptiveKriging is None:
        raise SystemExit("--peers: install UQpy beside raresim")
    logging.disable(logging.WARNING)
    known = set(there)
    for seed in range(SEEDS):
        for name in NAMES:
            if any((name, budget, seed) not in known for budget in BUDGETS):
                yield from runs(name, seed)

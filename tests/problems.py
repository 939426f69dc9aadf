"""One table of problems whose answer is known exactly; every test that needs one takes it from here."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from scipy import stats

from raresim import (
    CrossEntropy,
    Crude,
    Experiment,
    Linear,
    Normal,
    Probability,
    PythonLoss,
    StandardNormal,
    Stop,
    StudentT,
)
from raresim.distributions.base import Inputs
from raresim.losses.base import Loss
from raresim.methods.base import Method

COV = [[2.0, 0.6, -0.3], [0.6, 1.0, 0.2], [-0.3, 0.2, 0.5]]
MEAN = [0.0, 1.0, 2.0]
WEIGHTS = [1.0, 0.5, -0.5]


@dataclass(frozen=True, eq=False)
class Case:
    """A problem and the exact probability of each of its events."""

    name: str
    inputs: Inputs
    loss: Loss
    measure: Probability
    exact: Sequence[float]
    method: Method = field(default_factory=CrossEntropy)


def experiment(case: Case, seed: int, **options: Any) -> Experiment:
    """The experiment of ``case``; ``options`` replace the method, the measures or parts of the stopping rule."""
    stop = {key: options.pop(key) for key in ("relative_error", "max_evaluations") if key in options}
    given = {"method": case.method, "measures": [case.measure]} | options
    return Experiment(inputs=case.inputs, loss=case.loss, seed=seed, stop=Stop(**stop), **given)


def solve(case: Case, seed: int, executor: Any = None, **options: Any) -> Any:
    return experiment(case, seed, **options).run(executor)


def two_sided_loss(x):
    """Absolute value of a standard normal that all coordinates make up."""
    return np.abs(x.sum(axis=1)) / np.sqrt(x.shape[1])


def linear_normal(d: int, k: float) -> Case:
    loss = Linear(weights=np.full(d, 1 / np.sqrt(d)))
    return Case(f"normal-d{d}-{k:g}", StandardNormal(dim=d), loss, Probability(above=k), [stats.norm.sf(k)])


def two_sided(d: int, k: float) -> Case:
    loss = PythonLoss(function=two_sided_loss)
    return Case(f"two-sided-d{d}-{k:g}", StandardNormal(dim=d), loss, Probability(above=k), [2 * stats.norm.sf(k)])


def correlated(k: float) -> Case:
    """Threshold in sigma of a loss with a mean: closed-form moments are part of what is tested."""
    inputs, loss = Normal(mean=MEAN, cov=COV), Linear(weights=WEIGHTS)
    return Case(f"correlated-{k:g}", inputs, loss, Probability(above=f"{k} sigma"), [stats.norm.sf(k)])


def student(dof: float, tail: float) -> Case:
    w, loc = np.array(WEIGHTS), np.array(MEAN)
    scale = np.sqrt(w @ np.array(COV) @ w)
    threshold = w @ loc + scale * stats.t.isf(tail, dof)
    inputs = StudentT(dof=dof, loc=MEAN, shape=COV)
    measure = Probability(above=float(threshold))
    return Case(f"student-{dof:g}-{tail:g}", inputs, Linear(weights=WEIGHTS), measure, [tail])


def below(k: float) -> Case:
    loss, measure = Linear(weights=[0.6, 0.8]), Probability(below=-k)
    return Case(f"below-{k:g}", StandardNormal(dim=2), loss, measure, [stats.norm.sf(k)])


def several(*ks: float) -> Case:
    loss, measure = Linear(weights=[0.6, 0.8]), Probability(above=list(ks))
    return Case("several", StandardNormal(dim=2), loss, measure, list(stats.norm.sf(ks)))


def crude(k: float) -> Case:
    measure, exact = Probability(above=k), [stats.norm.sf(k)]
    return Case(f"crude-{k:g}", StandardNormal(dim=2), Linear(weights=[0.6, 0.8]), measure, exact, Crude())


def guaranteed(k: float) -> Case:
    """Crude Monte Carlo that stops at a number of hits, with two events that come to theirs at different rows."""
    measure, exact = Probability(above=[k, k - 1.0]), [stats.norm.sf(k), stats.norm.sf(k - 1.0)]
    method = Crude(guarantee="relative")
    return Case(f"guarantee-{k:g}", StandardNormal(dim=2), Linear(weights=[0.6, 0.8]), measure, exact, method)


def betting(k: float) -> Case:
    """A proposal with a share of the target, whose interval is read from bets."""
    case, measure = linear_normal(2, k), Probability(above=k, interval="betting")
    return Case(f"betting-{k:g}", case.inputs, case.loss, measure, case.exact, CrossEntropy())


PROBLEMS = [
    *(linear_normal(d, k) for d in (1, 3, 20) for k in (3.0, 5.0)),
    two_sided(3, 4.0),
    two_sided(3, 5.0),
    correlated(4.0),
    student(3.0, 1e-5),
    student(7.5, 1e-7),
    below(4.0),
    several(3.0, 4.0, 5.0),
    crude(2.0),
]

EVERY_PROBLEM = [pytest.param(case, id=case.name) for case in PROBLEMS]


# --- losses on standard normals ---------------------------------------------------------------------


def total(u):
    """A standard normal that the coordinates make up."""
    return u.sum(axis=1) / np.sqrt(u.shape[1])


def floored(u):
    return np.floor(u.sum(axis=1))


def capped(u):
    return np.minimum(u.sum(axis=1), 2.0)


def constant(u):
    return np.zeros(len(u))

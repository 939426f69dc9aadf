"""The cases of the study: questions whose answer is known, and the experiment that asks each."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import stats

import raresim
from raresim import CrossEntropy, Crude, Experiment, Gaussian, Importance, Linear, Normal, Probability, PythonLoss, Stop

NORMAL_TAIL = float(stats.norm.sf(5.0))
T_DOF, T_DIM, T_TAIL = 4.0, 5, 1e-6

SINGLE_BUDGET = 200_000
"""Three times the evaluations of the pooled runs: a single start that fails would spend any budget."""


@dataclass(frozen=True)
class Case:
    """A question with its exact answer.

    Parameters
    ----------
    name : str
        Name of the case in the table.
    exact : float
        The probability.
    build : callable
        The experiment of a seed.
    nominal : bool
        Whether the interval has to cover 95 %.
    hidden : bool
        Whether a failure region can be missed: then the answer must be near the truth or not trusted.
    """

    name: str
    exact: float
    build: Callable[[int], Experiment]
    nominal: bool = False
    hidden: bool = False


def two_sided(x: np.ndarray) -> np.ndarray:
    """``|sum_j x_j| / sqrt(d)``: the absolute value of a standard normal."""
    return np.abs(x.sum(axis=1)) / math.sqrt(x.shape[1])


def all_cases() -> dict[str, Case]:
    """Every case of the study by name, in the order of the table."""
    cases = [*_crude(), *_one_sided(), *_two_sided(), *_student_t(), *_stated()]
    return {case.name: case for case in cases}


def _standard(dim: int) -> raresim.StandardNormal:
    return raresim.StandardNormal(dim=dim)


def _sum(dim: int) -> Linear:
    return Linear(weights=np.full(dim, 1.0 / math.sqrt(dim)))


def _crude() -> list[Case]:
    def case(error: float) -> Case:
        def build(seed: int) -> Experiment:
            return Experiment(
                inputs=_standard(3),
                loss=_sum(3),
                measures=[Probability(above=2.0)],
                method=Crude(),
                stop=Stop(relative_error=error),
                seed=seed,
            )

        return Case(f"crude, 2 sigma, {error:.0%}", float(stats.norm.sf(2.0)), build, nominal=True)

    return [case(error) for error in (0.05, 0.01)]


def _tuned(
    name: str,
    dim: int,
    loss: Linear | PythonLoss,
    method: CrossEntropy,
    stop: Stop,
    sides: int = 1,
    nominal: bool = False,
    hidden: bool = False,
) -> Case:
    """Cross-entropy on a 5-sigma event of ``dim`` standard normals."""

    def build(seed: int) -> Experiment:
        return Experiment(
            inputs=_standard(dim),
            loss=loss,
            measures=[Probability(above=5.0)],
            method=method,
            stop=stop,
            seed=seed,
        )

    return Case(f"{name}, d={dim}, {stop.relative_error:.0%}", sides * NORMAL_TAIL, build, nominal, hidden)


def _one_sided() -> list[Case]:
    return [
        _tuned(
            f"CE {covariance}",
            dim,
            _sum(dim),
            CrossEntropy(proposal=Gaussian(covariance=covariance)),
            Stop(relative_error=error),
            nominal=True,
        )
        for error in (0.01, 0.05)
        for dim in (3, 20)
        for covariance in ("low_rank", "mean_shift", "diagonal", "full")
        if covariance != "full" or dim == 3
    ]


def _two_sided() -> list[Case]:
    loss = PythonLoss(function=two_sided)
    pooled = [
        _tuned("CE two-sided", dim, loss, CrossEntropy(), Stop(relative_error=error), sides=2, hidden=True)
        for error in (0.01, 0.05)
        for dim in (3, 20)
    ]
    small = Stop(relative_error=0.01, max_evaluations=SINGLE_BUDGET)
    single = [_tuned("CE two-sided, 1 start", dim, loss, CrossEntropy(starts=1), small, sides=2) for dim in (3, 20)]
    return pooled + single


def _student_t() -> list[Case]:
    threshold = float(stats.t.isf(T_TAIL, T_DOF)) / math.sqrt(T_DIM)

    def case(error: float) -> Case:
        def build(seed: int) -> Experiment:
            return Experiment(
                inputs=raresim.StudentT(dof=T_DOF, dim=T_DIM),
                loss=Linear(weights="equal"),
                measures=[Probability(above=threshold)],
                stop=Stop(relative_error=error),
                seed=seed,
            )

        return Case(
            f"CE Student t, d={T_DIM}, {error:.0%}", float(stats.t.sf(threshold * math.sqrt(T_DIM), T_DOF)), build
        )

    return [case(error) for error in (0.01, 0.05)]


def _stated() -> list[Case]:
    def one_sided(seed: int) -> Experiment:
        return Experiment(
            inputs=Normal(mean=0.0, std=1.0),
            loss=Linear(weights=[1.0]),
            measures=[Probability(above=5.0)],
            method=Importance(proposal=Normal(mean=5.0, std=1.0), space="physical"),
            seed=seed,
        )

    def half_covered(seed: int) -> Experiment:
        return Experiment(
            inputs=_standard(3),
            loss=PythonLoss(function=two_sided),
            measures=[Probability(above=5.0)],
            method=Importance(proposal=Normal(mean=np.full(3, 5.0 / math.sqrt(3.0)), std=1.0)),
            seed=seed,
        )

    return [
        Case("stated N(5,1), 1%", NORMAL_TAIL, one_sided),
        Case("control: two-sided, stated one-sided, 1%", 2 * NORMAL_TAIL, half_covered),
    ]

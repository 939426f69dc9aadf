"""Events with a limit on their cost: how many evaluations the method `auto` may take for each.

They are not among the reference problems: none is held out, and no peer was run on them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from problems import FAILURE, PROBLEMS, Loss, ReferenceProblem, below_maximum, hyperplane, normals
from scipy import special, stats

from raresim.numerics.arrays import Float


@dataclass(frozen=True, eq=False)
class Target:
    """A question, and the evaluations that the median run may take.

    Parameters
    ----------
    problem : ReferenceProblem
        The question with its answer.
    limit : int
        Evaluations of the whole run.
    refusable : bool
        Whether a run without the verdict `trusted` is as good as one within the limit.
    """

    problem: ReferenceProblem
    limit: int
    refusable: bool = False


def either_side(x: Float, beta: float) -> Float:
    """``beta - |sum x_i| / sqrt(d)``."""
    return beta - np.abs(x.sum(axis=1)) / math.sqrt(x.shape[1])


def below_rotated_maximum(x: Float, rotation: Float, level: float) -> Float:
    """``level - max (Q x)_i``."""
    return below_maximum(x @ rotation.T, level)


def inside(x: Float, square: float) -> Float:
    """``square - |x|^2``."""
    return square - np.einsum("ij,ij->i", x, x)


def _normal(id: str, title: str, dim: int, loss: Loss, probability: float, difficulty: str) -> ReferenceProblem:
    """A closed form in independent standard normals."""
    return ReferenceProblem(id, title, normals(dim), loss, FAILURE, probability, 1e-12, (difficulty,))


def _targets() -> list[Target]:
    five = float(special.ndtr(-5.0))
    largest = -math.expm1(20.0 * float(special.log_ndtr(5.5)))
    rotation = stats.ortho_group.rvs(20, random_state=np.random.default_rng(20261125))
    rotated = partial(below_rotated_maximum, rotation=rotation, level=5.5)
    shell = partial(inside, square=float(stats.chi2.isf(1e-6, 100)))
    far = partial(hyperplane, beta=-float(special.ndtri(1e-12)))
    four = PROBLEMS["FOUR-BRANCH-WAARTS"]
    return [
        Target(
            _normal("LIMIT-LIN-1000", "5-sigma hyperplane", 1000, partial(hyperplane, beta=5.0), five, "dimension"),
            16_000,
        ),
        Target(
            _normal(
                "LIMIT-TWO-SIDED", "5-sigma, both sides", 20, partial(either_side, beta=5.0), 2.0 * five, "two modes"
            ),
            15_000,
        ),
        Target(
            _normal("LIMIT-MAX-20", "maximum of 20 at 5.5", 20, partial(below_maximum, level=5.5), largest, "20 modes"),
            10_000,
        ),
        Target(_normal("LIMIT-MAX-20-ROTATED", "the same, rotated", 20, rotated, largest, "20 modes"), 40_000, True),
        Target(replace(four, id="LIMIT-FOUR-BRANCH"), 1_500),
        Target(_normal("LIMIT-SHELL", "beyond the 1e-6 shell", 100, shell, 1e-6, "all directions"), 20_000),
        Target(_normal("LIMIT-1E-12", "hyperplane at 1e-12", 10, far, 1e-12, "very rare"), 30_000),
    ]


TARGETS = {target.problem.id: target for target in _targets()}
"""The targets by the id of their problem."""

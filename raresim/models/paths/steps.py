"""Independent steps and their exponential twist: the means that a twist gives them, and draws."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from raresim.marginals.poisson import Poisson
from raresim.marginals.twist import BEYOND, Twistable
from raresim.models.paths.scores import scores_of_counts
from raresim.numerics.arrays import Float

DOUBLINGS = 80
"""Steps in which a root is bracketed, at most."""


class Step(ABC):
    """The law of a step ``X``, with its cumulant function ``k(theta) = log E exp(theta X)``."""

    @abstractmethod
    def cumulant(self, theta: float) -> float:
        """``k(theta)``; infinite where there is no such mean."""

    @abstractmethod
    def mean(self, theta: float) -> float:
        """``k'(theta)``, the mean of a step under the twist."""

    @abstractmethod
    def sample(self, rng: np.random.Generator, theta: float, shape: tuple[int, int]) -> list[Float]:
        """Standard normal scores of the factors of twisted steps (n, steps), one array for each factor of a step."""

    def theta_of(self, mean: float) -> float | None:
        """The twist under which a step has this mean; None where no twist of an existing mean gives it."""
        return root(lambda theta: self.mean(theta) - mean, 1.0 if mean > self.mean(0.0) else -1.0)


@dataclass(frozen=True)
class NormalStep(Step):
    """A normal step.

    Parameters
    ----------
    loc, std : float
        Its mean and standard deviation.
    """

    loc: float
    std: float

    def cumulant(self, theta: float) -> float:
        return theta * (self.loc + 0.5 * theta * self.std**2)

    def mean(self, theta: float) -> float:
        return self.loc + theta * self.std**2

    def theta_of(self, mean: float) -> float:
        return (mean - self.loc) / self.std**2

    def sample(self, rng: np.random.Generator, theta: float, shape: tuple[int, int]) -> list[Float]:
        return [rng.standard_normal(shape) + theta * self.std]


@dataclass(frozen=True)
class JumpStep(Step):
    """A normal step and a Poisson number of normal jumps.

    Parameters
    ----------
    loc, std : float
        Mean and standard deviation of the step without jumps.
    jumps : float
        Expected number of jumps.
    jump_loc, jump_std : float
        Mean and standard deviation of a jump.

    Notes
    -----
    ``k(theta) = loc theta + std^2 theta^2 / 2 + jumps (M(theta) - 1)`` with the moment generating function ``M`` of a
    jump. Under the twist the expected number of jumps is ``jumps M(theta)``, and all normals move by ``theta`` times
    their variance.
    """

    loc: float
    std: float
    jumps: float
    jump_loc: float
    jump_std: float

    @cached_property
    def number(self) -> Poisson:
        """The law of the number of jumps."""
        return Poisson(mu=self.jumps)

    def grown(self, theta: float) -> float:
        """``M(theta)``."""
        return math.exp(min(theta * (self.jump_loc + 0.5 * theta * self.jump_std**2), 700.0))

    def cumulant(self, theta: float) -> float:
        return theta * (self.loc + 0.5 * theta * self.std**2) + self.jumps * (self.grown(theta) - 1.0)

    def mean(self, theta: float) -> float:
        jumps = self.jumps * self.grown(theta)
        return self.loc + theta * self.std**2 + jumps * (self.jump_loc + theta * self.jump_std**2)

    def sample(self, rng: np.random.Generator, theta: float, shape: tuple[int, int]) -> list[Float]:
        number = rng.poisson(self.jumps * self.grown(theta), shape)
        moved = rng.standard_normal(shape) + theta * np.sqrt(self.std**2 + number * self.jump_std**2)
        return [moved, scores_of_counts(rng, self.number, number.astype(np.float64))]


@dataclass(frozen=True)
class LawStep(Step):
    """A step of any law without heavy tails, by quadrature or over its atoms.

    Parameters
    ----------
    law : Twistable
        Its law.
    """

    law: Twistable

    @cached_property
    def atoms(self) -> Float:
        """Values at the points of the quadrature (k, m), or the atoms (1, m)."""
        return self.law.grid.x

    def cumulant(self, theta: float) -> float:
        return self._moments(theta)[0]

    def mean(self, theta: float) -> float:
        return self._moments(theta)[1]

    def _moments(self, theta: float) -> tuple[float, float]:
        log_mass = theta * self.atoms + self.law.grid.log_weight
        most = float(log_mass.max())
        if not math.isfinite(most):
            return math.inf, math.inf
        mass = np.exp(log_mass - most)
        total = float(mass.sum())
        if not self.law.law.discrete and max(mass[0].sum(), mass[-1].sum()) > BEYOND * total:
            return math.inf, math.copysign(math.inf, theta)
        return most + math.log(total), float((mass * self.atoms).sum()) / total

    def sample(self, rng: np.random.Generator, theta: float, shape: tuple[int, int]) -> list[Float]:
        return [self.law.twisted(theta).sample(rng, shape[0] * shape[1]).reshape(shape)]


def root(function: Callable[[float], float], towards: float, begins: float = 0.0) -> float | None:
    """Where ``function`` changes its sign beyond ``begins`` in the direction of ``towards``; None where it does not."""
    from scipy import optimize

    low, at_low, reach = begins, function(begins), towards - begins
    for _ in range(DOUBLINGS):
        high = begins + reach
        at_high = function(high)
        if not math.isfinite(at_high):
            reach = 0.5 * (reach + low - begins)
        elif at_low * at_high <= 0:
            return float(optimize.brentq(function, low, high, xtol=1e-13 * max(abs(low), abs(high))))
        else:
            low, at_low, reach = high, at_high, 2.0 * reach
        if abs(reach - (low - begins)) < 1e-12 * abs(reach):
            return None
    return None

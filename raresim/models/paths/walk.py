"""A random walk with steps of any law."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from raresim.distributions.base import Inputs
from raresim.marginals.base import Marginal
from raresim.marginals.finite import Finite
from raresim.marginals.normal import Normal
from raresim.marginals.twist import Twistable
from raresim.models.paths.process import Process, finite, independent
from raresim.models.paths.steps import LawStep, NormalStep, Step
from raresim.numerics.arrays import Float
from raresim.numerics.jit import kernel
from raresim.registry import member


@member("process")
@dataclass(frozen=True, kw_only=True, eq=False)
class RandomWalk(Process):
    """A random walk: a sum of independent steps of one law.

    Parameters
    ----------
    step : Marginal
        The law of a step, any marginal of the package.
    start : float
        Where the walk begins.
    """

    kind: ClassVar[str] = "walk"
    is_price: ClassVar[bool] = False
    in_time: ClassVar[bool] = False
    by_normals: ClassVar[bool] = False

    step: Marginal
    start: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "start", finite("start", self.start))

    @property
    def first(self) -> float:
        return self.start

    def factors(self, steps: int, dt: float) -> Inputs:
        return independent(steps, step=self.step)

    def fill(self, x: Float, dt: float, path: Float) -> None:
        summed(x, path)

    def increment(self, dt: float) -> Step | None:
        law = self.step
        if isinstance(law, Normal):
            return NormalStep(law.loc, law.scale)
        if law.discrete and getattr(law, "atoms", None) is None:
            return None
        both = Twistable(law)
        return None if both.is_heavy else LawStep(both)

    def bridge_variance(self, dt: float) -> float | None:
        return self.step.scale**2 if isinstance(self.step, Normal) else None

    def describe(self) -> list[str]:
        return [f"random walk from {self.start:g}, each step {self.step.describe()}"]

    @staticmethod
    def examples() -> list[RandomWalk]:
        """Members for the conformance tests."""
        return [
            RandomWalk(step=Normal(mean=-0.1, std=1.0)),
            RandomWalk(step=Finite(values=[-1.0, 1.0], probabilities=[0.6, 0.4])),
        ]


@kernel
def summed(x: Float, path: Float) -> None:
    """``path[i, k] = sum_{j <= k} x[i, j]`` of the columns that ``path`` has."""
    n, steps = path.shape
    for i in range(n):
        path[i, 0] = x[i, 0]
    for k in range(1, steps):
        for i in range(n):
            path[i, k] = path[i, k - 1] + x[i, k]

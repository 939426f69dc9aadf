"""How a search evaluates the loss and draws from laws: every call is a stage of the run."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self, TypeVar

import numpy as np

from raresim.accumulators.base import Accumulator
from raresim.distributions.base import Distribution
from raresim.engine.fold import Job, Sampler
from raresim.engine.problem import Space
from raresim.engine.session import Session
from raresim.numerics.arrays import Float
from raresim.numerics.blocks import Block, Plan, block_rows
from raresim.numerics.streams import stream
from raresim.search.archive import Archive

S = TypeVar("S", bound=Accumulator)

LEAST_POINTS = 16
"""Smallest number of points of a block: fewer do not pay for their way to a worker."""


@dataclass(frozen=True, eq=False)
class Losses(Accumulator):
    """Losses of given points, in order."""

    loss: Float

    def merge(self, other: Self) -> Self:
        return type(self)(np.concatenate([self.loss, other.loss]))


@dataclass(frozen=True, eq=False)
class EvaluatePoints(Job[Losses]):
    """The loss times ``sign`` at ``points`` (n, d)."""

    sampler: Sampler
    points: Float
    sign: float

    def __call__(self, block: Block) -> Losses:
        u = np.asfortranarray(self.points[block.first : block.first + block.rows])
        return Losses(self.sampler.signed_loss(u, block, self.sign).copy())


@dataclass(frozen=True, eq=False)
class States(Accumulator):
    """Losses (n,) of given points and their limit states (n, m), in order."""

    loss: Float
    states: Float

    def merge(self, other: Self) -> Self:
        return type(self)(np.concatenate([self.loss, other.loss]), np.concatenate([self.states, other.states]))


@dataclass(frozen=True, eq=False)
class EvaluateStates(Job[States]):
    """The loss and its limit states times ``sign`` at ``points`` (n, d)."""

    sampler: Sampler
    points: Float
    sign: float

    def __call__(self, block: Block) -> States:
        u = np.asfortranarray(self.points[block.first : block.first + block.rows])
        loss, states = self.sampler.signed_states(u, block, self.sign)
        return States(loss.copy(), states.copy())


@dataclass(eq=False)
class Explorer:
    """Evaluates and draws for a search, counts the evaluations, and keeps the draws.

    Every call is a stage of the run: its workers share the call, its journal records it, and failures are treated as in
    other stages. No digit depends on the workers.

    Parameters
    ----------
    session : Session
        The run.
    sign : float
        Sign that makes larger losses rarer.
    space : "standard" or "physical", optional
        The space of the points; by default the space of the run's draws.
    """

    session: Session
    sign: float
    space: Space | None = None
    evaluations: int = 0

    def __post_init__(self) -> None:
        problem = self.session.problem
        self.problem = replace(problem, space=self.space or problem.space)
        self._sampler = Sampler(self.problem, None, self.session.seed)

    @cached_property
    def archive(self) -> Archive:
        """All draws made by `draw`."""
        return Archive(self.problem.target)

    @property
    def dim(self) -> int:
        """Number of coordinates of a draw."""
        return self.problem.dim

    def generator(self) -> np.random.Generator:
        """A random stream of its own, for choices without evaluations."""
        return stream(self.session.seed, self.session.plan(1).stage, 0)

    def __call__(self, points: Float, note: str = "points") -> Float:
        """Signed losses (n,) at ``points`` (n, d)."""
        return self._fold(EvaluatePoints(self._sampler, points, self.sign), self._plan(len(points)), note).loss

    def at_factors(self, x: Float, note: str = "risk factors") -> Float:
        """Signed losses (n,) at risk factors ``x`` (n, d)."""
        sampler = replace(self._sampler, problem=replace(self.problem, space="physical"))
        return self._fold(EvaluatePoints(sampler, x, self.sign), self._plan(len(x)), note).loss

    def states(self, points: Float, note: str = "points") -> tuple[Float, Float]:
        """Signed losses (n,) and limit states (n, m) at ``points`` (n, d), from one evaluation each.

        A loss without limit states has itself as the only one: (n, 1).
        """
        found = self._fold(EvaluateStates(self._sampler, points, self.sign), self._plan(len(points)), note)
        return found.loss, found.states

    def nominal(self, n: int, note: str) -> tuple[Float, Float]:
        """Draws (n, d) of the target and their signed losses (n,), in one stage; they are not added to the archive."""
        plan = self._plan(n)
        u = np.empty((n, self.dim), order="F")
        self.problem.target.sample(stream(self.session.seed, plan.stage, 0), u)
        return u, self._fold(EvaluatePoints(self._sampler, u, self.sign), plan, note, "tune").loss

    def draw(self, law: Distribution, n: int, note: str) -> slice:
        """Draw ``n`` times from ``law``, evaluate, and add to the archive; returns the rows there."""
        u = np.empty((n, self.dim), order="F")
        law.sample(self.generator(), u)
        if not self.problem.loss.limit_state_names:
            return self.archive.add(law, u, self(u, note))
        loss, states = self.states(u, note)
        return self.archive.add(law, u, loss, states)

    def _plan(self, n: int) -> Plan:
        """The stage of ``n`` points, in blocks small enough that workers share even a few gradients."""
        return self.session.plan(n, min(max(LEAST_POINTS, -(-n // 16)), block_rows(n, self.dim)))

    def _fold(self, job: Job[S], plan: Plan, note: str, name: str = "explore") -> S:
        self.evaluations += plan.n_samples
        return self.session.fold(name, job, plan, note)

"""How a search evaluates the loss and draws from laws: every call is a stage of the run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Self

import numpy as np

from raresim.accumulators.base import Accumulator
from raresim.distributions.base import Distribution
from raresim.engine.fold import Job, Sampler
from raresim.engine.session import Session
from raresim.numerics.arrays import Float
from raresim.numerics.blocks import Block
from raresim.numerics.streams import stream
from raresim.search.archive import Archive


@dataclass(frozen=True, eq=False)
class Losses(Accumulator):
    """Losses of given points, in their order."""

    loss: Float

    def merge(self, other: Self) -> Self:
        return type(self)(np.concatenate([self.loss, other.loss]))


@dataclass(frozen=True, eq=False)
class EvaluatePoints(Job[Losses]):
    """The loss, times ``sign``, at ``points`` (n, d)."""

    sampler: Sampler
    points: Float
    sign: float

    def __call__(self, block: Block) -> Losses:
        u = np.asfortranarray(self.points[block.first : block.first + block.rows])
        return Losses(self.sampler.signed_loss(u, block, self.sign).copy())


@dataclass(frozen=True, eq=False)
class States(Accumulator):
    """Losses (n,) of given points and their limit states (n, m), in their order."""

    loss: Float
    states: Float

    def merge(self, other: Self) -> Self:
        return type(self)(np.concatenate([self.loss, other.loss]), np.concatenate([self.states, other.states]))


@dataclass(frozen=True, eq=False)
class EvaluateStates(Job[States]):
    """The loss and its limit states, times ``sign``, at ``points`` (n, d)."""

    sampler: Sampler
    points: Float
    sign: float

    def __call__(self, block: Block) -> States:
        u = np.asfortranarray(self.points[block.first : block.first + block.rows])
        loss, states = self.sampler.signed_states(u, block, self.sign)
        return States(loss.copy(), states.copy())


@dataclass(eq=False)
class Explorer:
    """Evaluates and draws for a search, counts what that takes, and keeps what was drawn.

    Parameters
    ----------
    session : Session
        The run.
    sign : float
        Losses times ``sign`` are larger where they are rarer.
    """

    session: Session
    sign: float
    archive: Archive = field(init=False)
    evaluations: int = 0

    def __post_init__(self) -> None:
        self.archive = Archive(self.session.problem.target)
        self._sampler = Sampler(self.session.problem, None, self.session.seed)

    @property
    def dim(self) -> int:
        """Number of coordinates of a draw."""
        return self.session.problem.dim

    def generator(self) -> np.random.Generator:
        """A random stream of its own, for choices that evaluate nothing."""
        return stream(self.session.seed, self.session.plan(1).stage, 0)

    def __call__(self, points: Float, note: str = "points") -> Float:
        """Signed losses (n,) at ``points`` (n, d)."""
        plan = self.session.plan(points.shape[0])
        self.evaluations += plan.n_samples
        return self.session.fold("explore", EvaluatePoints(self._sampler, points, self.sign), plan, note).loss

    def states(self, points: Float, note: str = "points") -> tuple[Float, Float]:
        """Signed losses (n,) and limit states (n, m) at ``points`` (n, d), from one evaluation each.

        A loss without limit states is one of itself: (n, 1).
        """
        plan = self.session.plan(points.shape[0])
        self.evaluations += plan.n_samples
        found = self.session.fold("explore", EvaluateStates(self._sampler, points, self.sign), plan, note)
        return found.loss, found.states

    def draw(self, law: Distribution, n: int, note: str) -> slice:
        """Draw ``n`` times from ``law``, evaluate, and add to the archive; the rows there."""
        u = np.empty((n, self.dim), order="F")
        law.sample(self.generator(), u)
        if not self.session.problem.loss.limit_state_names:
            return self.archive.add(law, u, self(u, note))
        loss, states = self.states(u, note)
        return self.archive.add(law, u, loss, states)

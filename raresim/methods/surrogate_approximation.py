"""Margins of an approximation at any point: computed, or predicted by surrogates where each of its rows is a run."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from raresim.engine.session import Session
from raresim.errors import LossError
from raresim.losses.base import Loss
from raresim.losses.rows import RowLoss
from raresim.methods.surrogate_search import Learner
from raresim.numerics.arrays import Float
from raresim.search.explorer import Explorer
from raresim.surrogate.system import System
from raresim.surrogate.warp import unwarped

RUNS = 300
"""Runs of an approximation that may be made where each row is one."""

AT_ONCE = 4_096
"""Rows of a call of any other approximation."""


@dataclass(eq=False)
class Rough:
    """Margins of an approximation that takes many rows at a time.

    Parameters
    ----------
    session : Session
        The run, with the inputs and the approximation.
    loss : Loss
        The approximation.
    sign, threshold : float
        Of the event to which margins refer.
    rows : int
        Rows that were computed so far.
    """

    session: Session
    loss: Loss
    sign: float
    threshold: float
    rows: int = 0

    def __call__(self, points: Float) -> Float:
        """Margins (k, m) at ``points`` (k, d).

        Raises
        ------
        LossError
            When the approximation fails, or is not finite at a point.
        """
        inputs, width = self.session.problem.inputs, max(1, len(self.loss.limit_state_names))
        out = np.empty((len(points), width))
        for first in range(0, len(points), AT_ONCE):
            u = np.asfortranarray(points[first : first + AT_ONCE])
            x = inputs.to_physical(u, np.empty((len(u), inputs.dim), order="F"))
            try:
                out[first : first + AT_ONCE] = self._of(x)
            except LossError as error:
                raise LossError(f"approximation: {error}", error.failures) from error.__cause__
        self.rows += len(points)
        if not np.isfinite(out).all():
            raise LossError("approximation: must be finite everywhere, got NaN or infinity")
        return np.asarray(self.sign * out - self.sign * self.threshold)

    def _of(self, x: Float) -> Float:
        states = self.loss.states(x) if self.loss.limit_state_names else None
        if states is not None:
            return states
        out = np.empty(len(x))
        self.loss(x, out)
        return out[:, np.newaxis]


@dataclass(frozen=True, eq=False)
class Emulated:
    """Margins of an approximation as surrogates of its own predict them."""

    system: System

    def __call__(self, points: Float) -> Float:
        """Margins (k, m) at ``points`` (k, d)."""
        mean, _ = self.system.predict(points)
        return np.column_stack([unwarped(c.process.warp, mean[:, j]) for j, c in enumerate(self.system.components)])


def approximation_of(
    session: Session, sign: float, threshold: float, least: int, rng: np.random.Generator
) -> tuple[Rough | Emulated | None, str]:
    """What gives the margins of the session's approximation, and what was done for it in words.

    A program or a server, of which each row is a run, is learnt itself from `RUNS` runs, where its own boundary is
    unsure: the first of two surrogates, one above the other (recursive co-kriging, [1]_).

    References
    ----------
    .. [1] Le Gratiet & Garnier, *Recursive co-kriging model for design of computer experiments with multiple levels of
       fidelity*, Int. J. Uncertain. Quantif. 4, 2014.
    """
    loss = session.approximation
    if loss is None:
        return None, ""
    if not isinstance(loss, RowLoss):
        return Rough(session, loss, sign, threshold), ""
    own = replace(session, problem=replace(session.problem, loss=loss))
    explorer = Explorer(own, sign)

    def margins(u: Float) -> Float:
        return explorer(np.asfortranarray(u), "approximation")[:, np.newaxis] - sign * threshold

    learner = Learner(margins, explorer.dim, rng, loss.parallel, least)
    learner.begin()
    learner.learn(RUNS, None)
    learner.refit()
    return Emulated(learner.system), f"a surrogate of the approximation learnt from {learner.evaluations} runs of it"

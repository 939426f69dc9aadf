"""The step of Hasofer, Lind, Rackwitz and Fiessler towards the nearest point of an event, for several walks at once.

A step goes to the nearest point to the origin on the plane where the linearised loss reaches the goal, [1]_; a merit
function decides how much of the step is taken, [2]_ sec. 4. The kind of differences, the longest step and the terms of
the merit are options: a search for design points follows a smooth loss until it has converged, while walks uphill only
need to come near through noise and jumps.

References
----------
.. [1] Rackwitz & Fiessler, *Structural reliability under combined random load sequences*, Comput. Struct. 9, 1978.
.. [2] Zhang & Der Kiureghian, *Two improved algorithms for reliability analysis*, in Reliability and Optimization of
   Structural Systems, 1995.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from raresim.numerics.arrays import Float

Evaluate = Callable[[Float], Float]
"""From draws (n, d) in Fortran order to their losses (n,) in a new array, signed so that larger is rarer."""


@dataclass(frozen=True)
class Steps:
    """Options for gradients and steps.

    Parameters
    ----------
    difference : float
        Distance over which a gradient is taken, in standard deviations.
    central_up_to : int
        Largest dimension in which differences are taken on both sides.
    outwards : bool
        Whether a one-sided difference goes away from the origin along each coordinate; else towards larger values.
    most_ahead : float
        Largest distance along the gradient to the plane on which the linearised loss reaches the goal.
    most_reach : float
        Largest distance of that plane from the origin.
    exact : bool
        Whether the merit also counts a loss beyond the goal, so that a step ends on the boundary of the event.
    """

    difference: float
    central_up_to: int = 0
    outwards: bool = False
    most_ahead: float = math.inf
    most_reach: float = math.inf
    exact: bool = False

    def cost(self, dim: int) -> int:
        """Evaluations of one gradient, without the one at the point itself."""
        return 2 * dim if dim <= self.central_up_to else dim

    def gradients(self, evaluate: Evaluate, u: Float, loss: Float) -> Float:
        """Gradients (k, d) of the loss at the rows of ``u`` (k, d), with known ``loss``, by differences in one call.

        A component is 0 if a point that it needs has no loss.
        """
        k, d = u.shape
        sides = (
            np.where(u >= 0, self.difference, -self.difference) if self.outwards else np.full(u.shape, self.difference)
        )
        steps = sides[:, :, None] * np.eye(d)
        is_central = d <= self.central_up_to
        if is_central:
            steps = np.concatenate([steps, -steps], axis=1)
        seen = evaluate(np.asfortranarray((u[:, None, :] + steps).reshape(-1, d))).reshape(k, -1)
        known = seen > -np.inf
        with np.errstate(invalid="ignore", over="ignore"):
            if is_central:
                rise = (seen[:, :d] - seen[:, d:]) / (2.0 * self.difference)
                return np.where(known[:, :d] & known[:, d:], rise, 0.0)
            return np.where(known, (seen - loss[:, None]) / sides, 0.0)

    def aims(self, u: Float, unit: Float, ahead: Float) -> Float:
        """Ends of steps (k, d): the nearest points of the planes across ``unit`` (k, d) that lie ``ahead`` (k,)."""
        along: Float = (u * unit).sum(axis=1)
        reach = along + np.clip(ahead, -self.most_ahead, self.most_ahead)
        aims: Float = np.clip(reach, -self.most_reach, self.most_reach)[:, None] * unit
        return aims

    def merit(self, u: Float, loss: Float, goal: float, penalty: Float) -> Float:
        """The merit to lower: half the squared norm of ``u`` (..., d), plus ``penalty`` times the loss's shortfall."""
        with np.errstate(over="ignore"):
            lacks = np.abs(goal - loss) if self.exact else np.maximum(goal - loss, 0.0)
            merit: Float = 0.5 * np.square(u).sum(axis=-1) + penalty * lacks
        return merit


def penalty_of(u: Float, slope: Float) -> Float:
    """Weight of the shortfall in the merit (k,): twice the value from which a step at ``u`` (k, d) lowers the merit."""
    penalty: Float = 2.0 * np.maximum(np.sqrt(np.square(u).sum(axis=1)), 1.0) / slope
    return penalty

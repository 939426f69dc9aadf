"""A line parallel to an important direction is one row, with the probability of the event along it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from raresim import arrays
from raresim.accumulators.summary import Summary
from raresim.arrays import Float
from raresim.blocks import Block
from raresim.engine import Sampler
from raresim.estimators.base import Estimator, Unit
from raresim.problem import Event
from raresim.roots import TOLERANCE, Index, log_normal_mass, log_shares, shifted
from raresim.streams import stream


@dataclass(frozen=True, eq=False)
class Lines(Estimator):
    """Line sampling along one direction, or along several with a part of the space for each.

    Parameters
    ----------
    sampler : Sampler
        Draws from the target and evaluates.
    events : tuple of Event
        What is asked for.
    directions : (k, d) float64
        Of length one, none equal to another.
    nodes : (j,) float64
        Places along a line at which the loss is looked at before the boundaries are found; evenly spaced, and shifted
        at random on each line.
    cost : float
        Loss evaluations that a row is expected to take.

    Notes
    -----
    With ``u = v + c a``, ``c`` standard normal and independent of ``v`` across ``a``, the row's weight is
    ``P(u in A | v)``: [1]_. With several directions the space is cut into the cones in which ``u a_k`` is the largest
    of all ``u a_j``; ``P(A)`` is the sum over the cones, each by lines along its own direction, which lie in the cone
    from ``c = max_j v a_j / (1 - a_k a_j)`` on. A row is one line in each, from the same normals; compare [2]_.

    Unbiased but for what the grid does not see: an event that a line enters and leaves between two nodes counts
    nothing, and a gap of that kind counts as event. The random shift lets other lines see it. Rows of a flat boundary
    are all alike: their spread then says nothing of the few that would differ, so half a row of mean weight is taken
    to be missing.

    References
    ----------
    .. [1] Koutsourelakis, Pradlwarter & Schueller, *Reliability of structures in high dimensions, part I*,
       Probab. Eng. Mech. 19, 2004.
    .. [2] Papaioannou & Straub, *Combination line sampling for structural reliability analysis*, Struct. Saf. 88, 2021.
    """

    unit: ClassVar[Unit] = "line"
    block_rows: ClassVar[int | None] = 256
    first_look: ClassVar[int] = 400
    least_rows: ClassVar[int] = 120
    resolution: ClassVar[float] = 10 * TOLERANCE
    """A boundary at distance ``t`` that is off by `TOLERANCE` changes the probability beyond it by ``t TOLERANCE``."""
    unseen: ClassVar[float] = 0.5

    sampler: Sampler
    events: tuple[Event, ...]
    directions: Float
    nodes: Float
    cost: float = math.nan

    def __call__(self, block: Block) -> Summary:
        log_weight, evaluations = self.of_normals(self.sampler.draw(block), block)
        return Summary.of_rows(block.rows, [row[row > -np.inf] for row in log_weight], evaluations)

    @property
    def gapless(self) -> str:
        return ""

    @property
    def cost_through(self) -> float:
        return self.cost

    def through(self, u: Float, block: Block) -> tuple[Float, int]:
        return self.of_normals(u, block)

    def of_normals(self, z: Float, block: Block) -> tuple[Float, int]:
        """Log weights (m, n) of the rows that standard normals ``z`` (n, d) make, in nats; and what they cost."""
        n, d = z.shape
        total = np.full((len(self.events), n), -np.inf)
        evaluations = 0
        v = arrays.scratch("line_offsets", n, d)
        (shifts,) = stream(self.sampler.seed, block.stage, block.index).spawn(1)  # the draws took the stream itself
        for k, a in enumerate(self.directions):
            np.multiply.outer(z @ a, a, out=v)
            np.subtract(z, v, out=v)
            others = np.delete(self.directions, k, axis=0)
            low = np.max(v @ others.T / (1.0 - others @ a), axis=1, initial=-np.inf)

            def loss_at(rows: Index, c: Float, a: Float = a) -> Float:
                u = arrays.scratch("line_points", rows.size, d)
                np.multiply.outer(c, a, out=u)
                u += v[rows]
                return self.sampler.loss(u, block).copy()

            shares = log_shares(loss_at, self.events, shifted(self.nodes, n, shifts), low, log_normal_mass)
            np.logaddexp(total, shares.log_share, out=total)
            evaluations += shares.evaluations
        return total, evaluations

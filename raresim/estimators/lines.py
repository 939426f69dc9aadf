"""Line sampling: one row is one line parallel to an important direction, with the probability of the event along it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from raresim.accumulators.summary import Summary
from raresim.distributions.masses import log_normal_mass
from raresim.engine.fold import Sampler
from raresim.estimators.base import Estimator
from raresim.numerics import arrays
from raresim.numerics.arrays import Float, Index
from raresim.numerics.blocks import Block
from raresim.numerics.streams import stream
from raresim.record.event import Event
from raresim.record.rows import Unit
from raresim.search.roots import TOLERANCE, Shares, log_shares, shifted


@dataclass(frozen=True, eq=False)
class Lines(Estimator):
    """Line sampling along one direction, or along several directions with a part of the space for each.

    Parameters
    ----------
    sampler : Sampler
        Draws from the target and evaluates the loss.
    events : tuple of Event
        The events whose probability is estimated.
    directions : (k, d) float64
        Distinct directions of length one.
    nodes : (j,) float64
        Places along a line at which the loss is evaluated before the boundaries are found; evenly spaced, with a random
        shift on each line.
    cost : float
        Loss evaluations that a row is expected to take.

    Notes
    -----
    With ``u = v + c a``, ``c`` standard normal and independent of ``v``, which is orthogonal to ``a``, the weight of a
    row is ``P(u in A | v)``: [1]_. Several directions cut the space into cones, in which ``u a_k`` is the largest of
    all ``u a_j``; ``P(A)`` is the sum over the cones, each by lines along its own direction, which lie in the cone from
    ``c = max_j v a_j / (1 - a_k a_j)`` on. A row is one line in each cone, from the same normals; compare [2]_.

    The estimate is unbiased except for the grid: an event that a line enters and leaves between two nodes is missed,
    and a gap between two nodes counts as event. The random shift lets other lines meet them. If the boundary is flat,
    all rows are alike and their spread cannot show the few rows that would differ, so half a row of mean weight is
    assumed to be missing.

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
    """An error of `TOLERANCE` in a boundary at distance ``t`` changes the probability beyond it by ``t TOLERANCE``."""
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
        k = len(self.directions)
        return self.cost * (2.0 - 1.0 / k) / k

    def through(self, u: Float, block: Block) -> tuple[Float, int]:
        """See `Estimator.through`: the line through each draw, and the mean contribution of the lines in other cones.

        With ``k`` cones, every ``k``-th row through the draws, and at least one in each cone, is evaluated in all
        cones.
        """
        n, k = len(u), len(self.directions)
        own, shifts = np.asarray(np.argmax(u @ self.directions.T, axis=1)), self._shifts(block)
        a = self.directions[own]
        along = shifts.standard_normal(n) - np.einsum(
            "ij,ij->i", u, a
        )  # lines in other cones do not depend on the place of u on its line
        z = u + along[:, None] * a
        whole = np.zeros(n, dtype=np.bool_)
        whole[::k] = True
        whole[np.unique(own, return_index=True)[1]] = True
        log_share, rest = np.full((2, len(self.events), n), -np.inf)
        evaluations = 0
        for cone in range(k):
            for rows, log in ((own == cone, log_share), (whole & (own != cone), rest)):
                if rows.any():
                    shares = self._in_cone(cone, np.asfortranarray(z[rows]), block, shifts)
                    log[:, rows] = np.logaddexp(log[:, rows], shares.log_share)
                    evaluations += shares.evaluations
        mean = np.full(rest.shape, -np.inf)
        for cone in np.unique(own):
            asked = rest[:, whole & (own == cone)]
            mean[:, own == cone] = np.logaddexp.reduce(asked, axis=1, keepdims=True) - math.log(asked.shape[1])
        log_rows = np.where(log_share > -np.inf, np.logaddexp(log_share, mean), log_share)
        return log_rows, evaluations

    def of_normals(self, z: Float, block: Block) -> tuple[Float, int]:
        """Log weights (m, n) of the rows from standard normals ``z`` (n, d), in nats, and the evaluations taken."""
        total = np.full((len(self.events), len(z)), -np.inf)
        evaluations = 0
        shifts = self._shifts(block)
        for k in range(len(self.directions)):
            shares = self._in_cone(k, z, block, shifts)
            np.logaddexp(total, shares.log_share, out=total)
            evaluations += shares.evaluations
        return total, evaluations

    def _shifts(self, block: Block) -> np.random.Generator:
        """Random numbers separate from those of the draws, which use the stream of ``block`` itself."""
        return stream(self.sampler.seed, block.stage, block.index).spawn(1)[0]

    def _in_cone(self, k: int, z: Float, block: Block, shifts: np.random.Generator) -> Shares:
        """The lines along direction ``k`` through the rows of ``z`` (n, d), within its cone."""
        n, d = z.shape
        a = self.directions[k]
        v = arrays.scratch("line_offsets", n, d)
        np.multiply.outer(z @ a, a, out=v)
        np.subtract(z, v, out=v)
        others = np.delete(self.directions, k, axis=0)
        low = np.max(v @ others.T / (1.0 - others @ a), axis=1, initial=-np.inf)

        def loss_at(rows: Index, c: Float) -> Float:
            u = arrays.scratch("line_points", rows.size, d)
            np.multiply.outer(c, a, out=u)
            u += v[rows]
            return self.sampler.loss(u, block).copy()

        return log_shares(loss_at, self.events, shifted(self.nodes, n, shifts), low, log_normal_mass)

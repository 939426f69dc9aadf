"""Directional sampling: one row is one or several random directions, with the probability of the event along them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Literal

import numpy as np

from raresim.accumulators.summary import Summary
from raresim.distributions.masses import log_chi_mass, log_sum
from raresim.engine.fold import Sampler
from raresim.estimators.base import Estimator
from raresim.numerics import arrays
from raresim.numerics.arrays import Float, Index
from raresim.numerics.blocks import Block
from raresim.numerics.streams import stream
from raresim.record.event import Event
from raresim.record.rows import Unit
from raresim.search.roots import TOLERANCE, log_shares, shifted

System = Literal["orthogonal", "antithetic", "independent"]


@dataclass(frozen=True, eq=False)
class Directions(Estimator):
    """Directional sampling.

    Parameters
    ----------
    sampler : Sampler
        Draws from the target and evaluates the loss.
    events : tuple of Event
        The events whose probability is estimated.
    system : "orthogonal", "antithetic" or "independent"
        Rays of a row: a random orthogonal basis and the opposite rays; one ray and its opposite; or one ray.
    nodes : (j,) float64
        Radii at which the loss is evaluated before the boundaries are found; evenly spaced, with a random shift on each
        ray.
    cost : float
        Loss evaluations that a row is expected to take.

    Notes
    -----
    With ``u = r e``, ``e`` uniform on the sphere and independent of ``r``, which has the chi law with ``d`` degrees of
    freedom, the weight of a ray is ``P(r e in A | e)``, and the weight of a row is the mean over its rays: [1]_. The
    rays of a row depend on each other; rows are independent.

    The estimate is unbiased except for the grid: an event that a ray enters and leaves between two nodes is missed, and
    a gap between two nodes counts as event. The random shift lets other rays meet them.

    References
    ----------
    .. [1] Bjerager, *Probability integration by directional simulation*, J. Eng. Mech. 114, 1988.
    """

    unit: ClassVar[Unit] = "direction"
    block_rows: ClassVar[int | None] = 64
    first_look: ClassVar[int] = 400
    least_rows: ClassVar[int] = 120
    resolution: ClassVar[float] = 10 * TOLERANCE
    """An error of `TOLERANCE` in a boundary at distance ``t`` changes the probability beyond it by ``t TOLERANCE``."""

    sampler: Sampler
    events: tuple[Event, ...]
    system: System
    nodes: Float
    cost: float = math.nan

    def __call__(self, block: Block) -> Summary:
        rng = stream(self.sampler.seed, block.stage, block.index)
        rays = self.rays(rng, block.rows)
        log_share, evaluations = self.along(rays, shifted(self.nodes, len(rays), rng), block)
        parts = log_share.reshape(len(self.events), block.rows, self.per_row)
        log_weight = log_sum(parts) - math.log(self.per_row)
        return Summary.of_rows(block.rows, [row[row > -np.inf] for row in log_weight], evaluations)

    @property
    def per_row(self) -> int:
        d = self.sampler.problem.dim
        return {"orthogonal": 2 * d, "antithetic": 2, "independent": 1}[self.system]

    @property
    def gapless(self) -> str:
        return ""

    @property
    def cost_through(self) -> float:
        return self.cost / self.per_row

    def through(self, u: Float, block: Block) -> tuple[Float, int]:
        (rng,) = stream(self.sampler.seed, block.stage, block.index).spawn(1)
        rays = np.asfortranarray(u / np.linalg.norm(u, axis=1, keepdims=True))
        return self.along(rays, shifted(self.nodes, len(rays), rng), block)

    def along(self, rays: Float, nodes: Float, block: Block) -> tuple[Float, int]:
        """Log probability (m, n) of each event along ``rays`` (n, d) with ``nodes`` (n, j), and the evaluations."""
        d = rays.shape[1]

        def loss_at(rows: Index, r: Float) -> Float:
            u = arrays.scratch("ray_points", rows.size, d)
            np.multiply(rays[rows], r[:, None], out=u)
            return self.sampler.loss(u, block).copy()

        shares = log_shares(loss_at, self.events, nodes, np.zeros(len(rays)), partial(log_chi_mass, d))
        return shares.log_share, shares.evaluations

    def rays(self, rng: np.random.Generator, n: int) -> Float:
        """The rays (n m, d) of ``n`` rows with ``m`` rays each, row after row; each ray is uniform on the sphere."""
        d = self.sampler.problem.dim
        if self.system == "orthogonal":
            basis = np.linalg.qr(rng.standard_normal((n, d, d)))[0]
        else:
            basis = rng.standard_normal((n, 1, d))
            basis /= np.linalg.norm(basis, axis=2, keepdims=True)
        both = basis if self.system == "independent" else np.concatenate([basis, -basis], axis=1)
        return both.reshape(-1, d)

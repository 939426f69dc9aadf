"""Randomised quasi-Monte Carlo: one row is one scrambled Sobol' net, with the mean weight of its points."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from raresim.accumulators.kept import KeptRows
from raresim.accumulators.summary import Summary
from raresim.accumulators.tail import TailMoments, hit_weights, masks, masks_with_failed
from raresim.distributions.transport import Transport, across
from raresim.engine.fold import Sampler
from raresim.estimators.base import KEPT_ROWS, Estimator, OfDraws
from raresim.estimators.lines import Lines
from raresim.numerics import arrays
from raresim.numerics.arrays import Float
from raresim.numerics.blocks import BLOCK_BYTES, MIN_ROWS, Block
from raresim.numerics.streams import stream
from raresim.record.event import Event
from raresim.record.rows import Unit

MAX_DIM = 21_201
"""Coordinates for which direction numbers are known (Joe and Kuo)."""

BITS = 30
"""Binary digits of a Sobol' coordinate; the later digits are random."""

REPLICATES = 16
"""Scrambled nets before the first look; their spread gives the error, with Student's t of 15 degrees of freedom."""


NET_LINES = 1024
"""Lines of a net that are evaluated at once."""


@dataclass(frozen=True, eq=False)
class SobolReplicates(OfDraws):
    """Importance sampling at the points of independently scrambled Sobol' nets.

    Parameters
    ----------
    sampler : Sampler
        Evaluates and weighs the draws.
    events : tuple of Event
        The events that are counted.
    transport : Transport
        Maps points to draws of the sampler's law.
    points : int
        Points of a net, a power of two.

    Notes
    -----
    Every point of a scrambled net is uniform, so a row is unbiased; independent random linear matrices and digital
    shifts ([2]_) scramble the nets, so rows are independent and their spread gives the error ([3]_ on the t interval).
    For a smooth integrand the variance of a row falls faster than ``1/points`` ([1]_); a jump parallel to an axis costs
    least, so the transport turns the first coordinate towards the event.

    References
    ----------
    .. [1] Owen, *Scrambled net variance for integrals of smooth functions*, Ann. Statist. 25, 1997.
    .. [2] Matousek, *On the L2-discrepancy for anchored boxes*, J. Complexity 14, 1998.
    .. [3] L'Ecuyer, Nakayama, Owen & Tuffin, *Confidence intervals for randomized quasi-Monte Carlo estimators*,
       Winter Simulation Conference, 2023.
    """

    unit: ClassVar[Unit] = "replicate"
    block_rows: ClassVar[int | None] = 1
    first_look: ClassVar[int] = REPLICATES
    least_rows: ClassVar[int] = REPLICATES

    sampler: Sampler
    events: tuple[Event, ...]
    transport: Transport
    points: int

    @property
    def cost(self) -> float:
        return float(self.points)

    @property
    def per_row(self) -> int:
        return self.points

    def __call__(self, block: Block) -> Summary:
        rng = stream(self.sampler.seed, block.stage, block.index)
        shape = self.transport.n_uniforms, self.transport.n_normals, self.points
        parts = [self._part(pick, z, block, first) for first, pick, z in sobol_normals(rng, *shape)]
        total = functools.reduce(lambda a, b: a.merge(b), parts)
        upper = None if total.upper is None else one_row(total.upper, self.points).tail
        row = one_row(total.tail, self.points, total.kept)
        return replace(row, top=total.top, drawn=total.tail, upper=upper)

    def _part(self, pick: Float, z: Float, block: Block, first: int) -> Summary:
        """Some points of a net; ``first`` is the number of points before them."""
        n = z.shape[0]
        u = arrays.scratch("draws", n, self.sampler.problem.dim)
        self.transport(pick, z, u)
        loss = self.sampler.loss(u, block)
        log_weight = self.sampler.log_weight(u)
        in_event = masks(self.events, loss)
        could_be = masks_with_failed(in_event, loss)
        hits = [hit_weights(log_weight, mask) for mask in in_event]
        upper = None if could_be is None else [hit_weights(log_weight, mask) for mask in could_be]
        drawn = replace(block, first=block.first * self.points + first, rows=n)
        return Summary.of_rows(n, hits, n, KeptRows.of_block(drawn, loss, log_weight, KEPT_ROWS), upper=upper)


@dataclass(frozen=True, eq=False)
class SobolLines(Estimator):
    """Line sampling along the lines through the points of independently scrambled Sobol' nets.

    Parameters
    ----------
    lines : Lines
        Turns standard normals into lines, and lines into probabilities.
    points : int
        Lines of a net, a power of two.

    Notes
    -----
    From line to line the probability along the line is as smooth as the boundary, while the indicator of the event
    jumps. Integrating out the important direction first therefore makes nets most effective (conditional Monte Carlo as
    smoothing, [1]_). With one direction a net has the ``d - 1`` coordinates across it; with several directions it has
    ``d``.

    References
    ----------
    .. [1] Griewank, Kuo, Leovey & Sloan, *High dimensional integration of kinks and jumps: smoothing by
       preintegration*, J. Comput. Appl. Math. 344, 2018.
    """

    unit: ClassVar[Unit] = "replicate"
    block_rows: ClassVar[int | None] = 1
    first_look: ClassVar[int] = REPLICATES
    least_rows: ClassVar[int] = REPLICATES
    resolution: ClassVar[float] = Lines.resolution

    lines: Lines
    points: int

    @property
    def cost(self) -> float:
        return self.points * self.lines.cost

    @property
    def per_row(self) -> int:
        return self.points

    @property
    def gapless(self) -> str:
        return self.lines.gapless

    @property
    def cost_through(self) -> float:
        return self.lines.cost_through

    def through(self, u: Float, block: Block) -> tuple[Float, int]:
        return self.lines.through(u, block)

    @property
    def n_uniforms(self) -> int:
        """Coordinates of a point."""
        k, d = self.lines.directions.shape
        return int(max(1, d - 1) if k == 1 else d)

    def __call__(self, block: Block) -> Summary:
        rng = stream(self.lines.sampler.seed, block.stage, block.index)
        k, d = self.lines.directions.shape
        parts = []
        for _, _, z in sobol_normals(rng, self.n_uniforms, self.n_uniforms, self.points, NET_LINES):
            offsets = across(self.lines.directions[0], z[:, : d - 1]) if k == 1 else z
            log_share, evaluations = self.lines.of_normals(offsets, block)
            parts.append(Summary.of_rows(z.shape[0], [row[row > -math.inf] for row in log_share], evaluations))
        total = functools.reduce(lambda a, b: a.merge(b), parts)
        return one_row(total.tail, total.evaluations)


def one_row(tail: TailMoments, evaluations: int, kept: KeptRows | None = None) -> Summary:
    """The summary of a single row whose weight for each event is the mean weight in ``tail``."""
    logs = [np.array([w]) if (w := tail.log_probability(k)) > -math.inf else np.empty(0) for k in range(tail.hits.size)]
    return Summary.of_rows(1, logs, evaluations, kept)


def sobol_normals(
    rng: np.random.Generator, n_uniforms: int, n_normals: int, points: int, rows: int = 2**20
) -> Iterator[tuple[int, Float, Float]]:
    """The points of one scrambled net, a block at a time.

    Parameters
    ----------
    rng : numpy.random.Generator
        Random numbers for the scramble and for the digits after the first `BITS`; advanced.
    n_uniforms, n_normals : int
        Coordinates of a point, and the number of last coordinates that are turned into standard normals.
    points : int
        Points of the net, a power of two.
    rows : int
        Largest number of rows of a block, a power of two.

    Yields
    ------
    int, (n,) and (n, n_normals) float64
        The number of points before these, their first coordinate on [0, 1], and standard normals in Fortran order.

    Notes
    -----
    A coordinate is ``x + h U`` with ``x`` a multiple of ``h = 2^-30`` and ``U`` uniform: it is exactly uniform, so no
    tail is cut off. The distance to the nearer end of [0, 1] replaces the coordinate itself, which makes the quantiles
    equally accurate in both tails.
    """
    from scipy.special import ndtri
    from scipy.stats.qmc import Sobol

    net = Sobol(n_uniforms, scramble=True, bits=BITS, rng=rng)
    rows = min(rows, 2 ** int(math.log2(max(MIN_ROWS, BLOCK_BYTES // (8 * n_uniforms)))))
    h = 0.5**BITS
    for first in range(0, points, rows):
        n = min(rows, points - first)
        x = np.asfortranarray(net.random(n))
        rest = 1.0 - rng.random((n_uniforms, n)).T
        upper = x >= 0.5
        tail = np.where(upper, 1.0 - h - x, x) + h * rest
        pick = np.where(upper[:, 0], 1.0 - tail[:, 0], tail[:, 0])
        z = np.asfortranarray(ndtri(tail[:, n_uniforms - n_normals :]))
        np.negative(z, out=z, where=upper[:, n_uniforms - n_normals :])
        yield first, pick, z

"""Rows of a line of servers whose rates are changed, by where its customers are, until it is as full as asked."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from raresim.accumulators.event_draws import Drawing
from raresim.accumulators.tail_draws import Beyond
from raresim.engine.fold import Sampler
from raresim.methods.offered_draws import MixedDraws, share_left
from raresim.methods.offers import log_mixture
from raresim.models.queues.chain import LargestNumber
from raresim.numerics.arrays import Float
from raresim.numerics.blocks import Block
from raresim.numerics.jit import kernel
from raresim.numerics.streams import stream
from raresim.record.event import Event

Whole = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Filling:
    """A change of rates that fills the line up to a level.

    Parameters
    ----------
    level : int
        Customers.
    gamma : float
        The exponent, ``log(mu / lambda)`` of the slowest server.
    pieces : int
        Affine pieces of the subsolution: the first ``d + 1 - k`` servers are filled in piece ``k = 1, 2, ..``. With one
        piece the change is the same everywhere.
    apart, blur : float
        How far, in nats, each piece lies below the one before, and over how many nats two pieces are blended.
    """

    level: int
    gamma: float
    pieces: int
    apart: float
    blur: float


@dataclass(frozen=True, eq=False)
class ChainDraws(MixedDraws):
    """Rows of a state-dependent change of rates of a line of servers [1]_.

    Parameters
    ----------
    sampler : Sampler
        Of the run's problem, in standard normal space.
    events : tuple of Event
        Largest numbers of at least a threshold.
    fillings : tuple of Filling
        What rows are drawn for, each with the same share; with what is left, rows come from the model itself.
    share : float
        Of the rows, for each filling.
    beyond : Beyond, optional
        The rows that are kept.
    sampled : Drawing, optional
        The sample of them that is kept for the user.
    heaviest : float
        Largest weight of a row over the probability of its event; infinite where it is not known.
    squares : float
        Bound on the mean square weight of a row in an event over its squared probability; infinite where it is not
        known.
    known : tuple of float
        Relative variance of a row for each event, where it is known exactly.

    Notes
    -----
    With ``gamma = log(mu / lambda)`` of the slowest server and ``x`` customers at each of ``d`` servers, piece ``k`` of
    the subsolution is ``W_k(x) = 2 gamma (N - x_1 - .. - x_{d+1-k}) - k delta``; its change of rates
    multiplies that of each jump ``v`` by ``exp(gamma (v_1 + .. + v_{d+1-k}))``. Near ``x_j = 0`` a change that serves
    server ``j`` less would pile up weight: there the next piece is the least one. Rows jump by the mixture of the
    pieces with the weights ``exp(-W_k / epsilon)``: [1]_ for two servers. The same pieces are a subsolution for any
    number of servers, whichever of them is the slowest.

    References
    ----------
    .. [1] Dupuis, Sezer & Wang, *Dynamic importance sampling for queueing networks*, Ann. Appl. Probab. 17, 2007.
    """

    sampler: Sampler
    events: tuple[Event, ...]
    fillings: tuple[Filling, ...]
    share: float
    beyond: Beyond | None = None
    sampled: Drawing | None = None
    heaviest: float = math.inf
    squares: float = math.inf
    known: tuple[float, ...] = ()
    known_rows: ClassVar[float] = math.inf

    @property
    def is_exact(self) -> bool:
        return bool(self.known)

    def drawing(self, wanted: Drawing) -> Self:
        return replace(self, sampled=wanted)

    @cached_property
    def loss(self) -> LargestNumber:
        """The loss of the run; raises TypeError where it is no queue's."""
        loss = self.sampler.problem.loss
        if not isinstance(loss, LargestNumber):
            raise TypeError(f"a line of servers is filled for its largest number, got a loss of kind {loss.kind}")
        return loss

    @property
    def plain(self) -> float:
        return share_left([self.share * len(self.fillings)])

    def mapped(self, u: Float) -> Float:
        """Standard normals are the factors."""
        return np.asfortranarray(u)

    def draw(self, block: Block) -> Float:
        rng = stream(self.sampler.seed, block.stage, block.index)
        u = np.asfortranarray(rng.standard_normal((block.rows, self.loss.jumps)))
        aim = np.minimum((rng.random(block.rows) / self.share).astype(np.int64), len(self.fillings))
        for j, filling in enumerate(self.fillings):
            rows = np.flatnonzero(aim == j)
            if rows.size:
                u[rows] = self.drawn_for(filling, u[rows])
        return u

    def log_weight(self, x: Float) -> Float:
        log_ratio = np.empty((len(x), len(self.fillings)), order="F")
        for j, filling in enumerate(self.fillings):
            chain_ratio(x, self.loss.between, self.loss.p, *changes_of(filling, self.loss.servers), log_ratio[:, j])
        return -log_mixture(np.full(len(self.fillings), self.share), log_ratio, self.plain)

    def drawn_for(self, filling: Filling, u: Float) -> Float:
        """Normals (n, k) of paths for ``filling``, made of those of the model, ``u`` (n, k), jump by jump."""
        from scipy import special

        uniform, moved = special.ndtr(u), np.full(u.shape, np.nan, order="F")
        chain_draw(np.asfortranarray(uniform), self.loss.p, *changes_of(filling, self.loss.servers), moved)
        return np.where(np.isnan(moved), u, special.ndtri(moved))


def changes_of(filling: Filling, servers: int) -> tuple[Float, int, float, float]:
    """What the kernels take: factors on the rates (pieces, d + 1), the level, and the slope and distance of pieces over
    their blur."""
    d, f = servers, filling
    factors = np.ones((f.pieces, d + 1))
    for k in range(min(f.pieces, d)):
        factors[k, 0], factors[k, d - k] = math.exp(f.gamma), math.exp(-f.gamma)
    return factors, f.level, 2.0 * f.gamma / f.blur, f.apart / f.blur


@kernel
def ratios_at(at: Whole, p: Float, factors: Float, slope: float, apart: float, ratio: Float) -> None:
    """What multiplies the probability of each jump at a state.

    Parameters
    ----------
    at : (d,) int64
        Customers at each server.
    p : (d + 1,) float64
        Probabilities of the jumps: an arrival, and the services.
    factors : (k, d + 1) float64
        On the rates, for each piece; a server without a customer has none.
    slope, apart : float
        Of the pieces, and between them, over their blur.
    ratio : (d + 1,) float64
        Overwritten.
    """
    d, pieces = at.shape[0], factors.shape[0]
    top = -math.inf
    for k in range(pieces):
        filled = 0
        for i in range(d - k):
            filled += at[i]
        top = max(top, slope * filled + (k + 1) * apart)
    for j in range(d + 1):
        ratio[j] = 0.0
    whole = 0.0
    for k in range(pieces):
        filled = 0
        for i in range(d - k):
            filled += at[i]
        weight = math.exp(slope * filled + (k + 1) * apart - top)
        whole += weight
        mean = 0.0
        for j in range(d + 1):
            mean += p[j] * (factors[k, j] if j == 0 or at[j - 1] > 0 else 1.0)
        for j in range(d + 1):
            ratio[j] += weight * (factors[k, j] if j == 0 or at[j - 1] > 0 else 1.0) / mean
    for j in range(d + 1):
        ratio[j] /= whole


@kernel
def moved_by(jump: int, at: Whole) -> int:
    """Let a jump happen at the state ``at`` (d,); what it adds to the number of customers."""
    if jump == 0:
        at[0] += 1
        return 1
    if at[jump - 1] == 0:
        return 0
    at[jump - 1] -= 1
    if jump < at.shape[0]:
        at[jump] += 1
        return 0
    return -1


@kernel
def chain_ratio(
    u: Float, between: Float, p: Float, factors: Float, level: int, slope: float, apart: float, out: Float
) -> None:
    """Log of the density of paths with changed rates over that of the model, at normals ``u`` (n, k), in ``out`` (n,).

    Rates are changed until there are ``level`` customers or none. The others are as for `ratios_at`.
    """
    d = between.shape[0]
    at, ratio = np.empty(d, np.int64), np.empty(d + 1)
    for i in range(u.shape[0]):
        for j in range(d):
            at[j] = 0
        at[0], total, k = 1, 1, 0
        out[i] = 0.0
        while 0 < total < level and k < u.shape[1]:
            jump = 0
            while jump < d and u[i, k] > between[jump]:
                jump += 1
            ratios_at(at, p, factors, slope, apart, ratio)
            out[i] += math.log(ratio[jump])
            total += moved_by(jump, at)
            k += 1


@kernel
def chain_draw(uniform: Float, p: Float, factors: Float, level: int, slope: float, apart: float, moved: Float) -> None:
    """Draw paths with changed rates until there are ``level`` customers or none.

    Parameters
    ----------
    uniform : (n, k) float64
        A uniform number for each jump.
    p, factors, level, slope, apart : as for `chain_ratio`
        The model, and the change.
    moved : (n, k) float64
        For each jump that is drawn so, the uniform number that makes it in the model; the others are left.
    """
    d = p.shape[0] - 1
    at, ratio = np.empty(d, np.int64), np.empty(d + 1)
    for i in range(uniform.shape[0]):
        for j in range(d):
            at[j] = 0
        at[0], total, k = 1, 1, 0
        while 0 < total < level and k < uniform.shape[1]:
            ratios_at(at, p, factors, slope, apart, ratio)
            jump, below, left = 0, 0.0, uniform[i, k]
            while jump < d and left >= p[jump] * ratio[jump]:
                left -= p[jump] * ratio[jump]
                below += p[jump]
                jump += 1
            share = min(left / (p[jump] * ratio[jump]), 1.0 - 1e-15)
            moved[i, k] = below + share * p[jump]
            total += moved_by(jump, at)
            k += 1

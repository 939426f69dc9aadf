"""Rows in which one of the minimal cuts of a system has failed: the coverage scheme of Karp and Luby."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from raresim.accumulators.event_draws import Drawing
from raresim.accumulators.summary import Summary
from raresim.accumulators.tail import masks
from raresim.engine.fold import Sampler
from raresim.engine.session import Session
from raresim.estimators.weighted_draws import summary_of
from raresim.methods.base import Tuned
from raresim.methods.offered_draws import OfferedDraws
from raresim.methods.offers import bounded, log_mixture, offered
from raresim.methods.scheme import Scheme, spread_over
from raresim.models.systems.lifetime import Lifetime
from raresim.numerics.arrays import Float
from raresim.numerics.blocks import Block
from raresim.numerics.jit import kernel
from raresim.numerics.streams import stream
from raresim.record.event import Event

MOST_TIMES = 6
"""Times that rows are drawn for, at most."""

ROUNDING = 1e-9
"""Standard normals beyond that of a time up to which a part counts as failed: losses are rounded."""

Words = NDArray[np.uint64]


@dataclass(frozen=True, eq=False)
class CutScheme(Scheme):
    """One of the minimal cuts fails, chosen by its probability.

    Parameters
    ----------
    loss : Lifetime
        Of the model.
    """

    loss: Lifetime

    @property
    def name(self) -> str:
        return "Karp-Luby (one of the minimal cuts has failed)"

    def tune(self, session: Session) -> Tuned | None:
        below = all(event.direction == "below" for event in session.events)
        if not below or session.beyond is not None or self.loss.cuts is None:
            return None
        asked = sorted({event.threshold for event in session.events})
        rows = CutDraws(
            Sampler(session.problem, None, session.seed), tuple(session.events), tuple(spread_over(asked, MOST_TIMES))
        )
        if not all(math.isfinite(log_all) for log_all in rows.log_union):
            return None
        log_share = math.log(len(rows.times))
        bounds = [
            min((b for t, b in zip(rows.times, rows.log_union, strict=True) if t >= e.threshold), default=math.inf)
            + log_share
            for e in session.events
        ]
        sentence = (
            f"One of {len(self.loss.cuts):,} minimal cuts has failed by "
            f"{' or '.join(f'{t:,.6g}' for t in rows.times)}; all other parts have their own law."
        )
        made = offered(session, rows, rows.times, "the coverage of minimal cuts", sentence, bounds)
        return bounded(made, lambda factor: replace(rows, heaviest=factor))


@dataclass(frozen=True, eq=False)
class CutDraws(OfferedDraws):
    """Rows in which a minimal cut, chosen with a probability in proportion to its own, has failed [1]_.

    Parameters
    ----------
    sampler : Sampler
        Of the run's problem, in standard normal space.
    events : tuple of Event
        Lifetimes of at most a threshold.
    times : tuple of float
        By which the cuts have failed, each for the same share of rows.
    heaviest : float
        Largest weight of a row over the probability of its event; infinite where it is not known.
    sampled : Drawing, optional
        The sample of them that is kept for the user.

    Notes
    -----
    The system has failed by ``t`` where some cut ``C`` has, ``P(C) = prod_C P(T_e <= t)``. A row has the density ratio
    ``sum_C 1(C has failed) / S`` with the union bound ``S = sum_C P(C)``: its weight is ``S`` over the number of cuts
    that have failed, so at most ``S``, and the relative variance at most ``S / p - 1``, which tends to 0 with rare
    failures. ``S`` itself is an upper bound for the probability.

    References
    ----------
    .. [1] Karp & Luby, *Monte-Carlo algorithms for the planar multiterminal network reliability problem*, J. Complexity
       1, 1985.
    """

    unseen: ClassVar[float] = 1.0
    """Nearly all rows weigh the same; those in which several cuts have failed weigh less, and are rare."""

    sampler: Sampler
    events: tuple[Event, ...]
    times: tuple[float, ...]
    heaviest: float = math.inf
    sampled: Drawing | None = None

    def drawing(self, wanted: Drawing) -> Self:
        return replace(self, sampled=wanted)

    @cached_property
    def loss(self) -> Lifetime:
        """The loss of the run; raises TypeError where it is no lifetime of a system with a list of cuts."""
        loss = self.sampler.problem.loss
        if not isinstance(loss, Lifetime) or loss.cuts is None:
            raise TypeError(f"cuts are those of a system, got a loss of kind {loss.kind}")
        return loss

    @cached_property
    def bits(self) -> Words:
        """The parts of each cut, (cuts, words)."""
        cuts, many = self.loss.cuts or (), len(self.loss.laws)
        out = np.zeros((len(cuts), -(-many // 64)), np.uint64)
        for k, cut in enumerate(cuts):
            for part in cut:
                out[k, part // 64] |= np.uint64(1 << (part % 64))
        return out

    @cached_property
    def log_failed(self) -> Float:
        """Log probability that each part has failed by each time, (times, d), in nats."""
        return np.array([[float(law.logcdf(t)) for law in self.loss.laws] for t in self.times])

    @cached_property
    def log_cuts(self) -> Float:
        """Log probability of each cut by each time, (times, cuts), in nats."""
        return np.array([[sum(row[part] for part in cut) for cut in self.loss.cuts or ()] for row in self.log_failed])

    @cached_property
    def log_union(self) -> Float:
        """Log of the union bound by each time, (times,), in nats."""
        from scipy import special

        return np.asarray(special.logsumexp(self.log_cuts, axis=1))

    @cached_property
    def edges(self) -> Float:
        """Standard normals up to which each part has failed by each time, (times, d)."""
        from scipy import special

        return np.asarray(special.ndtri_exp(self.log_failed))

    def __call__(self, block: Block) -> Summary:
        u = self.draw(block)
        inputs = self.sampler.problem.inputs
        loss = np.empty(block.rows)
        self.loss(inputs.to_physical(u, np.empty(u.shape, order="F")), loss)
        return summary_of(
            block, u, loss, self.log_weight(u), masks(self.events, loss), 0, None, False, sampled=self.sampled
        )

    def draw(self, block: Block) -> Float:
        """Standard normals (n, d) of the rows of a block."""
        from scipy import special

        rng = stream(self.sampler.seed, block.stage, block.index)
        u = np.asfortranarray(rng.standard_normal((block.rows, len(self.loss.laws))))
        aim, share, fresh = (rng.random(size) for size in (block.rows, block.rows, u.shape))
        time = np.minimum((aim * len(self.times)).astype(np.int64), len(self.times) - 1)
        for j in range(len(self.times)):
            rows = np.flatnonzero(time == j)
            upto = np.cumsum(np.exp(self.log_cuts[j] - self.log_union[j]))
            cut = np.minimum(np.searchsorted(upto / upto[-1], share[rows], side="right"), upto.size - 1)
            failing = np.unpackbits(self.bits[cut].view(np.uint8), axis=1, bitorder="little")[:, : u.shape[1]] > 0
            moved = special.ndtri_exp(self.log_failed[j] + np.log(fresh[rows]))
            u[rows] = np.where(failing, moved, u[rows])
        return u

    def log_weight(self, u: Float) -> Float:
        """Log weights (n,) of rows of standard normals ``u`` (n, d), in nats."""
        ratios, count = np.empty((len(u), len(self.times))), np.empty(len(u))
        for j, edge in enumerate(self.edges):
            failed_cuts(np.asfortranarray(u), edge + ROUNDING, self.bits, count)
            with np.errstate(divide="ignore"):
                ratios[:, j] = np.log(count) - self.log_union[j]
        return -log_mixture(np.full(len(self.times), 1.0 / len(self.times)), ratios, 0.0)

    def through(self, u: Float, block: Block) -> tuple[Float, int]:
        return np.tile(self.log_weight(u), (len(self.events), 1)), 0


@kernel
def failed_cuts(u: Float, edge: Float, bits: Words, count: Float) -> None:
    """How many cuts have failed in each row.

    Parameters
    ----------
    u : (n, d) float64
        Standard normals of the parts.
    edge : (d,) float64
        Those up to which a part has failed.
    bits : (k, w) uint64
        The parts of each cut.
    count : (n,) float64
        Overwritten.
    """
    failed = np.empty(bits.shape[1], np.uint64)
    for i in range(u.shape[0]):
        for w in range(bits.shape[1]):
            failed[w] = np.uint64(0)
        for j in range(u.shape[1]):
            if u[i, j] <= edge[j]:
                failed[j // 64] |= np.uint64(1) << np.uint64(j % 64)
        found = 0
        for k in range(bits.shape[0]):
            whole = True
            for w in range(bits.shape[1]):
                if bits[k, w] & failed[w] != bits[k, w]:
                    whole = False
                    break
            found += whole
        count[i] = found

"""The components of a mixture as control variates: one row is one batch of draws."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar, cast

import numpy as np

from raresim.accumulators.kept import KeptRows
from raresim.accumulators.summary import Summary
from raresim.accumulators.tail import hit_weights, masks, masks_with_failed
from raresim.distributions.mixture import Mixture
from raresim.engine.fold import Sampler
from raresim.estimators.antithetic import mean_of_pairs, sample_pairs
from raresim.estimators.base import KEPT_ROWS, OfDraws
from raresim.numerics import arrays
from raresim.numerics.arrays import Bool, Float, Index
from raresim.numerics.blocks import Block
from raresim.numerics.exponentials import exponential
from raresim.numerics.streams import stream
from raresim.record.event import Event
from raresim.record.rows import Unit

BATCHES = 20
"""Batches before the first look; their spread gives the error."""

DRAWN = 4.0
"""Mean number of draws in half a batch that makes a component a control: with fewer, its coefficient would rest on a
single row."""


@dataclass(frozen=True, eq=False)
class ControlledBatches(OfDraws):
    """Importance sampling from a mixture, corrected by how often each component was drawn.

    Parameters
    ----------
    sampler : Sampler
        Evaluates and weighs the draws; its law is a mixture ``q = sum_k w_k q_k``.
    events : tuple of Event
        The events that are counted.
    draws : int
        Draws of a batch, a multiple of four.
    paired : bool
        Whether the draws are antithetic pairs.

    Notes
    -----
    The responsibility ``r_k = w_k q_k / q`` has the mean ``w_k`` under ``q`` ([1]_, theorem 2, up to the factor
    ``w_k``). A batch has two independent halves; each gives ``mean(y - b'(r - w))`` with the least squares coefficients
    ``b`` of the *other* half, so each half and the mean of both are unbiased. The batches are independent, and their
    spread includes the error of the coefficients. Components that a batch hardly draws are no controls.

    A row cannot be negative: a batch whose corrected mean is not positive counts as zero, as a batch that did not reach
    the event. This makes the estimate too large rather than too small, and happens only to batches with a relative
    error of a third or more.

    References
    ----------
    .. [1] Owen & Zhou, *Safe and effective importance sampling*, J. Amer. Statist. Assoc. 95, 2000.
    """

    unit: ClassVar[Unit] = "replicate"
    block_rows: ClassVar[int | None] = 1
    first_look: ClassVar[int] = BATCHES
    least_rows: ClassVar[int] = BATCHES

    sampler: Sampler
    events: tuple[Event, ...]
    draws: int
    paired: bool = False

    @property
    def cost(self) -> float:
        return float(self.draws)

    @property
    def per_row(self) -> int:
        return self.draws

    @property
    def controls(self) -> Index:
        """The components that serve as controls: those with enough draws in half a batch."""
        return np.flatnonzero(cast(Mixture, self.sampler.proposal).shares * (self.draws // 2) >= DRAWN)

    def __call__(self, block: Block) -> Summary:
        mixture = cast(Mixture, self.sampler.proposal)
        half = self.draws // 2
        rng = stream(self.sampler.seed, block.stage, block.index)
        u = arrays.scratch("draws", self.draws, mixture.dim)
        drawn = arrays.scratch("half", half, mixture.dim)
        for part in (u[:half], u[half:]):
            if self.paired:
                sample_pairs(mixture, rng, drawn)
            else:
                mixture.sample(rng, drawn)
            part[:] = drawn
        loss = self.sampler.loss(u, block)
        log_weight = self.sampler.log_weight(u)
        controls = (responsibilities(mixture, u) - mixture.shares)[:, self.controls].reshape(2, half, -1)
        if self.paired:
            controls = controls.reshape(2, 2, half // 2, -1).mean(axis=1)

        def row(mask: Bool) -> Float:
            log_y = np.where(mask, log_weight, -np.inf).reshape(2, half)
            if self.paired:
                log_y = np.stack([mean_of_pairs(part) for part in log_y])
            mean = log_controlled_mean(log_y, controls)
            return np.array([mean]) if mean > -math.inf else np.empty(0)

        in_event = masks(self.events, loss)
        could_be = masks_with_failed(in_event, loss)
        upper = None if could_be is None else [row(mask) for mask in could_be]
        hits = [hit_weights(log_weight, mask) for mask in in_event]
        drawn_rows = replace(block, first=block.first * self.draws, rows=self.draws)
        kept = KeptRows.of_block(drawn_rows, loss, log_weight, KEPT_ROWS)
        single = Summary.of_rows(self.draws, hits, self.draws)
        rows = Summary.of_rows(1, [row(mask) for mask in in_event], self.draws, kept, upper=upper)
        return replace(rows, top=single.top, drawn=single.tail)


def responsibilities(mixture: Mixture, u: Float) -> Float:
    """Posterior share (n, k) of each component of ``mixture`` at the rows of ``u`` (n, d)."""
    logs = np.empty((u.shape[0], len(mixture.components)), order="F")
    mixture.component_logpdf(u, logs)
    logs -= logs.max(axis=1, keepdims=True)
    exponential(logs, logs)
    logs /= logs.sum(axis=1, keepdims=True)
    return logs


def log_controlled_mean(log_y: Float, controls: Float) -> float:
    """Log of the mean of ``exp(log_y)``, corrected by cross-fitted controls; ``-inf`` if that mean is not positive.

    Parameters
    ----------
    log_y : (2, n) float64
        Logs of the values of two independent halves, in nats.
    controls : (2, n, k) float64
        Controls of mean zero.
    """
    peak = float(log_y.max())
    if peak == -math.inf:
        return -math.inf
    y = np.exp(log_y - peak)
    design = np.concatenate([np.ones((*y.shape, 1)), controls], axis=2)
    slopes = [np.linalg.lstsq(x, values, rcond=1e-9)[0][1:] for x, values in zip(design, y, strict=True)]
    mean = y.mean() - 0.5 * sum(c.mean(axis=0) @ slope for c, slope in zip(controls, slopes[::-1], strict=True))
    return peak + math.log(mean) if mean > 0 else -math.inf

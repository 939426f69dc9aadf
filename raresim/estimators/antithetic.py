"""Antithetic pairs: one row is a draw and its mirror image about the centre of its component."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from raresim.accumulators.kept import KeptRows
from raresim.accumulators.summary import Summary
from raresim.accumulators.tail import masks, masks_with_failed
from raresim.distributions.base import Distribution
from raresim.engine.fold import Sampler
from raresim.errors import FieldError
from raresim.estimators.base import KEPT_ROWS, OfDraws
from raresim.numerics import arrays
from raresim.numerics.arrays import Bool, Float
from raresim.numerics.blocks import Block
from raresim.numerics.streams import stream
from raresim.record.event import Event
from raresim.registry import members


@dataclass(frozen=True, eq=False)
class AntitheticDraws(OfDraws):
    """Importance sampling by pairs ``x`` and ``2 c - x``, weighted by the mean of their two weights.

    Parameters
    ----------
    sampler : Sampler
        Evaluates and weighs the draws; the components of its law are symmetric.
    events : tuple of Event
        The events that are counted.

    Notes
    -----
    Both members of a pair have the law of a draw, so the mean is unbiased; pairs are independent, so their spread gives
    the error. A pair is better than two independent draws if its two weights are negatively correlated: if the proposal
    is centred on the border of a half-space, exactly one member lies in it.

    References
    ----------
    .. [1] Hammersley & Morton, *A new Monte Carlo technique: antithetic variates*, Proc. Camb. Phil. Soc. 52, 1956.
    """

    sampler: Sampler
    events: tuple[Event, ...]

    @property
    def cost(self) -> float:
        return 2.0

    @property
    def per_row(self) -> int:
        return 2

    def __call__(self, block: Block) -> Summary:
        n = block.rows
        law = self.sampler.proposal or self.sampler.problem.target
        u = arrays.scratch("draws", 2 * n, law.dim)
        sample_pairs(law, stream(self.sampler.seed, block.stage, block.index), u)
        loss = self.sampler.loss(u, block)
        log_weight = self.sampler.log_weight(u)
        in_event = masks(self.events, loss)
        could_be = masks_with_failed(in_event, loss)
        upper = None if could_be is None else [_pairs(log_weight, mask) for mask in could_be]
        drawn = replace(block, first=2 * block.first, rows=2 * n)
        kept = KeptRows.of_block(drawn, loss, log_weight, KEPT_ROWS)
        return Summary.of_rows(n, [_pairs(log_weight, mask) for mask in in_event], 2 * n, kept, upper=upper)


def centres(law: Distribution) -> Sequence[Float]:
    """The centre of each component of ``law``.

    Raises
    ------
    FieldError
        When a component is not known to be symmetric about a point.
    """
    found = []
    for each in law.parts[1]:
        middle = each.centre
        if middle is None:
            known: Any = members("distribution").items()
            kinds = ", ".join(kind for kind, cls in known if all(law.centre is not None for law in cls.examples()))
            raise FieldError(
                "draws",
                f"cannot be 'antithetic': a law of kind {each.kind} is not known to be symmetric about a point; "
                f"{kinds} and mixtures of them are",
            )
        found.append(middle)
    return found


def sample_pairs(law: Distribution, rng: np.random.Generator, u: Float) -> None:
    """Fill the upper half of ``u`` (2 n, d) with draws of ``law`` and the lower with their mirror images."""
    n = u.shape[0] // 2
    shares, laws = law.parts
    row = 0
    for each, middle, count in zip(laws, centres(law), rng.multinomial(n, shares), strict=True):
        if count:
            drawn = arrays.scratch("component", int(count), law.dim)
            each.sample(rng, drawn)
            u[row : row + count] = drawn
            np.subtract(2.0 * middle, drawn, out=u[n + row : n + row + count])
            row += count


def _pairs(log_weight: Float, mask: Bool) -> Float:
    """Log weights of the pairs with a member where ``mask`` (2 n,) is true."""
    rows = mean_of_pairs(np.where(mask, log_weight, -np.inf))
    return rows[rows > -math.inf]


def mean_of_pairs(log_weight: Float) -> Float:
    """Log of the mean weight of each pair (n,), from log weights (2 n,) in nats; ``-inf`` without a hit."""
    n = log_weight.size // 2
    return np.asarray(np.logaddexp(log_weight[:n], log_weight[n:]) - math.log(2.0))

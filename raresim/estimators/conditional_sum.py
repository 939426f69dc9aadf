"""Conditional sums: one row is one draw of independent summands, with the probability given all but the largest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from raresim.accumulators.summary import Summary
from raresim.engine.fold import Sampler
from raresim.estimators.base import Estimator
from raresim.marginals.base import Marginal
from raresim.numerics import arrays
from raresim.numerics.arrays import Float
from raresim.numerics.blocks import Block
from raresim.record.event import Event
from raresim.record.rows import Unit


@dataclass(frozen=True, eq=False)
class ConditionalSum(Estimator):
    """Conditional Monte Carlo of a sum of independent continuous summands.

    Parameters
    ----------
    sampler : Sampler
        Draws from the target; its loss is the weighted sum itself and is not called.
    events : tuple of Event
        The events whose probability is estimated.
    laws : tuple of Marginal
        The law of each factor, continuous where its weight is not 0.
    weights : (d,) float64
        Weights of the factors in the sum.

    Notes
    -----
    One of the summands ``Y_i = w_i X_i`` is the largest. With ``M_-i`` the largest and ``S_-i`` the sum of the others,
    ``P(S >= x) = E sum_i P(Y_i > max(M_-i, x - S_-i) | the others)``: [1]_ sec. 3, with a term for each summand,
    because their laws may differ. For heavy-tailed summands the relative error stays bounded as ``x`` grows, [2]_.
    Signs are arbitrary. An event below a threshold is an event above it for the sum with changed signs.

    Sums and maxima of the others are combined from the summands before and after, without subtraction, so nothing
    cancels.

    References
    ----------
    .. [1] Asmussen & Kroese, *Improved algorithms for rare event simulation with heavy tails*, Adv. Appl. Probab. 38,
       2006.
    .. [2] Hartinger & Kortschak, *On the efficiency of the Asmussen-Kroese-estimator and its application to stop-loss
       transforms*, Blaetter DGVFM 30, 2009.
    """

    unit: ClassVar[Unit] = "draw"

    sampler: Sampler
    events: tuple[Event, ...]
    laws: tuple[Marginal, ...]
    weights: Float

    @property
    def cost(self) -> float:
        return 1.0

    def __call__(self, block: Block) -> Summary:
        u = self.sampler.draw(block)
        x = self.sampler.problem.inputs.to_physical(u, arrays.scratch("factors", *u.shape))
        log_weights = [self.log_weight(x, event) for event in self.events]
        return Summary.of_rows(block.rows, [w[w > -np.inf] for w in log_weights], block.rows)

    @property
    def gapless(self) -> str:
        return "every draw came from the target itself"

    def log_weight(self, x: Float, event: Event) -> Float:
        """Log of the conditional probability of ``event`` at each row of factors ``x`` (n, d), in nats."""
        used = np.flatnonzero(self.weights)
        weights = event.sign * self.weights[used]
        y = np.asfortranarray(x[:, used] * weights)
        total = np.full(len(y), -np.inf)
        sum_after, max_after = _of_those_after(y)
        before, largest = np.zeros(len(y)), np.full(len(y), -np.inf)
        for i, (k, w) in enumerate(zip(used, weights, strict=True)):
            law = self.laws[k]
            others = np.maximum(largest, max_after[:, i])
            above = np.maximum(others, event.sign * event.threshold - (before + sum_after[:, i])) / w
            np.logaddexp(total, law.logsf(above) if w > 0 else law.logcdf(above), out=total)
            before += y[:, i]
            np.maximum(largest, y[:, i], out=largest)
        return total


def _of_those_after(y: Float) -> tuple[Float, Float]:
    """Sum and maximum of the columns of ``y`` (n, d) after each column; 0 and ``-inf`` after the last."""
    sums = np.zeros_like(y)
    largest = np.full_like(y, -np.inf)
    for i in range(y.shape[1] - 2, -1, -1):
        np.add(sums[:, i + 1], y[:, i + 1], out=sums[:, i])
        np.maximum(largest[:, i + 1], y[:, i + 1], out=largest[:, i])
    return sums, largest

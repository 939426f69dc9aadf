"""How fast the tail of the loss falls: its density at a threshold, read from weighted rows around it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from raresim.diagnostics.ess import effective
from raresim.measures.tail_sample import TailSample
from raresim.numerics.arrays import Bool, Float
from raresim.record.event import Event

WIDTH, WIDEST, WIDTH_ROWS = 0.4, 0.7, 1e4
"""Half of the window, in nats of tail probability, where the rows beyond the threshold are worth `WIDTH_ROWS`; it
shrinks with the fourth root of what they are worth, so that its bias vanishes beside the error, and is never wider than
the second."""

FEWEST = 20.0
"""Rows beyond the threshold, by what they are worth, below which no density is read."""

DISTINCT = 0.5
"""Share of different losses in the window below which the loss is taken to move by steps."""

CENTRAL = ((-1, -0.5), (1, 0.5))
FORWARD = ((0, -1.5), (1, 2.0), (2, -0.5))
"""Steps from the threshold with the coefficients of a derivative there that is exact for parabolas."""


class NoRateError(ValueError):
    """The sample does not say how fast the tail falls; the text says why."""


@dataclass(frozen=True, eq=False)
class TailRate:
    """``-d log P(L > x) / dx`` at a threshold: density over tail probability.

    Parameters
    ----------
    value : float
        Per unit of the loss, positive.
    influence : (k,) float64
        Of each kept row on it, weights included, for a threshold that is given.
    slope : float
        Its own derivative at the threshold: what it changes by where the threshold is estimated too.
    half : float
        Of the window, in the unit of the loss.
    window : (k,) bool
        The rows that lie in it.
    is_central : bool
        Whether it lies on both sides; else there are no rows below the threshold, and it lies beyond.

    Notes
    -----
    The log of the tail probability is much closer to a straight line than the density, so its difference over a wide
    window has a small bias: none for an exponential tail, and for a power tail with exponent 4 at most 1.2 % of the
    rate where the rows beyond are worth a thousand, 0.4 % where they are worth ten thousand.
    """

    value: float
    influence: Float
    slope: float
    half: float
    window: Bool
    is_central: bool

    @classmethod
    def of(cls, sample: TailSample, threshold: float) -> TailRate:
        """The rate at ``threshold``, which has to be above the floor of the sample.

        Raises
        ------
        NoRateError
            When too few rows lie beyond it, or the losses there are steps.
        """
        beyond = sample.loss > threshold
        worth = effective(sample.weight[beyond])
        if worth < FEWEST:
            raise NoRateError(f"the rows beyond {threshold:.6g} are worth only {worth:.0f} ({FEWEST:.0f} wanted)")
        half = _half(sample, threshold, min(WIDEST, WIDTH * (WIDTH_ROWS / worth) ** 0.25))
        is_central = threshold - half >= sample.floor
        stencil = CENTRAL if is_central else FORWARD
        first, last = (threshold + step * half for step in (stencil[0][0], stencil[-1][0]))
        window = (sample.loss >= first) & (sample.loss <= last)
        if np.unique(sample.loss[window]).size < DISTINCT * np.count_nonzero(window):
            raise NoRateError(f"the loss moves by steps around {threshold:.6g}")
        nodes = [-1, 0, 1] if is_central else [0, 1, 2]
        hits = {j: sample.loss > threshold + j * half for j in nodes}
        tails = {j: sample.mean(hit.astype(np.float64)) for j, hit in hits.items()}
        if not min(tails.values()) > 0:
            raise NoRateError(f"too few rows lie around {threshold:.6g}")
        rate = -sum(c * math.log(tails[j]) for j, c in stencil) / half
        influence = -sum((c / (half * tails[j]) * hits[j] for j, c in stencil), np.zeros(sample.loss.size))
        bend = sum(c * math.log(tails[j]) for j, c in zip(nodes, (1.0, -2.0, 1.0), strict=True))
        if not rate > 0:
            raise NoRateError(f"no losses lie right below {threshold:.6g}")
        return cls(rate, sample.weight * influence, -bend / half**2, half, window, is_central)

    def mean_here(self, sample: TailSample, values: Float) -> float:
        """``E[values | L = threshold]`` of values (k,) of the rows: their weighted mean in the window."""
        weight = sample.weight[self.window]
        return float(weight @ values[self.window] / weight.sum())


def normal_rate(k: float) -> float:
    """``-d log P(Z > k) / dk`` of a standard normal ``Z``, per standard deviation."""
    from scipy.special import log_ndtr

    return math.exp(-0.5 * k * k - 0.5 * math.log(2.0 * math.pi) - float(log_ndtr(-k)))


def rate_at(event: Event, loss: Float, log_weight: Float, probability: float, sigmas: float, std: float) -> float:
    """How fast the log of an event's ``probability`` falls with its threshold, per unit of the loss.

    Parameters
    ----------
    event : Event
        The event.
    loss, log_weight : (n,) float64
        Of weighted draws; weights in nats.
    probability : float
        Of the event.
    sigmas, std : float
        How many standard deviations of the loss the threshold is from the mean, and the standard deviation.

    Notes
    -----
    Where the draws do not tell, the tail is taken to fall as that of a normal law does at the same probability, with
    its score ``z`` rising evenly from the mean to the threshold.
    """
    from scipy.special import ndtri

    none = np.empty((loss.size, 0))
    rows = TailSample(loss.size, -math.inf, event.sign * loss, log_weight, np.arange(loss.size), none, none, none)
    try:
        return TailRate.of(rows, event.sign * event.threshold).value
    except NoRateError:
        z = abs(float(ndtri(probability)))
        return normal_rate(z) * (z / abs(sigmas) if abs(sigmas) > 1.0 else 1.0) / std


def _half(sample: TailSample, threshold: float, nats: float) -> float:
    """How far beyond ``threshold`` the tail probability is ``exp(-nats)`` times as large."""
    rows = np.flatnonzero(sample.loss > threshold)
    rows = rows[np.argsort(-sample.loss[rows], kind="stable")]
    mass = np.cumsum(sample.weight[rows])
    at = min(int(np.searchsorted(mass, math.exp(-nats) * mass[-1])), rows.size - 1)
    half = float(sample.loss[rows[at]]) - threshold
    if not half > 0:
        raise NoRateError(f"too few rows lie around {threshold:.6g}")
    return half

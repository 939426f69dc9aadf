"""How fast the tail of the loss falls at a threshold, from the weighted rows around it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from raresim.diagnostics.ess import effective
from raresim.measures.tail_sample import TailSample
from raresim.numerics.arrays import Bool, Float
from raresim.record.event import Event

WIDTH, WIDEST, WIDTH_ROWS = 0.4, 0.7, 1e4
"""Half-width of the window, in nats of tail probability, for `WIDTH_ROWS` effective rows beyond the threshold. It falls
with the fourth root of their number, so that the bias vanishes beside the error, and is at most the second."""

FEWEST = 20.0
"""Effective rows beyond the threshold below which no density is given."""

DISTINCT = 0.5
"""Share of distinct losses in the window below which the loss is taken to move in steps."""

CENTRAL = ((-1, -0.5), (1, 0.5))
FORWARD = ((0, -1.5), (1, 2.0), (2, -0.5))
"""Steps from the threshold, with coefficients of a difference that gives the derivative of parabolas exactly."""


class NoRateError(ValueError):
    """Raised when the sample does not show how fast the tail falls; the text says why."""


@dataclass(frozen=True, eq=False)
class TailRate:
    """``-d log P(L > x) / dx`` at a threshold: density over tail probability.

    Parameters
    ----------
    value : float
        The rate, per unit of the loss, positive.
    influence : (k,) float64
        Influence of each kept row on the rate, weights included, for a given threshold.
    slope : float
        Derivative of the rate at the threshold, which matters if the threshold is estimated too.
    half : float
        Half-width of the window, in the unit of the loss.
    window : (k,) bool
        Whether each kept row lies in the window.
    is_central : bool
        Whether the window lies on both sides of the threshold; otherwise it lies beyond, for lack of rows below.

    Notes
    -----
    The log of the tail probability is much closer to a straight line than the density, so its difference over a wide
    window has a small bias: none for an exponential tail, and for a power tail with exponent 4 at most 1.2 % of the
    rate with a thousand effective rows beyond, 0.4 % with ten thousand.
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
            When too few rows lie beyond the threshold, or the loss moves in steps there.
        """
        beyond = sample.loss > threshold
        worth = effective(sample.weight[beyond])
        if worth < FEWEST:
            raise NoRateError(f"only {worth:.0f} effective rows lie beyond {threshold:.6g} ({FEWEST:.0f} wanted)")
        half = _half(sample, threshold, min(WIDEST, WIDTH * (WIDTH_ROWS / worth) ** 0.25))
        is_central = threshold - half >= sample.floor
        stencil = CENTRAL if is_central else FORWARD
        first, last = (threshold + step * half for step in (stencil[0][0], stencil[-1][0]))
        window = (sample.loss >= first) & (sample.loss <= last)
        if np.unique(sample.loss[window]).size < DISTINCT * np.count_nonzero(window):
            raise NoRateError(f"the loss moves in steps around {threshold:.6g}")
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
        """``E[values | L = threshold]`` for values (k,) of the rows: their weighted mean in the window."""
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
        Losses of weighted draws, and their log weights in nats.
    probability : float
        Probability of the event.
    sigmas, std : float
        Distance of the threshold from the mean of the loss in standard deviations, and the standard deviation.

    Notes
    -----
    If the draws do not show the rate, the tail is taken to fall like that of a normal law at the same probability, with
    a normal score ``z`` that rises linearly from the mean to the threshold.
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

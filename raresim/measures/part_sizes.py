"""How the numbers of a run change with a factor on what some parts of the portfolio lose, such as a sector's lgd."""

from __future__ import annotations

import numpy as np

from raresim.measures.allocation import Allocation, Near
from raresim.measures.tail_reading import Reading
from raresim.numerics.arrays import Float


def by_factor(reading: Reading, part: Float) -> tuple[float, Float, float]:
    """The derivative of one number by a factor on the losses ``part`` (k,) of a group.

    Parameters
    ----------
    reading : Reading
        The number.
    part : (k,) float64
        What the group lost in each row, in the unit of the loss.

    Returns
    -------
    value : float
        The derivative at a factor of 1.
    influence : (k,) float64
        Of each row on it.
    drift : float
        Bias of the window, in the unit of ``value``; 0 where none shows.

    Raises
    ------
    NoRateError
        When the density of the loss at the threshold of a probability is unknown.

    Notes
    -----
    A value at risk and an expected shortfall change by the group's contribution, `Allocation`. A probability changes by
    ``f(t) E[part | L = t]`` with the density ``f`` of the loss at the threshold ``t`` [1]_.

    References
    ----------
    .. [1] Gourieroux, Laurent & Scaillet, *Sensitivity analysis of values at risk*, J. Empirical Finance 7, 2000.
    """
    sample, q = reading.sample, reading.threshold
    tail = reading.tail if reading.tail is not None else reading.value
    allocation = Allocation(sample, tail, q)
    near = Near.of(sample, allocation.window, part[:, None], q)
    mean, here = float(near.mean[0]), np.zeros(part.size)
    here[allocation.window.at] = near.influence[:, 0]
    drift = float(allocation.drift(part[:, None], near)[0])
    beyond = sample.weight * allocation.beyond
    if reading.tail is None:
        rate = reading.rate
        density = rate.value * reading.value
        influence = mean * (rate.value * reading.terms + reading.value * rate.influence) + density * here
        return density * mean, influence, density * drift
    if reading.quantity == "value_at_risk":
        return mean, here + float(near.slope[0]) / allocation.window.density * beyond, drift
    edge = allocation.at_the_edge
    value = float(beyond @ part) / sample.n / tail + edge * mean
    return value, beyond * (part - mean) / tail + edge * here, edge * drift

"""CreditRisk+: Poisson defaults whose rates share one gamma factor, by the transform of the generating function."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from raresim.numerics.arrays import Float

TILT = 23.0
"""Nats by which the far end of the grid is tilted down: what wraps around it is smaller by so much."""


@dataclass(frozen=True, eq=False)
class CreditRiskPlus:
    """The law of the loss on multiples of a unit [1]_.

    Parameters
    ----------
    unit : float
        Of the lattice, in the unit of the loss.
    probability : (n,) float64
        Of a loss of 0, 1, 2, ... units.

    References
    ----------
    .. [1] Credit Suisse First Boston, *CreditRisk+: a credit risk management framework*, 1997, appendix A.
    """

    unit: float
    probability: Float

    @classmethod
    def of(
        cls, severity: Float, pd: Float, std: float, unit: float, most: float, banded: bool = False
    ) -> CreditRiskPlus:
        """The law for obligors that lose ``severity`` (m,) with default rates ``pd`` (m,).

        Parameters
        ----------
        severity, pd : (m,) float64
            What each loses at default, and how often it defaults.
        std : float
            Standard deviation of every rate, divided by the rate: that of the common factor.
        unit : float
            Of the lattice.
        most : float
            The loss up to which the law is wanted.
        banded : bool
            Whether each loss is rounded up to a multiple of the unit and its rate lowered, so that the expected loss
            stays, as in [1]_; else it is split between the two multiples next to it.

        Notes
        -----
        With ``P(z) = sum_k rate_k z^(nu_k)``, ``mu = P(1)`` and ``alpha = 1 / std^2``, the generating function of the
        loss is ``(1 + (mu - P(z)) / alpha)^(-alpha)``.
        """
        n = 1 << int(np.ceil(np.log2(max(16.0, 2.0 * most / unit))))
        radius = np.exp(-TILT / n)
        rates = np.zeros(n)
        size = severity / unit
        if banded:
            at = np.maximum(1, np.ceil(size - 1e-9)).astype(int)
            np.add.at(rates, at[at < n], (pd * size / at)[at < n])
        else:
            low = np.floor(size).astype(int)
            share = size - low
            for at, mass in ((low, pd * (1.0 - share)), (low + 1, pd * share)):
                np.add.at(rates, at[at < n], mass[at < n])
        alpha = 1.0 / std**2
        powers = radius ** np.arange(n)
        transform = (1.0 + (rates.sum() - np.fft.fft(rates * powers)) / alpha) ** -alpha
        law = np.fft.ifft(transform).real / powers
        return cls(unit, np.maximum(law[: int(most / unit) + 2], 0.0))

    def beyond(self, level: float) -> float:
        """The probability of a loss of at least ``level``."""
        first = int(np.ceil(level / self.unit - 1e-9))
        return max(0.0, 1.0 - float(self.probability[:first].sum()))

    def value_at_risk(self, tail: float) -> float:
        """The quantile with at most ``tail`` beyond it, between two multiples of the unit by a straight line."""
        below = np.cumsum(self.probability)
        k = int(np.searchsorted(below, 1.0 - tail))
        if k == 0 or k >= below.size:
            return self.unit * min(k, below.size)
        return self.unit * (k - 1 + float((1.0 - tail - below[k - 1]) / (below[k] - below[k - 1])))

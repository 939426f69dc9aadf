"""Capital by the internal ratings formula of the Basel framework for corporate exposures."""

from __future__ import annotations

import numpy as np

from raresim.numerics.arrays import Float

MATURITY = 2.5
"""Years, where a tape says nothing of them."""

FLOOR = 3e-4
"""Least default probability that enters the maturity adjustment, which has no value at 0."""


def capital(pd: Float, lgd: Float, maturity: float = MATURITY) -> Float:
    """Capital per unit of exposure (m,): the 99.9 % loss less the expected one, times the maturity adjustment.

    Parameters
    ----------
    pd, lgd : (m,) float64
        Default probabilities over one year, and shares lost at default.
    maturity : float
        Years.

    Notes
    -----
    Basel framework, CRE31.4 to CRE31.6: ``R`` from 0.24 to 0.12 as the default probability grows, and
    ``K = [LGD N((G(PD) + sqrt(R) G(0.999)) / sqrt(1 - R)) - PD LGD] (1 + (M - 2.5) b) / (1 - 1.5 b)``.
    """
    from scipy import special

    weight = -np.expm1(-50.0 * pd) / -np.expm1(-50.0)
    r = 0.12 * weight + 0.24 * (1.0 - weight)
    b = (0.11852 - 0.05478 * np.log(np.maximum(pd, FLOOR))) ** 2
    stressed = special.ndtr((special.ndtri(pd) + np.sqrt(r) * special.ndtri(0.999)) / np.sqrt(1.0 - r))
    return np.asarray(lgd * (stressed - pd) * (1.0 + (maturity - 2.5) * b) / (1.0 - 1.5 * b))


def risk_weight(pd: Float, lgd: Float, maturity: float = MATURITY) -> Float:
    """Risk weights (m,), as shares of the exposure: 12.5 times the capital."""
    return 12.5 * capital(pd, lgd, maturity)

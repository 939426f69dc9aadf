"""The map between a Student t variate and its normal score.

A t variate may exceed the largest double where its score is below 38, so it is stored as ``x = log|y|``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from raresim.copulas.tables import StretchedTable, log_expm1, read
from raresim.distributions.mixing import log_mixing, log_mixing_table
from raresim.numerics.arrays import Float, frozen
from raresim.numerics.interpolation import PiecewisePolynomial

V_MAX = 40.0
X_LEAST = -20.0
"""The table begins at variates of size ``exp(X_LEAST)``; one in a billion is smaller."""

_CELLS = 1600
_FRACTION_TERMS = 5000


@dataclass(frozen=True, eq=False)
class StudentTMap:
    """The map for one value of the degrees of freedom.

    Parameters
    ----------
    dof : float
        Degrees of freedom.
    """

    dof: float

    def score(self, x: Float, out: Float) -> None:
        """Write the size of the score, ``Phi^-1(T(exp(x)))``, into ``out`` (n,), which is not the memory of ``x``."""
        self._scores(x, out)

    def log_variate(self, v: Float, out: Float) -> None:
        """Write ``x = log|T^-1(Phi(v))|`` into ``out`` (n,), which is not the memory of ``v``."""
        size = np.abs(v)
        read(self._log_ratios, self._log_ratio, size, out)
        with np.errstate(divide="ignore"):
            out += np.log(size)

    def logpdf(self, x: Float) -> Float:
        """Log density of the t law at ``exp(x)``."""
        nu = self.dof
        constant = log_gamma_ratio(0.5 * nu) - 0.5 * math.log(nu * math.pi)
        return np.asarray(constant - 0.5 * (nu + 1.0) * np.logaddexp(0.0, 2.0 * x - math.log(nu)))

    @cached_property
    def mixing_table(self) -> PiecewisePolynomial:
        """Table of the log mixing variable, for `raresim.distributions.mixing.log_mixing`."""
        return log_mixing_table(self.dof)

    @cached_property
    def _scores(self) -> StretchedTable:
        most = np.empty(1)
        log_mixing(np.array([-V_MAX]), self.mixing_table, most)
        return StretchedTable.of(self.score_exactly, X_LEAST, float(most[0]) + math.log(2.0 * V_MAX))

    @cached_property
    def _log_ratios(self) -> PiecewisePolynomial:
        return PiecewisePolynomial.fit(self._log_ratio, 0.0, V_MAX, _CELLS)

    def _log_ratio(self, size: Float) -> Float:
        return self.log_variate_exactly(size) - np.log(size)

    def score_exactly(self, x: Float) -> Float:
        """`score` without its table: from the smaller tail in logs, near the centre from the probability in between."""
        from scipy import special

        x = np.asarray(x, dtype=np.float64)
        out = np.zeros(x.shape)
        far = 2.0 * x > math.log(3.0)
        out[far] = -special.ndtri_exp(self.log_tail(x[far]))
        square = np.exp(2.0 * x[~far])
        between = special.betainc(0.5, 0.5 * self.dof, square / (self.dof + square))
        out[~far] = math.sqrt(2.0) * special.erfinv(between)
        return out

    def log_tail(self, x: Float) -> Float:
        r"""Log of ``P(Y > exp(x))``, for ``exp(2 x)`` above 3.

        Notes
        -----
        Half the regularised incomplete beta function :math:`I_z(\nu/2, 1/2)` at :math:`z = \nu / (\nu + y^2)`, from its
        continued fraction (Press et al., *Numerical Recipes*, section 6.4) with the factor before it in logs.
        """
        a = 0.5 * self.dof
        ratio = 2.0 * x - math.log(self.dof)
        log_z, log_rest = -np.logaddexp(0.0, ratio), -np.logaddexp(0.0, -ratio)
        log_beta = 0.5 * math.log(math.pi) - log_gamma_ratio(a)
        front = a * log_z + 0.5 * log_rest - math.log(a) - log_beta
        return np.asarray(front + np.log(_beta_fraction(a, 0.5, np.exp(log_z))) - math.log(2.0))

    def log_variate_exactly(self, size: Float) -> Float:
        """`log_variate` of ``|v|`` without its table."""
        from scipy import special

        size = np.asarray(size, dtype=np.float64)
        out = np.full(size.shape, -np.inf)
        central = (size > 0) & (size < 1.0)
        if central.any():
            z = special.betaincinv(0.5, 0.5 * self.dof, special.erf(size[central] / math.sqrt(2.0)))
            x = 0.5 * (np.log(z) - np.log1p(-z) + math.log(self.dof))
            score = self.score_exactly(x)
            # One Newton step with the slope d log(score) / dx = y f(y) / (score phi(score)).
            slope = np.exp(x + self.logpdf(x) + 0.5 * score**2 + 0.5 * math.log(2.0 * math.pi)) / score
            out[central] = x - np.log(score / size[central]) / slope
        far = size >= 1.0
        if far.any():
            start = 0.5 * (math.log(self.dof) + log_expm1(2.0 * np.log(size[far]) - math.log(self.dof)))
            out[far] = self._beyond(special.log_ndtr(-size[far]), start)
        return out

    def _beyond(self, log_tail: Float, x: Float) -> Float:
        """``x`` with the given log tail: the log tail is concave in ``x``, so Newton's steps cannot cycle."""
        from scipy import special

        x = x.copy()
        open_ = np.arange(x.size)
        for _ in range(100):
            place = x[open_]
            centre = 2.0 * place <= math.log(3.0)
            tail = np.empty(place.shape)
            tail[~centre] = self.log_tail(place[~centre])
            tail[centre] = special.log_ndtr(-self.score_exactly(place[centre]))
            step = (log_tail[open_] - tail) / np.exp(np.minimum(place + self.logpdf(place) - tail, 700.0))
            x[open_] = place - step
            open_ = open_[np.abs(step) > 1e-8 * np.maximum(np.abs(place), 1.0)]  # the next would be its square
            if not open_.size:
                break
        return x


def log_gamma_ratio(a: float) -> float:
    """``log(Gamma(a + 1/2) / Gamma(a))``, by its asymptotic series where the difference would lose digits."""
    if a < 40.0:
        return math.lgamma(a + 0.5) - math.lgamma(a)
    b = 1.0 / (a * a)
    return 0.5 * math.log(a) - (1.0 / 8.0 - b * (1.0 / 192.0 - b * (1.0 / 640.0 - b * 17.0 / 14336.0))) / a


def _beta_fraction(a: float, b: float, z: Float) -> Float:
    """The continued fraction of the incomplete beta function, by Lentz's method; ``z < (a + 1) / (a + b + 2)``."""
    c = np.ones(z.shape)
    d = 1.0 / (1.0 - (a + b) * z / (a + 1.0))
    h = d.copy()
    for m in range(1, _FRACTION_TERMS):
        even = m * (b - m) * z / ((a + 2 * m - 1.0) * (a + 2 * m))
        d = 1.0 / (1.0 + even * d)
        c = 1.0 + even / c
        h *= d * c
        odd = -(a + m) * (a + b + m) * z / ((a + 2 * m) * (a + 2 * m + 1.0))
        d = 1.0 / (1.0 + odd * d)
        c = 1.0 + odd / c
        h *= d * c
        if (np.abs(d * c - 1.0) < 4e-16).all():
            break
    return np.asarray(h)


def student_t_copula_tail(correlation: Float, dof: float) -> Float:
    """Tail dependence ``2 T_{v+1}(-sqrt((v + 1)(1 - r) / (1 + r)))`` of each pair (Demarta & McNeil 2005, eq. 14)."""
    from scipy import special

    with np.errstate(divide="ignore"):
        far = np.sqrt((dof + 1.0) * (1.0 - correlation) / (1.0 + correlation))
    return frozen(np.asarray(2.0 * special.stdtr(dof + 1.0, -far)))

"""The exact law of a quadratic loss in normal or Student t factors, by inversion of its transform."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np

from raresim.models.market.quadratic_form import QuadraticForm

NODES = (128, 256, 512, 1024, 2048)
"""Nodes of the inversion, doubled until two results agree."""

ACCURACY = 1e-9
"""Relative difference of two results at which the second is believed."""

ENDS, FAR = (-3.6, 9.0), 20.0
"""Of the trapezoidal rule in the double exponential formula; further for integrands that fall off as a power."""

ANGLES = (math.pi / 3.0, 2.0 * math.pi / 3.0, math.pi / 2.0)
"""Of the rays from the saddle point, against the real axis: to the right, to the left, and upright."""

BUMP = 2.0
"""Nats by which the integrand may rise on a ray that is not upright."""

NEAR, APART = 0.3, 0.5
"""Distance of a saddle point from the pole below which the contour is moved away from it, and to where; in units of the
saddle's width."""


@dataclass(frozen=True, eq=False)
class QuadraticLaw:
    """The law of a quadratic loss.

    Parameters
    ----------
    form : QuadraticForm
        The loss.

    Notes
    -----
    With ``K(s) = log E exp(s Q_x)``, ``P(L > x) = (1 / 2 pi i) int exp(K(s)) / s ds`` over a contour to the right of 0,
    and ``E (L - x)^+`` has ``s^2`` in place of ``s`` where factors are normal: the inversion of [1]_ sec. 3.3. The
    contour goes through the saddle point. On the upright line the integrand never exceeds its value there, but may fall
    off slowly; on rays at 60 degrees to the axis it falls off exponentially, and these are taken unless it rises on
    the way. There is no singularity off the real axis: the zeros of ``1 - 2 a(s) / dof`` are real too, as one of them
    lies between each two of its poles. Each ray is integrated by the double exponential formula [2]_, whose nodes are
    doubled until two results agree.

    References
    ----------
    .. [1] Glasserman, Heidelberger & Shahabuddin, *Variance reduction techniques for estimating value-at-risk*,
       Management Science 46, 2000.
    .. [2] Takahasi & Mori, *Double exponential formulas for numerical integration*, Publ. RIMS 9, 1974.
    """

    form: QuadraticForm

    def probability(self, x: float) -> float | None:
        """``P(L > x)``; None where the inversion does not reach `ACCURACY`."""
        low, high = self.form.bounds
        if not low < x < high:
            return float(x <= low)
        return self.inverted(x)

    def excess(self, x: float) -> float | None:
        """``E (L - x)^+``; None where it is unknown or infinite."""
        if x >= self.form.bounds[1]:
            return 0.0
        return self.inverted(x, power=2) if self.form.dof is None else self._integrated(x)

    def quantile(self, tail: float) -> float | None:
        """The loss that is exceeded with the probability ``tail``; None where the inversion fails."""
        from scipy import optimize

        def gap(x: float) -> float:
            p = self.probability(x)
            if p is None:
                raise ArithmeticError
            return math.log(max(p, 1e-320)) - math.log(tail)

        start = self.form.constant + float(self.form.square.sum())
        step = self.form.size
        try:
            sign = 1.0 if gap(start) > 0 else -1.0
            inner, outer = start, start + sign * step
            while sign * gap(outer) > 0:
                inner, outer, step = outer, outer + sign * 2.0 * step, 2.0 * step
            return float(optimize.brentq(gap, min(inner, outer), max(inner, outer), rtol=1e-13))
        except ArithmeticError:
            return None

    def shortfall(self, tail: float) -> float | None:
        """Expected shortfall at the probability ``tail``; None where it is unknown or infinite."""
        value = self.quantile(tail)
        excess = None if value is None else self.excess(value)
        return None if value is None or excess is None else value + excess / tail

    def inverted(self, x: float, q: float = 0.0, theta: float = 0.0, power: int = 1) -> float | None:
        """``P(Q_x > q)`` under the law twisted by ``theta``, or with ``power`` 2 ``E (Q_x - q)^+``; None: not reached.

        The probability of any loss is that of ``Q_x > 0`` without a twist.
        """
        asked = (x, q, theta, power)
        if asked not in self.form.inversions:
            self.form.inversions[asked] = self._inverted(*asked)
        return self.form.inversions[asked]

    def _inverted(self, x: float, q: float, theta: float, power: int) -> float | None:
        form = self.form
        c = form.twist(x, q)
        if math.isnan(c):
            return None
        width = self._width(c, x)
        if abs(c - theta) < NEAR * width:
            c = self._moved(theta, width)
            width = self._width(c, x)
        log_top = float(form.log_mgf(c, x) - form.log_mgf(theta, x)) - (c - theta) * q
        found = self._along(c, width, x, q, theta, power)
        if found is None:
            return None
        value = math.exp(log_top) * found
        if c < theta:
            value += 1.0 if power == 1 else form.slope(theta, x) - q
        return value

    def _moved(self, theta: float, width: float) -> float:
        """A place beside the pole, on its right, in the domain of the transform."""
        return theta + min(APART * width, 0.5 * (self.form.end - theta))

    def _width(self, c: float, x: float) -> float:
        """One over the root of the second derivative of the transform's logarithm at ``c``."""
        form = self.form
        step = 1e-5 * min(1.0 / form.size, form.end - c if form.end < math.inf else math.inf)
        second = (form.slope(c + step, x) - form.slope(c - step, x)) / (2.0 * step)
        return 1.0 / math.sqrt(second) if 0 < second < math.inf else 1.0 / form.size

    def _along(self, c: float, width: float, x: float, q: float, theta: float, power: int) -> float | None:
        """The integral over a contour through ``c``, without the height of the integrand there."""
        for angle in ANGLES:
            last = math.nan
            for nodes in NODES:
                t = np.linspace(ENDS[0], ENDS[1] if self.form.dof is None else FAR, nodes)
                r = width * np.exp(t - np.exp(-t))
                weight = (t[1] - t[0]) * r * (1.0 + np.exp(-t))
                ray = np.exp(1j * angle)
                s = c + r * ray
                logs = self.form.log_mgf(s, x) - self.form.log_mgf(c, x) - r * ray * q
                if logs.real.max() > BUMP:
                    break
                terms = weight * np.exp(logs) * ray / (s - theta) ** power
                value = float(terms.imag.sum()) / math.pi
                if abs(terms[-1]) < ACCURACY * abs(value) and abs(value - last) < ACCURACY * abs(value):
                    return value
                last = value
        return None

    def _integrated(self, x: float) -> float | None:
        """The integral of the probabilities beyond ``x``, of a power tail: over ``log`` of the distance by panels."""
        form = self.form
        if form.dof is None or form.dof <= (2.0 if form.square.any() else 1.0):
            return None
        nodes, weights = np.polynomial.legendre.leggauss(16)
        scale, total = form.size, 0.0
        ends = [0.0, *(scale * 2.0**k for k in range(-4, 200))]
        for low, high in itertools.pairwise(ends):
            at = 0.5 * (high - low) * (nodes + 1.0) + low
            tails = [self.probability(x + a) for a in at.tolist()]
            if any(p is None for p in tails):
                return None
            part = 0.5 * (high - low) * float(weights @ np.array(tails))
            total += part
            if low > 0 and part < 1e-10 * total:
                return total
        return None

"""The law of a von Mises-Fisher direction and an independent Nakagami radius."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from raresim.arguments import checks
from raresim.arguments.checks import Vector
from raresim.distributions.base import Distribution
from raresim.distributions.directional import along_and_square, move_along
from raresim.errors import FieldError
from raresim.numerics import arrays
from raresim.numerics.arrays import Float
from raresim.numerics.jit import kernel
from raresim.numerics.normals import fill_standard_normal
from raresim.registry import member

LARGEST_CONCENTRATION = 1e6
"""Concentrations above it are refused: the cosine would have too few digits for the spread of the directions."""

SERIES_BELOW = 2.0
"""Concentrations up to which the power series of the normalising constant is used."""

UNIFORM_FROM = 100.0
"""Orders from which a Bessel function comes from its uniform expansion, because its scaled form would underflow."""


@member("distribution")
@dataclass(frozen=True, kw_only=True, eq=False)
class VonMisesFisherNakagami(Distribution):
    """Law of ``u = r a`` with a von Mises-Fisher direction ``a`` and an independent Nakagami radius ``r``.

    Density ``C_d(kappa) exp(kappa mu'a)`` on the unit sphere times ``2 m^m r^(2m - 1) exp(-m r^2 / omega) / (Gamma(m)
    omega^m)`` on the half-line, divided by ``r^(d - 1)``: [1]_. The standard normal law is the member
    with ``concentration`` 0, ``shape`` d / 2 and ``spread`` d.

    Parameters
    ----------
    direction : (d,)
        Mean direction ``mu``, not zero; its length does not matter.
    concentration : float
        ``kappa``, from 0 (uniform) to `LARGEST_CONCENTRATION`.
    shape : float
        ``m``, positive. Below d / 2 the density has a pole at the origin.
    spread : float
        ``omega = E r^2``, positive.

    Raises
    ------
    FieldError
        When the direction is zero, or a parameter is out of its range.

    References
    ----------
    .. [1] Papaioannou, Geyer & Straub, *Improved cross entropy-based importance sampling with a flexible mixture
       model*, Reliab. Eng. Syst. Saf. 191, 2019.
    .. [2] Wood, *Simulation of the von Mises Fisher distribution*, Commun. Stat. Simul. Comput. 23, 1994.
    """

    kind: ClassVar[str] = "von_mises_fisher_nakagami"

    direction: Vector
    concentration: float
    shape: float
    spread: float

    axis: Float = field(init=False, repr=False)

    def __post_init__(self) -> None:
        direction = checks.vector("direction", self.direction)
        length = float(np.linalg.norm(direction))
        if not 0 < length < math.inf:
            raise FieldError("direction", f"must have a positive and finite length, got {length:g}")
        if not 0 <= self.concentration <= LARGEST_CONCENTRATION:
            raise FieldError(
                "concentration", f"must be from 0 to {LARGEST_CONCENTRATION:g}, got {self.concentration:.15g}"
            )
        checks.positive("shape", self.shape)
        checks.positive("spread", self.spread)
        object.__setattr__(self, "axis", arrays.frozen(direction / length))

    @property
    def dim(self) -> int:
        return int(self.axis.size)

    @property
    def radial(self) -> Float | None:
        """All directions, where none of them is likelier than another."""
        return np.eye(self.dim) if self.concentration == 0.0 else None

    def sample(self, rng: np.random.Generator, x: Float) -> None:
        """Fill ``x`` from a cosine with ``mu`` by Wood (1994), a uniform direction across ``mu``, and the radius."""
        n, d = x.shape
        radius = np.sqrt(rng.standard_gamma(self.shape, n) * (self.spread / self.shape))
        if d == 1:  # two directions, of odds exp(2 kappa)
            x[:, 0] = np.where(rng.random(n) * (1.0 + math.exp(-2.0 * self.concentration)) < 1.0, radius, -radius)
            x *= self.axis
            return
        cosine, sine = np.empty(n), np.empty(n)
        draw_cosines(rng, self.concentration, d, cosine, sine)
        fill_standard_normal(rng, x)
        along, square = (arrays.scratch("directional", n, 2)[:, k] for k in (0, 1))
        along_and_square(x, self.axis, along, square)
        np.negative(along, out=along)
        move_along(along, self.axis, x)
        along_and_square(x, self.axis, along, square)
        x *= (radius * sine / np.sqrt(square))[:, None]
        np.multiply(radius, cosine, out=along)
        move_along(along, self.axis, x)

    def logpdf(self, x: Float, out: Float) -> None:
        along, square = (arrays.scratch("directional", x.shape[0], 2)[:, k] for k in (0, 1))
        along_and_square(x, self.axis, along, square)
        m, omega, d = self.shape, self.spread, self.dim
        with np.errstate(divide="ignore", invalid="ignore"):  # at the origin the density is 0, infinite or a limit
            np.divide(along, np.sqrt(square), out=out)
            out[square == 0] = 0.0
            out *= self.concentration
            if 2.0 * m != d:
                out += (m - 0.5 * d) * np.log(square)
        out -= (m / omega) * square
        out += math.log(2.0) + m * math.log(m / omega) - math.lgamma(m)
        out -= log_sphere(d) + log_0f1(0.5 * d, self.concentration)

    @staticmethod
    def examples() -> list[VonMisesFisherNakagami]:
        """Members for the conformance tests."""
        return [
            VonMisesFisherNakagami(direction=[1.0, 2.0], concentration=3.0, shape=2.0, spread=5.0),
            VonMisesFisherNakagami(direction=[1.0, 0.0, -1.0], concentration=1.0, shape=2.5, spread=4.0),
            VonMisesFisherNakagami(direction=[-1.0], concentration=0.4, shape=0.8, spread=2.0),
            VonMisesFisherNakagami(direction=np.ones(5), concentration=0.0, shape=2.5, spread=5.0),
        ]


def log_sphere(d: int) -> float:
    """Log of the area of the unit sphere in ``d`` dimensions, ``2 pi^(d/2) / Gamma(d/2)``."""
    return math.log(2.0) + 0.5 * d * math.log(math.pi) - math.lgamma(0.5 * d)


def log_0f1(b: float, x: float) -> float:
    """``log 0F1(; b; x^2 / 4)`` for ``b >= 1/2`` and ``x >= 0``: ``log(Gamma(b) (2 / x)^(b - 1) I_(b-1)(x))``.

    With ``b = d/2`` it is the log of the mean of ``exp(x t)`` over the cosines ``t`` of uniform directions, so the
    constant of a von Mises-Fisher law is the inverse of its exponential over the area of the sphere.

    Notes
    -----
    Small arguments are computed by the series; large orders by the uniform expansion DLMF 10.41.3 to the fourth power
    of the inverse order, whose error is below 1e-11 there; the rest from the scaled Bessel function.
    """
    from scipy import special

    if x <= SERIES_BELOW:
        return math.log(float(special.hyp0f1(b, 0.25 * x * x)))
    order = b - 1.0
    if order < UNIFORM_FROM:
        log_bessel = math.log(float(special.ive(order, x))) + x
    else:
        z = x / order
        root = math.hypot(1.0, z)
        eta = root + math.log(z / (1.0 + root))
        log_bessel = order * eta - 0.5 * math.log(2.0 * math.pi * order * root) + math.log1p(_terms(1.0 / root, order))
    return math.lgamma(b) + order * math.log(2.0 / x) + log_bessel


def _terms(p: float, v: float) -> float:
    """``sum_k U_k(p) / v^k`` for k = 1 to 4: Abramowitz & Stegun 9.3.9."""
    s = p * p
    u1 = p * (3.0 - 5.0 * s) / 24.0
    u2 = s * (81.0 - s * (462.0 - 385.0 * s)) / 1152.0
    u3 = p * s * (30375.0 - s * (369603.0 - s * (765765.0 - 425425.0 * s))) / 414720.0
    u4 = s * s * (4465125.0 - s * (94121676.0 - s * (349922430.0 - s * (446185740.0 - 185910725.0 * s)))) / 39813120.0
    return (u1 + (u2 + (u3 + u4 / v) / v) / v) / v


def mean_cosine(d: int, concentration: float) -> float:
    """``A_d(kappa) = I_(d/2)(kappa) / I_(d/2 - 1)(kappa)``, the mean cosine of a von Mises-Fisher law."""
    b = 0.5 * d
    return concentration / d * math.exp(log_0f1(b + 1.0, concentration) - log_0f1(b, concentration))


@kernel
def draw_cosines(rng: np.random.Generator, kappa: float, d: int, cosine: Float, sine: Float) -> None:
    """Cosine and sine of the angle between von Mises-Fisher directions and their mean: [2] algorithm VM*, step 1."""
    half = 0.5 * (d - 1)
    b = (d - 1) / (2.0 * kappa + math.sqrt(4.0 * kappa * kappa + (d - 1.0) * (d - 1.0)))
    x0, below = (1.0 - b) / (1.0 + b), 2.0 * b / (1.0 + b)  # and 1 - x0
    log_rest = math.log(4.0 * b / ((1.0 + b) * (1.0 + b)))  # log(1 - x0^2)
    for i in range(cosine.shape[0]):
        while True:
            first, second = rng.standard_gamma(half), rng.standard_gamma(half)
            beta = first / (first + second)
            scale = 1.0 - (1.0 - b) * beta
            gap = 2.0 * b * beta / scale  # 1 - w, with its digits where w is near 1
            w = 1.0 - gap
            log_ratio = kappa * (below - gap) + (d - 1) * (math.log(below + x0 * gap) - log_rest)
            if log_ratio >= math.log(1.0 - rng.random()):
                break
        cosine[i] = w
        sine[i] = math.sqrt(gap * (2.0 - gap))

"""Branches of random problems: the part that each measures, its exact tail, and its increasing transform.

A *part* measures how far a row is inside its event: the excess over a level, at least 0 in the event. It knows the
probability of its event, given one coordinate that all branches may share. A *branch* is a part at its level, in its
own scale, pushed through a transform that keeps the sign.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import exact_tails
import numpy as np
from exact_tails import normal_nodes
from scipy import optimize, special

from raresim import marginals as m
from raresim.marginals.base import Marginal
from raresim.numerics.arrays import Float

Shape = Literal["straight", "cube", "exp", "log", "saturating", "steps", "digital"]
SMOOTH: tuple[Shape, ...] = ("straight", "cube", "exp", "log", "saturating")
STEPPED: tuple[Shape, ...] = ("steps", "digital")


@dataclass(frozen=True)
class Transform:
    """An increasing function that is 0 at 0, so it moves no event.

    Parameters
    ----------
    shape : str
        One of `SMOOTH` or `STEPPED`.
    slope : float
        Factor, positive.
    width : float
        Place of the bend of `log` and `saturating`, or width of a step; dimensionless.
    """

    shape: Shape = "straight"
    slope: float = 1.0
    width: float = 1.0

    def __call__(self, y: Float) -> Float:
        return self.slope * self._bent(y)

    def _bent(self, y: Float) -> Float:
        if self.shape == "cube":
            return y * y * y
        if self.shape == "exp":
            return np.expm1(np.minimum(y, 30.0))
        if self.shape == "log":
            return np.copysign(np.log1p(np.abs(y) / self.width), y)
        if self.shape == "saturating":
            return np.tanh(y / self.width)
        if self.shape == "steps":
            return np.floor(y / self.width)
        if self.shape == "digital":
            return np.where(y >= 0.0, 1.0, -1.0)
        return y


class Part(ABC):
    """The quantity that a branch measures.

    *To add one*: define the excess of rows over a level; the probability that it is at least 0 given the shared
    coordinate, which falls with the level; and a level and a step from which the search for the level starts.
    """

    steps: bool = False
    """Whether the excess itself moves in steps."""

    @abstractmethod
    def excess(self, y: Float, level: float) -> Float:
        """How far rows (n, d) are beyond the level: (n,)."""

    @abstractmethod
    def tail(self, level: float, z: Float) -> Float:
        """Probability of the event at each value ``z`` (k,) of the shared coordinate: (k,)."""

    @abstractmethod
    def start(self) -> tuple[float, float]:
        """A level and a step from which the search for the level starts."""

    @abstractmethod
    def text(self) -> str:
        """A few words."""

    def unit(self, level: float) -> float:
        """Rate at which the excess grows with the distance from the border, in standard normal space."""
        return 1.0

    def breaks(self, level: float) -> Sequence[float]:
        """Values of the shared coordinate where the tail is not smooth."""
        return ()


@dataclass(frozen=True, eq=False)
class Branch:
    """A part at its level, in its own scale."""

    part: Part
    level: float
    unit: float
    transform: Transform

    def __call__(self, y: Float) -> Float:
        return self.transform(self.part.excess(y, self.level) / self.unit)

    @property
    def is_stepped(self) -> bool:
        return self.part.steps or self.transform.shape in STEPPED


def level_of(part: Part, probability: float, nodes: tuple[Float, Float]) -> float:
    """The level at which the event of a part has this probability."""
    z, w = nodes
    wanted = math.log(probability)

    def excess(level: float) -> float:
        p = float(w @ part.tail(level, z))
        return (math.log(p) if p > 0.0 else -800.0) - wanted

    low, step = part.start()
    high = low + step
    while excess(high) > 0.0:
        low, step = high, 1.5 * step
        high = low + step
    step = high - low
    while excess(low) < 0.0:
        high, step = low, 1.5 * step
        low = high - step
    return float(optimize.brentq(excess, low, high, xtol=1e-8 * abs(high - low), rtol=1e-10))


# On standard normals.


@dataclass(frozen=True, eq=False)
class Quadratic(Part):
    """``a' x + g' x^2`` of its own coordinates and ``A z + G z^2`` of the shared one: plane, paraboloid, shell, book.

    Parameters
    ----------
    own : slice
        Its own coordinates.
    linear, square : (m,) float64
        ``a`` and ``g``. With a shared coordinate one of the two is 0, and ``g`` is the same for all.
    shared : int
        Index of the shared coordinate, negative where there is none.
    shared_linear, shared_square : float
        ``A`` and ``G``.
    name : str
        What it is.
    """

    own: slice
    linear: Float
    square: Float
    shared: int = -1
    shared_linear: float = 0.0
    shared_square: float = 0.0
    name: str = "plane"

    def excess(self, y: Float, level: float) -> Float:
        own = y[:, self.own]
        out = np.full(len(y), -level)
        if self.linear.any():
            out += own @ self.linear
        if self.square.any():
            out += (own * own) @ self.square
        if self.shared >= 0:
            z = y[:, self.shared]
            out += self.shared_linear * z + self.shared_square * z * z
        return out

    def tail(self, level: float, z: Float) -> Float:
        rest = level - self.shared_linear * z - self.shared_square * z * z
        if not self.square.any():
            return np.asarray(special.ndtr(-rest / np.linalg.norm(self.linear)))
        g = float(self.square[0])
        if not self.linear.any() and (self.square == g).all():
            half = 0.5 * len(self.square)
            if g > 0.0:
                return np.asarray(special.gammaincc(half, np.maximum(rest, 0.0) / (2.0 * g)))
            return np.asarray(special.gammainc(half, np.maximum(-rest, 0.0) / (-2.0 * g)))
        return np.full(z.shape, exact_tails.quadratic_tail(level, self.linear, self.square))

    def breaks(self, level: float) -> Sequence[float]:
        if self.shared < 0 or not self.square.any():
            return ()
        a, g = self.shared_linear, self.shared_square
        if g == 0.0:
            return (level / a,) if a else ()
        inside = a * a + 4.0 * g * level
        return () if inside < 0.0 else tuple((-a + side * math.sqrt(inside)) / (2.0 * g) for side in (-1, 1))

    def start(self) -> tuple[float, float]:
        mean = float(self.square.sum() + self.shared_square)
        variance = float((self.linear**2 + 2.0 * self.square**2).sum())
        variance += self.shared_linear**2 + 2.0 * self.shared_square**2
        return mean + 2.0 * math.sqrt(variance), math.sqrt(variance)

    def unit(self, level: float) -> float:
        slope = float(np.linalg.norm(self.linear)) + abs(self.shared_linear)
        steepest = max(float(self.square.max()), self.shared_square, 0.0)
        return slope + 2.0 * math.sqrt(max(level, 0.0) * steepest)

    def text(self) -> str:
        return f"{self.name} in {len(self.linear)}" + (" and the shared one" if self.shared >= 0 else "")


@dataclass(frozen=True, eq=False)
class Corner(Part):
    """The smallest of several planes' excesses, each with its own slope: a parallel part."""

    own: slice
    offsets: Float
    slopes: Float
    shared: int = -1
    loads: Float = field(default_factory=lambda: np.zeros(1))

    def _loads(self) -> Float:
        return np.broadcast_to(self.loads, self.offsets.shape)

    def excess(self, y: Float, level: float) -> Float:
        own = y[:, self.own] * np.sqrt(1.0 - self._loads() ** 2)
        if self.shared >= 0:
            own = own + y[:, self.shared, np.newaxis] * self._loads()
        return np.asarray(((own - (level + self.offsets)) * self.slopes).min(axis=1))

    def tail(self, level: float, z: Float) -> Float:
        loads = self._loads()
        rest = (loads[:, np.newaxis] * z - (level + self.offsets)[:, np.newaxis]) / np.sqrt(1.0 - loads**2)[
            :, np.newaxis
        ]
        return np.asarray(special.ndtr(rest).prod(axis=0))

    def start(self) -> tuple[float, float]:
        return 1.0, 0.5

    def text(self) -> str:
        return f"corner of {len(self.offsets)}" + (" with the shared one" if self.shared >= 0 else "")


@dataclass(frozen=True, eq=False)
class Product(Part):
    """``x_1 x_2``: two regions, one opposite the other."""

    own: slice

    def excess(self, y: Float, level: float) -> Float:
        own = y[:, self.own]
        return np.asarray(own[:, 0] * own[:, 1] - level)

    def tail(self, level: float, z: Float) -> Float:
        x, w = normal_nodes()
        positive = x > 0.0
        return np.full(z.shape, 2.0 * float(w[positive] @ special.ndtr(-level / x[positive])))

    def start(self) -> tuple[float, float]:
        return 1.0, 1.0

    def unit(self, level: float) -> float:
        return math.sqrt(2.0 * max(level, 0.1))

    def text(self) -> str:
        return "product of 2"


@dataclass(frozen=True, eq=False)
class LognormalSum(Part):
    """``sum exp(sigma x_i)``; the level is the logarithm of the sum."""

    own: slice
    terms: int
    sigma: float

    def excess(self, y: Float, level: float) -> Float:
        return np.asarray(np.exp(self.sigma * y[:, self.own]).sum(axis=1) - math.exp(level))

    def tail(self, level: float, z: Float) -> Float:
        return np.full(z.shape, exact_tails.lognormal_sum_tail(math.exp(level), self.sigma, self.terms))

    def start(self) -> tuple[float, float]:
        return math.log(self.terms) + self.sigma, self.sigma

    def unit(self, level: float) -> float:
        return self.sigma * math.exp(level)

    def text(self) -> str:
        return f"sum of {self.terms} lognormals"


@dataclass(frozen=True, eq=False)
class Count(Part):
    """Number of obligors that default, less the number that makes the event; the level is where an obligor defaults.

    Parameters
    ----------
    own : slice
        Coordinates of the obligors, after their own factor where they have one.
    limit : int
        Defaults that make the event.
    load : float
        Correlation of an obligor with the factor, 0 for independent ones.
    shared : int
        Index of the shared coordinate where that is the factor, negative otherwise.
    """

    own: slice
    limit: int
    load: float = 0.0
    shared: int = -1

    steps = True

    @property
    def has_own_factor(self) -> bool:
        return self.shared < 0 and self.load > 0.0

    @property
    def n(self) -> int:
        return int(self.own.stop - self.own.start) - self.has_own_factor

    def excess(self, y: Float, level: float) -> Float:
        own = y[:, self.own]
        rest = math.sqrt(1.0 - self.load**2)
        if self.load == 0.0:
            return np.asarray((own >= level).sum(axis=1) - float(self.limit))
        factor = y[:, self.shared] if self.shared >= 0 else own[:, 0]
        obligors = own if self.shared >= 0 else own[:, 1:]
        bar = (level - self.load * factor) / rest
        return np.asarray((obligors >= bar[:, np.newaxis]).sum(axis=1) - float(self.limit))

    def tail(self, level: float, z: Float) -> Float:
        if self.has_own_factor:
            factor, w = normal_nodes()
            return np.full(z.shape, float(w @ self._given(level, factor)))
        return self._given(level, z)

    def _given(self, level: float, factor: Float) -> Float:
        p = special.ndtr((self.load * factor - level) / math.sqrt(1.0 - self.load**2))
        return np.asarray(special.betainc(self.limit, self.n - self.limit + 1, p))

    def start(self) -> tuple[float, float]:
        return 1.5, 0.5

    def text(self) -> str:
        return f"{self.limit} of {self.n} obligors, correlation {self.load**2:.2f}"


# On inputs in units of their own.


@dataclass(frozen=True)
class Law:
    """A law of a strength or a load.

    Parameters
    ----------
    kind : "normal", "lognormal", "gumbel", "weibull" or "gamma"
        The family.
    shape : float
        Coefficient of variation of a normal law, scale over location of a Gumbel law, standard deviation of the
        logarithm of a lognormal law, exponent of a Weibull law, or shape of a gamma law.
    scale : float
        Scale, in the unit of the input.
    """

    kind: Literal["normal", "lognormal", "gumbel", "weibull", "gamma"]
    shape: float
    scale: float

    def marginal(self) -> Marginal:
        if self.kind == "normal":
            return m.Normal(loc=self.scale, scale=self.shape * self.scale)
        if self.kind == "lognormal":
            return m.Lognormal(s=self.shape, scale=self.scale)
        if self.kind == "gumbel":
            return m.Gumbel(loc=self.scale, scale=self.shape * self.scale)
        if self.kind == "weibull":
            return m.Weibull(c=self.shape, scale=self.scale)
        return m.Gamma(a=self.shape, scale=self.scale)

    def quantile(self, z: Float) -> Float:
        """The value, over the scale, that is exceeded as often as a standard normal exceeds ``z``."""
        if self.kind == "normal":
            return 1.0 + self.shape * z
        if self.kind == "lognormal":
            return np.exp(self.shape * z)
        if self.kind == "gumbel":
            return 1.0 - self.shape * np.log(-special.log_ndtr(z))
        if self.kind == "weibull":
            return np.asarray((-special.log_ndtr(-z)) ** (1.0 / self.shape))
        lower, upper = (
            special.gammaincinv(self.shape, special.ndtr(z)),
            special.gammainccinv(self.shape, special.ndtr(-z)),
        )
        return np.where(z > 0.0, upper, lower)

    def cdf(self, x: Float) -> Float:
        """Probability of at most ``x`` times the scale."""
        if self.kind == "normal":
            return np.asarray(special.ndtr((x - 1.0) / self.shape))
        if self.kind == "gumbel":
            return np.exp(-np.exp(-(x - 1.0) / self.shape))
        positive = np.maximum(x, 1e-300)
        if self.kind == "lognormal":
            return np.asarray(special.ndtr(np.log(positive) / self.shape))
        if self.kind == "weibull":
            return -np.expm1(-(positive**self.shape))
        return np.asarray(special.gammainc(self.shape, positive))


@dataclass(frozen=True, eq=False)
class Strength(Part):
    """A load less a strength, which the level (a logarithm) multiplies: ``S / s - exp(level) R / r``.

    Parameters
    ----------
    own : slice
        Coordinate of its strength, after that of its load where this is its own.
    strength, load : Law
        The laws.
    shared : int
        Index of the load that all share, negative where the load is its own.
    """

    own: slice
    strength: Law
    load: Law
    shared: int = -1

    def excess(self, y: Float, level: float) -> Float:
        load = y[:, self.shared] if self.shared >= 0 else y[:, self.own.start]
        return np.asarray(load / self.load.scale - math.exp(level) / self.strength.scale * y[:, self.own.stop - 1])

    def tail(self, level: float, z: Float) -> Float:
        if self.shared >= 0:
            return self._given(level, z)
        own, w = normal_nodes()
        return np.full(z.shape, float(w @ self._given(level, own)))

    def _given(self, level: float, z: Float) -> Float:
        return self.strength.cdf(self.load.quantile(z) * math.exp(-level))

    def start(self) -> tuple[float, float]:
        return 0.3, 0.3

    def unit(self, level: float) -> float:
        return 0.1 * math.exp(level)

    def text(self) -> str:
        return f"{self.load.kind} load on a {self.strength.kind} strength"


@dataclass(frozen=True, eq=False)
class LogPlane(Part):
    """A product of powers of lognormals, ``prod (x_i / scale_i)^e_i - exp(level)``.

    Parameters
    ----------
    own : slice
        Its own inputs, beside the shared one.
    powers : (m,) float64
        Exponents.
    laws : tuple of Law
        Laws of its own inputs, lognormal.
    shared : int
        Index of the shared input, negative where there is none.
    shared_power : float
        Exponent of the shared input.
    shared_law : Law, optional
        Law of the shared input.
    """

    own: slice
    powers: Float
    laws: tuple[Law, ...]
    shared: int = -1
    shared_power: float = 0.0
    shared_law: Law | None = None

    @property
    def _own_std(self) -> float:
        return math.sqrt(sum((e * law.shape) ** 2 for e, law in zip(self.powers, self.laws, strict=True)))

    @property
    def _shared_std(self) -> float:
        return self.shared_power * self.shared_law.shape if self.shared_law else 0.0

    def excess(self, y: Float, level: float) -> Float:
        log = np.log(y[:, self.own] / np.array([law.scale for law in self.laws])) @ self.powers
        if self.shared_law:
            log = log + self.shared_power * np.log(y[:, self.shared] / self.shared_law.scale)
        return np.exp(log) - math.exp(level)

    def tail(self, level: float, z: Float) -> Float:
        return np.asarray(special.ndtr((self._shared_std * z - level) / self._own_std))

    def start(self) -> tuple[float, float]:
        return self._own_std, self._own_std

    def unit(self, level: float) -> float:
        return math.exp(level) * math.hypot(self._own_std, self._shared_std)

    def text(self) -> str:
        return f"product of {len(self.powers)} lognormals" + (" and the shared one" if self.shared_law else "")


@dataclass(frozen=True, eq=False)
class HeavySum(Part):
    """A sum of Student's t in money; the level is the inverse hyperbolic sine of the sum, over the scale."""

    own: slice
    dof: float
    terms: int
    scale: float

    def excess(self, y: Float, level: float) -> Float:
        return np.asarray(y[:, self.own].sum(axis=1) / self.scale - math.sinh(level))

    def tail(self, level: float, z: Float) -> Float:
        return np.full(z.shape, exact_tails.t_sum_tail(math.sinh(level), self.dof, self.terms))

    def start(self) -> tuple[float, float]:
        return 1.0, 0.7

    def unit(self, level: float) -> float:
        return 0.5 * math.cosh(level)

    def text(self) -> str:
        return f"sum of {self.terms} t with {self.dof:g} degrees"

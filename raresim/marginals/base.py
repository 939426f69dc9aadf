"""The contract of a marginal: the law of one risk factor.

To add one: a frozen dataclass in a file of its own in this folder, decorated with ``@member("marginal")``, with a
``kind``, the functions that `Continuous` or `Discrete` ask for, and ``examples()``; and a line in ``__init__.py``.
Parameters carry SciPy's names where SciPy has the law, and are checked in ``__post_init__``.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from raresim.marginals import likelihood
from raresim.marginals.likelihood import Domain, FittedColumn, MarginalFit
from raresim.numerics import arrays, normal_scores
from raresim.numerics.arrays import Float
from raresim.numerics.exponentials import exponential
from raresim.numerics.interpolation import PiecewisePolynomial
from raresim.numerics.jit import kernel
from raresim.numerics.normals import fill_standard_normal

U_MAX = 37.5
"""Half-width of a law's table; a standard normal lies beyond it with probability 1e-307."""

CELLS = 600
FINEST_CELLS = 2_400
TABLE_ERROR = 1e-11
"""A table with a larger relative error is refined; it is not used where that does not help."""

LOG_HALF = math.log(0.5)


class Moments(NamedTuple):
    """The first four moments; infinite or NaN where the law has none."""

    mean: float
    variance: float
    skewness: float
    excess_kurtosis: float


class Marginal(ABC):
    """The law of one number, with its map from a standard normal."""

    kind: ClassVar[str]
    discrete: ClassVar[bool] = False
    is_normal: ClassVar[bool] = False
    """Whether it is a normal law, so that its map from a standard normal is linear apart from a shift."""

    fitted: FittedColumn | None = None
    """The fit that a config asked for, kept for the report and the provenance."""

    PARAMETERS: ClassVar[Mapping[str, Domain]] = {}
    """The parameters that `fit` finds by maximum likelihood, each with its domain; see `likelihood`."""

    # A law defines these.

    @property
    @abstractmethod
    def support(self) -> tuple[float, float]:
        """Smallest and largest value; infinite where the law has no end."""

    @abstractmethod
    def logpdf(self, x: ArrayLike) -> Float:
        """Log density at ``x``, for a discrete law log probability, in nats; ``-inf`` outside the support."""

    @abstractmethod
    def logcdf(self, x: ArrayLike) -> Float:
        """Log of ``P(X <= x)``, exact to relative 1e-12 where the probability is small."""

    @abstractmethod
    def logsf(self, x: ArrayLike) -> Float:
        """Log of ``P(X > x)``, exact to relative 1e-12 where the probability is small."""

    @abstractmethod
    def quantile(self, log_p: ArrayLike, upper: bool = False) -> Float:
        """The smallest ``x`` whose lower tail is at least the given one, or whose upper tail is at most that.

        Parameters
        ----------
        log_p : array_like
            Log of the tail probability, at most 0.
        upper : bool
            Whether it is the upper tail ``P(X > x)``.
        """

    @abstractmethod
    def from_normal(self, u: Float, out: Float) -> None:
        """Map standard normals ``u`` (n,) to draws of the law in ``out`` (n,): increasing, exact in both tails."""

    @abstractmethod
    def moments(self) -> Moments:
        """Mean, variance, skewness and excess kurtosis."""

    @abstractmethod
    def entropy(self) -> float:
        """Entropy in nats: differential for a continuous law, Shannon's for a discrete one."""

    @abstractmethod
    def describe(self) -> str:
        """The law with its parameters, in one line."""

    # These follow from them.

    def cdf(self, x: ArrayLike) -> Float:
        """``P(X <= x)``."""
        return np.asarray(np.exp(self.logcdf(x)))

    def sf(self, x: ArrayLike) -> Float:
        """``P(X > x)``."""
        return np.asarray(np.exp(self.logsf(x)))

    def ppf(self, p: ArrayLike) -> Float:
        """The quantile of the lower tail ``p``; NaN outside [0, 1]."""
        return self._from_probability(np.asarray(p, dtype=np.float64), upper=False)

    def isf(self, q: ArrayLike) -> Float:
        """The quantile of the upper tail ``q``; NaN outside [0, 1]."""
        return self._from_probability(np.asarray(q, dtype=np.float64), upper=True)

    def sample(self, rng: np.random.Generator, out: Float) -> None:
        """Fill ``out`` (n,) with independent draws; the stream is advanced in place."""
        u = arrays.scratch("marginal", out.shape[0], 1)
        fill_standard_normal(rng, u)
        self.from_normal(u[:, 0], out)

    @classmethod
    def fit(cls, values: ArrayLike, weights: ArrayLike | None = None) -> MarginalFit:
        """The law of this kind that fits ``values`` best, by maximum likelihood.

        Parameters
        ----------
        values : (n,) array_like
            Independent observations.
        weights : (n,) array_like, optional
            Weight of each observation in the log likelihood, not negative; 1 by default.

        Raises
        ------
        DataError
            When the values are not finite, all equal, too few, or outside what the law allows.
        """
        return likelihood.maximise(cls, values, weights)

    @classmethod
    def can_be_fitted(cls) -> bool:
        """Whether `fit` works: the law states `PARAMETERS`, or a fit of its own."""
        return bool(cls.PARAMETERS) or "fit" in vars(cls)

    @classmethod
    def start(cls, values: Float, weights: Float) -> dict[str, float]:
        """Where `fit` starts: rough values of `PARAMETERS`."""
        raise NotImplementedError(f"{cls.kind} states no start of its fit")

    def _from_probability(self, p: Float, upper: bool) -> Float:
        with np.errstate(divide="ignore", invalid="ignore"):
            small = p <= 0.5
            x = np.where(
                small,
                self.quantile(np.where(small, np.log(p), LOG_HALF), upper=upper),
                self.quantile(np.where(small, LOG_HALF, np.log1p(-p)), upper=not upper),
            )
        x[~((p >= 0) & (p <= 1))] = np.nan
        return x


class Continuous(Marginal):
    """A law with a density: ``loc + scale * Z`` for a standard form ``Z``, which the law describes.

    A law defines the five functions of its standard form that begin with an underscore, and fields ``loc`` and
    ``scale`` if it has them. The map from a standard normal is tabulated from `_quantile` when it is first used.
    """

    loc: float = 0.0
    scale: float = 1.0

    # A law defines these for its standard form.

    @property
    def _kink(self) -> float:
        """The standard normal at which the map is not smooth, if any; a cell of the table ends there."""
        return 0.0

    @property
    def _origin(self) -> float:
        """The value whose standard form is 0: ``loc``, unless SciPy's ``loc`` means something else."""
        return self.loc

    @property
    @abstractmethod
    def _support(self) -> tuple[float, float]:
        """Smallest and largest value."""

    @abstractmethod
    def _logpdf(self, z: Float) -> Float:
        """Log density; only called inside the support."""

    @abstractmethod
    def _logcdf(self, z: Float) -> Float:
        """Log of ``P(Z <= z)``; only called inside the support."""

    @abstractmethod
    def _logsf(self, z: Float) -> Float:
        """Log of ``P(Z > z)``; only called inside the support."""

    def _quantile(self, log_p: Float, upper: bool) -> Float:
        """The value that cuts off a tail of log probability ``log_p``, at most ``log(1/2)``; exact to 1e-12.

        The default solves for it by safeguarded Newton steps, in some microseconds a value.
        """
        from raresim.marginals.inversion import solve

        return solve(self, log_p, upper)

    def _log_quantile(self, log_p: Float, upper: bool) -> Float:
        """Log of the distance of `_quantile` from the finite end of the support, the lower one if there are two.

        Override it where that distance matters although it may be too small for a double.
        """
        low, high = self._support
        z = self._quantile(log_p, upper)
        end, distance = (low, z - low) if math.isfinite(low) else (high, high - z)
        return np.asarray(np.log(np.maximum(distance, max(1e-17 * abs(end), 1e-308))))

    # These follow from them.

    @property
    def support(self) -> tuple[float, float]:
        low, high = self._support
        return self._origin + self.scale * low, self._origin + self.scale * high

    def logpdf(self, x: ArrayLike) -> Float:
        return self._inside(x, self._logpdf, -np.inf, -np.inf) - math.log(self.scale)

    def logcdf(self, x: ArrayLike) -> Float:
        return self._inside(x, self._logcdf, -np.inf, 0.0)

    def logsf(self, x: ArrayLike) -> Float:
        return self._inside(x, self._logsf, 0.0, -np.inf)

    def _inside(self, x: ArrayLike, function: Callable[[Float], Float], below: float, above: float) -> Float:
        """``function`` of the standardised ``x`` inside the support, the given values outside, NaN where ``x`` is."""
        z = np.asarray((np.asarray(x, dtype=np.float64) - self._origin) / self.scale)
        low, high = self._support
        out = np.where((z < low) | (z == -np.inf), below, np.where((z > high) | (z == np.inf), above, np.nan))
        inside = (z >= low) & (z <= high) & np.isfinite(z)
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            out[inside] = function(z[inside])
        return out

    def quantile(self, log_p: ArrayLike, upper: bool = False) -> Float:
        log_p = np.asarray(log_p, dtype=np.float64)
        ends = self._support
        out = np.full(log_p.shape, np.nan)
        with np.errstate(all="ignore"):
            small = (log_p <= LOG_HALF) & (log_p > -np.inf)
            out[small] = self._quantile(log_p[small], upper)
            large = (log_p > LOG_HALF) & (log_p < 0)
            out[large] = self._quantile(np.log(-np.expm1(log_p[large])), not upper)
        out[log_p == -np.inf] = ends[1] if upper else ends[0]
        out[log_p == 0] = ends[0] if upper else ends[1]
        with np.errstate(over="ignore"):  # a value too large for a double is infinite
            return self._origin + self.scale * out

    def from_normal(self, u: Float, out: Float) -> None:
        table = self._table
        if table is None:
            self._exactly(u, out)
            return
        given = u.copy() if np.may_share_memory(u, out) else u
        if not table(given, out):
            beyond = np.abs(given) > U_MAX
            exact = np.empty(int(beyond.sum()))
            self._exactly(given[beyond], exact)
            out[beyond] = exact

    def _exactly(self, u: Float, out: Float) -> None:
        """`from_normal` without the table."""
        normal_scores.by_side(self.quantile, u, out)

    @cached_property
    def _table(self) -> QuantileTable | None:
        """The map from a standard normal, made when a draw is first mapped; None where no table is exact enough."""
        return QuantileTable.of(self)

    def moments(self) -> Moments:
        mean = self.expect(lambda x: x)
        variance = self.expect(lambda x: (x - mean) ** 2)
        skewness = self.expect(lambda x: (x - mean) ** 3) / variance**1.5
        return Moments(mean, variance, skewness, self.expect(lambda x: (x - mean) ** 4) / variance**2 - 3.0)

    def entropy(self) -> float:
        return -self.expect(self.logpdf)

    def expect(self, function: Callable[[Float], Float]) -> float:
        """``E function(X)`` by the trapezoidal rule in the standard normal, which converges geometrically."""
        u = np.linspace(-U_MAX, U_MAX, 6001)
        x = np.empty(u.shape)
        self._exactly(u, x)
        with np.errstate(over="ignore", invalid="ignore"):
            terms = function(x) * np.exp(-0.5 * u * u)
        return float(np.nansum(np.where(np.isfinite(terms), terms, 0.0)) * (u[1] - u[0]) / math.sqrt(2.0 * math.pi))

    def describe(self) -> str:
        return described(self)


@dataclass(frozen=True, eq=False)
class QuantileTable:
    """The map from a standard normal to a continuous law, tabulated in the scale in which it is smooth.

    A law with a lower end is tabulated as the log of the distance from this end; a law with only an upper end, as the
    log of the distance from that. A law on the whole line is tabulated as it is where that is exact enough, otherwise
    as the inverse hyperbolic sine of the distance from its median, in which a heavy tail is a straight line.

    Parameters
    ----------
    polynomial : PiecewisePolynomial
        Table of the transformed value.
    form : {"low", "high", "plain", "line"}
        Which of the four transformations it is.
    base, unit : float
        The end or the median, and the unit of the distance; negative where it is measured downwards.
    error : float
        Largest error found between the nodes, relative to the value or, near zero, to the change of the value over one
        unit of the standard normal.
    """

    polynomial: PiecewisePolynomial
    form: str
    base: float
    unit: float
    error: float

    @classmethod
    def of(cls, law: Continuous) -> QuantileTable | None:
        """The table of ``law`` with the fewest cells that reach `TABLE_ERROR`; None where `FINEST_CELLS` do not."""
        low, high = law._support
        forms = ["low"] if math.isfinite(low) else ["high"] if math.isfinite(high) else ["plain", "line"]
        for cells in (CELLS, FINEST_CELLS):
            for form in forms:
                table = cls._with_cells(law, cells, form)
                if table.error <= TABLE_ERROR:
                    return table
        return None

    @classmethod
    def _with_cells(cls, law: Continuous, cells: int, form: str) -> QuantileTable:
        low, high = law._support
        median, quarter = (float(law._quantile(np.array([math.log(p)]), upper=False)[0]) for p in (0.5, 0.25))
        base = {"low": low, "high": high, "plain": 0.0, "line": median}[form]
        unit = {"low": 1.0, "high": -1.0, "plain": 1.0, "line": max(median - quarter, 1e-300)}[form]

        def both_sides(function: Callable[[Float, bool], Float], u: Float) -> Float:
            out = np.empty(u.shape)
            with np.errstate(all="ignore"):
                normal_scores.by_side(function, u, out)
            return out

        def transformed(u: Float) -> Float:
            if form == "plain":
                return both_sides(law._quantile, u)
            if form == "line":
                return np.asarray(np.arcsinh((both_sides(law._quantile, u) - base) / unit))
            return both_sides(law._log_quantile, u)

        width = 2.0 * U_MAX / cells
        below, above = (math.ceil((U_MAX + side * law._kink) / width) for side in (1.0, -1.0))
        first, last = law._kink - below * width, law._kink + above * width
        with np.errstate(invalid="ignore"):  # the law's values may overflow: the check below finds such a table wrong
            polynomial = PiecewisePolynomial.fit(transformed, first, last, below + above)
        draft = cls(polynomial, form, law._origin + law.scale * base, law.scale * unit, math.nan)
        u = np.linspace(-U_MAX, U_MAX, round(4.7 * cells))
        u = u[np.abs(u) < U_MAX]
        exact, found = np.empty(u.shape), np.empty(u.shape)
        law._exactly(u, exact)
        draft(u, found)
        with np.errstate(all="ignore"):
            slope = np.abs(np.gradient(exact, u))
            size = np.maximum(np.abs(exact), slope)
            error = np.abs(found - exact) / size
        representable = (size > 1e-290) & np.isfinite(exact)
        return cls(polynomial, form, draft.base, draft.unit, float(np.max(error[representable], initial=0.0)))

    def __call__(self, u: Float, out: Float) -> bool:
        """Write the law's values at ``u`` (n,) into ``out`` (n,); False when some ``u`` lie outside the table."""
        covered = self.polynomial(u, out)
        with np.errstate(over="ignore"):
            if self.form != "plain":
                exponential(out, out)
            if self.form == "line":
                hyperbolic_sine(out, self.base, self.unit)
            else:
                out *= self.unit
                out += self.base
        return covered


class Discrete(Marginal):
    """A law on countably many numbers."""

    discrete: ClassVar[bool] = True

    @property
    @abstractmethod
    def atoms(self) -> Float | None:
        """The values in increasing order, as far as the tails exceed 1e-307; None where they are too many."""

    def from_normal(self, u: Float, out: Float) -> None:
        steps = self._steps
        if steps is None:
            normal_scores.by_side(self.quantile, u, out)
        else:
            values, thresholds = steps
            out[:] = values[np.searchsorted(thresholds, u)]

    @cached_property
    def _steps(self) -> tuple[Float, Float] | None:
        """The atoms, and the standard normals at which the map steps from one atom to the next."""
        values = self.atoms
        if values is None:
            return None
        thresholds = np.empty(values.size - 1)
        normal_scores.from_log_probabilities(self.logcdf(values[:-1]), self.logsf(values[:-1]), thresholds)
        return values, np.maximum.accumulate(thresholds)

    def moments(self) -> Moments:
        values = self.atoms
        if values is None:
            raise NotImplementedError(f"{self.kind} states its moments itself")
        p = np.exp(self.logpdf(values))
        mean = float(p @ values)
        second, third, fourth = (float(p @ (values - mean) ** k) for k in (2, 3, 4))
        if second == 0:
            return Moments(mean, 0.0, math.nan, math.nan)
        return Moments(mean, second, third / second**1.5, fourth / second**2 - 3.0)

    def entropy(self) -> float:
        values = self.atoms
        if values is None:
            raise NotImplementedError(f"{self.kind} states its entropy itself")
        log_p = self.logpdf(values)
        log_p = log_p[log_p > -np.inf]
        return float(-(np.exp(log_p) @ log_p))

    def describe(self) -> str:
        return described(self)


def described(law: Marginal) -> str:
    """The law as ``kind (parameter value, ...)``, with its fields."""
    import dataclasses

    fields = [f for f in dataclasses.fields(law) if f.init]  # type: ignore[arg-type]  # every member is a dataclass
    if any(f.type == "Natural" for f in fields):  # alternatives to natural parameters would repeat these
        fields = [f for f in fields if f.type == "Natural" or f.default is not None]
    given = [(f.name, getattr(law, f.name)) for f in fields]
    shown = [f"{name} {value:.6g}" for name, value in given if isinstance(value, (int, float))]
    return f"{law.kind.replace('_', ' ')} ({', '.join(shown)})" if shown else law.kind.replace("_", " ")


@kernel
def hyperbolic_sine(e: Float, base: float, unit: float) -> None:
    """Replace ``e = exp(g)`` (n,) by ``base + unit * sinh(g)``."""
    half = 0.5 * unit
    for i in range(e.shape[0]):
        e[i] = base + half * (e[i] - 1.0 / e[i])

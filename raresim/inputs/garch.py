"""Returns of the days to come, from volatilities that follow a GARCH recursion."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import numpy as np

from raresim.arguments import checks
from raresim.arguments.synonyms import unknown
from raresim.copulas.base import Copula
from raresim.copulas.fit import CopulaFit
from raresim.copulas.fitting import fit_kind
from raresim.copulas.ranks import pseudo_scores, refuse_dependent_scores
from raresim.data import ReturnsSource, ReturnsTable, table_of
from raresim.distributions.base import Fitted, Inputs
from raresim.distributions.margins import has_exponential_moment
from raresim.errors import DataError, FieldError
from raresim.inputs.goodness import copula_table, tail_dependence_table
from raresim.marginals.base import U_MAX, Marginal
from raresim.marginals.goodness import margin_plots, margins_table
from raresim.marginals.likelihood import MarginalFit
from raresim.numerics import arrays
from raresim.numerics.arrays import Float
from raresim.numerics.jit import kernel
from raresim.record.evidence import Evidence, EvidenceTable
from raresim.registry import lookup, member, members

Model = Literal["garch", "gjr"]
Mean = Literal["constant", "zero"]
Aggregate = Literal["total", "path"]
Joint = Literal["independence", "gaussian", "t"]

MIN_ROWS = 100
"""Fewer returns say next to nothing about how their volatility moves."""

MOST_DESCRIBED = 8
TILE = 512
"""Rows that a kernel takes at once, so that their variances stay in cache."""


@dataclass(frozen=True, eq=False)
class Recursion:
    """The law of one column: ``r_t = mean + s_t z_t`` with the variance ``s_t^2`` of `Garch`.

    Parameters
    ----------
    mean, omega, alpha, gamma, beta : float
        ``mean`` in the unit of the returns, ``omega`` in its square, the others dimensionless.
    last_variance, next_variance : float
        Variance of the last day of the data and of the day after it.
    law : Marginal
        Law of the innovations before they are standardised.
    centre, spread : float
        Mean and standard deviation of ``law``: ``z = (X - centre) / spread``.
    std_errors : mapping
        Standard errors of the first five parameters, by name, where these were estimated.
    """

    mean: float
    omega: float
    alpha: float
    gamma: float
    beta: float
    last_variance: float
    next_variance: float
    law: Marginal
    centre: float
    spread: float
    std_errors: Mapping[str, float]

    @property
    def downside(self) -> float:
        """``E[z^2; z < 0]``, by the trapezoidal rule in the standard normal; 1/2 where the law is symmetric."""
        u = np.linspace(-U_MAX, U_MAX, 6001)
        z = np.empty(u.shape)
        self.law.from_normal(u, z)
        z = np.minimum(z - self.centre, 0.0) / self.spread
        return float(z**2 @ np.exp(-0.5 * u * u) * (u[1] - u[0])) / math.sqrt(2.0 * math.pi)

    @property
    def persistence(self) -> float:
        """Share of a variance shock that is left after a day."""
        return self.alpha + self.beta + (self.gamma * self.downside if self.gamma else 0.0)

    def variances(self, horizon: int) -> Float:
        """Expected variance (horizon,) of each day to come."""
        expected = np.empty(horizon)
        variance, persistence = self.next_variance, self.persistence
        for t in range(horizon):
            expected[t] = variance
            variance = self.omega + persistence * variance
        return expected

    def describe(self, name: str, per_year: float | None) -> list[str]:
        """The parameters and the volatility now, and a warning where that has no long-run level."""
        shown = [f"{key} {getattr(self, key):.4g} ({error:.2g})" for key, error in self.std_errors.items()]
        last, following = math.sqrt(self.last_variance), math.sqrt(self.next_variance)
        yearly = "" if per_year is None else f" ({100 * following * math.sqrt(per_year):.3g} % a year)"
        lines = [
            f"{name}: {', '.join(shown)}; persistence {self.persistence:.4f}",
            f"{name}: volatility {100 * last:.3g} % on the last day, {100 * following:.3g} % on the next{yearly}; "
            f"innovations {self.law.describe()}",
        ]
        # The optimiser is bounded by 1, which it reaches up to its tolerance.
        if self.persistence >= 1.0 - 1e-6:
            lines.append(
                f"{name}: warning: the persistence is not below 1, so the variance has no long-run level and grows "
                "with the horizon; look for a break in the data, or fit to a shorter period"
            )
        return lines


@member("inputs")
@dataclass(frozen=True, kw_only=True, eq=False)
class Garch(Inputs):
    r"""Log returns of the next days under GARCH(1,1) volatilities, fitted to the past.

    Each column of the data follows [1]_, or with ``gjr`` [2]_, where losses move the volatility more than gains:

    .. math::
        r_t = \mu + \epsilon_t, \quad \epsilon_t = \sigma_t z_t, \quad
        \sigma_t^2 = \omega + (\alpha + \gamma 1_{\epsilon_{t-1} < 0}) \epsilon_{t-1}^2 + \beta \sigma_{t-1}^2,

    with independent innovations :math:`z_t` of mean 0 and variance 1. A day is a row of the data; the recursion gives
    the first day ahead its volatility from the last day in the data.

    Parameters
    ----------
    fit : ReturnsSource
        The returns; in Python also a `ReturnsTable`, an array or a data frame. At least `MIN_ROWS`.
    horizon : int
        Number of days ahead.
    model : {"garch", "gjr"}
        With ``garch``, ``gamma`` is 0.
    mean : {"constant", "zero"}
        With ``zero``, ``mu`` is 0.
    innovations : str
        Kind of a continuous marginal that can be fitted. It is fitted to the residuals divided by their volatility,
        and standardised.
    aggregate : {"total", "path"}
        What the factors are: for each column its total log return over the horizon, or its return of every day; the
        days of a column stand together.
    copula : {"independence", "gaussian", "t"}, optional
        Copula of the innovations of one day, fitted to the ranks of the residuals; Gaussian or t by
        default, whichever AIC prefers. Only the recursion joins different days.

    Raises
    ------
    DataError
        When the data cannot be used, are too few, or a fit does not converge.
    FieldError
        When an option does not suit the others.

    Notes
    -----
    Two steps [3]_: the recursion by quasi maximum likelihood, as if the innovations were normal, which is consistent
    for any law of mean 0 and variance 1, with robust standard errors; then the law of the innovations. The map takes
    ``horizon`` times as many standard normals as the copula, day after day.

    References
    ----------
    .. [1] Bollerslev, *Generalized autoregressive conditional heteroskedasticity*, Journal of Econometrics 31, 1986.
    .. [2] Glosten, Jagannathan & Runkle, *On the relation between the expected value and the volatility of the nominal
       excess return on stocks*, Journal of Finance 48, 1993.
    .. [3] McNeil & Frey, *Estimation of tail-related risk measures for heteroscedastic financial time series*, Journal
       of Empirical Finance 7, 2000.
    """

    kind: ClassVar[str] = "garch"

    fit: ReturnsSource = field(metadata={"typed": False})  # or data in memory, from Python
    horizon: int = 1
    model: Model = "garch"
    mean: Mean = "constant"
    innovations: str = "student_t"
    aggregate: Aggregate = "total"
    copula: Joint | None = None

    recursions: tuple[Recursion, ...] = field(init=False, repr=False)
    joint: Copula | None = field(init=False, repr=False)
    record: Fitted = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "horizon", checks.whole("horizon", self.horizon))
        for name, allowed in (("model", Model), ("mean", Mean), ("aggregate", Aggregate)):
            checks.one_of(name, getattr(self, name), allowed)
        if self.copula is not None:
            checks.one_of("copula", self.copula, Joint)
        able = [k for k, law in members("marginal").items() if _can_be_fitted(law)]
        if self.innovations not in able:
            raise FieldError("innovations", unknown("kind that can be fitted", self.innovations, able))
        table = table_of(self.fit, self.kind)
        self._check_table(table)
        law: Any = lookup("marginal", self.innovations)
        steps = [_fit(name, table.values[:, j], self.model, self.mean, law) for j, name in enumerate(table.names)]
        residuals = np.column_stack([residuals for _, residuals, _ in steps])
        joint = self._join(table.names, residuals)
        object.__setattr__(self, "recursions", tuple(recursion for recursion, _, _ in steps))
        object.__setattr__(self, "joint", None if joint is None else joint.copula)
        object.__setattr__(self, "record", self._record(table, residuals, [fit for _, _, fit in steps], joint))

    def _check_table(self, table: ReturnsTable) -> None:
        n, d = table.values.shape
        if n < MIN_ROWS:
            raise DataError(f"{table.source.name}: a GARCH fit needs at least {MIN_ROWS} returns, got {n}")
        if table.returns == "simple" and self.horizon > 1 and self.aggregate == "total":
            raise FieldError("fit", "must be log returns, because days are added up: use `returns: log`")
        if d == 1 and self.copula not in (None, "independence"):
            raise FieldError("copula", f"{self.copula!r} joins two columns or more, got one; leave it out")

    def _join(self, names: Sequence[str], residuals: Float) -> CopulaFit | None:
        """The copula of the innovations of one day; None where they are independent."""
        if residuals.shape[1] == 1 or self.copula == "independence":
            return None
        scores = pseudo_scores(residuals)
        refuse_dependent_scores(self.copula, names, scores)
        return fit_kind(self.copula, scores)

    def _record(
        self, table: ReturnsTable, residuals: Float, innovations: list[MarginalFit], joint: CopulaFit | None
    ) -> Fitted:
        lines = [f"fitted to {table.describe()}"]
        per_year = None
        if table.dates:
            per_year = 365.2425 * (len(table.dates) - 1) / (table.dates[-1] - table.dates[0]).days
            lines.append(f"the last day is {table.dates[-1]}; a year has {per_year:.4g} rows of data")
        rows: list[tuple[str | float | None, ...]] = []
        for name, recursion in zip(table.names, self.recursions, strict=True):
            for key, error in recursion.std_errors.items():
                rows.append((name, key, getattr(recursion, key), error if math.isfinite(error) else None))
        for name, recursion in list(zip(table.names, self.recursions, strict=True))[:MOST_DESCRIBED]:
            lines += recursion.describe(name, per_year)
        if (more := len(self.recursions) - MOST_DESCRIBED) > 0:
            lines.append(f"and {more} more columns")
        names = table.names
        if self.aggregate == "path":
            names = tuple(f"{name} day {t}" for name in names for t in range(1, self.horizon + 1))
        title = "Volatility: parameters by quasi maximum likelihood"
        tables = [
            EvidenceTable(title, ("column", "parameter", "value", "std error"), tuple(rows)),
            margins_table("Innovations: parameters by maximum likelihood", table.names, innovations),
        ]
        if joint is not None:
            tables += [copula_table(joint, table.names), tail_dependence_table(table.names, joint.copula)]
        plots = margin_plots(table.names, [fit.law for fit in innovations], residuals)
        history = table if self.horizon == 1 else None
        return Fitted(
            names,
            tuple(lines),
            table.source,
            Evidence(tuple(tables), plots),
            history,
            returns=table.returns,
            last_prices=table.last_prices,
        )

    @property
    def fitted(self) -> Fitted:
        return self.record

    @property
    def dim(self) -> int:
        return len(self.recursions) * (1 if self.aggregate == "total" else self.horizon)

    @property
    def latent_dim(self) -> int:
        return self.horizon * self._daily

    @property
    def _daily(self) -> int:
        return len(self.recursions) if self.joint is None else self.joint.latent_dim

    def to_physical(self, u: Float, x: Float) -> Float:
        n, d, h = len(u), len(self.recursions), self.horizon
        scores = u
        if self.joint is not None:
            scores = arrays.scratch("garch_scores", n, d * h)
            for t in range(h):
                self.joint.scores(u[:, t * self._daily : (t + 1) * self._daily], scores[:, t * d : (t + 1) * d])
        z = arrays.scratch("innovations", n, h)
        for j, one in enumerate(self.recursions):
            for t in range(h):
                one.law.from_normal(scores[:, t * d + j], z[:, t])
            standardise(z, one.centre, one.spread, z)
            arguments = (z, one.mean, one.omega, one.alpha, one.gamma, one.beta, one.next_variance)
            if self.aggregate == "total":
                total(*arguments, x[:, j])
            else:
                path(*arguments, x[:, j * h : (j + 1) * h])
        return x

    def linear_moments(self, weights: Float) -> tuple[float, float] | None:
        h = self.horizon
        daily = np.repeat(weights, h) if self.aggregate == "total" else weights
        exposure = daily.reshape(len(self.recursions), h)
        used = np.flatnonzero(exposure.any(axis=1))
        if self.joint is not None and used.size > 1:
            return None
        # The returns of different days are uncorrelated: given the past, each has the same mean.
        mean = sum(self.recursions[j].mean * float(exposure[j].sum()) for j in used)
        variance = sum(float(exposure[j] ** 2 @ self.recursions[j].variances(h)) for j in used)
        return float(mean), math.sqrt(variance)

    def exponential_moments(self, weights: Float) -> tuple[float, float] | None:
        """NaN for three days and more: the variance of the third contains a product of two squared normals."""
        d = len(self.recursions)
        held = np.flatnonzero(np.abs(np.reshape(weights, (d, -1))).sum(axis=1))
        widest = [2.0 * math.sqrt(self.recursions[j].next_variance) / self.recursions[j].spread for j in held]
        laws = [self.recursions[j].law for j in held]
        is_heavy = not all(has_exponential_moment(law, order) for law, order in zip(laws, widest, strict=True))
        return (math.nan, math.nan) if held.size and (self.horizon > 2 or is_heavy) else None

    def describe(self) -> list[str]:
        d, h = len(self.recursions), self.horizon
        name = "GJR-GARCH(1,1)" if self.model == "gjr" else "GARCH(1,1)"
        days = "the next day" if h == 1 else f"the next {h} days"
        what = f"every log return of {days}" if self.aggregate == "path" and h > 1 else f"log return over {days}"
        dependence = [] if self.joint is None else self.joint.describe()
        if d > 1 and self.joint is None:
            dependence = ["the innovations of different columns are independent"]
        return [f"{name}, {self.mean} mean, {d} column{'s' if d > 1 else ''}: {what}", *self.record.lines, *dependence]

    @staticmethod
    def examples() -> list[Garch]:
        """Members for the conformance tests."""
        rng = np.random.default_rng(11)
        calm = np.where(np.arange(600) % 100 < 50, 0.01, 0.02)[:, None]
        rows = ReturnsTable.of(calm * rng.standard_normal((600, 2)))
        return [
            Garch(fit=rows, horizon=3, innovations="normal", copula="independence"),  # type: ignore[arg-type]
            Garch(fit=rows, horizon=2, innovations="normal", aggregate="path", copula="gaussian"),  # type: ignore[arg-type]
        ]


def _can_be_fitted(law: Any) -> bool:
    return not law.discrete and law.can_be_fitted()


def _fit(name: str, values: Float, model: Model, mean: Mean, law: Any) -> tuple[Recursion, Float, MarginalFit]:
    """The recursion of one column, its standardised residuals (n,), and the fit of the innovations to these."""
    try:
        from arch import arch_model
    except ImportError:
        raise DataError("GARCH needs the package arch: pip install 'raresim[garch]'") from None
    scale = 1.0 / float(values.std())  # `arch` optimises well where the variance is about 1
    asymmetric = int(model == "gjr")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # convergence is judged by its flag
        found = arch_model(
            values * scale, mean=mean, vol="GARCH", p=1, o=asymmetric, q=1, dist="normal", rescale=False
        ).fit(disp="off", show_warning=False)
    if found.convergence_flag != 0:
        raise DataError(f"column {name!r}: the GARCH fit did not converge: {found.optimization_result.message}")
    units = {"mu": 1.0 / scale, "omega": 1.0 / scale**2, "alpha[1]": 1.0, "gamma[1]": 1.0, "beta[1]": 1.0}
    fields = {"mu": "mean", "omega": "omega", "alpha[1]": "alpha", "gamma[1]": "gamma", "beta[1]": "beta"}
    values_of = {fields[key]: float(value) * units[key] for key, value in found.params.items()}
    errors = {fields[key]: float(value) * units[key] for key, value in found.std_err.items()}
    parameters = {"mean": 0.0, "gamma": 0.0} | values_of
    shock, volatility = float(found.resid[-1]) / scale, float(found.conditional_volatility[-1]) / scale
    following = (
        parameters["omega"]
        + (parameters["alpha"] + (parameters["gamma"] if shock < 0 else 0.0)) * shock**2
        + parameters["beta"] * volatility**2
    )
    residuals = np.asarray(found.std_resid)
    residuals = (residuals - residuals.mean()) / residuals.std()
    try:
        fit: MarginalFit = law.fit(residuals)
    except DataError as error:
        raise DataError(f"column {name!r}: innovations: {error}") from None
    innovation = fit.law
    centre, square = innovation.moments()[:2]
    if not (math.isfinite(centre) and math.isfinite(square)):
        raise DataError(
            f"column {name!r}: the fitted innovations, {innovation.describe()}, have no variance; "
            "choose another kind of `innovations`, or look for outliers"
        )
    recursion = Recursion(
        **parameters,
        last_variance=volatility**2,
        next_variance=following,
        law=innovation,
        centre=float(centre),
        spread=math.sqrt(square),
        std_errors=errors,
    )
    return recursion, residuals, fit


@kernel
def standardise(x: Float, centre: float, spread: float, z: Float) -> None:
    """``z = (x - centre) / spread``; ``z`` may be ``x``."""
    n, h = x.shape
    inverse = 1.0 / spread
    for t in range(h):
        for i in range(n):
            z[i, t] = (x[i, t] - centre) * inverse


@kernel
def total(
    z: Float, mean: float, omega: float, alpha: float, gamma: float, beta: float, first: float, out: Float
) -> None:
    """Write the sum of all days' returns into ``out`` (n,), from innovations ``z`` (n, days) and the first variance."""
    n, h = z.shape
    variance = np.empty(TILE)
    for start in range(0, n, TILE):
        stop = min(start + TILE, n)
        sums = out[start:stop]
        sums[:] = h * mean
        variance[:] = first
        for t in range(h):
            zt = z[start:stop, t]
            for i in range(stop - start):
                shock = math.sqrt(variance[i]) * zt[i]
                sums[i] += shock
                weight = alpha + gamma if shock < 0.0 else alpha
                variance[i] = omega + weight * shock * shock + beta * variance[i]


@kernel
def path(
    z: Float, mean: float, omega: float, alpha: float, gamma: float, beta: float, first: float, out: Float
) -> None:
    """Write the return of every day into ``out`` (n, days); otherwise as `total`."""
    n, h = z.shape
    variance = np.empty(TILE)
    for start in range(0, n, TILE):
        stop = min(start + TILE, n)
        variance[:] = first
        for t in range(h):
            zt = z[start:stop, t]
            day = out[start:stop, t]
            for i in range(stop - start):
                shock = math.sqrt(variance[i]) * zt[i]
                day[i] = mean + shock
                weight = alpha + gamma if shock < 0.0 else alpha
                variance[i] = omega + weight * shock * shock + beta * variance[i]

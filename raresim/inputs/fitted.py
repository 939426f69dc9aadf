"""Risk factors fitted to a table of returns: each margin on its own, then the copula of their ranks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import numpy as np

from raresim.arguments import checks
from raresim.arguments.synonyms import unknown
from raresim.copulas.base import Copula
from raresim.copulas.fit import CopulaFit
from raresim.copulas.fitting import fit_kind
from raresim.copulas.independence import Independence
from raresim.copulas.ranks import pseudo_scores, refuse_dependent_scores
from raresim.data import ReturnsSource, ReturnsTable, table_of
from raresim.distributions.base import Distribution, Fitted, Inputs
from raresim.errors import DataError, FieldError
from raresim.inputs.copula import CopulaInputs
from raresim.inputs.goodness import copula_table, tail_dependence_table
from raresim.marginals.goodness import choice_table, margin_plots, margins_table
from raresim.marginals.likelihood import MarginalFit
from raresim.marginals.semi_parametric import SemiParametric
from raresim.numerics.arrays import Float
from raresim.record.evidence import Evidence
from raresim.registry import lookup, member, members

Criterion = Literal["aic", "bic"]

CANDIDATES = ("normal", "student_t", "skewed_t", "normal_inverse_gaussian", "variance_gamma")
"""Kinds that ``choose`` compares where the user names no candidates."""

UNCOUNTED = ("empirical", "semi_parametric")
"""Kinds that follow the sample itself: no criterion can compare their likelihood."""


@member("inputs", "distribution")
@dataclass(frozen=True, kw_only=True, eq=False)
class FittedInputs(Inputs, Distribution):
    """Margins and copula fitted to a table of returns, one after the other ("inference from margins").

    Each margin is fitted to its column; the copula to the normal scores of the ranks, so that a wrong margin does
    not change it.

    Parameters
    ----------
    fit : ReturnsSource
        The returns; in Python also a `ReturnsTable` or a data frame of returns.
    margins : str, optional
        Kind of every margin: ``semi_parametric`` by default, or any kind that can be fitted.
    choose : {"aic", "bic"}, optional
        Instead of ``margins``: for each column the best of ``candidates`` by this criterion.
    candidates : sequence of str
        Kinds that ``choose`` compares.
    tail : float
        Share of the sample in each generalised-Pareto tail of a ``semi_parametric`` margin, above 0 and below 1/2.
    copula : str
        Kind of a copula that can be fitted, or ``independence``. By default Gaussian or t, whichever AIC prefers.

    Raises
    ------
    DataError
        When the file cannot be used or a law does not fit it.
    FieldError
        When a kind is unknown or cannot be fitted.

    References
    ----------
    .. [1] McNeil & Frey, *Estimation of tail-related risk measures for heteroscedastic financial time series*, Journal
       of Empirical Finance 7, 2000 (generalised-Pareto tails).
    .. [2] Genest, Ghoudi & Rivest, *A semiparametric estimation procedure of dependence parameters in multivariate
       families of distributions*, Biometrika 82, 1995 (copulas from ranks).
    """

    kind: ClassVar[str] = "fitted"

    fit: ReturnsSource = field(metadata={"typed": False})  # or data in memory, from Python
    margins: str | None = None
    choose: Criterion | None = None
    candidates: Sequence[str] = CANDIDATES
    tail: float = 0.1
    copula: str | None = None

    joint: CopulaInputs = field(init=False, repr=False)
    fitted: Fitted | None = field(init=False, repr=False, default=None)

    def __post_init__(self) -> None:
        self._check()
        table = table_of(self.fit, self.kind)
        fits = [self._margin(name, table.values[:, j]) for j, name in enumerate(table.names)]
        copula, copula_fit = _fit_copula(self.copula, table.names, table.values)
        laws = {name: fit.law for name, (fit, _) in zip(table.names, fits, strict=True)}
        object.__setattr__(self, "joint", CopulaInputs(copula=copula, marginals=laws))
        object.__setattr__(self, "fitted", _evidence(table, fits, copula, copula_fit, self.choose or "aic"))

    def _check(self) -> None:
        if self.choose is not None:
            checks.one_of("choose", self.choose, Criterion)
            if self.margins is not None:
                raise FieldError("margins", "must be left out where choose finds the kind of each margin")
            if not self.candidates:
                raise FieldError("candidates", "must name at least one kind")
        checks.between("tail", self.tail, 0.0, 0.5)
        able = [k for k, law in members("marginal").items() if law.can_be_fitted()]  # type: ignore[attr-defined]
        if self.choose:
            able = [k for k in able if k not in UNCOUNTED]
        for name in self.candidates if self.choose else [self.margins or "semi_parametric"]:
            if name not in able:
                raise FieldError(
                    "candidates" if self.choose else "margins", unknown("kind that can be fitted", name, able)
                )
        if self.copula is not None:
            joined = [k for k, law in members("copula").items() if k == "independence" or "fit" in vars(law)]
            if self.copula not in joined:
                raise FieldError("copula", unknown("copula that can be fitted", self.copula, joined))

    def _margin(self, name: str, values: Float) -> tuple[MarginalFit, list[MarginalFit]]:
        """The margin of a column, and all fits that were compared."""
        kinds = list(self.candidates) if self.choose else [self.margins or "semi_parametric"]
        fits, problems = [], []
        for kind in kinds:
            law: Any = lookup("marginal", kind)
            options = {"lower": self.tail, "upper": self.tail} if law is SemiParametric else {}
            try:
                fits.append(law.fit(values, **options))
            except DataError as error:
                problems.append(f"{kind}: {error}")
        if not fits:
            raise DataError(f"column {name!r}: " + "; ".join(problems))
        best = min(fits, key=lambda fit: fit.bic if self.choose == "bic" else fit.aic)
        return best, fits

    @property
    def dim(self) -> int:
        return self.joint.dim

    @property
    def latent_dim(self) -> int:
        return self.joint.latent_dim

    def to_physical(self, u: Float, x: Float) -> Float:
        return self.joint.to_physical(u, x)

    def linear_moments(self, weights: Float) -> tuple[float, float] | None:
        return self.joint.linear_moments(weights)

    def exponential_moments(self, weights: Float) -> tuple[float, float] | None:
        return self.joint.exponential_moments(weights)

    def mass_below(self, x: float) -> Float | None:
        return self.joint.mass_below(x)

    def describe(self) -> list[str]:
        return [*(self.fitted.lines if self.fitted else ()), *self.joint.describe()]

    def sample(self, rng: np.random.Generator, x: Float) -> None:
        self.joint.sample(rng, x)

    def logpdf(self, x: Float, out: Float) -> None:
        self.joint.logpdf(x, out)

    @staticmethod
    def examples() -> list[FittedInputs]:
        """Members for the conformance tests."""
        rows = np.random.default_rng(1).standard_t(4.0, (400, 3)) @ np.diag([0.01, 0.02, 0.01])
        rows[:, 1] += rows[:, 0]
        return [
            FittedInputs(fit=ReturnsTable.of(rows, names=("a", "b", "c"))),  # type: ignore[arg-type]
            FittedInputs(
                fit=ReturnsTable.of(rows[:, :2]),  # type: ignore[arg-type]
                choose="aic",
                candidates=("normal", "student_t"),
                copula="gaussian",
            ),
        ]


def _fit_copula(kind: str | None, names: Sequence[str], values: Float) -> tuple[Copula, CopulaFit | None]:
    d = values.shape[1]
    if kind == "independence" or (kind is None and d == 1):
        return Independence(dim=d), None
    if d < 2:
        raise FieldError("copula", f"{kind!r} joins two columns or more, got one; leave it out")
    scores = pseudo_scores(values)
    refuse_dependent_scores(kind, names, scores)
    fit = fit_kind(kind, scores)
    return fit.copula, fit


def _evidence(
    table: ReturnsTable,
    fits: list[tuple[MarginalFit, list[MarginalFit]]],
    copula: Copula,
    copula_fit: CopulaFit | None,
    criterion: str,
) -> Fitted:
    lines = [f"fitted to {table.describe()}"]
    tables = [margins_table("Margins: parameters by maximum likelihood", table.names, [fit for fit, _ in fits])]
    if any(len(compared) > 1 for _, compared in fits):
        tables.append(choice_table(table.names, fits, criterion))
    if copula_fit is not None:
        tables.append(copula_table(copula_fit, table.names))
        tables.append(tail_dependence_table(table.names, copula))
    plots = margin_plots(table.names, [fit.law for fit, _ in fits], table.values)
    shown = Evidence(tuple(tables), plots)
    return Fitted(
        table.names, tuple(lines), table.source, shown, table, returns=table.returns, last_prices=table.last_prices
    )

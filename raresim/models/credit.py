"""A credit portfolio: a tape goes in, inputs and loss come out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from raresim.arguments import checks
from raresim.data import files
from raresim.errors import FieldError
from raresim.marginals.base import Marginal
from raresim.models.base import Model
from raresim.models.controls import Control
from raresim.models.factors import CreditFactors
from raresim.models.obligors.barriers import barriers, falls_by_log
from raresim.models.obligors.credit_controls import CreditControls, migration_controls
from raresim.models.obligors.defaults import DefaultLoss, book_of
from raresim.models.obligors.dependence import Choice, Dependence, Factors, Loading, choose, dependence
from raresim.models.obligors.header import Header
from raresim.models.obligors.migration import MigrationLoss
from raresim.models.obligors.rated import Rated, Valuation
from raresim.models.obligors.sector_correlation import SectorCorrelation
from raresim.models.obligors.tape import Tape
from raresim.models.obligors.transitions import Transitions
from raresim.models.obligors.two_step import TwoStep
from raresim.numerics.arrays import frozen
from raresim.registry import member

if TYPE_CHECKING:
    from raresim.record.records import Estimate

Copula = Literal["gaussian", "t", "mixture"]


@member("model")
@dataclass(frozen=True, kw_only=True, eq=False)
class Credit(Model):
    """A credit portfolio: a tape of obligors, and how their defaults, or changes of ratings, depend on each other.

    Parameters
    ----------
    tape : path or data frame
        CSV or Parquet file with a header and one row for each obligor; in Python also a data frame. Columns: id, ead
        (exposure at default), pd (default probability over the horizon), lgd (loss given default), or lgd_mean and
        lgd_std for one with a beta law; rho, or columns of loadings; sector. Usual other names are understood and said.
        Contributions can be summed by any further column (`by`). A tape of GCPM is known by its header.
    columns : mapping of str to str, optional
        Which column of the tape is what: ``{ead: exposure, id: obligor}``.
    lgd : float, optional
        The loss given default of every obligor, from 0 to 1, where the tape has no column for it.
    rho : float, optional
        The share of each asset value's variance that is common (R^2), where the tape has no column for it.
    factors : "rho", "loadings" or "sector", optional
        How obligors depend on each other: by one factor with the loadings sqrt(rho); by columns of loadings on several;
        or by the factor of their sector, with the loading sqrt(rho). Needed only if the tape has the columns of two.
    loadings : sequence of str or of column and by, optional
        The columns of loadings, each on a factor of its own. ``{column: loading_sector, by: sector}`` is a column of
        loadings on one factor for each sector. Without it, columns whose names begin with ``loading_`` are taken.
    sector_correlation : path, optional
        A CSV or Parquet file with the correlation matrix of the sectors, whose header and first column name them.
    between_sectors : float, optional
        One correlation for all pairs of sectors.
    copula : "gaussian", "t" or "mixture"
        The law of the asset values: normal, Student t with ``dof``, or normal with a random variance.
    dof : float, optional
        Degrees of freedom of the t copula, positive.
    variance : Marginal, optional
        The law of the random variance, positive, for the copula ``mixture``.
    transitions : path, optional
        A CSV or Parquet file with the probabilities of rating transitions over the horizon: a header with the ratings
        from the best to default, and a row for each. The tape then has a column rating and none of pd.
    values : mapping of str to float, optional
        What a unit of exposure is worth in each rating, beside ``transitions``: a fall in value is a loss.
    spreads : mapping of str to float, optional
        In place of values, the credit spread of each rating, as a fraction per year. The exposure is the value of a
        claim in its present rating; in another rating the claim is worth the share
        exp(-(spread - present spread) maturity) of it.
    maturity : float, optional
        Years from the horizon to the maturity of every claim, or its duration then; goes with ``spreads`` if the tape
        has no column maturity.

    Raises
    ------
    FieldError
        When arguments do not go together.
    DataError
        When the tape cannot be used, with the place of everything that is wrong, at most twenty.

    Notes
    -----
    `raresim.models.obligors.defaults.DefaultLoss` has the formula, and
    `raresim.models.obligors.migration.MigrationLoss` that of ratings.
    `raresim.models.obligors.two_step.TwoStep` is the scheme of both.
    """

    kind: ClassVar[str] = "credit"

    tape: Path = field(metadata={"typed": False})
    columns: Mapping[str, str] = field(default_factory=dict)
    lgd: float | None = None
    rho: float | None = None
    factors: Factors | None = None
    loadings: tuple[str | Loading, ...] | None = None
    sector_correlation: Path | None = None
    between_sectors: float | None = None
    copula: Copula = "gaussian"
    dof: float | None = None
    variance: Marginal | None = None
    transitions: Path | None = None
    values: Mapping[str, float] | None = None
    spreads: Mapping[str, float] | None = None
    maturity: float | None = None

    obligors: Tape = field(init=False, repr=False)
    dependence: Dependence = field(init=False, repr=False)
    told: tuple[str, ...] = field(init=False, repr=False)
    rated: Rated | None = field(init=False, repr=False, default=None)

    def __post_init__(self) -> None:
        checks.one_of("copula", self.copula, Copula)
        if self.factors is not None:
            checks.one_of("factors", self.factors, Factors)
        self._check_copula()
        if self.sector_correlation is not None and self.between_sectors is not None:
            raise FieldError("between_sectors", "must be left out where sector_correlation gives the whole matrix")
        if self.rho is not None and not 0 <= self.rho < 1:
            raise FieldError("rho", f"must be at least 0 and below 1, got {self.rho:.15g}")
        given: Any = self.tape
        if isinstance(given, str):
            object.__setattr__(self, "tape", Path(given))
        is_file = isinstance(given, (str, Path))
        file = files.read(Path(given)) if is_file else files.of_frame("tape", "id", given)
        valuation = Valuation(values=self.values, spreads=self.spreads, maturity=self.maturity)
        valuation.check(self.transitions is not None)
        moves = None if self.transitions is None else Transitions.read(self.transitions)
        needed = ("id", "ead", "pd") if moves is None else ("id", "ead", "rating", *valuation.column)
        header = Header.of(file, self.columns, needed, () if self.spreads is None else ("maturity",))
        if moves is not None and "pd" in header.places:
            raise FieldError("transitions", f"must be left out, or the column {header.places['pd']}: both say the pd")
        by_sector = self.sector_correlation is not None or self.between_sectors is not None
        choice = choose(file, header, self.factors, self.rho, self.loadings, by_sector and not header.sectors)
        if by_sector and choice.factors != "sector" and not header.sectors:
            raise FieldError(
                "between_sectors" if self.between_sectors is not None else "sector_correlation",
                f"must be left out where factors is {choice.factors!r}: its factors are independent",
            )
        years = tuple(header.places[name] for name in valuation.column)
        tape = Tape.read(file, header, self.lgd, (*self._numbers(choice, header), *years))
        matrix = self.sector_correlation
        between = self.between_sectors if matrix is None else SectorCorrelation.read(matrix)
        if moves is not None:
            rated = Rated.of(tape, header, moves, valuation)
            object.__setattr__(self, "rated", rated)
            tape = replace(tape, pd=rated.pd)
        object.__setattr__(self, "obligors", tape)
        object.__setattr__(self, "dependence", dependence(choice, tape, header, self.rho, between))
        object.__setattr__(self, "told", (*header.notes, *self.dependence.notes, *(moves.notes if moves else ())))

    def _check_copula(self) -> None:
        for name, copula in (("dof", "t"), ("variance", "mixture")):
            has = getattr(self, name) is not None
            if has and self.copula != copula:
                raise FieldError(name, f"must be left out where copula is {self.copula}: it belongs to copula {copula}")
            if not has and self.copula == copula:
                raise FieldError(name, f"is required where copula is {copula}")
        if self.dof is not None:
            checks.positive("dof", self.dof)
        if self.variance is not None and self.variance.support[0] < 0:
            raise FieldError("variance", f"must be the law of a positive number, got {self.variance.describe()}")

    def _numbers(self, choice: Choice, header: Header) -> tuple[str, ...]:
        if choice.factors == "loadings" or self.rho is not None:
            return choice.numbers
        return (header.places["rho"],)

    @cached_property
    def inputs(self) -> CreditFactors:
        matrix = self.dependence.correlation
        root = None if matrix is None else frozen(np.asarray(np.linalg.cholesky(matrix), dtype=np.float64))
        return CreditFactors(factors=self.dependence.names, root=root, dof=self.dof, variance=self.variance)

    @cached_property
    def loss(self) -> DefaultLoss | MigrationLoss:
        inputs, tape = self.inputs, self.obligors
        if self.rated is not None:
            return self.rated.loss(tape, self.dependence, inputs, tuple(self.files()))
        shock = len(inputs.factors) if inputs.has_shock else -1
        barrier = barriers(tape.pd, inputs)
        book = book_of(tape, self.dependence.loadings, self.dependence.common_share, barrier, shock)
        loadings, by_pd = self.dependence.loadings, falls_by_log(tape.pd, barrier, inputs)
        independent = loadings if inputs.root is None else loadings @ inputs.root
        path = self.tape if isinstance(self.tape, Path) else None
        return DefaultLoss(tape, book, inputs.dim, frozen(np.array(independent)), by_pd, path)

    @property
    def moves(self) -> Transitions | None:
        """The transitions of ratings; None in default mode."""
        return None if self.rated is None else self.rated.moves

    @property
    def scheme(self) -> TwoStep:
        return TwoStep(self.inputs, self.loss)

    def controls(self, estimates: Sequence[Estimate], preset: str | None) -> tuple[Control, ...]:
        share = self.dependence.common_share
        if isinstance(self.loss, MigrationLoss):
            return migration_controls(self.inputs, self.loss, share, estimates)
        return CreditControls(self.inputs, self.loss, share).of(estimates, preset)

    def notes(self) -> list[str]:
        return list(self.told)

    def files(self) -> list[Path]:
        return [path for path in (self.tape, self.sector_correlation, self.transitions) if isinstance(path, Path)]

    def describe(self) -> list[str]:
        mode = "default" if self.rated is None else "migration"
        law = {"gaussian": "normal", "t": f"Student t, {self.dof:g} degrees of freedom" if self.dof else ""}
        of = law.get(self.copula, "of a normal variance mixture")
        return [f"credit portfolio in {mode} mode: asset values {of}"]

    @staticmethod
    def examples() -> list[Credit]:
        """Members for the conformance tests."""
        small: Any = _Table(id=["a", "b", "c"], ead=[1.0, 2.0, 5.0], pd=[0.02, 0.05, 0.01])
        in_sectors: Any = _Table(
            id=["a", "b", "c", "d"],
            ead=[1.0, 2.0, 5.0, 3.0],
            pd=[0.02, 0.05, 0.01, 0.3],
            lgd_mean=[0.4, 0.4, 0.5, 0.6],
            lgd_std=[0.2, 0.0, 0.1, 0.2],
            rho=[0.2, 0.3, 0.1, 0.2],
            sector=["x", "y", "x", "y"],
        )
        return [
            Credit(tape=small, lgd=0.5, rho=0.2),
            Credit(tape=in_sectors, between_sectors=0.5, copula="t", dof=4.0),
        ]


class _Table(dict[str, list[Any]]):
    """Columns by name, as a data frame has them."""

    @property
    def columns(self) -> list[str]:
        return list(self)

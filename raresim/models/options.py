"""An option book: positions go in, and every one is valued again in every scenario of prices and volatilities."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from raresim.arguments import checks
from raresim.data import files
from raresim.distributions.base import Inputs
from raresim.distributions.normal import Normal
from raresim.distributions.student_t import StudentT
from raresim.errors import FieldError
from raresim.models.base import Model
from raresim.models.controls import Control
from raresim.models.market.approximations import approximate_controls
from raresim.models.market.book_file import Book
from raresim.models.market.book_loss import BookLoss
from raresim.models.market.book_quadratic import LOCAL, derivatives_of, quadratic_of, scales_of
from raresim.models.market.book_scheme import BookTwist
from raresim.models.market.given import named
from raresim.models.market.quadratic_form import QuadraticForm
from raresim.models.market.quadratic_loss import QuadraticLoss
from raresim.models.market.tables import Column
from raresim.registry import member

if TYPE_CHECKING:
    from raresim.record.records import Estimate

WIDE = 2.0
"""Standard deviations over which the approximation that rows are drawn with agrees with the book."""


@member("model")
@dataclass(frozen=True, kw_only=True, eq=False)
class Options(Model):
    """A book of options, forwards, stocks and cash, valued again in full at a horizon.

    Parameters
    ----------
    positions : path or data frame
        CSV or Parquet file with one row for each position. Columns: id, type, underlying, quantity (negative if short),
        and what the types need: strike, expiry (years from today), volatility, rate and dividend (a year, as fractions,
        continuously compounded), barrier and rebate, payout. Types: call, put, digital_call, digital_put,
        down_and_out_call and the other seven of one barrier, geometric_asian_call, geometric_asian_put, forward, stock,
        cash. Contributions can be summed by type, underlying and any further column.
    spots : path or mapping of str to float
        Today's price of each underlying. A file has the columns factor and spot.
    factors : Inputs
        The joint law of the log returns of the underlyings over the horizon, and of the log changes of their
        volatilities if these move, by name. A law without names has those of ``spots``, then of ``volatility_factors``.
    horizon : float
        Horizon in years, at least 0: every position is this much older when it is valued again.
    volatility_factors : mapping of str to str, optional
        The factor that moves the volatility of an underlying: ``{SPX: VIX}``.
    volatility, rate, dividend : float, optional
        Value for positions whose cell is empty, or for all positions if the file has no such column.

    Raises
    ------
    FieldError
        When arguments do not go together or an underlying has no factor; when factors were fitted to simple returns.
    DataError
        When the file cannot be used, with the place of everything that is wrong, at most twenty.

    Notes
    -----
    A return ``x`` takes a price from ``S`` to ``S exp(x)``, so that no price falls below zero. An option whose expiry
    is not beyond the horizon is settled at the price of the horizon, and a barrier is looked at there too: a crossing
    before it is not seen. A volatility moves by a factor of at most ``exp(3)``, a price by one of ``exp(650)``. The
    loss is today's value less that at the horizon, without interest on it.
    """

    kind: ClassVar[str] = "options"

    positions: Path = field(metadata={"typed": False})
    spots: Path | Mapping[str, float]
    factors: Inputs
    horizon: float
    volatility_factors: Mapping[str, str] = field(default_factory=dict)
    volatility: float | None = None
    rate: float | None = None
    dividend: float | None = None

    book: Book = field(init=False, repr=False)
    moves: Inputs = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not (math.isfinite(self.horizon) and self.horizon >= 0):
            raise FieldError("horizon", f"must be at least 0 years, got {self.horizon:.15g}")
        if self.factors.returns == "simple":
            raise FieldError(
                "factors", "must be log returns, as prices move by exp(x): use `returns: log` in their fit"
            )
        spots = self._spots()
        given: Any = self.positions
        if isinstance(given, str):
            object.__setattr__(self, "positions", Path(given))
        is_file = isinstance(given, (str, Path))
        file = files.read(Path(given)) if is_file else files.of_frame("positions", "id", given)
        defaults = {"volatility": self.volatility, "rate": self.rate, "dividend": self.dividend, "rebate": 0.0}
        object.__setattr__(self, "book", Book.read(file, spots, defaults, self.horizon))
        names = (*spots, *dict.fromkeys(self.volatility_factors.values()))
        fits = len(names) == self.factors.dim
        object.__setattr__(self, "moves", named(self.factors, names) if fits else self.factors)
        self._check_factors()

    def _spots(self) -> dict[str, float]:
        if isinstance(self.spots, Mapping):
            found = {str(name): float(value) for name, value in self.spots.items()}
        else:
            column = Column.read(Path(self.spots), "spot")
            found = dict(zip(column.names, column.values["spot"].tolist(), strict=True))
        for name, value in found.items():
            checks.positive(f"spots.{name}", value)
        return found

    def _check_factors(self) -> None:
        known = self.moves.names
        if known is None:
            raise FieldError(
                "factors",
                f"must name its factors, or be a normal or t law of as many factors as spots has, {len(self._spots())}",
            )
        for name in dict.fromkeys(p.underlying for p in self.book.positions if p.underlying):
            if name not in known:
                raise FieldError("factors", f"has no factor for the underlying {name}: {files.listed(known)}")
        for underlying, name in self.volatility_factors.items():
            if underlying not in self._spots():
                raise FieldError("volatility_factors", files.no_such("underlying", underlying, list(self._spots())))
            if name not in known:
                raise FieldError("volatility_factors", files.no_such("factor", name, known))

    @property
    def inputs(self) -> Inputs:
        return self.moves

    @cached_property
    def loss(self) -> BookLoss:
        names = self.moves.names or ()
        held = dict.fromkeys(p.underlying for p in self.book.positions if p.underlying)
        column = {name: names.index(name) for name in held}
        moving = {name: names.index(factor) for name, factor in self.volatility_factors.items() if name in held}
        return BookLoss(self.book, self.horizon, column, moving, self.moves.dim)

    @cached_property
    def form(self) -> QuadraticForm | None:
        """The approximation that rows are drawn with; None where the law of the factors allows none."""
        return quadratic_of(self.loss, self.moves, WIDE)

    @property
    def delta_gamma(self) -> QuadraticLoss | None:
        scales, names = scales_of(self.moves), self.moves.names
        if scales is None or names is None:
            return None
        said = ("delta-gamma approximation of the book, by its derivatives where no factor moves",)
        return QuadraticLoss(names, *derivatives_of(self.loss, LOCAL * scales), said)

    @property
    def scheme(self) -> BookTwist | None:
        return None if self.form is None else BookTwist(self.form)

    def controls(self, estimates: Sequence[Estimate], preset: str | None) -> tuple[Control, ...]:
        local = quadratic_of(self.loss, self.moves, LOCAL)
        return () if local is None else approximate_controls(local, estimates)

    def notes(self) -> list[str]:
        settled = self.book.settled
        said = []
        if settled:
            said.append(
                f"{len(settled)} of {len(self.book.positions)} positions expire by the horizon of {self.horizon:g} "
                f"years and are settled at the price there: {files.listed(settled)}"
            )
        unheld = [name for name in self._spots() if name not in self.loss.column]
        if unheld:
            said.append(f"no position is on {files.listed(unheld)}")
        return said

    def files(self) -> list[Path]:
        return [path for path in (self.positions, self.spots) if isinstance(path, Path)]

    def describe(self) -> list[str]:
        moving = f", {len(self.loss.of_volatility)} volatilities" if self.loss.of_volatility else ""
        return [
            f"option book over {self.horizon:g} years, full revaluation: {len(self.loss.column)} underlyings{moving}",
            *self.loss.describe(),
        ]

    @staticmethod
    def examples() -> list[Options]:
        """Members for the conformance tests."""
        columns = ("id", "type", "underlying", "quantity", "strike", "expiry", "barrier", "rebate", "payout")
        rows = [
            ("c", "call", "A", -10.0, 100.0, 0.5, "", "", ""),
            ("p", "put", "A", -5.0, 95.0, 0.02, "", "", ""),
            ("k", "down_and_out_call", "B", 20.0, 50.0, 0.4, 40.0, 1.0, ""),
            ("d", "digital_put", "B", -3.0, 45.0, 0.3, "", "", 10.0),
            ("g", "geometric_asian_call", "B", 4.0, 50.0, 0.6, "", "", ""),
            ("f", "forward", "A", 2.0, 101.0, 0.25, "", "", ""),
            ("s", "stock", "B", 1.0, "", "", "", "", ""),
            ("m", "cash", "", 500.0, "", "", "", "", ""),
        ]
        table: Any = _Table({name: [row[k] for row in rows] for k, name in enumerate(columns)})
        given: dict[str, Any] = {"positions": table, "spots": {"A": 100.0, "B": 50.0}, "horizon": 0.04}
        fixed: dict[str, Any] = {"volatility": 0.3, "rate": 0.05, "dividend": 0.01}
        std = np.array([0.06, 0.08, 0.15])
        return [
            Options(**given, **fixed, factors=Normal(mean=0.0, std=std[:2])),
            Options(**given, **fixed, factors=StudentT(dof=5.0, scale=std), volatility_factors={"B": "B_vol"}),
        ]


class _Table(dict[str, list[Any]]):
    """Columns by name, as a data frame has them."""

    @property
    def columns(self) -> list[str]:
        return list(self)

"""The loss of an option book over a horizon: every position is valued again in every scenario."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np

from raresim.data import files
from raresim.distributions.base import Inputs
from raresim.errors import FieldError
from raresim.losses.base import Loss
from raresim.losses.parts import Members
from raresim.models.market.book_file import Book
from raresim.models.market.instruments import LINEAR, Instrument
from raresim.models.market.prices import add_europeans
from raresim.numerics.arrays import Float, Index, frozen, scratch
from raresim.numerics.exponentials import exponential

LARGEST, LARGEST_OF_VOLATILITY = 650.0, 3.0
"""Largest log changes of a price and of a volatility, either way, that positions are valued with: larger ones, which
heavy tails can draw, count as these."""


@dataclass(frozen=True, eq=False)
class Bundle:
    """The positions on one underlying, with those that are alike made ready for one call.

    Parameters
    ----------
    europeans : (m, 6) float64
        Terms of `add_europeans`; a put is the call less the forward.
    slope, start : float
        What all linear positions, and the forwards of the puts, are worth together: ``slope growth + start``.
    others : tuple of Instrument
        Positions that are valued one by one.
    """

    europeans: Float
    slope: float
    start: float
    others: tuple[Instrument, ...]

    @classmethod
    def of(cls, positions: Sequence[Instrument], horizon: float, is_fixed: bool) -> Bundle:
        """Of the ``positions`` after ``horizon`` years, taken as losses; ``is_fixed``: their volatility never moves."""
        rows: list[Float] = []
        others: list[Instrument] = []
        slopes, starts = [0.0], [0.0]
        for position in positions:
            left, weight = position.expiry - horizon, -position.quantity
            if position.is_european(is_fixed, left):
                terms = position.european(left, weight)
                rows.append(terms)
                if position.type == "put":
                    slopes.append(-weight * terms[3])
                    starts.append(weight * terms[4])
            elif position.type in LINEAR:
                a, b = position.linear(left, horizon)
                slopes.append(weight * a)
                starts.append(weight * b)
            else:
                others.append(position)
        europeans = np.array(rows).reshape(len(rows), 6)
        return cls(frozen(europeans), math.fsum(slopes), math.fsum(starts), tuple(others))

    def add(self, x: Float, growth: Float, v: Float | None, elapsed: float, out: Float) -> None:
        """Add the losses to ``out`` (n,); the arguments are those of `Instrument.add`."""
        out += self.slope * growth + self.start
        if len(self.europeans):
            add_europeans(x, growth, self.europeans, out)
        for position in self.others:
            position.add(x, growth, v if position.has_volatility else None, elapsed, -position.quantity, out)


@dataclass(frozen=True, eq=False)
class BookLoss(Loss):
    """``-sum_k quantity_k (price_k(horizon, S exp(x), sigma exp(v)) - price_k(0, S, sigma))``.

    Parameters
    ----------
    book : Book
        The positions.
    horizon : float
        In years.
    column : mapping of str to int
        The factor of each underlying that moves.
    of_volatility : mapping of str to int
        The factor of the volatility of each underlying whose volatility moves.
    dim : int
        Number of factors.
    """

    kind: ClassVar[str] = "option_book"

    book: Book
    horizon: float
    column: dict[str, int]
    of_volatility: dict[str, int]
    dim: int

    @cached_property
    def order(self) -> Index:
        """The positions by underlying, so that the growth of each is made once."""
        return np.array(sorted(range(len(self.positions)), key=lambda k: self.positions[k].underlying), dtype=np.intp)

    @cached_property
    def bundles(self) -> dict[str, Bundle]:
        """What is valued together, by underlying."""
        by: dict[str, list[Instrument]] = {}
        for position in self.positions:
            by.setdefault(position.underlying, []).append(position)
        return {
            name: Bundle.of(some, self.horizon, name not in self.of_volatility) for name, some in sorted(by.items())
        }

    @property
    def positions(self) -> tuple[Instrument, ...]:
        """Of the book."""
        return self.book.positions

    @cached_property
    def today(self) -> Float:
        """The value of each position today, (m,)."""
        out = np.zeros(len(self.positions))
        for k, position in enumerate(self.positions):
            position.add(np.zeros(1), np.ones(1), None, 0.0, position.quantity, out[k : k + 1])
        return frozen(out)

    def bind(self, inputs: Inputs) -> BookLoss:
        if inputs.dim != self.dim:
            raise FieldError("factors", f"must be {self.dim}, got {inputs.dim}")
        return self

    def __call__(self, x: Float, out: Float) -> None:
        out[:] = float(self.today.sum())
        for name, bundle in self.bundles.items():
            moves, growth = self._moves(x, name)
            bundle.add(moves, growth, self._volatility(x, name), self.horizon, out)

    def components(self, x: Float) -> Float:
        return self.part_columns(x)(np.arange(len(self.positions)))

    def part_columns(self, x: Float) -> Callable[[Members], Float]:
        def some(members: Members) -> Float:
            parts = np.empty((len(x), len(members)), order="F")
            parts[:] = self.today[members]
            place = {int(k): j for j, k in enumerate(members)}
            self._add(
                x, np.array([k for k in self.order if int(k) in place], dtype=np.intp), lambda k: parts[:, place[k]]
            )
            return parts

        return some

    @property
    def parts_at_once(self) -> int:
        return 0

    def _add(self, x: Float, chosen: Index, into: Callable[[int], Float]) -> None:
        """Take the values at the horizon of the ``chosen`` positions from what ``into`` has for each."""
        last: str | None = None
        moves = growth = np.empty(0)
        for k in chosen.tolist():
            position = self.positions[k]
            if position.underlying != last:
                last = position.underlying
                moves, growth = self._moves(x, last)
            v = self._volatility(x, position.underlying) if position.has_volatility else None
            position.add(moves, growth, v, self.horizon, -position.quantity, into(k))

    def _moves(self, x: Float, name: str) -> tuple[Float, Float]:
        """The log change of an underlying's price (n,), and its exponential, in buffers of this thread."""
        growth = scratch("growth", len(x), 1)[:, 0]
        at = self.column.get(name)
        moves = _limited("moves", np.zeros(len(x)) if at is None else x[:, at], LARGEST)
        exponential(moves, growth)
        return moves, growth

    def _volatility(self, x: Float, name: str) -> Float | None:
        """The log change of its volatility (n,), in a buffer of this thread; None where that is fixed."""
        at = self.of_volatility.get(name)
        return None if at is None else _limited("of_volatility", x[:, at], LARGEST_OF_VOLATILITY)

    @property
    def component_names(self) -> tuple[str, ...]:
        return tuple(p.id for p in self.positions)

    @property
    def component_weights(self) -> Float:
        return np.array([p.quantity for p in self.positions])

    def component_groups(self, column: str) -> tuple[str, ...]:
        if column not in self.book.cells:
            raise FieldError("by", files.no_such(f"column of {self.book.file}", column, list(self.book.cells)))
        return self.book.cells[column]

    @property
    def undeclared(self) -> tuple[str, ...]:
        """See `Loss.undeclared`; European options are smooth until they expire."""
        smooth = all(p.type in LINEAR or p.is_european(True, p.expiry - self.horizon) for p in self.positions)
        return () if smooth else ("loss",)

    def moments(self, inputs: Inputs) -> None:
        return None

    def files(self) -> list[Path]:
        return []

    def describe(self) -> list[str]:
        many = Counter(p.type for p in self.positions)
        long, short = float(self.today[self.today > 0].sum()), -float(self.today[self.today < 0].sum())
        kinds = ", ".join(f"{count} {name}" for name, count in many.most_common())
        return [
            f"book of {len(self.positions)} positions, valued again after {self.horizon:g} years: {kinds}",
            f"worth {long - short:.6g} today: long {long:.6g}, short {short:.6g}, gross {long + short:.6g}",
        ]


def _limited(name: str, x: Float, most: float) -> Float:
    """``x`` (n,) between ``-most`` and ``most``, in a buffer of this thread."""
    out = scratch(name, x.size, 1)[:, 0]
    np.clip(x, -most, most, out=out)
    return out

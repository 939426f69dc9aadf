"""The positions of an option book, read and checked cell by cell."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from raresim.data import files
from raresim.data.files import MISSING, DataFile, Problems
from raresim.models.market.instruments import ASIAN, LINEAR, NEEDS, TYPES, Instrument

PLAIN = ("id", "type", "underlying", "quantity")
NUMBERS = ("strike", "expiry", "volatility", "rate", "dividend", "barrier", "rebate", "payout")
DEFAULTS = ("volatility", "rate", "dividend", "rebate")
"""Columns that may be left out where the model says one number for all; a rebate is 0 then."""

MOST_VOLATILITY, MOST_RATE = 3.0, 1.0
NUMBER = "write it without a unit or a thousands separator"


@dataclass(frozen=True, eq=False)
class Book:
    """The positions of a file.

    Parameters
    ----------
    file : str
        Its name.
    positions : tuple of Instrument
        In the order of the rows.
    cells : mapping of str to tuple of str
        Columns to group by, as texts: type, underlying, and those that are not read as numbers.
    settled : tuple of str
        Positions whose expiry is not beyond the horizon.
    """

    file: str
    positions: tuple[Instrument, ...]
    cells: Mapping[str, tuple[str, ...]]
    settled: tuple[str, ...]

    @classmethod
    def read(
        cls, file: DataFile, spots: Mapping[str, float], defaults: Mapping[str, float | None], horizon: float
    ) -> Book:
        """Read all rows.

        Parameters
        ----------
        file : DataFile
            The open file, with the columns id, type, underlying and quantity, and those that the types need.
        spots : mapping of str to float
            Today's price of each underlying.
        defaults : mapping of str to float
            Of `DEFAULTS`, for cells that are empty and columns that are not there; None where there is none.
        horizon : float
            In years.

        Raises
        ------
        DataError
            With the place of each cell that is wrong, at most twenty.
        """
        problems = Problems(file.name)
        at = file.place(PLAIN)
        numbers = [name for name in NUMBERS if name in file.header]
        further = [name for name in file.header if name and name not in (*PLAIN, *NUMBERS)]
        at += file.place((*numbers, *further))
        found: list[Instrument] = []
        texts: list[list[str]] = []
        seen: dict[str, int] = {}
        for row, cells in file.rows(at, problems):
            place = _Row(row, dict(zip((*PLAIN, *numbers, *further), cells, strict=True)), problems, defaults)
            place.identify(seen)
            made = place.instrument(spots)
            if made is not None:
                place.check(made, horizon)
                found.append(made)
                texts.append(cells[len(PLAIN) + len(numbers) :])
        problems.stop()
        grouped = {name: tuple(text[k] for text in texts) for k, name in enumerate(further)}
        grouped |= {"type": tuple(p.type for p in found), "underlying": tuple(p.underlying or "cash" for p in found)}
        settled = tuple(p.id for p in found if p.expiry <= horizon and p.type not in LINEAR)
        return cls(file.name, tuple(found), grouped, settled)


@dataclass(frozen=True, eq=False)
class _Row:
    """One row: its number and its cells by column; what is wrong goes on the list."""

    row: int
    cells: Mapping[str, str]
    problems: Problems
    defaults: Mapping[str, float | None]

    def say(self, column: str, message: str) -> None:
        self.problems.add(message, self.row, column)

    def identify(self, seen: dict[str, int]) -> None:
        name = self.cells["id"]
        if name in MISSING:
            self.say("id", "is missing; every position needs one of its own")
        elif name in seen:
            self.say("id", f"{name!r} is in row {seen[name]} already; keep one row for each")
        seen.setdefault(name, self.row)

    def instrument(self, spots: Mapping[str, float]) -> Instrument | None:
        """The position; None where its type or underlying is not known."""
        kind, underlying = self.cells["type"], self.cells["underlying"]
        if kind not in TYPES:
            self.say("type", files.no_such("type", kind, TYPES))
            return None
        spot = 1.0
        if kind == "cash":
            if underlying not in MISSING:
                self.say("underlying", f"must be empty for cash, got {underlying!r}")
            underlying = ""
        elif underlying not in spots:
            self.say("underlying", files.no_such("underlying", underlying, list(spots)))
            return None
        else:
            spot = spots[underlying]
        values: dict[str, Any] = {name: self.number(name, kind) for name in NEEDS[kind]}
        quantity = self.cell("quantity")
        return Instrument(self.cells["id"], kind, underlying, quantity, spot, **values)

    def number(self, name: str, kind: str) -> float:
        """A number that the type needs, or its default."""
        if self.cells.get(name, "") not in MISSING:
            return self.cell(name)
        default = self.defaults.get(name)
        if default is not None:
            return default
        hint = f", or give `{name}` for all positions" if name in DEFAULTS else ""
        self.say(name, f"is missing; a position of type {kind} needs it{hint}")
        return math.nan

    def cell(self, name: str) -> float:
        text = self.cells[name]
        if text in MISSING:
            self.say(name, "is missing; every position needs one")
            return math.nan
        return files.number(text, NUMBER, self.problems, self.row, name)

    def check(self, made: Instrument, horizon: float) -> None:
        """Note what cannot be: signs, per cents, barriers that were hit."""
        of = NEEDS[made.type]
        for name in ("strike", "expiry", "volatility", "barrier"):
            value = float(getattr(made, name))
            if name in of and not math.isnan(value) and not value > 0:
                unit = {"expiry": " (years from today)", "volatility": " (a year, as a fraction)"}.get(name, "")
                self.say(name, f"must be positive{unit}, got {value:.15g}")
        for name, most in (("volatility", MOST_VOLATILITY), ("rate", MOST_RATE), ("dividend", MOST_RATE)):
            if name in of and abs(float(getattr(made, name))) > most:
                size = float(getattr(made, name))
                self.say(
                    name, f"must be at most {most:g}, got {size:.15g}; is the column in per cent? Divide it by 100"
                )
        if "barrier" in of and made.barrier > 0:
            down = made.type.startswith("down")
            if (made.spot <= made.barrier) if down else (made.spot >= made.barrier):
                self.say(
                    "barrier",
                    f"must be {'below' if down else 'above'} the price of {made.underlying}, {made.spot:.15g}, for "
                    f"{made.type}, got {made.barrier:.15g}: it is hit already, or on the wrong side",
                )
            if made.rebate < 0:
                self.say("rebate", f"must not be negative, got {made.rebate:.15g}")
        if made.type in ASIAN and made.expiry <= horizon:
            self.say(
                "expiry", f"must be beyond the horizon of {horizon:g} years for an average, got {made.expiry:.15g}"
            )

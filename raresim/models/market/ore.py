"""Sensitivities and covariance as the Open Source Risk Engine writes them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from raresim.arguments.typed import typed
from raresim.data import files
from raresim.data.files import MISSING, DataFile, Problems
from raresim.errors import DataError, FieldError
from raresim.models.market.sensitivities import Sensitivities
from raresim.models.market.tables import NUMBER, square_of

COLUMNS = ("TradeId", "IsPar", "Factor_1", "Factor_2", "Currency", "Delta", "Gamma")
MOST_NAMED = 8
"""Factors without a covariance that are named one by one."""


@typed
@dataclass(frozen=True, kw_only=True, eq=False)
class Ore:
    """Files of the Open Source Risk Engine (ORE), taken as they are.

    Parameters
    ----------
    sensitivity : path
        The sensitivity report: CSV with the columns TradeId, IsPar, Factor_1, Factor_2, Currency, Delta and Gamma.
    covariance : path
        The covariance input of ORE's parametric VaR: two factors and a number in each line, without a header.
    portfolio : path, optional
        The portfolio XML, in which each trade names its portfolios.
    portfolio_id : sequence of str, optional
        The portfolios whose trades count. Left out beside ``portfolio``, all trades that are in any portfolio count.
    factor_types : sequence of str, optional
        The types of factors that count, such as ``[FXSpot, FXVolatility]``; left out, all of them.

    Notes
    -----
    Deltas and gammas are changes of value for ORE's shift, and the covariance is in squared shifts over the whole
    horizon, so nothing is scaled. A row without Factor_2 has the delta and the gamma of one factor, and one with it the
    cross gamma of a pair. Factors are matched by type, name and index (``DiscountCurve/EUR/5``); the label behind these
    is ignored, as ORE ignores it. A factor without a covariance does not move: the share of delta that is dropped so
    is said. These rules reproduce ORE's own parametric VaR.
    """

    sensitivity: Path
    covariance: Path
    portfolio: Path | None = None
    portfolio_id: Sequence[str] | None = None
    factor_types: Sequence[str] | None = None

    def __post_init__(self) -> None:
        if self.portfolio_id is not None and self.portfolio is None:
            raise FieldError("portfolio_id", "needs portfolio, the XML file in which trades name their portfolios")

    @property
    def files(self) -> list[Path]:
        """All files that are read."""
        return [Path(path) for path in (self.sensitivity, self.covariance, self.portfolio) if path is not None]

    def read(self) -> Sensitivities:
        """Read all files.

        Raises
        ------
        DataError
            With the place of everything that is wrong, at most twenty; when currencies or par flags are mixed.
        FieldError
            When no trade of a portfolio, and no factor of a type, is there.
        """
        trades = None if self.portfolio is None else _trades(Path(self.portfolio), self.portfolio_id)
        file = files.read(Path(self.sensitivity))
        deltas, gammas, labels, currency = _rows(file, trades, self.factor_types)
        known = _covariances(Path(self.covariance))
        has = [name for name in labels if (name, name) in known]
        if not has:
            raise DataError(
                f"{Path(self.covariance).name}: has a variance for none of the {len(labels)} factors of {file.name}"
            )
        names = tuple(labels[name] for name in has)
        pairs = {(labels[a], labels[b]): v for (a, b), v in known.items() if a in has and b in has}
        kept = {(labels[a], labels[b]): v for (a, b), v in gammas.items() if a in has and b in has}
        return Sensitivities(
            names=names,
            delta=np.array([deltas.get(name, 0.0) for name in has]),
            gamma=square_of(names, kept),
            covariance=square_of(names, pairs),
            source=Path(self.covariance).name,
            notes=(
                *_dropped(deltas, gammas, labels, set(has), Path(self.covariance).name),
                f"values are in {currency}, as in {file.name}",
            ),
        )


def _dropped(
    deltas: dict[str, float],
    gammas: dict[tuple[str, str], float],
    labels: dict[str, str],
    has: set[str],
    covariance: str,
) -> list[str]:
    """What is left out because factors have no covariance, in a sentence."""
    without = [name for name in labels if name not in has]
    if not without:
        return []
    total = sum(abs(v) for v in deltas.values())
    lost = sum(abs(deltas.get(name, 0.0)) for name in without)
    gamma = sum(abs(v) for v in gammas.values())
    lost_gamma = sum(abs(v) for pair, v in gammas.items() if not set(pair) <= has)
    largest = sorted(without, key=lambda name: -abs(deltas.get(name, 0.0)))[:MOST_NAMED]
    more = f" and {len(without) - len(largest)} more" if len(without) > len(largest) else ""
    return [
        f"{len(without)} of {len(labels)} factors have no covariance in {covariance} and do not move: this drops "
        f"{lost / total if total else 0.0:.3%} of the sum of absolute deltas and "
        f"{lost_gamma / gamma if gamma else 0.0:.3%} of the sum of absolute gammas "
        f"({', '.join(labels[name] for name in largest)}{more})"
    ]


def _key(factor: str) -> str:
    """Type, name and index of a factor."""
    return "/".join(factor.split("/")[:3])


def _trades(path: Path, wanted: Sequence[str] | None) -> set[str]:
    """The trades of the portfolios ``wanted``, or of any portfolio."""
    from xml.etree import ElementTree

    try:
        root = ElementTree.fromstring(path.read_bytes())
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None
    except ElementTree.ParseError as error:
        line, column = error.position
        raise DataError(f"{path.name}:{line}:{column}: is not valid XML: {error}") from None
    of = {
        trade.get("id", ""): {(each.text or "").strip() for each in trade.iter("PortfolioId")}
        for trade in root.iter("Trade")
    }
    known = sorted(set().union(*of.values()) if of else ())
    if not known:
        raise DataError(f"{path.name}: no trade has a PortfolioId")
    for name in wanted or ():
        if name not in known:
            raise FieldError("portfolio_id", files.no_such(f"portfolio of {path.name}", name, known))
    asked = set(wanted or known)
    return {trade for trade, ids in of.items() if ids & asked}


def _rows(
    file: DataFile, trades: set[str] | None, types: Sequence[str] | None
) -> tuple[dict[str, float], dict[tuple[str, str], float], dict[str, str], str]:
    """Deltas by factor, gammas by pair, the first full name of each factor, and the currency."""
    at, problems = _places(file), Problems(file.name)
    deltas: dict[str, float] = {}
    gammas: dict[tuple[str, str], float] = {}
    labels: dict[str, str] = {}
    first: dict[str, tuple[str, int]] = {}
    seen: set[str] = set()
    for row, (trade, is_par, one, other, currency, *numbers) in file.rows(at, problems):
        if trades is not None and trade not in trades:
            continue
        pair = [factor for factor in (one, other) if factor not in MISSING]
        seen.update(factor.split("/")[0] for factor in pair)
        if types is not None and not all(factor.split("/")[0] in types for factor in pair):
            continue
        if one in MISSING:
            problems.add("is missing; every row needs a factor", row, "Factor_1")
            continue
        for column, cell in (("IsPar", is_par), ("Currency", currency)):
            before, where = first.setdefault(column, (cell, row))
            if cell != before:
                problems.add(
                    f"must be {before!r} as in row {where}: rows with different values cannot be added", row, column
                )
        delta, gamma = (
            files.number(cell, NUMBER, problems, row, column)
            for cell, column in zip(numbers, ("Delta", "Gamma"), strict=True)
        )
        for factor in pair:
            labels.setdefault(_key(factor), factor)
        keys = tuple(sorted((_key(one), _key(other or one))))
        gammas[keys[0], keys[1]] = gammas.get((keys[0], keys[1]), 0.0) + gamma
        if len(pair) == 1:
            deltas[_key(one)] = deltas.get(_key(one), 0.0) + delta
    problems.stop()
    for name in types or ():
        if name not in seen:
            raise FieldError("factor_types", files.no_such(f"type of factors of {file.name}", name, sorted(seen)))
    if not labels:
        raise DataError(f"{file.name}: has no row of the trades that count")
    return deltas, gammas, labels, first["Currency"][0]


def _places(file: DataFile) -> list[int]:
    """The places of `COLUMNS`; ORE begins its header with a #."""
    header = [name.lstrip("#").strip() for name in file.header]
    problems = Problems(file.name)
    for name in COLUMNS:
        if name not in header:
            problems.add(
                f"a column {name} is required in a sensitivity report of ORE, got {files.listed(header)}",
                file.header_row,
            )
    problems.stop()
    return [header.index(name) for name in COLUMNS]


def _covariances(path: Path) -> dict[tuple[str, str], float]:
    """The covariance of each pair of factors, in both orders."""
    try:
        text = path.read_text("utf-8-sig")
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read: {error}") from None
    problems = Problems(path.name)
    found: dict[tuple[str, str], float] = {}
    rows: dict[tuple[str, str], int] = {}
    for row, line in enumerate(text.splitlines(), start=1):
        cells = [cell.strip() for cell in re.split(r"[,;\t ]+", line.strip())]
        if cells == [""] or cells[0].startswith("#"):
            continue
        if len(cells) != 3:
            problems.add(f"must have two factors and a number, got {len(cells)} cells", row)
            continue
        pair = (_key(cells[0]), _key(cells[1]))
        value = files.number(cells[2], NUMBER, problems, row, "3")
        if pair in rows and found[pair] != value:
            problems.add(
                f"{pair[0]} and {pair[1]} have the covariance {found[pair]:.15g} in row {rows[pair]} already", row, "3"
            )
        for order in (pair, pair[::-1]):
            found[order], rows[order] = value, row
    problems.stop()
    if not found:
        raise DataError(f"{path.name}: has no covariances")
    return found

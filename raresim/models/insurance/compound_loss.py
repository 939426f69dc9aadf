"""The loss of a compound model: claims of several lines, gross, ceded to contracts, or net of them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from raresim.distributions.base import Inputs
from raresim.errors import FieldError
from raresim.losses.base import Loss
from raresim.models.insurance.claims import add_claims, largest, line_seeds, others
from raresim.models.insurance.contracts import Contract
from raresim.models.insurance.frequencies import Frequencies
from raresim.models.insurance.period_losses import PeriodLosses
from raresim.models.own_risk import seeds
from raresim.numerics.arrays import Float

View = Literal["gross", "ceded", "net"]


class Totals(NamedTuple):
    """What the claims of each row come to.

    Parameters
    ----------
    gross : (n, lines + tables) float64
        Sum of the claims.
    layers : (n, contracts) float64
        Sum of what each contract's layer takes of them.
    top, second : (n, lines + tables) float64
        The largest claim, and the largest of the others; 0 where there is none. Of a period table, only the first.
    """

    gross: Float
    layers: Float
    top: Float
    second: Float


class Scores(NamedTuple):
    """Claims of a line: the row that each belongs to (k,), its score (k,), and whether it is the largest of the row."""

    line: int
    row: NDArray[np.int64]
    score: Float
    is_largest: bool


@dataclass(frozen=True, eq=False)
class CompoundLoss(Loss):
    """What the claims of a period cost.

    Parameters
    ----------
    frequencies : Frequencies
        The lines, and the law of their numbers of claims.
    contracts : tuple of Contract
        Reinsurance.
    view : "gross", "ceded" or "net"
        All claims; what the contracts pay; or the difference, with the price of reinstatements.
    tables : tuple of PeriodLosses
        Period tables, whose events are claims like those of the lines; they come after the lines.

    Notes
    -----
    Its parts are the lines (gross), the contracts (ceded), or the lines and, with a negative sign, the contracts (net):
    contributions to a net number say at once how much of it is gross and how much each contract takes.
    """

    kind: ClassVar[str] = "compound"

    frequencies: Frequencies
    contracts: tuple[Contract, ...] = ()
    view: View = "gross"
    tables: tuple[PeriodLosses, ...] = ()

    def bind(self, inputs: Inputs) -> CompoundLoss:
        if inputs.dim != self.factors:
            raise FieldError("inputs", f"must have the {self.factors} factors of the compound model, got {inputs.dim}")
        return self

    @cached_property
    def factors(self) -> int:
        """How many there are: `raresim.models.insurance.compound_factors` has their order."""
        of_tables = sum(len(table.factors) for table in self.tables)
        return len(self.frequencies.names) + of_tables + 2 * len(self.frequencies.lines) + 1

    @property
    def names(self) -> tuple[str, ...]:
        """Of the lines and the tables."""
        return (*(line.name for line in self.frequencies.lines), *(table.name for table in self.tables))

    @cached_property
    def covers(self) -> tuple[tuple[int, ...], ...]:
        """For each line and table, the contracts that cover it."""
        return tuple(
            tuple(c for c, contract in enumerate(self.contracts) if contract.lines is None or name in contract.lines)
            for name in self.names
        )

    def __call__(self, x: Float, out: Float) -> None:
        self.of_totals(self.totals(x), out)

    def of_totals(self, totals: Totals, out: Float) -> None:
        """Write the loss of each row into ``out`` (n,)."""
        out[:] = 0.0
        for part in self.parts(totals):
            out += part

    def components(self, x: Float) -> Float:
        return np.asfortranarray(np.column_stack(self.parts(self.totals(x))))

    def parts(self, totals: Totals) -> list[Float]:
        """The parts of the loss (n,) each, in the order of `component_names`."""
        parts = [] if self.view == "ceded" else list(totals.gross.T)
        if self.view != "gross":
            for contract, layer in zip(self.contracts, totals.layers.T, strict=True):
                paid = contract.recovered(layer)
                parts.append(paid if self.view == "ceded" else contract.reinstated(layer) - paid)
        return parts

    def totals(self, x: Float) -> Totals:
        """What the claims of each row of factors ``x`` (n, d) come to."""
        totals = self.nothing(len(x))
        for i, row, score, is_largest in self.claim_scores(x):
            claim = np.empty(row.size)
            self.frequencies.lines[i].severity.from_normal(score, claim)
            self.add(i, row, claim, totals, totals.top if is_largest else totals.second)
        if not all(line.rises for line in self.frequencies.lines):
            highest = np.maximum(totals.top, totals.second)
            np.minimum(totals.top, totals.second, out=totals.second)
            totals.top[:] = highest
        self._add_tables(x, seeds(x), totals)
        return totals

    def claim_scores(self, x: Float) -> Iterator[Scores]:
        """The standard normal scores of the claims of the lines, in pieces: of each line the largest of each row first.

        A larger score is a larger claim, but for event tables.
        """
        many = len(self.frequencies.lines)
        counts, own = self.frequencies.counts(x), seeds(x)
        z, level = x[:, -2 * many - 1 : -many - 1], x[:, -many - 1 : -1]
        for i in range(many):
            score, above, below = largest(counts[:, i], z[:, i])
            have = np.flatnonzero(counts[:, i] > 0)
            if have.size:
                yield Scores(i, have, score[have], True)
                rest = np.maximum(counts[:, i] - 1.0, 0.0)
                for piece in others(rest, np.ascontiguousarray(level[:, i]), line_seeds(own, i), above, below):
                    yield Scores(i, piece.row, piece.score, False)

    def _add_tables(self, x: Float, own: Any, totals: Totals) -> None:
        many, place = len(self.frequencies.lines), len(self.frequencies.names)
        for t, table in enumerate(self.tables, start=many):
            factors = x[:, place : place + len(table.factors)]
            for piece in table.pieces(factors, line_seeds(own, t)):
                self.add(t, piece.row, piece.claim, totals, totals.top)
            place += len(table.factors)

    def nothing(self, n: int) -> Totals:
        """Totals of ``n`` rows without claims."""
        many, contracts = len(self.names), len(self.contracts)
        gross, top, second = (np.zeros((n, many), order="F") for _ in range(3))
        return Totals(gross, np.zeros((n, contracts), order="F"), top, second)

    def add_others(
        self,
        line: int,
        count: Float,
        level: Float,
        own: Any,
        totals: Totals,
        top: Float,
    ) -> None:
        """Draw claims of a line, and add them to ``totals``; see `raresim.models.insurance.claims.others`."""
        law = self.frequencies.lines[line].severity
        for piece in others(count, np.ascontiguousarray(level), own, None, None):
            claim = np.empty(piece.score.size)
            law.from_normal(piece.score, claim)
            self.add(line, piece.row, claim, totals, top)

    def add(self, line: int, row: Any, claim: Float, totals: Totals, top: Float) -> None:
        """Add claims (k,) of a line or table to the rows ``row`` (k,) of ``totals``, the largest to ``top`` (n, k)."""
        covered = [c for c in self.covers[line] if not self.contracts[c].net_of]
        attachment = np.array([self.contracts[c].attachment for c in covered])
        limit = np.array([self.contracts[c].limit for c in covered])
        layers = np.asfortranarray(totals.layers[:, covered])
        add_claims(row, claim, attachment, limit, totals.gross[:, line], layers, top[:, line])
        totals.layers[:, covered] = layers
        for c in self.covers[line]:
            if self.contracts[c].net_of:
                totals.layers[:, c] += np.bincount(row, self.layer_of(c, line, claim), minlength=len(totals.layers))

    def layer_of(self, contract: int, line: int, claim: Float) -> Float:
        """What the layer of a contract takes of claims (k,) of a line or table that it covers."""
        terms = self.contracts[contract]
        subject = self.subject_to(contract, line, claim)
        return np.clip(subject - terms.attachment, 0.0, terms.limit)

    def subject_to(self, contract: int, line: int, claim: Float) -> Float:
        """What of claims (k,) of a line or table a contract applies to: what those that it is net of leave."""
        left = claim
        for c in self.covers[line]:
            if self.contracts[c].name in (self.contracts[contract].net_of or ()):
                left = left - self.contracts[c].share * self.layer_of(c, line, claim)
        return left

    @property
    def component_names(self) -> tuple[str, ...]:
        lines = () if self.view == "ceded" else self.names
        if self.view == "gross":
            return lines
        return (*lines, *(c.name if self.view == "ceded" else f"ceded: {c.name}" for c in self.contracts))

    def moments(self, inputs: Inputs) -> tuple[float, float] | None:
        covariance = self.frequencies.covariance
        if self.has_infinite_mean:
            return math.inf, math.nan
        if self.view != "gross" or covariance is None:
            return None
        claims = [line.severity.moments() for line in self.frequencies.lines]
        means = np.array([claim.mean for claim in claims])
        mean = float(self.frequencies.means @ means) + sum(table.expected for table in self.tables)
        if not all(math.isfinite(claim.variance) for claim in claims):
            return mean, math.nan
        variance = float(self.frequencies.means @ [claim.variance for claim in claims] + means @ covariance @ means)
        return mean, math.sqrt(variance + sum(table.variance for table in self.tables))

    @property
    def has_infinite_mean(self) -> bool:
        """Whether claims with an infinite mean go into the loss without a limit."""
        for line, covered in zip(self.frequencies.lines, self.covers, strict=False):
            if math.isinf(line.severity.moments().mean):
                shares: dict[str, float] = {}  # of a huge claim, what each unlimited contract takes
                for contract in (self.contracts[c] for c in covered):
                    if math.isinf(contract.limit) and math.isinf(contract.most) and contract.corridor is None:
                        left = 1.0 - sum(shares.get(name, 0.0) for name in contract.net_of or ())
                        shares[contract.name] = contract.share * left
                share = sum(shares.values())
                if (share > 0) if self.view == "ceded" else (self.view == "gross" or share < 1):
                    return True
        return False

    def files(self) -> list[Path]:
        return []

    def describe(self) -> list[str]:
        what = {
            "gross": "the sum of all claims of a period",
            "ceded": "what the contracts pay of the claims of a period",
            "net": "claims of a period less what the contracts pay, with the price of reinstatements",
        }
        lines = [f"{self.view} loss: {what[self.view]}", *(line.describe() for line in self.frequencies.lines)]
        lines += [table.describe() for table in self.tables]
        return [*lines, *(contract.describe() for contract in self.contracts)]

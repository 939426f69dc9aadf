"""The loss of a compound model: claims of several lines, gross, ceded to contracts, or net of them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np

from raresim.distributions.base import Inputs
from raresim.errors import FieldError
from raresim.losses.base import Loss
from raresim.models.claims import add_claims, largest, line_seeds, others
from raresim.models.contracts import Contract
from raresim.models.frequencies import Frequencies
from raresim.models.own_risk import seeds
from raresim.numerics.arrays import Float

View = Literal["gross", "ceded", "net"]


class Totals(NamedTuple):
    """What the claims of each row come to.

    Parameters
    ----------
    gross : (n, lines) float64
        Sum of the claims.
    layers : (n, contracts) float64
        Sum of what each contract's layer takes of them.
    top, second : (n, lines) float64
        The largest claim, and the largest of the others; 0 where there is none.
    """

    gross: Float
    layers: Float
    top: Float
    second: Float


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

    Notes
    -----
    Its parts are the lines (gross), the contracts (ceded), or the lines and, with a negative sign, the contracts (net):
    contributions to a net number say at once how much of it is gross and how much each contract takes.
    """

    kind: ClassVar[str] = "compound"

    frequencies: Frequencies
    contracts: tuple[Contract, ...] = ()
    view: View = "gross"

    def bind(self, inputs: Inputs) -> CompoundLoss:
        if inputs.dim != self.factors:
            raise FieldError("inputs", f"must have the {self.factors} factors of the compound model, got {inputs.dim}")
        return self

    @cached_property
    def factors(self) -> int:
        """How many there are: `raresim.models.compound_factors` has their order."""
        return len(self.frequencies.names) + 2 * len(self.frequencies.lines) + 1

    @cached_property
    def covers(self) -> tuple[tuple[int, ...], ...]:
        """For each line, the contracts that cover it."""
        return tuple(
            tuple(
                c for c, contract in enumerate(self.contracts) if contract.lines is None or line.name in contract.lines
            )
            for line in self.frequencies.lines
        )

    def __call__(self, x: Float, out: Float) -> None:
        self.of_totals(self.totals(x), out)

    def of_totals(self, totals: Totals, out: Float) -> None:
        """Write the loss of each row into ``out`` (n,)."""
        out[:] = 0.0
        for part in self._parts(totals):
            out += part

    def components(self, x: Float) -> Float:
        return np.asfortranarray(np.column_stack(self._parts(self.totals(x))))

    def _parts(self, totals: Totals) -> list[Float]:
        parts = [] if self.view == "ceded" else list(totals.gross.T)
        if self.view != "gross":
            for contract, layer in zip(self.contracts, totals.layers.T, strict=True):
                paid = contract.recovered(layer)
                parts.append(paid if self.view == "ceded" else contract.reinstated(layer) - paid)
        return parts

    def totals(self, x: Float) -> Totals:
        """What the claims of each row of factors ``x`` (n, d) come to."""
        n, many = len(x), len(self.frequencies.lines)
        counts, own = self.frequencies.counts(x), seeds(x)
        z, level = x[:, -2 * many - 1 : -many - 1], x[:, -many - 1 : -1]
        totals = self.nothing(n)
        for i, line in enumerate(self.frequencies.lines):
            score, above, below = largest(counts[:, i], z[:, i])
            have = np.flatnonzero(counts[:, i] > 0)
            if have.size:
                claim = np.empty(have.size)
                line.severity.from_normal(score[have], claim)
                self.add(i, have, claim, totals, totals.top)
                rest = np.maximum(counts[:, i] - 1.0, 0.0)
                self.add_others(i, rest, level[:, i], line_seeds(own, i), totals, totals.second, above, below)
        if not all(line.rises for line in self.frequencies.lines):
            highest = np.maximum(totals.top, totals.second)
            np.minimum(totals.top, totals.second, out=totals.second)
            totals.top[:] = highest
        return totals

    def nothing(self, n: int) -> Totals:
        """Totals of ``n`` rows without claims."""
        many, contracts = len(self.frequencies.lines), len(self.contracts)
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
        above: Float | None = None,
        below: Float | None = None,
    ) -> None:
        """Draw claims of a line, and add them to ``totals``; see `raresim.models.claims.others`."""
        law = self.frequencies.lines[line].severity
        for piece in others(count, np.ascontiguousarray(level), own, above, below):
            claim = np.empty(piece.score.size)
            law.from_normal(piece.score, claim)
            self.add(line, piece.row, claim, totals, top)

    def add(self, line: int, row: Any, claim: Float, totals: Totals, top: Float) -> None:
        """Add claims (k,) of a line to the rows ``row`` (k,) of ``totals``, with the largest in ``top`` (n, lines)."""
        covered = list(self.covers[line])
        attachment = np.array([self.contracts[c].attachment for c in covered])
        limit = np.array([self.contracts[c].limit for c in covered])
        layers = np.asfortranarray(totals.layers[:, covered])
        add_claims(row, claim, attachment, limit, totals.gross[:, line], layers, top[:, line])
        totals.layers[:, covered] = layers

    @property
    def component_names(self) -> tuple[str, ...]:
        lines = () if self.view == "ceded" else tuple(line.name for line in self.frequencies.lines)
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
        mean = float(self.frequencies.means @ means)
        if not all(math.isfinite(claim.variance) for claim in claims):
            return mean, math.nan
        variance = float(self.frequencies.means @ [claim.variance for claim in claims] + means @ covariance @ means)
        return mean, math.sqrt(variance)

    @property
    def has_infinite_mean(self) -> bool:
        """Whether claims with an infinite mean go into the loss without a limit."""
        for line, covered in zip(self.frequencies.lines, self.covers, strict=True):
            if math.isinf(line.severity.moments().mean):
                taken = [self.contracts[c] for c in covered]
                share = sum(c.share for c in taken if math.isinf(c.limit) and math.isinf(c.most) and c.corridor is None)
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
        return [*lines, *(contract.describe() for contract in self.contracts)]

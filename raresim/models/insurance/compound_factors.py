"""The inputs of a compound model: numbers of claims, what steers their sizes, and the seed of everything else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from raresim.data import FileFacts
from raresim.distributions import margins
from raresim.distributions.base import Inputs
from raresim.marginals.poisson import Poisson
from raresim.models.factors import OWN
from raresim.models.insurance.frequencies import Frequencies, GammaMixing
from raresim.models.insurance.lines import Line
from raresim.models.insurance.period_losses import PeriodLosses
from raresim.numerics.arrays import Float
from raresim.record.evidence import Evidence


@dataclass(frozen=True, kw_only=True, eq=False)
class CompoundFactors(Inputs):
    """Numbers of claims, and for each line two standard normals that its claims follow from; the last is a seed.

    Parameters
    ----------
    frequencies : Frequencies
        The law of the numbers of claims.
    tables : tuple of PeriodLosses
        Periods that one is drawn of.

    Notes
    -----
    ``LINE_count`` is the number of the line's own claims. ``LINE_largest`` says how large the largest of all its claims
    is, and ``LINE_level`` how large the others are on the whole: both are standard normals, larger is worse.
    `raresim.models.insurance.claims` says how. ``TABLE_period`` is the number of the period that is drawn of a table,
    and ``TABLE_level``, a standard normal, how large its events are, where their losses are random. ``own_risk`` is the
    seed of the rest: see `raresim.models.base`.
    """

    kind: ClassVar[str] = "compound_factors"

    frequencies: Frequencies
    tables: tuple[PeriodLosses, ...] = ()

    @property
    def lines(self) -> tuple[Line, ...]:
        return self.frequencies.lines

    @property
    def dim(self) -> int:
        return len(self.names)

    @property
    def latent_dim(self) -> int:
        return self.frequencies.latent_dim + len(self.of_tables) + 2 * len(self.lines) + 1

    @property
    def of_tables(self) -> tuple[str, ...]:
        """Names of the factors of the tables."""
        return tuple(name for table in self.tables for name in table.factors)

    @property
    def names(self) -> tuple[str, ...]:
        steering = (f"{line.name}_{what}" for what in ("largest", "level") for line in self.lines)
        return (*self.frequencies.names, *self.of_tables, *steering, OWN)

    @property
    def fitted(self) -> None:
        return None

    @property
    def evidence(self) -> Evidence:
        return margins.evidence(tuple(line.name for line in self.lines), tuple(line.severity for line in self.lines))

    @property
    def sources(self) -> tuple[FileFacts, ...]:
        return margins.sources(tuple(line.severity for line in self.lines))

    @property
    def assumptions(self) -> Mapping[str, Any]:
        return {}

    def to_physical(self, u: Float, x: Float) -> Float:
        steering = 2 * len(self.lines) + 1
        x[:, -steering:] = u[:, -steering:]
        of_u, of_x = self.frequencies.latent_dim, len(self.frequencies.names)
        self.frequencies.to_physical(u[:, :of_u], x[:, :of_x])
        for table in self.tables:
            many = len(table.factors)
            table.to_physical(u[:, of_u : of_u + many], x[:, of_x : of_x + many])
            of_u, of_x = of_u + many, of_x + many
        return x

    def linear_moments(self, weights: Float) -> None:
        return None

    def describe(self) -> list[str]:
        by_line = [
            "for each line its number of claims, how large the largest is, and how large the others are (standard "
            "normals)",
        ]
        by_table = [
            f"of table {table.name} the number of the period{', and how large its events are' * table.is_random}"
            for table in self.tables
        ]
        own = "own_risk: the seed of the sizes of the other claims"
        return [*self.frequencies.describe(), *by_line * bool(self.lines), *by_table, own]

    @staticmethod
    def examples() -> list[CompoundFactors]:
        """Members for the tests of the contract of inputs."""
        from raresim.marginals.gamma import Gamma

        lines = tuple(Line(name=n, frequency=Poisson(mu=3.0), severity=Gamma(a=2.0)) for n in ("a", "b"))
        return [
            CompoundFactors(frequencies=Frequencies(lines)),
            CompoundFactors(frequencies=Frequencies(lines, mixing=GammaMixing(std=0.5))),
        ]

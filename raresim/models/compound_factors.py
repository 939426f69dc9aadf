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
from raresim.models.frequencies import Frequencies, GammaMixing
from raresim.models.lines import Line
from raresim.numerics.arrays import Float
from raresim.record.evidence import Evidence


@dataclass(frozen=True, kw_only=True, eq=False)
class CompoundFactors(Inputs):
    """Numbers of claims, and for each line two standard normals that its claims follow from; the last is a seed.

    Parameters
    ----------
    frequencies : Frequencies
        The law of the numbers of claims.

    Notes
    -----
    ``LINE_count`` is the number of the line's own claims. ``LINE_largest`` says how large the largest of all its claims
    is, and ``LINE_level`` how large the others are on the whole: both are standard normals, larger is worse.
    `raresim.models.claims` says how. ``own_risk`` is the seed of the rest: see `raresim.models.base`.
    """

    kind: ClassVar[str] = "compound_factors"

    frequencies: Frequencies

    @property
    def lines(self) -> tuple[Line, ...]:
        return self.frequencies.lines

    @property
    def dim(self) -> int:
        return len(self.names)

    @property
    def latent_dim(self) -> int:
        return self.frequencies.latent_dim + 2 * len(self.lines) + 1

    @property
    def names(self) -> tuple[str, ...]:
        steering = (f"{line.name}_{what}" for what in ("largest", "level") for line in self.lines)
        return (*self.frequencies.names, *steering, OWN)

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
        self.frequencies.to_physical(u[:, :-steering], x[:, :-steering])
        x[:, -steering:] = u[:, -steering:]
        return x

    def linear_moments(self, weights: Float) -> None:
        return None

    def describe(self) -> list[str]:
        return [
            *self.frequencies.describe(),
            "for each line its number of claims, how large the largest is, and how large the others are (standard "
            "normals)",
            "own_risk: the seed of the sizes of the other claims",
        ]

    @staticmethod
    def examples() -> list[CompoundFactors]:
        """Members for the tests of the contract of inputs."""
        from raresim.marginals.gamma import Gamma

        lines = tuple(Line(name=n, frequency=Poisson(mu=3.0), severity=Gamma(a=2.0)) for n in ("a", "b"))
        return [
            CompoundFactors(frequencies=Frequencies(lines)),
            CompoundFactors(frequencies=Frequencies(lines, mixing=GammaMixing(std=0.5))),
        ]

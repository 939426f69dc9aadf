"""Independent groups of risk factors, each with a joint law of its own."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from raresim.data import FileFacts, ReturnKind
from raresim.distributions.base import Fitted, Inputs
from raresim.distributions.normal import Normal
from raresim.distributions.student_t import StudentT
from raresim.errors import FieldError
from raresim.numerics.arrays import Float
from raresim.record.evidence import Evidence
from raresim.registry import member


@member("inputs")
@dataclass(frozen=True, kw_only=True, eq=False)
class Groups(Inputs):
    """Groups of factors, independent of each other; the factors stand side by side in the order of the groups.

    Parameters
    ----------
    groups : mapping of name to Inputs
        The joint law of each group.
    """

    kind: ClassVar[str] = "groups"

    groups: Mapping[str, Inputs]

    def __post_init__(self) -> None:
        if not self.groups:
            raise FieldError("groups", "must name at least one group")

    @property
    def dim(self) -> int:
        return sum(group.dim for group in self.groups.values())

    @property
    def latent_dim(self) -> int:
        return sum(group.latent_dim for group in self.groups.values())

    @property
    def fitted(self) -> Fitted | None:
        return None

    @property
    def evidence(self) -> Evidence:
        return functools.reduce(Evidence.and_, (group.evidence for group in self.groups.values()))

    @property
    def sources(self) -> tuple[FileFacts, ...]:
        return tuple(facts for group in self.groups.values() for facts in group.sources)

    @property
    def are_returns(self) -> bool | None:
        kinds = {group.are_returns for group in self.groups.values()}
        return kinds.pop() if len(kinds) == 1 else None

    @property
    def returns(self) -> ReturnKind | None:
        kinds = {group.returns for group in self.groups.values()}
        return kinds.pop() if len(kinds) == 1 else None

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(
            f"{name}.{factor}"
            for name, group in self.groups.items()
            for factor in (group.names or [f"x{k}" for k in range(1, group.dim + 1)])
        )

    def _parts(self) -> Iterator[tuple[Inputs, slice, slice]]:
        """Each group with its standard normals and its factors."""
        latent = factor = 0
        for group in self.groups.values():
            yield group, slice(latent, latent + group.latent_dim), slice(factor, factor + group.dim)
            latent, factor = latent + group.latent_dim, factor + group.dim

    def to_physical(self, u: Float, x: Float) -> Float:
        for group, latent, factors in self._parts():
            made = group.to_physical(u[:, latent], x[:, factors])
            if not np.may_share_memory(made, x):
                x[:, factors] = made
        return x

    def linear_moments(self, weights: Float) -> tuple[float, float] | None:
        parts = [
            group.linear_moments(weights[factors]) for group, _, factors in self._parts() if weights[factors].any()
        ]
        if any(part is None for part in parts):
            return None
        known = [part for part in parts if part is not None]
        return sum(mean for mean, _ in known), math.hypot(*(std for _, std in known))

    def exponential_moments(self, weights: Float) -> tuple[float, float] | None:
        parts = [
            group.exponential_moments(weights[factors]) for group, _, factors in self._parts() if weights[factors].any()
        ]
        known = [part for part in parts if part is not None]
        if any(math.isnan(std) for _, std in known):
            return math.nan, math.nan
        return (sum(m for m, _ in known), math.hypot(*(s for _, s in known))) if len(known) == len(parts) else None

    def mass_below(self, x: float) -> Float | None:
        parts = [group.mass_below(x) for group in self.groups.values()]
        known = [part for part in parts if part is not None]
        return np.concatenate(known) if len(known) == len(parts) else None

    def describe(self) -> list[str]:
        head = f"{len(self.groups)} independent groups, {self.dim} factors"
        return [head, *(f"{name}: {line}" for name, group in self.groups.items() for line in group.describe())]

    @staticmethod
    def examples() -> list[Groups]:
        """Members for the conformance tests."""
        return [Groups(groups={"equity": StudentT(dof=5.0, dim=2), "rates": Normal(mean=0.0, std=[1.0, 2.0])})]

"""The problem: inputs, a loss, and the space in which draws are made."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Literal

from raresim.distributions.base import Distribution, Inputs
from raresim.distributions.standard_normal import StandardNormal
from raresim.errors import FieldError
from raresim.losses.base import Loss

Space = Literal["standard", "physical"]


standard_normals = functools.lru_cache(maxsize=16)(lambda dim: StandardNormal(dim=dim))
"""The target by its number of coordinates: a block asks for it several times."""


@dataclass(frozen=True, eq=False)
class Problem:
    """Inputs and a bound loss, in the space in which draws are made.

    Parameters
    ----------
    inputs : Inputs
        The joint law of the risk factors.
    loss : Loss
        Bound to ``inputs``.
    space : "standard" or "physical"
        Where proposals live: on the standard normals that the inputs map, or on the risk factors themselves.
    """

    inputs: Inputs
    loss: Loss
    space: Space = "standard"

    @property
    def target(self) -> Distribution:
        """The law ``p`` of a draw."""
        if self.space == "standard":
            return standard_normals(self.inputs.latent_dim)
        if not isinstance(self.inputs, Distribution):
            raise FieldError(
                "space", f"must be 'standard': the density of inputs of kind {self.inputs.kind} is not known"
            )
        return self.inputs

    @property
    def dim(self) -> int:
        """Number of coordinates of a draw."""
        return self.inputs.latent_dim if self.space == "standard" else self.inputs.dim

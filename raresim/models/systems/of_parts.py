"""A loss of parts with laws of their own: lifetimes of the parts of a system, or lengths of those of a way."""

from __future__ import annotations

from abc import abstractmethod
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Self

from raresim.distributions.base import Inputs
from raresim.distributions.independent import Independent
from raresim.errors import FieldError
from raresim.losses.base import Loss
from raresim.marginals.base import Marginal


class OfParts(Loss):
    """A loss whose factors are its parts, by name: `component_names` and `laws` have the same order."""

    if TYPE_CHECKING:  # a field in some subclasses, a property in others

        @property
        @abstractmethod
        def laws(self) -> tuple[Marginal, ...]:
            """Of the parts."""

    @cached_property
    def inputs(self) -> Independent:
        """The joint law of the parts."""
        return Independent(marginals=dict(zip(self.component_names, self.laws, strict=True)))

    def bind(self, inputs: Inputs) -> Self:
        if inputs.dim != len(self.laws):
            raise FieldError("inputs", f"must have the {len(self.laws):,} parts of the system, got {inputs.dim:,}")
        return self

    def moments(self, inputs: Inputs) -> None:
        return None

    def files(self) -> list[Path]:
        return []

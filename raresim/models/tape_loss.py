"""The contract that the losses of a credit tape share: one part for each obligor, grouped by the tape's columns."""

from __future__ import annotations

from typing import Self

from raresim.distributions.base import Inputs
from raresim.errors import FieldError
from raresim.losses.base import Loss
from raresim.models.tape import Tape
from raresim.numerics.arrays import Float


class TapeLoss(Loss):
    """The loss of a portfolio whose parts are the obligors of a tape.

    A member is a frozen dataclass with the fields ``tape``, the obligors, and ``factors``, the number of its inputs.
    """

    tape: Tape
    factors: int

    def bind(self, inputs: Inputs) -> Self:
        if inputs.dim != self.factors:
            raise FieldError("inputs", f"must have the {self.factors} factors of the credit model, got {inputs.dim}")
        return self

    @property
    def component_names(self) -> tuple[str, ...]:
        return self.tape.ids

    @property
    def component_weights(self) -> Float:
        return self.tape.ead

    def component_groups(self, column: str) -> tuple[str, ...]:
        return self.tape.groups(column)

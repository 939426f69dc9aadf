"""The approximation that stands beside a costly loss: which one is meant, and whether it goes with the loss."""

from __future__ import annotations

from typing import Literal

from raresim.distributions.base import Inputs
from raresim.errors import FieldError, about
from raresim.losses.base import Loss
from raresim.methods.base import Method
from raresim.models.base import Model

Named = Literal["delta_gamma"]
"""Approximations that a model has of itself."""


def refuse_approximation(approximation: Loss | Named | None, method: Method) -> None:
    """Raise `FieldError` where an approximation is given that ``method`` has no use for, or whose rows may fail."""
    if approximation is None:
        return
    if not method.uses_approximation:
        raise FieldError(
            "approximation",
            f"must be left out with method {method.kind}: only method surrogate uses an approximation",
            (),
        )
    if isinstance(approximation, Loss) and approximation.may_fail:
        raise FieldError(
            "on_failure",
            "cannot be 'bound' for an approximation, which must have a value everywhere",
            ("approximation",),
        )


def meant(approximation: Loss | Named, model: Model | None) -> Loss:
    """The loss that ``approximation`` stands for.

    Raises
    ------
    FieldError
        For a name where no model has such an approximation.
    """
    if isinstance(approximation, Loss):
        return approximation
    own = None if model is None else model.delta_gamma
    if own is None:
        what = "inputs and loss of your own have none" if model is None else f"this model of kind {model.kind} has none"
        raise FieldError(
            "approximation",
            f"must be a loss, such as {{kind: python, function: file.py:name}}: only a model of kind options whose "
            f"factors are normal or Student's t has '{approximation}', and {what}",
            (),
        )
    return own


def bound(approximation: Loss | Named | None, loss: Loss, inputs: Inputs, model: Model | None) -> Loss | None:
    """``approximation`` bound to ``inputs``; None where there is none.

    Raises
    ------
    FieldError, DataError, LossError
        As `Loss.bind`, and where it has another number of limit states than ``loss``, which is bound.
    """
    if approximation is None:
        return None
    with about("approximation"):
        found = meant(approximation, model).bind(inputs)
    wanted, got = len(loss.limit_state_names), len(found.limit_state_names)
    if got != wanted:
        states = "no limit states" if not wanted else f"{wanted} limit states"
        raise FieldError(
            "limit_states",
            f"must be as many as the loss has, {states}, got {got or 'none'}",
            ("approximation",),
        )
    return found

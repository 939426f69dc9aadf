"""How a table of evaluations of a loss names its columns."""

from __future__ import annotations

from raresim.distributions.base import Inputs
from raresim.losses.base import Loss


def columns_of(inputs: Inputs, loss: Loss) -> tuple[str, ...]:
    """The stage, standard normals, factors, limit states where the loss has some, and the loss."""
    normals = [f"u{i}" for i in range(1, inputs.latent_dim + 1)]
    factors = inputs.names or [f"x{i}" for i in range(1, inputs.dim + 1)]
    return ("stage", *normals, *factors, *loss.limit_state_names, "loss")

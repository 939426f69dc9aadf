"""The quadratic approximation of a book's loss: by its derivatives today, or over moves of some standard deviations."""

from __future__ import annotations

import numpy as np

from raresim.distributions.base import Inputs
from raresim.distributions.normal import Normal
from raresim.distributions.student_t import StudentT
from raresim.models.market.book_loss import BookLoss
from raresim.models.market.quadratic_form import QuadraticForm
from raresim.numerics.arrays import Float

LOCAL = 1e-3
"""Step, in standard deviations, that stands for a derivative."""


def scales_of(inputs: Inputs) -> Float | None:
    """A typical move of each factor, (d,); None where the law is neither normal nor Student's t."""
    law = inputs.normal if isinstance(inputs, StudentT) else inputs
    return law.scales if isinstance(law, Normal) else None


def quadratic_of(loss: BookLoss, inputs: Inputs, step: float) -> QuadraticForm | None:
    """The loss as a quadratic function that agrees with it at 0 and at ``step`` standard deviations on either side.

    Each price depends on one underlying and its volatility, so only these pairs have cross terms. With a small step it
    is the delta-gamma approximation with theta; a step of two standard deviations says more of large moves.

    Returns
    -------
    None where the factors are neither normal nor Student's t, or nothing moves the loss.
    """
    scales = scales_of(inputs)
    if scales is None:
        return None
    form = QuadraticForm.of(inputs, *derivatives_of(loss, step * scales))
    return form if form is not None and form.size > 0 else None


def derivatives_of(loss: BookLoss, h: Float) -> tuple[float, Float, Float]:
    """Value at 0, slopes (d,) and second differences of the loss over steps ``h`` (d,) on either side of 0.

    The latter are (d, d), or (d,) where no volatility moves.
    """
    d = loss.dim
    pairs = [(loss.column[name], at) for name, at in loss.of_volatility.items() if name in loss.column]
    x = np.zeros((1 + 2 * d + 2 * len(pairs), d), order="F")
    for j in range(d):
        x[1 + 2 * j, j], x[2 + 2 * j, j] = h[j], -h[j]
    for k, (i, j) in enumerate(pairs):
        x[1 + 2 * d + 2 * k, [i, j]] = h[i], h[j]
        x[2 + 2 * d + 2 * k, [i, j]] = -h[i], -h[j]
    at = np.empty(len(x))
    loss(x, at)
    start, up, down = at[0], at[1 : 1 + 2 * d : 2], at[2 : 2 + 2 * d : 2]
    linear = (up - down) / (2.0 * h)
    own = (up - 2.0 * start + down) / h**2
    quadratic = np.diag(own)
    for k, (i, j) in enumerate(pairs):
        both = at[1 + 2 * d + 2 * k] + at[2 + 2 * d + 2 * k] - 2.0 * start
        quadratic[i, j] = quadratic[j, i] = (both - own[i] * h[i] ** 2 - own[j] * h[j] ** 2) / (2.0 * h[i] * h[j])
    return float(start), linear, quadratic if pairs else own

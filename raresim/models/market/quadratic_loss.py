"""A loss that is quadratic in the risk factors: the delta-gamma approximation of a book."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from raresim.distributions.base import Inputs
from raresim.errors import FieldError
from raresim.losses.base import Loss
from raresim.models.market.quadratic_form import QuadraticForm
from raresim.numerics.arrays import Float
from raresim.numerics.jit import kernel

TILE = 512
"""Rows that a kernel takes at once."""

REST = "theta"
"""What the part that no factor moves is called."""


@dataclass(frozen=True, eq=False)
class QuadraticLoss(Loss):
    """``constant + linear'x + x' quadratic x / 2``.

    Parameters
    ----------
    names : tuple of str
        The factors.
    constant : float
        In the unit of the loss.
    linear : (d,) float64
        In that unit over those of the factors.
    quadratic : (d, d) or (d,) float64
        Symmetric, or its diagonal where all else is 0.
    said : tuple of str
        The loss in words.

    Notes
    -----
    The part of a factor is ``x_i (linear_i + (quadratic x)_i / 2)``: a cross gamma is shared evenly by its two factors.
    """

    kind: ClassVar[str] = "quadratic"

    names: tuple[str, ...]
    constant: float
    linear: Float
    quadratic: Float
    said: tuple[str, ...] = ()

    def bind(self, inputs: Inputs) -> QuadraticLoss:
        if inputs.dim != self.linear.size:
            raise FieldError("factors", f"must be {self.linear.size} as there are deltas, got {inputs.dim}")
        return self

    @property
    def is_diagonal(self) -> bool:
        """Whether no pair of factors has a cross gamma."""
        return self.quadratic.ndim == 1

    def form(self, inputs: Inputs) -> QuadraticForm | None:
        """The loss in coordinates in which its terms do not mix; None where the law of the factors allows none."""
        return QuadraticForm.of(inputs, self.constant, self.linear, self.quadratic)

    def __call__(self, x: Float, out: Float) -> None:
        out[:] = self.constant
        kernel_of = add_diagonal_quadratic if self.is_diagonal else add_quadratic
        kernel_of(x, self.linear, self.quadratic, out)

    @property
    def has_components(self) -> bool:
        return True

    def components(self, x: Float) -> Float:
        parts = np.empty((len(x), len(self.component_names)), order="F")
        parts[:, self.linear.size :] = self.constant
        own = parts[:, : self.linear.size]
        if self.is_diagonal:
            own[:] = x * (self.linear + 0.5 * x * self.quadratic)
        else:
            quadratic_parts(x, self.linear, self.quadratic, own)
        return parts

    @property
    def component_names(self) -> tuple[str, ...]:
        return (*self.names, REST) if self.constant else self.names

    def moments(self, inputs: Inputs) -> tuple[float, float] | None:
        form = self.form(inputs)
        return None if form is None else (form.mean, form.std)

    def files(self) -> list[Path]:
        return []

    def describe(self) -> list[str]:
        return list(self.said)


@kernel
def add_quadratic(x: Float, linear: Float, quadratic: Float, out: Float) -> None:
    """``out[i] += linear'x + x' quadratic x / 2`` of each row ``x`` of (n, d)."""
    n, d = x.shape
    pull = np.empty(TILE)
    for start in range(0, n, TILE):
        stop = min(start + TILE, n)
        total = out[start:stop]
        for j in range(d):
            for i in range(stop - start):
                pull[i] = linear[j]
            for k in range(j):
                g = quadratic[j, k]
                if g != 0.0:
                    xk = x[start:stop, k]
                    for i in range(stop - start):
                        pull[i] += g * xk[i]
            half = 0.5 * quadratic[j, j]
            xj = x[start:stop, j]
            for i in range(stop - start):
                total[i] += xj[i] * (pull[i] + half * xj[i])


@kernel
def quadratic_parts(x: Float, linear: Float, quadratic: Float, out: Float) -> None:
    """``out[i, j] = x_j (linear_j + (quadratic x)_j / 2)`` of each row ``x`` of (n, d)."""
    n, d = x.shape
    for j in range(d):
        for i in range(n):
            out[i, j] = linear[j]
        for k in range(d):
            half = 0.5 * quadratic[j, k]
            if half != 0.0:
                for i in range(n):
                    out[i, j] += half * x[i, k]
        for i in range(n):
            out[i, j] *= x[i, j]


@kernel
def add_diagonal_quadratic(x: Float, linear: Float, diagonal: Float, out: Float) -> None:
    """``out[i] += sum_j x_j (linear_j + diagonal_j x_j / 2)`` of each row ``x`` of (n, d)."""
    n, d = x.shape
    for j in range(d):
        b, half = linear[j], 0.5 * diagonal[j]
        for i in range(n):
            out[i] += x[i, j] * (b + half * x[i, j])

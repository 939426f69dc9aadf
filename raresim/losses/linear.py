"""A weighted sum of the risk factors: a linear portfolio."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from raresim import arrays
from raresim.arrays import Float, Vector
from raresim.data import Positions
from raresim.distributions.base import Inputs
from raresim.distributions.standard_normal import StandardNormal
from raresim.errors import FieldError
from raresim.jit import kernel
from raresim.losses.base import Loss
from raresim.names import in_order, labels_of
from raresim.registry import member

FactorKind = Literal["returns", "losses"]

NOT_HELD = "; give 0 where nothing is held, or fit the inputs to the columns that are held alone (`fit.columns`)"


@member("loss")
@dataclass(frozen=True, kw_only=True, eq=False)
class Linear(Loss):
    """Loss of a linear portfolio, ``sum_i w_i x_i`` of losses or ``-sum_i w_i x_i`` of returns.

    Parameters
    ----------
    weights : "equal", (d,) or mapping of name to number, optional
        Weight of each factor; ``equal`` is ``1/d`` each. A mapping, or a series of pandas with names as its index, has
        one for each factor in any order; other numbers are in the order of the factors.
    positions : path or data frame, optional
        CSV or Parquet file with the columns ``id`` and ``weight``, one row per factor in any order; in Python also a
        data frame of them. Instead of ``weights``. Contributions can be summed by the values of any further column.
    factors : "returns" or "losses", optional
        What the factors are. Returns are profits, so their weighted sum enters with a minus sign. Without it:
        returns when the inputs were fitted to a table of returns, losses otherwise; the sign is printed.

    Raises
    ------
    FieldError
        When neither or both of ``weights`` and ``positions`` are given, their number is not ``d``, or their names are
        not those of the factors.

    Notes
    -----
    Its parts are the terms of the sum, one per factor, called as the inputs call it, or ``x1``, ``x2``, ...
    """

    kind: ClassVar[str] = "linear"

    weights: Literal["equal"] | Vector | Mapping[str, float] | None = None
    positions: Path | None = None
    factors: FactorKind | None = None

    exposure: Float = field(init=False, repr=False, default_factory=lambda: np.empty(0))
    names: tuple[str, ...] = field(init=False, repr=False, default=())
    held: Positions | None = field(init=False, repr=False, default=None)

    def __post_init__(self) -> None:
        if self.factors is not None:
            arrays.one_of("factors", self.factors, FactorKind)
        if (self.weights is None) == (self.positions is None):
            raise FieldError("weights", "give either weights or positions")
        if isinstance(self.weights, str):
            if self.weights != "equal":
                raise FieldError("weights", f"must be 'equal' or a list of numbers, got {self.weights!r}")
        elif self.weights is not None:
            numbers: Any = self.weights
            labels = labels_of(numbers)
            w = in_order("weights", numbers, labels) if labels else arrays.vector("weights", numbers)
            if not w.any():
                raise FieldError("weights", "must not all be zero")
            given = w if labels is None else dict(zip(labels, w.tolist(), strict=True))
            object.__setattr__(self, "weights", given)
        if isinstance(self.positions, str):
            object.__setattr__(self, "positions", Path(self.positions))

    def bind(self, inputs: Inputs) -> Linear:
        d = inputs.dim
        names = inputs.names or tuple(f"x{i}" for i in range(1, d + 1))
        held = self.held
        if self.positions is not None:
            if inputs.names is None:
                raise FieldError("positions", "needs inputs with named factors: a fit to data, or marginals with names")
            of = Positions.read if isinstance(self.positions, Path) else Positions.of
            held = of(self.positions, inputs.names)
            weights = held.weights
        elif self.weights is None or isinstance(self.weights, str):
            weights = np.full(d, 1.0 / d)
        else:
            weights = in_order("weights", self.weights, names, NOT_HELD)
        if self.factors is None and inputs.are_returns is None:
            raise FieldError("factors", "must be given, 'returns' or 'losses': only some of the inputs are returns")
        factors = self.factors or ("returns" if inputs.are_returns else "losses")
        bound = Linear(weights=weights, factors=factors)
        object.__setattr__(bound, "exposure", arrays.frozen(weights if factors == "losses" else -weights))
        object.__setattr__(bound, "names", names)
        object.__setattr__(bound, "held", held)
        return bound

    def __call__(self, x: Float, out: Float) -> None:
        weighted_sum(x, self.exposure, out)

    def components(self, x: Float) -> Float:
        parts: Float = x * self.exposure
        return parts

    @property
    def component_names(self) -> tuple[str, ...]:
        return self.names

    @property
    def component_weights(self) -> Float:
        return np.asarray(self.weights, dtype=np.float64)

    def component_groups(self, column: str) -> tuple[str, ...]:
        if self.held is None:
            raise FieldError("by", f"needs weights from a positions file, got {column!r} for a loss without one")
        return self.held.groups(column)

    def one_region(self, inputs: Inputs) -> str:
        """See `Loss.one_region`; of a loss that is bound."""
        why = inputs.sums_in_one_region(self.exposure) if self.exposure.any() else ""
        return why and f"the loss is a weighted sum, and {why}"

    def assumptions(self, inputs: Inputs) -> Mapping[str, Any]:
        """See `Loss.assumptions`; of a loss that is bound."""
        found: dict[str, Any] = {}
        history = inputs.fitted.history if inputs.fitted is not None else None
        if "shrinkage" in inputs.assumptions and history is not None:
            known, sample = inputs.linear_moments(self.exposure), float(np.std(history.values @ self.exposure))
            found["loss_std_ratio"] = known[1] / sample if known is not None and sample > 0 else None
        return found

    def moments(self, inputs: Inputs) -> tuple[float, float] | None:
        return inputs.linear_moments(self.exposure)

    def files(self) -> list[Path]:
        return [self.positions] if isinstance(self.positions, Path) else []

    def describe(self) -> list[str]:
        sign = "-" if self.factors == "returns" else ""
        w = np.asarray(self.weights)
        size = f"all {w[0]:.6g}" if (w == w[0]).all() else f"{w.min():.6g} to {w.max():.6g}"
        return [f"linear portfolio: loss = {sign}sum of w_i x_i, {w.size} weights, {size}"]

    @staticmethod
    def examples() -> list[tuple[Inputs, Linear]]:
        """Inputs and losses for the conformance tests."""
        return [
            (StandardNormal(dim=3), Linear(weights="equal")),
            (StandardNormal(dim=2), Linear(weights=[1.0, -2.0], factors="returns")),
        ]


@kernel
def weighted_sum(x: Float, weights: Float, out: Float) -> None:
    """``out[i] = sum_j weights[j] x[i, j]``."""
    n, d = x.shape
    for i in range(n):
        out[i] = 0.0
    for j in range(d):
        w = weights[j]
        for i in range(n):
            out[i] += w * x[i, j]

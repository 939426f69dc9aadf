"""A weighted sum of the risk factors: a linear portfolio."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from raresim.arguments import checks
from raresim.arguments.checks import Vector
from raresim.data import Positions
from raresim.data.names import in_order, labels_of
from raresim.distributions.base import Inputs
from raresim.distributions.normal import Normal
from raresim.distributions.standard_normal import StandardNormal
from raresim.errors import FieldError
from raresim.losses.base import Loss
from raresim.numerics import arrays
from raresim.numerics.arrays import Float
from raresim.numerics.jit import kernel
from raresim.registry import member

FactorKind = Literal["returns", "losses"]
Revaluation = Literal["exp", "none"]

LARGEST = 650.0
"""Largest log return that is revalued: a larger one counts as 650, because larger sums overflow."""

NOT_HELD = "; give 0 where nothing is held, or fit the inputs to the columns that are held alone (`fit.columns`)"


@member("loss")
@dataclass(frozen=True, kw_only=True, eq=False)
class Linear(Loss):
    """Loss of a linear portfolio: ``sum_i w_i x_i`` for losses, ``-sum_i w_i x_i`` for returns.

    For log returns it can be ``-sum_i w_i (exp(x_i) - 1)``, the loss of positions with the values ``w_i``.

    Parameters
    ----------
    weights : "equal", (d,) or mapping of name to number, optional
        Weight of each factor; ``equal`` is ``1/d`` each. A mapping, or a pandas series indexed by names, has one weight
        for each factor in any order; a list of numbers is in the order of the factors.
    positions : path or data frame, optional
        CSV or Parquet file, one row per factor in any order; in Python also a data frame. The names are in the column
        ``id``, or else ``ticker``, ``symbol`` or ``name``, the sizes in one of the columns ``weight``, ``market_value``
        and ``quantity``, which is multiplied by the last price of the inputs' fit. It replaces ``weights``.
        Contributions can be summed by the values of any further column. Where a fit of a config names no columns, those
        that the file holds are used.
    factors : "returns" or "losses", optional
        Kind of the factors. Returns are profits, so their weighted sum enters with a minus sign. Left out, the factors
        are returns if the inputs were fitted to a table of returns, and losses otherwise; the sign is printed.
    revalue : "exp" or "none", optional
        ``exp`` takes the factors as log returns and values each position by ``exp(x) - 1``, so that no position loses
        more than its value. ``none`` means that the factors enter unchanged on purpose. Left out, they enter unchanged
        too, and if a fit knows the kind of returns, a check says how much that matters.
    unit : str, optional
        Name of the loss's unit, such as ``USD``: it is printed beside numbers and on axes, and nothing is converted.

    Raises
    ------
    FieldError
        When neither or both of ``weights`` and ``positions`` are given, their number is not ``d``, or their names are
        not the names of the factors; or when ``revalue: exp`` is given for losses or for simple returns.

    Notes
    -----
    The parts are the terms of the sum, one per factor, with the names of the inputs, or ``x1``, ``x2``, ...
    """

    kind: ClassVar[str] = "linear"

    weights: Literal["equal"] | Vector | Mapping[str, float] | None = None
    positions: Path | None = field(default=None, metadata={"typed": False})  # `read_positions` says more
    factors: FactorKind | None = None
    revalue: Revaluation | None = None
    unit: str | None = None

    exposure: Float = field(init=False, repr=False, default_factory=lambda: np.empty(0))
    names: tuple[str, ...] = field(init=False, repr=False, default=())
    held: Positions | None = field(init=False, repr=False, default=None)

    def __post_init__(self) -> None:
        if self.factors is not None:
            checks.one_of("factors", self.factors, FactorKind)
        checks.named_unit("unit", self.unit)
        if self.revalue is not None:
            checks.one_of("revalue", self.revalue, Revaluation)
        if self.revalue == "exp" and self.factors == "losses":
            raise FieldError("revalue", "exp takes the factors for log returns: leave out `factors: losses`")
        if (self.weights is None) == (self.positions is None):
            raise FieldError("weights", "give either weights or positions")
        if isinstance(self.weights, str):
            if self.weights != "equal":
                raise FieldError("weights", f"must be 'equal' or a list of numbers, got {self.weights!r}")
        elif self.weights is not None:
            numbers: Any = self.weights
            labels = labels_of(numbers)
            w = in_order("weights", numbers, labels) if labels else checks.vector("weights", numbers)
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
            held = of(self.positions, inputs.names, inputs.last_prices)
            weights = held.weights
        elif self.weights is None or isinstance(self.weights, str):
            weights = np.full(d, 1.0 / d)
        else:
            weights = in_order("weights", self.weights, names, NOT_HELD)
        is_exp = self.revalue == "exp"
        if is_exp and inputs.returns == "simple":
            raise FieldError(
                "revalue",
                "exp is for log returns, got inputs fitted to simple returns: use `returns: log` in their fit",
            )
        if self.factors is None and inputs.are_returns is None and not is_exp:
            raise FieldError("factors", "must be given, 'returns' or 'losses': only some of the inputs are returns")
        factors = self.factors or ("returns" if inputs.are_returns or is_exp else "losses")
        bound = Linear(weights=weights, factors=factors, revalue=self.revalue, unit=self.unit)
        object.__setattr__(bound, "exposure", arrays.frozen(weights if factors == "losses" else -weights))
        object.__setattr__(bound, "names", names)
        object.__setattr__(bound, "held", held)
        return bound

    def __call__(self, x: Float, out: Float) -> None:
        (revalued_sum if self.is_revalued else weighted_sum)(x, self.exposure, out)

    def of_normals(self, inputs: Inputs, u: Float, out: Float) -> bool:
        return not self.is_revalued and inputs.weighted_sums(u, self.exposure, out)

    @property
    def is_revalued(self) -> bool:
        """Whether the loss is not linear in the factors, which are log returns."""
        return self.revalue == "exp"

    @property
    def gross(self) -> float | None:
        return float(np.abs(self.exposure).sum()) if self.factors == "returns" else None

    @property
    def factor_weights(self) -> Float | None:
        return None if self.is_revalued else self.exposure

    @property
    def has_components(self) -> bool:
        return True

    def components(self, x: Float) -> Float:
        parts: Float = (np.expm1(np.minimum(x, LARGEST)) if self.is_revalued else x) * self.exposure
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
        """See `Loss.one_region`; of a loss that is bound.

        Revalued positions curve the edge of the event, so that only a single position is proven to be one region.
        """
        if self.is_revalued and np.count_nonzero(self.exposure) != 1:
            return ""
        why = inputs.sums_in_one_region(self.exposure) if self.exposure.any() else ""
        what = "moves with one factor alone" if self.is_revalued else "is a weighted sum"
        return why and f"the loss {what}, and {why}"

    def assumptions(self, inputs: Inputs) -> Mapping[str, Any]:
        """See `Loss.assumptions`; of a loss that is bound."""
        found: dict[str, Any] = {**self._returns_taken(inputs)}
        if self.gross is not None:
            found["gross"] = self.gross
        history = inputs.fitted.history if inputs.fitted is not None else None
        if "shrinkage" in inputs.assumptions and history is not None and not self.is_revalued:
            known, sample = inputs.linear_moments(self.exposure), float(np.std(history.values @ self.exposure))
            found["loss_std_ratio"] = known[1] / sample if known is not None and sample > 0 else None
        return found

    def _returns_taken(self, inputs: Inputs, outline: bool = False) -> dict[str, Any]:
        """What the loss assumes about fitted returns that enter unchanged; without numbers if ``outline``."""
        if self.is_revalued or self.factors != "returns" or not inputs.are_returns:
            return {}
        if inputs.returns == "log":
            return {"log_returns": True} if self.revalue is None else {}
        if inputs.keeps_to_data:
            return {}
        below, is_long = None if outline else inputs.mass_below(-1.0), self.exposure < 0
        return {"below_total_loss": None if below is None else float(below[is_long].sum())}

    def notes(self, inputs: Inputs) -> list[str]:
        """See `Loss.notes`; of a loss that is bound."""
        if "log_returns" in (taken := self._returns_taken(inputs, outline=True)):
            return [
                "log returns enter the linear loss as if they were simple: `revalue: exp` in the loss values positions "
                "by exp(x) - 1, and `revalue: none` says that the log returns themselves are meant"
            ]
        if taken:
            return [
                "a law of simple returns can draw below -100 %, further than any price can fall; the verdict says how "
                "much that matters. With `returns: log` in the fit and `revalue: exp` in the loss it cannot happen"
            ]
        return []

    def moments(self, inputs: Inputs) -> tuple[float, float] | None:
        if not self.is_revalued:
            return inputs.linear_moments(self.exposure)
        found = inputs.exponential_moments(self.exposure)
        return found and (found[0] - float(self.exposure.sum()), found[1])

    def files(self) -> list[Path]:
        return [self.positions] if isinstance(self.positions, Path) else []

    def describe(self) -> list[str]:
        sign = "-" if self.factors == "returns" else ""
        w = np.asarray(self.weights)
        size = f"all {w[0]:.6g}" if (w == w[0]).all() else f"{w.min():.6g} to {w.max():.6g}"
        term = "(exp(x_i) - 1)" if self.is_revalued else "x_i"
        held = "" if self.gross is None else f", gross size {self.gross:.6g}{f' {self.unit}' if self.unit else ''}"
        return [f"linear portfolio: loss = {sign}sum of w_i {term}, {w.size} weights, {size}{held}", *self._sides(w)]

    def _sides(self, w: Float) -> list[str]:
        """What is held long and short of a portfolio of returns with weights ``w`` (d,), where it holds both."""
        long, short = float(w[w > 0].sum()), -float(w[w < 0].sum())
        if self.factors != "returns" or not (long > 0 and short > 0):
            return []
        return [f"long {long:.6g}, short {short:.6g}, net {long - short:.6g}"]

    @staticmethod
    def examples() -> list[tuple[Inputs, Linear]]:
        """Inputs and losses for the conformance tests."""
        return [
            (StandardNormal(dim=3), Linear(weights="equal")),
            (StandardNormal(dim=2), Linear(weights=[1.0, -2.0], factors="returns")),
            (Normal(mean=0.3, std=[0.05, 0.1]), Linear(weights=[1.0, 2.0], revalue="exp")),
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


@kernel
def revalued_sum(x: Float, weights: Float, out: Float) -> None:
    """``out[i] = sum_j weights[j] (exp(x[i, j]) - 1)``."""
    n, d = x.shape
    for i in range(n):
        out[i] = 0.0
    for j in range(d):
        w = weights[j]
        if w != 0.0:
            for i in range(n):
                out[i] += w * math.expm1(min(x[i, j], LARGEST))

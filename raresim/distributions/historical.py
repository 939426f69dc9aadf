"""Historical simulation: the rows of a table of returns, each as likely as any other."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike

from raresim.arguments.checks import Matrix
from raresim.data import ReturnsData, table_of
from raresim.distributions.base import Fitted, Inputs
from raresim.errors import FieldError
from raresim.numerics import normal_scores
from raresim.numerics.arrays import Float, frozen
from raresim.registry import member


@member("inputs")
@dataclass(frozen=True, kw_only=True, eq=False)
class Historical(Inputs):
    """The discrete law of the rows of a table, each with probability ``1/n``.

    It has no density, and no mass beyond its sample.

    Parameters
    ----------
    values : (n, d)
        The rows, in the unit of the factors; at least 2, in the order of their dates.

    Raises
    ------
    FieldError
        When ``values`` are not finite numbers in at least 2 equal rows.

    Notes
    -----
    One standard normal ``u`` picks the row. Rows 1 to n are in ascending order of their means across the columns (equal
    means in the order given), and row ``k`` is picked where ``(k-1)/n < Phi(u) <= k/n``. So the mean of the factors,
    which is the direction of a broad market, rises with ``u``, and the failures of a portfolio that is long in it lie
    on one side.
    """

    kind: ClassVar[str] = "historical"
    keeps_to_data: ClassVar[bool] = True

    values: Matrix
    fitted: Fitted | None = field(default=None, repr=False, metadata={"yaml": False})

    rows: Float = field(init=False, repr=False)
    thresholds: Float = field(init=False, repr=False)

    def __post_init__(self) -> None:
        values = _table(self.values)
        n = len(values)
        order = np.argsort(values.mean(axis=1), kind="stable")
        below = np.arange(1, n) / n
        thresholds = np.empty(n - 1)
        normal_scores.from_log_probabilities(np.log(below), np.log(below[::-1]), thresholds)
        object.__setattr__(self, "values", values)
        object.__setattr__(self, "rows", frozen(np.asfortranarray(values[order])))
        object.__setattr__(self, "thresholds", frozen(thresholds))

    @classmethod
    def fit(cls, data: ReturnsData | ArrayLike) -> Historical:
        """The rows of a table of returns.

        ``data`` is a `ReturnsSource`, a `ReturnsTable`, or an array or data frame of returns as fractions.

        Raises
        ------
        DataError
            When the data cannot be used.
        """
        table = table_of(data, cls.kind)
        worst = int(table.values.mean(axis=1).argmin())
        lines = [f"rows of {table.describe()}"]
        if table.dates:
            lines.append(f"lowest row by its mean: {table.dates[worst]}")
        fitted = Fitted(
            names=table.names,
            lines=tuple(lines),
            facts=table.source,
            history=table,
            returns=table.returns,
            last_prices=table.last_prices,
        )
        return cls(values=table.values, fitted=fitted)

    @property
    def dim(self) -> int:
        return int(self.rows.shape[1])

    @staticmethod
    def latent_dim_of(dim: int) -> int:
        return 1

    def to_physical(self, u: Float, x: Float) -> Float:
        row = np.searchsorted(self.thresholds, u[:, 0])
        for j in range(self.dim):
            np.take(self.rows[:, j], row, out=x[:, j], mode="clip")  # the other modes copy through a buffer
        return x

    def linear_moments(self, weights: Float) -> tuple[float, float]:
        line = self.rows @ weights
        return float(line.mean()), math.sqrt(float(np.mean((line - line.mean()) ** 2)))

    def exponential_moments(self, weights: Float) -> tuple[float, float]:
        line = np.exp(self.rows) @ weights
        return float(line.mean()), math.sqrt(float(np.mean((line - line.mean()) ** 2)))

    def mass_below(self, x: float) -> Float:
        return np.asarray((self.rows <= x).mean(axis=0))

    def describe(self) -> list[str]:
        n, d = self.rows.shape
        low, high = (float(row.mean()) for row in self.rows[[0, -1]])
        return [
            f"historical simulation: {n:,} rows of {d} column{'s' if d > 1 else ''}, each of probability 1/{n:,}",
            *(self.fitted.lines if self.fitted else ()),
            f"it cannot go beyond its sample: the means of the rows lie between {low:.4g} and {high:.4g}, and no loss "
            "is worse than in the worst row; for larger losses give each column a tail (`kind: fitted` with "
            "`margins: semi_parametric`)",
        ]

    @staticmethod
    def examples() -> list[Historical]:
        """Members for the conformance tests."""
        return [
            Historical(values=[[0.01], [-0.04], [0.02], [0.0], [-0.01]]),
            Historical(values=[[0.01, 0.03], [-0.05, -0.01], [0.02, -0.02], [0.0, 0.01]]),
        ]


def _table(given: ArrayLike) -> Float:
    try:
        values = np.array(given, dtype=np.float64)
    except (TypeError, ValueError):
        raise FieldError("values", f"must be numbers in equal rows, got {given!r}") from None
    if values.ndim != 2 or len(values) < 2 or values.shape[1] < 1:
        raise FieldError("values", f"must be at least 2 rows of at least 1 number, got shape {values.shape}")
    if not np.isfinite(values).all():
        raise FieldError("values", "must be finite, got NaN or infinity")
    return frozen(values)

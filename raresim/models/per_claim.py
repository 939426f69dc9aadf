"""What one claim adds to a loss under contracts: a function of its size, linear between the edges of layers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from raresim.models.compound_loss import CompoundLoss
from raresim.numerics.arrays import Float


@dataclass(frozen=True, eq=False)
class PerClaim:
    """A function that is 0 at 0, never falls, and is linear between knots.

    Parameters
    ----------
    at, value, slope : (k,) float64
        Sizes of claims, the first of them 0; what each adds; and what more is added of each unit beyond.
    """

    at: Float
    value: Float
    slope: Float

    @classmethod
    def of(cls, layers: Sequence[tuple[float, float, float]], ceded: bool) -> PerClaim | None:
        """What layers, each with its attachment, limit and share, take of a claim, or leave; None where it can fall."""
        edges = (a + limit for a, limit, _ in layers if math.isfinite(limit))
        at = np.array(sorted({0.0, *(a for a, _, _ in layers), *edges}))
        slopes = []
        for start in at:
            inside = sum(share for a, limit, share in layers if a <= start < a + limit)
            slopes.append(inside if ceded else 1.0 - inside)
        if min(slopes) < -1e-12:
            return None
        slope = np.maximum(np.array(slopes), 0.0)
        return cls(at, np.concatenate([[0.0], np.cumsum(slope[:-1] * np.diff(at))]), slope)

    def __call__(self, claim: Float) -> Float:
        """What claims (n,) add."""
        k = np.maximum(np.searchsorted(self.at, claim, side="right") - 1, 0)
        return np.asarray(self.value[k] + self.slope[k] * (claim - self.at[k]))

    @property
    def is_bounded(self) -> bool:
        """Whether it rises no more beyond the last knot."""
        return float(self.slope[-1]) == 0.0

    def first_reaching(self, y: Float) -> Float:
        """The smallest claim that adds at least each of ``y`` (n,): minus infinity for 0, infinity where none does."""
        k = np.maximum(np.searchsorted(self.value, y, side="left") - 1, 0)
        return np.where(y <= 0.0, -np.inf, self._beyond(k, y))

    def last_within(self, y: Float) -> Float:
        """The largest claim that adds at most each of ``y`` (n,): minus infinity below 0, infinity where all do."""
        k = np.maximum(np.searchsorted(self.value, y, side="right") - 1, 0)
        return np.where(y < 0.0, -np.inf, self._beyond(k, y))

    def _beyond(self, k: np.ndarray[tuple[int], np.dtype[np.intp]], y: Float) -> Float:
        with np.errstate(divide="ignore", invalid="ignore"):
            found = self.at[k] + (y - self.value[k]) / self.slope[k]
        return np.where(self.slope[k] > 0.0, found, np.inf)


def layers_of(loss: CompoundLoss, place: int, placed: bool = True) -> list[tuple[float, float, float]]:
    """Attachment, limit and share of layers on the line or table at ``place``; of whole layers if not ``placed``."""
    if loss.view == "gross":
        return []
    contracts = [loss.contracts[c] for c in loss.covers[place]]
    return [(c.attachment, c.limit, c.share if placed else 1.0) for c in contracts]


def has_annual_terms(loss: CompoundLoss) -> bool:
    """Whether a contract has terms for the whole period."""
    terms = (c.aggregate_deductible > 0.0 or math.isfinite(c.most) or c.corridor is not None for c in loss.contracts)
    return loss.view != "gross" and any(terms)

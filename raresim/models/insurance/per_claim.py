"""What one claim adds to a loss under contracts: a function of its size, linear between the edges of layers."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from raresim.models.insurance.compound_loss import CompoundLoss
from raresim.numerics.arrays import Float

ROUNDING = 1e-12
"""Slopes that count as none."""


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
        if min(slopes) < -ROUNDING:
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


def added_by(loss: CompoundLoss, place: int, placed: bool = True) -> PerClaim | None:
    """What a claim of the line or table at ``place`` adds to ``loss``, terms for the whole period aside.

    None where a larger claim can add less. If not ``placed``, the shares of contracts count as whole.
    """
    covering = () if loss.view == "gross" else loss.covers[place]
    contracts = [loss.contracts[c] for c in covering]
    if not any(contract.net_of for contract in contracts):
        layers = [(c.attachment, c.limit, c.share if placed else 1.0) for c in contracts]
        return PerClaim.of(layers, loss.view == "ceded")

    def added(claim: Float) -> Float:
        ceded = np.zeros(claim.size)
        for c, contract in zip(covering, contracts, strict=True):
            ceded += contract.share * loss.layer_of(c, place, claim)
        return ceded if loss.view == "ceded" else claim - ceded

    knots: set[float] = {0.0}
    for c in covering:
        found = _edges(loss, c, place)
        if found is None:
            return None
        knots |= found
    return _through(added, knots)


def _through(function: Callable[[Float], Float], knots: set[float]) -> PerClaim | None:
    """A function that is linear between and beyond ``knots``; None where it falls."""
    at = np.array(sorted(knots))
    at = at[np.append(True, np.diff(at) > ROUNDING * at[1:])]
    ends = np.append(at, 2.0 * at[-1] + 1.0)
    value = function(ends)
    slope = np.diff(value) / np.diff(ends)
    if slope.min() < -ROUNDING:
        return None
    return PerClaim(at, np.maximum.accumulate(value[:-1]), np.where(slope > ROUNDING, slope, 0.0))


def _edges(loss: CompoundLoss, contract: int, place: int) -> set[float] | None:
    """Claims at which what a contract's layer takes bends; None where its subject falls as a claim rises."""
    terms = loss.contracts[contract]
    knots: set[float] = {0.0}
    for c in loss.covers[place]:
        if loss.contracts[c].name in (terms.net_of or ()):
            found = _edges(loss, c, place)
            if found is None:
                return None
            knots |= found
    subject = _through(lambda claim: loss.subject_to(contract, place, claim), knots)
    if subject is None:
        return None
    edges = subject.first_reaching(np.array([terms.attachment, terms.attachment + terms.limit]))
    return knots | {float(edge) for edge in edges if math.isfinite(edge)}


def has_annual_terms(loss: CompoundLoss) -> bool:
    """Whether a contract has terms for the whole period."""
    return loss.view != "gross" and any(contract.is_annual for contract in loss.contracts)

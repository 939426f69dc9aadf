"""The exponential twist of what a claim adds to a loss, in steps: it exists for every severity, and is exact.

The textbook twists a claim ``X`` by ``exp(theta X) / E exp(theta X)``, which needs a moment generating function, and a
way to draw from the twisted law. Here the standard normal score of a claim falls into one of many cells, each with what
a claim of the cell adds to the loss on the whole, ``c``; the cells are twisted by ``exp(theta c)``, and inside of its
cell a claim keeps its law. So ``E exp(theta c)`` is a finite sum, and what is drawn has exactly the density ratio
``exp(theta c) / E exp(theta c)``; it differs from the textbook's by how much claims differ within a cell.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property
from typing import NamedTuple

import numpy as np

from raresim.marginals.base import Marginal
from raresim.models.own_risk import Places
from raresim.numerics import normal_scores
from raresim.numerics.arrays import Float

LOW, HIGH, CELLS = -6.0, 9.0, 600
"""Scores between which there are cells, and how many; one more is on each side."""

EDGES = np.linspace(LOW, HIGH, CELLS + 1)
"""Scores between the cells."""

POINTS = 8
"""Claims of each cell whose mean is taken for what a claim of it adds."""


@dataclass(frozen=True, eq=False)
class Cells:
    """The cells of the scores of a line's claims.

    Parameters
    ----------
    added : (k,) float64
        What a claim of each cell adds to the loss on the whole.
    """

    added: Float

    @classmethod
    def of(cls, law: Marginal, adds: Callable[[Float], Float], most: float) -> Cells:
        """The cells of the severity ``law``, where ``adds`` says what claims (n,) add; no more than ``most`` counts."""
        inner = LOW + (HIGH - LOW) * (np.arange(CELLS * POINTS) + 0.5) / (CELLS * POINTS)
        score = np.concatenate([[LOW], inner, [HIGH]])
        claim = np.empty(score.size)
        law.from_normal(score, claim)
        added = np.minimum(adds(claim), most)
        return cls(np.concatenate([added[:1], added[1:-1].reshape(CELLS, POINTS).mean(axis=1), added[-1:]]))

    def place(self, score: Float) -> Places:
        """The cell of each score (n,)."""
        return np.searchsorted(EDGES, score, side="right").astype(np.int64)

    def log_mean(self, theta: float) -> float:
        """``log E exp(theta c)``."""
        from scipy import special

        return float(special.logsumexp(theta * self.added + table().log_p))

    def twisted(self, theta: float) -> TwistedScores:
        """The law of scores, twisted by ``theta``."""
        log_q = theta * self.added + table().log_p
        return TwistedScores(np.exp(log_q - self.log_mean(theta)))


class Table(NamedTuple):
    """The law of scores without a twist: probabilities below and above each end of a cell, and the logs of cells'."""

    below: Float
    above: Float
    log_p: Float


@cache
def table() -> Table:
    """The table, made when it is first needed."""
    from scipy import special

    ends = np.concatenate([[-np.inf], EDGES, [np.inf]])
    below, above = special.ndtr(ends), special.ndtr(-ends)
    return Table(below, above, np.log(np.where(ends[:-1] < 0.0, np.diff(below), -np.diff(above))))


@dataclass(frozen=True, eq=False)
class TwistedScores:
    """A law of scores whose cells have other probabilities than those of a standard normal.

    Parameters
    ----------
    q : (k,) float64
        Of the cells.
    """

    q: Float

    @cached_property
    def _ends(self) -> tuple[Float, Float, Float]:
        """Probabilities below and above each end of a cell, and the standard normals between the cells."""
        below = np.append(0.0, np.cumsum(self.q))
        above = np.append(np.cumsum(self.q[::-1])[::-1], 0.0)
        between = np.empty(self.q.size - 1)
        with np.errstate(divide="ignore"):
            normal_scores.from_log_probabilities(np.log(below[1:-1]), np.log(above[1:-1]), between)
        return below, above, np.maximum.accumulate(between)

    def of_normal(self, u: Float) -> tuple[Places, Float]:
        """The cell and the score (n,) that standard normals ``u`` (n,) stand for; both rise with them."""
        from scipy import special

        below, above, between = self._ends
        cell = np.searchsorted(between, u, side="right").astype(np.int64)
        with np.errstate(divide="ignore", invalid="ignore"):
            lower = np.clip(np.nan_to_num((special.ndtr(u) - below[cell]) / self.q[cell]), 0.0, 1.0)
            upper = np.clip(np.nan_to_num((special.ndtr(-u) - above[cell + 1]) / self.q[cell]), 0.0, 1.0)
        lower, upper = np.where(u < 0.0, lower, 1.0 - upper), np.where(u < 0.0, 1.0 - lower, upper)
        plain_below, plain_above, _ = table()
        p_below = plain_below[cell] + lower * (plain_below[cell + 1] - plain_below[cell])
        p_above = plain_above[cell + 1] + upper * (plain_above[cell] - plain_above[cell + 1])
        score = np.where(
            p_below < 0.5, special.ndtri(np.minimum(p_below, 0.5)), -special.ndtri(np.minimum(p_above, 0.5))
        )
        return cell, np.clip(score, LOWER[cell], UPPER[cell])


LOWER, UPPER = np.append(-40.0, EDGES), np.append(EDGES, 40.0)
"""Ends of the cells; scores beyond 40 are no doubles' probabilities."""

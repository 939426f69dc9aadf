"""Weighted losses beyond a floor, from which quantiles, curves, contributions and scenarios are computed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from raresim.accumulators import tail_draws
from raresim.accumulators.summary import Summary
from raresim.engine.problem import Problem
from raresim.losses.parts import Held, InColumns, Parts
from raresim.numerics.arrays import Float

Whole = np.ndarray[tuple[int], np.dtype[np.int64]]


@dataclass(frozen=True, eq=False)
class TailSample:
    """Rows of the estimate with a loss of at least ``floor``; the rows below are only counted.

    Parameters
    ----------
    n : int
        Number of independent rows, including those below the floor.
    floor : float
        Smallest loss that was kept, in the unit of the loss.
    loss, log_weight : (k,) float64
        Losses and log weights of the kept rows, in the order of drawing; in the unit of the loss and in nats.
    row : (k,) int64
        Index of each kept row among the ``n``, from 0, rising.
    u : (k, l) float64
        Draws of the kept rows, in the space of the proposal; (k, 0) where they were not kept.
    x : (k, d) float64
        Risk factors of the kept rows; (k, 0) where they were not kept.
    components : (k, m) float64
        Loss of each part of the portfolio; (k, 0) where the loss has no parts, or they are too many to be held.
    in_columns : InColumns, optional
        The same where they are too many.

    Notes
    -----
    ``sum w f(x) / n`` over the rows estimates ``E[f(X); loss >= floor]`` under the target. Its standard error is
    `error_of_mean`, in which the rows below the floor count as zeros.
    """

    n: int
    floor: float
    loss: Float
    log_weight: Float
    row: Whole
    u: Float
    x: Float
    components: Float
    in_columns: InColumns | None = None

    @property
    def parts(self) -> Parts:
        """What the parts of the portfolio lost."""
        return self.in_columns or Held(self.components)

    @cached_property
    def weight(self) -> Float:
        """Weights (k,); over all ``n`` rows their expected mean is one."""
        return np.exp(self.log_weight)

    def mean(self, values: Float) -> float:
        """``sum w values / n`` for values (k,) of the kept rows."""
        return float(self.weight @ values) / self.n

    def error_of_mean(self, values: Float) -> float:
        """Standard error of `mean`, with zeros for the rows that were not kept."""
        terms = self.weight * values
        mean = float(terms.sum()) / self.n
        return math.sqrt(max(0.0, float(np.square(terms).sum()) / self.n - mean * mean) / max(1, self.n - 1))

    def error_of_sum(self, influence: Float) -> float:
        """Standard error of an estimate from influence values (k,) of the kept rows, weights included.

        ``sqrt(sum (g - mean g)^2) / n`` over all ``n`` rows, with 0 for rows that were not kept.
        """
        mean = float(influence.sum()) / self.n
        return math.sqrt(max(0.0, float(np.square(influence).sum()) / self.n - mean * mean) / max(1, self.n - 1))


def tail_sample(summary: Summary, problem: Problem) -> TailSample:
    """The rows beyond the floor, with their factors and components where their draws were kept."""
    losses = summary.losses
    if losses is None:
        raise ValueError("no rows were kept")
    if summary.draws is not None:
        draws = summary.draws
        loss, log_weight, row, u = draws.joined()
        return of_draws(problem, draws.n, losses.floor, loss, log_weight, row, u)
    loss, log_weight, row = losses.joined()
    nothing = np.empty((loss.size, 0))
    return TailSample(losses.among, losses.floor, loss, log_weight, row, nothing, nothing, nothing)


def of_draws(
    problem: Problem, n: int, floor: float, loss: Float, log_weight: Float, row: Whole, u: Float
) -> TailSample:
    """The rows of draws ``u`` (k, l), with their factors and components."""
    u = np.asfortranarray(u)
    x = u
    if problem.space == "standard":
        x = problem.inputs.to_physical(u, np.empty((len(u), problem.inputs.dim), order="F"))
    many, nothing = len(problem.loss.component_names), np.empty((len(u), 0))
    if len(u) * many > tail_draws.NUMBERS and (make := problem.loss.part_columns(x)) is not None:
        return TailSample(n, floor, loss, log_weight, row, u, x, nothing, InColumns(len(u), many, make))
    components = problem.loss.components(x)
    return TailSample(n, floor, loss, log_weight, row, u, x, nothing if components is None else components)

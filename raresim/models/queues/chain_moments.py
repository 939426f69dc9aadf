"""The mean square weight of a row of a line of servers with changed rates, by the equations of a single jump."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from raresim.models.queues.chain import LargestNumber
from raresim.models.queues.chain_draws import Filling, changes_of, ratios_at
from raresim.numerics.arrays import Float
from raresim.numerics.jit import kernel

MOST_WORK = 3e8
"""States times jumps times kinds of jumps up to which the equations are solved: a third of a second."""

SETTLED = 1e-13
"""Relative change of all states in a step from which on further steps change nothing."""

Steps = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class ChainMoments:
    """Moments of a row that is drawn until the line is as full as a level.

    Parameters
    ----------
    loss : LargestNumber
        The line.

    Notes
    -----
    A row of the change ``q`` has the weight ``w = prod p / q`` over its jumps, so ``E_q w^2 = E_p w`` in the event.
    That mean ``v(x)`` from the customers ``x`` on is ``sum_j p_j p_j / q_j(x) v(x + e_j)`` over the jumps ``e_j``, 1
    where the line is full and 0 where it is empty: linear equations over the states, here by as many steps as a path
    has jumps, so that the limit of jumps is kept too. Without a change they give the probability itself.
    """

    loss: LargestNumber

    def serves(self, level: int) -> bool:
        """Whether the states are few enough."""
        return float(level) ** self.loss.servers * self.loss.jumps * (self.loss.servers + 1) <= MOST_WORK

    def log_probability(self, level: int) -> float:
        """Log of the probability of at least ``level`` customers, in nats."""
        return self._log_moment(Filling(level, 0.0, 1, 1.0, 1.0), self.loss.gamma)

    def log_square(self, filling: Filling) -> float:
        """Log of the mean square weight of a row for ``filling`` in the event of its level, in nats."""
        return self._log_moment(filling, 2.0 * self.loss.gamma)

    def _log_moment(self, filling: Filling, tilt: float) -> float:
        """``tilt`` nats a customer keep the numbers near one."""
        d, level = self.loss.servers, filling.level
        states = level**d
        term, step = np.zeros((states, d + 1)), np.tile(np.arange(states)[:, None], d + 1)
        chain_terms(self.loss.p, *changes_of(filling, d), tilt, term, step)
        scaled = float(chain_moment(term, step, level, self.loss.jumps, np.zeros(states), np.zeros(states)))
        return math.log(scaled) - tilt * (level - 1) if scaled > 0 else -math.inf


@kernel
def chain_terms(
    p: Float, factors: Float, level: int, slope: float, apart: float, tilt: float, term: Float, step: Steps
) -> None:
    """What each jump does at each state: a state is the sum of ``x_j level^j`` over its customers ``x``.

    Parameters
    ----------
    p, factors, level, slope, apart : as for `ratios_at`
        The model, and the change.
    tilt : float
        Nats for each customer.
    term : (level^d, d + 1) float64
        Zeros: set to the probability of the jump times its weight, times ``exp(tilt)`` for each customer that it adds.
    step : (level^d, d + 1) int64
        The state itself: set to the state after the jump, or -1 where the line is then full.
    """
    d = p.shape[0] - 1
    at, ratio = np.empty(d, np.int64), np.empty(d + 1)
    for s in range(term.shape[0]):
        left, total = s, 0
        for j in range(d):
            at[j] = left % level
            left //= level
            total += at[j]
        if not 0 < total < level:
            continue
        ratios_at(at, p, factors, slope, apart, ratio)
        term[s, 0] = p[0] / ratio[0] * math.exp(tilt)
        step[s, 0] = -1 if total == level - 1 else s + 1
        stride = 1
        for j in range(1, d + 1):
            term[s, j] = p[j] / ratio[j]
            if at[j - 1] > 0:
                step[s, j] = s - stride + (stride * level if j < d else 0)
                term[s, j] *= 1.0 if j < d else math.exp(-tilt)
            stride *= level


@kernel
def chain_moment(term: Float, step: Steps, level: int, jumps: int, now: Float, new: Float) -> float:
    """The mean weight over paths of at most ``jumps`` jumps from one customer at the first server to ``level`` in all.

    Parameters
    ----------
    term, step : (n, d + 1) float64 and int64
        By `chain_terms`; the mean is tilted as they are.
    now, new : (n,) float64
        Zeros, overwritten.
    """
    for k in range(jumps):
        change = 0.0
        for s in range(now.shape[0]):
            value = 0.0
            for j in range(term.shape[1]):
                value += term[s, j] * (1.0 if step[s, j] < 0 else now[step[s, j]])
            new[s] = value
            if value > 0.0:
                change = max(change, abs(value - now[s]) / value)
        now[:] = new
        if change < SETTLED and k > level:
            break
    found: float = now[1]
    return found

"""Numbers of ruin and queues that are known in closed form."""

from __future__ import annotations

import math

import numpy as np


def ruin_exponential(claim_rate: float, load: float, reserve: float) -> float:
    """The probability of ruin with exponential claims: ``rho exp(-(1 - rho) beta u)``.

    Parameters
    ----------
    claim_rate : float
        ``beta``, one over the mean claim.
    load : float
        ``rho``, the expected claims of a unit of time over its premium.
    reserve : float
        ``u``.
    """
    return load * math.exp(-(1.0 - load) * claim_rate * reserve)


def reserve_exponential(claim_rate: float, load: float, tail: float) -> float:
    """The reserve that is ruined with the probability ``tail``, with exponential claims; see `ruin_exponential`."""
    return max(0.0, math.log(load / tail) / ((1.0 - load) * claim_rate))


def ruin_exponential_by(load: float, reserve: float, horizon: float) -> float:
    """The probability of ruin by a time with claims Exp(1), the premium rate 1 and the claim rate ``load``.

    Asmussen & Albrecher, *Ruin probabilities*, 2nd ed., 2010, V.1, proposition 1.3, by the trapezoidal rule.
    """
    rho, u, t = load, reserve, horizon
    at = np.linspace(0.0, math.pi, 20001)
    f1 = rho * np.exp(2.0 * math.sqrt(rho) * t * np.cos(at) - (1 + rho) * t + u * (math.sqrt(rho) * np.cos(at) - 1.0))
    turn = u * math.sqrt(rho) * np.sin(at)
    f2 = np.cos(turn) - np.cos(turn + 2.0 * at)
    f3 = 1.0 + rho - 2.0 * math.sqrt(rho) * np.cos(at)
    return rho * math.exp(-(1.0 - rho) * u) - float(np.trapezoid(f1 * f2 / f3, at)) / math.pi


def largest_number(arrival_rate: float, service_rates: tuple[float, ...], capacity: int) -> float:
    """The probability that so many customers are in a line of exponential servers before it is empty again.

    From one customer at the first server. For one server ``(r - 1) / (r^N - 1)`` with ``r = mu / lambda``; for two, the
    equations of the first step are solved.
    """
    if len(service_rates) == 1:
        r = service_rates[0] / arrival_rate
        return 1.0 / capacity if r == 1.0 else (r - 1.0) / math.expm1(capacity * math.log(r))
    return _of_two(arrival_rate, service_rates[0], service_rates[1], capacity)


def _of_two(arrival: float, first: float, second: float, capacity: int) -> float:
    from scipy import sparse
    from scipy.sparse import linalg

    states = [(a, b) for a in range(capacity) for b in range(capacity - a) if a + b > 0]
    place = {state: k for k, state in enumerate(states)}
    known = np.zeros(len(states))
    rows: list[int] = []
    columns: list[int] = []
    values: list[float] = []
    for k, (a, b) in enumerate(states):
        moves = [(arrival, (a + 1, b))]
        moves += [(first, (a - 1, b + 1))] * (a > 0) + [(second, (a, b - 1))] * (b > 0)
        entries = [(k, sum(rate for rate, _ in moves))]
        for rate, to in moves:
            if sum(to) == capacity:
                known[k] += rate
            elif sum(to) > 0:
                entries.append((place[to], -rate))
        rows += [k] * len(entries)
        columns += [column for column, _ in entries]
        values += [value for _, value in entries]
    matrix = sparse.csc_matrix((values, (rows, columns)), shape=(len(states), len(states)))
    return float(linalg.spsolve(matrix, known)[place[1, 0]])

"""Numbers of Brownian paths that are known in closed form, and by a shifted barrier for discrete dates."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from raresim.models.controls import Control
from raresim.models.paths.aims import in_path
from raresim.models.paths.path_loss import PathLoss
from raresim.models.paths.steps import NormalStep

if TYPE_CHECKING:
    from raresim.record.records import Estimate

SHIFT = 0.5825971579390107
"""``-zeta(1/2) / sqrt(2 pi)``: how far a barrier at discrete dates lies, in standard deviations of a step, from one
that is watched all the time and has the same probability: Broadie, Glasserman & Kou, *A continuity correction for
discrete barrier options*, Mathematical Finance 7, 1997."""

SHIFTED = "many dates: the barrier is moved by 0.5826 standard deviations of a step (Broadie, Glasserman & Kou)"


def normal_cdf(x: float) -> float:
    """``Phi(x)``."""
    return 0.5 * math.erfc(-x / math.sqrt(2.0))


def reaches(mean: float, std: float, level: float) -> float:
    """The probability that a Brownian motion reaches ``level`` (> 0), with this mean and standard deviation at the end.

    By the reflection principle with drift: Shreve, *Stochastic calculus for finance II*, 2004, corollary 7.2.2.
    """
    return normal_cdf((mean - level) / std) + math.exp(2.0 * mean * level / std**2) * normal_cdf((-level - mean) / std)


def reaches_and_ends_below(mean: float, std: float, level: float, end: float) -> float:
    """The probability that it reaches ``level`` (> 0) and ends at most at ``end``, by the same principle."""
    if end > level:
        return reaches(mean, std, level) - normal_cdf((mean - end) / std)
    return math.exp(2.0 * mean * level / std**2) * normal_cdf((end - 2.0 * level - mean) / std)


def controls_of(loss: PathLoss, estimates: Sequence[Estimate]) -> tuple[Control, ...]:
    """What is known of each probability of a path with normal steps."""
    step = loss.process.increment(loss.dt)
    if not isinstance(step, NormalStep):
        return ()
    found = []
    for e in estimates:
        if e.kind == "probability" and e.threshold is not None:
            known = probability(loss, step, float(e.threshold), e.direction != "below")
            if known is not None:
                name, value, assumes, within = known
                found.append(Control(name, e.label, value, e.value, assumes, within))
    return tuple(found)


def probability(loss: PathLoss, step: NormalStep, x: float, above: bool) -> tuple[str, float, str, float | None] | None:
    """Name and value of what is known, what it assumes, and how far off it may be; None where nothing is known."""
    mean, std = loss.steps * step.loc, math.sqrt(loss.steps) * step.std
    watched = None if loss.continuous else SHIFT * step.std
    level = None if loss.quantity in ("knock_in", "knock_out", "first_passage", "drawdown") else in_path(loss, x)
    if loss.quantity == "end" and level is not None:
        upper = normal_cdf((mean - level) / std)
        return "normal law of the end", upper if above else 1.0 - upper, "nothing", 1e-6
    if loss.quantity == "average" and loss.geometric and loss.process.is_price and level is not None:
        m = loss.steps
        middle, spread = step.loc * (m + 1) / 2.0, step.std * math.sqrt((m + 1) * (2 * m + 1) / (6.0 * m))
        upper = normal_cdf((middle - level) / spread)
        return "lognormal law of the geometric average", upper if above else 1.0 - upper, "nothing", 1e-6
    if loss.quantity in ("maximum", "minimum") and level is not None and loss.sign * level > 0:
        value = reaches(loss.sign * mean, std, loss.sign * level + (watched or 0.0))
        value = value if above == (loss.sign > 0) else 1.0 - value
        return _named("reflection principle", value, watched)
    if loss.quantity == "first_passage" and not above and x <= loss.dt * loss.steps:
        many = math.floor(x / loss.dt * (1.0 + 1e-12))
        if many < 1:
            return None
        time_std = math.sqrt(many) * step.std
        value = reaches(loss.sign * many * step.loc, time_std, abs(loss.barrier) + (watched or 0.0))
        return _named("reflection principle", value, watched)
    if loss.quantity in ("knock_in", "knock_out") and loss.payoff == "digital" and above and x == 0:
        return _named("reflection principle", _digital(loss, mean, std, watched or 0.0), watched)
    return None


def _digital(loss: PathLoss, mean: float, std: float, shift: float) -> float:
    """The probability that a digital knock-in or knock-out pays, seen in the direction of its barrier."""
    sign = loss.sign
    mean, level = sign * mean, abs(loss.barrier) + shift
    knocked = reaches(mean, std, level)
    if math.isnan(loss.strike):
        return knocked if loss.quantity == "knock_in" else 1.0 - knocked
    strike = sign * loss.strike
    both = reaches_and_ends_below(mean, std, level, strike)
    at_most = 1.0 - normal_cdf((mean - strike) / std)
    if loss.call == (sign > 0):  # it has to end beyond the strike, in the direction of the barrier
        both, at_most = knocked - both, 1.0 - at_most
    return both if loss.quantity == "knock_in" else at_most - both


def _named(name: str, value: float, shift: float | None) -> tuple[str, float, str, float | None]:
    return (name, value, "nothing", 1e-6) if shift is None else (name, value, SHIFTED, None)

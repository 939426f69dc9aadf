"""Probabilities of events that the target itself hits often, from draws whose weights have the mean one."""

from __future__ import annotations

import math
from dataclasses import dataclass

from raresim.accumulators.tail import TailMoments
from raresim.measures.intervals import weighted_upper

OFTEN = 0.05
"""Probability from which the target hits an event often."""

FEW = 0.02
"""Weights count as many if the largest possible weight is at most this share of their sum."""

LEAST_WORTH = 20.0
"""Effective number of weights outside the event from which their sum has a lower end."""


@dataclass(frozen=True)
class Often:
    """The probability of a common event, from the weights inside and outside the event.

    Parameters
    ----------
    value, relative_error : float
        The probability, at most one, and its standard error divided by it.
    outside : float
        One minus the value, exact where that is small.
    odds_error : float or None
        Standard error of the logarithm of the odds; None where the weights outside are too few for one.
    outside_ends : tuple of float
        For the few weights outside: the sums of the weights and of their squares, relative to the largest possible
        weight; that weight divided by the number of rows; and the relative error of ``outside``.
    """

    value: float
    relative_error: float
    outside: float
    odds_error: float | None
    outside_ends: tuple[float, float, float, float]

    @property
    def kind(self) -> str:
        """The kind of the interval, in words."""
        return "log scale of the odds" if self.odds_error is not None else "gamma law of the few draws outside"

    def interval(self, confidence: float, dof: int | None, factor: float) -> tuple[float, float]:
        """The interval, symmetric in the log odds, or from the upper end of the few weights outside.

        ``factor`` multiplies the quantile, which is Student's t if there are degrees of freedom ``dof``.
        """
        from scipy.special import expit, ndtri, stdtrit

        p = 0.5 + 0.5 * confidence
        quantile = factor * float(ndtri(p) if dof is None else stdtrit(dof, p))
        if self.odds_error is not None:
            middle, half = math.log(self.value) - math.log(self.outside), quantile * self.odds_error
            return float(expit(middle - half)), float(expit(middle + half))
        total, squares, scale, error = self.outside_ends
        most = scale * weighted_upper(total, squares, confidence)
        most = self.outside + factor * (most - self.outside)
        least = self.outside * math.exp(-quantile * error) if error <= LEAST_WORTH**-0.5 else 0.0
        return max(0.0, min(1.0 - most, self.value)), 1.0 - least


def often(inside: TailMoments, outside: TailMoments | None, k: int, log_bound: float | None) -> Often | None:
    """The probability of event ``k`` if it is common; None if the plain mean of its weights is the better estimate.

    Parameters
    ----------
    inside, outside : TailMoments
        Moments of the rows in each event, and of the rows outside it.
    k : int
        Index of the event.
    log_bound : float or None
        Log of the largest possible weight, in nats; None where there is no bound.

    Notes
    -----
    A proposal for the far tail has uneven weights where most of the target lies, and their mean over a common event may
    even exceed one. The mean of all weights is known to be one and serves as a control variate. With the coefficient
    that keeps the estimate within [0, 1], the estimate is the share ``A / (A + B)`` of the sums of weights inside and
    outside ([1]_, section 9.2). The sums come from different rows, so to first order the squared error of the log odds
    ``A / B`` is ``sum w^2 / A^2 + sum w^2 / B^2``. This needs a share of draws from the target, without which a part of
    the outside may never be drawn; that share also bounds the weights.

    If the sum outside has few weights, measured by the largest possible weight, the probability is close to one. Its
    interval then begins at one minus the upper end of that sum, as for a Poisson number of the largest weights.

    References
    ----------
    .. [1] Owen, *Monte Carlo theory, methods and examples*, 2013, chapter 9.
    """
    if outside is None or log_bound is None or not inside.hits[k]:
        return None
    n, scale = inside.n, math.exp(log_bound)
    plain = math.exp(min(inside.log_probability(k), 1.0))
    (a, aa), (b, bb) = ((sums(of, k, log_bound)) for of in (inside, outside))
    if plain < OFTEN or a <= 1.0 / FEW:
        return None
    value, rest = a / (a + b), b / (a + b)
    few = scale / n
    if b <= 1.0 / FEW:
        error = math.sqrt(bb + 1.0)
        ends = (b, bb, few, math.sqrt(bb) / b if b else math.inf)
        return Often(value, few * error / value, rest, None, ends)
    odds_error = math.sqrt(aa / a**2 + bb / b**2)
    if rest * odds_error > inside.relative_error(k) and plain < 1.0:
        return None
    return Often(value, rest * odds_error, rest, odds_error, (b, bb, few, math.sqrt(bb) / b))


def sums(of: TailMoments, k: int, log_bound: float) -> tuple[float, float]:
    """Sums of the weights of event ``k`` and of their squares, relative to the largest possible weight."""
    if not of.hits[k]:
        return 0.0, 0.0
    shrink = math.exp(float(of.peak[k]) - log_bound)
    return shrink * float(of.sum_w[k]), shrink**2 * float(of.sum_w2[k])

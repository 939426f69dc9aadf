"""Rough quantiles of the loss by climbs, so that a proposal can be tuned before they are known."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from raresim.accumulators.base import Accumulator
from raresim.engine.fold import Job, Sampler
from raresim.engine.session import Session
from raresim.errors import FieldError
from raresim.measures.base import Measure
from raresim.measures.curve import TailCurve
from raresim.methods.base import Method
from raresim.methods.subset_simulation import climb
from raresim.numerics.arrays import Float
from raresim.numerics.blocks import Block
from raresim.numerics.streams import stream
from raresim.run.rough_quantiles import Quantiles

CLIMBS = 2
SAMPLES, LEAST = 1000, 100
"""Draws of a level of each climb: the usual number, and the smallest for a small budget."""

SHARE = 0.1
"""Largest share of the run's evaluations."""

RARITY = 0.1

BEYOND = 0.3
"""How far beyond the rarest quantile the climbs go, as a share of its probability: the slope is read from there."""


@dataclass(frozen=True, eq=False)
class Climbed(Accumulator):
    """Weighted losses of climbs; in each climb the weights average to one over its rows."""

    n: int
    loss: Float
    log_weight: Float
    evaluations: int
    reached: int
    u: Float

    def merge(self, other: Self) -> Self:
        return type(self)(
            self.n + other.n,
            np.concatenate([self.loss, other.loss]),
            np.concatenate([self.log_weight, other.log_weight]),
            self.evaluations + other.evaluations,
            self.reached + other.reached,
            np.concatenate([self.u, other.u]),
        )


@dataclass(frozen=True, eq=False)
class Located(Quantiles):
    """Quantiles of the loss as climbs of subset simulation show them.

    Parameters
    ----------
    curve : TailCurve
        The curve of all their draws.
    evaluations : int
        Evaluations of all climbs.
    reached : int
        Number of climbs that came to the rarest quantile.
    draws : Climbed, optional
        The draws themselves, if they were asked for.
    """

    curve: TailCurve
    evaluations: int
    reached: int
    draws: Climbed | None = None

    def quantile(self, tail: float) -> float:
        """The loss that is exceeded with a probability of about ``tail``; else the smallest loss that was seen."""
        at = self.curve.index(tail)
        return float(self.curve.loss[-1 if at is None else at])

    def excess(self, tail: float) -> float:
        at = self.curve.index(tail)
        return self.curve.excess(at)[0] / tail if at else 0.0


@dataclass(frozen=True, eq=False)
class _Find(Job[Climbed]):
    """One climb to a given probability."""

    sampler: Sampler
    samples: int
    until: float
    most: int
    keep: bool

    def __call__(self, block: Block) -> Climbed:
        sampler = self.sampler

        def evaluate(u: Float) -> Float:
            return sampler.signed_loss(u, block, 1.0)

        rng = stream(sampler.seed, block.stage, block.index)
        done = climb(
            evaluate,
            sampler.problem.dim,
            self.samples,
            RARITY,
            math.inf,
            rng,
            max_evaluations=self.most,
            until=self.until,
            keep_from=-math.inf if self.keep else math.inf,
        )
        u, loss, log_weight = zip(*done.shells(), strict=True)
        losses, log_weights = np.concatenate(loss), np.concatenate(log_weight)
        draws = np.concatenate(u) if self.keep else np.empty((0, sampler.problem.dim))
        return Climbed(losses.size, losses, log_weights, done.evaluations, int(done.reached), draws)


def sought(measures: Sequence[Measure], method: Method, are_known: bool) -> list[float]:
    """The tails whose quantiles are to be located: none if the model knows them, or ``method`` finds them itself."""
    if are_known or method.finds_quantiles:
        return []
    return [tail for measure in measures for tail in measure.tails]


def expected_cost(tails: Sequence[float]) -> int:
    """Evaluations that `locate` takes if the budget allows them: 0 without a tail."""
    return round(CLIMBS * SAMPLES * (1.0 + (1.0 - RARITY) * _levels(tails))) if tails else 0


def refuse_budget(tails: Sequence[float], max_evaluations: int) -> None:
    """Raise `FieldError` if the share of the budget that `locate` may use does not pay for its climbs."""
    levels = _levels(tails)
    if _affordable(levels, max_evaluations) < LEAST:
        least = math.ceil(LEAST * CLIMBS * (1.0 + levels) / SHARE)
        raise FieldError(
            "max_evaluations",
            f"must be at least {least:,} to find a quantile with tail probability {min(tails):.3g}, got "
            f"{max_evaluations:,}",
            ("stop",),
        )


def _affordable(levels: float, max_evaluations: int) -> int:
    """Draws of a level that each climb can pay for."""
    return int(SHARE * max_evaluations / (CLIMBS * (1.0 + levels)))


def _levels(tails: Sequence[float]) -> float:
    return max(1.0, math.log(BEYOND * min(tails)) / math.log(RARITY))


def locate(session: Session, tails: Sequence[float], keep: bool = False) -> Located:
    """Climb to the rarest of ``tails`` and read the quantiles of all.

    Parameters
    ----------
    session : Session
        Problem, executor and budget.
    tails : sequence of float
        Tail probabilities, at least one.
    keep : bool
        Whether to keep the draws of the climbs.

    Raises
    ------
    FieldError
        When the budget does not pay for the climbs.

    Notes
    -----
    The quantiles need only be near: the estimate reads its own from rows of its own, wherever they lie. If a
    probability is off by a third, the proposal is nearly as good. The climbs need no threshold: each sets its levels
    from its own draws, and such a level is a quantile.
    """
    problem = session.problem
    until = math.log(BEYOND * min(tails))
    levels = _levels(tails)
    refuse_budget(tails, session.max_evaluations)
    samples = min(SAMPLES, _affordable(levels, session.max_evaluations))
    most = 2 * math.ceil(samples * (1.0 + levels))
    job = _Find(Sampler(problem, None, session.seed), samples, until, most, keep)
    found = session.fold("explore", job, session.plan(CLIMBS, fixed_rows=1), f"quantile at {min(tails):.3g}")
    curve = TailCurve.of_rows(found.n, found.loss, found.log_weight)
    return Located(curve, found.evaluations, found.reached, found if keep else None)

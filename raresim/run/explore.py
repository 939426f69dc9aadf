"""Before the search: the scale of the loss, and the questions of all measures."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from raresim.accumulators.kept import KeptRows
from raresim.accumulators.moments import LossMoments
from raresim.accumulators.several import Several
from raresim.accumulators.tail_draws import NUMBERS
from raresim.diagnostics.psis import khat
from raresim.engine.fold import Job, Sampler
from raresim.engine.problem import Problem
from raresim.engine.session import Session
from raresim.errors import FieldError
from raresim.measures.base import LossScale, Question
from raresim.measures.tail_rate import normal_rate
from raresim.measures.tail_sample import TailSample, of_draws
from raresim.numerics.blocks import Block
from raresim.run.locate import Located
from raresim.run.rough_quantiles import KnownQuantiles

EXPLORE_DRAWS, EXPLORE_SHARE = 10_000, 0.02
"""Draws of the target for the standard deviation of a loss without a closed form; and the largest share of the budget
for more draws, if the asked error of a threshold in standard deviations needs them."""


@dataclass(frozen=True, eq=False)
class _Explore(Job[Several[Any]]):
    """Mean and standard deviation of the loss under the target, and the losses themselves."""

    sampler: Sampler

    def __call__(self, block: Block) -> Several[Any]:
        loss = self.sampler.loss(self.sampler.draw(block), block)
        loss = loss[~np.isnan(loss)]
        return Several((LossMoments.of_block(loss), KeptRows(loss, np.zeros(loss.size))))


def scale_of(session: Session, explored: list[LossScale], sigmas: Sequence[float]) -> Callable[[], LossScale]:
    """Mean and standard deviation of the loss: in closed form, or from a pilot sample that is put into ``explored``.

    Thresholds at ``sigmas`` standard deviations need more draws, up to a share of the budget.
    """
    problem = session.problem

    def scale() -> LossScale:
        closed = problem.loss.moments(problem.inputs)
        if closed is not None:
            return LossScale(*closed, "model standard deviation, closed form")
        if not explored:
            refuse_budget(session.max_evaluations)
            job = _Explore(Sampler(problem, None, session.seed))
            found, spent = session.fold("explore", job, session.plan(EXPLORE_DRAWS)), EXPLORE_DRAWS
            wanted = max((draws_for(_read_scale(found, spent), k, session.relative_error) for k in sigmas), default=0)
            more = min(wanted, int(EXPLORE_SHARE * session.max_evaluations)) - spent
            if more > 0:
                found, spent = session.fold("explore", job, session.plan(more), before=found), spent + more
            explored.append(_read_scale(found, spent))
        return explored[0]

    return scale


def refuse_budget(max_evaluations: int) -> None:
    """Raise `FieldError` if the budget does not pay for the pilot that gives the standard deviation of the loss."""
    if max_evaluations <= EXPLORE_DRAWS:
        raise FieldError(
            "max_evaluations",
            f"must be above {EXPLORE_DRAWS:,}: that many draws estimate the standard deviation of this loss; "
            "or give the threshold in loss units, or sigma as a number",
            ("stop",),
        )


def _read_scale(found: Several[Any], evaluations: int) -> LossScale:
    """Mean and standard deviation from the draws of the pilot sample."""
    moments, kept = found.parts
    source = f"model standard deviation, from {moments.n:,} draws"
    scale = LossScale(moments.mean, moments.std, source, moments.n, evaluations=evaluations)
    if not (math.isfinite(scale.std) and scale.std > 0):
        return scale
    z = (kept.loss - scale.mean) / scale.std
    shape = khat(2.0 * np.log(np.abs(z[z != 0.0])), z.size)
    return replace(scale, skewness=float((z**3).mean()), kurtosis=float((z**4).mean()), khat=shape)


def draws_for(scale: LossScale, sigmas: float, relative_error: float | None) -> int:
    """Draws after which ``mean + sigmas std`` is known well enough for the asked error of the probability beyond it.

    The tail is assumed to fall there as a normal law does, ``-d log P / dk = phi(k) / Phi(-k)``.
    """
    if relative_error is None or not scale.draws or not (math.isfinite(scale.std) and scale.std > 0):
        return 0
    rate = normal_rate(abs(sigmas))
    return math.ceil(scale.draws * (rate * scale.error_at(sigmas) / scale.std / relative_error) ** 2)


def once(asked: Sequence[Sequence[Question]]) -> tuple[list[Question], list[list[int]]]:
    """The questions of all measures, equal ones once, and for each measure the indices of its own."""
    questions: list[Question] = []
    places: list[list[int]] = []
    for of_measure in asked:
        places.append([])
        for question in of_measure:
            alike = (
                k
                for k, other in enumerate(questions)
                if replace(other, reference=question.reference, asked=question.asked) == question
                and None in (other.reference, question.reference)
            )
            place = next(alike, len(questions)) if question.tail is not None else len(questions)
            if place == len(questions):
                questions.append(question)
            else:
                known = questions[place]
                reference = known.reference or question.reference
                questions[place] = replace(known, reference=reference, asked=known.asked or question.asked)
            places[-1].append(place)
    return questions, places


def climbed(located: Located | KnownQuantiles, problem: Problem) -> Callable[[float], TailSample]:
    """A function that gives the draws of the climbs beyond the quantile of a tail probability, as rows."""

    def rows(tail: float) -> TailSample:
        draws, floor = located.draws, located.quantile(tail)
        if draws is None:
            raise ValueError("the draws of the climbs were not kept")
        at = np.flatnonzero(draws.loss >= floor).astype(np.int64)
        every = max(1, math.ceil(at.size * len(problem.loss.component_names) / NUMBERS))
        at = at[::every]  # of very many parts, one row in so many is enough to see how far they reach
        log_weight = draws.log_weight[at] + math.log(every)
        return of_draws(problem, draws.n, floor, draws.loss[at], log_weight, at, draws.u[at])

    return rows


def nowhere(tail: float) -> float:
    raise ValueError(f"a quantile that is not among the measure's tails: {tail:g}")


def unknown(tail: float) -> float:
    """The quantile where the method finds it by itself: not a number."""
    return math.nan

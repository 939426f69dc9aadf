"""The estimator of Asmussen and Kroese for sums."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from raresim.engine.fold import Sampler
from raresim.engine.problem import Problem, Space
from raresim.engine.session import Session
from raresim.errors import FieldError
from raresim.estimators.conditional_sum import ConditionalSum
from raresim.marginals.base import Marginal
from raresim.methods.base import Method, Tuned
from raresim.methods.regions import iteration
from raresim.numerics.arrays import Float
from raresim.registry import member

TRIAL = 2000
"""Draws from which the size of the sample is planned."""

MIN_ESS = 40.0
"""Smallest effective number of rows of the trial from which anything is planned."""


@member("method")
@dataclass(frozen=True, kw_only=True)
class AsmussenKroese(Method):
    """For a linear loss of independent heavy-tailed factors: the largest summand is integrated out.

    The inputs must be independent and continuous (kind independent, standard_normal, or normal with ``std``), the loss
    linear. The estimate is unbiased for any signs and laws. Its error stays small as the threshold grows if the upper
    tails of the summands are heavy (subexponential); if they are light, it grows as in crude Monte Carlo.

    Notes
    -----
    See `raresim.estimators.conditional_sum.ConditionalSum` for the formula. A row is one draw and counts as one
    evaluation; the loss itself is not called.
    """

    kind: ClassVar[str] = "asmussen_kroese"
    both_sides: ClassVar[bool] = True
    unaudited: ClassVar[str] = "every draw comes from the target itself"

    @property
    def weighs_draws(self) -> bool:
        return False

    @property
    def draws_in(self) -> Space:
        return "standard"

    def cost(self, latent_dim: int, dim: int) -> int:
        return TRIAL

    def describe(self) -> list[str]:
        return ["Asmussen-Kroese conditional Monte Carlo: the largest summand is integrated out, the others are drawn"]

    def refuse_problem(self, problem: Problem) -> None:
        summands(problem)

    def tune(self, session: Session) -> Tuned:
        sampler = Sampler(session.problem, None, session.seed)
        rows = ConditionalSum(sampler, tuple(session.events), *summands(session.problem))
        trial = min(TRIAL, session.max_evaluations // 2)
        tail = session.fold("tune", rows, session.plan(trial), "trial").tail
        events = range(tail.hits.size)
        planned = min(tail.ess(k) for k in events) >= MIN_ESS
        least = min(tail.ess(k) for k in events)
        return Tuned(
            proposal=None,
            iterations=(iteration("all", 0, math.nan, trial, int(tail.hits.min()), tail.hits.min() / trial),),
            evaluations=trial,
            variances=tuple(trial * tail.relative_error(k) ** 2 for k in events) if planned else None,
            outcome="draws come from the target, without a search",
            estimator=rows,
            decisions=(
                "For each summand, given the others, the probability that it is the largest and that the sum is in the "
                "event is computed exactly.",
                f"A trial of {trial:,} draws is worth {least:,.0f} effective draws; "
                + ("the sample size is planned from its variance." if planned else "too few to plan the sample size."),
            ),
        )

    @staticmethod
    def examples() -> list[AsmussenKroese]:
        """Members for the conformance tests."""
        return [AsmussenKroese()]


def summands(problem: Problem) -> tuple[tuple[Marginal, ...], Float]:
    """The laws of the factors, and their weights in the loss.

    Raises
    ------
    FieldError
        When the loss is not a weighted sum, or the inputs are not independent and continuous.
    """
    loss, inputs = problem.loss, problem.inputs
    weights, laws = loss.factor_weights, inputs.independent_laws
    if weights is None:
        raise FieldError(
            "loss",
            "must be a weighted sum of the factors for method asmussen_kroese (kind linear, without revalue), got "
            f"{loss.describe()[0]}",
            (),
        )
    if laws is None:
        raise FieldError(
            "inputs",
            "must be independent for method asmussen_kroese (kind independent, standard_normal, or normal with std), "
            f"got {inputs.kind}",
            (),
        )
    discrete = [law.describe() for k, law in enumerate(laws) if law.discrete and weights[k]]
    if discrete:
        raise FieldError("inputs", f"must have continuous laws for method asmussen_kroese, got {discrete[0]}", ())
    return laws, weights

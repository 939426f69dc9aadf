"""The estimator of Asmussen and Kroese for sums."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from raresim.distributions.base import Inputs
from raresim.distributions.independent import Independent
from raresim.distributions.normal import Normal
from raresim.distributions.standard_normal import StandardNormal
from raresim.engine.fold import Sampler
from raresim.engine.problem import Space
from raresim.engine.session import Session
from raresim.errors import FieldError
from raresim.estimators.conditional_sum import ConditionalSum
from raresim.losses.linear import Linear
from raresim.marginals.base import Marginal
from raresim.marginals.normal import Normal as NormalMarginal
from raresim.methods.base import Method, Tuned
from raresim.methods.regions import iteration
from raresim.registry import member

TRIAL = 2000
"""Draws from which the size of the sample is planned."""

MIN_ESS = 40.0
"""Effective rows of the trial below which nothing is planned from it."""


@member("method")
@dataclass(frozen=True, kw_only=True)
class AsmussenKroese(Method):
    """For a linear loss of independent heavy-tailed factors: the largest summand is integrated out.

    The inputs must be independent and continuous (kind independent, standard_normal, or normal with ``std``), the loss
    linear. It is unbiased for any signs and laws; its error stays small as the threshold grows where the summands'
    upper tails are heavy (subexponential), and it is no better than crude Monte Carlo in kind where they are light.

    Notes
    -----
    See `raresim.estimators.conditional_sum.ConditionalSum` for the formula. A row is one draw and counts as one
    evaluation; the loss itself is not called.
    """

    kind: ClassVar[str] = "asmussen_kroese"

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

    def tune(self, session: Session) -> Tuned:
        rows = conditional_sum(session)
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
            outcome="draws come from the target: nothing was searched for",
            estimator=rows,
            decisions=(
                "For each summand the probability that it is the largest and the sum in the event is exact given the "
                "others.",
                f"A trial of {trial:,} draws was worth {least:,.0f} equally weighted ones; "
                + ("its variance plans the sample." if planned else "too few to plan the sample from."),
            ),
        )

    @staticmethod
    def examples() -> list[AsmussenKroese]:
        """Members for the conformance tests."""
        return [AsmussenKroese()]


def conditional_sum(session: Session) -> ConditionalSum:
    """The estimator for the session's problem.

    Raises
    ------
    FieldError
        When the loss is not linear, or the inputs are not independent and continuous.
    """
    loss, inputs = session.problem.loss, session.problem.inputs
    if not isinstance(loss, Linear):
        raise FieldError("loss", f"must be of kind linear for method asmussen_kroese, got {type(loss).kind}")
    if loss.is_revalued:
        raise FieldError("loss", "must be a sum of the factors for method asmussen_kroese, got revalue: exp")
    laws, weights = independent_laws(inputs), loss.exposure
    discrete = [law.describe() for k, law in enumerate(laws) if law.discrete and weights[k]]
    if discrete:
        raise FieldError("inputs", f"must have continuous laws for method asmussen_kroese, got {discrete[0]}")
    sampler = Sampler(session.problem, None, session.seed)
    return ConditionalSum(sampler, tuple(session.events), laws, weights)


def independent_laws(inputs: Inputs) -> tuple[Marginal, ...]:
    """The laws of independent factors; raises `FieldError` where they depend on each other."""
    if isinstance(inputs, Independent):
        return inputs.laws
    if isinstance(inputs, StandardNormal):
        return (NormalMarginal(),) * inputs.dim
    if isinstance(inputs, Normal) and not inputs.correlated:
        return tuple(NormalMarginal(loc=m, scale=s) for m, s in zip(inputs.location, inputs.scales, strict=True))
    raise FieldError(
        "inputs",
        "must be independent for method asmussen_kroese (kind independent, standard_normal, or normal with std), "
        f"got {inputs.kind}",
    )

"""The scheme of a quadratic loss: factors twisted towards it, with strata of the loss."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from raresim.distributions.base import Distribution
from raresim.distributions.mixture import Mixture
from raresim.distributions.standard_normal import StandardNormal
from raresim.engine.fold import Sampler
from raresim.engine.session import Session
from raresim.methods.base import Tuned
from raresim.methods.scheme import Scheme, spread_over
from raresim.methods.scheme_pilot import SchemePilot
from raresim.models.market.exact_quadratic import QuadraticLaw
from raresim.models.market.quadratic_draws import QuadraticDraws
from raresim.models.market.quadratic_form import QuadraticForm
from raresim.models.market.strata import stratified
from raresim.models.market.twisted_quadratic import TwistedQuadratic
from raresim.numerics.streams import stream

MOST_LEVELS = 6
"""Losses that rows are drawn for, at most, spread over those that are asked."""

BEYOND = (0.1, 0.01)
"""Shares of the smallest tail that is asked, of whose losses rows are drawn too where tails are heavy."""

PLAIN = 0.05
"""Share of rows from the model itself: no weight is larger than its inverse."""

PILOT = 200
"""Rows of the pilot for each level."""

PATIENCE = 100.0
"""`Tuned.patience`: the law of the loss is known, so a search has nothing to find."""


@dataclass(frozen=True, eq=False)
class QuadraticTwist(Scheme):
    """The exponential twist of a quadratic loss, at the saddle point of each loss that is asked for.

    Parameters
    ----------
    form : QuadraticForm
        The loss of the model.
    """

    form: QuadraticForm

    @property
    def name(self) -> str:
        return "delta-gamma twist of the factors, with strata of the quadratic loss"

    def tune(self, session: Session) -> Tuned | None:
        levels = asked_levels(session, self.form)
        if not levels:
            return None
        if session.beyond is not None and self.form.dof is not None:
            levels = [*levels, *further(self.form, levels[-1])]
        rng = stream(session.seed, session.plan(1).stage, 0)
        laws = [stratified(self.form, level, session.beyond is not None, rng) for level in levels]
        found = [law for law in laws if law is not None]
        if len(found) < len(levels):
            return None
        proposal = defended(found)
        sampler = Sampler(session.problem, proposal, session.seed)
        rows = QuadraticDraws(sampler, tuple(session.events), session.beyond)
        pilot = SchemePilot.of(session, rows, PILOT * len(found), "the delta-gamma twist")
        outcome = "the twist makes the event common"
        tuned = pilot.tuned("delta-gamma twist", levels[-1], outcome, (*told(found), pilot.sentence))
        return replace(tuned, proposal=proposal, estimator=rows, patience=PATIENCE)


def asked_levels(session: Session, form: QuadraticForm) -> list[float]:
    """The losses that rows are drawn for: those above the usual one; empty where an event lies below its threshold."""
    asked = {event.threshold for event in session.events}
    if session.beyond is not None:
        asked.add(session.beyond.floor)
    if any(event.direction == "below" for event in session.events):
        return []
    high = form.bounds[1]
    rare = sorted(x for x in asked if math.isfinite(x) and form.slope(0.0, x) < 0 and x < high)
    return spread_over(rare, MOST_LEVELS)


def further(form: QuadraticForm, level: float) -> list[float]:
    """Losses beyond ``level`` that carry much of an expected shortfall where tails are heavy, by their probability."""
    law = QuadraticLaw(form)
    tail = law.probability(level)
    found = [] if not tail else [law.quantile(tail * share) for share in BEYOND]
    return [x for x in found if x is not None and x > level]


def defended(laws: list[TwistedQuadratic]) -> Distribution:
    """All laws in equal shares, with `PLAIN` of the rows from the model itself."""
    target = StandardNormal(dim=laws[0].dim)
    share = (1.0 - PLAIN) / len(laws)
    return Mixture(weights=[*([share] * len(laws)), PLAIN], components=(*laws, target))


def told(laws: list[TwistedQuadratic]) -> list[str]:
    """What is drawn from, in sentences."""
    levels = " or ".join(f"{law.level:,.6g}" for law in laws)
    lines = [
        f"Factors are twisted until the quadratic loss is {levels} on average; {PLAIN:.0%} of the rows come from the "
        "model itself."
    ]
    most = max(law.trials for law in laws)
    if any(law.edges.size for law in laws):
        lines.append(
            "Rows are drawn in strata of the quadratic loss, whose shares under the twist are exact: a row takes up to "
            f"{most:.0f} values of the quadratic loss."
        )
    if not all(law.edges.size for law in laws):
        lines.append("For some losses there are no strata: the exact law under the twist is not known well enough.")
    return lines

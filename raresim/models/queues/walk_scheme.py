"""The schemes of the maximum of a walk: a twist where claims have exponential moments, else one big step."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from raresim.engine.fold import Sampler
from raresim.engine.session import Session
from raresim.methods.base import Tuned
from raresim.methods.offers import bounded, levels_of, log_most, offered
from raresim.methods.scheme import Scheme
from raresim.models.queues.walk import WalkMaximum
from raresim.models.queues.walk_draws import Aim, OneBigStep, TwistedWalk


@dataclass(frozen=True, eq=False)
class WalkTwist(Scheme):
    """Siegmund's twist of a walk, by Lundberg's exponent or by that for a horizon.

    Parameters
    ----------
    loss : WalkMaximum
        Of the model.
    """

    loss: WalkMaximum

    @property
    def name(self) -> str:
        return "Siegmund's twist (the walk rises until it reaches the level)"

    def tune(self, session: Session) -> Tuned | None:
        levels, plain = levels_of(session)
        exponents, horizon = self.loss.exponents, self.loss.horizon
        if not levels or exponents.adjustment is None:
            return None
        aims, bounds = [], []
        for level in levels:
            theta = exponents.for_time(level, horizon) if math.isfinite(horizon) else exponents.adjustment
            if theta is None:
                return None
            aims.append(Aim((1.0 - plain) / len(levels), level, theta, exponents.discount(theta)))
            excess = max(exponents.excess(theta), 0.0) * horizon if theta > exponents.adjustment else 0.0
            bounds.append(-math.log(aims[-1].share) + excess - theta * level)
        sampler, events = Sampler(session.problem, None, session.seed), tuple(session.events)
        rows = TwistedWalk(sampler, events, tuple(aims), session.beyond)
        sentence = "Steps are twisted exponentially until the walk reaches " + " or ".join(
            f"{aim.level:,.6g} (theta {aim.theta:.6g})" for aim in aims
        )
        most = log_most(events, levels, bounds)
        made = offered(session, rows, levels, "Siegmund's twist", sentence + "; later steps have their own law.", most)
        return bounded(made, lambda factor: replace(rows, heaviest=factor))


@dataclass(frozen=True, eq=False)
class BigStep(Scheme):
    """Conditional Monte Carlo on the step that makes the event, for heavy tails.

    Parameters
    ----------
    loss : WalkMaximum
        Of the model.
    """

    loss: WalkMaximum

    @property
    def name(self) -> str:
        return "Asmussen-Kroese along a path (one big step makes the event)"

    def tune(self, session: Session) -> Tuned | None:
        levels, plain = levels_of(session)
        if not levels or self.loss.added.discrete:
            return None
        aims = tuple(Aim((1.0 - plain) / len(levels), level) for level in levels)
        sampler, events = Sampler(session.problem, None, session.seed), tuple(session.events)
        rows = OneBigStep(sampler, events, aims, session.beyond)
        sentence = "One step is drawn given all others, and given that it lifts the walk to "
        sentence += " or ".join(f"{level:,.6g}" for level in levels) + "."
        made = offered(session, rows, levels, "one big step", sentence, [math.inf] * len(events))
        return None if made is None else made[0]

"""Plain draws of a path as a scheme: for paths of many steps whose tail a search hardly knows better."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from raresim.engine.fold import Sampler
from raresim.engine.session import Session
from raresim.estimators.weighted_draws import WeightedDraws
from raresim.methods.base import Tuned
from raresim.methods.scheme import Scheme
from raresim.methods.scheme_pilot import SchemePilot

PILOTS, LEAST_HITS = (4_000, 16_000), 8
"""Draws of the pilot, with more of them where they bring fewer hits of the rarest event than this."""

SEARCH, LIKELY_VARIANCE = 600.0, 20.0
"""Evaluations of search and audit for each step of a path, and the relative variance of a draw that is then found.
Measured over 250 steps of GARCH with normal and Student t innovations, at probabilities of 0.007 to 0.0007: 126,000
to 252,000 evaluations beside the estimate, and 11 to 63."""

LARGEST_ERROR = 0.1
"""Relative error up to which the verdict trusts an estimate: plain draws that reach it with the budget are offered."""


@dataclass(frozen=True, eq=False)
class PlainPaths(Scheme):
    """Draws of the model itself, where they cost no more than a search over many steps.

    Notes
    -----
    The largest returns of a year with GARCH volatilities may begin on any of its days, so there are as many ways to the
    event as days, and a search has to learn them all. Plain draws miss nothing, their interval is exact, and they need
    no audit.
    """

    @property
    def name(self) -> str:
        return "draws of the model itself (crude Monte Carlo)"

    def tune(self, session: Session) -> Tuned | None:
        sampler, events = Sampler(session.problem, None, session.seed), tuple(session.events)
        rows = WeightedDraws(sampler, events)
        spent, pilot = 0, None
        for n in PILOTS:
            if spent + n > session.unreserved // 5:
                break
            pilot = SchemePilot.of(session, rows, n, "plain draws")
            spent += n
            if pilot.hits >= LEAST_HITS:
                break
        if pilot is None or pilot.hits < LEAST_HITS or not self.is_cheap(session, pilot, session.unreserved - spent):
            session.max_evaluations -= spent
            return None
        hits, needed = pilot.hits, max(pilot.variances) / (session.relative_error or LARGEST_ERROR) ** 2
        sentence = (
            f"{hits:,} of {pilot.rows:,} draws of the model hit the event: crude Monte Carlo needs about "
            f"{math.ceil(needed):,} draws, no more than a search over {session.problem.dim:,} normals with its audit "
            "and estimate"
        )
        told = (
            f"the event has a probability of about {hits / pilot.rows:.2g}: importance sampling gains nothing over "
            "so many steps"
        )
        tuned = pilot.tuned("plain draws", events[0].threshold, told, (sentence,), spent - pilot.rows)
        return replace(tuned, starts=0, nominal=spent, patience=math.inf)

    @staticmethod
    def is_cheap(session: Session, pilot: SchemePilot, left: int) -> bool:
        """Whether plain draws reach the asked error, or one that is trusted, for no more than a search would take."""
        variance, asked = max(pilot.variances), session.relative_error or LARGEST_ERROR
        rows = min(variance / asked**2, left)
        within = SEARCH * session.problem.dim + LIKELY_VARIANCE / asked**2
        return rows <= within and math.sqrt(variance / rows) <= max(asked, LARGEST_ERROR) * (1.0 + 1e-9)

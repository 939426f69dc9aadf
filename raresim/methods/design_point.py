"""Importance sampling around design points."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import numpy as np

from raresim.accumulators.tail import TailMoments, masks
from raresim.arguments import checks
from raresim.arguments.checks import whole
from raresim.distributions.base import Distribution
from raresim.distributions.exponentially_modified_normal import ExponentiallyModifiedNormal
from raresim.distributions.mixture import Mixture
from raresim.distributions.normal import Normal
from raresim.engine.fold import Sampler
from raresim.engine.problem import Space
from raresim.engine.session import Session
from raresim.errors import FieldError
from raresim.methods.base import Held, Method, Tuned
from raresim.methods.draws import Draws, are_single, drawn_as, refuse_draws, told_of
from raresim.methods.levels import Evaluate
from raresim.methods.regions import (
    MIN_PILOT,
    TUNING_SHARE,
    Regions,
    expected_cost,
    find_more,
    find_regions,
    iteration,
    memory_of,
    refuse_few,
)
from raresim.registry import member
from raresim.search.design_points import DesignPoint, unit

Tail = Literal["exponential", "normal"]

TRIAL = 1000
"""Draws of the proposal from which the size of the sample is planned."""

MIN_ESS = 40.0
"""Smallest effective number of hits of the trial from which anything is planned."""

WIDE = 0.25
"""Share of a region's draws with unit variance; the others follow the exponential law."""

NARROW = 0.25
"""Variance along the gradient of the normal part under the exponential tail."""

MIN_SHARE = 0.02
"""Smallest share of a region among all of them."""


@member("method")
@dataclass(frozen=True, kw_only=True)
class DesignPointSampling(Method):
    """For smooth losses with a few regions of failure: importance sampling around the likeliest failing points.

    Parameters
    ----------
    tail : "exponential" or "normal"
        Law of a region's draws along the gradient: normal with an exponential tail of rate ``beta``, like a standard
        normal beyond a plane; or a standard normal around the design point.
    pilot : int
        Draws of the target, at least 100, from whose largest losses the search starts.
    starts : int
        Climbs of each round of the search. Another round follows if the last found a second or later region, and while
        fewer than two climbs came to each region.
    defensive : float
        Share of the final draws taken from the target: bounds every weight by its inverse.
    draws : "independent", "antithetic" or "sobol"
        How the final draws are made: one by one; in pairs that mirror each other about the centre of their component,
        for the normal tail; or at the points of independently scrambled Sobol' nets.
    control_variates : bool
        Whether the components of the final mixture correct the estimate.

    Raises
    ------
    FieldError
        When an option is out of range.

    Notes
    -----
    Importance sampling around design points is [1]_; `raresim.search.design_points` has the search. Regions get shares
    in proportion to their first-order probabilities ``Phi(-beta)``. So do points between two regions where the event
    begins before their planes, as for a sum of heavy tails. No draw of the search is in the estimate.

    A climb that does not converge, as in a corner of two limit states, is moved to the nearest point of its region, and
    hits of a widened target show further regions (`raresim.search.hits`). If the audit finds failing draws that the
    proposal hardly makes, nearest points from these are design points of another round (`raresim.run.rounds`).

    References
    ----------
    .. [1] Schueller & Stix, *A critical appraisal of methods to determine failure probabilities*, Struct. Saf. 4, 1987.
    """

    kind: ClassVar[str] = "design_point"

    tail: Tail = "exponential"
    pilot: int = 1000
    starts: int = 4
    defensive: float = 0.1
    draws: Draws = "independent"
    control_variates: bool = False

    def __post_init__(self) -> None:
        checks.one_of("tail", self.tail, Tail)
        object.__setattr__(self, "pilot", whole("pilot", self.pilot, MIN_PILOT))
        object.__setattr__(self, "starts", whole("starts", self.starts))
        if not 0 <= self.defensive < 1:
            raise FieldError("defensive", f"must be at least 0 and below 1, got {self.defensive:.15g}")
        refuse_draws(self.draws, self.control_variates)
        if self.draws == "antithetic" and self.tail == "exponential":
            raise FieldError("draws", "cannot be 'antithetic' where tail is 'exponential': the law is not symmetric")
        if self.control_variates and self.tail == "normal" and self.defensive == 0:
            raise FieldError(
                "control_variates", "must be false where defensive is 0: a law of one component has no control variates"
            )

    @property
    def weighs_draws(self) -> bool:
        return are_single(self.draws, self.control_variates)

    @property
    def draws_in(self) -> Space:
        return "standard"

    def cost(self, latent_dim: int, dim: int) -> int:
        return expected_cost(self.pilot, self.starts, latent_dim) + TRIAL

    def refuse_budget(self, dim: int, max_evaluations: int) -> None:
        refuse_few(self.pilot, self.starts, dim, max_evaluations)

    def memory(self, latent_dim: int, dim: int, budget: int) -> Held:
        return memory_of(self.pilot, self.starts, latent_dim)

    def describe(self) -> list[str]:
        return [
            f"importance sampling around design points: {self.starts} climbs from a pilot of {self.pilot:,} draws",
            f"draws of a region: {self.tail} along the gradient; {self.defensive:.0%} of all from the target"
            + told_of(self.draws, self.control_variates),
        ]

    def tune(self, session: Session) -> Tuned:
        found = find_regions(session, self.pilot, self.starts)
        return drawn_as(self.tuned(session, found), session, self.draws, self.control_variates)

    def tuned(self, session: Session, found: Regions) -> Tuned:
        """The result of the search, for independent draws, and the way to another round of it."""
        points, search = found.points, found.search
        tuned = Tuned(
            proposal=None,
            iterations=found.iterations,
            evaluations=found.evaluations,
            nominal=self.pilot,
            starts=len(search.ends),
            outcome=search.outcome,
            gave_up=search.gave_up,
            decisions=(*found.decisions, "No design point was found, so the target itself is drawn from."),
            trace=found.trace,
            again=lambda missed: self.tuned(session, find_more(session, found, missed)),
        )
        if not points:
            return tuned
        law = Mixture.defensive(self.proposal((*points, *found.between)), session.problem.target, self.defensive)
        tried, variances = self.tried(session, found, law)
        return replace(
            tuned,
            proposal=law,
            iterations=tried.iterations,
            evaluations=tried.evaluations,
            variances=variances,
            reached=search.reached,
            regions=len(points),
            decisions=tried.decisions,
            again=lambda missed: self.tuned(session, find_more(session, tried, missed)),
        )

    def tried(self, session: Session, found: Regions, law: Distribution) -> tuple[Regions, tuple[float, ...] | None]:
        """``found`` after a trial of the ``law``, and the relative variances of a draw if the trial shows them."""
        sampler = Sampler(session.problem, law, session.seed)
        trial = min(TRIAL, found.left(session, TUNING_SHARE))
        shape = "normal with an exponential tail along the gradient" if self.tail == "exponential" else "normal"
        made = f"The proposal has a component at each of these points, {shape}."
        if trial <= 0:
            untried = "The sample size is not planned, because the budget allows no trial."
            return found.and_then(0, [], [made, untried]), None
        rows = session.fold("tune", Evaluate(sampler, found.event.sign), session.plan(trial), "trial")
        tail = TailMoments.of_block(rows.log_weight, masks(session.events, found.event.sign * rows.loss))
        enough = min(tail.ess(k) for k in range(tail.hits.size)) >= MIN_ESS
        variances = tuple(trial * tail.relative_error(k) ** 2 for k in range(tail.hits.size)) if enough else None
        k = session.events.index(found.event)
        row = iteration("pooled", 0, math.nan, trial, int(tail.hits[k]), tail.hits[k] / trial)
        seen = f"In a trial of {trial:,} draws of the proposal {tail.hits[k] / trial:.1%} hit the rarest event"
        planned = "the sample size is planned from its variance" if enough else "too few to plan the sample size"
        text = f"{seen}; {planned}."
        return found.and_then(trial, [row], [made, text]), variances

    def proposal(self, points: Sequence[DesignPoint]) -> Distribution:
        """The mixture of a law for each of ``points``, of a region or between two."""
        from scipy.special import log_ndtr

        logs = log_ndtr([-point.beta for point in points])
        shares = np.maximum(np.exp(logs - logs.max()), MIN_SHARE)
        laws = [self.around(point) for point in points]
        return Mixture(weights=shares / shares.sum(), components=laws)

    def around(self, point: DesignPoint) -> Distribution:
        """The law of one region: a standard normal at its design point, or a law that follows the plane behind it."""
        normal = Normal(mean=point.u, std=1.0)
        if self.tail == "normal" or point.beta < 1:
            return normal
        outwards = unit(point.u)
        plane = ExponentiallyModifiedNormal(
            mean=point.u, directions=outwards[:, None], variances=[NARROW], tail=outwards, rate=point.beta
        )
        return Mixture(weights=[1.0 - WIDE, WIDE], components=(plane, normal))

    @staticmethod
    def examples() -> list[DesignPointSampling]:
        """Members for the conformance tests."""
        return [
            DesignPointSampling(),
            DesignPointSampling(tail="normal", pilot=500, starts=5, defensive=0.0),
            DesignPointSampling(draws="sobol"),
            DesignPointSampling(control_variates=True),
        ]

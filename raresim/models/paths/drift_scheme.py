"""A scheme for any path: the normals of its steps move by a drift that cross-entropy finds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from raresim.distributions.base import Distribution
from raresim.distributions.low_rank_normal import LowRankNormal
from raresim.distributions.mixture import Mixture
from raresim.distributions.normal import Normal
from raresim.engine.fold import Sampler
from raresim.engine.session import Session
from raresim.estimators.weighted_draws import WeightedDraws
from raresim.methods.base import Tuned
from raresim.methods.offers import MOST_LEVELS, WORTH
from raresim.methods.scheme import Scheme, spread_over
from raresim.methods.scheme_pilot import SchemePilot
from raresim.models.paths import bridge
from raresim.models.paths.path_loss import PathLoss
from raresim.numerics.arrays import Float
from raresim.search.archive import Archive
from raresim.search.explorer import Explorer
from raresim.search.fitting import capped

KNOTS = 8
"""Points in time at which a drift that depends on the step is free; between them it is linear."""

BATCH, LEVEL_ESS = 400, 50.0
"""Draws of a level, and effective draws beyond a level that is chosen."""

LAST_ESS = 200.0
"""Effective draws in the event with which the last drift is fitted; at most `MOST_REFITS` batches are made for them."""

MOST_LEVELS_UP, MOST_REFITS = 20, 3

PLAIN = 0.05
"""Share of rows from the model itself: no weight is larger than its inverse."""

PILOT = 300
"""Rows of the pilot for each event."""


@dataclass(frozen=True, eq=False)
class PathDrift(Scheme):
    """A drift of the normals behind a path: one for all steps, or one that changes along the path.

    Parameters
    ----------
    loss : PathLoss
        Of the model.

    Notes
    -----
    The cross-entropy update of a normal law whose mean is ``B c`` with orthonormal columns ``B`` is ``c = B' E[u]``
    over the draws in the event. A drift for all steps has a column for each factor of a step; one that changes has
    `KNOTS` hats in time for each. Of both, the one with the smaller second moment over all draws so far is taken:
    Glasserman, *Monte Carlo methods in financial engineering*, 2004, section 4.6. Half of the rows have the variance
    along the drift that cross-entropy finds too; the others keep the tail of the model.
    """

    loss: PathLoss

    @property
    def name(self) -> str:
        return "drift of the normals by cross-entropy"

    def tune(self, session: Session) -> Tuned | None:
        signs = {event.sign for event in session.events}
        goals = {event.sign * event.threshold for event in session.events}
        if session.beyond is not None:
            goals.add(session.beyond.floor)
        if len(signs) > 1 or not all(map(math.isfinite, goals)):
            return None
        explorer = Explorer(session, signs.pop())
        bases = {"one drift for all steps": self.constant(), "a drift for each step": self.hats()}
        laws, told = [], []
        for goal in spread_over(sorted(goals), MOST_LEVELS):
            found = climbed(explorer, goal, bases["a drift for each step"])
            if not found:
                session.max_evaluations -= explorer.evaluations
                return None
            name, law = chosen_of(explorer.archive, goal, bases)
            laws += [law, narrowed(explorer.archive, goal, law)]
            length = float(np.linalg.norm(law.location))
            told.append(f"{name}, of length {length:.3g}, for a loss of {explorer.sign * goal:,.6g}")
        proposal = defended(laws)
        sampler = Sampler(session.problem, proposal, session.seed)
        rows = WeightedDraws(sampler, tuple(session.events))
        pilot = SchemePilot.of(session, rows, PILOT * len(told), "the drift")
        if not max(pilot.variances) <= WORTH * len(told):
            session.max_evaluations -= explorer.evaluations + pilot.rows
            return None
        sentence = f"Normals move by {'; '.join(told)}; {PLAIN:.0%} of the rows come from the model itself."
        last = explorer.sign * max(goals)
        tuned = pilot.tuned("drift", last, "the event was reached", (sentence, pilot.sentence), explorer.evaluations)
        return replace(tuned, proposal=proposal)

    def constant(self) -> Float:
        """A direction (d, k) for each factor of a step, the same in all steps."""
        return self._in_factors(np.ones((1, self.loss.steps)))

    def hats(self) -> Float:
        """Directions (d, k): for each factor of a step, hats over the steps."""
        m = self.loss.steps
        knots = np.linspace(0.0, m - 1.0, min(KNOTS, m))
        at = np.arange(m)
        return self._in_factors(np.array([np.interp(at, knots, row) for row in np.eye(knots.size)]))

    def _in_factors(self, shapes: Float) -> Float:
        """``shapes`` (k, steps) of each factor of a step, orthonormal, in the standard normals of the model."""
        m, d = self.loss.steps, self.loss.inputs_of().latent_dim
        columns = []
        for number, first in enumerate(range(0, d, m)):
            rows = bridge.normals_of(shapes) if self.loss.bridged and number == 0 else shapes
            for row in rows:
                column = np.zeros(d)
                column[first : first + m] = row
                columns.append(column)
        return np.asarray(np.linalg.qr(np.array(columns).T)[0])


def climbed(explorer: Explorer, goal: float, basis: Float) -> bool:
    """Draw batches until enough draws are beyond ``goal``; whether that was reached."""
    archive, best = explorer.archive, -math.inf
    refits = 0
    for _ in range(MOST_LEVELS_UP):
        at = -math.inf if not archive.size else archive.level(goal, LEVEL_ESS)
        if at >= goal:
            if refits >= MOST_REFITS or archive.level(goal, LAST_ESS) >= goal:
                return True
            refits += 1
        elif archive.size and at <= best:
            return False
        best = at
        law = moved(archive, at, basis) if archive.size else Normal(mean=np.zeros(explorer.dim), std=1.0)
        explorer.draw(law, BATCH, "drift")
        if explorer.evaluations > 0.5 * explorer.session.unreserved:
            return False
    return False


def moved(archive: Archive, level: float, basis: Float) -> Normal:
    """The cross-entropy update of a drift in the span of ``basis`` (d, k) for losses beyond ``level``."""
    beyond = archive.loss >= level
    log_weight = archive.log_weight[beyond]
    weight = capped(np.exp(log_weight - log_weight.max()))
    mean = (weight / weight.sum()) @ archive.u[beyond]
    return Normal(mean=basis @ (basis.T @ mean), std=1.0)


def narrowed(archive: Archive, level: float, law: Normal) -> LowRankNormal:
    """``law`` with the cross-entropy update of the variance along its drift, for losses beyond ``level``."""
    beyond = archive.loss >= level
    log_weight = archive.log_weight[beyond]
    weight = capped(np.exp(log_weight - log_weight.max()))
    length = float(np.linalg.norm(law.location))
    direction = law.location / max(length, 1e-300)
    along = archive.u[beyond] @ direction
    variance = float(weight @ np.square(along - length)) / float(weight.sum())
    return LowRankNormal(mean=law.location, directions=direction[:, None], variances=np.array([min(variance, 1.0)]))


def chosen_of(archive: Archive, goal: float, bases: dict[str, Float]) -> tuple[str, Normal]:
    """The drift whose weights vary least in the event, over all draws so far, and its name."""
    found = {name: moved(archive, goal, basis) for name, basis in bases.items()}
    hit = archive.loss >= goal
    best = min(found, key=lambda name: archive.variance(found[name], hit, 0.0))
    return best, found[best]


def defended(laws: Sequence[Distribution]) -> Distribution:
    """All laws in equal shares, with `PLAIN` of the rows from the model itself."""
    share = (1.0 - PLAIN) / len(laws)
    plain = Normal(mean=np.zeros(laws[0].dim), std=1.0)
    return Mixture(weights=[*([share] * len(laws)), PLAIN], components=(*laws, plain))

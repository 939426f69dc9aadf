"""A run of method `surrogate` up to its correction: it learns, and hands over what estimates its mistakes."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from raresim.engine.fold import Sampler
from raresim.engine.session import Session
from raresim.errors import LossError
from raresim.estimators.surrogate_batches import BATCHES, SurrogateBatches
from raresim.methods.base import Tuned
from raresim.methods.regions import iteration
from raresim.methods.surrogate_approximation import approximation_of
from raresim.methods.surrogate_correction import LARGEST, SMALLEST, draw_by, row_variances
from raresim.methods.surrogate_facts import OUTWARDS, facts_of, plots_of
from raresim.methods.surrogate_known import known_in
from raresim.methods.surrogate_pool import Pool, pool_of
from raresim.methods.surrogate_quantiles import Aim, Asked, Believed, answers_of
from raresim.methods.surrogate_search import SPARE, Learner
from raresim.numerics.arrays import Float
from raresim.record.evaluated import Evaluated
from raresim.record.event import Event
from raresim.record.records import Iteration
from raresim.search.explorer import Explorer
from raresim.search.hits import Hits, cost_by_hits, find_by_hits
from raresim.surrogate.warp import Warp

FINAL, LEAST_FINAL = 100_000, 30_000
"""Points of the last pool, and the fewest where so many predictions of so many limit states would take too long."""

PREDICTED = 600
"""Evaluations times limit states from which the last pool has fewer points."""

SEARCH_SHARE, SEARCH_LEAST = 0.5, 600
"""Share of the budget that a search with true evaluations may take, and evaluations from which it is tried."""

SEARCH_HITS = 24


def search_budget(budget: int, dim: int) -> float:
    """Evaluations of a search that follows no values of the loss; 0 where ``budget`` does not pay for one."""
    affordable = SEARCH_SHARE * budget
    return 0.0 if affordable < SEARCH_LEAST else min(affordable, cost_by_hits(dim))


@dataclass(eq=False)
class SurrogateRun:
    """One search: learn, and hand over the correction.

    Parameters
    ----------
    session : Session
        The run.
    explorer : Explorer
        Evaluates the loss.
    batch : int
        Evaluations that are made side by side.
    folder : Path or None
        The folder of an earlier run whose evaluations are known.
    """

    session: Session
    explorer: Explorer
    batch: int = 1
    folder: Path | None = None
    stage: str = "design"
    made: list[Evaluated] = field(default_factory=list)
    aiming: int = 0

    def tuned(self) -> Tuned:
        session, budget = self.session, self.session.max_evaluations
        rng = self.explorer.generator()
        begun = self.aimed(rng) if any(session.tails) else None
        searched = self.searched(rng, budget)
        near, said = approximation_of(session, self.event.sign, self.event.threshold, self.least, rng)
        learner = Learner(self.margins, self.explorer.dim, rng, self.batch, self.least, self.goals, near)
        learner.begin(begun or self.known())
        self.stage = "learning"
        if searched is not None and len(searched.nearest):
            learner.see(np.vstack([searched.nearest, OUTWARDS * searched.nearest]))
        self.refuse_constant(learner.margins)
        whole = budget - self.explorer.evaluations + learner.evaluations
        learner.learn(whole, self.eased(learner))
        learner.rebuild(is_last=True)
        size = max(LEAST_FINAL, int(FINAL * min(1.0, PREDICTED / learner.margins.size)))
        pool = pool_of(learner.system, (learner.x, learner.margin), size, rng, learner.pool.law)
        asked = self.asked(learner, pool)
        variances = row_variances(pool, asked.expected, asked.doubts)
        job = SurrogateBatches(
            Sampler(session.problem, None, session.seed),
            asked.events,
            pool.points,
            pool.weight,
            asked.expected,
            draw_by(pool, asked.expected, asked.doubts),
            self.draws(learner, variances),
            variances,
            max(map(pool.error, asked.expected)),
            Evaluated.joined(self.made),
            plots_of(learner, self.event, session.problem.loss.limit_state_names),
            asked.units,
            asked.eases,
        )
        eased = zip(job.known, asked.eases or (1.0,) * len(job.known), strict=True)
        return Tuned(
            proposal=None,
            iterations=tuple(self.iterations(learner, searched)),
            evaluations=self.explorer.evaluations,
            variances=tuple(variance / ease**2 for variance, ease in eased) or None,
            starts=1,
            reached=int(learner.failures > 0),
            regions=1,
            outcome=self.outcome(learner),
            estimator=job,
            facts={**facts_of(learner, pool, asked.failing, self.session.problem.loss, searched), **asked.facts},
            decisions=(*filter(None, [said]), *self.decisions(learner, pool, searched)),
        )

    def refuse_constant(self, margins: Float) -> None:
        """Raise `LossError` where the ``margins`` (n, m) of every limit state are the same for all rows."""
        if len(margins) > 1 and not np.ptp(margins, axis=0).any():
            value = self.event.sign * margins[0, 0] + self.event.threshold
            same = f"the loss is {value:.6g}" if margins.shape[1] == 1 else "each limit state has one value"
            raise LossError(
                f"{same} in all of the first {len(margins)} evaluations, so that a surrogate has nothing to learn "
                "from; check the loss, give one that also tells scenarios apart where nothing is lost, or use method "
                "crude"
            )

    def aimed(self, rng: np.random.Generator) -> tuple[Float, Float]:
        """Move the thresholds to where the quantiles are expected; the points that this took, and their margins."""
        session = self.session
        given = [event.threshold for event in session.events]
        near, _ = approximation_of(session, 1.0, 0.0, 1, rng)
        aim = Aim(self.losses, self.explorer.dim, rng, self.batch, session.tails, given, near)
        aim.find(self.known_losses())
        self.aiming = self.explorer.evaluations
        self.session = replace(session, events=[Event(threshold) for threshold in aim.thresholds])
        return aim.u, aim.losses - self.event.threshold

    def eased(self, learner: Learner) -> float | None:
        """The relative error that probabilities need for the asked one of their answers; None where none is asked."""
        target, tails = self.session.relative_error, self.session.tails
        if target is None or not any(tails):
            return target
        believed = Believed.of(learner.system, learner.pool)
        return min(answers_of(believed, self.session, self.event.threshold).eases) * target

    def draws(self, learner: Learner, variances: Sequence[float]) -> int:
        """Evaluations of a batch of the correction.

        With an approximation that serves, not more than are expected to reach the asked error: what shows only where
        the loss fails shows there, too.
        """
        paid = max(SMALLEST, min(LARGEST, (self.session.max_evaluations - self.explorer.evaluations) // BATCHES))
        target = self.eased(learner) if learner.is_assisted else None
        if target is None:
            return paid
        needed = max(variances) / (SPARE * target**2 * BATCHES)
        return max(SMALLEST, math.ceil(min(needed, paid)))

    def asked(self, learner: Learner, pool: Pool) -> Asked:
        """What the surrogate says of what is asked, at the points of the last pool."""
        if not any(self.session.tails):
            failing = learner.system.failing_at(pool.points)
            return Asked(tuple(self.session.events), failing, failing)
        return answers_of(Believed.of(learner.system, pool), self.session, self.event.threshold)

    @property
    def event(self) -> Event:
        """The event to whose threshold margins refer."""
        return self.session.events[0]

    @property
    def goals(self) -> tuple[float, ...]:
        """Margins at which the events begin."""
        return tuple(e.sign * (e.threshold - self.event.threshold) for e in self.session.events)

    @property
    def least(self) -> int:
        """Limit states that make the event together."""
        loss = self.session.problem.loss
        return loss.at_least if loss.limit_state_names else 1

    def known(self) -> tuple[Float, Float] | None:
        """Points of an earlier run and their margins; those of which only the loss of a system is known are left out.

        Raises
        ------
        FieldError, DataError
            As `known_in`.
        """
        found = self.known_losses()
        return None if found is None else (found[0], self.event.sign * (found[1] - self.event.threshold))

    def known_losses(self) -> tuple[Float, Float] | None:
        """As `known`, with limit states or losses in the place of margins."""
        if self.folder is None:
            return None
        problem = self.session.problem
        found = known_in(self.folder, problem.inputs, problem.loss)
        self.made.append(found)
        whole = np.isfinite(found.values).all(axis=1)
        return found.u[whole], found.values[whole]

    def margins(self, u: Float) -> Float:
        """Signed margins (k, m) of the limit states, or of the loss alone, at the rows of ``u`` (k, d)."""
        points, sign = np.asfortranarray(u), self.event.sign
        if self.session.problem.loss.limit_state_names:
            losses, values = self.explorer.states(points, "surrogate")
        else:
            losses = self.explorer(points, "surrogate")
            values = losses[:, np.newaxis]
        self.keep(self.stage, points, sign * values, sign * losses)
        return np.asarray(values - sign * self.event.threshold)

    def losses(self, u: Float) -> Float:
        """Losses (k, 1) at the rows of ``u`` (k, d), while thresholds are looked for."""
        losses = self.explorer(np.asfortranarray(u), "surrogate")[:, np.newaxis]
        self.keep(self.stage, u, losses, losses[:, 0])
        self.stage = "learning"
        return losses

    def keep(self, stage: str, u: Float, values: Float, losses: Float) -> None:
        """Keep evaluations for the run folder; rows that failed have no value."""
        good = np.isfinite(losses)
        self.made.append(Evaluated.of(stage, u[good].copy(), values[good].copy(), losses[good].copy()))

    def of_search(self, u: Float) -> Float:
        """Signed losses (k,) of a search."""
        losses, width = self.explorer(u), max(1, len(self.session.problem.loss.limit_state_names))
        own = self.event.sign * losses
        self.keep("search", u, own[:, np.newaxis] if width == 1 else np.full((len(u), width), np.nan), own)
        return losses

    def searched(self, rng: np.random.Generator, budget: int) -> Hits | None:
        """A search that follows no values of the loss, where half of the budget may pay for one; else None."""
        affordable = search_budget(budget, self.explorer.dim)
        if not affordable:
            return None
        goal = self.event.sign * self.event.threshold
        return find_by_hits(self.of_search, self.explorer.dim, goal, rng, SEARCH_HITS, affordable)

    def iterations(self, learner: Learner, searched: Hits | None) -> list[Iteration]:
        """The search and the learning, a row each."""
        level, before = self.event.threshold, 0 if searched is None else searched.evaluations
        rows = [] if searched is None else [iteration("hits", 1, level, before, elites=searched.hits)]
        spent = self.explorer.evaluations - before
        return [*rows, iteration("surrogate", 1, level, spent, elites=learner.failures)]

    def outcome(self, learner: Learner) -> str:
        return f"{learner.failures} of {learner.seen} evaluations that the surrogate learnt from are in the event"

    def decisions(self, learner: Learner, pool: Pool, searched: Hits | None) -> list[str]:
        components = learner.system.components
        warp = _warps([component.process.warp for component in components])
        tempers = sorted({f"{c.temper:.2g}" for c in components}, key=float)
        between = tempers[0] if len(tempers) == 1 else f"{tempers[0]} to {tempers[-1]}"
        what = "the surrogate" if len(components) == 1 else f"a surrogate of each of {len(components)} limit states"
        given, made = learner.given - self.aiming, learner.evaluations + self.aiming
        earlier = f" and {given} of an earlier run" if given else ""
        said = [
            f"{what} learnt from {made} evaluations{earlier}; margins are {warp}; standard deviations are "
            f"multiplied by {between} to agree with the errors of its own predictions",
            f"the pool has {len(pool.points):,} points of a mixture of {len(pool.law.shares)} laws",
        ]
        if learner.approximation is not None:
            assisted = sum(c.assisted for c in components)
            those = "the loss" if len(components) == 1 else f"{assisted} of {len(components)} limit states"
            said.append(
                f"the surrogate learnt the part of {those} that the approximation does not explain"
                if assisted
                else "the approximation is not used, because it predicts the first evaluations less well than they "
                "predict each other"
            )
        if self.aiming:
            said.insert(
                0,
                f"the first {self.aiming} evaluations locate the quantile, and the surrogate then learns the loss "
                "there",
            )
        if searched is not None:
            said.insert(0, f"a search that only asks whether a draw is in the event: {searched.describe()}")
        return said


def _warps(warps: Sequence[Warp]) -> str:
    """How margins are taken, in words that follow "margins are"."""
    ways = Counter(warp.describe() for warp in warps)
    if len(ways) == 1:
        return next(iter(ways))
    return " and ".join(f"{way} in {count} of {len(warps)} limit states" for way, count in ways.items())

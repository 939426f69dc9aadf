"""A run of method `surrogate` up to its correction: it learns, and hands over what estimates its mistakes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from raresim.engine.fold import Sampler
from raresim.engine.session import Session
from raresim.estimators.surrogate_batches import BATCHES, SurrogateBatches
from raresim.methods.base import Tuned
from raresim.methods.regions import iteration
from raresim.methods.surrogate_approximation import approximation_of
from raresim.methods.surrogate_correction import draw_by, row_variances
from raresim.methods.surrogate_facts import OUTWARDS, facts_of, plots_of
from raresim.methods.surrogate_known import known_in
from raresim.methods.surrogate_pool import Pool, pool_of
from raresim.methods.surrogate_search import Learner
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

SMALLEST, LARGEST = 4, 8
"""Evaluations of a batch of the correction, if the budget pays for no more, and if it does."""

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

    def tuned(self) -> Tuned:
        session, budget = self.session, self.session.max_evaluations
        rng = self.explorer.generator()
        searched = self.searched(rng, budget)
        near, said = approximation_of(session, self.event.sign, self.event.threshold, self.least, rng)
        learner = Learner(self.margins, self.explorer.dim, rng, self.batch, self.least, self.goals, near)
        learner.begin(self.known())
        self.stage = "learning"
        if searched is not None and len(searched.nearest):
            learner.see(np.vstack([searched.nearest, OUTWARDS * searched.nearest]))
        whole = budget - self.explorer.evaluations + learner.evaluations
        learner.learn(whole, session.relative_error)
        learner.rebuild(is_last=True)
        size = max(LEAST_FINAL, int(FINAL * min(1.0, PREDICTED / learner.margins.size)))
        pool = pool_of(learner.system, (learner.x, learner.margin), size, rng, learner.pool.law)
        failing = learner.system.failing_at(pool.points)
        left = budget - self.explorer.evaluations
        draws = max(SMALLEST, min(LARGEST, left // BATCHES))
        variances = row_variances(pool, failing)
        job = SurrogateBatches(
            Sampler(session.problem, None, session.seed),
            tuple(session.events),
            pool.points,
            pool.weight,
            failing,
            draw_by(pool, failing),
            draws,
            variances,
            max(map(pool.error, failing)),
            Evaluated.joined(self.made),
            plots_of(learner, self.event, session.problem.loss.limit_state_names),
        )
        return Tuned(
            proposal=None,
            iterations=tuple(self.iterations(learner, searched)),
            evaluations=self.explorer.evaluations,
            variances=job.known or None,
            starts=1,
            reached=int(learner.failures > 0),
            regions=1,
            outcome=self.outcome(learner),
            estimator=job,
            facts=facts_of(learner, pool, failing, self.session.problem.loss, searched),
            decisions=(*filter(None, [said]), *self.decisions(learner, pool, searched)),
        )

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
        if self.folder is None:
            return None
        problem = self.session.problem
        found = known_in(self.folder, problem.inputs, problem.loss)
        self.made.append(found)
        whole = np.isfinite(found.values).all(axis=1)
        return found.u[whole], self.event.sign * (found.values[whole] - self.event.threshold)

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
        earlier = f" and {learner.given} of an earlier run" if learner.given else ""
        said = [
            f"{what} learnt from {learner.evaluations} evaluations{earlier}, with margins {warp}; its standard "
            f"deviations are taken times {between}, by which its own predictions were off",
            f"the pool has {len(pool.points):,} points of a mixture of {len(pool.law.shares)} laws",
        ]
        if learner.approximation is not None:
            assisted = sum(c.assisted for c in components)
            those = "the loss" if len(components) == 1 else f"{assisted} of {len(components)} limit states"
            said.append(
                f"it learnt what the approximation leaves of {those}"
                if assisted
                else "the approximation says less of the first evaluations than they say of each other: it is not used"
            )
        if searched is not None:
            said.insert(0, f"a search that follows no values of the loss: {searched.describe()}")
        return said


def _warps(warps: Sequence[Warp]) -> str:
    """How margins are taken, in words that follow "margins"."""
    ways = Counter(warp.describe() for warp in warps)
    if len(ways) == 1:
        return next(iter(ways))
    return " and ".join(f"{way} in {count} of {len(warps)} limit states" for way, count in ways.items())

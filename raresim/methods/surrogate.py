"""A Gaussian process in the place of a costly loss, and true evaluations that correct it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from raresim.arguments.checks import whole
from raresim.engine.fold import Sampler
from raresim.engine.problem import Problem, Space
from raresim.engine.session import Session
from raresim.errors import FieldError
from raresim.estimators.surrogate_batches import BATCHES, SurrogateBatches
from raresim.losses.base import Loss
from raresim.measures.base import Measure
from raresim.measures.probability import Probability
from raresim.methods.base import Held, Method, Tuned
from raresim.methods.regions import iteration
from raresim.methods.surrogate_pool import Pool, pool_of
from raresim.methods.surrogate_search import LEARNT, MOST_LEARNT, Learner, draw_by, least_budget, row_variance
from raresim.numerics.arrays import Float
from raresim.record.event import Event
from raresim.record.records import Iteration
from raresim.registry import member
from raresim.search.explorer import Explorer
from raresim.search.hits import SPENT, Hits, cost_by_hits, find_by_hits
from raresim.surrogate.belief import distinct_share, failing_at, largest_off, unsure

MOST_INPUTS = 50
"""Inputs up to which a first design is affordable. From a dozen on, it holds where the loss depends on few directions;
where it does not, the checks of the pool and of the doubts refuse the result."""

FINAL = 100_000
"""Points of the last pool."""

SMALLEST, LARGEST = 4, 8
"""Evaluations of a batch of the correction, if the budget pays for no more, and if it does."""

OUTWARDS = 1.03
"""Factor from a nearest point of the event outwards, where the surrogate has to expect the event too."""

SEARCH_SHARE, SEARCH_LEAST = 0.5, 600
"""Share of the budget that a search with true evaluations may take, and evaluations from which it is tried."""

SEARCH_HITS = 24


def search_budget(budget: int, dim: int) -> float:
    """Evaluations of a search that follows no values of the loss; 0 where ``budget`` does not pay for one."""
    affordable = SEARCH_SHARE * budget
    return 0.0 if affordable < SEARCH_LEAST else min(affordable, cost_by_hits(dim))


@member("method")
@dataclass(frozen=True, kw_only=True)
class Surrogate(Method):
    """A Gaussian process learns the loss from few evaluations; others correct its probability.

    For a loss that takes seconds or hours, of at most twelve inputs, or fifty of which a few directions matter, which
    changes smoothly with them.

    Parameters
    ----------
    batch : int
        Evaluations that are made side by side while it learns, for those who run a program several times at once.

    Raises
    ------
    FieldError
        When an option is out of range.

    Notes
    -----
    It learns where the process is unsure on which side of the threshold the loss lies, as adaptive kriging does [1]_,
    and then estimates its own mistakes by importance sampling, with evaluations that it does not learn from, as
    Meta-IS does [2]_. Adaptive kriging has no such correction, and no interval.

    A hundred evaluations of one number cannot show a part of the loss that appears only where it fails, such as a
    second limit state in another unit. The result is trusted only where the loss is declared to be ``smooth``, and its
    evaluations do not contradict that, or where the budget pays for a search with true evaluations that follows no
    values of the loss.

    References
    ----------
    .. [1] Echard, Gayton & Lemaire, *AK-MCS: an active learning reliability method combining Kriging and Monte Carlo
       simulation*, Struct. Saf. 33, 2011.
    .. [2] Dubourg, Sudret & Deheeger, *Metamodel-based importance sampling for structural reliability analysis*,
       Probab. Eng. Mech. 33, 2013.
    """

    kind: ClassVar[str] = "surrogate"
    bounds_failures: ClassVar[bool] = False
    no_bounds: ClassVar[str] = "a surrogate learns nothing where evaluations fail, and then expects no event there"

    batch: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "batch", whole("batch", self.batch, 1))

    @property
    def weighs_draws(self) -> bool:
        return False

    @property
    def draws_in(self) -> Space:
        return "standard"

    def refuse(self, loss: Loss, measures: Sequence[Measure], relative_error: float | None) -> None:
        only = measures[0] if len(measures) == 1 else None
        if not isinstance(only, Probability) or len(only.thresholds) != 1:
            raise FieldError("kind", "surrogate estimates one probability at one threshold: give one, or use auto")

    def refuse_problem(self, problem: Problem) -> None:
        if problem.dim > MOST_INPUTS:
            raise FieldError("kind", f"surrogate takes at most {MOST_INPUTS} inputs, got {problem.dim}: use auto")

    def refuse_budget(self, dim: int, max_evaluations: int) -> None:
        if max_evaluations < least_budget(dim):
            raise FieldError(
                "max_evaluations",
                f"must be at least {least_budget(dim)} for a surrogate of {dim} inputs, got {max_evaluations:,}",
                ("stop",),
            )

    def cost(self, latent_dim: int, dim: int) -> int:
        return MOST_LEARNT + cost_by_hits(latent_dim)

    def cost_within(self, budget: int, latent_dim: int, dim: int) -> int:
        search = int(search_budget(budget, latent_dim))
        return search + min(int(LEARNT * (budget - search)), MOST_LEARNT)

    def memory(self, latent_dim: int, dim: int, budget: int) -> Held:
        """Covariances of all evaluations with the pool, and the pool itself."""
        return Held(20_000 * min(budget, 2_000) + 6 * FINAL * (latent_dim + 4), 4 * FINAL * (latent_dim + 4))

    def describe(self) -> list[str]:
        together = "one by one" if self.batch == 1 else f"{self.batch} at a time"
        return [f"a Gaussian process learns the loss, {together}; true evaluations estimate its mistakes"]

    def tune(self, session: Session) -> Tuned:
        (event,) = session.events
        self.refuse_budget(session.problem.dim, session.max_evaluations)
        explorer = Explorer(session, event.sign)
        return _Run(self, session, event, explorer).tuned()

    @staticmethod
    def examples() -> list[Surrogate]:
        """Members for the conformance tests."""
        return [Surrogate(), Surrogate(batch=4)]


@dataclass(eq=False)
class _Run:
    """One search: learn, and hand over the correction."""

    method: Surrogate
    session: Session
    event: Event
    explorer: Explorer

    def tuned(self) -> Tuned:
        session, budget = self.session, self.session.max_evaluations
        rng = self.explorer.generator()
        searched = self.searched(rng, budget)
        learner = Learner(self.margin, self.explorer.dim, rng, self.method.batch)
        learner.begin()
        if searched is not None and len(searched.nearest):
            learner.see(np.vstack([searched.nearest, OUTWARDS * searched.nearest]))
        learner.learn(budget - self.explorer.evaluations + learner.evaluations, session.relative_error)
        learner.rebuild(is_last=True)
        pool = pool_of(learner.process, learner.temper, FINAL, rng, learner.pool.law)
        failing, _ = failing_at(learner.process, learner.temper, pool.points)
        left = budget - self.explorer.evaluations
        draws = max(SMALLEST, min(LARGEST, left // BATCHES))
        variance = row_variance(pool, failing)
        drawn_by = draw_by(pool, failing)
        sampler = Sampler(session.problem, None, session.seed)
        error = pool.error(failing)
        job = SurrogateBatches(
            sampler, (self.event,), pool.points, pool.weight, failing, drawn_by, draws, variance, error
        )
        return Tuned(
            proposal=None,
            iterations=tuple(self.iterations(learner, searched)),
            evaluations=self.explorer.evaluations,
            variances=(variance / draws,) if math.isfinite(variance) else None,
            starts=1,
            reached=int(learner.failures > 0),
            regions=1,
            outcome=self.outcome(learner),
            estimator=job,
            facts=self.facts(learner, pool, failing, searched),
            decisions=tuple(self.decisions(learner, pool, searched)),
        )

    def margin(self, u: Float) -> Float:
        """Signed margins (k,) at the rows of ``u`` (k, d)."""
        return self.explorer(np.asfortranarray(u), "surrogate") - self.event.sign * self.event.threshold

    def searched(self, rng: np.random.Generator, budget: int) -> Hits | None:
        """A search that follows no values of the loss, where half of the budget may pay for one; else None."""
        affordable = search_budget(budget, self.explorer.dim)
        if not affordable:
            return None
        goal = self.event.sign * self.event.threshold
        return find_by_hits(self.explorer, self.explorer.dim, goal, rng, SEARCH_HITS, affordable)

    def iterations(self, learner: Learner, searched: Hits | None) -> list[Iteration]:
        """The search and the learning, a row each."""
        level, before = self.event.threshold, 0 if searched is None else searched.evaluations
        rows = [] if searched is None else [iteration("hits", 1, level, before, elites=searched.hits)]
        spent = self.explorer.evaluations - before
        return [*rows, iteration("surrogate", 1, level, spent, elites=learner.failures)]

    def outcome(self, learner: Learner) -> str:
        return (
            f"{learner.failures} of {learner.evaluations} evaluations that the surrogate learnt from are in the event"
        )

    def facts(self, learner: Learner, pool: Pool, failing: Float, searched: Hits | None) -> dict[str, float]:
        """What the verdict looks at."""
        value = pool.probability(failing)
        found = {
            "searched": 1.0,
            "surrogate_evaluations": float(learner.evaluations),
            "surrogate_failures": float(learner.failures),
            "surrogate_afar": float(learner.afar),
            "surrogate_afar_hits": float(learner.afar_hits),
            "surrogate_calibration": learner.calibration,
            "surrogate_distinct": distinct_share(learner.margin),
            "surrogate_probability": value,
            "surrogate_unsure": float(np.mean(pool.weight * unsure(failing))) / value if value > 0 else math.inf,
            "surrogate_pool": pool.effective(failing),
            "surrogate_pool_error": pool.error(failing),
            "surrogate_largest_off": largest_off(learner.process),
            "surrogate_temper": learner.temper,
            "surrogate_smooth": float(self.session.problem.loss.smooth),
        }
        if searched is not None:
            found["surrogate_searched"] = float(searched.ended != SPENT and searched.hits > 0)
            points = OUTWARDS * searched.nearest
            likely = failing_at(learner.process, learner.temper, points)[0] if len(points) else np.ones(1)
            found["surrogate_search_missed"] = float(np.count_nonzero(likely < 0.5))
        return found

    def decisions(self, learner: Learner, pool: Pool, searched: Hits | None) -> list[str]:
        warp = learner.process.warp.describe()
        said = [
            f"the surrogate learnt from {learner.evaluations} evaluations, with margins {warp}; its standard "
            f"deviations are taken times {learner.temper:.2g}, by which its own predictions were off",
            f"the pool has {len(pool.points):,} points of a mixture of {len(pool.law.shares)} laws",
        ]
        if searched is not None:
            said.insert(0, f"a search that follows no values of the loss: {searched.describe()}")
        return said

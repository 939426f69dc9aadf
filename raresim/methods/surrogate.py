"""A Gaussian process in the place of a costly loss, and true evaluations that correct it."""

from __future__ import annotations

from collections import Counter
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
from raresim.methods.surrogate_approximation import approximation_of
from raresim.methods.surrogate_correction import draw_by, row_variances
from raresim.methods.surrogate_design import least_budget
from raresim.methods.surrogate_facts import OUTWARDS, facts_of
from raresim.methods.surrogate_pool import Pool, pool_of
from raresim.methods.surrogate_search import LEARNT, MOST_LEARNT, Learner
from raresim.numerics.arrays import Float
from raresim.record.event import Event
from raresim.record.records import Iteration
from raresim.registry import member
from raresim.search.explorer import Explorer
from raresim.search.hits import Hits, cost_by_hits, find_by_hits
from raresim.surrogate.warp import Warp

MOST_INPUTS = 50
"""Inputs up to which a first design is affordable. From a dozen on, it holds where the loss depends on few directions;
where it does not, the checks of the pool and of the doubts refuse the result."""

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
    uses_approximation: ClassVar[bool] = True
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
        if other := [measure.kind for measure in measures if not isinstance(measure, Probability)]:
            raise FieldError("kind", f"surrogate estimates probabilities, got {other[0]}: use auto")

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
        self.refuse_budget(session.problem.dim, session.max_evaluations)
        return _Run(self, session, Explorer(session, session.events[0].sign)).tuned()

    @staticmethod
    def examples() -> list[Surrogate]:
        """Members for the conformance tests."""
        return [Surrogate(), Surrogate(batch=4)]


@dataclass(eq=False)
class _Run:
    """One search: learn, and hand over the correction."""

    method: Surrogate
    session: Session
    explorer: Explorer

    def tuned(self) -> Tuned:
        session, budget = self.session, self.session.max_evaluations
        rng = self.explorer.generator()
        searched = self.searched(rng, budget)
        near, said = approximation_of(session, self.event.sign, self.event.threshold, self.least, rng)
        learner = Learner(self.margins, self.explorer.dim, rng, self.method.batch, self.least, self.goals, near)
        learner.begin()
        if searched is not None and len(searched.nearest):
            learner.see(np.vstack([searched.nearest, OUTWARDS * searched.nearest]))
        learner.learn(budget - self.explorer.evaluations + learner.evaluations, session.relative_error)
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

    def margins(self, u: Float) -> Float:
        """Signed margins (k, m) of the limit states, or of the loss alone, at the rows of ``u`` (k, d)."""
        points = np.asfortranarray(u)
        if self.session.problem.loss.limit_state_names:
            return self.explorer.states(points, "surrogate")[1] - self.event.threshold
        return self.explorer(points, "surrogate")[:, np.newaxis] - self.event.sign * self.event.threshold

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

    def decisions(self, learner: Learner, pool: Pool, searched: Hits | None) -> list[str]:
        components = learner.system.components
        warp = _warps([component.process.warp for component in components])
        tempers = sorted({f"{c.temper:.2g}" for c in components}, key=float)
        between = tempers[0] if len(tempers) == 1 else f"{tempers[0]} to {tempers[-1]}"
        what = "the surrogate" if len(components) == 1 else f"a surrogate of each of {len(components)} limit states"
        said = [
            f"{what} learnt from {learner.evaluations} evaluations, with margins {warp}; its standard "
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

"""What the population methods share: they tune only the number of replicates, from one pilot run."""

from __future__ import annotations

import math

from raresim.accumulators import ends
from raresim.diagnostics.endings import endings_of
from raresim.engine.fold import Sampler
from raresim.engine.problem import Space
from raresim.engine.session import Session
from raresim.errors import FieldError
from raresim.estimators.replicates import Population, Replicates, Run, run_once
from raresim.methods.base import Held, Method, Tuned
from raresim.numerics.blocks import Block
from raresim.record.evidence import Evidence, EvidenceTable
from raresim.record.records import Iteration
from raresim.search.goals import rarest

REPLICATED = "the estimate is the mean of independent runs, its error comes from their spread"
"""The last line of the description of a population method."""


class PopulationMethod(Method, Population):
    """A method whose estimate is the mean of independent runs of a population."""

    @property
    def weighs_draws(self) -> bool:
        return False

    @property
    def draws_in(self) -> Space:
        return "standard"

    def memory(self, latent_dim: int, dim: int, budget: int) -> Held:
        """Memory of one run; the pilot takes as many times more as it has more draws."""
        moved = 8 * self.samples * (latent_dim + 8)  # draws, their neighbours and the proposals of a move
        ended = 2 * min(ends.NUMBERS, ends.REPLICATES * ends.EACH * latent_dim)  # the ends of replicates
        working = moved + self.losses_kept + ended
        return Held(math.ceil(self.pilot(budget).samples / self.samples * working), working)

    def refuse_budget(self, dim: int, max_evaluations: int) -> None:
        refuse_few(self.samples, max_evaluations)

    @property
    def losses_kept(self) -> int:
        """Numbers that a run keeps of earlier levels."""
        return 0

    def tune(self, session: Session) -> Tuned:
        return tuned_by_pilot(session, self)


def refuse_few(samples: int, max_evaluations: int) -> None:
    """Raise `FieldError` if half of the budget does not pay for the ``samples`` of a first level."""
    if 2 * samples > max_evaluations:
        raise FieldError(
            "max_evaluations",
            f"must be at least {2 * samples:,}: the first level takes {samples:,} draws, "
            f"got {max_evaluations:,}; or give fewer samples, or method crude",
            ("stop",),
        )


def tuned_by_pilot(session: Session, population: Population) -> Tuned:
    """Run ``population`` once, and hand its replicates to the estimate stage.

    Parameters
    ----------
    session : Session
        The run, which evaluates.
    population : Population
        The population to run; its first level takes as many evaluations as it has ``samples``.

    Raises
    ------
    FieldError
        When half of the budget does not pay for the first level.

    Notes
    -----
    The pilot shows the cost of a run and its levels, and plans the number of replicates; it is not in the estimate. Its
    levels may be those of the replicates (`Run.after`).
    If its first level already reaches the event, there is nothing to climb, and draws come from the target itself.
    """
    sign, samples = rarest(session.events).sign, population.samples
    half = session.max_evaluations // 2
    refuse_few(samples, session.max_evaluations)
    sampler = Sampler(session.problem, None, session.seed)
    events = tuple(session.events)
    plan = session.plan(1, fixed_rows=1)
    pilot = population.pilot(half)
    run = run_once(sampler, events, pilot, Block(plan.stage, index=0, first=0, rows=1), half)
    session.note("tune", plan, run.outcome)
    iterations = _iterations(run, sign)
    if run.reached and len(run.steps) == 1:
        share = run.steps[0].share
        return Tuned(
            proposal=None,
            iterations=iterations,
            evaluations=run.evaluations,
            nominal=run.evaluations,
            outcome=f"the event is not rare: {share:.1%} of the first level's draws hit it",
            decisions=(f"{share:.1%} of {pilot.samples:,} draws of the target hit the event: no proposal is needed.",),
        )
    variances = planned_variances(population, run, len(events), pilot.samples / samples)
    expected = math.ceil(run.evaluations * samples / pilot.samples) + (samples if run.after is None else 0)
    population = run.after or population
    end = f"came to the threshold in {len(run.steps):,} levels" if run.reached else f"ended early: {run.outcome}"
    return Tuned(
        proposal=None,
        iterations=iterations,
        evaluations=run.evaluations,
        nominal=pilot.samples,
        variances=variances,
        starts=1,
        reached=int(run.reached),
        regions=int(run.reached),
        outcome=f"the pilot run {end}",
        gave_up=endings_of([run.outcome]),
        estimator=Replicates(sampler, events, population, expected, half, variances),
        decisions=(
            f"A pilot run {end}, with {run.evaluations:,} evaluations.",
            "The estimate is the mean of further independent runs, without the pilot; their spread gives its error.",
        ),
        trace=_trace(run, sign),
    )


def planned_variances(population: Population, run: Run, events: int, larger: float = 1.0) -> tuple[float, ...] | None:
    """Relative variance of a run for each event from the draws of a pilot; None if unknown.

    If the draws do not show it, it is that of independent levels, ``sum_l (1 - s_l) / (s_l n_l)`` over the shares of
    the levels, all but the first with a factor for correlation. The pilot has ``larger`` times the draws of a level.
    """
    if run.reached and run.variance is not None:
        return (larger * run.variance,) * events
    if population.correlation is None or not run.reached:
        return None
    each = [(1.0 - step.share) / (step.share * step.draws) for step in run.steps]
    return (each[0] + population.correlation * sum(each[1:]),) * events


def _iterations(run: Run, sign: float) -> tuple[Iteration, ...]:
    """The pilot's levels, as rows of ``iterations.csv``."""
    last = len(run.steps) - 1
    return tuple(
        Iteration(
            start=0,
            iteration=k,
            level=sign * step.level,
            rarity=step.share,
            evaluations=step.evaluations,
            elites=round(step.share * step.draws),
            ess=step.ess,
            kl_optimal_proposal=math.nan,
            kl_step=math.nan,
            cross_entropy=math.nan,
            entropy=math.nan,
            log_probability=step.log_probability,
            note="" if run.reached or k < last else run.outcome,
        )
        for k, step in enumerate(run.steps)
    )


def _trace(run: Run, sign: float) -> Evidence:
    columns = ("level", "share of the draws that reach it", "log10 of its probability", "new noise in a proposal")
    rows = tuple((sign * s.level, s.share, s.log_probability / math.log(10.0), s.move) for s in run.steps)
    return Evidence(tables=(EvidenceTable("Levels of the pilot run", columns, rows),))

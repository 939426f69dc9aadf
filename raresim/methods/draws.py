"""How the rows of an estimate are made from a chosen law: an option that several methods share."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal

from raresim.arguments import checks
from raresim.distributions.base import Distribution
from raresim.distributions.transport import Transport
from raresim.engine.fold import Sampler
from raresim.engine.session import Session
from raresim.errors import FieldError
from raresim.estimators.antithetic import AntitheticDraws, centres
from raresim.estimators.base import Estimator
from raresim.estimators.control_variates import BATCHES, ControlledBatches
from raresim.estimators.lines import Lines
from raresim.estimators.sobol import MAX_DIM, REPLICATES, SobolLines, SobolReplicates
from raresim.methods.base import Tuned
from raresim.proposals.base import ProposalFamily
from raresim.record.event import Event
from raresim.record.rows import is_estimate
from raresim.registry import members

Draws = Literal["independent", "antithetic", "sobol"]
"""Single draws; pairs that mirror each other; or the points of scrambled Sobol' nets."""

Trait = Literal["symmetric", "mapped", "blends"]
"""Properties of the laws of a family; see `ProposalFamily`."""

FIRST_SHARE = 1 / 8
"""Rows of the first replicates together, relative to those that independent rows would need; more follow if needed."""

POINTS = (2**6, 2**10, 2**18)
"""Draws of a replicate: the smallest number, the number if no variance is known, and the largest."""

BATCH = (2**8, 2**10, 2**18)
"""Draws of a batch with control variates, likewise: half of them give its coefficients."""

LINES = (2**4, 2**6, 2**14)
"""Lines of a replicate, likewise."""


def are_single(draws: Draws, control_variates: bool) -> bool:
    """Whether each row is one draw with its weight."""
    return draws == "independent" and not control_variates


def refuse_draws(draws: Draws, control_variates: bool, law: Distribution | None = None) -> None:
    """Raise `FieldError` unless the two options go together, and with ``law`` if it is known."""
    checks.one_of("draws", draws, Draws)
    if control_variates and draws == "sobol":
        raise FieldError(
            "control_variates",
            "must be false where draws is 'sobol': the points already match the shares of the components",
        )
    if law is None:
        return
    if draws == "antithetic":
        centres(law)
    if draws == "sobol" and (needed := Transport.of(law, law).n_uniforms) > MAX_DIM:
        raise FieldError(
            "draws", f"must not be 'sobol': a draw takes {needed:,} uniforms, and such points have at most {MAX_DIM:,}"
        )
    if control_variates and len(law.parts[1]) == 1:
        raise FieldError(
            "control_variates",
            f"must be false: control variates are the components of a mixture, and a law of kind {law.kind} has only "
            "one; give a defensive share",
        )


def refuse_family(draws: Draws, control_variates: bool, family: ProposalFamily, defensive: float) -> None:
    """As `refuse_draws`, for a law that tuning will find in ``family``."""
    refuse_draws(draws, control_variates)
    needed: Mapping[Draws, Trait] = {"antithetic": "symmetric", "sobol": "mapped"}
    if draws in needed and not getattr(family, needed[draws]):
        allowed = ", ".join(kinds_of(needed[draws]))
        raise FieldError("draws", f"goes with proposal {allowed} if it is {draws!r}, got {family.kind}")
    if control_variates and defensive == 0:
        raise FieldError(
            "control_variates", "must be false where defensive is 0: a law of one component has no control variates"
        )


def kinds_of(trait: Trait) -> list[str]:
    """The kinds of proposal families with this property."""
    return [kind for kind, family in members("proposal_family").items() if getattr(family, trait)]


def estimator_for(
    sampler: Sampler,
    events: Sequence[Event],
    draws: Draws,
    control_variates: bool,
    *,
    budget: int,
    variances: Sequence[float] | None = None,
    relative_error: float | None = None,
) -> Estimator | None:
    """The estimator of a chosen law; None for independent draws without controls.

    Parameters
    ----------
    sampler : Sampler
        Sampler with the law of the draws; None is the target itself.
    events : sequence of Event
        The counted events.
    draws : {"independent", "antithetic", "sobol"}
        How draws depend on each other.
    control_variates : bool
        Whether the components of the law, a mixture, correct the estimate. Draws from the target alone have no
        components, and need no correction.
    budget : int
        Loss evaluations that are left for the estimate.
    variances : sequence of float, optional
        Relative variance of one independent draw for each event.
    relative_error : float, optional
        Asked relative error of the estimate; it sizes the replicates if the variances are known.

    Raises
    ------
    FieldError
        When the law does not allow the options, or the budget is too small.
    """
    target = sampler.problem.target
    law = sampler.proposal or target
    control_variates = control_variates and sampler.proposal is not None
    refuse_draws(draws, control_variates, law)
    counted = tuple(events)
    if control_variates:
        points = _size(budget, variances, relative_error, BATCHES, BATCH)
        return ControlledBatches(sampler, counted, points, paired=draws == "antithetic")
    if draws == "antithetic":
        return AntitheticDraws(sampler, counted)
    if draws == "sobol":
        points = _size(budget, variances, relative_error, REPLICATES, POINTS)
        return SobolReplicates(sampler, counted, Transport.of(law, target), points)
    return None


def row_variances(job: Estimator | None, variances: Sequence[float] | None) -> tuple[float, ...] | None:
    """Variances of the rows of ``job`` from ``variances`` of independent draws, for planning; None: unknown.

    A pair is planned as two independent draws. The gain of a net or a batch is unknown before some were drawn.
    """
    if variances is None or (job is not None and is_estimate(job.unit)):
        return None
    return tuple(v if job is None else v / job.per_row for v in variances)


def drawn_as(tuned: Tuned, session: Session, draws: Draws, control_variates: bool) -> Tuned:
    """``tuned`` with the estimator of its law, and with the variances of the estimator's rows.

    Its later rounds draw from their laws in the same way.

    Raises
    ------
    FieldError
        As `estimator_for`.
    """
    sampler = Sampler(session.problem, tuned.proposal, session.seed)
    job = estimator_for(
        sampler,
        session.events,
        draws,
        control_variates,
        budget=session.unreserved - tuned.evaluations,
        variances=tuned.variances,
        relative_error=session.relative_error,
    )
    again = tuned.again
    return replace(
        tuned,
        estimator=job,
        variances=row_variances(job, tuned.variances),
        again=again and (lambda missed: drawn_as(again(missed), session, draws, control_variates)),
        least=_least(draws, control_variates),
    )


def _least(draws: Draws, control_variates: bool) -> int:
    """Evaluations of the smallest estimate that `estimator_for` makes."""
    if control_variates:
        return BATCHES * BATCH[0]
    return REPLICATES * POINTS[0] if draws == "sobol" else 1


def told_of(draws: Draws, control_variates: bool) -> str:
    """The two options in words, as a suffix; empty for independent draws without controls."""
    how = "" if draws == "independent" else f", {draws}"
    return f"{how}, components as control variates" if control_variates else how


def lines_for(
    lines: Lines,
    *,
    budget: int,
    variances: Sequence[float] | None = None,
    relative_error: float | None = None,
) -> SobolLines:
    """Line sampling along the lines of Sobol' nets; ``lines`` with its cost, ``variances`` those of one line.

    Raises
    ------
    FieldError
        When a net would have too many coordinates, or the budget is too small.
    """
    d = lines.directions.shape[1]
    if d > MAX_DIM:
        raise FieldError("draws", f"must not be 'sobol': {d:,} coordinates, and such points have at most {MAX_DIM:,}")
    size = _size(budget, variances, relative_error, REPLICATES, LINES, lines.cost)
    return SobolLines(lines, size)


def _size(
    budget: int,
    variances: Sequence[float] | None,
    relative_error: float | None,
    replicates: int,
    sizes: tuple[int, int, int],
    cost: float = 1.0,
) -> int:
    """Rows of one replicate, a power of two: the first replicates take `FIRST_SHARE` of the independent rows."""
    least, wanted, most = sizes
    needed = math.ceil(replicates * least * cost)
    if budget < needed:
        raise FieldError(
            "max_evaluations",
            f"must leave {needed:,} evaluations for the estimate, {replicates} replicates of at least {least} rows, "
            f"got {budget:,}",
        )
    if variances is not None and relative_error is not None:
        wanted = math.ceil(FIRST_SHARE * max(variances) / relative_error**2 / replicates)
    bounded = max(least, min(wanted, budget / (replicates * cost), most))
    return int(2 ** math.floor(math.log2(bounded)))

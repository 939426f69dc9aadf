"""Which parts of an experiment do not go together, and what to do instead: the same for ``check`` and for ``run``.

Each method, loss and measure holds its own refusals; the ones here follow from what several parts say of themselves.
"""

from __future__ import annotations

from collections.abc import Sequence

from raresim.arguments.checks import one_of
from raresim.distributions.base import Inputs
from raresim.engine.problem import Problem
from raresim.errors import FieldError, about
from raresim.losses.base import Loss
from raresim.measures.base import Measure
from raresim.measures.levels import AtLevels
from raresim.methods.base import Method
from raresim.run import explore, locate
from raresim.run.audit import Extent
from raresim.run.stop import Stop
from raresim.search.goals import TWO_SIDES


def refuse_parts(loss: Loss, measures: Sequence[Measure], method: Method, stop: Stop, seed: int, audit: Extent) -> None:
    """Raise `FieldError` if parts of an experiment do not go together, whatever the inputs are."""
    if not measures:
        raise FieldError("measures", "must name at least one", ())
    if not 0 <= seed < 2**64:
        raise FieldError("seed", f"must be from 0 to 2^64 - 1, got {seed}", ())
    one_of("audit", audit, Extent)
    if loss.may_fail and not method.bounds_failures:
        raise FieldError(
            "on_failure",
            f"cannot be 'bound' with method {method.kind}: {method.no_bounds}; use 'retry', or another method such as "
            "auto",
            ("loss",),
        )
    with about("method"):
        method.refuse(loss, measures, stop.relative_error)
    _refuse_sides(loss, measures, method)
    _refuse_rows(loss, measures, method)


def refuse_output(method: Method) -> None:
    """Raise `FieldError` if draws are to be written and ``method`` has none."""
    if not method.weighs_draws:
        raise FieldError(
            "draws",
            f"cannot be written with method {method.kind} and these options: its rows are not single weighted draws; "
            "use auto, cross_entropy, importance or crude, with draws 'independent' and without control variates",
            ("output",),
        )


def refuse_for(
    latent_dim: int,
    dim: int,
    inputs: Inputs | None,
    loss: Loss,
    measures: Sequence[Measure],
    method: Method,
    max_evaluations: int,
    known_quantiles: bool = False,
) -> None:
    """Raise `FieldError` or `DataError` if a part does not go with the inputs, before anything is drawn.

    Parameters
    ----------
    latent_dim, dim : int
        Coordinates of a draw in standard normal and in physical space.
    inputs : Inputs or None
        The law; None if it is not fitted yet: checks that need it are then skipped.
    loss : Loss
        The loss bound to the inputs, or the result of `Loss.look`.
    measures : sequence of Measure
        The measures of the experiment.
    method : Method
        How draws are chosen.
    max_evaluations : int
        Evaluations of the whole run. The share of a pilot for quantiles or a standard deviation is not known yet.
    known_quantiles : bool
        Whether the quantiles that are asked need no pilot.
    """
    with about("method"):
        method.cost(latent_dim, dim)
        if inputs is not None:
            method.refuse_problem(Problem(inputs, loss, method.draws_in))
    for k, measure in enumerate(measures):
        with about("measures", k):
            measure.check_loss(loss)
            if inputs is not None:
                measure.check_inputs(inputs)
                measure.check_parameters(loss, inputs)
                measure.check_moments(loss, inputs)
    if tails := locate.sought(measures, method, known_quantiles):
        locate.refuse_budget(tails, max_evaluations)
    if any(measure.sigmas for measure in measures) and inputs is not None and loss.moments(inputs) is None:
        explore.refuse_budget(max_evaluations)
    method.refuse_budget(latent_dim if method.draws_in == "standard" else dim, max_evaluations)


def _refuse_sides(loss: Loss, measures: Sequence[Measure], method: Method) -> None:
    """Raise `FieldError` if events lie on a side of the loss that another part does not support."""
    sides = {measure.direction for measure in measures if measure.asks}
    if loss.has_limit_states and "below" in sides:
        raise FieldError(
            "measures",
            "must ask `above` where the loss has limit states, got below: a limit state fails where it is at least "
            "the threshold. For a limit state that fails at g <= 0, return -g and ask `above: 0`; as one of several "
            "named losses, write it as {kind: event, below: 0, loss: ...}",
            (),
        )
    if "below" in sides and any(measure.keeps != "counts" for measure in measures):
        raise FieldError(
            "measures",
            "must be on the upper side of the loss: a measure read from the largest losses does not go with `below`; "
            "put it into an experiment of its own, or turn the sign of the loss",
            (),
        )
    if len(sides) > 1 and not method.both_sides:
        raise FieldError("measures", f"must be on one side of the loss for method {method.kind}: {TWO_SIDES}", ())


def _refuse_rows(loss: Loss, measures: Sequence[Measure], method: Method) -> None:
    """Raise `FieldError` if a measure is read from rows that ``loss`` or ``method`` does not give."""
    for k, measure in enumerate(measures):
        if measure.bets and loss.may_fail:
            raise FieldError(
                "interval",
                "must not be 'betting' where loss.on_failure is 'bound': a row without a loss neither wins nor loses "
                "its bet; use 'retry' or 'error'",
                ("measures", k),
            )
        reads = method.finds_quantiles and isinstance(measure, AtLevels)
        if measure.keeps != "counts" and not method.weighs_draws and not reads:
            raise FieldError(
                "measures",
                f"must be probabilities with method {method.kind} and these options, got {measure.kind}: it needs "
                "single weighted draws, and the rows of this method are not such draws; use auto, cross_entropy, "
                "importance or crude, with draws 'independent' and without control variates",
                (),
            )
        if measure.keeps != "counts" and loss.may_fail:
            raise FieldError(
                "measures",
                f"must be probabilities where loss.on_failure is 'bound', got {measure.kind}: rows without a loss "
                "leave its upper end unbounded; use 'retry' or 'error'",
                (),
            )
    if not any(measure.asks for measure in measures):
        kinds = ", ".join(measure.kind for measure in measures)
        raise FieldError(
            "measures",
            f"must ask for a number, such as a probability or a value_at_risk: {kinds} only show more about one",
            (),
        )

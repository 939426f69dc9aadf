"""What parts of an experiment do not go together, and what to do instead."""

from __future__ import annotations

from collections.abc import Sequence

from raresim.errors import FieldError
from raresim.losses.base import Loss
from raresim.losses.python import PythonLoss
from raresim.measures.base import Measure
from raresim.measures.probability import Probability
from raresim.methods.base import Method
from raresim.methods.crude import Crude
from raresim.run.estimation import Stop


def check_seed(seed: int) -> None:
    """Raise `FieldError` unless ``seed`` is from 0 to 2^64 - 1."""
    if not 0 <= seed < 2**64:
        raise FieldError("seed", f"must be from 0 to 2^64 - 1, got {seed}")


def refuse_bound(loss: Loss, method: Method) -> None:
    """Raise `FieldError` where ``method`` cannot bound the failures that ``loss`` wants bounded."""
    if isinstance(loss, PythonLoss) and loss.on_failure == "bound" and not method.bounds_failures:
        raise FieldError(
            "on_failure",
            f"cannot be 'bound' with method {method.kind}: its rows are whole lines or rays, and one failed evaluation "
            "leaves nothing of a boundary to find; use 'retry', or another method such as auto",
        )


def refuse_guarantee(loss: Loss, method: Method, stop: Stop) -> None:
    """Raise `FieldError` where ``method`` guarantees an error that ``loss`` or ``stop`` does not allow."""
    if not isinstance(method, Crude) or method.guarantee is None:
        return
    if stop.relative_error is None:
        raise FieldError("guarantee", "needs stop.relative_error, the error that it is about")
    if isinstance(loss, PythonLoss) and loss.on_failure == "bound":
        raise FieldError(
            "guarantee",
            "must not be given where loss.on_failure is 'bound': rows without a loss leave the error open; use 'retry' "
            "or 'error'",
        )


def refuse_betting(loss: Loss, method: Method, measures: Sequence[Measure]) -> None:
    """Raise `FieldError` where a measure wants an interval from bets that ``loss`` or ``method`` does not allow."""
    if not any(isinstance(measure, Probability) and measure.interval == "betting" for measure in measures):
        return
    if isinstance(method, Crude) and method.guarantee is not None:
        raise FieldError("interval", "must not be 'betting' where method.guarantee is given: its own interval is exact")
    if isinstance(loss, PythonLoss) and loss.on_failure == "bound":
        raise FieldError(
            "interval",
            "must not be 'betting' where loss.on_failure is 'bound': a row without a loss is no bet won or lost; use "
            "'retry' or 'error'",
        )


def refuse_rows(loss: Loss, method: Method, measures: Sequence[Measure]) -> None:
    """Raise `FieldError` where a measure is read from weighted losses that ``loss`` or ``method`` does not give."""
    asked = next((measure.kind for measure in measures if measure.keeps != "counts"), None)
    if asked is None:
        return
    if not method.weighs_draws:
        raise FieldError(
            "measures",
            f"must be probabilities with method {method.kind} and these options, got {asked}: it is read from single "
            "draws with weights, and the rows of this method are none; use auto, cross_entropy, importance or crude, "
            "with draws 'independent' and without control variates",
        )
    if isinstance(method, Crude) and method.guarantee is not None:
        raise FieldError("measures", f"must be probabilities where method.guarantee is given, got {asked}")
    if isinstance(loss, PythonLoss) and loss.on_failure == "bound":
        raise FieldError(
            "measures",
            f"must be probabilities where loss.on_failure is 'bound', got {asked}: rows without a loss leave its upper "
            "end open; use 'retry' or 'error'",
        )


def refuse_below(loss: Loss, measures: Sequence[Measure]) -> None:
    """Raise `FieldError` where a measure asks for small losses of a loss with limit states: these fail upwards."""
    asked = (measure.direction for measure in measures if isinstance(measure, Probability))
    if isinstance(loss, PythonLoss) and loss.limit_states is not False and "below" in asked:
        raise FieldError(
            "measures",
            "must ask `above` where loss.limit_states is given, got below: a limit state fails where it is at least "
            "the threshold; return -g for one that fails at g <= 0, and ask `above: 0`",
        )

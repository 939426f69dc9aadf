"""A weighted sample of the event from the draws of the estimate, for whoever goes on working with it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from raresim.accumulators import tail_draws
from raresim.accumulators.event_draws import Drawing, EventDraws
from raresim.accumulators.tail_draws import Beyond
from raresim.arguments.checks import one_of, whole
from raresim.arguments.typed import typed
from raresim.distributions.base import Inputs
from raresim.engine.problem import Problem
from raresim.errors import FieldError
from raresim.losses.base import Loss
from raresim.measures.base import Question
from raresim.numerics.arrays import Float
from raresim.record.draws import LAST, Draws, Format, refuse_no_parquet
from raresim.record.rows import Unit

MOST = 1_000_000
"""Largest number of draws that can be asked for."""

PART = "loss of {}"
"""Name of the column with what a part of the portfolio lost."""


@typed
@dataclass(frozen=True, kw_only=True)
class Output:
    """What a run writes beside its numbers: a weighted sample of the event.

    Parameters
    ----------
    draws : int
        Largest number of draws of the event that are written, from 1 to 1,000,000: risk factors, what each part of the
        portfolio lost, loss, log weight and weight. They are a random sample of the draws of the estimate. The numbers
        of the run do not change.
    format : "csv" or "parquet"
        ``draws.csv``, or ``draws.parquet``, which needs pyarrow.

    Raises
    ------
    FieldError
        When an argument is out of range, or pyarrow is not installed.
    """

    draws: int
    format: Format = "csv"

    def __post_init__(self) -> None:
        object.__setattr__(self, "draws", whole("draws", self.draws, 1))
        if self.draws > MOST:
            raise FieldError("draws", f"must be at most {MOST:,}, got {self.draws:,}")
        one_of("format", self.format, Format)
        refuse_no_parquet(self.format)


def drawing_of(
    output: Output | None, questions: Sequence[Question], beyond: Beyond | None, seed: int
) -> Drawing | None:
    """The draws to keep: those of the largest event that was asked for, and those that its quantiles are read from."""
    if output is None:
        return None
    asked = [q for q in questions if q.asked] or list(questions)
    above = [q.event.threshold for q in asked if q.event.direction == "above"]
    below = [q.event.threshold for q in asked if q.event.direction == "below"]
    if beyond is not None and any(q.tail is not None for q in asked):
        above.append(beyond.floor)
    return Drawing(output.draws, min(above, default=math.inf), max(below, default=-math.inf), seed)


def columns_of(inputs: Inputs, parts: Sequence[str]) -> tuple[str, ...]:
    """Names of the columns: factors, the losses of ``parts``, and the last three."""
    factors = inputs.names or tuple(f"x{j}" for j in range(1, inputs.dim + 1))
    return (*factors, *(PART.format(part) for part in parts), *LAST)


def refuse_names(inputs: Inputs, loss: Loss, output: Output) -> None:
    """Raise `FieldError` where a risk factor has the name of another column of the sample."""
    names = columns_of(inputs, parts_of(loss, output.draws))
    for name in names[: inputs.dim]:
        if names.count(name) > 1:
            raise FieldError("draws", f"a risk factor has the name {name!r} of another column: rename it", ("output",))


def sampled(kept: EventDraws, drawing: Drawing, problem: Problem, output: Output) -> tuple[Draws, dict[str, Any]]:
    """The table of the draws in the order of drawing, and its facts for the manifest."""
    one = kept.cut()
    loss, log_weight, x = one.loss[0], one.log_weight[0], np.asfortranarray(one.u[0])
    has_factors = x.shape[1] > 0
    if problem.space == "standard" and has_factors:
        x = problem.inputs.to_physical(x, np.empty((len(x), problem.inputs.dim), order="F"))
    names = parts_of(problem.loss, loss.size) if has_factors else ()
    parts = problem.loss.components(x) if names else None
    weight = np.exp(log_weight) * (kept.inside / max(1, kept.n * loss.size))
    values: Float = np.column_stack([x, *([] if parts is None else [parts]), loss, log_weight, weight])
    columns = columns_of(problem.inputs, names) if has_factors else LAST
    table = Draws(columns, values, output.format)
    event = {"at_least": drawing.at_least, "at_most": drawing.at_most}
    facts = {
        "file": table.file,
        "rows": loss.size,
        "of": kept.inside,
        "among": kept.n,
        **{key: value for key, value in event.items() if math.isfinite(value)},
    }
    if not has_factors:
        facts["left_out"] = "risk factors and parts: rows of this scheme are drawn without them"
    elif not names and problem.loss.has_components:
        facts["left_out"] = f"losses of {len(problem.loss.component_names):,} parts: too many numbers"
    return table, facts


def parts_of(loss: Loss, rows: int) -> tuple[str, ...]:
    """Names of the parts whose losses are written; none where they are more than `tail_draws.NUMBERS` numbers."""
    names = loss.component_names
    return names if len(names) * rows <= tail_draws.NUMBERS else ()


def not_drawn(unit: Unit) -> str:
    """Why there is no sample, in words."""
    rows = {"line": "lines", "direction": "rays", "replicate": "whole samples", "draw": "means of several draws"}
    rows["batch"] = "corrections of a surrogate"
    return (
        f"no draws are written: the rows of this estimate are {rows[unit]}, not single draws; a method such as "
        "`{kind: cross_entropy}` has them"
    )

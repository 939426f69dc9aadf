"""Each evaluation of a costly loss as a table of the run folder, which a later run can begin from."""

from __future__ import annotations

import math

import numpy as np

from raresim.distributions.base import Inputs
from raresim.estimators.base import Estimator
from raresim.losses.base import Loss
from raresim.losses.evaluations import columns_of
from raresim.record.evaluated import STAGES, Evaluated
from raresim.record.evidence import EvidencePlot
from raresim.record.exhibits import Exhibit
from raresim.run.sample import Sample

NAME = "evaluations"


def exhibits(job: Estimator, sample: Sample, inputs: Inputs, loss: Loss) -> tuple[Exhibit, ...]:
    """The evaluations of a run as a table; none where they are too many to be kept, as with most methods."""
    found = None if sample.progress is None else job.evaluated(sample.summary, sample.progress.plan.stage)
    return () if found is None else (exhibit_of(found, inputs, loss, job.plots),)


def exhibit_of(found: Evaluated, inputs: Inputs, loss: Loss, plots: tuple[EvidencePlot, ...]) -> Exhibit:
    """The evaluations of a run, and plots of where they went and of what the surrogate predicts of them."""
    x = inputs.to_physical(np.asfortranarray(found.u), np.empty((len(found.u), inputs.dim), order="F"))
    states = found.values if loss.limit_state_names else np.empty((len(x), 0))
    numbers = np.column_stack([found.u, x, states, found.loss]).tolist()
    rows = tuple(
        (stage, *(None if math.isnan(value) else value for value in row))
        for stage, row in zip(found.stage, numbers, strict=True)
    )
    counts = [f"{n} for the {stage}" for stage in STAGES if (n := found.stage.count(stage))]
    went = EvidencePlot(
        "points",
        "Where the evaluations went",
        "evaluation",
        "loss",
        tuple(map(float, range(1, len(rows) + 1))),
        tuple(found.loss.tolist()),
        (),
        (),
    )
    notes = (
        f"{len(rows)} evaluations: {', '.join(counts)}. u are standard normals, which map to the factors. A later run "
        "with method.evaluations: this folder begins from them.",
    )
    return Exhibit(NAME, "Evaluations of the loss", columns_of(inputs, loss), rows, notes, plots=(went, *plots))

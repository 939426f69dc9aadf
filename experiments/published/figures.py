"""A row of the table of published figures, and the run that fills one."""

from __future__ import annotations

import time
from dataclasses import dataclass

import raresim
from raresim.methods.scheme import SchemeUse
from raresim.models.base import Model

UNREAD = "not checked against the paper"
ERROR, SEED = 0.01, 20261124


@dataclass(frozen=True)
class Row:
    """A published figure and ours: the paper's, the exact one where there is one, and what ours took."""

    id: str
    what: str
    paper: str
    ours: str
    exact: str = ""
    evaluations: str = ""
    to_five: str = ""
    ratio: str = ""
    paper_ratio: str = ""
    verdict: str = ""
    seconds: str = ""
    note: str = ""


def sampled(
    id: str,
    what: str,
    model: Model,
    level: float,
    paper: str,
    exact: float | None,
    paper_ratio: str = "",
    note: str = "",
    scheme: SchemeUse = "compare",
    below: bool = False,
    most: int = 3_000_000,
) -> Row:
    """A probability that a run of the default method estimates to 1 %, by default with the scheme of the model.

    It is that of a loss of at least ``level``, or of at most that where ``below`` is true. ``most`` limits the
    evaluations.
    """
    begun = time.perf_counter()
    result = raresim.estimate(
        model,
        measures=raresim.Probability(below=level) if below else raresim.Probability(above=level),
        method=raresim.Auto(scheme=scheme),
        seed=SEED,
        relative_error=ERROR,
        max_evaluations=most,
    )
    (estimate,) = result.estimates
    rows = result.evaluations["estimate"]
    p, variance = estimate.value, rows * estimate.relative_error**2
    off = "" if exact is None else f"{exact:.6g} ({(p - exact) / estimate.std_error:+.1f} errors)"
    return Row(
        id,
        what,
        paper,
        f"{p:.5g} +- {estimate.std_error:.1g}",
        off,
        f"{rows:,} of {result.evaluations['total']:,}",
        f"{variance / 0.05**2:,.0f}",
        f"{(1 - p) / p / variance:,.0f}",
        paper_ratio,
        str(result.verdict.status),
        f"{time.perf_counter() - begun:.1f}",
        note,
    )

"""Records of a run: each number, and the way to it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from raresim.arguments.typed import typed
from raresim.record.budget import Budget
from raresim.record.codec import Infinite
from raresim.record.verdict import Status, Verdict

SMALLEST = float(np.finfo(np.float64).tiny)
"""The smallest probability that a double holds with full precision."""


@typed
@dataclass(frozen=True, kw_only=True)
class Reference:
    """A known answer, drawn in the report and compared in the table; the run never uses it.

    Parameters
    ----------
    value : float
        The answer, positive.
    source : str
        Where it comes from.
    """

    value: float
    source: str


@dataclass(frozen=True)
class Iteration:
    """One level of one start: a row of ``iterations.csv``.

    Parameters
    ----------
    start : int or str
        Number of the start. A word marks a level of several starts: "all" belongs to all of them, "pooled" draws from
        all of them together; other methods have words of their own.
    iteration : int
        Number of the level in its start.
    level : float
        Intermediate threshold, in the unit of the loss.
    rarity : float
        Share of the draws at or beyond the level.
    evaluations, elites : int
        Draws, and draws at or beyond the level.
    ess : float
        Effective number of elites.
    kl_optimal_proposal : float
        KL from the law conditioned on the level to the law of its draws, in nats.
    kl_step : float
        KL from the fitted law to the law of the draws, in nats; NaN without a closed form.
    cross_entropy, entropy : float
        Cross-entropy of the law conditioned on the level against the law of the draws, and its own entropy, in nats:
        their difference is ``kl_optimal_proposal``.
    log_probability : float
        Log of the estimated probability of the level, in nats.
    note : str
        Why the start ended here without reaching the threshold. On other levels, which of the asked components or
        covariances a fit lacks because there were too few elites.
    """

    start: int | str
    iteration: int
    level: float
    rarity: float
    evaluations: int
    elites: int
    ess: float
    kl_optimal_proposal: float
    kl_step: float
    cross_entropy: float
    entropy: float
    log_probability: float
    note: str = ""


@dataclass(frozen=True)
class Estimate:
    """One number that was asked for.

    Parameters
    ----------
    kind, label, direction : str
        The measure, the event as printed, and its side.
    threshold : float
        Threshold in the unit of the loss.
    threshold_note : str
        How the threshold was found.
    value : float
        The probability, dimensionless; 0 without a hit.
    log_value : float
        Its natural logarithm in nats, exact even if the value is below the smallest double; minus infinity without a
        hit, NaN for a measure that is not a probability.
    std_error, relative_error : float
        Standard error, and standard error divided by the value; infinite without a hit.
    interval : tuple of float
        Ends of the interval at the given confidence.
    interval_kind : str
        How the interval was made.
    holds_confidence : bool
        Whether the interval holds at its confidence; otherwise it is nominal: the weights may have no variance.
    information : Budget
        What the event costs crude Monte Carlo and the proposal.
    asked : bool
        Whether the user asked for it; otherwise the program added it, and its verdict does not count for the run.
    """

    kind: str
    label: str
    direction: str
    threshold: float
    threshold_note: str
    value: float
    log_value: float
    std_error: Infinite
    relative_error: Infinite
    interval: tuple[float, float]
    confidence: float
    interval_kind: str
    reference: Reference | None
    information: Budget
    diagnostics: Mapping[str, Any]
    verdict: Verdict
    level: float | None = None
    unit: str = "dimensionless"
    holds_confidence: bool = True
    asked: bool = True

    def __post_init__(self) -> None:
        if self.kind == "probability" and self.value == 0 and math.isnan(self.log_value):
            object.__setattr__(self, "log_value", -math.inf)

    def __str__(self) -> str:
        """One line: what it is, the value with its interval, and the verdict."""
        unit = "" if self.unit in ("dimensionless", "loss") else f" {self.unit}"
        value = f"exp({self.log_value:.6g})" if self.is_below_doubles else f"{self.value:.6g}"
        interval = f"{self.confidence:.0%} [{self.lower:.6g}, {self.upper:.6g}]"
        return f"{self.label}: {value}{unit}, {interval}{unit}, {self.verdict.status.replace('_', ' ')}"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """What a notebook shows."""
        printer.text(str(self))

    @property
    def lower(self) -> float:
        """Lower end of the interval."""
        return self.interval[0]

    @property
    def upper(self) -> float:
        """Upper end of the interval."""
        return self.interval[1]

    @property
    def has_error(self) -> bool:
        """Whether the value has a standard error with which it can be compared."""
        return math.isfinite(self.value) and math.isfinite(self.std_error) and self.std_error > 0

    @property
    def is_below(self) -> bool:
        """Whether the event is ``loss <= threshold``."""
        return self.direction == "below"

    @property
    def is_bound(self) -> bool:
        """Whether only an upper limit is known, because no event was seen."""
        return self.verdict.status is Status.BOUND_ONLY

    @property
    def is_exactly_the_reference(self) -> bool:
        """Whether nine digits agree with the reference: an exact method may reach it without a standard error."""
        return self.reference is not None and math.isclose(self.value, self.reference.value, rel_tol=1e-9)

    @property
    def is_below_doubles(self) -> bool:
        """Whether the value is positive but only its logarithm can be stored."""
        return math.isfinite(self.log_value) and not self.is_bound and not abs(self.value) >= SMALLEST


@dataclass(frozen=True)
class ConvergencePoint:
    """An estimate after some of its draws: a row of ``convergence.csv``."""

    estimate: int
    evaluations: int
    value: float
    std_error: float
    lower: float
    upper: float

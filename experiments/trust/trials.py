"""One run of a method on a problem of the suite, with everything that its verdict used."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from runs import FAILED, REFUSED, Counted, attempt
from suite import CASES, Case

from raresim import Importance, Normal, estimate
from raresim.measures.intervals import clopper_pearson, widened
from raresim.methods.base import Method
from raresim.record.records import Estimate
from raresim.record.verdict import Status
from raresim.run.result import Result

ERROR, BUDGET = 0.05, 100_000
"""Relative error that a run stops at, and the evaluations that it may take."""

SURE = 0.999
"""A trusted run is wrong if the answer is outside its interval of this confidence, however near it is."""

NEAR = 0.25
"""Relative deviation beyond which an estimate is wrong."""

MATTERS = 1e-4
"""Relative difference that counts as none: an exact method that is off in the fifth digit has missed nothing."""

STATED = "importance"
METHODS = (
    "auto",
    "crude",
    "cross_entropy",
    "design_point",
    "improved_cross_entropy",
    "line_sampling",
    "subset_simulation",
    STATED,
)

COMMON = 1e-4
"""Probability below which crude Monte Carlo is not asked, because it would see no event and say so."""

FEW = 6
"""Dimensions above which `improved_cross_entropy` is not asked, because a run takes seconds there."""

_LETTERS = {str(status)[0]: status for status in Status}

Key = tuple[str, str, int]
"""Method, problem, seed."""


@dataclass(frozen=True)
class Check:
    """The value of a check of the verdict, and its status."""

    value: float | None
    status: Status


@dataclass(frozen=True)
class Trial:
    """A row of a file of runs.

    Parameters
    ----------
    method, problem, seed
        What was run.
    estimate, reported : float
        The estimate and its relative error; NaN without an estimate.
    low, high : float
        The 95 % interval.
    missed : int
        Place of the answer: -1 below the 95 % interval, 1 above it, 0 in it.
    far : bool
        Whether the 99.9 % interval misses the answer.
    before, sample, audit : int
        Evaluations reported for exploring and tuning, for the estimate, and for the audit.
    calls : int
        Rows that the loss was given.
    seconds : float
        Processor time, without numba's compiler.
    verdict : str
        Raresim's verdict; or `REFUSED`, when the method does not take the question, or `FAILED`.
    hidden : float
        The printed bound of hidden mass; NaN where there is none.
    unconditional : bool
        Whether the printed scope covers all failure regions.
    checks : str
        Name, value and first letter of the status of each check, as ``khat:0.12:t``.
    outcome : str
        The message of the error where there is no estimate.
    """

    method: str
    problem: str
    seed: int
    estimate: float
    reported: float
    low: float
    high: float
    missed: int
    far: bool
    before: int
    sample: int
    audit: int
    calls: int
    seconds: float
    verdict: str
    hidden: float
    unconditional: bool
    checks: str
    outcome: str

    @property
    def key(self) -> Key:
        return self.method, self.problem, self.seed

    @property
    def file(self) -> str:
        return self.method

    @property
    def case(self) -> Case:
        return CASES[self.problem]

    @property
    def evaluations(self) -> int:
        return self.before + self.sample + self.audit

    @property
    def answered(self) -> bool:
        """Whether there is an estimate."""
        return self.verdict not in {REFUSED, FAILED}

    @property
    def trusted(self) -> bool:
        return self.verdict == Status.TRUSTED

    @property
    def off(self) -> float:
        """The estimate over the answer; below one is too small."""
        return self.estimate / self.case.problem.probability

    @property
    def is_far_off(self) -> bool:
        """Whether it is more than 25 % off."""
        return abs(self.off - 1.0) > NEAR

    @property
    def wrong(self) -> bool:
        """Whether nobody may trust it: more than 25 % off, or the answer outside the 99.9 % interval."""
        return self.is_far_off or self.far

    @cached_property
    def seen(self) -> dict[str, Check]:
        """The checks by name."""
        parts = (part.split(":") for part in self.checks.split())
        return {name: Check(float(value) if value else None, _LETTERS[letter]) for name, value, letter in parts}


def applies(method: str, case: Case) -> bool:
    """Whether a method is asked about a case."""
    if method == STATED:
        return case.aim is not None
    if method == "crude":
        return case.problem.probability >= COMMON
    return method != "improved_cross_entropy" or case.problem.dim <= FEW


def method_of(kind: str, case: Case) -> Method | str:
    """The method with its default options; a stated proposal is a normal law around one mode."""
    if kind != STATED:
        return kind
    if case.aim is None:
        raise ValueError(f"{case.problem.id} has no aim")
    return Importance(proposal=Normal(mean=case.aim, std=1.0, dim=case.problem.dim))


def run_trial(key: Key, seconds: float) -> Trial:
    """One run; any error is part of the result.

    Parameters
    ----------
    key : Key
        What to run.
    seconds : float
        Seconds after which the run is given up.
    """
    kind, id, seed = key
    case = CASES[id]
    problem = case.problem
    counted = Counted(problem.loss)
    begun = time.process_time()

    def run() -> Result:
        return estimate(
            problem.inputs,
            counted,
            problem.measure,
            method_of(kind, case),
            seed=seed,
            relative_error=ERROR,
            max_evaluations=BUDGET,
        )

    result, verdict, outcome = attempt(run, seconds)
    if result is not None:
        seconds_taken = time.process_time() - begun - result.seconds["compile"]
        return _judged(key, case, result, counted.rows, max(0.0, seconds_taken))
    none = (math.nan,) * 4
    taken = time.process_time() - begun
    return Trial(*key, *none, 0, False, 0, 0, 0, counted.rows, taken, verdict, math.nan, False, "", outcome)


def _judged(key: Key, case: Case, result: Result, calls: int, seconds: float) -> Trial:
    answer = case.problem.probability
    found = judged(result, answer, answer * (MATTERS + case.problem.rel_accuracy))
    return Trial(*key, **found, calls=calls, seconds=float(f"{seconds:.3g}"), outcome="")


def judged(result: Result, answer: float, slack: float) -> dict[str, Any]:
    """The part of a result that a row keeps: estimate, interval, evaluations and verdict by the names of `Trial`.

    Parameters
    ----------
    result : Result
        Result of one question.
    answer : float
        The exact probability.
    slack : float
        Distance by which an interval may miss the answer.
    """
    number, spent = result.estimates[0], result.evaluations
    hidden = number.verdict.hidden_mass_bound
    low, high = sure_interval(number, result.stopping)
    return {
        "estimate": number.value,
        "reported": number.relative_error,
        "low": number.interval[0],
        "high": number.interval[1],
        "missed": _side(number.interval, answer, slack),
        "far": _side((low, high), answer, slack) != 0,
        "before": spent["explore"] + spent["tune"] + spent.get("rounds", 0),
        "sample": spent["estimate"],
        "audit": spent["audit"],
        "verdict": str(number.verdict.status),
        "hidden": math.nan if hidden is None else hidden,
        "unconditional": number.verdict.scope.startswith("all failure regions"),
        "checks": " ".join(
            f"{check.name}:{'' if check.value is None else f'{check.value:.3g}'}:{str(check.status)[0]}"
            for check in number.verdict.checks
        ),
    }


def _side(interval: tuple[float, float], answer: float, slack: float) -> int:
    """-1 where the answer is below the interval, 1 where it is above."""
    return int(answer > interval[1] + slack) - int(answer < interval[0] - slack)


def sure_interval(number: Estimate, stopping: Mapping[str, Any], confidence: float = SURE) -> tuple[float, float]:
    """The interval of an estimate at another confidence, from the stored result.

    The run cannot be asked for it, because a second question changes what some methods draw. An interval on the log
    scale is stretched by the ratio of the quantiles of its law, an exact interval is computed again, and a bound is
    left as it is.
    """
    from scipy.special import ndtri, stdtrit

    low, high = number.interval
    if number.interval_kind.startswith("exact (Clopper"):
        rows, hits = number.diagnostics["rows"], number.diagnostics["hits"]
        return widened(clopper_pearson(hits, rows, confidence), number.value, stopping["interval_inflation"])
    if low <= 0.0:
        return low, high
    few = re.search(r"t with ([\d,]+) degrees", number.interval_kind)
    dof = int(few[1].replace(",", "")) if few else None
    ends = (0.5 + 0.5 * confidence, 0.5 + 0.5 * number.confidence)
    wide, narrow = (float(ndtri(end) if dof is None else stdtrit(dof, end)) for end in ends)
    return widened((low, high), number.value, wide / narrow)

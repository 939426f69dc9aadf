"""One run of a method on a random problem: the seed is the number of the problem."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal

from random_problems import RandomProblem, problem
from runs import FAILED, REFUSED, Counted, attempt
from trials import COMMON, FEW, MATTERS, NEAR, judged

from raresim import Probability, PythonLoss, estimate
from raresim.record.verdict import Status
from raresim.run.result import Result

Part = Literal["open", "unseen"]
PARTS: dict[Part, range] = {"open": range(1_000), "unseen": range(30_000, 32_000)}
"""Numbers of the problems that may be looked at, and of those that are run once."""

COLUMNS = "auto_columns"
"""`auto` that is given the limit states, a column each."""

METHODS = (
    "auto",
    COLUMNS,
    "crude",
    "cross_entropy",
    "design_point",
    "improved_cross_entropy",
    "line_sampling",
    "sequential_importance",
    "subset_simulation",
)

ERROR, BUDGET = 0.04, 200_000
"""Relative error that a run stops at, and the evaluations that it may take."""

Key = tuple[str, int, float, int]
"""Method, number of the problem, relative error asked for, largest number of evaluations."""


@dataclass(frozen=True)
class Fresh:
    """A row of a file of runs on random problems.

    Parameters
    ----------
    method, number, error, budget
        What was run; see `Key`.
    kind, form : str
        Kind and form of the problem.
    dim, branches : int
        Number of inputs and of branches of the problem.
    probability : float
        The answer.
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
    way : str
        How the run found its number, as the search names it.
    rounds : int
        Rounds of search and estimate, where the search counts them; otherwise 1.
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
    number: int
    error: float
    budget: int
    kind: str
    form: str
    dim: int
    branches: int
    probability: float
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
    way: str
    rounds: int
    verdict: str
    hidden: float
    unconditional: bool
    checks: str
    outcome: str

    @property
    def key(self) -> Key:
        return self.method, self.number, self.error, self.budget

    @property
    def part(self) -> Part:
        return part_of(self.number)

    @property
    def file(self) -> str:
        return file_of(self.method, self.part)

    @property
    def problem(self) -> str:
        """The problem in a line of progress."""
        return f"number {self.number}"

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
        return self.estimate / self.probability

    @property
    def near(self) -> bool:
        """Whether it is at most 25 % off."""
        return abs(self.off - 1.0) <= NEAR

    @property
    def solved(self) -> bool:
        return self.near and self.trusted

    @property
    def wrong(self) -> bool:
        """Whether nobody may trust it: more than 25 % off, or the answer outside the 99.9 % interval."""
        return not self.near or self.far


def part_of(number: int) -> Part:
    """Which part a number belongs to."""
    for part, numbers in PARTS.items():
        if number in numbers:
            return part
    raise ValueError(f"number {number} is in no part")


def file_of(method: str, part: Part) -> str:
    """Name of the file of rows, in ``data``."""
    return f"fresh-{method}-{part}"


def takes_limit_states() -> bool:
    """Whether this version of raresim has losses that return a column for each limit state."""
    return "limit_states" in {field.name for field in fields(PythonLoss)}


def available(methods: Sequence[str]) -> list[str]:
    """Those of ``methods`` that this version of raresim has."""
    return [method for method in methods if method != COLUMNS or takes_limit_states()]


def applies(method: str, probability: float, dim: int) -> bool:
    """Whether a method is asked about a problem."""
    if method == "crude":
        return probability >= COMMON
    return method != "improved_cross_entropy" or dim <= FEW


def loss_of(asked: RandomProblem, method: str) -> tuple[Counted, Any]:
    """The counter of the rows, and the loss that is asked about.

    The limit states of `COLUMNS` are built only here.
    """
    if method != COLUMNS:
        counted = Counted(asked.loss)
        return counted, counted
    counted = Counted(asked.columns)
    system = asked.system if isinstance(asked.system, str) else {"at_least": asked.system}
    states: dict[str, Any] = {"function": counted, "limit_states": True, "system": system}
    return counted, PythonLoss(**states)


def run_fresh(key: Key, seconds: float) -> Fresh | None:
    """One run; any error is part of the result. None where the method is not asked.

    Parameters
    ----------
    key : Key
        What to run.
    seconds : float
        Seconds after which the run is given up.
    """
    method, number, error, budget = key
    asked = problem(number)
    if not applies(method, asked.probability, asked.dim):
        return None
    about = (asked.kind, asked.form, asked.dim, asked.branches, asked.probability)
    counted, loss = loss_of(asked, method)
    begun = time.process_time()

    def run() -> Result:
        return estimate(
            asked.inputs,
            loss,
            Probability(above=0.0),
            "auto" if method == COLUMNS else method,
            seed=number,
            relative_error=error,
            max_evaluations=budget,
        )

    result, verdict, outcome = attempt(run, seconds)
    taken = time.process_time() - begun
    if result is not None:
        found = judged(result, asked.probability, asked.probability * (MATTERS + asked.rel_accuracy))
        return Fresh(
            *key,
            *about,
            **found,
            calls=counted.rows,
            seconds=float(f"{max(0.0, taken - result.seconds['compile']):.3g}"),
            way=str(result.search.get("kind", "")),
            rounds=1 + len(result.search["rounds"]),
            outcome="",
        )
    none = (math.nan,) * 4
    lost = (0, False, 0, 0, 0, counted.rows, float(f"{taken:.3g}"), "", 0, verdict, math.nan, False, "", outcome)
    return Fresh(*key, *about, *none, *lost)

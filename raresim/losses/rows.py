"""A loss that is evaluated row by row by something outside this process, some rows at the same time."""

from __future__ import annotations

import contextlib
import math
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from raresim.arguments.checks import named_unit, whole
from raresim.distributions.base import Inputs
from raresim.errors import LossError
from raresim.losses import noise
from raresim.losses.base import Loss
from raresim.losses.failures import Failed, Failure, failures_of, not_finite, note
from raresim.losses.limits import Limited, check_outputs, names_of
from raresim.losses.stopping import Stop, current
from raresim.losses.system import System, checked, in_words, least_of, of_states
from raresim.losses.user_code import Policy, UserCode
from raresim.numerics.arrays import Float


class RowError(Exception):
    """A row has no loss: of what kind the failure is, and why, in words that follow the name of the loss."""

    def __init__(self, kind: Failure, text: str) -> None:
        super().__init__(text)
        self.kind: Failure = kind


@dataclass(frozen=True, kw_only=True, eq=False)
class RowLoss(UserCode):
    """A loss with one evaluation for each row, several of which may be under way at the same time.

    To add one: a member that gives `of_row`, `name` and `outputs`, checks itself with `check_rows`, and documents these
    fields.

    Parameters
    ----------
    parallel : int
        Number of rows of a call that are evaluated at the same time.
    timeout : float, optional
        Seconds that one row may take.
    on_failure : "error", "bound" or "retry"
        Treatment of a row that fails; see `PythonLoss`.
    retries : int, optional
        How many times a failed row is tried again; left out, 3 with ``retry`` and 0 with ``bound``.
    system : "any", "all" or mapping
        Which of several outputs make the event; see `PythonLoss`.
    smooth : bool
        Declares that the loss changes smoothly with the factors; see `PythonLoss`.
    unit : str, optional
        Name of the loss's unit; see `PythonLoss`.
    """

    parallel: int = 1
    timeout: float | None = None
    on_failure: Policy = "error"
    retries: int | None = None
    system: System = "any"
    smooth: bool = False
    unit: str | None = None

    token: str = field(default="", init=False, repr=False)

    @property
    @abstractmethod
    def name(self) -> str:
        """What the loss is called in messages."""

    @property
    @abstractmethod
    def outputs(self) -> tuple[Limited, ...]:
        """The numbers of a row: the loss, or a limit state each where there are several."""

    @abstractmethod
    def of_row(self, row: Float, stop: Stop) -> tuple[float, ...]:
        """The numbers of one row, (d,) float64, one for each of `outputs`.

        A call may be made on any thread, and ends soon after ``stop`` is set.

        Raises
        ------
        RowError
            When the row has no loss: `on_failure` says what follows.
        LossError
            When no row can have a loss, or what came back is not what was asked for: the run ends.
        """

    @property
    def undeclared(self) -> tuple[str, ...]:
        return () if self.smooth else ("loss",)

    def check_rows(self) -> None:
        """Raise `FieldError` if a field of this class is not allowed; the numbers become plain ones."""
        object.__setattr__(self, "parallel", whole("parallel", self.parallel))
        named_unit("unit", self.unit)
        self.check_policy()
        object.__setattr__(self, "system", checked(self.system))
        check_outputs(self.outputs, self.system)

    @property
    def has_threshold(self) -> bool:
        return all(output.has_limit for output in self.outputs)

    @property
    def limit_state_names(self) -> tuple[str, ...]:
        return names_of(self.outputs) if len(self.outputs) > 1 else ()

    @property
    def at_least(self) -> int:
        return least_of(self.system, len(self.outputs))

    def __call__(self, x: Float, out: Float) -> None:
        out[:] = of_states(self._table(x), self.at_least)

    def states(self, x: Float) -> Float | None:
        """As in `Loss`; a bounded row that fails has NaN for each limit state."""
        return self._table(x) if self.limit_state_names else None

    def _table(self, x: Float) -> Float:
        """The numbers (n, m) of rows ``x`` (n, d), beyond their limits; NaN for each of a row that fails."""
        rows, table = np.ascontiguousarray(x), np.empty((len(x), len(self.outputs)), order="F")
        found = self._evaluate(rows, table, range(len(x)))
        before = len(found)
        for _ in range(self.again if found else 0):
            found = self._evaluate(rows, table, list(found))
        if found and self.on_failure != "bound":
            raise self._error(rows, table, found)
        if before:
            note(failures_of(x, of_states(table, self.at_least), found, before - len(found)))
        table[list(found)] = np.nan
        return table

    def watched(self) -> Loss:
        watched = object.__new__(type(self))
        watched.__dict__.update(self.__dict__)
        object.__setattr__(watched, "token", noise.token())
        return watched

    def refuse_noise(self, x: Float, out: Float, seconds: float) -> None:
        """Raise `LossError` if a row has another loss when it is evaluated again; see `noise.refuse`."""
        noise.refuse(self.name, self.token, x, out, seconds, self._again)

    def moments(self, inputs: Inputs) -> None:
        return None

    def about_rows(self) -> list[str]:
        """Lines for `describe` about the fields of this class."""
        lines = []
        if names := self.limit_state_names:
            lines.append(f"limit states {', '.join(names)}: the event is that {in_words(self.system)}")
        tries = f" after {self.again} further tr{'y' if self.again == 1 else 'ies'}" if self.again else ""
        if self.on_failure == "retry":
            lines.append(f"a row without a loss is tried again, and the run ends if it still has none{tries}")
        if self.on_failure == "bound":
            lines.append(
                f"a row without a loss{tries} counts as safe for the lower end, and as failing for the upper end"
            )
        if self.timeout is not None:
            lines.append(f"a row may take {self.timeout:g} s")
        if self.parallel > 1:
            lines.append(f"{self.parallel} rows are evaluated at the same time")
        return lines

    def _again(self, x: Float, out: Float) -> Float:
        """The losses (n,) of ``x``, or its limit states (n, m) if ``out`` holds these; NaN where a row fails now."""
        table = np.full((len(x), len(self.outputs)), np.nan, order="F")
        with contextlib.suppress(LossError):
            found = self._evaluate(np.ascontiguousarray(x), table, range(len(x)))
            table[list(found)] = np.nan
        return table if out.ndim > 1 else of_states(table, self.at_least)

    def _evaluate(self, x: Float, table: Float, rows: Iterable[int]) -> dict[int, Failed]:
        """Write the numbers of some rows into ``table`` (n, m); returns those that failed, or only the first if it ends
        the run.

        The first is the same for any number of rows at a time: rows begin in order.
        """
        found: dict[int, Failed] = {}
        with _results(self.parallel, self._outcome, x, rows) as results:
            for row, outcome in results:
                if isinstance(outcome, Failed):
                    table[row], found[row] = np.nan, outcome
                else:
                    table[row] = [o.beyond(value) for o, value in zip(self.outputs, outcome, strict=True)]
                    wrong = [value for value in outcome if not math.isfinite(value)]
                    found |= {row: not_finite(wrong[0])} if wrong else {}
                if row in found and self.on_failure == "error":
                    break
        return found

    def _outcome(self, row: Float, stop: Stop) -> tuple[float, ...] | Failed:
        if stop.is_set():
            raise LossError(f"loss {self.name}: was stopped")
        try:
            return self.of_row(row, stop)
        except RowError as error:
            return Failed(error.kind, str(error), error)

    def _error(self, x: Float, table: Float, found: dict[int, Failed]) -> LossError:
        """The error that ends the run, with the rows that failed."""
        out = of_states(table, self.at_least)
        row, first = next(iter(found.items()))
        tried = f"; tried {self.again + 1} times" if self.again else ""
        scenario = f"the scenario {np.array2string(x[row], precision=6, threshold=12)}"
        text = f"loss {self.name}: {first.text}; row {row}, {scenario}{tried}"
        error = LossError(text, failures_of(x, out, found, 0))
        error.__cause__ = first.cause
        return error


@contextmanager
def _results(
    parallel: int, outcome: Callable[[Float, Stop], Any], x: Float, rows: Iterable[int]
) -> Iterator[Iterator[tuple[int, Any]]]:
    """Outcomes of rows in their order, with at most ``parallel`` under way; those left over are stopped at the end."""
    stop = Stop(current())
    if parallel == 1:
        yield ((row, outcome(x[row], stop)) for row in rows)
        return
    with ThreadPoolExecutor(parallel, thread_name_prefix="raresim-row") as pool:
        futures: dict[int, Future[Any]] = {row: pool.submit(outcome, x[row], stop) for row in rows}
        try:
            yield ((row, future.result()) for row, future in futures.items())
        finally:
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)

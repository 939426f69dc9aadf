"""A loss that is evaluated row by row by something outside this process, some rows at the same time."""

from __future__ import annotations

import contextlib
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from raresim.arguments.checks import whole
from raresim.distributions.base import Inputs
from raresim.errors import LossError
from raresim.losses import noise
from raresim.losses.base import Loss
from raresim.losses.failures import Failed, Failure, failures_of, not_finite, note
from raresim.losses.stopping import Stop, current
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

    To add one: a member that gives `of_row` and `name`, checks itself with `check_rows`, and documents these fields.

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
    smooth : bool
        Declares that the loss changes smoothly with the factors; see `PythonLoss`.
    """

    parallel: int = 1
    timeout: float | None = None
    on_failure: Policy = "error"
    retries: int | None = None
    smooth: bool = False

    token: str = field(default="", init=False, repr=False)

    @property
    @abstractmethod
    def name(self) -> str:
        """What the loss is called in messages."""

    @abstractmethod
    def of_row(self, row: Float, stop: Stop) -> float:
        """The loss of one row, (d,) float64; a call may be made on any thread, and ends soon after ``stop`` is set.

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
        self.check_policy()

    def __call__(self, x: Float, out: Float) -> None:
        rows = np.ascontiguousarray(x)
        found = self._evaluate(rows, out, range(len(x)))
        before = len(found)
        for _ in range(self.again if found else 0):
            found = self._evaluate(rows, out, list(found))
        if found and self.on_failure != "bound":
            raise self._error(rows, out, found)
        if before:
            note(failures_of(x, out, found, before - len(found)))
        out[list(found)] = np.nan

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
        tries = f" after {self.again} further tr{'y' if self.again == 1 else 'ies'}" if self.again else ""
        if self.on_failure == "retry":
            lines.append(f"a row without a loss is tried again, and ends the run{tries}")
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
        """The losses (n,) of ``x``; NaN where a row fails now."""
        losses = np.full(len(x), np.nan)
        with contextlib.suppress(LossError):
            found = self._evaluate(np.ascontiguousarray(x), losses, range(len(x)))
            losses[list(found)] = np.nan
        return losses

    def _evaluate(self, x: Float, out: Float, rows: Iterable[int]) -> dict[int, Failed]:
        """Write the losses of some rows into ``out``; returns those that failed, or only the first if it ends the run.

        The first is the same for any number of rows at a time: rows begin in order.
        """
        found: dict[int, Failed] = {}
        with _results(self.parallel, self._outcome, x, rows) as results:
            for row, outcome in results:
                out[row] = np.nan if isinstance(outcome, Failed) else outcome
                if not np.isfinite(out[row]):
                    found[row] = outcome if isinstance(outcome, Failed) else not_finite(outcome)
                    if self.on_failure == "error":
                        break
        return found

    def _outcome(self, row: Float, stop: Stop) -> float | Failed:
        if stop.is_set():
            raise LossError(f"loss {self.name}: was stopped")
        try:
            return self.of_row(row, stop)
        except RowError as error:
            return Failed(error.kind, str(error), error)

    def _error(self, x: Float, out: Float, found: dict[int, Failed]) -> LossError:
        """The error that ends the run, with the rows that failed."""
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

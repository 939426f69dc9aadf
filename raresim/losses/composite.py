"""A loss that is made of other losses: what it has in common with them, whatever it makes of their values."""

from __future__ import annotations

import contextlib
import time
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from raresim.distributions.base import Inputs
from raresim.errors import FieldError, LossError
from raresim.losses import noise
from raresim.losses.base import Loss
from raresim.losses.failures import Failures, collecting, note
from raresim.losses.system import combined
from raresim.numerics.arrays import Float

Rows = NDArray[np.int64]
"""Places of rows among those of a call."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Composite(Loss):
    """A loss whose value in a row follows from the values of other losses in it.

    To add one: a member that gives `inner`, `holding` and `columns`, and sets `token` through `watched` alone.
    """

    token: str = field(default="", init=False, repr=False)

    @property
    @abstractmethod
    def inner(self) -> Mapping[str, Loss]:
        """The losses that it is made of, by the place of their argument: ``parts.bending``."""

    @abstractmethod
    def holding(self, inner: Sequence[Loss]) -> Self:
        """The same loss, made of other losses in the same order."""

    @abstractmethod
    def columns(self, x: Float) -> Float:
        """The limit states (n, m) of rows ``x`` (n, d), or the loss alone (n, 1) where it has none."""

    def __call__(self, x: Float, out: Float) -> None:
        out[:] = self.of_columns(self.columns(x))

    def of_columns(self, columns: Float) -> Float:
        """The loss (n,) of its `columns`."""
        return combined(columns, self.at_least)

    def states(self, x: Float) -> Float | None:
        return self.columns(x) if self.limit_state_names else None

    def bind(self, inputs: Inputs) -> Self:
        bound = []
        for place, loss in self.inner.items():
            with _below(place):
                bound.append(loss.bind(inputs))
        return self.holding(bound)

    def look(self, inputs: Inputs) -> Self:
        looked = []
        for place, loss in self.inner.items():
            with _below(place):
                looked.append(loss.look(inputs))
        return self.holding(looked)

    @property
    def names_parts(self) -> bool:
        """Whether the lines of `describe` after the first begin with the names of parts."""
        return True

    def doubts(self) -> list[str]:
        return [doubt for loss in self.inner.values() for doubt in loss.doubts()]

    def replay(self, path: Path) -> str:
        found = {place: loss.replay(path) for place, loss in self.inner.items()}
        return "; ".join(f"{place}: {command}" for place, command in found.items() if command)

    @property
    def may_fail(self) -> bool:
        return any(loss.may_fail for loss in self.inner.values())

    @property
    def runs_user_code(self) -> bool:
        return any(loss.runs_user_code for loss in self.inner.values())

    @property
    def needs_main_thread(self) -> bool:
        return any(loss.needs_main_thread for loss in self.inner.values())

    def watched(self) -> Loss:
        if not self.runs_user_code:
            return self
        watched = replace(self)
        watched.__dict__.update(self.__dict__)
        object.__setattr__(watched, "token", noise.token())
        return watched

    def refuse_noise(self, x: Float, out: Float, seconds: float) -> None:
        """Raise `LossError` if a limit state of a row has another value when it is evaluated again; see `noise.refuse`.

        Where only losses were evaluated, some rows are evaluated twice more: a loss may hide a part that has noise.
        """
        if noise.is_asked(self.token):
            return
        if out.ndim == 1:
            x = np.asfortranarray(x[np.isfinite(out)][: noise.rows_again(len(x), seconds)])
            begun = time.perf_counter()
            out = self._again(x, out)
            seconds = time.perf_counter() - begun
        noise.refuse(self.kind, self.token, x, out, seconds, self._again)

    def _again(self, x: Float, _: Float) -> Float:
        """The columns of some rows, whose failures are not counted again."""
        with collecting(), contextlib.suppress(LossError):
            return self.columns(np.asfortranarray(x))
        return np.full((len(x), max(1, len(self.limit_state_names))), np.nan)

    def assumptions(self, inputs: Inputs) -> Mapping[str, Any]:
        """See `Loss.assumptions`; of a number that several losses have, the largest."""
        found: dict[str, Any] = {}
        for loss in self.inner.values():
            for name, value in loss.assumptions(inputs).items():
                found[name] = value if found.get(name) is None else max(found[name], value or 0.0)
        return found

    def notes(self, inputs: Inputs) -> list[str]:
        return list(dict.fromkeys(line for loss in self.inner.values() for line in loss.notes(inputs)))

    def moments(self, inputs: Inputs) -> None:
        return None

    def files(self) -> list[Path]:
        return list(dict.fromkeys(path for loss in self.inner.values() for path in loss.files()))


def described(name: str, loss: Loss) -> list[str]:
    """The lines that describe a part: each begins with its name, ``pumps``, or with that of a part of it,
    ``pumps.first``."""
    first, *more = loss.describe()
    mark = "." if isinstance(loss, Composite) and loss.names_parts else ": "
    return [f"{name}: {first}", *(f"{name}{mark}{line}" for line in more)]


def columns_of(losses: Mapping[str, tuple[Loss, int]], x: Float) -> Float:
    """The columns (n, m) of several losses for rows ``x`` (n, d), side by side.

    Parameters
    ----------
    losses : mapping of str to (Loss, int)
        Each loss by its name in messages, and the number of its limit states; 0 for its value alone.
    x : (n, d) float64
        The rows.

    Notes
    -----
    A row for which one loss fails is not evaluated by those after it, so that it counts as one failed row; all its
    columns are NaN.
    """
    out = np.full((len(x), sum(max(1, width) for _, width in losses.values())), np.nan, order="F")
    rows: Rows = np.arange(len(x))
    at = 0
    for name, (loss, width) in losses.items():
        some = x if rows.size == len(x) else np.asfortranarray(x[rows])
        with _of_rows(name, rows):
            found = _values(loss, width, some)
        out[rows, at : at + found.shape[1]] = found
        at += found.shape[1]
        rows = rows[~np.isnan(found).any(axis=1)]
        if not rows.size:
            break
    if rows.size < len(x):
        failed = np.ones(len(x), dtype=np.bool_)
        failed[rows] = False
        out[failed] = np.nan
    return out


def _values(loss: Loss, width: int, x: Float) -> Float:
    """The limit states (n, m) of a loss, or its value (n, 1) where ``width`` is 0."""
    if width and (states := loss.states(x)) is not None:
        return states
    out = np.empty(len(x))
    loss(x, out)
    return out[:, np.newaxis]


@contextmanager
def _of_rows(name: str, rows: Rows) -> Iterator[None]:
    """A context in which a loss counts its failed rows by their places among ``rows``; they are noted by true ones."""

    which = f"part {name}: " if name else ""

    def placed(failures: Failures) -> Failures:
        place = failures.place.copy()
        place[:, 2] = rows[place[:, 2]]
        return replace(failures, place=place, message=tuple(f"{which}{text}" for text in failures.message))

    with collecting() as found:
        try:
            yield
        except LossError as error:
            failures = None if error.failures is None else placed(error.failures)
            raise LossError(f"{which}{error}", failures) from error.__cause__
    note(placed(found.failures))


@contextmanager
def _below(place: str) -> Iterator[None]:
    """A context in which an argument of an inner loss is named with its place."""
    try:
        yield
    except FieldError as error:
        raise FieldError(f"{place}.{error.field}", error.message, error.of) from None

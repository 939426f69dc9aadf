"""What a user's function returned, as arrays of the right shape: losses, and their parts or limit states."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from raresim.data.names import in_order, labels_of, table_in_order
from raresim.errors import FieldError, LossError
from raresim.losses.system import System, least_of, of_states, too_few
from raresim.numerics.arrays import Float

SUM_ERROR = 1e-9
"""Largest difference of the loss and the sum of its parts, as a share of the loss or of the sum of the parts' sizes."""


class Columns(NamedTuple):
    """Words for the columns that a function returns: their plural, the phrase for all of them, and their key."""

    many: str
    all: str
    key: str


PARTS = Columns("parts", "the parts of the loss", "components")
LIMIT_STATES = Columns("limit states", "a column for each limit state", "limit_states")


@dataclass(frozen=True)
class Returned:
    """The form of what a function returns; its methods raise `LossError` for any other.

    Parameters
    ----------
    loss : str
        Name of the loss in messages.
    vectorised : bool
        Whether the function takes all rows at once.
    columns : Columns or None
        What the columns are that it returns; None if it returns single numbers.
    names : bool or sequence of str
        The names of the columns, as far as they are given.
    system : "any", "all" or mapping
        How limit states are combined.
    one_row_hint : callable
        From rows to a hint for a function that takes one row; empty where it does not.
    """

    loss: str
    vectorised: bool
    columns: Columns | None
    names: bool | Sequence[str]
    system: System
    one_row_hint: Callable[[Float], str]

    def numbers(self, value: Any, given: Float, n: int) -> Float:
        """The function's values for ``n`` rows as an array (n,), or one number if it was called for one row."""
        loss = self._real(value)
        alone = given.ndim == 1 or n == 1
        if loss.shape != (n,) and not (alone and loss.shape == ()):
            wanted = f"an array of shape {(n,)}" if self.vectorised else "one number"
            hint = (
                self.one_row_hint(given)
                if self.vectorised
                else "; leave out `vectorised: false` if it takes whole arrays"
            )
            if not hint and self.columns is None and n > 1 and loss.ndim == 2 and len(loss) == n:
                hint = (
                    "; say `components: true` if these are the parts of the loss, `limit_states: true` if each of them "
                    "can fail by itself"
                )
            raise LossError(f"loss {self.loss}: must return {wanted}, got shape {loss.shape}{hint}")
        return loss

    def split(self, value: Any, given: Float, n: int) -> tuple[Float, Float]:
        """The function's values for ``n`` rows as losses (n,) and their parts or limit states (n, m)."""
        if self.columns is LIMIT_STATES:
            return self._of_states(self._table(value, given, n))
        is_pair = isinstance(value, tuple) and (self.vectorised or (len(value) == 2 and np.ndim(value[1]) > 0))
        if is_pair and len(value) != 2:
            raise LossError(
                f"loss {self.loss}: must return the parts of the loss, or a tuple of the loss and its parts, "
                f"got a tuple of {len(value)}"
            )
        parts = self._table(value[1] if is_pair else value, given, n)
        total: Float = parts.sum(axis=1)
        if not is_pair:
            return total, parts
        loss = np.broadcast_to(self.numbers(value[0], given, n), (n,))
        with np.errstate(invalid="ignore"):
            off = np.abs(loss - total) > SUM_ERROR * np.maximum(np.abs(loss), np.abs(parts).sum(axis=1))
        if off.any():
            row = int(np.argmax(off))
            scenario = np.array2string(np.atleast_2d(given)[row], precision=6, threshold=12)
            raise LossError(
                f"loss {self.loss}: the parts must add up to the loss, got {total[row]:.12g} for a loss of "
                f"{loss[row]:.12g} in {int(off.sum())} of {n} rows, first row {row}, the scenario {scenario}"
            )
        return loss, parts

    def _of_states(self, states: Float) -> tuple[Float, Float]:
        """The losses (n,) of limit states (n, m), and these; a value that is not finite becomes the loss of its row."""
        if few := too_few(self.system, states.shape[1]):
            raise LossError(f"loss {self.loss}: system.{few}")
        return of_states(states, least_of(self.system, states.shape[1])), states

    def _table(self, value: Any, given: Float, n: int) -> Float:
        """``value`` as columns (n, m), one for each name if there are names."""
        what, names = self.columns or PARTS, self.names
        table = self._real(value if isinstance(names, bool) else self._by_name(value, names, what))
        if given.ndim == 1 and table.ndim == 1:
            table = table[np.newaxis]
        m = len(names) if not isinstance(names, bool) else table.shape[-1] if table.ndim else 0
        if table.shape != (n, m) or m == 0:
            rows = f"{n}, " if self.vectorised else ""
            wanted = f"({rows}number of {what.many})" if isinstance(names, bool) else f"({rows}{m}{',' * (not rows)})"
            hint = self.one_row_hint(given)
            raise LossError(
                f"loss {self.loss}: must return {what.all}, shape {wanted}, got shape {np.shape(value)}{hint}"
            )
        return table.astype(np.float64, copy=False)

    def _by_name(self, value: Any, names: Sequence[str], what: Columns) -> Any:
        """``value`` with its columns in the order of ``names``, if it has names of its own."""
        try:
            if labels_of(value) is not None and np.ndim(value) < 2:  # values of one row
                return in_order(what.key, value, names)
            return table_in_order(what.key, value, labels_of(value) or (), names)
        except FieldError as error:
            raise LossError(f"loss {self.loss}: returned columns by name: {error}") from None

    def _real(self, value: Any) -> Float:
        """``value`` as an array of real numbers."""
        if np.ma.is_masked(value):
            raise LossError(f"loss {self.loss}: must return a number for every row, got masked entries")
        try:
            array = np.asarray(value)
        except ValueError as error:
            raise LossError(f"loss {self.loss}: must return numbers, got {value!r:.80}: {error}") from None
        if array.dtype.kind not in "biuf":
            raise LossError(f"loss {self.loss}: must return real numbers, got {_type_of(value, array)}")
        return array


def _type_of(value: Any, loss: np.ndarray[Any, Any]) -> str:
    return f"an array of {loss.dtype}" if isinstance(value, np.ndarray) else f"{type(value).__name__} {value!r:.80}"

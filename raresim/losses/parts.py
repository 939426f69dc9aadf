"""What the parts of a portfolio lost in many rows: held as one array, or made some columns at a time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from raresim.numerics.arrays import Float

Members = NDArray[np.int64]
"""Places of parts among all parts."""

AT_ONCE = 32
"""Columns that are made together."""


class Parts(ABC):
    """Losses of ``m`` parts in ``k`` rows."""

    @property
    @abstractmethod
    def size(self) -> int:
        """Number of parts ``m``."""

    @abstractmethod
    def columns(self, members: Members) -> Float:
        """Losses (k, j) of the parts ``members`` (j,)."""

    @abstractmethod
    def chunks(self) -> Iterator[Members]:
        """The places of all parts in order, as many at a time as should be asked of `columns`."""

    @abstractmethod
    def sum(self, members: Members) -> Float:
        """What the parts ``members`` lost together in each row, (k,)."""

    @abstractmethod
    def sums(self, groups: Sequence[Members]) -> Float:
        """`sum` of each of ``g`` groups, (k, g)."""


@dataclass(frozen=True, eq=False)
class Held(Parts):
    """Losses that are held as one array.

    Parameters
    ----------
    values : (k, m) float64
        They.
    """

    values: Float

    @property
    def size(self) -> int:
        return int(self.values.shape[1])

    def columns(self, members: Members) -> Float:
        return self.values[:, members]

    def chunks(self) -> Iterator[Members]:
        yield np.arange(self.size, dtype=np.int64)

    def sum(self, members: Members) -> Float:
        return np.asarray(self.values[:, members].sum(axis=1))

    def sums(self, groups: Sequence[Members]) -> Float:
        starts = np.cumsum([0, *(members.size for members in groups[:-1])])
        return np.asarray(np.add.reduceat(self.values[:, np.concatenate(groups)], starts, axis=1))


@dataclass(frozen=True, eq=False)
class InColumns(Parts):
    """Losses that are made some columns at a time: nothing of the size rows times parts is held.

    Parameters
    ----------
    rows, parts : int
        Numbers of rows and parts.
    make : callable
        Gives the losses (k, j) of parts ``members`` (j,).
    """

    rows: int
    parts: int
    make: Callable[[Members], Float]

    known: dict[bytes, Float] = field(init=False, repr=False, default_factory=dict)

    @property
    def size(self) -> int:
        return self.parts

    def columns(self, members: Members) -> Float:
        return self.make(members)

    def chunks(self) -> Iterator[Members]:
        return _cut(np.arange(self.parts, dtype=np.int64))

    def sum(self, members: Members) -> Float:
        """As in `Parts`; the sums of the groups that `sums` was asked for are kept."""
        found = self.known.get(members.tobytes())
        if found is None:
            found = np.zeros(self.rows)
            for some in _cut(members):
                found += self.make(some).sum(axis=1)
        return found

    def sums(self, groups: Sequence[Members]) -> Float:
        for members in groups:
            self.known[members.tobytes()] = self.sum(members)
        return np.column_stack([self.known[members.tobytes()] for members in groups])


def _cut(members: Members) -> Iterator[Members]:
    return (members[k : k + AT_ONCE] for k in range(0, members.size, AT_ONCE))

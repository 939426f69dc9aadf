"""Rows for which a user's loss gave no number: the record of them, and how it gets from a worker to the run."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, Self, get_args

import numpy as np

from raresim.accumulators.base import Accumulator
from raresim.numerics.arrays import Float
from raresim.numerics.blocks import Block

Failure = Literal["raised", "timeout", "nan", "infinite", "died", "exit", "output"]
"""The function raised, gave no answer in time, returned NaN or an infinity, or ended the process that it ran in; the
program ended with an exit code other than 0, or wrote no number where its output is read."""

KINDS: tuple[Failure, ...] = get_args(Failure)

MOST_KEPT = 1000
"""Largest number of failed rows that a run keeps; all are counted."""

LONGEST = 300
"""Largest number of characters of a message that are kept."""


@dataclass(frozen=True, eq=False)
class Failures(Accumulator):
    """Rows that failed, in the order of the run: all are counted, and the first `MOST_KEPT` are kept.

    Parameters
    ----------
    counts : (7,) int64
        Number of rows of each of `KINDS`; fewer numbers, from a checkpoint of an older version, are for the first
        kinds.
    retried : int
        Number of rows that failed at first and gave a loss when they were tried again.
    x : (k, d) float64
        The kept rows as the function got them, in the units of the factors.
    loss : (k,) float64
        Return values of the function; NaN where it returned nothing.
    kind : (k,) int64
        Index into `KINDS` of each kept row.
    message : tuple of str
        The message of each kept row.
    place : (k, 3) int64
        Stage, block and row in the call of each kept row.
    """

    counts: np.ndarray[tuple[int, ...], np.dtype[np.int64]]
    retried: int
    x: Float
    loss: Float
    kind: np.ndarray[tuple[int, ...], np.dtype[np.int64]]
    message: tuple[str, ...]
    place: np.ndarray[tuple[int, ...], np.dtype[np.int64]]

    def __post_init__(self) -> None:
        missing = len(KINDS) - self.counts.size
        if missing:
            object.__setattr__(self, "counts", np.pad(self.counts, (0, missing)))

    @classmethod
    def nothing(cls) -> Self:
        """The record without any row."""
        none = np.empty(0, dtype=np.int64)
        zero = np.zeros(len(KINDS), dtype=np.int64)
        return cls(zero, 0, np.empty((0, 0)), np.empty(0), none, (), np.empty((0, 3), dtype=np.int64))

    @classmethod
    def of_rows(
        cls,
        x: Float,
        loss: Float,
        kinds: Sequence[Failure],
        messages: Sequence[str],
        rows: Sequence[int],
        retried: int = 0,
    ) -> Self:
        """The failed ``rows`` of a call with ``x`` (n, d) and, as far as it was returned, ``loss`` (n,)."""
        kind = np.array([KINDS.index(k) for k in kinds], dtype=np.int64)
        kept = np.array(rows[:MOST_KEPT], dtype=np.int64)
        place = np.zeros((kept.size, 3), dtype=np.int64)
        place[:, 2] = kept
        return cls(
            counts=np.bincount(kind, minlength=len(KINDS)).astype(np.int64),
            retried=retried,
            x=x[kept].copy(),
            loss=loss[kept].copy(),
            kind=kind[:MOST_KEPT],
            message=tuple(m[:LONGEST] for m in messages[:MOST_KEPT]),
            place=place,
        )

    @property
    def total(self) -> int:
        """Number of rows that failed, kept or not."""
        return int(self.counts.sum())

    @property
    def kept(self) -> int:
        """Number of rows that are kept."""
        return int(self.loss.size)

    @property
    def by_kind(self) -> Mapping[str, int]:
        """Number of failed rows of each kind that occurred."""
        return {kind: int(count) for kind, count in zip(KINDS, self.counts, strict=True) if count}

    def at(self, block: Block) -> Self:
        """The same rows, found in ``block``."""
        place = self.place.copy()
        place[:, 0], place[:, 1] = block.stage, block.index
        return replace(self, place=place)

    def merge(self, other: Self) -> Self:
        counted = replace(self, counts=self.counts + other.counts, retried=self.retried + other.retried)
        room = MOST_KEPT - self.kept
        if not other.kept or not room:
            return counted
        return replace(
            counted,
            x=np.concatenate([self.x, other.x[:room]]) if self.kept else other.x,
            loss=np.concatenate([self.loss, other.loss[:room]]),
            kind=np.concatenate([self.kind, other.kind[:room]]),
            message=self.message + other.message[:room],
            place=np.concatenate([self.place, other.place[:room]]),
        )

    def save(self, path: str | Path) -> Path:
        """Write `to_bytes` to ``path``, and return it."""
        Path(path).write_bytes(self.to_bytes())
        return Path(path)

    def to_bytes(self) -> bytes:
        """The kept rows as a NumPy archive of plain arrays.

        The arrays are ``x`` (k, d), and ``loss``, ``kind``, ``message``, ``stage``, ``block`` and ``row`` (k,).
        """
        buffer = io.BytesIO()
        np.savez_compressed(
            buffer,
            x=self.x,
            loss=self.loss,
            kind=np.array([KINDS[k] for k in self.kind], dtype=np.str_),
            message=np.array(self.message, dtype=np.str_),
            stage=self.place[:, 0],
            block=self.place[:, 1],
            row=self.place[:, 2],
        )
        return buffer.getvalue()


NOTHING = Failures.nothing()


@dataclass(frozen=True)
class Failed:
    """Why a row has no loss: the kind, the words, and the error of the function."""

    kind: Failure
    text: str
    cause: BaseException | None = None


def not_finite(loss: float) -> Failed:
    """Why a row has no loss for which the function returned NaN or an infinity."""
    return Failed("nan" if np.isnan(loss) else "infinite", f"returned {loss}")


def failures_of(x: Float, out: Float, found: Mapping[int, Failed], retried: int) -> Failures:
    """The record of a call with ``x`` (n, d) and ``out`` (n,), of which the rows ``found`` have no loss."""
    rows = sorted(found)
    failed = [found[row] for row in rows]
    return Failures.of_rows(x, out, [f.kind for f in failed], [f.text for f in failed], rows, retried)


@dataclass(eq=False)
class Collector:
    """The failures in a thread since `collecting` began."""

    failures: Failures

    def add(self, failures: Failures) -> None:
        """Add rows after those collected so far."""
        self.failures = self.failures.merge(failures)


_of_thread = threading.local()


@contextmanager
def collecting() -> Iterator[Collector]:
    """Collect the failures that `note` gets in this thread; an outer collector does not get them."""
    outer = getattr(_of_thread, "collector", None)
    _of_thread.collector = collector = Collector(NOTHING)
    try:
        yield collector
    finally:
        _of_thread.collector = outer


def met() -> int:
    """Number of failed rows in the collector of this thread so far."""
    return noted().total


def noted() -> Failures:
    """The failures in the collector of this thread so far."""
    collector: Collector | None = getattr(_of_thread, "collector", None)
    return NOTHING if collector is None else collector.failures


def note(failures: Failures) -> None:
    """Add rows that failed or were tried again to the collector of this thread, if there is one."""
    collector: Collector | None = getattr(_of_thread, "collector", None)
    if collector is not None and (failures.total or failures.retried):
        collector.add(failures)

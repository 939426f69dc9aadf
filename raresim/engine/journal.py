"""The losses that a run has evaluated, kept so that an interrupted search can be replayed without evaluating again.

A run depends on its config, its seed and what the loss returns. A journal holds the returned losses by stage and block,
in the order of the calls within a block, which no executor can change. A resumed run reads its journal first and calls
the loss only where the journal ends: it reaches the same place by the same steps, whatever its method.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Self

import numpy as np

from raresim.errors import CheckpointError
from raresim.numerics.arrays import Float
from raresim.numerics.blocks import Block

JOURNAL_BYTES = 64 * 1024 * 1024
"""Bytes of losses that are kept; further losses are evaluated again when the run is resumed."""

SLOW = 1.0
"""Seconds of a row from which its loss is saved as soon as it is there, not at the next of the regular savings."""

Key = tuple[int, int]
"""Stage and index of a block."""


@dataclass(frozen=True, eq=False)
class Call:
    """What one call of the loss returned, ``loss`` (n,) or its limit states (n, m), and a checksum of its draws."""

    mark: int
    loss: Float


class Journal:
    """The losses of a run so far, by stage and block.

    Parameters
    ----------
    calls : mapping, optional
        The calls of an earlier attempt at the same run, which are recalled before anything is evaluated.
    limit : int
        Bytes after which nothing more is kept.
    """

    def __init__(self, calls: Mapping[Key, Sequence[Call]] | None = None, limit: int = JOURNAL_BYTES) -> None:
        self._calls: dict[Key, list[Call]] = {key: list(known) for key, known in (calls or {}).items()}
        self._next: dict[Key, int] = {}
        self._limit = limit
        self._bytes = sum(call.loss.nbytes for known in self._calls.values() for call in known)
        self._silent: set[int] = set()
        self._ended: set[Key] = set()
        self._failure: OSError | None = None
        self.is_slow = False
        self.save: Callable[[], None] | None = None

    def hurry(self, seconds: float, rows: int) -> None:
        """Save what is kept at once after a call in which a row took long: nothing of it is to be lost.

        A worker that does not share this memory saves nothing; it tells its journal that rows are slow.
        """
        if seconds < SLOW * rows:
            return
        self.is_slow = True
        if self.save is not None:
            self.save()

    def recall(self, block: Block, u: Float) -> Float | None:
        """The losses (n,) or limit states (n, m) of the next call for ``block``, or None where it has to be made.

        Raises
        ------
        CheckpointError
            When the losses were evaluated at other draws than ``u`` (n, d).
        """
        key = block.stage, block.index
        known, at = self._calls.get(key, ()), self._next.get(key, 0)
        if at >= len(known):
            return None
        call = known[at]
        if call.loss.shape[0] != u.shape[0] or call.mark != mark_of(u):
            raise CheckpointError(
                f"stage {block.stage}, block {block.index}: the draws differ from the interrupted run, which was "
                "computed on another kind of processor or with other libraries. Start it anew, without --resume"
            )
        self._next[key] = at + 1
        return call.loss

    def keep(self, block: Block, u: Float, loss: Float | None) -> None:
        """Remember what the loss returned for ``u`` (n, d); raises the error that `fail` was given.

        A ``loss`` of None ends the block's record: this call and all later ones are made again in a resumed run.
        """
        if self._failure is not None:
            raise self._failure
        key = block.stage, block.index
        if loss is None:
            self._ended.add(key)
        if loss is None or block.stage in self._silent or key in self._ended:
            return
        if self._bytes + loss.nbytes > self._limit:
            self._limit = 0
            return
        self._bytes += loss.nbytes
        self._calls.setdefault(key, []).append(Call(mark_of(u), loss.copy()))
        self._next[key] = self._next.get(key, 0) + 1

    def leave_out(self, stage: int) -> None:
        """Keep nothing of ``stage``: its blocks are saved in another way."""
        self._silent.add(stage)

    def fail(self, error: OSError) -> None:
        """End the run with ``error`` at its next evaluation, because its progress could not be saved."""
        self._failure = error

    def forget(self, stage: int, before: int) -> None:
        """Drop the calls for the blocks of ``stage`` with an index below ``before``."""
        for key in [k for k in list(self._calls) if k[0] == stage and k[1] < before]:
            self._bytes -= sum(call.loss.nbytes for call in self._calls.pop(key))

    def part(self, blocks: Sequence[Block]) -> Journal:
        """The calls for ``blocks`` that are not yet recalled, for a worker that does not share this memory."""
        keys = [(b.stage, b.index) for b in blocks]
        part = Journal({k: self._calls[k][self._next.get(k, 0) :] for k in keys if k in self._calls}, self._limit)
        part._silent = self._silent
        return part

    def take(self, other: Journal) -> None:
        """Add the calls that a worker recalled or made for the blocks of its `part`."""
        for key, calls in other.calls().items():
            mine = self._calls.setdefault(key, [])
            new = calls[len(mine) - self._next.get(key, 0) :]
            size = sum(call.loss.nbytes for call in new)
            if key[0] not in self._silent and self._bytes + size <= self._limit:
                self._bytes += size
                mine.extend(new)
            elif key[0] not in self._silent:
                self._limit = 0
            self._next[key] = len(mine)
        if other.is_slow and self.save is not None:
            self.save()

    def calls(self) -> dict[Key, tuple[Call, ...]]:
        """A copy of all calls that are kept at this moment; other threads may add more."""
        return {key: tuple(known) for key, known in list(self._calls.items())}

    @property
    def evaluations(self) -> int:
        """Number of losses that are kept."""
        return sum(call.loss.shape[0] for known in self.calls().values() for call in known)

    @classmethod
    def of_arrays(cls, keys: np.ndarray, loss: Float) -> Self:
        """The journal whose `arrays` these are."""
        calls: dict[Key, list[Call]] = {}
        ends = np.cumsum(keys[:, 2])
        for (stage, index, size, mark, width), end in zip(keys.tolist(), ends.tolist(), strict=True):
            kept = loss[end - size : end].copy()
            calls.setdefault((stage, index), []).append(Call(mark, kept.reshape(-1, width) if width else kept))
        return cls(calls)

    def arrays(self) -> tuple[np.ndarray, Float]:
        """The calls (k, 5) int64, and what they returned, one after the other.

        Each call has stage, block, count of numbers, checksum and count of limit states (0 for losses alone).
        """
        calls = [(key, call) for key, known in self.calls().items() for call in known]
        rows = [
            (*key, call.loss.size, call.mark, call.loss.shape[1] if call.loss.ndim > 1 else 0) for key, call in calls
        ]
        keys = np.array(rows, dtype=np.int64).reshape(-1, 5)
        return keys, np.concatenate([np.empty(0), *(call.loss.ravel() for _, call in calls)])


def mark_of(u: Float) -> int:
    """A checksum of the first, middle and last rows of ``u`` (n, d)."""
    n = u.shape[0]
    return zlib.crc32(np.ascontiguousarray(u[[0, n // 2, n - 1]]).tobytes()) if n else 0


_CURRENT: ContextVar[Journal | None] = ContextVar("journal", default=None)


def current() -> Journal | None:
    """The journal of the run that this thread works for, or None where it keeps none."""
    return _CURRENT.get()


@contextmanager
def keeping(journal: Journal | None) -> Iterator[None]:
    """Recall losses from ``journal`` and keep them there, within this context and thread."""
    token = _CURRENT.set(journal)
    try:
        yield
    finally:
        _CURRENT.reset(token)

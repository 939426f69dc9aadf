"""How an evaluation that is under way learns that nobody waits for it any more, as when a run is interrupted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Generic, TypeVar

A = TypeVar("A")
B = TypeVar("B")


@dataclass(eq=False)
class Stop:
    """A mark that is set once, from any thread; it is also set where an outer one is.

    Parameters
    ----------
    outer : Stop, optional
        The mark of what the evaluation is part of.
    """

    outer: Stop | None = None
    _set: bool = field(default=False, init=False)

    def set(self) -> None:
        """Nobody waits any more."""
        self._set = True

    def is_set(self) -> bool:
        """Whether nobody waits any more."""
        return self._set or (self.outer is not None and self.outer.is_set())


_CURRENT: ContextVar[Stop | None] = ContextVar("stop", default=None)


def current() -> Stop | None:
    """The mark for evaluations in this thread, or None where there is none."""
    return _CURRENT.get()


@contextmanager
def until(stop: Stop) -> Iterator[None]:
    """Within this context, and in this thread, evaluations end soon after ``stop`` is set."""
    token = _CURRENT.set(stop)
    try:
        yield
    finally:
        _CURRENT.reset(token)


@dataclass(frozen=True)
class Stoppable(Generic[A, B]):
    """``function``, whose calls are within `until`."""

    function: Callable[[A], B]
    stop: Stop

    def __call__(self, item: A) -> B:
        with until(self.stop):
            return self.function(item)

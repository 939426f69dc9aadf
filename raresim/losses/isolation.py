"""Calls of a user's function in a process of their own, so that a crash of native code ends only that process.

A worker that dies loses its whole block, and the row that killed it is unknown. The block is then computed again within
`isolating`: the loss makes each call in a child of the new worker, and a child that dies shows which call killed it.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Any

NAME = "raresim-loss"
"""Name of a process that makes the calls of a loss."""


class DiedError(Exception):
    """The process of a call ended before it answered; the text says how."""


class Child:
    """A process that answers questions in turn; it starts with the first one, and again after one that killed it.

    Parameters
    ----------
    answer : callable
        Function that gives the answer to a question; picklable, like questions and answers.
    """

    def __init__(self, answer: Callable[[Any], Any]) -> None:
        self._answer = answer
        self._begun: tuple[SpawnProcess, Connection] | None = None

    def ask(self, question: Any) -> Any:
        """The answer; raises `DiedError` if the process ends without one."""
        if self._begun is None:
            self._begun = _begin(self._answer)
        process, pipe = self._begun
        try:
            pipe.send(question)
            answer = pipe.recv()
        except (EOFError, OSError):
            process.join()
            how = ending(process.exitcode)
            self.close()
            raise DiedError(how) from None
        if isinstance(answer, DiedError):
            raise answer
        return answer

    def close(self) -> None:
        """End the process, which must be idle."""
        if self._begun is not None:
            process, pipe = self._begun
            pipe.close()
            process.join()
            process.close()
            self._begun = None


def _begin(answer: Callable[[Any], Any]) -> tuple[SpawnProcess, Connection]:
    context = multiprocessing.get_context("spawn")
    pipe, end = context.Pipe()
    process = context.Process(target=_serve, args=(end, answer), name=NAME)
    process.start()
    end.close()
    return process, pipe


def _serve(pipe: Connection, answer: Callable[[Any], Any]) -> None:
    """Answer questions until the pipe closes, in a copy of this process, and in a new copy if one dies.

    A copy takes milliseconds, while a fresh process has to import everything. Without `os.fork` this process itself
    answers, and may die.
    """
    from raresim.numerics.surroundings import one_thread

    one_thread()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while hasattr(os, "fork"):
        with warnings.catch_warnings(action="ignore", category=DeprecationWarning):  # about threads, which are idle
            copy = os.fork()
        if copy == 0:
            break
        exit_code = os.waitstatus_to_exitcode(os.waitpid(copy, 0)[1])
        if exit_code == 0:
            return
        pipe.send(DiedError(ending(exit_code)))
    while True:
        try:
            question = pipe.recv()
        except EOFError:
            os._exit(0)
        pipe.send(answer(question))


def ending(exit_code: int | None) -> str:
    """How a process ended, in words."""
    if exit_code is None or exit_code >= 0:
        return f"exit code {exit_code}"
    try:
        name = signal.Signals(-exit_code).name
    except ValueError:
        name = f"signal {-exit_code}"
    return f"{name}, as when memory runs out" if name == "SIGKILL" else name


@dataclass(eq=False)
class Isolation:
    """The children of a worker, and how many calls killed one.

    Parameters
    ----------
    deaths : int
        Number of calls that killed a child.
    strict : bool
        Whether a called loss ends the run at the first failed row.
    """

    deaths: int = 0
    strict: bool = False
    _children: dict[int, tuple[object, Child]] = field(default_factory=dict)

    def ask(self, owner: object, answer: Callable[[Any], Any], question: Any) -> Any:
        """``answer(question)`` from the child of ``owner``; raises `DiedError` if the child dies."""
        if id(owner) not in self._children:
            self._children[id(owner)] = owner, Child(answer)
        try:
            return self._children[id(owner)][1].ask(question)
        except DiedError:
            self.deaths += 1
            raise

    def close(self) -> None:
        """End the children."""
        for _, child in self._children.values():
            child.close()


_CURRENT: ContextVar[Isolation | None] = ContextVar("isolation", default=None)


def current() -> Isolation | None:
    """The isolation for calls of a user's function, or None if they are made in this process."""
    return _CURRENT.get()


@contextmanager
def isolating() -> Iterator[Isolation]:
    """Within this context, and in this thread, make calls of a user's function in a process of their own."""
    isolation = Isolation()
    token = _CURRENT.set(isolation)
    try:
        yield isolation
    finally:
        _CURRENT.reset(token)
        isolation.close()

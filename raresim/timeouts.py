"""A limit on the seconds that a call of Python code may take."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any, TypeVar

from raresim.errors import FieldError

T = TypeVar("T")


class TimedOutError(BaseException):
    """The call took too long; not an `Exception`, so that code which catches those does not swallow it."""


def refuse_timeout() -> None:
    """Raise `FieldError` where calls cannot be limited: only the main thread of a POSIX process hears its alarm."""
    if not hasattr(signal, "setitimer"):
        raise FieldError("timeout", "must be left out: this system has no interval timers")
    if threading.current_thread() is not threading.main_thread():
        raise FieldError(
            "timeout",
            "works in the main thread of a process, not on threads: set execution.executor to processes or serial, "
            "or leave it out",
        )


def limited(seconds: float, function: Callable[..., T], *arguments: Any) -> T:
    """``function(*arguments)``, or `TimedOutError` when it does not return in so many seconds.

    In the main thread only. The alarm interrupts Python code and system calls such as a sleep or a read; native code is
    interrupted when it returns to Python.
    """

    def alarm(number: int, frame: FrameType | None) -> None:
        raise TimedOutError

    before = signal.signal(signal.SIGALRM, alarm)
    try:
        try:
            signal.setitimer(signal.ITIMER_REAL, seconds)
            return function(*arguments)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0.0)
    finally:
        signal.signal(signal.SIGALRM, before)

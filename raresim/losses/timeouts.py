"""A limit on the seconds that a call of Python code may take."""

from __future__ import annotations

import inspect
import signal
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any, TypeVar

from raresim.errors import FieldError

T = TypeVar("T")

GRACE = 1.0
"""Seconds for an interrupted call to clean up and end before it is interrupted again, then at every line."""


class TimedOutError(BaseException):
    """The call took too long; this is no `Exception`, so that code which catches exceptions does not swallow it."""


def refuse_timeout() -> None:
    """Raise `FieldError` where calls cannot be limited: only the main thread of a POSIX process gets its alarm."""
    if not hasattr(signal, "setitimer"):
        raise FieldError("timeout", "must be left out: this system has no interval timers")
    if threading.current_thread() is not threading.main_thread():
        raise FieldError(
            "timeout",
            "works in the main thread of a process, not on threads: set execution.executor to auto, processes or "
            "serial, or leave it out",
        )


def limited(seconds: float, function: Callable[..., T], *arguments: Any) -> T:
    """``function(*arguments)``, or `TimedOutError` when it does not return in so many seconds.

    It works in the main thread only. The alarm interrupts Python code and system calls such as a sleep or a read;
    native code is interrupted when it returns to Python.

    It does not matter what the function does with the interruption. A value that it returns too late, or another error
    that it raises then, becomes `TimedOutError` too. A function that catches the interruption and goes on is
    interrupted again every `GRACE` seconds, at once and at its next line: that line is outside the ``try`` whose bare
    ``except`` caught the first interruption, so even a loop that catches everything ends.
    """
    own, before, traced = inspect.currentframe(), signal.getsignal(signal.SIGALRM), sys.gettrace()
    alarms, begun = 0, time.monotonic()

    def alarm(number: int, frame: FrameType | None) -> None:
        nonlocal alarms
        alarms += 1
        if frame is own:  # the function has returned, or has not begun
            return
        if alarms > 1:
            _trace(frame, own)
        raise TimedOutError

    signal.signal(signal.SIGALRM, alarm)
    try:
        try:
            signal.setitimer(signal.ITIMER_REAL, seconds, GRACE)
            value = _called(function, arguments)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0.0)
    except (Exception, SystemExit) as error:
        if alarms or time.monotonic() - begun >= seconds:
            raise TimedOutError from error
        raise
    finally:
        if sys.gettrace() is not traced:
            sys.settrace(traced)
        signal.signal(signal.SIGALRM, signal.SIG_DFL if before is None else before)
    if alarms or time.monotonic() - begun >= seconds:
        raise TimedOutError
    return value


def _called(function: Callable[..., T], arguments: tuple[Any, ...]) -> T:
    """The call in a frame of its own: an alarm in this frame, or in one below it, comes before the end."""
    return function(*arguments)


def _trace(frame: FrameType | None, outermost: FrameType | None) -> None:
    """Raise `TimedOutError` at the next line of any frame from ``frame`` up to, but not including, ``outermost``."""
    while frame is not None and frame is not outermost:
        frame.f_trace = _raise_at_line
        frame = frame.f_back
    sys.settrace(_raise_at_line)


def _raise_at_line(frame: FrameType, event: str, argument: Any) -> Callable[..., Any]:
    if event == "line":  # Python ends the tracing with the error
        raise TimedOutError
    return _raise_at_line

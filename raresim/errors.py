"""The errors raresim raises on purpose, and the exit code each one becomes in the shell."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from typing import Any

__all__ = [
    "CheckpointError",
    "ClusterLostError",
    "ConfigError",
    "DataError",
    "ExitCode",
    "FieldError",
    "LossError",
    "RaresimError",
    "about",
    "visible",
]


_DECEPTIVE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def visible(text: str) -> str:
    """``text`` with the characters replaced that control a terminal or reorder what a reader sees."""
    return _DECEPTIVE.sub("\ufffd", text)


class ExitCode(IntEnum):
    """What the shell command returns."""

    OK = 0
    INTERNAL = 1
    CONFIG = 2
    USER_CODE_OR_DATA = 3
    WITHIN_ERROR = 4
    DIFFERENT = 5
    CAUTION = 10
    UNTRUSTED = 20
    BOUND_ONLY = 21
    INTERRUPTED = 130
    TERMINATED = 143


class RaresimError(Exception):
    """Base of every error a user can cause; its text is the whole message."""

    exit_code = ExitCode.INTERNAL


class ConfigError(RaresimError):
    """A config file or an override that cannot be run; starts with ``file:line:col``."""

    exit_code = ExitCode.CONFIG


class CheckpointError(RaresimError):
    """A saved state that cannot be resumed: it is damaged, of another run, or in use; starts with its path."""

    exit_code = ExitCode.CONFIG


class ClusterLostError(RaresimError):
    """A cluster that was lost while a run used it; a run of the shell keeps its state and can be resumed."""

    exit_code = ExitCode.INTERRUPTED


class DataError(RaresimError):
    """A data file whose content cannot be used; starts with ``file:row:column``."""

    exit_code = ExitCode.USER_CODE_OR_DATA


class LossError(RaresimError):
    """A user's loss function that raised, or returned something that is not a loss.

    Parameters
    ----------
    message : str
        The whole message.
    failures : object, optional
        The rows without a loss, for replay: a `raresim.losses.failures.Failures`, which nothing here looks into. None
        where the error is not about rows.
    """

    exit_code = ExitCode.USER_CODE_OR_DATA

    def __init__(self, message: str, failures: Any = None) -> None:
        super().__init__(message)
        self.failures = failures


class FieldError(RaresimError, ValueError):
    """A constructor argument that is not allowed; a `ValueError` as well.

    Parameters
    ----------
    field : str
        Name of the argument, as in YAML and in Python.
    message : str
        What is allowed and what was given, e.g. ``"must be positive, got -1.0"``.
    of : tuple of str or int, optional
        The part of an experiment that has the argument, such as ``("measures", 0)``; the experiment itself where it is
        empty, and not known where it is None.
    """

    exit_code = ExitCode.CONFIG

    def __init__(self, field: str, message: str, of: tuple[str | int, ...] | None = None) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.message = message
        self.of = of

    def __reduce__(self) -> tuple[type[FieldError], tuple[str, str, tuple[str | int, ...] | None]]:
        return FieldError, (self.field, self.message, self.of)


@contextmanager
def about(*part: str | int) -> Iterator[None]:
    """A context in which a `FieldError` that does not say which part of an experiment it is about is about ``part``."""
    try:
        yield
    except FieldError as error:
        if error.of is None:
            error.of = part
        raise

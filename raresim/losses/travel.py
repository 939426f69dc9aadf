"""The file of a user's function on its way to a worker, which may be on another machine."""

from __future__ import annotations

import functools
import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from raresim.errors import FieldError

_TRAVELLING: ContextVar[bool] = ContextVar("travelling", default=False)


@contextmanager
def travelling() -> Iterator[None]:
    """Within this context a loss is pickled together with its file."""
    token = _TRAVELLING.set(True)
    try:
        yield
    finally:
        _TRAVELLING.reset(token)


def luggage(path: Path, field: str = "function") -> bytes | None:
    """The content of the file that travels with a loss, and that its ``field`` names; None outside `travelling`.

    Raises
    ------
    FieldError
        When the file is not there any more.
    """
    if not _TRAVELLING.get():
        return None
    try:
        return path.read_bytes()
    except OSError as error:
        raise FieldError(field, f"cannot be sent to the workers: {path}: {error.strerror}") from None


def arrived(path: Path, content: bytes | None) -> Path:
    """Where a worker finds the file: at ``path`` if it is the same there, else in a folder of this process."""
    if content is None or _holds(path, content):
        return path
    own = Path(_folder().name) / hashlib.sha256(content).hexdigest()[:16] / path.name
    if not own.exists():
        own.parent.mkdir(parents=True, exist_ok=True)
        own.write_bytes(content)
    return own


def _holds(path: Path, content: bytes) -> bool:
    try:
        return path.read_bytes() == content
    except OSError:
        return False


@functools.cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    """A folder for the files that came to this process, which is removed when it ends."""
    return tempfile.TemporaryDirectory(prefix="raresim-")

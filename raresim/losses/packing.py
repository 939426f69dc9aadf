"""The files that a program needs: found, read, and packed for a worker that may be on another machine."""

from __future__ import annotations

from pathlib import Path

from raresim.arguments.typed import argument
from raresim.errors import FieldError
from raresim.losses.travel import arrived, luggage


def absolute(path: str | Path) -> Path:
    """``path`` from the top: the working folder may change before it is used."""
    return Path(argument("path", path, Path)).absolute()


def text_of(path: Path) -> str:
    """The text of a template, with its ends of lines as they are."""
    try:
        return path.read_bytes().decode("utf-8")
    except OSError as error:
        raise FieldError("templates", f"cannot be read: {path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise FieldError("templates", f"must be UTF-8 text: {path}: {error.reason} at byte {error.start}") from None


def packed(path: Path) -> tuple[bytes | None, int]:
    """The content of a file that travels, and its permissions."""
    content = luggage(path, "copies")
    return content, 0 if content is None else path.stat().st_mode & 0o777


def unpacked(path: Path, content: bytes | None, mode: int) -> Path:
    """Where a worker finds a file that the loss needs, with the permissions that it had."""
    there = arrived(path, content)
    if there != path:
        there.chmod(mode)
    return there

"""Access to ordinary files only: a file from elsewhere may be a link out of its folder, a device or a pipe."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from raresim.errors import ConfigError

__all__ = ["read", "replace", "whole"]


def read(path: Path, most: int, *, follow: bool = True) -> bytes:
    """The first ``most`` bytes of a file.

    Parameters
    ----------
    path : Path
        An ordinary file.
    most : int
        Bytes that are read at most, whatever its size.
    follow : bool
        Whether ``path`` may be a symbolic link.

    Raises
    ------
    OSError
        When it cannot be read or is not an ordinary file; ``strerror`` says why.
    """
    flags = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
    if not follow:
        if path.is_symlink():
            raise OSError(None, "it is a symbolic link")
        flags |= getattr(os, "O_NOFOLLOW", 0)  # in case it became a link in between
    try:
        descriptor = os.open(path, flags)
    except ValueError as error:  # a NUL in the name
        raise OSError(None, str(error)) from None
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(None, "it is not an ordinary file")
        return file.read(most)


def whole(path: Path, most: int) -> bytes:
    """All bytes of a file that is no link; raises `ConfigError` if it cannot be read or has more than ``most``."""
    try:
        content = read(path, most + 1, follow=False)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    if len(content) > most:
        raise ConfigError(f"{path}: must be at most {most:,} bytes, got more")
    return content


def replace(path: Path, content: bytes) -> None:
    """Write ``content`` beside ``path`` and rename it, so that a link of that name is replaced and not followed."""
    part = path.with_name(f"{path.name}.part")
    part.unlink(missing_ok=True)
    try:
        with part.open("xb") as file:  # x: never through a link
            file.write(content)
        os.replace(part, path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise

"""Writing files so that a crash leaves the old content or the new, and an error names the file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """A context in which an `OSError` names ``path``: its own text names a draft that is gone, or no file at all."""
    try:
        yield
    except OSError as error:
        if error.errno is None:
            raise
        raise OSError(error.errno, os.strerror(error.errno), str(path)) from error


def replace_file(path: Path, content: bytes, previous: Path | None = None) -> None:
    """Put ``content`` at ``path`` so that, whenever the machine stops, the whole old or new content is there.

    Parameters
    ----------
    path : Path
        The file.
    content : bytes
        Its new content.
    previous : Path, optional
        Where the old content is kept.

    Raises
    ------
    OSError
        When something cannot be written; the error names the path, and the old content is unchanged.
    """
    draft = path.with_name(f"{path.name}.draft")
    with naming(path):
        try:
            with draft.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            if previous is not None and path.exists():
                _link(path, previous)
            os.replace(draft, path)
            sync_folder(path.parent)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise


def _link(path: Path, previous: Path) -> None:
    """Make ``previous`` a second name of the file at ``path``, or a copy of it."""
    second = path.with_name(f"{path.name}.second")
    second.unlink(missing_ok=True)
    try:
        os.link(path, second)
    except OSError:  # a file system without links
        second.write_bytes(path.read_bytes())
    os.replace(second, previous)


def sync_folder(folder: Path) -> None:
    """Make the names in ``folder`` survive a loss of power, where the system can."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

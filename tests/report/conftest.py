"""Fixtures of the report's tests."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from raresim.report import style


@pytest.fixture
def unrendered() -> Iterator[None]:
    """As within `empty_figures`."""
    with empty_figures():
        yield


@contextmanager
def empty_figures() -> Iterator[None]:
    """Figures are laid out and then left empty, for tests that read words alone: rendering is half of a report."""

    def finish(_: object, name: str, title: str, caption: str, alt: str) -> style.Picture:
        return style.Picture(name, title, caption, f"{title}. {alt}", b"", "<svg/>")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(style, "finish", finish)
        yield

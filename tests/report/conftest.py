"""Fixtures of the report's tests."""

import pytest

from raresim.report import style


@pytest.fixture
def unrendered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures are laid out and then left empty, for tests that read words alone: rendering is half of a report."""

    def finish(_: object, name: str, title: str, caption: str, alt: str) -> style.Picture:
        return style.Picture(name, title, caption, f"{title}. {alt}", b"", "<svg/>")

    monkeypatch.setattr(style, "finish", finish)

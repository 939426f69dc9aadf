"""The gallery: every config of the repository with its text, its picture and the numbers of the picture's run."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).parents[1]
sys.path.insert(0, str(HERE / "gallery"))

import draw  # noqa: E402  # found by the line above
from config_pages import cell  # noqa: E402

GROUPS = {
    "Market": ("portfolio", "stocks", "oil", "desk"),
    "Credit": ("credit/",),
    "Insurance": ("insurance/",),
    "Methods": ("method-",),
    "Tails, sums and joint extremes": ("tail-", "sum-", "joint-"),
}
"""Headings, and how the paths of their configs begin; all others are *Further examples*."""

REST = "Further examples"
PATH_OF_PAGE = HERE / "generated"


def page() -> str:
    """The page without its title: a heading for each group, a card for each config."""
    groups: dict[str, list[Path]] = {title: [] for title in [*GROUPS, REST]}
    for path in draw.configs().values():
        groups[group(path)].append(path)
    lines: list[str] = []
    for title, paths in groups.items():
        if paths:
            lines += [f"## {title}", "", "::::::{grid} 1 1 2 2", ":gutter: 3", ""]
            for path in paths:
                lines += [*card(path), ""]
            lines += ["::::::", ""]
    return "\n".join(lines)


def group(path: Path) -> str:
    """The heading of a config."""
    name = path.relative_to(draw.ROOT / "configs").as_posix()
    return next((title for title, beginnings in GROUPS.items() if name.startswith(beginnings)), REST)


def card(path: Path) -> Iterator[str]:
    """What a config is about, its picture and its text."""
    found = os.path.relpath(path, PATH_OF_PAGE)
    yield from [":::::{grid-item-card}", f"::::{{card-header}}\n{path.stem}\n::::", "", cell(text(path)), ""]
    numbers = draw.made(path.stem)
    if numbers.get("config") == draw.digest(path):
        yield from [f":::{{image}} ../gallery/pictures/{path.stem}.svg", f":alt: {numbers['picture']}", ":::", ""]
        yield (
            f"*{numbers['picture'].capitalize()}*. First number {numbers['estimate']:.4g}"
            f"{error(numbers['relative_error'])}, {numbers['evaluations']:,} evaluations, {numbers['verdict']}."
        )
    yield from ["", f"::::{{dropdown}} {path.relative_to(draw.ROOT).as_posix()}"]
    yield from [f":::{{literalinclude}} {found}", ":language: yaml", ":::", "::::", ":::::"]


def text(path: Path) -> str:
    """The comment at the top of a config."""
    lines: list[str] = []
    for line in path.read_text("utf-8").splitlines():
        if not line.startswith("#"):
            break
        if "yaml-language-server" not in line:
            lines.append(line.removeprefix("#").strip())
    return " ".join(lines)


def error(relative: float | None) -> str:
    """A relative error in words."""
    return "" if relative is None else f", error {100 * relative:.2g} %"

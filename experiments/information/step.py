"""The result of each script of the study: a finding, its table and its figure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from raresim.report import style

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Step:
    """One step of the way, computed but not drawn.

    Parameters
    ----------
    name : str
        Name of the script, of the PNG file and of the place in README.md.
    finding : str
        Title of the figure.
    alt : str
        The figure in words.
    table : sequence of sequences of str
        Rows of the table, the head first.
    draw : callable
        Makes the figure from its title.
    """

    name: str
    finding: str
    alt: str
    table: Sequence[Sequence[str]]
    draw: Callable[[str], Figure]

    def markdown(self) -> str:
        """The figure's line and the table, as they stand in README.md."""
        head, *rows = self.table
        lines = [head, ["---"] * len(head), *rows]
        return "\n".join([f"![{self.finding}. {self.alt}]({self.name}.png)", "", *map(_row, lines)])

    def write(self, folder: Path = HERE) -> None:
        """Draw the figure into ``folder``."""
        with style.applied():
            picture = style.finish(self.draw(self.finding), self.name, self.finding, "", self.alt)
        (folder / f"{self.name}.png").write_bytes(picture.png)


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def plain(axes: Axes) -> None:
    """A panel of bars: no grid, no ticks on the left."""
    axes.grid(visible=False)
    axes.tick_params(left=False, bottom=False)


def stacked(axes: Axes, place: float, parts: Sequence[tuple[float, str, str]], *, height: float = 0.5) -> float:
    """A horizontal bar of ``parts`` (length, colour, label inside); its whole length."""
    left = 0.0
    for length, color, label in parts:
        axes.barh(place, length, left=left, height=height, color=color, edgecolor="white", linewidth=1.2)
        axes.text(left + length / 2, place, label, ha="center", va="center", color="white", fontweight="bold")
        left += length
    return left

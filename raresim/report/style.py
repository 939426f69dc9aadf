"""How every figure looks, and the few drawing helpers they share. The only file that sets up matplotlib.

On a logarithmic axis, figures are drawn in coordinates that are already logarithms, with ticks placed here:
matplotlib's own log axes typeset their labels as formulas, which is slow and would read a ``$`` in a user's text as
a formula.
"""

from __future__ import annotations

import io
import math
import textwrap
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg, RendererAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

__all__ = [
    "BLUE",
    "DASHED",
    "FAINT",
    "GREEN",
    "GREY",
    "INK",
    "ORANGE",
    "SERIES",
    "WIDTH",
    "Picture",
    "applied",
    "canvas",
    "clipped",
    "decades",
    "finish",
    "linear",
    "make_room",
    "panel",
    "safe",
    "shares",
    "width_of",
]

# Okabe and Ito's palette, which every common kind of colour vision can tell apart; dashes and markers repeat it
BLUE, ORANGE, GREEN, PURPLE, SKY, OCHRE = "#0072b2", "#d55e00", "#009e73", "#aa5f8f", "#56b4e9", "#b8860b"
SERIES = (BLUE, GREEN, PURPLE, OCHRE, SKY, "#4d4d4d")
DASHED: dict[str, Any] = {"color": ORANGE, "linestyle": (0, (5, 3))}  # thresholds and references
INK, GREY, FAINT = "#1f2933", "#5f6b7a", "#dfe3e8"

WIDTH = 7.6  # inches
TITLE_LENGTH = 84  # characters of the bold title that fit into the width
DPI = 132
LONGEST = 200  # characters of a text that are tried where it is clipped

STYLE: dict[Any, Any] = {
    "font.family": ["DejaVu Sans"],  # ships with matplotlib, so the bytes do not depend on the machine's fonts
    "font.size": 9.0,
    "text.color": INK,
    "text.parse_math": False,
    "axes.edgecolor": "#9aa5b1",
    "axes.linewidth": 0.8,
    "axes.labelcolor": INK,
    "axes.labelsize": 9.0,
    "axes.titlesize": 9.0,
    "axes.titlelocation": "left",
    "axes.titley": 1.0,  # a fixed place; a search for a free one costs a layout pass per panel
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.unicode_minus": False,
    "grid.color": FAINT,
    "grid.linewidth": 0.6,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.major.size": 3.0,
    "ytick.major.size": 0.0,
    "lines.linewidth": 1.6,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "patch.linewidth": 0.0,
    "svg.hashsalt": "raresim",  # names of parts are the same in each drawing
}

SUPERSCRIPTS = str.maketrans("-0123456789", "\u207b\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079")


@dataclass(frozen=True)
class Picture:
    """One finished figure, ``png`` for a file of its own and ``svg`` for the page.

    ``title`` says what was found and is drawn into the figure; ``caption`` says how to read it; ``alt`` is its text for
    readers who do not see it.
    """

    name: str
    title: str
    caption: str
    alt: str
    png: bytes
    svg: str


@contextmanager
def applied() -> Iterator[None]:
    """matplotlib's defaults plus the style of the report, whatever the user's own settings are."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(STYLE)
        yield


def canvas(height: float, title: str) -> Figure:
    """A figure of the report's width with its finding at the top left.

    ``height`` inches hold the first line of the title and the panels; a longer title adds to it.
    """
    lines = textwrap.wrap(safe(title), TITLE_LENGTH) or [""]
    height += 0.19 * (len(lines) - 1)
    figure = Figure(figsize=(WIDTH, height), dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    figure.text(0.0, 1 - 0.05 / height, "\n".join(lines), va="top", fontsize=10, fontweight="bold")
    return figure


def panel(figure: Figure, left: float, bottom: float, right: float, top: float) -> Axes:
    """Axes with its four edges in inches from the figure's left and bottom."""
    width, height = figure.get_size_inches()
    return figure.add_axes((left / width, bottom / height, (right - left) / width, (top - bottom) / height))


def finish(figure: Figure, name: str, title: str, caption: str, alt: str) -> Picture:
    """Render without a time or a version inside."""
    buffer, drawn = io.BytesIO(), io.StringIO()
    light = {"compress_level": 2}  # an eighth larger than the default, but a tenth of the drawing time is saved
    figure.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None}, pil_kwargs=light)
    figure.savefig(drawn, format="svg", metadata={"Date": None, "Creator": None}, transparent=True)
    return Picture(name, title, caption, f"{title}. {alt}", buffer.getvalue(), drawn.getvalue())


def safe(text: str) -> str:
    """``text`` on one line, with ``?`` for characters that the font cannot draw."""
    font = get_font(findfont("DejaVu Sans"))
    return "".join(c if font.get_char_index(ord(c)) else "?" for c in " ".join(text.split()))


@lru_cache(maxsize=4096)
def width_of(text: str, size: float) -> float:
    """Inches that one line of ``text`` takes at ``size`` points."""
    font = FontProperties(family="DejaVu Sans", size=size)
    return float(_renderer().get_text_width_height_descent(text, font, False)[0]) / DPI


@cache
def _renderer() -> Any:
    """What measures text; matplotlib has no types for it."""
    renderer: Any = RendererAgg
    return renderer(1, 1, DPI)


def clipped(text: str, inches: float, size: float) -> str:
    """``text`` made `safe`, with dots for its middle if it is wider than ``inches`` at ``size`` points."""
    text = safe(text[:1000])
    if len(text) <= LONGEST and width_of(text, size) <= inches:
        return text

    def short(kept: int) -> str:
        return f"{text[: kept // 2]}...{text[-(kept - kept // 2) :]}"

    lengths = range(1, min(len(text), LONGEST + 1))
    kept = bisect_right(lengths, inches, key=lambda kept: width_of(short(kept), size))
    return short(kept) if kept else ""


def decades(axis: Axis, low: float, high: float, *, most: int = 7, plain: bool = False) -> None:
    """Ticks for an axis that already holds ``log10`` of its quantity.

    Parameters
    ----------
    axis : Axis
        The x or y axis of a panel.
    low, high : float
        Range shown, in powers of ten.
    most : int
        Largest number of ticks.
    plain : bool
        Write ``10,000`` rather than a power.
    """
    first, last = math.ceil(low - 1e-9), math.floor(high + 1e-9)
    step = next(s * 10**k for k in range(9) for s in (1, 2, 3, 5) if s * 10**k * most >= last - first + 1)
    written = _plain if plain else _power
    ticks = [(float(k), written(1, k)) for k in range(first, last + 1) if k % step == 0]
    if last - first < 2:
        written = _plain if plain or (low >= -3 and high <= 4) else _power
        for mantissas in ((1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9), (1, 2, 5), (1, 3)):
            places = [(k + math.log10(m), m, k) for k in range(first - 1, last + 1) for m in mantissas]
            fine = [(x, written(m, k)) for x, m, k in places if low - 1e-9 <= x <= high + 1e-9]
            if len(fine) <= most:
                ticks = fine
                break
    axis.set_major_locator(FixedLocator([place for place, _ in ticks]))
    axis.set_minor_locator(NullLocator())
    axis.set_ticklabels([label for _, label in ticks])


def linear(axis: Axis, most: int = 5) -> None:
    """Few round ticks on an ordinary axis, written as the page writes numbers."""
    axis.set_major_locator(MaxNLocator(most, steps=[1, 2, 2.5, 5, 10]))
    axis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.0f}" if 1e4 <= abs(x) < 1e9 else f"{x:.4g}"))


def make_room(axes: Axes, beside: float = 0.0) -> None:
    """Move the left edge of ``axes`` to the right where its numbers, and ``beside`` inches more, would be cut."""
    figure = axes.get_figure(root=True)
    assert figure is not None  # it is made by `panel`
    (low, high), write = axes.get_ylim(), axes.yaxis.get_major_formatter()
    labels = [write(x, None) for x in axes.get_yticks() if low <= x <= high]
    needed = (max((width_of(text, 9.0) for text in labels), default=0.0) + 0.1 + beside) / figure.get_size_inches()[0]
    place = axes.get_position()
    if place.x0 < needed:
        axes.set_position((needed, place.y0, place.x1 - needed, place.height))


def shares(axis: Axis, most: int = 5) -> None:
    """Ticks for a share between 0 and 1, in percent."""
    axis.set_major_locator(MaxNLocator(most, steps=[1, 2, 2.5, 5, 10]))
    axis.set_major_formatter(FuncFormatter(lambda x, _: f"{100 * x:.3g} %"))


def _plain(mantissa: float, exponent: int) -> str:
    if exponent >= 7:
        return _power(mantissa, exponent)
    x = mantissa * 10.0**exponent
    return f"{x:,.0f}" if x >= 10 else f"{x:.4g}"


def _power(mantissa: float, exponent: int) -> str:
    power = "10" + str(exponent).translate(SUPERSCRIPTS)
    return power if mantissa == 1 else f"{mantissa:g}\u00b7{power}"

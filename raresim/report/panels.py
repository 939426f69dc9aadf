"""A figure as it stands within the page."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

UNQUOTED = " /:;=,()!*@?$+[]{}|~'%"
"""Characters that stay as they are in the address of a figure within the page."""

ASIDE = re.compile("<!--.*?-->|<metadata>.*?</metadata>", re.DOTALL)
PATH, DECIMALS = re.compile(" d='[^']*'"), re.compile(r"(\.\d\d)\d+")
"""What an SVG file says beside the drawing; its paths, and numbers with more than two decimals."""


@dataclass(frozen=True)
class Panel:
    """A figure on the page, or the sentence in its place if there is none."""

    name: str
    uri: str
    alt: str
    caption: str


def panel_of(name: str, picture: Any) -> Panel:
    """The panel of a picture, or of the sentence that says why there is none."""
    if isinstance(picture, str):
        return Panel(name, "", "", picture)
    return Panel(name, address(picture.svg), picture.alt, picture.caption)


def address(svg: str) -> str:
    """An SVG file as an address within the page, which needs no escapes there.

    Comments, which hold the texts, and metadata are left out. Paths have two decimals, a hundredth of a point.
    """
    from markupsafe import Markup

    drawing = " ".join(ASIDE.sub("", svg[svg.index("<svg") :]).split())
    drawing = drawing.replace("%", "%25").replace("'", "%27").replace('"', "'")
    short = PATH.sub(lambda path: DECIMALS.sub(r"\1", path[0]), drawing)
    return Markup(f"data:image/svg+xml,{quote(short, safe=UNQUOTED)}")

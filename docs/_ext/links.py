"""Links of files that a page includes: they are relative to the file, and have to be to the page.

A file that some page includes is linked as that page, and any other file is offered for download. A folder is no link,
nor is a page that the site does not have.
"""

import os
import re
from functools import cache
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

LINK = re.compile(r"(!?)\[([^\]]*)\]\((?!https?:|#)([^)#\s]+)(#[^)\s]*)?\)")
INCLUDE = re.compile(r"^```\{include\} (\S+)$", re.MULTILINE)


def setup(app: Sphinx) -> dict[str, Any]:
    """Called by Sphinx."""
    app.connect("include-read", rewrite)
    return {"parallel_read_safe": True}


def rewrite(app: Sphinx, path: Path, _page: str, content: list[str]) -> None:
    """Make the links of an included file those of the page that is being read."""
    file, page = Path(app.srcdir, path).resolve(), Path(app.env.doc2path(app.env.docname))
    content[0] = LINK.sub(lambda link: changed(link, file.parent, page, Path(app.srcdir)), content[0])


def changed(link: re.Match[str], folder: Path, page: Path, site: Path) -> str:
    """A link of a file in ``folder`` as ``page`` has to write it."""
    mark, text, target, anchor = link.groups()
    found = (folder / target).resolve()
    home = pages_of(site).get(found, found)
    is_page = home != found or site in home.parents
    if home.is_dir() or (home.suffix == ".md" and not is_page):
        return text
    where = f"#{anchor or ''}" if home == page else os.path.relpath(home, page.parent)
    return text if where == "#" else f"{mark}[{text}]({where})"


@cache
def pages_of(site: Path) -> dict[Path, Path]:
    """Each file that a page includes, and the page."""
    return {
        (page.parent / target).resolve(): page
        for page in sorted(site.rglob("*.md"))
        if "_build" not in page.parts
        for target in INCLUDE.findall(page.read_text("utf-8"))
    }

"""Pages that are made from the code when the site is built, in ``docs/generated``."""

from pathlib import Path
from typing import Any

import api_pages
import config_pages
import gallery_pages
import shell_pages
from sphinx.application import Sphinx


def setup(app: Sphinx) -> dict[str, Any]:
    """Called by Sphinx."""
    app.connect("builder-inited", write)
    return {"parallel_read_safe": True}


def write(app: Sphinx) -> None:
    """Write the generated pages; one that has not changed stays as it is, so that it is not read again."""
    made = {f"api/{name}.rst": text for name, text in api_pages.pages()}
    made |= {f"config/{name}.md": text for name, text in config_pages.pages()}
    made |= {"shell.md": shell_pages.page(), "gallery.md": gallery_pages.page()}
    for name, text in made.items():
        path = Path(app.srcdir, "generated", name)
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.read_text("utf-8") != text:
            path.write_text(text, "utf-8")

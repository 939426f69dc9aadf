"""Pages that are made from the code when the site is built, in ``docs/generated``."""

from pathlib import Path
from typing import Any

from sphinx.application import Sphinx


def setup(app: Sphinx) -> dict[str, Any]:
    """Called by Sphinx."""
    app.connect("builder-inited", write)
    return {"parallel_read_safe": True}


def write(app: Sphinx) -> None:
    """Write the generated pages."""
    Path(app.srcdir, "generated").mkdir(exist_ok=True)

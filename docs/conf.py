"""The documentation site: ``make docs`` builds it into ``docs/_build``, without the network."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE / "_ext")]

import raresim  # noqa: E402  # found by the line above

project = "raresim"
author = "The raresim authors"
copyright = author
version = release = raresim.__version__

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "formulas",
    "links",
    "sphinx_copybutton",
    "sphinx_design",
    "pages",
]
exclude_patterns = ["_build", "_ext", "generated/gallery.md", "generated/shell.md"]
templates_path = ["_templates"]

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
smartquotes = False  # --help is two hyphens

autosummary_generate = True
autodoc_member_order = "bysource"
autodoc_typehints = "none"
default_role = "autolink"
numpydoc_show_class_members = False

html_math_renderer = "mathml"
html_sidebars = {"index": [], "start/tutorial": [], "gallery/index": []}  # one page each: nothing beside them
html_theme = "pydata_sphinx_theme"
html_title = "raresim"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {
    "navigation_with_keys": False,
    "header_links_before_dropdown": 7,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
}

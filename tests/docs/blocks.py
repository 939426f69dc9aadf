"""The blocks of code in README.md and docs/, and a folder in which they can run."""

import re
import shutil
from typing import NamedTuple

from tests.helpers import ROOT

FENCE = re.compile(r"^(?:<!-- not run: (?P<why>.+) -->\n)?```(?P<language>\w+)\n(?P<text>.*?)^```$", re.M | re.S)
ERROR = re.compile(r"relative_error: [\d.]+")
NAMED = re.compile(r"# ([\w-]+\.(?:py|yaml))\n")

PAGES = [ROOT / "README.md"] + [
    path for path in sorted((ROOT / "docs").rglob("*.md")) if not {"_build", "generated"} & set(path.parts)
]

FILES = {"prices.csv": "configs/data/us20_prices_2000_2022.csv"}
"""What the pages call a file of a reader that has another name in the repository. The files of `configs/` stand for
those of their own name."""


class Block(NamedTuple):
    """A block of a page: the page, the number among its blocks, the language, the text, and why it cannot run."""

    page: str
    number: int
    language: str
    text: str
    why: str | None

    @property
    def name(self) -> str | None:
        """The file as which a block is saved, if its first line says one."""
        found = NAMED.match(self.text)
        return found[1] if found else None


def name_of(page):
    """A page as tests call it."""
    return page.relative_to(ROOT).as_posix()


def blocks(language):
    """All blocks of a language, page by page."""
    return [
        Block(name_of(page), number, found["language"], found["text"], found["why"])
        for page in PAGES
        for number, found in enumerate(FENCE.finditer(page.read_text("utf-8")))
        if found["language"] == language
    ]


def desk(folder, page):
    """Put what a reader of a page has into ``folder``: the files of the pages, and all named blocks of this page.

    Configs are those of the page with a larger error, so that they are soon done.
    """
    given = {path.name: path for path in (ROOT / "configs").rglob("*") if path.suffix in (".csv", ".py")}
    for name, source in (given | {name: ROOT / source for name, source in FILES.items()}).items():
        shutil.copy(source, folder / name)
    for name in ("configs", "experiments", "docs"):
        (folder / name).symlink_to(ROOT / name)
    (positions,) = [block.text for block in blocks("text") if block.text.startswith("id,weight")]
    (folder / "positions.csv").write_text(positions)
    for block in [*blocks("python"), *blocks("yaml")]:
        if block.page == page and block.name:
            (folder / block.name).write_text(quick(block.text) if block.language == "yaml" else block.text)


def quick(config):
    """A config that asks for an error of 10 %."""
    changed, found = ERROR.subn("relative_error: 0.1", config)
    return changed if found else f"{config}stop: {{relative_error: 0.1}}\n"

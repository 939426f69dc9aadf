"""What happens with configs, names and run folders that are made to do harm?

``python experiments/trust/hostile.py`` tries all of them and writes hostile.md beside this file, in some minutes; it
also loads the pages in Chromium where that is installed. ``--quick`` makes few pages with several payloads in each,
opens no browser, writes nothing, and fails on a miss; ``tests/test_hostile.py`` tries the same configs and names.
"""

from __future__ import annotations

import argparse
import platform
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1]))

from raresim.errors import RaresimError  # noqa: E402  # the corpus is the tests', which are no part of the package
from raresim.report import build  # noqa: E402
from tests import hostile_pages, hostile_paths, hostile_yaml  # noqa: E402

QUICK_PAGES, BROWSER_PAGES = 2, 8
MIBS = f"{hostile_yaml.MEBIBYTES:g} MiB"


def configs(folder: Path) -> tuple[list[str], list[str]]:
    """Rows of the table of configs, one per class, and the configs that were not refused within the limits."""
    found = hostile_yaml.refusals(folder)
    misses = [
        f"config {r.group}, {r.name}: {r.message or 'not refused'} ({r.seconds:.3f} s, {r.mebibytes:.1f} MiB)"
        for r in found
        if not r.message
        or "\n" in r.message
        or r.seconds >= hostile_yaml.SECONDS
        or r.mebibytes >= hostile_yaml.MEBIBYTES
    ]
    rows = []
    for group in (*hostile_yaml.CORPUS, "all"):
        part = [r for r in found if group in (r.group, "all")]
        refused = sum(bool(r.message) for r in part)
        seconds, mebibytes = max(r.seconds for r in part), max(r.mebibytes for r in part)
        rows.append(f"| {group} | {len(part)} | {refused} | {seconds:.3f} | {mebibytes:.1f} |")
    return rows, misses


def pages(folder: Path, quick: bool) -> tuple[list[str], list[str]]:
    """Rows of the table of pages, and the payloads that changed one."""
    whole = hostile_pages.make_run(folder / "whole")
    fields = hostile_pages.poison(whole, folder / "benign", hostile_pages.BENIGN)
    benign = build(folder / "benign").read_text(encoding="utf-8")
    texts = list(_joined(hostile_pages.PAYLOADS, QUICK_PAGES)) if quick else list(hostile_pages.PAYLOADS)
    misses, extra, failed, loads = [], 0, 0, 0
    for number, text in enumerate(texts):
        hostile_pages.poison(whole, folder / f"{number}", text)
        try:
            html = build(folder / f"{number}").read_text(encoding="utf-8")
        except RaresimError as error:
            failed += 1
            misses.append(f"page of {text!r}: {error}")
            continue
        here = hostile_pages.extra(html, benign)
        loads += _remote(html)
        extra += here
        if here or _remote(html):
            misses.append(f"page of {text!r}: {here} extra elements, {_remote(html)} remote addresses")
    n = len(hostile_pages.PAYLOADS)
    rows = [f"| html.parser, one in a text | {n} | {fields} | {len(texts)} | {failed} | {extra} | {loads} |"]
    chromium = None if quick else shutil.which("chromium")
    if chromium:
        seen, console = hostile_pages.dumped(chromium, folder / "benign" / "report.html", folder / "profile")
        in_browser = 0
        for number, text in enumerate(_joined(hostile_pages.PAYLOADS, BROWSER_PAGES)):
            hostile_pages.poison(whole, folder / f"joined-{number}", text)
            page = build(folder / f"joined-{number}")
            document, said = hostile_pages.dumped(chromium, page, folder / "profile")
            here = hostile_pages.extra(document, seen)
            in_browser += here
            if here or said or console:
                misses.append(f"page {number} in Chromium: {here} extra elements; {said or console}")
        rows.append(f"| Chromium, several in a text | {n} | {fields} | {BROWSER_PAGES} | 0 | {in_browser} | 0 |")
    return rows, misses


def paths(folder: Path) -> tuple[list[str], list[str]]:
    """Rows of the table of names and links, one per verb, and the cases that escaped or ended badly."""
    found = hostile_paths.outcomes(folder)
    misses = [
        f"path {o.case}: exit {o.exit_code}, {o.message}" for o in found if o.escaped or o.exit_code not in (0, 2)
    ]
    kinds = {o.case: o.case.partition(" ")[0].rstrip(":").partition("/")[0] for o in found}
    rows = []
    for kind, n in Counter(kinds.values()).items():
        part = [o for o in found if kinds[o.case] == kind]
        refused, escaped = sum(o.exit_code == 2 for o in part), sum(o.escaped for o in part)
        rows.append(f"| {kind} | {n} | {refused} | {escaped} |")
    refused, escaped = sum(o.exit_code == 2 for o in found), sum(o.escaped for o in found)
    return [*rows, f"| all | {len(found)} | {refused} | {escaped} |"], misses


def _joined(payloads: tuple[str, ...], n_pages: int) -> Iterator[str]:
    size = -(-len(payloads) // n_pages)
    return (" ".join(payloads[place : place + size]) for place in range(0, len(payloads), size))


def _remote(html: str) -> int:
    """Attributes that would load something from elsewhere."""
    loads = [a for tag, *names in hostile_pages.elements(html) for a in names if a in ("srcset", "action", "data")]
    return len(loads) + html.count('src="http') + html.count('href="http') + html.count('src="//')


def table(config_rows: list[str], page_rows: list[str], path_rows: list[str]) -> str:
    machine = f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"
    return "\n".join(
        [
            "# Hostile input",
            "",
            "Written by `python experiments/trust/hostile.py`. The cases are in `tests/hostile_yaml.py`,",
            "`tests/hostile_pages.py` and `tests/hostile_paths.py`.",
            "",
            "## Configs",
            "",
            f"`raresim check` has to refuse each in one line that names file and place, in less than"
            f" {hostile_yaml.SECONDS:g} s of the",
            f"processor and {MIBS} of growth. Worst case of each class, best of three tries; {machine}.",
            "",
            "| class | cases | refused | worst s | worst MiB |",
            "|---|--:|--:|--:|--:|",
            *config_rows,
            "",
            "The bound on time is not for every file: one that keeps all limits and is wrong in its last line is read",
            "in full, which takes about a second for a mebibyte, and little memory.",
            "",
            "## Pages",
            "",
            "Every text of a run folder is replaced by a payload, figures included, and the page is compared with that"
            " of a folder",
            "full of plain words: elements, attributes, comments and declarations that only one of them has.",
            "",
            "| read by | payloads | texts replaced | pages | not built | extra | remote |",
            "|---|--:|--:|--:|--:|--:|--:|",
            *page_rows,
            "",
            "## Names and links",
            "",
            "Names of experiments (`name`), of output folders (`--out`, `runs`), and links, devices and pipes in the"
            " folder that",
            "`report` and `compare` read and write. An escape is any change outside, or any text from outside in the"
            " page. What is",
            "not refused is harmless: a link in place of an output is replaced, not followed.",
            "",
            "| where | cases | refused | escapes |",
            "|---|--:|--:|--:|",
            *path_rows,
            "",
        ]
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few pages, no browser; writes nothing, fails on a miss")
    quick = parser.parse_args().quick
    with tempfile.TemporaryDirectory() as scratch:
        folders = [Path(scratch) / name for name in ("configs", "pages", "paths")]
        for folder in folders:
            folder.mkdir()
        made = pages(folders[1], quick)
        parts = [made] if quick else [configs(folders[0]), made, paths(folders[2])]
    misses = [miss for _, found in parts for miss in found]
    if not quick:
        text = table(*(rows for rows, _ in parts))
        print(text)
        (HERE / "hostile.md").write_text(text, encoding="utf-8")
    print(*misses, f"{len(misses)} misses", sep="\n")
    return bool(misses)


if __name__ == "__main__":
    sys.exit(main())

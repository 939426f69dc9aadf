"""Run folders whose every text is an attack, and what a browser would see of the page made from them.

Used by the tests and by ``experiments/trust``.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np

import raresim

BENIGN = "plain words"

_BREAKOUTS = ("", '">', "'>", "</title>", "</style>", "</pre>", "-->", "</td></tr></table>", "]]>", '" x="')
_ATTACKS = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg/onload=alert(1)>",
    "<iframe src='javascript:alert(1)'></iframe>",
    "<a href=javascript:alert(1) id=checks>x</a>",
    "<link rel=stylesheet href=//example.com/x.css>",
    "<meta http-equiv=refresh content='0;url=//example.com'>",
    "<base href=//example.com/>",
    "<form action=//example.com><input name=x autofocus onfocus=alert(1)></form>",
)
PAYLOADS: tuple[str, ...] = (
    *(breakout + attack for breakout in _BREAKOUTS for attack in _ATTACKS),
    '" onmouseover="alert(1)',
    "' onmouseover='alert(1)",
    "` onmouseover=`alert(1)",
    "x onmouseover=alert(1) ",
    '" style="position:fixed;inset:0',
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "&#60;script&#62;alert(1)&#60;/script&#62;",
    "%3Cscript%3Ealert(1)%3C/script%3E",
    "\\u003cscript\\u003ealert(1)\\u003c/script\\u003e",
    "+ADw-script+AD4-alert(1)+ADw-/script+AD4-",
    "\uff1cscript\uff1ealert(1)\uff1c/script\uff1e",
    "<scr\x00ipt>alert(1)</scr\x00ipt>",
    "<script\r\n>alert(1)</script\t>",
    "<<script>alert(1)//<</script>",
    "<![CDATA[<script>alert(1)</script>]]>",
    "<!--<img src='--><img src=x onerror=alert(1)//'>",
    "<noscript><p title='</noscript><img src=x onerror=alert(1)>'>",
    "<math><mtext><table><mglyph><style><img src=x onerror=alert(1)>",
    "<template><script>alert(1)</script></template>",
    "<object data='data:text/html,<script>alert(1)</script>'></object>",
    "<details open ontoggle=alert(1)>",
    "<?php echo 1 ?><%= 1 %>",
    "{{ 7 * 7 }}{% for x in [].__class__.__base__.__subclasses__() %}{{ x }}{% endfor %}",
    "{# comment #}{{ ''.__class__ }}",
    "$\\frac{1}{$ ${\\bf x}$ $$ $\\undefined$",
    "\u202e\u2066>tpircs/<)1(trela>tpircs<",
    "\x1b]0;title\x07\x1b[2J",
    "\ufeff<script>alert(1)</script>\u2028alert(1)\u2029",
    "javascript:alert(1)//",
    '=HYPERLINK("//example.com")',
    "[red]rich[/red] [/] [link=//example.com]x[/link] :bomb:",
    "%s%n%x {0} {x!r}",
    "<" * 200,
    "\U0001f4a3 \u4e2d\u6587 \ufdfa",
)


def make_run(folder: Path) -> Path:
    """A small run with what a folder can hold: evidence of a fit, the trace of a method, exhibits of a measure."""
    rng = np.random.Generator(np.random.Philox(7))
    inputs = raresim.FittedInputs(fit=0.01 * rng.standard_t(5, (400, 2)), copula="gaussian")
    result = raresim.estimate(
        inputs,
        lambda x: -x.sum(axis=1),
        [raresim.Probability(above=0.05), raresim.Probability(above=0.06), raresim.Exceedance(points=30, to_tail=0.01)],
        seed=1,
        relative_error=0.2,
        max_evaluations=20_000,
    )
    return result.save(folder)


def poison(source: Path, target: Path, text: str) -> int:
    """Copy a run folder with ``text`` in place of every text of its files, and under new keys; returns how many."""
    shutil.copytree(source, target)
    n = 0
    for path in sorted(target.glob("*.json")):
        if path.name == "metrics.json":
            continue  # the page does not read it
        content = json.loads(path.read_text(encoding="utf-8"))
        if path.name == "result.json":
            for verdict in (content["verdict"], *(e["verdict"] for e in content["estimates"])):
                verdict["advice"] = [text, text]
                verdict["checks"].append({"name": text, "value": None, "status": "caution", "message": text})
            content["estimates"][0]["reference"] = {"value": 1e-3, "source": text}
            content["description"][text] = [text]
            content["evaluations"][text] = 5
            content["diagnostics"][text] = 1.0
        if path.name == "manifest.json":
            content["config_sha256"] = text
            content["files"] = [{"name": text, "bytes": text, "sha256": text, text: {text: [text]}}]
            content[text] = {text: [text, {text: text}]}
        content, count = _replaced(content, text, path.name)
        n += count
        path.write_text(json.dumps(content), encoding="utf-8")
    for name in ("config.yaml", "resolved.yaml"):
        (target / name).write_text(text, encoding="utf-8")
    return n + 2


_ENUMERATED = {
    "verdict": ("status",),
    "checks": ("status",),
    "search": ("unit",),
    "plots": ("form",),
    "exhibits": ("status", "name"),
    "manifest.json": ("status",),
}
"""Texts that a reader only accepts from a list, by what they stand in: another one is an error, not a page."""


def _replaced(value: Any, text: str, inside: str) -> tuple[Any, int]:
    """``value`` with ``text`` for each of its texts, and how many these are; ``inside`` is the key above it."""
    if isinstance(value, dict):
        kept = _ENUMERATED.get(inside, ())
        pairs = {key: (item, 0) if key in kept else _replaced(item, text, key) for key, item in value.items()}
        n_keys = sum(key == text for key in value)
        return {key: item for key, (item, _) in pairs.items()}, n_keys + sum(n for _, n in pairs.values())
    if isinstance(value, list):
        items = [_replaced(item, text, inside) for item in value]
        return [item for item, _ in items], sum(n for _, n in items)
    return (text, 1) if isinstance(value, str) else (value, 0)


class _Elements(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[tuple[str, ...]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, *sorted(name for name, _ in attrs)))

    def handle_comment(self, data: str) -> None:
        self.found.append(("comment",))

    def handle_decl(self, decl: str) -> None:
        self.found.append(("declaration",))

    def handle_pi(self, data: str) -> None:
        self.found.append(("instruction",))


def elements(html: str) -> list[tuple[str, ...]]:
    """Every element, comment, declaration and instruction of a page, with the names of its attributes."""
    parser = _Elements()
    parser.feed(html)
    parser.close()
    return parser.found


def extra(html: str, benign: str) -> int:
    """Elements with their attributes that ``html`` has and ``benign`` has not, or the other way round."""
    seen, wanted = Counter(elements(html)), Counter(elements(benign))
    return (seen - wanted).total() + (wanted - seen).total()


def dumped(chromium: str, page: Path, profile: Path) -> tuple[str, str]:
    """The document as Chromium has it after loading ``page``, and what it printed to its console."""
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", f"--user-data-dir={profile}"]
    quiet = [
        "disable-quic",
        "no-first-run",
        "disable-background-networking",
        "disable-component-update",
        "disable-sync",
    ]
    command = [chromium, *options, *(f"--{option}" for option in quiet), "--dump-dom", page.as_uri()]
    out = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return out.stdout, "\n".join(line for line in out.stderr.splitlines() if "CONSOLE" in line)

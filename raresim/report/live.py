"""The live page of a run: one page without anything from elsewhere, and the facts that its script asks for.

It is the only page of raresim with a script, and nobody stores it. The script writes plain text into the page.
"""

from __future__ import annotations

import base64
import functools
import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from raresim.record.outcome import Outcome
from raresim.report import brief, tables

__all__ = ["Page", "facts", "page"]

TEMPLATES = Path(__file__).parent / "templates"

MOST_ROWS = 40
"""Numbers that the page shows."""

LATER = ("audit", "interrupted")
"""Checks that say of a run which goes on only that it does."""

NOT_AUDITED = "so far: the run is in progress, and its audit comes at the end"

WORDS = {"trusted": "Trusted", "caution": "Caution", "untrusted": "Untrusted", "bound_only": "Bound only"}


class Page(NamedTuple):
    """The page, and the content security policy that it is to be served with."""

    html: bytes
    policy: str


def page(name: str, method: str, seed: int) -> Page:
    """The page of a run before it knows anything but the run's name, method and seed."""
    from markupsafe import Markup

    style = "".join((TEMPLATES / file).read_text(encoding="utf-8") for file in ("style.css", "live.css"))
    script = (TEMPLATES / "live.js").read_text(encoding="utf-8")
    html: str = _template().render(
        name=name,
        method=method.replace("_", " "),
        seed=seed,
        heads=brief.HEADS,
        style=Markup(style),
        script=Markup(script),
    )
    policy = (
        f"default-src 'none'; script-src '{_hash(script)}'; style-src '{_hash(style)}'; connect-src 'self'; "
        "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return Page(html.encode("utf-8", errors="replace"), policy)


def facts(outcome: Outcome, goes_on: bool) -> dict[str, Any]:
    """Verdict, numbers and cost of a result as texts: those that were asked for, then what a curve adds.

    While the run ``goes_on``, its missing audit is no reproach.
    """
    if goes_on:
        checks = tuple(check for check in outcome.verdict.checks if check.name not in LATER)
        outcome = replace(outcome, verdict=replace(outcome.verdict, checks=checks))
    reasons = [NOT_AUDITED, *brief.reasons(outcome)] if goes_on else brief.reasons(outcome)
    ordered = sorted(outcome.estimates, key=lambda e: not e.asked)
    status = str(outcome.verdict.status)
    return {
        "status": status,
        "verdict": WORDS[status],
        "reasons": reasons,
        "numbers": [brief.row(estimate) for estimate in ordered[:MOST_ROWS]],
        "more": max(0, len(ordered) - MOST_ROWS),
        "evaluations": tables.count(outcome.evaluations.get("total")),
    }


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


@functools.cache
def _template() -> Any:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined)
    return environment.get_template("live.html.j2")

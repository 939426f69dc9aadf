"""The page: which part stands where, and in which words; the layout itself is in ``templates/page.html.j2``."""

from __future__ import annotations

import base64
import functools
import hashlib
import importlib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from raresim.diagnostics.verdict import advice_of
from raresim.errors import ConfigError, visible
from raresim.files import plain_files
from raresim.record.rows import is_estimate
from raresim.report import evidence_tables, numbers, provenance, tables
from raresim.report.panels import Panel, panel_of
from raresim.report.rows import ROWS, distinct
from raresim.report.run import Run
from raresim.report.words import Words

__all__ = ["DRAWN", "load_figures", "pictures", "write"]

TEMPLATES = Path(__file__).parent / "templates"
FIGURES = ("information", "convergence", "losses", "weights", "levels", "entropy")
DRAWN = {
    "trace": ("trace", "draw"),
    "exhibits": ("exhibits", "draw"),
    "levels": ("levels", "draw"),
    "weights": ("weights", "draw"),
    "convergence": ("convergence", "draw"),
    "entropy": ("entropy", "draw"),
    "information": ("information", "draw"),
    "losses": ("losses", "draw"),
    "fit-quantiles": ("fit", "draw_quantiles"),
    "fit-stability": ("fit", "draw_stability"),
}
"""Figures, all exhibits counting as one, and the module and function that draws each; half of the work is in every
second of them."""

FIT_FIGURES = {"fit-quantiles": "Quantile plots", "fit-stability": "Threshold stability"}

MEANING = {
    "trusted": "Every check passed. The interval can be relied on within the scope stated here.",
    "caution": "Usable with the reservations stated here: at least one check warned or could not run.",
    "untrusted": "Do not use this number: at least one check failed.",
    "bound_only": "No event was seen. What follows is an upper limit, not an estimate.",
}

CONTROLS = ("controls",)
"""Exhibits that stand beside the model: what is known of it without sampling."""


def write(run: Run, drawn: Mapping[str, Any] | None = None) -> Path:
    """Draw the figures, unless they are ``drawn``, and write them and the page; returns the path of the page."""
    drawn = pictures(run) if drawn is None else drawn
    page = run.folder / "report.html"
    html = _html(run, {name: panel_of(name, picture) for name, picture in drawn.items()})
    folder = run.folder / "figures"
    try:
        if folder.is_symlink():
            raise OSError(None, "it is a symbolic link", str(folder))
        folder.mkdir(exist_ok=True)
        for name, picture in drawn.items():
            if isinstance(picture, str):
                (folder / f"{name}.png").unlink(missing_ok=True)  # left by an earlier state of the folder
            else:
                plain_files.replace(folder / f"{name}.png", picture.png)
        plain_files.replace(page, html.encode("utf-8", errors="replace"))
    except OSError as error:
        raise ConfigError(f"{error.filename or run.folder}: cannot be written ({error.strerror})") from None
    return page


def load_figures() -> None:
    """Load what draws the figures, and compile the page: together that takes longer than to draw them."""
    for module, _ in DRAWN.values():
        importlib.import_module(f"raresim.report.{module}")
    environment = _environment()
    for name in environment.list_templates(extensions=["j2"]):
        environment.get_template(name)


def pictures(run: Run, names: Collection[str] = DRAWN.keys()) -> dict[str, Any]:
    """Draw the figures that are called ``names`` in `DRAWN`; a sentence stands in place of one that there is not."""
    from raresim.report import style

    found: dict[str, Any] = {}
    with style.applied():
        for name in names:
            module, function = DRAWN[name]
            drawn = getattr(importlib.import_module(f"raresim.report.{module}"), function)(run)
            if name == "exhibits":
                found |= {picture.name: picture for pictures in drawn.values() for picture in pictures}
            else:
                found[name] = drawn
    return found


@functools.cache
def _environment() -> Any:
    """The templates of the page, each compiled once in a process."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_visible,
    )
    environment.tests["known"] = tables.is_known
    environment.tests["own_estimate"] = is_estimate
    environment.filters.update(
        amount=tables.amount,
        count=tables.count,
        multiple=tables.multiple,
        number=tables.number,
        one_in=tables.one_in,
        percent=numbers.percent,
        seconds=tables.duration,
    )
    return environment


def _html(run: Run, panels: Mapping[str, Panel]) -> str:
    from markupsafe import Markup

    sheet = (TEMPLATES / "style.css").read_text(encoding="utf-8")
    shown = [evidence_tables.shown(exhibit, panels) for exhibit in sorted(run.exhibits, key=evidence_tables.place)]
    html: str = (
        _environment()
        .get_template("page.html.j2")
        .render(
            style_sheet=Markup(sheet),
            style_hash=_hash(sheet),
            estimates=distinct(run.estimates),
            standing=numbers.standing_of(distinct(run.estimates)),
            has_decisions=bool(run.decisions or run.trace.tables or panels["trace"].uri),
            has_references=any(e.reference for e in run.estimates),
            has_gross=any(tables.is_known(e.diagnostics.get("share_of_gross")) for e in run.estimates),
            run=run,
            words=Words(),
            slug=Words.slug,
            panels={name: panels[name] for name in FIGURES},
            fit_panels=[(title, panels[name]) for name, title in FIT_FIGURES.items() if panels[name].uri],
            fit_tables=[evidence_tables.fit_table(table) for table in run.evidence.tables],
            trace_tables=[evidence_tables.fit_table(table) for table in run.trace.tables],
            trace_panel=panels["trace"],
            exhibits=[exhibit for exhibit in shown if exhibit.name not in CONTROLS],
            controls=[exhibit for exhibit in shown if exhibit.name in CONTROLS],
            rows=ROWS[run.unit],
            sampling=numbers.sampling(run),
            verdict=run.verdict,
            badge=numbers.badge,
            meaning=MEANING[run.verdict.status],
            advice=advice_of(run.verdict, run.estimates),
            reasons=[c for c in run.verdict.checks if c.status != "trusted"],
            n_passed=sum(c.status == "trusted" for c in run.verdict.checks),
            hidden=numbers.hidden(run),
            headline=run.primary,
            value_of=numbers.value,
            unit_of=tables.unit_of,
            interval_of=numbers.interval,
            confidence_of=tables.confidence,
            comparison_of=numbers.comparison,
            standing_of=numbers.beside_reference,
            stages=numbers.stages(run),
            failed=numbers.failed(run),
            crude_draws=numbers.crude_draws(run),
            budget=numbers.budget(run),
            cross_entropies=numbers.cross_entropies(run),
            implied=tables.draws,
            checks=numbers.checks(run),
            columns=numbers.columns(run),
            cell=numbers.cell,
            has_notes=any(row.note for row in run.iterations),
            iterations=run.iterations,
            facts=provenance.facts(run.manifest),
            files=provenance.files(run.manifest),
            draws=provenance.draws(run.manifest),
        )
    )
    return html


def _hash(sheet: str) -> str:
    """Hash of the page's own style sheet for its security policy: no other style is applied."""
    return f"sha256-{base64.b64encode(hashlib.sha256(sheet.encode()).digest()).decode('ascii')}"


def _visible(value: Any) -> Any:
    """Plain text made `visible`; markup is the page's own and stays."""
    return visible(value) if type(value) is str else value

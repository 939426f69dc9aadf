"""The page: which part stands where, and in which words; the layout itself is in ``templates/page.html.j2``."""

from __future__ import annotations

import base64
import functools
import hashlib
import importlib
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from raresim.diagnostics.verdict import advice_of
from raresim.errors import ConfigError, visible
from raresim.files import plain_files
from raresim.record.evidence import EvidenceTable
from raresim.record.exhibits import Exhibit
from raresim.record.records import Estimate
from raresim.record.rows import is_estimate
from raresim.record.verdict import Check, Verdict
from raresim.report import tables
from raresim.report.glossary import spelling
from raresim.report.rows import ROWS, distinct
from raresim.report.run import Run
from raresim.report.words import Words

__all__ = ["DRAWN", "load_figures", "pictures", "write"]

UNQUOTED = " /:;=,()!*@?$+[]{}|~'%"
"""Characters that stay as they are in the address of a figure within the page."""

ASIDE = re.compile("<!--.*?-->|<metadata>.*?</metadata>", re.DOTALL)
PATH, DECIMALS = re.compile(" d='[^']*'"), re.compile(r"(\.\d\d)\d+")
"""What an SVG file says beside the drawing; its paths, and numbers with more than two decimals."""

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

BADGES = {
    "trusted": ("\u2713", "Trusted"),
    "caution": ("!", "Caution"),
    "untrusted": ("\u2715", "Untrusted"),
    "bound_only": ("\u2264", "Bound only"),
}

MEANING = {
    "trusted": "Every check passed. The interval can be relied on within the scope stated here.",
    "caution": "Usable with the reservations stated here: at least one check warned or could not run.",
    "untrusted": "Do not use this number: at least one check failed.",
    "bound_only": "No event was seen. What follows is an upper limit, not an estimate.",
}

STAGES = {
    "explore": "looking for where losses are large",
    "tune": "fitting the proposal",
    "estimate": "fresh {rows}, the only ones behind the numbers",
    "audit": "an independent search for missed failure regions",
    "rounds": "estimates and audits of earlier rounds, which found a region that was missed",
    "exhibits": "the search for the most likely scenarios",
}

FAILED = {
    "raised": "raised",
    "timeout": "timed out",
    "nan": "were NaN",
    "infinite": "were infinite",
    "died": "ended the process of their worker",
    "exit": "ended with an exit code other than 0",
    "output": "wrote no number where it is read",
}
"""How rows fail, by the keys of ``result.json``."""

FACTS = {
    "config_sha256": "Configuration SHA-256",
    "seed": "Seed",
    "raresim": "raresim",
    "python": "Python",
    "packages": "Packages",
    "cpu": "CPU",
    "executor": "Executor",
    "workers": "Workers",
    "started": "Started",
    "seconds": "Duration",
}

ITERATION_COLUMNS = {
    "level": "Level",
    "rarity": "Rarity",
    "evaluations": "Evaluations",
    "elites": "Elites",
    "ess": "ESS",
    "kl_optimal_proposal": "KL(optimal \u2016 proposal)",
    "kl_step": "KL step",
    "cross_entropy": "Cross-entropy",
    "entropy": "Entropy",
    "log_probability": "log P",
}


COUNTS = ("evaluations", "elites", "ess")
AMOUNTS = ("kl_optimal_proposal", "kl_step", "cross_entropy", "entropy", "log_probability")
"""Columns of iterations that are whole numbers, and those in nats; the others are losses and shares."""

EVIDENCE_NATS = ("log likelihood", "AIC", "BIC")
EVIDENCE_ERRORS = ("std error",)
"""Columns or rows of the evidence that are compared by differences, and columns that need few digits."""

LATER = ("contributions", "scenario", "sensitivities", "what_if")
"""How the names of exhibits begin that stand after the others, in their order."""

CONTROLS = ("controls",)
"""Exhibits that stand beside the model: what is known of it without sampling."""

DRAWS = ("draws.csv", "draws.parquet")
"""Names of the file with the sample of the event: the page links to no other."""

MOST_NAMED = 4
"""Numbers that a sentence names."""

MOST_ROWS, MOST_NAMES = 40, 100
"""Rows of a table that are shown, and rows of a table with one row for each name."""


@dataclass(frozen=True)
class Panel:
    """A figure on the page, or the sentence in its place if there is none."""

    name: str
    uri: str
    alt: str
    caption: str


@dataclass(frozen=True)
class FitTable:
    """A table of the evidence as printed: column heads with the term that each links to, and the rows."""

    title: str
    heads: list[tuple[str, str, bool]]
    rows: list[list[tuple[str, bool]]]
    n_left_out: int


@dataclass(frozen=True)
class ShownExhibit:
    """An exhibit as printed: its badge, table, notes and pictures; a curve has numbers for names."""

    name: str
    title: str
    status: str
    table: FitTable
    notes: tuple[str, ...]
    panels: list[Panel]
    is_curve: bool


@dataclass(frozen=True)
class Column:
    """A column of the table of the sampling behind each estimate: its head, term, key and format."""

    title: str
    term: str
    key: str
    how: str


@dataclass(frozen=True)
class Amount:
    """A row of the information budget."""

    title: str
    term: str
    nats: float
    bits: float | None
    draws: str
    meaning: str


def write(run: Run, drawn: Mapping[str, Any] | None = None) -> Path:
    """Draw the figures, unless they are ``drawn``, and write them and the page; returns the path of the page."""
    drawn = pictures(run) if drawn is None else drawn
    page = run.folder / "report.html"
    html = _html(run, {name: _panel(name, picture) for name, picture in drawn.items()})
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


def _panel(name: str, picture: Any) -> Panel:
    if isinstance(picture, str):
        return Panel(name, "", "", picture)
    return Panel(name, _address(picture.svg), picture.alt, picture.caption)


def _address(svg: str) -> str:
    """An SVG file as an address within the page, which needs no escapes there.

    Comments, which hold the texts, and metadata are left out. Paths have two decimals, a hundredth of a point.
    """
    from markupsafe import Markup

    drawing = " ".join(ASIDE.sub("", svg[svg.index("<svg") :]).split())
    drawing = drawing.replace("%", "%25").replace("'", "%27").replace('"', "'")
    short = PATH.sub(lambda path: DECIMALS.sub(r"\1", path[0]), drawing)
    return Markup(f"data:image/svg+xml,{quote(short, safe=UNQUOTED)}")


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
        percent=_percent,
        seconds=tables.duration,
    )
    return environment


def _html(run: Run, panels: Mapping[str, Panel]) -> str:
    from markupsafe import Markup

    sheet = (TEMPLATES / "style.css").read_text(encoding="utf-8")
    shown = [_shown(exhibit, panels) for exhibit in sorted(run.exhibits, key=_place)]
    html: str = (
        _environment()
        .get_template("page.html.j2")
        .render(
            style_sheet=Markup(sheet),
            style_hash=_hash(sheet),
            estimates=distinct(run.estimates),
            standing=_standing_of(distinct(run.estimates)),
            has_decisions=bool(run.decisions or run.trace.tables or panels["trace"].uri),
            has_references=any(e.reference for e in run.estimates),
            has_gross=any(tables.is_known(e.diagnostics.get("share_of_gross")) for e in run.estimates),
            run=run,
            words=Words(),
            slug=Words.slug,
            panels={name: panels[name] for name in FIGURES},
            fit_panels=[(title, panels[name]) for name, title in FIT_FIGURES.items() if panels[name].uri],
            fit_tables=[_fit_table(table) for table in run.evidence.tables],
            trace_tables=[_fit_table(table) for table in run.trace.tables],
            trace_panel=panels["trace"],
            exhibits=[exhibit for exhibit in shown if exhibit.name not in CONTROLS],
            controls=[exhibit for exhibit in shown if exhibit.name in CONTROLS],
            rows=ROWS[run.unit],
            sampling=_sampling(run),
            verdict=run.verdict,
            badge=_badge,
            meaning=MEANING[run.verdict.status],
            advice=advice_of(run.verdict, run.estimates),
            reasons=[c for c in run.verdict.checks if c.status != "trusted"],
            n_passed=sum(c.status == "trusted" for c in run.verdict.checks),
            hidden=_hidden(run),
            headline=run.primary,
            value_of=_value,
            unit_of=tables.unit_of,
            interval_of=_interval,
            confidence_of=tables.confidence,
            comparison_of=_comparison,
            standing_of=_standing,
            stages=_stages(run),
            failed=_failed(run),
            crude_draws=_crude_draws(run),
            budget=_budget(run),
            cross_entropies=_cross_entropies(run),
            implied=tables.draws,
            checks=_checks(run),
            columns=_columns(run),
            cell=_cell,
            has_notes=any(row.note for row in run.iterations),
            iterations=run.iterations,
            facts=_facts(run.manifest),
            files=_files(run.manifest),
            draws=_draws(run.manifest),
        )
    )
    return html


def _shown(exhibit: Exhibit, panels: Mapping[str, Panel]) -> ShownExhibit:
    """An exhibit with its pictures and some of its rows: every so many of a curve and its last, the first names.

    A column without a value in any row is left out; it stands in the file.
    """
    kept = [k for k in range(len(exhibit.columns)) if any(row[k] not in (None, "") for row in exhibit.rows)]
    columns = tuple(exhibit.columns[k].replace("_", " ") for k in kept)
    is_curve = bool(exhibit.rows) and isinstance(exhibit.rows[0][0], int | float)
    step = max(1, -(-len(exhibit.rows) // MOST_ROWS)) if is_curve else 1
    rows = tuple(tuple(row[k] for k in kept) for row in exhibit.rows[::-step][::-1])
    table = _fit_table(EvidenceTable("", columns, rows), MOST_ROWS if is_curve else MOST_NAMES)
    name = f"exhibit-{exhibit.name}"
    pictures = [panel for key, panel in panels.items() if key == name or re.fullmatch(rf"{name}-\d+", key)]
    left_out = f"One row in {step} is shown; {exhibit.name}.csv has all {len(exhibit.rows)}." if step > 1 else ""
    notes = (*filter(None, (left_out,)), *exhibit.notes)
    return ShownExhibit(exhibit.name, exhibit.title, exhibit.status, table, notes, pictures, is_curve)


def _hash(sheet: str) -> str:
    """Hash of the page's own style sheet for its security policy: no other style is applied."""
    return f"sha256-{base64.b64encode(hashlib.sha256(sheet.encode()).digest()).decode('ascii')}"


def _place(exhibit: Exhibit) -> int:
    """Results first, then what the loss is made of, then scenarios, then what changes it."""
    found = [place for place, begin in enumerate(LATER, start=1) if exhibit.name.startswith(begin)]
    return found[0] if found else 0


def _standing_of(estimates: Sequence[Estimate]) -> str:
    """How many of several numbers are trusted, and which checks the others did not pass; empty for one number."""
    asked = [e for e in estimates if e.asked]
    if len(asked) < 2:
        return ""
    others = [e for e in asked if e.verdict.status != "trusted"]
    if not others:
        return f"{'Both' if len(asked) == 2 else f'All {len(asked)}'} numbers that were asked for are trusted."
    reasons: dict[tuple[str, ...], list[str]] = {}
    for e in others:
        failed = tuple(check.name.replace("_", " ") for check in e.verdict.checks if check.status != "trusted")
        reasons.setdefault(failed, []).append(e.label)
    told = []
    for failed, labels in reasons.items():
        more = len(labels) - MOST_NAMED
        names = ", ".join(labels[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
        told.append(f"{names} {'is' if len(labels) == 1 else 'are'} not ({', '.join(failed)})")
    return f"{len(asked) - len(others)} of {len(asked)} numbers are trusted; {'; '.join(told)}."


def _visible(value: Any) -> Any:
    """Plain text made `visible`; markup is the page's own and stays."""
    return visible(value) if type(value) is str else value


def _percent(x: float | None) -> str:
    return tables.percent(x).replace(" ", "\u00a0")  # keeps the sign on the line of its number


def _badge(verdict: Verdict) -> dict[str, str]:
    symbol, word = BADGES[verdict.status]
    return {"status": verdict.status, "symbol": symbol, "word": word}


def _value(estimate: Estimate) -> str:
    return tables.answer(estimate, "\u2264\u00a0")


def _interval(estimate: Estimate) -> str:
    if estimate.is_below_doubles:
        return "ends too small for a double,"
    return tables.interval(estimate.lower, estimate.upper)


def _comparison(estimate: Estimate) -> str:
    """The estimate against its reference, in words; empty without one."""
    reference = estimate.reference
    if reference is None:
        return ""
    if estimate.is_exactly_the_reference:
        return "agrees to nine digits"
    if estimate.is_bound or not estimate.has_error:
        if not tables.is_known(estimate.lower) or not tables.is_known(estimate.upper):
            return "cannot be compared: the run has no interval"
        is_inside = estimate.lower <= reference.value <= estimate.upper
        return "lies inside the interval" if is_inside else "lies outside the interval"
    difference = estimate.value - reference.value
    errors = abs(difference) / estimate.std_error
    where = "above" if difference > 0 else "below"
    relative = f" ({_percent(abs(difference / reference.value))})" if reference.value else ""
    verdict = "agrees" if errors <= 2 else "is a borderline case" if errors <= 3 else "disagrees"
    return f"{verdict}: {tables.number(errors, 2)} standard errors {where} the reference{relative}"


def _standing(estimate: Estimate) -> str:
    """How an estimate compares with its reference in one cell of a table."""
    if estimate.reference is None:
        return ""
    if estimate.is_bound or not estimate.has_error:
        return _comparison(estimate).removeprefix("lies ")
    return f"{(estimate.value - estimate.reference.value) / estimate.std_error:+.2f} SE"


def _hidden(run: Run) -> dict[str, str] | None:
    """The bound on what the search may have missed, its size beside the estimate, and the cautious upper limit."""
    bound = run.verdict.hidden_mass_bound
    if bound is None:
        return None
    primary = run.primary
    is_probability = primary.kind == "probability"
    return {
        "bound": tables.number(bound),
        "times": tables.multiple(bound / primary.value) if is_probability and primary.value > 0 else "",
        "cautious": tables.number(primary.upper + bound) if is_probability and tables.is_known(primary.upper) else "",
    }


def _stages(run: Run) -> list[dict[str, Any]]:
    """Evaluations by stage with their shares, in the order of the run; stages that did not run are left out."""
    counts = {stage: n for stage, n in run.evaluations.items() if stage != "total" and n}
    total = sum(counts.values())
    ordered = [s for s in STAGES if s in counts] + [s for s in counts if s not in STAGES]
    return [
        {
            "name": stage,
            "count": counts[stage],
            "share": counts[stage] / total,
            "what": STAGES.get(stage, "").format(rows=ROWS[run.unit].many),
        }
        for stage in ordered
    ]


def _failed(run: Run) -> dict[str, Any]:
    """Rows without a loss, in words, and how much they widen the intervals; empty if every row has a loss."""
    if not run.failed:
        return {}
    by_kind = run.failed.get("kinds", {})
    kinds = [f"{tables.count(number)} {FAILED[kind]}" for kind, number in by_kind.items() if kind in FAILED]
    widened = [
        (e.label, "without limit" if (x := e.diagnostics["widening"]) is None else f"by {tables.percent(x)}")
        for e in distinct(run.estimates)
        if "widening" in e.diagnostics
    ]
    names = ("rows", "share", "searching", "estimating", "retried", "kept")
    return {name: run.failed.get(name) for name in names} | {"kinds": ", ".join(kinds), "widening": widened}


def _sampling(run: Run) -> list[Column]:
    """Columns about the rows behind each estimate; a replicate or a batch is an estimate by itself, without weight."""
    rows = ROWS[run.unit]
    hits = Column(rows.hits.capitalize(), "hits", "hits", "count")
    speedup = Column("Speed-up over crude", "speed-up over crude", "speedup_over_crude", "multiple")
    if is_estimate(run.unit):
        return [Column(rows.many.capitalize(), rows.many, "rows", "count"), hits, speedup]
    weights = [
        hits,
        Column(rows.effective.capitalize(), "effective hits", "ess", "count"),
        Column("Largest share", "largest share", "max_share", "percent"),
        Column("k\u2011hat", "k-hat", "khat", "fixed"),
        Column(
            f"{rows.many.capitalize()} per effective {rows.hit}",
            "draws per effective hit",
            "draws_per_effective_hit",
            "multiple",
        ),
        speedup,
    ]
    return weights if run.unit == "draw" else [Column(rows.many.capitalize(), "row", "rows", "count"), *weights]


def _crude_draws(run: Run) -> float | None:
    """Draws that crude Monte Carlo needs for the same relative error: the speed-up times the evaluations of the run."""
    speedup, total = run.primary.diagnostics.get("speedup_over_crude"), run.evaluations.get("total")
    return None if speedup is None or total is None else speedup * total


def _budget(run: Run) -> list[Amount]:
    """The information budget of the primary estimate; empty if the folder holds none, or without a hit."""
    of = run.primary.information
    if not tables.is_known(of.event_nats):
        return []
    rows = [
        Amount(
            title="Self-information of the event",
            term="self-information",
            nats=of.event_nats,
            bits=of.event_bits,
            draws=tables.draws(of.crude_draws, of.event_nats),
            meaning="-log P = KL(optimal \u2016 target): crude Monte Carlo pays all of it",
        )
    ]
    if tables.is_known(of.proposal_nats) and not is_estimate(run.unit):
        draws = tables.draws(of.proposal_draws, of.proposal_nats)
        rows.append(
            Amount(
                title="KL(optimal \u2016 proposal)",
                term="KL(optimal || proposal)",
                nats=of.proposal_nats,
                bits=of.proposal_bits,
                draws=draws if run.unit == "draw" else ROWS[run.unit].counted(draws),
                meaning=_paid(run),
            )
        )
    moved = run.diagnostics.get("kl_proposal_target")
    if moved is not None:
        meaning = "how far the proposal, without its defensive share, is from the target"
        rows.append(Amount("KL(proposal \u2016 target)", "KL(proposal || target)", moved, None, "", meaning))
    return rows


def _paid(run: Run) -> str:
    if not run.is_weighted:
        return "the same, because the draws come from the target itself"
    by_variance = run.primary.diagnostics.get("draws_per_effective_hit")
    rows = ROWS[run.unit]
    paid = f"what the proposal still pays{'' if run.unit == 'draw' else f', in {rows.many}'}; 0 is perfect"
    if by_variance is None:
        return paid
    took = rows.counted(tables.multiple(by_variance))
    return f"{paid}. By the variance of its weights, an effective {rows.hit} took {took}"


def _cross_entropies(run: Run) -> list[Amount]:
    """The cross-entropy of the event before and after tuning, and its lower limit."""
    event = run.entropies
    if event is None:
        return []
    rows = (
        ("Cross-entropy, untuned", "cross-entropy", event.target, "of the optimal law against the target"),
        ("Cross-entropy, last level", "cross-entropy", event.proposal, "against the law that the last level drew from"),
        ("Entropy, the floor", "entropy", event.optimal, "of the optimal law itself"),
    )
    return [Amount(title, term, nats, None, "", meaning) for title, term, nats, meaning in rows]


def _checks(run: Run) -> list[tuple[str, list[Check]]]:
    """The checks of each estimate, the primary first, then those that only the verdict of the run lists."""
    ordered = distinct([run.primary, *run.estimates])
    groups = [(e.label, list(e.verdict.checks)) for e in ordered]
    listed = {check for _, checks in groups for check in checks}
    groups.append(("Whole run", [check for check in run.verdict.checks if check not in listed]))
    return [(name, checks) for name, checks in groups if checks]


def _columns(run: Run) -> list[tuple[str, str]]:
    """Columns of the table of iterations that are not empty."""
    return [
        (field, title)
        for field, title in ITERATION_COLUMNS.items()
        if any(tables.is_known(getattr(row, field)) for row in run.iterations)
    ]


def _cell(column: str, x: float) -> str:
    """A number of the table of iterations."""
    if not tables.is_known(x):
        return "\u2013"
    return tables.count(x) if column in COUNTS else tables.amount(x) if column in AMOUNTS else tables.number(x)


def _fit_table(table: EvidenceTable, most: int = MOST_ROWS) -> FitTable:
    """The table as printed: numbers are aligned right; a column without numbers holds names."""
    heads = []
    for j, column in enumerate(table.columns):
        own = f"evidence.{column}"  # a word such as value has another meaning in the other tables
        is_number = any(isinstance(row[j], int | float) for row in table.rows)
        term = own if spelling(column) and Words.is_known(own) else column
        heads.append((column[:1].upper() + column[1:], term, is_number))
    rows = [
        [
            (_fit_cell(column, row, cell), isinstance(cell, int | float))
            for column, cell in zip(table.columns, row, strict=True)
        ]
        for row in table.rows[:most]
    ]
    return FitTable(table.title, heads, rows, len(table.rows) - len(rows))


def _fit_cell(column: str, row: tuple[str | float | None, ...], cell: str | float | None) -> str:
    if cell is None or isinstance(cell, str):
        return cell or ""
    if any(name in EVIDENCE_NATS for name in (column, *row)):
        return tables.amount(cell)
    return tables.number(cell, 3 if column in EVIDENCE_ERRORS else 4)


def _facts(manifest: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Provenance as title, key and text: the known entries in a fixed order, then the others of the manifest."""
    known = [(title, key, _plain(manifest[key], key)) for key, title in FACTS.items() if manifest.get(key) is not None]
    rest = sorted(set(manifest) - set(FACTS) - {"files", "status"})
    return known + [(key.replace("_", " "), key, _plain(manifest[key])) for key in rest if manifest[key] is not None]


def _draws(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The sample of the event that lies beside the page, or why there is none; empty where none was wanted."""
    found = manifest.get("draws")
    if not isinstance(found, dict):
        return {}
    if found.get("file") not in DRAWS:
        return {"why": f"{_plain(found.get('why', ''))[:1].upper()}{_plain(found.get('why', ''))[1:]}."}
    counts = {key: found[key] if isinstance(found.get(key), int) else 0 for key in ("rows", "of")}
    return {"href": found["file"], **counts}


def _files(manifest: Mapping[str, Any]) -> list[dict[str, str]]:
    """One row per input file; any value other than a name, a size or a digest goes into ``more``."""
    files = manifest.get("files")
    rows = []
    for entry in files if isinstance(files, list) else []:
        given = entry if isinstance(entry, dict) else {"name": entry}
        more = {k: v for k, v in given.items() if k not in ("name", "bytes", "sha256") and v is not None}
        rows.append(
            {
                "name": _plain(given.get("name", "")),
                "bytes": _plain(given.get("bytes", "")),
                "sha256": _plain(given.get("sha256", "")),
                "more": _plain(more),
            }
        )
    return rows


def _plain(value: Any, key: str = "") -> str:
    """Any JSON value on one line."""
    if isinstance(value, dict):
        return ", ".join(f"{name} {_plain(item)}" for name, item in value.items())
    if isinstance(value, list):
        return ", ".join(_plain(item) for item in value)
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: ""}[value]
    if isinstance(value, int | float):
        if key == "seconds":
            return tables.duration(value)
        return str(value) if key == "seed" else tables.count(value) if isinstance(value, int) else tables.number(value)
    return str(value)

"""A result in a few lines, as a Python prompt and a notebook show it."""

from __future__ import annotations

from html import escape

from raresim.record.outcome import Outcome
from raresim.record.records import Estimate
from raresim.record.verdict import Status
from raresim.report import tables
from raresim.report.rows import distinct

__all__ = ["HEADS", "html", "reasons", "row", "text"]

MOST_LINES, MOST_ROWS = 8, 16
"""Numbers shown at a prompt, and in a notebook."""

MOST_CHECKS, LONGEST, LONGEST_NAME = 2, 160, 48
"""Checks that did not pass; characters of one, and of a name."""

COLOURS = {
    Status.TRUSTED: "#1a7f37",
    Status.CAUTION: "#9a6700",
    Status.UNTRUSTED: "#cf222e",
    Status.BOUND_ONLY: "#cf222e",
}

HEADS = ("number", "estimate", "interval", "rel. error", "verdict")


def text(result: Outcome) -> str:
    """At most a dozen lines: the verdict, the numbers, what they cost, and what did not pass."""
    numbers = distinct(result.estimates)
    shown = numbers[:MOST_LINES]
    rows = [row(estimate) for estimate in shown]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    verdict = _word(result.verdict.status).upper()
    lines = [f"{_cut(result.name, LONGEST_NAME)}: {verdict} ({result.method}, seed {result.seed})"]
    for first, *others in rows:
        cells = [first.ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(others, widths[1:], strict=True))]
        lines.append("  " + "  ".join(cells).rstrip())
    if left := len(numbers) - len(shown):
        lines.append(f"  and {left} more in to_frame()")
    lines += [f"  {_cut(reason)}" for reason in reasons(result)]
    lines.append(f"  {_cost(result)}")
    return "\n".join(lines)


def html(result: Outcome) -> str:
    """The same as a table without script or style sheet; texts of the user's are escaped."""
    numbers = distinct(result.estimates)
    shown = numbers[:MOST_ROWS]
    head = "".join(f"<th>{name}</th>" for name in HEADS)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row(estimate)) + "</tr>" for estimate in shown
    )
    left = len(numbers) - len(shown)
    below = [f"and {left} more in to_frame()"] * bool(left) + [*reasons(result), _cost(result)]
    colour = COLOURS[result.verdict.status]
    return (
        f'<div><p><strong style="color: {colour}">{_word(result.verdict.status).upper()}</strong> '
        f"<strong>{escape(_cut(result.name, LONGEST_NAME))}</strong> ({escape(result.method)}, seed {result.seed})</p>"
        f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        + "".join(f"<p>{escape(_cut(line))}</p>" for line in below)
        + "</div>"
    )


def row(estimate: Estimate) -> tuple[str, ...]:
    """A row of the table with the `HEADS`."""
    ends = f"{tables.confidence(estimate)} {tables.interval(estimate.lower, estimate.upper)}".strip()
    error = tables.percent(estimate.relative_error) if estimate.has_error else "-"
    added = "" if estimate.asked else " (added)"
    return (
        _cut(estimate.label, LONGEST_NAME),
        f"{tables.answer(estimate)} {tables.unit_of(estimate)}".rstrip(),
        ends,
        error,
        _word(estimate.verdict.status) + added,
    )


def reasons(result: Outcome) -> list[str]:
    """The first checks that did not pass, in words."""
    failed = [check.message for check in result.verdict.checks if check.status is not Status.TRUSTED]
    more = len(failed) - MOST_CHECKS
    return failed[:MOST_CHECKS] + ([f"and {more} more in .verdict.checks"] if more > 0 else [])


def _cost(result: Outcome) -> str:
    total = result.evaluations.get("total")
    cost = f"{tables.count(total)} evaluations, {tables.duration(result.seconds.get('total'))}"
    if result.speedup_over_crude is None or result.method == "crude":
        return cost
    return f"{cost}; crude Monte Carlo needs {tables.multiple(result.speedup_over_crude)} times as many"


def _word(status: Status) -> str:
    return str(status).replace("_", " ")


def _cut(words: str, longest: int = LONGEST) -> str:
    """``words`` on one line, with dots for the end where it is long."""
    line = " ".join(words.split())
    return line if len(line) <= longest else f"{line[: longest - 3]}..."

"""The share of each limit state in the event of a system, from the draws that gave its probability."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from raresim.accumulators.summary import Summary
from raresim.accumulators.tail import TailMoments
from raresim.diagnostics.verdict import worst
from raresim.losses.base import Loss
from raresim.measures.base import Question
from raresim.measures.intervals import clopper_pearson, widened, zero_hits_bound
from raresim.record.evidence import EvidencePlot
from raresim.record.exhibits import Exhibit
from raresim.record.records import Estimate
from raresim.record.verdict import Status

CAUTION_HITS = 100
"""Effective hits of the event below which shares are read with caution."""

MOST_BARS = 20
"""Limit states in a figure."""

TITLE = "Limit states in the event"

COLUMNS = (
    "limit_state",
    "threshold",
    "share",
    "std_error",
    "lower",
    "upper",
    "decisive",
    "decisive_std_error",
    "decisive_lower",
    "decisive_upper",
    "hits",
)


@dataclass(frozen=True)
class Share:
    """A share of an event's probability, with standard error and interval; dimensionless."""

    value: float
    std_error: float
    low: float
    high: float


def exhibits(
    loss: Loss,
    questions: Sequence[Question],
    estimates: Sequence[Estimate],
    summary: Summary,
    factor: float,
    method: str,
) -> tuple[Exhibit, ...]:
    """The table of shares, where ``loss`` has limit states.

    Parameters
    ----------
    loss : Loss
        Bound to its inputs.
    questions, estimates : sequence of Question, Estimate
        The questions and their answers.
    summary : Summary
        Summary of the estimate stage.
    factor : float
        Factor on the half-widths of intervals.
    method : str
        The kind of method.

    Notes
    -----
    The share of limit state ``j`` in the event ``E`` is ``P(j fails | E) = sum w 1_E 1_j / sum w 1_E``, a ratio of
    means with the influence function ``w 1_E (1_j - share) / P(E)``. Its interval is on the logit scale with Student's
    t for the effective number of hits; exact (Clopper-Pearson) for counts; and one-sided where all hits agree.
    """
    names = loss.limit_state_names
    if not names:
        return ()
    statuses = [estimate.verdict.status for estimate in estimates]
    if summary.states is None:
        note = (
            f"Shares are not available: they need single weighted draws, and the rows of {method} with these options "
            "are not such draws. Use auto, cross_entropy, importance, design_point or crude, with draws 'independent' "
            "and without control variates."
        )
        return (Exhibit("limit_states", TITLE, COLUMNS, (), (note,), worst(statuses)),)
    rows: list[tuple[str | float | None, ...]] = []
    notes: list[str] = []
    plots: list[EvidencePlot] = []
    for k, (question, estimate) in enumerate(zip(questions, estimates, strict=True)):
        if question.tail is not None:
            notes.append(f"{estimate.label} has no threshold that is known beforehand: ask for a probability there.")
        elif not summary.tail.hits[k]:
            notes.append(f"No draw reached the event, {estimate.label}: there is nothing to share.")
        else:
            table = _rows(names, k, estimate, summary, loss.at_least, factor)
            rows += table
            plots.append(_bars(table, estimate.label))
            if summary.tail.ess(k) < CAUTION_HITS:
                statuses.append(Status.CAUTION)
                ess = f"{summary.tail.ess(k):,.0f} effective hits"
                notes.append(f"Shares in {estimate.label} rest on {ess}: use more evaluations.")
    if rows:
        several = (
            "they add up to more than one where several fail together" if loss.at_least < len(names) else "all fail"
        )
        notes.append(f"A share is the probability that the limit state fails, given the event; {several}.")
        notes.append(
            "Decisive is the part of the share in which the event would not have happened without this limit state: "
            f"exactly as many limit states fail as the event needs, {loss.at_least} of {len(names)}."
        )
    return (Exhibit("limit_states", TITLE, COLUMNS, tuple(rows), tuple(notes), worst(statuses), tuple(plots)),)


def share_of(event: TailMoments, k: int, parts: TailMoments, j: int, confidence: float, factor: float) -> Share:
    """The share of part ``j`` in event ``k``, from the same rows.

    Parameters
    ----------
    event, parts : TailMoments
        Moments of the events, and of parts of them.
    k, j : int
        Indices of the event, which has a hit, and of the part.
    confidence : float
        Confidence of the interval.
    factor : float
        Factor on its half-widths.
    """
    from scipy.special import stdtrit

    hits, of_part, ess = int(event.hits[k]), int(parts.hits[j]), event.ess(k)
    if of_part in (0, hits):
        value, bound = float(of_part == hits), min(1.0, factor * zero_hits_bound(max(1, round(ess)), confidence))
        return Share(value, math.nan, *((0.0, bound) if of_part == 0 else (1.0 - bound, 1.0)))
    scale = math.exp(float(parts.peak[j] - event.peak[k]))
    share = min(1.0, scale * float(parts.sum_w[j] / event.sum_w[k]))
    squares = scale**2 * float(parts.sum_w2[j] / event.sum_w[k] ** 2)
    error = math.sqrt(max(0.0, squares * (1.0 - 2.0 * share) + share**2 / ess))
    if math.isclose(ess, hits, rel_tol=1e-9):  # equal weights: counts
        return Share(share, error, *widened(clopper_pearson(of_part, hits, confidence), share, factor))
    spread = share * (1.0 - share)
    if spread == 0.0 or ess <= 1.5:
        return Share(share, error, 0.0, 1.0)
    reach = factor * float(stdtrit(ess - 1.0, 0.5 + 0.5 * confidence)) * error / spread
    middle = math.log(share / (1.0 - share))
    return Share(share, error, _logistic(middle - reach), _logistic(middle + reach))


def _logistic(x: float) -> float:
    return 1.0 / (1.0 + math.exp(-x)) if x > -700 else 0.0


def _rows(
    names: Sequence[str], k: int, estimate: Estimate, summary: Summary, at_least: int, factor: float
) -> list[tuple[str | float | None, ...]]:
    """A row for each limit state, the largest share first."""
    parts, m = summary.states, len(names)
    if parts is None:
        raise ValueError("no limit states were kept")
    found = []
    for j, name in enumerate(names):
        at = 2 * m * k + j
        shares = [share_of(summary.tail, k, parts, at + i, estimate.confidence, factor) for i in (0, m)]
        if at_least == m:  # each limit state fails in every row of the event, and decides it
            shares = [Share(1.0, 0.0, 1.0, 1.0)] * 2
        cells = [_or_none(x) for s in shares for x in (s.value, s.std_error, s.low, s.high)]
        found.append((name, estimate.threshold, *cells, float(parts.hits[at])))
    return sorted(found, key=lambda row: (-float(row[2] or 0.0), names.index(str(row[0]))))


def _or_none(x: float) -> float | None:
    return None if math.isnan(x) else x


def _bars(table: Sequence[tuple[str | float | None, ...]], label: str) -> EvidencePlot:
    """The largest shares with their intervals."""
    shown = table[:MOST_BARS]
    y, low, high = (tuple(float(row[i] or 0.0) for row in shown) for i in (2, 4, 5))
    return EvidencePlot(
        form="bars",
        title=f"Share of each limit state in {label}",
        x_label="",
        y_label="probability that it fails, given the event",
        x=tuple(map(float, range(len(shown)))),
        y=y,
        low=low,
        high=high,
        labels=tuple(str(row[0]) for row in shown),
    )

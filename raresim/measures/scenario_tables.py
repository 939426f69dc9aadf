"""The tables and plots of a reverse stress test."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from raresim.measures.conditional import Moments
from raresim.measures.history import Days
from raresim.measures.usual import Usual
from raresim.numerics.arrays import Float
from raresim.record.evidence import EvidencePlot
from raresim.record.exhibits import Exhibit

if TYPE_CHECKING:
    from raresim.measures.scenario_choice import Found

Cell = str | float | None

MOST_BARS = 20

CORRELATED = 8
"""Number of factors with correlations shown: the factors whose means the event moves most."""

SCENARIO_COLUMNS = (
    "scenario",
    "mode",
    "share",
    "share_std_error",
    "share_lower",
    "share_upper",
    "loss",
    "radius",
    "as_far",
    "beyond_plane",
    "how",
)


def scenarios_exhibit(found: Found, label: str) -> Exhibit:
    """Every scenario with the share of its mode, its loss and how plausible it is."""
    shares = [_cells(found.shares, k) for k in range(len(found.shares.value))]
    rows: list[tuple[Cell, ...]] = [
        (s.name, s.mode, *shares[s.mode - 1], s.loss, *_plausibility(s.radius, found.inputs.latent_dim), s.how)
        for s in found.scenarios
    ]
    modes = max(s.mode for s in found.scenarios)
    if len(shares) > modes:
        rows.append(("other modes", None, *shares[-1], None, None, None, None, "modes beyond those that are shown"))
    plots: tuple[EvidencePlot, ...] = ()
    if len(shares) > 1:
        labels = [f"mode {k + 1}" for k in range(modes)] + ["other modes"] * (len(shares) - modes)
        of = found.shares
        ends = _ends(of.value, of.low, of.high, np.arange(len(shares)))
        plots = (_bars("Failure modes", "share of the event's probability", labels, *ends),)
    return Exhibit("scenarios", f"Scenarios of {label}", SCENARIO_COLUMNS, tuple(rows), _notes(found), plots=plots)


def _plausibility(radius: float | None, dim: int) -> tuple[float | None, float | None, float | None]:
    """The radius, the probability of normals at least as far out, and of those beyond a plane at that distance."""
    from scipy.special import gammaincc, ndtr

    if radius is None:
        return None, None, None
    return radius, float(gammaincc(0.5 * dim, 0.5 * radius * radius)), float(ndtr(-radius))


def _notes(found: Found) -> tuple[str, ...]:
    modes, dim = found.modes, found.inputs.latent_dim
    hits = int(found.given.inside.sum())
    notes = [
        "The most likely scenario is the point of the event with the largest density in standard normal space, where "
        "every input law is a map of independent standard normals: the design point. It does not depend on the units "
        "or transformations of the factors; the densest point in their own space would.",
        f"radius: distance from the origin of the {dim} standard normals; as_far: probability of a distance of at "
        "least the radius (chi-square tail); beyond_plane: Phi(-radius), the probability beyond the plane that "
        "touches the event at this point.",
    ]
    points = len(modes.points)
    if points:
        notes.append(
            f"{modes.climbs} climb{'s' if modes.climbs != 1 else ''} from the densest of {hits:,} draws of the event "
            f"found {points} design point{'s' if points > 1 else ''}, in {found.prices.evaluations:,} evaluations. Two "
            "modes are separate if the loss halfway between their design points is below the threshold; a draw "
            f"belongs to the mode whose tangent plane it lies furthest beyond; {100 * modes.unexplained:.2g} % of the "
            "event's probability lies beyond no tangent plane, as in events that bend around the origin."
        )
    else:
        notes.append("No climb reached a design point: the densest draw replaces it, and modes are not told apart.")
    if modes.problem:
        notes.append(modes.problem)
    if found.prices.failed:
        notes.append(
            f"{found.prices.failed:,} of the losses evaluated for the scenarios failed and count as outside the event."
        )
    return tuple(notes)


def factors_exhibit(found: Found, usual: Usual, days: Days) -> Exhibit:
    """The risk factors of every scenario, one row per factor."""
    first = found.scenarios[0]
    shift = usual.shift(first.x)
    columns = (
        *("factor", "usual_mean", "usual_std", "most_likely", "most_likely_shift"),
        *(s.column for s in found.scenarios[1:]),
        *(f"day_{k + 1}" for k in range(len(days.dates))),
    )
    values = np.column_stack([usual.mean, usual.std, first.x, shift, *(s.x for s in found.scenarios[1:]), *days.x])
    rows = tuple((name, *_row(numbers)) for name, numbers in zip(found.names, values, strict=True))
    plot = _profile("The most likely scenario", found.names, shift)
    notes = ["All values are in the units of the risk factors; a shift is in their usual standard deviations."]
    if days.dates:
        notes.append(f"day_1 to day_{len(days.dates)}: {', '.join(days.dates)}.")
    return Exhibit("scenario_factors", "Risk factors of the scenarios", columns, rows, tuple(notes), plots=plot)


def moments_exhibit(found: Found, usual: Usual) -> Exhibit:
    """Mean and standard deviation of each factor given the event, beside the usual ones."""
    given, x = found.given, found.given.sample.x
    mean, std = given.moments_of_mean(x), given.moments_of_std(x)
    std = std.where(np.isfinite(usual.std))
    shift = usual.shift(mean.value)
    columns = (
        "factor",
        *("mean", "mean_std_error", "mean_lower", "mean_upper", "usual_mean"),
        *("std", "std_std_error", "std_lower", "std_upper", "usual_std", "shift"),
    )
    rows = tuple(
        (name, *_cells(mean, j), *_row([usual.mean[j]]), *_cells(std, j), *_row([usual.std[j], shift[j]]))
        for j, name in enumerate(found.names)
    )
    plots = _profile(
        "Means of the risk factors given the event",
        found.names,
        shift,
        usual.shift(mean.low),
        usual.shift(mean.high),
    )
    notes = [
        f"Given the event: weighted ratio estimates from its {int(given.inside.sum()):,} draws, with "
        f"{100 * given.confidence:g} % intervals from influence functions"
        + (", which include the error of the value at risk." if given.estimated else "."),
        _source(usual.drawn is None),
    ]
    if np.isnan([mean.std_error, std.std_error]).any():
        notes.append("No interval is given where the draws are too few or their tails too heavy for a standard error.")
    return Exhibit("scenario_moments", "Risk factors given the event", columns, rows, tuple(notes), plots=plots)


def correlations_exhibit(found: Found, usual: Usual) -> list[Exhibit]:
    """Correlations of the factors that the event moves most; none if there is only one factor."""
    x = found.given.sample.x
    shift = np.abs(usual.shift(np.array([found.given.mean(column) for column in x.T])))
    varies = np.isfinite(shift)
    chosen = np.sort(np.argsort(np.where(varies, -shift, np.inf), kind="stable")[: min(CORRELATED, int(varies.sum()))])
    pairs = [(int(i), int(j)) for k, i in enumerate(chosen) for j in chosen[k + 1 :]]
    if not pairs:
        return []
    given = found.given.moments_of_correlation(x, pairs)
    known, is_closed = usual.correlations(pairs)
    columns = ("factor", "other", "correlation", "std_error", "lower", "upper", "usual_correlation")
    rows = tuple((found.names[i], found.names[j], *_cells(given, k), known[k]) for k, (i, j) in enumerate(pairs))
    which = f"The {CORRELATED} factors whose means the event moves most, in standard deviations. "
    notes = ((which if len(found.names) > CORRELATED else "") + _source(is_closed),)
    return [Exhibit("scenario_correlations", "Correlations given the event", columns, rows, notes)]


def _source(is_closed: bool) -> str:
    if is_closed:
        return "The usual values come from the input law in closed form."
    return "The usual values come from draws of the input law, without evaluating the loss."


def _profile(
    title: str, names: Sequence[str], y: Float, low: Float | None = None, high: Float | None = None
) -> tuple[EvidencePlot, ...]:
    """Shifts of the factors that move most, in the order of the table."""
    known = np.flatnonzero(np.isfinite(y))
    shown = np.sort(known[np.argsort(-np.abs(y[known]), kind="stable")][:MOST_BARS])
    if not shown.size:
        return ()
    return (
        _bars(title, "shift, in usual standard deviations", [names[j] for j in shown], *_ends(y, low, high, shown)),
    )


def _ends(y: Float, low: Float | None, high: Float | None, shown: NDArray[np.intp]) -> tuple[Float, Float, Float]:
    """The values shown, with the ends of their intervals, or the value itself where there is no interval."""
    y, low, high = (y if v is None else v for v in (y, low, high))
    low, high = (np.where(np.isfinite(end), end, y)[shown] for end in (low, high))
    return y[shown], low, high


def _bars(title: str, y_label: str, labels: Sequence[str], y: Float, low: Float, high: Float) -> EvidencePlot:
    x = tuple(map(float, range(len(labels))))
    return EvidencePlot("bars", title, "", y_label, x, _tuple(y), _tuple(low), _tuple(high), tuple(labels))


def _cells(moments: Moments, k: int) -> tuple[float | None, ...]:
    """An estimate with its error and interval."""
    return _row([moments.value[k], moments.std_error[k], moments.low[k], moments.high[k]])


def _row(numbers: Sequence[float] | Float) -> tuple[float | None, ...]:
    return tuple(float(x) if math.isfinite(x) else None for x in numbers)


def _tuple(numbers: Float) -> tuple[float, ...]:
    return tuple(float(x) for x in numbers)

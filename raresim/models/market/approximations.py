"""What is known of a quadratic loss without sampling: its exact law, and the approximations that desks use."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from raresim.models.controls import Control
from raresim.models.market.exact_quadratic import QuadraticLaw
from raresim.models.market.quadratic_form import QuadraticForm
from raresim.record.exhibits import Exhibit

if TYPE_CHECKING:
    from raresim.record.records import Estimate

EXACT, WITHIN = "inversion of the transform", 1e-6
NOTHING = "nothing: the exact law of the quadratic loss"


def controls_of(form: QuadraticForm, estimates: Sequence[Estimate]) -> tuple[Control, ...]:
    """Each probability, quantile and shortfall of a run beside the exact one."""
    return tuple(_controls(form, [e for e in estimates if math.isfinite(e.value)]))


def _controls(form: QuadraticForm, estimates: Sequence[Estimate]) -> Iterator[Control]:
    law = QuadraticLaw(form)
    if math.isfinite(form.mean):
        yield Control("expected loss", "EL", form.mean, None, "nothing: in closed form")
    for e in estimates:
        if e.level is None:
            value = law.probability(e.threshold)
            if value is not None and e.direction == "below":
                value = 1.0 - value if value < 0.9 else None
        elif e.direction == "above" and e.kind in ("value_at_risk", "expected_shortfall"):
            of: Callable[[float], float | None] = law.quantile if e.kind == "value_at_risk" else law.shortfall
            value = of(1.0 - float(e.level))
        else:
            continue
        if value is not None and value != 0:
            yield Control(EXACT, e.label, value, e.value, NOTHING, WITHIN)


def approximations(form: QuadraticForm, estimates: Sequence[Estimate]) -> tuple[Exhibit, ...]:
    """Values at risk by the usual approximations for normal factors, and the probability with which each is exceeded.

    Notes
    -----
    Delta-normal leaves out all gammas; delta-gamma-normal takes the loss as normal with its mean and variance, as ORE's
    parametric VaR does; Cornish and Fisher's expansion also takes its skewness and kurtosis: Jaschke, *The
    Cornish-Fisher expansion in the context of delta-gamma-normal approximations*, Journal of Risk 4(4), 2002.
    """
    from scipy import special

    levels = sorted({float(e.level) for e in estimates if e.kind == "value_at_risk" and e.level and e.asked})
    if form.dof is not None or not levels or not form.size > 0:
        return ()
    law, b2, lam = QuadraticLaw(form), form.linear**2, form.square
    third = float((8.0 * lam**3 + 6.0 * b2 * lam).sum()) / form.size**3
    fourth = float((48.0 * lam**4 + 48.0 * b2 * lam**2).sum()) / form.size**4
    rows: list[tuple[str | float | None, ...]] = []
    for level in levels:
        tail = round(1.0 - level, 15)
        z = -float(special.ndtri(tail))
        bent = z + (z * z - 1.0) * third / 6.0 + (z**3 - 3.0 * z) * fourth / 24.0
        bent -= (2.0 * z**3 - 5.0 * z) * third**2 / 36.0
        values = {
            "delta-normal": form.constant + z * math.sqrt(float(b2.sum())),
            "delta-gamma-normal": form.mean + z * form.size,
            "Cornish-Fisher": form.mean + bent * form.size,
            "exact": law.quantile(tail),
        }
        for name, value in values.items():
            if value is not None:
                true = law.probability(value)
                rows.append((level, name, value, tail, true, None if true is None else true / tail))
    notes = (
        "The value at risk that an approximation gives, and the probability with which the quadratic loss really "
        "exceeds it, by inversion of its transform. A ratio below 1 means that the approximation is too large.",
    )
    columns = ("level", "approximation", "value_at_risk", "stated_tail", "true_tail", "ratio")
    return (Exhibit("approximations", "Approximations of the value at risk", columns, tuple(rows), notes),)


def approximate_controls(form: QuadraticForm, estimates: Sequence[Estimate]) -> tuple[Control, ...]:
    """Each number of a run of a book beside that of its delta-gamma approximation, by the exact law of that."""
    why = "the delta-gamma approximation of the book, with theta; its law is exact"
    return tuple(
        replace(control, name="delta-gamma", assumes=why, within=None)
        for control in controls_of(form, estimates)
        if control.estimate is not None
    )

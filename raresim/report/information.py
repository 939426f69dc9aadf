"""Figure: the price of one hit, by crude sampling and by this proposal, in bits."""

from __future__ import annotations

import math
from dataclasses import dataclass

from matplotlib.figure import Figure

from raresim.report import style, tables
from raresim.report.run import Run

__all__ = ["draw"]


@dataclass(frozen=True)
class _Bar:
    name: str
    nats: float
    price: str
    color: str


def draw(run: Run) -> style.Picture | str:
    """Two bars: what the event costs by itself, and what the proposal left of it."""
    diagnostics = run.primary.diagnostics
    event = diagnostics.get("self_information_nats")
    if event is None:
        return "No event was seen, so its information is only known from below."
    if event <= 0:
        return "The event is certain, so it carries no information."
    crude_price = _draws(event)
    bars = [
        _Bar(
            name="Crude Monte Carlo pays the self-information of the event",
            nats=event,
            price=f"{crude_price} draws for one hit",
            color=style.GREY,
        )
    ]
    title = f"The event carries {tables.bits(event)} bits: {crude_price} crude draws for one hit"
    proposal = diagnostics.get("kl_optimal_proposal")
    if proposal is not None:
        cost = diagnostics.get("draws_per_effective_hit")
        price = _draws(proposal) if cost is None else tables.multiple(cost)
        payer = "run" if run.method == "crude" else "proposal"
        bars.append(
            _Bar(
                name=f"This {payer} pays KL(optimal \u2016 proposal)",
                nats=proposal,
                price=f"{price} draws for one effective hit",
                color=style.BLUE,
            )
        )
        title = (
            f"One effective hit costs {price} draws, against {crude_price} by crude sampling"
            if payer == "proposal" and proposal < event
            else f"The event carries {tables.bits(event)} bits, and this run pays for all of them"
        )
    return style.finish(
        _figure(bars, title),
        "information",
        title,
        "An event of probability p carries -log2(p) bits, and each bit doubles the draws that crude sampling"
        " needs for one hit. A proposal pays only its divergence from the optimal one: the shorter the lower"
        " bar, the better the tuning.",
        "; ".join(f"{bar.name}: {tables.bits(bar.nats)} bits, {bar.price}" for bar in bars) + ".",
    )


def _figure(bars: list[_Bar], title: str) -> Figure:
    height = 0.42 + 0.66 * len(bars)
    figure = style.canvas(height, title)
    axes = style.panel(figure, 0.02, 0.05, 7.55, height - 0.4)
    axes.set_axis_off()
    longest = max(bar.nats for bar in bars)
    for place, bar in enumerate(bars):
        width = max(bar.nats / longest, 0.004)
        axes.barh(-place, width, height=0.36, color=bar.color)
        axes.text(0.0, 0.25 - place, bar.name, va="bottom")
        amount = f"{tables.bits(bar.nats)} bits"
        axes.text(width + 0.012, -place, amount, va="center", color=bar.color, fontsize=11, fontweight="bold")
        axes.text(width + 0.24, -place, bar.price, va="center", color=style.GREY)
    axes.set_xlim(0, 1.78)
    axes.set_ylim(0.65 - len(bars), 0.62)
    return figure


def _draws(nats: float) -> str:
    return tables.multiple(math.exp(nats)) if nats < 690 else tables.number_of_log(nats, 2)

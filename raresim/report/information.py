"""Figure: the price of one effective hit for crude Monte Carlo and for this proposal, in draws and in bits."""

from __future__ import annotations

import math
from dataclasses import dataclass

from matplotlib.figure import Figure

from raresim.record.budget import Budget
from raresim.record.rows import is_estimate
from raresim.report import style, tables
from raresim.report.rows import ROWS, Rows
from raresim.report.run import Run

__all__ = ["draw"]

BAR, PITCH = 0.44, 0.86  # height of a bar and distance between two, in units of a row


@dataclass(frozen=True)
class _Bar:
    payer: str
    nats: float
    price: str
    amount: str
    color: str


def draw(run: Run) -> style.Picture | str:
    """A bar for the event and a bar for the cost that remains with the proposal, on a common axis of draws."""
    information = run.primary.information
    event, proposal = information.event_nats, information.proposal_nats
    if not math.isfinite(event):
        return "No event was seen, so only a lower limit of its information is known."
    if event <= 0:
        return "The event is certain, so it carries no information."
    bars = [
        _Bar(
            payer="Crude Monte Carlo pays KL(optimal \u2016 target), the self-information of the event",
            nats=event,
            price=f"{tables.draws(information.crude_draws, event)} draws",
            amount=_amount(event, information.event_bits),
            color=style.GREY,
        )
    ]
    rows = ROWS[run.unit]
    if math.isfinite(proposal) and run.is_weighted and not is_estimate(run.unit):
        bars.append(
            _Bar(
                payer="This proposal pays KL(optimal \u2016 proposal)",
                nats=proposal,
                price=rows.counted(tables.draws(information.proposal_draws, proposal)),
                amount=_amount(proposal, information.proposal_bits),
                color=style.BLUE,
            )
        )
    title = _finding(information, len(bars) > 1, rows)
    return style.finish(
        _figure(bars, information.saved_share, title, rows),
        "information",
        title,
        "The length of a bar is an amount of information, and the axis shows the draws that it stands for: exp of the"
        " nats, or two to the power of the bits, so that each bit doubles them."
        + (
            " A proposal pays only its divergence from the optimal proposal: the shorter the blue bar, the better."
            if len(bars) > 1
            else ""
        ),
        "; ".join(f"{bar.payer}: {bar.price}, {bar.amount}" for bar in bars) + ".",
    )


def _amount(nats: float, bits: float) -> str:
    return f"{tables.amount(nats)} nats = {tables.amount(bits)} bits"


def _finding(information: Budget, has_proposal: bool, rows: Rows) -> str:
    event, proposal = information.event_nats, information.proposal_nats
    crude = tables.draws(information.crude_draws, event)
    if not has_proposal:
        return f"Crude Monte Carlo pays all of the event's information: about {crude} draws for one hit"
    needed = rows.counted(tables.draws(information.proposal_draws, proposal))
    price = f"about {needed} for one effective {rows.hit}"
    if proposal >= event:
        return f"Nothing saved: {price}, and {crude} draws by crude Monte Carlo"
    return f"{tables.percent(information.saved_share)} saved: {price}, not {crude} draws"


def _figure(bars: list[_Bar], saved: float, title: str, rows: Rows) -> Figure:
    height = 0.92 + 0.66 * len(bars)
    figure = style.canvas(height, title)
    axes = style.panel(figure, 0.02, 0.5, 7.55, height - 0.36)
    decades = [bar.nats / math.log(10) for bar in bars]  # the axis counts powers of ten
    longest = max(*decades, 0.3)
    for place, (bar, x) in enumerate(zip(bars, decades, strict=True)):
        y = -PITCH * place
        axes.barh(y, max(x, 0.004 * longest), height=BAR, color=bar.color)
        axes.text(0.0, y + 0.27, bar.payer, va="bottom")
        ends = x
        if place and saved > 0:
            axes.barh(y, decades[0] - x, left=x, height=BAR, color=style.GREEN, alpha=0.16)
            ends = decades[0]
            if saved > 0.2:
                axes.text(
                    (x + ends) / 2, y, f"saved: {tables.percent(saved)}", ha="center", va="center", color="#00664b"
                )
        axes.text(ends + 0.012 * longest, y + 0.12, bar.price, va="center", color=bar.color, fontweight="bold")
        axes.text(ends + 0.012 * longest, y - 0.13, bar.amount, va="center", fontsize=8)
    axes.set_xlim(0, 1.4 * longest)
    axes.set_ylim(-PITCH * len(bars) + PITCH - 0.32, 0.62)
    counted = "draws" if len(bars) == 1 or rows.many == "draws" else f"draws or {rows.many}"
    axes.set_xlabel(f"{counted} that it stands for (log scale)", loc="left")
    axes.spines["left"].set_visible(False)
    axes.yaxis.set_visible(False)
    axes.spines["bottom"].set_bounds(0, longest)
    style.decades(axes.xaxis, 0.0, longest, most=7, plain=True)
    return figure

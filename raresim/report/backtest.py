"""Figure: realised losses day by day against their forecast VaR and ES."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib import dates as calendar

from raresim.report import style

if TYPE_CHECKING:
    from raresim.backtests.backtest import Backtest

__all__ = ["draw"]

BAR_DAYS = 400
"""Largest number of days for which losses are drawn as bars; more would be a black band."""


def draw(found: Backtest) -> style.Picture:
    """Losses as bars or dots, forecasts as lines, and the days of exceedances marked."""
    f = found.forecasts
    with style.applied():
        title = f"{f.name}: {found.n_exceedances} of {f.n_days:,} losses exceed the VaR at {found.level:g}, " + (
            f"{found.n_expected:.4g} expected: {found.verdict}"
        )
        figure = style.canvas(3.6, title)
        axes = style.panel(figure, 0.75, 0.45, style.WIDTH - 0.1, 2.9)
        # days since 1970, which matplotlib counts in
        x = (
            np.array(f.dates, dtype="datetime64[D]").astype(np.float64)
            if f.dates
            else np.array(f.rows, dtype=np.float64)
        )
        if f.n_days <= BAR_DAYS:
            axes.vlines(x, 0.0, f.losses, color=style.GREY, linewidth=0.8, label="loss")
        else:
            axes.plot(x, f.losses, linestyle="", marker=".", markersize=2, color=style.GREY, label="loss")
        axes.plot(x, f.var, color=style.BLUE, linewidth=1.2, label=f"VaR {found.level:g}", drawstyle="steps-mid")
        if f.es is not None:
            look: dict[str, Any] = {
                "color": style.GREEN,
                "linestyle": (0, (4, 2)),
                "linewidth": 1.2,
                "drawstyle": "steps-mid",
            }
            axes.plot(x, f.es, label=f"ES {found.es_level:g}", **look)
        beyond = found.exceeds
        axes.plot(
            x[beyond], f.losses[beyond], linestyle="", marker="o", markersize=4.5, color=style.ORANGE, label="exceeds"
        )
        if f.dates:
            axes.xaxis_date()
            concise: Any = calendar.ConciseDateFormatter  # matplotlib has no types for it
            axes.xaxis.set_major_formatter(concise(axes.xaxis.get_major_locator()))
        else:
            style.linear(axes.xaxis, 7)
        style.linear(axes.yaxis)
        style.make_room(axes, beside=0.2)
        axes.set_ylabel("loss")
        axes.margins(x=0.01)
        axes.legend(loc="lower left", ncols=4, bbox_to_anchor=(0.0, 1.0), borderaxespad=0.2)
        return style.finish(
            figure,
            "backtest",
            title,
            "If the forecasts are right, marked days are scattered, as many as expected, and lose the ES on average.",
            "Losses by day with the forecast VaR" + (" and ES." if f.es is not None else "."),
        )

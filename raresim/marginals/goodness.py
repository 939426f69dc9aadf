"""The report's exhibits of fitted margins: parameters with errors, candidates, quantile plots, thresholds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from raresim.marginals.base import Marginal
from raresim.marginals.likelihood import MarginalFit
from raresim.marginals.pareto_tail import threshold_stability
from raresim.marginals.quantile_plot import quantile_plot
from raresim.marginals.semi_parametric import SemiParametric
from raresim.numerics.arrays import Float
from raresim.record.evidence import EvidencePlot, EvidenceTable

STABILITY_SHARES = tuple(np.round(np.geomspace(0.02, 0.25, 16), 4))
MOST_PLOTTED = 12


def margins_table(title: str, names: Sequence[str], fits: Sequence[MarginalFit]) -> EvidenceTable:
    """Every parameter of every margin with its standard error."""
    rows: list[tuple[str | float | None, ...]] = []
    for name, fit in zip(names, fits, strict=True):
        for parameter, value in fit.parameters.items():
            se = fit.std_errors.get(parameter, math.nan)
            rows.append((name, fit.law.kind, parameter, value, se if math.isfinite(se) else None))
    return EvidenceTable(title, ("column", "law", "parameter", "value", "std error"), tuple(rows))


def choice_table(
    names: Sequence[str], fits: list[tuple[MarginalFit, list[MarginalFit]]], criterion: str
) -> EvidenceTable:
    rows = tuple(
        (name, fit.law.kind + (" (chosen)" if fit is best else ""), fit.log_likelihood, fit.aic, fit.bic)
        for name, (best, compared) in zip(names, fits, strict=True)
        for fit in sorted(compared, key=lambda f: f.bic if criterion == "bic" else f.aic)
    )
    return EvidenceTable(
        f"Margins: candidates, best first by {criterion.upper()}",
        ("column", "law", "log likelihood", "AIC", "BIC"),
        rows,
    )


def margin_plots(names: Sequence[str], laws: Sequence[Marginal], values: Float) -> tuple[EvidencePlot, ...]:
    """The plots of the first `MOST_PLOTTED` of the columns of ``values`` (n, d)."""
    columns = zip(names[:MOST_PLOTTED], laws, values.T, strict=False)
    return tuple(plot for name, law, column in columns for plot in plots_of(name, law, column))


def plots_of(name: str, law: Marginal, values: Float) -> list[EvidencePlot]:
    """Quantile plot of a margin and, for each generalised-Pareto tail, the shape against the share in the tail."""
    q = quantile_plot(law, values, side="both")
    plots = [
        EvidencePlot(
            "quantiles", f"{name}: observed against fitted quantiles", "fitted", "observed",
            _numbers(q.expected), _numbers(q.observed), _numbers(q.low), _numbers(q.high),
        )
    ]  # fmt: skip
    if isinstance(law, SemiParametric):
        for tail in law.tails:
            rows = threshold_stability(values, tail.side, STABILITY_SHARES)
            if len(rows) > 1:
                plots.append(
                    EvidencePlot(
                        "stability", f"{name}: shape of the {tail.side} tail",
                        "share of the sample in the tail", "shape",
                        _numbers([r.share for r in rows]), _numbers([r.shape for r in rows]),
                        _numbers([r.shape - 1.96 * r.shape_se for r in rows]),
                        _numbers([r.shape + 1.96 * r.shape_se for r in rows]),
                    )
                )  # fmt: skip
    return plots


def _numbers(values: Any) -> tuple[float, ...]:
    return tuple(float(v) for v in values)

"""The report's tables of a fitted dependence."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from raresim.copulas.base import Copula
from raresim.copulas.fit import CopulaFit
from raresim.record.evidence import EvidenceTable


def copula_table(fit: CopulaFit, names: Sequence[str]) -> EvidenceTable:
    """Likelihood, criteria and every parameter of a copula; a correlation has the names of its pair."""
    rows: list[tuple[str | float | None, ...]] = [
        (fit.copula.kind, name, value, None)
        for name, value in (("log likelihood", fit.log_likelihood), ("AIC", fit.aic), ("BIC", fit.bic))
    ]
    by_name = sorted(fit.parameters, key=lambda name: name.startswith("rho"))  # correlations last
    rows += [
        (fit.copula.kind, _with_names(name, names), fit.parameters[name], fit.std_errors.get(name)) for name in by_name
    ]
    return EvidenceTable("Copula: fitted to the ranks", ("copula", "parameter", "value", "std error"), tuple(rows))


def _with_names(parameter: str, names: Sequence[str]) -> str:
    """``rho[1][0]`` as ``rho A, B``."""
    pair = re.fullmatch(r"rho\[(\d+)\]\[(\d+)\]", parameter)
    return f"rho {names[int(pair[2])]}, {names[int(pair[1])]}" if pair else parameter


def tail_dependence_table(names: Sequence[str], copula: Copula, most: int = 15) -> EvidenceTable:
    """Kendall's tau and tail dependence of the pairs, the strongest first."""
    lower, upper = copula.tail_dependence()
    tau = copula.kendall()
    pairs = [(i, j) for i in range(copula.dim) for j in range(i)]
    pairs.sort(key=lambda pair: -np.nan_to_num(tau[pair]))
    shown = pairs[:most]
    rows = tuple(
        (f"{names[j]} - {names[i]}", float(tau[i, j]), float(lower[i, j]), float(upper[i, j])) for i, j in shown
    )
    more = f" (the {most} strongest of {len(pairs)} pairs)" if len(pairs) > most else ""
    return EvidenceTable(
        f"Dependence of pairs{more}", ("pair", "Kendall's tau", "lower tail dependence", "upper tail dependence"), rows
    )

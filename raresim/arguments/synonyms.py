"""The sources of `did you mean`: near spellings, and synonyms of the names that raresim uses."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

__all__ = ["SYNONYMS", "meant", "nearest", "unknown"]

SYNONYMS: dict[str, str] = {
    # parts of an experiment
    "inputs": "input distribution distributions risk_factors factors target model",
    "loss": "losses portfolio payoff limit_state performance_function",
    "measures": "measure outputs quantities risk_measures metrics",
    "method": "methods sampler algorithm estimator",
    "stop": "stopping stopping_rule budget criteria",
    "execution": "parallel compute run executor",
    "seed": "random_seed random_state rng",
    # parameters of laws
    "cov": "covariance covariance_matrix cov_matrix vcov sigma",
    "shape": "covariance covariance_matrix cov cov_matrix scale_matrix dispersion sigma",
    "correlation": "corr correlations correlation_matrix corr_matrix",
    "rho": "corr correlation",
    "std": "sd stdev stddev standard_deviation standard_deviations sigma vol volatility volatilities scale",
    "scale": "std sd stdev stddev standard_deviation sigma vol volatility",
    "mean": "mu loc location means expected average",
    "loc": "mean mu location means",
    "mu": "mean loc",
    "dof": "df nu degrees_of_freedom",
    "dim": "d n dims dimension dimensions n_dim n_dims n_assets n_factors size",
    "marginals": "margins marginal margin distributions",
    "copula": "dependence dependency correlation",
    "low": "min minimum lower a",
    "high": "max maximum upper b",
    # data
    "fit": "data estimate source",
    "prices": "price price_file prices_file file csv path data",
    "returns_file": "return_file returns_csv file csv path data",
    "file": "path csv filename prices data",
    "column": "columns name field",
    "columns": "names assets tickers column factors",
    "missing": "na nan missing_values fill",
    "from": "start begin first since",
    "to": "end until last",
    "drop": "ignore skip remove omit dropna",
    "previous": "ffill forward_fill last fill",
    "simple": "arithmetic linear relative",
    "log": "logarithmic ln continuous geometric",
    "fraction": "decimal decimals",
    "percent": "pct percentage",
    # losses
    "weights": "weight holdings exposures allocation",
    "positions": "holdings exposures portfolio positions_file",
    "function": "func callable code script python file",
    "vectorised": "vectorized vectorise vectorize batch",
    "components": "parts",
    "timeout": "time_limit max_seconds",
    "on_failure": "on_error errors",
    # measures
    "above": "threshold greater_than exceeds at_least over",
    "below": "less_than under at_most",
    "level": "alpha quantile percentile confidence_level q",
    "tail": "tail_probability alpha p exceedance_probability",
    "confidence": "conf ci confidence_level interval_level",
    "value_at_risk": "var quantile percentile",
    "expected_shortfall": "es cvar tvar conditional_value_at_risk tail_value_at_risk expected_tail_loss etl",
    "probability": "prob tail_probability exceedance_probability failure_probability pd",
    "exceedance": "exceedance_curve ep_curve survival loss_curve",
    "contributions": "contribution euler allocation risk_contributions",
    # methods, stopping, execution
    "crude": "monte_carlo mc crude_monte_carlo plain naive",
    "importance": "importance_sampling is",
    "cross_entropy": "ce cem",
    "improved_cross_entropy": "ice ice_is",
    "subset_simulation": "subset subset_sim sus subsim",
    "line_sampling": "line lines",
    "directional_sampling": "directional",
    "design_point": "form sorm hlrf",
    "max_evaluations": "budget n n_samples samples max_samples evaluations max_evals simulations paths trials",
    "relative_error": "tolerance tol rel_error accuracy precision cov coefficient_of_variation error",
    "samples": "n n_samples draws size",
    "workers": "n_workers n_jobs jobs threads processes cpus cores",
    "processes": "multiprocessing process",
    "threads": "threading thread multithreading",
    "serial": "sequential single none",
    "memory": "ram max_memory memory_limit",
    # laws
    "normal": "gaussian gauss",
    "gaussian": "normal gauss",
    "standard_normal": "gaussian iid standard_gaussian",
    "student_t": "t student students_t multivariate_t t_distribution",
    "t": "student student_t students_t",
    "generalised_pareto": "gpd genpareto pareto_ii generalized_pareto",
    "gev": "genextreme generalised_extreme_value generalized_extreme_value",
    "lognormal": "log_normal lognorm",
    "exponential": "expon exp",
    "negative_binomial": "nbinom nb",
    "historical": "bootstrap history empirical",
    "empirical": "historical history ecdf",
    "python": "function custom callable code user",
    "linear": "portfolio weighted_sum sum",
}
"""Synonyms of the names of fields, kinds and values; a word may be a synonym of several names."""

_SETS = {name: frozenset(words.split()) for name, words in SYNONYMS.items()}


def meant(given: object, allowed: Iterable[str]) -> list[str]:
    """The names in ``allowed`` of which ``given`` is a synonym."""
    word = re.sub(r"[^a-z0-9]+", "_", str(given)[:100].casefold()).strip("_")
    return [name for name in allowed if word in _SETS.get(name, ())]


def unknown(what: str, given: Any, allowed: Mapping[str, Any] | list[str]) -> str:
    """The sentence for a name that is not one of ``allowed``."""
    names = list(allowed)
    shown = repr(given[:100]) if isinstance(given, str) else f"{given!r:.100}"
    return f"unknown {what} {shown}{nearest(given, names) or _remedy(given, names)} (allowed: {', '.join(names)})"


def _remedy(given: Any, allowed: Sequence[str]) -> str:
    """What to write for a name that nothing in ``allowed`` stands for, but that something can say."""
    if given == "below" and "above" in allowed:
        return "; a limit state enters with its sign turned: let the loss return -g, and write `above: 0`"
    return ""


def nearest(given: Any, allowed: Sequence[str]) -> str:
    """``"; did you mean 'cov'?"`` for ``covariance``: the names in ``allowed`` with that meaning or a near spelling."""
    text = str(given)[:100]
    near = difflib.get_close_matches(text, allowed, n=1, cutoff=0.85)
    near = near or meant(text, allowed) or difflib.get_close_matches(text, allowed, n=1)
    return f"; did you mean {' or '.join(map(repr, near))}?" if near else ""

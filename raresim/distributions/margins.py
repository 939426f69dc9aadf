"""The marginals of a joint law: named, checked, and mapped column by column."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from raresim.arguments import checks
from raresim.data import FileFacts
from raresim.distributions.lognormal_sum import lognormal_moments
from raresim.errors import FieldError
from raresim.marginals.base import Marginal
from raresim.numerics.arrays import Float
from raresim.record.evidence import Evidence

TOGETHER = 4_096
"""Numbers up to which factors of the same law are mapped in one call: of few rows, a call a column takes longer."""


def named(
    marginals: Mapping[str, Marginal] | Sequence[Marginal] | None, marginal: Marginal | None, dim: int
) -> tuple[tuple[str, ...], tuple[Marginal, ...]]:
    """Names and laws of the factors, from a mapping or a list of them, or from one law for ``dim`` factors.

    Raises
    ------
    FieldError
        When not exactly one of ``marginals`` and ``marginal`` is given, or ``dim`` does not fit.
    """
    if (marginals is None) == (marginal is None):
        raise FieldError("marginals", "give either marginals (one law each) or marginal (one law for all) with dim")
    if marginals is None:
        if dim < 1:
            raise FieldError("dim", f"must be at least 1 where one marginal stands for all factors, got {dim}")
        checks.dimension("dim", dim)
        assert marginal is not None  # by the check above
        laws: tuple[Marginal, ...] = (marginal,) * dim
        return tuple(f"x{k}" for k in range(1, dim + 1)), laws
    if not marginals:
        raise FieldError("marginals", "must name at least one factor")
    if isinstance(marginals, Mapping):
        names, laws = tuple(marginals), tuple(marginals.values())
    else:
        names, laws = tuple(f"x{k}" for k in range(1, len(marginals) + 1)), tuple(marginals)
    if dim not in (0, len(laws)):
        raise FieldError("dim", f"must be left out or {len(laws)}, the number of marginals, got {dim}")
    return names, laws


def to_physical(laws: Sequence[Marginal], v: Float, x: Float) -> Float:
    """Map the normal scores ``v`` (n, d) column by column into ``x`` (n, d), which may be ``v``."""
    if v.size <= TOGETHER and v.flags.f_contiguous and x.flags.f_contiguous and all(law is laws[0] for law in laws):
        laws[0].from_normal(v.reshape(-1, order="F"), x.reshape(-1, order="F"))
        return x
    for j, law in enumerate(laws):
        law.from_normal(v[:, j], x[:, j])
    return x


def to_scores(laws: Sequence[Marginal], x: Float, v: Float) -> None:
    """Write the normal scores ``Phi^-1(F_j(x_j))`` of ``x`` (n, d) into ``v`` (n, d)."""
    from raresim.numerics import normal_scores

    for j, law in enumerate(laws):
        normal_scores.from_log_probabilities(law.logcdf(x[:, j]), law.logsf(x[:, j]), v[:, j])


def log_density(laws: Sequence[Marginal], x: Float, out: Float) -> None:
    """Write the sum of the marginal log densities of ``x`` (n, d) into ``out`` (n,)."""
    out[:] = 0.0
    for j, law in enumerate(laws):
        out += law.logpdf(x[:, j])


def moments(laws: Sequence[Marginal]) -> tuple[Float, Float]:
    """Means and variances (d,); not finite where they do not exist."""
    both = np.array([law.moments()[:2] for law in laws]).reshape(-1, 2)
    return both[:, 0], both[:, 1]


def linear_moments_of_independent(laws: Sequence[Marginal], weights: Float) -> tuple[float, float]:
    """Mean and standard deviation of a weighted sum of independent factors; NaN where they do not exist."""
    used = np.flatnonzero(weights)
    mean, variance = moments([law for law, w in zip(laws, weights, strict=True) if w])
    total = float(weights[used] ** 2 @ variance)
    return float(weights[used] @ mean), math.sqrt(total) if math.isfinite(total) else math.nan


def exponential_moments(laws: Sequence[Marginal], weights: Float, are_independent: bool) -> tuple[float, float] | None:
    """See `Inputs.exponential_moments`: NaN if a weighted law is too heavy; known for one or independent normals."""
    held = [(law, float(w)) for law, w in zip(laws, weights, strict=True) if w]
    if not all(has_exponential_moment(law, 2.0) for law, _ in held):
        return math.nan, math.nan
    if not all(law.is_normal for law, _ in held) or not (are_independent or len(held) == 1):
        return None
    mean, variance = moments([law for law, _ in held])
    return lognormal_moments(mean, np.diag(variance), np.array([w for _, w in held]))


def has_exponential_moment(law: Marginal, order: float) -> bool:
    """Whether ``E exp(order * x)`` is finite, judged by how fast the upper quantile grows far in the tail."""
    near, far = 345.0, 690.0
    with np.errstate(over="ignore", invalid="ignore"):
        x = np.asarray(law.quantile(np.array([-near, -far]), upper=True))
        grown = float(order * (x[1] - x[0]))
    return grown < far - near


def mass_below(laws: Sequence[Marginal], x: float) -> Float:
    """Probability of each law to be at most ``x``, (d,)."""
    return np.array([float(law.cdf(x)) for law in laws])


def evidence(names: Sequence[str], laws: Sequence[Marginal]) -> Evidence:
    """Tables and plots of the laws that a config had fitted to a column."""
    from raresim.marginals.goodness import margins_table, plots_of

    fitted = [(name, law, law.fitted) for name, law in zip(names, laws, strict=True) if law.fitted is not None]
    if not fitted:
        return Evidence()
    table = margins_table(
        "Margins: parameters by maximum likelihood",
        [name for name, _, _ in fitted],
        [record.fit for _, _, record in fitted],
    )
    plots = tuple(plot for name, law, record in fitted for plot in plots_of(name, law, record.values))
    return Evidence((table,), plots)


def sources(laws: Sequence[Marginal]) -> tuple[FileFacts, ...]:
    """The files that laws were fitted to."""
    return tuple(law.fitted.facts for law in laws if law.fitted is not None)


def describe(names: Sequence[str], laws: Sequence[Marginal], most: int = 12) -> list[str]:
    """A line for each factor; factors with the same law share a line."""
    lines: list[tuple[str, list[str]]] = []
    for name, law in zip(names, laws, strict=True):
        text = law.describe()
        if lines and lines[-1][0] == text:
            lines[-1][1].append(name)
        else:
            lines.append((text, [name]))
    shown = [f"{who[0] if len(who) == 1 else f'{who[0]} to {who[-1]}'}: {text}" for text, who in lines]
    return shown if len(shown) <= most else [*shown[: most - 1], f"and {len(shown) - most + 1} more"]

"""How large the error is at a look at the rows, and how many rows the next look needs."""

from __future__ import annotations

import math
from collections.abc import Sequence

from raresim.accumulators.summary import Summary
from raresim.accumulators.tail import TailMoments
from raresim.diagnostics.psis import khat
from raresim.diagnostics.row_checks import share_is_trusted, tail_is_trusted
from raresim.estimators.base import Estimator
from raresim.measures.often import often
from raresim.run.asked import Asked

GROWTH = 8
"""Largest factor between the rows of a look and those of the next."""

MARGIN = 1.1
"""Factor on the draws that the known variance asks for, so that a second look is rare."""


def spread(tail: TailMoments, k: int, known: Sequence[float], known_rows: float) -> float:
    """Relative error of the estimate of event ``k``, from the spread of its rows and the variance known before.

    A few rows may have a small spread by chance; a run would stop there and be trusted. If the variance of a row was
    roughly known in advance, the two are pooled, with the known one counted as ``known_rows`` rows. It never lowers
    the error.
    """
    seen, n = tail.relative_error(k), tail.n
    if not known or not math.isfinite(seen):
        return seen
    pooled = known[k]
    if math.isfinite(known_rows):
        pooled = ((n - 1) * n * seen**2 + known_rows * known[k]) / (n - 1 + known_rows)
    return max(seen, math.sqrt(pooled / n))


def worst(total: Summary, job: Estimator) -> float:
    """The largest relative error of any event, over what its answer allows; infinite while one has no hit."""
    count = total.tail.hits.size
    return max(error_of(total, k, job) / ease for k, ease in enumerate(job.eases or (1.0,) * count))


def error_of(total: Summary, k: int, job: Estimator) -> float:
    """Relative error of the probability of event ``k``."""
    common = often(total.tail, total.outside, k, job.weight_bound) if total.upper is None else None
    if common is not None:
        return common.relative_error
    return math.hypot(spread(total.tail, k, job.known, job.known_rows), job.unseen / total.tail.n)


def ratio_of(total: Summary, target: float, asked: Asked | None, job: Estimator) -> float:
    """The largest error divided by the asked error; infinite until all wanted hits are there, if hits are wanted."""
    if total.arrivals is not None:
        return math.inf if any(total.arrivals.missing) else 0.0
    if asked is None:
        return worst(total, job) / target
    return asked.ratio(total, lambda k: error_of(total, k, job), job.weight_bound is not None)


def further(total: Summary, ratio: float) -> int:
    """Rows of the next look, after one that ended with an error of ``ratio`` times the asked error."""
    if total.arrivals is None:
        return next_size(total.tail.n, ratio)
    pairs = zip(total.arrivals.wanted, total.arrivals.missing, strict=True)
    return max(rows_to(wanted - missing, missing, total.tail.n) for wanted, missing in pairs)


def weights_settled(total: Summary, audited: bool = False) -> bool:
    """Whether the largest weights of every event would be trusted; an audit may have confirmed the error."""
    drawn = total.drawn or total.tail
    return all(
        (audited or tail_is_trusted(khat(total.top.largest(k), n), n * drawn.max_share(k), n))
        and share_is_trusted(total.tail.max_share(k), audited)
        for k, n in enumerate(drawn.hits.tolist())
    )


def first_size(
    variances: Sequence[float] | None, target: float | None, affordable: int, job: Estimator, asked: Asked | None
) -> int:
    """Rows of the first look, at most ``affordable``."""
    if target is None:
        return affordable
    if variances is None:
        return min(affordable, job.first_look)
    planned = [target] * len(variances) if asked is None else asked.planned
    wanted = max(variance / error**2 for variance, error in zip(variances, planned, strict=True))
    return min(affordable, max(job.least_rows, math.ceil(MARGIN * wanted)))


def next_size(n: int, ratio: float) -> int:
    """Further rows that the variance so far asks for, within a factor `GROWTH`."""
    times = min(MARGIN * ratio**2, GROWTH)
    return max(math.ceil(n * (times - 1)), n // 10, 1)


def rows_to(hits: int, missing: int, n: int) -> int:
    """Further rows for ``missing`` more hits after ``hits`` among ``n``, within a factor `GROWTH`.

    The number is one standard deviation too small, of the rate so far and of the hits to come: the last looks are
    short, and few rows come after the last hit that counts.
    """
    most = n * (GROWTH - 1)
    if not hits or not missing:
        return most if missing else 1
    likely = (missing - math.sqrt(missing)) * (1.0 - 1.0 / math.sqrt(hits))
    return min(most, math.ceil(max(likely, 1.0) * n / hits))

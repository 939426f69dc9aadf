"""Expectation maximisation: the loop, to which each family of laws brings its two steps."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeVar

Law = TypeVar("Law")
Shares = TypeVar("Shares")


def climb(
    start: Law,
    expect: Callable[[Law], tuple[Shares, float]],
    maximise: Callable[[Law, Shares], Law | None],
    steps: int,
    gain: float,
) -> tuple[Law, float]:
    """Take steps of [1]_ from ``start``; returns the final law and the mean log density of the rows under it.

    Parameters
    ----------
    start : Law
        Law to begin with.
    expect : callable
        The expectation step: shares of the rows in the components of a law, and their mean log density in nats.
    maximise : callable
        The maximisation step: the law that fits these shares best; None if no component is left.
    steps : int
        Largest number of steps.
    gain : float
        Gain of the mean log density below which the steps end.

    References
    ----------
    .. [1] Dempster, Laird & Rubin, *Maximum likelihood from incomplete data via the EM algorithm*, JRSS B 39, 1977.
    """
    law, before = start, -math.inf
    for step in range(steps + 1):
        shares, mean = expect(law)
        if step == steps or mean - before < gain:
            break
        before, fitted = mean, maximise(law, shares)
        if fitted is None:
            break
        law = fitted
    return law, mean

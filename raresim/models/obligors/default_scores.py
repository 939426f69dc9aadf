"""Scores of what obligors did given the factors, by default probabilities and shares of common variance."""

from __future__ import annotations

import math
from typing import NamedTuple

from raresim.models.own_risk import Book, Places
from raresim.numerics.arrays import Float
from raresim.numerics.jit import kernel


class Scored(NamedTuple):
    """What `default_scores` needs of ``m`` obligors beside their book.

    Parameters
    ----------
    by_pd : (m,) float64
        What each barrier falls by the log of a factor on its default probability.
    rho : (m,) float64
        R^2.
    group : (m,) int64
        The group that each belongs to.
    """

    by_pd: Float
    rho: Float
    group: Places


@kernel
def default_scores(
    x: Float, parts: Float, book: Book, scored: Scored, members: Places, by_pd: Float, by_rho: Float
) -> None:
    """Scores of each row's defaults by factors on the default probabilities of a group, and on the shares of variance.

    ``(D_k - p_k) / (p_k (1 - p_k)) dp_k`` with ``p_k = Phi(eta_k)``, summed over the obligors ``members`` (j,), which
    lost ``parts`` (n, j); added to ``by_pd`` and ``by_rho`` (n, g).
    """
    for i in range(x.shape[0]):
        over = 1.0 if book.shock < 0 else 1.0 / x[i, book.shock]
        for q in range(members.shape[0]):
            k = members[q]
            if book.money[k] == 0.0 or not abs(book.barrier[k]) < math.inf:
                continue
            common = 0.0
            for j in range(book.ptr[k], book.ptr[k + 1]):
                common += book.load[j] * x[i, book.column[j]]
            eta = (common - book.barrier[k] * over) * book.scale[k]
            p = 0.5 * math.erfc(-eta * math.sqrt(0.5))
            rest = 0.5 * math.erfc(eta * math.sqrt(0.5))
            if p == 0.0 or rest == 0.0:
                continue
            density = math.exp(-0.5 * eta * eta) / math.sqrt(2.0 * math.pi)
            each, scale = density / p if parts[i, q] > 0.0 else -density / rest, book.scale[k]
            by_pd[i, scored.group[k]] += each * scored.by_pd[k] * over * scale
            by_rho[i, scored.group[k]] += each * 0.5 * (common * scale + eta * scored.rho[k] * scale * scale)

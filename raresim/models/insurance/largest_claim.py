"""The scheme of a compound model with heavy tails: one claim makes the loss."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from raresim.engine.fold import Sampler
from raresim.engine.session import Session
from raresim.methods.base import Tuned
from raresim.methods.regions import iteration
from raresim.methods.scheme import Scheme, largest_asked, spread_over
from raresim.models.insurance.compound_loss import CompoundLoss
from raresim.models.insurance.largest_draws import LargestDraws
from raresim.numerics.arrays import Float
from raresim.numerics.blocks import Block

PILOT = 100
"""Rows of each pilot, for each level that rows are drawn for and each line."""

MOST_LEVELS = 8
"""Losses that rows are drawn for, at most, spread over those that are asked."""

WORTH = 2.0
"""Relative variance of a row for one level up to which the scheme is offered: beyond it, the pilot is too small.

With rows for several levels, each has so many fewer of its own."""

PLAIN = 0.3
"""Share of rows from the model itself, where a pilot without them shows more than this relative variance a level."""

LEAST_SHARE = 0.02
"""Share of the rows of each level that all lines have together, each as many."""


@dataclass(frozen=True, eq=False)
class LargestClaim(Scheme):
    """Conditional Monte Carlo on the largest claim, with a random number of claims.

    Parameters
    ----------
    loss : CompoundLoss
        Of the model.

    Notes
    -----
    It serves gross losses of claims with continuous laws. Its relative error stays bounded as the loss grows where
    claims have heavy tails; where these are light a pilot shows it, and it is not offered.
    """

    loss: CompoundLoss

    @property
    def name(self) -> str:
        return "Asmussen-Kroese with a random number of claims (the largest claim makes the loss)"

    @property
    def serves(self) -> bool:
        """Whether the loss is one that it is for."""
        lines = self.loss.frequencies.lines
        return (
            self.loss.view == "gross"
            and not self.loss.tables
            and all(line.rises and not line.severity.discrete for line in lines)
        )

    def tune(self, session: Session) -> Tuned | None:
        asked = largest_asked(session)
        if not self.serves or not asked:
            return None
        levels = np.array(spread_over([x for x in asked if x > 0], MOST_LEVELS))
        shares = np.array([self.first_shares(x) for x in levels]) / levels.size
        sampler, events = Sampler(session.problem, None, session.seed), tuple(session.events)
        n = PILOT * shares.size
        spent = 0
        if shares.shape[1] > 1:
            first = LargestDraws(sampler, events, levels, shares, session.beyond)
            shares = better_shares(first, Block(session.plan(n).stage, 0, 0, n))
            spent = n
        best: tuple[LargestDraws, tuple[float, ...], int] | None = None
        for plain in (0.0, PLAIN) if asked[0] > 0 else (PLAIN,):  # only the model has rows without a loss
            rows = LargestDraws(sampler, events, levels, (1.0 - plain) * shares, session.beyond)
            tail = session.fold("tune", rows, session.plan(n), "pilot of the scheme of the largest claim").tail
            spent += n
            found = tuple(n * tail.relative_error(k) ** 2 for k in range(tail.hits.size))
            if best is None or max(found) < max(best[1]):
                best = rows, found, int(tail.hits.min())
            if max(found) <= (1.0 + PLAIN) * levels.size - 1.0:
                break
        if best is None or not max(best[1]) <= (1.0 + WORTH) * levels.size - 1.0:
            session.max_evaluations -= spent
            return None
        rows, variances, hits = best
        return Tuned(
            proposal=None,
            iterations=(iteration("largest claim", 0, float(levels[-1]), spent, hits, hits / n),),
            evaluations=spent,
            variances=variances,
            outcome="the largest claim makes the loss, so no search was made",
            estimator=rows,
            decisions=(
                "All claims but the largest come from the model; the largest is drawn given that it lifts the sum to "
                f"{' or '.join(f'{x:,.6g}' for x in levels)}.",
                f"A pilot of {n:,} rows, {rows.loss.factors.plain_share:.0%} of them from the model itself: one row "
                f"has a relative variance of {max(variances):.2g}.",
            ),
        )

    def first_shares(self, level: float) -> Float:
        """For each line, how likely it is that a claim of it lifts the expected sum of all others to ``level``."""
        frequencies = self.loss.frequencies
        means = np.array([line.severity.moments().mean for line in frequencies.lines])
        usual = float(frequencies.means @ means)
        need = max(level - usual, 0.5 * level) if math.isfinite(usual) else 0.5 * level
        likely = frequencies.means * np.array([float(line.severity.sf(need)) for line in frequencies.lines])
        if not likely.sum() > 0:
            likely = np.ones(len(means))
        return mixed(likely)


def mixed(weights: Float) -> Float:
    """Shares in proportion to ``weights`` (k,), none of them below a least one."""
    return np.asarray((1.0 - LEAST_SHARE) * weights / weights.sum() + LEAST_SHARE / weights.size)


def better_shares(rows: LargestDraws, block: Block) -> Float:
    """For each level, shares of the lines in proportion to the root of the mean square of their weights."""
    u, drawn, log_weight = rows.drawn(block)
    x = rows.loss.factors.to_physical(u, np.empty((len(u), rows.loss.factors.dim), order="F"))
    aim = rows.loss.factors.choices(x)[0]
    shares = np.empty_like(rows.shares)
    square = np.exp(2.0 * (log_weight - log_weight.max()))
    for j, old in enumerate(rows.shares):
        mean = np.zeros(old.size)
        for i in range(old.size):
            own = (aim == j) & (drawn.line == i)
            mean[i] = old[i] * math.sqrt(square[own].mean()) if own.any() else 0.0
        shares[j] = old.sum() * (mixed(mean) if mean.sum() > 0 else old / old.sum())
    return shares

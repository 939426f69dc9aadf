"""The scheme of a line of servers: rates that fill it, changed with where its customers are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from raresim.engine.fold import Sampler
from raresim.engine.session import Session
from raresim.methods.base import Tuned
from raresim.methods.offers import PATIENCE, bounded, levels_of, log_most, offered
from raresim.methods.scheme import Scheme
from raresim.models.queues.chain import LargestNumber
from raresim.models.queues.chain_draws import ChainDraws, Filling
from raresim.models.queues.chain_moments import ChainMoments

TRIED = ((1.0, 1.0), (2.0, 1.4), (4.0, 2.0))
"""Nats between two pieces of the subsolution, and over which they are blended, of which a pilot chooses: where the
slowest server is far from the others the first is best, where two are alike the last (2.6 against 31 in relative
variance for the rates .1, .7 and .2, and 2,906 against 1.6 for .04, .48 and .48)."""

SOLVED = ((0.3, 0.3), (0.3, 1.0), (1.0, 1.0), (2.0, 0.7), (2.0, 1.4), (3.0, 1.0), (3.0, 2.0), (4.0, 2.0), (4.0, 3.0))
"""The same, of which the equations of the mean square weight choose, where states are few enough."""

TRIAL = 400
"""Rows of each trial, for each level."""


@dataclass(frozen=True, eq=False)
class Fill(Scheme):
    """A state-dependent change of rates.

    Parameters
    ----------
    loss : LargestNumber
        Of the model.
    """

    loss: LargestNumber

    @property
    def name(self) -> str:
        return "Dupuis-Sezer-Wang (rates that fill the line, changed with its state)"

    def fillings(self, levels: Sequence[int], shapes: Sequence[tuple[float, float]]) -> list[tuple[Filling, ...]]:
        """Fillings of all ``levels``, for each of the ``shapes`` of the pieces; for one server all are the same."""
        d, gamma = self.loss.servers, self.loss.gamma
        if d == 1:
            return [tuple(Filling(level, gamma, 1, 1.0, 1.0) for level in levels)]
        return [tuple(Filling(level, gamma, d + 1, *shape) for level in levels) for shape in shapes]

    def tune(self, session: Session) -> Tuned | None:
        asked, plain = levels_of(session)
        levels = sorted({min(math.ceil(x), self.loss.capacity) for x in asked if x > 1.0})
        if not levels or not self.loss.gamma > 0:
            return None
        plain = plain or (0.2 if min(asked) <= 1.0 else 0.0)
        rows = ChainDraws(
            Sampler(session.problem, None, session.seed),
            tuple(session.events),
            (),
            (1.0 - plain) / len(levels),
            session.beyond,
        )
        spent = 0
        if self.loss.servers == 1:
            rows = replace(rows, fillings=self.fillings(levels, TRIED)[0])
        elif ChainMoments(self.loss).serves(levels[-1]):
            rows = self.solved(rows, self.fillings(levels, SOLVED))
        else:
            tried = [replace(rows, fillings=each) for each in self.fillings(levels, TRIED)]
            rows, spent = best_of(session, tried, TRIAL * len(levels))
        return self.with_pilot(session, rows, levels, spent)

    def solved(self, rows: ChainDraws, tried: Sequence[tuple[Filling, ...]]) -> ChainDraws:
        """``rows`` with the fillings whose rows have the smallest mean square weight, and with what it is."""
        moments, levels = ChainMoments(self.loss), [filling.level for filling in tried[0]]
        log_squares = [[moments.log_square(filling) for filling in each] for each in tried]
        log_p = [moments.log_probability(level) for level in levels]
        worst = [max(s - 2.0 * p for s, p in zip(each, log_p, strict=True)) for each in log_squares]
        best = worst.index(min(worst))
        of_level = dict(zip(levels, log_squares[best], strict=True))
        factors = []
        for event in rows.events:
            at = math.ceil(event.threshold)
            if not 1 < at <= self.loss.capacity:
                factors.append(1.0 / rows.plain if at <= 1 else math.inf)
                continue
            below = min(log_s for level, log_s in of_level.items() if level <= at) - math.log(rows.share)
            factors.append(math.exp(min(below - 2.0 * moments.log_probability(at), 700.0)))
        exact = len(levels) == 1 and rows.share == 1.0 and all(math.ceil(e.threshold) == levels[0] for e in rows.events)
        known = tuple(factor - 1.0 for factor in factors) if exact else ()
        return replace(rows, fillings=tried[best], squares=max(factors), known=known)

    def with_pilot(self, session: Session, rows: ChainDraws, levels: Sequence[int], spent: int) -> Tuned | None:
        """What is offered after a pilot, and after ``spent`` evaluations of trials; None where rows are too uneven."""
        bounds = [
            -math.log(rows.share) - self.loss.gamma * (level - 1) if self.loss.servers == 1 else math.inf
            for level in levels
        ]
        sentence = f"Rates are changed, by where customers are, until there are {' or '.join(map(str, levels))}."
        most = log_most(rows.events, levels, bounds)
        made = offered(session, rows, levels, "a state-dependent change of rates", sentence, most)
        tuned = bounded(made, lambda factor: replace(rows, heaviest=factor))
        if tuned is None:
            session.max_evaluations -= spent
            return None
        variances = rows.known or tuned.variances
        return replace(tuned, evaluations=tuned.evaluations + spent, variances=variances, patience=PATIENCE)


def best_of(session: Session, tried: Sequence[ChainDraws], n: int) -> tuple[ChainDraws, int]:
    """The rows whose trial of ``n`` has the smallest variance, and the evaluations of all trials."""
    found = []
    for rows in tried:
        tail = session.fold("tune", rows, session.plan(n), "trial of a change of rates").tail
        found.append(max(tail.relative_error(k) for k in range(tail.hits.size)))
    return tried[found.index(min(found))], n * len(tried)

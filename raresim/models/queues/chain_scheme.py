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

TRIED = ((1.0, 1.0), (2.0, 1.4), (4.0, 2.0))
"""Nats between two pieces of the subsolution, and over which they are blended, of which a pilot chooses: where the
slowest server is far from the others the first is best, where two are alike the last (1.6 against 33 in relative
variance for the rates .04, .48 and .48)."""

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

    @property
    def gamma(self) -> float:
        """``log(mu / lambda)`` of the slowest server."""
        return math.log(float(self.loss.rates[1:].min() / self.loss.rates[0]))

    @property
    def changes(self) -> tuple[tuple[int, float, float], ...]:
        """What is tried: the number of pieces, and how they lie; for one server the change is the same everywhere."""
        d = self.loss.servers
        return ((1, 1.0, 1.0),) if d == 1 else tuple((d + 1, apart, blur) for apart, blur in TRIED)

    def tune(self, session: Session) -> Tuned | None:
        asked, plain = levels_of(session)
        levels = sorted({min(math.ceil(x), self.loss.capacity) for x in asked if x > 1.0})
        if not levels or not self.gamma > 0:
            return None
        plain = plain or (0.2 if min(asked) <= 1.0 else 0.0)
        share = (1.0 - plain) / len(levels)
        sampler, events, beyond = Sampler(session.problem, None, session.seed), tuple(session.events), session.beyond
        tried = [
            ChainDraws(sampler, events, tuple(Filling(level, self.gamma, *how) for level in levels), share, beyond)
            for how in self.changes
        ]
        rows, spent = best_of(session, tried, TRIAL * len(levels)) if len(tried) > 1 else (tried[0], 0)
        bounds = [
            -math.log(share) - self.gamma * (level - 1) if self.loss.servers == 1 else math.inf for level in levels
        ]
        sentence = f"Rates are changed, by where customers are, until there are {' or '.join(map(str, levels))}."
        most = log_most(events, levels, bounds)
        made = offered(session, rows, levels, "a state-dependent change of rates", sentence, most)
        tuned = bounded(made, lambda factor: replace(rows, heaviest=factor))
        if tuned is None:
            session.max_evaluations -= spent
            return None
        return replace(tuned, evaluations=tuned.evaluations + spent, patience=PATIENCE)


def best_of(session: Session, tried: Sequence[ChainDraws], n: int) -> tuple[ChainDraws, int]:
    """The rows whose trial of ``n`` has the smallest variance, and the evaluations of all trials."""
    found = []
    for rows in tried:
        tail = session.fold("tune", rows, session.plan(n), "trial of a change of rates").tail
        found.append(max(tail.relative_error(k) for k in range(tail.hits.size)))
    return tried[found.index(min(found))], n * len(tried)

"""What a search of `auto` writes down: its decisions, a row for each stage, and a row for each refit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from raresim.accumulators.level import LevelRows
from raresim.accumulators.tail import TailMoments
from raresim.distributions.base import log_density
from raresim.numerics.arrays import Float
from raresim.record.evidence import Evidence, EvidencePlot, EvidenceTable
from raresim.record.records import Iteration
from raresim.search.archive import Archive
from raresim.search.blend import Candidate, drawn_from
from raresim.search.explorer import Explorer

LEVEL_ESS = 50.0
"""Effective draws beyond a level that is chosen; half as many for each level without progress."""

AT = " at "
"""Stands between the name of a candidate and the threshold that it is for, if there are several."""


@dataclass(eq=False)
class Notes:
    """Notes of one search for losses beyond ``goal``."""

    explorer: Explorer
    goal: float
    decisions: list[str] = field(default_factory=list)
    records: list[Iteration] = field(default_factory=list)
    fits: list[tuple[int, int, float, str]] = field(default_factory=list)

    def decide(self, sentence: str) -> None:
        self.decisions.append(sentence)

    def record(
        self,
        start: str,
        iteration: int,
        n: int,
        level: float | None = None,
        elites: int | None = None,
        information: tuple[float, float] = (math.nan, math.nan),
    ) -> None:
        """A row of the table of iterations: the level that all draws so far reach, and KL and cross-entropy in nats."""
        archive, sign = self.explorer.archive, self.explorer.sign
        at = archive.level(self.goal, LEVEL_ESS) if level is None else level
        beyond = int(np.count_nonzero(archive.loss[-n:] >= at)) if elites is None else elites
        probability = archive.probability(at)
        self.records.append(
            Iteration(
                start=start,
                iteration=iteration,
                level=sign * at,
                rarity=beyond / n,
                evaluations=n,
                elites=beyond,
                ess=archive.ess(at),
                kl_optimal_proposal=information[0],
                kl_step=math.nan,
                cross_entropy=information[1],
                entropy=information[1] - information[0],
                log_probability=math.log(probability) if probability > 0 else -math.inf,
            )
        )

    # how it ends

    def trace(self) -> Evidence:
        """The refits: the law of the draws, and the relative variance of a draw."""
        if not self.fits:
            return Evidence()
        columns = ("refit", "evaluations", "relative variance", "candidates")
        number, variance = tuple(float(f[0]) for f in self.fits), tuple(f[2] for f in self.fits)
        plot = EvidencePlot(
            "line", "Relative variance of one draw", "refit", "relative variance", number, variance, (), ()
        )
        return Evidence((EvidenceTable("Refits of the proposal", columns, tuple(self.fits)),), (plot,))


def information_of(log_weight: Float, archive: Archive, rows: slice, goal: float) -> tuple[float, float]:
    """KL(optimal || q) and H(optimal, q) in nats, from fresh draws of the last law ``q`` of the archive."""
    loss = archive.loss[rows]
    tail = TailMoments.of_block(log_weight, [loss >= goal])
    drawn = LevelRows(loss, log_weight, log_density(archive.laws[-1], archive.u[rows]))
    return tail.kl(0), drawn.cross_entropy(goal)


def named(candidates: Sequence[Candidate], shares: Float) -> str:
    """The candidates in the proposal, with their shares; those of a kind for several events together."""
    kept = drawn_from(candidates, shares)
    total: dict[str, float] = {}
    for candidate, share, drawn in zip(candidates, shares.tolist(), kept, strict=True):
        if drawn:
            kind = str(candidate).partition(AT)[0]
            total[kind] = total.get(kind, 0.0) + share
    events = len({c.goal for c, drawn in zip(candidates, kept, strict=True) if drawn})
    shown = ", ".join(f"{share:.0%} {kind}" for kind, share in sorted(total.items(), key=lambda item: -item[1]))
    return f"{shown} (for {events} thresholds)" if events > 1 else shown

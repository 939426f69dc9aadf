"""The scheme of a compound model with light tails: all claims, and their number, are twisted towards the loss."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from raresim.engine.fold import Sampler
from raresim.engine.session import Session
from raresim.methods.base import Tuned
from raresim.methods.scheme import Scheme, largest_asked, spread_over
from raresim.methods.scheme_pilot import SchemePilot
from raresim.models.insurance.aggregate import sum_of
from raresim.models.insurance.compound_loss import CompoundLoss
from raresim.models.insurance.per_claim import PerClaim, added_by
from raresim.models.insurance.score_twist import Cells
from raresim.models.insurance.twisted_counts import is_twistable, numbers_of
from raresim.models.insurance.twisted_sums import Twist, TwistedSums

PILOT = 400
"""Rows of the pilot for each twist."""

MOST_LEVELS = 8
"""Losses that rows are drawn for, at most, spread over those that are asked."""

PLAIN = 0.05
"""Share of rows from the model itself."""

WORTH = 25.0
"""Relative variance of a row for one level up to which the scheme is offered: beyond it, the pilot is too small."""

PATIENCE = 100.0
"""`Tuned.patience`: weights are bounded, so as many rows are enough as the pilot says. Draws of a search, whose weights
are not, took 2 to 40 times as many evaluations in all at an error of 5 %, and 0.6 to 8 times as many at 1 %."""

MOST_TILT = 600.0
"""Largest exponent of the twist."""


@dataclass(frozen=True, eq=False)
class ExponentialTwist(Scheme):
    """The exponential twist of a compound sum, at the saddle point.

    Parameters
    ----------
    loss : CompoundLoss
        Of the model.

    Notes
    -----
    It serves numbers of claims that are Poisson, negative binomial or have a table of their values, also with a common
    gamma factor and common events, and every severity: what a claim adds to the loss is twisted in steps, no more than
    the loss that is asked. Of contracts, what they take of single claims is in the twist; their terms for the whole
    period are not, but in the loss.
    """

    loss: CompoundLoss

    @property
    def name(self) -> str:
        return "exponential twist of the numbers and sizes of claims"

    @property
    def serves(self) -> bool:
        """Whether the loss is one that it is for."""
        frequencies = self.loss.frequencies
        laws = [*(line.frequency for line in frequencies.lines), *(events.frequency for events in frequencies.common)]
        return (
            frequencies.copula is None
            and not self.loss.tables
            and all(is_twistable(law) for law in laws)
            and None not in self.added
        )

    @cached_property
    def added(self) -> tuple[PerClaim | None, ...]:
        """What a claim of each line adds to the loss; None where a larger one can add less."""
        lines = range(len(self.loss.frequencies.lines))
        return tuple(added_by(self.loss, i) for i in lines)

    def tune(self, session: Session) -> Tuned | None:
        asked = largest_asked(session)
        if not self.serves or not asked:
            return None
        levels = self.levels([x for x in asked if x > 0])
        cells = self.cells(max(levels, default=0.0))
        twists = self.twists(cells, levels)
        if not twists:
            return None
        sampler = Sampler(session.problem, None, session.seed)
        rows = TwistedSums(sampler, tuple(session.events), cells, twists, session.beyond)
        pilot = SchemePilot.of(session, rows, PILOT * len(twists), "the exponential twist")
        if not max(pilot.variances) <= WORTH * len(twists):
            session.max_evaluations -= pilot.rows
            return None
        sentence = (
            "Numbers and sizes of claims are twisted exponentially until the expected loss is "
            f"{' or '.join(f'{x:,.6g}' for x in levels)}; {PLAIN:.0%} of the rows come from the model itself."
        )
        outcome = "the twist makes the event common"
        tuned = pilot.tuned("exponential twist", float(levels[-1]), outcome, (sentence, pilot.sentence))
        return replace(tuned, estimator=rows, patience=PATIENCE)

    def levels(self, ordered: Sequence[float]) -> list[float]:
        """Sums of what claims add that the losses ``ordered`` need, spread over them, at most `MOST_LEVELS`."""
        of = sum_of(self.loss)
        needed = [x if of is None else of.to_sum(x) for x in ordered]
        return sorted(set(spread_over([x for x in needed if math.isfinite(x)], MOST_LEVELS)))

    def cells(self, most: float) -> tuple[Cells, ...]:
        """The cells of each line's claims, which count up to the largest loss that is asked."""
        lines = self.loss.frequencies.lines
        return tuple(
            Cells.of(line.severity, added, most)
            for line, added in zip(lines, self.added, strict=True)
            if added is not None
        )

    def twists(self, cells: Sequence[Cells], levels: Sequence[float]) -> tuple[Twist, ...]:
        """The twists whose expected sum is each of ``levels``; none for one that is below the expected sum."""
        found = []
        for level in levels:
            theta = self.saddle_point(cells, level)
            numbers = numbers_of(self.loss.frequencies, np.array([c.log_mean(theta) for c in cells]))
            if theta > 0.0 and numbers is not None:
                found.append((theta, numbers))
        share = (1.0 - PLAIN) / max(1, len(found))
        return tuple(Twist(share, theta, self.log_mean(cells, theta), numbers) for theta, numbers in found)

    def log_mean(self, cells: Sequence[Cells], theta: float) -> float:
        """``K(theta) = log E exp(theta C)``; infinite where there is no such mean."""
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            missing = [np.array([-math.expm1(min(c.log_mean(theta), 700.0))]) for c in cells]
            value = float(self.loss.frequencies.log_pgf(missing)[0])
        return value if math.isfinite(value) else math.inf

    def saddle_point(self, cells: Sequence[Cells], level: float) -> float:
        """The twist, at least 0, that makes the sum ``level`` the expected one: the least of ``K(theta) - theta x``."""
        from scipy import optimize

        def bound(exponent: float) -> float:
            value = self.log_mean(cells, exponent / level) - exponent
            return value if math.isfinite(value) else 1e300

        tried = np.concatenate([[0.0], np.geomspace(1e-2, MOST_TILT, 60)])
        i = int(np.argmin([bound(exponent) for exponent in tried]))
        ends = (float(tried[max(i - 1, 0)]), float(tried[min(i + 1, tried.size - 1)]))
        found: Any = optimize.minimize_scalar(bound, bounds=ends, method="bounded", options={"xatol": 1e-4})
        least = float(found.x)
        best = least if bound(least) < bound(float(tried[i])) else float(tried[i])
        return best / level

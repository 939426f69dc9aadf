"""Rounds of a run: where an audit finds mass that the proposal does not cover, search, estimate and audit begin again.

What an earlier round drew is in no later estimate: its failing draws are where the search goes on from, the estimate
has draws of its own, and so has the audit. The verdict is that of the last round alone.

An estimate that takes more than a part of the budget is audited once on the way: where another round is needed, the
rest pays for it. Where it is not, the same estimate goes on, and is audited anew at its end.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from raresim.methods.base import Tuned
from raresim.numerics.arrays import Float
from raresim.run.audit import Audit
from raresim.run.estimation import Sample, weights_settled

MOST = 3
"""Rounds of a run, at most."""

ON_THE_WAY = 0.3
"""Share of the evaluations left after which an estimate is audited on the way."""

NEXT_AUDIT = 1.25
"""How many times the evaluations of its audit a round leaves for that of the next one."""

SEARCHING = 0.75
"""Share of a round that search and trials may take, at most: the rest is its estimate's."""


@dataclass(frozen=True)
class Round:
    """A round that another one followed, or an audit on the way.

    Parameters
    ----------
    values : tuple of float
        The estimate of each event's probability.
    missed : int
        Failing draws of the audit that the search goes on from (`missed_by`); 0 where the estimate goes on.
    estimate, audit : int
        Evaluations of both; 0 of an estimate that goes on.
    """

    values: tuple[float, ...]
    missed: int
    estimate: int
    audit: int

    @property
    def evaluations(self) -> int:
        """Of estimate and audit: the search counts those of all rounds."""
        return self.estimate + self.audit

    def facts(self) -> dict[str, Any]:
        """What is stored with the search."""
        return asdict(self) | {"values": list(self.values)}


def ended(sample: Sample, audited: Audit, missed: Float | None) -> Round:
    """The round of ``sample``, whose audit found ``missed`` (k, d); None: the estimate goes on."""
    tail = sample.summary.tail
    values = tuple(math.exp(tail.log_probability(k)) for k in range(tail.hits.size))
    if missed is None:
        return Round(values, 0, 0, audited.evaluations)
    return Round(values, len(missed), sample.summary.evaluations, audited.evaluations)


def repairs(rounds: Sequence[Round]) -> int:
    """How many of the ``rounds`` another search followed."""
    return sum(r.missed > 0 for r in rounds)


def held_on_the_way(tuned: Tuned, rounds: Sequence[Round], left: int, reserved: int) -> int:
    """Evaluations that an estimate leaves for what an audit on the way may ask for, of those that are ``left``.

    Those that are ``reserved`` for the audit at least; these alone where no other round can follow or one was on the
    way already.
    """
    if tuned.again is None or repairs(rounds) + 1 >= MOST or (rounds and not rounds[-1].missed):
        return reserved
    return max(reserved, math.ceil((1.0 - ON_THE_WAY) * left))


def reserved_next(reserved: int, audited: Audit) -> int:
    """Evaluations held back for the audit of another round, after one that had ``reserved`` so many for its own."""
    return min(reserved, math.ceil(NEXT_AUDIT * audited.evaluations))


def missed_by(
    tuned: Tuned, sample: Sample, audited: Audit, rounds: Sequence[Round], left: int, reserved: int
) -> Float | None:
    """Failing draws (k, d) that another round begins with; None where there is none.

    Those that the estimate hardly draws; where there are none, and its largest weights would not be trusted, those at
    which one row would be heaviest.

    Parameters
    ----------
    tuned : Tuned
        What the round drew from.
    sample : Sample
        Its estimate.
    audited : Audit
        Its audit.
    rounds : sequence of Round
        Those before.
    left, reserved : int
        Evaluations that are left, and those held back for the next audit (`reserved_next`): another round needs twice
        as many, and room for the smallest estimate.
    """
    least = max(reserved, math.ceil(tuned.least / (1.0 - SEARCHING)))
    if tuned.again is None or repairs(rounds) + 1 >= MOST or left < reserved + least:
        return None
    missed = audited.missed
    if missed is None and tuned.mends and sample.unit == "draw" and not weights_settled(sample.summary, audited.agrees):
        return audited.thin
    return missed

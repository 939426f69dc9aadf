"""Rounds of a run: if an audit finds mass that the proposal does not cover, search, estimate and audit begin again.

Draws of an earlier round are in no later estimate: the search goes on from its failing draws, while estimate and audit
draw anew. The verdict is that of the last round alone.

An estimate that takes more than a part of the budget is audited once on the way. If another round is needed, the rest
of the budget pays for it. If not, the same estimate goes on, and is audited anew at its end.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from raresim.methods.base import Tuned
from raresim.numerics.arrays import Float
from raresim.run.audit import Audit
from raresim.run.looks import weights_settled
from raresim.run.sample import Sample

MOST = 3
"""Largest number of rounds of a run."""

ON_THE_WAY = 0.3
"""Share of the remaining evaluations after which an estimate is audited on the way."""

NEXT_AUDIT = 1.25
"""Evaluations that a round leaves for the next audit, as a multiple of those of its own audit."""

SEARCHING = 0.75
"""Largest share of a round for search and trials: the rest is for its estimate."""


@dataclass(frozen=True)
class Round:
    """A round that another one followed, or an audit on the way.

    Parameters
    ----------
    values : tuple of float
        The estimate of each event's probability.
    missed : int
        Failing draws of the audit from which the search goes on (`missed_by`); 0 if the estimate goes on.
    estimate, audit : int
        Evaluations of both; 0 for an estimate that goes on.
    """

    values: tuple[float, ...]
    missed: int
    estimate: int
    audit: int

    @property
    def evaluations(self) -> int:
        """Evaluations of estimate and audit: the search counts those of all rounds."""
        return self.estimate + self.audit

    def facts(self) -> dict[str, Any]:
        """What is stored with the search."""
        return asdict(self) | {"values": list(self.values)}


def ended(sample: Sample, audited: Audit, missed: Float | None) -> Round:
    """The record of the round of ``sample``, whose audit found ``missed`` (k, d); None: the estimate goes on."""
    tail = sample.summary.tail
    values = tuple(math.exp(tail.log_probability(k)) for k in range(tail.hits.size))
    if missed is None:
        return Round(values, 0, 0, audited.evaluations)
    return Round(values, len(missed), sample.summary.evaluations, audited.evaluations)


def repairs(rounds: Sequence[Round]) -> int:
    """How many of the ``rounds`` were followed by another search."""
    return sum(r.missed > 0 for r in rounds)


def held_on_the_way(tuned: Tuned, rounds: Sequence[Round], left: int, reserved: int) -> int:
    """Evaluations, of those that are ``left``, that an estimate leaves for another round after an audit on the way.

    At least those that are ``reserved`` for the audit; exactly those if no other round can follow or one audit on the
    way was made already.
    """
    if tuned.again is None or repairs(rounds) + 1 >= MOST or (rounds and not rounds[-1].missed):
        return reserved
    return max(reserved, math.ceil((1.0 - ON_THE_WAY) * left))


def reserved_next(reserved: int, audited: Audit) -> int:
    """Evaluations held back for the audit of another round, after one with ``reserved`` for its own audit."""
    return min(reserved, math.ceil(NEXT_AUDIT * audited.evaluations))


def missed_by(
    tuned: Tuned, sample: Sample, audited: Audit, rounds: Sequence[Round], left: int, reserved: int
) -> Float | None:
    """Failing draws (k, d) with which another round begins; None if there is none.

    These are the draws that the estimate hardly makes. Without such draws, and if its largest weights would not be
    trusted, they are the draws at which a single row would be heaviest.

    Parameters
    ----------
    tuned : Tuned
        The proposal of the round.
    sample : Sample
        The estimate of the round.
    audited : Audit
        The audit of the round.
    rounds : sequence of Round
        The rounds before.
    left, reserved : int
        Evaluations that are left, and those held back for the next audit (`reserved_next`): another round needs twice
        the reserve, and room for the smallest estimate.
    """
    least = max(reserved, math.ceil(tuned.least / (1.0 - SEARCHING)))
    if tuned.again is None or repairs(rounds) + 1 >= MOST or left < reserved + least:
        return None
    missed = audited.missed
    if missed is None and tuned.mends and sample.unit == "draw" and not weights_settled(sample.summary, audited.agrees):
        return audited.thin
    return missed

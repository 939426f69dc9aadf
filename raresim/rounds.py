"""Rounds of a run: where an audit finds mass that the proposal does not cover, search, estimate and audit begin again.

What an earlier round drew is in no later estimate: its failing draws are where the search goes on from, the estimate
has draws of its own, and so has the audit. The verdict is that of the last round alone.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from raresim.arrays import Float
from raresim.audit import Audit
from raresim.estimation import Sample
from raresim.methods.base import Tuned

MOST = 3
"""Rounds of a run, at most."""


@dataclass(frozen=True)
class Round:
    """A round that another one followed.

    Parameters
    ----------
    values : tuple of float
        Its estimate of each event's probability.
    missed : int
        Failing draws of its audit that the estimate hardly made.
    estimate, audit : int
        Evaluations of both.
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


def ended(sample: Sample, audited: Audit, missed: Float) -> Round:
    """The round of ``sample``, whose audit found ``missed`` (k, d)."""
    tail = sample.summary.tail
    values = tuple(math.exp(tail.log_probability(k)) for k in range(tail.hits.size))
    return Round(values, len(missed), sample.summary.evaluations, audited.evaluations)


def missed_by(tuned: Tuned, audited: Audit, rounds: int, left: int, reserved: int) -> Float | None:
    """Failing draws (k, d) that another round begins with; None where there is none.

    Parameters
    ----------
    tuned : Tuned
        What the round drew from.
    audited : Audit
        Its audit.
    rounds : int
        Rounds so far, this one included.
    left, reserved : int
        Evaluations that are left, and those that an audit may take: another round needs twice as many.
    """
    if tuned.again is None or rounds >= MOST or left < 2 * reserved:
        return None
    return audited.missed

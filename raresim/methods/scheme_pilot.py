"""The pilot of a scheme: how much the rows that it would draw vary, from some that the estimate does not use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from raresim.accumulators.summary import Summary
from raresim.engine.session import Session
from raresim.estimators.base import Estimator
from raresim.methods.base import Tuned
from raresim.methods.regions import iteration


@dataclass(frozen=True, eq=False)
class SchemePilot:
    """Some rows of a scheme.

    Parameters
    ----------
    rows : int
        Their number; each takes one evaluation.
    summary : Summary
        Their sums.
    """

    rows: int
    summary: Summary

    @classmethod
    def of(cls, session: Session, estimator: Estimator, n: int, scheme: str) -> Self:
        """Draw ``n`` rows of ``estimator``, whose ``scheme`` has this name in the log."""
        return cls(n, session.fold("tune", estimator, session.plan(n), f"pilot of {scheme}"))

    @property
    def variances(self) -> tuple[float, ...]:
        """Relative variance of a row for each event."""
        tail = self.summary.tail
        return tuple(self.rows * tail.relative_error(k) ** 2 for k in range(tail.hits.size))

    @property
    def hits(self) -> int:
        """Rows in the event that fewest are in."""
        return int(self.summary.tail.hits.min())

    @property
    def sentence(self) -> str:
        """What it found, for the decisions."""
        return f"A pilot of {self.rows:,} rows: one row has a relative variance of {max(self.variances):.2g}."

    def tuned(self, step: str, level: float, outcome: str, decisions: Sequence[str], before: int = 0) -> Tuned:
        """What a scheme offers without a proposal; its estimator is left to be set.

        Parameters
        ----------
        step : str
            Name of the only step in the table of the search.
        level : float
            The rarest loss that rows are drawn for.
        outcome : str
            What was reached, in words.
        decisions : sequence of str
            What was chosen and why.
        before : int
            Evaluations before the pilot.
        """
        spent = before + self.rows
        return Tuned(
            proposal=None,
            iterations=(iteration(step, 0, level, spent, self.hits, self.hits / self.rows),),
            evaluations=spent,
            variances=self.variances,
            starts=1,
            reached=1,
            regions=1,
            outcome=outcome,
            facts={"searched": 1.0},
            decisions=tuple(decisions),
        )

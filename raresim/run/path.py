"""The path of a run after its search: estimate and audit, and another search if the audit asks for it."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from functools import partial

from raresim.losses.failures import NOTHING, Collector, Failures
from raresim.numerics.arrays import Float
from raresim.run.audit import Audit, Extent, audit, reserve
from raresim.run.checkpoint import Checkpoint
from raresim.run.clock import Clock
from raresim.run.estimation import Extension, estimator_of
from raresim.run.estimation import estimate as estimate_stage
from raresim.run.found import Found
from raresim.run.live import Live
from raresim.run.looks import weights_settled
from raresim.run.rounds import ended, held_on_the_way, missed_by, reserved_next
from raresim.run.sample import Progress, Sample
from raresim.run.stop import Stop


@dataclass(eq=False)
class Rounds:
    """The rounds of a run on its way: estimate and audit, and another search if the audit asks for it.

    ``searching`` are the rows that failed before the current estimate; ``estimating`` counts those that failed in it.
    ``live`` is what onlookers read.
    """

    stop: Stop
    extent: Extent
    found: Found
    failed: Collector
    checkpoint: Checkpoint | None
    extension: Extension | None
    searching: Failures
    ends: dict[str, float]
    clock: Clock
    live: Live | None = None
    estimating: int = 0

    def run(self) -> tuple[Sample, Audit]:
        """Run all rounds; return the estimate and the audit of the last one."""
        on: Progress | None = None
        while True:
            sample, audited, held, left = self.round(on)
            found = self.found
            reserved = reserved_next(found.reserved, audited)
            missed = missed_by(found.tuned, sample, audited, found.rounds, left, reserved)
            goes_on = missed is None and not sample.reached and held > found.reserved and left > found.reserved
            if self.is_extended or self.clock.stopped is not None or (missed is None and not goes_on):
                return sample, audited
            before = ended(sample, audited, missed)
            on = replace(sample.progress, failures=NOTHING) if goes_on and sample.progress else None
            self.found = replace(found, rounds=(*found.rounds, before))
            if missed is not None:
                if self.live:
                    self.live.forget()
                session = found.session
                session.max_evaluations, session.reserved = session.max_evaluations - before.evaluations, reserved
                self.search_on(missed, 0 if weights_settled(sample.summary) else sample.summary.tail.n)
            if self.checkpoint:
                self.checkpoint.end_round(len(self.found.rounds))

    @property
    def is_last(self) -> bool:
        """Whether an earlier attempt came no further than this round."""
        return self.checkpoint is not None and len(self.found.rounds) == len(self.checkpoint.rounds)

    @property
    def is_extended(self) -> bool:
        """Whether this is the round to which evaluations are added."""
        return self.extension is not None and self.is_last

    def round(self, on: Progress | None) -> tuple[Sample, Audit, int, int]:
        """An estimate that goes on from ``on``, and its audit; the evaluations held back by it, and those left."""
        found, stop, checkpoint = self.found, self.stop, self.checkpoint
        if self.extension and not self.is_extended:  # as it was before anything was added
            stop = replace(stop, max_evaluations=self.extension.tuned_for)
        known = checkpoint.begin_round(len(found.rounds)) if checkpoint else None
        spent = found.explore + sum(r.evaluations for r in found.rounds)
        left = stop.max_evaluations - spent - found.tuned.evaluations - found.after
        held = found.reserved
        if self.is_extended and held:
            whole = stop.max_evaluations - found.explore - found.after
            held = reserve(self.extent, whole, found.session.problem)
        if stop.relative_error is not None and not self.is_extended:
            held = held_on_the_way(found.tuned, found.rounds, left, held)
        failures, added = self.failed.failures.total, self.extension if self.is_extended else None
        wanted = replace(found.wanted, keep=self.keep)
        after = held + found.after
        ends = partial(self.clock.ends, reserved=min(held, found.reserved))
        sample = estimate_stage(found.session, found.tuned, stop, wanted, spent, after, known or on, added, ends)
        if self.clock.by_hand or (stop.by_hand and self.clock.stopped is not None):
            sample = replace(sample, planned=False, by_hand=True)
        self.ends["estimate"] = time.perf_counter()
        self.estimating += self.failed.failures.total - failures
        spent += found.tuned.evaluations + sample.summary.evaluations
        left = stop.max_evaluations - spent - found.after
        samples = known.audited if known else None
        audited = audit(found.session, found.job, sample, self.extent, spent, left, samples)
        if checkpoint and checkpoint.progress and self.is_last:
            checkpoint.keep(replace(checkpoint.progress, audited=audited.samples))
        return sample, audited, held, left - audited.evaluations

    def keep(self, progress: Progress) -> None:
        """Record how far the estimate of this round is, for a checkpoint and for onlookers."""
        if self.live:
            self.live.keep(self.found, progress, self.searching)
        if self.checkpoint:
            self.checkpoint.keep(progress)

    def search_on(self, missed: Float, rows: int) -> None:
        """Continue the search from failing draws ``missed`` (k, d) that the last round hardly made.

        The next estimate makes at least ``rows`` rows.
        """
        session, again = self.found.session, self.found.tuned.again
        if again is None:
            raise ValueError("the method has no further round")
        tuned = replace(again(missed), rows=rows)
        self.found = replace(
            self.found, tuned=tuned, job=estimator_of(session, tuned, self.found.wanted), reserved=session.reserved
        )
        self.searching, self.estimating = self.failed.failures, 0

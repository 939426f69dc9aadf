"""The audit stage: samplers that never saw the proposal look for failing draws that the estimate would hardly make.

Climbs follow the loss, as most searches do. Soundings (`raresim.run.soundings`) ask only whether a draw is in the
event. The two fail in different cases, and the worse of the two findings decides.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Self

import numpy as np

from raresim.accumulators.base import Accumulator
from raresim.diagnostics.audit_checks import SEEN_MISSED, UNCOVERED, error_is_audited, missed_allowed
from raresim.distributions.standard_normal import widening
from raresim.engine.fold import Job, Sampler
from raresim.engine.problem import Problem
from raresim.engine.session import Session
from raresim.estimators.base import Estimator
from raresim.methods.subset_simulation import Climb, climb
from raresim.numerics.arrays import Float
from raresim.numerics.blocks import Block
from raresim.numerics.streams import stream
from raresim.record.event import Event
from raresim.record.evidence import Evidence, EvidencePlot, EvidenceTable
from raresim.record.rows import is_estimate
from raresim.run.reach import Reach
from raresim.run.sample import Sample
from raresim.run.soundings import HITS, Sound, Sounded, Thin, rows_through
from raresim.run.soundings import cost as cost_of_soundings
from raresim.search.hits import SPENT

Extent = Literal["off", "quick", "full"]
"""Off: no audit, and no verdict better than caution. Quick: soundings and two climbs, of thirty draws a level or of as
many as three tenths of the evaluations before the audit pay for. Full: four climbs, of a hundred draws a level or of as
many as the evaluations before the audit pay for. The larger number counts."""

RARITY = 0.2
"""Share of a level's draws that sets the next level. A region of the event is lost if none of these draws lies in it:
at equal cost in evaluations this happens least often at about this share."""

MOST_LEVELS = 20
"""Largest number of levels for which a climb has evaluations: enough for a probability of about 1e-14."""

USUAL_LEVELS = 10
"""Smallest number of levels for which evaluations are held back: enough for a probability of about 1e-7."""

SPARE = 0.8
"""Share of its evaluations that a climb is planned to use: its number of levels is not known in advance."""

SHOWN = 300
"""Failing draws of a climb that are kept for the figure."""

MOST_ROWS = 100
"""Failing draws of a climb that are checked if each check takes evaluations, for lines or rays through the draw."""


@dataclass(frozen=True)
class Size:
    """Limits of an audit.

    Parameters
    ----------
    climbs : int
        Independent runs of subset simulation.
    share : float
        Evaluations of the climbs relative to those before the audit, if that pays for more than ``least`` draws.
    least, most : int
        Draws of a level; without a budget for soundings and ``least``, there is no audit.
    """

    climbs: int
    share: float
    least: int
    most: int


SIZES: Mapping[Extent, Size] = {"quick": Size(2, 0.3, 30, 1000), "full": Size(4, 1.0, 100, 2000)}


def described(extent: Extent) -> str:
    """One line that describes an audit of this extent."""
    if extent == "off":
        return "off: the verdict is caution at best, unless nothing can be missed"
    size = SIZES[extent]
    return (
        f"{extent}: soundings, and {size.climbs} climbs with at least {size.least} draws per level, for about "
        f"{size.share:.0%} of the evaluations before them"
    )


def reserve(extent: Extent, left: int, problem: Problem) -> int:
    """Evaluations that are held back for the audit, out of ``left`` for estimate and audit together.

    This is the cost of soundings and of the smallest climbs, or a share of ``left`` if that is more; never above a
    quarter of ``left``.
    """
    if extent == "off":
        return 0
    size = SIZES[extent]
    share = size.share / (1.0 + size.share)
    least = cost_of_soundings(problem) + math.ceil(size.climbs * _cost(size.least, USUAL_LEVELS) / SPARE)
    most = cost_of_soundings(problem) + math.ceil(size.climbs * _cost(size.most, MOST_LEVELS) / SPARE)
    return min(left // 4, max(least, min(int(share * left), most)))


@dataclass(frozen=True, eq=False)
class ClimbSeen:
    """What one climb shows of each event.

    Parameters
    ----------
    outcome : str
        How the climb ended.
    reached : bool
        Whether the climb came to the rarest event of its side.
    samples, evaluations : int
        Draws of a level, and evaluations of the loss.
    nominal : int
        Draws of the first level if they come from the target, else 0.
    nominal_hits : (m,) int64
        How many of these draws are in each event.
    failing : (m,) int64
        Draws of the climb in each event.
    log_probability : (m,) float64
        The climb's own estimates, in nats; ``-inf`` for an event without one.
    uncovered : (m,) float64
        Share of the event's probability, by the climb's own weights, at draws where a single row would have added more
        than `UNCOVERED` of the estimate; NaN without a failing draw.
    influence : (m,) float64
        Mean share of the estimate that one row at a failing draw adds, at most 1; NaN without a failing draw.
    loss, log_influence : (j,) float64
        For the figure: the losses of failing draws, and the log of the share of the first event's estimate that one row
        there would have added.
    thin : Thin
        Failing draws at which a single row would be heaviest.
    """

    outcome: str
    reached: bool
    samples: int
    evaluations: int
    nominal: int
    nominal_hits: np.ndarray[tuple[int], np.dtype[np.int64]]
    failing: np.ndarray[tuple[int], np.dtype[np.int64]]
    log_probability: Float
    uncovered: Float
    influence: Float
    loss: Float
    log_influence: Float
    thin: Thin


@dataclass(frozen=True, eq=False)
class Climbs(Accumulator):
    """The climbs of an audit, in order."""

    seen: tuple[ClimbSeen, ...]

    def merge(self, other: Self) -> Self:
        return type(self)((*self.seen, *other.seen))


@dataclass(frozen=True, eq=False)
class Audit:
    """The outcome of the audit stage.

    Parameters
    ----------
    extent : Extent
        The extent that was asked for.
    why : str
        Why there was no audit; empty if there was one.
    needed : bool
        Whether the estimate could have missed something.
    climbs : tuple of ClimbSeen
        The climbs; empty if there was no audit.
    soundings : tuple of Sounded
        One for each side of the loss that has an event with an estimate.
    signs, log_values : tuple of float
        For each event: its side, and the log of its estimate in nats.
    rows : int
        Rows of the estimate if each is a single draw, line or ray; else 0.
    errors : tuple of float
        For each event: the relative error of the estimate.
    """

    extent: Extent
    why: str = ""
    needed: bool = True
    climbs: tuple[ClimbSeen, ...] = ()
    soundings: tuple[Sounded, ...] = ()
    signs: tuple[float, ...] = ()
    log_values: tuple[float, ...] = field(default=(), repr=False)
    rows: int = 0
    errors: tuple[float, ...] = ()

    @property
    def evaluations(self) -> int:
        return sum(s.evaluations for s in self.soundings) + sum(c.evaluations for c in self.climbs)

    @property
    def samples(self) -> int | None:
        """Draws of a level; None if there was no audit."""
        return self.climbs[0].samples if self.climbs else None

    def facts(self) -> dict[str, Any]:
        """What is stored with the search."""
        return {
            "extent": self.extent,
            "why": self.why,
            "needed": self.needed,
            "climbs": len(self.climbs),
            "samples": self.samples or 0,
            "reached": sum(c.reached for c in self.climbs),
            "soundings": [
                {
                    "width": s.width,
                    "draws": s.draws,
                    "hits": s.hits,
                    "regions": s.regions,
                    "climbs": s.climbs,
                    "ended": s.ended,
                }
                for s in self.soundings
            ],
        }

    @property
    def missed(self) -> Float | None:
        """Failing draws (k, d) of standard normal space that the estimate hardly makes; None if they carry little.

        The verdict says what is little (`raresim.diagnostics.audit_checks`: `SEEN_MISSED`, `missed_allowed`).
        """
        found = [self.diagnostics(k) for k in range(len(self.log_values))]
        sounded = any((d.get("soundings_uncovered") or 0.0) >= SEEN_MISSED for d in found)
        climbed = any(
            (d.get("audit_uncovered") or 0.0) >= max(missed_allowed(error), SEEN_MISSED)
            for d, error in zip(found, self.errors, strict=True)
        )
        if not sounded and not climbed:
            return None
        return _joined([thin.missed for thin in self._thin])

    @property
    def thin(self) -> Float | None:
        """Failing draws (k, d) of standard normal space at which a single row would be heaviest; None without one."""
        return _joined([thin.u for thin in self._thin])

    @property
    def agrees(self) -> bool:
        """Whether, for each event, rows through the failing draws scatter as much as its error says."""
        return all(error_is_audited(self.diagnostics(k), self.facts()) for k in range(len(self.log_values)))

    @property
    def _thin(self) -> list[Thin]:
        return [s.thin for s in self.soundings] + [c.thin for c in self.climbs]

    def diagnostics(self, k: int) -> dict[str, Any]:
        """What soundings and climbs on the event's side say of event ``k``; empty without an audit."""
        if not self.log_values or self.log_values[k] == -math.inf:
            return {}
        return self._of_soundings(k) | self._of_climbs(k)

    def _of_soundings(self, k: int) -> dict[str, Any]:
        sounded = next((s for s in self.soundings if s.sign == self.signs[k]), None)
        if sounded is None:
            return {}
        return {
            "soundings_width": sounded.width,
            "soundings_draws": sounded.draws,
            "soundings_hits": sounded.hits,
            "soundings_regions": sounded.regions,
            "soundings_whole": int(sounded.ended != SPENT or sounded.hits >= HITS),  # stored as a number
            "soundings_failing": int(sounded.failing[k]),
            "soundings_uncovered": _finite(float(sounded.uncovered[k])),
            "soundings_log_ratio": _finite(float(sounded.log_probability[k]) - self.log_values[k]),
            "soundings_error": _finite(float(sounded.relative_error[k])),
        }

    def _of_climbs(self, k: int) -> dict[str, Any]:
        from scipy.special import gammainc

        climbs = self._of_side(k)
        if not climbs:
            return {}
        found = [c for c in climbs if not math.isnan(c.uncovered[k])]
        ratios = [float(c.log_probability[k]) - self.log_values[k] for c in found]
        known = [ratio for ratio in ratios if ratio > -math.inf]
        nominal, hits = sum(c.nominal for c in climbs), sum(int(c.nominal_hits[k]) for c in climbs)
        chance = float(gammainc(hits, nominal * math.exp(self.log_values[k]))) if hits else 1.0
        return {
            "audit_climbs": len(climbs),
            "audit_found": len(found),
            "audit_failing": sum(int(c.failing[k]) for c in found),
            "audit_uncovered": max((float(c.uncovered[k]) for c in found), default=None),
            "audit_error_ratio": self._error_ratio(k, found),
            "audit_log_ratio": sum(known) / len(known) if known else None,
            "audit_log_ratio_error": _spread(self.log_values[k], climbs[0].samples) / math.sqrt(len(climbs)),
            "audit_nominal": nominal,
            "audit_nominal_hits": hits,
            "audit_nominal_chance": chance,
        }

    def evidence(self, events: Sequence[Event]) -> Evidence:
        """A table of the climbs, and a plot of their failing draws."""
        if not self.climbs:
            return self._sounded_evidence(events)
        columns = (
            "event",
            "begun with",
            "draws a level",
            "evaluations",
            "failing draws",
            "log10 probability",
            "uncovered share",
        )
        rows = tuple(
            (
                event.label,
                "the target" if c.nominal else "a widened target",
                float(c.samples),
                float(c.evaluations),
                float(c.failing[k]),
                _finite(float(c.log_probability[k]) / math.log(10.0)),
                _finite(float(c.uncovered[k])),
            )
            for k, event in enumerate(events)
            for c in self._of_side(k)
        )
        loss = np.concatenate([c.loss for c in self.climbs])
        influence = np.concatenate([c.log_influence for c in self.climbs]) / math.log(10.0)
        kept = np.isfinite(influence)
        plots: tuple[EvidencePlot, ...] = ()
        if kept.any():
            x, y = tuple(loss[kept].tolist()), tuple(influence[kept].tolist())
            plots = (
                EvidencePlot("points", "Failing draws of the audit", "loss", "log10 share one adds", x, y, (), ()),
            )
        climbs = Evidence((EvidenceTable("Audit: climbs of its own", columns, rows),), plots)
        return self._sounded_evidence(events).and_(climbs)

    def _sounded_evidence(self, events: Sequence[Event]) -> Evidence:
        """A table of the soundings."""
        if not self.soundings:
            return Evidence()
        columns = (
            "event",
            "standard deviation",
            "draws",
            "hits",
            "regions",
            "evaluations",
            "failing draws around them",
            "log10 probability",
            "uncovered share",
        )
        rows = tuple(
            (
                event.label,
                s.width,
                float(s.draws),
                float(s.hits),
                float(s.regions),
                float(s.evaluations),
                float(s.failing[k]),
                _finite(float(s.log_probability[k]) / math.log(10.0)),
                _finite(float(s.uncovered[k])),
            )
            for k, event in enumerate(events)
            for s in self.soundings
            if s.sign == event.sign
        )
        return Evidence((EvidenceTable("Audit: soundings from a widened target", columns, rows),))

    def _error_ratio(self, k: int, found: Sequence[ClimbSeen]) -> float | None:
        """The relative error of event ``k`` from the climbs that found it, over the error from the estimate's rows.

        Rows through draws of the target given the event occur in proportion to their weight ``w``: the mean of ``w``
        over them is ``E[w^2] / E[w]``. The few heavy rows are among them as often as they matter, while a sample of
        rows may miss them for long. ``E[w]`` is the estimate plus two errors. Climbs from a widened target do not
        count here: their few draws have weights of their own.
        """
        plain = [c for c in found if c.nominal]
        if not plain or not self.rows:
            return None
        error = self.errors[k]
        second = self.rows * sum(float(c.influence[k]) for c in plain) / len(plain)
        return math.sqrt(max(0.0, second - 1.0 - 2.0 * error) / self.rows) / error

    def _of_side(self, k: int) -> list[ClimbSeen]:
        sides = _sides(self.signs, self.log_values)
        return [c for number, c in enumerate(self.climbs) if sides[number % len(sides)] == self.signs[k]]


def audit(
    session: Session, job: Estimator, sample: Sample, extent: Extent, spent: int, left: int, samples: int | None = None
) -> Audit:
    """Climb to the events from the target, and check at each failing draw whether the estimate could have missed it.

    Parameters
    ----------
    session : Session
        Problem, events and executor.
    job, sample : Estimator and Sample
        How the rows of the estimate were made, and the outcome of the estimate stage.
    extent : Extent
        How thorough the audit is.
    spent, left : int
        Evaluations before the audit, and the most that it may use.
    samples : int, optional
        Draws of a level, if an earlier run that this one extends has fixed them: its climbs are then known.

    Notes
    -----
    A sample that misses a failure region cannot tell: its weights even look cleaner. Another sampler that reaches the
    region can. At each of its failing draws the audit computes the share of the estimate that one row there would have
    added, ``w / (n p)``. If this share is small everywhere, the estimate has seen the region in proportion. If it is
    large, rows there are rare and heavy, and the lack of such rows in the sample proves nothing.

    Climbs follow the loss, as the searches of most methods do: in the first levels, draws of a steep, distant region
    are outnumbered. Every second climb therefore begins with a widened target, in which such regions are less rare
    relative to others, and weighs its draws; in ten dimensions it has two thirds of the levels. Replicates of a
    population method begin with the target themselves: there, all climbs begin with a widened target, and the audit
    checks at each failing draw whether enough replicates came near it (`raresim.run.reach.Reach`).
    """
    if job.gapless:
        return Audit(extent, job.gapless, needed=False)
    if extent == "off":
        return Audit(extent, "it was switched off")
    tail = sample.summary.tail
    log_values = tuple(tail.log_probability(k) for k in range(len(session.events)))
    seen = [log_value for log_value in log_values if log_value > -math.inf]
    if not seen:
        return Audit(extent, "no draw is in the event")
    rarest = min(seen)
    signs = tuple(event.sign for event in session.events)
    sides = tuple(_sides(signs, log_values))
    size = SIZES[extent]
    many = size.climbs * len(sides)
    cost = _cost(1, max(1.0, rarest / math.log(RARITY))) * many / SPARE
    sounding = cost_of_soundings(session.problem)
    needed = len(sides) * sounding + math.ceil((samples or size.least) * cost)
    if needed > left and samples is None:
        return Audit(extent, f"up to {needed:,} evaluations would be needed, {max(left, 0):,} are left for it")
    log_sizes = tuple(math.log(tail.n * job.per_row) + log_value for log_value in log_values)
    ends = sample.summary.ends
    seen_by = job if ends is None else Reach(ends, tuple(session.events))
    asked = (session.problem, session.seed, seen_by, tuple(session.events), sides, log_sizes)
    plan = session.plan(len(sides), fixed_rows=1)
    most = (left - math.ceil((samples or size.least) * cost)) // len(sides)
    sounded = session.fold("audit", Sound(*asked, log_values, max(sounding, most)), plan, "soundings").seen
    left -= sum(s.evaluations for s in sounded)
    if samples is None:
        samples = min(size.most, max(size.least, int(min(left, size.share * spent) / cost)))
    climbs = _AuditClimb(*asked, samples, max(left, math.ceil(samples * cost)) // many)
    plan = session.plan(many, fixed_rows=1)
    climbed = session.fold("audit", climbs, plan, f"{samples:,} draws a level").seen
    errors = tuple(sample.relative_error(tail, k) for k in range(len(session.events)))
    single = tail.n if not is_estimate(job.unit) and job.per_row == 1 else 0
    return Audit(
        extent,
        climbs=climbed,
        soundings=sounded,
        signs=signs,
        log_values=log_values,
        rows=single,
        errors=errors,
    )


def _sides(signs: Sequence[float], log_values: Sequence[float]) -> list[float]:
    """The signs of the events that the estimate has met; climbs take turns between them."""
    return sorted({sign for sign, log_value in zip(signs, log_values, strict=True) if log_value > -math.inf})


def _cost(samples: int, levels: float) -> float:
    """Approximate number of evaluations of a climb."""
    return samples * (1.0 + (1.0 - RARITY) * levels)


def _spread(log_value: float, samples: int) -> float:
    """Approximate standard deviation of the log of a climb's estimate.

    For independent draws it is ``sqrt(levels (1 - rarity) / (rarity samples))``; it is doubled for correlated chains.
    """
    levels = max(1.0, log_value / math.log(RARITY))
    return 2.0 * math.sqrt(levels * (1.0 - RARITY) / (RARITY * samples))


def _joined(draws: Sequence[Float]) -> Float | None:
    """All ``draws`` (k, d) in one array; None without any."""
    some = [u for u in draws if len(u)]
    return np.concatenate(some) if some else None


def _finite(x: float) -> float | None:
    return x if math.isfinite(x) else None


@dataclass(frozen=True, eq=False)
class _AuditClimb(Job[Climbs]):
    """One climb, from draws of the target, always in standard normal space."""

    problem: Problem
    seed: int
    job: Estimator | Reach
    events: tuple[Event, ...]
    sides: tuple[float, ...]
    log_sizes: tuple[float, ...]
    samples: int
    most: int

    def __call__(self, block: Block) -> Climbs:
        sampler = Sampler(Problem(self.problem.inputs, self.problem.loss), None, self.seed)
        sign = self.sides[block.index % len(self.sides)]
        met = zip(self.events, self.log_sizes, strict=True)
        goals = [sign * e.threshold for e, log_size in met if e.sign == sign and log_size > -math.inf]

        width = self.width(block)

        def evaluate(z: Float) -> Float:
            return sampler.signed_loss(np.asfortranarray(width * z), block, sign)

        rng = stream(self.seed, block.stage, block.index)
        done = climb(
            evaluate,
            sampler.problem.dim,
            self.samples,
            RARITY,
            max(goals),
            rng,
            max_evaluations=self.most,
            keep_from=-math.inf,
        )
        return Climbs((self._seen(done, sign, min(goals), width, block),))

    def width(self, block: Block) -> float:
        """Standard deviation of the law with which a climb begins."""
        number = block.index // len(self.sides)
        widened = self.job.begins_with_target or number % 2 == 0
        return widening(self.problem.inputs.latent_dim) if widened else 1.0

    def _seen(self, done: Climb, sign: float, easiest: float, width: float, block: Block) -> ClimbSeen:
        """What a climb in units of ``width`` says of the events on its side, the easiest of them at ``easiest``."""
        z, loss, log_weight = (np.concatenate(part) for part in zip(*done.shells(), strict=True))
        log_mean = log_weight - math.log(loss.size)
        failing = loss >= easiest
        z, loss, log_mean = z[failing], loss[failing], log_mean[failing]
        u = width * z
        log_mean += 0.5 * (np.square(z).sum(axis=1) - np.square(u).sum(axis=1)) + u.shape[1] * math.log(width)
        budget = self.most - done.evaluations
        most = min(MOST_ROWS, max(1, int(budget / self.job.cost_through))) if self.job.cost_through else len(u)
        some, log_rows, evaluations = rows_through(self.job, self.problem, u, block, most)
        first = done.levels[0].loss if width == 1.0 else np.empty(0)
        m = len(self.events)
        counts, nominal_hits = np.zeros(m, np.int64), np.zeros(m, np.int64)
        log_probability, uncovered, influence = np.full(m, -math.inf), np.full(m, math.nan), np.full(m, math.nan)
        shown, thin, rarest = (np.empty(0), np.empty(0)), Thin.none(u.shape[1]), -math.inf
        for k, event in enumerate(self.events):
            hit = loss >= sign * event.threshold
            if event.sign != sign or self.log_sizes[k] == -math.inf or not hit.any():
                continue
            counts[k] = np.count_nonzero(hit)
            nominal_hits[k] = np.count_nonzero(first >= sign * event.threshold)
            log_probability[k] = np.logaddexp.reduce(log_mean[hit])
            asked = np.flatnonzero(hit[some] & ~np.isnan(log_rows[k]))
            if asked.size:
                own = np.exp(log_mean[some[asked]] - log_mean[some[asked]].max())
                log_influence = log_rows[k, asked] - self.log_sizes[k]
                heavy = log_influence > math.log(UNCOVERED)
                uncovered[k] = own[heavy].sum() / own.sum()
                own_thin = Thin.of(u[some[asked]], log_influence, own)
                if len(own_thin.u) and sign * event.threshold > rarest:
                    rarest, thin = sign * event.threshold, own_thin
                influence[k] = own @ np.exp(np.minimum(log_influence, 0.0)) / own.sum()
                if not shown[0].size:
                    few = slice(None, None, max(1, asked.size // SHOWN))
                    shown = sign * loss[some[asked[few]]], log_influence[few]
        return ClimbSeen(
            outcome=done.outcome,
            reached=done.reached,
            samples=self.samples,
            evaluations=done.evaluations + evaluations,
            nominal=first.size,
            nominal_hits=nominal_hits,
            failing=counts,
            log_probability=log_probability,
            uncovered=uncovered,
            influence=influence,
            loss=shown[0],
            log_influence=shown[1],
            thin=thin,
        )

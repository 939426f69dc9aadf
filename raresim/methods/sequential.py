"""Sequential importance sampling: a smooth indicator of the event, sharpened step by step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from raresim.accumulators.ends import Ends
from raresim.arguments.checks import one_of, positive, whole
from raresim.diagnostics.endings import Ending, GaveUp
from raresim.estimators.replicates import REACHED, Population, Run, Step
from raresim.methods.pilot import REPLICATED, PopulationMethod
from raresim.numerics.arrays import Float
from raresim.registry import member
from raresim.search.markov import Evaluate, Guide, LogFactor, Moves, Walk

MIN_SAMPLES = 50
WIDEST = 1e3
"""Largest width of the first indicator, in spreads of the margins: there it is flat."""

NARROWEST = 1e-4
"""Smallest width of an indicator, relative to the one before."""

OF_THE_LIMIT = 0.9
"""Share of the largest possible coefficient of variation that is asked for if ties keep that below the target."""

BISECTIONS = 16
"""Bisections for the logarithm of the width, down to a thousandth of the width before."""

PLAIN = 5
"""One move in this many, the first of a level among them, is made without a guide: chains stay in a guide's tails."""

OF_PILOT = 3
"""Draws of a level of the pilot, relative to the other runs: its levels and guides serve all of them."""


@member("method")
@dataclass(frozen=True, kw_only=True)
class SequentialImportance(PopulationMethod):
    """Sequential importance sampling, for rare events in many dimensions whose loss has no clear levels.

    Parameters
    ----------
    samples : int
        Draws of each level, at least 50.
    target_cv : float
        Coefficient of variation of the weights between two levels: a larger value takes fewer, coarser levels.
    steps : int
        Number of steps of every draw at each level.
    moves : "adaptive" or "elliptical_slice"
        How chains move; see `raresim.search.markov.Walk`.
    max_levels : int
        Levels after which a run gives up.

    Raises
    ------
    FieldError
        When an option is out of range.

    Notes
    -----
    Level ``j`` samples the target times ``h_j = Phi(margin / sigma_j)``, where the margin is the signed loss minus the
    threshold. ``sigma_j`` falls so that the weights ``h_j / h_(j-1)`` have the coefficient of variation ``target_cv``.
    The draws are resampled by them, and all draws move ``steps`` times in chains that keep the next law. A run ends
    when the weights ``1{event} / h_j`` vary no more than ``target_cv`` [1]_.

    The products of the mean weights so far estimate the mass of each ``h_j``. With them, the draws of all levels
    together are a sample of a mixture of laws with known densities, the target among them. Every event is read from
    that mixture (`pooled_weights`), less rare ones too, which the last level alone would miss. Tables and figures show
    the threshold minus ``sigma_j`` as the level of step ``j``, with the mass of ``h_j`` as its probability.

    Every draw moves, and only its last state is kept. [1]_ keeps all states of a tenth as many chains: for the same
    evaluations this gave several times the error, and estimates that were mostly too low.

    Only the pilot chooses. A run that reads its widths and steps from its own draws comes out too low: by a fifth with
    200 draws a level for 200 obligors. All other runs take widths, steps and guides from the pilot (`Scheduled`), so
    nothing in them depends on their own draws: resampling and moves then leave every estimate unbiased, [2]_ sec. 16.
    The estimate is the mean of these runs, and its error comes from their spread.

    Most moves propose from a normal law near the level's own, the *guide*, also taken from the pilot. At a level far
    from the origin a few small steps of the target take no chain around, and what a level lacks, all later levels lack
    too. With guides the error at equal cost is a half to a quarter. In the pilot, each half of the draws has the guide
    of the other half.

    References
    ----------
    .. [1] Papaioannou, Papadimitriou & Straub, *Sequential importance sampling for structural reliability analysis*,
       Struct. Saf. 62, 2016.
    .. [2] Chopin & Papaspiliopoulos, *An introduction to sequential Monte Carlo*, 2020.
    """

    kind: ClassVar[str] = "sequential_importance"

    samples: int = 400
    target_cv: float = 1.2
    steps: int = 5
    moves: Moves = "adaptive"
    max_levels: int = 50

    def __post_init__(self) -> None:
        object.__setattr__(self, "samples", whole("samples", self.samples, MIN_SAMPLES))
        object.__setattr__(self, "max_levels", whole("max_levels", self.max_levels))
        object.__setattr__(self, "steps", whole("steps", self.steps))
        positive("target_cv", self.target_cv)
        one_of("moves", self.moves, Moves)

    def pilot(self, max_evaluations: int) -> Population:
        """See `Population.pilot`: a pilot of three times as many draws, or of as many as half of that may pay for."""
        affordable = OF_PILOT * 0.5 * max_evaluations / self.cost(1, 1)
        return Finding(max(self.samples, int(self.samples * min(OF_PILOT, affordable))), self)

    def run(
        self, evaluate: Evaluate, dim: int, thresholds: Float, rng: np.random.Generator, max_evaluations: int
    ) -> Run:
        return Finding(self.samples, self).run(evaluate, dim, thresholds, rng, max_evaluations)

    def cost(self, latent_dim: int, dim: int) -> int:
        return OF_PILOT * self.samples * (1 + 5 * self.steps * (1 if self.moves == "adaptive" else 4))

    def describe(self) -> list[str]:
        return [
            f"sequential importance sampling: {self.samples:,} draws, moved {self.steps:,} steps a level; weights "
            f"between two levels have a coefficient of variation of {self.target_cv:g}",
            REPLICATED,
        ]

    @staticmethod
    def examples() -> list[SequentialImportance]:
        """Members for the conformance tests."""
        return [SequentialImportance(samples=1000, steps=5, target_cv=1.0)]


@dataclass(frozen=True)
class Finding(Population):
    """Runs that find their own levels, and pass them on to others.

    Parameters
    ----------
    samples : int
        Draws of each level.
    options : SequentialImportance
        All other options, and the draws of the runs that follow.
    """

    samples: int
    options: SequentialImportance

    def run(
        self, evaluate: Evaluate, dim: int, thresholds: Float, rng: np.random.Generator, max_evaluations: int
    ) -> Run:
        options = self.options
        levels = _Levels(Walk(evaluate, rng, options.moves), thresholds, self.samples, dim)
        halves = (slice(None, self.samples // 2), slice(self.samples // 2, None))
        gains = 1.0 / np.sqrt(np.arange(1, options.steps + 1))
        schedule: list[Stage] = []
        while True:
            width = 0.0
            reached = _variation(levels.log_weight(0.0)) <= options.target_cv
            if not reached:
                width = next_width(levels.loss - levels.goal, levels.log_h, levels.widths[-1], options.target_cv)
            levels.weigh(width)
            outcome = self._ended(levels, reached, width, max_evaluations)
            if outcome:
                break
            levels.resample()
            guides = [self._guide(levels.u[half]) for half in halves]
            levels.move(width, list(zip(halves, reversed(guides), strict=True)), gains)
            walk = levels.walk
            schedule.append(Stage(width, levels.log_masses[-1], walk.step, walk.guided_step, self._guide(levels.u)))
        after = Scheduled(options.samples, options.steps, options.moves, tuple(schedule)) if reached else None
        return levels.run(outcome, levels.log_masses, after)

    def _guide(self, u: Float) -> Guide | None:
        """The guide of draws (n, d); None for moves without proposals."""
        return Guide.of(u) if self.options.moves == "adaptive" else None

    def _ended(self, levels: _Levels, reached: bool, width: float, max_evaluations: int) -> str:
        """Why a run ends after the levels so far; empty if it goes on."""
        done = len(levels.steps)
        if reached:
            return REACHED
        if math.isnan(width):
            text = f"level stalled after {done} levels: no draw has a larger loss than the others"
            return GaveUp(Ending.STALLED, text)
        if done == self.options.max_levels:
            return GaveUp(Ending.LEVELS, f"threshold not reached in {done} levels")
        return levels.beyond_budget(self.options.steps, max_evaluations)


@dataclass(frozen=True, eq=False)
class Stage:
    """One level of a schedule.

    Parameters
    ----------
    width : float
        Width of its smooth indicator.
    log_mass : float
        The pilot's estimate of its mass, in nats: with it the draws of all levels divide the space between them.
    step, guided_step : float
        Share of new noise in a proposal, without the guide and with it.
    guide : Guide or None
        A normal law near the law of the level.
    """

    width: float
    log_mass: float
    step: float
    guided_step: float
    guide: Guide | None


@dataclass(frozen=True, eq=False)
class Scheduled(Population):
    """Runs through levels known in advance: the mean of their estimates is the probability, for any schedule.

    Parameters
    ----------
    samples, steps, moves
        As in `SequentialImportance`.
    schedule : tuple of Stage
        The levels after the target.
    """

    samples: int
    steps: int
    moves: Moves
    schedule: tuple[Stage, ...]

    def run(
        self, evaluate: Evaluate, dim: int, thresholds: Float, rng: np.random.Generator, max_evaluations: int
    ) -> Run:
        levels = _Levels(Walk(evaluate, rng, self.moves), thresholds, self.samples, dim)
        outcome: str = ""
        for stage in self.schedule:
            levels.weigh(stage.width)
            if levels.log_masses[-1] == -math.inf:
                outcome = GaveUp(Ending.STALLED, f"level stalled after {len(levels.steps)} levels: no draw has a loss")
            outcome = outcome or levels.beyond_budget(self.steps, max_evaluations)
            if outcome:
                break
            levels.resample()
            levels.walk.step, levels.walk.guided_step = stage.step, stage.guided_step
            levels.move(stage.width, [(slice(None), stage.guide)], np.zeros(self.steps))
        else:
            levels.weigh(0.0)
        masses = [0.0, *(stage.log_mass for stage in self.schedule)]
        return levels.run(outcome or REACHED, masses[: len(levels.steps)])


class _Levels:
    """The levels of one run so far.

    Parameters
    ----------
    walk : Walk
        Makes and moves the draws.
    thresholds : (m,) float64
        Signed thresholds; the largest is the ``goal``.
    n, dim : int
        Draws of a level, and their dimension.
    """

    def __init__(self, walk: Walk, thresholds: Float, n: int, dim: int) -> None:
        self.walk, self.thresholds, self.goal = walk, thresholds, float(thresholds.max())
        self.u, self.loss = walk.fresh(n, dim)
        self.log_h = np.zeros(n)
        self.widths, self.log_masses = [math.inf], [0.0]
        self.steps: list[Step] = []
        self.losses: list[Float] = []
        self.draws: list[Float] = []
        self.next_weight = self.log_h
        self.ancestors = np.arange(n)
        self.counted = 0

    def log_weight(self, width: float) -> Float:
        """Log weights (n,) of the draws for the indicator of ``width``, in nats; for the event itself at 0."""
        if width == 0.0:
            return np.where(self.loss >= self.goal, 0.0, -np.inf) - self.log_h
        return soft(self.goal, width)(self.loss) - self.log_h

    def weigh(self, width: float) -> None:
        """Record the level: its draws, and their weights for the next indicator, NaN if there is none."""
        self.losses.append(self.loss)
        self.draws.append(self.u[self.loss >= self.thresholds.min()])
        n, spent, self.counted = self.loss.size, self.walk.evaluations - self.counted, self.walk.evaluations
        self.next_weight = self.log_weight(0.0 if math.isnan(width) else width)
        level = float(self.loss.max()) if math.isnan(width) else self.goal - width
        share, ess = float(np.mean(self.loss >= level)), n / (1.0 + _variation(self.next_weight) ** 2)
        log_mass = self.log_masses[-1] + _log_mean(self.next_weight)
        self.steps.append(Step(level, share, log_mass, n, spent, ess, self.walk.step))
        self.widths.append(width)
        self.log_masses.append(log_mass)

    def beyond_budget(self, steps: int, max_evaluations: int) -> str:
        """Why no other level is begun; empty if the budget pays for it."""
        if self.counted + max(self.steps[-1].evaluations, self.loss.size * steps) > max_evaluations:
            return GaveUp(
                Ending.BUDGET, f"budget of {max_evaluations:,} evaluations spent after {len(self.steps)} levels"
            )
        return ""

    def resample(self) -> None:
        """Draw the next level's first draws from these, in proportion to their weights."""
        parents = _resampled(self.next_weight, self.walk.rng)
        self.u, self.loss, self.ancestors = (
            np.asfortranarray(self.u[parents]),
            self.loss[parents],
            self.ancestors[parents],
        )

    @property
    def variance(self) -> float | None:
        """Relative variance of the mass of the event: [1]_, from the sums over descendants of each first ancestor.

        None if no draw of the last level is in the event.

        References
        ----------
        .. [1] Chan & Lai, *A general theory of particle filters in hidden Markov models and some applications*,
           Ann. Stat. 41, 2013.
        """
        if self.next_weight.max() == -np.inf:
            return None
        share = np.bincount(self.ancestors, np.exp(self.next_weight - self.next_weight.max()))
        return float(np.square(share / share.sum()).sum()) - 1.0 / self.ancestors.size

    def move(self, width: float, parts: Sequence[tuple[slice, Guide | None]], gains: Float) -> None:
        """One step for each of ``gains``, with the guide of each part of the draws."""
        log_factor = soft(self.goal, width)
        for turn, gain in enumerate(gains.tolist()):
            for part, guide in parts:
                u, loss = np.asfortranarray(self.u[part]), self.loss[part]
                if guide is None or turn % PLAIN == 0:
                    u, loss = self.walk.advance(u, loss, log_factor, gain)
                else:
                    u, loss = self.walk.guided(u, loss, log_factor, guide, gain)
                self.u[part], self.loss[part] = u, loss
        self.log_h = log_factor(self.loss)

    def run(self, outcome: str, masses: Sequence[float], after: Population | None = None) -> Run:
        """The whole run, read from the mixture with the given ``masses`` of its laws.

        If a level's own mass is twice the given one, its draws stand for twice its share of the mixture.
        """
        widths, k = self.widths[: len(self.steps)], len(self.steps)
        everyone = np.concatenate(self.losses)
        off = np.array(self.log_masses[:k]) - np.array(masses[:k])
        log_weight = pooled_weights(everyone, self.goal, widths, masses[:k])
        log_weight += np.repeat(off, [loss.size for loss in self.losses])
        hits = [np.where(everyone >= t, log_weight, -np.inf) for t in self.thresholds]
        in_events = everyone[everyone >= self.thresholds.min()]
        return Run(
            log_probabilities=np.array([_log_mean(w) for w in hits]),
            steps=tuple(self.steps),
            loss=everyone,
            log_weight=log_weight,
            evaluations=self.counted,
            outcome=outcome,
            ends=Ends.of_run(np.concatenate(self.draws), in_events, self.thresholds),
            variance=self.variance if outcome == REACHED else None,
            after=after,
        )


def soft(goal: float, sigma: float) -> LogFactor:
    """``log Phi((loss - goal) / sigma)``: a smooth indicator of the event."""
    from scipy.special import log_ndtr

    def log_factor(loss: Float) -> Float:
        log_f: Float = log_ndtr((loss - goal) / sigma)
        return log_f

    return log_factor


def pooled_weights(loss: Float, goal: float, widths: Sequence[float], log_masses: Sequence[float]) -> Float:
    """Log weights (k,), in nats, of the target against the mixture of the laws of all levels in equal shares.

    ``-log(mean_j h_j / P_j)``, with ``P_j`` the mass of ``h_j``: the balance heuristic of [1]_. No weight exceeds the
    number of levels.

    Parameters
    ----------
    loss : (k,) float64
        Signed losses.
    goal : float
        Signed threshold.
    widths, log_masses : sequence of float
        ``sigma_j`` and ``log P_j`` of each level; infinite and 0 for the target.

    References
    ----------
    .. [1] Veach & Guibas, *Optimally combining sampling techniques for Monte Carlo rendering*, SIGGRAPH 1995.
    """
    densities = [soft(goal, w)(loss) - log for w, log in zip(widths[1:], log_masses[1:], strict=True)]
    mixture: Float = np.logaddexp.reduce([np.zeros(loss.size), *densities], axis=0)
    return math.log(len(widths)) - mixture


def next_width(margin: Float, log_h: Float, sigma: float, target_cv: float) -> float:
    """The width below ``sigma`` for which the weights ``h / h_before`` vary by ``target_cv``; NaN if none vary.

    Parameters
    ----------
    margin : (n,) float64
        Signed loss minus threshold, of draws of the current law.
    log_h : (n,) float64
        Log of the current smooth indicator, in nats.
    sigma : float
        Its width, infinite for the target itself.
    target_cv : float
        Asked coefficient of variation. If ties keep even the narrowest indicator below it, nine tenths of what that
        gives: a width far below the distance to the threshold would weigh draws outside as if the inside had been
        seen.
    """
    finite = margin[np.isfinite(margin)]
    if not finite.size:
        return math.nan
    high = WIDEST * (float(np.ptp(finite)) + float(np.abs(finite).max())) if math.isinf(sigma) else sigma
    if high == 0.0:
        return math.nan

    def variation(log_width: float) -> float:
        return _variation(soft(0.0, math.exp(log_width))(margin) - log_h)

    top = math.log(high)
    bottom = top + math.log(NARROWEST) - (math.log(WIDEST) if math.isinf(sigma) else 0.0)
    wanted = min(target_cv, OF_THE_LIMIT * variation(bottom))
    if not wanted > 1e-6:
        return math.nan
    for _ in range(BISECTIONS):
        middle = 0.5 * (bottom + top)
        bottom, top = (middle, top) if variation(middle) >= wanted else (bottom, middle)
    return math.exp(bottom)


def _variation(log_w: Float) -> float:
    """Coefficient of variation of weights; infinite if all are zero."""
    top = float(log_w.max())
    if top == -math.inf:
        return math.inf
    w = np.exp(log_w - top)
    return float(w.std() / w.mean())


def _log_mean(log_w: Float) -> float:
    """Log of the mean weight, in nats; ``-inf`` if all are zero."""
    top = float(log_w.max())
    return top + math.log(float(np.exp(log_w - top).mean())) if top > -math.inf else -math.inf


def _resampled(log_w: Float, rng: np.random.Generator) -> NDArray[np.intp]:
    """Resampled row indices, as many as rows, in proportion to weights, at evenly spaced points with one offset."""
    total = np.cumsum(np.exp(log_w - log_w.max()))
    n = log_w.size
    places = (np.arange(n) + rng.random()) * (total[-1] / n)
    rows: NDArray[np.intp] = np.searchsorted(total, places, side="right")
    return np.minimum(rows, n - 1)

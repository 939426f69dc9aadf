"""Sequential importance sampling: a smooth indicator of the event, sharpened step by step."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from raresim.accumulators.ends import Ends
from raresim.arrays import Float, one_of, positive, whole
from raresim.estimators.replicates import REACHED, Run, Step
from raresim.markov import Evaluate, LogFactor, Moves, Walk
from raresim.methods.pilot import REPLICATED, PopulationMethod
from raresim.registry import member

MIN_SAMPLES = 50
WIDEST = 1e3
"""Width of the first indicator at most, in spreads of the margins: there it is flat."""

NARROWEST = 1e-4
"""Width of an indicator at least, relative to the one before."""

OF_THE_LIMIT = 0.9
"""Share of the largest possible coefficient of variation that is asked for where that is below the target: ties."""

BISECTIONS = 16
"""Halvings of the logarithm of the width: to a thousandth of it."""


@member("method")
@dataclass(frozen=True, kw_only=True)
class SequentialImportance(PopulationMethod):
    """Sequential importance sampling, for rare events in many dimensions whose loss has no clear levels.

    Parameters
    ----------
    samples : int
        Draws of each level, at least 50.
    target_cv : float
        Coefficient of variation of the weights between two levels: larger takes fewer, coarser levels.
    steps : int
        Steps by which every draw is moved at each level.
    moves : "adaptive" or "elliptical_slice"
        How chains move; see `raresim.markov.Walk`.
    max_levels : int
        Levels after which a run gives up.

    Raises
    ------
    FieldError
        When an option is out of range.

    Notes
    -----
    Level ``j`` samples the target times ``h_j = Phi(margin / sigma_j)``, the margin being the signed loss minus the
    threshold. ``sigma_j`` falls so that the weights ``h_j / h_(j-1)`` have the coefficient of variation ``target_cv``;
    the draws are resampled by them, and all of them are moved ``steps`` times by chains that keep the next law. A run
    ends when the weights ``1{event} / h_j`` vary no more than ``target_cv`` [1]_.

    The products of the mean weights so far estimate the mass of each ``h_j``. With them, the draws of all levels
    together are a sample of a mixture of laws with known densities, the target among them: every event is read from
    that mixture (`pooled_weights`), also the less rare, which the last level by itself would miss. As the level of
    step ``j``, tables and figures have the threshold less ``sigma_j``, with the mass of ``h_j`` as its probability.

    Every draw is moved and only where it ends is kept: [1]_ keeps all states of a tenth as many chains, which for the
    same evaluations gave several times the error, and estimates that were mostly too low.

    ``sigma_j`` is read from the weights that it is used in: the estimate of a run has a bias of order ``1 / samples``,
    small beside its error. The estimate is the mean of independent runs, its error their spread.

    References
    ----------
    .. [1] Papaioannou, Papadimitriou & Straub, *Sequential importance sampling for structural reliability analysis*,
       Struct. Saf. 62, 2016.
    """

    kind: ClassVar[str] = "sequential_importance"

    samples: int = 200
    target_cv: float = 0.7
    steps: int = 10
    moves: Moves = "adaptive"
    max_levels: int = 50

    def __post_init__(self) -> None:
        object.__setattr__(self, "samples", whole("samples", self.samples, MIN_SAMPLES))
        object.__setattr__(self, "max_levels", whole("max_levels", self.max_levels))
        object.__setattr__(self, "steps", whole("steps", self.steps))
        positive("target_cv", self.target_cv)
        one_of("moves", self.moves, Moves)

    def run(
        self, evaluate: Evaluate, dim: int, thresholds: Float, rng: np.random.Generator, max_evaluations: int
    ) -> Run:
        walk = Walk(evaluate, rng, self.moves)
        n, goal = self.samples, float(thresholds.max())
        steps: list[Step] = []
        losses: list[Float] = []
        draws: list[Float] = []
        widths, logs = [math.inf], [0.0]
        counted = 0
        u, loss = walk.fresh(n, dim)
        log_h = np.zeros(n)
        while True:
            losses.append(loss)
            draws.append(u[loss >= thresholds.min()])
            spent, counted = walk.evaluations - counted, walk.evaluations
            log_w = np.where(loss >= goal, 0.0, -np.inf) - log_h
            reached = _variation(log_w) <= self.target_cv
            width = 0.0 if reached else next_width(loss - goal, log_h, widths[-1], self.target_cv)
            if width > 0:
                log_w = soft(goal, width)(loss) - log_h
            level = float(loss.max()) if math.isnan(width) else goal - width
            share, ess = float(np.mean(loss >= level)), n / (1.0 + _variation(log_w) ** 2)
            log_mass = logs[-1] + _log_mean(log_w)
            steps.append(Step(level, share, log_mass, n, spent, ess, walk.step))
            outcome = self._ended(len(steps), reached, width, counted + max(spent, n * self.steps), max_evaluations)
            if outcome:
                break
            widths.append(width)
            logs.append(log_mass)
            parents = _resampled(log_w, rng)
            u, loss = np.asfortranarray(u[parents]), loss[parents]
            for turn in range(1, self.steps + 1):
                u, loss = walk.advance(u, loss, soft(goal, width), 1.0 / math.sqrt(turn))
            log_h = soft(goal, width)(loss)
        everyone = np.concatenate(losses)
        log_weight = pooled_weights(everyone, goal, widths, logs)
        hits = [np.where(everyone >= t, log_weight, -np.inf) for t in thresholds]
        in_events = everyone[everyone >= thresholds.min()]
        return Run(
            log_probabilities=np.array([_log_mean(w) for w in hits]),
            steps=tuple(steps),
            loss=everyone,
            log_weight=log_weight,
            evaluations=counted,
            outcome=outcome,
            ends=Ends.of_run(np.concatenate(draws), in_events, thresholds),
        )

    def _ended(self, levels: int, reached: bool, width: float, next_cost: int, max_evaluations: int) -> str:
        """Why a run ends after so many levels; empty where it goes on."""
        if reached:
            return REACHED
        if math.isnan(width):
            return f"level stalled after {levels} levels: no draw has a larger loss than the others"
        if levels == self.max_levels:
            return f"threshold not reached in {levels} levels"
        if next_cost > max_evaluations:
            return f"budget of {max_evaluations:,} evaluations spent after {levels} levels"
        return ""

    def cost(self, latent_dim: int, dim: int) -> int:
        return self.samples * (1 + 8 * self.steps * (1 if self.moves == "adaptive" else 4))

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


def soft(goal: float, sigma: float) -> LogFactor:
    """``log Phi((loss - goal) / sigma)``: a smooth indicator of the event."""
    from scipy.special import log_ndtr

    def log_factor(loss: Float) -> Float:
        log_f: Float = log_ndtr((loss - goal) / sigma)
        return log_f

    return log_factor


def pooled_weights(loss: Float, goal: float, widths: list[float], log_masses: list[float]) -> Float:
    """Log weights (k,), in nats, of the target against the mixture of the laws of all levels in equal shares.

    ``-log(mean_j h_j / P_j)``, with ``P_j`` the mass of ``h_j``: the balance heuristic of [1]_. No weight exceeds the
    number of levels.

    Parameters
    ----------
    loss : (k,) float64
        Signed losses.
    goal : float
        Signed threshold.
    widths, log_masses : list of float
        ``sigma_j`` and ``log P_j`` of each level; infinite and 0 for the target.

    References
    ----------
    .. [1] Veach & Guibas, *Optimally combining sampling techniques for Monte Carlo rendering*, SIGGRAPH 1995.
    """
    densities = [soft(goal, w)(loss) - log for w, log in zip(widths[1:], log_masses[1:], strict=True)]
    mixture: Float = np.logaddexp.reduce([np.zeros(loss.size), *densities], axis=0)
    return math.log(len(widths)) - mixture


def next_width(margin: Float, log_h: Float, sigma: float, target_cv: float) -> float:
    """The width below ``sigma`` for which the weights ``h / h_before`` vary by ``target_cv``; NaN where none vary.

    Parameters
    ----------
    margin : (n,) float64
        Signed loss minus threshold, of draws of the current law.
    log_h : (n,) float64
        Log of the current smooth indicator, in nats.
    sigma : float
        Its width, infinite for the target itself.
    target_cv : float
        What is asked for. Where losses are tied so that even the narrowest indicator varies less, nine tenths of what
        that gives: a width far below the distance to the threshold would weigh draws that are still outside as if the
        inside had been seen.
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
    """Coefficient of variation of weights; infinite where all are zero."""
    top = float(log_w.max())
    if top == -math.inf:
        return math.inf
    w = np.exp(log_w - top)
    return float(w.std() / w.mean())


def _log_mean(log_w: Float) -> float:
    """Log of the mean weight, in nats; ``-inf`` where all are zero."""
    top = float(log_w.max())
    return top + math.log(float(np.exp(log_w - top).mean())) if top > -math.inf else -math.inf


def _resampled(log_w: Float, rng: np.random.Generator) -> NDArray[np.intp]:
    """As many rows as there are, in proportion to their weights, at evenly spaced points with one random offset."""
    total = np.cumsum(np.exp(log_w - log_w.max()))
    n = log_w.size
    places = (np.arange(n) + rng.random()) * (total[-1] / n)
    rows: NDArray[np.intp] = np.searchsorted(total, places, side="right")
    return np.minimum(rows, n - 1)

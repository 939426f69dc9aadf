"""Directional sampling."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from raresim.arguments import checks
from raresim.engine.fold import Sampler
from raresim.engine.problem import Space
from raresim.engine.session import Session
from raresim.errors import FieldError
from raresim.estimators.directions import Directions, System
from raresim.methods.base import Held, Method, Tuned
from raresim.methods.grids import settle
from raresim.methods.regions import iteration
from raresim.numerics.arrays import Float
from raresim.registry import member

TRIAL_RAYS = 256
"""Rays, in whole rows, from which cost, variance and grid are planned."""

LEAST_TRIAL = 16
"""Smallest number of rows of the trial, if the budget allows it."""

MIN_HITS = 10
"""Smallest number of trial rows in the event from which anything is planned."""

WIDEST = math.log(1e-30)
"""Log of the probability beyond the trial's grid, at either end."""

BEYOND = math.log(1e-7)
"""Log of the same for the final grid, relative to the estimate of the trial."""

GOOD_UP_TO = 20
"""Dimension beyond which few directions meet a small event."""


@member("method")
@dataclass(frozen=True, kw_only=True)
class DirectionalSampling(Method):
    """For up to about 20 standard normals and events in any direction: the exact probability along random rays.

    Parameters
    ----------
    system : "orthogonal", "antithetic" or "independent"
        Rays of a row: a random orthogonal basis with its opposites, one ray with its opposite, or one ray.
    step : float
        First spacing of the grid along a ray, in standard deviations, at most 4. It is halved if a trial sees more on a
        grid of half the spacing; narrower parts of the event may be missed.

    Raises
    ------
    FieldError
        When an option is out of range.

    Notes
    -----
    See `raresim.estimators.directions.Directions` for the estimate and what it misses. There is no search: every
    direction is as likely as any other, so a region is only overlooked if the grid or the number of rows is too coarse.
    """

    kind: ClassVar[str] = "directional_sampling"
    bounds_failures: ClassVar[bool] = False
    both_sides: ClassVar[bool] = True

    system: System = "orthogonal"
    step: float = 1.0

    def __post_init__(self) -> None:
        checks.one_of("system", self.system, System)
        if not 0 < self.step <= 4:
            raise FieldError("step", f"must be above 0 and at most 4, got {self.step:.15g}")

    @property
    def weighs_draws(self) -> bool:
        return False

    @property
    def draws_in(self) -> Space:
        return "standard"

    def rays(self, dim: int) -> int:
        """Rays of a row."""
        return {"orthogonal": 2 * dim, "antithetic": 2, "independent": 1}[self.system]

    def cost(self, latent_dim: int, dim: int) -> int:
        nodes = self.grid(latent_dim, WIDEST, self.step).size
        return self.trial(latent_dim) * self.rays(latent_dim) * (3 * nodes + 20)

    def row_cost(self, dim: int) -> int:
        """Largest number of evaluations of a trial row."""
        return 2 * self.rays(dim) * self.grid(dim, WIDEST, self.step).size

    def refuse_budget(self, dim: int, max_evaluations: int) -> None:
        each = self.row_cost(dim)
        if max_evaluations // 2 // each < 2:
            raise FieldError(
                "max_evaluations",
                f"must be at least {4 * each:,}: a row of {self.rays(dim)} rays takes up to {each:,} evaluations, "
                f"got {max_evaluations:,}; or use method cross_entropy",
                ("stop",),
            )

    def memory(self, latent_dim: int, dim: int, budget: int) -> Held:
        """The rays of a block."""
        rays = self.rays(latent_dim)
        return Held(0, 4 * min(64, max(1, budget // rays)) * rays * latent_dim)

    def trial(self, dim: int) -> int:
        """Rows of the trial."""
        return max(LEAST_TRIAL, TRIAL_RAYS // self.rays(dim))

    def describe(self) -> list[str]:
        return [
            f"directional sampling, {self.system} directions",
            f"grid along a ray: every {self.step:g} standard deviations",
        ]

    def grid(self, dim: int, log_beyond: float, step: float) -> Float:
        """Radii between which the norm of ``dim`` standard normals lies, except ``exp(log_beyond)`` at either end."""
        from scipy.special import gammainccinv, gammaincinv

        beyond = math.exp(max(log_beyond, -700.0))
        low = math.sqrt(2.0 * float(gammaincinv(0.5 * dim, beyond)))
        high = math.sqrt(2.0 * float(gammainccinv(0.5 * dim, beyond)))
        return np.linspace(low, high, math.ceil((high - low) / step) + 1)

    def tune(self, session: Session) -> Tuned:
        dim = session.problem.dim
        sampler = Sampler(session.problem, None, session.seed)

        def rows(step: float, log_beyond: float = WIDEST) -> Directions:
            return Directions(sampler, tuple(session.events), self.system, self.grid(dim, log_beyond, step))

        self.refuse_budget(dim, session.max_evaluations)
        half = session.max_evaluations // 2
        n = min(self.trial(dim), half // self.row_cost(dim))
        trial = settle(session, rows, self.step, n, "trial rays", half)
        tail = trial.summary.tail
        events = range(tail.hits.size)
        hit = int(tail.hits.min())
        planned = hit >= MIN_HITS
        beyond = min(tail.log_probability(k) for k in events) + BEYOND if planned else WIDEST
        final = rows(trial.step, beyond)
        cost = trial.summary.evaluations / n
        saved = self.rays(dim) * (rows(trial.step).nodes.size - final.nodes.size)
        low, high = final.nodes[0], final.nodes[-1]
        text = "the sample size is planned from their variance" if planned else "too few to plan the sample size"
        hard = "" if dim <= GOOD_UP_TO else f" In {dim} dimensions few directions meet a small event."
        return Tuned(
            proposal=None,
            iterations=(iteration("all", 0, math.nan, trial.evaluations, hit, hit / n),),
            evaluations=trial.evaluations,
            variances=tuple(n * tail.relative_error(k) ** 2 for k in events) if planned else None,
            outcome="directions are uniform, without a search",
            estimator=replace(final, cost=cost - saved),
            facts=trial.facts,
            decisions=(
                f"Of {n} trial rows of {self.rays(dim)} rays {hit} met the rarest event, at {cost:.3g} evaluations "
                f"each; {text}.{hard}",
                f"Each ray is evaluated every {trial.step:.3g} standard deviations from {low:.3g} to {high:.3g}, then "
                "the boundaries of the event in between are found; a part narrower than this step may be missed.",
                trial.decision,
            ),
        )

    @staticmethod
    def examples() -> list[DirectionalSampling]:
        """Members for the conformance tests."""
        return [DirectionalSampling(), DirectionalSampling(system="antithetic", step=0.7)]

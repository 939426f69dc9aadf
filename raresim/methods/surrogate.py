"""A Gaussian process in the place of a costly loss, and true evaluations that correct it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from raresim.arguments.checks import FolderPath, whole
from raresim.engine.problem import Problem, Space
from raresim.engine.session import Session
from raresim.errors import FieldError
from raresim.losses.base import Loss
from raresim.measures.base import Measure
from raresim.measures.expected_shortfall import ExpectedShortfall
from raresim.measures.probability import Probability
from raresim.measures.value_at_risk import ValueAtRisk
from raresim.methods.base import Held, Method, Tuned
from raresim.methods.surrogate_design import least_budget
from raresim.methods.surrogate_run import FINAL, SurrogateRun, search_budget
from raresim.methods.surrogate_search import LEARNT, MOST_LEARNT
from raresim.registry import member
from raresim.search.explorer import Explorer
from raresim.search.hits import cost_by_hits

MOST_INPUTS = 50
"""Inputs up to which a first design is affordable. Beyond a dozen no result is trusted (see
`raresim.diagnostics.surrogate`): it may be right where the loss depends on few directions."""


@member("method")
@dataclass(frozen=True, kw_only=True)
class Surrogate(Method):
    """A Gaussian process learns the loss from few evaluations; further evaluations correct its estimate.

    For a loss that takes seconds or hours, has at most twelve inputs and changes smoothly with them. Up to fifty inputs
    are accepted, but no result with more than twelve is trusted.

    Parameters
    ----------
    batch : int
        Number of evaluations made at the same time while the surrogate learns, for programs that can run side by side.
    evaluations : path, optional
        The folder of an earlier run with this method, with the same inputs and loss. The surrogate learns from its
        evaluations without making them again, whatever the threshold and the budget of that run were. They do not count
        towards the budget of this run.

    Raises
    ------
    FieldError
        When an option is out of range.

    Notes
    -----
    It learns where the process is unsure on which side of the threshold the loss lies, as adaptive kriging does [1]_,
    and then estimates its own mistakes by importance sampling, with evaluations that it does not learn from, as
    Meta-IS does [2]_. Adaptive kriging has no such correction, and no interval.

    With an approximation that serves it learns what that leaves, looks for other parts of the loss at fewer places, and
    stops once the correction is expected to need no more evaluations than it has learnt from. The correction then takes
    as few as the asked error needs, in batches of four or more.

    A value at risk moves the threshold: it learns where it expects the quantile, and corrects the probability there.
    The correction of the quantile is that of the log of the probability over the rate at which it falls, and that of an
    expected shortfall comes from the same evaluations.

    A hundred evaluations of one number cannot show a part of the loss that appears only where it fails, such as a
    second limit state in another unit. The result is trusted only where the loss is declared to be ``smooth``, and its
    evaluations do not contradict that, or where the budget pays for a search with true evaluations that follows no
    values of the loss.

    References
    ----------
    .. [1] Echard, Gayton & Lemaire, *AK-MCS: an active learning reliability method combining Kriging and Monte Carlo
       simulation*, Struct. Saf. 33, 2011.
    .. [2] Dubourg, Sudret & Deheeger, *Metamodel-based importance sampling for structural reliability analysis*,
       Probab. Eng. Mech. 33, 2013.
    """

    kind: ClassVar[str] = "surrogate"
    bounds_failures: ClassVar[bool] = False
    uses_approximation: ClassVar[bool] = True
    finds_quantiles: ClassVar[bool] = True
    unaudited: ClassVar[str] = "a costly loss leaves no evaluations for it"
    no_bounds: ClassVar[str] = "a surrogate learns nothing where evaluations fail, and then expects no event there"

    batch: int = 1
    evaluations: FolderPath | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "batch", whole("batch", self.batch, 1))
        if self.evaluations is not None:
            object.__setattr__(self, "evaluations", Path(self.evaluations).absolute())

    @property
    def weighs_draws(self) -> bool:
        return False

    @property
    def draws_in(self) -> Space:
        return "standard"

    def refuse(self, loss: Loss, measures: Sequence[Measure], relative_error: float | None) -> None:
        known = (Probability, ValueAtRisk, ExpectedShortfall)
        if other := [measure.kind for measure in measures if not isinstance(measure, known)]:
            kinds = ", ".join(one.kind for one in known)
            raise FieldError("kind", f"surrogate estimates {kinds}, got {other[0]}: use auto")
        quantiles = [measure.kind for measure in measures if not isinstance(measure, Probability)]
        if quantiles and loss.has_limit_states:
            raise FieldError(
                "kind", f"surrogate estimates a {quantiles[0]} of one number only, got limit states: use auto"
            )

    def refuse_problem(self, problem: Problem) -> None:
        if problem.dim > MOST_INPUTS:
            raise FieldError("kind", f"surrogate takes at most {MOST_INPUTS} inputs, got {problem.dim}: use auto")

    def refuse_budget(self, dim: int, max_evaluations: int) -> None:
        if max_evaluations < least_budget(dim):
            raise FieldError(
                "max_evaluations",
                f"must be at least {least_budget(dim)} for a surrogate of {dim} inputs, got {max_evaluations:,}",
                ("stop",),
            )

    def cost(self, latent_dim: int, dim: int) -> int:
        return MOST_LEARNT + cost_by_hits(latent_dim)

    def cost_within(self, budget: int, latent_dim: int, dim: int) -> int:
        search = int(search_budget(budget, latent_dim))
        return search + min(int(LEARNT * (budget - search)), MOST_LEARNT)

    def memory(self, latent_dim: int, dim: int, budget: int) -> Held:
        """Covariances of all evaluations with the pool, and the pool itself."""
        return Held(20_000 * min(budget, 2_000) + 6 * FINAL * (latent_dim + 4), 4 * FINAL * (latent_dim + 4))

    def describe(self) -> list[str]:
        together = "one by one" if self.batch == 1 else f"{self.batch} at a time"
        return [f"a Gaussian process learns the loss, {together}; true evaluations estimate its mistakes"]

    def tune(self, session: Session) -> Tuned:
        self.refuse_budget(session.problem.dim, session.max_evaluations)
        return SurrogateRun(session, Explorer(session, session.events[0].sign), self.batch, self.evaluations).tuned()

    @staticmethod
    def examples() -> list[Surrogate]:
        """Members for the conformance tests."""
        return [Surrogate(), Surrogate(batch=4)]

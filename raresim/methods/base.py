"""The contract of a method: it chooses what to draw from; the estimate is the same for all."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from raresim.diagnostics.endings import Ending
from raresim.distributions.base import Distribution
from raresim.engine.problem import Problem, Space
from raresim.engine.session import Session
from raresim.estimators.base import Estimator
from raresim.estimators.guarantee import Goal
from raresim.losses.base import Loss
from raresim.measures.base import Measure
from raresim.numerics.arrays import Float
from raresim.record.evidence import Evidence
from raresim.record.records import Iteration

Again = Callable[[Float], "Tuned"]


@dataclass(frozen=True, eq=False)
class Tuned:
    """What a method hands to the estimate stage.

    Parameters
    ----------
    proposal : Distribution or None
        The law to draw from; None is the target itself.
    iterations : tuple of Iteration
        The way there.
    evaluations : int
        Loss evaluations that tuning took.
    nominal : int
        Those among them that were drawn from the target.
    variances : tuple of float, or None
        Relative variance of one draw for each event, from draws that the estimate does not use; None: not known.
    starts, reached : int
        Climbs that were begun, and those that came to the threshold; 0 when there was no tuning.
    regions : int
        Different regions in which they ended.
    outcome : str
        The tuning's end in words.
    gave_up : tuple of Ending
        Why climbs ended before they came to the threshold, where some did.
    kl_proposal_target : float or None
        KL(proposal || target) in nats where it has a closed form (without the defensive share).
    estimator : Estimator or None
        How the independent rows of the estimate are made; None: single draws from the proposal.
    facts : mapping of str to float
        Further numbers that the verdict looks at, stored with the search; see `raresim.diagnostics.verdict`.
    decisions : tuple of str
        What the method chose and why, a sentence each, in their order.
    trace : Evidence
        Tables and plots of the way to the proposal, beyond ``iterations``.
    goals : tuple of Goal
        The hits of each event at which the estimate ends; empty where it ends with the asked error.
    again : callable, optional
        Another round of the search, from failing draws (k, d) of standard normal space that the estimate hardly made;
        ``evaluations`` of what it returns count both rounds. None where the method has none.
    mends : bool
        Whether another round also serves where the weights are heavy, from failing draws at which one would be so.
    least : int
        Evaluations that the estimate of another round takes at least.
    rows : int
        Rows of the estimate's first look at least: where the weights of the round before had no tail to be trusted, as
        many as there, so that no smaller sample passes because it has not met it.
    """

    proposal: Distribution | None
    iterations: tuple[Iteration, ...] = ()
    evaluations: int = 0
    nominal: int = 0
    variances: tuple[float, ...] | None = None
    starts: int = 0
    reached: int = 0
    regions: int = 0
    outcome: str = ""
    gave_up: tuple[Ending, ...] = ()
    kl_proposal_target: float | None = None
    estimator: Estimator | None = None
    facts: Mapping[str, float] = field(default_factory=dict)
    decisions: tuple[str, ...] = ()
    trace: Evidence = field(default_factory=Evidence)
    goals: tuple[Goal, ...] = ()
    again: Again | None = None
    mends: bool = False
    least: int = 1
    rows: int = 0

    @property
    def weighted(self) -> bool:
        """Whether rows of the estimate have weights of their own, not those of draws of the target."""
        return self.proposal is not None or self.estimator is not None


@dataclass(frozen=True)
class Held:
    """Numbers of eight bytes that a method holds at once, at most.

    Parameters
    ----------
    searching : int
        While it chooses what to draw from.
    working : int
        In each worker of the estimate, beside the draws of its blocks.
    """

    searching: int
    working: int = 0


class Method(ABC):
    """A way to choose what is drawn from.

    To add one: a frozen dataclass of options in a file of its own in this folder, decorated with
    ``@member("method")``, with a ``kind``, the methods below and ``examples()``.
    """

    kind: ClassVar[str]

    bounds_failures: ClassVar[bool] = True
    """Whether its estimate can count an evaluation that failed for both ends of the interval."""

    both_sides: ClassVar[bool] = False
    """Whether it goes to events above and below thresholds in one run."""

    @property
    def weighs_draws(self) -> bool:
        """Whether the rows of its estimate are independent draws, each with a loss and a weight."""
        return True

    @property
    @abstractmethod
    def draws_in(self) -> Space:
        """The space in which the proposal lives."""

    @abstractmethod
    def tune(self, session: Session) -> Tuned:
        """Choose the proposal. Its draws are never part of the estimate."""

    @abstractmethod
    def cost(self, latent_dim: int, dim: int) -> int:
        """Loss evaluations that tuning is expected to take, for ``raresim check``.

        Parameters
        ----------
        latent_dim, dim : int
            Coordinates of a draw in standard normal and in physical space.

        Raises
        ------
        FieldError
            When the method does not fit these dimensions.
        """

    def refuse(self, loss: Loss, measures: Sequence[Measure], relative_error: float | None) -> None:
        """Raise `FieldError` where its options do not go with the other parts of an experiment, whatever the inputs.

        Parameters
        ----------
        loss : Loss
            Not bound.
        measures : sequence of Measure
            What is asked.
        relative_error : float or None
            The error that is asked for.
        """
        return

    def refuse_problem(self, problem: Problem) -> None:
        """Raise `FieldError` where it does not go with inputs and loss; what ``raresim check`` knows of the loss.

        The loss is bound, except where that would import a user's code.
        """
        _ = problem.target  # which inputs without a density have none of in physical space

    def refuse_budget(self, dim: int, max_evaluations: int) -> None:
        """Raise `FieldError` where ``max_evaluations`` do not pay for what it begins with in ``dim`` dimensions.

        Looked at by ``raresim check`` with the budget of the run, and when tuning begins with what is left of it.
        """
        return

    def memory(self, latent_dim: int, dim: int, budget: int) -> Held:
        """What it holds of ``budget`` evaluations in all; where nothing else is known, all draws some times over.

        Parameters
        ----------
        latent_dim, dim : int
            Coordinates of a draw in standard normal and in physical space.
        budget : int
            Loss evaluations of the run.
        """
        return Held(5 * min(self.cost(latent_dim, dim), budget) * (max(latent_dim, dim) + 4))

    @abstractmethod
    def describe(self) -> list[str]:
        """Lines that say in words what the method does."""

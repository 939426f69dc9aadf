"""The contract of a method: it chooses the proposal; the estimate is the same for all methods."""

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
    """The result of a method, handed to the estimate stage.

    Parameters
    ----------
    proposal : Distribution or None
        The law to draw from; None is the target itself.
    iterations : tuple of Iteration
        The levels on the way to the proposal.
    evaluations : int
        Loss evaluations of tuning.
    nominal : int
        Those of them at draws of the target.
    variances : tuple of float, or None
        Relative variance of one draw for each event, from draws that the estimate does not use; None if unknown.
    starts, reached : int
        Number of climbs, and of climbs that reached the threshold; 0 without tuning.
    regions : int
        Number of different regions in which they ended.
    outcome : str
        The outcome of tuning in words.
    gave_up : tuple of Ending
        Why climbs ended before the threshold, if some did.
    kl_proposal_target : float or None
        KL(proposal || target) in nats, without the defensive share, if it has a closed form.
    estimator : Estimator or None
        How the independent rows of the estimate are made; None: single draws from the proposal.
    facts : mapping of str to float
        Further numbers for the verdict, stored with the search; see `raresim.diagnostics.verdict`.
    decisions : tuple of str
        What the method chose and why, a sentence each, in order.
    trace : Evidence
        Tables and plots of the way to the proposal, beyond ``iterations``.
    goals : tuple of Goal
        The hits of each event at which the estimate ends; empty if it ends with the asked error.
    again : callable, optional
        Another round of the search, from failing draws (k, d) of standard normal space that the estimate hardly made;
        its result counts ``evaluations`` of both rounds. None if the method has no further round.
    mends : bool
        Whether another round also helps against heavy weights, from failing draws at which a weight would be heavy.
    least : int
        Smallest number of evaluations for the estimate of another round.
    rows : int
        Smallest number of rows for the estimate's first look: if the weights of the round before had a tail that was
        not trusted, as many rows as there, so that no smaller sample passes because it has not met the tail.
    patience : float
        Of what a scheme offers: evaluations that its estimate may take, over those of a search, without one being made.
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
    patience: float = 1.0

    @property
    def weighted(self) -> bool:
        """Whether rows of the estimate have weights of their own, unlike draws of the target."""
        return self.proposal is not None or self.estimator is not None


@dataclass(frozen=True)
class Held:
    """Largest number of eight-byte numbers that a method holds at once.

    Parameters
    ----------
    searching : int
        While the method searches and tunes.
    working : int
        In each worker of the estimate, beside the draws of its blocks.
    """

    searching: int
    working: int = 0


class Method(ABC):
    """A way to choose the proposal.

    To add one: a frozen dataclass of options in a file of its own in this folder, decorated with
    ``@member("method")``, with a ``kind``, the methods below and ``examples()``.
    """

    kind: ClassVar[str]

    bounds_failures: ClassVar[bool] = True
    """Whether its estimate can count a failed evaluation for both ends of the interval."""

    no_bounds: ClassVar[str] = (
        "its rows are whole lines or rays, and one failed evaluation hides where the line enters the event"
    )
    """Why not, in words."""

    uses_approximation: ClassVar[bool] = False
    """Whether it makes use of an approximation of the loss."""

    finds_quantiles: ClassVar[bool] = False
    """Whether it finds the quantiles that are asked by itself, so that no pilot looks for them, and estimates them from
    rows that are no draws."""

    both_sides: ClassVar[bool] = False
    """Whether one run can have events above and below thresholds."""

    unaudited: ClassVar[str] = ""
    """Why its rows are never audited, in words; empty where an audit looks for what they miss."""

    least_time: ClassVar[str] = ""
    """What the estimate finishes when the time of a run is up, in words, where that is more than some draws."""

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
        """Expected loss evaluations of tuning, for ``raresim check``.

        Parameters
        ----------
        latent_dim, dim : int
            Coordinates of a draw in standard normal and in physical space.

        Raises
        ------
        FieldError
            When the method does not fit these dimensions.
        """

    def cost_within(self, budget: int, latent_dim: int, dim: int) -> int:
        """`cost` where a run may take ``budget`` evaluations in all."""
        return self.cost(latent_dim, dim)

    def refuse(self, loss: Loss, measures: Sequence[Measure], relative_error: float | None) -> None:
        """Raise `FieldError` if its options do not go with the other parts of an experiment, whatever the inputs are.

        Parameters
        ----------
        loss : Loss
            The loss, not bound.
        measures : sequence of Measure
            The measures of the experiment.
        relative_error : float or None
            The error that is asked for.
        """
        return

    def foreseen(self, loss: Loss, measures: Sequence[Measure], dim: int, budget: int) -> str:
        """What ``raresim check`` can say of a choice that the method will make, in words; empty where there is none.

        Parameters
        ----------
        loss : Loss
            The loss, not bound.
        measures : sequence of Measure
            The measures of the experiment.
        dim : int
            Coordinates of a draw.
        budget : int
            Evaluations of the run.
        """
        return ""

    def refuse_problem(self, problem: Problem) -> None:
        """Raise `FieldError` if it does not go with inputs and loss, as far as ``raresim check`` knows the loss.

        The loss is bound, unless that would import a user's code.
        """
        _ = problem.target  # inputs without a density have no target in physical space, and raise here

    def refuse_budget(self, dim: int, max_evaluations: int) -> None:
        """Raise `FieldError` if ``max_evaluations`` does not pay for its first step in ``dim`` dimensions.

        ``raresim check`` calls it with the budget of the run, and tuning begins with a call for what is left of it.
        """
        return

    def memory(self, latent_dim: int, dim: int, budget: int) -> Held:
        """Memory for ``budget`` evaluations in total; by default, all draws several times over.

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
        """Lines that describe in words what the method does."""

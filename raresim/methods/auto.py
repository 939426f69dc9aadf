"""The default method: it looks for the failure regions, fits, compares and chooses what to draw from by itself."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from raresim.arguments.checks import one_of, whole
from raresim.engine.problem import Space
from raresim.engine.session import Session
from raresim.errors import FieldError
from raresim.losses.base import Loss
from raresim.measures.base import Measure
from raresim.methods.auto_search import Search, cost_of_search
from raresim.methods.base import Method, Tuned
from raresim.methods.costly import why_a_surrogate
from raresim.methods.draws import Draws, are_single, drawn_as, refuse_draws, told_of
from raresim.methods.scheme import Scheme, SchemeUse, chosen
from raresim.methods.surrogate import Surrogate
from raresim.registry import member


@member("method")
@dataclass(frozen=True, kw_only=True)
class Auto(Method):
    """Looks for the failure regions and chooses the proposal by itself: begin here.

    Parameters
    ----------
    max_levels : int
        Levels after which the search for the event gives up.
    scheme : "compare", "only" or "off"
        Use of the sampling scheme that a model offers: compared with what a search finds, used alone, or not used.
    draws : "independent" or "sobol"
        How the final draws are made: one by one, or as points of scrambled Sobol' nets.
    control_variates : bool
        Whether the components of the proposal serve as control variates.

    Raises
    ------
    FieldError
        When ``max_levels`` is not a positive whole number, or the other options do not fit each other.

    Notes
    -----
    1. *First batch*: 300 draws of a widened target. An event with a probability above one fifth is left to crude Monte
       Carlo; so is one for which crude Monte Carlo costs no more than a search would, after a pilot of the target where
       the first batch comes near to that.
    2. *Walks uphill* from the highest points and along the axes, where few of these draws are in the event: design
       points, one for each failure region, and points between two axes, where a sum fails by two terms. Regions are
       told apart by whether the loss falls between two of them, and walks go on until few are likely to be left ([1]_).
    3. *Levels*: batches of mostly broadened fits, each to the draws beyond the highest level that 50 effective draws
       reach, until the event is reached. All draws so far are weighted as one sample (balance heuristic).
    4. *Refits*: batches of the proposal itself. Candidates (mixtures with free or pooled variances, their number of
       components by BIC; the target tilted by a quadratic that is fitted to the losses near the threshold; in many
       dimensions one tilt that all coordinates share) get shares by the likelihood of fresh draws in the event, which
       is minus their cross-entropy. Broadened copies of them and laws of the search get the shares that make the
       variance smallest, 7.5 % at least. Refits end when they have cost a quarter of what the estimate is expected to
       cost: one more could no longer save what it takes.
    5. *Estimate*: fresh draws of the last proposal alone. Draws that a proposal was fitted to would bias it low. Where
       its largest weights would not be trusted (k-hat, largest share), as many are made again, at most twice.
    6. *Another round* where the audit finds failing draws that the proposal hardly makes, or where the weights stay
       heavy: from these draws, or from those at which a row would be heaviest.

    Where some of several events are common (about one fifth and more), three tenths of the draws come from the target
    and nothing is fitted to these events.

    Where rows of the search failed and are bounded, a tenth of the final draws comes from the target: what fails may
    lie where the proposal hardly goes, and the upper end of the interval has to see it.

    Where the proposal would need more draws than subset simulation or crude Monte Carlo, these are used instead.

    References
    ----------
    .. [1] Boender & Rinnooy Kan, *Bayesian stopping rules for multistart global optimization methods*,
       Math. Program. 37, 1987.
    """

    kind: ClassVar[str] = "auto"

    max_levels: int = 40
    scheme: SchemeUse = "compare"
    draws: Draws = "independent"
    control_variates: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "max_levels", whole("max_levels", self.max_levels))
        one_of("scheme", self.scheme, SchemeUse)
        refuse_draws(self.draws, self.control_variates)
        if self.draws == "antithetic":
            raise FieldError("draws", "cannot be 'antithetic': the laws that are fitted are not symmetric")

    @property
    def weighs_draws(self) -> bool:
        return are_single(self.draws, self.control_variates)

    @property
    def draws_in(self) -> Space:
        return "standard"

    def tune(self, session: Session) -> Tuned:
        counts = session.beyond is None and session.drawing is None
        if why := self._costly(session.problem.loss, session.problem.dim, session.max_evaluations, counts):
            tuned = Surrogate().tune(session)
            return replace(tuned, decisions=(why, *tuned.decisions))
        if self.scheme == "only" and session.scheme is None:
            raise FieldError(
                "scheme", "must not be 'only': inputs and loss of this run come from no model that has one"
            )
        scheme = session.scheme if isinstance(session.scheme, Scheme) and self.scheme != "off" else None
        offered = None if scheme is None else scheme.tune(session)
        if self.scheme == "only" and offered is None:
            raise FieldError("scheme", "must not be 'only': the scheme of the model does not serve these measures")
        if offered is None:
            return self._searched(session)
        session.max_evaluations -= offered.evaluations
        cost = offered.patience * self.cost(session.problem.dim, session.problem.dim)
        return chosen(offered, lambda most: self._searched(session, most), self._needed(session, offered), cost)

    def _costly(self, loss: Loss, dim: int, budget: int, counts: bool) -> str:
        """Why the run is left to a surrogate; empty where it is not, and where options ask for a search."""
        return why_a_surrogate(loss, dim, budget, counts) if self == Auto() else ""

    def foreseen(self, loss: Loss, measures: Sequence[Measure], dim: int, budget: int) -> str:
        return self._costly(loss, dim, budget, all(measure.keeps == "counts" for measure in measures))

    def _searched(self, session: Session, most: float = math.inf) -> Tuned:
        """What a search of at most ``most`` evaluations finds; later rounds have all that the session has."""
        search = Search(session, self.max_levels, self.draws == "independent", most)
        found = search.run()
        search.most = math.inf
        return self._drawn(found, search)

    def _needed(self, session: Session, offered: Tuned) -> float:
        """Evaluations that the estimate of the scheme is expected to need; 0 where no search is wanted."""
        if self.scheme == "only":
            return 0.0
        if offered.variances is None:
            return math.inf
        return max(offered.variances) / (session.relative_error or 0.01) ** 2

    def _drawn(self, tuned: Tuned, search: Search) -> Tuned:
        """``tuned`` with draws as they were asked for, and with the way to another round."""
        if tuned.estimator is None and tuned.proposal is not None:
            tuned = drawn_as(tuned, search.session, self.draws, self.control_variates)
        return replace(tuned, again=lambda missed: self._drawn(search.again(missed), search), mends=True)

    def cost(self, latent_dim: int, dim: int) -> int:
        return cost_of_search(latent_dim)

    def describe(self) -> list[str]:
        fresh = "fresh draws" + told_of(self.draws, self.control_variates)
        return [f"chosen by the program: search for failure regions, fitted mixture proposals, {fresh}"]

    @staticmethod
    def examples() -> list[Auto]:
        """Members for the conformance tests."""
        return [Auto(), Auto(max_levels=20), Auto(draws="sobol"), Auto(control_variates=True)]

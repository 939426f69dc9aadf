"""Importance sampling from a proposal that the user states."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from raresim.arguments import checks
from raresim.distributions.base import Distribution
from raresim.distributions.mixture import Mixture
from raresim.distributions.normal import Normal, gaussian_moments
from raresim.distributions.standard_normal import StandardNormal
from raresim.engine.fold import Sampler
from raresim.engine.problem import Space
from raresim.engine.session import Session
from raresim.errors import FieldError
from raresim.information import kl_normal
from raresim.methods.base import Method, Tuned
from raresim.methods.draws import Draws, are_single, estimator_for, refuse_draws
from raresim.registry import member


@member("method")
@dataclass(frozen=True, kw_only=True, eq=False)
class Importance(Method):
    """For a law that is known to suit the event: draw from the given ``q``, weigh every draw by ``p/q``.

    Parameters
    ----------
    proposal : Distribution
        The law ``q``, with the dimension of its space.
    space : "standard" or "physical"
        Whether ``q`` is a law of the standard normals behind the inputs, or of the risk factors.
    defensive : float
        Share of the draws taken from the target instead: bounds every weight by its inverse.
    draws : "independent", "antithetic" or "sobol"
        Single draws; pairs that mirror each other about the centre of their component; or the points of independently
        scrambled Sobol' nets, which pay if the loss is smooth and few directions matter.
    control_variates : bool
        Whether the components of ``q``, a mixture (a defensive share makes one), correct the estimate.

    Raises
    ------
    FieldError
        When ``defensive`` is not a share below one, ``q`` does not have the dimension of the space, or ``q`` does not
        allow the draws or the control variates.

    Notes
    -----
    The estimate is ``(1/n) sum_i 1{x_i in A} p(x_i)/q(x_i)``, unbiased when ``q > 0`` wherever ``p 1_A > 0``.

    References
    ----------
    .. [1] Owen, *Monte Carlo theory, methods and examples*, 2013, ch. 9.
    """

    kind: ClassVar[str] = "importance"
    both_sides: ClassVar[bool] = True

    proposal: Distribution
    space: Space = "standard"
    defensive: float = 0.0
    draws: Draws = "independent"
    control_variates: bool = False

    def __post_init__(self) -> None:
        checks.one_of("space", self.space, Space)
        if not 0 <= self.defensive < 1:
            raise FieldError("defensive", f"must be at least 0 and below 1, got {self.defensive:.15g}")
        stand_in = StandardNormal(dim=self.proposal.dim)
        refuse_draws(self.draws, self.control_variates, Mixture.defensive(self.proposal, stand_in, self.defensive))

    @property
    def weighs_draws(self) -> bool:
        return are_single(self.draws, self.control_variates)

    @property
    def draws_in(self) -> Space:
        return self.space

    def tune(self, session: Session) -> Tuned:
        problem = session.problem
        self.cost(problem.inputs.latent_dim, problem.inputs.dim)
        law = Mixture.defensive(self.proposal, problem.target, self.defensive)
        sampler = Sampler(problem, law, session.seed)
        return Tuned(
            proposal=law,
            kl_proposal_target=_closed_kl(self.proposal, problem.target),
            estimator=estimator_for(
                sampler,
                session.events,
                self.draws,
                self.control_variates,
                budget=session.unreserved,
            ),
        )

    def cost(self, latent_dim: int, dim: int) -> int:
        needed = latent_dim if self.space == "standard" else dim
        if self.proposal.dim != needed:
            raise FieldError(
                "proposal", f"must have {needed} coordinates ({self.space} space), got {self.proposal.dim}"
            )
        return 0

    def describe(self) -> list[str]:
        share = f", {self.defensive:.0%} of the draws from the target" if self.defensive else ""
        how = "" if self.draws == "independent" else f", {self.draws} draws"
        controls = ", its components as control variates" if self.control_variates else ""
        return [f"importance sampling in {self.space} space, proposal {self.proposal.kind}{share}{how}{controls}"]

    @staticmethod
    def examples() -> list[Importance]:
        """Members for the conformance tests."""
        return [
            Importance(proposal=Normal(mean=2.0, std=1.0, dim=3), defensive=0.1),
            Importance(proposal=Normal(mean=2.0, std=1.0, dim=3), space="physical"),
            Importance(proposal=Normal(mean=1.7, std=1.0, dim=3), draws="antithetic"),
            Importance(proposal=Normal(mean=1.7, std=1.0, dim=3), draws="sobol"),
            Importance(proposal=Normal(mean=1.7, std=1.0, dim=3), defensive=0.1, control_variates=True),
        ]


def _closed_kl(proposal: Distribution, target: Distribution) -> float | None:
    """KL(proposal || target) in nats between two normal laws, else None."""
    p, q = gaussian_moments(proposal), gaussian_moments(target)
    return None if p is None or q is None else kl_normal(*p, *q)

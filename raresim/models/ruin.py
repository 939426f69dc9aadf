"""The ruin of an insurer: claims arrive, premiums come in, and the reserve is spent."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from raresim.arguments import checks
from raresim.distributions.base import Inputs
from raresim.errors import FieldError
from raresim.losses.base import Loss
from raresim.marginals.base import Marginal
from raresim.marginals.exponential import Exponential
from raresim.marginals.negative_binomial import NegativeBinomial
from raresim.marginals.twist import Twistable
from raresim.methods.scheme import FirstOf, Scheme
from raresim.models.base import Model
from raresim.models.compound import Compound
from raresim.models.controls import Control
from raresim.models.insurance.lines import Line
from raresim.models.queues import exact
from raresim.models.queues.ladder import ladder_height
from raresim.models.queues.siegmund import Siegmund
from raresim.models.queues.walk import WalkMaximum
from raresim.models.queues.walk_scheme import BigStep, WalkTwist
from raresim.registry import member

if TYPE_CHECKING:
    from raresim.record.records import Estimate

SPREAD, MORE = 12.0, 20
"""Claims of a path: the expected number by the horizon, so many standard deviations, and so many more."""

MOST_STEPS = 20_000
"""Claims of a path, at most."""


@member("model")
@dataclass(frozen=True, kw_only=True, eq=False)
class Ruin(Model):
    """The Cramer-Lundberg model: the largest surplus of the claims over the premiums so far.

    The loss is this surplus: it reaches ``u`` where an initial reserve of ``u`` is ruined. So ``above: u`` asks for the
    probability of ruin, and a value at risk for the reserve that keeps it at a level.

    Parameters
    ----------
    claims : Marginal
        The law of a claim, not negative.
    arrival_rate : float
        Claims in a unit of time, by a Poisson process.
    premium_rate : float
        Premiums in a unit of time.
    horizon : float, optional
        The time up to which ruin counts; without it, ruin at any time.

    Raises
    ------
    FieldError
        When an argument is out of range, and when claims take at least the premiums and there is no horizon: then ruin
        is certain.

    Notes
    -----
    *At any time* the maximum is a sum of a geometric number of ladder heights (Pollaczek and Khinchine, [1]_ ch. IV):
    inputs and loss are those of a compound model with this number and those sizes, exactly. *By a horizon*, they are
    the claims of a path and the times between them, so many that more would arrive with a probability of about 1e-20.

    With exponential moments, Siegmund's twist is offered; with heavy tails, never: there the largest claim is drawn
    given all others.

    References
    ----------
    .. [1] Asmussen & Albrecher, *Ruin probabilities*, 2nd ed., 2010.
    """

    kind: ClassVar[str] = "ruin"

    claims: Marginal
    arrival_rate: float
    premium_rate: float
    horizon: float | None = None

    def __post_init__(self) -> None:
        for name in ("arrival_rate", "premium_rate"):
            object.__setattr__(self, name, checks.positive(name, getattr(self, name)))
        if not self.claims.support[0] >= 0:
            raise FieldError("claims", f"must be a law of no negative claims, got {self.claims.describe()}")
        mean = self.claims.moments().mean
        if not mean < math.inf:
            raise FieldError("claims", f"must have a finite mean: ruin is certain, got {self.claims.describe()}")
        if self.horizon is None:
            self._check_load(mean)
        else:
            object.__setattr__(self, "horizon", checks.positive("horizon", self.horizon))
            if self.arrival_rate * self.horizon > MOST_STEPS / 2:
                raise FieldError(
                    "horizon",
                    f"must bring at most {MOST_STEPS // 2:,} claims: each is drawn, got "
                    f"{self.arrival_rate * self.horizon:,.0f}; without it, ruin at any time is exact",
                )

    def _check_load(self, mean: float) -> None:
        if self.claims.discrete:
            raise FieldError(
                "claims", f"must have a density where there is no horizon, got {self.claims.describe()}; give a horizon"
            )
        if self.load >= 1.0:
            raise FieldError(
                "premium_rate",
                f"must exceed the expected claims of a unit of time, {self.arrival_rate * mean:g}: ruin is certain, "
                f"got {self.premium_rate:g} (rho = {self.load:g}); raise it, or give a horizon",
            )

    @property
    def load(self) -> float:
        """``rho``: expected claims over premiums."""
        return self.arrival_rate * self.claims.moments().mean / self.premium_rate

    @cached_property
    def ladder(self) -> Compound:
        """The compound model of the maximum at any time."""
        number = NegativeBinomial(n=1.0, p=1.0 - self.load)
        return Compound(lines=[Line(name="claims", frequency=number, severity=ladder_height(self.claims))])

    @cached_property
    def walk(self) -> WalkMaximum:
        """The walk up to the horizon."""
        many = self.arrival_rate * (self.horizon or 0.0)
        steps = math.ceil(many + SPREAD * math.sqrt(many)) + MORE
        gaps = Exponential(scale=1.0 / self.arrival_rate)
        names = ("claim", "gap", "premiums")
        return WalkMaximum(self.claims, gaps, self.premium_rate, steps, self.horizon or math.inf, names)

    @cached_property
    def inputs(self) -> Inputs:
        return self.ladder.inputs if self.horizon is None else self.walk.inputs

    @cached_property
    def loss(self) -> Loss:
        return self.ladder.loss if self.horizon is None else self.walk

    @property
    def is_heavy(self) -> bool:
        """Whether claims have no exponential moment."""
        return Twistable(self.claims).is_heavy

    @property
    def scheme(self) -> Scheme:
        if self.horizon is not None:
            return BigStep(self.walk) if self.is_heavy else WalkTwist(self.walk)
        twist = Siegmund(Twistable(self.ladder.lines[0].severity), self.load)
        others = self.ladder.scheme
        schemes = () if others is None else others.schemes
        return FirstOf(schemes) if self.is_heavy and schemes else FirstOf((twist, *schemes))

    def quantile(self, tail: float) -> float | None:
        law = self.claims
        if self.horizon is not None or not isinstance(law, Exponential) or law.loc != 0:
            return None
        return exact.reserve_exponential(1.0 / law.scale, self.load, tail)

    def controls(self, estimates: Sequence[Estimate], preset: str | None) -> tuple[Control, ...]:
        return tuple(
            control
            for e in estimates
            if e.kind == "probability" and e.direction == "above" and e.threshold is not None and e.threshold > 0
            for control in self._controls(e)
        )

    def _controls(self, e: Estimate) -> list[Control]:
        """What is known of one probability of ruin."""
        u, horizon = float(e.threshold or 0.0), self.horizon
        law, found = self.claims, []
        if isinstance(law, Exponential) and law.loc == 0:
            if horizon is None:
                value, name = exact.ruin_exponential(1.0 / law.scale, self.load, u), "ruin with exponential claims"
            else:
                time = self.premium_rate * horizon / law.scale
                value = exact.ruin_exponential_by(self.load, u / law.scale, time)
                name = "ruin by a horizon with exponential claims"
            found.append(Control(name, e.label, value, e.value, "nothing", 1e-6))
        if horizon is None and self.is_heavy:
            value = self.load / (1.0 - self.load) * float(self.ladder.lines[0].severity.sf(u))
            found.append(Control("one large claim", e.label, value, e.value, "a reserve so large that one claim ruins"))
        gamma = None if self.is_heavy or (horizon is not None and self.load >= 1.0) else self.exponent
        if gamma is not None:
            value = math.exp(-gamma * u)
            found.append(Control("Lundberg's bound", e.label, value, e.value, "nothing; it is an upper bound"))
        return found

    @cached_property
    def exponent(self) -> float | None:
        """Lundberg's exponent, over the unit of claims; None where there is none."""
        return self.walk.exponents.adjustment

    def notes(self) -> list[str]:
        if not self.is_heavy:
            return []
        how = "the largest claim is drawn given all others (Asmussen-Kroese)"
        return [f"claims have no exponential moment, so there is no twist: {how}"]

    def files(self) -> list[Path]:
        return []

    def describe(self) -> list[str]:
        when = "at any time" if self.horizon is None else f"by time {self.horizon:g}"
        return [
            f"Cramer-Lundberg model: the largest surplus of claims over premiums, ruin {when}",
            f"claims {self.claims.describe()}, {self.arrival_rate:g} in a unit of time, premium rate "
            f"{self.premium_rate:g}: expected claims are {self.load:.4g} of the premiums",
        ]

    @staticmethod
    def examples() -> list[Ruin]:
        """Members for the conformance tests."""
        from raresim.marginals.generalised_pareto import GeneralisedPareto

        return [
            Ruin(claims=Exponential(), arrival_rate=0.75, premium_rate=1.0),
            Ruin(claims=Exponential(scale=2.0), arrival_rate=0.4, premium_rate=1.0, horizon=20.0),
            Ruin(claims=GeneralisedPareto(xi=0.3), arrival_rate=0.5, premium_rate=1.0, horizon=20.0),
        ]

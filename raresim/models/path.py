"""A path: of a price, of a walk or of returns, and what is asked of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path as File
from typing import TYPE_CHECKING, Any, ClassVar

from raresim.arguments import checks
from raresim.distributions.base import Inputs
from raresim.errors import FieldError
from raresim.methods.scheme import FirstOf, Scheme
from raresim.models.base import Model
from raresim.models.controls import Control
from raresim.models.paths.drift_scheme import PathDrift
from raresim.models.paths.exact import controls_of
from raresim.models.paths.garch import GarchReturns
from raresim.models.paths.gbm import GeometricBrownian
from raresim.models.paths.path_loss import (
    Average,
    Construction,
    Monitoring,
    Option,
    PathLoss,
    Payoff,
    Quantity,
)
from raresim.models.paths.plain_scheme import PlainPaths
from raresim.models.paths.process import Process
from raresim.models.paths.twist_scheme import PathTwist
from raresim.models.paths.walk import RandomWalk
from raresim.registry import member

if TYPE_CHECKING:
    from raresim.record.records import Estimate

MOST_STEPS = 20_000
WITH_BARRIER = ("first_passage", "knock_in", "knock_out")
WATCHED = ("maximum", "minimum", *WITH_BARRIER)
"""Quantities that a path may reach between its dates."""


@member("model")
@dataclass(frozen=True, kw_only=True, eq=False)
class Path(Model):
    """A path of a price, of a random walk or of returns, and a number that is asked of it.

    Parameters
    ----------
    process : Process
        What moves along the path: walk, gbm, merton, heston or garch.
    steps : int
        Number of steps of the path; its dates are the ends of the steps.
    horizon : float, optional
        Time of the whole path, such as 0.25 years, for gbm, merton and heston. A step of a walk, and of garch, is the
        unit of time itself.
    quantity : str
        What is asked: end; maximum or minimum, the start included; drawdown, the largest fall from the highest point
        before; first_passage, the time at which the barrier is reached; knock_in or knock_out; average, over all dates;
        n_day_loss, the largest fall over any ``days`` steps. Falls of a price are fractions of it.
    barrier : float, optional
        Level of the barrier in the unit of the path, for first_passage, knock_in and knock_out.
    strike : float, optional
        Level beyond which the path has to end, for knock_in and knock_out; a digital without a strike asks for the
        barrier alone.
    option : "call" or "put"
        Whether the path has to end above the strike (call) or below it (put).
    payoff : "digital" or "vanilla"
        Payoff of knock_in and knock_out. The loss of a digital is the margin by which the worse of the two conditions
        is met, in logs of a price: ``above: 0`` asks for the probability that it pays. The loss of a vanilla is what it
        pays.
    monitoring : "discrete" or "continuous"
        Whether barriers and extremes are watched at the dates alone, or also between them by the exact law of the
        Brownian bridge; the latter for gbm and for a walk with normal steps.
    average : "arithmetic" or "geometric"
        The kind of average, for quantity average.
    days : int, optional
        Number of steps of an n_day_loss; by default all steps of the path.
    construction : "increments" or "bridge"
        Whether the normals of a path are those of its steps, or those of a Brownian bridge, the end of the path first:
        the order for nets of points (``draws: sobol``). For gbm, merton and heston.

    Raises
    ------
    FieldError
        When an argument is out of range or does not go with the others, such as a barrier that is hit already.

    Notes
    -----
    Where a barrier is not reached by the horizon, the loss of first_passage is the horizon times one plus the share of
    the way that was left: ask for ``below: t`` with a time up to the horizon.

    Paths of independent steps (walk, gbm, merton) are drawn under an exponential twist until they reach the barrier,
    and under another one back to a strike; other quantities, and heston, with a drift by cross-entropy; garch as it is,
    where that costs no more than a search.
    """

    kind: ClassVar[str] = "path"

    process: Process
    steps: int
    horizon: float | None = None
    quantity: Quantity
    barrier: float | None = None
    strike: float | None = None
    option: Option = "call"
    payoff: Payoff = "digital"
    monitoring: Monitoring = "discrete"
    average: Average = "arithmetic"
    days: int | None = None
    construction: Construction = "increments"

    def __post_init__(self) -> None:
        object.__setattr__(self, "steps", checks.dimension("steps", self.steps, 1, MOST_STEPS))
        words: dict[str, Any] = {
            "quantity": Quantity,
            "option": Option,
            "payoff": Payoff,
            "monitoring": Monitoring,
            "average": Average,
            "construction": Construction,
        }
        for name, allowed in words.items():
            checks.one_of(name, getattr(self, name), allowed)
        self._check_time()
        self._check_numbers()
        self._check_barrier()
        self._check_options()

    def _check_time(self) -> None:
        if self.process.in_time:
            if self.horizon is None:
                raise FieldError("horizon", f"is required for a process of kind {self.process.kind}: the path's time")
            object.__setattr__(self, "horizon", checks.positive("horizon", self.horizon))
        elif self.horizon is not None:
            raise FieldError(
                "horizon", f"must be left out for a process of kind {self.process.kind}: a step is its unit of time"
            )

    def _check_numbers(self) -> None:
        for name in ("barrier", "strike"):
            value = getattr(self, name)
            if value is None:
                continue
            if not math.isfinite(value) or (self.process.is_price and value <= 0):
                what = "positive and finite, as a price is" if self.process.is_price else "finite"
                raise FieldError(name, f"must be {what}, got {value:g}")
            object.__setattr__(self, name, float(value))

    def _check_barrier(self) -> None:
        asked = self.quantity in WITH_BARRIER
        if not asked:
            for name in ("barrier", "strike"):
                if getattr(self, name) is not None:
                    raise FieldError(name, f"must be left out for {self.quantity}: it is for {', '.join(WITH_BARRIER)}")
            if self.payoff != "digital":
                raise FieldError("payoff", f"must be left out for {self.quantity}: it is for knock_in and knock_out")
            return
        if self.barrier is None:
            raise FieldError("barrier", f"is required for {self.quantity}")
        if self.barrier == self.process.first:
            raise FieldError("barrier", f"is hit already: the path begins at it, got {self.barrier:g}")
        if self.quantity == "first_passage" and self.strike is not None:
            raise FieldError("strike", "must be left out for first_passage: it is for knock_in and knock_out")
        if self.payoff == "vanilla" and (self.strike is None or self.quantity == "first_passage"):
            wrong = "strike" if self.strike is None else "payoff"
            raise FieldError(
                wrong, "vanilla pays the distance beyond a strike: give a strike, for knock_in or knock_out"
            )
        if self.quantity == "knock_out" and self.strike is not None:
            self._check_possible(self.barrier, self.strike)

    def _check_possible(self, barrier: float, strike: float) -> None:
        """Refuse a knock-out that is knocked out wherever it would pay."""
        up = barrier > self.process.first
        if (up and self.option == "call" and strike >= barrier) or (
            not up and self.option == "put" and strike <= barrier
        ):
            raise FieldError(
                "barrier",
                f"is on the wrong side: every path that ends {'above' if up else 'below'} the strike {strike:g} has "
                f"passed it before, so that nothing is ever paid, got {barrier:g}",
            )

    def _check_options(self) -> None:
        if self.monitoring == "continuous":
            if self.quantity not in WATCHED:
                raise FieldError(
                    "monitoring", f"continuous is for {', '.join(WATCHED)}, got {self.quantity}; leave it out"
                )
            if self.process.bridge_variance(self.dt) is None:
                raise FieldError(
                    "monitoring",
                    "continuous is for gbm and for a walk with normal steps, whose paths are Brownian between their "
                    f"dates, got {self.process.kind}; take more steps",
                )
        if self.construction == "bridge" and not self.process.by_normals:
            raise FieldError(
                "construction", f"bridge is for gbm, merton and heston, whose steps are normal, got {self.process.kind}"
            )
        if self.average != "arithmetic" and self.quantity != "average":
            raise FieldError("average", f"must be left out for {self.quantity}")
        if self.option != "call" and self.strike is None:
            raise FieldError("option", "must be left out without a strike")
        if self.days is not None:
            if self.quantity != "n_day_loss":
                raise FieldError("days", f"must be left out for {self.quantity}: it is for n_day_loss")
            object.__setattr__(self, "days", checks.dimension("days", self.days, 1, self.steps))

    @property
    def dt(self) -> float:
        """Time of a step."""
        return 1.0 if self.horizon is None else self.horizon / self.steps

    @cached_property
    def loss(self) -> PathLoss:
        barrier, strike = (self._in_path(value) for value in (self.barrier, self.strike))
        return PathLoss(
            process=self.process,
            steps=self.steps,
            dt=self.dt,
            quantity=self.quantity,
            continuous=self.monitoring == "continuous",
            bridged=self.construction == "bridge",
            barrier=barrier,
            strike=strike,
            payoff=self.payoff,
            call=self.option == "call",
            geometric=self.average == "geometric",
            days=self.days or self.steps,
            lines=(self._asked(),),
        )

    def _in_path(self, value: float | None) -> float:
        """A price as the log of its ratio to the first one, a value of a walk as its distance; NaN for none."""
        if value is None:
            return math.nan
        first = self.process.first
        return math.log(value / first) if self.process.is_price else value - first

    @cached_property
    def inputs(self) -> Inputs:
        return self.loss.inputs_of()

    @property
    def scheme(self) -> Scheme:
        if isinstance(self.process, GarchReturns):
            return PlainPaths()
        step = self.process.increment(self.dt)
        drift = PathDrift(self.loss)
        return drift if step is None else FirstOf((PathTwist(self.loss, step), drift))

    def controls(self, estimates: Sequence[Estimate], preset: str | None) -> tuple[Control, ...]:
        return controls_of(self.loss, estimates)

    def notes(self) -> list[str]:
        return self.process.notes(self.dt)

    def files(self) -> list[File]:
        return []

    def _asked(self) -> str:
        """What is asked, in words."""
        watched = ", watched between its dates too" if self.monitoring == "continuous" else ""
        barrier = "" if self.barrier is None else f", barrier {self.barrier:g}{watched}"
        strike = "" if self.strike is None else f", {self.option} with strike {self.strike:g}, {self.payoff}"
        what: dict[str, str] = {
            "end": "where the path ends",
            "maximum": f"the largest value of the path{watched}",
            "minimum": f"the smallest value of the path{watched}",
            "drawdown": "the largest fall from the highest point before",
            "first_passage": f"the time at which the path reaches its barrier{barrier}",
            "knock_in": f"knock-in{barrier}{strike}",
            "knock_out": f"knock-out{barrier}{strike}",
            "average": f"the {self.average} average over the dates",
            "n_day_loss": f"the largest fall over {self.days or self.steps:,} steps",
        }
        return what[self.quantity]

    def describe(self) -> list[str]:
        time = "" if self.horizon is None else f" over a time of {self.horizon:g}"
        built = ", built as a Brownian bridge" if self.construction == "bridge" else ""
        return [*self.process.describe(), f"path of {self.steps:,} steps{time}{built}"]

    @staticmethod
    def examples() -> list[Path]:
        """Members for the conformance tests."""
        from raresim.models.paths.merton import MertonJumps

        gbm = GeometricBrownian(price=95.0, drift=0.05, volatility=0.15)
        merton = MertonJumps(price=100.0, volatility=0.2, jump_rate=1.0, jump_mean=-0.1, jump_std=0.15)
        return [
            Path(process=RandomWalk.examples()[0], steps=50, quantity="maximum"),
            Path(
                process=gbm,
                steps=10,
                horizon=0.25,
                quantity="knock_in",
                barrier=85.0,
                strike=96.0,
                monitoring="continuous",
                construction="bridge",
            ),
            Path(process=merton, steps=5, horizon=1.0, quantity="drawdown"),
            Path(process=GarchReturns.examples()[0], steps=20, quantity="n_day_loss", days=10),
        ]

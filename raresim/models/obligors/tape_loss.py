"""The contracts that the losses of a credit tape share: one part for each obligor, and a twist towards large losses."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import ClassVar, Self

import numpy as np

from raresim.distributions.base import Inputs
from raresim.errors import FieldError
from raresim.losses.base import Loss
from raresim.models.obligors.tape import Tape
from raresim.models.own_risk import Places, picks_of, seeds
from raresim.numerics.arrays import Float


class TapeLoss(Loss):
    """The loss of a portfolio whose parts are the obligors of a tape.

    Given the factors, obligors are independent: the law of the loss has a cumulant generating function in closed form,
    and a twist that makes a large loss usual.

    A member is a frozen dataclass with the fields ``tape``, the obligors, and ``factors``, the number of its inputs.
    """

    twists: ClassVar[str]
    """What a twist changes, in words."""

    tape: Tape
    factors: int

    @property
    @abstractmethod
    def expected_loss(self) -> float:
        """The mean of the loss."""

    @property
    @abstractmethod
    def largest_loss(self) -> float:
        """The largest loss that is possible at mean severities."""

    @abstractmethod
    def at_mean_severity(self, x: Float, out: Float) -> None:
        """Write the loss of each row of factors into ``out`` (n,), with the mean severity of each that defaults."""

    @abstractmethod
    def tail_laws(self, x: Float, level: float) -> tuple[Float, Float, Float]:
        """How likely a loss of ``level`` is given each row of factors ``x`` (n, d).

        Returns
        -------
        log_bound, log_tail : (n,) float64
            Logs of Chernoff's bound and of the probability, in nats.
        slope : (n, d) float64
            The gradient of ``log_bound`` in the factors.
        """

    @abstractmethod
    def twisted(self, levels: Float, shares: Float) -> TwistedLoss:
        """The loss of rows that are twisted towards ``levels`` (j,), each with its share (j,) of the rows."""

    def bind(self, inputs: Inputs) -> Self:
        if inputs.dim != self.factors:
            raise FieldError("inputs", f"must have the {self.factors} factors of the credit model, got {inputs.dim}")
        return self

    @property
    def component_names(self) -> tuple[str, ...]:
        return self.tape.ids

    @property
    def parts_at_once(self) -> int:
        return 0

    @property
    def component_weights(self) -> Float:
        return self.tape.ead

    def component_groups(self, column: str) -> tuple[str, ...]:
        return self.tape.groups(column)


class TwistedLoss(Loss):
    """The loss of rows in which what obligors do given the factors is twisted towards one of several levels.

    A member is a frozen dataclass with the fields ``plain``, the loss of the model; ``levels`` (j,), of the aims, with
    ``-inf`` for no twist; and ``shares`` (j,) of the rows. Which aim a row belongs to is decided by its generator.
    """

    plain: TapeLoss
    levels: Float
    shares: Float

    @abstractmethod
    def rows(self, x: Float, out: Float) -> Float:
        """Write losses into ``out`` (n,), and return `ratios` of the rows (n, j)."""

    @abstractmethod
    def ratios(self, x: Float, mean: Float) -> Float:
        """The log of the probability of what a row's obligors did under each twist over that without, (n, j) in nats.

        It is ``t L - psi(t)`` with the losses ``mean`` (n,) of the rows at mean severities.
        """

    def bind(self, inputs: Inputs) -> Self:
        return self

    def __call__(self, x: Float, out: Float) -> None:
        self.rows(x, out)

    def picks(self, x: Float) -> Places:
        """Which aim each row of factors (n, d) belongs to, (n,) int64."""
        pick = np.empty(len(x), np.int64)
        picks_of(seeds(x), self.shares, pick)
        return pick

    @property
    def component_names(self) -> tuple[str, ...]:
        return self.plain.component_names

    @property
    def parts_at_once(self) -> int:
        return 0

    def moments(self, inputs: Inputs) -> None:
        return None

    def files(self) -> list[Path]:
        return self.plain.files()

    def describe(self) -> list[str]:
        return [*self.plain.describe(), f"its {self.plain.twists} are twisted"]

"""A book by its sensitivities: deltas and gammas go in, inputs and a quadratic loss come out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from raresim.arguments import checks
from raresim.arguments.checks import Matrix, Vector
from raresim.data.correlation import RepairMode
from raresim.distributions.base import Inputs
from raresim.distributions.normal import Normal
from raresim.distributions.student_t import StudentT
from raresim.errors import FieldError
from raresim.models.base import Model
from raresim.models.controls import Control
from raresim.models.market.approximations import approximations, controls_of
from raresim.models.market.exact_quadratic import QuadraticLaw
from raresim.models.market.given import factors_of, given
from raresim.models.market.ore import Ore
from raresim.models.market.quadratic_form import QuadraticForm
from raresim.models.market.quadratic_loss import QuadraticLoss
from raresim.models.market.sensitivities import Sensitivities
from raresim.models.market.twist_scheme import QuadraticTwist
from raresim.numerics.arrays import frozen
from raresim.record.exhibits import Exhibit
from raresim.registry import member

if TYPE_CHECKING:
    from raresim.record.records import Estimate

Of = Literal["value", "loss"]


@member("model")
@dataclass(frozen=True, kw_only=True, eq=False)
class DeltaGamma(Model):
    """The delta-gamma approximation of a book: a quadratic function of normal, Student t or any other risk factors.

    Parameters
    ----------
    deltas : path, (d,) or mapping of str to float, optional
        First derivatives by factor. A file has the columns factor and delta, and may have gamma for the diagonal.
    gammas : path, (d, d), (d,) or mapping of str to float, optional
        Second derivatives: a matrix, whose file names the factors in its header and first column; a file of pairs with
        the columns factor_1, factor_2 and gamma; or the diagonal alone. Left out, they are 0.
    covariance : path or (d, d), optional
        Covariance of the factors over the horizon, with mean 0: a matrix, or a file in one of the first two shapes of
        ``gammas``, in which the column of a file of pairs is called covariance.
    dof : float, optional
        Degrees of freedom, above 2: the factors then have Student's t law with that covariance; else they are normal.
    repair : "none" or "nearest"
        Treatment of a covariance that is not positive definite: it is refused, or its correlations are replaced by the
        nearest positive definite correlation matrix.
    factors : Inputs, optional
        The joint law of the factors in place of a covariance, such as one that is fitted to data.
    theta : float
        Change of the value, or of the loss, over the horizon where no factor moves, in the unit of the loss.
    of : "value" or "loss"
        What deltas, gammas and theta describe: the value of the book, whose fall is the loss, or the loss itself.
    ore : Ore, optional
        Files of the Open Source Risk Engine in place of deltas, gammas and covariance.

    Raises
    ------
    FieldError
        When arguments do not go together, sizes or names disagree, or a covariance is not positive definite.
    DataError
        When a file cannot be used, with the place of everything that is wrong, at most twenty.

    Notes
    -----
    The value changes by ``theta + delta'x + x' gamma x / 2``, a second derivative being a full one: no half is in the
    file. Normal and Student t factors have the twist of `raresim.models.market.twisted_quadratic.TwistedQuadratic` as a
    scheme and the exact law of `raresim.models.market.exact_quadratic.QuadraticLaw` as a control; other factors have
    neither.
    """

    kind: ClassVar[str] = "delta_gamma"

    deltas: Path | Vector | Mapping[str, float] | None = None
    gammas: Path | Matrix | Vector | Mapping[str, float] | None = None
    covariance: Path | Matrix | None = None
    dof: float | None = None
    repair: RepairMode = "none"
    factors: Inputs | None = None
    theta: float = 0.0
    of: Of = "value"
    ore: Ore | None = None

    read: Sensitivities = field(init=False, repr=False)
    inputs_of: Inputs = field(init=False, repr=False)
    told: tuple[str, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        checks.one_of("of", self.of, Of)
        checks.one_of("repair", self.repair, RepairMode)
        if not math.isfinite(self.theta):
            raise FieldError("theta", f"must be finite, got {self.theta}")
        self._check_parts()
        if self.dof is not None and not 2 < self.dof < math.inf:
            raise FieldError("dof", f"must be above 2, for the covariance to exist, and finite, got {self.dof:.15g}")
        names = None if self.factors is None else self.factors.names
        found = self.ore.read() if self.ore is not None else given(self.deltas, self.gammas, self.covariance, names)
        inputs, notes = factors_of(found, self.factors, self.dof, self.repair)
        object.__setattr__(self, "read", found)
        object.__setattr__(self, "inputs_of", inputs)
        object.__setattr__(self, "told", (*found.notes, *notes))

    def _check_parts(self) -> None:
        by_hand = {"deltas": self.deltas, "gammas": self.gammas, "covariance": self.covariance}
        if self.ore is not None:
            for name, value in {**by_hand, "factors": self.factors}.items():
                if value is not None:
                    raise FieldError(name, "must be left out beside ore, whose files have it")
            return
        if self.deltas is None:
            raise FieldError("deltas", "is required, or the files of ore")
        if (self.covariance is None) == (self.factors is None):
            raise FieldError("covariance", "give either covariance or factors, their law")
        for name in ("dof", "repair"):
            if self.factors is not None and getattr(self, name) not in (None, "none"):
                raise FieldError(name, "must be left out beside factors, which are a whole law")

    @property
    def inputs(self) -> Inputs:
        return self.inputs_of

    @cached_property
    def loss(self) -> QuadraticLoss:
        sign = -1.0 if self.of == "value" else 1.0
        names = self.inputs.names or tuple(f"x{i}" for i in range(1, self.inputs.dim + 1))
        linear, quadratic = frozen(sign * self.read.delta), frozen(sign * self.read.gamma)
        return QuadraticLoss(names, sign * self.theta, linear, quadratic, tuple(self.describe()))

    @cached_property
    def form(self) -> QuadraticForm | None:
        """The loss in coordinates in which its terms do not mix; None where the law of the factors allows none."""
        form = self.loss.form(self.inputs)
        return form if form is not None and form.size > 0 else None

    @property
    def scheme(self) -> QuadraticTwist | None:
        return None if self.form is None else QuadraticTwist(self.form)

    def quantile(self, tail: float) -> float | None:
        return None if self.form is None else QuadraticLaw(self.form).quantile(tail)

    def controls(self, estimates: Sequence[Estimate], preset: str | None) -> tuple[Control, ...]:
        return () if self.form is None else controls_of(self.form, estimates)

    def exhibits(self, estimates: Sequence[Estimate], shown: Sequence[Exhibit]) -> tuple[Exhibit, ...]:
        return () if self.form is None else approximations(self.form, estimates)

    def notes(self) -> list[str]:
        return list(self.told)

    def files(self) -> list[Path]:
        of_ore = [] if self.ore is None else self.ore.files
        given = (self.deltas, self.gammas, self.covariance)
        return [*of_ore, *(Path(path) for path in given if isinstance(path, (str, Path)))]

    def describe(self) -> list[str]:
        d, gamma = self.read.delta.size, self.read.gamma
        own = np.diag(gamma) if gamma.ndim == 2 else gamma
        cross = int(np.count_nonzero(np.triu(gamma, 1))) if gamma.ndim == 2 else 0
        sign, what = ("-", "value") if self.of == "value" else ("", "loss")
        return [
            f"delta-gamma book: loss = {sign}(theta + delta'x + x' gamma x / 2), sensitivities of the {what}",
            f"{d} factors, {np.count_nonzero(own)} gammas of one factor and {cross} of two, theta {self.theta:.6g}",
        ]

    @staticmethod
    def examples() -> list[DeltaGamma]:
        """Members for the conformance tests."""
        cov = [[1.0, 0.3, 0.0], [0.3, 2.0, -0.2], [0.0, -0.2, 0.5]]
        gammas = [[-2.0, 0.5, 0.0], [0.5, 1.0, 0.0], [0.0, 0.0, 0.0]]
        return [
            DeltaGamma(deltas=[1.0, -2.0, 0.5], gammas=gammas, covariance=cov, theta=0.1),
            DeltaGamma(deltas={"a": 1.0, "b": -3.0}, gammas={"a": -1.0}, covariance=np.diag([1.0, 4.0]), dof=5.0),
            DeltaGamma(deltas=[1.0, 2.0], gammas=[3.0, 0.5], factors=StudentT(dof=4.0, dim=2), of="loss"),
            DeltaGamma(deltas=[1.0], factors=Normal(mean=0.1, std=2.0), of="loss"),
        ]

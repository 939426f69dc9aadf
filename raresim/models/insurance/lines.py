"""A line of business: how many claims a period brings, and how large each is."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from raresim.arguments.typed import typed
from raresim.errors import FieldError
from raresim.marginals.base import Marginal
from raresim.models.insurance.event_severity import EventSeverity

FEW_CLAIMS = 30
"""Claims below which a fitted severity is said to rest on few."""

MOST_CLAIMS = 1e7
"""Claims of a line in one period that are drawn one by one, at most on average."""


@typed
@dataclass(frozen=True, kw_only=True, eq=False)
class Line:
    """A line of business: the law of the number of claims in a period, and the law of the size of each.

    Claims of a line are independent of each other and of their number.

    Parameters
    ----------
    name : str
        What the line is called in tables.
    frequency : Marginal
        The law of the number of claims in a period: poisson, negative_binomial, binomial, or any other on whole numbers
        from 0 on.
    severity : Marginal
        The law of the size of a claim, not negative; with ``fit`` it is found from a column of a claims file.
    """

    name: str
    frequency: Marginal
    severity: Marginal = field(metadata={"least": 0.0})

    def __post_init__(self) -> None:
        if not self.name.strip():
            raise FieldError("name", "must not be empty")
        law = self.frequency
        low = law.support[0]
        atoms = getattr(law, "atoms", None)
        if not law.discrete or low < 0 or (atoms is not None and (np.floor(atoms) != atoms).any()):
            raise FieldError(
                "frequency",
                f"must be a law on whole numbers from 0 on, such as poisson or negative_binomial, got {law.describe()}",
            )
        if (mean := law.moments().mean) > MOST_CLAIMS:
            raise FieldError(
                "frequency", f"must have a mean of at most {MOST_CLAIMS:g} claims: each is drawn, got {mean:g}"
            )
        if not self.severity.support[0] >= 0:
            raise FieldError("severity", f"must be a law of no negative claims, got {self.severity.describe()}")

    @property
    def rises(self) -> bool:
        """Whether a larger standard normal always stands for a larger claim."""
        return not isinstance(self.severity, EventSeverity)

    @property
    def mean(self) -> float:
        """Expected claims total of a period; infinite where that of a claim is."""
        return self.frequency.moments().mean * self.severity.moments().mean

    @property
    def variance(self) -> float:
        """Of the claims total of a period: ``E N Var X + Var N (E X)^2``."""
        count, claim = self.frequency.moments(), self.severity.moments()
        if not math.isfinite(claim.variance):
            return math.inf
        return count.mean * claim.variance + count.variance * claim.mean**2

    def notes(self) -> list[str]:
        """What is to be said of a fitted severity."""
        fitted = self.severity.fitted
        if fitted is None:
            return []
        many = fitted.values.size
        said = f"line {self.name}: severity fitted to {many:,} claims of {fitted.facts.name}"
        if many < FEW_CLAIMS:
            said += f", fewer than {FEW_CLAIMS}: its tail beyond the largest of them is hardly known"
        return [said]

    def describe(self) -> str:
        """The line in words."""
        return f"line {self.name}: number of claims {self.frequency.describe()}, each {self.severity.describe()}"

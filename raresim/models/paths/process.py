"""The contract of a process: it makes a path, step after step, from risk factors."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import ClassVar

from raresim.arguments import checks
from raresim.distributions.base import Inputs
from raresim.distributions.independent import Independent
from raresim.errors import FieldError
from raresim.marginals.base import Marginal
from raresim.marginals.normal import Normal
from raresim.models.market.book_file import MOST_VOLATILITY
from raresim.models.paths.steps import Step
from raresim.numerics.arrays import Float


class Process(ABC):
    """A law of paths, made of steps.

    The path of a price is the log of the price over its first one; that of a walk is the walk itself.

    To add one: a frozen dataclass in a file of its own in this folder, decorated with ``@member("process")``, with a
    ``kind``, the methods below and ``examples()``.
    """

    kind: ClassVar[str]

    is_price: ClassVar[bool] = True
    """Whether the path is the log of a price."""

    in_time: ClassVar[bool] = True
    """Whether a step lasts ``horizon / steps``; else a step is the unit of time."""

    by_normals: ClassVar[bool] = True
    """Whether its first factors are one standard normal for each step."""

    @property
    @abstractmethod
    def first(self) -> float:
        """Where the path begins: the price, or the value of the walk."""

    @abstractmethod
    def factors(self, steps: int, dt: float) -> Inputs:
        """The joint law of the factors of ``steps`` steps that last ``dt`` each."""

    @abstractmethod
    def fill(self, x: Float, dt: float, path: Float) -> None:
        """Write the path after each step into ``path`` (n, steps), beginning at 0, for factors ``x`` (n, d)."""

    def increment(self, dt: float) -> Step | None:
        """The law of a step where all steps are independent and have the same law with exponential moments."""
        return None

    def bridge_variance(self, dt: float) -> float | None:
        """Variance of a step of a path that is a Brownian motion between its dates; None of any other."""
        return None

    def notes(self, dt: float) -> list[str]:
        """What ``raresim check`` is to say of it, a sentence each."""
        return []

    @abstractmethod
    def describe(self) -> list[str]:
        """Lines that describe the process in words."""


def check_price(process: Process) -> None:
    """Replace ``price`` by a plain number; raises `FieldError` where it is not positive."""
    object.__setattr__(process, "price", checks.positive("price", process.price))  # type: ignore[attr-defined]


def volatility(field: str, value: float) -> float:
    """``value`` as a float; raises `FieldError` where it is not positive, or looks like a number in per cent."""
    found = checks.positive(field, value)
    if found > MOST_VOLATILITY:
        raise FieldError(
            field,
            f"must be at most {MOST_VOLATILITY:g}, got {found:.15g}; is it in per cent? {found / 100:g} stands for "
            f"{found:g} %",
        )
    return found


def finite(field: str, value: float) -> float:
    """``value`` as a float; raises `FieldError` where it is not finite."""
    checks.refuse_text(field, value)
    if not math.isfinite(value):
        raise FieldError(field, f"must be finite, got {value:g}")
    return float(value)


def independent(steps: int, **laws: Marginal) -> Independent:
    """Independent factors: those of the first law for each step, then those of the next."""
    return Independent(marginals={f"{name}_{k + 1}": law for name, law in laws.items() for k in range(steps)})


STANDARD = Normal()
"""The law of the normal of a step."""

"""A loss together with its threshold: one event of an event algebra."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from raresim.arguments.checks import positive
from raresim.distributions.base import Inputs
from raresim.distributions.standard_normal import StandardNormal
from raresim.errors import FieldError
from raresim.losses.base import Loss
from raresim.losses.composite import Composite, columns_of
from raresim.losses.linear import Linear
from raresim.losses.python import PythonLoss
from raresim.marginals.parameters import finite
from raresim.numerics.arrays import Float
from raresim.registry import member


@member("loss")
@dataclass(frozen=True, kw_only=True, eq=False)
class Event(Composite):
    """A loss with a threshold of its own, as a part of a union, an intersection or another system.

    The value is the distance beyond the threshold, ``(loss - above) / scale`` or ``(below - loss) / scale``. The event
    is that this distance is at least 0, so events of losses in different units can be combined. A measure asks for
    ``above: 0``.

    Parameters
    ----------
    loss : Loss
        The loss; in Python also a function, as of `PythonLoss`.
    above : float, optional
        The event is that the loss is at least this number, in its own unit.
    below : float, optional
        The event is that the loss is at most this number, ``below: 0`` for a limit state that fails at ``g <= 0``. It
        replaces ``above``.
    scale : float
        What counts as one unit beyond the threshold, positive, in the unit of the loss. It changes no event. Where
        losses have different units it makes their distances comparable, which helps a search.

    Raises
    ------
    FieldError
        When not exactly one of ``above`` and ``below`` is given, a number is not finite, or the loss has a threshold
        already.
    """

    kind: ClassVar[str] = "event"

    loss: Loss | Callable[..., Any]
    above: float | None = None
    below: float | None = None
    scale: float = 1.0

    def __post_init__(self) -> None:
        if not isinstance(self.loss, Loss):
            object.__setattr__(self, "loss", PythonLoss(function=self.loss))
        if (self.above is None) == (self.below is None):
            raise FieldError("above", "give either above or below, the threshold of the event")
        for name in ("above", "below"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, finite(name, getattr(self, name)))
        object.__setattr__(self, "scale", positive("scale", self.scale))
        if self.of.has_threshold:
            raise FieldError("loss", f"must be a loss without a threshold, got one of kind {self.of.kind!r}")

    @property
    def of(self) -> Loss:
        """The loss."""
        if not isinstance(self.loss, Loss):
            raise TypeError("the constructor makes it one")
        return self.loss

    @property
    def inner(self) -> Mapping[str, Loss]:
        return {"loss": self.of}

    def holding(self, inner: Sequence[Loss]) -> Event:
        return replace(self, loss=inner[0])

    @property
    def has_threshold(self) -> bool:
        return True

    def columns(self, x: Float) -> Float:
        values = columns_of({"": (self.of, len(self.of.limit_state_names))}, x)
        if self.below is not None:
            return (self.below - values) / self.scale
        return (values - (self.above or 0.0)) / self.scale

    @property
    def limit_state_names(self) -> tuple[str, ...]:
        return self.of.limit_state_names

    @property
    def has_limit_states(self) -> bool:
        return self.of.has_limit_states

    @property
    def undeclared(self) -> tuple[str, ...]:
        return self.of.undeclared

    @property
    def at_least(self) -> int:
        """As in `Loss`: the k-th largest of m values is the (m - k + 1)-th largest where their sign is turned."""
        if self.above is not None or not self.limit_state_names:
            return self.of.at_least
        return len(self.limit_state_names) - self.of.at_least + 1

    @property
    def names_parts(self) -> bool:
        return isinstance(self.loss, Composite) and self.loss.names_parts

    def one_region(self, inputs: Inputs) -> str:
        return self.of.one_region(inputs)

    def describe(self) -> list[str]:
        side = f"at least {self.above:g}" if self.above is not None else f"at most {self.below:g}"
        scale = "" if self.scale == 1.0 else f", in units of {self.scale:g}"
        first, *more = self.of.describe()
        return [f"{first}; the event is that it is {side}{scale}", *more]

    @staticmethod
    def examples() -> list[tuple[Inputs, Event]]:
        """Inputs and losses for the conformance tests."""
        return [
            (StandardNormal(dim=3), Event(loss=Linear(weights=[1.0, 2.0, 0.0]), above=1.0, scale=2.0)),
            (StandardNormal(dim=3), Event(loss=PythonLoss(function=_pair, limit_states=["a", "b"]), below=0.5)),
        ]


def _pair(x: Float) -> Float:
    return np.asarray(x[:, :2])


def of_factor(k: int) -> Loss:
    """The k-th of three factors, for `examples`."""
    return Linear(weights=[float(j == k) for j in range(3)])


def event(k: int, above: float) -> Event:
    """The event that a factor is at least ``above``, for `examples`."""
    return Event(loss=of_factor(k), above=above)

"""The contract of a model: one object that defines the risk factors and the loss together."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from raresim.distributions.base import Inputs
from raresim.losses.base import Loss

if TYPE_CHECKING:
    from raresim.methods.scheme import Scheme
    from raresim.models.controls import Control
    from raresim.record.exhibits import Exhibit
    from raresim.record.records import Estimate


class Model(ABC):
    """A user's file, such as a credit tape, that says what the risk factors are and what is lost.

    A model builds ordinary inputs and an ordinary loss, so every method, measure, audit and report works on it as on
    any other problem. It may also offer a scheme: a way to draw that knows the structure.

    To add one: a frozen dataclass in a file of its own in this folder, decorated with ``@member("model")``, with a
    ``kind``, the methods below and ``examples()``.

    Notes
    -----
    *Few inputs.* What thousands of names do each by themselves is no risk factor: a block would hold a column for
    each, and a search would look for regions in as many directions. The loss draws it itself, from a generator that one
    input, a standard normal called ``own_risk``, is the seed of. So the loss is still a function of its inputs: a row
    has the same value whenever, wherever and beside whatever it is evaluated, and any row can be replayed.

    *An audit that does not depend on the scheme.* Soundings and climbs see the inputs and the loss, never how the
    scheme draws. They ask the scheme one thing: how heavy its row at a given point would be. That depends on the common
    factors and on the loss alone, which both have in common.
    """

    kind: ClassVar[str]

    @property
    @abstractmethod
    def inputs(self) -> Inputs:
        """The joint law of the risk factors."""

    @property
    @abstractmethod
    def loss(self) -> Loss:
        """The loss, a function of the factors; larger is worse."""

    @property
    def scheme(self) -> Scheme | None:
        """A way to draw that knows the structure; None where the model has none."""
        return None

    def quantile(self, tail: float) -> float | None:
        """The loss that is exceeded with the probability ``tail``, by the exact law of the loss; None where that is not
        known, or takes longer than climbs to it would. A search then aims at it from the beginning."""
        return None

    @property
    def delta_gamma(self) -> Loss | None:
        """The quadratic approximation of the loss by its derivatives at factors of 0; None where it has none."""
        return None

    def controls(self, estimates: Sequence[Estimate], preset: str | None) -> tuple[Control, ...]:
        """Numbers in closed form or by recursion to hold the estimates against, each with what it assumes.

        ``preset`` names the rules by which capital is reported, where the run has one.
        """
        return ()

    def exhibits(self, estimates: Sequence[Estimate], shown: Sequence[Exhibit]) -> tuple[Exhibit, ...]:
        """Tables of the model's own beside those ``shown`` by the measures, from the numbers ``estimates`` of a run."""
        return ()

    def notes(self) -> list[str]:
        """What ``raresim check`` is to say of the model, a sentence each: names that were understood, rows repaired."""
        return []

    @abstractmethod
    def files(self) -> list[Path]:
        """The files that the model was read from, for the run's provenance."""

    @abstractmethod
    def describe(self) -> list[str]:
        """Lines that say in words what the model is, beyond what inputs and loss say of themselves."""

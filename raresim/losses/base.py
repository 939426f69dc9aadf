"""The contract of a loss: one number per row of risk factors, larger is worse."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from raresim.distributions.base import Inputs
from raresim.errors import FieldError
from raresim.numerics.arrays import Float


class Loss(ABC):
    """A function of the risk factors whose large values are the event.

    To add one: a frozen dataclass in a file of its own in this folder, decorated with ``@member("loss")``, with a
    ``kind``, the methods below and ``examples()``, a list of ``(inputs, loss)`` pairs for the conformance tests.
    """

    kind: ClassVar[str]

    @abstractmethod
    def bind(self, inputs: Inputs) -> Loss:
        """The loss made ready for ``inputs``: sizes checked, files read, code loaded.

        Raises
        ------
        FieldError, DataError, LossError
            When the loss does not fit the inputs.
        """

    @abstractmethod
    def __call__(self, x: Float, out: Float) -> None:
        """Write the loss of each row of ``x`` (n, d) into ``out`` (n,)."""

    def watched(self) -> Loss:
        """The same loss, of which a run checks that a row always has the same value; itself where that is certain."""
        return self

    def refuse_noise(self, x: Float, out: Float, seconds: float) -> None:  # noqa: B027  # others have none
        """Raise `LossError` where the loss of a row is not the same at every call; see `PythonLoss.refuse_noise`."""

    def components(self, x: Float) -> Float | None:
        """What each part of the portfolio loses, (n, m) in the order of `component_names`, of each row of ``x`` (n, d).

        The parts add up to the loss. None where it has no parts.
        """
        return None

    def scores(self, x: Float, components: Float) -> Mapping[str, Float]:
        """How the probability of what a row's parts did depends on parameters of the loss, by their names.

        Of a loss that draws by itself: the derivative (n,) of the log probability of the row's parts, given its
        factors, by the log of one factor on all parameters of that name.

        Parameters
        ----------
        x : (n, d) float64
            Factors.
        components : (n, m) float64
            What each part lost in each row.
        """
        return {}

    @property
    def component_names(self) -> tuple[str, ...]:
        """Names of the parts; empty where there are none."""
        return ()

    @property
    def component_weights(self) -> Float | None:
        """How much is held of each part, (m,); None where the parts have no such number."""
        return None

    def component_groups(self, column: str) -> tuple[str, ...]:
        """What ``column`` of the positions file says of each part.

        Raises
        ------
        FieldError
            For ``by``, when there is no such column, or no such file.
        DataError
            When a cell of it is empty.
        """
        raise FieldError("by", f"needs a loss with a positions file, got {column!r} for one of kind {self.kind!r}")

    def states(self, x: Float) -> Float | None:
        """How far each limit state is, (n, m) in the order of `limit_state_names`, of each row of ``x`` (n, d).

        The loss of a row is the `at_least`-th largest of its numbers, so ``loss >= threshold`` says that so many limit
        states reach the threshold. This is an evaluation of the loss and stands for one. None where the loss has no
        limit states.
        """
        return None

    @property
    def limit_state_names(self) -> tuple[str, ...]:
        """Names of the limit states; empty where there are none."""
        return ()

    @property
    def at_least(self) -> int:
        """How many limit states have to reach the threshold for the event."""
        return 1

    def one_region(self, inputs: Inputs) -> str:
        """Why the event is one region, whatever its threshold and side, in words; empty where that is not proven.

        Of the standard normals that ``inputs`` are made of, where searches and audits go. The words end a sentence that
        begins with what it means that nothing else can have been missed.
        """
        return ""

    def assumptions(self, inputs: Inputs) -> Mapping[str, Any]:
        """What the loss takes for granted of ``inputs``, as plain values: see `raresim.diagnostics.assumptions`."""
        return {}

    def notes(self, inputs: Inputs) -> list[str]:
        """What ``raresim check`` is to say of the loss and ``inputs`` together, a sentence each."""
        return []

    @abstractmethod
    def moments(self, inputs: Inputs) -> tuple[float, float] | None:
        """Mean and standard deviation of the loss in closed form, or None where there is none."""

    @abstractmethod
    def files(self) -> list[Path]:
        """The files that the loss was read from, for the run's provenance."""

    @abstractmethod
    def describe(self) -> list[str]:
        """Lines that say in words what the loss is."""

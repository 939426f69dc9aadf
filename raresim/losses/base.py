"""The contract of a loss: one number for each row of risk factors; larger is worse."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

from raresim.distributions.base import Inputs
from raresim.errors import FieldError
from raresim.losses.parts import Members, Parts
from raresim.numerics.arrays import Float


class Loss(ABC):
    """A function of the risk factors whose large values are the event.

    To add one: a frozen dataclass in a file of its own in this folder, decorated with ``@member("loss")``, with a
    ``kind``, the methods below and ``examples()``, a list of ``(inputs, loss)`` pairs for the conformance tests.
    """

    kind: ClassVar[str]

    @abstractmethod
    def bind(self, inputs: Inputs) -> Loss:
        """The loss bound to ``inputs``: sizes are checked, files read and code loaded.

        Raises
        ------
        FieldError, DataError, LossError
            When the loss does not fit the inputs.
        """

    @abstractmethod
    def __call__(self, x: Float, out: Float) -> None:
        """Write the loss of each row of ``x`` (n, d) into ``out`` (n,)."""

    def of_normals(self, inputs: Inputs, u: Float, out: Float) -> bool:
        """Write the loss of each row of ``u``, the standard normals that ``inputs`` map, without making the factors.

        A loss that can do so gives the bits that it gives for the factors; others return False.
        """
        return False

    def look(self, inputs: Inputs) -> Loss:
        """What ``raresim check`` looks at: the loss bound to ``inputs``, or itself where that would run a user's code.

        Raises
        ------
        FieldError, DataError
            When the loss does not fit the inputs, or code that it names is not there.
        """
        return self.bind(inputs)

    def doubts(self) -> list[str]:
        """What the text of a user's code says against the loss, a sentence each; the code is not run."""
        return []

    def replay(self, path: Path) -> str:
        """A shell command that calls a user's function with the rows saved at ``path``; empty where there is none."""
        return ""

    @property
    def unit(self) -> str | None:
        """The name of the loss's unit, such as USD; None where the user gave none."""
        return None

    @property
    def gross(self) -> float | None:
        """Sum of the absolute positions of the bound loss, in its unit; None where positions are not all that it is."""
        return None

    @property
    def may_fail(self) -> bool:
        """Whether a row may stay without a loss: the interval then counts it as safe and as failing."""
        return False

    @property
    def runs_user_code(self) -> bool:
        """Whether it calls code of the user, which may end the process that it runs in."""
        return False

    @property
    def needs_main_thread(self) -> bool:
        """Whether a call works in the main thread of a process only, as one with a time limit does."""
        return False

    @property
    def undeclared(self) -> tuple[str, ...]:
        """The limit states, or ``loss`` itself, of which nobody says that they change smoothly with the factors.

        A smooth function has neither kinks nor jumps. Empty where the loss is known or declared to be smooth.
        """
        return self.limit_state_names or ("loss",)

    def watched(self) -> Loss:
        """The same loss, for which a run checks that a row always has the same value; itself if that is certain."""
        return self

    def refuse_noise(self, x: Float, out: Float, seconds: float) -> None:  # noqa: B027  # most losses have no noise
        """Raise `LossError` if the loss of a row differs between calls; see `PythonLoss.refuse_noise`."""

    def components(self, x: Float) -> Float | None:
        """Losses (n, m) of the parts of the portfolio, in the order of `component_names`, for rows ``x`` (n, d).

        The parts add up to the loss. None if the loss has no parts.
        """
        return None

    def part_columns(self, x: Float) -> Callable[[Members], Float] | None:
        """What makes some columns (n, j) of `components` for rows ``x`` (n, d); None if all have to be made at once."""
        return None

    @property
    def parts_at_once(self) -> int:
        """Number of parts whose losses have to be held together; 0 where `part_columns` makes some at a time."""
        return len(self.component_names)

    @property
    def score_names(self) -> tuple[str, ...]:
        """Names of the parameters that `scores` has."""
        return ()

    @property
    def size_names(self) -> tuple[str, ...]:
        """Names of the parameters to which what every part loses is proportional."""
        return ()

    def scores(self, x: Float, parts: Parts, group: Members, groups: int) -> Mapping[str, Float]:
        """How the probability of what a row's parts did depends on parameters of the loss, by `score_names`.

        Of a loss that draws by itself: the derivative of the log probability of the row's parts, given its factors, by
        the log of one factor on the parameters of a group of parts.

        Parameters
        ----------
        x : (n, d) float64
            Factors.
        parts : Parts
            What each part lost in each row.
        group : (m,) int64
            The group of each part, from 0.
        groups : int
            Their number ``g``.

        Returns
        -------
        mapping of str to (n, g) float64
            By name.
        """
        return {}

    @property
    def component_names(self) -> tuple[str, ...]:
        """Names of the parts; empty if there are none."""
        return ()

    @property
    def component_weights(self) -> Float | None:
        """The position in each part, (m,); None if the parts have no such number."""
        return None

    def component_groups(self, column: str) -> tuple[str, ...]:
        """The entry of each part in ``column`` of the positions file.

        Raises
        ------
        FieldError
            For ``by``, when there is no such column or no positions file.
        DataError
            When a cell of the column is empty.
        """
        raise FieldError("by", f"needs a loss with a positions file, got {column!r} for a loss of kind {self.kind!r}")

    def states(self, x: Float) -> Float | None:
        """Values (n, m) of the limit states, in the order of `limit_state_names`, for rows ``x`` (n, d).

        The loss of a row is the `at_least`-th largest of these values, so ``loss >= threshold`` means that at least so
        many limit states reach the threshold. A call counts as an evaluation of the loss and replaces it. None if the
        loss has no limit states.
        """
        return None

    @property
    def has_threshold(self) -> bool:
        """Whether the threshold is part of the loss, as of `Event`: the event is then ``loss >= 0``."""
        return False

    @property
    def limit_state_names(self) -> tuple[str, ...]:
        """Names of the limit states; empty if there are none."""
        return ()

    @property
    def has_limit_states(self) -> bool:
        """Whether it has limit states, also where their names are not known before it is bound."""
        return bool(self.limit_state_names)

    @property
    def has_components(self) -> bool:
        """Whether it has parts, also where their names are not known before it is bound."""
        return bool(self.component_names)

    @property
    def factor_weights(self) -> Float | None:
        """Weights ``w`` (d,) where the bound loss is the sum ``w'x`` of the risk factors; None of any other."""
        return None

    @property
    def at_least(self) -> int:
        """Number of limit states that must reach the threshold for the event."""
        return 1

    def one_region(self, inputs: Inputs) -> str:
        """Why the event is one region at any threshold and side, in words; empty if that is not proven.

        The region lies in the space of the standard normals behind ``inputs``, where searches and audits go. The words
        give the reason in the sentence of the scope, "all failure regions: ...".
        """
        return ""

    def assumptions(self, inputs: Inputs) -> Mapping[str, Any]:
        """The assumptions of the loss about ``inputs``, as plain values; see `raresim.diagnostics.assumptions`."""
        return {}

    def notes(self, inputs: Inputs) -> list[str]:
        """Sentences for ``raresim check`` about the loss together with ``inputs``."""
        return []

    @abstractmethod
    def moments(self, inputs: Inputs) -> tuple[float, float] | None:
        """Mean and standard deviation of the loss in closed form, or None if there is none."""

    @abstractmethod
    def files(self) -> list[Path]:
        """The files that the loss was read from, for the run's provenance."""

    @abstractmethod
    def describe(self) -> list[str]:
        """Lines that describe the loss in words."""

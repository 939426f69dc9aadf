"""A loss that is a model behind a UM-Bridge server: any simulation that speaks its protocol over HTTP.

Protocol 1.0: Seelinger, Cheng-Seelinger, Davis, Parno & Reinarz, *UM-Bridge: uncertainty quantification and modeling
bridge*, Journal of Open Source Software 8(83), 4748, 2023; https://um-bridge-benchmarks.readthedocs.io.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from raresim.arguments.checks import whole
from raresim.arguments.synonyms import unknown
from raresim.arguments.typed import typed
from raresim.distributions.base import Inputs
from raresim.distributions.standard_normal import StandardNormal
from raresim.errors import FieldError, LossError
from raresim.losses.limits import Limited
from raresim.losses.rows import RowError, RowLoss
from raresim.losses.stopping import Stop
from raresim.losses.web import LateError, NoAnswerError, Server, UnreadableError, checked_url
from raresim.numerics.arrays import Float
from raresim.registry import member

PROTOCOL = 1.0
"""Version of the protocol that is spoken."""

PATIENCE = 30.0
"""Seconds that a server may take to say what it is, where no ``timeout`` is given."""


@typed
@dataclass(frozen=True, kw_only=True)
class UMBridgeOutput(Limited):
    """A number of the output of a UM-Bridge model: the loss, or one limit state of several.

    Parameters
    ----------
    at : int or sequence of int, optional
        Its index from 0, or ``[vector, index]`` where the output has several vectors. It may be left out if the output
        is a single number.
    name : str, optional
        Name of the limit state, where there are several outputs; left out, ``g1``, ``g2``, ... by its place.
    above : float, optional
        The limit of the number, in its own unit: the limit state fails where the number is at least this. The loss is
        then the distance beyond the limit, ``(number - above) / scale``, and a measure asks for ``above: 0``.
    below : float, optional
        The limit state fails where the number is at most this limit; the loss is ``(below - number) / scale``. It
        replaces ``above``.
    scale : float
        What counts as one unit beyond the limit, positive, in the unit of the number; it changes no event.

    Raises
    ------
    FieldError
        When the place or the limit is not allowed.
    """

    at: int | Sequence[int] | None = None
    name: str | None = None
    above: float | None = None
    below: float | None = None
    scale: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "at", _checked_place("at", self.at))
        self.check_limit()


@member("loss")
@dataclass(frozen=True, kw_only=True, eq=False)
class UMBridgeLoss(RowLoss):
    """A number from a model that a UM-Bridge server evaluates, in one request for each row.

    Parameters
    ----------
    url : str
        Address of the server, ``http://localhost:4242``.
    model : str
        Name of the model on the server.
    config : mapping
        Options of the model, passed on as JSON.
    output : int, sequence of int, UMBridgeOutput or sequence of UMBridgeOutput, optional
        Which number of the model's output is the loss: its index from 0, or ``[vector, index]`` where the output has
        several vectors; or with a limit of its own, ``{at: 1, above: 3}``. A list of such entries
        gives the limit states of one evaluation. It may be left out if the output is a single number.
    parallel : int
        Number of rows that one worker asks for at the same time. A server that evaluates one row at a time lets the
        others wait.
    timeout : float, optional
        Seconds that a row may take.
    on_failure : "error", "bound" or "retry"
        Treatment of a row that fails: the model answers with an error, the server breaks off or takes too long, or the
        number is not finite. With ``error`` the run ends. With ``bound`` the row counts as outside the event for the
        estimate and the lower end of the interval, and as inside for the upper end. With ``retry`` it is tried again,
        and the run ends if that does not help.
    retries : int, optional
        How many times a failed row is tried again; left out, 3 with ``retry`` and 0 with ``bound``.
    system : "any", "all" or mapping
        Which of several outputs make the event: any or all of them reach the threshold, or, with ``{"at_least": 2}``,
        at least so many. Where outputs have limits of their own, a measure asks for ``above: 0``.
    smooth : bool
        Declares that the loss changes smoothly with the factors, without kinks or jumps, as a finite-element model
        with one mode of failure does. Methods that learn the loss from few evaluations need it; these contradict it
        where they can.
    unit : str, optional
        Name of the loss's unit, such as ``mm``: it is printed beside numbers and on axes, and nothing is converted.

    Raises
    ------
    FieldError
        When a field is not allowed, the server has no such model, or the model's sizes do not fit the inputs or
        ``output``.
    LossError
        When no server answers at the start of a run, it does not speak protocol 1.0, or an answer has another form
        than the protocol says, for any ``on_failure``; and when a row fails for good and is not bounded.

    Notes
    -----
    The risk factors, in their order, fill the input vectors of the model. ``raresim check`` asks no server: sizes are
    checked when a run begins. Proxies in environment variables are not used.
    """

    kind: ClassVar[str] = "umbridge"

    url: str
    model: str
    config: Mapping[str, Any] = field(default_factory=dict)
    output: int | Sequence[int] | UMBridgeOutput | Sequence[UMBridgeOutput] | None = None

    outputs: tuple[UMBridgeOutput, ...] = field(default=(), init=False, repr=False)
    sizes: tuple[int, ...] = field(default=(), init=False, repr=False)
    places: tuple[tuple[int, int], ...] = field(default=(), init=False, repr=False)
    out_sizes: tuple[int, ...] = field(default=(), init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "outputs", _outputs(self.output))
        self.check_rows()
        object.__setattr__(self, "url", checked_url("url", self.url))
        try:
            json.dumps(dict(self.config), allow_nan=False)
        except (TypeError, ValueError) as error:
            raise FieldError("config", f"must be plain data that JSON has: {error}") from None

    @property
    def name(self) -> str:
        return f"{self.model} at {self.url}"

    def look(self, inputs: Inputs) -> UMBridgeLoss:
        """The loss itself: no server is asked."""
        return self

    def bind(self, inputs: Inputs) -> UMBridgeLoss:
        info = self._told("/Info", None)
        if info.get("protocolVersion") != PROTOCOL:
            raise LossError(
                f"loss {self.name}: must speak protocol {PROTOCOL} of UM-Bridge, got {info.get('protocolVersion')!r}"
            )
        models = info.get("models")
        if not isinstance(models, list) or self.model not in models:
            raise FieldError("model", unknown(f"model of {self.url}", self.model, models or []))
        asked = {"name": self.model, "config": dict(self.config)}
        support = self._told("/ModelInfo", asked).get("support")
        if not isinstance(support, dict) or not support.get("Evaluate"):
            raise FieldError("model", f"must support Evaluate, but {self.model} supports {support}")
        bound = replace(self)
        sizes = self._sizes("/InputSizes", "inputSizes", asked)
        if sum(sizes) != inputs.dim:
            raise FieldError(
                "model",
                f"{self.model} takes {sum(sizes)} numbers, in vectors of {list(sizes)}, got {inputs.dim} factors",
            )
        out_sizes = self._sizes("/OutputSizes", "outputSizes", asked)
        object.__setattr__(bound, "sizes", sizes)
        object.__setattr__(bound, "out_sizes", out_sizes)
        object.__setattr__(bound, "places", tuple(self._place(output.at, out_sizes) for output in self.outputs))
        return bound

    def _place(self, at: int | Sequence[int] | None, sizes: Sequence[int]) -> tuple[int, int]:
        """Vector and index of the number ``at`` in an output of vectors of ``sizes``."""
        shape = f"{self.model} gives vectors of {list(sizes)}"
        if at is None:
            if sum(sizes) != 1:
                raise FieldError("output", f"must say which number is the loss: {shape}")
            return list(sizes).index(1), 0
        if isinstance(at, int):
            if len(sizes) != 1:
                raise FieldError("output", f"must be [vector, index], got {at}: {shape}")
            vector, index = 0, at
        else:
            vector, index = at
        if vector >= len(sizes) or index >= sizes[vector]:
            raise FieldError("output", f"must be in the output, counted from 0, got [{vector}, {index}]: {shape}")
        return vector, index

    def of_row(self, row: Float, stop: Stop) -> tuple[float, ...]:
        given = [part.tolist() for part in np.split(row, np.cumsum(self.sizes)[:-1])]
        question = {"name": self.model, "input": given, "config": dict(self.config)}
        try:
            status, answer = Server(self.url).ask("/Evaluate", question, self.timeout, stop)
        except LateError as error:
            raise RowError("timeout", str(error)) from None
        except NoAnswerError as error:
            raise RowError("died", str(error)) from None
        except UnreadableError as error:
            raise RowError("raised", str(error)) from None
        if isinstance(answer, dict) and "error" in answer:
            raise RowError("raised", f"the model answered {_error(answer)}")
        if status != 200:
            raise RowError("raised", f"{self.url}/Evaluate answered with status {status}")
        return self._numbers(answer)

    def _numbers(self, answer: Any) -> tuple[float, ...]:
        """The numbers of the outputs in an answer to Evaluate."""
        output: Any = answer.get("output") if isinstance(answer, dict) else None
        is_right = isinstance(output, list) and all(isinstance(vector, list) for vector in output)
        got = tuple(map(len, output)) if is_right else ()
        if got != self.out_sizes:
            shape = f"vectors of {list(got)}" if is_right else f"{answer!r:.80}"
            raise LossError(f"loss {self.name}: must answer with vectors of {list(self.out_sizes)}, got {shape}")
        values = [output[vector][index] for vector, index in self.places]
        for value in values:
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                raise LossError(f"loss {self.name}: must answer with numbers, got {value!r:.40}")
        return tuple(map(float, values))

    def _told(self, path: str, question: Mapping[str, Any] | None) -> dict[str, Any]:
        """What the server says about itself, as a mapping."""
        try:
            status, answer = Server(self.url).ask(path, question, self.timeout or PATIENCE, Stop())
        except NoAnswerError as error:
            raise LossError(f"loss {self.name}: {error}; start the server, and see whether `url` is its own") from None
        except UnreadableError as error:
            raise LossError(f"loss {self.name}: is no UM-Bridge server: {error}") from None
        if isinstance(answer, dict) and "error" in answer:
            raise LossError(f"loss {self.name}: {path} answered {_error(answer)}")
        if status != 200 or not isinstance(answer, dict):
            raise LossError(f"loss {self.name}: is no UM-Bridge server: {path} answered {status}: {answer!r:.60}")
        return answer

    def _sizes(self, path: str, key: str, asked: Mapping[str, Any]) -> tuple[int, ...]:
        sizes = self._told(path, asked).get(key)
        if not isinstance(sizes, list) or not all(isinstance(size, int) and size >= 0 for size in sizes) or not sizes:
            raise LossError(f"loss {self.name}: {path} must answer with a list of whole numbers, got {sizes!r:.60}")
        return tuple(sizes)

    def files(self) -> list[Path]:
        return []

    def replay(self, path: Path) -> str:
        return f"a POST of each row of x in that file to {self.url}/Evaluate"

    def describe(self) -> list[str]:
        options = f" with {json.dumps(dict(self.config))}" if self.config else ""
        lines = [f"UM-Bridge model {self.name}{options}"]
        for name, output in zip(self.limit_state_names or ("the loss",), self.outputs, strict=True):
            if output.at is not None:
                lines.append(f"{name} is number {output.at} of its output, from 0{output.limit_in_words}")
        return [*lines, *self.about_rows()]

    @staticmethod
    def examples() -> list[tuple[Inputs, UMBridgeLoss]]:
        """Inputs and losses for the conformance tests, which have the server."""
        return [(StandardNormal(dim=3), UMBridgeLoss(url="http://127.0.0.1:4242", model="forward", output=1))]


def _checked_place(field: str, at: Any) -> int | tuple[int, ...] | None:
    """An index or ``[vector, index]`` of plain whole numbers; None where it is left out."""
    if at is None:
        return None
    if not isinstance(at, Sequence):
        return whole(field, at, 0)
    if len(at) != 2:
        raise FieldError(field, f"must be an index or [vector, index], got {list(at)}")
    return tuple(whole(field, index, 0) for index in at)


def _outputs(given: Any) -> tuple[UMBridgeOutput, ...]:
    """The field ``output`` as outputs."""
    if isinstance(given, UMBridgeOutput):
        return (given,)
    if isinstance(given, Sequence) and any(isinstance(output, UMBridgeOutput) for output in given):
        return tuple(given)
    return (UMBridgeOutput(at=_checked_place("output", given)),)


def _error(answer: Mapping[str, Any]) -> str:
    """The error in an answer, in words."""
    error = answer["error"]
    if isinstance(error, dict):
        return f"{error.get('type', 'error')}: {error.get('message', '')}"[:200]
    return f"error: {error}"[:200]

"""The file from which an interrupted run goes on, written atomically, with the generation before it kept beside it.

A checkpoint holds the losses of the search (`raresim.engine.journal`), the sums of the estimate stage after its last
whole chunk, and the files of a run folder with the estimate so far. Nothing in it is code, and nothing is unpickled: it
is a line of SHA-256 over all that follows, a line of JSON that says whose state it is, a line of JSON with the
structure of the state, and its arrays as plain bytes.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
import threading
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from raresim.accumulators.arrivals import Arrivals
from raresim.accumulators.bets import Bets
from raresim.accumulators.ends import Ends
from raresim.accumulators.event_draws import EventDraws
from raresim.accumulators.kept import KeptRows
from raresim.accumulators.summary import Summary
from raresim.accumulators.tail import TailMoments
from raresim.accumulators.tail_draws import TailDraws
from raresim.accumulators.top import TopWeights
from raresim.accumulators.weighted_losses import Bins, WeightedLosses
from raresim.engine.journal import Journal
from raresim.errors import CheckpointError
from raresim.files.storage import replace_file
from raresim.losses.failures import Failures
from raresim.numerics.blocks import Growing, Plan
from raresim.run.sample import Look, Progress

MAGIC = b"raresim checkpoint 2\n"
"""First line of the file; the number is the version of the format."""

CLASSES: dict[str, type] = {
    cls.__name__: cls
    for cls in (
        Arrivals,
        Bets,
        Bins,
        Ends,
        EventDraws,
        Failures,
        Growing,
        KeptRows,
        Look,
        Plan,
        Progress,
        Summary,
        TailDraws,
        TailMoments,
        TopWeights,
        WeightedLosses,
    )
}
"""Records of which a stored state may consist, beside numbers, texts and arrays."""

DTYPES = ("<f8", "<i8", "|u1")

PLAIN = re.compile(r"[a-z][a-z_]*\.[a-z]{2,5}")
"""Names of the files that a state may hold. They are written into a run folder and nowhere else."""

Identity = Mapping[str, Any]
"""Plain values by name that identify a run: two runs with the same identity take the same path."""


@dataclass(frozen=True, eq=False)
class State:
    """What is saved of a run.

    Parameters
    ----------
    identity : mapping
        Identity of the run.
    generation : int
        Number of times that the run was saved.
    journal : Journal
        The losses of the search.
    progress : Progress or None
        State of the estimate stage; None during the search.
    files : mapping of str to bytes
        A run folder with the estimate so far; empty during the search and once the run is finished.
    origin : mapping
        For a finished run: ``folder``, the path from the run folder to the folder that paths of its config start from,
        and ``overrides``, the changes to the config.
    rounds : tuple of Progress
        The estimate stages of earlier rounds, each of them complete.
    budget : int
        Evaluations for which a run in seconds was planned; 0 for any other run.
    """

    identity: Identity
    generation: int = 0
    journal: Journal = field(default_factory=Journal)
    progress: Progress | None = None
    files: Mapping[str, bytes] = field(default_factory=dict)
    origin: Mapping[str, Any] = field(default_factory=dict)
    rounds: tuple[Progress, ...] = ()
    budget: int = 0

    def to_bytes(self) -> bytes:
        """The content of the file."""
        arrays: list[np.ndarray[Any, Any]] = []
        keys, loss = self.journal.arrays()
        files = {name: np.frombuffer(content, np.uint8) for name, content in self.files.items()}
        held = {"keys": keys, "loss": loss, "progress": self.progress, "rounds": self.rounds, "files": files}
        content = _pack(held, arrays)
        head = {"generation": self.generation, "identity": self.identity, "origin": self.origin}
        if self.budget:
            head["budget"] = self.budget
        lines = [json.dumps(part, allow_nan=False).encode() + b"\n" for part in (head, content)]
        body = b"".join([*lines, *(a.tobytes() for a in arrays)])
        return MAGIC + hashlib.sha256(body).hexdigest().encode() + b"\n" + body

    @classmethod
    def of_bytes(cls, content: bytes) -> Self:
        """The state that `to_bytes` wrote; for other content, a `ValueError` that says what is wrong."""
        if not content.startswith(MAGIC):
            raise ValueError("it is not a checkpoint of this version of the format, or its beginning is damaged")
        digest, _, body = content[len(MAGIC) :].partition(b"\n")
        if hashlib.sha256(body).hexdigest().encode() != digest:
            raise ValueError("it is damaged: its SHA-256 does not match its content")
        head_line, _, rest = body.partition(b"\n")
        line, _, raw = rest.partition(b"\n")
        head, packed = json.loads(head_line), json.loads(line)
        held = _unpack(packed, raw)
        journal = Journal.of_arrays(held["keys"], held["loss"])
        files = {name: array.tobytes() for name, array in held["files"].items()}
        if outside := [name for name in files if not PLAIN.fullmatch(name)]:
            raise ValueError(f"it holds a file called {outside[0]!r:.80}")
        return cls(
            head["identity"],
            head["generation"],
            journal,
            held["progress"],
            files,
            head["origin"],
            held["rounds"],
            head.get("budget", 0),
        )


def _pack(value: Any, arrays: list[np.ndarray[Any, Any]]) -> Any:
    """``value`` as JSON, with its arrays moved to ``arrays`` and referred to by type, shape and position."""
    if isinstance(value, np.ndarray):
        value = np.ascontiguousarray(value)
        if value.dtype.str not in DTYPES:
            raise TypeError(f"cannot be stored: an array of {value.dtype}")
        arrays.append(value)
        return {"array": [value.dtype.str, list(value.shape), sum(a.nbytes for a in arrays[:-1])]}
    if dataclasses.is_dataclass(value):
        fields = {f.name: _pack(getattr(value, f.name), arrays) for f in dataclasses.fields(value)}
        return {"object": [type(value).__name__, fields]}
    if isinstance(value, Mapping):
        return {"map": {key: _pack(item, arrays) for key, item in value.items()}}
    if isinstance(value, tuple):
        return [_pack(item, arrays) for item in value]
    return int(value) if isinstance(value, np.integer) else value


def _unpack(value: Any, raw: bytes) -> Any:
    """The inverse of `_pack`."""
    if isinstance(value, list):
        return tuple(_unpack(item, raw) for item in value)
    if not isinstance(value, dict):
        return value
    ((form, content),) = value.items()
    if form == "array":
        dtype, shape, offset = content
        if dtype not in DTYPES:
            raise ValueError(f"it holds an array of {dtype}")
        return np.frombuffer(raw, dtype, int(np.prod(shape)), offset).reshape(shape).copy()
    if form == "object":
        name, fields = content
        return CLASSES[name](**{key: _unpack(item, raw) for key, item in fields.items()})
    return {key: _unpack(item, raw) for key, item in content.items()}


def previous_of(path: Path) -> Path:
    """Path of the generation before the one at ``path``."""
    return path.with_name(f"{path.name}.previous")


def load(path: Path) -> State | None:
    """The newest undamaged generation at ``path``, or None if there is no checkpoint at all.

    Raises
    ------
    CheckpointError
        When there are files, but all are damaged. A damaged file beside a good one gives a warning.
    """
    states, faults = [], []
    for place in (path, previous_of(path)):
        try:
            states.append(State.of_bytes(place.read_bytes()))
        except FileNotFoundError:
            continue
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            faults.append(f"{place}: {error}")
    if not states:
        if faults:
            raise CheckpointError("\n".join(faults) + "\nremove it to start the run anew, without --resume")
        return None
    for fault in faults:
        warnings.warn(f"{fault}; the run goes on from the generation beside it", stacklevel=2)
    return max(states, key=lambda state: state.generation)


def refuse_other(path: Path, found: Identity, wanted: Identity) -> None:
    """Raise `CheckpointError` that says how the two identities differ."""
    there, here = _flat(found), _flat(wanted)
    gone = object()
    differing = [k for k in sorted({*there, *here}) if there.get(k, gone) != here.get(k, gone)]
    if differing:
        lines = [
            f"{k}: {there.get(k, 'not given')!s:.60} there, {here.get(k, 'not given')!s:.60} here" for k in differing
        ]
        raise CheckpointError(f"{path}: is the state of another run: {'; '.join(lines[:5])}")


def _flat(value: Any, path: str = "") -> dict[str, Any]:
    """Nested mappings and lists as one mapping from dotted names."""
    if isinstance(value, (list, tuple)):
        value = dict(enumerate(value))
    if not isinstance(value, Mapping):
        return {path: value}
    parts = [_flat(item, f"{path}.{key}" if path else str(key)) for key, item in value.items()]
    return {name: leaf for part in parts for name, leaf in part.items()}


class Checkpoint:
    """Saves a run every few seconds in a thread of its own, and once more when it ends or is interrupted.

    Parameters
    ----------
    path : Path
        The file; the generation before it is kept beside it.
    identity : mapping
        Identity of the run.
    seconds : float
        Time between two savings, in seconds.
    before : State, optional
        The state from which the run goes on.
    """

    def __init__(self, path: Path, identity: Identity, seconds: float = 10.0, before: State | None = None) -> None:
        self.path = path
        self.identity = identity
        self.seconds = seconds
        self.journal = before.journal if before else Journal()
        self.progress = before.progress if before else None
        self.rounds = before.rounds if before else ()
        self.budget = before.budget if before else 0
        self.resumed = before is not None and bool(before.progress or before.journal.evaluations)
        self.files_of: Callable[[Progress], Mapping[str, bytes]] | None = None
        self._files = before.files if before else {}
        self._generation = before.generation if before else 0
        self._end = threading.Event()
        self._failure: OSError | None = None
        self._saving = threading.Lock()
        self._thread: threading.Thread | None = None

    def keep(self, progress: Progress) -> None:
        """Record how far the estimate stage is; raises the `OSError` of a failed saving."""
        self.progress = progress
        if self._failure is not None:
            raise self._failure

    def begin_round(self, number: int) -> Progress | None:
        """The state of the estimate stage of round ``number``, from 0; None if it has not begun."""
        return self.rounds[number] if number < len(self.rounds) else self.progress

    def end_round(self, number: int) -> None:
        """Record that ``number`` rounds are complete and another one begins."""
        if number > len(self.rounds) and self.progress is not None:
            self.rounds, self.progress = (*self.rounds, self.progress), None

    def save(self) -> None:
        """Write the state as it is now."""
        with self._saving:
            self._save()

    def _save(self) -> None:
        progress, rounds, files = self.progress, self.rounds, self._files
        if progress is not None and self.files_of is not None:
            try:
                files = self.files_of(progress)
            except (ArithmeticError, ValueError) as error:  # the sums are what counts
                warnings.warn(f"{self.path}: does not hold the estimate so far: {error}", stacklevel=2)
                files = {}
        state = State(
            self.identity, self._generation + 1, self.journal, progress, files, rounds=rounds, budget=self.budget
        )
        replace_file(self.path, state.to_bytes(), previous_of(self.path))
        self._generation += 1
        self._files = files

    def __enter__(self) -> Self:
        self.save()
        self.journal.save = self.save
        self._thread = threading.Thread(target=self._save_now_and_then, name="raresim-checkpoint", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end.set()
        self.journal.save = None
        if self._thread is not None:
            self._thread.join()
        if self._failure is None:
            if error is None:  # the run folder is about to say more
                self.files_of, self._files = None, {}
            self.save()
        elif error is None:
            raise self._failure

    def _save_now_and_then(self) -> None:
        while not self._end.wait(self.seconds):
            try:
                self.save()
            except OSError as error:
                self._failure = error
                self.journal.fail(error)
                return

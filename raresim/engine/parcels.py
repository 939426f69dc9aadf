"""What travels to workers that share no memory: a job without its problem, and the problem, which is sent once a run.

The file of a user's function travels with the problem (`raresim.losses.travel`), so workers need no common disk.
"""

from __future__ import annotations

import io
import pickle
import threading
import uuid
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from raresim.engine.problem import Problem
from raresim.errors import FieldError
from raresim.losses.travel import travelling

KEPT = 8
"""Number of unpacked objects that a worker keeps, of this and other runs."""


@dataclass(frozen=True)
class Parcel:
    """A pickled object, and a name that no other parcel has."""

    token: str
    content: bytes


@dataclass(frozen=True, eq=False)
class Packed:
    """A job as it is sent: the job itself, and its problems by their tokens."""

    job: Parcel
    problems: Mapping[str, Problem]

    @property
    def runs_user_code(self) -> bool:
        """Whether a loss among the problems calls code that may end its process."""
        return any(problem.loss.runs_user_code for problem in self.problems.values())


class Packer:
    """Packs jobs; a problem has the same token in all of them."""

    def __init__(self) -> None:
        self._known: OrderedDict[int, tuple[Problem, str]] = OrderedDict()

    def pack(self, job: Any) -> Packed:
        """``job`` without its problems; raises `FieldError` where a part of it cannot be sent."""
        found: dict[str, Problem] = {}

        def token_of(part: Any) -> str | None:
            if not isinstance(part, Problem):
                return None
            known = self._known.setdefault(id(part), (part, uuid.uuid4().hex))
            self._known.move_to_end(id(part))
            found[known[1]] = part
            return known[1]

        content = _pickled(job, token_of)
        while len(self._known) > KEPT:
            self._known.popitem(last=False)
        return Packed(Parcel(uuid.uuid4().hex, content), found)


def parcel_of(token: str, problem: Problem) -> Parcel:
    """A problem as it is sent, with the file of its function."""
    with travelling():
        return Parcel(token, _pickled(problem, lambda _: None))


def _pickled(part: Any, token_of: Callable[[Any], str | None]) -> bytes:
    """``part`` pickled, functions of a script or notebook by value where cloudpickle is installed, as Dask has it."""
    try:
        from cloudpickle import Pickler
    except ImportError:
        from pickle import Pickler

    class Naming(Pickler):  # type: ignore[misc, valid-type, unused-ignore]  # one of two classes
        def persistent_id(self, part: Any) -> str | None:
            return token_of(part)

    file = io.BytesIO()
    try:
        Naming(file, protocol=5).dump(part)
    except (pickle.PicklingError, TypeError, AttributeError) as error:
        raise FieldError("executor", f"cannot send a part of the run to other processes: {error}") from error
    return file.getvalue()


_LOCK = threading.Lock()
_UNPACKED: OrderedDict[str, Any] = OrderedDict()
"""The objects of parcels that came to this process, by token."""


def unpacked(parcel: Parcel, parts: Mapping[str, Any]) -> Any:
    """The object in ``parcel``, with ``parts`` in the places that their tokens hold; unpacked once in a process."""
    with _LOCK:
        if parcel.token not in _UNPACKED:
            _UNPACKED[parcel.token] = _restored(parcel.content, parts)
        _UNPACKED.move_to_end(parcel.token)
        while len(_UNPACKED) > KEPT:
            _UNPACKED.popitem(last=False)
        return _UNPACKED[parcel.token]


def _restored(content: bytes, parts: Mapping[str, Any]) -> Any:
    class Named(pickle.Unpickler):
        def persistent_load(self, token: str) -> Any:
            return parts[token]

    try:
        return Named(io.BytesIO(content)).load()
    except (ImportError, AttributeError) as error:
        raise FieldError(
            "executor",
            f"a worker cannot import what the run needs: {error}; install the module there, or give the loss as "
            "'file.py:name', whose file is sent along",
        ) from error

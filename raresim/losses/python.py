"""A loss written by the user: a Python function of an array or of one row, or a numba function."""

from __future__ import annotations

import ast
import contextlib
import json
import math
import pickle
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextvars import Context, copy_context
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from raresim.arguments.checks import FunctionPath, named_unit
from raresim.arguments.synonyms import unknown
from raresim.data.files import listed, repeated
from raresim.distributions.base import Inputs
from raresim.distributions.standard_normal import StandardNormal
from raresim.errors import FieldError, LossError
from raresim.losses import noise
from raresim.losses.compiled import over_rows
from raresim.losses.failures import Failed, failures_of, not_finite, note
from raresim.losses.isolation import DiedError
from raresim.losses.isolation import current as isolating_now
from raresim.losses.randomness import random_calls
from raresim.losses.returned import LIMIT_STATES, PARTS, Columns, Returned
from raresim.losses.signature import one_array, required_by, required_in
from raresim.losses.system import System, checked, in_words, least_of, too_few
from raresim.losses.timeouts import TimedOutError, limited, refuse_timeout
from raresim.losses.travel import arrived, luggage
from raresim.losses.user_code import Policy, UserCode
from raresim.losses.user_file import checked_function, load, load_once, parts_of, place, refuse_missing
from raresim.numerics.arrays import Float
from raresim.registry import member


@member("loss")
@dataclass(frozen=True, kw_only=True, eq=False)
class PythonLoss(UserCode):
    """A user's function of the risk factors.

    Parameters
    ----------
    function : str or callable
        ``file.py:name`` (from YAML, relative to the config), or the function itself (from Python). It takes an
        ``(n, d)`` float64 array in Fortran order, one scenario per row, and returns ``(n,)`` numbers; a function
        compiled by numba is called in the same way.
    vectorised : bool
        If False, the function takes one row, ``(d,)``, and returns one number.
    jit : bool
        If True, the function takes one row as well, and is compiled by numba, with the loop over the rows. It may use
        what numba knows of Python and NumPy. ``vectorised`` is then left out.
    on_failure : "error", "bound" or "retry"
        Treatment of a row that fails: the function raises, takes too long, returns NaN or an infinity, or ends the
        process of its worker. With ``error`` the run ends. With ``bound`` the row counts as outside the event for the
        estimate and the lower end of the interval, and as inside for the upper end. With ``retry`` it is tried again,
        and the run ends if that does not help.
    retries : int, optional
        How many times a failed row is tried again; left out, 3 with ``retry`` and 0 with ``bound``.
    timeout : float, optional
        Seconds that one call of the function may take, whatever its number of rows.
    parts : bool or sequence of str
        In YAML ``components``: names of the parts of the portfolio, or true for ``c1``, ``c2``, ... The function then
        returns the loss of each part, ``(n, m)`` numbers whose row sums are the loss; or a tuple of the loss ``(n,)``
        and its parts ``(n, m)``, which must add up to it. For one row it returns ``(m,)`` numbers, or a tuple of one
        number and ``(m,)`` numbers.
    limit_states : bool or sequence of str
        Names of the limit states (desks, books, modes of failure), or true for ``g1``, ``g2``, ... The function then
        returns a column for each, ``(n, m)`` numbers, or ``(m,)`` for one row. Larger is worse: a limit state that
        fails at ``g <= 0`` is returned as ``-g``. It excludes ``parts``.
    system : "any", "all" or mapping
        Which limit states make the event: any or all of them reach the threshold, or, with ``{"at_least": 2}``, at
        least so many.
    unit : str, optional
        Name of the loss's unit, such as ``USD``: it is printed beside numbers and on axes, and nothing is converted.
    smooth : bool or sequence of str
        Declares that the loss changes smoothly with the factors, without kinks or jumps, as a finite-element model
        with one mode of failure does. Methods that learn the loss from few evaluations need this declaration, and
        report evaluations that contradict it. For a loss with limit states, true declares that each limit state is
        smooth, and a list declares it for those that it names; their maximum is never smooth.

    Raises
    ------
    FieldError
        When ``function`` does not have that form, another argument is not allowed, or ``timeout`` is given and the
        function is called on a thread.
    LossError
        When the function returns the wrong shape, something other than real numbers, parts that do not add up to the
        loss, or fewer limit states than the system needs, for any ``on_failure``; and when a row fails for good and is
        not bounded. The message names the row, and ``failures`` of the error holds the rows.

    Notes
    -----
    A vectorised call that raises or takes too long is made again row by row, to find the rows that fail. The parts of
    the rows in the tail come from a second call. If parts or limit states have no names, a call at the median of the
    inputs counts them. Further calls for a row do not count as evaluations.

    The loss of a row is the largest of its limit states (``any``), the smallest (``all``) or the k-th largest (at
    least k), so that ``loss >= threshold`` is the event of the system at any threshold. A row with NaN or an infinity
    in a limit state fails.

    The function may write into its input, which is a copy, may print, and may change the working folder: paths of files
    refer to the folder where the loss was made. `numpy.seterr` in a call holds for that call; in the module of the
    function it holds for all calls. Neither affects raresim's own arithmetic. Random numbers of the function's own make
    a run unrepeatable: numbers from a global generator depend on the order of the calls, which executors change. Take
    their seed from the row. At its start a run evaluates eight rows again in another order, fewer if the loss is slow,
    and refuses a function whose values differ: it has noise, or its loss of a row depends on the other rows.

    If a function ends its process, as a crash of native code does, only the executor ``processes`` can treat this as a
    failed row: with any other it ends the run too, and what was saved remains. The unfinished blocks are computed
    again, with each call in a process of its own, to find the row. A process takes a second or two to start, and each
    row that kills one takes two processes, or more if it is tried again.

    A time limit needs the main thread of a process, as the executors ``serial`` and ``processes`` have it. It
    interrupts Python code and waiting; native code runs on until it returns to Python. Compiling counts too. A call
    that exceeds its time has failed, even if the function catches the interruption and returns a number.
    """

    kind: ClassVar[str] = "python"
    ALIASES: ClassVar[Mapping[str, str]] = {"parts": "components"}

    function: FunctionPath | Callable[..., Any]
    vectorised: bool = True
    jit: bool = False
    on_failure: Policy = "error"
    retries: int | None = None
    timeout: float | None = None
    parts: bool | Sequence[str] = field(default=False, metadata={"typed": False})  # `_names` says more
    limit_states: bool | Sequence[str] = field(default=False, metadata={"typed": False})
    system: System = "any"
    unit: str | None = None
    smooth: bool | Sequence[str] = field(default=False, metadata={"typed": False})

    call: Callable[..., Any] | None = field(default=None, init=False, repr=False)
    context: Context | None = field(default=None, init=False, repr=False)
    median: Float | None = field(default=None, init=False, repr=False)
    token: str = field(default="", init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "function", checked_function(self.function))
        if not isinstance(self.function, str):
            object.__setattr__(self, "context", copy_context())
        if self.jit and not self.vectorised:
            raise FieldError("vectorised", "must be left out beside jit: the compiled loop takes all rows at once")
        self.check_policy()
        named_unit("unit", self.unit)
        if not isinstance(self.parts, bool):
            object.__setattr__(self, "parts", _names("components", self.parts))
        if not isinstance(self.limit_states, bool):
            object.__setattr__(self, "limit_states", _names("limit_states", self.limit_states))
        object.__setattr__(self, "system", checked(self.system))
        if self.limit_states is False:
            if self.system != "any":
                raise FieldError("system", "goes with limit_states: it says how they are combined")
        elif self.parts is not False:
            raise FieldError(
                "limit_states", "must not be given beside components: the columns are either parts or limit states"
            )
        if not isinstance(self.limit_states, bool) and (few := too_few(self.system, len(self.limit_states))):
            raise FieldError("system", few)
        if not isinstance(self.smooth, bool):
            object.__setattr__(self, "smooth", _names("smooth", self.smooth))
            if self.limit_states is False:
                raise FieldError("smooth", "must be true or false: names go with limit_states")
        if not isinstance(self.limit_states, bool):  # names that a call has to count are not known yet
            self._refuse_unknown_smooth()

    @property
    def needs_main_thread(self) -> bool:
        return self.timeout is not None

    @property
    def has_components(self) -> bool:
        return self.parts is not False

    @property
    def has_limit_states(self) -> bool:
        return self.limit_states is not False

    @property
    def name(self) -> str:
        """The name of the function in messages: file and function, without the folder."""
        if isinstance(self.function, str):
            path, name = parts_of(self.function)
            return f"{path.name}:{name}"
        return getattr(self.function, "__name__", type(self.function).__name__)

    def bind(self, inputs: Inputs) -> PythonLoss:
        bound = replace(self)
        loaded = load(self.function) if isinstance(self.function, str) else (self.function, self.context)
        bound._loaded(*loaded)
        if True in (self.parts, self.limit_states):
            latent, factors = np.zeros((1, inputs.latent_dim)), np.empty((1, inputs.dim))
            object.__setattr__(bound, "median", inputs.to_physical(latent, factors))
        bound._refuse_unknown_smooth()
        return bound

    def _loaded(self, call: Callable[..., Any], context: Context | None) -> None:
        if self.jit:
            call = over_rows(call, self.name, self._columns is not None)
        object.__setattr__(self, "call", call)
        object.__setattr__(self, "context", context)

    def __call__(self, x: Float, out: Float) -> None:
        found, retried = self._evaluate(x, out, None)
        if found or retried:
            note(failures_of(x, out, found, retried))
            out[list(found)] = np.nan

    def components(self, x: Float) -> Float | None:
        """As in `Loss`, by another call of the function; a bounded row that fails has NaN for each part."""
        if self.parts is False:
            return None
        out, parts = np.empty(len(x)), np.empty((len(x), len(self.component_names)))
        found, _ = self._evaluate(x, out, parts)
        parts[list(found)] = np.nan
        return parts

    @cached_property
    def component_names(self) -> tuple[str, ...]:
        return self._names_of(self.parts, "c")

    def states(self, x: Float) -> Float | None:
        """As in `Loss`; a bounded row that fails has NaN for each limit state."""
        if self.limit_states is False:
            return None
        out, states = np.empty(len(x)), np.empty((len(x), len(self.limit_state_names)), order="F")
        found, retried = self._evaluate(x, out, states)
        if found or retried:
            note(failures_of(x, out, found, retried))
            states[list(found)] = np.nan
        return states

    @cached_property
    def limit_state_names(self) -> tuple[str, ...]:
        return self._names_of(self.limit_states, "g")

    @property
    def at_least(self) -> int:
        return least_of(self.system, len(self.limit_state_names))

    @property
    def undeclared(self) -> tuple[str, ...]:
        if isinstance(self.smooth, bool):
            return () if self.smooth else self.limit_state_names or ("loss",)
        return tuple(name for name in self.limit_state_names if name not in self.smooth)

    def _refuse_unknown_smooth(self) -> None:
        """Raise `FieldError` if ``smooth`` names what is no limit state, as far as their names are known."""
        if isinstance(self.smooth, bool) or not self.limit_state_names:
            return
        for name in self.smooth:
            if name not in self.limit_state_names:
                raise FieldError("smooth", unknown("limit state", name, list(self.limit_state_names)))

    def _names_of(self, given: bool | Sequence[str], letter: str) -> tuple[str, ...]:
        """The names of the columns, numbered if they have none; () if there are no columns or the loss is not bound."""
        if given is True and self.median is not None:
            return tuple(f"{letter}{i}" for i in range(1, self._count(self.median) + 1))
        return () if isinstance(given, bool) else tuple(given)

    def _evaluate(self, x: Float, out: Float, columns: Float | None) -> tuple[dict[int, Failed], int]:
        """Write the losses of all rows into ``out``, and their parts or limit states into ``columns`` if it is given.

        Returns the rows that failed for good, which must be bounded, and how many rows gave a loss at a further try.
        """
        if self.timeout is not None:
            refuse_timeout()
        whole_call = self._attempt(x, out, columns) if self.vectorised else None
        if self.vectorised and whole_call is None:
            found = {int(row): not_finite(out[row]) for row in np.flatnonzero(~np.isfinite(out))}
        else:
            found = self._one_by_one(x, out, columns, range(len(x)), self.on_failure == "error")
            if whole_call is not None and 0 in found and (hint := self._one_row_hint(x)):
                text = f"loss {self.name}: {whole_call.text}, called with an array of shape {x.shape}{hint}"
                raise LossError(text) from whole_call.cause
            if whole_call is not None and not found and self.on_failure == "error":
                found = dict.fromkeys(range(len(x)), whole_call)
        retried = self._try_again(x, out, columns, found)
        if found and self.on_failure != "bound":
            raise self._error(x, out, found, whole_call)
        return found, retried

    def _bound_alike(self, **changes: Any) -> PythonLoss:
        """A copy with ``changes``, bound to the same inputs."""
        alike = replace(self, **changes)
        for name in ("call", "context", "median"):
            object.__setattr__(alike, name, getattr(self, name))
        return alike

    def watched(self) -> PythonLoss:
        watched = self._bound_alike()
        object.__setattr__(watched, "token", noise.token())
        return watched

    def refuse_noise(self, x: Float, out: Float, seconds: float) -> None:
        """Raise `LossError` if the function gives another value for the same row in a second call; see `noise.refuse`.

        This is done for `watched` losses only, once in each process.

        Parameters
        ----------
        x : (n, d) float64
            The rows that were evaluated.
        out : (n,) or (n, m) float64
            Their losses or limit states. Rows that failed have NaN and are not tried again.
        seconds : float
            Time that the evaluation took.
        """
        noise.refuse(self.name, self.token, x, out, seconds, self._again)

    def _again(self, x: Float, out: Float) -> Float:
        """The losses (n,) of ``x``, or its limit states (n, m) if ``out`` holds these; NaN where a row fails now."""
        losses = np.full(len(x), np.nan)
        states = np.full((len(x), out.shape[1]), np.nan, order="F") if out.ndim > 1 else None
        with contextlib.suppress(LossError):
            self._evaluate(np.asfortranarray(x), losses, states)
        return losses if states is None else states

    def doubts(self) -> list[str]:
        """Doubts about the function from its text, without importing it.

        They are about several arguments in place of an array, and about random numbers that are not seeded from the
        row.
        """
        if not isinstance(self.function, str):
            return []
        path, name = parts_of(self.function)
        tree = ast.parse(path.read_bytes())
        hint = one_array(required_in(tree, name), self.vectorised and not self.jit)
        found = [f"{self.name}: {hint}"] if hint else []
        calls = [f"{call} in line {line}" for call, line in random_calls(tree, name)]
        if not calls:
            return found
        return [
            *found,
            f"{self.name} draws random numbers of its own ({listed(calls)}); a run refuses a loss that gives two "
            "different values for the same row: make them part of the inputs, or take their seed from the row",
        ]

    def look(self, inputs: Inputs) -> PythonLoss:
        """The loss itself, after a check that the function exists: its file is read and parsed, not run.

        Raises
        ------
        FieldError
            When the file is missing, is not Python, or defines no such name at its top level.
        """
        if not isinstance(self.function, str):
            return self
        refuse_missing(self.function)
        return self

    def moments(self, inputs: Inputs) -> None:
        return None

    def files(self) -> list[Path]:
        return [parts_of(self.function)[0]] if isinstance(self.function, str) else []

    def replay(self, path: Path) -> str:
        """A shell command that calls the function with the rows saved at ``path``; empty for a callable."""
        if not isinstance(self.function, str):
            return ""
        file, name = parts_of(self.function)
        rows = f'numpy.load({json.dumps(str(path))})["x"]'
        called = f"loss({rows})" if self.vectorised and not self.jit else f"[loss(row) for row in {rows}]"
        code = (
            f"import numpy, runpy; loss = runpy.run_path({json.dumps(str(file))})[{json.dumps(name)}]; print({called})"
        )
        return f"python -c {shlex.quote(code)}"

    def describe(self) -> list[str]:
        how = ", compiled for each row" if self.jit else "" if self.vectorised else ", called row by row"
        lines = [f"Python function {self.name}{how}"]
        again = f" after {self.again} further tr{'y' if self.again == 1 else 'ies'}" if self.again else ""
        if self.on_failure == "retry":
            lines.append(f"a row without a loss is tried again, and the run ends if it still has none{again}")
        if self.on_failure == "bound":
            lines.append(
                f"a row without a loss{again} counts as safe for the lower end, and as failing for the upper end"
            )
        if self.timeout is not None:
            lines.append(f"a call may take {self.timeout:g} s")
        if self.parts is not False:
            names = "" if isinstance(self.parts, bool) else f": {listed(self.parts)}"
            lines.append(f"it returns the loss of each part of the portfolio{names}")
        if self.limit_states is not False:
            names = "" if isinstance(self.limit_states, bool) else f": {listed(self.limit_states)}"
            lines.append(f"it returns a column for each limit state{names}")
            lines.append(f"the event is that {in_words(self.system)}")
        return lines

    def __getstate__(self) -> dict[str, Any]:
        state = {**self.__dict__, "context": None, "call": None}
        state.pop("_returned", None)  # made again where the loss arrives
        if isinstance(self.function, str):
            state["luggage"] = luggage(parts_of(self.function)[0])
        elif "<" in getattr(self.function, "__qualname__", ""):
            raise FieldError(
                "function", f"{self.name} cannot be sent to other processes: use 'file.py:name', or threads"
            )
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        content = state.pop("luggage", None)
        self.__dict__.update(state)
        if isinstance(self.function, str):
            given, name = parts_of(self.function)
            path = arrived(given, content)
            stat = path.stat()
            self._loaded(*load_once(f"{path}:{name}", stat.st_mtime_ns, stat.st_size))
        else:
            self._loaded(self.function, copy_context())

    def _attempt(self, given: Float, out: Float, columns: Float | None) -> Failed | None:
        """Call the function once and write its values into ``out`` and ``columns``, or return the failure.

        Raises
        ------
        LossError
            When it does not return a real number for every row, its parts do not add up, or its limit states are too
            few.
        """
        value = self._answer(given)
        if isinstance(value, Failed):
            return value
        if self._columns is None:
            out[:] = self._returned.numbers(value, given, out.size)
        else:
            out[:], split = self._returned.split(value, given, out.size)
            if columns is not None:
                if split.shape[1] != columns.shape[1]:
                    raise LossError(
                        f"loss {self.name}: must return as many {self._columns.many} for all rows, got "
                        f"{split.shape[1]} after {columns.shape[1]} at the median of the inputs"
                    )
                columns[:] = split
        return None

    def _answer(self, given: Float) -> Any:
        """The return value of the function for ``given``, or `Failed`; from a separate process within `isolating`."""
        isolation = isolating_now()
        if isolation is None:
            return self._answer_here(given)
        isolation.strict = isolation.strict or self.on_failure == "error"
        try:
            return isolation.ask(self, self._answer_there, given)
        except DiedError as death:
            return Failed("died", f"ended the process that it ran in ({death})")

    def _answer_here(self, given: Float) -> Any:
        try:
            return self._call(given.copy(order="K"))
        except (Exception, SystemExit) as error:
            where = "leave out `jit: true` to see the line" if self.jit else place(error, self.call)
            return Failed("raised", f"raised {_told(error)} ({where})", error)
        except TimedOutError:
            return Failed("timeout", f"gave no answer within {self.timeout:g} s")

    def _answer_there(self, given: Float) -> Any:
        """As `_answer_here`, with an answer that can be sent to another process: the error itself is left out."""
        answer = self._answer_here(given)
        if isinstance(answer, Failed):
            return replace(answer, cause=None)
        try:
            pickle.dumps(answer)
        except Exception as error:
            return Failed("raised", f"returned a {type(answer).__name__} that cannot be sent: {_told(error)}")
        return answer

    @property
    def _columns(self) -> Columns | None:
        """The words for the columns that the function returns; None if it returns single numbers."""
        return PARTS if self.parts is not False else LIMIT_STATES if self.limit_states is not False else None

    @cached_property
    def _returned(self) -> Returned:
        """The form of what the function returns, made once: it is asked for at each call, which may be for one row."""
        names = self.parts if self.parts is not False else self.limit_states
        return Returned(self.name, self.vectorised, self._columns, names, self.system, self._one_row_hint)

    def _one_row_hint(self, x: Float) -> str:
        """A hint if a vectorised function failed for ``x`` (n, d), but not for its rows (d,); else empty."""
        if not self.vectorised or self.jit:
            return ""
        alone = self._bound_alike(vectorised=False)
        try:
            for row in np.ascontiguousarray(x[:3]):
                value = alone._call(row.copy())
                numbers = (
                    alone._returned.numbers(value, row, 1)
                    if alone._columns is None
                    else alone._returned.split(value, row, 1)[1]
                )
                if not np.isfinite(numbers).all():
                    return ""
        except (Exception, SystemExit, TimedOutError):
            return ""
        return (
            f"; it does take one row, an array of shape {x[0].shape}: say `vectorised: false` (in Python "
            "PythonLoss(function=..., vectorised=False)), `jit: true` to have numba compile it, or let it take all "
            "rows at once, which is quicker"
        )

    def _call(self, given: Float) -> Any:
        if self.call is None or self.context is None:
            raise RuntimeError("the loss is not bound to inputs")
        run = self.context.copy().run
        return run(self.call, given) if self.timeout is None else limited(self.timeout, run, self.call, given)

    def _one_by_one(
        self, x: Float, out: Float, columns: Float | None, rows: Iterable[int], only_first: bool
    ) -> dict[int, Failed]:
        """Call the function for each of ``rows`` alone; returns the rows that failed, or only the first of them."""
        contiguous = np.ascontiguousarray(x)
        found: dict[int, Failed] = {}
        for row in rows:
            given = contiguous[row : row + 1] if self.vectorised else contiguous[row]
            failed = self._attempt(given, out[row : row + 1], None if columns is None else columns[row : row + 1])
            if failed is None and not np.isfinite(out[row]):
                failed = not_finite(out[row])
            elif failed is not None:
                out[row] = np.nan
            if failed is not None:
                found[row] = failed
                if only_first:
                    break
        return found

    def _try_again(self, x: Float, out: Float, columns: Float | None, found: dict[int, Failed]) -> int:
        """Try failed rows again, and remove those that give a loss from ``found``; returns their number."""
        before = len(found)
        for _ in range(self.again):
            rows = list(found)
            found.clear()
            found.update(self._one_by_one(x, out, columns, rows, only_first=False))
        return before - len(found)

    def _error(self, x: Float, out: Float, found: dict[int, Failed], whole_call: Failed | None) -> LossError:
        """The error that ends the run, with the rows that failed."""
        row, first = next(iter(found.items()))
        scenario = f"the scenario {np.array2string(x[row], precision=6, threshold=12)}"
        if first.kind in ("nan", "infinite"):
            all_seen = self.on_failure != "error" or (self.vectorised and whole_call is None)
            looked_at = out.size if all_seen else row + 1
            some = f"must be finite, got {out[row]} for {len(found)} of {looked_at} rows, first for {scenario}"
        else:
            shape = x.shape if whole_call is not None else x[row : row + 1].shape if self.vectorised else x[row].shape
            where = f"row {row}, {scenario}"
            if first is whole_call:
                where = f"no row does so alone{self._one_row_hint(x)}"
            hint = one_array(required_by(self.call), self.vectorised and not self.jit)
            some = f"{first.text}, called with an array of shape {shape}; {f'{hint}; ' if hint else ''}{where}"
        if self.again:
            some += f"; tried {self.again + 1} times"
        error = LossError(f"loss {self.name}: {some}", failures_of(x, out, found, 0))
        error.__cause__ = first.cause
        return error

    def _count(self, x: Float) -> int:
        """Number of columns that the function returns for the single row ``x`` (1, d)."""
        what = self._columns or PARTS
        given = x if self.vectorised else x[0]
        asked = f"called with the median of the inputs to count the {what.many}; name them in `{what.key}`"
        try:
            value = self._call(given.copy(order="K"))
        except (Exception, SystemExit) as error:
            where = place(error, self.call)
            hint = self._one_row_hint(x)
            raise LossError(
                f"loss {self.name}: raised {type(error).__name__}: {error} ({where}), {asked}{hint}"
            ) from error
        except TimedOutError:
            raise LossError(f"loss {self.name}: gave no answer within {self.timeout:g} s, {asked}") from None
        _, columns = self._returned.split(value, given, 1)
        return int(columns.shape[1])

    @staticmethod
    def examples() -> list[tuple[Inputs, PythonLoss]]:
        """Inputs and losses for the conformance tests."""
        return [
            (StandardNormal(dim=3), PythonLoss(function=_largest)),
            (StandardNormal(dim=3), PythonLoss(function=_largest_of_row, vectorised=False)),
            (StandardNormal(dim=3), PythonLoss(function=_largest, on_failure="bound", retries=1)),
            (StandardNormal(dim=3), PythonLoss(function=_squares, parts=["a", "b", "c"])),
            (StandardNormal(dim=3), PythonLoss(function=_squares_of_row, vectorised=False, parts=True)),
            (StandardNormal(dim=3), PythonLoss(function=_squares, limit_states=["a", "b", "c"])),
            (StandardNormal(dim=3), PythonLoss(function=_squares, limit_states=True, system={"at_least": 2})),
            (StandardNormal(dim=3), PythonLoss(function=_length_of_row, jit=True)),
        ]


def _names(field: str, given: Sequence[str]) -> tuple[str, ...]:
    """``given`` as distinct names."""
    is_list = isinstance(given, (Sequence, np.ndarray)) and not isinstance(given, str) and len(given) > 0
    if not is_list or not all(isinstance(name, str) and name.strip() for name in given):
        raise FieldError(field, f"must be true or a list of names, got {given!r}")
    if again := repeated(given):
        raise FieldError(field, f"must be different names, got {again[0]!r} twice")
    return tuple(given)


def _told(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


def _largest(x: Float) -> Float:
    largest: Float = x.max(axis=1)
    return largest


def _largest_of_row(x: Float) -> float:
    return float(x.max())


def _length_of_row(x: Float) -> float:
    return math.sqrt((x**2).sum())


def _squares(x: Float) -> Float:
    squares: Float = x**2
    return squares


def _squares_of_row(x: Float) -> tuple[float, Float]:
    return float(x @ x), x**2

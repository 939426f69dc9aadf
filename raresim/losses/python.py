"""A loss written by the user: a Python function of an array, of one row, or a numba function."""

from __future__ import annotations

import ast
import functools
import importlib.util
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from raresim.arrays import Float, FunctionPath
from raresim.distributions.base import Inputs
from raresim.distributions.standard_normal import StandardNormal
from raresim.errors import FieldError, LossError
from raresim.losses.base import Loss
from raresim.registry import member, unknown


@member("loss")
@dataclass(frozen=True, kw_only=True, eq=False)
class PythonLoss(Loss):
    """A user's function of the risk factors.

    Parameters
    ----------
    function : str or callable
        ``file.py:name`` (from YAML, relative to the config), or the function itself (from Python). It takes an
        ``(n, d)`` float64 array in Fortran order, one scenario per row, and returns ``(n,)`` numbers; a function
        compiled by numba is called in the same way.
    vectorised : bool
        False: the function takes one row, ``(d,)``, and returns one number.

    Raises
    ------
    FieldError
        When ``function`` is not of that form.
    LossError
        When the function raises, or returns NaN, infinity, the wrong shape or something that is not a number; the
        message names the row.
    """

    kind: ClassVar[str] = "python"

    function: FunctionPath | Callable[..., Any]
    vectorised: bool = True

    call: Callable[..., Any] | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        if isinstance(self.function, str):
            path, _, name = self.function.rpartition(":")
            if not path.endswith(".py") or not name.isidentifier():
                raise FieldError("function", f"must be 'file.py:name', got {self.function!r}")
        elif not callable(self.function):
            raise FieldError("function", f"must be a function or 'file.py:name', got {self.function!r}")

    @property
    def name(self) -> str:
        """How the function is called in messages: file name and function, without the folder."""
        if isinstance(self.function, str):
            path, _, name = self.function.rpartition(":")
            return f"{Path(path).name}:{name}"
        return getattr(self.function, "__name__", type(self.function).__name__)

    def bind(self, inputs: Inputs) -> PythonLoss:
        bound = PythonLoss(function=self.function, vectorised=self.vectorised)
        call = _load(self.function) if isinstance(self.function, str) else self.function
        object.__setattr__(bound, "call", call)
        return bound

    def __call__(self, x: Float, out: Float) -> None:
        if self.vectorised:
            self._write(self._evaluate(x), x, out)
        else:
            for i, row in enumerate(np.ascontiguousarray(x)):
                self._write(self._evaluate(row), row[None, :], out[i : i + 1])

    def look(self) -> None:
        """Check that the function is there without importing it: its file is read and parsed, not run.

        Raises
        ------
        FieldError
            When the file is missing, is not Python, or defines no such name at its top level.
        """
        if not isinstance(self.function, str):
            return
        path_text, _, name = self.function.rpartition(":")
        path = Path(path_text)
        try:
            tree = ast.parse(path.read_bytes(), filename=path.name)
        except OSError:
            raise FieldError("function", f"no such file: {path}") from None
        except (SyntaxError, ValueError) as error:
            raise FieldError("function", f"{path.name} is not valid Python: {error}") from None
        names = [n for node in tree.body for n in _defined(node)]
        if name not in names:
            raise FieldError("function", unknown(f"function of {path.name}", name, names))

    def moments(self, inputs: Inputs) -> None:
        return None

    def files(self) -> list[Path]:
        return [Path(self.function.rpartition(":")[0])] if isinstance(self.function, str) else []

    def describe(self) -> list[str]:
        return [f"Python function {self.name}" + ("" if self.vectorised else ", called row by row")]

    def __getstate__(self) -> dict[str, Any]:
        state = dict(self.__dict__)
        if isinstance(self.function, str):
            state["call"] = None
        elif "<" in getattr(self.function, "__qualname__", ""):
            raise FieldError(
                "function", f"{self.name} cannot be sent to other processes: use 'file.py:name', or threads"
            )
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if isinstance(self.function, str):
            stat = Path(self.function.rpartition(":")[0]).stat()
            self.__dict__["call"] = _load_once(self.function, stat.st_mtime_ns, stat.st_size)

    def _evaluate(self, x: Float) -> Any:
        given = x.copy(order="K")
        try:
            return self.call(given)  # type: ignore[misc]  # bound by now
        except (Exception, SystemExit) as error:
            raise LossError(
                f"loss {self.name}: raised {type(error).__name__}: {error} "
                f"({_place(error, self.call)}), called with an array of shape {x.shape}"
            ) from error

    def _write(self, value: Any, x: Float, out: Float) -> None:
        if np.ma.is_masked(value):
            raise LossError(f"loss {self.name}: must return a number for every row, got masked entries")
        try:
            loss = np.asarray(value)
        except ValueError as error:
            raise LossError(f"loss {self.name}: must return numbers, got {value!r:.80}: {error}") from None
        if loss.dtype.kind not in "biuf":
            raise LossError(f"loss {self.name}: must return real numbers, got {_type_of(value, loss)}")
        expected = out.shape if self.vectorised else ()
        if loss.shape != expected and not (not self.vectorised and loss.shape == (1,)):
            wanted = f"an array of shape {expected}" if self.vectorised else "one number"
            raise LossError(
                f"loss {self.name}: must return {wanted}, got shape {loss.shape}"
                + ("" if self.vectorised else "; leave out `vectorised: false` if it takes whole arrays")
            )
        out[:] = loss
        bad = ~np.isfinite(out)
        if bad.any():
            row = int(bad.argmax())
            raise LossError(
                f"loss {self.name}: must be finite, got {out[row]} for {int(bad.sum())} of {out.size} rows, "
                f"first for the scenario {np.array2string(x[row], precision=6, threshold=12)}"
            )

    @staticmethod
    def examples() -> list[tuple[Inputs, PythonLoss]]:
        """Inputs and losses for the conformance tests."""
        return [
            (StandardNormal(dim=3), PythonLoss(function=_largest)),
            (StandardNormal(dim=3), PythonLoss(function=_largest_of_row, vectorised=False)),
        ]


def _load(function: str) -> Callable[..., Any]:
    """Import ``file.py``, under a name that cannot hide another module, and return its function."""
    path_text, _, name = function.rpartition(":")
    path = Path(path_text)
    if not path.is_file():
        raise FieldError("function", f"no such file: {path}")
    module_name = f"_raresim_user_{path.stem}"
    spec = importlib.util.spec_from_file_location(module_name, path)
    if spec is None or spec.loader is None:
        raise FieldError("function", f"cannot be imported: {path}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    try:
        spec.loader.exec_module(module)
    except SyntaxError as error:
        raise LossError(f"loss {path.name}: is not valid Python: {error.msg} (line {error.lineno})") from error
    except (Exception, SystemExit) as error:
        line = traceback.extract_tb(error.__traceback__)[-1].lineno
        raise LossError(
            f"loss {path.name}: importing it raised {type(error).__name__}: {error} (line {line})"
        ) from error
    call = getattr(module, name, None)
    if not callable(call):
        raise FieldError("function", f"{path.name} has no function {name!r}")
    return call  # type: ignore[no-any-return]


@functools.lru_cache(maxsize=8)
def _load_once(function: str, modified: int, size: int) -> Callable[..., Any]:
    """As `_load`, once for each version of the file: a worker process is sent the loss with every chunk."""
    return _load(function)


def _place(error: BaseException, call: Callable[..., Any] | None) -> str:
    """File and line where ``error`` was raised: the last line of the user's own file, where it was on the way."""
    frames = traceback.extract_tb(error.__traceback__)
    code = getattr(getattr(call, "py_func", call), "__code__", None)
    own = [f for f in frames if code is not None and f.filename == code.co_filename]
    where = (own or frames)[-1]
    return f"{Path(where.filename).name}, line {where.lineno}"


def _defined(node: ast.stmt) -> list[str]:
    """The names that a top-level statement defines."""
    if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
        return [node.name]
    if isinstance(node, (ast.If, ast.Try, ast.With)):
        inner = [s for part in ("body", "orelse", "finalbody") for s in getattr(node, part, [])]
        inner += [s for handler in getattr(node, "handlers", []) for s in handler.body]
        return [name for statement in inner for name in _defined(statement)]
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        return [alias.asname or alias.name for alias in node.names]
    return [n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)]


def _type_of(value: Any, loss: np.ndarray[Any, Any]) -> str:
    return f"an array of {loss.dtype}" if isinstance(value, np.ndarray) else f"{type(value).__name__} {value!r:.80}"


def _largest(x: Float) -> Float:
    largest: Float = x.max(axis=1)
    return largest


def _largest_of_row(x: Float) -> float:
    return float(x.max())

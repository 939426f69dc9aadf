"""The file of a user's function: its path, its text, and its import under a name that hides no other module."""

from __future__ import annotations

import ast
import functools
import importlib.util
import sys
import traceback
from collections.abc import Callable
from contextvars import Context, copy_context
from pathlib import Path
from typing import Any

from raresim.arguments.synonyms import unknown
from raresim.errors import FieldError, LossError


def checked_function(given: object) -> Any:
    """A function, or the text ``file.py:name`` with an absolute path: the working folder may change before it is used.

    Raises
    ------
    FieldError
        When it is neither.
    """
    if not isinstance(given, str):
        if callable(given):
            return given
        raise FieldError("function", f"must be a function or 'file.py:name', got {given!r:.80}")
    path, _, name = given.rpartition(":")
    if not path.endswith(".py") or not name.isidentifier():
        raise FieldError("function", f"must be 'file.py:name', got {given!r}")
    return f"{Path(path).absolute()}:{name}"


def parts_of(function: str) -> tuple[Path, str]:
    """The file, and the name of the function in it, of ``file.py:name``."""
    path, _, name = function.rpartition(":")
    return Path(path), name


def refuse_missing(function: str) -> None:
    """Raise `FieldError` if the file is missing, is not Python, or defines no such name at its top level.

    The file is read and parsed, and not run.
    """
    path, name = parts_of(function)
    try:
        tree = ast.parse(path.read_bytes(), filename=path.name)
    except OSError:
        raise FieldError("function", f"no such file: {path}") from None
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise FieldError("function", f"{path.name} is not valid Python: {error}") from None
    names = [n for node in tree.body for n in _defined(node)]
    if name not in names:
        raise FieldError("function", unknown(f"function of {path.name}", name, names))


def load(function: str) -> tuple[Callable[..., Any], Context]:
    """Import ``file.py`` under a name that cannot hide another module; returns its function and its context.

    Settings of the module, such as `numpy.seterr`, hold in that context and nowhere else.
    """
    path, name = parts_of(function)
    if not path.is_file():
        raise FieldError("function", f"no such file: {path}")
    module_name = f"_raresim_user_{path.stem}"
    spec = importlib.util.spec_from_file_location(module_name, path)
    if spec is None or spec.loader is None:
        raise FieldError("function", f"cannot be imported: {path}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    context = copy_context()
    try:
        context.run(spec.loader.exec_module, module)
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
    return call, context


@functools.lru_cache(maxsize=8)
def load_once(function: str, modified: int, size: int) -> tuple[Callable[..., Any], Context]:
    """As `load`, once for each version of the file: a worker process gets the loss with every chunk."""
    return load(function)


def place(error: BaseException, call: Callable[..., Any] | None) -> str:
    """File and line where ``error`` was raised, or the last line of the user's own file on the way there."""
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

"""Checks of constructor arguments against their annotations: a wrong type is refused at once, by the argument's name.

A string where a number is wanted is refused by the constructor; it does not become a `TypeError` of some inner line
during the run. The constructors themselves check what an annotation cannot say, such as the range of a number.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import numbers
import os
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

import numpy as np

from raresim.arguments.numerals import advice as as_number
from raresim.arguments.synonyms import unknown
from raresim.errors import FieldError

T = TypeVar("T", bound=type)

Type = Any
"""An annotation."""

REMEDIES: Mapping[str, str] = {
    "Inputs": "such as raresim.Normal(mean=[0.0, 0.0], cov=[[1.0, 0.5], [0.5, 1.0]])",
    "Distribution": "such as raresim.Normal(mean=[0.0, 0.0], std=1.0)",
    "Marginal": "such as raresim.marginals.Normal(mean=0.0, std=1.0)",
    "Copula": "such as raresim.copulas.T(dof=4.0, correlation=[[1.0, 0.5], [0.5, 1.0]])",
    "Loss": "such as raresim.Linear(weights=[0.5, 0.5]) or raresim.PythonLoss(function=my_loss)",
    "ProposalFamily": "such as raresim.Gaussian()",
    "Method": "such as raresim.CrossEntropy()",
    "Model": 'such as raresim.models.Credit(tape="tape.csv")',
    "Process": "such as raresim.models.GeometricBrownian(price=100.0, volatility=0.2)",
    "Measure": "such as raresim.Probability(above=5.0) or raresim.ValueAtRisk(level=0.999)",
    "Stop": "such as raresim.Stop(relative_error=0.01)",
}
"""What to give where an object of each class is wanted."""

WORDS: Mapping[Any, tuple[str, str]] = {
    "Inputs": ("a joint law of the risk factors", "joint laws"),
    "Distribution": ("a law", "laws"),
    "Marginal": ("a law of one risk factor", "laws of one risk factor"),
    "Copula": ("a copula", "copulas"),
    "Loss": ("a loss", "losses"),
    "ProposalFamily": ("a family of proposals", "families of proposals"),
    "Method": ("a method", "methods"),
    "Process": ("a process", "processes"),
    "Measure": ("a measure", "measures"),
    "Model": ("a model", "models"),
    "int": ("a whole number", "whole numbers"),
    "float": ("a number", "numbers"),
    "bool": ("True or False", "True or False"),
    "str": ("text", "texts"),
    "Path": ("a path", "paths"),
    "NoneType": ("None", "None"),
    "date": ("a date", "dates"),
}
"""What one object of each type is called, and what several are called."""


def typed(cls: T) -> T:
    """Make the constructor of a dataclass raise `FieldError` for an argument of another type than its annotation.

    A whole number may be given as ``1e6`` or by NumPy, and a list as an array: the constructor gets an int and a list.
    """
    construct = cls.__init__  # type: ignore[misc]  # of a class, not of an instance

    @functools.wraps(construct)
    def checked(self: Any, *args: Any, **kwargs: Any) -> None:
        wanted, advice = types_of(cls), advice_of(cls)
        _refuse_names(cls, len(args), kwargs)
        names = names_of(cls)[1]
        args = (
            tuple(
                argument(name, value, wanted.get(name, Any), advice.get(name, ""))
                for name, value in zip(names, args, strict=False)
            )
            + args[len(names) :]
        )
        kwargs = {
            name: argument(name, value, wanted.get(name, Any), advice.get(name, "")) for name, value in kwargs.items()
        }
        construct(self, *args, **kwargs)

    cls.__init__ = checked  # type: ignore[misc]
    return cls


def _refuse_names(cls: type, positions: int, given: Mapping[str, Any]) -> None:
    """Raise `FieldError` for a name that is no argument of ``cls``, and for an argument that is missing."""
    known, ordered, required = names_of(cls)
    if positions > len(ordered):
        name = known[len(ordered)] if len(ordered) < len(known) else known[-1]
        raise FieldError(name, f"must be given by name: {cls.__name__}({name}=...)")
    if strange := [name for name in given if name not in known]:
        if inspect.ismethod(getattr(cls, strange[0], None)):  # of the class, such as StudentT.fit
            call = f"{cls.__name__}.{strange[0]}(...)"
            raise FieldError(strange[0], f"is no argument of {cls.__name__} but a way to make one: {call}")
        raise FieldError(strange[0], unknown(f"argument of {cls.__name__}", strange[0], list(known)))
    for name in required:
        if name not in given and name not in ordered[:positions]:
            advice = advice_of(cls).get(name, "")
            raise FieldError(name, f"is required by {cls.__name__} but missing" + (f"; {advice}" if advice else ""))


@functools.cache
def names_of(cls: type) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """The names of all constructor arguments, of those that may be given by position, and of the required ones."""
    known = [f for f in dataclasses.fields(cls) if f.init]
    ordered = [f for f in known if not f.kw_only]
    required = [f for f in known if f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING]
    return tuple(f.name for f in known), tuple(f.name for f in ordered), tuple(f.name for f in required)


@functools.cache
def types_of(cls: type) -> Mapping[str, Type]:
    """The annotation of each constructor argument of a dataclass, except where its metadata say ``typed=False``."""
    hints = typing.get_type_hints(cls, include_extras=True)
    return {f.name: hints[f.name] for f in dataclasses.fields(cls) if f.init and f.metadata.get("typed", True)}


@functools.cache
def advice_of(cls: type) -> Mapping[str, str]:
    """The ``advice`` in the metadata of each constructor argument: what to do about a wrong one."""
    return {f.name: f.metadata["advice"] for f in dataclasses.fields(cls) if "advice" in f.metadata}


def argument(field: str, value: Any, wanted: Type, advice: str = "") -> Any:
    """``value`` as a constructor takes it; where its type is wrong, raises a `FieldError` that ends in ``advice``."""
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value.item()
    value = _converted(value, wanted)
    if not fits(value, wanted):
        place, value, wanted = _wrong_entry(value, wanted)
        message = place + f"must be {either(named(wanted))}, got {shown(value)}{remedy(value, wanted)}"
        raise FieldError(field, f"{message}; {advice}" if advice else message)
    return _plain(value, wanted)


CONVERTERS: dict[str, Callable[[Any], Any]] = {}
"""By the name of a class: what makes an object of it from a law of SciPy, or None."""


def converts(name: str) -> Callable[[Callable[[Any], Any]], Callable[[Any], Any]]:
    """Register a function that makes an object of class ``name`` from a law of SciPy where an argument wants one."""

    def register(make: Callable[[Any], Any]) -> Callable[[Any], Any]:
        CONVERTERS[name] = make
        return make

    return register


def _converted(value: Any, wanted: Type) -> Any:
    """``value``, and the entries of a list or mapping, with laws of SciPy turned into what is wanted."""
    if isinstance(value, Mapping):
        return {key: _converted(entry, wanted) for key, entry in value.items()} if _has_law(value.values()) else value
    if isinstance(value, (list, tuple)):
        return [_converted(entry, wanted) for entry in value] if _has_law(value) else value
    if not _is_of_scipy(value):
        return value
    makers = [CONVERTERS[cls.__name__] for cls in _classes(wanted) if cls.__name__ in CONVERTERS]
    return next((made for make in makers if (made := make(value)) is not None), value)


def _has_law(values: Iterable[Any]) -> bool:
    return any(_is_of_scipy(value) for value in values)


def _is_of_scipy(value: Any) -> bool:
    return type(value).__module__.startswith("scipy.stats.")


def _wrong_entry(value: Any, wanted: Type) -> tuple[str, Any, Type]:
    """The wrong entry of a list or mapping that is else as wanted: its place in words, the entry, its wanted type."""
    whole: Any = get_origin(wanted)
    options = get_args(wanted) if whole in (Union, types.UnionType) else (wanted,)
    for option in options:
        origin: Any = get_origin(option)
        args = get_args(option)
        if origin is Mapping and isinstance(value, Mapping):
            entries: Any = value.items()
        elif (origin in (Sequence, list) or (origin is tuple and args[-1] is Ellipsis)) and _is_list(value):
            entries = enumerate(value.tolist() if isinstance(value, np.ndarray) else value)
        else:
            continue
        of = args[1] if origin is Mapping else args[0]
        for key, entry in entries:
            if not fits(entry, of):
                return f"entry {key!r} ", entry, of
    return "", value, wanted


def fits(value: Any, wanted: Type) -> bool:
    """Whether ``value`` is of the type ``wanted``; True where the annotation says too little to tell."""
    origin: Any = get_origin(wanted)
    args = get_args(wanted)
    if origin in (Union, types.UnionType):
        return any(fits(value, option) for option in args)
    if origin is Annotated:
        marks = {*map(str, args[1:])} & {"vector", "matrix"}
        if "vector" in marks and isinstance(value, Mapping):  # numbers by name: the constructor puts them in order
            return all(map(_is_numeric, value.values()))
        return _is_numeric(value) if marks else fits(value, args[0])
    if origin is Literal:
        return any(isinstance(value, type(option)) for option in args)
    if wanted in (None, types.NoneType):
        return value is None
    if origin is Callable:
        return callable(value)
    if origin in (Sequence, list, tuple):
        return _is_list(value) and _entries_fit(value, origin, args)
    if origin is Mapping:
        return isinstance(value, Mapping) and all(fits(entry, args[1]) for entry in value.values())
    return _is_of(value, wanted) if isinstance(wanted, type) and wanted is not Any else True


def _is_of(value: Any, wanted: type) -> bool:
    if type(value) is wanted:
        return True
    is_bool = isinstance(value, (bool, np.bool_))
    if wanted is int:
        return isinstance(value, numbers.Real) and not is_bool and float(value).is_integer()
    if wanted is float:
        return isinstance(value, numbers.Real) and not is_bool
    if wanted is bool:
        return is_bool
    if wanted is Path:
        return isinstance(value, (str, os.PathLike))
    return isinstance(value, wanted)


def _is_list(value: Any) -> bool:
    if isinstance(value, np.ndarray):
        return value.ndim > 0
    return isinstance(value, (list, tuple)) or (isinstance(value, Sequence) and not isinstance(value, (str, bytes)))


def _entries_fit(value: Any, origin: Type, args: tuple[Type, ...]) -> bool:
    entries = value.tolist() if isinstance(value, np.ndarray) else value
    if origin is tuple and args[-1:] != (Ellipsis,):
        return len(entries) == len(args) and all(map(fits, entries, args))
    return all(fits(entry, args[0]) for entry in entries)


def _is_numeric(value: Any) -> bool:
    """Whether ``value`` can be read as an array of real numbers."""
    if isinstance(value, np.ndarray):
        return value.dtype.kind in "iufb" or value.dtype.kind == "O"
    if value is None or isinstance(value, (str, bytes, bool)):
        return False
    if isinstance(value, numbers.Real):
        return True
    try:
        return np.asarray(value).dtype.kind in "iufb"
    except (TypeError, ValueError):
        return False


def _plain(value: Any, wanted: Type) -> Any:
    """``value``, made an int where a whole number is wanted and a list where an array is not taken as it is."""
    origin: Any = get_origin(wanted)
    options = get_args(wanted) if origin in (Union, types.UnionType) else (wanted,)
    if int in options and float not in options and isinstance(value, (numbers.Integral, float, np.floating)):
        return value if isinstance(value, (bool, np.bool_)) else int(value)
    if isinstance(value, np.ndarray) and any(get_origin(option) in (Sequence, list, tuple) for option in options):
        return value.tolist()
    return value


def named(wanted: Type) -> list[str]:
    """The allowed types in words."""
    origin: Any = get_origin(wanted)
    args = get_args(wanted)
    if origin in (Union, types.UnionType):
        return list(dict.fromkeys(word for option in args for word in named(option)))
    if origin is Annotated:
        marks = {*map(str, args[1:])}
        if "vector" in marks:
            return ["one number", "a list of numbers"]
        if "matrix" in marks:
            return ["a matrix of numbers"]
        return ["'file.py:name'"] if "function" in marks else named(args[0])
    if origin is Literal:
        return [repr(option) for option in args]
    if origin is Callable:
        return ["a function"]
    if origin in (Sequence, list, tuple, Mapping):
        entry = args[1] if origin is Mapping else args[0]
        what = "a mapping from names to" if origin is Mapping else "a list of"
        return [f"{what} {_words(entry)[1] if isinstance(entry, type) else either(named(entry))}"]
    return [_words(wanted)[0]]


def either(names: Sequence[str]) -> str:
    """``a``, ``a or b``, ``a, b or c``."""
    return " or ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def _words(wanted: Type) -> tuple[str, str]:
    """What one object of a class is called, and what several are called."""
    name = getattr(wanted, "__name__", str(wanted))
    article = "an" if name[0] in "AEIOU" else "a"
    return WORDS.get(name, (f"{article} {name}", f"{name} objects"))


def shown(value: Any) -> str:
    """What was given, short enough for a message."""
    if isinstance(value, type):
        return f"the class {value.__name__}"
    if isinstance(value, str):
        return f"the text {value[:60]!r}"
    if value is None or isinstance(value, numbers.Number):
        return repr(value)
    if isinstance(value, np.ndarray):
        return f"an array of {value.dtype}, shape {value.shape}"
    if inspect.isroutine(value):
        return f"the function {getattr(value, '__name__', '')}".rstrip()
    if isinstance(value, (Sequence, Mapping)):
        return f"{value!r:.60}" + ("..." if len(repr(value)) > 60 else "")
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}"


def remedy(value: Any, wanted: Type) -> str:
    """The end of a message that says what to give instead; empty where that is not known."""
    parts = [cls.__name__ for cls in _classes(wanted) if cls.__name__ in REMEDIES]
    if not parts:
        return as_number(value) if {int, float} & {*_classes(wanted)} else ""
    part = parts[0]
    if isinstance(value, type) and part in (base.__name__ for base in value.__mro__):
        return f"; call it: {value.__name__}(...)"
    if part in CONVERTERS and hasattr(value, "freeze") and hasattr(value, "name"):
        return f"; give it its parameters: scipy.stats.{value.name}(...)"
    is_frame = hasattr(value, "columns") and hasattr(value, "__len__")
    is_data = isinstance(value, np.ndarray) or is_frame or hasattr(value, "load")
    if part in ("Inputs", "Distribution") and is_data:
        return (
            "; fit a law to it, such as raresim.Normal.fit(data), raresim.StudentT.fit(data) or "
            "raresim.Historical.fit(data)"
        )
    return f"; give one {REMEDIES[part]}"


def _classes(wanted: Type) -> list[type]:
    """The classes that an annotation is made of."""
    return [wanted] if isinstance(wanted, type) else [cls for part in get_args(wanted) for cls in _classes(part)]

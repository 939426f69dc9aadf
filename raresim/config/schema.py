"""The model of a config file: one pydantic model per dataclass, made from its annotations.

The models find unknown keys, missing keys and wrong types. They do not check values: the dataclass that is built from a
model does that.
"""

from __future__ import annotations

import dataclasses
import datetime
import functools
import inspect
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, create_model
from pydantic.fields import FieldInfo
from pydantic_core import PydanticCustomError

from raresim.arguments.checks import FolderPath, FunctionPath, Matrix, Vector
from raresim.copulas.base import Copula
from raresim.data import ColumnSource, ReturnsSource
from raresim.distributions.base import Distribution, Inputs
from raresim.engine.executors import Execution
from raresim.losses.base import Loss
from raresim.marginals.base import Marginal
from raresim.measures.base import Measure
from raresim.methods.auto import Auto
from raresim.methods.base import Method
from raresim.models.base import Model
from raresim.models.paths.process import Process
from raresim.proposals.base import ProposalFamily
from raresim.registry import Plugin, adopt, members, plugins_of, some_members
from raresim.run.approximation import Named
from raresim.run.audit import Extent
from raresim.run.presets import Name
from raresim.run.sampled import Output
from raresim.run.stop import Stop

_FAMILY_OF = {
    Inputs: "inputs",
    Distribution: "distribution",
    Marginal: "marginal",
    Copula: "copula",
    Loss: "loss",
    ProposalFamily: "proposal_family",
    Method: "method",
    Measure: "measure",
    Model: "model",
    Process: "process",
}


def validated(data: Any, importing: bool = True) -> tuple[BaseModel, tuple[Plugin, ...]]:
    """The content of a config file, with keys and types checked; raises pydantic's ``ValidationError``.

    A model of the kinds that the file names is much quicker made than that of all. Where it has a complaint, kinds are
    looked for in other packages. Then the model of all kinds has the last word: it knows what would have been allowed.

    Parameters
    ----------
    data : dict
        The content.
    importing : bool
        Whether members of other packages are imported. If not, any keys may stand in their parts of the file.

    Returns
    -------
    BaseModel
        The content.
    tuple of Plugin
        The members of other packages that were not imported.
    """
    kinds = frozenset(_kinds(data))
    with suppress(ValidationError):
        return experiment_model(kinds).model_validate(data), ()
    found = tuple(plugins_of(kinds))
    if found and importing:
        for plugin in found:
            adopt(plugin)
        experiment_model.cache_clear()
        found = ()
    with suppress(ValidationError):
        return experiment_model(kinds, found).model_validate(data), found
    return experiment_model(None, found).model_validate(data), found


def _kinds(data: Any) -> Iterator[str]:
    """Everything that is said to be the kind of something in ``data``."""
    if isinstance(data, Mapping):
        if isinstance(kind := data.get("kind"), str):
            yield kind
        for value in data.values():
            yield from _kinds(value)
    elif isinstance(data, list):
        for value in data:
            yield from _kinds(value)


@functools.cache
def experiment_model(kinds: frozenset[str] | None = None, foreign: tuple[Plugin, ...] = ()) -> type[BaseModel]:
    """The pydantic model of a config file, with the members of families that are of one of ``kinds``; None: all.

    The members ``foreign`` of other packages are not imported, and may have any keys.
    """
    builder = _Models(kinds, foreign)
    fields: dict[str, Any] = {
        "name": (str | None, None),
        "preset": (Name | None, None),
        "seed": (_Count, ...),
        "inputs": (builder.family("inputs"), None),
        "loss": (builder.family("loss"), None),
        "model": (builder.family("model"), None),
        "measures": (Annotated[list[builder.family("measure")], Field(min_length=1)], ...),  # type: ignore[misc]
        "method": (builder.family("method"), builder.default(Auto())),
        "stop": (builder.model(Stop), builder.default(Stop())),
        "audit": (Extent, "quick"),
        "output": (builder.model(Output) | None, None),
        "approximation": (Union[builder.family("loss"), Named, None], None),  # noqa: UP007  # made at run time
        "execution": (builder.model(Execution), builder.default(Execution())),
    }
    return builder.finish(create_model("Experiment", __config__=_STRICT, **fields))


_STRICT = ConfigDict(extra="forbid", strict=True, arbitrary_types_allowed=True, populate_by_name=False)


def _integral(value: Any) -> Any:
    """Accept ``1e6`` as a count."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _to_path(value: Any) -> Any:
    if not isinstance(value, str):
        raise PydanticCustomError("path_type", "must be a path")
    return value


_Count = Annotated[int, BeforeValidator(_integral)]
_Path = Annotated[str, BeforeValidator(_to_path), "path"]
_Folder = Annotated[str, BeforeValidator(_to_path), "folder"]

_PLAIN: Sequence[tuple[Any, Any]] = (
    (Vector, float | list[float]),
    (Matrix, list[list[float]]),
    (FunctionPath, Annotated[str, "function"]),
    (FolderPath, _Folder),
    (int, _Count),
    (Path, _Path),
    (Any, Any),
)
"""Annotations of dataclasses and their types in the model; `Any` is passed on as it is."""


class _Models:
    """Pydantic models of dataclasses, made once each; a family is a union with the discriminator ``kind``."""

    def __init__(self, kinds: frozenset[str] | None = None, foreign: Sequence[Plugin] = ()) -> None:
        self._kinds = kinds
        self._foreign = foreign
        self._models: dict[type, type[BaseModel]] = {}
        self._families: dict[str, Any] = {}

    def family(self, name: str) -> Any:
        """The union of a family's members."""
        if name not in self._families:
            self._families[name] = f"Any_{name}"
            found = members(name) if self._kinds is None else some_members(name, self._kinds)
            models = [self.model(cls) for cls in found.values()]
            models += [_foreign_model(plugin) for plugin in self._foreign if plugin.family == name]
            union: Any = Union[tuple(models) or None]  # noqa: UP007  # made at run time
            self._families[name] = Annotated[union, Field(discriminator="kind")] if len(models) > 1 else union
        return self._families[name]

    def model(self, cls: type) -> type[BaseModel]:
        """The model of one dataclass."""
        if cls not in self._models:
            aliases: Mapping[str, str] = getattr(cls, "ALIASES", {})
            hints = typing.get_type_hints(cls, include_extras=True)
            fields: dict[str, Any] = {}
            if hasattr(cls, "kind"):
                fields["kind"] = (Literal[cls.kind], ...)
            for f in dataclasses.fields(cls):
                if f.init and f.metadata.get("yaml", True):
                    default = ... if is_required(f) else self._default(f)
                    fields[f.name] = (self.translate(hints[f.name]), Field(default, alias=aliases.get(f.name)))
            if source := source_of(cls):
                fields = {k: v if k == "kind" else _optional(v) for k, v in fields.items()}
                fields["fit"] = (self.model(source) | None, None)
            doc = inspect.getdoc(cls) or ""
            model = create_model(name_of(cls), __config__=_STRICT, __doc__=doc.split("\n\n", maxsplit=1)[0], **fields)
            model.raresim_class = cls
            self._models[cls] = model
        return self._models[cls]

    def translate(self, hint: Any) -> Any:
        """The pydantic type of a dataclass annotation."""
        for known, plain in _PLAIN:
            if hint is known:
                return plain
        if hint in _FAMILY_OF:
            return self.family(_FAMILY_OF[hint])
        if dataclasses.is_dataclass(hint):
            return self.model(typing.cast(type, hint))
        origin, args = get_origin(hint), get_args(hint)
        if origin in (Union, types.UnionType):
            kept = [self.translate(a) for a in args if get_origin(a) is not Callable]
            return Union[tuple(kept)]  # noqa: UP007  # made at run time
        if origin in (Sequence, list) or (origin is tuple and args[-1] is Ellipsis):
            return list.__class_getitem__(self.translate(args[0]))
        if origin is Mapping:
            return dict.__class_getitem__((str, self.translate(args[1])))
        if origin is Literal or hint in (float, str, bool, type(None), datetime.date):
            return hint
        raise TypeError(f"no YAML form for the annotation {hint!r}")

    def finish(self, model: type[BaseModel]) -> type[BaseModel]:
        """Resolve the names of families that refer to each other."""
        namespace = {f"Any_{name}": union for name, union in self._families.items()}
        for made in (*self._models.values(), model):
            made.model_rebuild(force=True, _types_namespace=namespace)
        return model

    def default(self, value: Any) -> BaseModel:
        """The model of a part that is used if the user gives none."""
        kind = {"kind": value.kind} if hasattr(value, "kind") else {}
        return self.model(type(value))(**kind)

    def _default(self, f: dataclasses.Field[Any]) -> Any:
        if f.default_factory is dataclasses.MISSING:
            return f.default
        value = f.default_factory()
        return self.default(value) if dataclasses.is_dataclass(value) else value


def _foreign_model(plugin: Plugin) -> type[BaseModel]:
    """The model of a member that is not imported: any keys are allowed."""
    hint: Any = Literal[plugin.kind]
    model = create_model(
        f"Foreign_{plugin.family}_{plugin.kind}", __config__=ConfigDict(extra="allow"), kind=(hint, ...)
    )
    model.raresim_class = Plugin  # type: ignore[attr-defined]  # as the other models
    return model


def source_of(cls: type) -> type | None:
    """The source of data that a law of this class can be fitted to, instead of getting its parameters; or None."""
    if issubclass(cls, Inputs) and callable(getattr(cls, "fit", None)):
        return ReturnsSource
    if issubclass(cls, Marginal) and cls.can_be_fitted():
        return ColumnSource
    return None


def name_of(cls: type) -> str:
    """The name of a class in the schema; a prefix tells marginals and copulas from joint laws and proposals."""
    prefix = "Marginal" if issubclass(cls, Marginal) else "Copula" if issubclass(cls, Copula) else ""
    return cls.__name__ if cls.__name__.startswith(prefix) else prefix + cls.__name__


def _optional(field: tuple[Any, FieldInfo]) -> tuple[Any, Any]:
    hint, info = field
    return (hint | None, Field(None, alias=info.alias)) if info.is_required() else field


def marks_of(hint: Any) -> set[str]:
    """The marks ("path", "folder", "function") of an annotation, or of a member of its union."""
    own = {m for m in getattr(hint, "__metadata__", ()) if isinstance(m, str)}
    return own.union(*(marks_of(arg) for arg in get_args(hint) if get_origin(hint) is not Literal))


def is_required(f: dataclasses.Field[Any]) -> bool:
    return f.init and f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING


def class_of(model: BaseModel) -> Any:
    return type(model).raresim_class  # type: ignore[attr-defined]


def key_of(model: type[BaseModel], name: str) -> str:
    return model.model_fields[name].alias or name

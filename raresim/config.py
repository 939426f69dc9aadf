"""YAML to an experiment: the only file that knows pydantic.

Every part of an experiment is a dataclass that checks its own arguments. Here each of them becomes a pydantic
model, made from its annotations, which finds unknown keys, missing keys and wrong types; the dataclass is then built
from it and has the last word. Every message starts with the place in the file.
"""

from __future__ import annotations

import dataclasses
import datetime
import functools
import hashlib
import inspect
import io
import json
import os
import re
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, create_model
from pydantic.fields import FieldInfo
from pydantic_core import PydanticCustomError

from raresim import yaml_tree
from raresim.arrays import FunctionPath, Matrix, Vector
from raresim.data import ReturnsSource, ReturnsTable
from raresim.distributions.base import Distribution, Inputs
from raresim.errors import ConfigError, DataError, FieldError, RaresimError
from raresim.estimation import Stop
from raresim.executors import Kind as ExecutorKind
from raresim.experiment import Experiment, check_seed
from raresim.losses.base import Loss
from raresim.losses.python import PythonLoss
from raresim.measures.base import Measure
from raresim.methods.base import Method
from raresim.methods.cross_entropy import CrossEntropy
from raresim.proposals.base import ProposalFamily
from raresim.registry import FAMILIES, members, unknown
from raresim.yaml_tree import Loc, Tree

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
MAX_PROBLEMS = 20
"""Problems of one file that are shown before the rest is left out."""

_FAMILY_OF = {
    Inputs: "inputs",
    Distribution: "distribution",
    Loss: "loss",
    ProposalFamily: "proposal_family",
    Method: "method",
    Measure: "measure",
}


@dataclass(frozen=True, kw_only=True)
class Execution:
    """Where a run is computed; it may never change a digit.

    Parameters
    ----------
    executor : "serial", "threads" or "processes"
        How the blocks are spread.
    workers : int, optional
        How many; the number of processors when left out.
    """

    executor: ExecutorKind = "threads"
    workers: int | None = None

    def __post_init__(self) -> None:
        if self.workers is not None and not 1 <= self.workers <= 1024:
            raise FieldError("workers", f"must be from 1 to 1024, got {self.workers}")

    @property
    def n_workers(self) -> int:
        """The number of workers, resolved."""
        return 1 if self.executor == "serial" else self.workers or os.cpu_count() or 1


@dataclass(frozen=True, eq=False)
class Outline:
    """What ``raresim check`` knows of the inputs without fitting them: sizes, names, and the facts of the data."""

    kind: str
    dim: int
    latent_dim: int
    table: ReturnsTable | None

    @property
    def fitted(self) -> Any:
        """Stands in for the names that a fit would leave."""
        return self.table


@dataclass(frozen=True, eq=False)
class Config:
    """A config file that has been read and whose keys and types are right.

    Parameters
    ----------
    tree : Tree
        The content, with positions.
    text : str
        The file, as it is.
    model : BaseModel
        The validated content.
    """

    tree: Tree
    text: str
    model: BaseModel

    @property
    def name(self) -> str:
        """The experiment's name: given, or the file's."""
        return getattr(self.model, "name", None) or Path(self.tree.source).stem

    def experiment(self) -> Experiment:
        """Build the experiment: data are read and fitted; a user's loss is not imported before the run."""
        values = {
            key: self._build(getattr(self.model, key), (key,))
            for key in ("inputs", "loss", "measures", "method", "stop")
        }
        try:
            return Experiment(**values, seed=getattr(self.model, "seed"), name=self._checked_name())  # noqa: B009
        except FieldError as error:
            raise self.tree.error((error.field,), error.message) from None

    def outline(self) -> tuple[Outline, Method, Stop]:
        """Check everything that can be checked without fitting, drawing or importing the user's code."""
        self._checked_name()
        inputs = self._outline_inputs()
        loss = self._build(getattr(self.model, "loss"), ("loss",))  # noqa: B009
        measures = self._build(getattr(self.model, "measures"), ("measures",))  # noqa: B009
        with self.located(("loss",)):
            if isinstance(loss, PythonLoss):
                loss.look()
            else:
                loss.bind(typing.cast(Inputs, inputs))
        if not measures:
            raise self.tree.error(("measures",), "must name at least one")
        method, stop = (self._build(getattr(self.model, key), (key,)) for key in ("method", "stop"))
        with self.located(("method",)):
            method.cost(inputs.latent_dim, inputs.dim)
        with self.located(()):
            check_seed(getattr(self.model, "seed"))  # noqa: B009
        self.execution()
        return inputs, method, stop

    def execution(self) -> Execution:
        """Where the run is to be computed."""
        execution: Execution = self._build(getattr(self.model, "execution"), ("execution",))  # noqa: B009
        return execution

    def resolved(self) -> dict[str, Any]:
        """Every value of the experiment, defaults included, as plain data."""
        plain: dict[str, Any] = self.model.model_dump(mode="json", by_alias=True, exclude_none=True)
        if "fit" in plain["inputs"]:
            plain["inputs"] = {key: plain["inputs"][key] for key in ("kind", "fit")}
        return {"name": self.name} | plain

    @property
    def digest(self) -> str:
        """SHA-256 of the resolved content without ``execution``."""
        content = {k: v for k, v in self.resolved().items() if k != "execution"}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def texts(self) -> dict[str, str]:
        """The files that a run folder keeps of the config."""
        from ruamel.yaml import YAML

        stream = io.StringIO()
        yaml = YAML(typ="safe", pure=True)
        yaml.default_flow_style = False
        yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]  # untyped in ruamel
        yaml.dump(self.resolved(), stream)
        return {"config.yaml": self.text, "resolved.yaml": stream.getvalue()}

    def located(self, loc: Loc) -> _Located:
        """A context in which a part's `FieldError` becomes a `ConfigError` with the place of its key below ``loc``."""
        return _Located(self.tree, loc)

    def explain(self, error: FieldError) -> ConfigError:
        """The `ConfigError` for an argument that a run found wrong: at its key where that is the only one so called."""
        return self.tree.error(self.tree.find(error.field) or (error.field,), error.message)

    def _checked_name(self) -> str:
        if not NAME.fullmatch(self.name):
            raise self.tree.error(
                ("name",), f"must be letters, digits, '.', '_' or '-', at most 100 of them, got {self.name!r}"
            )
        return self.name

    def _outline_inputs(self) -> Outline:
        model = getattr(self.model, "inputs")  # noqa: B009
        cls = _class_of(model)
        source = getattr(model, "fit", None)
        if source is None:
            law = self._build(model, ("inputs",))
            return Outline(law.kind, law.dim, law.latent_dim, None)
        self._refuse_parameters_beside_fit(model, ("inputs",))
        table = self._build(source, ("inputs", "fit")).load()
        dim = len(table.names)
        return Outline(cls.kind, dim, cls.latent_dim_of(dim), table)

    def _refuse_parameters_beside_fit(self, model: BaseModel, loc: Loc) -> None:
        others = sorted(model.model_fields_set - {"kind", "fit"})
        if others:
            raise self.tree.error((*loc, others[0]), "cannot be given beside fit, which finds it from the data")

    def _build(self, value: Any, loc: Loc) -> Any:
        """The object that a validated value stands for."""
        if isinstance(value, list):
            return [self._build(item, (*loc, i)) for i, item in enumerate(value)]
        if not isinstance(value, BaseModel):
            return value
        cls = _class_of(value)
        with self.located(loc):
            if getattr(value, "fit", None) is not None:
                self._refuse_parameters_beside_fit(value, loc)
                source = self._build(getattr(value, "fit"), (*loc, "fit"))  # noqa: B009
                try:
                    return cls.fit(source)
                except DataError as error:
                    raise DataError(f"{self.tree.place((*loc, 'fit'))}: {error}") from None
            self._require_parameters(value, cls, loc)
            given = {
                name: self._file(value, name, (*loc, _key(type(value), name)))
                for name in value.model_fields_set - {"kind", "fit"}
            }
            return cls(**given)

    def _require_parameters(self, model: BaseModel, cls: type, loc: Loc) -> None:
        """Name the arguments that only a fit may leave out."""
        for f in dataclasses.fields(cls):
            if _is_required(f) and f.name not in model.model_fields_set:
                raise self.tree.error((*loc, f.name), "is required but missing")

    def _file(self, model: BaseModel, name: str, loc: Loc) -> Any:
        """A field's value; a path, or the path of ``file.py:name``, is taken relative to the config file."""
        value = getattr(model, name)
        info = type(model).model_fields[name]
        marks = _marks(info.annotation) | {m for m in info.metadata if isinstance(m, str)}
        if value is None or not marks & {"path", "function"}:
            return self._build(value, loc)
        path_text, colon, function = str(value).rpartition(":") if "function" in marks else (str(value), "", "")
        if "function" in marks and not colon:
            return value
        path = Path(self.tree.source).parent / path_text
        if not path.is_file():
            raise self.tree.error(loc, f"no such file: {path}")
        return f"{path}{colon}{function}" if colon else path


class _Located:
    """Turns a `FieldError` into a `ConfigError` with a position."""

    def __init__(self, tree: Tree, loc: Loc) -> None:
        self._tree, self._loc = tree, loc

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, FieldError):
            raise self._tree.error((*self._loc, error.field), error.message) from None


def load(path: str | Path, overrides: Iterable[str] = ()) -> Config:
    """Read a config file and check its keys and types.

    Parameters
    ----------
    path : path
        A YAML 1.2 file.
    overrides : iterable of str
        ``key=value`` assignments, applied in order.

    Raises
    ------
    ConfigError
        With one line per problem, each ``file:line:col: key: what is wrong``.
    """
    tree, text = yaml_tree.read(Path(path))
    for assignment in overrides:
        yaml_tree.override(tree, assignment)
    try:
        model = experiment_model().model_validate(tree.data)
    except ValidationError as error:
        raise ConfigError("\n".join(_messages(tree, error))) from None
    return Config(tree, text, model)


def json_schema() -> dict[str, Any]:
    """The JSON Schema of a config file, for editors."""
    schema: dict[str, Any] = experiment_model().model_json_schema(by_alias=True)
    return schema


@functools.cache
def experiment_model() -> type[BaseModel]:
    """The pydantic model of a config file."""
    builder = _Models()
    fields: dict[str, Any] = {
        "name": (str | None, None),
        "seed": (_Count, ...),
        "inputs": (builder.family("inputs"), ...),
        "loss": (builder.family("loss"), ...),
        "measures": (Annotated[list[builder.family("measure")], Field(min_length=1)], ...),  # type: ignore[misc]
        "method": (builder.family("method"), builder.default(CrossEntropy())),
        "stop": (builder.model(Stop), builder.default(Stop())),
        "execution": (builder.model(Execution), builder.default(Execution())),
    }
    return builder.finish(create_model("Experiment", __config__=_STRICT, **fields))


_STRICT = ConfigDict(extra="forbid", strict=True, arbitrary_types_allowed=True, populate_by_name=False)


def _integral(value: Any) -> Any:
    """Accept ``1e6`` where a count is wanted."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _to_path(value: Any) -> Any:
    if not isinstance(value, str):
        raise PydanticCustomError("path_type", "must be a path")
    return value


_Count = Annotated[int, BeforeValidator(_integral)]
_Path = Annotated[str, BeforeValidator(_to_path), "path"]


class _Models:
    """Pydantic models of dataclasses, made once each; families are unions told apart by ``kind``."""

    def __init__(self) -> None:
        self._models: dict[type, type[BaseModel]] = {}
        self._families: dict[str, Any] = {}

    def family(self, name: str) -> Any:
        """The union of a family's members."""
        if name not in self._families:
            self._families[name] = f"Any_{name}"
            models = [self.model(cls) for cls in members(name).values()]
            union: Any = Union[tuple(models)]  # noqa: UP007  # made at run time
            self._families[name] = Annotated[union, Field(discriminator="kind")] if len(models) > 1 else models[0]
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
                    default = ... if _is_required(f) else self._default(f)
                    fields[f.name] = (self.translate(hints[f.name]), Field(default, alias=aliases.get(f.name)))
            if hasattr(cls, "fit") and issubclass(cls, Inputs):
                fields = {k: v if k == "kind" else _optional(v) for k, v in fields.items()}
                fields["fit"] = (self.model(ReturnsSource) | None, None)
            doc = inspect.getdoc(cls) or ""
            model = create_model(cls.__name__, __config__=_STRICT, __doc__=doc.split("\n\n", maxsplit=1)[0], **fields)
            model.raresim_class = cls
            self._models[cls] = model
        return self._models[cls]

    def translate(self, hint: Any) -> Any:
        """The pydantic type of a dataclass annotation."""
        if hint is Vector:
            return float | list[float]
        if hint is Matrix:
            return list[list[float]]
        if hint is FunctionPath:
            return Annotated[str, "function"]
        if hint is int:
            return _Count
        if hint is Path:
            return _Path
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
        """The model of a part that stands where the user gives none."""
        kind = {"kind": value.kind} if hasattr(value, "kind") else {}
        return self.model(type(value))(**kind)

    def _default(self, f: dataclasses.Field[Any]) -> Any:
        return f.default if f.default_factory is dataclasses.MISSING else self.default(f.default_factory())


def _optional(field: tuple[Any, FieldInfo]) -> tuple[Any, Any]:
    hint, info = field
    return (hint | None, Field(None, alias=info.alias)) if info.is_required() else field


def _marks(hint: Any) -> set[str]:
    """The marks ("path", "function") that an annotation carries, itself or in a member of its union."""
    own = {m for m in getattr(hint, "__metadata__", ()) if isinstance(m, str)}
    return own.union(*(_marks(arg) for arg in get_args(hint) if get_origin(hint) is not Literal))


def _is_required(f: dataclasses.Field[Any]) -> bool:
    return f.init and f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING


def _class_of(model: BaseModel) -> Any:
    return type(model).raresim_class  # type: ignore[attr-defined]


def _key(model: type[BaseModel], name: str) -> str:
    return model.model_fields[name].alias or name


def _messages(tree: Tree, error: ValidationError) -> list[str]:
    """One line per place that is wrong, in the order of the file."""
    found: dict[Loc, list[Any]] = {}
    for problem in error.errors(include_url=False):
        found.setdefault(_data_loc(tree.data, problem), []).append(problem)
    deepest = [loc for loc in found if not any(len(o) > len(loc) and o[: len(loc)] == loc for o in found)]
    lines = [_message(tree, loc, found[loc]) for loc in deepest]
    if len(lines) > MAX_PROBLEMS:
        lines = [*lines[:MAX_PROBLEMS], f"... and {len(lines) - MAX_PROBLEMS} more problems"]
    return lines


def _data_loc(data: Any, problem: Mapping[str, Any]) -> Loc:
    """Pydantic's location without the names of union members; for a missing key, its parent."""
    loc: list[str | int] = []
    for step in problem["loc"]:
        if (isinstance(data, dict) and step in data) or (isinstance(data, list) and isinstance(step, int)):
            data = data[step]
            loc.append(step)
    if problem["type"] == "missing":
        loc.append(problem["loc"][-1])
    return tuple(loc)


def _message(tree: Tree, loc: Loc, problems: Sequence[Mapping[str, Any]]) -> str:
    first = problems[0]
    given = first["input"]
    kind = first["type"]
    if kind == "missing":
        text = "is required but missing"
    elif kind == "extra_forbidden":
        text = unknown("key", loc[-1], _allowed_keys(first["loc"][:-1]))
        return f"{tree.place(loc)}: {yaml_tree.dotted(loc[:-1]) or 'top level'}: {text}"
    elif kind in ("union_tag_invalid", "union_tag_not_found"):
        return _kind_message(tree, loc, first)
    elif kind == "literal_error" and loc and loc[-1] == "kind":
        text = unknown("kind", given, [first["ctx"]["expected"].strip("'")])
    else:
        wanted = list(dict.fromkeys(_wanted(p) for p in problems))
        text = f"must be {' or '.join(wanted)}, got {_shown(given)}"
        if kind == "literal_error" and isinstance(given, str):
            text += _near(given, first["ctx"]["expected"])
    return f"{tree.place(loc)}: {yaml_tree.dotted(loc)}: {text}"


def _kind_message(tree: Tree, loc: Loc, problem: Mapping[str, Any]) -> str:
    allowed = [k.strip().strip("'") for k in problem.get("ctx", {}).get("expected_tags", "").split(",")]
    given = problem["input"]
    if problem["type"] == "union_tag_not_found":
        if isinstance(given, dict):
            return f"{tree.place(loc)}: {yaml_tree.dotted(loc)}: kind is required but missing"
        return f"{tree.place(loc)}: {yaml_tree.dotted(loc)}: must be a mapping with a kind, got {_shown(given)}"
    where = (*loc, "kind")
    return f"{tree.place(where)}: {yaml_tree.dotted(where)}: {unknown('kind', given.get('kind'), allowed)}"


_WANTED = {
    "float_type": "a number",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "string_type": "text",
    "bool_type": "true or false",
    "list_type": "a list",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "date_type": "a date YYYY-MM-DD",
    "none_required": "left out",
    "path_type": "a path",
    "too_short": "a list with at least one entry",
}


def _wanted(problem: Mapping[str, Any]) -> str:
    if problem["type"] == "literal_error":
        return str(problem["ctx"]["expected"])
    return _WANTED.get(problem["type"], str(problem["msg"]))


def _shown(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (dict, list)):
        return "a mapping" if isinstance(value, dict) else "a list" if value else "an empty list"
    return f"the text {value!r}" if isinstance(value, str) else str(value)


def _near(given: str, expected: str) -> str:
    import difflib

    near = difflib.get_close_matches(given, re.findall(r"'([^']*)'", expected), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def _allowed_keys(loc: tuple[Any, ...]) -> list[str]:
    """The keys of the model at pydantic's location ``loc``."""
    model: Any = experiment_model()
    for step in loc:
        model = _below(model, step)
    return [_key(model, name) for name in model.model_fields]


def _below(hint: Any, step: Any) -> Any:
    """The annotation one pydantic location step below ``hint``: a field, a list entry or a union member."""
    if isinstance(hint, type) and issubclass(hint, BaseModel):
        names = {_key(hint, name): name for name in hint.model_fields}
        return hint.model_fields[names[step]].annotation if step in names else hint
    origin, args = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _below(args[0], step)
    if origin is list:
        return args[0] if isinstance(step, int) else hint
    options = [a for a in args if a is not type(None)]
    for option in options:
        if isinstance(option, type) and issubclass(option, BaseModel):
            kinds = get_args(option.model_fields["kind"].annotation) if "kind" in option.model_fields else ()
            if step in (*kinds, option.__name__):
                return option
    return _below(options[0], step) if len(options) == 1 else hint


__all__ = ["FAMILIES", "Config", "Execution", "Outline", "RaresimError", "experiment_model", "json_schema", "load"]

"""YAML to an experiment.

A file is read with the position of every key (`yaml_tree`). Its keys and types are checked (`schema`), with messages
from `complaints`. Then the dataclass of each part is built, which checks the values. Every message starts with the
place in the file.
"""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import inspect
import io
import json
import re
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from raresim.arguments.typed import argument
from raresim.config import memory
from raresim.config.complaints import messages
from raresim.config.schema import class_of, is_required, key_of, marks_of, source_of, validated
from raresim.data import ReturnKind, ReturnsSource, ReturnsTable, held_names
from raresim.distributions.base import Inputs
from raresim.engine.executors import Execution
from raresim.errors import ConfigError, DataError, FieldError
from raresim.files import yaml_tree
from raresim.files.yaml_tree import Loc, Tree
from raresim.losses.base import Loss
from raresim.marginals.likelihood import FittedColumn
from raresim.measures.base import Keeps, Measure
from raresim.methods.base import Method
from raresim.models.base import Model
from raresim.registry import Plugin
from raresim.run import plausible, presets
from raresim.run.approximation import meant, refuse_approximation
from raresim.run.audit import Extent
from raresim.run.experiment import EITHER, Experiment
from raresim.run.refusals import refuse_for, refuse_output, refuse_parts
from raresim.run.rough_quantiles import KnownQuantiles
from raresim.run.stop import Stop

NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,98}[A-Za-z0-9_-])?")
RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)
"""Names that a folder may have on every system, and names that Windows reserves for devices."""


@dataclass(frozen=True, eq=False)
class Outline:
    """What ``raresim check`` knows about the inputs: kind, sizes, names, and the facts of the data.

    A fit of a normal or Student t law is not made for it, so it has no lines yet.
    """

    kind: str
    dim: int
    latent_dim: int
    names: tuple[str, ...] | None
    lines: tuple[str, ...]
    are_returns: bool | None
    table: ReturnsTable | None
    returns: ReturnKind | None = None
    keeps_to_data: bool = False
    notes: tuple[str, ...] = ()
    last_prices: Mapping[str, float] | None = None
    known_quantiles: bool = False
    """Whether the model knows the quantiles that the run asks for."""


@dataclass(frozen=True, eq=False)
class Config:
    """A config file that has been read and whose keys and types are right.

    Parameters
    ----------
    tree : Tree
        The content of the file, with positions.
    text : str
        The text of the file, unchanged.
    model : BaseModel
        The validated content.
    folder : Path
        The folder that relative paths in the config start from.
    overrides : tuple of str
        ``key=value`` assignments that changed it.
    filled : tuple of str
        Values that a preset filled in, one line each.
    is_sweep : bool
        Whether the file has a section ``sweep``, which is not part of this config.
    foreign : tuple of Plugin
        Members of other packages that were not imported; an experiment cannot be made of such a config.
    """

    tree: Tree
    text: str
    model: BaseModel
    folder: Path
    overrides: tuple[str, ...] = ()
    filled: tuple[str, ...] = ()
    is_sweep: bool = False
    foreign: tuple[Plugin, ...] = ()

    @property
    def name(self) -> str:
        """The name of the experiment: the given one, or the name of the file."""
        return getattr(self.model, "name", None) or Path(self.tree.source).stem

    def checked_name(self) -> str:
        """The name, which becomes the name of a folder; raises `ConfigError` if it could be a path or a device."""
        if not NAME.fullmatch(self.name):
            raise self.tree.error(
                ("name",),
                "must be letters, digits, '.', '_' or '-', at most 100 of them, beginning with a letter or digit and "
                f"not ending with '.', got {self.name[:100]!r}",
            )
        if RESERVED.fullmatch(self.name):
            raise self.tree.error(
                ("name",), f"must not be a name that Windows reserves for a device, got {self.name!r}"
            )
        return self.name

    def experiment(self) -> Experiment:
        """Build the experiment: data are read and laws fitted; a user's loss is only imported by the run."""
        parts = ("model",) if self.has_model else ("inputs", "loss")
        names = (*parts, "measures", "method", "stop", "seed", "audit", "output", "approximation")
        values = {key: self._build(getattr(self.model, key), (key,)) for key in names}
        inputs = values["model"].inputs if self.has_model else values["inputs"]
        self.demand(inputs, values["method"], values["stop"])
        try:
            return Experiment(**values, name=self.checked_name(), preset=getattr(self.model, "preset"))  # noqa: B009
        except FieldError as error:
            raise self.explain(error) from None

    @property
    def has_model(self) -> bool:
        """Whether a model stands in place of inputs and loss."""
        return getattr(self.model, "model") is not None  # noqa: B009

    @property
    def tails(self) -> list[float]:
        """The tail probabilities whose quantiles the run must find first."""
        return [tail for measure in self._measures() for tail in measure.tails]

    def _measures(self) -> list[Measure]:
        measures: list[Measure] = self._build(getattr(self.model, "measures"), ("measures",))  # noqa: B009
        return measures

    def outline(self) -> tuple[Outline, Method, Stop]:
        """Check everything that can be checked without fitting, drawing or importing the user's code."""
        self.checked_name()
        inputs, law, loss = self._outline_parts()
        measures = self._measures()
        with self.located(("loss",)):
            bound = loss.look(typing.cast(Inputs, inputs))
            odd = plausible.remarks(measures, bound, law, inputs.table)
            notes = (*inputs.notes, *bound.notes(typing.cast(Inputs, inputs)), *odd)
            inputs = dataclasses.replace(inputs, notes=notes)
        method, stop, output = (self._build(getattr(self.model, key), (key,)) for key in ("method", "stop", "output"))
        if foreseen := method.foreseen(loss, measures, inputs.latent_dim, stop.max_evaluations):
            inputs = dataclasses.replace(inputs, notes=(*inputs.notes, f"method {method.kind}: {foreseen}"))
        try:
            refuse_parts(loss, measures, method, stop, getattr(self.model, "seed"), self.audit)  # noqa: B009
            sizes, known = (inputs.latent_dim, inputs.dim), inputs.known_quantiles
            refuse_for(*sizes, law, bound, measures, method, stop.max_evaluations, known)
            self._check_approximation(method, inputs)
            if output is not None:
                refuse_output(method)
        except FieldError as error:
            raise self.explain(error) from None
        self.demand(inputs, method, stop)
        return inputs, method, stop

    def _check_approximation(self, method: Method, inputs: Outline) -> None:
        """Raise `FieldError` if the approximation does not go with ``method``, or is not there."""
        near = self._build(getattr(self.model, "approximation"), ("approximation",))  # noqa: B009
        refuse_approximation(near, method)
        if near is not None:
            model = self._build(getattr(self.model, "model"), ("model",))  # noqa: B009
            with self.located(("approximation",)):
                meant(near, model).look(typing.cast(Inputs, inputs))

    @property
    def doubts(self) -> list[str]:
        """Doubts about the user's function from its text, one sentence each; nothing is imported."""
        if self.has_model:
            return []
        loss = self._build(getattr(self.model, "loss"), ("loss",))  # noqa: B009
        doubts: list[str] = loss.doubts()
        return doubts

    @property
    def audit(self) -> Extent:
        """How thorough the audit is."""
        extent: Extent = getattr(self.model, "audit")  # noqa: B009
        return extent

    @property
    def keeps(self) -> Keeps:
        """What the measures need from the run: the most that any of them needs."""
        asked = {class_of(measure).keeps for measure in getattr(self.model, "measures")}  # noqa: B009
        order: tuple[Keeps, ...] = ("draws", "losses", "counts")
        return next(keeps for keeps in order if keeps in asked)

    def demand(self, inputs: Inputs | Outline, method: Method, stop: Stop) -> tuple[memory.Part, ...]:
        """The parts of the run's memory; raises `ConfigError` if they are more than ``execution.memory``."""
        execution = self.execution()
        with self.located(("method",)):
            drawn = getattr(self.model, "output")  # noqa: B009
            sizes = (inputs.latent_dim, inputs.dim)
            found = memory.parts(*sizes, method, stop, execution, self.audit, self.keeps, drawn.draws if drawn else 0)
        allowed = execution.memory_bytes
        if allowed is not None and sum(part.size for part in found) > allowed:
            raise self.tree.error(
                ("execution", "memory"),
                f"allows {memory.shown(allowed)}, but the run may need {memory.needed(found)}; {memory.ADVICE}",
            )
        return found

    def execution(self) -> Execution:
        """How the run is to be computed."""
        execution: Execution = self._build(getattr(self.model, "execution"), ("execution",))  # noqa: B009
        return execution

    def resolved(self) -> dict[str, Any]:
        """Every value of the experiment, defaults included, as plain data."""
        plain: dict[str, Any] = _plain(self.model)
        return {"name": self.name} | plain

    @property
    def digest(self) -> str:
        """SHA-256 of the resolved content without ``execution``."""
        content = {k: v for k, v in self.resolved().items() if k != "execution"}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def texts(self) -> dict[str, str]:
        """The files of the config that a run folder keeps."""
        from ruamel.yaml import YAML

        stream = io.StringIO()
        yaml = YAML(typ="safe", pure=True)
        yaml.default_flow_style = False
        yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]  # untyped in ruamel
        yaml.dump(self.resolved(), stream)
        return {"config.yaml": self.text, "resolved.yaml": stream.getvalue()}

    def located(self, loc: Loc) -> _Located:
        """A context that turns the `FieldError` of a part into a `ConfigError` with the place of its key below
        ``loc``."""
        return _Located(self.tree, loc)

    def explain(self, error: FieldError) -> ConfigError:
        """The `ConfigError` for an argument that was found wrong.

        It has the place of the part that the error is about; where that is not known, of the only key so called.
        """
        if error.of is not None:
            return self.tree.error(self.tree.below(error.of, error.field), error.message)
        return self.tree.error(self.tree.find(error.field) or (error.field,), error.message)

    def _outline_parts(self) -> tuple[Outline, Inputs | None, Loss]:
        """What is known of the inputs, their law where it need not be fitted, and the loss."""
        if not self.has_model:
            return *self._outline_inputs(), self._build(getattr(self.model, "loss"), ("loss",))  # noqa: B009
        model: Model = self._build(getattr(self.model, "model"), ("model",))  # noqa: B009
        with self.located(("model",)):
            law, loss = model.inputs, model.loss
        lines = (*model.describe(), *law.describe(), *loss.describe())
        known = (f"model {model.kind}", law.dim, law.latent_dim, law.names, lines, law.are_returns, None)
        outline = Outline(*known, law.returns, law.keeps_to_data, tuple(model.notes()))
        has_quantiles = KnownQuantiles.of(model, self._measures()) is not None
        return dataclasses.replace(outline, known_quantiles=has_quantiles), law, loss

    def _outline_inputs(self) -> tuple[Outline, Inputs | None]:
        """What is known about the inputs, and their law if it need not be fitted."""
        model = getattr(self.model, "inputs")  # noqa: B009
        cls = class_of(model)
        source = getattr(model, "fit", None)
        if source is None or source_of(cls) is None:
            law = self._build(model, ("inputs",))
            known = (law.kind, law.dim, law.latent_dim, law.names, tuple(law.describe()), law.are_returns, None)
            return Outline(*known, law.returns, law.keeps_to_data, last_prices=law.last_prices), law
        self._refuse_parameters_beside_fit(model, ("inputs",))
        table = self._build(source, ("inputs", "fit")).load()
        dim = len(table.names)
        latent = cls.latent_dim_of(dim)
        returns, keeps = table.returns, cls.keeps_to_data
        sizes = (cls.kind, dim, latent, table.names)
        return Outline(*sizes, (), True, table, returns, keeps, last_prices=table.last_prices), None

    def _refuse_parameters_beside_fit(self, model: BaseModel, loc: Loc, allowed: tuple[str, ...] = ()) -> None:
        others = sorted(model.model_fields_set - {"kind", "fit", *allowed})
        if others:
            raise self.tree.error((*loc, others[0]), "cannot be given beside fit, which estimates it from the data")

    def _build(self, value: Any, loc: Loc) -> Any:
        """The object that a validated value stands for."""
        if isinstance(value, list):
            return [self._build(item, (*loc, i)) for i, item in enumerate(value)]
        if isinstance(value, dict):
            return {key: self._build(item, (*loc, key)) for key, item in value.items()}
        if not isinstance(value, BaseModel):
            return value
        cls = class_of(value)
        with self.located(loc):
            if getattr(value, "fit", None) is not None and source_of(cls) is not None:
                return self._fit(value, cls, loc)
            self._require_parameters(value, cls, loc)
            given = {
                name: self._file(value, name, (*loc, key_of(type(value), name)))
                for name in value.model_fields_set - ({"kind", "fit"} if source_of(cls) else {"kind"})
            }
            if cls is ReturnsSource and loc == ("inputs", "fit"):
                given["held"] = self._held()
            try:
                return cls(**given)
            except DataError as error:
                raise DataError(f"{self.tree.place(loc)}: {error}") from None

    def _held(self) -> tuple[str, ...] | None:
        """The names in the file of positions; None without such a file."""
        loss, loc = getattr(self.model, "loss"), ("loss", "positions")  # noqa: B009
        if getattr(loss, "positions", None) is None:
            return None
        with self.located(("loss",)):
            path = self._file(loss, "positions", loc)
        try:
            return held_names(Path(path))
        except DataError as error:
            raise DataError(f"{self.tree.place(loc)}: {error}") from None

    def _fitted_from(self, model: BaseModel, loc: Loc, least: float) -> Any:
        """As `_build`, of a law that is fitted to no value below ``least`` where the config says nothing else."""
        fit = getattr(model, "fit", None)
        if fit is not None and fit.least is None:
            model = model.model_copy(update={"fit": fit.model_copy(update={"least": least})})
        return self._build(model, loc)

    def _fit(self, model: BaseModel, cls: type, loc: Loc) -> Any:
        """The law fitted to the data that ``model`` names."""
        source = self._build(getattr(model, "fit"), (*loc, "fit"))  # noqa: B009
        try:
            if issubclass(cls, Inputs):
                self._refuse_parameters_beside_fit(model, loc)
                return cls.fit(source)  # type: ignore[attr-defined]  # by `source_of`
            options = {name: getattr(model, name) for name in model.model_fields_set - {"kind", "fit"}}
            self._refuse_parameters_beside_fit(model, loc, allowed=tuple(inspect.signature(cls.fit).parameters))  # type: ignore[attr-defined]
            column = source.load()
            try:
                fit = cls.fit(column.values, **options)  # type: ignore[attr-defined]
            except DataError as error:
                found = f"{column.source.name}: column {column.name!r}"
                raise DataError(f"{found}, its values counted from 0: {error}") from None
            object.__setattr__(fit.law, "fitted", FittedColumn(fit, column.values, column.source))
            return fit.law
        except DataError as error:
            raise DataError(f"{self.tree.place((*loc, 'fit'))}: {error}") from None

    def _require_parameters(self, model: BaseModel, cls: type, loc: Loc) -> None:
        """Refuse missing arguments, which only a fit may leave out."""
        for f in dataclasses.fields(cls):
            if is_required(f) and f.name not in model.model_fields_set:
                raise self.tree.error((*loc, f.name), "is required but missing")

    def _file(self, model: BaseModel, name: str, loc: Loc) -> Any:
        """The value of a field; a path, or the path in ``file.py:name``, is relative to the config file.

        So are paths in a list or mapping.
        """
        value = getattr(model, name)
        info = type(model).model_fields[name]
        marks = marks_of(info.annotation) | {m for m in info.metadata if isinstance(m, str)}
        if not marks & {"path", "folder", "function"} or not _are_texts(value):
            field = next((f for f in dataclasses.fields(class_of(model)) if f.name == name), None)
            least = None if field is None else field.metadata.get("least")
            return self._build(value, loc) if least is None else self._fitted_from(value, loc, least)
        return self._found(value, marks, loc)

    def _found(self, value: Any, marks: set[str], loc: Loc) -> Any:
        """A path, or each path of a list or mapping, below the folder of the config; a file must be there."""
        if isinstance(value, dict):
            return {key: self._found(item, marks, (*loc, key)) for key, item in value.items()}
        if isinstance(value, list):
            return [self._found(item, marks, (*loc, i)) for i, item in enumerate(value)]
        path_text, colon, function = str(value).rpartition(":") if "function" in marks else (str(value), "", "")
        if "function" in marks and not colon:
            return value
        path = self.folder / path_text
        if "folder" in marks:
            return path
        if not path.is_file():
            raise self.tree.error(loc, f"no such file: {path}")
        allowed, needed = self.execution().memory_bytes, memory.FILE_COPIES * path.stat().st_size
        if allowed is not None and needed > allowed:
            raise self.tree.error(
                loc,
                f"reading this file may need {memory.shown(needed)}, but execution.memory allows "
                f"{memory.shown(allowed)}",
            )
        return f"{path}{colon}{function}" if colon else path


def _are_texts(value: Any) -> bool:
    """Whether ``value`` is a text, or a list or mapping of nothing else."""
    if isinstance(value, dict | list):
        return bool(value) and all(map(_are_texts, value.values() if isinstance(value, dict) else value))
    return isinstance(value, str)


def _plain(value: Any) -> Any:
    """The values of a model as plain data: with defaults, without values that are not given or that a fit finds."""
    if isinstance(value, BaseModel):
        fitted = getattr(value, "fit", None) is not None and source_of(class_of(value)) is not None
        names = [n for n in type(value).model_fields if not fitted or n == "kind" or n in value.model_fields_set]
        return {key_of(type(value), n): _plain(getattr(value, n)) for n in names if getattr(value, n) is not None}
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value.isoformat() if isinstance(value, datetime.date) else value


class _Located:
    """Turns a `FieldError` into a `ConfigError` with a position."""

    def __init__(self, tree: Tree, loc: Loc) -> None:
        self._tree, self._loc = tree, loc

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, FieldError):
            raise self._tree.error(self._tree.below(self._loc, error.field), error.message) from None
        if isinstance(error, MemoryError):
            raise self._tree.error(self._loc, "needs more memory than is available") from None


def load(
    path: str | Path,
    overrides: Iterable[str] = (),
    folder: Path | None = None,
    settings: Iterable[str] = (),
    sweeping: bool = False,
    importing: bool = True,
) -> Config:
    """Read a config file and check its keys and types.

    Parameters
    ----------
    path : path
        A YAML 1.2 file.
    overrides : iterable of str
        ``key=value`` assignments of the user, applied in order; no assignment may undo another.
    folder : Path, optional
        The folder that relative paths in the config start from, if it is not the folder of the file.
    settings : iterable of str
        Assignments of a verb, applied after ``overrides``; the last assignment to a key holds.
    sweeping : bool
        Whether the file may have a section ``sweep``, which is not part of the config of a single run.
    importing : bool
        Whether members of other packages are imported. If not, the keys of their parts of the file are not checked.

    Raises
    ------
    ConfigError
        With one line per problem, ``file:line:col: key: what is wrong``.
    """
    tree, text = yaml_tree.read(Path(argument("path", path, Path)))
    if "sweep" in tree.data and not sweeping:
        raise tree.error(("sweep",), "is several runs; use raresim sweep, or leave it out")
    is_sweep = "sweep" in tree.data
    tree.data.pop("sweep", None)
    changes, later = tuple(overrides), tuple(settings)
    yaml_tree.overrides(tree, changes)
    for assignment in later:
        yaml_tree.override(tree, assignment)
    filled = presets.fill(tree)
    missing = _parts_wrong(tree)
    try:
        model, foreign = validated(tree.data, importing)
    except ValidationError as error:
        raise ConfigError("\n".join([*missing, *messages(tree, error)])) from None
    if missing:
        raise ConfigError("\n".join(missing))
    home = (folder or Path(path).parent).absolute()
    return Config(tree, text, model, home, changes + later, tuple(filled), is_sweep, foreign)


def _parts_wrong(tree: Tree) -> list[str]:
    """What is wrong with the choice between inputs and loss, and a model: a line each."""
    given = [name for name in ("inputs", "loss") if name in tree.data]
    if "model" in tree.data:
        place, others = tree.place(("model",)), " and ".join(given)
        return [f"{place}: model: must be left out where {others} are given: {EITHER}"] if given else []
    missing = [name for name in ("inputs", "loss") if name not in given]
    either = f"; {EITHER}" if len(missing) == 2 else ""
    return [f"{tree.place((name,))}: {name}: is required but missing{either}" for name in missing]

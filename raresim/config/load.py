"""YAML to an experiment.

A file is read with the position of every key (`yaml_tree`), its keys and types are checked (`schema`, whose findings
`complaints` puts into words), and each part's dataclass is built, which has the last word on its values. Every message
starts with the place in the file.
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
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from raresim.arguments.typed import argument
from raresim.config import memory
from raresim.config.complaints import messages
from raresim.config.schema import class_of, experiment_model, is_required, key_of, marks_of, source_of
from raresim.data import ReturnKind, ReturnsTable
from raresim.distributions.base import Inputs
from raresim.engine.executors import Execution
from raresim.errors import ConfigError, DataError, FieldError
from raresim.files import yaml_tree
from raresim.files.yaml_tree import Loc, Tree
from raresim.losses.base import Loss
from raresim.losses.python import PythonLoss
from raresim.marginals.likelihood import FittedColumn
from raresim.measures.base import Keeps, Measure
from raresim.methods.base import Method
from raresim.models.base import Model
from raresim.run import presets
from raresim.run.audit import Extent
from raresim.run.estimation import Stop
from raresim.run.experiment import EITHER, Experiment
from raresim.run.refusals import check_seed, refuse_below, refuse_betting, refuse_bound, refuse_guarantee, refuse_rows

NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,98}[A-Za-z0-9_-])?")
RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)
"""What may be a folder's name on every system, and what Windows takes for a device."""


@dataclass(frozen=True, eq=False)
class Outline:
    """What ``raresim check`` knows of the inputs: sizes, names, what they are, and the facts of the data.

    A normal or Student t law is not fitted for it, so it has no lines yet.
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
    folder : Path
        What the paths in it start from.
    overrides : tuple of str
        ``key=value`` assignments that changed it.
    filled : tuple of str
        What a preset filled in, a line for each value.
    """

    tree: Tree
    text: str
    model: BaseModel
    folder: Path
    overrides: tuple[str, ...] = ()
    filled: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The experiment's name: given, or the file's."""
        return getattr(self.model, "name", None) or Path(self.tree.source).stem

    def checked_name(self) -> str:
        """The name, which becomes a folder's; raises `ConfigError` where it could be a path or a device."""
        if not NAME.fullmatch(self.name):
            raise self.tree.error(
                ("name",),
                "must be letters, digits, '.', '_' or '-', at most 100 of them, first a letter or digit, last no '.', "
                f"got {self.name[:100]!r}",
            )
        if RESERVED.fullmatch(self.name):
            raise self.tree.error(("name",), f"must not be a name that Windows keeps for a device, got {self.name!r}")
        return self.name

    def experiment(self) -> Experiment:
        """Build the experiment: data are read and fitted; a user's loss is not imported before the run."""
        parts = ("model",) if self.has_model else ("inputs", "loss")
        names = (*parts, "measures", "method", "stop", "seed", "audit")
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
        """The tail probabilities whose quantiles the run has to find first."""
        measures: list[Measure] = self._build(getattr(self.model, "measures"), ("measures",))  # noqa: B009
        return [tail for measure in measures for tail in measure.tails]

    def outline(self) -> tuple[Outline, Method, Stop]:
        """Check everything that can be checked without fitting, drawing or importing the user's code."""
        self.checked_name()
        inputs, law, loss = self._outline_parts()
        measures = self._build(getattr(self.model, "measures"), ("measures",))  # noqa: B009
        with self.located(("loss",)):
            bound = loss
            if isinstance(loss, PythonLoss):
                loss.look()
            else:
                bound = loss.bind(typing.cast(Inputs, inputs))
                notes = (*inputs.notes, *bound.notes(typing.cast(Inputs, inputs)))
                inputs = dataclasses.replace(inputs, notes=notes)
        if not measures:
            raise self.tree.error(("measures",), "must name at least one")
        method, stop = (self._build(getattr(self.model, key), (key,)) for key in ("method", "stop"))
        with self.located(("method",)):
            method.cost(inputs.latent_dim, inputs.dim)
        with self.located(("loss",)):
            refuse_bound(loss, method)
        with self.located(("method",)):
            refuse_guarantee(loss, method, stop)
        with self.located(("measures",)):
            refuse_betting(loss, method, measures)
        with self.located(()):
            refuse_rows(loss, method, measures)
            refuse_below(loss, measures)
        for k, measure in enumerate(measures):
            with self.located(("measures", k)):
                measure.check_loss(bound)
                if law is not None:
                    measure.check_inputs(law)
                    measure.check_moments(bound, law)
        with self.located(()):
            check_seed(getattr(self.model, "seed"))  # noqa: B009
        self.demand(inputs, method, stop)
        return inputs, method, stop

    @property
    def doubts(self) -> list[str]:
        """What the text of the user's function says against it, a sentence each; nothing is imported."""
        loss = None if self.has_model else self._build(getattr(self.model, "loss"), ("loss",))  # noqa: B009
        return loss.doubts() if isinstance(loss, PythonLoss) else []

    @property
    def audit(self) -> Extent:
        """How thorough the audit is."""
        extent: Extent = getattr(self.model, "audit")  # noqa: B009
        return extent

    @property
    def keeps(self) -> Keeps:
        """What the measures are read from, the most of any."""
        asked = {class_of(measure).keeps for measure in getattr(self.model, "measures")}  # noqa: B009
        order: tuple[Keeps, ...] = ("draws", "losses", "counts")
        return next(keeps for keeps in order if keeps in asked)

    def demand(self, inputs: Inputs | Outline, method: Method, stop: Stop) -> tuple[memory.Part, ...]:
        """What the run may hold in memory; raises `ConfigError` where that is more than ``execution.memory``."""
        execution = self.execution()
        with self.located(("method",)):
            found = memory.parts(inputs.latent_dim, inputs.dim, method, stop, execution, self.audit, self.keeps)
        allowed = execution.memory_bytes
        if allowed is not None and sum(part.size for part in found) > allowed:
            raise self.tree.error(
                ("execution", "memory"),
                f"allows {memory.shown(allowed)}, but the run may need {memory.needed(found)}; {memory.ADVICE}",
            )
        return found

    def execution(self) -> Execution:
        """Where the run is to be computed."""
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

    def _outline_parts(self) -> tuple[Outline, Inputs | None, Loss]:
        """What is known of the inputs, their law where it need not be fitted, and the loss."""
        if not self.has_model:
            return *self._outline_inputs(), self._build(getattr(self.model, "loss"), ("loss",))  # noqa: B009
        model: Model = self._build(getattr(self.model, "model"), ("model",))  # noqa: B009
        with self.located(("model",)):
            law, loss = model.inputs, model.loss
        lines = (*model.describe(), *law.describe(), *loss.describe())
        known = (f"model {model.kind}", law.dim, law.latent_dim, law.names, lines, law.are_returns, None)
        return Outline(*known, law.returns, law.keeps_to_data, tuple(model.notes())), law, loss

    def _outline_inputs(self) -> tuple[Outline, Inputs | None]:
        """What is known of the inputs, and their law where it need not be fitted."""
        model = getattr(self.model, "inputs")  # noqa: B009
        cls = class_of(model)
        source = getattr(model, "fit", None)
        if source is None or source_of(cls) is None:
            law = self._build(model, ("inputs",))
            known = (law.kind, law.dim, law.latent_dim, law.names, tuple(law.describe()), law.are_returns, None)
            return Outline(*known, law.returns, law.keeps_to_data), law
        self._refuse_parameters_beside_fit(model, ("inputs",))
        table = self._build(source, ("inputs", "fit")).load()
        dim = len(table.names)
        latent = cls.latent_dim_of(dim)
        returns, keeps = table.returns, cls.keeps_to_data
        return Outline(cls.kind, dim, latent, table.names, (), True, table, returns, keeps), None

    def _refuse_parameters_beside_fit(self, model: BaseModel, loc: Loc, allowed: tuple[str, ...] = ()) -> None:
        others = sorted(model.model_fields_set - {"kind", "fit", *allowed})
        if others:
            raise self.tree.error((*loc, others[0]), "cannot be given beside fit, which finds it from the data")

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
            try:
                return cls(**given)
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
            fit = cls.fit(column.values, **options)  # type: ignore[attr-defined]
            object.__setattr__(fit.law, "fitted", FittedColumn(fit, column.values, column.source))
            return fit.law
        except DataError as error:
            raise DataError(f"{self.tree.place((*loc, 'fit'))}: {error}") from None

    def _require_parameters(self, model: BaseModel, cls: type, loc: Loc) -> None:
        """Name the arguments that only a fit may leave out."""
        for f in dataclasses.fields(cls):
            if is_required(f) and f.name not in model.model_fields_set:
                raise self.tree.error((*loc, f.name), "is required but missing")

    def _file(self, model: BaseModel, name: str, loc: Loc) -> Any:
        """A field's value; a path, or the path of ``file.py:name``, is taken relative to the config file."""
        value = getattr(model, name)
        info = type(model).model_fields[name]
        marks = marks_of(info.annotation) | {m for m in info.metadata if isinstance(m, str)}
        if value is None or not marks & {"path", "function"}:
            field = next((f for f in dataclasses.fields(class_of(model)) if f.name == name), None)
            least = None if field is None else field.metadata.get("least")
            return self._build(value, loc) if least is None else self._fitted_from(value, loc, least)
        path_text, colon, function = str(value).rpartition(":") if "function" in marks else (str(value), "", "")
        if "function" in marks and not colon:
            return value
        path = self.folder / path_text
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


def _plain(value: Any) -> Any:
    """What a model holds as YAML can: defaults included, without what is not given and what a fit finds."""
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
            raise self._tree.error((*self._loc, error.field), error.message) from None
        if isinstance(error, MemoryError):
            raise self._tree.error(self._loc, "needs more memory than there is") from None


def load(
    path: str | Path, overrides: Iterable[str] = (), folder: Path | None = None, settings: Iterable[str] = ()
) -> Config:
    """Read a config file and check its keys and types.

    Parameters
    ----------
    path : path
        A YAML 1.2 file.
    overrides : iterable of str
        ``key=value`` assignments of the user, applied in order; none may take back another.
    folder : Path, optional
        What the paths in it start from, where that is not the folder of the file.
    settings : iterable of str
        Assignments that a verb makes, applied after ``overrides``; the last one of a key holds.

    Raises
    ------
    ConfigError
        With one line per problem, each ``file:line:col: key: what is wrong``.
    """
    tree, text = yaml_tree.read(Path(argument("path", path, Path)))
    changes, later = tuple(overrides), tuple(settings)
    yaml_tree.overrides(tree, changes)
    for assignment in later:
        yaml_tree.override(tree, assignment)
    filled = presets.fill(tree)
    missing = _parts_wrong(tree)
    try:
        model = experiment_model().model_validate(tree.data)
    except ValidationError as error:
        raise ConfigError("\n".join([*missing, *messages(tree, error)])) from None
    if missing:
        raise ConfigError("\n".join(missing))
    return Config(tree, text, model, (folder or Path(path).parent).absolute(), changes + later, tuple(filled))


def _parts_wrong(tree: Tree) -> list[str]:
    """What is wrong with the choice between inputs and loss, and a model: a line each."""
    given = [name for name in ("inputs", "loss") if name in tree.data]
    if "model" in tree.data:
        place, others = tree.place(("model",)), " and ".join(given)
        return [f"{place}: model: must be left out where {others} are given: {EITHER}"] if given else []
    missing = [name for name in ("inputs", "loss") if name not in given]
    either = f"; {EITHER}" if len(missing) == 2 else ""
    return [f"{tree.place((name,))}: {name}: is required but missing{either}" for name in missing]

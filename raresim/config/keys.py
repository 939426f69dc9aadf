"""The meaning of the keys of a config, from the docstrings of the classes whose arguments they are."""

from __future__ import annotations

import functools
import inspect
import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from raresim.config.schema import experiment_model, key_of
from raresim.run.experiment import Experiment

__all__ = ["Key", "all_keys", "explain", "kinds", "names"]

MOST = 6
"""Largest number of meanings of a key that are printed in full."""

_HEAD = re.compile(r"(?P<names>\w+(?:, \w+)*)(?: : (?P<type>.+))?")


class Key(NamedTuple):
    """A key of a config: its name, its part in words (``loss, kind linear``), its type, its meaning and its default.

    The default is as a config would say it, *required* where there is none, and empty where it is to leave the key out.
    """

    name: str
    part: str
    type: str
    text: str
    default: str = ""


SWEEP = Key(
    "sweep",
    "top level",
    "mapping of lists",
    "Dotted keys with their values, {seed: [1, 2, 3]}: raresim sweep runs every combination. Of the other "
    "commands only check accepts them.",
)


def json_schema() -> dict[str, Any]:
    """The JSON Schema of a config file, for editors, with a text for each property."""
    schema: dict[str, Any] = experiment_model().model_json_schema(by_alias=True)
    texts = {"Experiment": {key.name: key.text for key in all_keys() if key.part == "top level"}}
    for _, model in _parts():
        described = documented(_class(model))
        own = {key_of(model, name): described.get(name, ("", ""))[1] for name in model.model_fields}
        if "fit" in model.model_fields:
            own["fit"] = _summary(_class(next(_models(model.model_fields["fit"].annotation))))
        texts[model.__name__] = own | {"kind": _summary(_class(model))}
    for name, part in {"Experiment": schema, **schema["$defs"]}.items():
        for key, value in part.get("properties", {}).items():
            if text := texts.get(name, {}).get(key):
                part["properties"][key] = {**value, "description": text}
    several = {"type": "object", "additionalProperties": {"type": "array", "minItems": 2}, "description": SWEEP.text}
    schema["properties"]["sweep"] = several
    return schema | {"oneOf": [{"required": ["inputs", "loss"]}, {"required": ["model"]}]}


def explain(word: str, width: int = 80) -> str:
    """The meaning of ``word`` as a key (``positions``, ``stop.max_evaluations``) or kind; empty if it is neither."""
    *above, name = re.split(r"[.\s]+", re.sub(r"\[\d*\]|\.\d+(?=\.|$)", "", word.strip().casefold())) or [""]
    found = [key for key in all_keys() if key.name == name and all(_is_in(step, key.part) for step in above)]
    if not found and len(above) > 1:
        found = [key for key in all_keys() if key.name == name and _is_in(above[-1], key.part)]
    meanings: dict[tuple[str, str], list[str]] = {}
    for key in found:
        meanings.setdefault((key.type, key.text), []).append(key.part)
    blocks = [
        "\n".join([*_wrapped(f"{name} ({_listed(parts)})", width), *_wrapped(_typed(kind, text), width, "    ")])
        for (kind, text), parts in list(meanings.items())[:MOST]
    ]
    if more := [part for parts in list(meanings.values())[MOST:] for part in parts]:
        blocks.append("\n".join(_wrapped(f"{name} is a key of {_listed(more)} too: explain KIND.{name}", width)))
    for part, summary, names in kinds():
        if not above and part.rpartition(" ")[2] == name and ", kind " in part:
            has = f"Keys: {', '.join(names)}. explain {name}.KEY says what one means." if names else "It has no keys."
            blocks.append("\n".join([*_wrapped(part, width), *_wrapped(f"{summary} {has}", width, "    ")]))
    return "\n\n".join(blocks)


def all_keys() -> Iterator[Key]:
    """Every key of every part of a config, in the order of the schema."""
    top = documented(Experiment)
    for key, field in experiment_model().model_fields.items():
        inner = [model for model in _models(field.annotation) if "kind" not in model.model_fields]
        kind, text = top.get(key, ("mapping", _summary(_class(inner[0])) if inner else ""))
        yield Key(key, "top level", kind, text, _default(field))
    yield SWEEP
    for part, model in _parts():
        described = documented(_class(model))
        for name in model.model_fields:
            if name not in ("kind", "fit"):
                kind, text = described.get(name, ("", ""))
                yield Key(key_of(model, name), part, kind, text, _default(model.model_fields[name]))
        if "fit" in model.model_fields:
            source = next(_models(model.model_fields["fit"].annotation))
            yield Key("fit", part, "mapping, optional", _summary(_class(source)))


def kinds() -> Iterator[tuple[str, str, list[str]]]:
    """Every part of a config in words, with its summary and its keys."""
    for part, model in _parts():
        yield part, _summary(_class(model)), [key_of(model, name) for name in model.model_fields if name != "kind"]


def names() -> set[str]:
    """All keys and kinds."""
    found = {key.name for key in all_keys()}
    return found | {part.rpartition(" ")[2] for part, _, _ in kinds() if ", kind " in part}


@functools.cache
def documented(cls: type) -> Mapping[str, tuple[str, str]]:
    """Type and text of each parameter in the docstring of ``cls``, in one line each."""
    found: dict[str, tuple[str, str]] = {}
    section = re.search(r"^Parameters\n-+\n(.*?)(?=^\w[^\n]*\n-+\n|\Z)", inspect.getdoc(cls) or "", re.M | re.S)
    names: list[str] = []
    for line in section[1].splitlines() if section else ():
        if head := _HEAD.fullmatch(line):
            names = head["names"].split(", ")
            found |= dict.fromkeys(names, (_plain(head["type"] or ""), ""))
        elif line.strip():
            found |= {name: (found[name][0], f"{found[name][1]} {_plain(line.strip())}".strip()) for name in names}
    return found


def _parts() -> tuple[tuple[str, type[BaseModel]], ...]:
    """Every model below the top with its name: the key that it stands under, and its kind."""
    return _parts_of(experiment_model())


@functools.lru_cache(maxsize=1)
def _parts_of(top: type[BaseModel]) -> tuple[tuple[str, type[BaseModel]], ...]:
    found: dict[type[BaseModel], str] = {}
    waiting = [(key, model) for key, f in top.model_fields.items() for model in _models(f.annotation)]
    while waiting:
        under, model = waiting.pop(0)
        if model in found:
            continue
        kind = get_args(model.model_fields["kind"].annotation)[0] if "kind" in model.model_fields else ""
        found[model] = f"{under}, kind {kind}" if kind else under
        waiting += [
            (key_of(model, name), inner) for name, f in model.model_fields.items() for inner in _models(f.annotation)
        ]
    return tuple((part, model) for model, part in found.items())


def _default(field: FieldInfo) -> str:
    """The default of a key, in the words of a config."""
    if field.is_required():
        return "required"
    value = getattr(field.default, "kind", field.default)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float, str)):
        return f"{value:.15g}" if isinstance(value, float) else str(value)
    return f"[{', '.join(value)}]" if isinstance(value, tuple) and value else ""


def _models(hint: Any) -> Iterator[type[BaseModel]]:
    """The models in an annotation."""
    if isinstance(hint, type) and issubclass(hint, BaseModel):
        yield hint
    for inner in get_args(hint):
        yield from _models(inner)


def _is_in(step: str, part: str) -> bool:
    return step in re.split(r"[ ,]+", part)


def _listed(parts: Sequence[str]) -> str:
    """Parts in words, with the kinds of a key together: ``inputs, kinds normal, student_t; stop``."""
    groups: dict[str, list[str]] = {}
    for part in parts:
        under, _, kind = part.partition(", kind ")
        groups.setdefault(under, []).extend([kind] if kind else [])
    return "; ".join(
        f"{under}, kind{'s' * (len(names) > 1)} {', '.join(names)}" if names else under
        for under, names in groups.items()
    )


def _typed(kind: str, text: str) -> str:
    return f"{kind}. {text}" if kind else text


def _summary(cls: type) -> str:
    return _plain(" ".join((inspect.getdoc(cls) or "").split("\n\n", maxsplit=1)[0].split()))


def _plain(text: str) -> str:
    return text.replace("``", "")


def _wrapped(text: str, width: int, indent: str = "") -> list[str]:
    return textwrap.wrap(
        text, width, initial_indent=indent, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def _class(model: type[BaseModel]) -> type:
    """The class that a model builds."""
    found: type = model.raresim_class  # type: ignore[attr-defined]  # by `raresim.config.schema`
    return found

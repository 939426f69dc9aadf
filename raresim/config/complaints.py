"""Messages for the problems that pydantic found: one line per place of the file, which a user can act on."""

from __future__ import annotations

import re
import types
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from raresim.arguments import numerals
from raresim.arguments.synonyms import nearest, unknown
from raresim.config.schema import experiment_model, key_of
from raresim.files import yaml_tree
from raresim.files.yaml_tree import Loc, Tree

MAX_PROBLEMS = 20
"""Largest number of problems of one file that are shown."""


MAX_SHOWN = 100
"""Largest number of characters of a wrong value that are shown."""


def messages(tree: Tree, error: ValidationError) -> list[str]:
    """One line per place that is wrong, in the order of the file."""
    found: dict[Loc, list[Any]] = {}
    for problem in error.errors(include_url=False):
        found.setdefault(_data_loc(tree.data, problem), []).append(problem)
    deepest = [loc for loc in found if not any(len(o) > len(loc) and o[: len(loc)] == loc for o in found)]
    misspelt = {(*loc[:-1], key) for loc in deepest for key in _meant(found[loc][0])}
    order = {place: index for index, place in enumerate(tree.places.values())}
    deepest.sort(key=lambda loc: order.get(tree.place(loc), -1))
    lines = [_message(tree, loc, found[loc]) for loc in deepest if loc not in misspelt]
    if len(lines) > MAX_PROBLEMS:
        lines = [*lines[:MAX_PROBLEMS], f"... and {len(lines) - MAX_PROBLEMS} more problems"]
    return lines


def _meant(problem: Mapping[str, Any]) -> list[str]:
    """The keys that an unknown key may be a misspelling of; they are then not reported as missing too."""
    if problem["type"] != "extra_forbidden":
        return []
    return re.findall(r"'(\w+)'", nearest(problem["loc"][-1], _allowed_keys(problem["loc"][:-1])))


def _data_loc(data: Any, problem: Mapping[str, Any]) -> Loc:
    """Pydantic's location without the names of union members; for a missing key, its parent."""
    loc: list[str | int] = []
    before = None
    for step in problem["loc"]:
        if isinstance(data, dict) and data is not before and step == data.get("kind"):  # a member of a union, not a key
            before = data
        elif (isinstance(data, dict) and step in data) or (isinstance(data, list) and isinstance(step, int)):
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
        text = f"is required but missing{_example(first['loc'])}"
    elif kind == "extra_forbidden":
        text = unknown("key", loc[-1], _allowed_keys(first["loc"][:-1])) + _naming(loc)
        return f"{tree.place(loc)}: {yaml_tree.dotted(loc[:-1]) or 'top level'}: {text}"
    elif kind in ("union_tag_invalid", "union_tag_not_found"):
        return _kind_message(tree, loc, first)
    elif kind == "literal_error" and loc and loc[-1] == "kind":
        text = unknown("kind", given, [first["ctx"]["expected"].strip("'")])
    else:
        wanted = list(dict.fromkeys(_wanted(p) for p in problems))
        text = f"must be {' or '.join(wanted)}, got {_shown(given)}"
        text += _hint(given, problems) or _kind_hint(given, first["loc"])
    place = tree.place(loc)
    return f"{place}: {yaml_tree.dotted(loc)}: {text}{yaml_tree.several(place)}"


def _naming(loc: Loc) -> str:
    """How inputs are named, for a key that looks like a name of them."""
    if loc[0] == "inputs" and (loc[-1] == "names" or (loc[-1] == "name" and "marginals" in loc)):
        return "; inputs get their names from a mapping, as in `marginals: {load: {kind: gumbel, ...}, ...}`"
    return ""


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
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "date_type": "a date YYYY-MM-DD",
    "none_required": "left out",
    "path_type": "a path",
    "too_short": "a list with at least one entry",
}


MOST_WORDS = 4
"""Most words that a message proposes for a missing key."""

_UNIONS = (Union, types.UnionType)

_BOOLEANS = {"yes": "true", "on": "true", "y": "true", "no": "false", "off": "false", "n": "false"}
"""Words that YAML 1.1 reads as true or false, and YAML 1.2 as text."""


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
    if isinstance(value, str):
        return f"the text {value[:MAX_SHOWN]!r}" + ("..." if len(value) > MAX_SHOWN else "")
    return str(value)


def _hint(given: Any, problems: Sequence[Mapping[str, Any]]) -> str:
    """What to write instead of a text: an allowed word that is near it, or a number."""
    kinds = {problem["type"] for problem in problems}
    if kinds == {"list_type"} and isinstance(given, dict):
        return "; put it into a list, [{...}]"
    if type(given) is int and problems[0]["loc"][-1:] == ("evaluations",):
        return f"; the number that a run may make is `stop: {{max_evaluations: {given}}}`"
    if not isinstance(given, str):
        return ""
    if "bool_type" in kinds and given.casefold() in _BOOLEANS:
        return f"; write {_BOOLEANS[given.casefold()]}"
    words = [
        w for p in problems if p["type"] == "literal_error" for w in re.findall(r"'([^']*)'", p["ctx"]["expected"])
    ]
    if Path(given).suffix and any(problem["loc"][-1] == "returns" for problem in problems):
        return f"; a file of returns is `returns_file: {given[:MAX_SHOWN]}`"
    number = numerals.advice(given) if kinds & {"float_type", "int_type", "int_from_float"} else ""
    return number or nearest(given, words)


def _example(loc: tuple[Any, ...]) -> str:
    """What to write for a missing key: a seed, or one of the words that it may be."""
    if loc == ("seed",):
        return "; choose one, such as `seed: 1`: with the same seed a run gives the same digits"
    words = _literals(_at(loc))
    return f"; write {' or '.join(f'`{loc[-1]}: {word}`' for word in words)}" if 0 < len(words) <= MOST_WORDS else ""


def _literals(hint: Any) -> list[str]:
    """The words of a ``Literal``, also in a union."""
    if get_origin(hint) is Literal:
        return [str(word) for word in get_args(hint)]
    return [word for inner in get_args(hint) for word in _literals(inner)] if get_origin(hint) in _UNIONS else []


def _kind_hint(given: Any, loc: tuple[Any, ...]) -> str:
    """What to write instead of a text where a mapping with a kind is wanted."""
    if not isinstance(given, str):
        return ""
    kinds = [get_args(model.model_fields["kind"].annotation)[0] for model in _members(_at(loc))]
    near = [given] if given in kinds else re.findall(r"'(\w+)'", nearest(given, kinds))
    return f"; write `{{kind: {near[0]}}}` with its options" if near else ""


def _members(hint: Any) -> list[type[BaseModel]]:
    """The models with a kind in an annotation."""
    if isinstance(hint, type) and issubclass(hint, BaseModel):
        return [hint] if "kind" in hint.model_fields else []
    is_choice = get_origin(hint) in (*_UNIONS, Annotated)
    return [model for inner in get_args(hint) for model in _members(inner)] if is_choice else []


def _at(loc: tuple[Any, ...]) -> Any:
    """The annotation at pydantic's location ``loc``."""
    model: Any = experiment_model()
    for step in loc[:-1]:
        model = _sole(_below(model, step))
    return _below(model, loc[-1]) if loc else model


def _allowed_keys(loc: tuple[Any, ...]) -> list[str]:
    """The keys of the model at pydantic's location ``loc``."""
    model: Any = experiment_model()
    for step in loc:
        model = _sole(_below(model, step))
    return [key_of(model, name) for name in model.model_fields]


def _below(hint: Any, step: Any) -> Any:
    """The annotation one pydantic location step below ``hint``: a field, a list entry or a union member."""
    if isinstance(hint, type) and issubclass(hint, BaseModel):
        names = {key_of(hint, name): name for name in hint.model_fields}
        return hint.model_fields[names[step]].annotation if step in names else hint
    origin, args = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _below(_sole(args[0]), step)
    if origin is list:
        return args[0] if isinstance(step, int) else hint
    if origin is dict:
        return hint if str(step).startswith("dict[") else args[1]
    for option in args:
        container = get_origin(option)
        if container in (dict, list) and str(step).startswith(f"{container.__name__}["):
            return option
        if isinstance(option, type) and issubclass(option, BaseModel):
            kinds = get_args(option.model_fields["kind"].annotation) if "kind" in option.model_fields else ()
            if step in (*kinds, option.__name__):
                return option
    return hint


def _sole(hint: Any) -> Any:
    """``hint`` without None, if one annotation remains: pydantic's locations do not name such an option."""
    options = [a for a in get_args(hint) if a is not type(None)]
    return options[0] if get_origin(hint) in _UNIONS and len(options) == 1 else hint

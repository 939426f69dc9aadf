"""What ``raresim check`` finds: facts about configs, and mistakes with their places; as lines, JSON or annotations."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from raresim.errors import RaresimError
from raresim.registry import Plugin

__all__ = ["facts", "lines", "mistakes", "workflow_commands"]

_PLACE = re.compile(r"(?P<file>[^\n]+?):(?P<line>\d+):(?:(?P<column>\d+):)? ?(?P<message>.*)", re.DOTALL)
_KEY = re.compile(r"(?P<key>[A-Za-z_]\w*(?:\[\d+\]|\.\w+)*): (?P<message>.*)", re.DOTALL)


def facts(file: Path, seconds: bool, whole: bool = True) -> dict[str, Any]:
    """What a run of the config ``file`` is about to do and what it costs; with ``seconds`` the time too.

    With ``whole`` also the hash of the config and its resolved text, which `lines` does not show.

    Of a config with members of other packages, only its name and these: their code is not imported without ``seconds``.

    Raises
    ------
    RaresimError
        For the first mistakes that are found.
    """
    from raresim.config import load as configs
    from raresim.config import memory, prediction, sweeps
    from raresim.run.audit import described
    from raresim.run.locate import expected_cost

    config = configs.load(file, sweeping=True, importing=seconds)
    if config.foreign:
        return {"name": config.name, "plugins": [_named(plugin) for plugin in config.foreign]}
    sweep = sweeps.read(file) if config.is_sweep else None
    inputs, method, stop = config.outline()
    parts = config.demand(inputs, method, stop)
    output = config.resolved().get("output")
    cost = method.cost_within(stop.max_evaluations, inputs.latent_dim, inputs.dim)
    data = None if inputs.table is None else inputs.table.source
    return {
        "name": config.name,
        "config_sha256": config.digest if whole else "",
        "inputs": {
            "kind": inputs.kind,
            "dim": inputs.dim,
            "latent_dim": inputs.latent_dim,
            "lines": list(inputs.lines),
        },
        "data": None
        if data is None
        else {
            "name": data.name,
            "rows": data.rows,
            "first": str(data.first_date),
            "last": str(data.last_date),
            "columns": data.columns,
            "not_held": data.not_held,
        },
        "notes": list(inputs.notes),
        "method": {"kind": method.kind, "evaluations": cost, "at_the_end": method.least_time if stop.seconds else ""},
        "quantile_evaluations": 0 if inputs.known_quantiles or method.finds_quantiles else expected_cost(config.tails),
        "stop": {
            "relative_error": stop.relative_error,
            "max_evaluations": stop.max_evaluations,
            "seconds": stop.seconds,
        },
        "time": prediction.lines(config, cost) if seconds else [],
        "audit": f"none, because {method.unaudited}" if method.unaudited else described(config.audit),
        "memory": {"bytes": sum(part.size for part in parts), "text": memory.needed(parts)},
        "output": None if output is None else {"draws": output["draws"], "file": f"draws.{output['format']}"},
        "sweep": None if sweep is None else {"runs": len(sweep.cells), "keys": list(sweep.values)},
        "filled": list(config.filled),
        "doubts": list(config.doubts),
        "resolved": config.texts()["resolved.yaml"] if whole else "",
    }


def lines(found: Mapping[str, Any]) -> Iterator[str]:
    """The facts in words, a line each."""
    if "plugins" in found:
        for each in found["plugins"]:
            what = f"{each['family'].replace('_', ' ')} kind {each['kind']}"
            yield f"plug-in: {what} is of the package {each['package']} {each['version']}; only run checks its keys"
        return
    inputs, data, stop, method = found["inputs"], found["data"], found["stop"], found["method"]
    yield f"inputs: {inputs['kind']}, {inputs['dim']} factors, {inputs['latent_dim']} standard normals"
    yield from (f"  {line}" for line in inputs["lines"])
    if data is not None:
        held, whole = data["columns"], data["columns"] + data["not_held"]
        columns = f", {held} of {whole} columns: those held" if data["not_held"] else ""
        yield f"data: {data['name']}, {data['rows']:,} rows, {data['first']} to {data['last']}{columns}"
    yield from (f"note: {line}" for line in found["notes"])
    if found["quantile_evaluations"]:
        yield f"quantiles: finding them takes about {found['quantile_evaluations']:,} evaluations"
    yield f"method: {method['kind']}; tuning takes about {method['evaluations']:,} evaluations"
    asked = "none" if stop["relative_error"] is None else f"{stop['relative_error']:g}"
    at_most = "" if stop["seconds"] is None else f" and about {stop['seconds']:g} s"
    yield f"stop: relative error {asked}, at most {stop['max_evaluations']:,} evaluations{at_most}"
    if method["at_the_end"]:
        yield f"note: when its time is up, {method['kind']} finishes {method['at_the_end']}"
    yield from (f"time: {line}" for line in found["time"])
    yield f"audit: {found['audit']}"
    yield f"memory: {found['memory']['text']}"
    if found["output"] is not None:
        yield f"output: at most {found['output']['draws']:,} weighted draws of the event, in {found['output']['file']}"
    if found["sweep"] is not None:
        yield f"sweep: {found['sweep']['runs']} runs of {', '.join(found['sweep']['keys'])}"
    yield from found["filled"]
    yield from (f"doubtful: {line}" for line in found["doubts"])


def mistakes(file: Path, error: RaresimError) -> list[dict[str, Any]]:
    """The lines of an error, each with its file, line, column and key where they are known."""
    found = []
    for text in str(error).splitlines():
        place = _PLACE.fullmatch(text)
        own = place is not None
        message = place["message"] if place else text.removeprefix(f"{file}: ")
        key = _KEY.fullmatch(message)
        found.append(
            {
                "file": place["file"] if place else str(file),
                "line": int(place["line"]) if place else None,
                "column": int(place["column"]) if place and place["column"] else None,
                "key": key["key"] if key and own else None,
                "message": message,
            }
        )
    return found


def workflow_commands(file: Path, result: Mapping[str, Any]) -> Iterator[str]:
    """Workflow commands of GitHub: an error for each mistake, a warning for each doubt."""
    for mistake in result["errors"]:
        places = {"file": mistake["file"], "line": mistake["line"], "col": mistake["column"]}
        yield _command("error", places, mistake["message"])
    for doubt in (result["facts"] or {}).get("doubts", ()):
        yield _command("warning", {"file": str(file)}, doubt)


def _named(plugin: Plugin) -> dict[str, str]:
    return {key: getattr(plugin, key) for key in ("family", "kind", "package", "version")}


def _command(level: str, places: Mapping[str, Any], message: str) -> str:
    given = ",".join(f"{key}={_escaped(str(value), ':,')}" for key, value in places.items() if value is not None)
    return f"::{level} {given}::{_escaped(message)}"


def _escaped(text: str, more: str = "") -> str:
    """``text`` with the characters replaced that end a workflow command."""
    for each in f"%\r\n{more}":
        text = text.replace(each, f"%{ord(each):02X}")
    return text

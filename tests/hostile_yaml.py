"""Configs that must be refused at once: the corpus of the tests and of ``experiments/trust``, by class.

Each is a config that would run, with one thing in it that costs time or memory, means something else than it seems to,
or asks for code.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

VALID = """\
seed: 1
inputs: {kind: normal, dim: 3}
loss: {kind: linear, weights: equal}
measures: [{kind: probability, above: 3}]
"""

SECONDS, MEBIBYTES = 0.2, 64.0
"""What refusing one of them may take of the processor, and how far the process may grow."""


def _laughs(levels: int, width: int = 9) -> str:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * width)}]" for i in range(1, levels)]
    return "\n".join(lines) + "\n"


def _merges(levels: int, width: int = 9) -> str:
    lines = ["a0: &a0 {k: v}"]
    lines += [f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * width)}]}}" for i in range(1, levels)]
    return "\n".join(lines) + "\n"


def _with(old: str, new: str) -> str:
    assert old in VALID
    return VALID.replace(old, new)


_MIB = 1024 * 1024
_FEW = "x, " * 300_000
_LONG = "x" * 500_000

CORPUS: dict[str, dict[str, str | bytes]] = {
    "size": {
        "a byte too many": VALID + "#" * (_MIB + 1 - len(VALID)),
        "ten mebibytes": VALID + ("# " + "x" * 98 + "\n") * 100_000,
        "long value": VALID + "name: " + _LONG,
        "long quoted value": VALID + f'name: "{_LONG}"',
        "long value of words": VALID + "name: " + "x " * 400_000,
        "long value of commas": VALID + "name: " + _FEW,
        "long quoted value of commas": VALID + f"name: '{_FEW}'",
        "long value of escapes": VALID + 'name: "' + "\\x41" * 200_000 + '"',
        "long value on many lines": VALID + "name: |\n" + "  xxxxxxxx\n" * 90_000,
        "long key": VALID + "k" * 5_000 + ": 1\n",
        "long key of many": VALID + "".join(f"{'k' * 300}{i}: 1\n" for i in range(1_000)),
        "long comment": VALID + "# " + _LONG + "\n[",
        "long blank": VALID + "name:" + " " * 500_000 + "x",
        "many comments": VALID + "#\n" * 400_000 + "[",
        "many empty lines": VALID + "\n" * 900_000 + "[",
        "long anchor": VALID + "name: &" + _LONG + " x",
        "long tag": VALID + "name: !" + _LONG + " x",
    },
    "depth": {
        "brackets": VALID + "name: " + "[" * 500_000,
        "closed brackets": VALID + "name: " + "[" * 900 + "]" * 900,
        "braces": VALID + "name: " + "{a: " * 900 + "1" + "}" * 900,
        "open braces": VALID + "name: " + "{" * 500_000,
        "dashes": VALID + "name:\n  " + "- " * 5_000 + "1",
        "question marks": VALID + "? " * 5_000 + "1",
        "indents": VALID + "".join(" " * i + f"k{i}:\n" for i in range(200)),
        "one level too deep": VALID + "name: " + "[" * 33 + "]" * 33,
        "through aliases": VALID + "".join(f"a{i}: &a{i} [{'' if i == 0 else f'*a{i - 1}'}]\n" for i in range(40)),
    },
    "nodes": {
        "one node too many": VALID + f"name: [{'1,' * 10_000}]",
        "numbers": _with("equal", f"[{'1,' * 300_000}]"),
        "keys": VALID + "".join(f"k{i}: 1\n" for i in range(15_000)),
        "lines of a list": VALID + "name:\n" + "- 1\n" * 15_000,
        "empty lists": VALID + f"name: [{'[],' * 200_000}]",
        "empty values": VALID + f"name: [{'{a},' * 100_000}]",
    },
    "aliases": {
        "billion laughs": _laughs(9) + VALID,
        "few laughs": _laughs(5) + VALID,
        "wide laughs": _laughs(3, width=45) + VALID,
        "too many": VALID + f"name: [&a x, {'*a, ' * 101}]",
        "a list too often": VALID + f"a: &a [{'1,' * 150}]\nname: [{'*a, ' * 100}]",
        "inside itself": VALID + "name: &a [*a]",
        "inside itself twice": VALID + "name: &a {b: &b [*a, *b]}",
        "unknown": VALID + "name: *nobody",
        "as a key": VALID + "name: &a x\n*a : 1\n",
    },
    "merge keys": {
        "merge bomb": _merges(9) + VALID,
        "one merge": _with("seed: 1", "a: &a {dim: 3}\nseed: 1").replace("dim: 3}\nloss", "<<: *a}\nloss"),
        "merge of a list": VALID + "name: {<<: [{a: 1}, {b: 2}]}",
        "explicit merge": VALID + 'name: {!!merge "<<": {a: 1}}',
    },
    "duplicate and unknown keys": {
        "threshold twice": _with("above: 3", "above: 4, above: 2"),
        "seed twice": VALID + "seed: 2\n",
        "quoted the second time": VALID + '"seed": 2\n',
        "section twice": VALID + "loss: {kind: linear, weights: [1, 2, 3]}\n",
        "unknown at the top": VALID + "sead: 2\n",
        "unknown below": _with("dim: 3", "dim: 3, sdt: 1"),
        "python's names": VALID + "__class__: {__init__: {__globals__: 1}}\n",
        "hydra's target": VALID + "_target_: os.system\n",
    },
    "YAML 1.1": {
        "no is not false": _with("equal}", "equal}\nmethod: {kind: cross_entropy, control_variates: no}"),
        "on is not true": _with("equal}", "equal}\nmethod: {kind: cross_entropy, control_variates: on}"),
        "octal": _with("seed: 1", "seed: 012"),
        "octal dimension": _with("dim: 3", "dim: 010"),
        "sexagesimal": _with("seed: 1", "seed: 1:30"),
        "sexagesimal threshold": _with("above: 3", "above: 1:30.5"),
        "underscores": _with("seed: 1", "seed: 1_000"),
        "binary": _with("seed: 1", "seed: 0b101"),
        "directive": "%YAML 1.1\n---\n" + VALID,
    },
    "tags and code": {
        "python object": VALID + "name: !!python/object/apply:os.system [echo hacked]",
        "python name": VALID + "name: !!python/name:os.system",
        "python module": VALID + "name: !!python/module:os",
        "python object new": VALID + 'name: !!python/object/new:type {args: [x, [], {extend: !!python/name:exec ""}]}',
        "ruby object": VALID + "name: !ruby/object:Gem::Installer {i: x}",
        "local tag": VALID + "name: !include /etc/passwd",
        "verbatim tag": VALID + "name: !<tag:yaml.org,2002:python/object:os.system> x",
        "tag directive": "%TAG !p! tag:yaml.org,2002:python/\n---\n" + VALID,
        "binary data": VALID + "name: !!binary Y29zCnN5c3RlbQo=",
        "set": VALID + "name: !!set {a, b}",
        "ordered map": VALID + "name: !!omap [a: 1]",
        "quoted number by tag": _with("seed: 1", 'seed: !!int "1"'),
        "function that is an expression": _with(
            "{kind: linear, weights: equal}", '{kind: python, function: \'__import__("os").system("id")\'}'
        ),
        "function in no file": _with("{kind: linear, weights: equal}", "{kind: python, function: os:system}"),
        "law that is no law": _with(
            "kind: normal, dim: 3", "kind: independent, marginals: {a: {kind: scipy, name: os}}"
        ),
    },
    "encoding and control characters": {
        "NUL": VALID + "name: a\0b",
        "escaped NUL": VALID + 'name: "a\\0b"',
        "escape character": VALID + "name: a\x1b[2Jb",
        "lone surrogate": VALID + 'name: "\\ud800"',
        "latin-1": (VALID + "name: ").encode() + b"\xe9",
        "UTF-16": VALID.encode("utf-16"),
        "overlong slash": (VALID + "name: ").encode() + b"\xc0\xaf",
        "gzip": b"\x1f\x8b\x08\x00\x00\x00\x00\x00",
        "pickle": b"\x80\x04\x95\x1c\x00\x00\x00cposix\nsystem\n(Vid\ntR.",
        "byte-order mark inside": VALID + "name: a\ufeffb: c",
    },
    "documents": {
        "second document": VALID + "---\nseed: 2\n",
        "many documents": VALID + "---\n" * 15_000,
        "after the end": VALID + "...\n" + VALID,
        "tab for indent": VALID + "name:\n\ta: 1\n",
        "unclosed quote": VALID + 'name: "abc\n' * 100,
        "list at the top": "- seed: 1\n",
        "empty": "",
        "list as a key": VALID + "[1, 2]: 3\n",
        "number as a key": VALID + "1: 2\n",
    },
    "numbers": {
        "many digits": _with("seed: 1", "seed: " + "1" * 9_000),
        "more digits than a double": _with("dim: 3", "std: " + "9" * 399),
        "overflow": _with("above: 3", "above: 1e999"),
        "infinity": _with("above: 3", "above: .inf"),
        "not a number": _with("above: 3", "above: .nan"),
        "huge dimension": _with("dim: 3", "dim: 1e18"),
        "no such day": _with("seed: 1", "seed: 2020-02-31"),
    },
}


class Refusal(NamedTuple):
    """How a config was refused: what was said, and what it cost. ``message`` is empty where it was not refused."""

    group: str
    name: str
    message: str
    seconds: float
    mebibytes: float


def refusals(folder: Path) -> list[Refusal]:
    """Write every config into ``folder``, and let one new process check them all, as ``raresim check`` does."""
    named = []
    for number, (group, name, content) in enumerate((g, n, c) for g, cases in CORPUS.items() for n, c in cases.items()):
        path = folder / f"{number}.yaml"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        named.append([group, name, str(path)])
    (folder / "valid.yaml").write_text(VALID, encoding="utf-8")
    code = f"from {__name__} import _child; _child({str(folder / 'valid.yaml')!r})"
    out = subprocess.run(
        [sys.executable, "-c", code],
        input=json.dumps(named),
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[1],
    )
    if out.returncode:
        raise RuntimeError(out.stderr)
    return [Refusal(*row) for row in json.loads(out.stdout)]


def _child(valid: str) -> None:
    """Reads the list of configs, prints the refusals; what is loaded once for all is loaded before the clock runs."""
    from raresim.config import load as config
    from raresim.errors import RaresimError

    config.load(valid).outline()
    rows = []
    for group, name, path in json.load(sys.stdin):
        best = (float("inf"), 0.0, "")
        for _ in range(3):
            best = min(best, _measured(path, config, RaresimError))
            if best[0] < SECONDS / 4:
                break
        rows.append((group, name, best[2], best[0], best[1]))
    sys.stdout.write(json.dumps(rows))


def _measured(path: str, config, expected: type[Exception]) -> tuple[float, float, str]:
    import time

    before = _memory("VmRSS")
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak begins anew
    begun = time.process_time()
    try:
        config.load(path).outline()
        message = ""
    except expected as error:
        message = str(error)
    seconds = time.process_time() - begun
    return seconds, max(0.0, _memory("VmHWM") - before), message


def _memory(field: str) -> float:
    """Mebibytes of this process, from the kernel."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{field}:"))

"""Names, links and devices that would lead a run out of its folder, and what became of each.

Used by the tests and by ``experiments/trust``.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from raresim.shell.cli import app
from tests.invoking import CliRunner

SECRET = "the content of a file outside"

CONFIG = """\
seed: 1
name: %s
inputs: {kind: normal, dim: 1}
loss: {kind: linear, weights: equal}
measures: [{kind: probability, above: 1}]
method: {kind: crude}
stop: {max_evaluations: 1000}
"""

NAMES = (
    "..",
    "../up",
    "../../up",
    "/tmp/raresim-absolute",
    "a/b",
    "a/../../b",
    "runs/../..",
    "~",
    "~root",
    "$HOME",
    "C:\\x",
    "..\\..\\x",
    "a\x00b",
    "a\nb",
    "a" * 300,
    "CON",
    "nul.txt",
    "Com1",
    "trailing.",
    ".hidden",
    "-rf",
    "",
    "file:///tmp/x",
    "\uff0e\uff0e\uff0fup",
)


class Outcome(NamedTuple):
    """One case: whether something outside changed or came in, and what the shell said."""

    case: str
    escaped: bool
    exit_code: int
    message: str


class Sandbox(NamedTuple):
    """A working folder with a whole run folder ``run`` in it, and a folder ``outside`` beside it."""

    work: Path
    outside: Path

    @property
    def run(self) -> Path:
        return self.work / "run"

    def config(self, name: str = "fine") -> list[str]:
        path = self.work / "case.yaml"
        path.write_text(CONFIG % json.dumps(name), encoding="utf-8")
        return ["run", "case.yaml", "--quiet"]

    def link(self, name: str, target: str) -> None:
        """``name`` in the run folder becomes a link to ``target`` outside."""
        path = self.run / name
        path.parent.mkdir(exist_ok=True)
        if path.is_dir():
            shutil.rmtree(path)
        path.unlink(missing_ok=True)
        path.symlink_to(self.outside / target)


def _out(prepare: Callable[[Sandbox], str]) -> Callable[[Sandbox], list[str]]:
    return lambda box: [*box.config(), "--out", prepare(box)]


def _out_link(box: Sandbox, target: str) -> str:
    (box.work / "link").symlink_to(box.outside / target)
    return "link"


def _runs_link(box: Sandbox, target: str) -> list[str]:
    (box.work / "runs").mkdir()
    (box.work / "runs" / "fine").symlink_to(box.outside / target)
    return box.config()


def _fifo(path: Path) -> str:
    path.unlink(missing_ok=True)
    os.mkfifo(path)
    return path.name


def _report(name: str, target: str) -> Callable[[Sandbox], list[str]]:
    def prepare(box: Sandbox) -> list[str]:
        box.link(name, target)
        return ["report", "run"]

    return prepare


def _device(name: str, device: str) -> Callable[[Sandbox], list[str]]:
    def prepare(box: Sandbox) -> list[str]:
        (box.run / name).unlink()
        (box.run / name).symlink_to(device)
        return ["report", "run"]

    return prepare


def _pipe(name: str) -> Callable[[Sandbox], list[str]]:
    def prepare(box: Sandbox) -> list[str]:
        _fifo(box.run / name)
        return ["report", "run"]

    return prepare


def _plot(box: Sandbox, name: str) -> list[str]:
    shutil.copytree(box.run, box.work / "other")
    return ["compare", "run", "other", "--plot", name]


def _plot_link(box: Sandbox) -> list[str]:
    (box.work / "plot.png").symlink_to(box.outside / "file.txt")
    return _plot(box, "plot.png")


def _compare_link(box: Sandbox) -> list[str]:
    shutil.copytree(box.run, box.work / "other")
    box.link("resolved.yaml", "file.txt")
    return ["compare", "run", "other"]


_READ = (
    "config.yaml",
    "resolved.yaml",
    "manifest.json",
    "result.json",
    "convergence.csv",
    "evidence.json",
    "trace.json",
    "exhibits.json",
)

CASES: dict[str, Callable[[Sandbox], list[str]]] = {
    **{f"name {name[:20]!r}": (lambda box, name=name: box.config(name)) for name in NAMES},
    "runs/NAME is a link": lambda box: _runs_link(box, "folder"),
    "runs/NAME is a broken link": lambda box: _runs_link(box, "new"),
    "--out with NUL": _out(lambda _: "a\0b"),
    "--out too long": _out(lambda _: "a" * 300),
    "--out too long below": _out(lambda _: f"new/{'a' * 300}/b"),
    "--out is a device": _out(lambda _: "/dev/null"),
    "--out below a device": _out(lambda _: "/dev/null/run"),
    "--out is a link": _out(lambda box: _out_link(box, "folder")),
    "--out is a broken link": _out(lambda box: _out_link(box, "new")),
    "--out is a link to a file": _out(lambda box: _out_link(box, "file.txt")),
    "--out is a pipe": _out(lambda box: _fifo(box.work / "pipe")),
    "--out is the folder above": _out(lambda _: ".."),
    "--out is empty": _out(lambda _: ""),
    **{f"report: {name} is a link": _report(name, "file.txt") for name in _READ},
    "report: arrays.npz is a link": _report("arrays.npz", "arrays.npz"),
    "report: config.yaml is a device": _device("config.yaml", "/dev/zero"),
    "report: config.yaml is a pipe": _pipe("config.yaml"),
    "report: arrays.npz is a pipe": _pipe("arrays.npz"),
    "report: report.html is a link": _report("report.html", "file.txt"),
    "report: the unfinished page is a link": _report("report.html.part", "file.txt"),
    "report: figures is a link": _report("figures", "folder"),
    "report: a figure is a link": _report("figures/convergence.png", "file.txt"),
    "report: the unfinished figure is a link": _report("figures/convergence.png.part", "file.txt"),
    "report: a figure of no more use is a link": _report("figures/trace.png", "file.txt"),
    "compare: --plot is a link": _plot_link,
    "compare: --plot with NUL": lambda box: _plot(box, "a\0b"),
    "compare: --plot is a folder": lambda box: _plot(box, "run"),
    "compare: resolved.yaml is a link": _compare_link,
}


def outcomes(folder: Path) -> list[Outcome]:
    """Try every case, each in folders of its own below ``folder``."""
    whole = Sandbox(folder / "whole", folder)
    whole.work.mkdir()
    here = Path.cwd()
    try:
        os.chdir(whole.work)
        made = CliRunner().invoke(app, [*whole.config(), "--out", "run"])
        assert made.exit_code == 0, made.output
        return [_outcome(number, case, folder, whole) for number, case in enumerate(CASES)]
    finally:
        os.chdir(here)


def _outcome(number: int, case: str, folder: Path, whole: Sandbox) -> Outcome:
    box = Sandbox(folder / str(number) / "work", folder / str(number) / "outside")
    shutil.copytree(whole.run, box.run)
    (box.outside / "folder").mkdir(parents=True)
    (box.outside / "file.txt").write_text(SECRET, encoding="utf-8")
    (box.outside / "folder" / "convergence.png").write_text(SECRET, encoding="utf-8")
    shutil.copy(whole.run / "arrays.npz", box.outside)
    arguments = CASES[case](box)
    before = _state(box)
    os.chdir(box.work)
    result = CliRunner().invoke(app, arguments)
    page = box.run / "report.html"
    came_in = page.is_file() and SECRET in page.read_text(encoding="utf-8")
    return Outcome(case, _state(box) != before or came_in, result.exit_code, result.output.strip())


def _state(box: Sandbox) -> dict[str, str]:
    """Every file outside, and what lies beside both folders, with a hash of its content."""
    paths = [*box.outside.rglob("*"), *box.work.parent.iterdir(), *box.work.parent.parent.glob("up*")]
    paths += Path("/tmp").glob("raresim-absolute*")  # the absolute name among the cases
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "folder" for path in paths}

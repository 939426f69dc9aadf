"""Runs of a sweep: each in a folder named by the digest of its config, so that none is run twice."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raresim.config import sweeps
from raresim.config.sweeps import Cell, Sweep
from raresim.errors import ConfigError, RaresimError
from raresim.files import plain_files
from raresim.report.comparison import Failure

if TYPE_CHECKING:
    from raresim.engine.session import Report

SPECIFICATION = "sweep.json"


@dataclass(frozen=True)
class Order:
    """How to load a cell's config again in another process."""

    file: Path
    fixed: tuple[str, ...]
    settings: tuple[str, ...]
    assignments: tuple[str, ...]


def begin(sweep: Sweep, place: Path, resume: bool) -> None:
    """Make the folder ``place`` with `SPECIFICATION`, or find it there.

    Raises
    ------
    ConfigError
        When the folder holds something else, or this sweep and ``resume`` is false.
    """
    wanted = sweeps.specification(sweep)
    path = place / SPECIFICATION
    if path.is_file():
        if json.loads(path.read_text("utf-8")) != wanted:
            raise ConfigError(f"{place}: already holds another sweep; choose another folder with --out")
        if not resume:
            raise ConfigError(f"{place}: already holds this sweep; --resume goes on with it")
        return
    if place.exists() and any(place.iterdir()):
        raise ConfigError(f"{place}: already holds files; choose another folder or remove it")
    place.mkdir(parents=True, exist_ok=True)
    plain_files.replace(path, (json.dumps(wanted, indent=1) + "\n").encode())


def is_done(cell: Cell, place: Path) -> bool:
    """Whether the run of ``cell`` is finished."""
    path = place / cell.name / "manifest.json"
    if not path.is_file():
        return False
    found: Any = json.loads(path.read_text("utf-8"))
    return bool(found.get("status") == "finished" and found.get("config_sha256") == cell.config.digest)


def run_all(
    sweep: Sweep, place: Path, jobs: int, told: Callable[[int, Cell, str], None], progress: Callable[[], Any]
) -> list[Failure]:
    """Run the cells that are not done; returns those that failed.

    Parameters
    ----------
    sweep : Sweep
        The runs.
    place : Path
        Their folder.
    jobs : int
        Processes that run them side by side; 1: this one.
    told : callable
        Told the number, the cell and what became of it: "begins", "is done already", "is done", "failed".
    progress : callable
        Makes a context whose value is told the progress of a run, where there is one job.
    """
    failures: list[Failure] = []
    waiting = []
    for number, cell in enumerate(sweep.cells, start=1):
        if is_done(cell, place):
            told(number, cell, "is done already")
        else:
            waiting.append((number, cell))
    for number, cell, failure in _done(waiting, place, jobs, told, progress):
        told(number, cell, "failed" if failure else "is done")
        if failure:
            failures.append(failure)
    return failures


def _done(
    waiting: list[tuple[int, Cell]], place: Path, jobs: int, told: Callable[[int, Cell, str], None], progress: Any
) -> Iterator[tuple[int, Cell, Failure | None]]:
    if jobs == 1:
        for number, cell in waiting:
            told(number, cell, "begins")
            with progress() as report:
                failure = _run(cell, place, report)
            yield number, cell, failure
        return
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        tasks = {pool.submit(_run_there, _order(cell), place): (number, cell) for number, cell in waiting}
        for task in as_completed(tasks):
            yield *tasks[task], task.result()


def _order(cell: Cell) -> Order:
    config = cell.config
    fixed = config.overrides[: len(config.overrides) - len(cell.assignments)]
    return Order(Path(config.tree.source).absolute(), fixed, cell.settings, cell.assignments)


def _run_there(order: Order, place: Path) -> Failure | None:
    from raresim.config import load as configs

    config = configs.load(order.file, order.fixed, settings=order.assignments, sweeping=True)
    return _run(Cell(order.settings, order.assignments, config), place, lambda *_: None)


def _run(cell: Cell, place: Path, report: Report) -> Failure | None:
    from raresim.shell import unfinished

    try:
        unfinished.complete(cell.config, place / cell.name, report)
    except RaresimError as error:
        return Failure(str(cell), str(error), error.exit_code)
    return None

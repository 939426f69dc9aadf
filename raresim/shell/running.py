"""Verbs that run an experiment, or run one again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from raresim.errors import ConfigError, ExitCode
from raresim.files.run_folders import point_latest
from raresim.report.process import Drawing
from raresim.shell.common import (
    Debug,
    File,
    Format,
    Quiet,
    RunFolder,
    Verbose,
    Workers,
    complain,
    counted,
    emit,
    exits,
    signals_interrupt,
    with_workers,
)

if TYPE_CHECKING:
    from raresim.config.load import Config
    from raresim.record.outcome import Outcome
    from raresim.run.result import Result
    from raresim.shell.live import Board
    from raresim.shell.unfinished import Finished

app = typer.Typer()

NewFolder = Annotated[
    Path | None, typer.Option("--out", help="The new run folder. Default: beside RUN_DIR.", show_default=False)
]


@app.command(short_help="Run an experiment: numbers, figures and report in a folder.")
@exits
def run(
    file: File,
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="KEY=VALUE", help="Changes to the config.", show_default=False)
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="The run folder. Default: runs/NAME/TIME-HASH.", show_default=False)
    ] = None,
    workers: Workers = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with an unfinished run of this config; begin one if there is none.")
    ] = False,
    require: Annotated[
        Literal["trusted"] | None, typer.Option(help="Exit with 10 if the verdict is caution.", show_default=False)
    ] = None,
    live: Annotated[
        bool,
        typer.Option("--live", help="Serve a page on this machine with the estimate so far and a stop button."),
    ] = False,
    port: Annotated[
        int | None,
        typer.Option(
            help="Port of the live page. Default: a free one.", parser=counted(1), metavar="PORT", show_default=False
        ),
    ] = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
    form: Format = "text",
    debug: Debug = False,
) -> int:
    """Run an experiment and write its folder: numbers, figures and report."""
    if port is not None and not live:
        raise ConfigError("--port: goes with --live, which serves a page there")
    with Drawing() as drawing:
        from raresim.config import load as configs
        from raresim.run.result import default_folder
        from raresim.shell import unfinished

        config = configs.load(file, with_workers(overrides or [], workers))
        place = default_folder(config.checked_name(), f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{config.digest[:8]}")
        found = unfinished.newest(place.parent, config.digest) if resume and out is None else None
        out = unfinished.final_of(out) if resume and out is not None else out
        stated = out or found
        if resume and out is not None and (out / "manifest.json").is_file():
            code = _already_finished(config, out, require, form)
            unfinished.clear(out)
            return code
        own = unfinished.place_for(stated, place, resume)
        if resume and not unfinished.partial_of(stated or place).exists() and not quiet:
            complain(f"{out or place.parent}: no unfinished run of this config; a new one begins")
        page = (port or 0) if live else None
        return _exit_code(_complete(config, own, quiet, drawing, form=form, port=page), require)


@app.command(short_help="Add samples to a finished run, in a new folder.")
@exits
def extend(
    run_dir: RunFolder,
    budget: Annotated[
        int, typer.Option(help="Loss evaluations to add.", parser=counted(1), metavar="COUNT", show_default=False)
    ],
    out: NewFolder = None,
    workers: Workers = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted extension.")] = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    form: Format = "text",
    debug: Debug = False,
) -> int:
    """Add samples to a finished run, in a new run folder; the old one stays as it is."""
    with Drawing() as drawing:
        from raresim.shell import unfinished

        config, finished = unfinished.extended(run_dir, budget, with_workers([], workers))
        where = run_dir.resolve().parent
        found = unfinished.newest(where, config.digest) if resume and out is None else None
        out = unfinished.final_of(out) if resume and out is not None else out
        place = where / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{config.digest[:8]}"
        own = unfinished.place_for(out or found, place, resume)
        return _exit_code(_complete(config, own, quiet, drawing, finished, form), None)


@app.command(short_help="Run the config of a finished run again, in a new folder.")
@exits
def rerun(
    run_dir: RunFolder,
    out: NewFolder = None,
    workers: Workers = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
    form: Format = "text",
    debug: Debug = False,
) -> int:
    """Run the config that a finished run folder keeps again, in a new folder."""
    with Drawing() as drawing:
        from raresim.shell import again, unfinished

        config, _ = again.planned(run_dir, with_workers([], workers))
        leaf = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{config.digest[:8]}"
        own = unfinished.place_for(out, run_dir.resolve().parent / leaf, resume=False)
        return _exit_code(_complete(config, own, quiet, drawing, form=form), None)


@app.command(short_help="Run a finished run again and compare the numbers.")
@exits
def verify(
    run_dir: RunFolder,
    workers: Workers = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
    form: Format = "text",
    debug: Debug = False,
) -> int:
    """Run a finished run again, and hold the numbers against those of its folder, which stays as it is.

    Exit code 0: the same bits; 4: the same within their errors, on another machine or with other versions; 5: not so.
    """
    from raresim.run.result import read_run
    from raresim.shell import again, progress, unfinished

    stored = read_run(run_dir)
    config, experiment = again.planned(run_dir, with_workers([], workers))
    with signals_interrupt(), progress.progress(quiet) as report:
        new = unfinished.compute(config, run_dir, report, experiment)
    found = again.verification(stored, new)
    if not found.changed:
        code, words = ExitCode.OK, f"the same bits in all {len(found.same)} numbers"
    elif found.agrees and found.elsewhere:
        code, words = ExitCode.WITHIN_ERROR, "the same within their errors; the machine or its software is another one"
    else:
        code, words = ExitCode.DIFFERENT, "different"
    if form == "json":
        outcome = {ExitCode.OK: "same", ExitCode.WITHIN_ERROR: "within_error", ExitCode.DIFFERENT: "different"}[code]
        emit("verify", {"folder": str(run_dir), "outcome": outcome, **asdict(found)})
        return code
    for line in (*found.changed, *found.elsewhere):
        typer.echo(line)
    typer.echo(f"{run_dir}: {words}")
    return code


def _complete(
    config: Config,
    own: AbstractContextManager[Path],
    quiet: bool,
    drawing: Drawing,
    finished: Finished | None = None,
    form: str = "text",
    port: int | None = None,
) -> str:
    """Run into the folder ``own``, print the numbers as soon as they are known, and return the verdict.

    The live page is served at ``port``; 0 is a free one, None stands for no page.
    """
    from raresim.shell import progress, terminal, unfinished

    with signals_interrupt(), own as folder, ExitStack() as served, ExitStack() as shown:
        place = folder.absolute()  # a loss may change the working folder
        board = None if port is None else served.enter_context(_live_page(config, port, place))
        report = shown.enter_context(progress.progress(quiet))

        def answered(result: Result) -> None:
            shown.close()
            if board is not None:
                board.finish(result)
            if form == "text":
                terminal.show_result(result)

        told = report if board is None else progress.Both(report, board)
        watched = None if board is None else board.live
        result = unfinished.complete(config, folder, told, finished, answered, drawing.build, watched)
    if place.parent.name == config.name and place.parent.parent.name == "runs":
        point_latest(place)
    if form == "text":
        terminal.show_report(folder)
    else:
        _emit_run(folder, result)
    return str(result.verdict.status)


@contextmanager
def _live_page(config: Config, port: int, place: Path) -> Iterator[Board]:
    """Serve the live page of the run into ``place``, and print its address."""
    from raresim.shell import live

    resolved = config.resolved()
    with live.serving(config.checked_name(), resolved["method"]["kind"], resolved["seed"], port) as server:
        server.board.farewell = f"The run is over. Its report: {place / 'report.html'}"
        complain(f"Live page: {server.url}")
        yield server.board


def _emit_run(folder: Path, result: Outcome) -> None:
    emit("run", {"folder": str(folder), "report": str(folder / "report.html"), "result": result.to_dict()})


def _already_finished(config: Config, folder: Path, require: str | None, form: str) -> ExitCode:
    """The answer of ``--resume`` to a run that is finished already."""
    from raresim.report.run import read

    found = read(folder)
    if found.manifest.get("config_sha256") != config.digest:
        raise ConfigError(f"{folder}: already holds the run of another config; choose another folder or remove it")
    if form == "json":
        _emit_run(folder, found)
        return _exit_code(found.verdict.status, require)
    typer.echo(f"{folder}: the run is finished, {found.verdict.status}")
    typer.echo(f"Report: {folder / 'report.html'}")
    return _exit_code(found.verdict.status, require)


def _exit_code(status: str, require: str | None) -> ExitCode:
    if status == "caution":
        return ExitCode.CAUTION if require == "trusted" else ExitCode.OK
    codes = {"trusted": ExitCode.OK, "untrusted": ExitCode.UNTRUSTED, "bound_only": ExitCode.BOUND_ONLY}
    return codes[status]

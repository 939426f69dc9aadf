"""The shell command: verbs, printing and exit codes, nothing else."""

from __future__ import annotations

import gc
import json
import signal
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from raresim import __version__
from raresim.errors import ConfigError, DataError, ExitCode, FieldError, LossError, RaresimError
from raresim.files.run_folders import latest, point_latest
from raresim.report.process import Drawing
from raresim.shell.common import (
    EXIT_CODES,
    Debug,
    File,
    Format,
    Interrupted,
    Methods,
    Quiet,
    RunFolder,
    Seeds,
    Verbose,
    Workers,
    complain,
    counted,
    decimal,
    emit,
    exits,
)
from raresim.shell.runs import app as runs_app

if TYPE_CHECKING:
    from raresim.config.load import Config
    from raresim.record.outcome import Outcome
    from raresim.report.comparison import Failure
    from raresim.run.result import Result
    from raresim.shell.live import Board
    from raresim.shell.unfinished import Finished

GARBAGE = 100_000
"""New objects after which Python looks for garbage: what is imported stays, and looking through it takes a tenth of the
time to start."""

app = typer.Typer(
    name="raresim",
    help="Estimate the probability of rare events: an interval that holds, a verdict that says when it does not.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(runs_app)


@app.callback(invoke_without_command=True, epilog=EXIT_CODES)
def _top(
    version: Annotated[bool, typer.Option("--version", help="Print the version.", is_eager=True)] = False,
) -> None:
    if version:
        typer.echo(__version__)
        raise typer.Exit


@app.command()
@exits
def run(
    file: File,
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Changes to the config.", show_default=False)
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

        config = configs.load(file, _with_workers(overrides or [], workers))
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


@app.command()
@exits
def extend(
    run_dir: RunFolder,
    budget: Annotated[
        int, typer.Option(help="Loss evaluations to add.", parser=counted(1), metavar="COUNT", show_default=False)
    ],
    out: Annotated[
        Path | None, typer.Option(help="The new run folder. Default: beside RUN_DIR.", show_default=False)
    ] = None,
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

        config, finished = unfinished.extended(run_dir, budget, _with_workers([], workers))
        where = run_dir.resolve().parent
        found = unfinished.newest(where, config.digest) if resume and out is None else None
        out = unfinished.final_of(out) if resume and out is not None else out
        place = where / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{config.digest[:8]}"
        own = unfinished.place_for(out or found, place, resume)
        return _exit_code(_complete(config, own, quiet, drawing, finished, form), None)


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

    with _signals_interrupt(), own as folder, ExitStack() as served, ExitStack() as shown:
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


@app.command()
@exits
def rerun(
    run_dir: RunFolder,
    out: Annotated[
        Path | None, typer.Option(help="The new run folder. Default: beside RUN_DIR.", show_default=False)
    ] = None,
    workers: Workers = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
    form: Format = "text",
    debug: Debug = False,
) -> int:
    """Run the config that a finished run folder keeps again, in a new folder."""
    with Drawing() as drawing:
        from raresim.shell import again, unfinished

        config = again.config_of(run_dir, _with_workers([], workers))
        leaf = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{config.digest[:8]}"
        own = unfinished.place_for(out, run_dir.resolve().parent / leaf, resume=False)
        return _exit_code(_complete(config, own, quiet, drawing, form=form), None)


@app.command()
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
    config = again.config_of(run_dir, _with_workers([], workers))
    with _signals_interrupt(), progress.progress(quiet) as report:
        new = unfinished.compute(config, run_dir, report)
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


@contextmanager
def _signals_interrupt() -> Iterator[None]:
    """Raise `Interrupted` at the first SIGINT or SIGTERM; a second one ends the process at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(number: int, _: object) -> None:
        for each in before:
            signal.signal(each, signal.SIG_DFL)
        raise Interrupted(number)

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in before:
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _with_workers(overrides: list[str], workers: int | None) -> list[str]:
    return overrides if workers is None else [*overrides, f"execution.workers={workers}"]


def _exit_code(status: str, require: str | None) -> ExitCode:
    if status == "caution":
        return ExitCode.CAUTION if require == "trusted" else ExitCode.OK
    codes = {"trusted": ExitCode.OK, "untrusted": ExitCode.UNTRUSTED, "bound_only": ExitCode.BOUND_ONLY}
    return codes[status]


@app.command()
@exits
def check(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Experiment configs.", show_default=False)],
    show: Annotated[bool, typer.Option("--show", help="Print every value, and what a preset filled in.")] = False,
    seconds: Annotated[
        bool, typer.Option("--seconds", help="Predict the time: fits the inputs and calls the loss for a few draws.")
    ] = False,
    form: Annotated[
        Literal["text", "json", "github"],
        typer.Option("--format", help="Text, one JSON object, or annotations of a GitHub workflow."),
    ] = "text",
    debug: Debug = False,
) -> int:
    """Check configs and their data, and predict what a run costs.

    Without --seconds it imports no user code and draws nothing. `raresim schema check` describes the JSON.
    """
    from raresim.shell import checking

    code, results = ExitCode.OK, []
    for file in files:
        found: dict[str, Any] = {"file": str(file), "ok": True, "errors": [], "facts": None}
        try:
            found["facts"] = checking.facts(file, seconds, whole=show or form == "json")
        except RaresimError as error:
            if debug:
                raise
            found.update(ok=False, errors=checking.mistakes(file, error))
            code = max(code, error.exit_code)
            if form == "text":
                complain(str(error))
        results.append(found)
        if form == "github":
            for line in checking.workflow_commands(file, found):
                typer.echo(line)
        elif form == "text" and found["ok"]:
            typer.echo(f"{file}: ok")
            for line in checking.lines(found["facts"]):
                typer.echo(f"  {line}")
            if show and "resolved" in found["facts"]:
                typer.echo(found["facts"]["resolved"], nl=False)
    if form == "json":
        emit("check", {"exit_code": int(code), "files": results})
    return code


@app.command()
@exits
def report(
    run_dir: RunFolder,
    pdf: Annotated[bool, typer.Option("--pdf", help="Print the page to report.pdf too, with Chromium.")] = False,
    form: Format = "text",
    debug: Debug = False,
) -> int:
    """Rebuild figures and page from a run folder alone; for an unfinished run, with the estimate so far."""
    from raresim import report as reports
    from raresim.shell import unfinished

    partial = unfinished.partial_of(run_dir)
    is_finished = (run_dir.is_dir() and run_dir != partial) or not partial.is_dir()
    page = reports.build(run_dir) if is_finished else None
    if page is None:
        folder = unfinished.so_far(partial)
        if folder is None:
            raise ConfigError(unfinished.described(partial))
        page = folder / "report.html"
        complain(f"{partial}: the run is not finished; the estimate so far:")
    printed = page.with_name("report.pdf") if pdf else None
    if printed is not None:
        from raresim.report import pdf as printing

        printing.write(page, printed)
    if form == "json":
        paths = {"report": str(page), "pdf": None if printed is None else str(printed)}
        emit("report", {**paths, "is_finished": is_finished})
    else:
        typer.echo(page)
        if printed is not None:
            typer.echo(printed)
    return ExitCode.OK


@app.command()
@exits
def compare(
    what: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN_DIR... | FILE [KEY=VALUE]...", help="Finished runs, or a config to run.", show_default=False
        ),
    ],
    methods: Methods = None,
    seeds: Seeds = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder for table, figure and runs. Default with FILE: runs/NAME/compare-TIME.", show_default=False
        ),
    ] = None,
    plot: Annotated[Path | None, typer.Option(help="File for the figure (PNG).", show_default=False)] = None,
    workers: Workers = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
    form: Format = "text",
    debug: Debug = False,
) -> int:
    """Compare finished runs of one problem, or methods on the problem of a config.

    With RUN_DIR... only these folders are read. With FILE each of --methods is run, by default all of them, and its
    folder kept; the method of the config keeps its options, all others have their defaults.
    """
    from raresim.report import comparison, overlay
    from raresim.report.run import read
    from raresim.run.result import refuse_existing
    from raresim.shell import terminal

    given = [latest(Path(text)) for text in what]
    if Path(what[0]).is_file():
        folders, failures, out = _run_methods(given[0], what[1:], methods, seeds, out, workers, quiet)
    elif methods or seeds or workers:
        raise ConfigError("compare: --methods, --seeds and --workers go with a config file, not with run folders")
    elif len(given) < 2:
        raise ConfigError(f"compare: needs at least two run folders, or one config file, got {what[0]}")
    else:
        folders, failures = given, []
        if out is not None:
            refuse_existing(out)
    runs = [read(folder) for folder in folders]
    seen = comparison.compare(runs, failures=failures)
    names = seen.names
    picture = overlay.draw(runs, names)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        seen.save(out)
        plot = plot or out / "compare.png"
    if plot is not None and not isinstance(picture, str):
        _write_output(plot, picture.png)
    if form == "json":
        drawn = None if plot is None or isinstance(picture, str) else str(plot)
        emit("compare", {"figure": drawn, "comparison": asdict(seen)})
    else:
        terminal.show_comparison(seen)
        if plot is not None:
            typer.echo(f"No figure: {picture}" if isinstance(picture, str) else f"Figure: {plot}")
    return max((failure.exit_code for failure in failures), default=ExitCode.OK)


@app.command()
@exits
def sweep(
    file: File,
    values: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[KEY=A,B,C]...", help="Several values of a key, or one value for all runs.", show_default=False
        ),
    ] = None,
    methods: Methods = None,
    seeds: Seeds = None,
    out: Annotated[
        Path | None, typer.Option(help="The folder of all runs. Default: runs/NAME/sweep-HASH.", show_default=False)
    ] = None,
    jobs: Annotated[
        int, typer.Option(help="Runs side by side, each in a process.", parser=counted(1), metavar="COUNT")
    ] = 1,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with this sweep; finished runs are kept.")] = False,
    workers: Workers = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
    form: Format = "text",
    debug: Debug = False,
) -> int:
    """Run a config with every combination of several values, and compare the runs.

    Only this verb splits values at commas. The section sweep of the config does the same: sweep: {seed: [1, 2, 3]}.
    """
    from raresim.config import sweeps
    from raresim.report import comparison
    from raresim.report import sweep as figure
    from raresim.run.result import default_folder
    from raresim.shell import progress, terminal
    from raresim.shell import sweep as runs

    kinds = [] if methods is None else [kind.strip() for kind in methods.split(",")]
    wanted = sweeps.read(file, _with_workers(values or [], workers), kinds, seeds)
    place = out or default_folder(wanted.name, f"sweep-{sweeps.digest(wanted)[:8]}")
    runs.begin(wanted, place, resume)

    def told(number: int, cell: sweeps.Cell, what: str) -> None:
        if not quiet:
            typer.echo(f"run {number} of {len(wanted.cells)}, {cell}: {what}", err=True)

    with _signals_interrupt():
        failures = runs.run_all(wanted, place, jobs, told, lambda: progress.progress(quiet))
    done = [cell for cell in wanted.cells if runs.is_done(cell, place)]
    if not done:
        message = "\n".join(f"{failure.run}: {failure.message}" for failure in failures)
        of_user = any(failure.exit_code == ExitCode.USER_CODE_OR_DATA for failure in failures)
        raise LossError(message) if of_user else ConfigError(message)
    seen = comparison.compare([place / cell.name for cell in done], [cell.short for cell in done], failures)
    seen.save(place)
    settings = [dict(setting.split("=", 1) for setting in cell.settings) for cell in done]
    _write_output(place / "sweep.png", figure.draw(seen, wanted.values, settings))
    if form == "json":
        emit("sweep", {"folder": str(place), "comparison": asdict(seen)})
    else:
        terminal.show_comparison(seen)
        typer.echo(f"Runs, compare.csv and sweep.png: {place}")
    return max((failure.exit_code for failure in failures), default=ExitCode.OK)


def _write_output(path: Path, content: bytes) -> None:
    from raresim.files import plain_files

    try:
        if path.is_symlink() or (path.exists() and not path.is_file()):
            raise OSError(None, "it is a link, a folder or a device")
        plain_files.replace(path, content)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise ConfigError(f"{path}: cannot be written: {getattr(error, 'strerror', error)}") from None


def _run_methods(
    file: Path,
    overrides: list[str],
    methods: str | None,
    seeds: int | None,
    out: Path | None,
    workers: int | None,
    quiet: bool,
) -> tuple[list[Path], list[Failure], Path]:
    """Run each method on the problem of ``file``; returns the run folders, the failures and the parent folder."""
    from raresim.config import load as configs
    from raresim.registry import lookup, members
    from raresim.report.comparison import Failure
    from raresim.run.result import default_folder, refuse_existing
    from raresim.shell import progress, unfinished

    changes = _with_workers(overrides, workers)
    stated = configs.load(file, changes)
    content = stated.resolved()
    chosen = list(members("method")) if methods in (None, "all") else [kind.strip() for kind in methods.split(",")]
    for kind in chosen:
        lookup("method", kind)
    leaf = f"compare-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    whole = nullcontext(out) if out else unfinished.new_folder(default_folder(stated.checked_name(), leaf))
    with whole as place:
        refuse_existing(place)
        folders, failures = [], []
        for kind in dict.fromkeys(chosen):
            own = [] if content["method"]["kind"] == kind else [f"method={{kind: {kind}}}"]
            for seed in range(content["seed"], content["seed"] + (seeds or 1)):
                folder = place / (kind if seeds is None else f"{kind}-{seed}")
                if not quiet:
                    typer.echo(f"{folder.name} ...", err=True)
                try:
                    config = configs.load(file, changes, settings=[*own, f"seed={seed}"])
                    with progress.progress(quiet) as report:
                        unfinished.compute(config, folder, report).save(folder)
                except (ConfigError, FieldError) as error:  # the method does not fit the problem
                    failures.append(Failure(kind, str(error)))
                    break
                except RaresimError as error:
                    failures.append(Failure(kind, str(error), error.exit_code))
                    break
                folders.append(folder)
        if not folders:
            message = "\n".join(f"{failure.run}: {failure.message}" for failure in failures)
            raise LossError(message) if any(failure.exit_code for failure in failures) else ConfigError(message)
        return folders, failures, place


@app.command()
@exits
def backtest(
    file: Annotated[Path, typer.Argument(help="CSV or Parquet: dates, realised losses, VaR, ES.", show_default=False)],
    level: Annotated[
        float,
        typer.Option(help="Level of the VaR, such as 0.99.", parser=decimal, metavar="NUMBER", show_default=False),
    ],
    es_level: Annotated[
        float | None,
        typer.Option(
            help="Level of the ES. Default: the level of the VaR.", parser=decimal, metavar="NUMBER", show_default=False
        ),
    ] = None,
    date: Annotated[
        str | None, typer.Option(help="Column of the dates. Default: found by its usual name.", show_default=False)
    ] = None,
    loss: Annotated[str | None, typer.Option(help="Column of the losses, likewise.", show_default=False)] = None,
    var: Annotated[str | None, typer.Option(help="Column of the VaR, likewise.", show_default=False)] = None,
    es: Annotated[str | None, typer.Option(help="Column of the ES, likewise.", show_default=False)] = None,
    es_var: Annotated[
        str | None, typer.Option(help="Column of the VaR at the level of the ES.", show_default=False)
    ] = None,
    pnl: Annotated[
        bool, typer.Option("--pnl", help="The realised column is profit and loss, with profits positive.")
    ] = False,
    alpha: Annotated[
        float, typer.Option(help="Significance level of each test.", parser=decimal, metavar="NUMBER")
    ] = 0.05,
    tail: Annotated[str, typer.Option(help="Tail law of right forecasts: auto, normal, t3, t4.5, ..., gpd.")] = "auto",
    seed: Annotated[
        int, typer.Option(help="Seed of the simulated critical values.", parser=counted(0), metavar="COUNT")
    ] = 1,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="File for the results (JSON).", show_default=False)
    ] = None,
    figure: Annotated[Path | None, typer.Option(help="File for the figure (PNG).", show_default=False)] = None,
    form: Format = "text",
    debug: Debug = False,
) -> int:
    """Test forecasts of VaR and ES against realised losses; exits with 0 for any verdict."""
    from raresim.backtests.backtest import backtest as judged
    from raresim.data import ForecastSource
    from raresim.shell import terminal

    outputs = [path for path in (json_file, figure) if path is not None]
    if len({path.resolve() for path in (file, *outputs)}) <= len(outputs):
        raise ConfigError("backtest: FILE, --json and --figure must be different files")
    source = ForecastSource(file=file, date=date, loss=loss, var=var, es=es, es_var=es_var, pnl=pnl)
    try:
        found = judged(source, level=level, es_level=es_level, alpha=alpha, tail=tail, seed=seed)
    except DataError as error:  # the file is the only input of this verb
        raise ConfigError(str(error)) from error
    if form == "json":
        emit("backtest", {"backtest": found.to_dict()})
    else:
        terminal.show_backtest(found)
    if json_file is not None:
        text = json.dumps(found.to_dict(), indent=1, allow_nan=False) + "\n"
        _write_output(json_file, text.encode())
        typer.echo(f"Results: {json_file}", err=form == "json")
    if figure is not None:
        from raresim.report import backtest as pictures

        _write_output(figure, pictures.draw(found).png)
        typer.echo(f"Figure: {figure}", err=form == "json")
    return ExitCode.OK


@app.command("list")
@exits
def list_kinds(
    family: Annotated[
        str | None, typer.Argument(help="One family only: marginals, copulas, methods, ...", show_default=False)
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="The members of all families.")] = False,
    form: Format = "text",
    debug: Debug = False,
) -> int:
    """List the families of what `kind` may be; with a family, its members."""
    from raresim.shell import catalogue, terminal

    found = catalogue.members_of(family)
    if form == "json":
        emit("list", {"families": catalogue.plain(found)})
    elif family is None and not every:
        terminal.show_table(["family", "kinds", "what it is"], catalogue.overview(found))
        typer.echo("raresim list FAMILY lists one of them, raresim list --all all.")
    elif set(found) == {"method"}:
        rows = [[kind, text] for _, kind, text in catalogue.rows(found)]
        terminal.show_table(["kind", "when to use it"], rows)
    else:
        terminal.show_table(["family", "kind", "what it is"], catalogue.rows(found))
    return ExitCode.OK


@app.command()
@exits
def schema(
    what: Annotated[
        Literal["config", "check"], typer.Argument(help="Of a config, or of what `check --format json` prints.")
    ] = "config",
    debug: Debug = False,
) -> int:
    """Print the JSON Schema of a config, for editors."""
    if what == "check":
        from importlib import resources

        typer.echo(resources.files("raresim.shell").joinpath("schemas", "check.json").read_text("utf-8"), nl=False)
        return ExitCode.OK
    from raresim.config.keys import json_schema

    typer.echo(json.dumps(json_schema(), indent=1))
    return ExitCode.OK


@app.command("init")
@exits
def init_recipe(
    recipe: Annotated[str | None, typer.Argument(help="Its name; without one, list all.", show_default=False)] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder; by default the recipe's name.", show_default=False)
    ] = None,
    debug: Debug = False,
) -> int:
    """Write a config to begin from, with the small files that it needs: it runs at once."""
    from raresim.shell import recipes, terminal

    if recipe is None:
        terminal.show_table(["recipe", "what it is for"], [[name, recipes.purpose(name)] for name in recipes.names()])
        return ExitCode.OK
    written = recipes.write(recipe, out or Path(recipe))
    typer.echo("\n".join(str(path) for path in written))
    typer.echo(f"Run it: raresim run {written[0]}")
    return ExitCode.OK


@app.command()
@exits
def doctor(form: Format = "text", debug: Debug = False) -> int:
    """Look at everything on this machine that a run may need; exits with 1 if no run is possible."""
    from raresim.shell import doctor as examination

    found = examination.findings()
    if form == "json":
        emit("doctor", {"findings": [each._asdict() for each in found]})
    else:
        for each in found:
            typer.echo(f"{each.status:<6}{each.what:<15}{each.text}")
    return ExitCode.INTERNAL if any(each.status == "fail" for each in found) else ExitCode.OK


@app.command()
@exits
def warmup(quiet: Quiet = False, form: Format = "text", debug: Debug = False) -> int:
    """Compile all kernels and keep them on disk, so that no later run waits for a compiler."""
    from raresim.shell import warmup as kernels

    found = kernels.warm(lambda name: None if quiet else complain(f"{name} ..."))
    if form == "json":
        emit("warmup", asdict(found))
        return ExitCode.OK
    many = len(found.compiled)
    typer.echo(f"compiled {many} kernel{'s' * (many != 1)}, {len(found.kept)} were kept already; {found.seconds:.0f} s")
    if found.missing:
        typer.echo(f"compiled when they are first needed: {', '.join(found.missing)}")
    typer.echo(f"kept in {found.folder}")
    return ExitCode.OK


@app.command("explain")
@exits
def explain_term(
    words: Annotated[
        list[str] | None, typer.Argument(metavar="TERM", help="A word, a column, a key.", show_default=False)
    ] = None,
    form: Format = "text",
    debug: Debug = False,
) -> int:
    """Explain a word of the shell's tables, result.json or the report, or a key of a config; without any, list all."""
    from raresim.config import keys
    from raresim.report import glossary

    if not words:
        if form == "json":
            emit("explain", {"terms": [asdict(term) for term in glossary.TERMS]})
        else:
            typer.echo(glossary.listing())
        return ExitCode.OK
    text = " ".join(words)
    term, key = glossary.find(text), keys.explain(text) or keys.explain("_".join(text.replace("-", " ").split()))
    if term is None and not key:
        glossary.explain(text, keys.names())
    if form == "json":
        emit("explain", {"term": None if term is None else asdict(term), "key": key or None})
        return ExitCode.OK
    shown = [] if term is None else [glossary.page(term)]
    if key:
        shown += [f"In a config:\n\n{key}"]
    typer.echo("\n\n".join(shown))
    return ExitCode.OK


def main() -> None:
    """Entry point of the ``raresim`` command."""
    gc.set_threshold(GARBAGE)
    app()


if __name__ == "__main__":
    main()

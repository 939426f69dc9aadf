"""Verbs that hold runs, configs or days against each other."""

from __future__ import annotations

import json
from contextlib import nullcontext
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from raresim.errors import ConfigError, DataError, ExitCode, FieldError, LossError, RaresimError
from raresim.files.run_folders import latest
from raresim.shell.common import (
    Debug,
    File,
    Format,
    Methods,
    Quiet,
    Seeds,
    Verbose,
    Workers,
    counted,
    decimal,
    emit,
    exits,
    signals_interrupt,
    with_workers,
    write_output,
)

if TYPE_CHECKING:
    from raresim.report.comparison import Failure

app = typer.Typer()


@app.command(short_help="Compare finished runs, or methods on one problem.")
@exits
def compare(
    what: Annotated[
        list[str],
        typer.Argument(metavar="RUN_DIR|FILE|KEY=VALUE", help="Finished runs, or a config to run.", show_default=False),
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
        write_output(plot, picture.png)
    if form == "json":
        drawn = None if plot is None or isinstance(picture, str) else str(plot)
        emit("compare", {"figure": drawn, "comparison": asdict(seen)})
    else:
        terminal.show_comparison(seen)
        if plot is not None:
            typer.echo(f"No figure: {picture}" if isinstance(picture, str) else f"Figure: {plot}")
    return max((failure.exit_code for failure in failures), default=ExitCode.OK)


@app.command(short_help="Run a config with every combination of several values.")
@exits
def sweep(
    file: File,
    values: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="KEY=A,B,C", help="Several values of a key, or one value for all runs.", show_default=False
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
    wanted = sweeps.read(file, with_workers(values or [], workers), kinds, seeds)
    place = out or default_folder(wanted.name, f"sweep-{sweeps.digest(wanted)[:8]}")
    runs.begin(wanted, place, resume)

    def told(number: int, cell: sweeps.Cell, what: str) -> None:
        if not quiet:
            typer.echo(f"run {number} of {len(wanted.cells)}, {cell}: {what}", err=True)

    with signals_interrupt():
        failures = runs.run_all(wanted, place, jobs, told, lambda: progress.progress(quiet))
    done = [cell for cell in wanted.cells if runs.is_done(cell, place)]
    if not done:
        message = "\n".join(f"{failure.run}: {failure.message}" for failure in failures)
        of_user = any(failure.exit_code == ExitCode.USER_CODE_OR_DATA for failure in failures)
        raise LossError(message) if of_user else ConfigError(message)
    seen = comparison.compare([place / cell.name for cell in done], [cell.short for cell in done], failures)
    seen.save(place)
    settings = [dict(setting.split("=", 1) for setting in cell.settings) for cell in done]
    write_output(place / "sweep.png", figure.draw(seen, wanted.values, settings))
    if form == "json":
        emit("sweep", {"folder": str(place), "comparison": asdict(seen)})
    else:
        terminal.show_comparison(seen)
        typer.echo(f"Runs, compare.csv and sweep.png: {place}")
    return max((failure.exit_code for failure in failures), default=ExitCode.OK)


@app.command(short_help="Test forecasts of VaR and ES against realised losses.")
@exits
def backtest(
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="CSV or Parquet: dates, realised losses, VaR, ES.", show_default=False),
    ],
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
        write_output(json_file, text.encode())
        typer.echo(f"Results: {json_file}", err=form == "json")
    if figure is not None:
        from raresim.report import backtest as pictures

        write_output(figure, pictures.draw(found).png)
        typer.echo(f"Figure: {figure}", err=form == "json")
    return ExitCode.OK


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

    changes = with_workers(overrides, workers)
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

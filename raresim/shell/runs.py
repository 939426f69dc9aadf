"""``raresim runs``: the finished and unfinished runs below a folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from raresim.errors import ConfigError, ExitCode
from raresim.files.run_folders import latest, mend_latest
from raresim.shell.common import Debug, Format, complain, counted, emit, exits

if TYPE_CHECKING:
    from raresim.files.run_index import Entry

MOST = 30
"""Runs that a list shows; --all shows all."""

app = typer.Typer(
    name="runs",
    help="List, show, find and remove the runs below runs/.",
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Root = Annotated[Path, typer.Option("--root", metavar="DIR", help="The folder whose runs are meant.")]
All = Annotated[bool, typer.Option("--all", help=f"Show all runs, not {MOST}.")]


@app.callback(invoke_without_command=True)
def _top(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        list_runs()


@app.command("list")
@exits
def list_runs(
    name: Annotated[str | None, typer.Argument(help="Runs of this name only.", show_default=False)] = None,
    root: Root = Path("runs"),
    every: All = False,
    form: Format = "text",
    debug: Debug = False,
) -> int:
    """List the runs, the newest first."""
    from raresim.files.run_index import indexed

    entries = indexed(root)
    if name is not None:
        entries = [entry for entry in entries if entry.name == name]
    return _listed("runs list", entries, root, every, form)


@app.command("find")
@exits
def find_runs(
    wanted: Annotated[
        list[str],
        typer.Argument(
            metavar="KEY=VALUE",
            help="Keys of the config, or name, method, seed, status, verdict, date, seconds, evaluations.",
            show_default=False,
        ),
    ],
    root: Root = Path("runs"),
    every: All = False,
    form: Format = "text",
    debug: Debug = False,
) -> int:
    """Find runs by keys of their configs, name, verdict or date.

    All conditions must hold: name=port* verdict=trusted date=2026-11 'stop.relative_error<=0.01' dof!=4
    """
    from raresim.files.run_index import indexed
    from raresim.shell import finding

    entries = finding.matching(indexed(root), finding.conditions(wanted))
    return _listed("runs find", entries, root, every, form)


@app.command("show", short_help="Show a run in brief: its numbers, its cost and its origin.")
@exits
def show_run(
    run: Annotated[
        str, typer.Argument(metavar="RUN", help="A run folder, or the beginning of its name.", show_default=False)
    ],
    root: Root = Path("runs"),
    form: Format = "text",
    debug: Debug = False,
) -> int:
    """Show a run in brief: its numbers, its cost, and where it comes from."""
    from raresim.record.folder import fields_of
    from raresim.record.outcome import Outcome
    from raresim.report import brief
    from raresim.shell import unfinished

    folder = _meant(run, root)
    if unfinished.partial_of(folder) == folder and folder.is_dir():
        if form == "json":
            emit("runs show", {"folder": str(folder), "status": "unfinished"})
        else:
            typer.echo(unfinished.described(folder))
        return ExitCode.OK
    found = Outcome(**fields_of(folder))
    if form == "json":
        emit("runs show", {"folder": str(folder), "manifest": found.manifest, "result": found.to_dict()})
        return ExitCode.OK
    typer.echo(brief.text(found))
    facts = found.manifest
    for label, key in (("started", "started"), ("raresim", "raresim"), ("config", "config_sha256")):
        typer.echo(f"  {label:<8}{facts.get(key, '-')}")
    typer.echo(f"  {'folder':<8}{folder}")
    return ExitCode.OK


@app.command("prune")
@exits
def prune_runs(
    name: Annotated[str | None, typer.Argument(help="Runs of this name only.", show_default=False)] = None,
    keep: Annotated[
        int | None,
        typer.Option(
            help="Finished runs of each name that stay, the newest.",
            parser=counted(0),
            metavar="COUNT",
            show_default=False,
        ),
    ] = None,
    older_than: Annotated[
        str | None, typer.Option(metavar="AGE", help="Only runs that are older: 12h, 30d, 4w.", show_default=False)
    ] = None,
    incomplete: Annotated[bool, typer.Option("--incomplete", help="Unfinished runs.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Remove them; without it, they are only named.")] = False,
    root: Root = Path("runs"),
    form: Format = "text",
    debug: Debug = False,
) -> int:
    """Name the runs that may go, and with --yes remove them.

    A run goes if all the options that are given allow it. Folders that are not a run's, or that hold files which no
    run wrote, stay, and so do the runs of sweeps and comparisons.
    """
    from raresim.files.run_index import indexed
    from raresim.shell import pruning

    if keep is None and older_than is None and not incomplete:
        raise ConfigError("runs prune: give --keep COUNT, --older-than AGE or --incomplete, to say which runs may go")
    older = None if older_than is None else pruning.age(older_than)
    entries = [entry for entry in indexed(root) if name in (None, entry.name)]
    doomed = pruning.chosen(entries, root, keep, older, incomplete)
    done = list(pruning.remove(doomed)) if yes else doomed
    for parent in {each.folder.parent for each in doomed} if yes else ():
        mend_latest(parent)
    gone, stay = [each for each in done if not each.objection], [each for each in done if each.objection]
    if form == "json":
        key = "removed" if yes else "would_remove"
        stays = [{"folder": str(each.folder), "reason": each.objection} for each in stay]
        emit("runs prune", {key: [str(each.folder) for each in gone], "stay": stays})
        return ExitCode.OK
    for each in gone:
        typer.echo(f"{'removed' if yes else 'would remove'} {each.folder}")
    for each in stay:
        complain(f"{each.folder}: stays: {each.objection}")
    advice = "" if yes or not gone else "; --yes removes them"
    typer.echo(f"{len(gone)} run{'s' * (len(gone) != 1)}{advice}")
    return ExitCode.OK


def _meant(run: str, root: Path) -> Path:
    """The folder that ``run`` names: a path, or the beginning of the last part of one below ``root``."""
    from raresim.files.run_index import indexed

    path = latest(Path(run))
    if path.is_dir() or not root.is_dir():
        return path
    found = [root / entry.path for entry in indexed(root) if entry.path.rpartition("/")[2].startswith(run)]
    if len(found) > 1:
        raise ConfigError(f"{run}: {len(found)} runs begin so, {found[0].name} and {found[1].name} are two of them")
    return found[0] if found else path


def _listed(verb: str, entries: Sequence[Entry], root: Path, every: bool, form: str) -> int:
    """Print the runs as a table, or as JSON with their numbers and configs."""
    if form == "json":
        emit(verb, {"root": str(root), "runs": [_plain(entry) for entry in entries]})
        return ExitCode.OK
    shown = entries if every else entries[:MOST]
    if not shown:
        typer.echo(f"{root}: no such runs")
        return ExitCode.OK
    from raresim.shell import terminal

    terminal.show_table(["run", "verdict\nmethod", "first number\nestimate"], [_cells(entry) for entry in shown])
    if left := len(entries) - len(shown):
        typer.echo(f"and {left} more; --all shows them")
    return ExitCode.OK


def _plain(entry: Entry) -> dict[str, Any]:
    keys = ("path", "name", "method", "seed", "status", "verdict", "started", "seconds", "evaluations")
    return {key: getattr(entry, key) for key in keys} | {"estimates": entry.numbers, "config": entry.settings}


def _cells(entry: Entry) -> list[str]:
    from raresim.report import tables

    verdict = (entry.verdict or entry.status).replace("_", " ")
    if not entry.numbers:
        return [entry.path, f"{verdict}\n{entry.method}", ""]
    first, *others = entry.numbers
    more = f", and {len(others)} more" if others else ""
    value = tables.value(first["value"], *(first["interval"] or (None, None)))
    return [entry.path, f"{verdict}\n{entry.method}", f"{first['label']}\n{value}{more}"]

"""Verbs that run nothing: what a config, a run folder, a word or this machine says."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from raresim.errors import ConfigError, ExitCode, RaresimError
from raresim.shell.common import (
    Debug,
    Format,
    Quiet,
    RunFolder,
    complain,
    emit,
    exits,
    folded,
)

app = typer.Typer()


@app.command()
@exits
def check(
    files: Annotated[list[Path], typer.Argument(metavar="FILE", help="Experiment configs.", show_default=False)],
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
            _refuse_change(file)
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
                typer.echo(folded(f"  {line}"))
            if show and "resolved" in found["facts"]:
                typer.echo(found["facts"]["resolved"], nl=False)
    if form == "json":
        emit("check", {"exit_code": int(code), "files": results})
    return code


def _refuse_change(file: Path) -> None:
    """Refuse ``key=value``, which goes with ``run``."""
    if "=" in str(file) and not file.exists():
        raise ConfigError(f"{file}: no such file; a change goes with a run: `raresim run FILE {file}`")


@app.command(short_help="Rebuild figures and page from a run folder alone.")
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


@app.command("list", short_help="List the families of what `kind` may be, and their members.")
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


@app.command("init", short_help="Write a config to begin from, with its files.")
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


@app.command("explain", short_help="Explain a word of a table or report, or a key of a config.")
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


@app.command(short_help="Look at everything on this machine that a run may need.")
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


@app.command(short_help="Compile all kernels and keep them on disk.")
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

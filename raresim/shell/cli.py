"""The shell command, put together from its verbs, which print and give exit codes and do nothing else."""

from __future__ import annotations

import gc
from typing import Annotated

import typer

from raresim import __version__
from raresim.shell import comparing, running, runs, telling
from raresim.shell.common import EXIT_CODES

GARBAGE = 100_000
"""New objects after which Python looks for garbage: what is imported stays, and looking through it takes a tenth of the
time to start."""

app = typer.Typer(
    name="raresim",
    help="Estimate the probability of rare events: an interval that holds, a verdict that says when it does not.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for verbs in (running, telling, comparing, runs):
    app.add_typer(verbs.app)


@app.callback(invoke_without_command=True, epilog=EXIT_CODES)
def _top(
    version: Annotated[bool, typer.Option("--version", help="Print the version.", is_eager=True)] = False,
) -> None:
    if version:
        typer.echo(__version__)
        raise typer.Exit


def main() -> None:
    """Entry point of the ``raresim`` command."""
    gc.set_threshold(GARBAGE)
    app()


if __name__ == "__main__":
    main()

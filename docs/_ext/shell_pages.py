"""The reference of the shell: what ``raresim VERB --help`` says of each verb, as a page."""

from collections.abc import Iterator
from typing import Any

import typer
from config_pages import cell

from raresim.errors import ExitCode
from raresim.shell.cli import app

MEANING = {
    ExitCode.OK: "finished; the verdict is trusted or caution",
    ExitCode.INTERNAL: "an error of raresim itself, or of the system (a full disk)",
    ExitCode.CONFIG: "a mistake in the command or in the config",
    ExitCode.USER_CODE_OR_DATA: "an error in the loss function or in the data",
    ExitCode.WITHIN_ERROR: "`verify`: the same within errors, on another machine or with other versions",
    ExitCode.DIFFERENT: "`verify`: different numbers",
    ExitCode.CAUTION: "the verdict is caution, and `--require trusted` was given",
    ExitCode.UNTRUSTED: "the verdict is untrusted",
    ExitCode.BOUND_ONLY: "no event was seen: there is only an upper bound",
    ExitCode.INTERRUPTED: "ended by SIGINT (Ctrl-C), or because a cluster was lost; the state is saved",
    ExitCode.TERMINATED: "ended by SIGTERM; the state is saved",
}


def page() -> str:
    """A section for each verb."""
    top: Any = typer.main.get_command(app)  # of the copy of click that typer has, or of click
    lines = ["# Shell reference", "", cell(top.help or ""), ""]
    lines += [
        "`raresim VERB --help` prints the same. [Runs and their folders](../guide/runs.md) explains the verbs.",
        "",
    ]
    for name, command in top.commands.items():
        lines += [f"## {name}", "", *section(name, command), ""]
    return "\n".join([*lines, "## Exit codes", "", *codes()])


def section(name: str, command: Any) -> Iterator[str]:
    """The call of a verb, what it does, and its arguments and options."""
    context = command.make_context(name, [], resilient_parsing=True)
    usage = " ".join(command.collect_usage_pieces(context))
    yield from ["```text", f"raresim {name} {usage}", "```", "", cell(command.help or ""), ""]
    yield from ["| argument or option | meaning |", "|---|---|"]
    for given in command.get_params(context):
        called, meaning = given.get_help_record(context)
        yield f"| `{called}` | {cell(meaning)} |"


def codes() -> Iterator[str]:
    """The exit codes."""
    yield from ["| code | meaning |", "|---|---|"]
    yield from (f"| {code.value} | {MEANING[code]} |" for code in ExitCode)

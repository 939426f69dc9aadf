"""Typer's runner of commands, with commands that are built once: to build them takes longer than most verbs."""

import functools

from typer import testing

testing._get_command = functools.cache(testing._get_command)

CliRunner = testing.CliRunner

__all__ = ["CliRunner"]

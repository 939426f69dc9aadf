"""Recipes to begin from: a config with the small files that it needs, so that it runs at once.

To add one: a folder of its name in ``recipe_files``, with a config of that name, whose first line says what it is for,
and its files.
"""

from __future__ import annotations

from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from raresim.arguments.synonyms import unknown
from raresim.errors import ConfigError


def _folder() -> Traversable:
    return files("raresim.shell") / "recipe_files"


def names() -> list[str]:
    """The recipes."""
    return sorted(recipe.name for recipe in _folder().iterdir() if recipe.is_dir())


def purpose(name: str) -> str:
    """What recipe ``name`` is for: the first line of its config."""
    config = _folder() / name / f"{name}.yaml"
    return config.read_text(encoding="utf-8").splitlines()[0].removeprefix("# ")


def write(name: str, folder: Path) -> list[Path]:
    """Write the files of recipe ``name`` into ``folder``, which is made where it is missing; the config comes first.

    Raises
    ------
    ConfigError
        When there is no such recipe, or one of its files is there already: nothing is then written.
    """
    if name not in names():
        raise ConfigError(unknown("recipe", name, names()))
    source = _folder() / name
    content = {item.name: item.read_bytes() for item in source.iterdir() if item.is_file()}
    order = sorted(content, key=lambda each: (each != f"{name}.yaml", each))
    for each in order:
        if (folder / each).exists():
            raise ConfigError(f"{folder / each}: exists; give another folder with --out")
    folder.mkdir(parents=True, exist_ok=True)
    for each in order:
        (folder / each).write_bytes(content[each])
    return [folder / each for each in order]

"""The pages of the documentation: how long the README is, where links go, and that nothing is missing."""

import re
import sys

import pytest

import raresim
from raresim.errors import ExitCode
from raresim.registry import FAMILIES, members
from tests.docs.blocks import PAGES, name_of
from tests.helpers import ROOT

sys.path[:0] = [str(ROOT / "docs" / "_ext"), str(ROOT / "docs" / "gallery")]

import api_pages  # noqa: E402  # found by the line above
import config_pages  # noqa: E402  # found by the line above
import draw  # noqa: E402  # found by the line above
import gallery_pages  # noqa: E402  # found by the line above
import shell_pages  # noqa: E402  # found by the line above

LINK = re.compile(r"\]\((?!https?:|#)([^)\s#]+)(?:#[^)\s]*)?\)")
INCLUDE = re.compile(r"^```\{include\} (\S+)$", re.MULTILINE)


def test_readme_is_short():
    lines = (ROOT / "README.md").read_text("utf-8").splitlines()
    assert len(lines) <= 150
    assert [line for line in lines if len(line) > 100] == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_and_included_files_are_there(page):
    text = page.read_text("utf-8")
    targets = [t for t in LINK.findall(text) + INCLUDE.findall(text) if "/generated/" not in t]
    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_every_kind_is_in_the_reference_of_keys():
    """Laws that only a proposal may be stand under *proposal*."""
    found = {(section.part, section.kind) for section in config_pages.sections()}
    named = {kind for _, kind in found}
    for family in FAMILIES:
        assert set(members(family)) <= named, family
    text = "\n".join(text for _, text in config_pages.pages())
    assert all(f"## {kind}\n" in text for kind in named if kind)


def test_keys_of_a_part_are_its_own():
    """The keys are cut out of one long list: a shift by one would give each part its neighbour's."""
    parts = {(section.part, section.kind): {key.name for key in section.keys} for section in config_pages.sections()}
    assert {"weights", "positions", "revalue"} <= parts["loss", "linear"]
    assert {"relative_error", "max_evaluations"} <= parts["stop", ""]
    assert {"start", "end", "kept"} == parts["corridor", ""]
    assert all(key.part.startswith(s.part) for s in config_pages.sections() for key in s.keys)


def test_defaults_are_those_of_the_classes():
    stop = next(section for section in config_pages.sections() if section.part == "stop")
    assert {key.name: key.default for key in stop.keys}["relative_error"] == f"{raresim.Stop().relative_error:g}"
    (seed,) = [key for key in next(config_pages.sections()).keys if key.name == "seed"]
    assert seed.default == "required"


def test_every_public_name_is_in_the_reference_of_python():
    text = "\n".join(text for _, text in api_pages.pages())
    assert [name for name in raresim.__all__ if f":: raresim.{name}\n" not in text] == []


def test_every_verb_option_and_exit_code_is_in_the_reference_of_the_shell():
    text = shell_pages.page()
    assert {"run", "check", "compare", "sweep", "backtest"} <= set(re.findall(r"^## (\w+)$", text, re.M))
    assert "--resume" in text.split("## run")[1].split("## ")[0]
    assert set(shell_pages.MEANING) == set(ExitCode)


def test_every_config_is_in_the_gallery():
    text = gallery_pages.page()
    assert [name for name in draw.configs() if f"\n{name}\n" not in text] == []


def test_pictures_are_of_the_configs_as_they_are():
    """`make gallery` draws those of new and changed configs; one without a picture is shown without."""
    found = draw.configs()
    pictured = sorted(path.stem for path in draw.PICTURES.glob("*.json"))
    assert set(pictured) <= set(found)
    assert [name for name in pictured if draw.made(name)["config"] != draw.digest(found[name])] == []
    assert [name for name in pictured if not (draw.PICTURES / f"{name}.svg").is_file()] == []
    assert "portfolio-measures" in pictured

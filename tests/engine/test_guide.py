"""The guide to clusters: its configs are read and its Python is run, where the library and a machine are enough."""

import re

import pytest

import raresim
from raresim import load
from tests.dying import total
from tests.helpers import ROOT

GUIDE = (ROOT / "docs" / "clusters.md").read_text("utf-8")
BLOCKS = re.findall(r"^```(python|yaml)\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)
CONFIG = """
seed: 1
inputs: {kind: normal, mean: [0], cov: [[1]]}
loss: {kind: linear, weights: [1]}
measures: [{kind: probability, above: 2.0}]
"""


def recipe(word):
    (found,) = [text for language, text in BLOCKS if language == "python" and word in text]
    return found


def run(text):
    """What the recipe makes; ``beam`` is a loss of a module that workers have."""
    names = {"raresim": raresim, "beam": total}
    exec(compile(text, "clusters.md", "exec"), names)
    return names


@pytest.mark.parametrize("text", [text for language, text in BLOCKS if language == "python"])
def test_every_recipe_is_python(text):
    compile(text, "clusters.md", "exec")


@pytest.mark.parametrize(
    "line", [line for language, text in BLOCKS if language == "yaml" for line in text.splitlines()]
)
def test_configs_of_the_guide_are_read(line, tmp_path):
    path = tmp_path / "guide.yaml"
    path.write_text(CONFIG + line)
    assert load(path).execution().executor == "dask"


@pytest.mark.slow
@pytest.mark.parametrize("library", ["loky", "distributed"])
def test_recipes_that_one_machine_can_run(library):
    pytest.importorskip(library)
    names = run(recipe(f"from {library} import"))
    here = raresim.estimate(3, total, raresim.Probability(above=3.0), seed=1)
    assert names["result"].estimates == here.estimates


@pytest.mark.slow
def test_adapter_for_ray_gives_the_same_digits_with_a_stand_in_for_ray(monkeypatch):
    """Ray itself is not installed: what the adapter calls of it is."""

    class Remote:
        def __init__(self, function):
            self.remote = lambda *arguments: (function, arguments)

    stand_in = type("ray", (), {"remote": Remote, "get": staticmethod(lambda call: call[0](*call[1]))})
    monkeypatch.setitem(__import__("sys").modules, "ray", stand_in)
    found = run(recipe("class RayPool"))["result"]
    assert found.estimates == raresim.estimate(3, total, raresim.Probability(above=3.0), seed=1).estimates

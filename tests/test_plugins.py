"""Members of other packages: found by their metadata, imported by a run alone, and told apart where two have a kind."""

import importlib
import json
import re
import sys
from pathlib import Path

import pytest

from raresim import registry
from raresim.config import schema
from raresim.errors import ConfigError, FieldError
from raresim.run.provenance import environment
from tests.shell.test_sweep import call

DOCS = Path(__file__).parents[1] / "docs" / "guide" / "plugins.md"

CONFIG = """\
name: case
seed: 5
inputs: {{kind: normal, mean: [0, 0], std: 1}}
loss: {{kind: {kind}}}
measures: [{{kind: probability, above: 4.0}}]
method: {{kind: crude}}
stop: {{relative_error: null, max_evaluations: 3000}}
"""


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A folder on the path for packages; what is imported from there is forgotten afterwards."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    for family in registry.FAMILIES:  # what is imported later would be missing in what is put back
        registry.members(family)
    monkeypatch.setattr(registry, "_members", {family: dict(kinds) for family, kinds in registry._members.items()})
    monkeypatch.setattr(registry, "_adopted", {})
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if getattr(sys.modules[name], "__file__", None) and str(tmp_path) in str(sys.modules[name].__file__):
            del sys.modules[name]
    schema.experiment_model.cache_clear()


def install(site, package="desk-losses", version="1.2", entry="loss.worst = desk_losses:Worst", text=None):
    """A package as pip leaves it: modules, and a folder of metadata. Its code is that of the documentation."""
    module = package.replace("-", "_")
    (site / module).mkdir()
    code = re.search(r"```py\n(.*?)```", DOCS.read_text(), re.S)[1] if text is None else text
    (site / module / "__init__.py").write_text(code)
    info = site / f"{module}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n")
    (info / "entry_points.txt").write_text(f"[raresim.members]\n{entry}\n")
    importlib.invalidate_caches()


def write(site, kind="worst, scale: 2"):
    path = site / "case.yaml"
    path.write_text(CONFIG.format(kind=kind))
    return path


def test_a_run_imports_the_member_and_stores_its_version(site):
    install(site)
    code, stdout, stderr = call("run", write(site), "--out", "out", "-q")
    assert code in {0, 10, 20}, stderr
    assert "P(loss >= 4)" in stdout
    value = json.loads(Path("out/result.json").read_text())["estimates"][0]["value"]
    assert value == pytest.approx(0.045, abs=0.02)  # two normals beyond 2
    assert json.loads(Path("out/manifest.json").read_text())["packages"]["desk-losses"] == "1.2"
    assert registry.lookup("loss", "worst").__name__ == "Worst"
    code, _, stderr = call("run", write(site, "worst, scale: -1"), "--out", "two", "-q")
    assert code == 2
    assert stderr.startswith(f"{site}/case.yaml:4:")
    assert "loss.scale: must be positive, got -1" in stderr
    code, _, stderr = call("check", write(site, "worst, scal: 1"))
    assert "unknown key 'scal'; did you mean 'scale'?" in stderr  # now that it is known


def test_check_and_list_import_nothing(site):
    install(site, text="raise RuntimeError('imported')")
    code, stdout, stderr = call("check", write(site))
    assert code == 0, stderr
    assert "plug-in: loss kind worst is of the package desk-losses 1.2; only run checks its keys" in stdout
    told = json.loads(call("check", site / "case.yaml", "--format", "json")[1])
    assert told["files"][0]["facts"]["plugins"] == [
        {"family": "loss", "kind": "worst", "package": "desk-losses", "version": "1.2"}
    ]
    assert "Of the package desk-losses 1.2." in call("list", "losses")[1]
    text = write(site).read_text()
    (site / "case.yaml").write_text(text.replace("seed: 5", "sed: 5"))
    assert "unknown key 'sed'; did you mean 'seed'?" in call("check", site / "case.yaml")[2]
    assert "desk_losses" not in sys.modules
    code, _, stderr = call("run", write(site), "-q")
    assert code == 2
    message = "loss kind 'worst' of the package desk-losses 1.2: cannot be imported: RuntimeError: imported"
    assert message in stderr


def test_metadata_are_not_read_where_every_kind_is_known(site, monkeypatch):
    install(site)
    monkeypatch.setattr(registry.metadata, "entry_points", None)
    assert call("check", write(site, "linear, weights: equal"))[0] == 0
    with pytest.raises(TypeError):
        registry.lookup("loss", "worst")


def test_a_kind_of_two_packages_is_an_error_that_names_both(site):
    install(site)
    install(site, "other-losses", "0.3")
    code, _, stderr = call("check", write(site))
    assert code == 2
    assert "loss kind 'worst': two packages have it, desk-losses 1.2 and other-losses 0.3: remove one" in stderr
    with pytest.raises(ConfigError, match="two packages have it"):
        registry.lookup("loss", "worst")


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("worst = desk_losses:Worst", "entry point 'worst' of the group raresim.members must be called FAMILY.KIND"),
        ("lost.worst = desk_losses:Worst", "with one of the families inputs, distribution, marginal, "),
        ("loss.worst = desk_losses:Best", "cannot be imported: AttributeError: "),
        ("loss.worst = desk_losses:raresim", "desk_losses:raresim has the kind None"),
        ("loss.worst = nothing:Worst", "cannot be imported: ModuleNotFoundError: No module named 'nothing'"),
    ],
)
def test_a_wrong_entry_point_is_an_error_that_names_the_package(entry, message, site):
    install(site, entry=entry)
    code, _, stderr = call("run", write(site), "-q")
    assert code == 2
    assert "desk-losses 1.2" in stderr
    assert message in stderr


def test_without_plugins_nothing_changes(site):
    with pytest.raises(FieldError, match="unknown loss kind 'worst'"):
        registry.lookup("loss", "worst")
    assert "unknown kind 'worst'" in call("check", write(site))[2]
    assert "desk-losses" not in environment()["packages"]

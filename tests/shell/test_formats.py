"""Output for programs: one JSON object with a version from every verb that prints facts, and annotations for GitHub."""

import json
from importlib import resources
from pathlib import Path
from types import SimpleNamespace

import pytest
from jsonschema import Draft202012Validator

from raresim.config.keys import json_schema
from raresim.files import yaml_tree
from raresim.registry import FAMILIES, members
from raresim.shell import checking, cli, common
from tests.invoking import CliRunner
from tests.shell.test_sweep import call, config  # noqa: F401  # a fixture

CONFIGS = Path(__file__).parents[2] / "configs"

TWELVE_KEYS = """\
name: twelve
seed: 1
inputs: {kind: normal, mean: [0, 0], std: 1}
loss: {kind: python, function: "losses.py:first"}
measures: [{kind: probability, above: 2.0}]
method: {kind: crude}
stop: {relative_error: null, max_evaluations: 3000, seconds: 5}
audit: full
output: {draws: 1e3}
execution: {executor: serial}
"""


def machine(verb, *arguments):
    """What a verb prints with ``--format json``: its keys below the head, which is looked at here."""
    found, stdout, stderr = call(*verb.split(), *arguments, "--format", "json")
    assert found == 0, stderr
    told = json.loads(stdout)
    assert (told.pop("schema_version"), told.pop("verb"), told.pop("raresim") != "") == (1, verb, True)
    return told


@pytest.fixture(scope="module")
def check_schema():
    schema = json.loads(resources.files("raresim.shell").joinpath("schemas", "check.json").read_text())
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def test_check_of_a_config_fits_its_schema(config, check_schema, monkeypatch):  # noqa: F811
    monkeypatch.chdir(config.parent)
    config.write_text(TWELVE_KEYS)
    Path("wrong.yaml").write_text("seed: 1\ninputs: {kind: normall}\nloss: {kind: linear}\n")
    told = json.loads(call("check", config, "--format", "json")[1])
    check_schema.validate(told)
    facts = told["files"][0]["facts"]
    assert (facts["inputs"]["dim"], facts["stop"]["seconds"], facts["method"]["kind"]) == (2, 5, "crude")
    assert facts["memory"]["bytes"] > 1e6
    assert facts["output"] == {"draws": 1000, "file": "draws.csv"}
    assert "  output: at most 1,000 weighted draws of the event, in draws.csv" in call("check", config)[1].splitlines()
    code, stdout, stderr = call("check", config, "wrong.yaml", "missing.yaml", "--format", "json")
    assert (code, stderr) == (2, "")
    told = json.loads(stdout)
    check_schema.validate(told)
    assert [each["ok"] for each in told["files"]] == [True, False, False]
    place = {"file": "wrong.yaml", "line": 2, "column": 10, "key": "inputs.kind"}
    assert place.items() <= next(e for e in told["files"][1]["errors"] if e["key"] == "inputs.kind").items()
    for broken in ({"exit_code": 9}, {"files": []}, {"files": [told["files"][1] | {"ok": True}]}):
        assert not check_schema.is_valid(told | broken)
    assert json.loads(call("schema", "check")[1]) == check_schema.schema


def test_text_and_json_of_check_say_the_same(config):  # noqa: F811
    facts = machine("check", config)["files"][0]["facts"]
    assert call("check", config)[1].splitlines()[1:] == [f"  {line}" for line in checking.lines(facts)]


def test_long_lines_break_between_words_on_a_terminal_only(monkeypatch):
    line = "  memory: " + ", ".join(f"{k} MiB blocks" for k in range(12))
    assert common.folded(line) == line
    monkeypatch.setattr("sys.stdout", SimpleNamespace(isatty=lambda: True))
    monkeypatch.setenv("COLUMNS", "60")
    first, *others = common.folded(line).split("\n")
    assert first.startswith("  memory: 0 MiB")
    assert others
    assert all(len(text) <= 60 for text in (first, *others))
    assert all(text.startswith("    ") for text in others)
    assert " ".join([first.strip(), *map(str.strip, others)]) == line.strip()


def test_check_says_where_changes_go(config):  # noqa: F811
    code, stdout, stderr = call("check", config, "seed=7")
    assert (code, stdout.count(": ok")) == (2, 1)
    assert stderr == "seed=7: no such file; a change goes with a run: `raresim run FILE seed=7`\n"


def test_mistakes_are_annotations(config, monkeypatch):  # noqa: F811
    monkeypatch.chdir(config.parent)
    Path("a,b.yaml").write_text("seed: 1\ninputs: {kind: normall}\nloss: {kind: '50%'}\n")
    code, stdout, stderr = call("check", "a,b.yaml", config, "--format", "github")
    assert (code, stderr) == (2, "")
    first, *others = stdout.splitlines()
    assert all(line.startswith("::error file=a%2Cb.yaml,line=") for line in (first, *others))
    assert any(",line=2,col=10::inputs.kind: unknown kind 'normall'; did you mean" in line for line in (first, *others))
    assert any("'50%25'" in line for line in (first, *others))


@pytest.mark.slow
def test_every_verb_that_prints_facts_has_json(config, monkeypatch):  # noqa: F811
    monkeypatch.chdir(config.parent)
    told = machine("run", config, "--out", "a", "-q")
    assert told["folder"] == "a"
    assert told["result"] == json.loads(Path("a/result.json").read_text())
    assert machine("run", config, "--out", "a", "--resume", "-q") == told
    verified = machine("verify", "a", "-q")
    assert (verified["outcome"], verified["changed"], len(verified["same"])) == ("same", [], 1)
    assert machine("report", "a") == {"report": "a/report.html", "pdf": None, "is_finished": True}
    rows = machine("sweep", config, "measures[0].above=1.0,1.5", "--out", "s", "-q")["comparison"]["rows"]
    assert [row["changed"] for row in rows] == [{"measures[0].above": 1.0}, {"measures[0].above": 1.5}]
    first, second = (path.parent for path in Path("s").glob("*/result.json"))
    compared = machine("compare", first, second)["comparison"]["rows"]
    assert sorted(row["value"] for row in compared) == sorted(row["value"] for row in rows)
    assert len(machine("runs list", "--root", ".")["runs"]) == 3
    assert machine("runs show", "a")["result"] == told["result"]


def test_lists_and_explanations_have_json():
    families = machine("list")["families"]
    assert set(families) == set(FAMILIES)
    assert {each["kind"] for each in families["copula"]} == set(members("copula"))
    assert list(machine("list", "copulas")["families"]) == ["copula"]
    assert machine("explain", "k-hat")["term"]["name"] == "k-hat"
    told = machine("explain", "stop.max_evaluations")
    assert told["term"] is None
    assert told["key"].startswith("max_evaluations (stop)")
    assert len(machine("explain")["terms"]) > 50


# ------------------------------------------------------------------ editors


def test_the_schema_beside_the_configs_is_the_present_one():
    """``make schema`` writes it anew."""
    assert without_repeats(json.loads((CONFIGS / "schema.json").read_text())) == without_repeats(json_schema())


def without_repeats(schema):
    """A schema without what says nothing, which depends on the version of pydantic.

    That is an ``enum`` of one value beside the same ``const``, ``allOf`` of one schema, and that further properties are
    allowed.
    """
    if isinstance(schema, list):
        return [without_repeats(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if len(schema.get("allOf", ())) == 1:
        schema = {**schema, **schema["allOf"][0]}
        del schema["allOf"]
    idle = {"additionalProperties"} if schema.get("additionalProperties") is True else set()
    idle |= {"enum"} if "const" in schema and schema.get("enum") == [schema["const"]] else set()
    return {key: without_repeats(value) for key, value in schema.items() if key not in idle}


def test_every_example_names_the_schema_and_fits_it():
    validator = Draft202012Validator(json.loads((CONFIGS / "schema.json").read_text()))
    examples = sorted(CONFIGS.rglob("*.yaml"))
    assert len(examples) > 40
    for path in examples:
        tree, text = yaml_tree.read(path)
        line = next(line for line in text.splitlines() if line.startswith("# yaml-language-server: $schema="))
        assert (path.parent / line.partition("=")[2]).resolve() == CONFIGS / "schema.json"
        errors = [error.message for error in validator.iter_errors(json.loads(json.dumps(tree.data, default=str)))]
        assert errors == [], path
    assert not validator.is_valid({"seed": 1})


# ------------------------------------------------------------------ completion


def test_completion_knows_verbs_and_options():
    """As the script that --show-completion prints asks for it, in bash."""
    environment = {"_RARESIM_COMPLETE": "complete_bash", "COMP_CWORD": "1"}
    found = CliRunner().invoke(cli.app, [], prog_name="raresim", env=environment | {"COMP_WORDS": "raresim ru"})
    assert found.stdout.split() == ["run", "runs"]
    environment["COMP_CWORD"] = "2"
    found = CliRunner().invoke(cli.app, [], prog_name="raresim", env=environment | {"COMP_WORDS": "raresim check --fo"})
    assert found.stdout.split() == ["--format"]

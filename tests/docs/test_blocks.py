"""What README.md and docs/ show is run: Python, configs and commands."""

import math
import re
import shlex
import shutil

import pytest
from ruamel.yaml import YAML

import raresim
from raresim.config import load as configs
from raresim.shell import cli
from tests.docs.blocks import blocks, desk
from tests.helpers import ROOT
from tests.invoking import CliRunner

ELSEWHERE = {
    "docs/clusters.md": "tests/engine/test_guide.py",
    "docs/recipes/backtest.md": "tests/backtests/test_backtest.py",
}
"""Pages whose Python and commands other tests run."""

BASE = {
    "seed": 1,
    "inputs": {"kind": "standard_normal", "dim": 3},
    "loss": {"kind": "linear", "weights": "equal"},
    "measures": [{"kind": "probability", "above": 2.0}],
}
"""What a block of YAML that is not a whole config is put into."""

RUN_BY_HAND = ("pip", "python3", "python", ".", "cd")
"""Commands that no test runs: they install, or take long."""


def params(language, whole_pages=False):
    found = blocks(language)
    if whole_pages:
        return sorted({block.page for block in found} - set(ELSEWHERE))
    return [
        pytest.param(
            block,
            id=f"{block.page}-{block.number}",
            marks=[pytest.mark.slow] if language == "yaml" and "kind: fitted" in block.text else [],
        )
        for block in found
    ]


@pytest.mark.parametrize("block", params("python"))
def test_python_is_python(block):
    compile(block.text, block.page, "exec")


@pytest.mark.slow
@pytest.mark.parametrize("page", params("python", whole_pages=True))
def test_python_of_a_page_runs(page, tmp_path, monkeypatch, capsys):
    """Each block for itself, in a folder that has what the page tells a reader to have."""
    desk(tmp_path, page)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    for block in blocks("python"):
        if block.page == page and not block.why:
            exec(compile(block.text, f"{page}, block {block.number}", "exec"), {"__name__": "__main__"})


@pytest.mark.parametrize("block", params("yaml"))
def test_configs_are_read(block, tmp_path):
    """Keys, types and values are right, and the files that they name are read."""
    desk(tmp_path, block.page)
    text, path = block.text, tmp_path / "block.yaml"
    if "seed:" not in text:
        given = YAML(typ="safe").load(text)
        base = {key: value for key, value in BASE.items() if not ("model" in given and key in ("inputs", "loss"))}
        with path.open("w") as file:
            YAML(typ="safe").dump(base | given, file)
    else:
        path.write_text(text)
    config = configs.load(path)
    config.execution()
    config.experiment()


@pytest.mark.slow
@pytest.mark.parametrize("page", params("sh", whole_pages=True))
def test_commands_of_a_page_run(page, tmp_path, monkeypatch):
    """Commands of raresim end with 0, targets are in the Makefile, and scripts are there."""
    desk(tmp_path, page)
    monkeypatch.chdir(tmp_path)
    lines = [line.partition("#")[0] for block in blocks("sh") if block.page == page for line in block.text.splitlines()]
    for command in filter(None, map(shlex.split, lines)):
        run(command)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("page", "config"),
    [("README.md", "configs/portfolio-5-sigma-t.yaml"), ("docs/start/tutorial.md", "book.yaml")],
)
@pytest.mark.usefixtures("no_figures")
def test_numbers_that_a_page_prints_are_those_of_the_run(page, config, tmp_path, monkeypatch):
    """Every line that is shown is printed, but for spaces; numbers may differ a little on another kind of processor.

    `test_commands_of_a_page_run` draws the figures too.
    """
    desk(tmp_path, page)
    for block in blocks("yaml"):
        if (block.page, block.name) == (page, config):
            (tmp_path / config).write_text(block.text)
    monkeypatch.chdir(tmp_path)
    (shown,) = [block.text for block in blocks("text") if block.page == page and block.text.startswith("TRUSTED")]
    done = CliRunner().invoke(cli.app, ["run", config, "--out", "out", "--quiet"])
    printed = " ".join(done.output.split())
    assert [line for line in shown.splitlines() if not is_printed(" ".join(line.split()), printed)] == []


NUMBER = re.compile(r"-?[0-9][0-9,]*(?:\.[0-9]+)?(?:e[-+][0-9]+)?")


def is_printed(line: str, printed: str) -> bool:
    """Whether the words of a line are printed, with numbers that are at most 10 % off; from 0.1 on 0.3 are allowed."""
    pattern = f"({NUMBER.pattern})".join(map(re.escape, NUMBER.split(line)))
    return any(are_near(NUMBER.findall(line), found.groups()) for found in re.finditer(pattern, printed))


def are_near(shown, printed) -> bool:
    """Whether numbers are at most 10 % off the others, or 0.3 from 0.1 on."""
    pairs = [[float(number.replace(",", "")) for number in pair] for pair in zip(shown, printed, strict=True)]
    return all(math.isclose(a, b, rel_tol=0.1, abs_tol=0.3 if abs(a) >= 0.1 else 0.0) for a, b in pairs)


@pytest.mark.parametrize(
    ("line", "is_there"),
    [
        ("estimate 0.001137", True),
        ("estimate 0.00114", True),
        ("estimate 0.00137", False),
        ("95% interval [0.001118, 0.001156] (log scale)", True),
        ("evaluations 17,055 (tune 2,978)", True),
        ("evaluations 27,055 (tune 2,978)", False),
        ("reference 0.001153, -1.65 standard errors away", True),
        ("reference 0.001153, 1.65 standard errors away", False),
        ("result 0.001137", False),
    ],
)
def test_a_number_that_is_not_printed_is_seen(line, is_there):
    printed = (
        "TRUSTED estimate 0.001136 95% interval [0.001117, 0.001156] (log scale) reference 0.001153, -1.70 standard "
        "errors away evaluations 17,155 (tune 2,990)"
    )
    assert is_printed(line, printed) == is_there


def run(command):
    """Run a command of a page, with a larger error."""
    verb, *rest = command
    if verb == "make":
        assert re.search(rf"^{rest[0]}:", (ROOT / "Makefile").read_text("utf-8"), re.M), command
    elif verb == "cp":
        shutil.copy(*rest)
    elif verb == "raresim":
        quick = ["stop.relative_error=0.1"] if rest[0] == "run" else []
        done = CliRunner().invoke(cli.app, [*rest, *quick])
        assert done.exit_code == 0, f"{command}: {done.output}"
    else:
        assert verb in RUN_BY_HAND, command
        assert all((ROOT / word).exists() for word in rest if word.endswith(".py")), command


def test_a_config_that_is_wrong_is_seen(tmp_path):
    """The control of `test_configs_are_read`."""
    (block,) = [block for block in blocks("yaml") if block.name == "book.yaml" and "tutorial" in block.page]
    with pytest.raises(raresim.ConfigError, match="did you mean 'prices'"):
        test_configs_are_read(block._replace(text=block.text.replace("prices: prices", "price: prices")), tmp_path)

"""Input from somebody else: configs and run folders that cost, escape, or run code; names that are markup."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from raresim.config import load as configs
from raresim.errors import ConfigError
from raresim.files import yaml_tree
from raresim.files.yaml_events import MAX_ALIASES, MAX_DEPTH, MAX_KEY, MAX_LINES, MAX_NODES, MAX_TEXT
from raresim.report import build, page
from raresim.report.panels import Panel
from raresim.report.run import read
from raresim.shell.cli import app
from tests import hostile_pages, hostile_paths, hostile_yaml
from tests.hostile_yaml import VALID, Refusal
from tests.invoking import CliRunner

CHROMIUM = shutil.which("chromium")


@pytest.fixture(scope="module")
def refusals(tmp_path_factory: pytest.TempPathFactory) -> list[Refusal]:
    return hostile_yaml.refusals(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder with everything in it."""
    return hostile_pages.make_run(tmp_path_factory.mktemp("whole") / "run")


def tree(tmp_path: Path, text: str) -> yaml_tree.Tree:
    path = tmp_path / "case.yaml"
    path.write_text(text, encoding="utf-8")
    return yaml_tree.read(path)[0]


# ------------------------------------------------------------------ configs


@pytest.mark.slow
def test_every_hostile_config_is_refused_in_one_line(refusals: list[Refusal]) -> None:
    assert len(refusals) >= 100
    assert [r.name for r in refusals if not r.message] == []
    assert [r.message for r in refusals if "\n" in r.message or len(r.message) > 2200] == []
    assert [r.message for r in refusals if ".yaml:" not in r.message] == []


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
def test_refusing_costs_little_time_and_memory(refusals: list[Refusal]) -> None:
    slow = [r for r in refusals if r.seconds >= 4 * hostile_yaml.SECONDS]  # the machine may be busy; the study is exact
    assert slow == []
    assert [r for r in refusals if r.mebibytes >= hostile_yaml.MEBIBYTES] == []


@pytest.mark.parametrize(
    "text",
    [
        "a: [" + "1," * (MAX_NODES - 3) + "]",  # the mapping, its key, the list, and its entries
        "a: " + "[" * (MAX_DEPTH - 1) + "[]" + "]" * (MAX_DEPTH - 1),
        "a: [&a x, " + "*a, " * MAX_ALIASES + "]",
        "a: " + "x" * (MAX_TEXT - 3),
        "a: {" + "k" * MAX_KEY + ": 1, '" + "q" * MAX_KEY + "': 1}",
        "a: '" + "x, " * ((MAX_TEXT - 10) // 3) + "'",
        "a: 1\n" + "#\n" * (MAX_LINES - 2),
        "a: 1\n" + ("#" + "x" * 98 + "\n") * 10_000,
    ],
    ids=["nodes", "depth", "aliases", "text", "key", "quoted", "lines", "bytes"],
)
def test_limits_can_be_reached(text: str, tmp_path: Path) -> None:
    assert list(tree(tmp_path, text).data) == ["a"]


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("1e-6", 1e-6),
        ("1E3", 1000.0),
        (".5", 0.5),
        ("-.5e+1", -5.0),
        ("+7", 7),
        ("0", 0),
        ("-0", 0),
        ("0o17", 15),
        ("0x1F", 31),
        ("no", "no"),
        ("Yes", "Yes"),
        ("on", "on"),
        ("y", "y"),
        ("1:30", "1:30"),
        ("1_000", "1_000"),
        ("0b1", "0b1"),
        ("TRUE", True),
        ("false", False),
        ("~", None),
        ("", None),
        ("'1'", "1"),
        ("1e", "1e"),
        ("-", None),
        ("1.2.3", "1.2.3"),
        ("=", "="),
        ("'<<'", "<<"),
    ],
)
def test_words_mean_what_yaml_1_2_says(word: str, value: Any, tmp_path: Path) -> None:
    data = tree(tmp_path, f"a: {word}\n" if word != "-" else "a:\n-\n").data["a"]
    data = data[0] if word == "-" else data
    assert (data, type(data)) == (value, type(value))


def test_alias_is_a_copy_that_knows_its_places(tmp_path: Path) -> None:
    seen = tree(tmp_path, "a: &a\n  b: [1, 2]\nc: [*a, *a]\n")
    assert seen.data == {"a": {"b": [1, 2]}, "c": [{"b": [1, 2]}, {"b": [1, 2]}]}
    assert seen.place(("c", 1, "b", 1)).endswith(":2:10")
    yaml_tree.override(seen, "c[0].b[0]=7")
    assert seen.data == {"a": {"b": [1, 2]}, "c": [{"b": [7, 2]}, {"b": [1, 2]}]}


def test_second_use_of_an_anchor_is_the_later_value(tmp_path: Path) -> None:
    assert tree(tmp_path, "a: &x 1\nb: &x 2\nc: *x\n").data["c"] == 2


def test_byte_order_mark_is_no_part_of_the_text(tmp_path: Path) -> None:
    path = tmp_path / "case.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + VALID.encode())
    assert configs.load(path).resolved()["seed"] == 1


@pytest.mark.parametrize("override", ["seed=!!python/name:os.system", "name=" + "[" * 5000, "name={<<: {a: 1}}"])
def test_override_has_the_same_limits(override: str, tmp_path: Path) -> None:
    path = tmp_path / "case.yaml"
    path.write_text(VALID)
    with pytest.raises(ConfigError) as caught:
        configs.load(path, [override])
    assert str(caught.value).startswith("override ")


def test_config_must_be_an_ordinary_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name, reason in ((tmp_path / "pipe", "ordinary"), (Path("/dev/zero"), "ordinary"), (tmp_path, "directory")):
        with pytest.raises(ConfigError, match=f"cannot be read: .*{reason}"):
            configs.load(name)


@pytest.mark.parametrize(
    "inputs",
    [
        "{kind: normal, dim: 100001}",
        "{kind: student_t, dof: 4, dim: 1e12}",
        "{kind: independent, dim: 1e9, marginal: {kind: normal}}",
        "{kind: copula, copula: {kind: gaussian, rho: 0.5, dim: 1e6}, marginal: {kind: normal}}",
        "{kind: copula, copula: {kind: clayton, theta: 1, dim: 1e9}, marginal: {kind: normal}}",
        "{kind: copula, copula: {kind: independence, dim: 1e7}, marginal: {kind: normal}}",
    ],
)
def test_dimension_beyond_memory_is_refused(inputs: str, tmp_path: Path) -> None:
    path = tmp_path / "case.yaml"
    path.write_text(VALID.replace("{kind: normal, dim: 3}", inputs))
    with pytest.raises(ConfigError, match=r"dim: must be at most (100,000|5,000), got"):
        configs.load(path).outline()


# ------------------------------------------------------------------ code

HOOK = """
import json, sys
seen = []
def hook(event, args):
    if event == "exec":
        seen.append([event, getattr(args[0], "co_filename", "")])
    elif event == "import":
        seen.append([event, str(args[0])])
    elif event in ("pickle.find_class", "os.system", "subprocess.Popen", "socket.connect"):
        seen.append([event, repr(args)[:100]])
sys.addaudithook(hook)
from typer.testing import CliRunner
from raresim.shell.cli import app
codes = [CliRunner().invoke(app, arguments).exit_code for arguments in json.loads(sys.argv[1])]
sys.stdout.write(json.dumps([codes, seen]))
"""


def audited(folder: Path, *commands: list[str]) -> tuple[list[int], list[list[str]]]:
    """Exit codes of shell commands in a new process, and what Python's audit hook saw of code that came from data."""
    out = subprocess.run(
        [sys.executable, "-c", HOOK, json.dumps(commands)],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(Path(configs.__file__).parents[1])},
        capture_output=True,
        text=True,
        check=True,
    )
    codes, seen = json.loads(out.stdout)
    return codes, [
        [event, what]
        for event, what in seen
        if event not in ("import", "exec") or "trap" in what or str(folder) in what or "_raresim_user" in what
    ]


class _Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("unpickled",)


@pytest.mark.slow
def test_only_run_imports_code_and_nothing_unpickles(tmp_path: Path) -> None:
    (tmp_path / "trap.py").write_text("import pathlib\npathlib.Path('ran').touch()\ndef f(x): return x[:, 0]\n")
    (tmp_path / "case.yaml").write_text(
        VALID.replace("{kind: linear, weights: equal}", "{kind: python, function: trap.py:f}")
        + "method: {kind: crude}\nstop: {max_evaluations: 1000}\n"
    )
    codes, seen = audited(tmp_path, ["run", "case.yaml", "--out", "a", "--quiet"])
    assert codes in ([0], [20])
    assert ["exec", str(tmp_path / "trap.py")] in [[event, str(tmp_path / what)] for event, what in seen]
    assert (tmp_path / "ran").exists()
    (tmp_path / "ran").unlink()
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    shutil.copytree(tmp_path / "a", tmp_path / "pickled")
    np.savez(tmp_path / "pickled" / "arrays.npz", loss=np.array([_Bomb()], dtype=object), log_weight=np.zeros(1))
    codes, seen = audited(
        tmp_path, ["check", "case.yaml"], ["report", "a"], ["compare", "a", "b"], ["report", "pickled"]
    )
    assert codes == [0, 0, 0, 2]
    assert seen == []
    assert not (tmp_path / "ran").exists()
    assert not (tmp_path / "unpickled").exists()


# ------------------------------------------------------------------ pages


def rendered(folder: Path, text: str) -> str:
    """The page of a folder, with ``text`` in what would be said of its figures, which are not drawn."""
    run = read(folder)
    names = (*page.FIGURES, *page.FIT_FIGURES, "trace")
    return page._html(run, {name: Panel(name, "data:image/png;base64,", text, text) for name in names})


@pytest.mark.slow
def test_text_stays_text_in_every_field(whole: Path, tmp_path: Path) -> None:
    assert len(set(hostile_pages.PAYLOADS)) >= 100
    assert hostile_pages.poison(whole, tmp_path / "benign", hostile_pages.BENIGN) >= 100
    benign = rendered(tmp_path / "benign", hostile_pages.BENIGN)
    payloads = hostile_pages.PAYLOADS
    joined = [" ".join(payloads[place : place + 16]) for place in range(0, len(payloads), 16)]
    for number, text in enumerate([*joined, *payloads[-2:]]):  # the study takes them one by one
        hostile_pages.poison(whole, tmp_path / f"{number}", text)
        assert hostile_pages.extra(rendered(tmp_path / f"{number}", text), benign) == 0, text


def test_a_page_that_does_not_escape_would_be_noticed() -> None:
    benign = f"<p title='{hostile_pages.BENIGN}'>{hostile_pages.BENIGN}</p>"
    for text in ("<b>x</b>", "<!-- x -->"):
        assert hostile_pages.extra(benign.replace(f">{hostile_pages.BENIGN}", f">{text}"), benign) > 0
    assert hostile_pages.extra(benign.replace(f"'{hostile_pages.BENIGN}", "'x' onclick='y"), benign) > 0


@pytest.mark.slow
def test_figures_survive_hostile_names(whole: Path, tmp_path: Path) -> None:
    folder = tmp_path / "all"
    hostile_pages.poison(whole, folder, " ".join(hostile_pages.PAYLOADS[-10:]))
    build(folder)
    drawn = {path.name for path in (folder / "figures").iterdir()}
    assert {"convergence.png", "fit-quantiles.png", "trace.png"} <= drawn


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
def test_browser_sees_no_more_than_the_page(whole: Path, tmp_path: Path) -> None:
    assert CHROMIUM is not None
    seen = []
    for name, text in (("benign", hostile_pages.BENIGN), ("hostile", " ".join(hostile_pages.PAYLOADS))):
        hostile_pages.poison(whole, tmp_path / name, text)
        (tmp_path / f"{name}.html").write_text(rendered(tmp_path / name, text), encoding="utf-8")
        seen.append(hostile_pages.dumped(CHROMIUM, tmp_path / f"{name}.html", tmp_path / "profile"))
    assert hostile_pages.extra(seen[1][0], seen[0][0]) == 0
    assert [console for _, console in seen] == ["", ""]  # nothing blocked: the page's own style sheet is applied
    broken = (tmp_path / "benign.html").read_text(encoding="utf-8").replace("</style>", " </style><script>1</script>")
    (tmp_path / "broken.html").write_text(broken, encoding="utf-8")
    _, console = hostile_pages.dumped(CHROMIUM, tmp_path / "broken.html", tmp_path / "profile")
    assert "style-src" in console
    assert "script" in console


def test_terminal_shows_text_as_it_is(whole: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        hostile_pages.poison(whole, tmp_path / name, "[red]x[/] [/] :bomb: \x1b]0;title\x07 \x9b2J\u202e")
        (tmp_path / name / "resolved.yaml").write_text("inputs: {}\nloss: {}\n")
    shown = CliRunner().invoke(app, ["compare", str(tmp_path / "a"), str(tmp_path / "b")])
    assert shown.exit_code == 0, shown.output
    assert "[red]x[/] [/] :bomb:" in shown.output
    assert not set("\x1b\x07\x9b\u202e") & set(shown.output)


def test_error_cannot_command_the_terminal(tmp_path: Path) -> None:
    (tmp_path / "case.yaml").write_text(VALID + '"a\\e[2J\\rb": 1\n')
    shown = CliRunner().invoke(app, ["check", str(tmp_path / "case.yaml")])
    assert shown.exit_code == 2
    assert not set("\x1b\r") & set(shown.output)


# ------------------------------------------------------------------ folders


@pytest.mark.slow
def test_nothing_leaves_or_enters_a_run_folder(tmp_path: Path) -> None:
    outcomes = hostile_paths.outcomes(tmp_path)
    assert len(outcomes) >= 40
    assert [o.case for o in outcomes if o.escaped] == []
    assert [o for o in outcomes if o.exit_code not in (0, 2) or not o.message] == []
    assert [o for o in outcomes if o.case.startswith("name") and o.exit_code == 0 and o.case != "name ''"] == []


def arrays(folder: Path, content: bytes) -> str:
    (folder / "arrays.npz").write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        read(folder)
    return str(caught.value)


@pytest.mark.slow
def test_archives_that_unpack_to_too_much_are_refused(whole: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(whole, tmp_path / "run")
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("loss.npy", "w") as entry:
        for _ in range(260):
            entry.write(bytes(1024**2))
    assert packed.tell() < 1024**2
    assert "must unpack to at most 268,435,456 bytes, got 272,629,760" in arrays(folder, packed.getvalue())


def test_arrays_that_claim_to_be_huge_are_refused(whole: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(whole, tmp_path / "run")
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, {"descr": "<f8", "fortran_order": False, "shape": (10**15,)})
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("loss.npy", head.getvalue())
    assert "cannot be read as arrays" in arrays(folder, packed.getvalue())


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x80\x04N.", b"\x93NUMPY\x01\x00"])
def test_what_is_no_archive_is_refused(content: bytes, whole: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(whole, tmp_path / "run")
    assert "cannot be read as arrays" in arrays(folder, content)


@pytest.mark.parametrize(
    "text", ["[" * 100_000, '{"a": ' * 100_000, "1" * 10_000, '{"schema_version": 1e999}', "\ufeff{}"]
)
def test_json_that_is_too_much_is_refused(text: str, whole: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(whole, tmp_path / "run")
    (folder / "result.json").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"result\.json"):
        read(folder)

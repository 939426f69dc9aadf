"""The shell command: exit codes, what is printed, and what is left on disk."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime, tzinfo
from pathlib import Path

import numpy as np
import pytest

from raresim import Probability, Reference, estimate
from raresim.registry import FAMILIES, members
from raresim.run.experiment import Experiment
from raresim.shell import cli, progress, running, terminal, unfinished
from tests.invoking import CliRunner

FILES = {
    "arrays.npz",
    "checkpoint",
    "config.yaml",
    "convergence.csv",
    "figures",
    "iterations.csv",
    "log.jsonl",
    "manifest.json",
    "metrics.json",
    "report.html",
    "resolved.yaml",
    "result.json",
}

CRUDE = """\
seed: 1
inputs: {{kind: standard_normal, dim: 2}}
loss: {loss}
measures: [{{kind: probability, above: {above}}}]
method: {{kind: crude}}
stop: {{relative_error: null, max_evaluations: {n}}}
"""

LOSSES = """
import numpy as np
def fine(x): return x[:, 0]
def raises(x): return 1 / 0
def nan(x): return np.full(len(x), np.nan)
def shape(x): return x
def words(x): return ["high"] * len(x)
def row(x): return x.max()
def interrupt(x): raise KeyboardInterrupt
"""


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs without --out go below the working folder."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "losses.py").write_text(LOSSES)
    return crude(tmp_path)


def crude(folder: Path, loss: str = "{kind: linear, weights: equal}", above: float = 1.0, n: int = 20000) -> Path:
    path = folder / "case.yaml"
    path.write_text(CRUDE.format(loss=loss, above=above, n=n))
    return path


def call(*arguments: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(cli.app, [str(a) for a in arguments], env={"COLUMNS": "80"})
    return result.exit_code, result.stdout, result.stderr


def test_run_leaves_a_whole_folder_and_tells_where(config: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    code, stdout, _ = call("run", config, "--out", out, "-q")
    assert code == 0
    assert {p.name for p in out.iterdir()} == FILES
    assert (out / "config.yaml").read_bytes() == config.read_bytes()
    assert json.loads((out / "manifest.json").read_text())["status"] == "finished"
    assert stdout.startswith("TRUSTED case")
    assert str(out / "report.html") in stdout.replace("\n", "")
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


@pytest.mark.slow
@pytest.mark.usefixtures("no_figures")
def test_default_folder_is_named_after_config_time_and_hash(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert call("run", config, "-q")[0] == 0
    (folder,) = (tmp_path / "runs" / "case").glob("2*")
    digest = json.loads((folder / "manifest.json").read_text())["config_sha256"]
    assert folder.name.endswith(f"Z-{digest[:8]}")


def test_occupied_folder_is_refused_before_the_run(config: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "precious.txt").write_text("mine")
    code, _, stderr = call("run", config, "--out", tmp_path / "out")
    assert code == 2
    assert "already holds files" in stderr
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["precious.txt"]


@pytest.mark.parametrize(
    ("above", "n", "options", "code", "word"),
    [
        (1.0, 20000, [], 0, "TRUSTED"),
        (0.6, 300, [], 0, "CAUTION"),
        (0.6, 300, ["--require", "trusted"], 10, "CAUTION"),
        (1.0, 20000, ["--require", "trusted"], 0, "TRUSTED"),
        (1.5, 300, [], 20, "UNTRUSTED"),
        (9.0, 300, [], 21, "BOUND ONLY"),
    ],
)
@pytest.mark.usefixtures("no_figures")
def test_verdict_is_the_exit_code(
    above: float, n: int, options: list[str], code: int, word: str, tmp_path: Path
) -> None:
    """Hits expected: 1,573 of 20,000, and 59 and 5 of 300: five standard deviations clear of the limits 30 and 100."""
    found, stdout, _ = call("run", crude(tmp_path, above=above, n=n), "--out", tmp_path / "out", "-q", *options)
    assert (found, stdout.split(" case")[0]) == (code, word)


@pytest.mark.parametrize(
    ("loss", "message", "left"),
    [
        ("raises", "raised ZeroDivisionError: division by zero (losses.py, line 4)", ["out-failed_rows.npz"]),
        ("nan", "must be finite, got nan for 256 of 256 rows", ["out-failed_rows.npz"]),
        ("shape", "must return an array of shape (256,), got shape (256, 2)", []),
        ("words", "must return real numbers, got list ['high'", []),
        ("row", "must return an array of shape (256,), got shape ()", []),
    ],
)
@pytest.mark.parametrize("executor", ["serial", "threads"])
def test_failing_loss_is_one_message_and_leaves_the_rows_that_failed(
    loss: str, message: str, left: list[str], executor: str, config: Path, tmp_path: Path
) -> None:
    path = crude(tmp_path, loss=f"{{kind: python, function: losses.py:{loss}}}")
    code, _, stderr = call("run", path, f"execution.executor={executor}", "--out", tmp_path / "sub" / "out", "-q")
    assert code == 3
    assert message in stderr
    assert stderr.count("\n") == 1 + len(left)
    assert "Traceback" not in stderr
    assert [path.name for path in (tmp_path / "sub").glob("*")] == left


@pytest.mark.slow
def test_error_while_writing_leaves_what_the_run_can_be_resumed_from(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_figures: None
) -> None:
    def broken(folder: Path) -> None:
        raise OSError(28, "No space left on device", str(folder / "report.html"))

    monkeypatch.setattr("raresim.report.build", broken)
    code, stdout, stderr = call("run", config, "--out", tmp_path / "sub" / "out", "-q")
    assert code == 1
    assert "TRUSTED" in stdout  # the numbers do not wait for the figures
    assert "Report:" not in stdout
    assert stderr.startswith(str(tmp_path / "sub"))
    assert "report.html: No space left on device\n" in stderr
    assert stderr.endswith(f"--out {tmp_path / 'sub' / 'out'} --resume\n")
    assert "rows of the estimate stage are kept" in call("report", tmp_path / "sub" / "out")[2]
    assert [p.name for p in (tmp_path / "sub").iterdir()] == ["out.partial"]
    monkeypatch.undo()
    assert call("run", config, "--out", tmp_path / "sub" / "out", "--resume", "-q")[0] == 0
    assert [p.name for p in (tmp_path / "sub").iterdir()] == ["out"]


def test_config_error_is_one_message(tmp_path: Path) -> None:
    path = tmp_path / "case.yaml"
    path.write_text("seed: 1\ninputs: {kind: normall}\n")
    code, stdout, stderr = call("run", path)
    assert (code, stdout) == (2, "")
    assert f"{path}:2:10: inputs.kind: unknown kind 'normall'; did you mean 'normal'?" in stderr
    assert "Traceback" not in stderr


def test_option_that_only_the_run_finds_wrong_is_placed(config: Path) -> None:
    code, _, stderr = call("run", config, "stop.max_evaluations=1000", "method={kind: cross_entropy}", "-q")
    assert code == 2
    assert "stop.max_evaluations: must be at least " in stderr


def test_interrupt_ends_with_130(config: Path, tmp_path: Path) -> None:
    path = crude(tmp_path, loss="{kind: python, function: losses.py:interrupt}")
    code, _, stderr = call("run", path, "execution.executor=serial", "--out", tmp_path / "out", "-q")
    assert code == 130
    assert "interrupted" in stderr
    assert not (tmp_path / "out").exists()


def test_debug_shows_the_stack(config: Path, tmp_path: Path) -> None:
    path = crude(tmp_path, loss="{kind: python, function: losses.py:raises}")
    result = CliRunner().invoke(cli.app, ["run", str(path), "--debug", "-q"])
    assert type(result.exception).__name__ == "LossError"


FITTED_BOOK = """\
seed: 1
inputs: {kind: KIND, fit: {returns_file: returns.csv, returns: RETURNS, unit: fraction}}
loss: {kind: linear, weights: {B: 0.4, A: 0.6}REVALUE}
measures: [{kind: probability, above: 0.1}]
"""


@pytest.mark.parametrize(
    ("kind", "returns", "revalue", "said"),
    [
        ("student_t", "log", "", "note: log returns enter the linear loss as if they were simple: `revalue: exp`"),
        ("student_t", "log", ", revalue: exp", ""),
        ("student_t", "log", ", revalue: none", ""),
        (
            "normal",
            "simple",
            "",
            "note: a law of simple returns can draw below -100 %, further than any price can fall",
        ),
        ("historical", "simple", "", ""),
    ],
)
def test_18_6_check_says_what_returns_are_taken_for(
    kind: str, returns: str, revalue: str, said: str, tmp_path: Path
) -> None:
    rows = "".join(f"2020-01-{k + 1:02d},{0.01 * (k % 3)},{0.01 * (k % 5) - 0.02}\n" for k in range(28))
    (tmp_path / "returns.csv").write_text("date,A,B\n" + rows)
    text = FITTED_BOOK.replace("KIND", kind).replace("RETURNS", returns).replace("REVALUE", revalue)
    (tmp_path / "book.yaml").write_text(text)
    result = CliRunner().invoke(cli.app, ["check", str(tmp_path / "book.yaml")])
    assert result.exit_code == 0
    assert (said in result.stdout) if said else ("note:" not in result.stdout)


def test_check_reports_every_file_and_the_worst_code(config: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("seed: 1\n")
    code, stdout, stderr = call("check", tmp_path / "bad.yaml", config)
    assert code == 2
    assert "case.yaml: ok" in stdout
    assert "inputs: is required but missing" in stderr


def test_check_announces_no_audit_where_there_is_none(config: Path) -> None:
    assert "audit: none, because every draw comes from the target itself\n" in call("check", config)[1]
    config.write_text(config.read_text().replace("{kind: crude}", "{kind: auto}"))
    assert "audit: quick: soundings" in call("check", config)[1]


def test_check_predicts_seconds_where_it_is_asked(config: Path) -> None:
    assert "time:" not in call("check", config)[1]
    code, stdout, _ = call("check", config, "--seconds")
    assert code == 0
    assert re.search(r"time: about \d+(\.\d)? (ns|us|ms) an evaluation by one worker\n", stdout)
    assert re.search(r"time: at most about \S+ (us|ms) for 20,000 evaluations by (one worker|\d+ workers), and", stdout)


def test_check_says_what_a_budget_in_seconds_pays_for(config: Path) -> None:
    text = config.read_text().replace("{kind: crude}", "{kind: subset_simulation}")
    config.write_text(re.sub(r"max_evaluations: \d+", "max_evaluations: 1000000000000, seconds: 5", text))
    code, stdout, _ = call("check", config, "--seconds")
    assert code == 0
    assert "at most 1,000,000,000,000 evaluations and about 5 s\n" in stdout
    assert "note: when its time is up, subset_simulation finishes ten whole runs of the simulation at least" in stdout
    assert re.search(r"time: 5 s pay for about [\d,]+00 evaluations", stdout)


@pytest.mark.slow
def test_report_rebuilds_the_same_bytes(config: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    call("run", config, "--out", out, "-q")
    before = (out / "report.html").read_bytes()
    (out / "report.html").unlink()
    code, stdout, _ = call("report", out)
    assert (code, Path(stdout.strip())) == (0, out / "report.html")
    assert (out / "report.html").read_bytes() == before


def test_report_of_no_run_is_refused(tmp_path: Path) -> None:
    code, _, stderr = call("report", tmp_path)
    assert code == 2
    assert str(tmp_path) in stderr


@pytest.mark.parametrize(
    ("name", "some"),
    [
        ("distributions", ["inputs", "garch", "historical", "marginal", "normal_inverse_gaussian", "semi_parametric"]),
        ("copulas", ["gaussian", "grouped_t", "joe", "survival", "vine", "blocks"]),
        ("losses", ["linear", "python"]),
    ],
)
def test_list_takes_the_plural_and_names_each_kind_once(name: str, some: list[str]) -> None:
    code, stdout, _ = call("list", name)
    assert code == 0
    assert all(word in stdout for word in some)
    named = [line.split()[:2] for line in stdout.splitlines()[3:] if line[2:3].strip()]
    assert len(named) == len({tuple(pair) for pair in named})


def test_list_shows_families_then_kinds_and_refuses_unknown_families() -> None:
    code, stdout, _ = call("list")
    assert code == 0
    assert len(stdout.splitlines()) <= 24
    assert {line.split()[0] for line in stdout.splitlines()[3:-2] if line[2:3].strip()} == set(FAMILIES)
    assert re.search(rf"method +{len(members('method'))} +ways to find the answer", stdout)
    assert "cross_entropy" in call("list", "--all")[1]
    assert "student_t" not in call("list", "method")[1]
    code, _, stderr = call("list", "metod")
    assert code == 2
    assert "did you mean 'method'?" in stderr


def test_list_of_methods_says_when_to_use_each() -> None:
    code, stdout, _ = call("list", "methods")
    assert code == 0
    assert "when to use it" in stdout
    assert max(map(len, stdout.splitlines())) <= 80
    kinds = {line.split()[0] for line in stdout.splitlines()[3:] if line[2:3].strip()}
    assert kinds == set(members("method"))


def first(x: np.ndarray) -> np.ndarray:
    return x[:, 0]


def shown(capsys: pytest.CaptureFixture[str], **search: object) -> str:
    """What the shell prints of a run, as if its method had left ``search``."""
    question = Probability(above=1.0, reference=Reference(value=0.1587, source="normal tail"))
    result = estimate(1, first, question, method="crude", seed=1, relative_error=None, max_evaluations=2000)
    exact = replace(result.estimates[0], std_error=0.0, relative_error=0.0)
    terminal.show_result(replace(result, estimates=(exact,), search={**result.search, **search}))
    return " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(("holds", "words"), [(True, "95% interval [0.1"), (False, "nominal 95% interval [0.1")])
def test_interval_is_called_nominal_where_it_is(holds: bool, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    result = estimate(1, first, Probability(above=1.0), method="crude", seed=1, max_evaluations=2000)
    one = replace(result.estimates[0], holds_confidence=holds)
    terminal.show_result(replace(result, estimates=(one,)))
    printed = " ".join(capsys.readouterr().out.split())
    assert words in printed
    assert ("nominal" in printed) is not holds


def test_decisions_are_printed_the_first_of_them(capsys: pytest.CaptureFixture[str]) -> None:
    sentences = [f"Sentence [{i}]." for i in range(terminal.MOST_DECISIONS + 2)]
    printed = shown(capsys, decisions=sentences)
    assert f"Decisions {' '.join(sentences[:-2])} and 2 more in the report" in printed
    assert sentences[-2] not in printed
    assert "Decisions" not in shown(capsys)


@pytest.mark.parametrize(
    ("unit", "words"),
    [
        ("draw", " effective; largest share"),
        ("line", "lines in the event, "),
        ("direction", "directions in the event, "),
        ("replicate", "of 2,000 reached the event"),
    ],
)
def test_rows_are_called_what_they_are(unit: str, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    printed = shown(capsys, unit=unit)
    assert words in printed
    assert ("KL(optimal||q)" in printed) == (unit != "replicate")
    assert "reference 0.1587 " in printed
    assert "standard errors away" not in printed  # there is none to divide by


@pytest.mark.slow
@pytest.mark.usefixtures("no_figures")
def test_18_13_counts_are_written_alike_in_a_config_and_on_the_command_line(config: Path, tmp_path: Path) -> None:
    short = ["stop.max_evaluations=2e4", "execution.workers=1e0", "execution.executor=serial", "-q"]
    assert call("run", config, *short, "--out", tmp_path / "a")[0] == 0
    assert call("extend", tmp_path / "a", "--budget", "1e3", "--workers", "1e0", "--out", tmp_path / "b", "-q")[0] == 0
    total = json.loads((tmp_path / "b" / "result.json").read_text())["evaluations"]["total"]
    assert total == 21_000


@pytest.mark.parametrize(
    ("option", "given", "words"),
    [
        ("--budget", "100k", "must be a whole number, got '100k'; write 100000"),
        ("--budget", "1_000", "must be a whole number, got '1_000'; write 1000"),
        ("--budget", "1.5", "must be a whole number, got '1.5'"),
        ("--budget", "0", "must be at least 1, got 0"),
        ("--workers", "0e0", "must be at least 1, got 0e0"),
        ("--workers", "many", "must be a whole number, got 'many'"),
    ],
)
def test_18_13_what_is_no_count_is_refused(option: str, given: str, words: str) -> None:
    code, _, stderr = call("extend", "a", "--budget", "1", option, given)
    assert code == 2
    assert words in " ".join(stderr.replace("\u2502", "").replace("|", "").split())


@pytest.mark.slow
@pytest.mark.usefixtures("no_figures")
def test_18_13_an_extended_run_can_be_extended_and_a_method_compared_that_an_override_changed(
    config: Path, tmp_path: Path
) -> None:
    """What a verb sets by itself may take back an override of the user."""
    assert call("run", config, "seed=5", "stop.max_evaluations=2e4", "--out", tmp_path / "a", "-q")[0] == 0
    assert call("extend", tmp_path / "a", "--budget", "1e3", "--out", tmp_path / "b", "-q")[0] == 0
    assert call("extend", tmp_path / "b", "--budget", "1e3", "--out", tmp_path / "c", "-q")[0] == 0
    assert json.loads((tmp_path / "c" / "result.json").read_text())["evaluations"]["total"] == 22_000
    changes = ["seed=5", "method.kind=crude", "--methods", "crude,importance", "--seeds", "1e0"]
    assert call("compare", config, *changes, "--out", tmp_path / "d", "-q")[0] == 0
    assert [path.name for path in (tmp_path / "d").iterdir() if path.is_dir()] == ["crude-5"]


def test_schema_is_json() -> None:
    assert json.loads(call("schema")[1])["title"] == "Experiment"


def test_the_package_can_be_started_as_a_module() -> None:
    import raresim

    command = [sys.executable, "-m", "raresim", "--version"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == f"{raresim.__version__}\n"


def test_version_is_the_package_version() -> None:
    import raresim

    assert call("--version") == (0, f"{raresim.__version__}\n", "")


@pytest.mark.usefixtures("no_figures")
def test_workers_option_reaches_the_manifest(config: Path, tmp_path: Path) -> None:
    call("run", config, "--out", tmp_path / "out", "--workers", 2, "-q")
    assert json.loads((tmp_path / "out" / "manifest.json").read_text())["workers"] == 2


@pytest.mark.usefixtures("no_figures")
def test_progress_is_plain_lines_without_a_terminal(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.0)
    _, _, stderr = call("run", config, "--out", tmp_path / "out")
    assert re.search(r"^estimate: \d+%, .*\d s(?: left)?  relative error ", stderr, re.MULTILINE)
    assert "\x1b" not in stderr


def test_help_loads_nothing_that_takes_time() -> None:
    heavy = "[m for m in ('numpy', 'pydantic', 'numba', 'rich') if m in sys.modules]"
    code = f"import sys; from raresim.shell.cli import app; app(['--help'], standalone_mode=False); print({heavy})"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.splitlines()[-1] == "[]"


def test_unexpected_error_is_an_internal_one(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(Experiment, "run", broken)
    code, _, stderr = call("run", config, "-q")
    assert code == 1
    assert "internal error: RuntimeError: a bug" in stderr


def frozen_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    class Frozen(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Frozen:
            return cls(2026, 1, 1, tzinfo=tz)

    monkeypatch.setattr(running, "datetime", Frozen)


IN_ONE_SECOND = """
import datetime
from raresim.shell import cli, running
class Frozen(datetime.datetime):
    now = classmethod(lambda cls, tz=None: cls(2026, 1, 1, tzinfo=tz))
running.datetime = Frozen
cli.main()
"""
"""The shell with a clock that stands still."""


@pytest.mark.slow
def test_18_11_the_same_config_may_be_started_many_times_at_once(config: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", IN_ONE_SECOND, "run", str(config), "-q"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    runs = [subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE) for _ in range(2)]
    for run in runs:
        _, errors = run.communicate()
        assert run.returncode == 0, errors
    folders = list(tmp_path.glob("runs/case/2*"))
    assert len(folders) == 2
    assert all({path.name for path in folder.iterdir()} == FILES for folder in folders)
    assert len({json.dumps(json.loads((f / "result.json").read_text())["estimates"]) for f in folders}) == 1


@pytest.mark.slow
@pytest.mark.parametrize("checkpoint", ["10.0", "null"])
@pytest.mark.usefixtures("no_figures")
def test_18_11_a_second_start_in_the_same_second_takes_the_next_name(
    checkpoint: str, config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frozen_clock(monkeypatch)
    for _ in range(3):
        code, stdout, stderr = call("run", config, "-q", f"execution={{checkpoint: {checkpoint}}}")
        assert code == 0, stderr
    first, *others = sorted(path.name for path in (tmp_path / "runs/case").glob("2*"))
    assert re.fullmatch(r"20260101T000000Z-[0-9a-f]{8}", first)
    assert others == [f"{first}-2", f"{first}-3"]
    assert f"runs/case/{first}-3/report.html" in stdout.replace("\n", "")
    assert str(tmp_path) not in stdout


@pytest.mark.slow
@pytest.mark.usefixtures("no_figures")
def test_18_11_extensions_of_the_same_second_take_the_next_name(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frozen_clock(monkeypatch)
    assert call("run", config, "--out", "first", "-q")[0] == 0
    for _ in range(2):
        code, _, stderr = call("extend", "first", "--budget", 10_000, "-q")
        assert code == 0, stderr
    assert len([path for path in tmp_path.iterdir() if path.name.startswith("20260101T000000Z-")]) == 2


def test_18_11_a_run_that_is_refused_leaves_no_name_behind(config: Path, tmp_path: Path) -> None:
    code, _, stderr = call("run", crude(tmp_path, "{kind: python, function: losses.py:raises}"), "-q")
    assert code == 3, stderr
    assert [path.name for path in (tmp_path / "runs/case").iterdir() if path.is_dir()] == []  # failed rows are kept
    assert (
        call("run", config, "-q", "stop.max_evaluations=100", "measures=[{kind: probability, above: 5 sigma}]")[0] == 2
    )
    assert [path.name for path in (tmp_path / "runs/case").iterdir() if path.is_dir()] == []


def test_18_11_an_unfinished_run_with_a_later_name_is_gone_on_with(tmp_path: Path) -> None:
    for name in ("T-01234567.partial", "T-01234567-2.partial"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "checkpoint").touch()
        os.utime(tmp_path / name / "checkpoint", (len(name), len(name)))
    assert unfinished.newest(tmp_path, "0123456789") == tmp_path / "T-01234567-2"


def test_18_11_comparisons_of_the_same_second_take_different_folders(tmp_path: Path) -> None:
    place = tmp_path / "runs" / "x" / "compare-T"
    with ExitStack() as stack:
        made = [stack.enter_context(unfinished.new_folder(place)) for _ in range(3)]
        assert [folder.name for folder in made] == ["compare-T", "compare-T-2", "compare-T-3"]
        (made[1] / "table.csv").touch()
    assert [path.name for path in place.parent.iterdir()] == ["compare-T-2"]


def test_18_14_check_names_noise_without_importing_the_loss(config: Path, tmp_path: Path) -> None:
    (tmp_path / "noise.py").write_text(
        "import random\nraise RuntimeError\ndef f(x): return x[:, 0] + random.random()\n"
    )
    code, stdout, _ = call("check", crude(tmp_path, loss="{kind: python, function: noise.py:f}"))
    assert code == 0
    assert "doubtful: noise.py:f draws random numbers of its own (random.random in line 3)" in stdout
    assert "doubtful" not in call("check", crude(tmp_path, loss="{kind: python, function: losses.py:fine}"))[1]


@pytest.mark.slow
def test_18_15_report_names_the_runs_below_a_folder_the_newest_first(config: Path, tmp_path: Path) -> None:
    names = ["c", "a", "b"]
    assert call("run", config, "--out", tmp_path / "one", "-q")[0] == 0
    for age, name in enumerate(names):
        shutil.copytree(tmp_path / "one", tmp_path / "runs" / "case" / name)
        when = 1_700_000_000 + age
        os.utime(tmp_path / "runs" / "case" / name / "manifest.json", (when, when))
    part = tmp_path / "runs" / "case" / "d.partial"
    part.mkdir()
    (part / "checkpoint").write_bytes(b"")
    for folder in (tmp_path / "runs" / "case", tmp_path / "runs"):
        for verb in (["report"], ["extend", "--budget", 1000]):
            code, _, stderr = call(*verb, folder)
            assert code == 2
            first, *listed = stderr.splitlines()
            assert first == f"{folder}: is not a run folder; it holds 4 runs, name one of them (newest first):"
            below = tmp_path / "runs" / "case"
            assert listed == [f"  {part} (not finished)", *(f"  {below / name}" for name in reversed(names))]
    code, _, stderr = call("report", tmp_path / "runs" / "case" / "bb")
    assert code == 2
    assert stderr.startswith(f"{tmp_path / 'runs' / 'case' / 'bb'}: no such run folder; ")
    assert str(tmp_path / "runs" / "case" / "a") in stderr


def test_18_15_a_run_that_lacks_its_manifest_and_a_folder_of_many_runs_are_told_apart(tmp_path: Path) -> None:
    assert "manifest.json: missing; the run folder is incomplete" in call("report", tmp_path)[2]
    for k in range(8):
        (tmp_path / "runs" / f"{k}").mkdir(parents=True)
        (tmp_path / "runs" / f"{k}" / "manifest.json").write_text("{}")
    assert call("report", tmp_path / "runs")[2].splitlines()[-1] == "  and 3 more"


@pytest.mark.parametrize("verb", [(), ("runs",)])
def test_help_names_each_verb_in_a_whole_line_of_eighty_columns(verb: tuple[str, ...]) -> None:
    code, stdout, _ = call(*verb, "--help")
    assert code == 0
    commands = stdout.split("Commands:")[1].split("\n\n")[0]
    assert len(commands.strip().splitlines()) >= 4
    assert "..." not in commands
    assert all(len(line) <= 80 for line in commands.splitlines())

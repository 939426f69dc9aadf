"""Losses that are programs: what they get, where their loss is read, and how they fail."""

import os
import pickle
import tempfile
import threading
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from raresim import Independent, ProgramLoss, ProgramOutput, StandardNormal, marginals
from raresim.config import load as configs
from raresim.engine.executors import Executor
from raresim.errors import ConfigError, FieldError, LossError
from raresim.losses.failures import collecting
from raresim.losses.rows import RowError
from raresim.losses.stopping import Stop
from raresim.losses.travel import travelling
from raresim.shell import cli
from tests.helpers import losses

PYTHON = ["${python}", "-I", "-S", "-c"]
PRINTED = ProgramOutput(pattern="^loss: (.*)$")
NAMED = Independent(marginals={"load P": marginals.Normal(), "E": marginals.Normal()})
ROWS = np.asfortranarray([[0.0, 1.0], [9.0, 2.0], [0.5, 3.0]])
"""The second row is the one that fails in the tests of failures."""


@pytest.fixture(autouse=True)
def temporary(monkeypatch, tmp_path_factory):
    """Folders of failed rows are kept: here, not among the temporary files of the system."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path_factory.mktemp("rows")))


def program(code, *words, output=PRINTED, inputs=None, **options):
    """A bound loss whose program is ``code``, with the factors as its last two arguments."""
    command = [*PYTHON, "import sys; a, b = map(float, sys.argv[-2:])\n" + code, *words, "${x1}", "${x2}"]
    return ProgramLoss(command=command, output=output, **options).bind(inputs or StandardNormal(dim=2))


# --- what a program gets ------------------------------------------------------------------------------


def test_a_program_reads_the_same_numbers_from_arguments_and_files(tmp_path):
    template = tmp_path / "in.template"
    template.write_bytes(b"$E\r\n${load P} costs 5 $$\n")
    code = "import sys\nE, P = open('sub/in').read().split('\\n')[:2]\nassert P.endswith('costs 5 ' + chr(36))\n"
    code += "for a, b in ((E, sys.argv[1]), (P.split()[0], sys.argv[2])): assert a.strip() == b, (a, b)\n"
    code += "print('loss:', sys.argv[1] if abs(float(sys.argv[2])) > 1 else sys.argv[2])"
    command = [*PYTHON, code, "$E", "${load P}"]
    loss = ProgramLoss(command=command, templates={"sub/in": template}, output=PRINTED).bind(NAMED)
    x = np.asfortranarray([[2.0, 5e-324], [0.1 + 0.2, 0.0], [-1e300, 1 / 3], [2.0, -1e22]])
    np.testing.assert_array_equal(losses(loss, x), [5e-324, 0.1 + 0.2, 1 / 3, -1e22])
    assert loss.notes(NAMED) == []
    assert loss.files() == [template]


def test_environment_working_folder_and_copies_reach_the_program(tmp_path):
    (tmp_path / "work").mkdir()
    (tmp_path / "part.sh").write_text("#!/bin/sh\necho loss: $1 $THREADS $(pwd) $(ls $2) > $2/out\n")
    (tmp_path / "part.sh").chmod(0o755)
    loss = ProgramLoss(
        command=["${row_folder}/part.sh", "${x1}", "${row_folder}"],
        output=ProgramOutput(file="out", pattern=f"^loss: (.*) 3 {tmp_path / 'work'} part.sh stderr.txt stdout.txt$"),
        copies=[tmp_path / "part.sh"],
        environment={"THREADS": 3},
        working_folder=tmp_path / "work",
        folder=tmp_path / "rows",
    ).bind(StandardNormal(dim=2))
    assert loss.notes(StandardNormal(dim=2)) == ["the program gets no placeholder for x2: its loss cannot depend on it"]
    np.testing.assert_array_equal(losses(loss, ROWS), ROWS[:, 0])
    assert list((tmp_path / "rows").iterdir()) == []
    with travelling():
        sent = pickle.dumps(loss)
    (tmp_path / "part.sh").unlink()
    np.testing.assert_array_equal(losses(pickle.loads(sent), ROWS[:1]), ROWS[:1, 0])
    with pytest.raises(LossError, match=r"the folder of a row cannot be made ready: .*No such file.*part\.sh"):
        losses(loss, ROWS[:1])


def test_rows_run_at_the_same_time_and_keep_their_places(tmp_path):
    """Each program waits for the other one to begin."""
    code = "import os, time\nopen(f'{sys.argv[1]}/{b:g}', 'w').close()\n"
    code += "while not all(os.path.exists(f'{sys.argv[1]}/{k}') for k in (1, 2)): time.sleep(0.01)\n"
    code += "time.sleep(0.3 * (b == 1))\nprint('loss:', b)"
    loss = program(code, str(tmp_path), parallel=2, timeout=30.0)
    np.testing.assert_array_equal(losses(loss, ROWS[:2]), [1.0, 2.0])


# --- where the loss is read ---------------------------------------------------------------------------

CSV = "time, deflection\n0, 1.5\n1, 2.5D-01\n2, -3\n"

READ = {
    "printed": ({"pattern": "loss (.*)"}, "x\nloss 3\n", 3.0),
    "Fortran": ({"pattern": "loss (.*)"}, "loss 1.5D-03", 1.5e-3),
    "at a line": ({"pattern": "^(.*) m$"}, "12 m\n", 12.0),
    "not a number": ({"pattern": "loss (.*)"}, "loss NaN", np.nan),
    "infinite": ({"pattern": "loss (.*)"}, "loss -inf", -np.inf),
    "one row": ({"column": "b"}, "a,b\n1,2\n", 2.0),
    "first": ({"column": "deflection", "take": "first"}, CSV, 1.5),
    "last": ({"column": "deflection", "take": "last"}, CSV, -3.0),
    "largest": ({"column": "deflection", "take": "largest"}, CSV, 1.5),
    "smallest": ({"column": "deflection", "take": "smallest"}, CSV, -3.0),
    "largest of matches": ({"pattern": "= (.*)", "take": "largest"}, "a = 1\nb = 2\nc = -9\n", 2.0),
    "one of them NaN": ({"pattern": "= (.*)", "take": "largest"}, "a = 1\nb = nan\n", np.nan),
}


@pytest.mark.parametrize("case", READ)
def test_a_loss_is_read(case, tmp_path):
    options, text, value = READ[case]
    (tmp_path / "out").write_text(text)
    for file, printed in (("out", "none"), (None, "out")):
        assert np.array_equal(
            ProgramOutput(file=file, **options).number(tmp_path, tmp_path / printed), value, equal_nan=True
        )


UNREAD = {
    "no match": ({"pattern": "loss (.*)"}, "x\n", RowError, "that the pattern 'loss (.*)' matches"),
    "no number": ({"pattern": "loss (.*)"}, "loss ****", RowError, "wrote '****' into its output file out where"),
    "underscores": ({"pattern": "loss (.*)"}, "loss 1_000", RowError, "'1_000'"),
    "empty": ({"column": "b"}, "\n", RowError, "wrote nothing into"),
    "header alone": ({"column": "b"}, "a,b\n", RowError, "no row below the header"),
    "cells": ({"column": "b"}, "a,b\n1\n", RowError, "1 cells for 2 columns in row 2"),
    "two matches": (
        {"pattern": "loss (.*)"},
        "loss 1\nloss 2",
        LossError,
        "matches 2 times in its output file out, first 1, 2",
    ),
    "two rows": ({"column": "b"}, "a,b\n1,2\n3,4\n", LossError, "has 2 rows in its output file out, first 2, 4; say"),
    "no column": ({"column": "deflect"}, CSV, LossError, "unknown column 'deflect'; did you mean 'deflection'?"),
    "two columns": ({"column": "a"}, "a,a\n1,2\n", LossError, "has several columns"),
    "no group": ({"pattern": "loss (x)?"}, "loss ", LossError, "is not part of its match"),
}


@pytest.mark.parametrize("case", UNREAD)
def test_an_output_without_its_loss_says_so(case, tmp_path):
    options, text, kind, words = UNREAD[case]
    (tmp_path / "out").write_text(text)
    with pytest.raises(kind) as error:
        ProgramOutput(file="out", **options).number(tmp_path, tmp_path / "none")
    assert words in str(error.value)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "pattern: give either pattern or column"),
        ({"pattern": "(.*)", "column": "a"}, "pattern: give either pattern or column"),
        ({"pattern": "(.*"}, "pattern: must be a regular expression, got '\\(.*': missing"),
        ({"pattern": "loss .*"}, "pattern: must have one group, .* got 0 in"),
        ({"pattern": "(a|b) (.*)"}, "pattern: must have one group, .* got 2 in"),
        ({"column": "a", "take": "biggest"}, "take: unknown value 'biggest'"),
    ],
)
def test_an_output_that_cannot_be_read_is_refused(options, words):
    with pytest.raises(FieldError, match=words):
        ProgramOutput(**options)


# --- how a program fails ------------------------------------------------------------------------------

FAILING = {
    "exit": ("if a > 8: print('step 7', file=sys.stderr); sys.exit(3)", "exit code 3; its last line: 'step 7'"),
    "died": ("import os\nif a > 8: os.kill(os.getpid(), 9)", "was ended by SIGKILL.*; it printed nothing"),
    "timeout": ("import time\nif a > 8: time.sleep(60)", "gave no answer within 1 s"),
    "output": ("if a > 8: sys.exit()", "wrote nothing in its standard output that the pattern"),
    "nan": ("if a > 8: b = float('nan')", "returned nan"),
    "infinite": ("if a > 8: b = -float('inf')", "returned -inf"),
}


@pytest.mark.parametrize("parallel", [1, 3])
@pytest.mark.parametrize("kind", FAILING)
@pytest.mark.timeout(120)
def test_a_row_that_fails_ends_the_run_or_is_bounded(kind, parallel, tmp_path):
    code, words = FAILING[kind]
    options = {"folder": tmp_path, "parallel": parallel, "timeout": 1.0 if kind == "timeout" else 60.0}
    code += "\nprint('loss:', b)"
    with pytest.raises(LossError, match=rf"^loss python.*: .*{words}.*; row 1, the scenario \[9. 2.\]") as error:
        losses(program(code, **options), ROWS)
    assert error.value.failures.by_kind == {kind: 1}
    np.testing.assert_array_equal(error.value.failures.x, ROWS[1:2])
    with collecting() as found:
        bounded = losses(program(code, on_failure="bound", **options), ROWS)
    np.testing.assert_array_equal(bounded, [1.0, np.nan, 3.0])
    assert found.failures.by_kind == {kind: 1}
    kept = list(tmp_path.iterdir())
    assert len(kept) == (0 if kind in ("nan", "infinite") else 2)
    assert all(str(folder) in str(error.value) + found.failures.message[0] for folder in kept)


def test_a_failed_row_is_tried_again(tmp_path):
    count = tmp_path / "count"
    code = f"if a > 8:\n    open({str(count)!r}, 'a').write('x')\n"
    code += f"    if len(open({str(count)!r}).read()) < 3: sys.exit(1)\nprint('loss:', b)"
    loss = program(code, on_failure="retry", retries=2)
    with collecting() as found:
        np.testing.assert_array_equal(losses(loss, ROWS), [1.0, 2.0, 3.0])
    assert (found.failures.total, found.failures.retried) == (0, 1)
    count.unlink()
    with pytest.raises(LossError, match=r"exit code 1; .*; tried 2 times$"):
        losses(program(code, on_failure="retry", retries=1), ROWS)


def test_folders_of_the_first_failed_rows_are_kept(tmp_path, monkeypatch):
    monkeypatch.setattr("raresim.losses.program.MOST_KEPT", 2)
    with collecting() as found:
        losses(program("sys.exit(1)", on_failure="bound", folder=tmp_path), ROWS)
    assert sorted(tmp_path.iterdir()) == sorted(Path(text.split()[-1]) for text in found.failures.message[:2])
    assert "folder" not in found.failures.message[2]


def test_what_no_row_can_mend_ends_a_bounded_run(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(LossError, match=r"^loss python.*: no folder for a row can be made: .*file"):
        losses(program("print('loss: 1')", on_failure="bound", folder=tmp_path / "file"), ROWS)
    with pytest.raises(LossError, match=r"^loss python.*matches 2 times.*its folder is"):
        losses(program("print('loss: 1')\nprint('loss: 2')", on_failure="bound", folder=tmp_path), ROWS)
    (tmp_path / "tool").write_text("no header that a system knows")
    (tmp_path / "tool").chmod(0o755)
    loss = ProgramLoss(command=[str(tmp_path / "tool"), "$x1"], output=PRINTED, on_failure="bound", folder=tmp_path)
    with pytest.raises(LossError, match=r"^loss tool.*: cannot be started: Exec format error"):
        losses(loss.bind(StandardNormal(dim=2)), ROWS)


def test_a_program_that_takes_too_long_is_killed_with_what_it_started(tmp_path):
    child = f"sleep 60 & echo $$! > {tmp_path / 'pid'}; wait"
    loss = ProgramLoss(command=["sh", "-c", child, "sh", "${x1}"], output=PRINTED, timeout=1.0)
    with pytest.raises(LossError, match="gave no answer within 1 s"):
        losses(loss.bind(StandardNormal(dim=2)), ROWS[:1])
    pid = int((tmp_path / "pid").read_text())
    for _ in range(200):
        if not _runs(pid):
            return
        time.sleep(0.02)
    pytest.fail("the program of the program runs on")


def _runs(pid):
    """Whether a process runs; one that has ended and that nobody has waited for does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] != "Z"


def test_a_program_that_nobody_waits_for_is_ended():
    stop = Stop()
    threading.Timer(0.3, stop.set).start()
    begun = time.monotonic()
    with pytest.raises(RowError, match="was stopped"):
        program("import time; time.sleep(60)").of_row(ROWS[0], stop)
    assert time.monotonic() - begun < 30


@pytest.mark.parametrize("parallel", [1, 2])
def test_programs_of_a_run_that_ends_early_are_ended(parallel):
    """A block that fails ends the run; the blocks under way in other threads would take a minute."""
    loss = program("import time\nif a > 8: sys.exit(1)\ntime.sleep(60)", parallel=parallel)
    begun = time.monotonic()
    with Executor.of("threads", 3) as executor, pytest.raises(LossError, match="ended with exit code 1"):
        list(executor.map(partial(losses, loss), [ROWS[1:2], ROWS, ROWS]))
    assert time.monotonic() - begun < 40


def test_a_program_with_noise_is_refused():
    loss = program("import random; print('loss:', random.random())").watched()
    with pytest.raises(LossError, match="it has noise of its own"):
        loss.refuse_noise(ROWS, losses(loss, ROWS), 0.1)
    calm = program("print('loss:', b)").watched()
    calm.refuse_noise(ROWS, losses(calm, ROWS), 0.1)


# --- bad input ----------------------------------------------------------------------------------------

REFUSED = {
    "no program": ({"command": []}, "command: must name a program, got an empty list"),
    "not on the path": ({"command": ["no-such-tool", "$x1"]}, "command: no program 'no-such-tool' on the PATH"),
    "not there": ({"command": ["/no/such/tool", "$x1"]}, "command: no such program, or it is not executable: /no/such"),
    "not copied": ({"command": ["./tool", "$x1"]}, "command: './tool' must be among copies, or an absolute path"),
    "no factor": ({"command": ["true"]}, "templates: no factor reaches the program: .* must hold \\$\\{x1\\}"),
    "left over": (
        {"command": ["true", "a\n b $x1 ${X2}"]},
        "command: argument 1:2:8: unknown placeholder 'X2' \\(allowed: python, row",
    ),
    "dollar": ({"command": ["true", "$x1 $1"]}, "command: argument 1:1:5: this dollar sign begins no placeholder"),
    "left over in a file": ({"templates": {"in": "load"}}, "templates: load:2:3: unknown placeholder 'P'"),
    "no template": ({"templates": {"in": "none"}}, "templates: cannot be read: .*none"),
    "not text": (
        {"templates": {"in": "binary"}},
        "templates: must be UTF-8 text: .*binary: invalid start byte at byte 0",
    ),
    "outside": ({"templates": {"../in": "load"}}, "templates: must name files in the folder of the row, got '../in'"),
    "twice": (
        {"templates": {"load": "load"}, "copies": ["load"]},
        "templates: must be different files .* 'load' twice",
    ),
    "no copy": ({"copies": ["none"]}, "copies: no such file: .*none"),
    "no working folder": ({"working_folder": "none"}, "working_folder: no such folder: .*none"),
    "parallel": ({"parallel": 0}, "parallel: must be at least 1, got 0"),
    "timeout": ({"timeout": -1.0}, "timeout: must be positive"),
    "retries": ({"retries": 1}, "retries: goes with on_failure 'retry' or 'bound', got 'error'"),
    "output": ({"output": {"pattern": "(.*)"}}, "output: must be a ProgramOutput or a list of ProgramOutput objects"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_bad_input_is_refused(case, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "load").write_text("load $x1\n  $P\n")
    (tmp_path / "binary").write_bytes(b"\xff$x1")
    options, words = REFUSED[case]
    with pytest.raises(FieldError, match=words):
        ProgramLoss(**{"command": ["true", "$x1"], "output": PRINTED, **options}).bind(StandardNormal(dim=2))


def test_a_factor_may_not_have_the_name_of_another_placeholder():
    inputs = Independent(marginals={"python": marginals.Normal()})
    with pytest.raises(FieldError, match=r"command: \$\{python\} is the Python interpreter of this run: call the risk"):
        ProgramLoss(command=["true", "${python}"], output=PRINTED).bind(inputs)


# --- in YAML ------------------------------------------------------------------------------------------

CONFIG = """\
seed: 1
inputs: {kind: independent, marginals: {load: {kind: normal}, E: {kind: normal}}}
loss:
  kind: program
  command: ["${python}", -I, -S, tool.py]
  copies: [parts/tool.py]
  templates: {in.txt: parts/in.template}
  output: {file: out.csv, column: loss}
  environment: {FACTOR: 2}
  folder: rows
  parallel: 3
measures: [{kind: probability, above: 0}]
method: {kind: crude}
stop: {max_evaluations: 100}
"""


@pytest.fixture
def config(tmp_path):
    (tmp_path / "parts").mkdir()
    tool = "import os\na, b = map(float, open('in.txt'))\n"
    tool += "open('out.csv', 'w').write(f\"loss\\n{float(os.environ['FACTOR']) * a - b!r}\\n\")\n"
    (tmp_path / "parts" / "tool.py").write_text(tool)
    (tmp_path / "parts" / "in.template").write_text("${load}\n${E}\n")
    (tmp_path / "run.yaml").write_text(CONFIG)
    return tmp_path / "run.yaml"


def test_a_config_runs_a_program_with_paths_of_its_own_folder(config, monkeypatch):
    """As many hits as the same formula has in Python, from the same draws, whatever the working folder is."""
    monkeypatch.chdir("/")
    experiment = configs.load(config).experiment()
    result = experiment.run()
    assert result.evaluations["total"] == 100
    formula = config.parent / "formula.py"
    formula.write_text("def loss(x): return 2.0 * x[:, 0] - x[:, 1]")
    text = CONFIG[: CONFIG.index("loss:")] + f"loss: {{kind: python, function: {formula}:loss}}\n"
    config.write_text(text + CONFIG[CONFIG.index("measures") :])
    assert configs.load(config).experiment().run().estimates[0].value == result.estimates[0].value
    assert 0 < result.estimates[0].value < 1


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("in.template}", "none}", "7:15: loss.templates.in.txt: no such file:"),
        ("tool.py]\n  t", "none.py]\n  t", "6:12: loss.copies[0]: no such file:"),
        ("column", "colum", "8:27: loss.output: unknown key 'colum'; did you mean 'column'?"),
        ("column: loss", 'pattern: "x"', "8:27: loss.output.pattern: must have one group"),
        ("parallel", "working_folder: none\n  parallel", "loss.working_folder: no such folder:"),
        (
            "-S, tool",
            "-S, $lod, tool",
            "5:3: loss.command: argument 3:1:1: unknown placeholder 'lod'; did you mean 'load'?",
        ),
    ],
)
def test_check_finds_what_is_wrong_without_running_anything(config, old, new, words):
    config.write_text(CONFIG.replace(old, new))
    with pytest.raises(ConfigError) as error:
        configs.load(config).outline()
    assert words in str(error.value)
    assert not (config.parent / "rows").exists()


def test_the_shell_names_the_folder_of_the_failed_row(config):
    (config.parent / "parts" / "tool.py").write_text("import sys\nsys.exit('no convergence')")
    done = CliRunner().invoke(cli.app, ["run", str(config), "--out", str(config.parent / "out")])
    said = "".join(done.output.split())
    assert done.exit_code == 3
    assert "endedwithexitcode1;itslastline:'noconvergence'" in said
    (folder,) = (folder for folder in (config.parent / "rows").iterdir() if folder.name in said)
    assert (folder / "in.txt").read_text().count("\n") == 2

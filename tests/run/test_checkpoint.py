"""Runs that are killed, interrupted or cannot write: the same digits after all, or a clear refusal."""

from __future__ import annotations

import errno
import hashlib
import itertools
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from raresim.config import load as configs
from raresim.engine.journal import Journal
from raresim.errors import CheckpointError
from raresim.files import storage
from raresim.losses.linear import Linear
from raresim.numerics.blocks import Block
from raresim.run import checkpoint
from raresim.run.checkpoint import Checkpoint, State
from raresim.shell import cli, common, unfinished
from tests.invoking import CliRunner

CONFIG = """\
seed: 1
inputs: {{kind: standard_normal, dim: 3}}
loss: {{kind: linear, weights: [1.0, 1.0, 1.0]}}
measures: [{{kind: probability, above: {above}}}]
method: {method}
stop: {stop}
execution: {{executor: {executor}, workers: 2, checkpoint: {seconds}}}
"""

METHODS = {
    "auto": "{kind: auto}",
    "crude": "{kind: crude}",
    "guarantee": "{kind: crude, guarantee: relative}",
    "cross_entropy": "{kind: cross_entropy, samples: 1000}",
    "design_point": "{kind: design_point}",
    "directional_sampling": "{kind: directional_sampling}",
    "improved_cross_entropy": "{kind: improved_cross_entropy}",
    "line_sampling": "{kind: line_sampling, draws: sobol}",
    "subset_simulation": "{kind: subset_simulation, samples: 200}",
}


def written(
    folder: Path,
    method: str = "crude",
    executor: str = "serial",
    seconds: float = 1000.0,
    stop: str = "{relative_error: 0.1, max_evaluations: 200000}",
    above: float = 4.0,
) -> Path:
    path = folder / "case.yaml"
    path.write_text(CONFIG.format(method=METHODS[method], executor=executor, seconds=seconds, stop=stop, above=above))
    return path


def run(path: Path, out: Path) -> dict[str, Any]:
    result = unfinished.complete(configs.load(path), out, lambda *_: None)
    return digits(result.to_dict())


def digits(content: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in content.items() if key != "seconds"}


def call(*arguments: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(cli.app, [str(a) for a in arguments], env={"COLUMNS": "80"})
    return result.exit_code, result.stdout, result.stderr


class Ticks:
    """Counts the calls of the loss, and interrupts the one with a given number."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls, self.rows, self.stop = 0, 0, 0
        whole = Linear.__call__

        def ticking(loss: Linear, x: Any, out: Any) -> None:
            self.calls += 1
            if self.calls == self.stop:
                raise KeyboardInterrupt
            self.rows += out.size
            whole(loss, x, out)

        monkeypatch.setattr(Linear, "__call__", ticking)

    def reset(self, stop: int = 0) -> None:
        self.calls, self.rows, self.stop = 0, 0, stop


@pytest.fixture
def ticks(monkeypatch: pytest.MonkeyPatch) -> Ticks:
    return Ticks(monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "executor"),
    [
        *((method, "serial") for method in METHODS),
        *((method, "threads") for method in ("auto", "crude", "cross_entropy")),
    ],
)
def test_a_run_interrupted_anywhere_ends_with_the_same_digits(
    method: str, executor: str, tmp_path: Path, ticks: Ticks, no_figures: None
) -> None:
    above = 3.0 if method in ("crude", "guarantee") else 5.0
    path = written(tmp_path, method, executor, above=above)
    whole = run(path, tmp_path / "whole")
    calls, evaluations = ticks.calls, ticks.rows
    rng = random.Random(method)
    ticks.reset()
    resumed, interruptions = None, 0
    while resumed is None:
        ticks.stop = ticks.calls + rng.randrange(1, max(2, calls // 3)) if interruptions < 6 else 0
        try:
            resumed = run(path, tmp_path / "out")
        except KeyboardInterrupt:
            interruptions += 1
            assert not (tmp_path / "out").exists()
    assert interruptions
    assert resumed == whole
    assert not (tmp_path / "out.partial").exists()
    if executor == "serial" and method not in ("crude", "guarantee", "line_sampling"):
        assert ticks.rows < 1.35 * evaluations


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "executor"), [("crude", "serial"), ("auto", "serial"), ("cross_entropy", "processes")]
)
def test_rows_that_failed_before_an_interruption_are_counted_once(
    method: str, executor: str, tmp_path: Path, no_figures: None
) -> None:
    """Losses with failed rows are not in the journal, and those of the estimate are saved with its sums."""
    (tmp_path / "partly.py").write_text(
        "import numpy as np\ndef loss(x): return np.where(x[:, 0] > 2.5, np.nan, x.sum(axis=1))\n"
    )
    path = written(tmp_path, method, executor, above=4.0, stop="{relative_error: 0.05, max_evaluations: 100000}")
    partly = "{kind: python, function: partly.py:loss, on_failure: bound}"
    path.write_text(path.read_text().replace("{kind: linear, weights: [1.0, 1.0, 1.0]}", partly))
    told = itertools.count()

    def now_and_then(*_: Any) -> None:
        if next(told) in stops:
            raise KeyboardInterrupt

    stops: set[int] = set()
    alone = configs.load(path, ["execution.executor=serial"])
    whole = digits(unfinished.complete(alone, tmp_path / "whole", now_and_then).to_dict())
    assert whole["failed"]["rows"] > 0
    last = next(told)
    told, stops = itertools.count(), {last // 3, last // 3 + last // 2}
    for _ in stops:
        with pytest.raises(KeyboardInterrupt):
            unfinished.complete(configs.load(path), tmp_path / "out", now_and_then)
    assert digits(unfinished.complete(alone, tmp_path / "out", lambda *_: None).to_dict()) == whole


def test_the_search_is_not_evaluated_again(tmp_path: Path, ticks: Ticks, no_figures: None) -> None:
    path = written(tmp_path, "cross_entropy", above=5.0)
    tuned = run(path, tmp_path / "whole")["evaluations"]["tune"]
    ticks.reset()
    ticks.stop = 12
    with pytest.raises(KeyboardInterrupt):
        run(path, tmp_path / "out")
    before = ticks.rows
    assert 0 < before < tuned
    ticks.stop = 0
    result = run(path, tmp_path / "out")
    assert ticks.rows == result["evaluations"]["total"]


@pytest.mark.slow
def test_processes_bring_their_losses_along(tmp_path: Path, no_figures: None) -> None:
    (tmp_path / "slow.py").write_text(
        "import os\n"
        "def loss(x):\n"
        "    with open(os.path.join(os.path.dirname(__file__), 'rows'), 'a') as file:\n"
        "        file.write(f'{len(x)}\\n')\n"
        "    return x.sum(axis=1)\n"
    )
    path = written(tmp_path, "cross_entropy", "processes", above=6.0)
    path.write_text(
        path.read_text().replace("{kind: linear, weights: [1.0, 1.0, 1.0]}", "{kind: python, function: slow.py:loss}")
    )

    def stop_in_the_estimate(stage: str, *_: Any) -> None:
        if stage == "estimate":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        unfinished.complete(configs.load(path), tmp_path / "out", stop_in_the_estimate)
    (tmp_path / "rows").unlink()
    result = unfinished.complete(configs.load(path, ["execution.executor=serial"]), tmp_path / "out", lambda *_: None)
    evaluated = sum(map(int, (tmp_path / "rows").read_text().split()))
    assert evaluated <= result.evaluations["estimate"] + result.evaluations["audit"]
    whole = unfinished.complete(configs.load(path, ["execution.executor=serial"]), tmp_path / "whole", lambda *_: None)
    assert digits(result.to_dict()) == digits(whole.to_dict())


@pytest.mark.parametrize("method", ["cross_entropy", "crude"])
@pytest.mark.slow_cases("cross_entropy")
def test_extended_run_is_the_run_with_the_larger_budget(method: str, tmp_path: Path, no_figures: None) -> None:
    """Where there is an audit, all but that: it is not made again."""
    above = 3.0 if method == "crude" else 5.0
    small, large = (f"{{relative_error: null, max_evaluations: {n}}}\naudit: off" for n in (30_001, 77_777))
    run(written(tmp_path, method, stop=small, above=above), tmp_path / "first")
    config, finished = unfinished.extended(tmp_path / "first", 20_000)
    unfinished.complete(config, tmp_path / "second", lambda *_: None, finished)
    config, finished = unfinished.extended(tmp_path / "second", 27_776)
    result = unfinished.complete(config, tmp_path / "third", lambda *_: None, finished)
    assert digits(result.to_dict()) == run(written(tmp_path, method, stop=large, above=above), tmp_path / "whole")


def test_extension_holds_the_audit_against_the_longer_sample(tmp_path: Path, ticks: Ticks, no_figures: None) -> None:
    """Its climbs are in the checkpoint: none of their losses is evaluated again."""
    stop = "{relative_error: null, max_evaluations: 30000}"
    first = run(written(tmp_path, "cross_entropy", stop=stop, above=5.0), tmp_path / "first")
    config, finished = unfinished.extended(tmp_path / "first", 20_000)
    ticks.reset()
    longer = unfinished.complete(config, tmp_path / "second", lambda *_: None, finished)
    assert longer.search["audit"] == first["search"]["audit"]
    assert longer.search["audit"]["climbs"] == 2
    assert ticks.rows <= 20_000
    assert longer.evaluations["estimate"] > first["evaluations"]["estimate"] + 10_000


def test_run_of_less_than_a_block_can_be_extended(tmp_path: Path, no_figures: None) -> None:
    small, large = ({"relative_error": None, "max_evaluations": n} for n in (101, 1001))
    run(written(tmp_path, stop=json.dumps(small), above=1.0), tmp_path / "first")
    assert unfinished.state_of(tmp_path / "first").progress is None
    config, finished = unfinished.extended(tmp_path / "first", 900)
    result = unfinished.complete(config, tmp_path / "second", lambda *_: None, finished)
    assert digits(result.to_dict()) == run(written(tmp_path, stop=json.dumps(large), above=1.0), tmp_path / "whole")


def test_extension_of_a_run_with_an_asked_error_is_one_more_look(
    tmp_path: Path, ticks: Ticks, no_figures: None
) -> None:
    first = run(written(tmp_path, "cross_entropy", above=5.0), tmp_path / "first")
    config, finished = unfinished.extended(tmp_path / "first", 5_000)
    ticks.reset(stop=3)
    with pytest.raises(KeyboardInterrupt):
        unfinished.complete(config, tmp_path / "more", lambda *_: None, finished)
    ticks.stop = 0
    more = unfinished.complete(config, tmp_path / "more", lambda *_: None, finished)
    assert ticks.rows == 5_000
    assert more.evaluations["estimate"] == first["evaluations"]["estimate"] + 5_000
    assert more.evaluations["audit"] == first["evaluations"]["audit"] > 0
    assert more.search["audit"] == first["search"]["audit"]
    assert more.stopping["looks"] == first["stopping"]["looks"] + 1
    assert not more.stopping["planned"]
    assert more.estimates[0].std_error < first["estimates"][0]["std_error"]


def test_extension_refuses_a_changed_loss_and_what_is_no_run(tmp_path: Path, no_figures: None) -> None:
    (tmp_path / "l.py").write_text("def f(x): return x.sum(axis=1)\n")
    path = written(tmp_path, above=2.0)
    path.write_text(
        path.read_text().replace("{kind: linear, weights: [1.0, 1.0, 1.0]}", "{kind: python, function: l.py:f}")
    )
    run(path, tmp_path / "run")
    (tmp_path / "l.py").write_text("def f(x): return x.max(axis=1)\n")
    code, _, stderr = call("extend", tmp_path / "run", "--budget", 1000, "-q")
    assert code == 2
    assert "is the state of another run: files.l.py: " in stderr
    (tmp_path / "run" / "checkpoint").unlink()
    assert "cannot be extended" in call("extend", tmp_path / "run", "--budget", 1000)[2]
    assert f"{tmp_path}: is not a run folder; it holds" in call("extend", tmp_path, "--budget", 1000)[2]


def test_run_that_ends_with_a_number_of_hits_is_not_extended(tmp_path: Path, no_figures: None) -> None:
    run(written(tmp_path, "guarantee", above=2.0), tmp_path / "run")
    code, _, stderr = call("extend", tmp_path / "run", "--budget", 1000)
    assert code == 2
    assert "guarantee: must not be given for a run that is extended" in stderr


def test_sums_of_bets_survive_an_interruption(tmp_path: Path, ticks: Ticks, no_figures: None) -> None:
    path = written(tmp_path, "cross_entropy")
    path.write_text(path.read_text().replace("above: 4.0", "above: 4.0, interval: betting"))
    whole = run(path, tmp_path / "whole")
    ticks.stop = ticks.calls - 1
    ticks.calls = 0
    with pytest.raises(KeyboardInterrupt):
        run(path, tmp_path / "out")
    ticks.stop = 0
    assert run(path, tmp_path / "out") == whole
    assert whole["estimates"][0]["interval_kind"].startswith("betting")


def state() -> State:
    journal = Journal()
    u = np.arange(6.0).reshape(3, 2)
    journal.keep(Block(0, 0, 0, 3), u, np.array([1.0, 2.0, 3.0]))
    return State({"config": {"seed": 1, "stop": {"max_evaluations": 7}}}, 4, journal, None, {"a.json": b"{}"})


def test_state_survives_its_file() -> None:
    again = State.of_bytes(state().to_bytes())
    assert again.to_bytes() == state().to_bytes()
    assert again.journal.recall(Block(0, 0, 0, 3), np.arange(6.0).reshape(3, 2)).tolist() == [1.0, 2.0, 3.0]
    assert again.files == {"a.json": b"{}"}


def test_every_flipped_bit_and_every_truncation_is_detected() -> None:
    content = state().to_bytes()
    for place in range(len(content)):
        with pytest.raises((ValueError, KeyError, TypeError, AttributeError)):
            State.of_bytes(content[:place])
        flipped = bytearray(content)
        flipped[place] ^= 1 << (place % 8)
        with pytest.raises((ValueError, KeyError, TypeError, AttributeError)):
            State.of_bytes(bytes(flipped))


def test_damaged_generation_falls_back_to_the_one_before_and_two_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint"
    for generation in (1, 2):
        storage.replace_file(path, replace(state(), generation=generation).to_bytes(), checkpoint.previous_of(path))
    assert checkpoint.load(path).generation == 2
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    with pytest.warns(UserWarning, match="SHA-256 does not match its content; the run goes on from the generation"):
        assert checkpoint.load(path).generation == 1
    checkpoint.previous_of(path).write_bytes(b"")
    with pytest.raises(CheckpointError, match="remove it to start the run anew"):
        checkpoint.load(path)
    checkpoint.previous_of(path).write_bytes(whole)
    path.write_bytes(replace(state(), generation=1).to_bytes())
    assert checkpoint.load(path).generation == 2


def test_state_of_another_run_is_refused_with_what_differs(tmp_path: Path, ticks: Ticks, no_figures: None) -> None:
    path = written(tmp_path, "crude", above=3.0)
    ticks.reset(stop=5)
    with pytest.raises(KeyboardInterrupt):
        run(path, tmp_path / "out")
    ticks.stop = 0
    code, _, stderr = call("run", path, "seed=2", "--out", tmp_path / "out", "--resume", "-q")
    assert code == 2
    assert "is the state of another run: config.seed: 1 there, 2 here" in stderr
    code, _, stderr = call("run", path, "--out", tmp_path / "out", "-q")
    assert code == 2
    assert "holds an unfinished run; --resume goes on with it" in stderr
    with unfinished.held(tmp_path / "out.partial"):
        code, _, stderr = call("run", path, "--out", tmp_path / "out", "--resume", "-q")
        assert code == 2
        assert "another run is using it" in stderr


@pytest.mark.slow
def test_estimate_so_far_is_caution_and_needs_no_loss(tmp_path: Path, ticks: Ticks) -> None:
    path = written(tmp_path, "crude", above=2.0, stop="{relative_error: null, max_evaluations: 100000}")
    ticks.reset(stop=20)
    code, _, stderr = call("run", path, "--out", tmp_path / "out", "-q")
    assert code == 130
    assert "so far P(loss >= 2) = " in stderr
    assert f"--out {tmp_path / 'out'} --resume" in stderr
    path.unlink()
    calls = ticks.calls
    code, stdout, _ = call("report", tmp_path / "out")
    assert code == 0
    assert ticks.calls == calls
    folder = tmp_path / "out.partial" / "so-far"
    assert stdout.split() == [str(folder / "report.html")]
    result = json.loads((folder / "result.json").read_text())
    assert result["verdict"]["status"] == "caution"
    assert "the run was interrupted" in (folder / "report.html").read_text(encoding="utf-8")
    assert result["evaluations"]["total"] == ticks.rows


def test_report_of_a_search_under_way_says_so(tmp_path: Path, ticks: Ticks) -> None:
    path = written(tmp_path, "cross_entropy", above=5.0)
    ticks.reset(stop=4)
    assert call("run", path, "--out", tmp_path / "out", "-q")[0] == 130
    code, _, stderr = call("report", tmp_path / "out")
    assert code == 2
    assert "the run is in its search, 768 evaluations are kept; there is no estimate yet" in stderr


def test_resume_without_a_folder_finds_the_unfinished_run_of_this_config(
    tmp_path: Path, ticks: Ticks, no_figures: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = written(tmp_path, "crude", above=2.0)
    ticks.reset(stop=3)
    assert call("run", path, "-q")[0] == 130
    ticks.stop = 0
    code, _, stderr = call("run", path, "seed=9", "--resume")
    assert code == 0
    assert "no unfinished run of this config; a new one begins" in stderr
    (left,) = (tmp_path / "runs" / "case").glob("*.partial")
    code, _, stderr = call("run", path, "--resume")
    assert code == 0
    assert "no unfinished run" not in stderr
    assert not left.exists()
    assert "must not end in '.partial'" in call("run", path, "--out", "a.partial")[2]
    assert left.with_name(left.name.removesuffix(".partial")).is_dir()


def test_resume_of_a_finished_run_computes_nothing(tmp_path: Path, ticks: Ticks, no_figures: None) -> None:
    path = written(tmp_path, "crude", above=2.0)
    assert call("run", path, "--out", tmp_path / "out", "-q")[0] == 0
    ticks.reset()
    code, stdout, _ = call("run", path, "--out", tmp_path / "out", "--resume", "-q")
    assert (code, ticks.calls) == (0, 0)
    assert "the run is finished" in stdout
    assert call("run", path, "seed=5", "--out", tmp_path / "out", "--resume", "-q")[0] == 2


def test_state_with_a_file_that_would_leave_the_folder_is_refused() -> None:
    for name in ("../a.json", "/tmp/a.json", "a\\b.json", ".hidden", "a.json\n", "con", ""):
        with pytest.raises(ValueError, match="it holds a file called"):
            State.of_bytes(replace(state(), files={name: b""}).to_bytes())


def test_state_holds_nothing_but_known_parts() -> None:
    content = state().to_bytes().partition(b"\n")[2].partition(b"\n")[2]
    for told in (b'{"object": ["Path", {}]}', b'{"array": ["|O", [1], 0]}', b'{"array": ["<f8", [9000], 0]}'):
        head, body = content.partition(b"\n")[0], b'{"map": {"keys": ' + told + b"}}\n"
        forged = head + b"\n" + body
        digest = hashlib.sha256(forged).hexdigest().encode()
        with pytest.raises((ValueError, KeyError)):
            State.of_bytes(checkpoint.MAGIC + digest + b"\n" + forged)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_saves_the_run_and_ends_it(number: signal.Signals, tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text(
        "import pathlib, time\n"
        "def loss(x):\n"
        "    time.sleep(0.02)\n"
        "    (pathlib.Path(__file__).parent / 'begun').touch()\n"
        "    return x.sum(axis=1)\n"
    )
    path = written(tmp_path, above=2.0, stop="{relative_error: null, max_evaluations: 1000000}", executor="threads")
    path.write_text(
        path.read_text().replace("{kind: linear, weights: [1.0, 1.0, 1.0]}", "{kind: python, function: slow.py:loss}")
    )
    command = [sys.executable, "-m", "raresim.shell.cli", "run", str(path), "--out", str(tmp_path / "out"), "-q"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    while not (tmp_path / "begun").exists():
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.02)
    time.sleep(0.3)
    process.send_signal(number)
    _, stderr = process.communicate(timeout=300)  # a busy machine takes that long to draw what there is
    assert process.returncode == 128 + number
    assert "so far P(loss >= 2) = " in stderr
    assert "Traceback" not in stderr
    assert unfinished.state_of(tmp_path / "out.partial").progress.total.evaluations > 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_second_signal_is_left_to_the_system(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with common.signals_interrupt():
        with pytest.raises(common.Interrupted) as stop:
            signal.raise_signal(number)
        assert stop.value.exit_code == 128 + number
        assert signal.getsignal(signal.SIGINT) is signal.SIG_DFL
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    assert signal.getsignal(number) is before


def test_a_first_attempt_that_cannot_run_leaves_nothing_and_a_later_one_keeps_what_was_saved(
    tmp_path: Path, ticks: Ticks, no_figures: None
) -> None:
    path = written(tmp_path, "crude", above=2.0)
    wrong = "inputs={kind: normal, fit: {prices: none.csv, returns: log}}"
    assert call("run", path, wrong, "--out", tmp_path / "sub" / "out", "-q")[0] == 2
    assert not (tmp_path / "sub").exists()
    ticks.reset(stop=3)
    assert call("run", path, "--out", tmp_path / "out", "-q")[0] == 130
    assert call("run", path, wrong, "--out", tmp_path / "out", "--resume", "-q")[0] == 2
    assert unfinished.state_of(tmp_path / "out.partial").progress.chunks == 2


def failing(code: int, at: int) -> Callable[[], None]:
    """A stand-in for a system call that fails with ``code`` from its call number ``at`` on."""
    calls = itertools.count(1)

    def check() -> None:
        if next(calls) >= at:
            raise OSError(code, os.strerror(code))

    return check


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EACCES])
@pytest.mark.parametrize("call_of", ["write", "fsync", "replace"])
def test_failed_write_leaves_the_generation_before_and_names_the_path(
    code: int, call_of: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "checkpoint"
    storage.replace_file(path, state().to_bytes(), checkpoint.previous_of(path))
    storage.replace_file(path, state().to_bytes(), checkpoint.previous_of(path))
    for at in range(1, 4):
        check = failing(code, at)
        with monkeypatch.context() as patched:
            if call_of == "write":
                whole_open = Path.open

                def opened(self: Path, *args: Any, check: Any = check, whole_open: Any = whole_open) -> Any:
                    check()
                    return whole_open(self, *args)

                patched.setattr(Path, "open", opened)
            else:
                whole = getattr(os, call_of)

                def wrapped(*args: Any, check: Any = check, whole: Any = whole) -> Any:
                    check()
                    return whole(*args)

                patched.setattr(os, call_of, wrapped)
            with suppress(OSError) if at > 1 else pytest.raises(OSError, match=re.escape(f"'{path}'")):
                storage.replace_file(path, replace(state(), generation=99).to_bytes(), checkpoint.previous_of(path))
        assert checkpoint.load(path).generation in (4, 99)
        assert not list(tmp_path.glob("*.draft"))


def test_failed_saving_ends_the_run_with_the_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_figures: None
) -> None:
    path = written(tmp_path, "crude", seconds=0.01, above=3.0, stop="{relative_error: null, max_evaluations: 20000000}")
    saved, whole = [], storage.replace_file

    def full(place: Path, *rest: Any) -> None:
        saved.append(place)
        before = unfinished.state_of(place.parent)
        if before is not None and before.progress is not None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(place))
        whole(place, *rest)

    monkeypatch.setattr(checkpoint, "replace_file", full)
    code, _, stderr = call("run", path, "--out", tmp_path / "out", "-q")
    assert code == 1
    first, how = stderr.splitlines()
    assert first == f"{tmp_path / 'out.partial' / 'checkpoint'}: No space left on device"
    assert how.endswith(f"go on with the same command and --out {tmp_path / 'out'} --resume")
    assert not (tmp_path / "out").exists()
    state = unfinished.state_of(tmp_path / "out.partial")
    assert state.progress is not None
    assert state.generation == len(saved) - 1


def test_journal_that_is_full_keeps_the_beginning_of_each_block() -> None:
    journal = Journal(limit=40)
    u = np.zeros((2, 1))
    for _ in range(4):
        journal.keep(Block(0, 0, 0, 2), u, np.zeros(2))
    assert journal.evaluations == 4
    again = Journal.of_arrays(*journal.arrays())
    assert [again.recall(Block(0, 0, 0, 2), u) is None for _ in range(3)] == [False, False, True]


def test_losses_of_other_draws_are_refused() -> None:
    journal = Journal.of_arrays(*state().journal.arrays())
    with pytest.raises(CheckpointError, match="the draws differ from the interrupted run"):
        journal.recall(Block(0, 0, 0, 3), np.ones((3, 2)))


def test_saving_goes_on_in_the_background(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint"
    with Checkpoint(path, {}, seconds=0.01):
        time.sleep(0.2)
        assert checkpoint.load(path).generation > 2


def test_no_checkpoint_where_none_is_wanted(tmp_path: Path, ticks: Ticks, no_figures: None) -> None:
    path = written(tmp_path, "crude", above=2.0)
    ticks.reset(stop=3)
    code, _, stderr = call("run", path, "execution.checkpoint=null", "--out", tmp_path / "out", "-q")
    assert code == 130
    assert "the unfinished run was not saved" in stderr
    assert not list(tmp_path.glob("out*"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert call("run", path, "execution.checkpoint=0", "--out", tmp_path / "out", "-q")[0] == 2

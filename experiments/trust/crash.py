"""Does a run survive anything? Kills at random instants, damaged checkpoints, and every write failing once.

``python experiments/trust/crash.py`` prints the tables and writes crash.md beside this file; ``--quick`` takes fewer
trials of each, writes nothing and fails on a single miss. Needs a system with ``fork``.
"""

from __future__ import annotations

import argparse
import errno
import itertools
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any
from unittest import mock

import typer

from raresim import report
from raresim.config import load as configs
from raresim.errors import CheckpointError
from raresim.run import checkpoint
from raresim.shell import running, unfinished

SEED = 20_261_125
KILLS, QUICK_KILLS = 300, 8
CORRUPTIONS, QUICK_CORRUPTIONS = 1000, 50
ERRORS = (errno.ENOSPC, errno.EIO, errno.EACCES)
SAVE_SECONDS = 0.03
"""Seconds between two savings, so short that many kills come in the middle of one."""

MOST_KILLS = 6
"""Kills of one run, after which it is left to end."""

TABLE = Path(__file__).with_name("crash.md")

CONFIG = """\
seed: 1
inputs: {{kind: standard_normal, dim: 3}}
loss: {{kind: python, function: loss.py:total}}
measures: [{{kind: probability, above: {above}}}]
method: {method}
stop: {{relative_error: {error}}}
execution: {{executor: {executor}, workers: 2, checkpoint: {seconds}}}
"""

LOSS = """\
import time

def total(x):
    time.sleep(0.001)
    return x.sum(axis=1)
"""

CASES = {
    "auto": ("{kind: auto}", 5.0, 0.01),
    "cross_entropy": ("{kind: cross_entropy, samples: 1000}", 5.0, 0.01),
    "crude": ("{kind: crude}", 3.0, 0.01),
    "subset_simulation": ("{kind: subset_simulation, samples: 300}", 4.0, 0.1),
}


@dataclass
class Tally:
    """Trials of one kind: how many, what was seen in them, and which went wrong."""

    what: str
    trials: int = 0
    misses: int = 0
    seen: Counter[str] = field(default_factory=Counter)

    def row(self) -> str:
        seen = ", ".join(f"{count:,} {word}" for word, count in sorted(self.seen.items()))
        return f"| {self.what} | {self.trials:,} | {seen} | {self.misses} |"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer trials; write nothing, fail on a miss")
    quick = parser.parse_args().quick
    rng = random.Random(SEED)
    with tempfile.TemporaryDirectory() as name, mock.patch.object(report, "build", lambda folder: folder):
        folder = Path(name)
        (folder / "loss.py").write_text(LOSS)
        kills = [
            killed(folder, method, executor, rng, (QUICK_KILLS if quick else KILLS) // (2 * len(CASES)) + 1)
            for method in CASES
            for executor in ("serial", "threads")
            if not quick or method != "subset_simulation" or executor == "threads"
        ]
        damaged = corrupted(folder, rng, QUICK_CORRUPTIONS if quick else CORRUPTIONS)
        failed = [unwritten(folder, code) for code in (ERRORS[:1] if quick else ERRORS)]
    text = page(kills, damaged, failed)
    sys.stdout.write(text)
    if not quick:
        TABLE.write_text(text)
    return min(1, sum(tally.misses for tally in (*kills, *damaged, *failed)))


def page(kills: list[Tally], damaged: list[Tally], failed: list[Tally]) -> str:
    """The tables."""
    head = "| {} | trials | seen | misses |\n| --- | ---: | --- | ---: |"
    total = sum(tally.trials for tally in kills)
    parts = [
        "# Runs that are killed, checkpoints that are damaged, writes that fail",
        "Made by `python experiments/trust/crash.py`.",
        f"**SIGKILL at a random instant**, {total:,} in all, a saving every {SAVE_SECONDS:g} s. A run is killed up to "
        f"{MOST_KILLS} times and resumed each time. A miss: it could not be resumed, or `result.json` differs in a "
        "digit from that of the run that was left alone (but for the seconds it took).",
        "\n".join([head.format("method, executor"), *(tally.row() for tally in kills)]),
        "**Damaged checkpoints** of an interrupted run. A miss: anything was read other than a generation that was "
        "written, without a warning or a refusal, or an older generation than the newest whole one.",
        "\n".join([head.format("damage"), *(tally.row() for tally in damaged)]),
        "**Every write failing once**, in a run from the shell: each opening, write, fsync, link and rename. A miss: "
        "the exit code is not 1, the message names no path of the run, the run folder is there but not whole, or the "
        "run resumed afterwards has other digits.",
        "\n".join([head.format("error"), *(tally.row() for tally in failed)]),
    ]
    return "\n\n".join(parts) + "\n"


def written(folder: Path, method: str, executor: str, seconds: float) -> configs.Config:
    """The config of a case."""
    options, above, error = CASES[method]
    path = folder / f"{method}.yaml"
    path.write_text(
        CONFIG.format(method=options, above=above, error=error, executor=executor, seconds=seconds), encoding="utf-8"
    )
    return configs.load(path)


def digits(folder: Path) -> str:
    """The content that must not depend on an interruption: ``result.json`` without the seconds."""
    content = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    content.pop("seconds")
    return json.dumps(content)


def killed(folder: Path, method: str, executor: str, rng: random.Random, kills: int) -> Tally:
    """Kill runs of a case at random instants until there were ``kills`` of them."""
    config = written(folder, method, executor, SAVE_SECONDS)
    whole = folder / f"{method}-{executor}"
    unfinished.complete(config, whole, _silent)
    begun = time.monotonic()
    unfinished.complete(config, folder / "timed", _silent)
    seconds = time.monotonic() - begun
    shutil.rmtree(folder / "timed")
    tally = Tally(f"{method}, {executor}")
    while tally.trials < kills:
        out, on_this = folder / "killed", 0
        while not out.exists():
            child = in_child(config, out)
            if on_this < MOST_KILLS and tally.trials < kills:
                time.sleep(rng.uniform(0.0, seconds))
                os.kill(child, signal.SIGKILL)
            _, status = os.waitpid(child, 0)
            if os.WIFSIGNALED(status):
                tally.trials, on_this = tally.trials + 1, on_this + 1
                tally.seen[_place(unfinished.partial_of(out))] += 1
            elif os.WEXITSTATUS(status):
                tally.misses += 1
                break
        if out.exists():
            tally.misses += digits(out) != digits(whole)
            shutil.rmtree(out)
        shutil.rmtree(unfinished.partial_of(out), ignore_errors=True)
    return tally


def in_child(config: configs.Config, out: Path) -> int:
    """Begin or resume the run in a forked process, which has nothing left to import; its id."""
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        unfinished.complete(config, out, _silent)
        status = 0
    except BaseException as error:  # no exception may return into the parent's code
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
    finally:
        sys.stderr.flush()
        os._exit(status)


def _silent(*_: object) -> None:
    pass


def _place(partial: Path) -> str:
    """Where a killed run was."""
    if list(partial.glob("*.draft")) or list(partial.glob("*.second")):
        return "in a saving"
    try:
        state = unfinished.state_of(partial)
    except CheckpointError:
        return "with damage"
    if state is None:
        return "before the first saving"
    return "before the estimate" if state.progress is None else "in the estimate"


def corrupted(folder: Path, rng: random.Random, trials: int) -> list[Tally]:
    """Damage the two generations of a checkpoint in every way."""
    path = folder / "damaged" / "checkpoint"
    path.parent.mkdir()
    generations = _generations(folder)
    foreign = generations.pop()
    ways: dict[str, Callable[[bytes], bytes]] = {
        "truncated": lambda content: content[: rng.randrange(len(content))],
        "one bit flipped": lambda content: _flipped(content, rng.randrange(8 * len(content))),
        "64 bytes overwritten": lambda content: _overwritten(content, rng),
        "generations swapped": lambda content: content,
        "of another run": lambda content: foreign.to_bytes(),
    }
    tallies = []
    for what, damage in ways.items():
        tally = Tally(what)
        for trial in range(trials // len(ways)):
            old, new = (state.to_bytes() for state in generations)
            both = trial % 4 == 3
            if what == "generations swapped":
                old, new = new, old
            else:
                new, old = damage(new), damage(old) if both else old
            path.write_bytes(new)
            checkpoint.previous_of(path).write_bytes(old)
            tally.trials += 1
            outcome = _read(path, generations[1].identity)
            tally.seen[outcome if isinstance(outcome, str) else f"read generation {outcome} with a warning"] += 1
            expected: Any = {"generations swapped": "the newest was taken", "of another run": "refused"}.get(
                what, "refused" if both else generations[0].generation
            )
            tally.misses += outcome != expected
        tallies.append(tally)
    return tallies


def _generations(folder: Path) -> list[checkpoint.State]:
    """Two generations of an interrupted run, and the state of another run."""
    found = []
    for method, stops in (("cross_entropy", (6, 12)), ("crude", (9,))):
        config = written(folder, method, "serial", 1000.0)
        out = folder / f"states-{method}"
        for stop in stops:
            seen = itertools.count(1)

            def interrupt(*_: object, seen: Iterator[int] = seen, stop: int = stop) -> None:
                if next(seen) == stop:
                    raise KeyboardInterrupt

            with suppress(KeyboardInterrupt):
                unfinished.complete(config, out, interrupt)
            state = unfinished.state_of(unfinished.partial_of(out))
            if state is None:
                raise RuntimeError(f"{method}: the run was not interrupted by call {stop} of its report")
            found.append(state)
    return found


def _flipped(content: bytes, bit: int) -> bytes:
    changed = bytearray(content)
    changed[bit // 8] ^= 1 << (bit % 8)
    return bytes(changed)


def _overwritten(content: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(max(1, len(content) - 64))
    return content[:at] + rng.randbytes(64) + content[at + 64 :]


def _read(path: Path, identity: checkpoint.Identity) -> int | str:
    """The result of reading: the generation where there was a warning, or what happened, in words."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        try:
            state = checkpoint.load(path)
            if state is None:
                return "nothing was found"
            checkpoint.refuse_other(path, state.identity, identity)
        except CheckpointError:
            return "refused"
    return state.generation if told else "the newest was taken"


class Failing:
    """Makes one of the operations that write fail: number ``at``, counted from one; 0 only counts them."""

    def __init__(self, code: int, at: int) -> None:
        self.code, self.at, self.done = code, at, 0

    def __call__(self, path: object = None) -> None:
        self.done += 1
        if self.done == self.at:
            raise OSError(self.code, os.strerror(self.code), *([str(path)] if path else []))

    @contextmanager
    def installed(self) -> Iterator[None]:
        """A context in which openings for writing, writes, fsync, links and renames count and may fail."""
        whole_open = Path.open
        tick = self

        def opened(path: Path, mode: str = "r", *rest: Any, **options: Any) -> Any:
            if "w" not in mode:
                return whole_open(path, mode, *rest, **options)
            tick(path)
            file = whole_open(path, mode, *rest, **options)
            return _FailingFile(file, tick)

        def before(name: str, names_path: bool) -> Any:
            whole = getattr(os, name)

            def wrapped(first: Any, *rest: Any) -> Any:
                tick(first if names_path else None)
                return whole(first, *rest)

            return mock.patch.object(os, name, wrapped)

        with mock.patch.object(Path, "open", opened), before("fsync", False), before("replace", True):
            yield


class _FailingFile:
    """A file whose writes may fail."""

    def __init__(self, file: Any, tick: Failing) -> None:
        self._file, self._tick = file, tick

    def write(self, content: Any) -> Any:
        self._tick()
        return self._file.write(content)

    def __enter__(self) -> _FailingFile:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def unwritten(folder: Path, code: int) -> Tally:
    """Make every writing operation fail once with ``code``, in a run from the shell."""
    written(folder, "crude", "serial", 1000.0)
    path = folder / "crude.yaml"
    whole, out = folder / "written", folder / "unwritten"
    shutil.rmtree(whole, ignore_errors=True)
    _shell(path, whole, Failing(code, 0))
    tally = Tally(errno.errorcode[code])
    for at in itertools.count(1):
        failing = Failing(code, at)
        status, message = _shell(path, out, failing)
        if failing.done < at:
            break
        tally.trials += 1
        tally.seen["exit 1, path named"] += status == 1 and str(out) in message
        tally.misses += status != 1 or str(out) not in message or (out.exists() and digits(out) != digits(whole))
        _shell(path, out, Failing(code, 0))
        tally.misses += digits(out) != digits(whole)
        shutil.rmtree(out, ignore_errors=True)
    shutil.rmtree(out, ignore_errors=True)
    return tally


def _shell(path: Path, out: Path, failing: Failing) -> tuple[int, str]:
    """``raresim run --resume`` with an operation failing: exit code and message."""
    message = StringIO()
    with failing.installed(), redirect_stderr(message), redirect_stdout(StringIO()):
        try:
            running.run(path, out=out, resume=True, quiet=True)
        except typer.Exit as end:
            return int(end.exit_code), message.getvalue()
    return 0, message.getvalue()


if __name__ == "__main__":
    sys.exit(main())

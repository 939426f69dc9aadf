"""The folder of an unfinished run: ``RUN.partial``, beside the place of the future run folder.

It holds the checkpoint, its previous generation, a lock, and ``so-far/``, a run folder with the estimate so far if one
was asked for. It is removed when the run folder is complete.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raresim.engine.executors import Execution, Executor
from raresim.errors import CheckpointError, ClusterLostError, ConfigError, FieldError, LossError, RaresimError
from raresim.files import run_folders
from raresim.files.run_folders import CHECKPOINT, SUFFIX
from raresim.run.checkpoint import Checkpoint, State, load, refuse_other
from raresim.run.estimation import Extension
from raresim.run.result import refuse_existing, write_folder
from raresim.shell.progress import forecast

if TYPE_CHECKING:
    from raresim.config.load import Config
    from raresim.engine.session import Report
    from raresim.losses.base import Loss
    from raresim.run.experiment import Experiment
    from raresim.run.live import Live
    from raresim.run.result import Build, Result

SO_FAR = "so-far"

TIMED = ("seconds", "ended_at", "by_hand")
"""Keys of ``stop`` that end a run before its budget."""

DEFAULT_SECONDS = Execution().checkpoint or 10.0


def partial_of(folder: Path) -> Path:
    """The place where the run for ``folder`` keeps its state; such a place itself is returned unchanged."""
    folder = folder if folder.name else folder.absolute()
    return folder if folder.name.endswith(SUFFIX) else folder.with_name(folder.name + SUFFIX)


def final_of(partial: Path) -> Path:
    """The place of the future run folder."""
    return partial.with_name(partial.name.removesuffix(SUFFIX))


def identity_of(config: Config, experiment: Experiment) -> dict[str, Any]:
    """The identity of this run's state: the resolved config, the hashes of its files, and the versions of libraries."""
    import numba
    import numpy
    import scipy

    import raresim
    from raresim.numerics.streams import BIT_GENERATOR, STREAM_VERSION

    return {
        "config": {key: value for key, value in config.resolved().items() if key != "execution"},
        "config_sha256": config.digest,
        "files": {facts["name"]: facts["sha256"] for facts in experiment.files()},
        "versions": {
            "raresim": raresim.__version__,
            "numpy": numpy.__version__,
            "scipy": scipy.__version__,
            "numba": numba.__version__,
            "streams": f"{BIT_GENERATOR} {STREAM_VERSION}",
        },
    }


def newest(parent: Path, digest: str) -> Path | None:
    """The future run folder in ``parent`` of the unfinished run of config ``digest`` that was saved last, or None."""
    saved = [
        *parent.glob(f"*-{digest[:8]}{SUFFIX}/{CHECKPOINT}"),
        *parent.glob(f"*-{digest[:8]}-*{SUFFIX}/{CHECKPOINT}"),
    ]
    found = sorted(saved, key=lambda path: path.stat().st_mtime_ns)
    return final_of(found[-1].parent) if found else None


@contextmanager
def claimed(folder: Path) -> Iterator[Path]:
    """A future run folder that no other run has: ``folder``, or, if it is taken, its name with -2, -3, ... added.

    The run takes the place by making its ``.partial`` folder, in which only one of several runs can succeed that begin
    at the same moment. The place is released afterwards if nothing was saved in it.
    """
    with _room_for(folder) as parent:
        place = next(parent / name for name in _names(folder.name) if _claim(parent / name))
        try:
            yield folder.with_name(place.name)
        finally:
            if partial_of(place).is_dir() and not (partial_of(place) / CHECKPOINT).exists():
                clear(place)


def place_for(stated: Path | None, place: Path, resume: bool) -> AbstractContextManager[Path]:
    """The future run folder: the one that was ``stated``, or a `claimed` one at ``place``.

    Raises
    ------
    ConfigError
        When the stated folder exists, or has an unfinished run and ``resume`` is false.
    """
    if stated is None:
        return claimed(place)
    refuse_existing(stated)
    if not resume:
        refuse_partial(stated)
    return nullcontext(stated)


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """A new folder: ``folder``, or, if it exists, its name with -2, -3, ... added.

    It is removed afterwards if it is still empty.
    """
    with _room_for(folder) as parent:
        place = next(parent / name for name in _names(folder.name) if _make(parent / name))
        try:
            yield folder.with_name(place.name)
        finally:
            with suppress(OSError):  # it is not empty
                place.rmdir()


@contextmanager
def _room_for(folder: Path) -> Iterator[Path]:
    """The parent of ``folder``, which is made if it is missing, and then removed afterwards if it is empty."""
    if not os.path.lexists(folder):
        refuse_existing(folder)  # also if it cannot be made
    parent = folder.parent.absolute()
    missing = [path for path in (parent, *parent.parents) if not path.exists()]
    parent.mkdir(parents=True, exist_ok=True)
    try:
        yield parent
    finally:
        with suppress(OSError):  # a folder is not empty
            for path in missing:
                path.rmdir()


def _make(folder: Path) -> bool:
    """Whether ``folder`` was made by this call."""
    try:
        folder.mkdir()
    except FileExistsError:
        return False
    return True


def _names(first: str) -> Iterator[str]:
    yield first
    for k in itertools.count(2):
        yield f"{first}-{k}"


def _claim(folder: Path) -> bool:
    """Whether ``folder`` now belongs to this run."""
    partial = partial_of(folder)
    if os.path.lexists(folder):
        return False
    if not _make(partial):
        return False
    if os.path.lexists(folder):  # the run that owned it has just finished
        partial.rmdir()
        return False
    return True


@contextmanager
def held(partial: Path) -> Iterator[None]:
    """Make the folder ``partial`` and keep other runs out of it.

    Raises
    ------
    CheckpointError
        When another run is using it.
    """
    partial.mkdir(parents=True, exist_ok=True)
    with (partial / "lock").open("w") as lock:
        try:
            import fcntl
        except ImportError:  # not on Windows
            yield
            return
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CheckpointError(f"{partial}: another run is using it; wait for that run or end it") from None
        yield


def state_of(partial: Path) -> State | None:
    """The state saved in ``partial``; see `raresim.run.checkpoint.load`."""
    return load(partial / CHECKPOINT)


def so_far(partial: Path) -> Path | None:
    """Write the estimate so far as a run folder in ``partial`` and return its path; None if there is no estimate.

    Raises
    ------
    CheckpointError
        When the checkpoint is damaged.
    ConfigError
        When there is no checkpoint.
    """
    state = state_of(partial)
    if state is None:
        raise ConfigError(f"{partial}: holds no checkpoint")
    if not state.files:
        return None
    folder = partial / SO_FAR
    shutil.rmtree(folder, ignore_errors=True)
    write_folder(folder, state.files)
    return folder


def described(partial: Path) -> str:
    """The progress of the run in ``partial``, in words, where no estimate so far is kept."""
    state = state_of(partial)
    known = state.journal.evaluations if state else 0
    if state is not None and state.progress is not None:
        rows = state.progress.rows
        return f"{partial}: {rows:,} rows of the estimate stage are kept, and {known:,} evaluations of the other stages"
    return f"{partial}: the run is in its search, {known:,} evaluations are kept; there is no estimate yet"


def refuse_partial(folder: Path) -> None:
    """Raise `ConfigError` if there is an unfinished run for ``folder``."""
    partial = partial_of(folder)
    if partial.exists():
        raise ConfigError(f"{partial}: holds an unfinished run; --resume goes on with it, or remove it")


def compute(
    config: Config,
    folder: Path,
    report: Report,
    experiment: Experiment | None = None,
    checkpoint: Checkpoint | None = None,
    extension: Extension | None = None,
    live: Live | None = None,
) -> Result:
    """Run ``config`` with its ``execution``; failed rows that end the run are saved beside ``folder``."""
    folder = folder.absolute()
    experiment = experiment or config.experiment()
    execution = config.execution()
    kind = execution.kind_for(experiment.loss)
    provenance: dict[str, Any] = {"config_sha256": config.digest, "executor": kind}
    try:
        if expects := getattr(report, "expects", None):  # what shows progress, and not any function that is told it
            expects(forecast(experiment))
        with Executor.of(kind, execution.asked_workers, execution.scheduler) as executor:
            provenance["workers"] = executor.workers
            return experiment.run(executor, report, provenance, config.texts(), checkpoint, extension, live)
    except FieldError as error:
        raise config.explain(error) from error
    except LossError as error:
        raise _with_rows(error, experiment.loss, folder) from error


def _with_rows(error: LossError, loss: Loss, folder: Path) -> LossError:
    """``error``, with the file of the failed rows and how to replay them."""
    if error.failures is None:
        return error
    folder.parent.mkdir(parents=True, exist_ok=True)
    path = error.failures.save(folder.parent / f"{folder.name}-failed_rows.npz")
    kept = error.failures.kept
    rows = "the row that failed" if kept == 1 else f"{kept:,} rows that failed"
    return LossError(f"{error}\n{path}: {rows}; replay with: {loss.replay(path)}", error.failures)


def complete(
    config: Config,
    folder: Path,
    report: Report,
    finished: Finished | None = None,
    answered: Callable[[Result], None] = lambda _: None,
    build: Build | None = None,
    live: Live | None = None,
) -> Result:
    """Run ``config`` into the run folder ``folder``, continuing an earlier attempt that was saved, if there is one.

    Parameters
    ----------
    config : Config
        The config to run.
    folder : Path
        Place of the future run folder.
    report : callable
        Called with the progress.
    finished : Finished, optional
        The run that this one extends.
    answered : callable
        Called with the result before the folder is written.
    build : callable, optional
        Draws figures and page of a folder in place of `raresim.report.build`.
    live : Live, optional
        From where another thread looks at the estimate so far, and asks the run to end.

    Raises
    ------
    ConfigError
        When ``folder`` has the name of a place for unfinished runs.
    CheckpointError
        When the saved state is damaged or belongs to another run.
    OSError
        With the path, when something cannot be written; the state saved before is unchanged.
    KeyboardInterrupt
        When the run is interrupted, with notes on what was saved and how to go on.
    """
    seconds = config.execution().checkpoint
    folder = folder.absolute()  # a loss may change the working folder
    partial = partial_of(folder)
    if partial == folder:
        raise ConfigError(
            f"{folder}: the name of a run folder must not end in {SUFFIX!r}, which is for unfinished runs"
        )
    if seconds is None and not (partial / CHECKPOINT).exists() and finished is None:
        result = compute(config, folder, report, live=live)
        answered(result)
        result.save(folder, build)
        return result
    is_new, is_new_parent = not (partial / CHECKPOINT).exists(), not partial.parent.exists()
    with held(partial):
        checkpoint = None
        try:
            experiment = config.experiment()
            identity = identity_of(config, experiment)
            if finished is not None:
                identity["extended"] = dataclasses.asdict(finished.extension)
            before = state_of(partial)
            if before is not None:
                refuse_other(partial / CHECKPOINT, before.identity, identity)
            elif finished is not None:
                before = dataclasses.replace(finished.state, generation=0)
            checkpoint = Checkpoint(partial / CHECKPOINT, identity, seconds or DEFAULT_SECONDS, before)
            extension = finished.extension if finished else None
            result = compute(config, folder, report, experiment, checkpoint, extension, live)
            answered(result)
            origin = {"folder": _seen_from(folder, config.folder), "overrides": list(config.overrides)}
            state = State(identity, 1, checkpoint.journal, checkpoint.progress, {}, origin, checkpoint.rounds)
            state = dataclasses.replace(state, budget=checkpoint.budget)
            write_folder(folder, result.files("finished") | {CHECKPOINT: state.to_bytes()}, build)
        except CheckpointError:
            raise
        except ClusterLostError as lost:
            told = "\n".join([str(lost), *_farewell(partial)])
            raise ClusterLostError(told) from lost
        except KeyboardInterrupt as stop:
            for line in _farewell(partial):
                stop.add_note(line)
            raise
        except Exception as error:
            if is_new and not (checkpoint and (checkpoint.progress or checkpoint.journal.evaluations)):
                clear(folder, is_new_parent)  # nothing that was computed is lost
            elif isinstance(error, OSError) and (partial / CHECKPOINT).exists():
                error.add_note(f"what was saved stays in {partial}; once files can be written, {_go_on(partial)}")
            raise
        clear(folder)
    return result


def _seen_from(folder: Path, other: Path) -> str:
    """The path of ``other`` relative to ``folder``, or its full path if there is none."""
    try:
        return os.path.relpath(other, folder)
    except ValueError:  # on another drive
        return str(other.resolve())


@dataclass(frozen=True, eq=False)
class Finished:
    """A finished run to be extended: its last state, and the size of the extension."""

    state: State
    extension: Extension


def config_in(run_dir: Path, state: State, settings: Sequence[str] = ()) -> Config:
    """The config that the run in ``run_dir`` began with, its files at their old places, with further ``settings``."""
    from raresim.config import load as configs

    own = [*state.origin["overrides"], f"name={state.identity['config']['name']}"]
    home = run_dir / state.origin["folder"]
    return configs.load(run_dir / "config.yaml", (), home, [*own, *settings], sweeping=True)


def extended(run_dir: Path, evaluations: int, overrides: Sequence[str] = ()) -> tuple[Config, Finished]:
    """The config of the finished run in ``run_dir``, with ``evaluations`` added to its budget, and its last state.

    Raises
    ------
    ConfigError
        When the folder holds no finished run with a saved state, or its config cannot be read any more.
    CheckpointError
        When the state is damaged, or the data, the loss or the libraries have changed.
    """
    path = run_dir / CHECKPOINT
    run_folders.refuse_no_run(run_dir)
    state = load(path)
    if state is None:
        raise ConfigError(
            f"{path}: is missing: runs from Python, and with execution.checkpoint null, cannot be extended"
        )
    first = config_in(run_dir, state, overrides)
    given = {key: value for key, value in state.identity.items() if key != "extended"}
    refuse_other(path, given, identity_of(first, first.experiment()))
    budget = state.budget or state.identity["config"]["stop"]["max_evaluations"]
    timed = [f"stop.{key}=null" for key in TIMED if key in state.identity["config"]["stop"]]
    larger = config_in(run_dir, state, [*overrides, f"stop.max_evaluations={budget + evaluations}", *timed])
    tuned_for = state.identity.get("extended", {}).get("tuned_for", budget)
    extension = Extension(evaluations, state.progress.rows if state.progress else 0, tuned_for)
    return larger, Finished(state, extension)


def clear(folder: Path, with_parent: bool = False) -> None:
    """Remove the saved state of an unfinished run for ``folder``; with ``with_parent`` also an empty parent folder."""
    shutil.rmtree(partial_of(folder), ignore_errors=True)
    if with_parent:
        with suppress(OSError):
            folder.parent.rmdir()


def _farewell(partial: Path) -> list[str]:
    """Lines that say what an interrupted run leaves, and how to go on."""
    try:
        if state_of(partial) is None:
            clear(final_of(partial))
            return ["nothing was computed yet"]
        folder = so_far(partial)
        told = [described(partial)] if folder is None else _estimates_in(folder)
    except (OSError, RaresimError) as error:
        told = [str(error)]
    return [*told, _go_on(partial)]


def _go_on(partial: Path) -> str:
    return f"go on with the same command and --out {final_of(partial)} --resume"


def _estimates_in(folder: Path) -> list[str]:
    estimates = json.loads((folder / "result.json").read_text(encoding="utf-8"))["estimates"]
    lines = [
        f"so far {e['label']} = {e['value']:.4g}, {e['confidence']:.0%} interval "
        f"[{e['interval'][0]:.4g}, {e['interval'][1]:.4g}], {e['verdict']['status'].replace('_', ' ')}"
        for e in estimates
    ]
    return [*lines, f"report so far: {folder / 'report.html'}"]

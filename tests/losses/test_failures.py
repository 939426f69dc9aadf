"""Rows to which a user's loss gives no number: found, tried again, bounded, kept, and said."""

import functools
import json
import math
import multiprocessing
import pickle
import re
import signal
import subprocess
import sys
import time
from concurrent import futures
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from typer.testing import CliRunner

import raresim
from raresim import (
    Auto,
    CrossEntropy,
    Crude,
    DesignPointSampling,
    Importance,
    Normal,
    Probability,
    PythonLoss,
    StandardNormal,
    SubsetSimulation,
)
from raresim.diagnostics.verdict import judge
from raresim.engine.executors import Executor
from raresim.engine.fold import Sampler
from raresim.engine.problem import Problem
from raresim.errors import FieldError, LossError
from raresim.losses import timeouts
from raresim.losses.failures import KINDS, MOST_KEPT, Failures, collecting, note
from raresim.measures.intervals import weighted_upper
from raresim.numerics.blocks import Block
from raresim.record.verdict import Status
from raresim.registry import members
from raresim.shell import cli
from tests import dying
from tests.helpers import losses, normals
from tests.statistical import assert_count_at_least

INPUTS = StandardNormal(dim=3)
UP = Probability(above=2.0)
BAD = [3, 17, 40]
"""Rows of a block of 50 that fail in the tests of one call."""

ROOT_3 = math.sqrt(3.0)


def bound(function, **options):
    return PythonLoss(function=function, **options).bind(INPUTS)


def marked(x, at=BAD):
    """Fifty rows, those ``at`` marked by a first factor of 9."""
    x[:, 0] = 0.0
    x[at, 0] = 9.0
    return x


def is_marked(x):
    return x[..., 0] > 8.0


def raising(x):
    if is_marked(x).any():
        raise ZeroDivisionError("no premium")
    return x[..., 1]


def returning(value):
    return lambda x: np.where(is_marked(x), value, x[..., 1])


def spinning(x):
    while is_marked(x).any():
        pass
    return x[..., 1]


def sleeping(x):
    if is_marked(x).any():
        time.sleep(60.0)
    return x[..., 1]


# --- one call: which rows fail, and what is written ---------------------------------------------------

FAILS = {
    "nan": (returning(math.nan), "nan", {}),
    "infinite": (returning(math.inf), "infinite", {}),
    "minus infinite": (returning(-math.inf), "infinite", {}),
    "raises": (raising, "raised", {}),
    "spins": (spinning, "timeout", {"timeout": 0.02}),
    "sleeps": (sleeping, "timeout", {"timeout": 0.02}),
}


@pytest.mark.parametrize("vectorised", [True, False])
@pytest.mark.parametrize(("function", "kind", "options"), FAILS.values(), ids=FAILS)
def test_bounded_rows_are_found_and_the_others_keep_their_losses(function, kind, options, vectorised):
    x = marked(normals(50, 3, 601))
    with collecting() as found:
        got = losses(bound(function, on_failure="bound", vectorised=vectorised, **options), x)
    np.testing.assert_array_equal(np.flatnonzero(np.isnan(got)), BAD)
    np.testing.assert_array_equal(np.delete(got, BAD), np.delete(x[:, 1], BAD))
    failures = found.failures
    assert failures.by_kind == {kind: 3}
    np.testing.assert_array_equal(failures.x, x[BAD])
    np.testing.assert_array_equal(failures.place[:, 2], BAD)
    assert len(failures.message) == 3


@pytest.mark.parametrize("vectorised", [True, False])
@pytest.mark.parametrize(("function", "kind", "options"), FAILS.values(), ids=FAILS)
def test_by_default_the_error_holds_the_row(function, kind, options, vectorised):
    x = marked(normals(50, 3, 602))
    with pytest.raises(LossError) as caught:
        losses(bound(function, vectorised=vectorised, **options), x)
    failures = caught.value.failures
    whole_call = vectorised and kind in ("nan", "infinite")
    np.testing.assert_array_equal(failures.place[:, 2], BAD if whole_call else BAD[:1])
    np.testing.assert_array_equal(failures.x, x[BAD if whole_call else BAD[:1]])
    if kind in ("raised", "timeout"):
        assert "row 3, the scenario [9.  " in str(caught.value)


MISTAKES = {
    "shape": lambda x: x,
    "dtype": lambda x: np.full(len(x), "high"),
    "complex": lambda x: x[:, 0] + 1j,
    "object": lambda x: np.array([None] * len(x)),
    "masked": lambda x: np.ma.masked_array(x[:, 0], mask=x[:, 0] > 0),
}


@pytest.mark.parametrize("on_failure", ["error", "bound", "retry"])
@pytest.mark.parametrize("function", MISTAKES.values(), ids=MISTAKES)
def test_what_is_not_a_loss_at_all_is_an_error_whatever_the_policy(function, on_failure):
    with pytest.raises(LossError, match="must return") as caught:
        losses(bound(function, on_failure=on_failure), normals(50, 3, 603))
    assert caught.value.failures is None


def test_only_a_call_that_raises_is_made_row_by_row():
    sizes = []

    def counting(x):
        sizes.append(len(x))
        return raising(x)

    loss = bound(counting, on_failure="bound")
    losses(loss, normals(50, 3, 604) / 9.0)
    assert sizes == [50]
    losses(loss, marked(normals(50, 3, 605)))
    assert sizes == [50, 50] + [1] * 50


def test_a_row_by_row_call_may_return_a_number_without_a_shape():
    loss = bound(lambda x: np.squeeze(raising(x)), on_failure="bound")
    assert np.isnan(losses(loss, marked(normals(50, 3, 606)))).sum() == 3


def test_a_call_that_fails_as_a_whole_only_is_told_as_such():
    """Memory that suffices for a row and not for a block, say: no row is to blame."""

    def small(x):
        if len(x) > 1:
            raise MemoryError("too many")
        return x[:, 1]

    x = normals(50, 3, 607)
    with pytest.raises(LossError, match="no row does so alone") as caught:
        losses(bound(small), x)
    assert caught.value.failures.total == 50
    np.testing.assert_array_equal(losses(bound(small, on_failure="bound"), x), x[:, 1])


def test_a_row_before_the_one_that_raises_is_named_first():
    def mixed(x):
        return np.where(x[:, 2] > 8.0, np.nan, raising(x))

    x = marked(normals(50, 3, 625) / 9.0)
    x[1, 2] = 9.0
    with pytest.raises(LossError, match="got nan for 1 of 2 rows, first for the scenario") as caught:
        losses(bound(mixed), x)
    np.testing.assert_array_equal(caught.value.failures.x, x[1:2])


# --- trying again -------------------------------------------------------------------------------------


def flaky(times):
    """A function that fails ``times`` times for each marked row."""
    tries = {}

    def function(x):
        out = x[:, 1].copy()
        for i in np.flatnonzero(is_marked(x)):
            key = x[i].tobytes()
            tries[key] = tries.get(key, 0) + 1
            out[i] = np.nan if tries[key] <= times else 1.0
        return out

    return function


def test_a_row_is_tried_again_until_it_gives_a_loss():
    x = marked(normals(50, 3, 608))
    with collecting() as found:
        got = losses(bound(flaky(2), on_failure="retry"), x)
    np.testing.assert_array_equal(got[BAD], 1.0)
    assert (found.failures.total, found.failures.retried) == (0, 3)


def test_tries_end_with_an_error_or_a_bound():
    x = marked(normals(50, 3, 609))
    with pytest.raises(LossError, match=r"got nan for 3 of 50 rows, .*; tried 3 times$"):
        losses(bound(flaky(3), on_failure="retry", retries=2), x)
    with collecting() as found:
        assert np.isnan(losses(bound(flaky(3), on_failure="bound", retries=2), x)).sum() == 3
    assert found.failures.by_kind == {"nan": 3}
    assert not np.isnan(losses(bound(flaky(3), on_failure="bound", retries=3), x)).any()


REFUSED = {
    "policy": ({"on_failure": "ignore"}, "on_failure: unknown value 'ignore'"),
    "retries alone": ({"retries": 2}, "retries: goes with on_failure 'retry' or 'bound', got 'error'"),
    "no retry": ({"on_failure": "retry", "retries": 0}, "retries: must be at least 1, got 0"),
    "half": ({"on_failure": "bound", "retries": 0.5}, "retries: must be a whole number or None, got 0.5"),
    "timeout": ({"timeout": 0.0}, "timeout: must be positive and finite, got 0"),
}


@pytest.mark.parametrize(("options", "message"), REFUSED.values(), ids=REFUSED)
def test_options_that_make_no_sense_are_refused(options, message):
    with pytest.raises(FieldError) as caught:
        PythonLoss(function=raising, **options)
    assert str(caught.value).startswith(message)


# --- time limits --------------------------------------------------------------------------------------


def test_a_limit_is_not_for_threads():
    with (
        Executor.of("threads", 2) as executor,
        pytest.raises(FieldError, match="timeout: works in the main thread of a process, not on threads"),
    ):
        run(total, executor=executor, timeout=5.0)


def swallowing_once(x):
    """Exceeds its time, catches the interruption and still returns a number."""
    if is_marked(x).any():
        try:
            time.sleep(60.0)
        except:  # noqa: E722  # what users write
            return x[..., 1]
    return x[..., 1]


def swallowing_in_a_loop(x):
    if is_marked(x).any():
        for _ in range(3):
            try:  # noqa: SIM105  # what users write
                time.sleep(60.0)
            except BaseException:
                pass
    return x[..., 1]


def swallowing_for_ever(x):
    while is_marked(x).any():
        try:  # noqa: SIM105  # what users write
            spinning(x)
        except:  # noqa: E722  # what users write
            pass
    return x[..., 1]


def swallowing_into_another_error(x):
    if is_marked(x).any():
        try:
            time.sleep(60.0)
        except BaseException as error:
            raise RuntimeError("the solver was stopped") from error
    return x[..., 1]


def without_its_alarm(x):
    if is_marked(x).any():
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        time.sleep(0.06)
    return x[..., 1]


SWALLOWING = [
    swallowing_once,
    swallowing_in_a_loop,
    swallowing_for_ever,
    swallowing_into_another_error,
    without_its_alarm,
]


@pytest.mark.parametrize("vectorised", [True, False])
@pytest.mark.parametrize("function", SWALLOWING)
def test_18_7_a_row_that_swallows_its_time_limit_has_failed(function, vectorised, monkeypatch):
    monkeypatch.setattr(timeouts, "GRACE", 0.02)
    x = marked(normals(50, 3, 628))
    loss = bound(function, on_failure="bound", vectorised=vectorised, timeout=0.05)
    traced = sys.gettrace()
    with collecting() as found:
        got = losses(loss, x)
    np.testing.assert_array_equal(np.flatnonzero(np.isnan(got)), BAD)
    assert found.failures.by_kind == {"timeout": 3}
    assert set(found.failures.message) == {"gave no answer within 0.05 s"}
    assert sys.gettrace() is traced


def test_18_7_a_run_whose_loss_swallows_its_time_limit_ends():
    def slow(x):
        try:  # noqa: SIM105  # what users write
            time.sleep(1.0)
        except:  # noqa: E722  # what users write
            pass
        return total(x)

    with pytest.raises(LossError, match=r"slow: gave no answer within 0\.01 s") as caught:
        run(slow, timeout=0.01)
    assert caught.value.failures.by_kind == {"timeout": 1}


@pytest.mark.slow
def test_18_7_a_swallowed_time_limit_counts_in_processes(two_processes, seed):
    found = run(swallowing, executor=two_processes, seed=seed(629), n=4000, on_failure="bound", timeout=0.05)
    assert found.failed["kinds"] == {"timeout": int(found.failures.total)}
    assert (found.failures.x.max(axis=1) > 3.2).all()


def swallowing(x):
    if (x > 3.2).any():
        try:  # noqa: SIM105  # what users write
            time.sleep(60.0)
        except:  # noqa: E722  # what users write
            pass
    return total(x)


def test_a_limit_leaves_no_alarm_behind():
    before = signal.getsignal(signal.SIGALRM)
    losses(bound(total, timeout=0.05), normals(50, 3, 610))
    assert signal.getsignal(signal.SIGALRM) is before
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


# --- workers that die ---------------------------------------------------------------------------------


DYING = {
    "segmentation fault": (dying.segmentation_fault, {}, "SIGSEGV"),
    "exit": (dying.exiting, {}, "exit code 7"),
    "killed, of one row": (dying.killed_for_a_row, {"vectorised": False}, "SIGKILL, as when memory runs out"),
}
"""A function, options of the loss, and how its process ends."""


@pytest.fixture(scope="module")
def doomed():
    """A pool whose worker dies in each test, and starts anew for the next one."""
    with Executor.of("processes", 1) as pool:
        yield pool


@pytest.mark.slow
@pytest.mark.parametrize(("function", "options", "how"), DYING.values(), ids=DYING)
def test_18_10_a_worker_that_dies_is_an_error_of_the_loss(function, options, how, doomed, seed):
    with pytest.raises(LossError) as caught:
        run(function, executor=doomed, seed=seed(631), n=4000, **options)
    assert f"loss {function.__name__}: ended the process that it ran in ({how})" in str(caught.value)
    assert re.search(r"row \d+, the scenario .*\[stage \d+, block \d+\]$", str(caught.value))
    failures = caught.value.failures
    assert failures.by_kind == {"died": 1}
    assert failures.x[0, 0] > dying.DEADLY


@pytest.mark.slow
def test_18_10_a_row_that_kills_its_worker_is_bounded_and_the_others_count(seed):
    first = []
    run(lambda x: (first.extend(x[:, 0]), dying.total(x))[1], seed=seed(632), n=4000)
    limit = np.sort(first)[-3]  # two rows are beyond it

    def nan_instead(x):
        return np.where(x[:, 0] > limit, np.nan, dying.total(x))

    deadly = functools.partial(dying.killed_beyond, limit)
    with Executor.of("processes", 2) as both:
        found = run(deadly, executor=both, seed=seed(632), n=4000, on_failure="bound")
    wanted = run(nan_instead, seed=seed(632), n=4000, on_failure="bound")
    assert found.estimates[0].value == wanted.estimates[0].value
    assert found.estimates[0].interval == wanted.estimates[0].interval
    np.testing.assert_array_equal(found.failures.x, wanted.failures.x)
    assert found.failed["kinds"] == {"died": wanted.failed["rows"]} == {"died": 2}


@pytest.mark.slow
@pytest.mark.parametrize("on_failure", ["retry", "error"])
def test_18_10_a_death_that_does_not_happen_again_is_tried_again_or_ends_the_run(on_failure, doomed, tmp_path, seed):
    loss = {"function": functools.partial(dying.killed_once, tmp_path / "killed"), "on_failure": on_failure}
    if on_failure == "error":
        with pytest.raises(
            LossError, match=r"a worker process died while stage \d+, block.* rows\) .*on_failure 'retry'"
        ):
            run(**loss, executor=doomed, seed=seed(633), n=4000)
        return
    found = run(**loss, executor=doomed, seed=seed(633), n=4000)
    assert found.estimates[0].value == run(dying.total, seed=seed(633), n=4000).estimates[0].value
    assert found.failed["rows"] == 0
    assert found.failed["retried"] > 0


@pytest.mark.slow
def test_18_10_a_pool_of_somebody_else_that_breaks_is_said(seed):
    with (
        futures.ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool,
        pytest.raises(LossError, match=r"a process of the pool died while it computed stage \d+, block"),
    ):
        run(dying.segmentation_fault, executor=Executor(pool, 1), seed=seed(634), n=4000, on_failure="bound")


@pytest.mark.slow
def test_18_10_the_shell_says_which_row_killed_its_worker(tmp_path):
    (tmp_path / "losses.py").write_text(
        "import ctypes\nimport multiprocessing\n\n\n"
        "def crash(x):\n"
        "    assert multiprocessing.parent_process() is not None\n"
        "    if (x[:, 0] > 3.0).any():\n"
        "        ctypes.string_at(0)\n"
        "    return x.sum(axis=1)\n"
    )
    (tmp_path / "crash.yaml").write_text(
        "seed: 1\ninputs: {kind: normal, dim: 3}\nloss: {kind: python, function: losses.py:crash}\n"
        "measures: [{kind: probability, above: 6.0}]\nmethod: {kind: crude}\nstop: {max_evaluations: 5000}\n"
        "execution: {executor: processes, workers: 1}\n"
    )
    done = CliRunner().invoke(cli.app, ["run", str(tmp_path / "crash.yaml"), "--out", str(tmp_path / "out"), "-q"])
    assert done.exit_code == 3, done.output
    assert "loss losses.py:crash: ended the process that it ran in (SIGSEGV)" in done.stderr
    with np.load(tmp_path / "out-failed_rows.npz") as stored:
        assert list(stored["kind"]) == ["died"]
        assert stored["x"][0, 0] > 3.0


def test_18_10_failures_of_an_older_checkpoint_have_fewer_kinds():
    old = replace(Failures.nothing(), counts=np.array([1, 2, 3, 4]))
    assert old.by_kind == {"raised": 1, "timeout": 2, "nan": 3, "infinite": 4}
    assert old.merge(Failures.nothing()).total == 10


# --- a run --------------------------------------------------------------------------------------------


def total(x):
    return x.sum(axis=1) / ROOT_3


def partial(x):
    """Fails for one row in 740 or so, by an exception or by NaN."""
    if (x[:, 0] > 3.2).any():
        raise ValueError("no convergence")
    return np.where(x[:, 1] > 3.2, np.nan, total(x))


def run(function, method=None, executor=None, seed=1, n=20_000, above=2.0, relative_error=None, dim=3, **options):
    experiment = raresim.Experiment(
        inputs=StandardNormal(dim=dim),
        loss=PythonLoss(function=function, **options),
        measures=[Probability(above=above)],
        method=method or Crude(),
        stop=raresim.Stop(relative_error=relative_error, max_evaluations=n),
        seed=seed,
        audit="off",
    )
    return experiment.run(executor)


def test_crude_counts_failed_rows_at_both_ends(seed):
    """The same draws, with every failed row taken for safe and for failing: exact intervals of both counts."""
    bounded = run(partial, on_failure="bound", seed=seed(611))
    safe, failing = (
        run(lambda x, value=value: np.where((x[:, :2] > 3.2).any(axis=1), value, total(x)), seed=seed(611))
        for value in (-9.0, 9.0)
    )
    estimate = bounded.estimates[0]
    assert estimate.value == safe.estimates[0].value
    assert estimate.interval == (safe.estimates[0].interval[0], failing.estimates[0].interval[1])
    assert bounded.failed["rows"] == bounded.failed["estimating"] == sum(bounded.failed["kinds"].values()) > 20
    assert bounded.failed["share"] == bounded.failed["rows"] / 20_000


METHODS = {
    "crude": Crude(),
    "importance": Importance(proposal=Normal(mean=1.2, std=1.1, dim=3), defensive=0.1),
    "antithetic": Importance(proposal=Normal(mean=1.2, std=1.1, dim=3), defensive=0.1, draws="antithetic"),
    "sobol": Importance(proposal=Normal(mean=1.2, std=1.1, dim=3), defensive=0.1, draws="sobol"),
    "controls": Importance(proposal=Normal(mean=1.2, std=1.1, dim=3), defensive=0.1, control_variates=True),
    "cross_entropy": CrossEntropy(samples=1000),
    "subset": SubsetSimulation(samples=200),
}


@pytest.fixture(scope="module")
def executors(two_processes):
    with Executor.of("threads", 3) as threads:
        yield threads, two_processes


def everything(result):
    parts = result.to_dict()
    failures = {k: v.tobytes() if isinstance(v, np.ndarray) else v for k, v in vars(result.failures).items()}
    return [parts[k] for k in ("estimates", "failed", "verdict", "iterations")], failures


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_every_executor_finds_the_same_failures(method, executors, seed):
    expected = everything(run(partial, method, on_failure="bound", seed=seed(612)))
    assert expected[0][1]["rows"] > 0
    for executor in executors:
        assert everything(run(partial, method, executor, on_failure="bound", seed=seed(612))) == expected


@pytest.mark.slow
def test_a_limit_works_in_processes(two_processes, seed):
    """The rows beyond 3.2 never come back: the same rows that raise without a limit."""
    found = run(hanging, executor=two_processes, seed=seed(613), n=4000, on_failure="bound", timeout=1.0)
    assert found.failed["kinds"] == {"timeout": int(found.failures.total)}
    assert 0 < found.failures.total == (found.failures.x[:, 0] > 3.0).sum() < 20


def hanging(x):
    while (x[:, 0] > 3.0).any():
        pass
    return total(x)


@pytest.mark.slow
def test_the_error_of_a_worker_process_brings_its_rows(two_processes, seed):
    with pytest.raises(LossError, match="loss partial: ") as caught:
        run(partial, executor=two_processes, seed=seed(614))
    failures = pickle.loads(pickle.dumps(caught.value)).failures
    assert failures.total > 0
    assert (failures.x[:, :2] > 3.2).any(axis=1).all()
    stage, block = re.search(r"\[stage (\d+), block (\d+)\]$", str(caught.value)).groups()
    assert (failures.place[0, :2] == [int(stage), int(block)]).all()


REFUSING = ["directional_sampling", "line_sampling", "surrogate"]


@pytest.mark.parametrize("kind", sorted(set(members("method")) - {"asmussen_kroese", "importance", *REFUSING}))
@pytest.mark.parametrize("function", ["half", "everything"])
def test_every_other_method_survives_a_loss_that_fails_widely(kind, function, seed):
    """Half of the space or all of it fails: the outcome has a name and is never trusted or an internal error."""

    def fails(x):
        return np.where((x[:, 0] < 0.0) | (function == "everything"), np.nan, total(x))

    method = members("method")[kind]()
    if kind == "cross_entropy" and function == "everything":
        with pytest.raises(LossError, match="failed for all 4,000 rows of a level"):
            run(fails, method, seed=seed(615), above=3.0, on_failure="bound")
        return
    found = run(fails, method, seed=seed(615), above=3.0, on_failure="bound")
    assert found.verdict.status in (Status.UNTRUSTED, Status.BOUND_ONLY)
    low, high = found.estimates[0].interval
    assert low <= stats.norm.sf(3.0) <= high
    assert math.isfinite(high)


@pytest.mark.parametrize("kind", REFUSING)
def test_methods_that_cannot_bound_refuse_it(kind):
    with pytest.raises(FieldError, match=f"on_failure: cannot be 'bound' with method {kind}"):
        run(partial, members("method")[kind](), on_failure="bound")


@pytest.mark.slow
def test_a_replicate_that_met_a_failed_row_leaves_the_upper_end_open(seed):
    found = run(partial, SubsetSimulation(samples=500), seed=seed(616), above=3.5, n=60_000, on_failure="bound")
    assert found.estimates[0].interval[1] == 1.0
    assert found.verdict.status is Status.UNTRUSTED


def test_a_row_that_failed_is_never_beyond_a_level():
    loss = bound(returning(math.nan), on_failure="bound")
    sampler = Sampler(Problem(INPUTS, loss), None, 1)
    for sign in (1.0, -1.0):
        seen = sampler.signed_loss(marked(normals(50, 3, 617)), Block(0, 0, 0, 50), sign)
        np.testing.assert_array_equal(np.flatnonzero(seen == -np.inf), BAD)


@pytest.mark.slow
def test_auto_draws_from_the_target_too_where_rows_failed(seed):
    found = run(
        lambda x: np.where(x[:, 0] < -1.0, np.nan, total(x)),
        Auto(),
        seed=seed(618),
        above=3.0,
        n=5000,
        on_failure="bound",
    )
    clean = run(total, Auto(), seed=seed(618), above=3.0, n=5000)
    assert not any("rows failed" in sentence for sentence in clean.search["decisions"])
    assert any("10% of the draws come from the target" in sentence for sentence in found.search["decisions"])


def test_the_standard_deviation_of_a_pilot_leaves_failed_rows_out(seed):
    """Of a normal loss without its lower half: mean sqrt(2 / pi), variance 1 - 2 / pi."""

    def upper_half(x):
        return np.where(x[:, 0] < 0.0, np.nan, x[:, 0])

    found = run(upper_half, seed=seed(619), above="3 sigma", n=30_000, on_failure="bound")
    threshold = math.sqrt(2 / math.pi) + 3.0 * math.sqrt(1 - 2 / math.pi)
    assert found.estimates[0].threshold == pytest.approx(threshold, abs=0.1)
    drawn = int(re.search(r"from ([\d,]+) draws", found.estimates[0].threshold_note)[1].replace(",", ""))
    assert drawn == 10_000 - found.failed["searching"]


# --- exactness ----------------------------------------------------------------------------------------

DEFENSIVE = {"proposal": Normal(mean=[1.5, 1.5], std=1.1), "defensive": 0.2}
COVERED = {
    "crude": (Crude(), 2000, 120),
    "importance": (Importance(**DEFENSIVE), 1000, 120),
    "antithetic": (Importance(**DEFENSIVE, draws="antithetic"), 1000, 120),
    "sobol": (Importance(**DEFENSIVE, draws="sobol"), 2048, 40),
    "controls": (Importance(**DEFENSIVE, control_variates=True), 20 * 256, 30),
    "subset": (SubsetSimulation(samples=100), 3000, 20),
    "design_point": (DesignPointSampling(pilot=200), 4000, 40),
    "auto": (Auto(), 2000, 20),
}
WIDELY = set(COVERED) - {"antithetic", "sobol", "controls"}
"""Where a third of the space fails too; draws made in other ways count failed rows as independent ones do."""


@pytest.mark.slow
@pytest.mark.usefixtures("no_canary")
@pytest.mark.parametrize(
    ("name", "fails_beyond"), [(name, x) for name in COVERED for x in (2.0, 0.5) if x == 2.0 or name in WIDELY]
)
@pytest.mark.statistical(effect=1, false_fail=3e-7, false_pass=1e-3)
def test_the_interval_covers_whatever_the_failed_rows_are(name, fails_beyond, seed):
    """A half-space that cuts the event fails: all of it may be safe, as its neighbours are, or all in the event."""
    method, n, seeds = COVERED[name]
    root_2 = math.sqrt(2.0)

    def loss(x):
        return np.where(x[:, 0] > fails_beyond, np.nan, x.sum(axis=1) / root_2)

    event, failing = stats.norm.sf(2.5), stats.norm.sf(fails_beyond)
    both = stats.multivariate_normal.cdf([-2.5, -fails_beyond], cov=[[1.0, 1 / root_2], [1 / root_2, 1.0]])
    runs = [run(loss, method, seed=seed(1000 + k), n=n, above=2.5, dim=2, on_failure="bound") for k in range(seeds)]
    intervals = [result.estimates[0].interval for result in runs]
    for truth in (event - both, event, event + failing - both):
        assert_count_at_least(sum(low <= truth <= high for low, high in intervals), seeds, 0.95)


def test_the_upper_end_of_few_weights_is_that_of_a_poisson_mean():
    for count in (0, 1, 5, 100):
        assert weighted_upper(count, count, 0.95) == pytest.approx(stats.gamma.ppf(0.975, count + 1))


@pytest.mark.statistical(effect=0.04, false_fail=1e-7, false_pass=1e-3)
def test_the_upper_end_of_unequal_weights_covers(seed):
    """Few weights between 0 and 1, most of them small: an end read from a normal law misses one mean in seven."""
    rng = np.random.default_rng(seed(620))
    weights = rng.random((4000, 60)) ** 3 * (rng.random((4000, 60)) < 0.1)
    total, squares, mean = weights.sum(axis=1), np.square(weights).sum(axis=1), 60 * 0.1 * 0.25
    covered = sum(weighted_upper(t, s, 0.95) >= mean for t, s in zip(total, squares, strict=True))
    assert_count_at_least(covered, 4000, 0.975)
    by_normal = total + 1.96 * np.sqrt(squares)
    assert np.mean(by_normal >= mean) < 0.9


# --- the verdict --------------------------------------------------------------------------------------

SEEN = {"rows": 9000, "hits": 900, "ess": 600.0, "max_share": 0.01, "khat": 0.1, "weights": 900, "max_to_mean": 2.0}
TUNED = {"unit": "draw", "facts": {}, "outcome": "", "kind": "tuned", "starts": 4, "reached": 4, "regions": 1}
TUNED |= {"nominal": 4000, "weighted": True, "canary": None, "audit": {"needed": False}}
SEEN |= {"self_information_nats": 15.0}

GRADES = {
    "none failed": (0, 0, 0.0, Status.TRUSTED),
    "hardly wider": (50, 50, 0.1, Status.TRUSTED),
    "wider": (50, 50, 0.11, Status.CAUTION),
    "twice as wide": (50, 50, 1.0, Status.CAUTION),
    "wider than that": (50, 50, 1.01, Status.UNTRUSTED),
    "without limit": (50, 50, None, Status.UNTRUSTED),
    "in the search alone": (50, 0, 0.0, Status.CAUTION),
    "mostly in the search": (50, 9, 0.01, Status.CAUTION),
}


@pytest.mark.parametrize(("searching", "estimating", "widening", "status"), GRADES.values(), ids=GRADES)
def test_failures_cap_the_verdict(searching, estimating, widening, status):
    stored = SEEN | {"failed_searching": searching, "failed_estimating": estimating, "widening": widening}
    verdict = judge(stored, 0.01, TUNED)
    assert verdict.status is status
    assert [c.name for c in verdict.checks].count("failures") == bool(searching)


def test_equal_weights_need_no_failures_to_be_exact():
    stored = SEEN | {"failed_searching": 50, "failed_estimating": 1, "widening": 0.01}
    assert judge(stored, 0.01, TUNED | {"weighted": False, "kind": "none"}).status is Status.TRUSTED


@pytest.mark.parametrize("above", [2.0, 9.0])
def test_the_verdict_follows_from_what_is_stored(above, seed):
    stored = json.loads(json.dumps(run(partial, seed=seed(621), above=above, on_failure="bound").to_dict()))
    estimate = stored["estimates"][0]
    again = judge(estimate["diagnostics"], estimate["relative_error"], stored["search"])
    assert [c.message for c in again.checks] == [c["message"] for c in estimate["verdict"]["checks"]]
    assert "failures" in [c.name for c in again.checks]
    assert again.status == estimate["verdict"]["status"]


# --- what is kept -------------------------------------------------------------------------------------


def some(n, at=0):
    rows = list(range(at, at + n))
    x = normals(at + n, 3, 622)
    return Failures.of_rows(x, np.full(at + n, np.nan), ["nan"] * n, [f"row {r}" for r in rows], rows)


@pytest.mark.parametrize("sizes", [(0, 0), (0, 3), (3, 0), (3, 4), (MOST_KEPT - 1, 5), (MOST_KEPT + 5, 5)])
def test_all_are_counted_and_the_first_kept(sizes):
    first, second = (some(n) for n in sizes)
    both = first.merge(second)
    assert both.total == sum(sizes)
    assert both.kept == min(sum(sizes), MOST_KEPT) == len(both.x) == len(both.message) == len(both.place)
    if sizes[0]:
        assert both.message[0] == "row 0"


def test_nobody_has_to_listen():
    note(some(3))
    with collecting() as outer:
        with collecting() as inner:
            note(some(3))
        note(some(2))
    assert (inner.failures.total, outer.failures.total) == (3, 2)


def test_saved_rows_are_plain_arrays(tmp_path):
    n = len(KINDS)
    path = replace(some(n), kind=np.arange(n)).at(Block(2, 7, 0, n)).save(tmp_path / "rows.npz")
    with np.load(path, allow_pickle=False) as stored:
        assert list(stored["kind"]) == list(KINDS)
        assert list(stored["stage"]) == [2] * n
        assert list(stored["block"]) == [7] * n
        assert list(stored["message"]) == [f"row {k}" for k in range(n)]
        np.testing.assert_array_equal(stored["x"], normals(n, 3, 622))


# --- the shell ----------------------------------------------------------------------------------------

MODEL = """\
import numpy as np
def total(x):
    if (x[:, 0] > 3.2).any():
        raise ValueError("no <b>convergence</b>")
    return np.where(x[:, 1] > 3.2, np.nan, x.sum(axis=1) / 3**0.5)
def row(x):
    return total(x[None])[0]
"""
CONFIG = """\
seed: 1
inputs: {kind: standard_normal, dim: 3}
loss: {kind: python, function: losses.py:total%s}
measures: [{kind: probability, above: 2.0}]
method: {kind: %s}
stop: {relative_error: null, max_evaluations: 20000}
"""


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch):
    """Runs without --out go below the working folder."""
    monkeypatch.chdir(tmp_path)


def write(folder, options="", method="crude"):
    (folder / "losses.py").write_text(MODEL)
    (folder / "case.yaml").write_text(CONFIG % (options, method))
    return folder / "case.yaml"


def call(*arguments):
    done = CliRunner().invoke(cli.app, list(map(str, arguments)), env={"COLUMNS": "200"})
    return done.exit_code, done.stdout, done.stderr


@pytest.mark.slow
def test_bounded_run_keeps_its_rows_and_says_so(tmp_path):
    code, stdout, _ = call("run", write(tmp_path, ", on_failure: bound"), "--out", tmp_path / "out", "-q")
    assert code in (0, 20)
    stored = json.loads((tmp_path / "out" / "result.json").read_text())
    failed = stored["failed"]
    kinds = failed["kinds"]
    assert f"{failed['rows']} (" in stdout
    assert f"raised {kinds['raised']}, NaN {kinds['nan']}; the first {failed['kept']} in failed_rows.npz" in stdout
    with np.load(tmp_path / "out" / "failed_rows.npz", allow_pickle=False) as rows:
        assert (rows["x"][:, :2] > 3.2).any(axis=1).all()
        assert len(rows["x"]) == failed["kept"] == failed["rows"]
    html = (tmp_path / "out" / "report.html").read_text()
    assert f"{kinds['raised']} raised, {kinds['nan']} were NaN" in html
    assert "failed_rows.npz" in html
    assert call("report", tmp_path / "out")[0] == 0
    assert (tmp_path / "out" / "report.html").read_text() == html


@pytest.mark.parametrize("name", ["total", "row"])
def test_an_error_names_the_saved_row_and_a_command_that_repeats_it(name, tmp_path):
    config = write(tmp_path)
    if name == "row":
        config.write_text(config.read_text().replace("losses.py:total", "losses.py:row, vectorised: false"))
    code, _, stderr = call("run", config, "execution.executor=serial", "--out", tmp_path / "out", "-q")
    assert code == 3
    assert not (tmp_path / "out").exists()
    first, second = stderr.splitlines()
    assert "no <b>convergence</b>" in first or "must be finite, got nan" in first
    saved = tmp_path / "out-failed_rows.npz"
    assert second.startswith(f"{saved}: ")
    command = second.partition("replay with: ")[2].replace("python -c", f"{sys.executable} -c", 1)
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert ("ValueError: no <b>convergence</b>" in done.stderr) != ("nan" in done.stdout)


@pytest.mark.parametrize("verb", ["run", "check"])
def test_the_place_of_a_policy_that_a_method_refuses_is_named(verb, tmp_path):
    code, _, stderr = call(verb, write(tmp_path, ", on_failure: bound", "line_sampling"))
    assert code == 2
    assert "case.yaml:3:" in stderr
    assert "loss.on_failure: cannot be 'bound' with method line_sampling" in stderr


def test_the_place_of_a_limit_on_threads_is_named(tmp_path):
    code, _, stderr = call("run", write(tmp_path, ", timeout: 5"), "execution.executor=threads", "-q")
    assert code == 2
    assert "case.yaml:3:" in stderr
    assert "loss.timeout: works in the main thread of a process" in stderr


# --- what a function may do beside ---------------------------------------------------------------------


def test_a_function_may_print(capsys, seed):
    def talks(x):
        print("hello")  # noqa: T201  # it is what is tested
        return total(x)

    assert run(talks, seed=seed(623), n=500).estimates[0].value == run(total, seed=seed(623), n=500).estimates[0].value
    assert "hello" in capsys.readouterr().out


@pytest.mark.slow
def test_the_global_generator_is_the_users_own(seed):
    """A run neither seeds it nor draws from it."""
    before = np.random.get_state()[1].tobytes()  # noqa: NPY002  # it is what is tested
    run(total, seed=seed(624), n=2000)
    assert np.random.get_state()[1].tobytes() == before  # noqa: NPY002

"""A run on Dask: the bits of a run in this thread, also where workers die, and errors that say what to do."""

import contextlib
import pickle
import re
import signal
import socket
import subprocess
import sys
import time
import warnings

import numpy as np
import pytest

import raresim
from raresim import Auto, CrossEntropy, Crude, Executor, Probability, PythonLoss, StandardNormal, SubsetSimulation
from raresim.engine import dask_pool, groups, workers
from raresim.errors import ClusterLostError, ExitCode, FieldError, LossError
from tests.engine.clusters import Counting
from tests.helpers import ROOT
from tests.problems import Case, linear_normal, solve
from tests.reproducibility.test_bits import digits

distributed = pytest.importorskip("distributed")

METHODS = {"auto": Auto, "subset_simulation": SubsetSimulation, "crude": Crude}
BUDGET = {"method": Crude(), "relative_error": None, "max_evaluations": 100_000}
OPTIONS = {"relative_error": 0.05, "max_evaluations": 100_000}

BEFORE = signal.getsignal(signal.SIGINT)
"""What this process does at an interrupt, before there is a cluster."""


def counted(parent, name="loss", policy="error", **plans):
    """A problem whose loss counts its calls, and the counts."""
    counting = Counting(parent, **plans)
    loss = PythonLoss(function=counting.function(name), on_failure=policy)
    return Case("counted", StandardNormal(dim=3), loss, Probability(above=2.0), []), counting


@pytest.fixture(scope="module")
def cluster():
    """One cluster for all tests."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of distributed, where a worker was killed
        with dask_pool.connected(None, 2) as client:
            yield client


@pytest.fixture
def client(cluster):
    """The client, with both workers there: the test before may have killed them."""
    cluster.wait_for_workers(2, timeout=60)
    return cluster


@pytest.mark.slow
class TestCluster:
    """What needs workers; they start once."""

    @pytest.mark.parametrize("kind", list(METHODS))
    def test_same_bits_as_in_this_thread_and_on_two(self, kind, client, tmp_path, seed):
        case, _ = counted(tmp_path)
        method = METHODS[kind]()
        here = digits(solve(case, seed(4001), method=method, **OPTIONS))
        with Executor.of("threads", 2) as threads:
            assert digits(solve(case, seed(4001), threads, method=method, **OPTIONS)) == here
        executor = Executor(client)
        assert digits(solve(case, seed(4001), executor, method=method, **OPTIONS)) == here
        assert executor.groups.tasks > 0

    def test_interrupt_from_the_terminal_is_not_for_the_workers(self, client):
        assert set(client.run(signal.getsignal, signal.SIGINT).values()) == {signal.SIG_IGN}
        assert signal.getsignal(signal.SIGINT) is BEFORE

    @pytest.mark.parametrize("kills", [(9,), (9, 10)], ids=["one worker", "both workers"])
    def test_same_bits_where_workers_are_killed(self, kills, client, tmp_path, seed):
        """The call is counted, not timed. The nanny starts a new worker, to which the problem goes once more."""
        case, _ = counted(tmp_path)
        here = digits(solve(case, seed(4002), method=Crude(), **OPTIONS))
        dying, counting = counted(tmp_path, kills=kills)
        assert digits(solve(dying, seed(4002), client, method=Crude(), **OPTIONS)) == here
        assert counting.calls > max(kills)

    def test_row_that_kills_its_workers_is_found(self, client, tmp_path, seed):
        case, _ = counted(tmp_path, "poison")
        with pytest.raises(
            LossError, match=r"ended the process that it ran in.*row \d+.*\[stage 0, block \d+\]"
        ) as caught:
            solve(case, seed(4003), client, method=Crude(), relative_error=None, max_evaluations=2000)
        assert caught.value.failures.total == 1
        assert caught.value.failures.x[0, 0] > 2.7

    def test_rows_that_kill_their_workers_are_bounded_as_with_processes(self, client, tmp_path, seed):
        options = {"method": Crude(), "relative_error": None, "max_evaluations": 600}
        case, _ = counted(tmp_path, "poison", "bound")
        with Executor.of("processes", 1) as processes:
            there = solve(case, seed(4004), processes, **options)
        found = solve(case, seed(4004), client, **options)
        assert found.failures.total == there.failures.total > 0
        assert digits(found) == digits(there)

    def test_error_of_the_loss_is_not_tried_again(self, client, tmp_path, seed):
        case, counting = counted(tmp_path, "wrong")
        with pytest.raises(LossError, match="no loss today"):
            solve(case, seed(4005), client, method=Crude(), relative_error=None, max_evaluations=500)
        assert counting.calls <= 2 * (1 + 2)  # of both workers: the call, and two to find its row

    def test_lambda_is_refused_in_the_words_of_raresim(self, client, seed):
        with pytest.raises(FieldError, match=r"cannot be sent to other processes: use 'file\.py:name'"):
            raresim.estimate(2, lambda x: x[:, 0], Probability(above=2.0), seed=seed(4006), executor=client)

    def test_workers_with_other_versions_are_refused(self, client, tmp_path, monkeypatch):
        mine = workers.kind_of_process()
        other = workers.Kind(mine.versions | {"numpy": "1.0"}, mine.cpu, mine.features | {"abacus"})
        monkeypatch.setattr(groups, "kind_of_process", lambda: other)
        case, counting = counted(tmp_path)
        message = rf"numpy {np.__version__} there, 1.0 here; CPU features only here: abacus\."
        with pytest.raises(FieldError, match=message):
            solve(case, 1, client, method=Crude(), **OPTIONS)
        assert counting.calls == 0

    @pytest.mark.parametrize(("here", "tasks", "size"), [(groups.HERE, 60, 2e6), (-1.0, 200, 4e6)])
    def test_five_sigma_takes_few_tasks_and_bytes(self, here, tasks, size, client, monkeypatch, seed):
        """Few, and not many more where no stage is short enough for this process: that does not depend on its speed."""
        sent = []

        class Weighed(dask_pool.DaskPool):
            def submit(self, function, *arguments):
                sent.append([a for a in arguments if not isinstance(a, distributed.Future)])
                return super().submit(function, *arguments)

            def result(self, future):
                result = super().result(future)
                sent.append(result)
                return result

        monkeypatch.setattr(groups, "HERE", here)
        monkeypatch.setattr(dask_pool, "DaskPool", Weighed)
        executor = Executor(client)
        options = {"method": CrossEntropy(), "relative_error": None, "max_evaluations": 1_500_000}
        found = solve(linear_normal(20, 5.0), seed(4007), executor, **options)
        assert found.evaluations["total"] > 1_200_000
        assert 0 < executor.groups.tasks < tasks
        assert len(pickle.dumps(sent)) < size

    def test_executor_of_a_client_is_used_like_a_client(self, client, tmp_path, seed):
        case, _ = counted(tmp_path)
        with client.get_executor() as pool:
            found = solve(case, seed(4008), pool, method=Crude(), **OPTIONS)
            assert Executor(pool).workers == 2
        assert digits(found) == digits(solve(case, seed(4008), method=Crude(), **OPTIONS))
        assert client.status == "running"


def test_short_stages_of_own_losses_stay_in_this_process(seed, monkeypatch):
    """No task at all is sent, so the pool need not even work."""

    class Idle:
        def submit(self, function, *arguments):
            raise AssertionError

    monkeypatch.setattr(groups, "HERE", 60.0)
    found = solve(linear_normal(3, 2.0), seed(4009), Executor(Idle(), 2), relative_error=0.1, max_evaluations=20_000)
    assert found.evaluations["total"] > 100


CONFIG = """
name: counted
seed: 11
inputs: {{kind: normal, mean: [0, 0, 0], cov: [[1, 0, 0], [0, 1, 0], [0, 0, 1]]}}
loss: {{kind: python, function: "{function}"}}
measures: [{{kind: probability, above: 2.0}}]
method: {{kind: crude}}
stop: {{relative_error: null, max_evaluations: 100000}}
execution: {{executor: dask, {execution}, checkpoint: 0.2}}
"""


def shell(folder, counting, execution, *arguments):
    """A run in the shell, in a process of its own."""
    config = folder / "counted.yaml"
    config.write_text(CONFIG.format(function=counting.function(), execution=execution))
    command = [sys.executable, "-m", "raresim.shell.cli", "run", str(config), "-q", "--out", str(folder / "run")]
    return subprocess.run([*command, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)


def wait_for(address):
    """Until something listens there."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        with contextlib.suppress(FieldError):
            return dask_pool._refuse_silence(address)
        time.sleep(0.1)
    raise TimeoutError(address)


def value_of(folder):
    return raresim.read_run(folder / "run").estimates[0].value


def value_here(folder):
    """The value of the same run in this thread."""
    return solve(counted(folder)[0], 11, **BUDGET).estimates[0].value


@pytest.mark.slow
def test_config_with_dask_runs_on_a_cluster_of_its_own(tmp_path):
    done = shell(tmp_path, Counting(tmp_path), "workers: 2")
    assert (done.returncode, done.stderr) == (0, "")
    assert raresim.read_run(tmp_path / "run").manifest["workers"] == 2
    assert value_of(tmp_path) == value_here(tmp_path)


@pytest.mark.slow
def test_run_that_lost_its_scheduler_is_resumed_elsewhere(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    address = f"tcp://127.0.0.1:{port}"
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": ROOT}
    program = [sys.executable, "-m"]
    served = [*program, "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard"]
    working = [*program, "distributed.cli.dask_worker", address, "--no-nanny", "--no-dashboard", "--nthreads", "1"]
    counting = Counting(tmp_path, ends=[40])
    with (
        subprocess.Popen(served, **quiet) as scheduler,
        subprocess.Popen([*working, "--death-timeout", "60"], **quiet) as one,
    ):
        (counting.folder / "scheduler").write_text(str(scheduler.pid))
        wait_for(address)
        done = shell(tmp_path, counting, f'scheduler: "{address}"')
        one.kill()
        scheduler.kill()
    assert done.returncode == ExitCode.INTERRUPTED
    assert re.search(rf"the Dask cluster at {address} was lost: .*\nso far P\(loss >= 2\) = ", done.stderr)
    assert f"--out {tmp_path / 'run'} --resume" in done.stderr
    before = counting.calls
    again = shell(tmp_path, counting, f'scheduler: "{address}"', "execution={executor: serial}", "--resume")
    assert (again.returncode, again.stderr) == (0, "")
    assert counting.calls - before < 60  # blocks: the rest of 98
    assert value_of(tmp_path) == value_here(tmp_path)


class TestAddress:
    """What is said where no cluster can be reached."""

    def test_address_at_which_nothing_listens(self):
        begun = time.monotonic()
        with pytest.raises(
            FieldError, match=r"scheduler: no Dask scheduler listens at tcp://127\.0\.0\.1:9: .*refused"
        ):
            Executor.of("dask", 2, "tcp://127.0.0.1:9")
        assert time.monotonic() - begun < 10

    @pytest.mark.slow
    def test_address_of_something_else(self):
        with socket.create_server(("127.0.0.1", 0)) as silent:
            address = f"tcp://127.0.0.1:{silent.getsockname()[1]}"
            begun = time.monotonic()
            with pytest.raises(FieldError, match=f"what listens at {address} does not answer as a Dask scheduler"):
                Executor.of("dask", 2, address)
            assert time.monotonic() - begun < 10

    def test_library_that_is_missing(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "distributed", None)
        with pytest.raises(FieldError, match=r"dask needs the package distributed: pip install 'raresim\[dask\]'"):
            Executor.of("dask", 2)

    def test_client_that_was_closed(self):
        pool = dask_pool.DaskPool(ClosedClient(), 1)
        with pytest.raises(ClusterLostError, match="its client is closed"):
            pool.submit(abs, -1)


class ClosedClient:
    """As much of a client as is asked for."""

    status = "closed"
    scheduler = None

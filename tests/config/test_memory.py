"""A run says what it may hold in memory, holds no more, and is refused before it begins where that is too much."""

import gc
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raresim import (
    Auto,
    CrossEntropy,
    Crude,
    DirectionalSampling,
    Importance,
    ImprovedCrossEntropy,
    LineSampling,
    Normal,
    SequentialImportance,
    Splitting,
    Stop,
    SubsetSimulation,
)
from raresim.config import load as configs
from raresim.config import memory
from raresim.data import files
from raresim.engine.executors import Execution, bytes_of
from raresim.errors import ConfigError, FieldError
from raresim.run.experiment import Experiment
from raresim.shell import cli
from tests.helpers import ROOT, python
from tests.invoking import CliRunner
from tests.problems import linear_normal, solve

CONFIG = """\
name: streamed
seed: 1
inputs: {kind: standard_normal, dim: 20}
loss: {kind: linear, weights: equal}
measures: [{kind: probability, above: 3 sigma}]
method: {kind: crude}
stop: {relative_error: null, max_evaluations: 1e5}
execution: {executor: threads, workers: 2, memory: 512 MiB}
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "streamed.yaml"
    path.write_text(CONFIG)
    return path


def total(found):
    return sum(part.size for part in found)


# --- sizes -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "expected"),
    [("4 GiB", 2**32), ("512MiB", 2**29), ("1.5 GiB", 3 * 2**29), ("2048 KiB", 2**21), (2**21, 2**21)],
)
def test_sizes_are_read(given, expected):
    assert bytes_of("memory", given) == expected
    assert Execution(memory=given).memory_bytes == expected


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("4 GB", "memory: must be a size such as 512 MiB or 4 GiB, or a number of bytes, got '4 GB'"),
        ("lots", "memory: must be a size such as 512 MiB or 4 GiB, or a number of bytes, got 'lots'"),
        ("-1 GiB", "memory: must be a size such as 512 MiB or 4 GiB, or a number of bytes, got '-1 GiB'"),
        ("1 KiB", "memory: must be at least 1 MiB, got 1,024 bytes"),
        (0, "memory: must be at least 1 MiB, got 0 bytes"),
    ],
)
def test_other_sizes_are_refused(given, message):
    with pytest.raises(FieldError) as caught:
        Execution(memory=given)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("4 GB", "must be a size such as 512 MiB or 4 GiB, or a number of bytes, got '4 GB'"),
        ("1e4", "must be at least 1 MiB, got 10,000 bytes"),
    ],
)
def test_a_wrong_size_in_a_config_is_named_with_its_place(file, given, message):
    with pytest.raises(ConfigError) as caught:
        configs.load(file, [f"execution.memory={given}"]).outline()
    assert str(caught.value).endswith(f"execution.memory: {message}")


# --- refusals ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("overrides", "named"),
    [
        (["method={kind: subset_simulation, samples: 1e7}", "stop.max_evaluations=1e8"], "2 workers of subset_sim"),
        (["method={kind: improved_cross_entropy}", "inputs.dim=1000"], "the search of improved_cross_entropy"),
        (["execution.workers=1024", "stop.max_evaluations=1e9"], "blocks of 26,214 draws of 1024 workers"),
        (["execution.executor=processes", "execution.workers=8"], "8 worker processes"),
    ],
)
def test_what_asks_for_more_than_is_allowed_is_refused_before_it_is_allocated(file, overrides, named, monkeypatch):
    monkeypatch.setattr(Experiment, "run", lambda *_, **__: pytest.fail("the run began"))
    config = configs.load(file, overrides)
    tracemalloc.start()
    try:
        for begin in (config.outline, config.experiment):
            with pytest.raises(ConfigError) as caught:
                begin()
            message = str(caught.value)
            assert "streamed.yaml:8:" in message
            assert "execution.memory: allows 512 MiB, but the run may need" in message
            assert named in message
            assert memory.ADVICE in message
        assert tracemalloc.get_traced_memory()[1] < 8 * memory.MIB
    finally:
        tracemalloc.stop()
    done = CliRunner().invoke(cli.app, ["run", str(file), *overrides, "--out", str(file.parent / "out"), "-q"])
    assert done.exit_code == 2
    assert not (file.parent / "out").exists()


def test_a_data_file_that_is_too_large_is_not_read(file, monkeypatch):
    data = file.parent / "prices.csv"
    with data.open("wb") as out:
        out.truncate(100 * memory.MIB)
    monkeypatch.setattr(Path, "read_bytes", lambda _: pytest.fail("the file was read"))
    config = configs.load(file, ["inputs={kind: normal, fit: {prices: prices.csv, returns: log}}"])
    for begin in (config.outline, config.experiment):
        with pytest.raises(ConfigError, match=r"prices: reading this file may need 2\.4 GiB, but .* allows 512 MiB"):
            begin()


def test_without_a_limit_nothing_is_refused_and_no_limit_changes_the_experiment(file):
    huge = ["method={kind: subset_simulation, samples: 1e7}", "stop.max_evaluations=1e8"]
    assert configs.load(file, [*huge, "execution.memory=null"]).experiment().stop.max_evaluations == 10**8
    assert configs.load(file).digest == configs.load(file, ["execution.memory=1 GiB"]).digest


# --- predictions -------------------------------------------------------------------------------------

PLAIN = Execution(executor="serial", checkpoint=None)


def predicted(method, d, n, execution=PLAIN):
    return memory.parts(d, d, method, Stop(max_evaluations=n), execution, "quick")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "d"),
    [
        (Crude(), 30),
        (Importance(proposal=Normal(mean=0.5, dim=64), defensive=0.1), 64),
        (Importance(proposal=Normal(mean=0.5, dim=64), defensive=0.1, draws="sobol"), 64),
        (CrossEntropy(), 100),
        (ImprovedCrossEntropy(), 100),
        (Auto(), 200),
        (LineSampling(), 200),
        (DirectionalSampling(), 150),
        (SubsetSimulation(samples=3000), 200),
        (Splitting(samples=3000), 200),
        (SequentialImportance(samples=3000), 200),
    ],
    ids=lambda value: getattr(value, "kind", value),
)
def test_a_run_holds_no_more_than_predicted(method, d, seed):
    """Beside the program itself; a first run compiles, in three dimensions where the method has none of its own."""
    options = {"method": method, "relative_error": 0.2, "max_evaluations": 400_000}
    solve(linear_normal(d if method.kind == "importance" else 3, 4.0), seed(901), **options)
    gc.collect()
    tracemalloc.start()
    try:
        solve(linear_normal(d, 4.0), seed(901), **options)
        held = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert held <= total(predicted(method, d, 400_000)) - memory.PROGRAM


@pytest.mark.parametrize("name", ["us20_prices_2000_2022.csv", "wti_spot_1986_2019.csv"])
def test_a_data_file_takes_no_more_than_predicted(name):
    path = ROOT / "configs" / "data" / name
    tracemalloc.start()
    try:
        files.read(path)
        held = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert 0.3 * memory.FILE_COPIES < held / path.stat().st_size <= memory.FILE_COPIES


METHODS = [Crude(), Auto(), CrossEntropy(), SubsetSimulation(), Splitting(), LineSampling(), DirectionalSampling()]


@pytest.mark.slow
@given(
    st.sampled_from(METHODS),
    st.integers(1, 300),
    st.integers(1, 16),
    st.integers(100, 10**9),
    st.sampled_from(["threads", "processes"]),
)
def test_more_of_anything_never_needs_less(method, d, workers, n, executor):
    least = total(predicted(method, d, n, Execution(executor=executor, workers=workers)))
    assert least > memory.PROGRAM
    assert total(predicted(method, d, n, Execution(executor=executor, workers=workers + 1))) > least
    assert total(predicted(method, d, 2 * n, Execution(executor=executor, workers=workers))) >= least


def test_check_predicts_what_a_run_holds(file):
    done = CliRunner().invoke(cli.app, ["check", str(file)])
    assert done.exit_code == 0, done.output
    config = configs.load(file)
    found = config.demand(*config.outline())
    assert f"  memory: {memory.needed(found)}\n" in done.output
    assert memory.needed(found).startswith(f"{memory.shown(total(found))} at most: ")


# --- measured ----------------------------------------------------------------------------------------

PEAK = """
import re, resource, sys
from pathlib import Path
from raresim.shell import cli
try:
    cli.app(["run", *sys.argv[1:], "-q"])
except SystemExit as end:
    assert end.code == 0, end.code
own = int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])
print(own + resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)  # the process that draws the figures
"""
"""The kernel's own mark: `getrusage` may hold the peak of the process that this one was started from."""


def peak(file, folder, *overrides):
    """Peak resident bytes of a run from the shell, figures and page included."""
    return int(python(PEAK, file, *overrides, "--out", folder).splitlines()[-1]) * 1024


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the kernel keeps no mark of the peak")
def test_four_million_draws_stay_within_the_limit(file, tmp_path):
    """They would be 640 MB: a run of as many holds hardly more than a run of one in 40, and less than was foreseen."""
    config = configs.load(file, ["stop.max_evaluations=4e6"])
    found = config.demand(*config.outline())
    limit = f"execution.memory={total(found)}"
    few = peak(file, tmp_path / "few")
    many = peak(file, tmp_path / "many", "stop.max_evaluations=4e6", limit)
    assert many <= 1.1 * total(found)
    assert many - few <= 1.1 * (total(found) - memory.PROGRAM)
    assert many >= 0.5 * total(found), "the prediction is of no use"
    with pytest.raises(ConfigError, match=r"execution\.memory: allows"):
        configs.load(file, ["stop.max_evaluations=4e6", f"execution.memory={total(found) - 1}"]).outline()

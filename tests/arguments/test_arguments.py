"""Arguments of the wrong type: one kind of error, at once, with the name of the argument and what to do."""

import dataclasses
import itertools
from concurrent import futures
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats

import raresim
from raresim import (
    Crude,
    Exceedance,
    Executor,
    Experiment,
    Forecasts,
    ForecastSource,
    Independent,
    Linear,
    Normal,
    Probability,
    PythonLoss,
    StandardNormal,
    Stop,
    ValueAtRisk,
    marginals,
)
from raresim.engine.executors import Execution
from raresim.errors import ExitCode, FieldError, RaresimError
from raresim.registry import FAMILIES, members

UP = Probability(above=3.0)
LINEAR = Linear(weights="equal")
LAW = "; give one such as raresim.Normal(mean=[0.0, 0.0], cov=[[1.0, 0.5], [0.5, 1.0]])"
FIT = "; fit a law to it, such as raresim.Normal.fit(data), raresim.StudentT.fit(data) or raresim.Historical.fit(data)"
MEASURE = "; give one such as raresim.Probability(above=5.0) or raresim.ValueAtRisk(level=0.999)"
SEED = "; choose one, such as 1: with the same seed a run gives the same digits"
JOINT = "must be a joint law of the risk factors, a model or a whole number"


class Frame:
    """What a data frame looks like from outside."""

    columns = ("KO", "PEP")

    def __len__(self):
        return 250


def asked(inputs=3, loss=LINEAR, measures=UP, method="crude", **options):
    return raresim.estimate(inputs, loss, measures, method, **{"seed": 1, "max_evaluations": 1000, **options})


ESTIMATE = {
    "no seed": ({"seed": None}, f"seed: must be a whole number, got None{SEED}"),
    "half a seed": ({"seed": 1.5}, f"seed: must be a whole number, got 1.5{SEED}"),
    "true seed": ({"seed": True}, f"seed: must be a whole number, got True{SEED}"),
    "text seed": ({"seed": "1"}, f"seed: must be a whole number, got the text '1'; write 1 without quotes{SEED}"),
    "negative seed": ({"seed": -1}, "seed: must be from 0 to 2^64 - 1, got -1"),
    "text inputs": ({"inputs": "normal"}, f"inputs: {JOINT}, got the text 'normal'{LAW}"),
    "no inputs": ({"inputs": None}, f"inputs: {JOINT}, got None{LAW}"),
    "true inputs": ({"inputs": True}, f"inputs: {JOINT}, got True{LAW}"),
    "a class": ({"inputs": Normal}, f"inputs: {JOINT}, got the class Normal; call it: Normal(...)"),
    "a frame": ({"inputs": Frame()}, f"inputs: {JOINT}, got a Frame{FIT}"),
    "an array": ({"inputs": np.zeros((9, 2))}, f"inputs: {JOINT}, got an array of float64, shape (9, 2){FIT}"),
    "a law that is not frozen": (
        {"inputs": stats.norm},
        f"inputs: {JOINT}, got a norm_gen; give it its parameters: scipy.stats.norm(...)",
    ),
    "no loss": ({"loss": None}, "loss: must be a loss, got None; give one such as raresim.Linear(weights=[0.5, 0.5])"),
    "text loss": ({"loss": "x + y"}, "loss: must be 'file.py:name', got 'x + y'"),
    "class of loss": ({"loss": Linear}, "loss: must be a loss, got the class Linear; call it: Linear(...)"),
    "text measure": (
        {"measures": "var"},
        f"measures: must be a measure or a list of measures, got the text 'var'{MEASURE}",
    ),
    "text measures": ({"measures": [UP, "var"]}, f"measures: entry 1 must be a measure, got the text 'var'{MEASURE}"),
    "class of measure": (
        {"measures": [ValueAtRisk]},
        "measures: entry 0 must be a measure, got the class ValueAtRisk; call it: ValueAtRisk(...)",
    ),
    "text method": (
        {"method": "cros_entropy"},
        "method: unknown method kind 'cros_entropy'; did you mean 'cross_entropy'?",
    ),
    "method with options": (
        {"method": "importance"},
        "method: 'importance' needs options: give raresim.Importance(...); proposal: is required by Importance",
    ),
    "class of method": ({"method": Crude}, "method: must be a method, got the class Crude; call it: Crude(...)"),
    "text budget": ({"max_evaluations": "1e6"}, "max_evaluations: must be a whole number, got the text '1e6'"),
    "text error": ({"relative_error": "1%"}, "relative_error: must be a number or None, got the text '1%'"),
    "text workers": ({"workers": "2"}, "workers: must be a whole number, got the text '2'"),
    "number as a name": ({"name": 3}, "name: must be text, got 3"),
    "array as a choice": ({"audit": np.zeros(2)}, "audit: must be 'off', 'quick' or 'full', got an array of float64"),
}


@pytest.mark.parametrize(("options", "message"), ESTIMATE.values(), ids=ESTIMATE)
def test_18_12_an_estimate_says_at_once_which_argument_is_wrong(options, message):
    with pytest.raises(FieldError) as caught:
        asked(**options)
    assert str(caught.value).startswith(message)


def experiment(**options):
    return Experiment(**{"inputs": StandardNormal(dim=2), "loss": LINEAR, "measures": [UP], "seed": 1, **options})


OTHERS = {
    "law of several factors": (
        lambda: Independent(marginals=[marginals.Normal(mean=0.0, std=1.0), stats.t([4, 5])]),
        "marginals: entry 1 must be a law of one risk factor, got a rv_continuous_frozen; give one such as "
        "raresim.marginals.Normal(mean=0.0, std=1.0)",
    ),
    "law that is not frozen": (
        lambda: Independent(marginals=[stats.norm]),
        "marginals: entry 0 must be a law of one risk factor, got a norm_gen; give it its parameters: "
        "scipy.stats.norm(...)",
    ),
    "text": (lambda: Normal(mean="0"), "mean: must be one number or a list of numbers, got the text '0'"),
    "level": (
        lambda: ValueAtRisk(level="99.9%"),
        "level: must be a number, a list of numbers or None, got the text '99.9%'",
    ),
    "misspelt": (
        lambda: Stop(relativ_error=0.1),
        "relativ_error: unknown argument of Stop 'relativ_error'; did you mean 'relative_error'?",
    ),
    "a fit as an argument": (
        lambda: raresim.StudentT(fit={"prices": "prices.csv"}),
        "fit: is no argument of StudentT but a way to make one: StudentT.fit(...)",
    ),
    "left out": (PythonLoss, "function: is required by PythonLoss but missing"),
    "no seed at all": (
        lambda: Experiment(inputs=StandardNormal(dim=2), loss=LINEAR, measures=[UP]),
        f"seed: is required by Experiment but missing{SEED}",
    ),
    "no pool": (
        lambda: experiment().run(futures.ThreadPoolExecutor),
        "executor: must be an Executor, a pool with submit(), or None for this thread, got the class "
        "ThreadPoolExecutor",
    ),
    "workers beside a pool": (
        lambda: raresim.estimate(2, LINEAR, [UP], seed=1, workers=2, executor=Executor()),
        "workers: must be left out beside an executor: raresim.Executor(pool, workers=...)",
    ),
    "a pool that cannot be shut down": (
        lambda: Executor(SimpleNamespace(submit=print), 1, owns=True),
        "owns: must be False for a SimpleNamespace, which has no shutdown() to end it with",
    ),
    "scheduler without dask": (
        lambda: Execution(scheduler="tcp://host:8786"),
        "scheduler: goes with executor dask, got executor auto",
    ),
    "address of a scheduler": (
        lambda: Execution(executor="dask", scheduler="host:8786"),
        "scheduler: must be the address of a Dask scheduler, such as tcp://host:8786, or null for a cluster of "
        "processes on this machine, got 'host:8786'",
    ),
    "kind of executor": (
        lambda: Executor("processes"),
        "pool: must be a concurrent.futures.Executor, or None for the calling thread, got the text 'processes'",
    ),
    "config": (lambda: raresim.load(None), "path: must be a path, got None"),
    "backtest": (
        lambda: raresim.backtest(np.zeros(250), level=0.99),
        "data: must be a Forecasts or a ForecastSource, got an array of float64, shape (250,); make one by "
        "raresim.Forecasts.of(losses, var=..., es=...)",
    ),
    "level of a backtest": (
        lambda: raresim.backtest(Forecasts.of(np.arange(99.0), var=8.5), level="0.99"),
        "level: must be a number, got the text '0.99'",
    ),
    "file": (lambda: ForecastSource(file=3), "file: must be a path, got 3"),
    "fit to a path": (
        lambda: Normal.fit("prices.csv"),
        "data: must be an array or data frame of returns, got the text 'prices.csv'; a file is read by "
        "raresim.ReturnsSource(",
    ),
}


@pytest.mark.parametrize(("build", "message"), OTHERS.values(), ids=OTHERS)
def test_18_12_what_is_wrong_and_what_to_say_instead(build, message):
    with pytest.raises(FieldError) as caught:
        build()
    assert str(caught.value).startswith(message)


def test_18_12_a_wrong_argument_is_an_error_of_raresim_and_a_value_error():
    for kind in (RaresimError, ValueError):
        with pytest.raises(kind, match="dim: must be a whole number, got None"):
            StandardNormal(dim=None)
    assert FieldError("dim", "is wrong").exit_code == ExitCode.CONFIG


def test_18_12_numbers_and_lists_of_numpy_are_taken_for_those_of_python():
    assert Stop(max_evaluations=np.float64(1e6), relative_error=np.float32(0.25)) == Stop(
        max_evaluations=1_000_000, relative_error=0.25
    )
    assert isinstance(Stop(max_evaluations=1e6).max_evaluations, int)
    assert StandardNormal(dim=np.array(3)).dim == 3
    periods = Exceedance(return_periods=np.array([10.0, 100.0]), events_per_year=250.0)
    assert list(periods.return_periods) == [10.0, 100.0]
    made = experiment(measures=np.array([UP, UP]), seed=np.int64(3))
    assert made.seed == 3
    assert list(made.measures) == [UP, UP]


JUNK = {
    "None": None,
    "text": "text",
    "number in text": "3",
    "true": True,
    "not a number": float("nan"),
    "infinite": float("inf"),
    "negative": -1,
    "half": 1.5,
    "object": object(),
    "empty": [],
    "mixed": ["a", 1],
    "mapping": {"a": 1},
    "frozen": stats.norm(0, 1),
    "vector": np.array([0.5, 0.5]),
    "matrix": np.eye(2),
    "function": len,
    "class": Crude,
    "complex": 1j,
}


def first_examples():
    """One object of every class that a user constructs."""
    for cls in dict.fromkeys(itertools.chain(*(members(family).values() for family in FAMILIES))):
        example = cls.examples()[0]
        parts = example if isinstance(example, tuple) else (example,)
        yield next(part for part in parts if isinstance(part, cls))
    yield from (Stop(), Execution(), experiment(), ForecastSource(file="forecasts.csv"))


@pytest.mark.slow
def test_18_12_no_argument_of_any_part_raises_anything_else():
    """Each argument of each class is replaced by values of a wrong type, and by senseless ones of the right type."""
    raw, refused = [], 0
    for example in first_examples():
        cls = type(example)
        given = {f.name: getattr(example, f.name) for f in dataclasses.fields(example) if f.init}
        for name, (label, junk) in itertools.product(given, JUNK.items()):
            try:
                cls(**{**given, name: junk})
            except RaresimError:
                refused += 1
            except Exception as error:
                raw.append(f"{cls.__module__}.{cls.__name__}({name}=<{label}>): {type(error).__name__}: {error}")
    assert raw == []
    assert refused > 4000

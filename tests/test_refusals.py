"""What the constructors of laws, losses and methods refuse, word for word."""

import pickle
from dataclasses import dataclass

import numpy as np
import pytest

from raresim import (
    CrossEntropy,
    Crude,
    Experiment,
    Gaussian,
    Importance,
    Linear,
    LowRankNormal,
    Mixture,
    Normal,
    Probability,
    PythonLoss,
    StandardNormal,
    Stop,
    StudentT,
)
from raresim.config import load as configs
from raresim.config.load import Config
from raresim.errors import ConfigError, FieldError, about
from raresim.measures.base import LossScale
from raresim.registry import members

ONE = StandardNormal(dim=1)
UP = Probability(above=3.0)
BETTING = Probability(above=3.0, interval="betting")


def asking(method, measure, stop=None, loss=None):
    """An experiment with one standard normal."""
    loss = loss or Linear(weights=[1.0])
    return Experiment(inputs=ONE, loss=loss, measures=[measure], method=method, stop=stop or Stop(), seed=1)


REFUSED = [
    (lambda: StandardNormal(dim=0), "dim: must be at least 1, got 0"),
    (lambda: Normal(std=1.0, cov=[[1.0]]), "cov: give either std (independent coordinates) or cov, not both"),
    (lambda: Normal(std=-1.0), "std: must be positive, got -1"),
    (lambda: Normal(mean=[1, 2], std=[1, 2, 3]), "std: must agree with mean (2 entries), got 3"),
    (lambda: Normal(dim=3, mean=[1, 2]), "mean: must agree with dim (3 entries), got 2"),
    (lambda: Normal(dim=-1), "dim: must be at least 1, got -1"),
    (lambda: Normal(cov=[[1, 2], [2, 1]]), "cov: must be positive definite, got a matrix with smallest eigenvalue -1"),
    (lambda: StudentT(dof=0.0), "dof: must be from 0.1 to 100000 (beyond: kind normal), got 0"),
    (lambda: StudentT(dof=np.inf), "dof: must be from 0.1 to 100000 (beyond: kind normal), got inf"),
    (lambda: StudentT(dof=3, scale=1, shape=[[1]]), "shape: give either scale (diagonal) or shape, not both"),
    (lambda: StudentT(dof=3, scale=0), "scale: must be positive, got 0"),
    (lambda: StudentT(dof=3, loc=[0, 0, 0], shape=np.eye(2)), "shape: must agree with loc (3 entries), got 2"),
    (lambda: StudentT(dof=3, shape=[[1, 2], [2, 1]]), "shape: must be positive definite"),
    (lambda: LowRankNormal(mean=[0, 0], directions=[[1.0]], variances=1), "directions: must have 2 rows, got 1"),
    (
        lambda: LowRankNormal(mean=[0, 0], directions=[[1.0], [1.0]], variances=1),
        "directions: must be orthonormal columns, got a product off by 1",
    ),
    (lambda: LowRankNormal(mean=[0, 0], directions=[[1.0], [0.0]], variances=0), "variances: must be positive, got 0"),
    (lambda: Mixture(weights=[], components=[]), "components: must name at least one distribution"),
    (
        lambda: Mixture(weights=[0.5, 0.5], components=[ONE, StandardNormal(dim=2)]),
        "components: must have one dimension in common, got [1, 2]",
    ),
    (lambda: Mixture(weights=[0, 1], components=[ONE, ONE]), "weights: must be positive, got 0"),
    (lambda: Mixture(weights=[0.5, 0.6], components=[ONE, ONE]), "weights: must add to 1, got 1.1"),
    (Linear, "weights: give either weights or positions"),
    (lambda: Linear(weights="equal", positions="p.csv"), "weights: give either weights or positions"),
    (lambda: Linear(weights="even"), "weights: must be 'equal' or a list of numbers, got 'even'"),
    (lambda: Linear(weights=[0.0, 0.0]), "weights: must not all be zero"),
    (lambda: Linear(weights=[1.0, 2.0]).bind(ONE), "weights: must have 1 entries, got 2"),
    (
        lambda: Linear(positions="p.csv").bind(ONE),
        "positions: needs inputs with named factors: a fit to data, or marginals with names",
    ),
    (lambda: PythonLoss(function="losses"), "function: must be 'file.py:name', got 'losses'"),
    (lambda: PythonLoss(function="losses.py:not a name"), "function: must be 'file.py:name', got 'losses.py:not a"),
    (lambda: PythonLoss(function=3), "function: must be 'file.py:name' or a function, got 3"),
    (lambda: Gaussian(floor=0.5), "floor: must be above 0.5 and at most 1, got 0.5"),
    (lambda: Gaussian(floor=1.5), "floor: must be above 0.5 and at most 1, got 1.5"),
    (lambda: Gaussian(rank=0), "rank: must be at least 1, got 0"),
    (
        lambda: Gaussian(covariance="full", rank=2),
        "rank: goes with covariance: low_rank, got covariance: full",
    ),
    (lambda: CrossEntropy(rarity=0.0), "rarity: must be above 0 and at most 0.5, got 0"),
    (lambda: CrossEntropy(rarity=0.6), "rarity: must be above 0 and at most 0.5, got 0.6"),
    (lambda: CrossEntropy(defensive=1.0), "defensive: must be at least 0 and below 1, got 1"),
    (lambda: CrossEntropy(samples=0), "samples: must be at least 1, got 0"),
    (lambda: CrossEntropy(starts=0), "starts: must be at least 1, got 0"),
    (lambda: CrossEntropy(max_levels=0), "max_levels: must be at least 1, got 0"),
    (lambda: Importance(proposal=ONE, defensive=-0.1), "defensive: must be at least 0 and below 1, got -0.1"),
    (lambda: Stop(relative_error=0.0), "relative_error: must be above 0 and below 1, got 0"),
    (lambda: Stop(relative_error=np.nan), "relative_error: must be above 0 and below 1, got nan"),
    (lambda: Stop(max_evaluations=19), "max_evaluations: must be at least 20, got 19"),
    (lambda: Experiment(inputs=ONE, loss=Linear(weights="equal"), measures=[], seed=1), "measures: must name at least"),
    (
        lambda: asking(Crude(guarantee="relative"), UP, Stop(relative_error=None)),
        "guarantee: needs stop.relative_error, the error that it guarantees",
    ),
    (
        lambda: asking(Crude(guarantee="relative"), UP, loss=PythonLoss(function=float, on_failure="bound")),
        "guarantee: must not be given where loss.on_failure is 'bound'",
    ),
    (
        lambda: asking(Crude(guarantee="relative"), UP, Stop(relative_error=0.6)).run(),
        "relative_error: must be below 0.51 to be guaranteed at 95 %, got 0.6",
    ),
    (
        lambda: asking(Crude(guarantee="relative"), BETTING),
        "interval: must not be 'betting' where method.guarantee is given",
    ),
    (
        lambda: asking(Crude(), BETTING, loss=PythonLoss(function=float, on_failure="bound")),
        "interval: must not be 'betting' where loss.on_failure is 'bound'",
    ),
    (
        lambda: asking(Importance(proposal=Normal(mean=2.0, dim=1)), BETTING).run(),
        "interval: must not be 'betting' here: the weights have no bound; give the method a defensive share",
    ),
    (
        lambda: asking(Importance(proposal=Normal(mean=2.0, dim=1), defensive=0.1, draws="sobol"), BETTING).run(),
        "interval: must not be 'betting' here: the rows of this method are not independent draws",
    ),
    (
        lambda: Experiment(inputs=ONE, loss=Linear(weights="equal"), measures=[UP], seed=-1),
        "seed: must be from 0 to 2^64 - 1, got -1",
    ),
    (
        lambda: Experiment(inputs=ONE, loss=Linear(weights="equal"), measures=[UP], seed=2**64),
        "seed: must be from 0 to 2^64 - 1, got 18446744073709551616",
    ),
]

MISSPELT = [
    (lambda: Linear(weights="equal", factors="Losses"), "factors"),
    (lambda: Gaussian(covariance="ful"), "covariance"),
    (lambda: Importance(proposal=ONE, space="phsyical"), "space"),
    (lambda: Crude(guarantee="absolute"), "guarantee"),
    (lambda: Probability(above=1.0, interval="bets"), "interval"),
]


@pytest.mark.parametrize(("build", "message"), REFUSED, ids=[message[:40] for _, message in REFUSED])
def test_constructor_says_what_is_allowed_and_what_was_given(build, message):
    with pytest.raises(FieldError) as caught:
        build()
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(("build", "field"), MISSPELT, ids=[field for _, field in MISSPELT])
def test_misspelt_option_is_refused_in_python_as_in_yaml(build, field):
    """The constructor is the only validator: a wrong word must not silently mean the other choice."""
    with pytest.raises(FieldError) as caught:
        build()
    assert caught.value.field == field


# --- check and run refuse alike -------------------------------------------------------------------------

CONFIG = """\
seed: 1
inputs: {kind: standard_normal, dim: 2}
loss: {kind: linear, weights: [1.0, 1.0]}
measures: [{kind: probability, above: 5.0}]
method: {kind: auto}
stop: {max_evaluations: 2e4}
"""

LOSSES = "def f(x):\n    raise RuntimeError('it ran')\n"

BOTH_SIDES = "[{kind: probability, above: 5.0}, {kind: probability, below: -5.0}]"
PYTHON = "loss={kind: python, function: losses.py:f, on_failure: bound}"
GUARANTEED = "method={kind: crude, guarantee: relative}"

REFUSED_TOGETHER = {
    "sides": ([f"measures={BOTH_SIDES}"], "measures: must be on one side of the loss for method auto: put `above`"),
    "sides of lines": (
        [f"measures={BOTH_SIDES}", "method={kind: line_sampling, direction: [1.0, 1.0]}"],
        "measures: must be on one side of the loss for method line_sampling",
    ),
    "direction": (["method={kind: line_sampling, direction: [1.0, 2.0, 3.0]}"], "method.direction: must have 2 entr"),
    "proposal": (
        ["method={kind: importance, proposal: {kind: normal, mean: [1.0, 1.0, 1.0]}}"],
        "method.proposal: must have 2 coordinates (standard space), got 3",
    ),
    "density": (
        [
            "inputs={kind: historical, values: [[0.0, 1.0], [1.0, 2.0], [2.0, 0.0]]}",
            "method={kind: importance, space: physical, proposal: {kind: normal, mean: [1.0, 1.0]}}",
        ],
        "method.space: must be 'standard': the density of inputs of kind historical is not known",
    ),
    "family": (
        [
            "inputs={kind: normal, cov: [[1, 0.5], [0.5, 1]]}",
            "method={kind: cross_entropy, proposal: {kind: exponential_tilt}}",
        ],
        "method.proposal: must have independent factors to be tilted, got a law of kind normal",
    ),
    "summands": (["method={kind: asmussen_kroese}", PYTHON], "loss: must be a weighted sum of the factors"),
    "no number": (["measures=[{kind: sensitivities}]"], "measures: must ask for a number, such as a probability"),
    "upper side": (
        ["measures=[{kind: probability, below: -3.0}, {kind: value_at_risk, level: 0.99}]"],
        "measures: must be on the upper side of the loss",
    ),
    "no components": (
        ["measures=[{kind: probability, above: 3.0}, {kind: contributions, level: 0.99}]", PYTHON, "method.kind=crude"],
        "measures: must be probabilities where loss.on_failure is 'bound', got contributions",
    ),
    "bounded lines": ([PYTHON, "method={kind: line_sampling}"], "loss.on_failure: cannot be 'bound' with method line"),
    "guarantee": ([GUARANTEED, "stop.relative_error=null"], "method.guarantee: needs stop.relative_error"),
    "second bet": (
        [GUARANTEED, "measures=[{kind: probability, above: 1.0}, {kind: probability, above: 2.0, interval: betting}]"],
        "measures[1].interval: must not be 'betting' where method.guarantee is given",
    ),
    "first level": (
        ["method={kind: cross_entropy}", "stop.max_evaluations=2e3"],
        "stop.max_evaluations: must be at least 8,000: the first level (4 starts) takes 4,000 draws, got 2,000",
    ),
    "pooled levels": (
        ["method={kind: improved_cross_entropy}", "stop.max_evaluations=1e3"],
        "stop.max_evaluations: must be at least 2,000: the first level takes 1,000 draws, got 1,000",
    ),
    "population": (
        ["method={kind: splitting, samples: 2000}", "stop.max_evaluations=1e3"],
        "stop.max_evaluations: must be at least 4,000: the first level takes 2,000 draws, got 1,000",
    ),
    "pilot": (
        ["method={kind: design_point}", "stop.max_evaluations=1e3"],
        "stop.max_evaluations: must be at least 2,152: the pilot and the first step of 4 climbs take 1,076 evaluations",
    ),
    "rays": (
        ["method={kind: directional_sampling}", "stop.max_evaluations=200"],
        "stop.max_evaluations: must be at least ",
    ),
    "quantile": (
        ["measures=[{kind: value_at_risk, level: 0.999}]", "stop.max_evaluations=3e3"],
        "stop.max_evaluations: must be at least 9,046 to find a quantile with tail probability 0.001, got 3,000",
    ),
    "standard deviation": (
        [
            "measures=[{kind: probability, above: 5 sigma}]",
            "loss={kind: python, function: losses.py:f}",
            "stop.max_evaluations=1e4",
        ],
        "stop.max_evaluations: must be above 10,000: that many draws estimate the standard deviation of this loss",
    ),
    "what if": (
        ["measures=[{kind: probability, above: 3.0}, {kind: what_if, change: {volatile: 2.0}}]"],
        "measures[1].change: ",
    ),
}


def message_of(config, begin):
    """What ``begin`` refuses ``config`` with, as the shell prints it."""
    with pytest.raises((ConfigError, FieldError)) as caught:
        begin(config)
    return str(config.explain(caught.value) if isinstance(caught.value, FieldError) else caught.value)


@pytest.mark.parametrize("case", REFUSED_TOGETHER)
def test_check_and_run_refuse_the_same_with_the_same_words(case, tmp_path):
    """Nothing passes `raresim check` that a run refuses before it draws; the place is that of the part it is about."""
    overrides, message = REFUSED_TOGETHER[case]
    (tmp_path / "losses.py").write_text(LOSSES)
    path = tmp_path / "together.yaml"
    path.write_text(CONFIG)
    checked, run = (
        message_of(configs.load(path, overrides), begin) for begin in (Config.outline, lambda c: c.experiment().run())
    )
    assert checked == run
    assert f": {message}" in checked


@dataclass(frozen=True, kw_only=True)
class Choosy(Crude):
    """A method of a user's own that has something against the loss and the inputs."""

    def refuse(self, loss, measures, relative_error):
        if loss.kind == "linear":
            raise FieldError("guarantee", "goes with no linear loss")

    def refuse_problem(self, problem):
        if problem.inputs.dim > 1:
            raise FieldError("inputs", "must be one factor", ())


def test_a_method_that_is_not_shipped_is_asked_too():
    with pytest.raises(FieldError, match=r"^guarantee: goes with no linear loss") as caught:
        asking(Choosy(), UP)
    assert caught.value.of == ("method",)
    loss = PythonLoss(function=len)
    experiment = Experiment(inputs=StandardNormal(dim=2), loss=loss, measures=[UP], method=Choosy(), seed=1)
    for begin in (experiment.check, experiment.run):
        with pytest.raises(FieldError, match=r"^inputs: must be one factor") as caught:
            begin()
        assert caught.value.of == ()


def test_parts_whose_names_only_a_call_tells_pass_the_check(tmp_path):
    (tmp_path / "losses.py").write_text(LOSSES)
    path = tmp_path / "parts.yaml"
    path.write_text(CONFIG)
    asked = "measures=[{kind: contributions, level: 0.99}]"
    configs.load(path, [asked, "loss={kind: python, function: losses.py:f, components: true}"]).outline()
    with pytest.raises(ConfigError, match=r"measures\[0\]\.kind: contributions needs a loss with parts"):
        configs.load(path, [asked, "loss={kind: python, function: losses.py:f}"]).outline()


def test_where_an_error_belongs_survives_the_way_between_processes():
    error = pickle.loads(pickle.dumps(FieldError("interval", "must not", ("measures", 1))))
    assert (str(error), error.of) == ("interval: must not", ("measures", 1))
    with pytest.raises(FieldError) as caught, about("method"), about("loss"):
        raise FieldError("draws", "must not")
    assert caught.value.of == ("loss",)


MEASURES = [(kind, k, measure) for kind, cls in members("measure").items() for k, measure in enumerate(cls.examples())]


@pytest.mark.parametrize(("kind", "k", "measure"), MEASURES, ids=[f"{kind}-{k}" for kind, k, _ in MEASURES])
def test_what_a_measure_says_of_its_questions_is_so(kind, k, measure):
    """It says so before they can be asked: whether there are any, on which side of the loss, and whether they bet."""
    asked = measure.questions(lambda: LossScale(0.0, 1.0, "given"), lambda tail: 1.0 / tail)
    assert measure.asks == bool(asked)
    assert {question.event.direction for question in asked} <= {measure.direction}
    assert measure.bets == any(question.interval == "betting" for question in asked)

"""What the constructors of laws, losses and methods refuse, word for word."""

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
from raresim.errors import FieldError

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
    (lambda: Stop(max_evaluations=99), "max_evaluations: must be at least 100, got 99"),
    (lambda: Experiment(inputs=ONE, loss=Linear(weights="equal"), measures=[], seed=1), "measures: must name at least"),
    (
        lambda: asking(Crude(guarantee="relative"), UP, Stop(relative_error=None)),
        "guarantee: needs stop.relative_error, the error that it is about",
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
        "interval: must not be 'betting' here: the rows of this method are no independent draws",
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

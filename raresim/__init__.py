"""raresim: rare-event Monte Carlo with intervals that hold and verdicts that say when they do not."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from raresim.config import load
    from raresim.data import ColumnSource, ReturnsSource, ReturnsTable
    from raresim.distributions.copula import CopulaInputs
    from raresim.distributions.factor import FactorModel
    from raresim.distributions.fitted import FittedInputs
    from raresim.distributions.garch import Garch
    from raresim.distributions.groups import Groups
    from raresim.distributions.historical import Historical
    from raresim.distributions.independent import Independent
    from raresim.distributions.low_rank_normal import LowRankNormal
    from raresim.distributions.mixture import Mixture
    from raresim.distributions.nataf import Nataf
    from raresim.distributions.normal import Normal
    from raresim.distributions.standard_normal import StandardNormal
    from raresim.distributions.student_t import StudentT
    from raresim.errors import ConfigError, DataError, ExitCode, FieldError, LossError, RaresimError
    from raresim.estimation import Stop
    from raresim.executors import Executor
    from raresim.experiment import Experiment, estimate
    from raresim.losses.linear import Linear
    from raresim.losses.python import PythonLoss
    from raresim.measures.base import Reference
    from raresim.measures.probability import Probability
    from raresim.methods.cross_entropy import CrossEntropy
    from raresim.methods.crude import Crude
    from raresim.methods.importance import Importance
    from raresim.proposals.gaussian import Gaussian
    from raresim.result import Result

__version__ = "0.1.0"

_HOMES = {
    "ColumnSource": "data",
    "ConfigError": "errors",
    "CopulaInputs": "distributions.copula",
    "CrossEntropy": "methods.cross_entropy",
    "Crude": "methods.crude",
    "DataError": "errors",
    "Executor": "executors",
    "ExitCode": "errors",
    "Experiment": "experiment",
    "FactorModel": "distributions.factor",
    "FieldError": "errors",
    "FittedInputs": "distributions.fitted",
    "Garch": "distributions.garch",
    "Gaussian": "proposals.gaussian",
    "Groups": "distributions.groups",
    "Historical": "distributions.historical",
    "Importance": "methods.importance",
    "Independent": "distributions.independent",
    "Linear": "losses.linear",
    "LossError": "errors",
    "LowRankNormal": "distributions.low_rank_normal",
    "Mixture": "distributions.mixture",
    "Nataf": "distributions.nataf",
    "Normal": "distributions.normal",
    "Probability": "measures.probability",
    "PythonLoss": "losses.python",
    "RaresimError": "errors",
    "Reference": "measures.base",
    "Result": "result",
    "ReturnsSource": "data",
    "ReturnsTable": "data",
    "StandardNormal": "distributions.standard_normal",
    "Stop": "estimation",
    "StudentT": "distributions.student_t",
    "estimate": "experiment",
    "load": "config",
}

__all__ = [
    "ColumnSource",
    "ConfigError",
    "CopulaInputs",
    "CrossEntropy",
    "Crude",
    "DataError",
    "Executor",
    "ExitCode",
    "Experiment",
    "FactorModel",
    "FieldError",
    "FittedInputs",
    "Garch",
    "Gaussian",
    "Groups",
    "Historical",
    "Importance",
    "Independent",
    "Linear",
    "LossError",
    "LowRankNormal",
    "Mixture",
    "Nataf",
    "Normal",
    "Probability",
    "PythonLoss",
    "RaresimError",
    "Reference",
    "Result",
    "ReturnsSource",
    "ReturnsTable",
    "StandardNormal",
    "Stop",
    "StudentT",
    "estimate",
    "load",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: ``raresim --help`` must not wait for numpy."""
    if name in _HOMES:
        value = getattr(importlib.import_module(f"raresim.{_HOMES[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'raresim' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])

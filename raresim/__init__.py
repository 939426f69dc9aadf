"""raresim: rare-event Monte Carlo with intervals that hold and verdicts that say when they do not."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from raresim.backtests.backtest import backtest
    from raresim.config.load import load
    from raresim.data import ColumnSource, Forecasts, ForecastSource, ReturnsSource, ReturnsTable
    from raresim.distributions.directional import Directional
    from raresim.distributions.exponential_tilt import ExponentialTilt
    from raresim.distributions.exponentially_modified_normal import ExponentiallyModifiedNormal
    from raresim.distributions.factor import FactorModel
    from raresim.distributions.groups import Groups
    from raresim.distributions.histogram_tilt import HistogramTilt
    from raresim.distributions.historical import Historical
    from raresim.distributions.independent import Independent
    from raresim.distributions.low_rank_normal import LowRankNormal
    from raresim.distributions.mixture import Mixture
    from raresim.distributions.normal import Normal
    from raresim.distributions.standard_normal import StandardNormal
    from raresim.distributions.student_t import StudentT
    from raresim.distributions.von_mises_fisher_nakagami import VonMisesFisherNakagami
    from raresim.engine.executors import Executor
    from raresim.errors import ConfigError, DataError, ExitCode, FieldError, LossError, RaresimError
    from raresim.inputs.copula import CopulaInputs
    from raresim.inputs.fitted import FittedInputs
    from raresim.inputs.garch import Garch
    from raresim.inputs.nataf import Nataf
    from raresim.losses.linear import Linear
    from raresim.losses.python import PythonLoss
    from raresim.measures.contributions import Contributions
    from raresim.measures.exceedance import Exceedance
    from raresim.measures.expected_shortfall import ExpectedShortfall
    from raresim.measures.probability import Probability
    from raresim.measures.scenarios import Scenarios
    from raresim.measures.sensitivities import Sensitivities
    from raresim.measures.unexpected_loss import UnexpectedLoss
    from raresim.measures.value_at_risk import ValueAtRisk
    from raresim.measures.what_if import WhatIf
    from raresim.methods.asmussen_kroese import AsmussenKroese
    from raresim.methods.auto import Auto
    from raresim.methods.cross_entropy import CrossEntropy
    from raresim.methods.crude import Crude
    from raresim.methods.design_point import DesignPointSampling
    from raresim.methods.directional_sampling import DirectionalSampling
    from raresim.methods.importance import Importance
    from raresim.methods.improved_cross_entropy import ImprovedCrossEntropy
    from raresim.methods.line_sampling import LineSampling
    from raresim.methods.sequential import SequentialImportance
    from raresim.methods.splitting import Splitting
    from raresim.methods.subset_simulation import SubsetSimulation
    from raresim.proposals.directional import DirectionalMixture
    from raresim.proposals.exponential_tilt import ExponentialTilting
    from raresim.proposals.gaussian import Gaussian
    from raresim.proposals.gaussian_mixture import GaussianMixture
    from raresim.proposals.histogram_tilt import HistogramTilting
    from raresim.proposals.student_t import StudentTMixture
    from raresim.proposals.von_mises_fisher_nakagami import VonMisesFisherNakagamiMixture
    from raresim.record.records import Reference
    from raresim.run.estimation import Stop
    from raresim.run.experiment import Experiment, estimate
    from raresim.run.result import Result

__version__ = "0.1.0"

_HOMES = {
    "AsmussenKroese": "methods.asmussen_kroese",
    "Auto": "methods.auto",
    "ColumnSource": "data",
    "ConfigError": "errors",
    "Contributions": "measures.contributions",
    "CopulaInputs": "inputs.copula",
    "CrossEntropy": "methods.cross_entropy",
    "Crude": "methods.crude",
    "DataError": "errors",
    "DesignPointSampling": "methods.design_point",
    "Directional": "distributions.directional",
    "DirectionalMixture": "proposals.directional",
    "DirectionalSampling": "methods.directional_sampling",
    "Exceedance": "measures.exceedance",
    "Executor": "engine.executors",
    "ExitCode": "errors",
    "ExpectedShortfall": "measures.expected_shortfall",
    "Experiment": "run.experiment",
    "ExponentialTilt": "distributions.exponential_tilt",
    "ExponentialTilting": "proposals.exponential_tilt",
    "ExponentiallyModifiedNormal": "distributions.exponentially_modified_normal",
    "FactorModel": "distributions.factor",
    "FieldError": "errors",
    "FittedInputs": "inputs.fitted",
    "ForecastSource": "data",
    "Forecasts": "data",
    "Garch": "inputs.garch",
    "Gaussian": "proposals.gaussian",
    "GaussianMixture": "proposals.gaussian_mixture",
    "Groups": "distributions.groups",
    "HistogramTilt": "distributions.histogram_tilt",
    "HistogramTilting": "proposals.histogram_tilt",
    "Historical": "distributions.historical",
    "Importance": "methods.importance",
    "ImprovedCrossEntropy": "methods.improved_cross_entropy",
    "Independent": "distributions.independent",
    "LineSampling": "methods.line_sampling",
    "Linear": "losses.linear",
    "LossError": "errors",
    "LowRankNormal": "distributions.low_rank_normal",
    "Mixture": "distributions.mixture",
    "Nataf": "inputs.nataf",
    "Normal": "distributions.normal",
    "Probability": "measures.probability",
    "PythonLoss": "losses.python",
    "RaresimError": "errors",
    "Reference": "measures.base",
    "Result": "run.result",
    "ReturnsSource": "data",
    "ReturnsTable": "data",
    "Scenarios": "measures.scenarios",
    "Sensitivities": "measures.sensitivities",
    "SequentialImportance": "methods.sequential",
    "Splitting": "methods.splitting",
    "StandardNormal": "distributions.standard_normal",
    "Stop": "run.estimation",
    "StudentT": "distributions.student_t",
    "StudentTMixture": "proposals.student_t",
    "SubsetSimulation": "methods.subset_simulation",
    "UnexpectedLoss": "measures.unexpected_loss",
    "ValueAtRisk": "measures.value_at_risk",
    "VonMisesFisherNakagami": "distributions.von_mises_fisher_nakagami",
    "VonMisesFisherNakagamiMixture": "proposals.von_mises_fisher_nakagami",
    "WhatIf": "measures.what_if",
    "backtest": "backtests.backtest",
    "estimate": "run.experiment",
    "load": "config.load",
}

__all__ = [
    "AsmussenKroese",
    "Auto",
    "ColumnSource",
    "ConfigError",
    "Contributions",
    "CopulaInputs",
    "CrossEntropy",
    "Crude",
    "DataError",
    "DesignPointSampling",
    "Directional",
    "DirectionalMixture",
    "DirectionalSampling",
    "Exceedance",
    "Executor",
    "ExitCode",
    "ExpectedShortfall",
    "Experiment",
    "ExponentialTilt",
    "ExponentialTilting",
    "ExponentiallyModifiedNormal",
    "FactorModel",
    "FieldError",
    "FittedInputs",
    "ForecastSource",
    "Forecasts",
    "Garch",
    "Gaussian",
    "GaussianMixture",
    "Groups",
    "HistogramTilt",
    "HistogramTilting",
    "Historical",
    "Importance",
    "ImprovedCrossEntropy",
    "Independent",
    "LineSampling",
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
    "Scenarios",
    "Sensitivities",
    "SequentialImportance",
    "Splitting",
    "StandardNormal",
    "Stop",
    "StudentT",
    "StudentTMixture",
    "SubsetSimulation",
    "UnexpectedLoss",
    "ValueAtRisk",
    "VonMisesFisherNakagami",
    "VonMisesFisherNakagamiMixture",
    "WhatIf",
    "backtest",
    "estimate",
    "load",
]


_FAMILIES = ("copulas", "marginals", "models")
"""Folders whose members are called by the name of the folder: ``raresim.marginals.Normal``."""


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: ``raresim --help`` must not wait for numpy."""
    if name in _HOMES:
        value = getattr(importlib.import_module(f"raresim.{_HOMES[name]}"), name)
        globals()[name] = value
        return value
    if name in _FAMILIES:
        return importlib.import_module(f"raresim.{name}")
    raise AttributeError(f"module 'raresim' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])

"""The public names and where each of them is: what type checkers read, and `raresim/__init__.py` imports from."""

from raresim.backtests.backtest import backtest as backtest
from raresim.config.load import load as load
from raresim.data import ColumnSource as ColumnSource
from raresim.data import Forecasts as Forecasts
from raresim.data import ForecastSource as ForecastSource
from raresim.data import ReturnsSource as ReturnsSource
from raresim.data import ReturnsTable as ReturnsTable
from raresim.distributions.directional import Directional as Directional
from raresim.distributions.exponential_tilt import ExponentialTilt as ExponentialTilt
from raresim.distributions.exponentially_modified_normal import (
    ExponentiallyModifiedNormal as ExponentiallyModifiedNormal,
)
from raresim.distributions.factor import FactorModel as FactorModel
from raresim.distributions.groups import Groups as Groups
from raresim.distributions.histogram_tilt import HistogramTilt as HistogramTilt
from raresim.distributions.historical import Historical as Historical
from raresim.distributions.independent import Independent as Independent
from raresim.distributions.low_rank_normal import LowRankNormal as LowRankNormal
from raresim.distributions.mixture import Mixture as Mixture
from raresim.distributions.normal import Normal as Normal
from raresim.distributions.standard_normal import StandardNormal as StandardNormal
from raresim.distributions.student_t import StudentT as StudentT
from raresim.distributions.von_mises_fisher_nakagami import VonMisesFisherNakagami as VonMisesFisherNakagami
from raresim.engine.executors import Executor as Executor
from raresim.errors import ClusterLostError as ClusterLostError
from raresim.errors import ConfigError as ConfigError
from raresim.errors import DataError as DataError
from raresim.errors import ExitCode as ExitCode
from raresim.errors import FieldError as FieldError
from raresim.errors import LossError as LossError
from raresim.errors import RaresimError as RaresimError
from raresim.inputs.copula import CopulaInputs as CopulaInputs
from raresim.inputs.fitted import FittedInputs as FittedInputs
from raresim.inputs.garch import Garch as Garch
from raresim.inputs.nataf import Nataf as Nataf
from raresim.losses.algebra import Complement as Complement
from raresim.losses.algebra import Intersection as Intersection
from raresim.losses.algebra import Union as Union
from raresim.losses.event import Event as Event
from raresim.losses.linear import Linear as Linear
from raresim.losses.outputs import ProgramOutput as ProgramOutput
from raresim.losses.program import ProgramLoss as ProgramLoss
from raresim.losses.python import PythonLoss as PythonLoss
from raresim.losses.systems import AtLeast as AtLeast
from raresim.losses.systems import ParallelSystem as ParallelSystem
from raresim.losses.systems import SeriesSystem as SeriesSystem
from raresim.losses.umbridge import UMBridgeLoss as UMBridgeLoss
from raresim.measures.contributions import Contributions as Contributions
from raresim.measures.exceedance import Exceedance as Exceedance
from raresim.measures.expected_shortfall import ExpectedShortfall as ExpectedShortfall
from raresim.measures.probability import Probability as Probability
from raresim.measures.scenarios import Scenarios as Scenarios
from raresim.measures.sensitivities import Sensitivities as Sensitivities
from raresim.measures.unexpected_loss import UnexpectedLoss as UnexpectedLoss
from raresim.measures.value_at_risk import ValueAtRisk as ValueAtRisk
from raresim.measures.what_if import WhatIf as WhatIf
from raresim.methods.asmussen_kroese import AsmussenKroese as AsmussenKroese
from raresim.methods.auto import Auto as Auto
from raresim.methods.cross_entropy import CrossEntropy as CrossEntropy
from raresim.methods.crude import Crude as Crude
from raresim.methods.design_point import DesignPointSampling as DesignPointSampling
from raresim.methods.directional_sampling import DirectionalSampling as DirectionalSampling
from raresim.methods.importance import Importance as Importance
from raresim.methods.improved_cross_entropy import ImprovedCrossEntropy as ImprovedCrossEntropy
from raresim.methods.line_sampling import LineSampling as LineSampling
from raresim.methods.sequential import SequentialImportance as SequentialImportance
from raresim.methods.splitting import Splitting as Splitting
from raresim.methods.subset_simulation import SubsetSimulation as SubsetSimulation
from raresim.proposals.directional import DirectionalMixture as DirectionalMixture
from raresim.proposals.exponential_tilt import ExponentialTilting as ExponentialTilting
from raresim.proposals.gaussian import Gaussian as Gaussian
from raresim.proposals.gaussian_mixture import GaussianMixture as GaussianMixture
from raresim.proposals.histogram_tilt import HistogramTilting as HistogramTilting
from raresim.proposals.student_t import StudentTMixture as StudentTMixture
from raresim.proposals.von_mises_fisher_nakagami import VonMisesFisherNakagamiMixture as VonMisesFisherNakagamiMixture
from raresim.record.records import Reference as Reference
from raresim.report.comparison import compare as compare
from raresim.run.estimation import Stop as Stop
from raresim.run.experiment import Experiment as Experiment
from raresim.run.experiment import estimate as estimate
from raresim.run.result import Result as Result
from raresim.run.result import read_run as read_run

__all__: list[str]
__version__: str

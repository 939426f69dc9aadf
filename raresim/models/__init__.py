"""Models, by constructor: ``from raresim import models; models.Credit(tape="tape.csv")``."""

from raresim.models.compound import Compound
from raresim.models.credit import Credit
from raresim.models.delta_gamma import DeltaGamma
from raresim.models.insurance.contracts import Contract, Corridor
from raresim.models.insurance.event_table import EventTable
from raresim.models.insurance.frequencies import CommonEvents, GammaMixing
from raresim.models.insurance.lines import Line
from raresim.models.insurance.period_table import PeriodTable
from raresim.models.market.ore import Ore
from raresim.models.network import Network
from raresim.models.options import Options
from raresim.models.path import Path
from raresim.models.paths.garch import GarchReturns
from raresim.models.paths.gbm import GeometricBrownian
from raresim.models.paths.heston import Heston
from raresim.models.paths.merton import MertonJumps
from raresim.models.paths.walk import RandomWalk
from raresim.models.queue import Queue
from raresim.models.ruin import Ruin

__all__ = [
    "CommonEvents",
    "Compound",
    "Contract",
    "Corridor",
    "Credit",
    "DeltaGamma",
    "EventTable",
    "GammaMixing",
    "GarchReturns",
    "GeometricBrownian",
    "Heston",
    "Line",
    "MertonJumps",
    "Network",
    "Options",
    "Ore",
    "Path",
    "PeriodTable",
    "Queue",
    "RandomWalk",
    "Ruin",
]

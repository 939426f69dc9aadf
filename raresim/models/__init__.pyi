"""The public names of the folder and where each of them is; `raresim/models/__init__.py` imports from here."""

from raresim.models.compound import Compound as Compound
from raresim.models.credit import Credit as Credit
from raresim.models.delta_gamma import DeltaGamma as DeltaGamma
from raresim.models.insurance.contracts import Contract as Contract
from raresim.models.insurance.contracts import Corridor as Corridor
from raresim.models.insurance.event_table import EventTable as EventTable
from raresim.models.insurance.frequencies import CommonEvents as CommonEvents
from raresim.models.insurance.frequencies import GammaMixing as GammaMixing
from raresim.models.insurance.lines import Line as Line
from raresim.models.insurance.period_table import PeriodTable as PeriodTable
from raresim.models.market.ore import Ore as Ore
from raresim.models.network import Network as Network
from raresim.models.options import Options as Options
from raresim.models.path import Path as Path
from raresim.models.paths.garch import GarchReturns as GarchReturns
from raresim.models.paths.gbm import GeometricBrownian as GeometricBrownian
from raresim.models.paths.heston import Heston as Heston
from raresim.models.paths.merton import MertonJumps as MertonJumps
from raresim.models.paths.walk import RandomWalk as RandomWalk
from raresim.models.queue import Queue as Queue
from raresim.models.ruin import Ruin as Ruin

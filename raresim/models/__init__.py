"""Models, by constructor: ``from raresim import models; models.Credit(tape="tape.csv")``."""

from raresim.models.compound import Compound
from raresim.models.contracts import Contract, Corridor
from raresim.models.credit import Credit
from raresim.models.event_table import EventTable
from raresim.models.frequencies import CommonEvents, GammaMixing
from raresim.models.lines import Line
from raresim.models.network import Network
from raresim.models.period_table import PeriodTable
from raresim.models.queue import Queue
from raresim.models.ruin import Ruin

__all__ = [
    "CommonEvents",
    "Compound",
    "Contract",
    "Corridor",
    "Credit",
    "EventTable",
    "GammaMixing",
    "Line",
    "Network",
    "PeriodTable",
    "Queue",
    "Ruin",
]

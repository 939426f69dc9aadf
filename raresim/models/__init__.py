"""Models, by constructor: ``from raresim import models; models.Credit(tape="tape.csv")``."""

from raresim.models.compound import Compound
from raresim.models.credit import Credit
from raresim.models.insurance.contracts import Contract, Corridor
from raresim.models.insurance.event_table import EventTable
from raresim.models.insurance.frequencies import CommonEvents, GammaMixing
from raresim.models.insurance.lines import Line
from raresim.models.insurance.period_table import PeriodTable

__all__ = [
    "CommonEvents",
    "Compound",
    "Contract",
    "Corridor",
    "Credit",
    "EventTable",
    "GammaMixing",
    "Line",
    "PeriodTable",
]

"""Models, by constructor: ``from raresim import models; models.Credit(tape="tape.csv")``."""

from raresim.models.compound import Compound
from raresim.models.contracts import Contract, Corridor
from raresim.models.credit import Credit
from raresim.models.frequencies import CommonEvents, GammaMixing
from raresim.models.lines import Line

__all__ = ["CommonEvents", "Compound", "Contract", "Corridor", "Credit", "GammaMixing", "Line"]

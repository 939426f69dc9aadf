"""The copulas by constructor: ``from raresim import copulas; copulas.Clayton(theta=2.0, dim=3)``."""

from raresim.copulas.blocks import Blocks
from raresim.copulas.clayton import Clayton
from raresim.copulas.frank import Frank
from raresim.copulas.gaussian import Gaussian
from raresim.copulas.grouped_t import GroupedT
from raresim.copulas.gumbel import Gumbel
from raresim.copulas.independence import Independence
from raresim.copulas.joe import Joe
from raresim.copulas.survival import Survival
from raresim.copulas.t import T
from raresim.copulas.vine import Vine

__all__ = [
    "Blocks",
    "Clayton",
    "Frank",
    "Gaussian",
    "GroupedT",
    "Gumbel",
    "Independence",
    "Joe",
    "Survival",
    "T",
    "Vine",
]

"""The public names of the folder and where each of them is; `raresim/copulas/__init__.py` imports from here."""

from raresim.copulas.blocks import Blocks as Blocks
from raresim.copulas.clayton import Clayton as Clayton
from raresim.copulas.frank import Frank as Frank
from raresim.copulas.gaussian import Gaussian as Gaussian
from raresim.copulas.grouped_t import GroupedT as GroupedT
from raresim.copulas.gumbel import Gumbel as Gumbel
from raresim.copulas.independence import Independence as Independence
from raresim.copulas.joe import Joe as Joe
from raresim.copulas.survival import Survival as Survival
from raresim.copulas.t import T as T
from raresim.copulas.vine import Vine as Vine

"""Which warps a surrogate may learn with: units are read from the first design, and near ones follow a likely one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from raresim.numerics.arrays import Float
from raresim.surrogate.warp import Warp, candidates, neighbours


@dataclass(frozen=True, eq=False)
class First:
    """What the units of warps are read from.

    Parameters
    ----------
    margin : (n,) float64
        Margins at the points of the first design.
    rough : (n,) float64 or None
        Those of an approximation there.
    """

    margin: Float
    rough: Float | None = None

    def rivals(self) -> Iterator[Rival]:
        """The warps to choose from, each without the approximation, and those without a bound with it, too.

        What an approximation says beyond a bound of the loss would be taken for certain.
        """
        warps = list(candidates(self.margin))
        yield from map(Rival, warps)
        if self.rough is not None:
            yield from (Rival(self.of_rest(warp), assisted=True) for warp in warps if not warp.is_bounded)

    def near(self, rival: Rival) -> Iterator[Rival]:
        """Rivals along the same axes whose warps are the `neighbours` of that of ``rival``."""
        for warp in neighbours(rival.warp, self.margin):
            yield replace(rival, warp=self.of_rest(warp) if rival.assisted else warp)

    def of_rest(self, warp: Warp) -> Warp:
        """The warp under which what the approximation leaves has a standard deviation of one."""
        plain = replace(warp, unit=1.0)
        values = plain(self.margin)
        left = values if self.rough is None else values - plain(self.rough)
        return replace(plain, unit=float(left.std()) or 1e-9 * (float(values.std()) or 1.0))


@dataclass(frozen=True, eq=False)
class Rival:
    """A warp, with axes, that may be the one to learn with, and where the search for its parameters begins.

    Parameters
    ----------
    warp : Warp
        The warp.
    theta : (p,) float64, optional
        Logs of the parameters from which they are sought; the centre of their prior by default.
    turn : (d, d) float64, optional
        The axes, as of `Layout`.
    assisted : bool
        Whether the process has what the warped margins of an approximation leave.
    """

    warp: Warp
    theta: Float | None = None
    turn: Float | None = None
    assisted: bool = False

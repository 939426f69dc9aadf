"""The log density ratio of a law to a standard normal law, as a sum of steps."""

from __future__ import annotations

from dataclasses import dataclass

from raresim.numerics.arrays import Float


@dataclass(frozen=True, eq=False)
class BinnedRatio:
    """A sum over coordinates of what each adds to the log density ratio in the bin that it lies in.

    Parameters
    ----------
    steps : (k, b) float64
        What each coordinate adds in each bin, in nats.
    edges : (b - 1,) float64
        Where one bin ends and the next begins, the same for all coordinates.
    unit : float
        Unit to which the steps may be rounded, in nats.
    basis : (d, k) float64, optional
        Orthonormal directions of the coordinates; without it, the coordinates are those of the draws.
    """

    steps: Float
    edges: Float
    unit: float
    basis: Float | None = None

"""Where replicates ended, and whether a draw lies far from all of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from raresim.accumulators.ends import Ends, evenly
from raresim.numerics.arrays import Bool, Float
from raresim.numerics.blocks import Block
from raresim.record.event import Event

AXES = 8
"""Largest number of directions in which distances are measured: those in which the draws lie farthest."""

FEW = 3
"""Replicates that must have come near a draw: a region that one or two found by luck is missing in the others."""

MOST = 0.8
"""Share of the replicates whose own draws define what is near: the others may be those one or two."""

FARTHER = 1.5
"""How many times farther than any of their own draws a draw must lie to count as not reached."""


@dataclass(frozen=True, eq=False)
class Reach:
    """The part of the space that replicates reached.

    Parameters
    ----------
    ends : Ends
        Where the replicates ended.
    events : tuple of Event
        The events.

    Notes
    -----
    Replicates are independent and alike: the distances between draws of different replicates show how far the draws of
    a further replicate may lie. A draw of another sampler that lies much farther from all but `FEW` is in a region that
    replicates do not reach. Their spread cannot show this: it is small precisely because they do not reach the region.
    """

    ends: Ends
    events: tuple[Event, ...]

    cost_through = 0.0
    begins_with_target = True

    def through(self, u: Float, block: Block) -> tuple[Float, int]:
        """As `Estimator.through`, for draws ``u`` (k, d): ``inf`` for a draw that replicates did not come near.

        ``-inf`` for the others, and NaN if fewer than two replicates reached the event.
        """
        log_rows = np.full((len(self.events), len(u)), math.nan)
        for k, event in enumerate(self.events):
            parts = self.ends.beyond(event.sign * event.threshold)
            if len(parts) > 1:
                log_rows[k] = np.where(far_from(parts, u), math.inf, -math.inf)
        return log_rows, 0


def far_from(parts: Sequence[Float], u: Float) -> Bool:
    """Which of the draws ``u`` (k, d) lie farther from ``parts``, (n, d) each, than most of these from each other."""
    most = max(map(len, parts))  # more draws of one climb, which are alike, would turn the axes towards it
    axes = _axes(np.concatenate([*parts, u[evenly(len(u), most)]]))
    near = [part @ axes for part in parts]
    usual = [_distance(near[:k] + near[k + 1 :], part).max() for k, part in enumerate(near)]
    return np.asarray(_distance(near, u @ axes) > FARTHER * np.quantile(usual, MOST))


def _axes(u: Float) -> Float:
    """The directions (d, j) in which the rows of ``u`` (n, d) lie farthest from the origin, at most `AXES`."""
    if u.shape[1] <= AXES:
        return np.eye(u.shape[1])
    return np.linalg.svd(u, full_matrices=False)[2][:AXES].T


def _distance(parts: Sequence[Float], asked: Float) -> Float:
    """From each row of ``asked`` (k, d) the distance to the `FEW`-th nearest of ``parts``, each by its nearest draw."""
    from scipy.spatial import KDTree

    each = np.array([KDTree(part).query(asked)[0] for part in parts])
    return np.asarray(np.sort(each, axis=0)[min(len(each), FEW) - 1])

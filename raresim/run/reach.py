"""Where replicates ended, and whether a draw lies far from all of it."""

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
"""Directions in which distances are taken, at most: those in which the draws lie farthest."""

FEW = 3
"""Replicates that have to have come near a draw: what one or two found by luck is not in the others' estimates."""

MOST = 0.8
"""Share of the replicates whose own draws say what is near: the others may be those one or two."""

FARTHER = 1.5
"""How much farther than any of their draws one is that replicates did not come near."""


@dataclass(frozen=True, eq=False)
class Reach:
    """The part of the space that replicates came to.

    Parameters
    ----------
    ends : Ends
        Where they ended.
    events : tuple of Event
        The events.

    Notes
    -----
    Replicates are independent and alike: how far the draws of one lie from those of others shows how far the draws of a
    further one may. One of another sampler that lies much farther from all but `FEW` is in a region that replicates do
    not come to. Their spread cannot say so: it is small just because they do not.
    """

    ends: Ends
    events: tuple[Event, ...]

    cost_through = 0.0

    def through(self, u: Float, block: Block) -> tuple[Float, int]:
        """As `Estimator.through`, of draws ``u`` (k, d): ``inf`` for one that replicates did not come near.

        ``-inf`` for the others, and NaN where fewer than two replicates reached the event.
        """
        log_rows = np.full((len(self.events), len(u)), math.nan)
        for k, event in enumerate(self.events):
            parts = self.ends.beyond(event.sign * event.threshold)
            if len(parts) > 1:
                log_rows[k] = np.where(far_from(parts, u), math.inf, -math.inf)
        return log_rows, 0


def far_from(parts: Sequence[Float], u: Float) -> Bool:
    """Which of the draws ``u`` (k, d) lie farther from ``parts``, (n, d) each, than most of those from the others."""
    most = max(map(len, parts))  # more of one climb, whose draws are alike, would turn the axes towards it
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
    """From each of the rows ``asked`` (k, d) to the `FEW`-th nearest of ``parts``, each taken at its nearest draw."""
    from scipy.spatial import KDTree

    each = np.array([KDTree(part).query(asked)[0] for part in parts])
    return np.asarray(np.sort(each, axis=0)[min(len(each), FEW) - 1])

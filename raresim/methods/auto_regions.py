"""What a search of `auto` knows of the event: its regions, further points of its edge, and a law that covers them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from raresim.distributions.base import Distribution
from raresim.distributions.beyond_sphere import BeyondSphere
from raresim.distributions.normal import Normal
from raresim.numerics.arrays import Float
from raresim.search.archive import Archive
from raresim.search.fitting import CENTRAL, Part, capped, mixed
from raresim.search.hits import SAME, Region, points_of

WITHIN = 0.98
"""Radius at which the law of such a region begins, relative to its nearest point."""

LEAST_COVER = 0.3
"""Smallest share of a point among all, relative to an equal share."""


@dataclass(eq=False)
class Known:
    """Regions of the event in ``dim`` dimensions, and points of its edge that are nearest to nothing."""

    dim: int
    regions: list[Region] = field(default_factory=list)
    edges: list[Float] = field(default_factory=list)

    @property
    def points(self) -> Float:
        """Points of the edges of all regions (k, d): the nearest of each first, then others."""
        return np.concatenate([points_of(self.regions, self.dim), np.array(self.edges).reshape(-1, self.dim)])

    def add_region(self, point: Float) -> bool:
        """Add a region with this nearest ``point`` (d,), unless one near to it is known; whether it was not."""
        if self.is_known(point):
            return False
        self.regions.append(Region(point, 0))
        return True

    def add_edge(self, point: Float) -> None:
        """Add a ``point`` (d,) of the event's edge that is nearest to nothing, unless one near to it is known."""
        if not self.is_known(point):
            self.edges.append(point)

    def is_known(self, point: Float) -> bool:
        """Whether a point near this one (d,) is known."""
        known = self.points
        return bool(len(known)) and float(np.square(known - point).sum(axis=1).min()) < SAME**2

    def cover(self, archive: Archive, goal: float) -> Distribution | None:
        """A law around the nearest point of each region of the event beyond ``goal``; None without one.

        Each region has a standard normal beyond its plane, as far as its distance goes, and one around its point. The
        shares are the masses of the failing draws on its side, at least a fixed part of an equal share.
        """
        points = self.points
        if not len(points):
            return None
        failing = archive.loss >= goal
        shares = np.full(len(points), 1.0 / len(points))
        if np.count_nonzero(failing) > 5:
            side = side_of(archive.u[failing], points)
            mass = np.bincount(side, capped(np.exp(archive.log_weight[failing])), minlength=len(points))
            shares = np.maximum(mass / mass.sum(), LEAST_COVER / len(points))
            shares /= shares.sum()
        laws: list[Distribution] = []
        for point, share in zip(points, shares.tolist(), strict=True):
            laws += [part_at(point, share).law(), Normal(mean=point, std=1.0)]
        near = mixed(np.repeat(shares, 2).tolist(), laws)
        bent = [region.sphere for region in self.regions if region.sphere]
        spheres = [BeyondSphere(directions=basis, radius=WITHIN * radius) for basis, radius in bent]
        return mixed([1.0] + [1.0] * len(spheres), [near, *spheres])


def side_of(u: Float, points: Float) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    """For each row of ``u`` (n, d), which of the ``points`` (k, d) has the tangent plane that it exceeds most."""
    length = np.sqrt(np.square(points).sum(axis=1))
    return np.asarray(np.argmax(u @ (points / np.maximum(length, 1e-12)[:, None]).T - length, axis=1))


def apart(points: Sequence[Float]) -> Float:
    """The ``points`` (d,) that are not near an earlier one, as rows."""
    kept: list[Float] = []
    for point in points:
        if all(np.linalg.norm(point - other) >= SAME for other in kept):
            kept.append(point)
    return np.array(kept)


def part_at(point: Float, share: float) -> Part:
    """A component that begins at a design point and has the tail of a standard normal behind a plane there.

    Close to the origin, where no direction is the tail's, it is the target moved to the point.
    """
    distance = math.sqrt(float(point @ point))
    if distance < CENTRAL:
        return Part(share, point, np.zeros((point.size, 0)), np.zeros(0), 1.0, None, 0.0)
    direction = point / distance
    variance = np.array([1.0 / max(distance, 1.0) ** 2])
    return Part(share, point, np.asfortranarray(direction[:, None]), variance, 1.0, direction, distance, direction)

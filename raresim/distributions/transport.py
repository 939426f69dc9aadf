"""Draws of a law as a map from independent standard normals, with the most important coordinate first.

Points that fill the unit cube more evenly than random points (`raresim.estimators.sobol`) are most even in their first
coordinates. If a proposal is a shifted target, the shift shows the direction of the event, and a reflection turns the
first normal into that direction.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from raresim.distributions.base import Distribution
from raresim.errors import FieldError
from raresim.numerics import arrays
from raresim.numerics.arrays import Float
from raresim.registry import members


@dataclass(frozen=True, eq=False)
class Transport:
    """The map from standard normals to draws of a law, and from one uniform to the component of a mixture.

    Parameters
    ----------
    shares : (k,) float64
        Shares of the components; a single one for a law that is not a mixture.
    laws : tuple of Distribution
        The ``k`` components, each with a map from standard normals.
    mirrors : tuple of (l_k,) float64
        For each component the unit vector ``v`` of the reflection ``I - 2 v v'`` of its normals, or zeros.
    """

    shares: Float
    laws: tuple[Distribution, ...]
    mirrors: tuple[Float, ...]

    @classmethod
    def of(cls, law: Distribution, target: Distribution) -> Transport:
        """The map of ``law``, turned to the direction in which its components are shifted from ``target``.

        Raises
        ------
        FieldError
            When a component has no map from standard normals.
        """
        shares, laws = law.parts
        for each in laws:
            if not each.mapped:
                known: Any = members("distribution").items()
                kinds = ", ".join(kind for kind, of_kind in known if of_kind.mapped)
                raise FieldError(
                    "draws",
                    f"must not be 'sobol': a law of kind {each.kind} has no map from uniforms; these laws have one: "
                    f"{kinds} and mixtures of them",
                )
        return cls(shares, laws, tuple(_mirror(each, target) for each in laws))

    @property
    def n_normals(self) -> int:
        """Number of standard normals per draw."""
        return max(v.size for v in self.mirrors)

    @property
    def n_uniforms(self) -> int:
        """Coordinates of a point: one that picks the component if there are several, then the normals."""
        return self.n_normals + (len(self.laws) > 1)

    def __call__(self, pick: Float, z: Float, x: Float) -> None:
        """Fill ``x`` with draws.

        Parameters
        ----------
        pick : (n,) float64
            Uniforms on [0, 1) that pick the component; not used if there is only one.
        z : (n, n_normals) float64, Fortran order
            Independent standard normals; overwritten.
        x : (n, d) float64, Fortran order
            Overwritten, one draw per row.
        """
        if len(self.laws) == 1:
            _map(self.laws[0], self.mirrors[0], z, x)
            return
        chosen = np.searchsorted(np.cumsum(self.shares)[:-1], pick, side="right")
        for k, (law, mirror) in enumerate(zip(self.laws, self.mirrors, strict=True)):
            rows = np.flatnonzero(chosen == k)
            own = np.empty((rows.size, x.shape[1]), order="F")
            _map(law, mirror, np.asfortranarray(z[rows, : mirror.size]), own)
            x[rows] = own


def across(direction: Float, z: Float) -> Float:
    """Standard normals (n, d) across ``direction`` (d,), of length one, from ``z`` (n, d - 1); in Fortran order."""
    out = np.zeros((z.shape[0], direction.size), order="F")
    out[:, 1:] = z
    _reflect(_towards(direction), out)
    return out


def _map(law: Distribution, mirror: Float, z: Float, x: Float) -> None:
    """Draws of one component from its normals ``z``, which are overwritten."""
    law.from_normals(z, lambda normals: _reflect(mirror, normals), x)


def _mirror(law: Distribution, target: Distribution) -> Float:
    """The reflection that turns the first normal of the law's ``lead`` along it; normals before it are left alone.

    In a Student t law the first normal is the mixing variable, in an exponential tail the tail.
    """
    direction = law.lead(target)
    return arrays.frozen(np.concatenate([np.zeros(law.n_normals - direction.size), _towards(direction)]))


def _towards(direction: Float) -> Float:
    """The unit vector ``v`` for which ``I - 2 v v'`` turns the first axis along ``direction``; zeros for zeros."""
    length = math.sqrt(float(direction @ direction))
    if length == 0:
        return np.zeros(direction.size)
    v = direction / length
    v[0] += 1.0 if v[0] >= 0 else -1.0
    return np.asarray(v / math.sqrt(float(v @ v)))


def _reflect(v: Float, z: Float) -> None:
    """``z -= 2 (z v) v'``, in place, for the rows of ``z`` (n, d)."""
    along = z @ (2.0 * v)
    for j in np.flatnonzero(v):
        z[:, j] -= v[j] * along

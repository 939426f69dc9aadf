"""Draws of a law as a map from independent standard normals, with the coordinate that matters most first.

Points that fill the unit cube more evenly than random ones (`raresim.estimators.sobol`) are most even in their first
coordinates. Where a proposal is a shifted target, the shift shows the direction of the event, and a reflection turns
the first normal into that direction.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from raresim.distributions.base import Distribution, Inputs
from raresim.distributions.directional import Directional
from raresim.distributions.exponentially_modified_normal import ExponentiallyModifiedNormal
from raresim.distributions.low_rank_normal import LowRankNormal, add_along, project
from raresim.distributions.mixture import Mixture
from raresim.distributions.normal import Normal
from raresim.distributions.standard_normal import StandardNormal
from raresim.distributions.student_t import StudentT
from raresim.errors import FieldError
from raresim.numerics import arrays
from raresim.numerics.arrays import Float


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
        """The map of ``law``, turned in the direction in which its components are shifted from ``target``.

        Raises
        ------
        FieldError
            When a component has no map from standard normals.
        """
        shares, laws = components(law)
        for each in laws:
            if not isinstance(each, Inputs | LowRankNormal | Directional | ExponentiallyModifiedNormal):
                raise FieldError(
                    "draws",
                    f"must not be 'sobol': a law of kind {each.kind} has no map from uniforms (normal, "
                    "low_rank_normal, student_t, directional, exponentially_modified_normal, inputs that are laws, and "
                    "mixtures of them have one)",
                )
        return cls(shares, laws, tuple(_mirror(each, target) for each in laws))

    @property
    def n_normals(self) -> int:
        """Number of standard normals that a draw takes."""
        return max(v.size for v in self.mirrors)

    @property
    def n_uniforms(self) -> int:
        """Coordinates of a point: one that picks the component where there are several, then the normals."""
        return self.n_normals + (len(self.laws) > 1)

    def __call__(self, pick: Float, z: Float, x: Float) -> None:
        """Fill ``x`` with draws.

        Parameters
        ----------
        pick : (n,) float64
            Uniforms on [0, 1) that pick the component; not used where there is only one.
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


def centre(law: Distribution) -> Float | None:
    """The point ``c`` about which a law is symmetric: ``2 c - x`` has the law of ``x``; None where none is known."""
    normal = law.normal if isinstance(law, StudentT) else law
    if isinstance(normal, StandardNormal):
        return np.zeros(normal.dim)
    if isinstance(normal, ExponentiallyModifiedNormal):
        return normal.location if normal.rate is None else None
    return normal.location if isinstance(normal, Normal | LowRankNormal) else None


def across(direction: Float, z: Float) -> Float:
    """Standard normals (n, d) across ``direction`` (d,), of length one, from ``z`` (n, d - 1); in Fortran order."""
    out = np.zeros((z.shape[0], direction.size), order="F")
    out[:, 1:] = z
    _reflect(_towards(direction), out)
    return out


def components(law: Distribution) -> tuple[Float, tuple[Distribution, ...]]:
    """Shares and components of a mixture; any other law is its own only component."""
    return (law.shares, tuple(law.components)) if isinstance(law, Mixture) else (np.ones(1), (law,))


def _map(law: Distribution, mirror: Float, z: Float, x: Float) -> None:
    """Write the draws of one component into ``x``, from its normals ``z``, which are overwritten."""
    from scipy.special import log_ndtr

    first = z[:, 0].copy()
    if isinstance(law, Directional):
        z[:, 0] = 0.0
    _reflect(mirror, z)
    if isinstance(law, Directional):
        np.multiply(z, math.sqrt(law.variance), out=x)
        x += _along_direction(law, first)[:, None] * law.axis
    elif isinstance(law, LowRankNormal):
        x[:] = z
        seen = arrays.scratch("along", z.shape[0], law.spread.size)
        project(z, law.basis, np.zeros(law.dim), seen)
        seen *= np.sqrt(law.spread) - 1.0
        add_along(seen, law.basis, law.location, x)
    elif isinstance(law, ExponentiallyModifiedNormal):
        law.place(z[:, -law.dim :], None if law.rate is None else -log_ndtr(-first), x)
    elif isinstance(law, Inputs):
        made = law.to_physical(z, x)
        if made is not x:
            x[:] = made


def _along_direction(law: Directional, z: Float) -> Float:
    """The coordinate of a directional law along its axis, as a rising function of a standard normal.

    The share ``left / (left + right)`` lies below the mode; each side is read from the log tail of ``z``, as one side
    of a symmetric law with that side's scale.
    """
    from scipy.special import log_ndtr, ndtri_exp

    share = np.array([law.left, law.right]) / (law.left + law.right)
    below = log_ndtr(z) < math.log(share[0])
    log_tail = np.minimum(log_ndtr(np.where(below, z, -z)) - np.log(np.where(below, *share)), 0.0)
    size = -log_tail if law.profile == "laplace" else -ndtri_exp(log_tail - math.log(2.0))
    return np.asarray(law.location + np.where(below, -law.left, law.right) * size)


def _mirror(law: Distribution, target: Distribution) -> Float:
    """The reflection that turns the first normal of ``law = m + L z`` along ``L' a``, with ``a`` the way to the event.

    A half-space ``a'x >= b`` under ``N(m_0, S)`` has its conditional mean in the direction ``S a`` from ``m_0``, so the
    shift ``m - m_0`` of a fitted law gives ``a = S^-1 (m - m_0)``. The first normal of a Student t law is the mixing
    variable and is not turned; a directional law fixes the direction of its first normal itself. In a law with an
    exponential tail the first normal makes the tail, and the second is turned along ``L'`` times the tail's direction.
    """
    latent = law.latent_dim if isinstance(law, Inputs) else law.dim
    there, here = centre(law), centre(target)
    direction = np.zeros(latent)
    if isinstance(law, Directional):
        direction = law.axis
    elif isinstance(law, ExponentiallyModifiedNormal) and law.tail is not None:
        latent = law.dim + 1
        direction = _spread_transposed(law, np.asarray(law.tail, dtype=np.float64))
    elif there is not None and here is not None:
        direction = _spread_transposed(law, _precision(target, there - here))
    return arrays.frozen(np.concatenate([np.zeros(latent - direction.size), _towards(direction)]))


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


def _spread_transposed(law: Distribution, a: Float) -> Float:
    """``L' a`` for the factor ``L`` of the spread of a symmetric law."""
    normal = law.normal if isinstance(law, StudentT) else law
    if isinstance(normal, LowRankNormal):
        return a + normal.basis @ ((np.sqrt(normal.spread) - 1.0) * (normal.basis.T @ a))
    if isinstance(normal, ExponentiallyModifiedNormal):
        bulk = math.sqrt(normal.bulk)
        return bulk * a + normal.basis @ ((np.sqrt(normal.spread) - bulk) * (normal.basis.T @ a))
    if isinstance(normal, Normal):
        return normal.factor.T @ a if normal.correlated else normal.scales * a
    return a


def _precision(law: Distribution, shift: Float) -> Float:
    """``S^-1 shift`` for the spread ``S`` of a symmetric law."""
    from scipy.linalg import cho_solve

    normal = law.normal if isinstance(law, StudentT) else law
    if isinstance(normal, Normal):
        return np.asarray(cho_solve((normal.factor, True), shift)) if normal.correlated else shift / normal.scales**2
    return shift

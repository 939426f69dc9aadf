"""Factors twisted exponentially towards a quadratic loss, with strata of that loss, as a law."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from raresim.distributions.base import Distribution
from raresim.distributions.mixing import log_mixing, log_mixing_table
from raresim.distributions.standard_normal import StandardNormal
from raresim.models.market.quadratic_form import QuadraticForm
from raresim.numerics import arrays
from raresim.numerics.arrays import Float
from raresim.numerics.exponentials import exponential
from raresim.numerics.interpolation import PiecewisePolynomial
from raresim.numerics.jit import kernel

TILE = 512
"""Rows that a kernel takes at once."""


@dataclass(frozen=True, eq=False)
class TwistedQuadratic(Distribution):
    """The law of the standard normals behind the factors, twisted towards a quadratic loss [1]_ [2]_.

    Density ``phi(u) exp(theta Q - K(theta)) h(Q)`` with ``Q = (L - level) / m^2`` of `QuadraticForm`, its ``K``, and a
    step function ``h`` whose mean under the twist alone is 1.

    Parameters
    ----------
    form : QuadraticForm
        The quadratic loss ``L``.
    level : float
        The loss to which it is twisted.
    theta : float
        The twist.
    edges : (k,) float64
        Values of ``Q``, rising, at which ``h`` steps; empty for the twist alone.
    heights : (k + 1,) float64
        ``h`` below the first edge, between two of them, and from the last on; positive.
    table : PiecewisePolynomial or None
        `log_mixing_table` of the degrees of freedom; None for normal factors.

    Notes
    -----
    Under the twist alone ``z_i`` is normal given ``m``, with mean ``theta b_i / (m (1 - 2 theta lam_i))`` and variance
    ``1 / (1 - 2 theta lam_i)``, and ``Y = dof / m^2`` is gamma with shape ``dof / 2`` and scale ``2 / (1 - 2 a(theta) /
    dof)``: [2]_ sec. 3. The strata are those of [1]_ sec. 4, of unequal shares: a draw of the twist is kept with a
    probability in proportion to ``h``.

    References
    ----------
    .. [1] Glasserman, Heidelberger & Shahabuddin, *Variance reduction techniques for estimating value-at-risk*,
       Management Science 46, 2000.
    .. [2] Glasserman, Heidelberger & Shahabuddin, *Portfolio value-at-risk with heavy-tailed risk factors*,
       Mathematical Finance 12, 2002.
    """

    kind: ClassVar[str] = "twisted_quadratic"

    form: QuadraticForm
    level: float
    theta: float
    edges: Float
    heights: Float
    table: PiecewisePolynomial | None = None

    @classmethod
    def plain(cls, form: QuadraticForm, level: float, theta: float) -> TwistedQuadratic:
        """The twist alone, without strata."""
        table = None if form.dof is None else log_mixing_table(form.dof)
        return cls(form, level, theta, arrays.frozen(np.empty(0)), arrays.frozen(np.ones(1)), table)

    @property
    def dim(self) -> int:
        return self.form.dim + (self.form.dof is not None)

    @property
    def trials(self) -> float:
        """Draws of the twist for each one that is kept, on average."""
        return float(self.heights.max())

    def sample(self, rng: np.random.Generator, x: Float) -> None:
        form, n = self.form, x.shape[0]
        left = 1.0 - 2.0 * self.theta * form.square
        shift, std = self.theta * form.linear / left, 1.0 / np.sqrt(left)
        keep = self.heights / self.heights.max()
        z = np.empty((n, form.dim), order="F")
        root = np.empty(n)
        half_dof = 0.0 if form.dof is None else 0.5 * form.dof
        start = form.constant - self.level
        twist = (start, form.linear, form.square, shift, std, half_dof, self._scale)
        kept_draws(rng, *twist, self.edges, keep, z, root)
        normals = x if form.dof is None else x[:, 1:]
        if form.rotation.size:
            rotated(z, form.rotation, normals)
        else:
            normals[:] = z
        if form.dof is not None:
            x[:, 0] = score_of_chi_square(form.dof, form.dof * root**2)

    @property
    def _scale(self) -> float:
        """Of ``Y / dof``, twice over."""
        form, t = self.form, self.theta
        if form.dof is None:
            return 0.0
        spread = t * (form.constant - self.level)
        spread += 0.5 * t * t * float((form.linear**2 / (1.0 - 2.0 * t * form.square)).sum())
        return 2.0 / (form.dof - 2.0 * spread)

    def logpdf(self, x: Float, out: Float) -> None:
        q = self.quadratic(x)
        StandardNormal(dim=self.dim).logpdf(x, out)
        out += self.theta * q - float(self.form.log_mgf(self.theta, self.level))
        if self.edges.size:
            out += np.log(self.heights)[np.searchsorted(self.edges, q, side="right")]

    def quadratic(self, u: Float) -> Float:
        """``Q`` (n,) of standard normals ``u`` (n, dim)."""
        form, n = self.form, u.shape[0]
        normals = u if form.dof is None else u[:, 1:]
        root = np.ones(n)
        if form.dof is not None:
            log_mixing(np.ascontiguousarray(u[:, 0]), self.table or log_mixing_table(form.dof), root)
            exponential(-root, root)
        z = normals
        if form.rotation.size:
            z = np.empty((n, form.dim), order="F")
            rotated(normals, arrays.frozen(np.ascontiguousarray(form.rotation.T)), z)
        out = np.empty(n)
        quadratic_of(z, root, form.constant - self.level, form.linear, form.square, out)
        return out


def score_of_chi_square(dof: float, y: Float) -> Float:
    """The standard normal ``u`` with ``P(Y <= y) = Phi(u)`` of a chi-square variable, (n,), accurate in both tails."""
    from scipy import special

    low = special.gammainc(0.5 * dof, 0.5 * y)
    return np.where(low < 0.5, special.ndtri(low), -special.ndtri(special.gammaincc(0.5 * dof, 0.5 * y)))


@kernel
def kept_draws(
    rng: np.random.Generator,
    start: float,
    linear: Float,
    square: Float,
    shift: Float,
    std: Float,
    half_dof: float,
    scale: float,
    edges: Float,
    keep: Float,
    z: Float,
    root: Float,
) -> None:
    """Fill ``z`` (n, d) and ``root`` (n,), which is ``1 / m``, with draws of the twist, each kept by its stratum."""
    n, d = z.shape
    own = np.empty(d)
    for i in range(n):
        while True:
            r = 1.0
            if half_dof > 0.0:
                r = math.sqrt(rng.standard_gamma(half_dof) * scale)
            q = r * r * start
            for j in range(d):
                v = shift[j] * r + std[j] * rng.standard_normal()
                own[j] = v
                q += v * (r * linear[j] + square[j] * v)
            k = 0
            for edge in edges:
                if q < edge:
                    break
                k += 1
            if keep[k] >= 1.0 or rng.random() < keep[k]:
                break
        root[i] = r
        for j in range(d):
            z[i, j] = own[j]


@kernel
def quadratic_of(z: Float, root: Float, start: float, linear: Float, square: Float, out: Float) -> None:
    """``out = root^2 start + root linear'z + sum_j square_j z_j^2`` of each row."""
    n, d = z.shape
    for i in range(n):
        out[i] = root[i] * root[i] * start
    for j in range(d):
        b, lam = linear[j], square[j]
        for i in range(n):
            out[i] += z[i, j] * (root[i] * b + lam * z[i, j])


@kernel
def rotated(z: Float, rotation: Float, out: Float) -> None:
    """``out[i] = rotation @ z[i]`` of each row of (n, d)."""
    n, d = z.shape
    for start in range(0, n, TILE):
        stop = min(start + TILE, n)
        for j in range(d):
            into = out[start:stop, j]
            for i in range(stop - start):
                into[i] = 0.0
            for k in range(d):
                c = rotation[j, k]
                zk = z[start:stop, k]
                for i in range(stop - start):
                    into[i] += c * zk[i]

"""Weighted EM for mixtures of exponentially modified normals, with covariances that few draws can support."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np

from raresim.diagnostics.ess import effective
from raresim.distributions.base import Distribution
from raresim.distributions.exponentially_modified_normal import (
    LOG_2PI,
    ExponentiallyModifiedNormal,
    log_mills,
    normal_logpdf,
)
from raresim.distributions.low_rank_normal import centred_squared_norm
from raresim.distributions.mixture import Mixture
from raresim.distributions.von_mises_fisher_nakagami import VonMisesFisherNakagami
from raresim.numerics.arrays import Bool, Float, frozen
from raresim.numerics.clusters import noise_edge, one_hot, principal, seeds, settled
from raresim.numerics.em import climb
from raresim.numerics.exponentials import exponential
from raresim.numerics.jit import kernel

Rest = Literal["unit", "pooled"]
"""Variance in directions about which the draws say nothing: one as in the target, or one pooled level for all."""

EM_STEPS = 25
EM_TOLERANCE = 1e-3
MAX_SHARE = 0.2
FLOOR = 1e-8
NARROWEST = 1e-4
MIN_RATE, MAX_RATE = 0.3, 200.0
CENTRAL = 0.5

FEW = 8.0
"""Effective draws below which a component found by walking uphill keeps its place and shape."""

NOISE_SIGMAS = 3.0
FLAT = 5
MOST_DIRECTIONS = 24
KMEANS_RUNS = 3
LLOYD_STEPS = 6
LEAST_SHARE = 1e-3
MOST_ROWS = 3000
"""Largest number of draws in a fit."""

COUNTS = (1, 2, 3, 4, 6, 8, 12, 16, 24)
"""Numbers of components that are tried."""

MANY_BEGUN, FEW_COUNTS = 6, (1, 3, 8)
"""Above this many given components, only a few numbers of others are tried beside them."""

WIDE = 30
"""Above this many coordinates a covariance has one variance along the tail and one across: more would fit noise."""

FULL_ROWS = 8
"""Effective draws per coordinate from which all variances are fitted even above `WIDE` coordinates."""

MOST_WIDE = 4
"""Largest number of components that are tried from clusters above `WIDE` coordinates."""


@dataclass(frozen=True, eq=False)
class Frame:
    """The space of the means of ``components``: ``centre`` (d,) plus the span of ``basis`` (d, r)."""

    centre: Float
    basis: Float
    components: int

    @property
    def freedom(self) -> float:
        """Free parameters of a mean in it, with its share of the parameters of the directions."""
        d, r = self.basis.shape
        return float(r + d * (r + 1) / self.components)

    def nearest(self, mean: Float) -> Float:
        """The point of the frame nearest to ``mean``."""
        inside: Float = self.centre + self.basis @ (self.basis.T @ (mean - self.centre))
        return inside


class Seen(NamedTuple):
    """Quantities of draws under a component.

    Parameters
    ----------
    log_density : (n,) float64
        Log density, in nats.
    h, log_mills : (n,) float64
        ``h`` of the law's formula, and ``log Phi(h) + h^2 / 2``; empty without a tail.
    steepness : float
        ``A`` of the formula; 0 without a tail.
    """

    log_density: Float
    h: Float
    log_mills: Float
    steepness: float


@dataclass(frozen=True, eq=False)
class Part:
    """One component during the fit: as `ExponentiallyModifiedNormal`, with precomputed products."""

    share: float
    mean: Float
    vectors: Float
    values: Float
    bulk: float
    tail: Float | None
    rate: float
    anchor: Float | None = None
    freedom: float = math.nan
    """Free parameters of the mean: less than ``d`` if it was shrunk to an anchor or lies in a frame."""
    frame: Frame | None = None

    def law(self) -> ExponentiallyModifiedNormal:
        """The component as a law."""
        return ExponentiallyModifiedNormal(
            mean=self.mean,
            directions=self.vectors if self.values.size else None,
            variances=self.values if self.values.size else None,
            bulk=self.bulk,
            tail=self.tail,
            rate=None if self.tail is None else self.rate,
        )

    def broad(self) -> ExponentiallyModifiedNormal:
        """A normal law around the same mean, nowhere narrower than the target."""
        mean = self.mean if self.tail is None else self.mean + self.tail / self.rate
        return ExponentiallyModifiedNormal(
            mean=mean,
            directions=self.vectors if self.values.size else None,
            variances=np.maximum(self.values, 1.0) if self.values.size else None,
            bulk=max(self.bulk, 1.0),
        )

    def see(self, u: Float) -> Seen:
        """The quantities of draws ``u`` (n, d), in Fortran order, that a step of EM needs."""
        d, k, mean = self.mean.size, self.values.size, frozen(self.mean.view())
        precision = 1.0 / self.values - 1.0 / self.bulk
        log_norm = -0.5 * (float(np.log(self.values).sum()) + (d - k) * math.log(self.bulk) + d * LOG_2PI)
        steepness = 0.0
        if self.tail is not None:
            bent = self.tail / self.bulk + self.vectors @ (precision * (self.vectors.T @ self.tail))
            steepness = float(self.tail @ bent)
            log_norm += math.log(self.rate) + 0.5 * (LOG_2PI - math.log(steepness))
        log_density = np.empty(u.shape[0])
        centred_squared_norm(u, mean, log_density)
        along = np.empty((u.shape[0], k), order="F")
        np.matmul(self.vectors.T, u.T, out=along.T)
        normal_logpdf(along, frozen(mean @ self.vectors), precision, self.bulk, log_norm, log_density)
        if self.tail is None:
            return Seen(log_density, np.empty(0), np.empty(0), 0.0)
        h = u @ bent
        h -= float(mean @ bent) + self.rate
        h /= math.sqrt(steepness)
        mills = np.empty(h.size)
        log_mills(h, mills)
        log_density += mills
        return Seen(log_density, h, mills, steepness)


@dataclass(frozen=True, eq=False)
class Fit:
    """A fitted mixture, and how well it explains the draws of the fit.

    Parameters
    ----------
    parts : tuple of Part
        The components.
    log_likelihood : float
        Weighted mean log density, in nats.
    parameters : float
        Number of free parameters.
    ess : float
        Effective number of draws.
    """

    parts: tuple[Part, ...]
    log_likelihood: float
    parameters: float
    ess: float

    @property
    def bic(self) -> float:
        """Schwarz's criterion with the effective number of draws; smaller is better."""
        return -2.0 * self.ess * self.log_likelihood + self.parameters * math.log(max(self.ess, 2.0))

    def law(self) -> Distribution:
        """The fitted mixture."""
        return mixed([p.share for p in self.parts], [p.law() for p in self.parts])

    def broad(self) -> Distribution:
        """Its components as normal laws that are nowhere narrower than the target."""
        return mixed([p.share for p in self.parts], [p.broad() for p in self.parts])


def mixed(shares: Sequence[float], laws: Sequence[Distribution]) -> Distribution:
    """The mixture of ``laws``, or the law itself if there is only one."""
    if len(laws) == 1:
        return laws[0]
    total = math.fsum(shares)
    return Mixture(weights=[s / total for s in shares], components=laws)


def capped(weight: Float) -> Float:
    """Weights that sum to one, none above `MAX_SHARE`."""
    weight = weight / weight.sum()
    most = max(MAX_SHARE, 1.0 / max(1, int(np.count_nonzero(weight))))
    heavy = weight > most
    while heavy.any():
        light = weight * (1.0 - most * np.count_nonzero(heavy)) / weight[~heavy].sum() if not heavy.all() else weight
        more = ~heavy & (light > most)
        if not more.any():
            return np.where(heavy, most, light)
        heavy |= more
    return weight


def radial(u: Float, weight: Float) -> tuple[Distribution, Distribution]:
    """A law that is equal in all directions, with mean and variance of the squared radii; and a copy with wider tails.

    Parameters
    ----------
    u : (n, d)
        Draws in the event.
    weight : (n,)
        Weights of the draws.

    Notes
    -----
    It serves events on all sides, such as a norm beyond a limit. The squared radius is gamma distributed; the copy
    falls no faster than the target, whose squared radius has shape ``d / 2`` and mean ``d``.
    """
    d = u.shape[1]
    share, square = capped(weight), np.square(u).sum(axis=1)
    spread = float(share @ square)
    variance = float(share @ np.square(square - spread))
    shape = max(0.5 * d, spread * spread / max(variance, FLOOR * spread * spread))  # a smaller shape has a pole at zero
    axis, wide = np.eye(d)[0], max(spread, float(d))

    def law(shape: float, spread: float) -> VonMisesFisherNakagami:
        return VonMisesFisherNakagami(direction=axis, concentration=0.0, shape=shape, spread=spread)

    return law(shape, spread), law(min(shape, 0.5 * wide), wide)


def fit_mixture(
    u: Float, weight: Float, rest: Rest, rng: np.random.Generator, begin: Sequence[Sequence[Part]] = ()
) -> Fit:
    """The mixture with the best BIC over growing numbers of components and the given start components.

    Parameters
    ----------
    u : (n, d)
        Draws in the event.
    weight : (n,)
        Weights of the draws; they need not sum to one.
    rest : "unit" or "pooled"
        Variance in directions about which the draws say nothing.
    rng : numpy.random.Generator
        For the initial clusters.
    begin : sequence of sequence of Part
        Further components to start from, such as those of walks uphill.
    """
    if weight.size > MOST_ROWS:
        rows = rng.choice(weight.size, MOST_ROWS, replace=False)
        u, weight = u[rows], weight[rows]
    weight = capped(weight)
    n, d = effective(weight), u.shape[1]
    fits = [em(u, weight, parts, rest) for parts in begin if parts]
    best: Fit | None = None
    worse = 0
    basis = wide_directions(u, weight)
    seen = u @ basis
    for k in COUNTS if sum(map(len, begin)) <= MANY_BEGUN else FEW_COUNTS:
        if k > 1 and (k > n / 4 or k * (d + 3) > 2 * n or (d > WIDE and k > MOST_WIDE)):
            break
        shares = _clusters(seen, weight, k, rng)
        frame = Frame(weight @ u, basis, k) if k > 1 and 2 * basis.shape[1] < d else None
        parts = beginnings(u, weight, shares, rest, frame)
        fit = em(u, weight, parts or [_at_mean(u, weight)], rest)
        if best is None or fit.bic < best.bic:
            best, worse = fit, 0
        else:
            worse += 1
            if worse == 2:
                break
    assert best is not None
    return min([best, *fits], key=lambda fit: fit.bic)


def beginnings(u: Float, weight: Float, shares: Float, rest: Rest, frame: Frame | None = None) -> list[Part]:
    """Components from which EM starts, one for each column of ``shares`` (n, k) that holds more than one row."""
    parts = [p for k in range(shares.shape[1]) if (p := _first_part(u, weight * shares[:, k], rest)) is not None]
    return parts if frame is None else [replace(p, frame=frame) for p in parts]


def _at_mean(u: Float, weight: Float) -> Part:
    """The target moved to the mean of the draws, if they are too few to show more."""
    return Part(1.0, weight @ u, np.zeros((u.shape[1], 0)), np.zeros(0), 1.0, None, 0.0)


def em(u: Float, weight: Float, parts: Sequence[Part], rest: Rest) -> Fit:
    """Expectation-maximisation from given components.

    Parameters
    ----------
    u : (n, d)
        The draws.
    weight : (n,)
        Weights that sum to one.
    parts : sequence of Part
        Components to start from.
    rest : "unit" or "pooled"
        See `fit_mixture`.
    """
    u = np.asfortranarray(u)

    def expect(parts: Sequence[Part]) -> tuple[tuple[list[Seen], Float], float]:
        seen = [p.see(u) for p in parts]
        logs = np.empty((u.shape[0], len(parts)), order="F")
        for k, part in enumerate(parts):
            np.add(seen[k].log_density, math.log(part.share), out=logs[:, k])
        top = logs.max(axis=1, keepdims=True)
        logs -= top
        exponential(logs, logs)
        total = logs.sum(axis=1, keepdims=True)
        logs /= total
        return (seen, logs), float(weight @ (top + np.log(total))[:, 0])

    def maximise(parts: Sequence[Part], expected: tuple[list[Seen], Float]) -> list[Part] | None:
        seen, shares = expected
        updated = [_update(u, weight * shares[:, k], part, seen[k], rest) for k, part in enumerate(parts)]
        return [p for p in updated if p is not None] or None

    parts, mean = climb(parts, expect, maximise, EM_STEPS, EM_TOLERANCE)
    d = u.shape[1]
    parameters = sum(_parameters(p, d) for p in parts) + len(parts) - 1
    return Fit(tuple(parts), mean, parameters, effective(weight))


def _parameters(part: Part, d: int) -> float:
    """Free parameters of a component: mean, rate or bulk, and directions with variances of their own; 0 if kept."""
    mean = d if math.isnan(part.freedom) else part.freedom
    if mean == 0.0:
        return 0.0
    return mean + 1 + (1 if d > WIDE else part.values.size * d)


def _first_part(u: Float, weight: Float, rest: Rest) -> Part | None:
    total = float(weight.sum())
    if total <= 0 or effective(weight) < 2.0:
        return None
    mean = weight @ u / total
    norm = math.sqrt(mean @ mean)
    share = weight / total
    vectors, values, bulk = _covariance((u - mean) * np.sqrt(share)[:, None], effective(share), rest)
    if norm < CENTRAL:
        return Part(total, mean, vectors, values, bulk, None, 0.0)
    tail = mean / norm
    along = (u - mean) @ tail
    spread = math.sqrt(float(weight @ np.square(along)) / total)
    back = min(spread, 1.0 / norm)
    return Part(total, mean - back * tail, vectors, values, bulk, tail, min(max(norm, MIN_RATE), MAX_RATE))


def _update(u: Float, weight: Float, part: Part, seen: Seen, rest: Rest) -> Part | None:
    """The maximisation step of one component; None if it has died."""
    total = float(weight.sum())
    n = effective(weight)
    if part.anchor is not None and n < FEW:
        return replace(part, share=max(total, LEAST_SHARE), freedom=0.0)
    if n < 2.0 or total < 1e-4:
        return None
    weight = weight / total
    mean = weight @ u
    freedom = math.nan
    if part.anchor is not None:
        mean, freedom = _shrunk(mean, part.anchor, n)
    elif part.frame is not None:
        mean, freedom = part.frame.nearest(mean), part.frame.freedom
    norm = math.sqrt(mean @ mean)
    root = np.sqrt(weight)
    if part.tail is None or norm < CENTRAL:
        residual = (u - mean) * root[:, None]
        return Part(total, mean, *_covariance(residual, n, rest), None, 0.0, part.anchor, freedom, part.frame)
    expected, residual = np.empty(weight.size), np.empty_like(u)
    first, variance = tail_moments(seen.h, seen.log_mills, math.sqrt(seen.steepness), weight, expected)
    tail = mean / norm
    location = mean - tail * first
    weighted_residuals(u, root, location, expected, tail, residual)
    vectors, values, bulk = _covariance(residual, n, rest, tail, variance)
    rate = min(max(1.0 / max(first, 1e-12), MIN_RATE), MAX_RATE)
    return Part(total, location, vectors, values, bulk, tail, rate, part.anchor, freedom, part.frame)


@kernel
def tail_moments(h: Float, log_mills: Float, root: float, weight: Float, expected: Float) -> tuple[float, float]:
    """Weighted means of the exponential parts, whose expectations go to ``expected`` (n,), and of their variances.

    Given a draw, the exponential part has a normal law of variance ``1 / root^2`` around ``h / root``, cut off at zero.
    """
    first, variance = 0.0, 0.0
    for i in range(h.size):
        ratio = math.exp(-log_mills[i] - 0.5 * LOG_2PI)
        expected[i] = max((h[i] + ratio) / root, 0.0)
        first += weight[i] * expected[i]
        variance += weight[i] * min(max(1.0 - h[i] * ratio - ratio * ratio, 0.0), 1.0)
    return first, variance / (root * root)


@kernel
def weighted_residuals(u: Float, root: Float, location: Float, expected: Float, tail: Float, out: Float) -> None:
    """``out = root (u - location - expected tail')``, row by row: (n, d)."""
    n, d = u.shape
    for j in range(d):
        a, t = location[j], tail[j]
        for i in range(n):
            out[i, j] = root[i] * (u[i, j] - a - expected[i] * t)


def _shrunk(mean: Float, anchor: Float, n: float) -> tuple[Float, float]:
    """``mean`` (d,) with its part across ``anchor`` shrunk by what noise explains, and its free parameters.

    This is the positive-part estimator of [1]_: the mean of ``n`` draws has noise of variance ``1 / n`` along each
    coordinate, and a part within the spread of such noise is removed.

    References
    ----------
    .. [1] James & Stein, *Estimation with quadratic loss*, Proc. 4th Berkeley Symp. 1, 1961.
    """
    along = float(mean @ anchor) * anchor
    across = mean - along
    squared = float(across @ across)
    m = mean.size - 1
    explained = n * squared <= m + NOISE_SIGMAS * math.sqrt(2.0 * m)
    kept = 0.0 if explained else min(1.0, max(0.0, 1.0 - (m - 2) / (n * squared)))
    return along + kept * across, 1.0 + kept * (mean.size - 1)


def _covariance(
    residual: Float, n: float, rest: Rest, tail: Float | None = None, extra: float = 0.0
) -> tuple[Float, Float, float]:
    """Directions, variances along them and variance of the rest.

    Parameters
    ----------
    residual : (m, d)
        Draws minus their expectation, each times the square root of its weight; the weights sum to one.
    n : float
        Effective number of draws.
    rest : "unit" or "pooled"
        See `fit_mixture`.
    tail : (d,), optional
        Direction of the exponential part.
    extra : float
        Variance along the tail that the residuals have lost.

    Notes
    -----
    Eigenvalues that noise explains (inside the bulk of [1]_ at aspect ratio ``d / n``) are set to one common level.
    Eigenvalues below the bulk are too small on average and are raised by its width.

    References
    ----------
    .. [1] Marchenko & Pastur, *Distribution of eigenvalues for some sets of random matrices*, Math. USSR Sb. 1, 1967.
    """
    d = residual.shape[1]
    if d > WIDE and n < FULL_ROWS * d:
        return _two_variances(residual, n, rest, tail, extra)
    cov = residual.T @ residual
    if tail is not None:
        cov += np.multiply.outer(extra * tail, tail)
    values, vectors = np.linalg.eigh(cov)
    keep = np.empty(d, dtype=np.bool_)
    bulk = settle(n, rest == "pooled" and d > 2, keep, values)
    return np.asfortranarray(vectors[:, keep]), values[keep], bulk


@kernel
def settle(n: float, pooled: bool, keep: Bool, values: Float) -> float:
    """Level of the bulk of eigenvalues ``values`` (d,), in ascending order; ``keep`` (d,) marks those outside of it.

    Eigenvalues below the bulk are raised in place.
    """
    d = values.size
    for k in range(d):
        values[k] = max(values[k], 0.0)
    g = d / n
    low, high = (1.0 - math.sqrt(min(g, 1.0))) ** 2, (1.0 + math.sqrt(g)) ** 2
    bulk = 1.0
    if pooled:
        bulk = min(max(0.5 * (values[(d - 1) // 2] + values[d // 2]), 0.3), 3.0)
        for _ in range(5):
            total, inside = 0.0, 0
            for value in values:
                if bulk * low <= value <= bulk * high:
                    total += value
                    inside += 1
            if inside == 0:
                break
            bulk = 1.0 + (total / inside - 1.0) * inside * n / (inside * n + 10.0)
    for k in range(d):
        keep[k] = not bulk * low <= values[k] <= bulk * high
        if values[k] < bulk * low:
            values[k] = max(min(values[k] * high, bulk), FLOOR)
    return bulk


def _two_variances(
    residual: Float, n: float, rest: Rest, tail: Float | None, extra: float
) -> tuple[Float, Float, float]:
    """One variance along the tail and one across it; the latter is the target's unless the draws deny it."""
    d = residual.shape[1]
    total = float(np.square(residual).sum())
    if tail is None:
        vectors, values, across, m = np.zeros((d, 0), order="F"), np.zeros(0), total, d
    else:
        along = float(np.square(residual @ tail).sum())
        vectors, values = np.asfortranarray(tail[:, None]), np.array([max(along + extra, NARROWEST)])
        across, m = total - along, d - 1
    bulk = across / m * n / max(n - 1.0, 1.0)
    if rest == "unit" or abs(bulk - 1.0) <= 2.0 * math.sqrt(2.0 / (m * n)):
        bulk = 1.0
    return vectors, values, min(max(bulk, 0.8), 4.0)


def wide_directions(u: Float, weight: Float) -> Float:
    """Directions (d, k) in which weighted rows spread more than the target does, beyond what noise explains.

    Several regions show up as such directions. In up to `FLAT` dimensions all directions are returned.
    """
    d = u.shape[1]
    if d <= FLAT:
        return np.eye(d)
    centred = (u - weight @ u) * np.sqrt(weight)[:, None]
    values, vectors = principal(centred)
    wide = values > noise_edge(d, effective(weight))
    wide[-1] = True
    directions: Float = vectors[:, wide][:, -MOST_DIRECTIONS:]
    return directions


def _clusters(seen: Float, weight: Float, k: int, rng: np.random.Generator) -> Float:
    """Hard shares (n, k) of rows ``seen`` (n, j): the best of several runs of weighted k-means++ with Lloyd's steps."""
    if k == 1:
        return np.ones((seen.shape[0], 1))
    runs = [settled(seen, weight, seeds(seen, weight, k, rng), LLOYD_STEPS) for _ in range(KMEANS_RUNS)]
    return one_hot(min(runs, key=lambda run: run[1])[0], k)

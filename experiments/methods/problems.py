"""Rare-event problems whose probability is known: reliability, finance, credit, queues, sums and networks.

`PROBLEMS` maps the id of a problem to its inputs, its loss, what is asked and the answer. The formulas are here; the
answers, how exact they are, how they were found and where a problem comes from are in ``data/references.csv``.

Held out: a problem whose id, hashed with SHA-256 as UTF-8 and read as an integer, is a multiple of three. Nothing may
be tuned on those; the rule uses only the name, so it cannot favour a method.

Notation: a limit state ``h`` fails where ``h <= 0``; a loss, a payoff or a maximum is an event where it is large.
"""

from __future__ import annotations

import csv
import hashlib
import itertools
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from scipy import special

from raresim import CopulaInputs, FactorModel, Independent, Probability, StandardNormal, StudentT
from raresim import marginals as m
from raresim.copulas import Clayton
from raresim.distributions.base import Inputs
from raresim.marginals.base import Marginal
from raresim.numerics.arrays import Float

REFERENCES = Path(__file__).parent / "data" / "references.csv"

Loss = Callable[[Float], Float]
"""From risk factors (n, d) to the losses (n,)."""


@dataclass(frozen=True, eq=False)
class ReferenceProblem:
    """A question with its answer.

    Parameters
    ----------
    id, title : str
        Its name, and a description in words.
    inputs : Inputs
        The joint law of the risk factors.
    loss : callable
        Takes risk factors (n, d), in either order of memory; returns (n,).
    measure : Probability
        The event, with one threshold.
    probability : float
        The answer.
    rel_accuracy : float
        Relative uncertainty of ``probability``: ask no estimator for more.
    difficulty : tuple of str
        What makes it hard.
    """

    id: str
    title: str
    inputs: Inputs
    loss: Loss
    measure: Probability
    probability: float
    rel_accuracy: float
    difficulty: tuple[str, ...]

    @property
    def dim(self) -> int:
        """Number of independent standard normals that make the inputs."""
        return self.inputs.latent_dim

    @property
    def held_out(self) -> bool:
        """Whether the problem is set aside before anything is tuned; the rule is in the docstring of the module."""
        return is_held_out(self.id)


def is_held_out(id: str) -> bool:
    """Whether the SHA-256 of the id, as an integer, is a multiple of three."""
    return int(hashlib.sha256(id.encode()).hexdigest(), 16) % 3 == 0


# Structural reliability. RP: the TNO black-box reliability challenge of 2019 (Rozsas and Slobbe).


def speed_reducer(x: Float) -> Float:
    x1, x2, x3, x4, x5 = x.T
    return x1 - 32.0 / (math.pi * x2**3) * np.sqrt(x3**2 * x4**2 / 16.0 + x5**2)


def convex_quadratic(x: Float) -> Float:
    x1, x2 = x.T
    return 2.5 - (x1 + x2) / math.sqrt(2.0) + 0.1 * (x1 - x2) ** 2


def parallel_system(x: Float) -> Float:
    x1, x2 = x.T
    return np.maximum(x1 * x1 - 8.0 * x2 + 16.0, -16.0 * x1 + x2 + 32.0)


def quartic_needle(x: Float) -> Float:
    x1, x2 = x.T
    return 2.0 - x2 + 256.0 * x1**4


def nonconvex_series(x: Float) -> Float:
    x1, x2 = x.T
    return np.minimum(2.0 - x2 + np.exp(-0.1 * x1 * x1) + (0.2 * x1) ** 4, 4.5 - x1 * x2)


def oscillating(x: Float) -> Float:
    x1, x2 = x.T
    return np.sin(2.5 * x1) + 2.0 - (x1 * x1 + 4.0) * (x2 - 1.0) / 20.0


def four_branches_on_a_square(x: Float) -> Float:
    d = np.abs(x[:, 0] - x[:, 1])
    root = math.sqrt(2.0)
    return np.minimum(0.2 + 0.6 * d**4 - d / root, 5.0 / root - 2.2 - d)


def series_parallel(x: Float) -> Float:
    x1, x2, x3, x4, x5 = x.T
    weakest = np.minimum(x2, x3)
    half = np.minimum(weakest, x4) - 0.5 * x5
    return np.minimum(x1 - x5, np.maximum(half, np.maximum(x4, weakest) - x5))


def hyperbola(x: Float) -> Float:
    return 3.0 - x[:, 0] * x[:, 1]


def two_branches(x: Float) -> Float:
    x1, x2 = x.T
    return np.minimum(-x1 * x1 - x2 + 8.0, -x1 / 5.0 - x2 + 6.0)


def four_hyperbolas(x: Float) -> Float:
    return 12.5 - np.abs(x[:, 0] * x[:, 1])


def four_branches(x: Float) -> Float:
    """Waarts (2000), with ``k = 7 / sqrt(2)``."""
    x1, x2 = x.T
    d = x1 - x2
    curved = 3.0 + 0.1 * d * d - np.abs(x1 + x2) / math.sqrt(2.0)
    return np.minimum(curved, 7.0 / math.sqrt(2.0) - np.abs(d))


def load_resistance(x: Float) -> Float:
    return x[:, 0] - x[:, 1]


def himmelblau(x: Float) -> Float:
    x1, x2 = x.T
    a, b, c = 0.75 * x1 - 0.5, 0.75 * x2 - 0.5, 0.75 * x1 - 1.0
    return ((a * a + b) / 1.81 - 11.0) ** 2 + ((c + b * b) / 1.81 - 7.0) ** 2 - 95.0


def undamped_oscillator(x: Float) -> Float:
    """Displacement ``2 F / k |sin(t sqrt(k / m) / 2)|`` against ``3 r``, with stiffness ``k = c1 + c2``.

    A stiffness or mass below zero, eleven standard deviations away, has the frequency of its absolute value.
    """
    mass, c1, c2, r, force, t = x.T
    k = c1 + c2
    return 3.0 * r - np.abs(2.0 * force / k * np.sin(0.5 * t * np.sqrt(np.abs(k / mass))))


def damped_oscillator(x: Float) -> Float:
    """Der Kiureghian and De Stefano (1991): a secondary on a primary oscillator under white noise."""
    mp, ms, kp, ks, zeta_p, zeta_s, s0, fs = x.T
    wp, ws = np.sqrt(kp / mp), np.sqrt(ks / ms)
    wa, za, gam = 0.5 * (wp + ws), 0.5 * (zeta_p + zeta_s), ms / mp
    th = (wp - ws) / wa
    square = math.pi * s0 / (4.0 * zeta_s * ws**3)
    square *= za * zeta_s / (zeta_p * zeta_s * (4.0 * za * za + th * th) + gam * za * za)
    square *= (zeta_p * wp**3 + zeta_s * ws**3) * wp / (4.0 * za * wa**4)
    return fs - 3.0 * ks * np.sqrt(square)


def gayton_hat(x: Float) -> Float:
    x1, x2 = x.T
    return 0.5 * (x1 - 2.0) ** 2 - 1.5 * (x2 - 5.0) ** 3 - 3.0


def cantilever(x: Float) -> Float:
    load, depth = x.T
    return 6000.0 / 325.0 - 1.5 * 6000.0**4 / 26e9 * load / depth**3


def circular_bar(x: Float) -> Float:
    return 1e6 * x[:, 0] - 1e3 * x[:, 1] / (math.pi * 0.025**2 / 4.0)


# Closed forms.


def total(x: Float, level: float = 0.0) -> Float:
    """``sum x_i - level``."""
    return x.sum(axis=1) - level


def short_of(x: Float, level: float) -> Float:
    """``level - sum x_i``."""
    return level - x.sum(axis=1)


def weighted(x: Float, weights: Float) -> Float:
    """``sum w_i x_i``."""
    return x @ weights


def hyperplane(x: Float, beta: float) -> Float:
    """``beta - sum x_i / sqrt(d)``."""
    return beta - x.sum(axis=1) / math.sqrt(x.shape[1])


def two_sided(x: Float) -> Float:
    return 4.0 - np.abs(x.sum(axis=1)) / math.sqrt(x.shape[1])


def outside_a_circle(x: Float) -> Float:
    return 5.5**2 - np.einsum("ij,ij->i", x, x)


def small_ball(x: Float) -> Float:
    return np.einsum("ij,ij->i", x, x) - 0.01


def below_maximum(x: Float, level: float) -> Float:
    """``level - max x_i``."""
    return level - x.max(axis=1)


def below_minimum(x: Float, level: float) -> Float:
    """``level - min x_i``."""
    return level - x.min(axis=1)


def above_maximum(x: Float, level: float) -> Float:
    """``max x_i - level``."""
    return x.max(axis=1) - level


def corners(x: Float) -> Float:
    return 2.6 - np.abs(x).min(axis=1)


def paraboloid(x: Float) -> Float:
    """Ten curved directions; the last coordinate leads to failure."""
    curved = x[:, :-1]
    return 3.5 + 0.1 * np.einsum("ij,ij->i", curved, curved) - x[:, -1]


def ratio(x: Float) -> Float:
    return 1e4 * np.abs(x[:, 1]) - x[:, 0]


# Finance.


def digital_put(x: Float) -> Float:
    """``log(S_T / 50)`` of Black and Scholes with spot 100, rate 5 %, dividend 2 %, volatility 20 %, half a year."""
    return math.log(2.0) + 0.015 + 0.2 * math.sqrt(0.5) * x[:, 0]


def up_and_in_put(x: Float) -> Float:
    """Spot 100, barrier 125, strike 85, rate 3 %, volatility 20 %, one year.

    Given the final log price ``w``, its maximum is that of a Brownian bridge, by inversion from a uniform.
    """
    z, v = x.T
    w = 0.03 - 0.5 * 0.2**2 + 0.2 * z
    highest = 0.5 * (w + np.sqrt(w * w - 2.0 * 0.2**2 * np.log(v)))
    return np.maximum(math.log(1.25) - highest, w - math.log(0.85))


def log_prices(z: Float, spot: float, sigma: float, expiry: float) -> Iterator[Float]:
    """The log price (n,) at each date, with one normal a date and a rate of 5 %; one array that moves on."""
    dt = expiry / z.shape[1]
    drift, vol = (0.05 - 0.5 * sigma**2) * dt, sigma * math.sqrt(dt)
    log_price = np.full(len(z), math.log(spot))
    for column in z.T:
        log_price += drift + vol * column
        yield log_price


def knock_in_call(z: Float, barrier: float, strike: float, expiry: float) -> Float:
    """At most zero where the price was below the barrier at one date and ends above the strike."""
    lowest = np.full(len(z), np.inf)
    for log_price in log_prices(z, 95.0, 0.15, expiry):
        np.minimum(lowest, log_price, out=lowest)
    return np.maximum(lowest - math.log(barrier), math.log(strike) - log_price)


def average_price(z: Float) -> Float:
    """Arithmetic average of a price of 50 with volatility 30 % over the dates of a year."""
    out = np.zeros(len(z))
    for log_price in log_prices(z, 50.0, 0.3, 1.0):
        out += np.exp(log_price)
    return out / z.shape[1]


SPOT, RATE, SIGMA, HORIZON = 100.0, 0.05, 0.30, 0.04
"""Constants of the assets of an option book; ten working days, in years."""


@dataclass(frozen=True)
class Book:
    """Options sold on each of ten uncorrelated assets: numbers of calls and puts, their strikes and expiry in years."""

    calls: float
    puts: float
    call_strike: float
    put_strike: float
    expiry: float

    def value(self, log_spot: Float, life: float) -> Float:
        """Value of the options on one asset, by Black and Scholes; a put by parity."""
        spot = np.exp(log_spot)
        call = black_scholes_call(log_spot, spot, self.call_strike, life)
        like_put = call
        if self.put_strike != self.call_strike:
            like_put = black_scholes_call(log_spot, spot, self.put_strike, life)
        return self.calls * call + self.puts * (like_put - spot + self.put_strike * math.exp(-RATE * life))

    def loss(self, z: Float) -> Float:
        """Loss by full revaluation at the horizon: the rise of the price at which the options are bought back."""
        log_spot = math.log(SPOT) + (RATE - 0.5 * SIGMA**2) * HORIZON + SIGMA * math.sqrt(HORIZON) * z
        today = self.value(np.array(math.log(SPOT)), self.expiry)
        return (self.value(log_spot, self.expiry - HORIZON) - today).sum(axis=1)

    def delta_gamma(self, assets: int = 10) -> Quadratic:
        """The expansion of the loss to second order in the price and first order in time."""
        step = SPOT * SIGMA * math.sqrt(HORIZON)
        a0 = b = lam = 0.0
        for number, strike, is_put in ((self.calls, self.call_strike, 0.0), (self.puts, self.put_strike, 1.0)):
            root = SIGMA * math.sqrt(self.expiry)
            d1 = (math.log(SPOT / strike) + (RATE + 0.5 * SIGMA**2) * self.expiry) / root
            density = math.exp(-0.5 * d1 * d1) / math.sqrt(2.0 * math.pi)
            delta = float(special.ndtr(d1)) - is_put
            gamma = density / (SPOT * root)
            bond = strike * math.exp(-RATE * self.expiry)
            theta = -0.5 * SPOT * density * SIGMA / math.sqrt(self.expiry)
            theta -= RATE * bond * (float(special.ndtr(d1 - root)) - is_put)
            a0 += number * theta * HORIZON
            b += number * delta * step
            lam += number * 0.5 * gamma * step**2
        return Quadratic(assets * a0, np.full(assets, b), np.full(assets, lam))


def black_scholes_call(log_spot: Float, spot: Float, strike: float, life: float) -> Float:
    """Price of a call without dividends."""
    root = SIGMA * math.sqrt(life)
    d1 = (log_spot - math.log(strike) + (RATE + 0.5 * SIGMA**2) * life) / root
    return spot * special.ndtr(d1) - strike * math.exp(-RATE * life) * special.ndtr(d1 - root)


def delta_neutral() -> Book:
    """Ten calls and as many puts as make the delta zero."""
    d1 = (RATE + 0.5 * SIGMA**2) * 0.5 / (SIGMA * math.sqrt(0.5))
    delta = float(special.ndtr(d1))
    return Book(10.0, 10.0 * delta / (1.0 - delta), SPOT, SPOT, 0.5)


@dataclass(frozen=True, eq=False)
class Quadratic:
    """``a0 + sum_i (b_i x_i + lam_i x_i^2)``."""

    a0: float
    b: Float
    lam: Float

    def __call__(self, x: Float) -> Float:
        return self.a0 + x @ self.b + np.square(x) @ self.lam


# Credit.


def default_loss(y: Float, barrier: Float | float, exposure: Float) -> Float:
    """Sum of the exposures of the names whose asset value is below its barrier."""
    return (y < barrier) @ exposure


def glasserman_li(names: int) -> Float:
    """Barriers of the default probabilities ``0.01 (1 + sin(16 pi k / names))``."""
    k = np.arange(1, names + 1)
    return special.ndtri(0.01 * (1.0 + np.sin(16.0 * math.pi * k / names)))


def asset_values(loadings: Float) -> FactorModel:
    """Normal factors and residuals, of variance one in all."""
    specific = np.sqrt(1.0 - np.square(loadings).sum(axis=1))
    return FactorModel(loadings=loadings, factors=StandardNormal(dim=loadings.shape[1]), specific=specific)


def in_sectors(sectors: int, names: int, market: float, own: float) -> Float:
    """Loadings on the market and on one factor for each sector of ``names`` names, in order."""
    return np.hstack([np.full((sectors * names, 1), market), own * np.repeat(np.eye(sectors), names, axis=0)])


def twenty_one_factors() -> FactorModel:
    """Glasserman and Li (2005): the market, ten industries of 100 names, ten regions of ten names in each."""
    industry = np.repeat(np.eye(10), 100, axis=0)
    region = np.tile(np.repeat(np.eye(10), 10, axis=0), (10, 1))
    return asset_values(np.hstack([np.full((1000, 1), 0.8), 0.4 * industry, 0.4 * region]))


def vasicek(x: Float) -> Float:
    """Share of a large pool that survives, given the factor."""
    return special.ndtr((math.sqrt(0.2) * x[:, 0] - special.ndtri(0.01)) / math.sqrt(0.8))


def t_copula_inputs(dof: float, names: int = 250) -> Independent:
    """The factor, the chi-square of the common shock, and a residual of standard deviation 3 for each name."""
    return Independent(marginals=[m.Normal(), m.Gamma(a=0.5 * dof, scale=2.0), *[m.Normal(scale=3.0)] * names])


def t_copula_defaults(x: Float, dof: float) -> Float:
    """Names for which ``(0.25 z + sqrt(1 - 0.25^2) e_k) / sqrt(v / dof)`` is above ``0.5 sqrt(250)``."""
    z, v, residuals = x[:, 0], x[:, 1], x[:, 2:]
    level = (0.5 * math.sqrt(250.0) * np.sqrt(v / dof) - 0.25 * z) / math.sqrt(1.0 - 0.25**2)
    return np.count_nonzero(residuals > level[:, None], axis=1).astype(np.float64)


# Ruin, walks and runs: a loop over the columns, never over the rows.


def ruin(x: Float) -> Float:
    """All-time maximum of the claim surplus: a geometric number of ladder heights; the law counts it from one."""
    count, heights = x[:, 0] - 1.0, x[:, 1:]
    out = np.zeros(len(x))
    for j in range(int(min(count.max(), heights.shape[1]))):
        out += heights[:, j] * (count > j)
    return out


def walk_maximum(x: Float) -> Float:
    """Maximum of a walk with steps ``x_i - 0.1``, after one step or more."""
    position, highest = np.zeros(len(x)), np.full(len(x), -np.inf)
    for step in x.T:
        position += step - 0.1
        np.maximum(highest, position, out=highest)
    return highest


def simple_walk_maximum(x: Float) -> Float:
    """Maximum of a walk from zero with steps one up and one down."""
    position, highest = np.zeros(len(x)), np.zeros(len(x))
    for up in x.T:
        position += 2.0 * up - 1.0
        np.maximum(highest, position, out=highest)
    return highest


def four_in_a_row(x: Float) -> Float:
    """Four minus the longest run of ones."""
    run, longest = np.zeros(len(x)), np.zeros(len(x))
    for failed in x.T:
        run += 1.0
        run *= failed
        np.maximum(longest, run, out=longest)
    return 4.0 - longest


# Networks.


def shortest_path(x: Float) -> Float:
    """Length of the shortest path through the bridge of five edges."""
    x1, x2, x3, x4, x5 = x.T
    return np.minimum(np.minimum(x1 + x4, x2 + x5), x3 + np.minimum(x1 + x5, x2 + x4))


DODECAHEDRON = (
    (0, 1), (1, 2), (2, 3), (3, 4), (4, 0), (0, 5), (1, 7), (2, 9), (3, 11), (4, 13),
    (5, 6), (6, 7), (7, 8), (8, 9), (9, 10), (10, 11), (11, 12), (12, 13), (13, 14), (14, 5),
    (6, 15), (8, 16), (10, 17), (12, 18), (14, 19), (15, 16), (16, 17), (17, 18), (18, 19), (19, 15),
)  # fmt: skip


def grid(side: int) -> tuple[tuple[int, int], ...]:
    """Edges of a square grid, row by row, to the right before down."""
    edges = []
    for v in range(side * side):
        edges += [(v, v + 1)] * (v % side < side - 1) + [(v, v + side)] * (v < side * (side - 1))
    return tuple(edges)


def widest_path(x: Float, edges: Iterable[tuple[int, int]], start: int, end: int) -> Float:
    """The largest, over the paths from ``start`` to ``end``, of the smallest lifetimes on a path.

    Other vertices are removed one by one, the one with fewest neighbours first: each pair of its neighbours is then
    joined by an edge as wide as the way through it, if that is wider than theirs.
    """
    width: dict[int, dict[int, Float]] = {}
    for (a, b), lifetime in zip(edges, x.T, strict=True):
        width.setdefault(a, {})[b] = width.setdefault(b, {})[a] = lifetime
    while inner := width.keys() - {start, end}:
        gone = min(inner, key=lambda v: (len(width[v]), v))
        around = width.pop(gone)
        for v in around:
            del width[v][gone]
        for a, b in itertools.combinations(around, 2):
            way = np.minimum(around[a], around[b])
            if b in width[a]:
                way = np.maximum(way, width[a][b])
            width[a][b] = width[b][a] = way
    return width[start][end]


# The table.


def normals(dim: int) -> StandardNormal:
    return StandardNormal(dim=dim)


def alike(law: Marginal, dim: int) -> Independent:
    return Independent(marginal=law, dim=dim)


def each(*laws: Marginal) -> Independent:
    return Independent(marginals=list(laws))


def oscillator_inputs(force: float) -> Independent:
    """The inputs with the given mean force; everything else is as in AK-MCS."""
    laws = ((1.0, 0.05), (1.0, 0.1), (0.1, 0.01), (0.5, 0.05), (force, 0.2), (1.0, 0.2))
    return each(*(m.Normal(mean=mean, std=std) for mean, std in laws))


def damped_oscillator_inputs(capacity: float) -> Independent:
    laws = (
        (1.5, 0.15), (0.01, 0.001), (1.0, 0.2), (0.01, 0.002), (0.05, 0.02), (0.02, 0.01), (100.0, 10.0),
        (capacity, 0.1 * capacity),
    )  # fmt: skip
    return each(*(m.Lognormal(mean=mean, std=std) for mean, std in laws))


def lifetimes(edges: Iterable[tuple[int, int]], failed: float) -> Independent:
    """Exponential lifetimes that end before one with the probability ``failed``."""
    return alike(m.Exponential(scale=-1.0 / math.log1p(-failed)), len(list(edges)))


FAILURE = Probability(below=0.0)

Definition = tuple[Inputs, Loss, Probability]


def definitions() -> dict[str, Definition]:
    """Inputs, loss and event of each problem by id."""
    return {**_reliability(), **_closed_forms(), **_finance(), **_credit(), **_walks_and_sums(), **_networks()}


def _reliability() -> dict[str, Definition]:
    rs = each(m.Normal(mean=4.0, std=1.0), m.Normal(mean=2.0, std=1.0))
    shaft = each(
        m.Uniform(low=70.0, high=80.0),
        m.Normal(mean=39.0, std=0.1),
        m.Gumbel(mean=1500.0, std=350.0),
        m.Normal(mean=400.0, std=0.1),
        m.Normal(mean=250_000.0, std=35_000.0),
    )
    strengths = ((2200.0, 220.0), (2100.0, 210.0), (2300.0, 230.0), (2000.0, 200.0), (1200.0, 480.0))
    sixty = each(*(m.Lognormal(mean=mean, std=std) for mean, std in strengths))
    lognormal = m.Lognormal(mean=1.0, std=0.2)
    return {
        "RP14": (shaft, speed_reducer, FAILURE),
        "RP22": (normals(2), convex_quadratic, FAILURE),
        "RP25": (normals(2), parallel_system, FAILURE),
        "RP31": (normals(2), quartic_needle, FAILURE),
        "RP35": (normals(2), nonconvex_series, FAILURE),
        "RP53": (each(m.Normal(mean=1.5, std=1.0), m.Normal(mean=2.5, std=1.0)), oscillating, FAILURE),
        "RP55": (alike(m.Uniform(low=-1.0, high=1.0), 2), four_branches_on_a_square, FAILURE),
        "RP60": (sixty, series_parallel, FAILURE),
        "RP75": (normals(2), hyperbola, FAILURE),
        "RP89": (normals(2), two_branches, FAILURE),
        "RP107": (normals(10), partial(short_of, level=5.0 * math.sqrt(10.0)), FAILURE),
        "RP111": (normals(2), four_hyperbolas, FAILURE),
        "FOUR-BRANCH-WAARTS": (normals(2), four_branches, FAILURE),
        "R-S": (rs, load_resistance, FAILURE),
        "HIMMELBLAU-95": (normals(2), himmelblau, FAILURE),
        "OSC-REE": (oscillator_inputs(0.3), undamped_oscillator, FAILURE),
        "OSC-AKMCS": (oscillator_inputs(1.0), undamped_oscillator, FAILURE),
        "DAMPED-OSC-15": (damped_oscillator_inputs(15.0), damped_oscillator, FAILURE),
        "DAMPED-OSC-27.5": (damped_oscillator_inputs(27.5), damped_oscillator, FAILURE),
        "AKMCS-LN-40": (alike(lognormal, 40), partial(short_of, level=40.0 + 0.6 * math.sqrt(40.0)), FAILURE),
        "GAYTON-HAT": (normals(2), gayton_hat, FAILURE),
        "CANTILEVER-2D": (each(m.Normal(mean=1000.0, std=200.0), m.Normal(mean=250.0, std=37.5)), cantilever, FAILURE),
        "CIRCULAR-BAR": (each(m.Normal(mean=250.0, std=25.0), m.Normal(mean=70.0, std=7.0)), circular_bar, FAILURE),
    }


def _closed_forms() -> dict[str, Definition]:
    exponential = m.Exponential(scale=1.0)
    one_factor = FactorModel(
        loadings=np.full((10, 1), math.sqrt(0.5)), factors=StandardNormal(dim=1), specific=math.sqrt(0.5)
    )
    clayton = CopulaInputs(copula=Clayton(theta=2.0, dim=3), marginal=m.Uniform(low=0.0, high=1.0))
    shock = each(exponential, exponential, m.Exponential(scale=5.0))
    quantile = float(special.gammaincinv(2.0, 1e-4))
    return {
        "LIN-2-B3.5": (normals(2), partial(hyperplane, beta=3.5), FAILURE),
        "LIN-50-B3.5": (normals(50), partial(hyperplane, beta=3.5), FAILURE),
        "FUJITA-EXP-L2": (alike(exponential, 2), partial(total, level=quantile), FAILURE),
        "ERA-EXP-SUM-100": (alike(exponential, 100), partial(short_of, level=140.0), FAILURE),
        "LIN-2-B5": (normals(2), partial(hyperplane, beta=5.0), FAILURE),
        "LIN-1000-B4": (normals(1000), partial(hyperplane, beta=4.0), FAILURE),
        "MVT-LIN-10": (StudentT(dof=4.0, dim=10), partial(hyperplane, beta=15.0), FAILURE),
        "T-IID-SUM-5": (alike(m.StudentT(dof=4.0), 5), partial(short_of, level=40.0), FAILURE),
        "TWO-SIDED-B4": (normals(10), two_sided, FAILURE),
        "CHI2-2": (normals(2), outside_a_circle, FAILURE),
        "SMALL-BALL-3": (normals(3), small_ball, FAILURE),
        "MAX-IID-100": (normals(100), partial(below_maximum, level=5.5), FAILURE),
        "EQUICORR-MIN-10": (one_factor, partial(below_minimum, level=1.8), FAILURE),
        "CORNERS-2D": (normals(2), corners, FAILURE),
        "SORM-CONVEX-11": (normals(11), paraboloid, FAILURE),
        "BINOMIAL-100": (alike(m.Bernoulli(p=0.05), 100), partial(short_of, level=20.0), FAILURE),
        "GAMMA-SUM-20": (alike(exponential, 20), partial(short_of, level=60.0), FAILURE),
        "CAUCHY-RATIO": (normals(2), ratio, FAILURE),
        "CLAYTON-JOINT-LOW": (clayton, partial(above_maximum, level=2e-4), FAILURE),
        "MARSHALL-OLKIN": (shock, partial(below_minimum, level=7.0), FAILURE),
    }


def _finance() -> dict[str, Definition]:
    bridge = each(m.Normal(), m.Uniform(low=0.0, high=1.0))
    weights = np.linspace(0.01, 0.03, 20)
    five_sigma = Probability(above=5.0 * float(np.linalg.norm(weights)))
    out: dict[str, Definition] = {
        "DIG-PUT-50": (normals(1), digital_put, FAILURE),
        "BB-UPIN-DIG-PUT": (bridge, up_and_in_put, FAILURE),
        "ASIAN-TAIL-16-30-90": (normals(16), average_price, Probability(above=90.0)),
        "PORT-5SIGMA-IND": (normals(20), partial(weighted, weights=weights), five_sigma),
    }
    for id, barrier, strike, expiry, dates in (
        ("KI-T25-94-96", 94.0, 96.0, 0.25, 50),
        ("KI-T25-85-96", 85.0, 96.0, 0.25, 50),
        ("KI-T1-90-106", 90.0, 106.0, 1.0, 50),
        ("KI-T25M100-90-106", 90.0, 106.0, 0.25, 100),
    ):
        call = partial(knock_in_call, barrier=barrier, strike=strike, expiry=expiry)
        out[id] = (normals(dates), call, FAILURE)
    books = {"A1": Book(10.0, 5.0, SPOT, SPOT, 0.5), "A3": delta_neutral(), "A5": Book(10.0, 10.0, 110.0, 90.0, 0.25)}
    for name, thresholds in {"A1": (206.0, 360.0), "A3": (109.0, 204.0), "A5": (125.0, 238.0)}.items():
        for letter, threshold in zip("ab", thresholds, strict=True):
            out[f"BOOK-{name}-{letter}"] = (normals(10), books[name].loss, Probability(above=threshold))
    quadratics = {
        "A1": books["A1"].delta_gamma(),
        "A3": books["A3"].delta_gamma(),
        "B2": Quadratic(0.0, np.full(100, 0.2), 0.5 * 0.95 ** np.arange(100)),
    }
    levels = {
        "A1": ((192.0, 540.0), (338.0, 3500.0)),
        "A3": ((110.0, 730.0), (209.0, 5480.0)),
        "B2": ((17.8, 92.9), (26.5, 628.0)),
    }
    for name, quadratic in quadratics.items():
        dim = len(quadratic.b)
        for letter, (normal, heavy) in zip("ab", levels[name], strict=True):
            out[f"DG-{name}-{letter}"] = (normals(dim), quadratic, Probability(above=normal))
            out[f"DGT-{name}-{letter}"] = (StudentT(dof=5.0, dim=dim), quadratic, Probability(above=heavy))
    return out


def _credit() -> dict[str, Definition]:
    def pool(loadings: Float, barrier: Float | float, exposure: Float, level: float) -> Definition:
        loss = partial(default_loss, barrier=barrier, exposure=exposure)
        return asset_values(loadings), loss, Probability(above=level)

    one_percent, hundred = float(special.ndtri(0.01)), np.ones(100)
    squares = np.ceil(np.arange(1, 101) / 20.0) ** 2
    twenty_one = twenty_one_factors()
    linear = partial(default_loss, barrier=glasserman_li(1000), exposure=1.0 + 99.0 * np.arange(1000) / 999.0)
    out: dict[str, Definition] = {
        "CREDIT-HOM-100": pool(np.full((100, 1), math.sqrt(0.2)), one_percent, hundred, 20.0),
        "CREDIT-GL-100": pool(np.full((100, 1), math.sqrt(0.1)), glasserman_li(100), squares, 250.0),
        "CREDIT-SECTOR-A": pool(in_sectors(5, 20, math.sqrt(0.2), math.sqrt(0.2)), one_percent, hundred, 30.0),
        "CREDIT-VASICEK-LHP": (normals(1), vasicek, Probability(below=0.85)),
        "CREDIT-GL21-10000": (twenty_one, linear, Probability(above=10_000.0)),
        "CREDIT-GL21-22000": (twenty_one, linear, Probability(above=22_000.0)),
    }
    for dof in (4, 12, 20):
        defaults = partial(t_copula_defaults, dof=float(dof))
        out[f"CREDIT-T-{dof}"] = (t_copula_inputs(float(dof)), defaults, Probability(above=63.0))
    return out


def _walks_and_sums() -> dict[str, Definition]:
    ladder = each(m.Geometric(p=0.25), *[m.Exponential(scale=1.0)] * 300)
    lomax = m.Pareto(b=1.5, loc=-1.0)
    lognormal = m.Lognormal(s=1.0)
    return {
        "RUIN-EXP": (ladder, ruin, Probability(above=60.0)),
        "WALK-MAX-50": (normals(50), walk_maximum, Probability(above=28.0)),
        "BERN-WALK-40": (alike(m.Bernoulli(p=0.4), 40), simple_walk_maximum, Probability(above=18.0)),
        "LOMAX-SUM-5": (alike(lomax, 5), total, Probability(above=1000.0)),
        "WEIBULL-SUM-5": (alike(m.Weibull(c=0.5), 5), total, Probability(above=200.0)),
        "LN-SUM-4-LEFT": (alike(lognormal, 4), total, Probability(below=0.8)),
        "LN-SUM-10-RIGHT": (alike(lognormal, 10), total, Probability(above=120.0)),
        "CONSEC-4-OF-30": (alike(m.Bernoulli(p=0.06), 30), four_in_a_row, FAILURE),
    }


def _networks() -> dict[str, Definition]:
    bridge = each(*(m.Exponential(scale=mean) for mean in (0.25, 0.4, 0.1, 0.3, 0.2)))
    solid = partial(widest_path, edges=DODECAHEDRON, start=0, end=17)
    square = partial(widest_path, edges=grid(4), start=0, end=15)
    return {
        "BRIDGE-CE": (bridge, shortest_path, Probability(above=2.0)),
        "DODECA-1e-2": (lifetimes(DODECAHEDRON, 0.01), solid, Probability(below=1.0)),
        "GRID-4x4": (lifetimes(grid(4), 0.02), square, Probability(below=1.0)),
    }


def _load() -> dict[str, ReferenceProblem]:
    """Definitions joined with the rows of the references, in the order of the rows."""
    known = definitions()
    with REFERENCES.open(newline="") as file:
        rows = list(csv.DictReader(file))
    return {
        row["id"]: ReferenceProblem(
            row["id"],
            row["title"],
            *known[row["id"]],
            float(row["probability"]),
            float(row["rel_accuracy"]),
            tuple(row["difficulty"].split("; ")),
        )
        for row in rows
    }


PROBLEMS = _load()
"""Every problem by id, in the order of ``data/references.csv``."""

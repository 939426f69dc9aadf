"""Random problems with exact answers: `problem` makes one of each number.

A problem is a system of branches: the event needs any of them, all, or at least ``k``. Branches have coordinates of
their own and at most one in common. They are independent given the common coordinate, and the answer is the probability
of ``at least k`` of independent events, integrated over it. The answer for a union of planes in general position comes
from inclusion and exclusion, for the outside of a polygon from an integral over the angle. A random rotation,
coordinates on which nothing depends, and increasing transforms of each branch that keep 0 do not change the answer.

The number of a problem seeds the draw of its kind, form, probability (from 1e-9 to 1e-2), dimension (2 to 100),
branches and the share of the probability that each branch has. No result of any method was used for a choice here.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import exact_tails
import numpy as np
from branches import (
    SMOOTH,
    Branch,
    Corner,
    Count,
    HeavySum,
    Law,
    LognormalSum,
    LogPlane,
    Part,
    Product,
    Quadratic,
    Shape,
    Strength,
    Transform,
    level_of,
)
from exact_tails import normal_nodes, system_tail
from scipy import optimize

from raresim import Independent, StandardNormal
from raresim import marginals as m
from raresim.distributions.base import Inputs
from raresim.numerics.arrays import Float

Kind = Literal["one", "smooth", "stepped"]
System = Literal["any", "all"] | int

SALT = 20_517
"""Second part of the seed of a problem, beside its number."""

RAREST, COMMONEST = 1e-9, 1e-2
FLATTEST, STEEPEST = 0.05, 20.0
UNITS = (0.01, 100.0)
"""Range of the slopes of limit states in units of their own."""

MOST_DIMENSIONS = 100
ATTEMPTS = 5
"""Most drafts of a problem until its answer can be computed."""

HALF = 0.45
"""Largest probability of a branch."""

EXACT = 1e-6
"""Relative accuracy that the answer of a problem has to have."""

TABLES = 3e-7
"""Relative accuracy of sums of three or four heavy terms, the least exact tails without a shared coordinate."""


# What a problem is made of.


@dataclass(frozen=True, eq=False)
class Columns:
    """A column for each branch.

    Parameters
    ----------
    branches : tuple of Branch
        Branches, as functions of the coordinates.
    turn : (D, d) float64, optional
        The coordinates are the inputs (n, D) times this matrix; without it, the inputs themselves.
    """

    branches: tuple[Branch, ...]
    turn: Float | None = None

    def __call__(self, x: Float) -> Float:
        y = x if self.turn is None else x @ self.turn
        return np.column_stack([branch(y) for branch in self.branches])


@dataclass(frozen=True, eq=False)
class KthLargest:
    """The loss of a system: at least 0 where ``at_least`` columns are at least 0."""

    columns: Columns
    at_least: int

    def __call__(self, x: Float) -> Float:
        values = self.columns(x)
        m = values.shape[1]
        if self.at_least == 1:
            return np.asarray(values.max(axis=1))
        if self.at_least == m:
            return np.asarray(values.min(axis=1))
        return np.asarray(np.partition(values, m - self.at_least, axis=1)[:, m - self.at_least])


@dataclass(frozen=True, eq=False)
class RandomProblem:
    """A random question with its answer; the event is ``loss >= 0``.

    Parameters
    ----------
    number : int
        The number from which it was made.
    form : str
        Family of the problem.
    kind : "one", "smooth" or "stepped"
        One branch; several, none of which moves in steps; or some that do.
    dim : int
        Number of inputs.
    inputs : Inputs
        Joint law of the inputs.
    columns : Columns
        Maps inputs (n, dim) to a column for each branch (n, branches), at least 0 in the event of the branch.
    system : "any", "all" or int
        Which of the branches make the event; a number means at least so many.
    loss : KthLargest
        Maps inputs (n, dim) to the losses (n,).
    probability : float
        The answer.
    rel_accuracy : float
        Relative uncertainty of the answer.
    shares : tuple of float
        Probability of each branch alone, over the answer.
    text : str
        The problem in words.
    """

    number: int
    form: str
    kind: Kind
    dim: int
    inputs: Inputs
    columns: Columns
    system: System
    loss: KthLargest
    probability: float
    rel_accuracy: float
    shares: tuple[float, ...]
    text: str

    @property
    def branches(self) -> int:
        return len(self.columns.branches)


@dataclass(eq=False)
class Draft:
    """The draw of a form: parts and how they are combined; levels follow from the probability.

    Parameters
    ----------
    inputs : Inputs
        Joint law of the inputs.
    parts : list of Part
        The quantities that the branches measure.
    at_least : int
        Number of branches that make the event.
    turn : (D, d) float64, optional
        As in `Columns`.
    is_shared : bool
        Whether several parts share the first coordinate.
    is_straight : bool
        Whether transforms only multiply, where nothing moves in steps.
    slopes : (m,) float64, optional
        Slopes of the transforms; drawn where they are left out.
    union : callable, optional
        The probability of a union of planes by their distances, and its relative accuracy, where parts are not
        independent given a coordinate.
    """

    inputs: Inputs
    parts: list[Part]
    at_least: int = 1
    turn: Float | None = None
    is_shared: bool = False
    is_straight: bool = False
    slopes: Float | None = None
    union: Callable[[Float], tuple[float, float]] | None = None


@dataclass(frozen=True, eq=False)
class Wish:
    """The wish that a form is given.

    Parameters
    ----------
    rng : numpy.random.Generator
        The generator seeded by the number.
    dim : int
        Approximate number of dimensions: a form may need more or take fewer.
    probability : float
        Approximate probability of the event.
    """

    rng: np.random.Generator
    dim: int
    probability: float

    def whole(self, low: int, high: int) -> int:
        """A number from ``low`` to ``high``, both included."""
        return int(self.rng.integers(low, max(low, high) + 1))

    def chance(self, p: float) -> bool:
        return bool(self.rng.random() < p)

    def log_uniform(self, low: float, high: float) -> float:
        return float(math.exp(self.rng.uniform(math.log(low), math.log(high))))

    def several(self, low: int, high: int) -> int:
        """A number of branches, more often a small one."""
        return min(high, low + int(self.rng.exponential(2.5)))

    def at_least(self, n: int) -> int:
        """How many of ``n`` make the event: any one in two of three cases, else all of a few or some of many."""
        if self.chance(0.6) or n < 2:
            return 1
        if n <= 3:
            return n
        return self.whole(2, min(4, n - 1))

    def blocks(self, first: int, last: int, n: int) -> list[slice]:
        """The coordinates from ``first`` to before ``last`` in ``n`` blocks of random size."""
        cuts = np.sort(self.rng.choice(np.arange(first + 1, last), n - 1, replace=False)) if n > 1 else []
        ends = [first, *map(int, cuts), last]
        return [slice(a, b) for a, b in itertools.pairwise(ends)]

    def used(self, least: int) -> int:
        """Number of coordinates on which the loss depends."""
        return self.dim if self.chance(0.5) else max(least, int(self.dim * self.rng.uniform(0.3, 1.0)))

    def unit_vector(self, n: int) -> Float:
        v = self.rng.standard_normal(n)
        return np.asarray(v / np.linalg.norm(v))

    def turn(self, used: int) -> Float | None:
        """The first columns of a random orthogonal matrix, or none."""
        if self.chance(0.4):
            return None
        q, r = np.linalg.qr(self.rng.standard_normal((self.dim, self.dim)))
        return np.ascontiguousarray((q * np.sign(np.diag(r)))[:, :used])


# Parts.


def part_of_its_own(wish: Wish, own: slice, one_region: bool = False) -> Part:
    """A branch of a random kind on coordinates of its own."""
    n = own.stop - own.start
    kinds = ["plane"] if one_region else ["plane", "wings"]
    if n > 1:
        kinds = ["plane", "away", "toward", "shell", "book", "corner", "lognormals"]
        kinds += [] if one_region else ["product"]
    kind = kinds[int(wish.rng.integers(len(kinds)))]
    zero = np.zeros(n)
    first = np.eye(n)[0]
    if kind == "plane":
        return Quadratic(own, wish.unit_vector(n), zero)
    if kind == "wings":
        return Quadratic(own, zero, first, name="two planes")
    if kind in {"away", "toward"}:
        bend = wish.log_uniform(0.03, 0.5) / math.sqrt(n - 1)
        square = (1.0 - first) * (bend if kind == "toward" else -bend)
        return Quadratic(own, first, square, name=f"paraboloid bent {kind}")
    if kind == "shell":
        return Quadratic(own, zero, zero + 1.0, name="shell")
    if kind == "book":
        delta = wish.rng.standard_normal(n) * wish.log_uniform(0.2, 2.0)
        gamma = wish.rng.uniform(-0.3, 1.0, n)
        gamma[0] = 1.0
        return Quadratic(own, delta, gamma, name="delta and gamma")
    if kind == "corner":
        members = wish.whole(2, min(4, n))
        return _corner(wish, slice(own.start, own.start + members))
    if kind == "lognormals":
        terms = min(n, wish.whole(2, 4))
        return LognormalSum(slice(own.start, own.start + terms), terms, round(wish.log_uniform(0.2, 1.5), 2))
    return Product(own)


def part_with_shared(wish: Wish, own: slice, towards: bool = False) -> Part:
    """A branch on the first coordinate, which all share, and some of its own.

    Parameters
    ----------
    towards : bool
        Whether all are in the event for large values of the shared coordinate.
    """
    n = own.stop - own.start
    kinds = ["plane", "plane", "away", "toward"] + (["shell", "corner"] if n > 1 else [])
    kind = kinds[int(wish.rng.integers(len(kinds)))]
    sign = 1.0 if towards or wish.chance(0.6) else -1.0
    if kind == "plane":
        return _plane_with_shared(wish, own, sign)
    if kind in {"away", "toward"}:
        bend = wish.log_uniform(0.05, 0.5) / math.sqrt(n)
        square = np.full(n, bend if kind == "toward" else -bend)
        return Quadratic(own, np.zeros(n), square, 0, sign, 0.0, f"paraboloid bent {kind}")
    if kind == "shell":
        delta = 0.0 if wish.chance(0.3) else sign * wish.rng.uniform(0.5, 4.0)
        return Quadratic(own, np.zeros(n), np.ones(n), 0, float(delta), 1.0, "shell, moved" if delta else "shell")
    members = wish.whole(2, min(4, n))
    loads = sign * wish.rng.uniform(0.2, 0.8, members)
    return replace(_corner(wish, slice(own.start, own.start + members)), shared=0, loads=loads)


def _corner(wish: Wish, own: slice) -> Corner:
    n = own.stop - own.start
    slopes = np.array([wish.log_uniform(0.2, 5.0) for _ in range(n)])
    return Corner(own, wish.rng.uniform(0.0, 1.0, n), slopes)


def _plane_with_shared(wish: Wish, own: slice, sign: float = 1.0) -> Quadratic:
    n = own.stop - own.start
    load = wish.rng.uniform(0.2, 0.9)
    linear = math.sqrt(1.0 - load**2) * wish.unit_vector(n)
    return Quadratic(own, linear, np.zeros(n), 0, float(sign * load))


def _laws(wish: Wish) -> tuple[Law, Law]:
    """A load and a strength, each with a scale of its own."""
    load = [
        Law("gumbel", wish.rng.uniform(0.1, 0.3), 1.0),
        Law("lognormal", wish.rng.uniform(0.1, 0.6), 1.0),
        Law("gamma", wish.rng.uniform(3.0, 30.0), 1.0),
        Law("normal", wish.rng.uniform(0.1, 0.3), 1.0),
        Law("weibull", wish.rng.uniform(1.0, 4.0), 1.0),
    ][wish.whole(0, 4)]
    strength = [
        Law("normal", wish.rng.uniform(0.03, 0.1), 1.0),
        Law("lognormal", wish.rng.uniform(0.03, 0.3), 1.0),
        Law("weibull", wish.rng.uniform(6.0, 20.0), 1.0),
    ][wish.whole(0, 2)]
    return (
        replace(load, scale=float(f"{wish.log_uniform(1.0, 1e4):.3g}")),
        replace(strength, scale=float(f"{wish.log_uniform(10.0, 1e6):.3g}")),
    )


def _inputs(laws: Sequence[Law], spare: int, wish: Wish) -> Independent:
    """Inputs by name, including some on which nothing depends."""
    every = [*laws, *(_laws(wish)[k % 2] for k in range(spare))]
    return Independent(marginals={f"x{k + 1}": law.marginal() for k, law in enumerate(every)})


def _spare(wish: Wish, used: int) -> int:
    return min(max(0, wish.dim - used), wish.whole(0, 8)) if wish.chance(0.5) else 0


# Forms.


def single(wish: Wish) -> Draft:
    """One branch on standard normals."""
    used = wish.used(1)
    part = part_of_its_own(wish, slice(0, used), one_region=True)
    return Draft(StandardNormal(dim=wish.dim), [part], turn=wish.turn(used))


def limit(wish: Wish) -> Draft:
    """One limit state on inputs in units of their own."""
    kind = wish.whole(0, 2)
    if kind == 0:
        load, strength = _laws(wish)
        return Draft(_inputs([load, strength], _spare(wish, 2), wish), [Strength(slice(0, 2), strength, load)])
    n = wish.whole(2, min(6, max(2, wish.dim)))
    own = slice(0, n)
    if kind == 1:
        part, laws = _log_plane(wish, own)
        return Draft(_inputs(laws, _spare(wish, n), wish), [part])
    heavy = _heavy_sum(wish, slice(0, min(n, 4)))
    law = m.StudentT(dof=heavy.dof, scale=heavy.scale)
    return Draft(Independent(marginal=law, dim=heavy.terms), [heavy])


def _log_plane(wish: Wish, own: slice) -> tuple[LogPlane, list[Law]]:
    n = own.stop - own.start
    laws = [
        Law("lognormal", wish.rng.uniform(0.05, 0.5), float(f"{wish.log_uniform(1e-3, 1e6):.3g}")) for _ in range(n)
    ]
    powers = wish.rng.choice([-3.0, -2.0, -1.0, 1.0, 1.0, 2.0], n)
    return LogPlane(own, powers, tuple(laws)), laws


def _heavy_sum(wish: Wish, own: slice) -> HeavySum:
    scale = float(f"{wish.log_uniform(0.01, 1e5):.3g}")
    return HeavySum(own, float(wish.whole(3, 8)), own.stop - own.start, scale)


def mixed(wish: Wish) -> Draft:
    """Branches of different kind, each on coordinates of its own."""
    n = wish.several(2, min(12, wish.dim))
    at_least = wish.at_least(n)
    used = wish.used(n)
    parts = [part_of_its_own(wish, own) for own in wish.blocks(0, used, n)]
    return Draft(StandardNormal(dim=wish.dim), parts, at_least, wish.turn(used))


def shared(wish: Wish) -> Draft:
    """Branches of different kind with a coordinate in common."""
    wish = replace(wish, dim=max(3, wish.dim))
    n = wish.several(2, min(12, wish.dim - 1))
    at_least = wish.at_least(n)
    used = wish.used(n + 1)
    parts = [part_with_shared(wish, own, towards=at_least > 1) for own in wish.blocks(1, used, n)]
    return Draft(StandardNormal(dim=wish.dim), parts, at_least, wish.turn(used), is_shared=True)


def alike(wish: Wish) -> Draft:
    """At least ``k`` of ``n`` planes with a coordinate in common."""
    n = wish.whole(3, 10)
    wish = replace(wish, dim=max(n + 1, wish.dim))
    used = wish.used(n + 1)
    parts: list[Part] = [_plane_with_shared(wish, own) for own in wish.blocks(1, used, n)]
    return Draft(StandardNormal(dim=wish.dim), parts, wish.whole(2, min(4, n)), wish.turn(used), is_shared=True)


def desks(wish: Wish) -> Draft:
    """Limits of desks in money, ``max_k (v_k . x - beta_k) vol_k`` with random directions."""
    wish = replace(wish, dim=max(4, wish.dim))
    n = wish.whole(2, 12)
    directions = wish.rng.standard_normal((n, wish.dim))
    directions /= np.linalg.norm(directions, axis=1)[:, np.newaxis]
    if wish.chance(0.25):  # limits on either side
        directions[n // 2 :] = -directions[: n - n // 2]
    parts: list[Part] = [Quadratic(slice(0, wish.dim), v, np.zeros(wish.dim)) for v in directions]
    return Draft(
        StandardNormal(dim=wish.dim),
        parts,
        slopes=_vols(wish, n),
        is_straight=not wish.chance(0.3),
        union=lambda betas: exact_tails.union_of_planes(directions[: len(betas)], betas),
    )


def desks_in_a_market(wish: Wish) -> Draft:
    """Limits of desks in money, each with a load on the market, on one side of it or on both."""
    n = wish.whole(2, 12)
    wish = replace(wish, dim=max(n + 1, wish.dim))
    used = wish.used(n + 1)
    both = wish.chance(0.3)
    parts: list[Part] = [
        _plane_with_shared(wish, own, -1.0 if both and wish.chance(0.5) else 1.0) for own in wish.blocks(1, used, n)
    ]
    is_straight = not wish.chance(0.3)
    turn = wish.turn(used)
    return Draft(StandardNormal(dim=wish.dim), parts, 1, turn, True, is_straight, _vols(wish, n))


def _vols(wish: Wish, n: int) -> Float:
    """Slopes with a ratio of 2 to 20, in any unit."""
    ratio = wish.log_uniform(2.0, 20.0)
    return np.asarray(wish.log_uniform(FLATTEST, 1.0) * ratio ** wish.rng.permutation(np.linspace(0.0, 1.0, n)))


def polygon(wish: Wish) -> Draft:
    """Sides of a polygon in a plane of the space."""
    n = wish.whole(3, 9)
    angles = np.sort(wish.rng.uniform(0.0, 2.0 * math.pi, n))
    parts: list[Part] = [Quadratic(slice(0, 2), np.array([math.cos(a), math.sin(a)]), np.zeros(2)) for a in angles]
    return Draft(
        StandardNormal(dim=wish.dim),
        parts,
        turn=wish.turn(2),
        union=lambda betas: (exact_tails.outside_polygon(angles, betas), 1e-10),
    )


def books(wish: Wish) -> Draft:
    """A linear book or two beside one or two option books, which move with the same direction."""
    linear, options = wish.whole(1, 2), wish.whole(1, 2)
    wish = replace(wish, dim=max(1 + linear + 2 * options, wish.dim))
    sizes = [wish.whole(2, max(2, min(12, (wish.dim - 1 - linear) // options))) for _ in range(options)]
    used = 1 + sum(sizes) + linear if wish.chance(0.5) else wish.dim
    parts: list[Part] = []
    start = 1
    for size in sizes:
        delta = float(wish.rng.uniform(-3.0, 3.0)) if wish.chance(0.7) else 0.0
        own = slice(start, start + size)
        gamma = 1.0 if wish.chance(0.8) else 0.0
        delta = delta or (0.0 if gamma else 2.0)
        parts.append(Quadratic(own, np.zeros(size), np.ones(size), 0, delta, gamma, "option book"))
        start += size
    parts += [_plane_with_shared(wish, own, wish.rng.choice([-1.0, 1.0])) for own in wish.blocks(start, used, linear)]
    return Draft(StandardNormal(dim=wish.dim), parts, 1, wish.turn(used), is_shared=True)


def parallel_parts(wish: Wish) -> Draft:
    """A series of parallel parts, with a coordinate in common or none."""
    n = wish.whole(2, 5)
    sizes = [wish.whole(2, 3) for _ in range(n)]
    common = wish.chance(0.5)
    used = int(common) + sum(sizes)
    wish = replace(wish, dim=max(used, wish.dim))
    parts: list[Part] = []
    start = int(common)
    for size in sizes:
        corner = _corner(wish, slice(start, start + size))
        parts.append(replace(corner, shared=0, loads=wish.rng.uniform(-0.6, 0.8, size)) if common else corner)
        start += size
    return Draft(StandardNormal(dim=wish.dim), parts, 1, wish.turn(used), is_shared=common)


def one_load(wish: Wish) -> Draft:
    """Strengths under one load, in series, in parallel, or ``k`` of ``n``."""
    n = wish.several(2, 10)
    load, _ = _laws(wish)
    strengths = [_laws(wish)[1] for _ in range(n)]
    parts: list[Part] = [Strength(slice(k + 1, k + 2), law, load, shared=0) for k, law in enumerate(strengths)]
    at_least = wish.at_least(n)
    return Draft(_inputs([load, *strengths], _spare(wish, n + 1), wish), parts, at_least, is_shared=True)


def limits(wish: Wish) -> Draft:
    """Limit states of different kind, each on inputs of its own."""
    n = wish.several(2, 6)
    at_least = wish.at_least(n)
    laws: list[Law] = []
    parts: list[Part] = []
    for _ in range(n):
        start = len(laws)
        if wish.chance(0.6):
            load, strength = _laws(wish)
            parts.append(Strength(slice(start, start + 2), strength, load))
            laws += [load, strength]
        else:
            part, more = _log_plane(wish, slice(start, start + wish.whole(1, 4)))
            parts.append(part)
            laws += more
    return Draft(_inputs(laws, _spare(wish, len(laws)), wish), parts, at_least)


def one_force(wish: Wish) -> Draft:
    """Products of lognormals (stress, deflection, wear) with one force in all of them."""
    n = wish.several(2, 6)
    at_least = wish.at_least(n)
    force = Law("lognormal", wish.rng.uniform(0.1, 0.5), float(f"{wish.log_uniform(1.0, 1e5):.3g}"))
    laws = [force]
    parts: list[Part] = []
    for _ in range(n):
        part, more = _log_plane(wish, slice(len(laws), len(laws) + wish.whole(1, 4)))
        power = float(wish.rng.choice([1.0, 1.0, 2.0, 3.0]))
        parts.append(replace(part, shared=0, shared_power=power, shared_law=force))
        laws += more
    return Draft(_inputs(laws, _spare(wish, len(laws)), wish), parts, at_least, is_shared=True)


def heavy_sums(wish: Wish) -> Draft:
    """Sums of Student's t in money, a few desks beside each other."""
    n = wish.several(2, 6)
    at_least = wish.at_least(n)
    laws: list[m.StudentT] = []
    parts: list[Part] = []
    for _ in range(n):
        part = _heavy_sum(wish, slice(len(laws), len(laws) + wish.whole(1, 4)))
        parts.append(part)
        laws += [m.StudentT(dof=part.dof, scale=part.scale)] * part.terms
    return Draft(Independent(marginals=laws), parts, at_least)


def _obligors(wish: Wish, own: slice, load: float, on: int) -> Count:
    n = own.stop - own.start - (on < 0 and load > 0.0)
    limit = wish.whole(2, max(2, min(n, math.ceil(0.4 * n))))
    return Count(own, limit, load, on)


def credit(wish: Wish) -> Draft:
    """One portfolio of obligors, with a factor or independent."""
    wish = replace(wish, dim=max(6, wish.dim))
    load = 0.0 if wish.chance(0.3) else math.sqrt(wish.rng.uniform(0.03, 0.5))
    return Draft(StandardNormal(dim=wish.dim), [_obligors(wish, slice(0, wish.dim), load, -1)])


def sectors(wish: Wish) -> Draft:
    """Two or three portfolios with one factor, each with its own, or with none."""
    n = wish.whole(2, 3)
    wish = replace(wish, dim=max(4 * n + 1, wish.dim))
    how = wish.whole(0, 2)
    parts: list[Part] = []
    for own in _even_blocks(int(how == 0), wish.dim, n):
        load = 0.0 if how == 2 else math.sqrt(wish.rng.uniform(0.03, 0.5))
        parts.append(_obligors(wish, own, load, 0 if how == 0 else -1))
    at_least = 1 if wish.chance(0.8) else n
    return Draft(StandardNormal(dim=wish.dim), parts, at_least, is_shared=how == 0)


def _even_blocks(first: int, last: int, n: int) -> list[slice]:
    ends = np.linspace(first, last, n + 1).astype(int)
    return [slice(int(a), int(b)) for a, b in itertools.pairwise(ends)]


def credit_beside_market(wish: Wish) -> Draft:
    """A portfolio of obligors beside linear and option books, all with the market as factor."""
    n = wish.whole(1, 3)
    wish = replace(wish, dim=max(1 + 2 * n + 5, wish.dim))
    split = wish.whole(1 + 2 * n, wish.dim - 5)
    parts = [part_with_shared(wish, own) for own in wish.blocks(1, split, n)]
    load = math.sqrt(wish.rng.uniform(0.03, 0.5))
    obligors = _obligors(wish, slice(split, wish.dim), load, 0)
    return Draft(
        StandardNormal(dim=wish.dim), [*parts, obligors], 1, wish.turn(wish.dim) if wish.chance(0.2) else None, True
    )


Form = Callable[[Wish], Draft]

FORMS: dict[Kind, dict[str, tuple[Form, float]]] = {
    "one": {"single": (single, 0.7), "limit": (limit, 0.3)},
    "smooth": {
        "mixed": (mixed, 0.22),
        "shared": (shared, 0.14),
        "k-of-n": (alike, 0.05),
        "desks": (desks, 0.12),
        "market-desks": (desks_in_a_market, 0.08),
        "polygon": (polygon, 0.04),
        "books": (books, 0.10),
        "parallel-parts": (parallel_parts, 0.07),
        "one-load": (one_load, 0.06),
        "limits": (limits, 0.05),
        "one-force": (one_force, 0.04),
        "heavy-sums": (heavy_sums, 0.03),
    },
    "stepped": {
        "credit": (credit, 0.15),
        "sectors": (sectors, 0.13),
        "credit-market": (credit_beside_market, 0.22),
        "mixed": (mixed, 0.18),
        "shared": (shared, 0.10),
        "desks": (desks, 0.08),
        "books": (books, 0.06),
        "one-load": (one_load, 0.04),
        "limits": (limits, 0.04),
    },
}
"""For each kind, the builder of each form and its weight in the draw; under ``stepped`` some branches get steps."""

KINDS: dict[Kind, float] = {"one": 0.22, "smooth": 0.52, "stepped": 0.26}


# Levels, transforms and the answer.


def problem(number: int, probability: float | None = None) -> RandomProblem:
    """The problem of a number.

    Parameters
    ----------
    number : int
        Not negative.
    probability : float, optional
        Approximate answer of the problem; drawn where it is left out. The form and its branches are the same.

    Returns
    -------
    RandomProblem
        Always the same for the same arguments.

    Notes
    -----
    Where the answer of a draft cannot be computed, for instance because an inversion does not converge, another one is
    drawn.
    """
    for attempt in range(ATTEMPTS - 1):
        try:
            return _made(number, probability, attempt)
        except ArithmeticError:
            continue
    return _made(number, probability, ATTEMPTS - 1)


def _made(number: int, probability: float | None, attempt: int) -> RandomProblem:
    """An ``attempt`` at the problem of a number; raises `ArithmeticError` where its answer is not known well enough."""
    rng = np.random.default_rng([SALT, number, attempt] if attempt else [SALT, number])
    kind: Kind = list(KINDS)[int(rng.choice(len(KINDS), p=list(KINDS.values())))]
    forms = FORMS[kind]
    weights = np.array([weight for _, weight in forms.values()])
    name = list(forms)[int(rng.choice(len(forms), p=weights / weights.sum()))]
    drawn = math.exp(rng.uniform(math.log(RAREST), math.log(COMMONEST)))
    dim = round(math.exp(rng.uniform(math.log(2.0), math.log(MOST_DIMENSIONS))))
    wish = Wish(rng, dim, drawn if probability is None else probability)
    draft = forms[name][0](wish)
    shares = _shares(wish, len(draft.parts))
    transforms = _transforms(wish, draft, kind == "stepped")
    while True:
        levels, answer, accuracy = _solved(draft, shares, wish.probability)
        if accuracy <= EXACT:
            break
        if len(draft.parts) < 3:
            raise ArithmeticError(f"problem {number}, {name}: the answer is known to {accuracy:.2g} only")
        draft.parts.pop()
        shares = shares[:-1] / shares[:-1].sum()
    branches = tuple(
        Branch(part, level, part.unit(level), transform)
        for part, level, transform in zip(draft.parts, levels, transforms, strict=False)
    )
    columns = Columns(branches, draft.turn)
    n, k = len(branches), draft.at_least
    system: System = "any" if k == 1 else "all" if k == n else k
    alone = tuple(float(f"{p / answer:.4g}") for p in _alone(draft, levels))
    return RandomProblem(
        number=number,
        form=name,
        kind=kind,
        dim=draft.inputs.dim,
        inputs=draft.inputs,
        columns=columns,
        system=system,
        loss=KthLargest(columns, k),
        probability=answer,
        rel_accuracy=accuracy,
        shares=alone,
        text=_text(branches, system, alone, draft.turn is not None),
    )


def _shares(wish: Wish, n: int) -> Float:
    """How the probability is split: into equal shares, or with some of 1 to 10 per cent."""
    shares = wish.rng.uniform(0.6, 1.4, n)
    if n > 1 and wish.chance(0.5):
        few = wish.whole(1, max(1, n // 2))
        small = np.array([wish.log_uniform(0.01, 0.1) for _ in range(few)])
        shares[few:] *= (1.0 - small.sum()) / shares[few:].sum()
        shares[:few] = small
        wish.rng.shuffle(shares)
    return np.asarray(shares / shares.sum())


def _transforms(wish: Wish, draft: Draft, is_stepped: bool) -> list[Transform]:
    """A transform for each branch; where steps are wanted and no part has them, some transforms are in steps."""
    counts = [part.steps for part in draft.parts]
    n = len(counts)
    low, high = (FLATTEST, STEEPEST) if isinstance(draft.inputs, StandardNormal) else UNITS
    in_steps = [False] * n
    if is_stepped and not any(counts):
        in_steps = [wish.chance(0.4) for _ in range(n)]
        in_steps[wish.whole(0, 1)] = True  # of the first two, which are never left out
    transforms = []
    for k in range(n):
        slope = wish.log_uniform(low, high) if draft.slopes is None else float(draft.slopes[k])
        if in_steps[k]:
            shape: Shape = "digital" if wish.chance(0.12) else "steps"
            transforms.append(Transform(shape, slope, wish.log_uniform(0.2, 2.0)))
        elif counts[k] or draft.is_straight or wish.chance(0.5):
            transforms.append(Transform("straight", slope))
        else:
            transforms.append(Transform(SMOOTH[wish.whole(1, len(SMOOTH) - 1)], slope, wish.log_uniform(0.5, 4.0)))
    return transforms


def _solved(draft: Draft, shares: Float, probability: float) -> tuple[list[float], float, float]:
    """Levels that give about the probability, the exact one, and its relative accuracy."""
    coarse = normal_nodes(n_panels=52) if draft.is_shared else (np.zeros(1), np.ones(1))
    wanted = _branch_probabilities(shares, draft.at_least, probability)
    for _ in range(6):
        levels = [level_of(part, p, coarse) for part, p in zip(draft.parts, wanted, strict=True)]
        answer, accuracy = _answer(draft, levels)
        off = probability / answer
        if draft.at_least == 1 or not draft.is_shared or 0.8 < off < 1.25 or (off > 1.0 and wanted.min() >= HALF):
            break
        wanted = np.minimum(wanted * off ** (1.0 / draft.at_least), HALF)
    return levels, answer, accuracy


def _branch_probabilities(shares: Float, at_least: int, probability: float) -> Float:
    """Probabilities proportional to the shares, as if the branches were independent."""
    if at_least == 1:
        return np.asarray(shares * probability)
    relative = shares / shares.max()

    def excess(log_factor: float) -> float:
        p = np.minimum(relative * math.exp(log_factor), HALF)
        return math.log(float(system_tail(p[:, np.newaxis], at_least)[0])) - math.log(probability)

    low, high = math.log(probability) - 1.0, math.log(HALF / relative.min())
    if excess(high) <= 0.0:
        return np.full(len(shares), HALF)
    return np.minimum(relative * math.exp(optimize.brentq(excess, low, high, xtol=1e-10)), HALF)


def _answer(draft: Draft, levels: Sequence[float]) -> tuple[float, float]:
    """The probability of the system and its relative accuracy."""
    if draft.union is not None:
        return draft.union(np.array(levels))
    if not draft.is_shared:
        return float(system_tail(_tails(draft, levels, np.zeros(1)), draft.at_least)[0]), TABLES
    breaks = [z for part, level in zip(draft.parts, levels, strict=True) for z in part.breaks(level)]
    found = []
    for n_panels in (104, 65):
        z, w = normal_nodes(breaks, n_panels)
        found.append(float(w @ system_tail(_tails(draft, levels, z), draft.at_least)))
    return found[0], abs(found[1] / found[0] - 1.0) + 1e-10


def _tails(draft: Draft, levels: Sequence[float], z: Float) -> Float:
    return np.array([part.tail(level, z) for part, level in zip(draft.parts, levels, strict=True)])


def _alone(draft: Draft, levels: Sequence[float]) -> Float:
    """The probability of each branch by itself."""
    z, w = normal_nodes() if draft.is_shared else (np.zeros(1), np.ones(1))
    return np.asarray(_tails(draft, levels, z) @ w)


def _text(branches: Sequence[Branch], system: System, shares: Sequence[float], is_turned: bool) -> str:
    how = system if isinstance(system, str) else f"at least {system}"
    parts = [
        f"{branch.part.text()} ({share:.2g}, {branch.transform.shape} {branch.transform.slope:.2g})"
        for branch, share in zip(branches, shares, strict=True)
    ]
    return f"{how} of {len(branches)}{', turned' if is_turned else ''}: {'; '.join(parts)}"

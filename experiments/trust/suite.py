"""The problems of the study: known ones chosen by a rule, traps, and needles, each with its exact answer.

**Known.** Problems of ``experiments/methods`` with 2 to 100 standard normals, a probability from 1e-9 to 1e-2 and an
answer that is exact to 1e-3. For a loss with several thresholds, the rarest one. All problems with several modes are
taken, because a missed mode is how trust fails; of the others, those whose id has a SHA-256 that is a multiple of six
(they are held out, see there).

**Traps.** Problems written for this study, in standard normal space, that make a method sure of a wrong number. Two
modes, alike or not, with the lesser one found first; three to ten modes; curved modes; one big jump in either
direction; a plane in fifty dimensions.

**Needles.** The rule was fixed before anything was run: a failure set has a needle when no set ``{h <= c}`` with ``c``
from 0 to the value of ``h`` at the origin joins a part of it to the rest, and the part's own probability is below
``1 / N0``. A search that climbs finds it only by chance. Needles are reported beside the others.

``h <= 0`` is the event of all traps and needles.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from problems import FAILURE, PROBLEMS, Loss, ReferenceProblem, alike, hyperplane, is_held_out, normals
from scipy import integrate, special, stats

from raresim import marginals as m
from raresim.distributions.base import Inputs
from raresim.numerics.arrays import Float

Kind = Literal["known", "trap", "needle"]
Mask = NDArray[np.bool_]

N0 = 8_000
"""Draws of the target that a run is assumed to see before it searches; they would meet a larger part by chance."""


@dataclass(frozen=True, eq=False)
class Case:
    """A problem of the study.

    Parameters
    ----------
    problem : ReferenceProblem
        The question with its answer.
    kind : "known", "trap" or "needle"
        Where it comes from.
    aim : (d,) float64, optional
        Likeliest failing point of one mode, in standard normal space: the mean of the proposal that a user states who
        knows of no other mode.
    missed : float
        Probability of the needle; 0 for other kinds.
    """

    problem: ReferenceProblem
    kind: Kind
    aim: Float | None = None
    missed: float = 0.0

    @property
    def reachable(self) -> bool:
        return self.kind != "needle"


# The rule for known problems.


def known() -> list[Case]:
    """Problems of the study of methods that the rule selects."""
    inside = [
        problem
        for problem in PROBLEMS.values()
        if 2 <= problem.dim <= 100 and 1e-9 <= problem.probability <= 1e-2 and problem.rel_accuracy <= 1e-3
    ]
    rarest: dict[str, ReferenceProblem] = {}
    for problem in sorted(inside, key=lambda problem: -problem.probability):
        rarest[problem.id.removesuffix("-a").removesuffix("-b")] = problem
    taken = {problem.id for problem in rarest.values() if has_modes(problem) or _is_drawn(problem.id)}
    return [Case(problem, "known") for problem in inside if problem.id in taken]


def has_modes(problem: ReferenceProblem) -> bool:
    """Whether the problem's list of difficulties names several modes."""
    return any("multi-modal" in what or "modes" in what for what in problem.difficulty)


def _is_drawn(id: str) -> bool:
    return is_held_out(id) and int(hashlib.sha256(id.encode()).hexdigest(), 16) % 6 == 0


# Traps.


def planes(x: Float, directions: Float, betas: Float) -> Float:
    """``min_k (beta_k - n_k' x)``: beyond one of several planes; ``directions`` is (k, d)."""
    return (betas - x @ directions.T).min(axis=1)


def steep_decoy(x: Float, betas: Float, slope: float) -> Float:
    """Two planes; towards the second plane, which is farther, the limit state falls ``slope`` times as fast."""
    return np.minimum(betas[0] - x[:, 0], slope * (betas[1] - x[:, 1]))


def curved_sides(x: Float, beta: float, curvature: float) -> Float:
    """``beta + curvature sum_{i > 1} x_i^2 - |x_1|``."""
    across = x[:, 1:]
    return beta + curvature * np.einsum("ij,ij->i", across, across) - np.abs(x[:, 0])


def far_sum(x: Float, level: float) -> Float:
    """``level - |sum x_i|``."""
    return level - np.abs(x.sum(axis=1))


def _beta(probability: float) -> float:
    return -float(special.ndtri(probability))


def _turned(rows: int, dim: int, seed: int) -> Float:
    """Orthonormal directions (rows, dim)."""
    return np.asarray(stats.ortho_group.rvs(dim, random_state=np.random.default_rng(seed)))[:rows]


def either_t_sum(level: float, terms: int) -> float:
    """``P(|sum| >= level)`` for independent t with 3 degrees of freedom.

    With ``a = sqrt(3)`` the characteristic function of the sum is ``(1 + a t)^n exp(-n a t)`` for ``t > 0``; by
    Gil-Pelaez ``P(S > x) = 1/2 - (1/pi) int sin(t x) phi(t) / t dt``, and each power of ``t`` has a closed form.
    """
    a = math.sqrt(3.0)
    rate = terms * a
    angle, radius = math.atan2(level, rate), math.hypot(level, rate)
    powers = [
        math.comb(terms, k) * (a / radius) ** k * math.gamma(k) * math.sin(k * angle) for k in range(1, terms + 1)
    ]
    of_order_zero = math.atan2(rate, level)  # pi / 2 less the integral
    return 2.0 / math.pi * (of_order_zero - math.fsum(powers))


def beyond_polygon(sides: int, inner: float) -> float:
    """Mass of the plane outside a regular polygon whose sides are ``inner`` from the origin."""

    def ray(angle: float) -> float:
        return math.exp(-0.5 * (inner / math.cos(angle)) ** 2)

    return sides / math.pi * float(integrate.quad(ray, 0.0, math.pi / sides, epsabs=0.0, epsrel=1e-12)[0])


def curved_probability(dim: int, beta: float, curvature: float) -> float:
    """``P(|x_1| >= beta + curvature chi^2)``, the chi-square with ``dim - 1`` degrees of freedom."""
    law = stats.chi2(dim - 1)

    def slice_at(square: float) -> float:
        return 2.0 * float(special.ndtr(-beta - curvature * square) * law.pdf(square))

    return float(integrate.quad(slice_at, 0.0, np.inf, epsabs=0.0, epsrel=1e-11, limit=200)[0])


def any_of(*shares: float) -> float:
    """Probability that one of several independent events happens."""
    return -math.expm1(math.fsum(math.log1p(-share) for share in shares))


def _case(
    id: str,
    title: str,
    inputs: Inputs,
    loss: Loss,
    probability: float,
    aim: Float,
    missed: float = 0.0,
) -> Case:
    """A trap, or a needle where something is ``missed``."""
    problem = ReferenceProblem(id, title, inputs, loss, FAILURE, probability, 1e-9, (title,))
    return Case(problem, "needle" if missed else "trap", aim, missed)


def _opposite(id: str, share: float, probability: float, dim: int, seed: int) -> Case:
    """Two planes on opposite sides of the origin, the first with ``share`` of the mass."""
    betas = np.array([_beta(share * probability), _beta((1.0 - share) * probability)])
    direction = _turned(1, dim, seed)
    loss = partial(planes, directions=np.vstack([direction, -direction]), betas=betas)
    title = f"two opposite planes, {share:.0%} of the mass in one"
    return _case(id, title, normals(dim), loss, probability, betas[0] * direction[0])


def _independent(id: str, title: str, shares: Sequence[float], dim: int, seed: int) -> Case:
    """Planes at right angles, each with its own probability."""
    betas, directions = np.array([_beta(share) for share in shares]), _turned(len(shares), dim, seed)
    loss = partial(planes, directions=directions, betas=betas)
    return _case(id, title, normals(dim), loss, any_of(*shares), betas[0] * directions[0])


def traps() -> list[Case]:
    """Problems written for this study."""
    halves = np.array([4.0, 4.2])
    steep = partial(steep_decoy, betas=halves, slope=5.0)
    axes = _turned(5, 20, 5)
    ten = np.array([4.2, 4.3, 4.4, 4.5, 4.6, 4.3, 4.4, 4.5, 4.6, 4.7])
    in_pairs = [float(special.ndtr(-ten[k]) + special.ndtr(-ten[k + 5])) for k in range(5)]
    angles = 2.0 * math.pi * np.arange(7) / 7.0
    plane = _turned(2, 10, 7)
    seven = np.outer(np.cos(angles), plane[0]) + np.outer(np.sin(angles), plane[1])
    jump = np.zeros(5)
    jump[0] = _beta(float(stats.t(3).sf(90.0)))
    first = np.zeros(4)
    first[0] = 3.5
    return [
        _opposite("TRAP-EQUAL", 0.5, 1e-5, 20, 1),
        _opposite("TRAP-80-20", 0.8, 1e-4, 10, 2),
        _independent("TRAP-65-35", "two planes at a right angle, 65 and 35 parts of the mass", (6.5e-7, 3.5e-7), 10, 3),
        _case(
            "TRAP-DECOY",
            "the farther of two planes is five times as steep",
            normals(2),
            steep,
            any_of(*map(float, special.ndtr(-halves))),
            np.array([0.0, 4.2]),
        ),
        _independent("TRAP-THREE", "three planes, 60, 30 and 10 parts of the mass", (6e-5, 3e-5, 1e-5), 6, 4),
        _case(
            "TRAP-SEVEN",
            "seven sides of a polygon in ten dimensions",
            normals(10),
            partial(planes, directions=seven, betas=np.full(7, 4.5)),
            beyond_polygon(7, 4.5),
            4.5 * seven[0],
        ),
        _case(
            "TRAP-TEN",
            "ten planes, five axes in both directions, unequal",
            normals(20),
            partial(planes, directions=np.vstack([axes, -axes]), betas=ten),
            any_of(*in_pairs),
            ten[0] * axes[0],
        ),
        _case(
            "TRAP-CURVED",
            "two curved modes",
            normals(4),
            partial(curved_sides, beta=3.5, curvature=0.2),
            curved_probability(4, 3.5, 0.2),
            first,
        ),
        _case(
            "TRAP-T-SUM",
            "five t with 3 degrees of freedom, their sum far out on either side",
            alike(m.StudentT(dof=3.0), 5),
            partial(far_sum, level=90.0),
            either_t_sum(90.0, 5),
            jump,
        ),
        _case(
            "TRAP-LINEAR-50",
            "plane in fifty dimensions",
            normals(50),
            partial(hyperplane, beta=4.5),
            float(special.ndtr(-4.5)),
            np.full(50, 4.5 / math.sqrt(50.0)),
        ),
    ]


# Needles: the part lies on the side of the origin from which the slope leads away, and does not touch its border.

SAFE = -0.5
"""``sum x_i / sqrt(d)`` below which a point is well on that side."""


def is_safe(x: Float) -> Mask:
    return x.sum(axis=1) / math.sqrt(x.shape[1]) <= SAFE


def needle(x: Float, beta: float, part: Callable[[Float], Mask]) -> Float:
    """``beta - sum x_i / sqrt(d)``, and -1 in the part (where ``part`` is true), to which no slope leads."""
    return np.where(part(x), -1.0, hyperplane(x, beta))


def in_ball(x: Float, centre: Float, radius: float) -> Mask:
    return np.square(x - centre).sum(axis=1) <= radius**2


def in_strip(x: Float, low: float, high: float) -> Mask:
    """Whether points lie between two lines at right angles to the slope, on the safe side."""
    across = (x[:, 0] - x[:, 1]) / math.sqrt(2.0)
    return (low <= across) & (across <= high) & is_safe(x)


def beyond_cliff(x: Float, level: float) -> Mask:
    """Whether points lie in a half-space at right angles to the slope, on the safe side."""
    return ((x[:, 0] - x[:, 1]) / math.sqrt(2.0) >= level) & is_safe(x)


def in_box(x: Float, low: float, high: float) -> Mask:
    return ((low <= x) & (x <= high)).all(axis=1)


def needles() -> list[Case]:
    """Failure sets with a part that no search that climbs can reach."""
    centre, radius = np.array([-2.6, -1.6]), 0.14
    ball = float(stats.ncx2.cdf(radius**2, 2, centre @ centre))
    strip = float(special.ndtr(SAFE) * (special.ndtr(-3.5) - special.ndtr(-3.515)))
    cliff = float(special.ndtr(SAFE) * special.ndtr(-4.1))
    box = float(special.ndtr(-0.9) - special.ndtr(-1.2)) ** 5
    parts: list[tuple[str, str, int, float, Callable[[Float], Mask], float]] = [
        ("BALL", "a ball", 2, 4.0, partial(in_ball, centre=centre, radius=radius), ball),
        ("STRIP", "a part of a strip", 2, 4.5, partial(in_strip, low=3.5, high=3.515), strip),
        ("CLIFF", "a wedge behind a cliff", 20, 4.5, partial(beyond_cliff, level=4.1), cliff),
        ("BOX", "a box near the centre", 5, 4.75, partial(in_box, low=-1.2, high=-0.9), box),
    ]
    out = []
    for name, title, dim, beta, part, mass in parts:
        aim = np.full(dim, beta / math.sqrt(dim))
        loss, seen = partial(needle, beta=beta, part=part), float(special.ndtr(-beta))
        out.append(_case(f"NEEDLE-{name}", f"a plane, and {title}", normals(dim), loss, seen + mass, aim, mass))
    return out


CASES = {case.problem.id: case for case in [*known(), *traps(), *needles()]}
"""The cases by the id of their problem."""

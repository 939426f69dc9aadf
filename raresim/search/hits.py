"""Failure regions from the hits of a widened target: a search that asks only whether a row is in the event.

A plane at distance ``b`` from the origin is hit by ``N(0, w^2 I)`` with probability ``Phi(-b / w)``, whatever the
dimension and however steep the loss is beyond it. Walks uphill follow the loss instead: below the threshold a flat
region hides a steep one. Here an increasing transform of the loss, or of one of several losses whose maximum it is,
does not change which draws are hits. Gradients are taken only inside the event, where the failing part is visible.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from raresim.numerics.arrays import Bool, Float
from raresim.search.design_points import gradient_cost, unit
from raresim.search.nearest import HALVINGS, Evaluate, edge_between, nearest_point

WIDTHS = (4.2, 6.0)
NARROWER = (3.0, 2.0, 1.4)
"""Standard deviations of the widened target: the wider ones while hits are few, the narrower ones if most draws hit."""

RUNG = 40
"""Draws of a width before the next one is tried, and draws of each later batch."""

FEW, MANY = 0.08, 0.6
"""Share of hits at which a width is wide enough, and share above which it is narrowed."""

SINGLE = 0.02
"""Share of regions hit once, relative to hits, at which the search ends: Good and Turing's estimate of the unseen."""

FOR_EACH = 12
"""Wanted hits per region found: if there are many regions, small ones are rare among the hits."""

MOST_HITS = 160
MOST_DRAWS = 1500
MOST_CLIMBS = 30

SLACK = 0.5
"""How far short of a region's tangent plane a hit of that region may lie."""

CHORD = np.array([0.5, 0.75, 0.9])
"""Points on the way from a region's nearest point to a hit that must be in the event."""

ARC = np.array([0.3, 0.5, 0.65, 0.8, 0.9])
"""The same for the arc to the edge on the ray of the hit."""

COMPARABLE = 1.8
"""Largest distance of an edge, relative to the nearest point of a region, at which the arc between them is checked."""

OUTWARDS = 1.01
SAME = 1.0
"""Distance below which two nearest points are one."""

SPENT = "evaluations spent"
"""Ending of a search that had no evaluations left."""

KNOWN, JOINED_ALL = "further climbs lead to known points only", "regions that cannot be told apart"
"""Endings of a search in which a region that bends left hits unexplained."""

PROBES, PROBE = 8, 0.1
"""Draws of the target at which slopes are followed if most wide draws are hits; step of a difference."""

RADII = np.arange(2.0, 10.0)
"""Radii at which the ray along a slope is checked."""

ALIKE = 3
"""Hits beside a region's tangent plane that led to a known point of it, after which no further points are sought."""

NEIGHBOURS = 3
"""Regions that are checked for whether a new point lies in them, the nearest in direction first."""

TRIED = 4
"""Known regions that are compared with those before; more only if one of these was joined."""

LEAST_BENT, SPARE, BENT = 5, 1.25, 0.05
"""Smallest number of points from which the directions of a region are read; smallest ratio of points to directions plus
one; and smallest extent of a direction, relative to the largest."""

FARTHEST = 30.0
"""Largest radius of a sphere relative to the root of the number of its directions: no draws lie beyond it."""

RETURNED = 8
"""Climbs in a row to a known point, after which the search ends."""

SLOPES, SLOPE = 4, 1.0
"""Hits at which slopes are taken before the next draws, which are not widened along them; step of a difference if a
short one shows no slope."""

ELSEWHERE = 0.3
"""Share of a slope that must lie across known directions for it to count as a new one."""

BY_CHANCE = 0.003
"""If so many wide draws in the event beyond tangent planes are less likely than this, a region bends towards the origin
or around it."""

PAST = 0.3
"""Largest share of hits at which draws mostly miss the event that hides other regions."""

BESIDE, BESIDE_CLIMBS = 8, 16
"""Batches of `RUNG` draws beside the event that hides other regions, and nearest points that are sought there."""

JOINED = 8
"""Points in a row in a known region, after which the search ends because regions cannot be told apart; at least as many
as show how the region bends."""


@dataclass(eq=False)
class Region:
    """A failure region as a search by hits sees it.

    Parameters
    ----------
    point : (d,) float64
        The nearest point to the origin found on its edge.
    hits : int
        Number of hits in it.
    more : list of (d,) float64
        Further points of its edge, if it bends around the origin.
    alike : int
        Hits beside its tangent plane that led to a known point.
    sphere : ((d, k), float), optional
        Orthonormal directions in which it bends around the origin, and its distance in these; None if it is not known
        to bend.
    """

    point: Float
    hits: int = 1
    more: list[Float] = field(default_factory=list)
    alike: int = 0
    sphere: tuple[Float, float] | None = None

    @property
    def beta(self) -> float:
        """Distance of the point from the origin, in standard deviations."""
        return float(np.linalg.norm(self.point))

    @property
    def points(self) -> Float:
        """All of its points (k, d)."""
        return np.array([self.point, *self.more])

    def add(self, point: Float) -> None:
        """Add a further point (d,) of it."""
        if np.linalg.norm(point) < self.beta:
            self.point, point = point, self.point
        self.more.append(point)
        self.look_round()

    def look_round(self) -> None:
        """Read from its points whether it bends around the origin: they then lie in fewer directions than their number.

        The nearest point gives the distance.
        """
        points = self.points
        if len(points) < LEAST_BENT:
            return
        _, sizes, ways = np.linalg.svd(points, full_matrices=False)
        k = int(np.count_nonzero(sizes > BENT * sizes[0]))
        if 2 <= k <= len(points) / SPARE - 1.0:
            basis = ways[:k].T
            radius = float(np.linalg.norm(points @ basis, axis=1).min())
            if 0.0 < radius < math.sqrt(k) + FARTHEST:
                self.sphere = basis, radius


@dataclass(frozen=True, eq=False)
class Hits:
    """What a search by hits found.

    Parameters
    ----------
    regions : tuple of Region
        Regions, nearest first.
    width : float
        Standard deviation of the widened target.
    draws, hits : int
        Draws of that width, and how many of them are in the event.
    climbs, evaluations : int
        Nearest points sought, and evaluations of the loss in total.
    ended : str
        Why the search ended.
    """

    regions: tuple[Region, ...]
    width: float
    draws: int
    hits: int
    climbs: int
    evaluations: int
    ended: str

    @property
    def nearest(self) -> Float:
        """The nearest point of each region (k, d)."""
        return np.array([region.point for region in self.regions])

    def describe(self, known: int = 0) -> str:
        """A sentence about the search; ``known`` points were there before."""
        many = f"{self.draws:,} draws widened to standard deviation {self.width:g}"
        if not self.hits:
            return f"none of {many} hit the event ({self.evaluations:,} evaluations)"
        n, new = len(self.regions), max(0, len(self.regions) - known)
        regions = f"{n} failure region{'' if n == 1 else 's'} ({new} new)"
        return (
            f"{self.hits:,} of {many} hit the event, in {regions}; the search ended with: {self.ended} "
            f"({self.evaluations:,} evaluations)"
        )


def find_by_hits(
    evaluate: Evaluate,
    dim: int,
    goal: float,
    rng: np.random.Generator,
    hits: int,
    most: float = math.inf,
    known: Sequence[Region] = (),
    climbs: int = MOST_CLIMBS,
    bends: int = 0,
    unseen: float = SINGLE,
) -> Hits:
    """Draw from a widened target until the regions found explain its hits.

    Parameters
    ----------
    evaluate : callable
        The loss.
    dim : int
        Number of coordinates.
    goal : float
        The loss that has to be reached.
    rng : numpy.random.Generator
        Generator of the draws.
    hits : int
        Smallest number of hits.
    most : float
        Approximate largest number of evaluations.
    known : sequence of Region
        Known regions; they count and change like the others.
    climbs : int
        Largest number of nearest points to seek.
    bends : int
        Further points to seek in a region that bends around the origin.
    unseen : float
        Share of the hits that may be in regions hit once at the end; 1: the search ends with ``hits`` in any case.

    Notes
    -----
    The search ends with enough hits, few of which lie in a region of their own: the share of regions hit once estimates
    the share of hits in regions not yet seen [1]_.

    References
    ----------
    .. [1] Good, *The population frequencies of species and the estimation of population parameters*,
       Biometrika 40, 1953.
    """
    search = _Search(evaluate, goal, dim, list(known), most, bends)
    if bends:
        search.join_known()
    width, seen, draws = search.ladder(rng)
    if width < WIDTHS[0]:
        search.probe(rng)
    ended = "no hit" if not len(seen) else ""
    while not ended:
        ended = search.explain(seen, climbs)
        if search.around_spheres():
            search.hits, (width, seen, draws) = 0, search.ladder(rng)
            ended = "no hit outside known regions that surround the origin" if not len(seen) else ""
            continue
        once = sum(region.hits == 1 for region in search.regions)
        if ended:
            break
        enough = max(hits, FOR_EACH * len(search.regions)) if unseen < 1.0 else hits
        if width < WIDTHS[0] and search.is_bending() and search.evaluations < most:
            seen = search.draw(width, RUNG, rng)
            draws += RUNG
        elif search.hits >= enough and once <= unseen * search.hits:
            ended = "all hits explained"
        elif search.evaluations >= most:
            ended = SPENT
        elif search.hits >= MOST_HITS or draws >= MOST_DRAWS:
            ended = "limit of draws reached"
        else:
            seen = search.draw(width, RUNG, rng)
            draws += RUNG
    if ended in (KNOWN, JOINED_ALL) or (ended != SPENT and search.climbs < climbs and search.is_hidden):
        search.beside(rng)
    found = tuple(sorted(search.regions, key=lambda region: region.beta))
    return Hits(found, width, draws, search.hits, search.climbs, search.evaluations, ended)


@dataclass(eq=False)
class _Search:
    """One search: what it knows and has spent."""

    evaluate: Evaluate
    goal: float
    dim: int
    regions: list[Region]
    most: float
    bends: int
    hits: int = 0
    climbs: int = 0
    evaluations: int = 0
    joined: int = 0
    returned: int = 0
    spheres: int = 0
    wide: int = 0
    kept: Float | None = None

    def __post_init__(self) -> None:
        self.around_spheres()

    def inside(self, u: Float) -> Bool:
        """Which rows of ``u`` (n, d) are in the event."""
        return self.look(u) >= self.goal if len(u) else np.zeros(0, np.bool_)

    def look(self, u: Float) -> Float:
        self.evaluations += len(u)
        return self.evaluate(u)

    def draw(self, width: float, n: int, rng: np.random.Generator) -> Float:
        """The hits among ``n`` draws, which are not widened in directions of known spheres."""
        z = rng.standard_normal((n, self.dim))
        u = width * z
        if self.kept is not None:
            u -= (width - 1.0) * (z @ self.kept) @ self.kept.T
        return u[self.inside(u)]

    def is_bending(self) -> bool:
        """Whether a region bends around the origin in a number of directions that is not known yet."""
        return any(
            region.sphere is None and LEAST_BENT <= len(region.more) < self.bends and region.alike < ALIKE
            for region in self.regions
        )

    def around_spheres(self) -> bool:
        """Whether a region was found to bend around the origin since the last call: it would hide all others."""
        spheres = [region.sphere[0] for region in self.regions if region.sphere]
        if len(spheres) == self.spheres:
            return False
        self.spheres = len(spheres)
        ways, sizes, _ = np.linalg.svd(np.concatenate(spheres, axis=1), full_matrices=False)
        self.kept = ways[:, sizes > BENT]
        self.joined = self.returned = 0
        return True

    @property
    def is_hidden(self) -> bool:
        """Whether more wide draws are in the event than the tangent planes of the known regions account for."""
        from scipy.special import bdtr, ndtr

        left = float(np.prod([ndtr(region.beta / WIDTHS[0]) for region in self.regions]))
        return bool(self.wide > PAST * RUNG and bdtr(RUNG - self.wide, RUNG, left) < BY_CHANCE)

    def ladder(self, rng: np.random.Generator) -> tuple[float, Float, int]:
        """A width at which neither few nor most draws are hits, with the hits and the number of draws there."""
        for width in WIDTHS:
            seen = self.draw(width, RUNG, rng)
            self.wide = len(seen) if width == WIDTHS[0] else self.wide
            if len(seen) >= FEW * RUNG:
                break
        if width == WIDTHS[0]:
            for narrower in NARROWER:
                if len(seen) <= MANY * RUNG:
                    break
                fewer = self.draw(narrower, RUNG, rng)
                if len(fewer) < FEW * RUNG:
                    break
                width, seen = narrower, fewer
        return width, seen, RUNG

    def probe(self, rng: np.random.Generator) -> None:
        """Follow the slopes at draws of the target: most wide draws hit one region, which may hide others.

        A hidden region is steep, while ordinary draws show the flat one.
        """
        for u in rng.standard_normal((PROBES, self.dim)):
            if self.evaluations >= self.most / 2 or self.evaluations + self.dim + 1 > self.most:
                return
            seen = self.look(np.concatenate([u[None], u + PROBE * np.eye(self.dim)]))
            with np.errstate(invalid="ignore"):
                rise = np.where(np.isfinite(seen[1:]), seen[1:] - seen[0], 0.0)
            if not rise.any() or not np.isfinite(rise).all():
                continue
            ray = RADII[:, None] * unit(rise)
            entered = np.flatnonzero(self.inside(ray))
            if not entered.size:
                continue
            at = ray[int(entered[0])]
            if self.explained(at)[0] is None:
                point = nearest_point(self.look, self.goal, at, self.most - self.evaluations)
                if all(np.linalg.norm(r.point - point) >= SAME for r in self.regions):
                    self.regions.append(Region(point, 0))

    def slope(self, u: Float) -> Float:
        """The unit vector along which the loss rises at ``u`` (d,), by differences; zero if unknown.

        Short differences hardly reach another event; if they show no slope, as between steps, longer ones are taken.
        """
        for step in (PROBE, SLOPE):
            seen = self.look(np.concatenate([u[None], u + step * np.eye(self.dim)]))
            with np.errstate(invalid="ignore"):
                rise = seen[1:] - seen[0]
            size = np.linalg.norm(rise)
            if np.isfinite(size) and size > 0.0:
                return np.asarray(rise / size)
        return np.zeros(self.dim)

    def beside(self, rng: np.random.Generator) -> None:
        """Look beside an event that most wide draws hit and that hides all others.

        One after another, directions along which the loss changes at these hits are no longer widened, until few draws
        hit the event. Hits that remain without any move in these directions may belong to another event.
        """
        before, hits, climbs, known = self.kept, self.hits, self.climbs + BESIDE_CLIMBS, len(self.regions)
        self.joined = self.returned = looked = 0
        kept = np.empty((self.dim, 0)) if before is None else before
        while looked < BESIDE and self.climbs < climbs and self.evaluations + RUNG < self.most:
            seen = self.draw(WIDTHS[0], RUNG, rng)
            across, dims = seen - (seen @ kept) @ kept.T, kept.shape[1]
            is_hidden = len(seen) > MANY * RUNG
            if len(seen) <= PAST * RUNG:
                self.explain(across[self.inside(across)], climbs)
                looked += 1
                continue
            for u, v in zip(seen[:SLOPES], across, strict=False):
                if kept.shape[1] == self.dim - 1 or self.evaluations + self.dim + 1 > self.most:
                    break
                if not is_hidden and self.is_another(v, climbs, known):
                    continue
                rest = self.slope(u)
                rest = rest - kept @ (kept.T @ rest)
                if np.linalg.norm(rest) <= ELSEWHERE:
                    continue
                entered = np.flatnonzero(self.inside(RADII[:, None] * unit(rest)))
                if not len(entered) or not self.is_another(RADII[entered[0]] * unit(rest), climbs, known):
                    self.kept = kept = np.column_stack([kept, unit(rest)])
            if kept.shape[1] == dims:
                if is_hidden:
                    break
                looked += 1
        self.kept, self.hits = before, hits

    def is_another(self, v: Float, climbs: int, known: int) -> bool:
        """Whether ``v`` (d,) lies in a region beyond the first ``known`` ones, which may be a new one."""
        before = sum(1 + region.hits for region in self.regions[known:])
        if self.inside(v[None])[0]:
            self.explain(v[None], climbs)
        return sum(1 + region.hits for region in self.regions[known:]) > before

    def explain(self, seen: Float, climbs: int) -> str:
        """Count each hit in its region, or find the nearest point of a new one; returns why the search ends, or ''."""
        for u in seen[np.argsort(np.square(seen).sum(axis=1))]:
            self.hits += 1
            region, straight = self.explained(u)
            if region is not None:
                region.hits += 1
                if not straight:
                    self.bend(region, u)
                continue
            if self.climbs >= climbs or self.evaluations + HALVINGS + gradient_cost(self.dim) > self.most:
                return "limit of climbs reached" if self.climbs >= climbs else SPENT
            self.climbs += 1
            point = nearest_point(self.look, self.goal, u, self.most - self.evaluations)
            near = [r for r in self.regions if np.linalg.norm(r.point - point) < SAME]
            if near:
                near[0].hits += 1
                self.returned += 1
                if self.returned == RETURNED:
                    return KNOWN
                if np.linalg.norm(point) < near[0].beta:
                    near[0].point = point
                continue
            region = self.joined_to(point)
            if region is None:
                self.regions.append(Region(point))
                self.joined = self.returned = 0
                continue
            region.hits += 1
            region.add(point)
            self.joined += 1
            if self.joined == max(JOINED, self.bends):
                return JOINED_ALL
        return ""

    def bend(self, region: Region, u: Float) -> None:
        """Seek a further point of a ``region`` that bends, from a hit ``u`` (d,) in it."""
        if region.sphere or len(region.more) >= self.bends or region.alike >= ALIKE or self.evaluations >= self.most:
            return
        point = nearest_point(self.look, self.goal, u, self.most - self.evaluations)
        if np.square(region.points - point).sum(axis=1).min() < SAME**2:
            region.alike += 1
        else:
            region.add(point)

    def explained(self, u: Float) -> tuple[Region | None, bool]:
        """The region of a hit ``u`` (d,), from paths to its nearest point, and whether a straight path shows it.

        A straight path decides if the hit is beyond the tangent plane there. A region that bends towards the origin has
        hits that are not. For these, the edge is found on the way to the axis of the point and on the ray, and the arc
        from the point to the edge must stay in the event: between two regions the edge goes out first. An edge that is
        much farther away, as on rays in many dimensions, would hardly pass this check and is not checked.
        """
        for region in self.regions:
            if region.sphere and self.is_round(region.sphere, u):
                return region, True
        if not self.regions:
            return None, False
        points = np.array([r.point for r in self.regions])
        length = np.sqrt(np.square(points).sum(axis=1))
        towards = points / np.maximum(length, 1e-12)[:, None]
        along = towards @ u
        k = int(np.argmax(along - length))
        straight = explaining(self.inside, points, u)
        if straight is not None:
            return self.regions[straight], True
        for j in {k, int(np.argmax(along))}:
            held = along[j] * towards[j]
            edge = edge_between(self.inside, held, u) if along[j] < length[j] else u
            edge = edge_between(self.inside, np.zeros_like(u), edge)
            if np.linalg.norm(edge) <= COMPARABLE * length[j] and self.inside(_arc(points[j], edge)).all():
                return self.regions[j], False
        return None, False

    def is_round(self, sphere: tuple[Float, float], u: Float) -> bool:
        """Whether ``u`` (d,) is beyond a ``sphere`` whose edge, on the way there, is in the event."""
        basis, radius = sphere
        seen = basis.T @ u
        length = float(np.linalg.norm(seen))
        return length >= radius and bool(self.inside((OUTWARDS**3 * radius / length * (basis @ seen))[None])[0])

    def join_known(self) -> None:
        """Join known regions that arcs connect, if some of the first ones are connected."""
        known, self.regions = self.regions, []
        joined = 0
        for number, region in enumerate(known):
            alike = None
            if len(known) >= LEAST_BENT and (number <= TRIED or joined):
                alike = self.joined_to(region.point)
            if alike is None:
                self.regions.append(region)
                continue
            joined += 1
            for point in region.points:
                alike.add(point)
            alike.hits += region.hits

    def joined_to(self, point: Float) -> Region | None:
        """The known region in which a nearest point (d,) lies, judged by the arcs between them."""
        near = sorted(self.regions, key=lambda r: -float(unit(r.point) @ point))
        for region in near[:NEIGHBOURS]:
            if self.inside(_arc(region.point, point)).all():
                return region
        return None


def explaining(inside: Callable[[Float], Bool], points: Float, u: Float) -> int | None:
    """Index of the nearest ``points`` (k, d), at least one, whose region holds ``u`` (d,); None if no region shows it.

    The draw must be beyond the tangent plane of the point, farther than beyond others, and the straight path between
    them must be in the event, which ``inside`` decides.
    """
    length = np.sqrt(np.square(points).sum(axis=1))
    beyond = points @ u / np.maximum(length, 1e-12) - length
    k = int(np.argmax(beyond))
    if beyond[k] < -SLACK:
        return None
    chord = OUTWARDS * (points[k] + CHORD[:, None] * (u - points[k]))
    return k if inside(chord).all() else None


def bends_seen(dim: int) -> int:
    """Points of a region that show in how many of ``dim`` directions it bends around the origin."""
    return math.ceil(SPARE * (dim + 1.0)) + 1


def cost_by_hits(dim: int) -> int:
    """Largest number of evaluations of a search by hits: draws, climbs, and points of a region that bends."""
    return 1500 + 20 * dim + (dim + 20) * bends_seen(dim)


def points_of(regions: Sequence[Region], dim: int) -> Float:
    """The nearest point of each region (k, dim), and further points of regions that bend other than on a sphere."""
    parts = [r.points if r.sphere is None else r.point[None] for r in regions]
    return np.concatenate([np.empty((0, dim)), *parts])


def _arc(a: Float, b: Float) -> Float:
    """Points on the way from ``a`` to ``b`` (d,), at directions and distances between theirs, a little further out."""
    length, towards = np.linalg.norm([a, b], axis=1), np.stack([unit(a), unit(b)])
    angle = math.acos(min(1.0, max(-1.0, float(towards[0] @ towards[1]))))
    if angle < 1e-6 or angle > math.pi - 1e-6:
        return np.stack([a, b])
    way = np.stack([np.sin((1.0 - ARC) * angle), np.sin(ARC * angle)], axis=1) @ towards / math.sin(angle)
    radius = length[0] + ARC * (length[1] - length[0])
    points: Float = OUTWARDS * radius[:, None] * way
    return points

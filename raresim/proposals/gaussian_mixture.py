"""Mixtures fitted by expectation maximisation, among them the mixture of Gaussians."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar, Literal, Self

import numpy as np

from raresim.arguments import checks
from raresim.distributions.base import Distribution
from raresim.distributions.low_rank_normal import LowRankNormal
from raresim.distributions.mixture import Mixture, log_sum_exp
from raresim.distributions.normal import Normal
from raresim.distributions.standard_normal import StandardNormal
from raresim.information import kl_of_laws
from raresim.numerics import em
from raresim.numerics.arrays import Float
from raresim.numerics.clusters import distances, one_hot, seeds
from raresim.proposals.base import ELITES_PER_PARAMETER, KL_DRAWS, ProposalFamily, Statistics, WeightedMoments
from raresim.proposals.gaussian import Covariance, Gaussian
from raresim.registry import member

Components = int | Literal["auto"]

Dense = Literal["mean_shift", "diagonal", "full"]
"""Covariances that are stored as a vector or a matrix."""

AUTO_PLANNED = 3
"""Number of components for which a level's draws are planned if the number is to be found."""

AUTO_LARGEST = 8
"""Largest number of components that is tried."""

AUTO_PATIENCE = 2
"""Numbers of components without a gain after which the search for the number ends."""

RUNS = 2
"""Random starts for each number of components."""

STEPS = 30
"""Largest number of steps of a start."""

GAIN = 0.1
"""Gain of the log likelihood of all effective elites, in nats, below which the steps end."""

MIN_SHARE = 0.01
"""Share below which a component is dead."""


@dataclass(frozen=True, eq=False)
class MixtureStatistics(Statistics):
    """Sufficient statistics of each component, from its posterior share of the weights.

    Parameters
    ----------
    rows : int
        Rows of positive weight.
    parts : tuple of Statistics
        One for each component.
    """

    rows: int
    parts: tuple[Any, ...]

    def merge(self, other: Self) -> Self:
        parts = tuple(a.merge(b) for a, b in zip(self.parts, other.parts, strict=True))
        return type(self)(self.weight + other.weight, self.weight2 + other.weight2, self.rows + other.rows, parts)


class MixtureFamily(ProposalFamily):
    """Mixtures of ``components`` laws of one family, ``part``.

    In a step of the fit [1]_, each elite is divided between the components by its posterior probability, and each
    component is fitted to its shares. The first law comes from several random starts, which are clusters around centres
    drawn by k-means++ [2]_ in proportion to the weights, and from the law of the level before. Among several numbers of
    components the smallest BIC [3]_ decides, with the effective number of elites as sample size.

    A component gets as many free parameters as its elites support, with `ELITES_PER_PARAMETER` elites each. With too
    few elites it takes a simpler covariance; with too few for a mean it is dropped. The heaviest is never dropped.

    References
    ----------
    .. [1] Dempster, Laird & Rubin, *Maximum likelihood from incomplete data via the EM algorithm*, JRSS B 39, 1977.
    .. [2] Arthur & Vassilvitskii, *k-means++: the advantages of careful seeding*, SODA 2007.
    .. [3] Schwarz, *Estimating the dimension of a model*, Ann. Stat. 6, 1978.
    """

    passes: ClassVar[int] = 2

    components: Components

    @abstractmethod
    def fit_component(self, current: Distribution, stats: Any, allowed: float) -> Distribution:
        """One component, with at most ``allowed`` free parameters beside its mean."""

    def n_parameters(self, dim: int) -> int:
        k = AUTO_PLANNED if self.components == "auto" else self.components
        return self._count(k, dim)

    def suffstats(self, current: Distribution, u: Float, weight: Float) -> MixtureStatistics:
        laws = current.parts[1]
        shares = posterior(current, u)[0] if len(laws) > 1 else np.ones((len(u), 1))
        return self._shared_out(laws, u, weight, shares)

    def fit(self, current: Distribution, stats: MixtureStatistics) -> Distribution:
        return self._maximise(current.parts[1], stats)

    def begin(self, current: Distribution, u: Float, weight: Float, rng: np.random.Generator) -> Distribution:
        rows, ess, dim = int(np.count_nonzero(weight)), float(weight.sum() ** 2 / np.square(weight).sum()), u.shape[1]
        bears = min(rows / ELITES_PER_PARAMETER, ess)
        wanted = AUTO_LARGEST if self.components == "auto" else self.components
        most = max([k for k in range(1, wanted + 1) if self._count(k, dim) <= bears], default=1)

        def climb(law: Distribution) -> tuple[float, Distribution]:
            law, mean = self._climb(law, u, weight, GAIN / ess)
            penalty = self._count(len(law.parts[1]), dim) * math.log(ess) if self.components == "auto" else 0.0
            return penalty - 2.0 * ess * mean, law

        size = len(current.parts[1])
        warm = size <= most if self.components == "auto" else size == most
        found = [climb(current)] if warm and not isinstance(current, StandardNormal) else []
        without_gain = 0
        for k in range(1, most + 1) if self.components == "auto" else [most]:
            best = min((score for score, _ in found), default=math.inf)
            found += [climb(self._clusters(u, weight, k, rng)) for _ in range(RUNS if k > 1 else 1)]
            without_gain = 0 if min(score for score, _ in found) < best else without_gain + 1
            if without_gain == AUTO_PATIENCE and k >= size:
                break
        return min(found, key=lambda scored: scored[0])[1]

    def _count(self, k: int, dim: int) -> int:
        return k * self.part.n_parameters(dim) + k - 1

    def _shared_out(self, laws: Sequence[Distribution], u: Float, weight: Float, shares: Float) -> MixtureStatistics:
        parts = tuple(
            self.part.suffstats(law, u, np.ascontiguousarray(weight * shares[:, k])) for k, law in enumerate(laws)
        )
        return MixtureStatistics(
            float(weight.sum()), float(np.square(weight).sum()), int(np.count_nonzero(weight)), parts
        )

    def _maximise(self, laws: Sequence[Distribution], stats: MixtureStatistics) -> Distribution:
        """Components fitted to their shares; dead ones are dropped."""
        shares = np.array([part.weight for part in stats.parts]) / stats.weight
        bears = [
            min(stats.rows * share / ELITES_PER_PARAMETER, part.ess if part.weight2 > 0 else math.inf)
            for share, part in zip(shares, stats.parts, strict=True)
        ]
        dim = laws[0].dim
        alive = [k for k, share in enumerate(shares) if share >= MIN_SHARE and bears[k] >= dim]
        alive = alive or [int(shares.argmax())]
        fitted = [self.fit_component(laws[k], stats.parts[k], bears[k]) for k in alive]
        if len(fitted) == 1:
            return fitted[0]
        return Mixture(weights=shares[alive] / shares[alive].sum(), components=fitted)

    def _clusters(self, u: Float, weight: Float, k: int, rng: np.random.Generator) -> Distribution:
        """One component for each cluster around ``k`` centres."""
        shares = one_hot(distances(u, seeds(u, weight, k, rng)).argmin(axis=1), k)
        target: Distribution = StandardNormal(dim=u.shape[1])
        return self._maximise((target,) * k, self._shared_out((target,) * k, u, weight, shares))

    def _climb(self, law: Distribution, u: Float, weight: Float, gain: float) -> tuple[Distribution, float]:
        """Steps of the fit until the mean log density of the rows gains less than ``gain``; and that mean."""
        total = weight.sum()

        def expect(law: Distribution) -> tuple[Float, float]:
            shares, log_density = posterior(law, u)
            return shares, float(weight @ log_density / total)

        def maximise(law: Distribution, shares: Float) -> Distribution:
            laws = law.parts[1]
            return self._maximise(laws, self._shared_out(laws, u, weight, shares))

        return em.climb(law, expect, maximise, STEPS, gain)


@member("proposal_family")
@dataclass(frozen=True, kw_only=True)
class GaussianMixture(MixtureFamily):
    """Mixtures of Gaussians, for elites in several regions or along a curve.

    Parameters
    ----------
    components : int or "auto"
        Number of Gaussians; "auto" finds it by BIC.
    covariance, rank, floor
        Covariance of each Gaussian, as in the `Gaussian` family.

    Raises
    ------
    FieldError
        When an option is out of range.
    """

    kind: ClassVar[str] = "gaussian_mixture"
    symmetric: ClassVar[bool] = True
    mapped: ClassVar[bool] = True
    blends: ClassVar[bool] = True

    components: Components = "auto"
    covariance: Covariance = "low_rank"
    rank: int = 1
    floor: float = 0.6

    def __post_init__(self) -> None:
        object.__setattr__(self, "components", checked_components(self.components))
        object.__setattr__(self, "rank", self.part.rank)

    @cached_property
    def part(self) -> Gaussian:
        return Gaussian(covariance=self.covariance, rank=self.rank, floor=self.floor)

    def fit_component(self, current: Distribution, stats: WeightedMoments, allowed: float) -> Distribution:
        if self.covariance == "low_rank":
            bears = self.part.n_parameters(current.dim) <= allowed
            return self.part.fit(current if bears else StandardNormal(dim=current.dim), stats)
        covariance, moments = affordable(self.covariance, stats, allowed)
        return replace(self.part, covariance=covariance).fit(current, moments)

    def shortfall(self, law: Distribution) -> str:
        laws = law.parts[1]
        simpler = 0 if self.covariance == "mean_shift" else sum(not _as_asked(one, self.covariance) for one in laws)
        return missing(self.components, len(laws), simpler, self.covariance)

    def kl(self, p: Distribution, q: Distribution) -> float:
        if isinstance(p, Mixture) or isinstance(q, Mixture):
            return kl_of_laws(p, q, draws=KL_DRAWS).value
        return self.part.kl(p, q)

    @staticmethod
    def examples() -> list[GaussianMixture]:
        """Members for the conformance tests."""
        return [
            GaussianMixture(),
            GaussianMixture(components=2, covariance="full"),
            GaussianMixture(components=2, covariance="diagonal"),
            GaussianMixture(components=3, covariance="mean_shift"),
        ]


def checked_components(given: Components) -> Components:
    """``given`` as a whole number, or "auto"; raises `FieldError` for anything else."""
    if isinstance(given, str):
        checks.one_of("components", given, Literal["auto"])
        return "auto"
    return checks.whole("components", given)


def affordable(covariance: Dense, moments: WeightedMoments, allowed: float) -> tuple[Dense, WeightedMoments]:
    """The richest covariance with at most ``allowed`` parameters, up to the one for which ``moments`` were kept."""
    dim = moments.first.size
    if Gaussian(covariance=covariance).n_parameters(dim) <= allowed:
        return covariance, moments
    if covariance == "full" and 2 * dim <= allowed:
        return "diagonal", replace(moments, second=np.diag(moments.second).copy())
    return "mean_shift", replace(moments, second=np.zeros(0))


def missing(asked: Components, found: int, simpler: int, covariance: str) -> str:
    """What a fit lacks of the asked components and covariances, in words."""
    fewer = [f"{found} of {asked} components fitted"] if asked != "auto" and found < asked else []
    plainer = [f"{simpler} of {found} components without {covariance} covariance"] if simpler else []
    return "; ".join([*fewer, *plainer])


def posterior(law: Distribution, u: Float) -> tuple[Float, Float]:
    """The expectation step: posterior probability (n, k) of each component at the rows of ``u``, log density (n,)."""
    log_density: Float = np.empty(len(u))
    shares: Float = np.ones((len(u), len(law.parts[1])), order="F")
    if isinstance(law, Mixture):
        law.component_logpdf(u, shares)
        log_sum_exp(shares, log_density)
        shares /= shares.sum(axis=1, keepdims=True)
    else:
        law.logpdf(u, log_density)
    return shares, log_density


def smoothed(old: Distribution, new: Distribution, share: float) -> Distribution:
    """The law whose parameters are ``share`` times those of ``new``, and the rest those of ``old``: [1]_ sec. 2.

    `Distribution.blended` does this for one component. A component of a mixture is smoothed towards the component of
    ``old`` with the nearest centre, and its share likewise.

    References
    ----------
    .. [1] de Boer, Kroese, Mannor & Rubinstein, *A tutorial on the cross-entropy method*, Ann. Oper. Res. 134, 2005.
    """
    (before, olds), (after, news) = old.parts, new.parts
    centres = np.array([law.centre for law in olds])
    nearest = np.array([np.square(centres - law.centre).sum(axis=1).argmin() for law in news])
    laws = [law.blended(olds[j], share) for j, law in zip(nearest, news, strict=True)]
    if len(laws) == 1:
        return laws[0]
    before = before[nearest] / np.bincount(nearest)[nearest]
    shares = share * after + (1.0 - share) * before / before.sum()
    return Mixture(weights=shares, components=laws)


def _as_asked(law: Distribution, covariance: Covariance) -> bool:
    """Whether a component has the asked covariance, or the identity to which a poor one falls back."""
    if isinstance(law, LowRankNormal):
        return bool((law.spread != 1.0).any())
    if covariance == "full":
        return isinstance(law, Normal) and law.correlated
    return isinstance(law, Normal) and bool((law.scales != 1.0).any())

"""The contracts of a law: of one that can be sampled and weighed, and of one that describes the risk factors."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from raresim.numerics.arrays import Float, scratch
from raresim.record.evidence import Evidence

if TYPE_CHECKING:
    from raresim.data import FileFacts, ReturnKind, ReturnsData, ReturnsTable
    from raresim.distributions.binned_ratio import BinnedRatio
    from raresim.distributions.covariances import CovarianceEstimate
    from raresim.marginals.base import Marginal


class Distribution(ABC):
    """A law on R^d that can be sampled and whose density is known.

    To add one: a frozen dataclass in a file of its own in this folder, decorated with
    ``@member("distribution")``, with a ``kind``, the methods below and ``examples()``. Parameters carry
    SciPy's names and are checked in ``__post_init__``.
    """

    kind: ClassVar[str]

    mapped: ClassVar[bool] = False
    """Whether a draw can be made of standard normals, by `from_normals`."""

    @property
    @abstractmethod
    def dim(self) -> int:
        """Number of coordinates of a draw."""

    @abstractmethod
    def sample(self, rng: np.random.Generator, x: Float) -> None:
        """Fill ``x`` with independent draws.

        Parameters
        ----------
        rng : numpy.random.Generator
            The block's stream; advanced in place.
        x : (n, d) float64, Fortran order
            Overwritten, one draw per row.
        """

    @abstractmethod
    def logpdf(self, x: Float, out: Float) -> None:
        """Write the log density at each row of ``x`` (n, d) into ``out`` (n,), in nats."""

    @property
    def parts(self) -> tuple[Float, tuple[Distribution, ...]]:
        """Shares (k,) and components of a mixture; of any other law the share one and the law itself."""
        return np.ones(1), (self,)

    @property
    def centre(self) -> Float | None:
        """The point ``c`` (d,) about which it is symmetric: ``2 c - x`` has the law of ``x``. None: none is known."""
        return None

    @property
    def n_normals(self) -> int:
        """Standard normals that `from_normals` takes for a draw."""
        return self.dim

    def from_normals(self, z: Float, turn: Callable[[Float], None], x: Float) -> None:
        """Fill ``x`` with the draws that standard normals make; only of a law that is `mapped`.

        Parameters
        ----------
        z : (n, n_normals) float64, Fortran order
            Independent standard normals, one draw per row; overwritten.
        turn : callable
            Reflects normals (n, n_normals) in place, so that the first one runs along `lead`.
        x : (n, d) float64, Fortran order
            Overwritten.
        """
        raise TypeError(f"a law of kind {self.kind} is not made of normals")

    def lead(self, target: Distribution) -> Float:
        """The direction among the last normals, (j,), that leads to the event; zeros, or none, where none is known."""
        return moved_from(self, target)

    def spread_transposed(self, a: Float) -> Float:
        """``L' a`` of ``a`` (d,) for the factor ``L`` of the spread of a symmetric law ``c + L z``."""
        return a

    def precision_times(self, shift: Float) -> Float:
        """``S^-1 shift`` for the spread ``S = L L'`` of a symmetric law."""
        return shift

    def log_ratio(self, target: Distribution, x: Float, out: Float) -> None:
        """Write ``log p(x) - log q(x)`` (n,) of the rows of ``x`` (n, d): ``p`` is ``target`` and ``q`` this law."""
        ratio_in_two(target, self, x, out)

    @property
    def radial(self) -> Float | None:
        """Orthonormal directions (d, k) in which distance alone sets its ratio to a standard normal law; None: none."""
        return None

    def binned_ratio(self) -> BinnedRatio | None:
        """Its log density ratio to a standard normal law as a sum of steps; None where it is no such sum."""
        return None

    def entropy(self) -> float | None:
        """Differential entropy in nats in closed form; None where there is none."""
        return None

    def blended(self, old: Distribution, share: float) -> Distribution:
        """The law whose parameters are ``share`` times its own and for the rest those of ``old``, of its family.

        Raises
        ------
        TypeError
            When the law, or ``old``, cannot be blended so.
        """
        raise TypeError(f"a law of kind {self.kind} is not blended with another one")


def ratio_in_two(target: Distribution, law: Distribution, x: Float, out: Float) -> None:
    """`Distribution.log_ratio` from both log densities."""
    own = scratch("log_q", x.shape[0], 1)[:, 0]
    target.logpdf(x, out)
    law.logpdf(x, own)
    out -= own


def moved_from(law: Distribution, target: Distribution) -> Float:
    """The direction among normals ``z`` in which a symmetric ``law = m + L z`` was moved from ``target``.

    A half-space ``a'x >= b`` under ``N(m_0, S)`` has its conditional mean in the direction ``S a`` from ``m_0``: the
    shift ``m - m_0`` of a law that was fitted to it gives ``a = S^-1 (m - m_0)``, and ``L' a`` among the normals.
    """
    there, here = law.centre, target.centre
    if there is None or here is None:
        return np.zeros(0)
    return law.spread_transposed(target.precision_times(there - here))


HALF_SPACE = "the factors are jointly normal: the event is one half-space"
"""Why an event of a weighted sum of normal factors is one region."""


@dataclass(frozen=True, eq=False)
class Fitted:
    """What a fit to data leaves beside the parameters.

    Parameters
    ----------
    names : tuple of str
        Names of the columns.
    lines : tuple of str
        The fit in words.
    facts : FileFacts
        Facts about the file.
    evidence : Evidence
        Tables and plots of the fit, for the report.
    history : ReturnsTable or None
        The rows that the law was fitted to, if each row is one observation of all factors; else None.
    assumptions : mapping
        Plain values for `Inputs.assumptions`.
    returns : {"log", "simple"} or None
        Kind of the returns in the columns; None where it is not stated.
    last_prices : mapping or None
        The last price of each column; None where the returns were not made from prices.
    """

    names: tuple[str, ...]
    lines: tuple[str, ...]
    facts: FileFacts
    evidence: Evidence = field(default_factory=Evidence)
    history: ReturnsTable | None = None
    assumptions: Mapping[str, Any] = field(default_factory=dict)
    returns: ReturnKind | None = None
    last_prices: Mapping[str, float] | None = None

    def __getstate__(self) -> dict[str, Any]:
        """The state without the history: inputs are sent to workers with every chunk, and workers only draw."""
        return {**self.__dict__, "history": None}

    @classmethod
    def to_table(
        cls,
        table: ReturnsTable,
        source: ReturnsData,
        estimate: CovarianceEstimate,
        dependent: Sequence[str],
        *notes: str,
    ) -> Fitted:
        """Describe a fit to ``table`` whose `raresim.distributions.covariances.dependencies` are ``dependent``."""
        spread = "sample covariance"
        assumptions: dict[str, Any] = {}
        if source.covariance == "ledoit_wolf" and len(table.names) > 1:
            spread = (
                f"volatilities of the sample; its correlations times {1.0 - estimate.shrinkage:.4g} "
                f"(Ledoit-Wolf shrinkage {estimate.shrinkage:.4g})"
            )
            assumptions = {
                "shrinkage": estimate.shrinkage,
                "correlation_moved": estimate.moved,
                "dependent_columns": list(dependent),
            }
        lines = (f"fitted to {table.describe()}", spread, *dependent, *notes)
        return cls(
            names=table.names,
            lines=lines,
            facts=table.source,
            history=table,
            assumptions=assumptions,
            returns=table.returns,
            last_prices=table.last_prices,
        )


class Inputs(ABC):
    """The joint law of the risk factors, as a map from independent standard normals.

    To add one: a frozen dataclass in a file of its own in this folder, decorated with ``@member("inputs")``, with a
    ``kind``, the methods below and ``examples()``. A law whose density is known is a `Distribution` too, in both
    families: it may then stand as a stated proposal, and be sampled in physical space.
    """

    kind: ClassVar[str]
    mapped: ClassVar[bool] = True
    keeps_to_data: ClassVar[bool] = False
    """Whether no draw goes beyond the data that the law was fitted to."""

    @property
    @abstractmethod
    def dim(self) -> int:
        """Number of risk factors."""

    @property
    @abstractmethod
    def fitted(self) -> Fitted | None:
        """What a fit to data leaves beside the parameters; None without a fit."""

    @property
    def evidence(self) -> Evidence:
        """Tables and plots of how well the law fits its data, for the report."""
        return Evidence() if self.fitted is None else self.fitted.evidence

    @property
    def sources(self) -> tuple[FileFacts, ...]:
        """The files that the law was fitted to, for the provenance."""
        return () if self.fitted is None else (self.fitted.facts,)

    @property
    def assumptions(self) -> Mapping[str, Any]:
        """The assumptions of a fit, as plain values for the verdict: see `raresim.diagnostics.assumptions`."""
        return {} if self.fitted is None else self.fitted.assumptions

    @property
    def last_prices(self) -> Mapping[str, float] | None:
        """The last price of each factor by name, where the inputs were fitted to prices; else None."""
        return None if self.fitted is None else self.fitted.last_prices

    @property
    def are_returns(self) -> bool | None:
        """Whether the factors are returns, as they are after a fit to returns; None where only some are."""
        return self.fitted is not None

    @property
    def returns(self) -> ReturnKind | None:
        """Kind of returns that the factors are, where a fit knows it; else None."""
        return None if self.fitted is None else self.fitted.returns

    @property
    def names(self) -> tuple[str, ...] | None:
        """Names of the risk factors, or None where they have none."""
        return None if self.fitted is None else self.fitted.names

    @property
    def is_normal(self) -> bool:
        """Whether the factors are jointly normal, and their map from standard normals is linear apart from a shift."""
        return False

    @property
    def independent_laws(self) -> tuple[Marginal, ...] | None:
        """The law of each factor where the factors are independent of each other; else None."""
        return None

    def sums_in_one_region(self, weights: Float) -> str:
        """Why each of ``sum_i weights[i] * x_i >= t`` and ``<= t`` is one region of standard normals, in words.

        Empty where that is not proven. A half-space of the factors is no proof: their map can bend it into several
        parts that are equally likely, as it does for a sum of heavy-tailed factors.
        """
        return HALF_SPACE if self.is_normal else ""

    @property
    def latent_dim(self) -> int:
        """Number of standard normals that the map takes."""
        return self.latent_dim_of(self.dim)

    @staticmethod
    def latent_dim_of(dim: int) -> int:
        """Number of standard normals that the map to ``dim`` factors takes, where it depends on ``dim`` alone."""
        return dim

    @abstractmethod
    def to_physical(self, u: Float, x: Float) -> Float:
        """Map standard normals to risk factors: one call per block.

        Parameters
        ----------
        u : (n, latent_dim) float64, Fortran order
            Independent standard normals, one draw per row; not changed.
        x : (n, d) float64, Fortran order
            A buffer for the result.

        Returns
        -------
        (n, d) float64
            ``x``, or ``u`` itself where the map is the identity.
        """

    @property
    def n_normals(self) -> int:
        """As of `Distribution`: what a stated proposal is drawn from."""
        return self.latent_dim

    def from_normals(self, z: Float, turn: Callable[[Float], None], x: Float) -> None:
        """As of `Distribution`, by `to_physical`."""
        turn(z)
        made = self.to_physical(z, x)
        if made is not x:
            x[:] = made

    def weighted_sums(self, u: Float, weights: Float, out: Float) -> bool:
        """Write ``sum_j weights[j] x_j`` of the factors ``x`` of each row of ``u`` (n, latent_dim) into ``out`` (n,).

        A law whose factors need not be kept for it does so, with the bits of the two steps; others return False.
        """
        return False

    @abstractmethod
    def linear_moments(self, weights: Float) -> tuple[float, float] | None:
        """Mean and standard deviation of ``sum_i weights[i] * x_i``; NaN where the law has none.

        None where there is no closed form; then a pilot sample is drawn.
        """

    def exponential_moments(self, weights: Float) -> tuple[float, float] | None:
        """Mean and standard deviation of ``sum_i weights[i] * exp(x_i)``; NaN where they are infinite.

        None where there is no closed form and they are not known to be infinite.
        """
        return None

    def mass_below(self, x: float) -> Float | None:
        """Probability of each factor to be at most ``x``, (d,); None where there is no closed form."""
        return None

    @abstractmethod
    def describe(self) -> list[str]:
        """Lines that describe the law in words, for the table and the report."""


def log_density(law: Distribution, u: Float) -> Float:
    """Log density (n,) of the rows of ``u`` (n, d), in nats.

    Kernels are compiled for arrays that are contiguous, and would be compiled again for a part of one.
    """
    out = np.empty(u.shape[0])
    if not (u.flags.c_contiguous or u.flags.f_contiguous):
        u = np.asfortranarray(u)
    law.logpdf(u, out)
    return out

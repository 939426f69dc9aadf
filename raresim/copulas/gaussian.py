"""The Gaussian copula."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import numpy as np

from raresim.arguments import checks
from raresim.arguments.checks import Matrix
from raresim.copulas import elliptical
from raresim.copulas.base import Copula
from raresim.copulas.elliptical import Measure
from raresim.copulas.fit import CopulaFit, log_likelihood, pairs
from raresim.copulas.ranks import correlation_by_kendall, scores_of
from raresim.copulas.summary import dependence_lines
from raresim.data.correlation import Repair, RepairMode
from raresim.distributions.normal_passes import dense_distance, lower_affine
from raresim.numerics.arrays import Float
from raresim.registry import member


@member("copula")
@dataclass(frozen=True, kw_only=True, eq=False)
class Gaussian(Copula):
    """Dependence of correlated normals, density ``|R|^(-1/2) exp(-v' (R^-1 - I) v / 2)`` at normal scores ``v``.

    Parameters
    ----------
    correlation : (d, d), optional
        Correlation matrix, positive definite.
    rho : float, optional
        Instead of ``correlation``: one correlation for all pairs; needs ``dim``.
    dim : int, optional
        Number of coordinates.
    measure : {"normal", "spearman", "kendall"}
        The measure that is given: Pearson's correlation ``r`` of the normal scores; Spearman's ``s``, which gives
        ``r = 2 sin(pi s / 6)``; or Kendall's ``tau``, which gives ``r = sin(pi tau / 2)``. Pearson's correlation in
        physical units depends on the marginals: see `raresim.copulas.nataf`.
    repair : {"none", "nearest"}
        What to do with a matrix that is not positive definite: refuse it, or take the nearest one that is.

    Raises
    ------
    FieldError
        When no correlation matrix has these values.

    Notes
    -----
    ``v = L u`` with the lower Cholesky factor of ``R``, so a score depends on the latent normals up to its own.
    """

    kind: ClassVar[str] = "gaussian"

    correlation: Matrix | None = None
    rho: float | None = None
    dim: int = 0
    measure: Literal["normal", "spearman", "kendall"] = "normal"
    repair: Literal["none", "nearest"] = "none"

    matrix: Float = field(init=False, repr=False)
    factor: Float = field(init=False, repr=False)
    repaired: Repair | None = field(init=False, repr=False)

    def __post_init__(self) -> None:
        checks.one_of("measure", self.measure, Measure)
        checks.one_of("repair", self.repair, RepairMode)
        dim, matrix, repaired = elliptical.resolve(self.dim, self.correlation, self.rho, self.measure, self.repair)
        object.__setattr__(self, "dim", dim)
        object.__setattr__(self, "matrix", matrix)
        object.__setattr__(self, "factor", checks.cholesky("correlation", matrix))
        object.__setattr__(self, "repaired", repaired)

    @property
    def latent_dim(self) -> int:
        return self.dim

    def scores(self, u: Float, v: Float) -> None:
        lower_affine(u, self.factor, np.zeros(self.dim), v)

    def logpdf(self, v: Float, out: Float) -> None:
        dense_distance(v, self.factor, np.zeros(self.dim), out)
        out -= np.einsum("ij,ij->i", v, v)
        out *= -0.5
        out -= float(np.log(np.diag(self.factor)).sum())

    def tail_dependence(self) -> tuple[Float, Float]:
        return np.eye(self.dim), np.eye(self.dim)

    def kendall(self) -> Float:
        return elliptical.kendall(self.matrix)

    def describe(self) -> list[str]:
        lines = [f"Gaussian copula of {self.dim}", *dependence_lines(self)]
        return lines if self.repaired is None else [*lines, self.repaired.line]

    @classmethod
    def fit(cls, scores: Float, by: Literal["scores", "kendall"] = "scores") -> CopulaFit:
        """The Gaussian copula of pseudo-observations.

        Parameters
        ----------
        scores : (n, d) float64
            Normal scores of the observations, as `raresim.copulas.ranks.pseudo_scores` makes them.
        by : {"scores", "kendall"}
            Estimate by the correlation of the scores, which is efficient, or by ``sin(pi tau / 2)`` of Kendall's tau,
            which outliers hardly move. The latter is repaired where it is not positive definite.

        Notes
        -----
        The correlation of normal scores is as efficient as any estimate that does not know the margins; its standard
        error is ``(1 - r^2) / sqrt(n)`` (Klaassen & Wellner, Bernoulli 3, 1997). The standard error of the correlation
        from Kendall's tau follows from the variance of tau by the delta method.
        """
        checks.one_of("by", by, Literal["scores", "kendall"])
        v = scores_of(scores)
        if by == "scores":
            matrix = np.corrcoef(v, rowvar=False)
            errors = np.asarray((1.0 - matrix**2) / math.sqrt(len(v)))
        else:
            matrix, errors = correlation_by_kendall(v)
        copula = cls(correlation=matrix, repair="nearest" if by == "kendall" else "none")
        parameters, std_errors = pairs(copula.matrix), pairs(errors)
        return CopulaFit(copula, parameters, std_errors, log_likelihood(copula, v), len(v))

    @staticmethod
    def examples() -> list[Gaussian]:
        """Members for the conformance tests."""
        return [
            Gaussian(rho=0.6, dim=2),
            Gaussian(correlation=[[1.0, 0.6, -0.3], [0.6, 1.0, 0.2], [-0.3, 0.2, 1.0]]),
            Gaussian(rho=-0.2, dim=3, measure="spearman"),
        ]

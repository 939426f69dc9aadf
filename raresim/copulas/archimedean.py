"""The common part of the Archimedean copulas: one frailty that all coordinates share.

``U_j = psi(E_j / V)`` with independent standard exponentials ``E_j`` and a frailty ``V`` whose Laplace transform is the
generator ``psi`` (Marshall & Olkin 1988). The score of ``U_j`` is a function of ``log E_j - log V`` alone, which is
tabulated once; so is ``log E`` as a function of a standard normal. No step forms a number near 1 that would be rounded.

To add one: a frozen dataclass with fields ``dim``, ``theta``, ``tau`` and ``parameter``, and the functions that
`Archimedean` asks for.
"""

from __future__ import annotations

from abc import abstractmethod
from functools import cached_property
from typing import ClassVar, TypeVar

import numpy as np

from raresim.arguments import checks
from raresim.copulas.base import Copula
from raresim.copulas.fit import CopulaFit, log_likelihood, maximise, std_error_of
from raresim.copulas.ranks import scores_of
from raresim.copulas.summary import constant, dependence_lines
from raresim.copulas.tables import U_MAX, StretchedTable, log_exponential, log_exponential_exactly
from raresim.errors import DataError, FieldError
from raresim.numerics import arrays, normal_scores
from raresim.numerics.arrays import Float

A = TypeVar("A", bound="Archimedean")

LOG_WHOLE = 36.0
"""Every double above ``exp(LOG_WHOLE)`` is whole, or rounds to one within its own precision."""


class Archimedean(Copula):
    """Exchangeable, positive dependence of ``dim`` coordinates, with one parameter.

    References
    ----------
    .. [1] A. W. Marshall and I. Olkin, *Families of multivariate distributions*, JASA 83 (1988) 834-841.
    .. [2] M. Hofert, M. Maechler and A. J. McNeil, *Likelihood inference for Archimedean copulas in high dimensions
       under known margins*, Journal of Multivariate Analysis 110 (2012) 133-150.
    """

    THETAS: ClassVar[tuple[float, float]]
    """Smallest and largest ``theta``."""

    FRAILTY_NORMALS: ClassVar[int]
    """Number of latent normals that make the frailty."""

    theta: float | None
    tau: float | None
    parameter: float
    """The ``theta`` that was given, or that has the given ``tau``."""

    # A member defines these. Probabilities are functions of x = log t.

    @abstractmethod
    def _log_frailty(self, u: Float, out: Float) -> None:
        """Write ``log V`` of the latent normals ``u`` (n, FRAILTY_NORMALS) into ``out`` (n,); rising in each."""

    @abstractmethod
    def _log_psi(self, x: Float) -> Float:
        """``log psi(exp(x))``, exact where it is far below zero."""

    @abstractmethod
    def _log_rest(self, x: Float) -> Float:
        """``log(1 - psi(exp(x)))``, exact where it is far below zero."""

    @abstractmethod
    def _log_inverse(self, v: Float) -> Float:
        """``log psi^-1(Phi(v))``."""

    @abstractmethod
    def _log_derivative(self, x: Float, order: int) -> Float:
        """Log of ``(-1)^order psi^(order)(exp(x))``."""

    @abstractmethod
    def _spread(self) -> float:
        """Distance in ``x`` over which the score changes by about one."""

    @staticmethod
    @abstractmethod
    def tau_of(theta: float) -> float:
        """Kendall's tau."""

    @classmethod
    def theta_of(cls, tau: float) -> float:
        """The parameter with this Kendall's tau; an end of `THETAS` where it would lie beyond."""
        from scipy import optimize

        low, high = cls.THETAS
        gap = {side: cls.tau_of(side) - tau for side in (low, high)}
        if gap[low] >= 0 or gap[high] <= 0:
            return low if gap[low] >= 0 else high
        return float(optimize.brentq(lambda theta: cls.tau_of(theta) - tau, low, high, xtol=1e-13, rtol=1e-14))

    @abstractmethod
    def _tails(self) -> tuple[float, float]:
        """Lower and upper tail dependence of a pair."""

    # These follow from them.

    @property
    def latent_dim(self) -> int:
        return self.FRAILTY_NORMALS + self.dim

    def scores(self, u: Float, v: Float) -> None:
        n, k = u.shape[0], self.FRAILTY_NORMALS
        frailty, x = arrays.scratch("archimedean", n, 2).T
        self._log_frailty(u[:, :k], frailty)
        for j in range(self.dim):
            log_exponential(u[:, k + j], x)
            x -= frailty
            self._scores(x, v[:, j])

    def score(self, x: Float) -> Float:
        """``Phi^-1(psi(exp(x)))``, without the table."""
        out = np.empty(np.shape(x))
        normal_scores.from_log_probabilities(self._log_psi(x), self._log_rest(x), out)
        return out

    @cached_property
    def _scores(self) -> StretchedTable:
        """The table of `score` for all latent normals up to `U_MAX`."""
        corners = np.array([np.full(self.FRAILTY_NORMALS, s * U_MAX) for s in (-1.0, 1.0)], order="F")
        frailty = np.empty(2)
        self._log_frailty(corners, frailty)
        most, least = log_exponential_exactly(np.array([-U_MAX, U_MAX]))
        centre = float(self._log_inverse(np.zeros(1))[0])
        return StretchedTable.of(self.score, least - frailty[1], most - frailty[0], centre, self._spread())

    def logpdf(self, v: Float, out: Float) -> None:
        total: Float | None = None
        out[:] = 0.0
        for j in range(self.dim):
            x = self._log_inverse(v[:, j])
            out -= self._log_derivative(x, 1)
            total = x if total is None else np.logaddexp(total, x)
        out += self._log_derivative(np.asarray(total), self.dim)  # [2] eq. (3)

    def tail_dependence(self) -> tuple[Float, Float]:
        lower, upper = self._tails()
        return constant(self.dim, lower), constant(self.dim, upper)

    def kendall(self) -> Float:
        return constant(self.dim, self.tau_of(self.parameter))

    def describe(self) -> list[str]:
        return [f"{self.kind.capitalize()} copula of {self.dim}, theta {self.parameter:.6g}", *dependence_lines(self)]

    @classmethod
    def fit(cls, scores: Float) -> CopulaFit:
        """The copula of this kind that fits pseudo-observations best, by maximum likelihood.

        Parameters
        ----------
        scores : (n, d) float64
            Normal scores of the observations, as `raresim.copulas.ranks.pseudo_scores` makes them.

        Raises
        ------
        DataError
            When the likelihood is largest at an end of the range of ``theta``.

        Notes
        -----
        The standard error is from the observed information, which treats the ranks as if they were the margins. Genest,
        Ghoudi and Rivest, Biometrika 82, 1995, give the part that is missing; it is small unless dependence is strong.
        """
        v = scores_of(scores)
        d = v.shape[1]
        low, high = cls.THETAS

        def total(theta: float) -> float:
            return log_likelihood(cls(theta=theta, dim=d), v)  # type: ignore[call-arg]  # every member has these fields

        def by_tau(tau: float) -> float:
            return total(min(max(cls.theta_of(tau), low), high))

        tau, at_end = maximise(by_tau, cls.tau_of(low), cls.tau_of(high))
        if at_end:
            end, meaning = (low, "smallest") if at_end == "low" else (high, "largest")
            seen = "show no positive dependence of this kind" if at_end == "low" else "move together almost perfectly"
            raise DataError(
                f"theta: the likelihood of {cls.kind} is largest at the {meaning} theta, {end:g}: these data {seen}"
            )
        theta = min(max(cls.theta_of(tau), low), high)
        copula = cls(theta=theta, dim=d)  # type: ignore[call-arg]
        return CopulaFit(
            copula, {"theta": theta}, {"theta": std_error_of(total, theta, low, high)}, total(theta), len(v)
        )


def settle(copula: Archimedean) -> None:
    """Check the fields of a copula under construction and set its ``parameter``."""
    object.__setattr__(copula, "dim", checks.dimension("dim", copula.dim, least=2, most=checks.MAX_MATRIX_DIM))
    object.__setattr__(copula, "parameter", _parameter(type(copula), copula.theta, copula.tau))


def _parameter(cls: type[Archimedean], theta: float | None, tau: float | None) -> float:
    low, high = cls.THETAS
    if (theta is None) == (tau is None):
        raise FieldError("theta", f"give either theta or Kendall's tau, got {'neither' if theta is None else 'both'}")
    negative = "; negative dependence is not supported"
    if theta is not None:
        if not low <= theta <= high:
            hint = negative if theta < low else ""
            raise FieldError("theta", f"must be from {low:g} to {high:g}, got {theta:.15g}{hint}")
        return float(theta)
    least, most = cls.tau_of(low), cls.tau_of(high)
    if tau is None or not least <= tau <= most:
        hint = negative if tau is not None and tau < least else ""
        raise FieldError("tau", f"must be from {least:.6g} to {most:.6g}, got {tau:.15g}{hint}")
    return min(max(float(cls.theta_of(tau)), low), high)


def log_stirling_second(n: int) -> Float:
    """Logs of the Stirling numbers of the second kind ``S(n, 0), ..., S(n, n)``."""
    row = np.array([0.0])
    with np.errstate(divide="ignore"):
        for _ in range(n):
            k = np.log(np.arange(row.size + 1, dtype=np.float64))
            row = np.logaddexp(k + np.append(row, -np.inf), np.append(-np.inf, row))
    return row


def log_polynomial(log_coefficients: Float, log_x: Float) -> Float:
    """Log of ``sum_k a_k x^k`` (n,) from the logs of coefficients, none negative, and of ``x`` (n,)."""
    total = np.full(log_x.shape, -np.inf)
    with np.errstate(invalid="ignore"):
        for k, log_a in enumerate(log_coefficients):
            if log_a > -np.inf:
                total = np.logaddexp(total, log_a + k * log_x if k else np.full(log_x.shape, log_a))
    return total

"""The grouped t copula: the degrees of freedom differ from group to group."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar, Literal

import numpy as np

from raresim.arguments import checks
from raresim.arguments.checks import Matrix, Vector
from raresim.copulas import elliptical
from raresim.copulas.base import Copula
from raresim.copulas.student_t_map import StudentTMap, student_t_copula_tail
from raresim.copulas.summary import dependence_lines
from raresim.copulas.t import check_dof, scale_to_score
from raresim.data.correlation import Repair, RepairMode
from raresim.distributions.mixing import log_mixing, log_mixing_table
from raresim.distributions.normal_passes import lower_affine
from raresim.errors import FieldError
from raresim.numerics import arrays
from raresim.numerics.arrays import Float
from raresim.registry import member

_COARSE = np.linspace(-38.0, 38.0, 761)
_ROWS = 128
_NEGLIGIBLE = 45.0
"""Distance below the largest term, in nats, from which a term is left out of the integral."""

_AGREEMENT = 1e-11
_FEWEST, _MOST = 129, 1 << 14


@member("copula")
@dataclass(frozen=True, kw_only=True, eq=False)
class GroupedT(Copula):
    """Student t dependence in which each group has its own degrees of freedom.

    Parameters
    ----------
    groups : sequence of int
        Sizes of the groups, in the order of the coordinates.
    dof : float or (k,)
        Degrees of freedom of each group, from 0.1 to 1e5.
    correlation : (d, d), optional
        Correlation matrix of the normals behind the law, positive definite.
    rho : float, optional
        Instead of ``correlation``: one correlation for all pairs.
    repair : {"none", "nearest"}
        What to do with a matrix that is not positive definite: refuse it, or take the nearest one that is.

    Raises
    ------
    FieldError
        When the sizes disagree, no correlation matrix has these values, or a ``dof`` is out of range.

    Notes
    -----
    One uniform drives the chi-squares of all groups ([1]_, section 4.3), so a wild draw is wild in every group. The
    first latent normal makes that uniform; a larger one is *calmer*. The others are as in the Gaussian copula. The
    density is an integral over the first, by the trapezoidal rule with ever finer steps until two results agree to
    1e-11.

    References
    ----------
    .. [1] S. Demarta and A. J. McNeil, *The t copula and related copulas*, International Statistical Review 73 (2005)
       111-129.
    """

    kind: ClassVar[str] = "grouped_t"

    groups: Sequence[int]
    dof: Vector
    correlation: Matrix | None = None
    rho: float | None = None
    repair: Literal["none", "nearest"] = "none"

    dim: int = field(init=False, repr=False)
    matrix: Float = field(init=False, repr=False)
    factor: Float = field(init=False, repr=False)
    repaired: Repair | None = field(init=False, repr=False)
    margins: tuple[StudentTMap, ...] = field(init=False, repr=False)
    group_of: tuple[int, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not self.groups:
            raise FieldError("groups", "must have at least one entry, got none")
        groups = tuple(checks.whole("groups", size) for size in self.groups)
        dofs = checks.vector("dof", self.dof, len(groups))
        for dof in dofs:
            check_dof("dof", float(dof))
        checks.one_of("repair", self.repair, RepairMode)
        dim, matrix, repaired = elliptical.resolve(sum(groups), self.correlation, self.rho, "normal", self.repair)
        object.__setattr__(self, "groups", groups)
        object.__setattr__(self, "dim", dim)
        object.__setattr__(self, "matrix", matrix)
        object.__setattr__(self, "factor", checks.cholesky("correlation", matrix))
        object.__setattr__(self, "repaired", repaired)
        object.__setattr__(self, "margins", tuple(StudentTMap(float(dof)) for dof in dofs))
        object.__setattr__(self, "group_of", tuple(k for k, size in enumerate(groups) for _ in range(size)))

    @property
    def latent_dim(self) -> int:
        return self.dim + 1

    def scores(self, u: Float, v: Float) -> None:
        lower_affine(u[:, 1:], self.factor, np.zeros(self.dim), v)
        mixing = arrays.scratch("grouped_mixing", u.shape[0], 1)[:, 0]
        made = -1
        for j, k in enumerate(self.group_of):
            if k != made:
                log_mixing(u[:, 0], self.margins[k].mixing_table, mixing)
                made = k
            scale_to_score(self.margins[k], mixing, v[:, j])

    def logpdf(self, v: Float, out: Float) -> None:
        x = np.empty(v.shape, order="F")
        margins = np.zeros(len(v))
        for j, k in enumerate(self.group_of):
            self.margins[k].log_variate(np.ascontiguousarray(v[:, j]), x[:, j])
            margins += self.margins[k].logpdf(x[:, j])
        sign = np.sign(v)
        for start in range(0, len(v), _ROWS):
            rows = slice(start, start + _ROWS)
            out[rows] = self._log_joint(x[rows], sign[rows])
        out -= margins

    def _log_joint(self, x: Float, sign: Float) -> Float:
        """Log joint density of the t variates ``sign * exp(x)`` (n, d), with the mixing variable integrated out."""
        n = len(x)
        coarse = self._log_integrand(np.broadcast_to(_COARSE, (n, _COARSE.size)), x, sign)
        kept = coarse >= coarse.max(axis=1, keepdims=True) - _NEGLIGIBLE
        last = _COARSE.size - 1
        low = _COARSE[np.maximum(kept.argmax(axis=1) - 1, 0)]
        high = _COARSE[np.minimum(last - kept[:, ::-1].argmax(axis=1) + 1, last)]
        result, open_ = np.full(n, np.nan), np.arange(n)
        previous = np.full(n, np.inf)
        size = _FEWEST
        while open_.size and size <= _MOST:
            place = np.linspace(0.0, 1.0, size)
            width = (high - low)[open_]
            terms = self._log_integrand(low[open_, None] + width[:, None] * place, x[open_], sign[open_])
            top = terms.max(axis=1)
            total = top + np.log(np.exp(terms - top[:, None]).sum(axis=1)) + np.log(width / (size - 1))
            result[open_] = total
            open_ = open_[np.abs(total - previous[open_]) > _AGREEMENT]
            previous[:] = result
            size = 2 * size - 1
        return result

    def _log_integrand(self, w: Float, x: Float, sign: Float) -> Float:
        """Log of the density of ``w`` (n, m) times the density of the variates (n, d) given ``w``."""
        d = self.dim
        flat = np.ascontiguousarray(w).ravel()
        log_s = np.empty((len(self.margins), flat.size))
        for k, margin in enumerate(self.margins):
            log_mixing(flat, margin.mixing_table, log_s[k])
        log_s = log_s.reshape(-1, *w.shape)[list(self.group_of)]
        size = x.T[:, :, None] - log_s
        scaled = sign.T[:, :, None] * np.exp(np.minimum(size, 300.0))
        white = np.tensordot(self._whitening, scaled, axes=1)
        square = np.where(size.max(axis=0) < 300.0, (white * white).sum(axis=0), np.inf)
        constant = 0.5 * (d + 1) * math.log(2.0 * math.pi) + float(np.log(np.diag(self.factor)).sum())
        return np.asarray(-0.5 * w * w - 0.5 * square - log_s.sum(axis=0) - constant)

    @cached_property
    def _whitening(self) -> Float:
        from scipy.linalg import solve_triangular

        inverse: Float = solve_triangular(self.factor, np.eye(self.dim), lower=True)
        return inverse

    def tail_dependence(self) -> tuple[Float, Float]:
        """As in the t copula within a group, and as in `between_groups` between groups; the same in both tails."""
        tail = np.eye(self.dim)
        for i in range(self.dim):
            for j in range(i):
                one, other = (self.margins[self.group_of[c]].dof for c in (i, j))
                r = self.matrix[i, j]
                same = one == other
                tail[i, j] = tail[j, i] = (
                    float(student_t_copula_tail(r, one)) if same else between_groups(float(r), one, other)
                )
        return tail, tail

    def kendall(self) -> Float:
        """As in every elliptical law within a group; between groups an expectation over the mixing, by quadrature.

        Given the mixing of two draws, their differences are normal with correlation ``r c``, where ``c`` is the cosine
        between the two pairs of scales; Kendall's tau is the mean of ``(2 / pi) arcsin(r c)``.
        """
        tau = elliptical.kendall(self.matrix)
        w = np.linspace(-9.0, 9.0, 301)
        weight = np.exp(-0.5 * w * w)
        weight /= weight.sum()
        log_s = np.empty((len(self.margins), w.size))
        for k, margin in enumerate(self.margins):
            log_mixing(w, margin.mixing_table, log_s[k])
        ratio = log_s[:, :, None] - log_s[:, None, :]
        for i in range(self.dim):
            for j in range(i):
                a, b = ratio[self.group_of[i]], ratio[self.group_of[j]]
                log_cosine = _log_cosh(0.5 * (a + b)) - 0.5 * (_log_cosh(a) + _log_cosh(b))
                inner = 2.0 / math.pi * np.arcsin(self.matrix[i, j] * np.exp(np.minimum(log_cosine, 0.0)))
                tau[i, j] = tau[j, i] = weight @ inner @ weight
        return tau

    def describe(self) -> list[str]:
        parts = ", ".join(f"{size} of dof {m.dof:.4g}" for size, m in zip(self.groups, self.margins, strict=True))
        lines = [f"grouped t copula of {self.dim}: {parts}", *dependence_lines(self)]
        return lines if self.repaired is None else [*lines, self.repaired.line]

    @staticmethod
    def examples() -> list[GroupedT]:
        """Members for the conformance tests."""
        return [
            GroupedT(groups=[1, 1], dof=[3.0, 8.0], rho=0.5),
            GroupedT(groups=[2, 1], dof=[4.0, 15.0], correlation=[[1.0, 0.6, -0.3], [0.6, 1.0, 0.2], [-0.3, 0.2, 1.0]]),
        ]


def between_groups(rho: float, one: float, other: float) -> float:
    """Tail dependence of two t variates of different degrees of freedom whose chi-squares rise together.

    Notes
    -----
    Far out, ``s_k^(v_k)`` is inversely proportional to the common uniform, so both variates exceed their quantile of a
    small ``t`` with probability ``t E min(Z_1^(v_1) / m_1, Z_2^(v_2) / m_2)`` of the positive parts, ``m_k`` being
    their means. Each half of the minimum is an expectation over a chi variable with one degree of freedom more.
    """
    from scipy import special

    w = np.linspace(-9.0, 9.0, 2001)
    weight = np.exp(-0.5 * w * w)
    weight /= weight.sum()
    log_mean = {dof: 0.5 * dof * math.log(2.0) + math.lgamma(0.5 * (dof + 1.0)) for dof in (one, other)}
    total = 0.0
    for first, second in ((one, other), (other, one)):
        log_s = np.empty(w.size)
        log_mixing(w, log_mixing_table(first + 1.0), log_s)
        log_z = 0.5 * math.log(first + 1.0) - log_s
        barrier = np.exp(np.minimum((first * log_z + log_mean[second] - log_mean[first]) / second, 300.0))
        total += float(weight @ special.ndtr((rho * np.exp(log_z) - barrier) / math.sqrt((1.0 - rho) * (1.0 + rho))))
    return total


def _log_cosh(a: Float) -> Float:
    size = np.abs(a)
    return np.asarray(size + np.log1p(np.exp(-2.0 * size)) - math.log(2.0))

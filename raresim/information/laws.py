"""Entropy and divergences of the package's distributions, by closed form, quadrature, or Monte Carlo with an error."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np

from raresim.distributions.base import Distribution
from raresim.distributions.low_rank_normal import LowRankNormal
from raresim.distributions.mixture import Mixture
from raresim.distributions.normal import gaussian_moments
from raresim.errors import FieldError
from raresim.information.discrete import check_order
from raresim.information.normal import chi_square_normal, entropy_normal, kl_normal, renyi_normal
from raresim.information.units import Quantity, per_nat
from raresim.numerics.arrays import Float
from raresim.numerics.blocks import plan
from raresim.numerics.streams import stream

STEPS = (-40.0, -10.0, -3.0, 0.0, 3.0, 10.0, 40.0)
"""Points at which a one-dimensional integral is split, in scales around the centre of each component."""

DRAWS = 200_000
"""Monte Carlo draws where there is no closed form."""

MonteCarlo = tuple[int, int]
"""Seed and number of draws."""


def differential_entropy(law: Distribution, *, base: float = math.e, seed: int = 0, draws: int = DRAWS) -> Quantity:
    """``H(p) = -E log p(x)``, which depends on the unit of ``x`` and may be negative.

    Normal and Student t laws have a closed form, one-dimensional mixtures take adaptive quadrature, and all others
    Monte Carlo.

    Parameters
    ----------
    law : Distribution
        The law.
    base : float
        Unit.
    seed, draws : int
        Seed and size of the Monte Carlo sample, if one is needed.
    """
    moments = gaussian_moments(law)
    if moments is not None:
        return Quantity(entropy_normal(moments[1], base=base), 0.0, "closed form")
    if (nats := law.entropy()) is not None:
        return Quantity(per_nat(base) * nats, 0.0, "closed form")
    if law.dim == 1:
        return _by_quadrature(law, base)
    return _mean(law, lambda x: -_logpdf(law, x), base, (seed, draws))


def cross_entropy_of_laws(
    p: Distribution, q: Distribution, *, base: float = math.e, seed: int = 0, draws: int = DRAWS
) -> Quantity:
    """``H(p, q) = -E_p log q(x)``; parameters as in `kl_of_laws`."""
    of_p, of_q = _both_normal(p, q)
    if of_p is not None and of_q is not None:
        nats = entropy_normal(of_p[1]) + kl_normal(*of_p, *of_q)
        return Quantity(per_nat(base) * nats, 0.0, "closed form")
    return _mean(p, lambda x: -_logpdf(q, x), base, (seed, draws))


def kl_of_laws(
    p: Distribution, q: Distribution, *, base: float = math.e, seed: int = 0, draws: int = DRAWS
) -> Quantity:
    """``KL(p || q) = E_p log(p(x) / q(x))``: closed form between normal laws, else Monte Carlo.

    Parameters
    ----------
    p, q : Distribution
        Laws of the same dimension.
    base : float
        Unit.
    seed, draws : int
        Seed and size of the Monte Carlo sample of ``p``, if one is needed.

    Raises
    ------
    FieldError
        When the dimensions differ.
    """
    of_p, of_q = _both_normal(p, q)
    if of_p is not None and of_q is not None:
        return Quantity(kl_normal(*of_p, *of_q, base=base), 0.0, "closed form")
    return _mean(p, lambda x: _logpdf(p, x) - _logpdf(q, x), base, (seed, draws))


def jensen_shannon_of_laws(
    p: Distribution, q: Distribution, *, base: float = math.e, seed: int = 0, draws: int = DRAWS
) -> Quantity:
    """``(KL(p || m) + KL(q || m)) / 2`` with ``m`` the even mixture, by Monte Carlo; parameters as in `kl_of_laws`."""
    _both_normal(p, q)
    middle = Mixture(weights=[0.5, 0.5], components=[p, q])
    halves = [
        _mean(law, lambda x, law=law: _logpdf(law, x) - _logpdf(middle, x), base, (seed + k, draws // 2))  # type: ignore[misc]
        for k, law in enumerate((p, q))
    ]
    error = 0.5 * math.hypot(*(h.std_error for h in halves))
    return Quantity(0.5 * sum(h.value for h in halves), error, "Monte Carlo")


def renyi_of_laws(
    p: Distribution, q: Distribution, alpha: float, *, base: float = math.e, seed: int = 0, draws: int = DRAWS
) -> Quantity:
    """Renyi divergence of order ``alpha``: closed form between normal laws, else Monte Carlo under ``q``.

    Parameters are as in `kl_of_laws`. Above order one the Monte Carlo mean may have no variance; its error then says
    little.
    """
    check_order(alpha)
    if alpha == 1:
        return kl_of_laws(p, q, base=base, seed=seed, draws=draws)
    of_p, of_q = _both_normal(p, q)
    if of_p is not None and of_q is not None:
        return Quantity(renyi_normal(*of_p, *of_q, alpha, base=base), 0.0, "closed form")
    logs = alpha * _draws_of(q, lambda x: _logpdf(p, x) - _logpdf(q, x), (seed, draws))
    top = float(logs.max())
    mean = _summary(np.exp(logs - top), math.e, "Monte Carlo")
    unit = per_nat(base) / (alpha - 1)
    return Quantity(unit * (top + math.log(mean.value)), abs(unit) * mean.std_error / mean.value, "Monte Carlo")


def chi_square_of_laws(p: Distribution, q: Distribution, *, seed: int = 0, draws: int = DRAWS) -> Quantity:
    """``E_q (p/q - 1)^2``, the relative variance of the weights, dimensionless; parameters as in `kl_of_laws`."""
    of_p, of_q = _both_normal(p, q)
    if of_p is not None and of_q is not None:
        return Quantity(chi_square_normal(*of_p, *of_q), 0.0, "closed form")
    return _mean(q, lambda x: np.square(np.expm1(_logpdf(p, x) - _logpdf(q, x))), math.e, (seed, draws))


def negative_log_likelihood(law: Distribution, x: Float, *, base: float = math.e) -> float:
    """``-sum_i log q(x_i)`` of the rows of ``x`` (n, d): the surprise of a whole sample."""
    return per_nat(base) * float(-_logpdf(law, _finite(x)).sum())


def empirical_cross_entropy(law: Distribution, x: Float, *, base: float = math.e) -> Quantity:
    """Average negative log-likelihood: ``H(p, q)`` estimated from draws ``x`` (n, d) of an unknown ``p``."""
    if len(x) == 0:
        raise FieldError("x", "must have at least one row")
    return _summary(-_logpdf(law, _finite(x)), base, "Monte Carlo")


def mixture_entropy_bounds(mixture: Mixture, *, base: float = math.e) -> tuple[float, float]:
    """Lower and upper bound of the entropy of a mixture of normal laws, in closed form.

    ``H <= sum_i w_i (H_i - log sum_j w_j exp(-KL(i || j)))``, and with the Chernoff-1/2 (Bhattacharyya) divergence the
    same sum is a lower bound: [1]_ eqs. (10) and (11).

    References
    ----------
    .. [1] Kolchinsky & Tracey, *Estimating mixture entropy with pairwise distances*, Entropy 19, 2017.
    """
    moments = [_normal_moments(c) for c in mixture.components]
    entropies = np.array([entropy_normal(cov) for _, cov in moments])
    divergence = np.array([[kl_normal(*a, *b) for b in moments] for a in moments])
    half = np.array([[0.5 * renyi_normal(*a, *b, 0.5) for b in moments] for a in moments])
    bounds = [
        float(mixture.shares @ (entropies - np.log(np.exp(-distance) @ mixture.shares)))
        for distance in (half, divergence)
    ]
    return per_nat(base) * bounds[0], per_nat(base) * bounds[1]


def mixture_kl_bound(p: Mixture, q: Mixture, *, base: float = math.e) -> float:
    """Upper bound of ``KL(p || q)`` between mixtures of as many normal laws, component by component.

    ``KL(w || v) + sum_k w_k KL(p_k || q_k)`` by the log-sum inequality: [1]_ sec. 2.7; it depends on the order of
    the components.

    References
    ----------
    .. [1] Cover & Thomas, *Elements of Information Theory*, 2nd ed., 2006.
    """
    from raresim.information.discrete import kl

    if len(p.components) != len(q.components):
        raise FieldError("q", f"must have as many components as p ({len(p.components)}), got {len(q.components)}")
    parts = [
        kl_normal(*_normal_moments(a), *_normal_moments(b)) for a, b in zip(p.components, q.components, strict=True)
    ]
    return per_nat(base) * (kl(p.shares, q.shares) + float(p.shares @ np.array(parts)))


def _by_quadrature(law: Distribution, base: float) -> Quantity:
    """Entropy of a one-dimensional law, integrated between cuts so close that no peak of the density is missed."""
    from scipy.integrate import quad

    cuts = sorted(set(_cuts(law)))
    length = cuts[-1] - cuts[0]

    def surprise(x: float) -> float:
        log_density = float(_logpdf(law, np.array([[x]]))[0])
        return -log_density * math.exp(log_density) if log_density > -700 else 0.0

    def tails(z: float) -> float:
        return length * (surprise(cuts[0] - length * z) + surprise(cuts[-1] + length * z))

    inner = [(surprise, a, b) for a, b in itertools.pairwise(cuts)]
    pieces = [quad(*piece, limit=200, epsabs=1e-12, epsrel=1e-10) for piece in [*inner, (tails, 0.0, math.inf)]]
    unit = per_nat(base)
    return Quantity(unit * sum(v for v, _ in pieces), unit * sum(e for _, e in pieces), "quadrature")


def _cuts(law: Distribution) -> list[float]:
    """Points around the centre of each component, or quantiles of a sample if the centre is unknown."""
    components = law.parts[1]
    if len(components) > 1:
        return [x for component in components for x in _cuts(component)]
    if law.centre is None:
        seen = np.empty((512, 1), order="F")
        law.sample(stream(0, 0, 0), seen)
        return [float(x) for x in np.quantile(seen, [0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0])]
    centre, scale = float(law.centre[0]), abs(float(law.spread_transposed(np.ones(1))[0]))
    return [centre + step * scale for step in STEPS]


def _mean(law: Distribution, f: Callable[[Float], Float], base: float, how: MonteCarlo) -> Quantity:
    """Mean of ``f`` over draws of ``law``, with its standard error."""
    return _summary(_draws_of(law, f, how), base, "Monte Carlo")


def _draws_of(law: Distribution, f: Callable[[Float], Float], how: MonteCarlo) -> Float:
    """Values of ``f`` at draws of ``law``, block by block."""
    seed, draws = how
    if draws < 2:
        raise FieldError("draws", f"must be at least 2, got {draws}")
    values = []
    for chunk in plan(0, draws, law.dim).chunks():
        for block in chunk:
            x = np.empty((block.rows, law.dim), order="F")
            law.sample(stream(seed, block.stage, block.index), x)
            values.append(f(x))
    return np.concatenate(values)


def _summary(values: Float, base: float, how: str) -> Quantity:
    unit = per_nat(base)
    error = float(values.std(ddof=1)) / math.sqrt(values.size) if values.size > 1 else math.inf
    return Quantity(unit * float(values.mean()), unit * error, how)


def _finite(x: Float) -> Float:
    if not np.isfinite(x).all():
        raise FieldError("x", "must be finite, got NaN or infinity")
    return x


def _logpdf(law: Distribution, x: Float) -> Float:
    rows = np.asfortranarray(x, dtype=np.float64)
    if rows.ndim != 2 or rows.shape[1] != law.dim:
        raise FieldError("x", f"must have shape (n, {law.dim}), got {np.shape(x)}")
    out = np.empty(rows.shape[0])
    law.logpdf(rows, out)
    return out


def _both_normal(p: Distribution, q: Distribution) -> tuple[tuple[Float, Float] | None, tuple[Float, Float] | None]:
    if p.dim != q.dim:
        raise FieldError("q", f"must have the dimension of p, {p.dim}, got {q.dim}")
    return _moments(p), _moments(q)


def _moments(law: Distribution) -> tuple[Float, Float] | None:
    """Mean and covariance (a vector if it is diagonal) of a normal law; None for any other law."""
    if isinstance(law, LowRankNormal):
        return law.location, np.eye(law.dim) + (law.basis * (law.spread - 1.0)) @ law.basis.T
    return gaussian_moments(law)


def _normal_moments(law: Distribution) -> tuple[Float, Float]:
    moments = _moments(law)
    if moments is None:
        raise FieldError("components", f"must be normal laws, got {law.kind}")
    return moments

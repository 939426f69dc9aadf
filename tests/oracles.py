"""Laws evaluated slowly and independently, with SciPy, from the fields that a user gives."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats
from scipy.special import logsumexp


@dataclass(frozen=True)
class Line:
    """The law of one linear combination: a mixture of SciPy laws (one component, mostly)."""

    shares: tuple[float, ...]
    laws: tuple[Any, ...]

    def cdf(self, t):
        return sum(share * law.cdf(t) for share, law in zip(self.shares, self.laws, strict=True))

    def sf(self, t):
        return sum(share * law.sf(t) for share, law in zip(self.shares, self.laws, strict=True))

    def moment(self, k):
        return sum(share * law.moment(k) for share, law in zip(self.shares, self.laws, strict=True))

    @property
    def mean(self):
        return self.moment(1)

    @property
    def std(self):
        return np.sqrt(self.moment(2) - self.mean**2)

    @property
    def std_of_square(self):
        """Standard deviation of ``(y - mean)^2``; infinite where the fourth moment is."""
        m1, m2, m3, m4 = (self.moment(k) for k in (1, 2, 3, 4))
        fourth = m4 - 4 * m1 * m3 + 6 * m1**2 * m2 - 3 * m1**4
        return np.sqrt(fourth - self.std**4)

    def quantile(self, p):
        """By bisection: components may lie far apart."""
        low, high = -1e6, 1e6
        for _ in range(100):
            middle = 0.5 * (low + high)
            low, high = (middle, high) if self.cdf(middle) < p else (low, middle)
        return 0.5 * (low + high)


def centre_and_spread(law):
    """Location (d,) and the matrix (d, d) of a law of one elliptical kind, from its constructor's arguments."""
    d = law.dim
    if law.kind == "standard_normal":
        return np.zeros(d), np.eye(d)
    if law.kind == "low_rank_normal":
        v = np.asarray(law.directions, dtype=float)
        return np.asarray(law.mean, dtype=float), np.eye(d) + v @ (np.diag(law.variances) - np.eye(v.shape[1])) @ v.T
    loc, diagonal, dense = {
        "normal": lambda: (law.mean, law.std, law.cov),
        "student_t": lambda: (law.loc, law.scale, law.shape),
    }[law.kind]()
    scale = np.broadcast_to(1.0 if diagonal is None else diagonal, d)
    return np.broadcast_to(loc, d).astype(float), np.diag(scale**2) if dense is None else np.asarray(dense)


def has_oracle(law):
    if law.kind == "mixture":
        return all(has_oracle(c) for c in law.components)
    return law.kind in ("standard_normal", "normal", "low_rank_normal", "student_t")


def log_density(law, x):
    """Log density at the rows of ``x``."""
    if law.kind == "mixture":
        logs = [np.log(w) + log_density(c, x) for w, c in zip(law.weights, law.components, strict=True)]
        return logsumexp(logs, axis=0)
    centre, spread = centre_and_spread(law)
    if law.kind == "student_t":
        return np.atleast_1d(stats.multivariate_t(centre, spread, df=law.dof).logpdf(x))
    return np.atleast_1d(stats.multivariate_normal(centre, spread).logpdf(x))


def line(law, w):
    """The law of ``w'x``."""
    w = np.asarray(w, dtype=float)
    if law.kind == "mixture":
        parts = [line(c, w) for c in law.components]
        shares = [share * s for share, part in zip(law.weights, parts, strict=True) for s in part.shares]
        return Line(tuple(shares), tuple(one for part in parts for one in part.laws))
    centre, spread = centre_and_spread(law)
    loc, scale = w @ centre, np.sqrt(w @ spread @ w)
    one = stats.t(law.dof, loc, scale) if law.kind == "student_t" else stats.norm(loc, scale)
    return Line((1.0,), (one,))


def directions(d):
    """Combinations that see every coordinate alone, all together and against each other."""
    alternating = np.where(np.arange(d) % 2, -1.0, 1.0)
    return np.unique([*np.eye(d), np.ones(d), alternating * (1.0 + np.arange(d))], axis=0)

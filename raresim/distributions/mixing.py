"""The mixing variable of the Student t law as a smooth function of one standard normal.

With ``W ~ chi-square(dof)`` and ``W = F^-1(Phi(u))``, the t law is ``loc + s(u) * z`` where
``s(u) = sqrt(dof / W(u))``. A far quantile of W costs an iteration per draw, and ``Phi(u)`` rounds to 1 at
u = 8.3. So ``log s`` is tabulated once per law, from the log tail probabilities on either side.
"""

from __future__ import annotations

import numpy as np

from raresim.marginals import tails
from raresim.numerics import normal_scores
from raresim.numerics.arrays import Float
from raresim.numerics.interpolation import PiecewisePolynomial

U_MAX = 37.5
"""Half-width of the table: a standard normal lies beyond it with probability 1e-307."""

CELLS = 1_200


def log_mixing_table(dof: float) -> PiecewisePolynomial:
    """``log s(u)`` on [-U_MAX, U_MAX] for ``dof`` positive degrees of freedom, to 1e-10.

    ``W / 2`` has the gamma law of shape ``dof / 2``, whose quantiles are exact in logs: W itself may be below the
    smallest double.
    """
    a = 0.5 * dof

    def log_s(u: Float) -> Float:
        log_tail = normal_scores.log_tail(u)
        log_y = np.empty(u.shape)
        low = u < 0
        log_y[low] = tails.gamma_log_quantile(a, log_tail[low])
        log_y[~low] = np.log(tails.gamma_isf(a, log_tail[~low]))
        return np.asarray(0.5 * (np.log(a) - log_y))

    return PiecewisePolynomial.fit(log_s, -U_MAX, U_MAX, CELLS)


def log_mixing(u: Float, table: PiecewisePolynomial, out: Float) -> None:
    """Write ``log s`` of ``u`` (n,) into ``out`` (n,), not the memory of ``u``; linear beyond the table."""
    if not table(u, out):
        beyond = np.abs(u) > U_MAX
        out[beyond] = table.extended(u[beyond])

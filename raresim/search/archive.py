"""All evaluations of a search, weighted as one sample from all the laws that they were drawn from."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from raresim.diagnostics.ess import effective_of_logs
from raresim.distributions.base import Distribution, log_density
from raresim.numerics.arrays import Bool, Float


@dataclass(eq=False)
class Archive:
    """Draws from several laws and their losses.

    Parameters
    ----------
    target : Distribution
        The law ``p``.

    Notes
    -----
    The weight of a draw is ``p(u) / sum_j (n_j / N) q_j(u)``, the balance heuristic of [1]_. Laws fitted to earlier
    draws are too dense at exactly these draws, so sums of these weights are biased low: they serve to fit laws and to
    choose levels, never for the estimate.

    References
    ----------
    .. [1] Veach & Guibas, *Optimally combining sampling techniques for Monte Carlo rendering*, SIGGRAPH 1995.
    """

    target: Distribution
    u: Float = field(init=False)
    loss: Float = field(default_factory=lambda: np.empty(0))
    states: Float | None = None
    """Limit states of the draws (n, m), if the loss has them."""
    laws: list[Distribution] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)
    searched: list[int] = field(default_factory=list)
    """Laws that a proposal keeps as a defence: the first law, and the last law of the search for the event."""
    _log_p: Float = field(default_factory=lambda: np.empty(0))
    _log_sum: Float = field(default_factory=lambda: np.empty(0))

    def __post_init__(self) -> None:
        self.u = np.empty((0, self.target.dim), order="F")

    @property
    def size(self) -> int:
        """Number of draws."""
        return int(self.loss.size)

    def add(self, law: Distribution, u: Float, loss: Float, states: Float | None = None) -> slice:
        """Add draws of ``law`` (n, d) with losses (n,) and limit states (n, m); returns their rows in the archive."""
        first = self.size
        n = loss.size
        log_p = log_density(self.target, u)
        # log of sum_j n_j q_j: the new law at the old draws, all laws at the new ones
        new = np.full(n, -np.inf)
        for earlier, count in zip(self.laws, self.counts, strict=True):
            np.logaddexp(new, math.log(count) + log_density(earlier, u), out=new)
        if first:
            np.logaddexp(self._log_sum, math.log(n) + log_density(law, self.u), out=self._log_sum)
        np.logaddexp(new, math.log(n) + log_density(law, u), out=new)
        self.u = np.asfortranarray(np.concatenate([self.u, u]))
        self.loss = np.concatenate([self.loss, loss])
        if states is not None:
            self.states = states if self.states is None else np.concatenate([self.states, states])
        self._log_p = np.concatenate([self._log_p, log_p])
        self._log_sum = np.concatenate([self._log_sum, new])
        self.laws.append(law)
        self.counts.append(n)
        return slice(first, first + n)

    @property
    def log_weight(self) -> Float:
        """Log of the balance-heuristic weight of every draw, in nats."""
        return self._log_p - self._log_sum + math.log(self.size)

    def keep_searched(self) -> None:
        """End the search: from now on its first and its last law are the defence of every proposal."""
        self.searched = sorted({0, len(self.laws) - 1})

    def level(self, goal: float, ess: float) -> float:
        """The largest loss, at most ``goal``, beyond which the effective number of draws is ``ess``."""
        order = np.argsort(-self.loss)
        log_weight = self.log_weight[order]
        weight = np.exp(log_weight - log_weight.max())
        squares = np.cumsum(np.square(weight))
        worth = np.divide(np.cumsum(weight) ** 2, squares, out=np.zeros(order.size), where=squares > 0.0)
        enough = np.flatnonzero(worth >= ess)
        k = int(enough[0]) if enough.size else order.size - 1
        return min(goal, float(self.loss[order[k]]))

    def ess(self, level: float) -> float:
        """Effective number of draws beyond ``level``."""
        return effective_of_logs(self.log_weight[self.loss >= level])

    def probability(self, level: float) -> float:
        """Probability of a loss beyond ``level``, from all draws as one sample."""
        return min(1.0, float(np.exp(self.log_weight[self.loss >= level]).sum()) / self.size)

    def variance(self, law: Distribution, hit: Bool, ess: float) -> float:
        """Relative variance of a draw of ``law`` weighted for the event ``hit`` (n,).

        NaN if the effective number of hits is below ``ess``.
        """
        log_weight = self.log_weight[hit]
        if effective_of_logs(log_weight) < ess:
            return math.nan
        of_law = log_density(law, np.asfortranarray(self.u[hit]))
        second = np.logaddexp.reduce(log_weight + self._log_p[hit] - of_law) - math.log(self.size)
        first = np.logaddexp.reduce(log_weight) - math.log(self.size)
        return max(0.0, math.exp(second - 2.0 * first) - 1.0)

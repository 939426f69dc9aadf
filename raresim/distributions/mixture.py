"""A mixture of laws, among them the defensive mixture that bounds every weight."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from raresim.arguments import checks
from raresim.arguments.checks import Vector
from raresim.distributions.base import Distribution
from raresim.distributions.normal import Normal
from raresim.distributions.standard_normal import StandardNormal
from raresim.errors import FieldError
from raresim.numerics import arrays
from raresim.numerics.arrays import Float
from raresim.numerics.exponentials import exponential
from raresim.registry import member


@member("distribution")
@dataclass(frozen=True, kw_only=True, eq=False)
class Mixture(Distribution):
    """Mixture of laws that have the same dimension.

    Density ``sum_k w_k f_k(x)``.

    Parameters
    ----------
    weights : (k,)
        Shares, positive, adding to one within 1e-9.
    components : sequence of Distribution
        The ``k`` laws; a mixture among them is replaced by its own components.

    Raises
    ------
    FieldError
        When counts or dimensions disagree, or the weights are not shares.
    """

    kind: ClassVar[str] = "mixture"

    weights: Vector
    components: Sequence[Distribution]

    shares: Float = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not self.components:
            raise FieldError("components", "must name at least one distribution")
        dims = [c.dim for c in self.components]
        if len(set(dims)) > 1:
            raise FieldError("components", f"must have one dimension in common, got {dims}")
        shares = checks.vector("weights", self.weights, len(dims))
        if not (shares > 0).all():
            raise FieldError("weights", f"must be positive, got {shares.min():g}")
        if abs(shares.sum() - 1.0) > 1e-9:
            raise FieldError("weights", f"must add to 1, got {shares.sum():.12g}")
        parts = [c.parts for c in self.components]
        flat = [(w * v, law) for w, own in zip(shares, parts, strict=True) for v, law in zip(*own, strict=True)]
        for name in ("weights", "shares"):
            object.__setattr__(self, name, arrays.frozen(np.array([w for w, _ in flat])))
        object.__setattr__(self, "components", tuple(c for _, c in flat))

    @classmethod
    def defensive(cls, proposal: Distribution, target: Distribution, share: float) -> Distribution:
        """``proposal`` with ``share`` of the draws from ``target``: no weight exceeds ``1 / share``.

        References
        ----------
        .. [1] Hesterberg, *Weighted average importance sampling and defensive mixture distributions*,
           Technometrics 37, 1995.
        """
        if share == 0:
            return proposal
        return cls(weights=[1 - share, share], components=(proposal, target))

    @property
    def dim(self) -> int:
        return self.components[0].dim

    @property
    def parts(self) -> tuple[Float, tuple[Distribution, ...]]:
        return self.shares, tuple(self.components)

    def sample(self, rng: np.random.Generator, x: Float) -> None:
        """Fill ``x``; the rows of one component stand together, and the counts of rows are multinomial."""
        counts = rng.multinomial(x.shape[0], self.shares)
        row = 0
        for component, count in zip(self.components, counts, strict=True):
            if count:
                rows = arrays.scratch("component", int(count), self.dim)
                component.sample(rng, rows)
                x[row : row + count] = rows
                row += count

    def logpdf(self, x: Float, out: Float) -> None:
        n = x.shape[0]
        logs = arrays.scratch("component_logpdf", n, len(self.components))
        self.component_logpdf(x, logs)
        log_sum_exp(logs, out)

    def component_logpdf(self, x: Float, logs: Float) -> None:
        """Write ``log(w_k f_k(x_i))`` into ``logs`` (n, k)."""
        for k, component in enumerate(self.components):
            component.logpdf(x, logs[:, k])
            logs[:, k] += np.log(self.shares[k])

    @staticmethod
    def examples() -> list[Mixture]:
        """Members for the conformance tests."""
        two = (Normal(mean=-3.0, std=1.0), Normal(mean=3.0, std=0.5))
        return [Mixture(weights=[0.3, 0.7], components=two)]


def log_weight_bound(law: Distribution | None, target: Distribution) -> float | None:
    """Log of the largest possible weight ``target / law``, in nats: one over the target's share in a mixture.

    Zero where ``law`` is None, which stands for the target; None where no share is known.
    """
    if law is None:
        return 0.0
    share = sum(w for w, part in zip(*law.parts, strict=True) if part is target or _are_standard(part, target))
    return -math.log(share) if share > 0 else None


def _are_standard(part: Distribution, target: Distribution) -> bool:
    return isinstance(part, StandardNormal) and isinstance(target, StandardNormal)


def log_sum_exp(logs: Float, out: Float) -> None:
    """``out[i] = log sum_k exp(logs[i, k])``; overwrites ``logs`` (n, k) with its exponentials."""
    top = arrays.scratch("log_sum_exp", logs.shape[0], 1)[:, 0]
    np.max(logs, axis=1, out=top)
    logs -= top[:, None]
    exponential(logs, logs)
    np.sum(logs, axis=1, out=out)
    np.log(out, out=out)
    out += top

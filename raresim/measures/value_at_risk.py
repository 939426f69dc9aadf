"""The loss that is exceeded with a given probability."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from raresim.measures.base import Quantity
from raresim.measures.levels import AtLevels
from raresim.registry import member


@member("measure")
@dataclass(frozen=True, kw_only=True)
class ValueAtRisk(AtLevels):
    """Value at risk: the smallest ``x`` with ``P(loss <= x) >= level``, at one or several levels.

    Parameters
    ----------
    level : float or a list of them
        The confidence, such as 0.999; exactly one of ``level`` and ``tail``.
    tail : float or a list of them
        One minus the level, such as 1e-3; computations use the tail.
    confidence : float
        Confidence of the interval, between 0 and 1.
    reference : Reference or a list of them
        Known answers, one per level, in the unit of the loss.

    Raises
    ------
    FieldError
        When a level is not between 0 and 1, or the numbers of levels and references differ.

    Notes
    -----
    The interval holds every ``x`` for which the interval of the tail probability contains ``tail`` ([1]_); that
    interval is exact for draws of the target and on the log scale for weighted draws.

    References
    ----------
    .. [1] Chu & Nakayama, *Confidence intervals for quantiles when applying variance-reduction techniques*,
       ACM Trans. Model. Comput. Simul. 22, 2012.
    """

    kind: ClassVar[str] = "value_at_risk"
    quantity: ClassVar[Quantity] = "value_at_risk"

    @staticmethod
    def examples() -> list[ValueAtRisk]:
        """Members for the conformance tests."""
        return [ValueAtRisk(level=0.999), ValueAtRisk(tail=[0.01, 1e-4], confidence=0.9)]

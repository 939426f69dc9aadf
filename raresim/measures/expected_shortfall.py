"""The mean loss beyond the value at risk."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from raresim.distributions.base import Inputs
from raresim.errors import FieldError
from raresim.losses.base import Loss
from raresim.measures.base import Quantity
from raresim.measures.levels import AtLevels
from raresim.registry import member


@member("measure")
@dataclass(frozen=True, kw_only=True)
class ExpectedShortfall(AtLevels):
    """Expected shortfall: ``VaR + E[(loss - VaR)+] / (1 - level)``, at one or several levels.

    Parameters
    ----------
    level : float or a list of them
        The confidence, such as 0.975; exactly one of ``level`` and ``tail``.
    tail : float or a list of them
        One minus the level, such as 0.025; computations use the tail.
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
    This is the mean of the worst share ``1 - level`` of all outcomes. It is also right where the value at risk is an
    atom of the loss, of which ``E[loss | loss >= VaR]`` counts too much ([1]_). The standard error is computed from the
    mean of ``w (loss - VaR)+``, because to first order the error of the value at risk has no effect; the interval is
    computed on the log scale.

    References
    ----------
    .. [1] Acerbi & Tasche, *On the coherence of expected shortfall*, J. Bank. Finance 26, 2002.
    """

    kind: ClassVar[str] = "expected_shortfall"
    quantity: ClassVar[Quantity] = "expected_shortfall"

    def check_moments(self, loss: Loss, inputs: Inputs) -> None:
        closed = loss.moments(inputs)
        if closed is not None and closed[0] == math.inf:
            raise FieldError(
                "level" if self.level is not None else "tail",
                "has no expected shortfall: the loss has an infinite mean, so the mean of its worst outcomes is "
                "infinite too; ask for a value_at_risk or an exceedance curve, or limit the loss",
            )

    @staticmethod
    def examples() -> list[ExpectedShortfall]:
        """Members for the conformance tests."""
        return [ExpectedShortfall(level=0.975), ExpectedShortfall(tail=[0.01, 1e-4], confidence=0.9)]

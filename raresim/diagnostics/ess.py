"""Kish's effective number of weighted rows."""

from __future__ import annotations

import numpy as np

from raresim.numerics.arrays import Float


def effective(weight: Float) -> float:
    """Effective number of rows, ``(sum w)^2 / sum w^2``, of weights (n,); 0 where all are zero."""
    largest = float(weight.max(initial=0.0))
    if not largest > 0:
        return 0.0
    relative = weight / largest  # so that squares do not vanish
    return float(relative.sum() ** 2 / np.square(relative).sum())


def effective_of_logs(log_weight: Float) -> float:
    """`effective` of log weights (n,) in nats, of any size."""
    top = log_weight.max(initial=-np.inf)
    return effective(np.exp(log_weight - top)) if top > -np.inf else 0.0

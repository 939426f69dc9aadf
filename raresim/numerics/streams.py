"""One random stream per (seed, stage, block)."""

from __future__ import annotations

import numpy as np

STREAM_VERSION = 2
BIT_GENERATOR = "SFC64"


def stream(seed: int, stage: int, block: int) -> np.random.Generator:
    """The generator of one block.

    Parameters
    ----------
    seed : int
        The run's seed, non-negative.
    stage : int
        Index of the stage: no two stages of a run share one.
    block : int
        Index of the block in its stage.

    Notes
    -----
    NumPy's `SeedSequence` hashes ``(seed, (stage, block))`` to the start of the stream, so a block can be
    drawn again from its index alone, on any worker and in any order.
    """
    sequence = np.random.SeedSequence(seed, spawn_key=(stage, block))
    return np.random.Generator(np.random.SFC64(sequence))

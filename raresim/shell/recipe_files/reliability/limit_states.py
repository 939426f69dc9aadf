"""The limit state of reliability.yaml."""

import numpy as np


def beam(x: np.ndarray) -> np.ndarray:
    """Moment of a steel beam on two supports beyond what it resists, in kN m, (n,): it fails where this is above 0.

    The columns of ``x`` (n, 4) are in the order of the inputs: strength in N/mm2, section modulus in mm3, load at
    midspan in kN, span in m.
    """
    strength, modulus, load, span = x.T
    return np.asarray(load * span / 4 - 1e-6 * strength * modulus)

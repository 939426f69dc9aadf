"""The loss of function.yaml: larger is worse, and the event is a loss of at least the threshold."""

import numpy as np


def lack_of_strength(x: np.ndarray) -> np.ndarray:
    """By how much the load exceeds the strength, (n,); the columns of ``x`` (n, 2) are in the order of the inputs."""
    load, strength = x.T
    return np.asarray(load - strength)

"""Arguments of the kernels of paths, to compare each with its Python source in tests/numerics/test_jit.py."""

import numpy as np

from raresim.models.paths import bridge
from tests.helpers import block, normals

N, STEPS = 200, 13


def paths(seed=860):
    return np.asfortranarray(np.cumsum(0.3 * normals(N, STEPS, seed), axis=1))


ARGUMENTS = {
    "average": lambda: (paths(), False, True, np.empty(N)),
    "bridged": lambda: (normals(N, STEPS, 861), *bridge.order_of(STEPS), block(N, STEPS)),
    "deepest_fall": lambda: (paths(), np.empty(N)),
    "extremes": lambda: (paths(), np.abs(normals(N, STEPS, 862)), 0.09, -1.0, block(N, STEPS)),
    "farthest": lambda: (paths(), -1.0, np.empty(N)),
    "first_time": lambda: (paths(), 1.0, 0.8, np.empty(N)),
    "jump_walk": lambda: (
        normals(N, STEPS, 863),
        np.floor(np.abs(2.0 * normals(N, STEPS, 864))),
        *(0.01, -0.1, 0.04, 0.02),
        block(N, STEPS),
    ),
    "normal_walk": lambda: (normals(N, STEPS, 865), 0.01, 0.2, block(N, STEPS)),
    "quadratic_exponential": lambda: (
        normals(N, STEPS, 866),
        2.0 * normals(N, STEPS, 867),
        *(0.002, 0.1, 0.04, 2.0, 0.04, 1.0, -0.7),
        block(N, STEPS),
    ),
    "summed": lambda: (normals(N, STEPS, 868), block(N, STEPS)),
    "unbridged": lambda: (paths(), *bridge.order_of(STEPS), block(N, STEPS)),
    "worst_window": lambda: (paths(), 4, np.empty(N)),
}

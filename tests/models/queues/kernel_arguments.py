"""Arguments of the kernels of queues, to compare each with its Python source in tests/numerics/test_jit.py."""

import numpy as np
from scipy import special

from tests.helpers import block, normals

P = np.array([0.2, 0.5, 0.3])  # an arrival, and two services
BETWEEN = special.ndtri(np.cumsum(P)[:-1])
FACTORS = np.array([[1.5, 1.0, 1.0 / 1.5], [1.5, 1.0 / 1.5, 1.0], [1.0, 1.0, 1.0]])
CHANGE = (FACTORS, 5, 0.8, 1.2)  # level, slope and distance of the pieces over their blur
N, JUMPS = 200, 40


def state():
    return np.array([2, 0], dtype=np.int64)


ARGUMENTS = {
    "chain_draw": lambda: (special.ndtr(normals(N, JUMPS, 840)), P, *CHANGE, block(N, JUMPS)),
    "chain_ratio": lambda: (normals(N, JUMPS, 841), BETWEEN, P, *CHANGE, np.empty(N)),
    "largest_of": lambda: (normals(N, JUMPS, 842), BETWEEN, 4, block(N, 2)),
    "moved_by": lambda: (1, state()),
    "ratios_at": lambda: (state(), P, FACTORS, 0.8, 1.2, np.empty(3)),
}

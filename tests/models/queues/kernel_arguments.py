"""Arguments of the kernels of queues, to compare each with its Python source in tests/numerics/test_jit.py."""

import numpy as np
from scipy import special

from raresim.models.queues.chain_moments import chain_terms
from tests.helpers import block, normals

P = np.array([0.2, 0.5, 0.3])  # an arrival, and two services
BETWEEN = special.ndtri(np.cumsum(P)[:-1])
FACTORS = np.array([[1.5, 1.0, 1.0 / 1.5], [1.5, 1.0 / 1.5, 1.0], [1.0, 1.0, 1.0]])
CHANGE = (FACTORS, 5, 0.8, 1.2)  # level, slope and distance of the pieces over their blur
N, JUMPS = 200, 40


def state():
    return np.array([2, 0], dtype=np.int64)


def steps():
    return np.tile(np.arange(25)[:, None], 3)


def walk_of_states():
    term, step = np.zeros((25, 3)), steps()
    chain_terms.py_func(P, *CHANGE, 0.7, term, step)
    return term, step


ARGUMENTS = {
    "chain_moment": lambda: (*walk_of_states(), 5, JUMPS, np.zeros(25), np.zeros(25)),
    "chain_terms": lambda: (P, *CHANGE, 0.7, np.zeros((25, 3)), steps()),
    "chain_draw": lambda: (special.ndtr(normals(N, JUMPS, 840)), P, *CHANGE, block(N, JUMPS)),
    "chain_ratio": lambda: (normals(N, JUMPS, 841), BETWEEN, P, *CHANGE, np.empty(N)),
    "largest_of": lambda: (normals(N, JUMPS, 842), BETWEEN, 4, block(N, 2)),
    "moved_by": lambda: (1, state()),
    "ratios_at": lambda: (state(), P, FACTORS, 0.8, 1.2, np.empty(3)),
}

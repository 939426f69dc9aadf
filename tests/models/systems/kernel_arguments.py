"""Arguments of the kernels of systems, to compare each with its Python source in tests/numerics/test_jit.py."""

import numpy as np

from tests.helpers import normals

N, D = 100, 70  # more parts than bits in a word
BITS = np.zeros((3, 2), np.uint64)
BITS[0, 0], BITS[1, 0], BITS[1, 1], BITS[2, 1] = 0b101, 1 << 63, 1, 0b110
ENDS = np.array([[0, 1], [1, 2], [2, 3], [3, 0], [0, 2]], dtype=np.int64)
ORDER = np.argsort(normals(N, 5, 851), axis=1, kind="stable").copy()

ARGUMENTS = {
    "connecting_edge": lambda: (ORDER, ENDS, np.array([0, 3], dtype=np.int64), 4, np.empty(N, np.int64)),
    "failed_cuts": lambda: (normals(N, D, 850), np.full(D, 0.3), BITS, np.empty(N)),
}

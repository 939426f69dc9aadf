"""Tests. Matrices are small: a second thread of linear algebra only waits for a core that another worker has."""

import os

for _library in ("MKL", "OMP", "OPENBLAS"):
    os.environ.setdefault(f"{_library}_NUM_THREADS", "1")

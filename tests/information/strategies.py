"""Random finite laws for Hypothesis: probabilities that may be zero, tables, and channels."""

import numpy as np
from hypothesis import strategies as st

MASS = st.one_of(st.just(0.0), st.floats(1e-9, 1.0), st.floats(1e-300, 1e-9))
"""Before normalising: impossible, ordinary and nearly impossible outcomes."""


def _normalised(masses):
    law = np.array(masses)
    law = law / law.max()
    return law / law.sum()


def laws(k, mass=MASS):
    """A law on ``k`` outcomes."""
    return st.lists(mass, min_size=k, max_size=k).filter(any).map(_normalised)


@st.composite
def several_laws(draw, count, least=2, most=7):
    """``count`` laws on the same outcomes."""
    k = draw(st.integers(least, most))
    return tuple(draw(laws(k)) for _ in range(count))


@st.composite
def tables(draw, most=5):
    """A joint law of two variables, ``table[x, y]``."""
    rows, columns = draw(st.integers(1, most)), draw(st.integers(1, most))
    return draw(laws(rows * columns)).reshape(rows, columns)


@st.composite
def channels(draw, k, most=5):
    """A stochastic matrix of ``k`` rows: what may be done to an observation.

    No entry so small that its product with a probability is below the smallest double.
    """
    m = draw(st.integers(1, most))
    return np.array([draw(laws(m, st.one_of(st.just(0.0), st.floats(1e-3, 1.0)))) for _ in range(k)])

"""The frame of expectation maximisation, with a mixture of two normal laws of variance one as the family."""

import numpy as np
import pytest
from scipy import stats

from raresim.numerics.em import climb

ROWS = np.concatenate([stats.norm.ppf((np.arange(200) + 0.5) / 200) + centre for centre in (-4.0, 3.0)])


def expect(centres):
    joint = np.array([0.5 * stats.norm.pdf(ROWS, centre) for centre in centres])
    return joint / joint.sum(axis=0), float(np.log(joint.sum(axis=0)).mean())


def maximise(_, shares):
    return tuple(shares @ ROWS / shares.sum(axis=1))


def test_the_means_of_two_clusters_are_found():
    """They overlap by 2e-4 of their rows."""
    centres, mean = climb((-1.0, 1.0), expect, maximise, 100, 1e-12)
    assert centres == pytest.approx((-4.0, 3.0), abs=2e-3)
    assert mean == expect(centres)[1]


@pytest.mark.parametrize("steps", range(4))
def test_the_mean_density_is_that_of_the_law_that_is_returned(steps):
    made = []

    def counted(law, shares):
        made.append(law)
        return maximise(law, shares)

    law, mean = climb((-0.5, 0.5), expect, counted, steps, 0.0)
    assert len(made) == steps
    assert mean == expect(law)[1]
    assert (law == (-0.5, 0.5)) == (steps == 0)


def test_no_step_lowers_the_mean_density():
    means = [climb((-0.1, 0.2), expect, maximise, steps, 0.0)[1] for steps in range(8)]
    assert means == sorted(means)
    assert means[-1] > means[0] + 1.0


def test_a_small_gain_or_a_family_without_a_law_ends_it():
    law, _ = climb((-4.0, 3.0), expect, maximise, 50, 0.1)
    assert law == pytest.approx((-4.0, 3.0), abs=2e-3)
    assert climb((-1.0, 1.0), expect, lambda *_: None, 50, 0.0) == ((-1.0, 1.0), expect((-1.0, 1.0))[1])

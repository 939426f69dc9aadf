"""Tasks of a pool have about the length that they should, also where the chunks of a stage grow."""

import numpy as np
import pytest

from raresim.engine import groups
from raresim.engine.groups import Groups, _Ahead
from raresim.numerics.blocks import Growing, Plan


def items(stage):
    return ((chunk, None) for chunk in stage.chunks())


def rows(group):
    return sum(block.rows for chunk, _ in group for block in chunk)


@pytest.mark.parametrize("stage", [Growing(0, 4_000_000, 3), Plan(0, 4_000_000, 10_000, 3)], ids=["growing", "even"])
@pytest.mark.parametrize("most", [0, 1_000, 100_000, 10**9])
def test_a_group_has_no_more_rows_than_it_should_but_at_least_one_chunk(stage, most):
    ahead, seen = _Ahead(items(stage)), 0
    while ahead.items:
        first = rows(ahead.items)
        group = ahead.take(most)
        assert rows(group) <= max(most, first)
        assert len(group) <= groups.MOST
        assert group[0][0][0].first == seen
        seen += rows(group)
    assert seen == stage.end


def test_tasks_are_as_long_as_what_is_left_allows():
    """A stage of 8 s on two workers: a second each at first, none shorter than a fifth of a second but the last."""
    pool = type("Pool", (), {"workers": 2})()
    made, pace, end = Groups(pool), 2e-6, 4_000_000
    made._paces[("a",)] = pace
    ahead, lengths = _Ahead(items(Growing(0, end, 3))), []
    while ahead.items:
        group = ahead.take(made._rows_of_task(("a",), ahead, end, 2))
        lengths.append(pace * rows(group))
    assert 10 <= len(lengths) <= 40
    assert max(lengths) <= 1.0
    assert np.sum(np.array(lengths) < 0.05) <= 3

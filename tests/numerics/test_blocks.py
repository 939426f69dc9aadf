"""Blocks and chunks: every row once, the same whoever works."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from raresim.engine.executors import Executor
from raresim.numerics.blocks import BLOCK_BYTES, MAX_ROWS, Growing, block_rows, plan

SIZES = st.integers(1, 3_000_000)
DIMS = st.integers(1, 2000)


def blocks_of(a_plan):
    return list(itertools.chain.from_iterable(a_plan.chunks()))


def assert_follow_on(blocks, first_block=0, first_row=0):
    for block in blocks:
        assert (block.index, block.first) == (first_block, first_row)
        assert block.rows > 0
        first_block, first_row = block.index + 1, block.first + block.rows
    return first_row


@given(SIZES, DIMS)
def test_every_row_is_in_one_block(n, d):
    a_plan = plan(3, n, d)
    blocks = blocks_of(a_plan)
    assert assert_follow_on(blocks) == n
    assert len(blocks) == a_plan.n_blocks
    assert len(list(a_plan.chunks())) == a_plan.n_chunks
    assert {block.stage for block in blocks} == {3}


@given(SIZES, st.integers(1, 3_000_000), DIMS)
def test_a_continued_plan_starts_where_the_first_ended(n, more, d):
    first = plan(0, n, d)
    then = first.then(more)
    both = blocks_of(first) + blocks_of(then)
    assert assert_follow_on(both) == n + more
    assert then.stage == first.stage


@given(SIZES, DIMS)
def test_a_block_is_within_the_byte_budget(n, d):
    rows = block_rows(n, d)
    assert 1 <= rows <= MAX_ROWS
    assert rows == 1 or 8 * rows * d <= BLOCK_BYTES
    assert all(block.rows <= rows for block in blocks_of(plan(0, n, d)))


@given(st.integers(5000, 3_000_000), st.integers(1, 100))
def test_a_stage_has_work_for_sixteen_workers(n, d):
    assert plan(0, n, d).n_chunks >= 15


def test_chunks_depend_on_the_plan_alone():
    """What each of 1, 2 and 3 threads is given: the same chunks in the same order."""
    a_plan, given_out = plan(0, 200_000, 5), []
    for workers in (1, 2, 3):
        with Executor.of("threads", workers) as executor:
            given_out.append(list(executor.map(tuple, a_plan.chunks())))
    assert given_out[0] == given_out[1] == given_out[2] == list(a_plan.chunks())


@given(st.integers(1, 300_000), st.integers(1, 300_000), DIMS, st.sampled_from([None, 1]))
def test_a_shorter_growing_stage_begins_a_longer_one(n, more, d, fixed):
    n, more = (n, more) if fixed is None else (1 + n % 500, 1 + more % 500)
    short, long = Growing(2, n, d, fixed), Growing(2, n + more, d, fixed)
    blocks = blocks_of(short)
    assert assert_follow_on(blocks) == n
    assert assert_follow_on(blocks_of(long)) == n + more
    assert len(blocks) == short.n_blocks
    chunks, longer = list(short.chunks()), list(long.chunks())
    assert len(chunks) == short.n_chunks
    assert chunks[:-1] == longer[: len(chunks) - 1]
    if short.whole(len(chunks) - 1):
        assert chunks[-1] == longer[len(chunks) - 1]
    assert all(block.rows == (fixed or block.rows) for block in blocks)

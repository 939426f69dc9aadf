"""Draw a block; fold summaries in block order."""

import time
from dataclasses import dataclass

import numpy as np
import pytest

from raresim import Linear, Normal, PythonLoss, StandardNormal, StudentT
from raresim.accumulators.base import Accumulator
from raresim.engine.executors import Executor
from raresim.engine.fold import Job, Sampler, fold
from raresim.engine.journal import Journal, keeping
from raresim.engine.problem import Problem
from raresim.engine.session import Session
from raresim.errors import LossError
from raresim.losses.failures import collecting
from raresim.numerics.blocks import Block, plan
from raresim.record.event import Event
from raresim.search.explorer import Explorer
from tests import oracles


@dataclass(frozen=True)
class Seen(Accumulator):
    """The indices of the blocks, in the order in which they were merged."""

    order: tuple[int, ...]

    def merge(self, other):
        return Seen(self.order + other.order)


class Index(Job):
    """Later blocks of a chunk take less time, so completion order is not block order."""

    def __call__(self, block):
        time.sleep(0.001 * (block.index % 3 == 0))
        return Seen((block.index,))


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_blocks_are_merged_in_their_order(workers):
    a_plan, counts = plan(0, 50_000, 3), []
    with Executor.of("threads", workers) as executor:
        total = fold(executor, Index(), a_plan, None, lambda part: counts.append(len(part.order)))
        total = fold(executor, Index(), a_plan.then(10_000), total)
    assert total.order == tuple(range(len(total.order)))
    assert counts == sorted(counts)
    assert counts[-1] == a_plan.n_blocks


@dataclass(frozen=True)
class Noise(Accumulator):
    """Sums that show the grouping of their terms in the last digits."""

    total: float

    def merge(self, other):
        return Noise(self.total + other.total)


class Draw(Job):
    def __call__(self, block):
        return Noise(float(np.random.default_rng(block.index).standard_cauchy()))


def test_float_sums_have_the_same_bits_for_any_number_of_workers():
    totals = set()
    for workers in (1, 2, 3):
        with Executor.of("threads", workers) as executor:
            totals.add(fold(executor, Draw(), plan(0, 300_000, 10)).total)
    assert len(totals) == 1


PROBLEM = Problem(StudentT(dof=4.0, dim=2), Linear(weights=[1.0, 2.0]).bind(StandardNormal(dim=2)), "standard")
BLOCK = Block(stage=2, index=5, first=0, rows=500)


def test_a_block_can_be_drawn_again_from_its_index(seed):
    sampler = Sampler(PROBLEM, Normal(mean=[1.0, 0.0, 0.0]), seed(171))
    first = sampler.draw(BLOCK).copy()
    sampler.draw(Block(2, 6, 0, 700))
    np.testing.assert_array_equal(sampler.draw(BLOCK), first)


def test_no_two_blocks_have_a_draw_in_common(seed):
    sampler = Sampler(PROBLEM, None, seed(175))
    blocks = [Block(stage, index, 0, 200) for stage in (0, 1) for index in range(5)]
    u = np.concatenate([sampler.draw(b).copy() for b in blocks])
    assert len(np.unique(u[:, 0])) == len(u)


def test_log_weight_is_the_target_over_the_proposal(seed):
    proposal = Normal(mean=[1.0, 0.0, 0.5], cov=np.diag([1.0, 2.0, 0.7]))
    sampler = Sampler(PROBLEM, proposal, seed(172))
    u = sampler.draw(BLOCK)
    exact = oracles.log_density(StandardNormal(dim=3), u) - oracles.log_density(proposal, u)
    np.testing.assert_allclose(sampler.log_weight(u), exact, rtol=1e-11, atol=1e-11)


def test_draws_of_the_target_have_no_weight(seed):
    sampler = Sampler(PROBLEM, None, seed(173))
    assert not sampler.log_weight(sampler.draw(BLOCK)).any()


def test_loss_is_that_of_the_mapped_draws(seed):
    sampler = Sampler(PROBLEM, None, seed(174))
    u = sampler.draw(BLOCK)
    before = u.copy()
    loss = sampler.loss(u, BLOCK)
    x = PROBLEM.inputs.to_physical(u, np.empty((500, 2), order="F"))
    np.testing.assert_allclose(loss, x @ [1.0, 2.0], rtol=1e-13, atol=1e-13)
    np.testing.assert_array_equal(u, before)


# --- limit states ------------------------------------------------------------------------------------


class Cubes:
    """Two limit states; counts the rows that it is asked for."""

    def __init__(self, fails=False):
        self.rows, self.fails = 0, fails

    def __call__(self, x):
        self.rows += len(x)
        out = np.column_stack([x[:, 0], x[:, 1] ** 3])
        out[np.asarray(self.fails & (x[:, 0] > 0))] = np.nan
        return out


def of_cubes(function, **options):
    loss = PythonLoss(function=function, limit_states=["line", "cube"], **options).bind(StandardNormal(dim=3))
    return Problem(StandardNormal(dim=3), loss)


def explorer_of(problem, sign=1.0, executor=None):
    return Explorer(Session(problem, [Event(0.0)], 3, executor or Executor(), 10**6, lambda *_: None), sign)


POINTS = np.asfortranarray(np.random.default_rng(8).standard_normal((50, 3)))


@pytest.mark.parametrize("system", ["any", "all"])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_loss_and_limit_states_come_from_one_evaluation(system, sign):
    function = Cubes()
    explorer = explorer_of(of_cubes(function, system=system), sign)
    loss, states = explorer.states(POINTS)
    assert (function.rows, explorer.evaluations) == (50, 50)
    expected = np.column_stack([POINTS[:, 0], POINTS[:, 1] ** 3])
    np.testing.assert_array_equal(states, sign * expected)
    np.testing.assert_array_equal(loss, sign * (expected.max(axis=1) if system == "any" else expected.min(axis=1)))
    np.testing.assert_array_equal(explorer(POINTS), loss)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_loss_without_limit_states_is_one_of_itself(sign):
    explorer = explorer_of(PROBLEM, sign)
    loss, states = explorer.states(POINTS)
    np.testing.assert_array_equal(loss, explorer(POINTS))
    np.testing.assert_array_equal(states, loss[:, None])


def test_limit_states_of_a_row_that_failed_are_beyond_no_level():
    with collecting() as heard:
        loss, states = explorer_of(of_cubes(Cubes(fails=True), on_failure="bound")).states(POINTS)
    failed = POINTS[:, 0] > 0
    np.testing.assert_array_equal(loss == -np.inf, failed)
    np.testing.assert_array_equal((states == -np.inf).all(axis=1), failed)
    assert heard.failures.total == failed.sum()
    with pytest.raises(LossError, match=r"must be finite, got nan .* \[stage 0, block 0\]"):
        explorer_of(of_cubes(Cubes(fails=True))).states(POINTS)


def test_a_run_that_is_resumed_recalls_limit_states():
    function, journal = Cubes(), Journal()
    with keeping(journal):
        first = explorer_of(of_cubes(function))
        before = first.states(POINTS), first(POINTS), first.states(POINTS[:7])
    assert (function.rows, journal.evaluations) == (107, 107)
    again = Journal.of_arrays(*journal.arrays())
    with keeping(again):
        second = explorer_of(of_cubes(function))
        after = second.states(POINTS), second(POINTS), second.states(POINTS[:7])
    assert function.rows == 107
    for one, other in zip((*before[0], before[1], *before[2]), (*after[0], after[1], *after[2]), strict=True):
        np.testing.assert_array_equal(one, other)


def test_limit_states_are_the_same_on_every_executor():
    function = Cubes()
    many = np.asfortranarray(np.random.default_rng(9).standard_normal((20_000, 3)))
    alone = explorer_of(of_cubes(function)).states(many)
    with Executor.of("threads", 2) as executor:
        together = explorer_of(of_cubes(function), executor=executor).states(many)
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one, other)

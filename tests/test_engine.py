"""Draw a block; fold summaries in block order."""

import time
from dataclasses import dataclass

import numpy as np
import pytest

from raresim import Linear, Normal, StandardNormal, StudentT
from raresim.accumulators.base import Accumulator
from raresim.blocks import Block, plan
from raresim.engine import Job, Sampler, fold
from raresim.executors import Executor
from raresim.problem import Problem
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

"""What a run may hold in memory, worked out from its config before anything of it is allocated.

A run is a stream of blocks, so hardly anything grows with the number of draws: what does is named here. The figures are
upper limits for the shipped methods (`tests/config/test_memory.py` holds them against what runs take). What a user's
own loss allocates beyond a copy of its arguments cannot be known.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

from raresim.accumulators import ends, tail_draws, weighted_losses
from raresim.accumulators.top import CAPACITY
from raresim.engine.executors import UNITS, Execution
from raresim.engine.journal import JOURNAL_BYTES
from raresim.estimators.base import KEPT_ROWS
from raresim.measures.base import Keeps
from raresim.methods.base import Method
from raresim.methods.cross_entropy import KEPT_ELITES, CrossEntropy
from raresim.methods.design_point import DesignPointSampling
from raresim.methods.directional_sampling import DirectionalSampling
from raresim.methods.line_sampling import LineSampling
from raresim.methods.pilot import PopulationMethod
from raresim.methods.subset_simulation import SubsetSimulation
from raresim.numerics.blocks import block_rows
from raresim.run.audit import MOST_LEVELS, SIZES, Extent
from raresim.run.estimation import Stop

MIB = UNITS["MiB"]

PROGRAM = 280 * MIB
"""Python, the libraries, compiled kernels and the figures of the report."""

WORKER_PROCESS = 200 * MIB
"""The same of a worker in a process of its own, which draws no figure."""

FILE_COPIES = 25
"""Times its size that a data file takes while it is read: bytes, text, cells one by one, numbers."""

SAVINGS = 4
"""Times its size that what is kept to resume takes while it is saved."""

EXPLORE = 10_000
"""Draws before the search, where the loss has no moments in closed form."""

VALUE = 8

LOSSES_READ, DRAWS_READ = 14, 4
"""Numbers for each loss that is kept by itself, while it is sorted and summed, and for each coordinate of a draw."""

ADVICE = "allow more, or give fewer workers, fewer samples, another method or a smaller stop.max_evaluations"


@dataclass(frozen=True)
class Part:
    """One thing that a run holds: what it is, and its size in bytes."""

    what: str
    size: int


def shown(size: float) -> str:
    """A size in the unit that suits it."""
    unit = "GiB" if size >= UNITS["GiB"] else "MiB"
    return f"{size / UNITS[unit]:,.{1 if unit == 'GiB' else 0}f} {unit}"


def parts(
    latent_dim: int,
    dim: int,
    method: Method,
    stop: Stop,
    execution: Execution,
    audit: Extent,
    keeps: Keeps = "counts",
) -> tuple[Part, ...]:
    """What a run holds at the same time, at most.

    Parameters
    ----------
    latent_dim, dim : int
        Coordinates of a draw in standard normal and in physical space.
    method, stop, execution, audit
        Of the run.
    keeps : str
        What its measures are read from; see `raresim.measures.base.Keeps`.
    """
    d = latent_dim if method.draws_in == "standard" else dim
    workers, budget = execution.n_workers, stop.max_evaluations
    rows = block_rows(budget, d)
    block = VALUE * rows * (3 * d + 4 * dim + 24)
    summary = VALUE * (2 * KEPT_ROWS + 4 * CAPACITY)
    found = [
        Part("Python, libraries and figures", PROGRAM),
        Part(f"blocks of {rows:,} draws of {workers} workers", workers * block),
        Part("sums and rows for the figures", (2 * workers + 2) * summary),
        Part(f"the search of {method.kind}", VALUE * searching(method, latent_dim, dim, budget)),
        Part(f"rows of {workers} workers of {method.kind}", VALUE * workers * working(method, d, budget)),
    ]
    if keeps != "counts":
        numbers = LOSSES_READ * min(weighted_losses.CAPACITY, budget)
        if keeps == "draws":
            numbers += DRAWS_READ * min(tail_draws.NUMBERS, budget * d) * (1 + dim // max(1, d))
        found.append(Part("losses and draws beyond a floor", VALUE * numbers))
    if audit != "off":
        size = SIZES[audit]
        climbs = min(workers, size.climbs) * MOST_LEVELS * min(size.most, budget) * (latent_dim + 4)
        found.append(Part("climbs of the audit", VALUE * climbs))
    if execution.executor == "processes":
        found.append(Part(f"{workers} worker processes", workers * WORKER_PROCESS))
    if execution.checkpoint is not None:
        evaluated = min(budget, EXPLORE + (4 + 4 * workers) * method.cost(latent_dim, dim))
        found.append(Part("losses of the search, kept to resume", SAVINGS * min(JOURNAL_BYTES, VALUE * evaluated)))
    return tuple(part for part in found if part.size)


@functools.singledispatch
def searching(method: Method, latent_dim: int, dim: int, budget: int) -> int:
    """Numbers that the tuning of a method holds at once: where nothing else is known, all draws, some times over."""
    return 5 * min(method.cost(latent_dim, dim), budget) * (max(latent_dim, dim) + 4)


@searching.register
def _(method: CrossEntropy, latent_dim: int, dim: int, budget: int) -> int:
    """Losses and weights of the levels, the elites of one, and moments of second order."""
    d = max(latent_dim, dim)
    rows = min(2 * method.cost(latent_dim, dim), budget)
    return 12 * rows + 4 * KEPT_ELITES * d + 8 * method.starts * d * d


@searching.register
def _(method: PopulationMethod, latent_dim: int, dim: int, budget: int) -> int:
    """A run, and how many times as many draws the pilot has."""
    larger = method.pilot(budget).samples / method.samples
    return math.ceil(larger * working(method, latent_dim, budget))


@searching.register(DesignPointSampling)
@searching.register(LineSampling)
def _(method: DesignPointSampling | LineSampling, latent_dim: int, dim: int, budget: int) -> int:
    """The pilot runs, and the points of all gradients."""
    return 24 * method.pilot * (latent_dim + 4) + 4 * method.starts * latent_dim**2


@searching.register
def _(method: DirectionalSampling, latent_dim: int, dim: int, budget: int) -> int:
    return 0


@functools.singledispatch
def working(method: Method, d: int, budget: int) -> int:
    """Numbers that each worker of the estimate holds beside its blocks."""
    return 0


@working.register
def _(method: PopulationMethod, d: int, budget: int) -> int:
    """Draws, their neighbours and the proposals of a move; where replicates ended."""
    return 8 * method.samples * (d + 8) + 2 * min(ends.NUMBERS, ends.REPLICATES * ends.EACH * d)


@working.register
def _(method: SubsetSimulation, d: int, budget: int) -> int:
    """The draws of two levels, and the losses of all."""
    kept = 2 * min(ends.NUMBERS, ends.REPLICATES * ends.EACH * d)
    return 8 * method.samples * (d + 8) + 2 * method.max_levels * method.samples + kept


@working.register
def _(method: DirectionalSampling, d: int, budget: int) -> int:
    """The rays of a block."""
    rays = method.rays(d)
    return 4 * min(64, max(1, budget // rays)) * rays * d


def needed(found: tuple[Part, ...]) -> str:
    """The sum of the parts and the largest of them, in words."""
    total = sum(part.size for part in found)
    named = sorted(found, key=lambda part: -part.size)[:3]
    return f"{shown(total)} at most: " + ", ".join(f"{shown(part.size)} {part.what}" for part in named)

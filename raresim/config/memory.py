"""The memory that a run may need, computed from its config before anything is allocated.

A run is a stream of blocks, so hardly anything grows with the number of draws: the exceptions are listed here. The
figures are upper limits for the shipped methods, which `tests/config/test_memory.py` compares with real runs. The
memory that a user's loss allocates, beyond a copy of its arguments, is unknown.
"""

from __future__ import annotations

from dataclasses import dataclass

from raresim.accumulators import tail_draws, weighted_losses
from raresim.accumulators.top import CAPACITY
from raresim.engine.executors import UNITS, Execution
from raresim.engine.journal import JOURNAL_BYTES
from raresim.estimators.base import KEPT_ROWS
from raresim.measures.base import Keeps
from raresim.methods.base import Method
from raresim.numerics.blocks import block_rows
from raresim.run.audit import MOST_LEVELS, SIZES, Extent
from raresim.run.stop import Stop

MIB = UNITS["MiB"]

PROGRAM = 330 * MIB
"""Python, the libraries, compiled kernels, and a process of 100 MiB that draws the figures of the report."""

WORKER_PROCESS = 200 * MIB
"""The same for a worker process, which draws no figures."""

FILE_COPIES = 25
"""Memory for reading a data file, in multiples of its size: bytes, text, single cells, numbers."""

SAVINGS = 4
"""Memory for saving the losses that are kept to resume, in multiples of their size."""

EXPLORE = 10_000
"""Draws before the search, if the loss has no moments in closed form."""

VALUE = 8

LOSSES_READ, DRAWS_READ = 14, 4
"""Numbers held for each singly kept loss while losses are sorted and summed, and for each coordinate of a draw."""

WRITTEN = 8
"""Numbers held for each coordinate of a draw that is written: draws, factors, parts and their text."""

ADVICE = "allow more, or give fewer workers, fewer samples, another method or a smaller stop.max_evaluations"


@dataclass(frozen=True)
class Part:
    """A part of a run's memory: its content in words, and its size in bytes."""

    what: str
    size: int


def shown(size: float) -> str:
    """A size in MiB or GiB, with its unit."""
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
    drawn: int = 0,
) -> tuple[Part, ...]:
    """The parts of the memory that a run may need at the same time.

    Parameters
    ----------
    latent_dim, dim : int
        Coordinates of a draw in standard normal and in physical space.
    method, stop, execution, audit
        The settings of the run.
    keeps : str
        What its measures need; see `raresim.measures.base.Keeps`.
    drawn : int
        Draws of the event that are written; 0 for none.
    """
    d = latent_dim if method.draws_in == "standard" else dim
    workers, budget = execution.n_workers, stop.max_evaluations
    rows = block_rows(budget, d)
    block = VALUE * rows * (3 * d + 4 * dim + 24)
    summary = VALUE * (2 * KEPT_ROWS + 4 * CAPACITY)
    held = method.memory(latent_dim, dim, budget)
    found = [
        Part("Python, libraries and figures", PROGRAM),
        Part(f"blocks of {rows:,} draws of {workers} workers", workers * block),
        Part("sums and rows for the figures", (2 * workers + 2) * summary),
        Part(f"the search of {method.kind}", VALUE * held.searching),
        Part(f"rows of {workers} workers of {method.kind}", VALUE * workers * held.working),
    ]
    if keeps != "counts":
        numbers = LOSSES_READ * min(weighted_losses.CAPACITY, budget)
        if keeps == "draws":
            numbers += DRAWS_READ * min(tail_draws.NUMBERS, budget * d) * (1 + dim // max(1, d))
        found.append(Part("losses and draws beyond a floor", VALUE * numbers))
    if drawn:
        held_by_one = 2 * min(drawn, budget) * (d + 4)
        found.append(Part("draws that are written", VALUE * (WRITTEN * held_by_one + workers * held_by_one)))
    if audit != "off" and not method.unaudited:
        size = SIZES[audit]
        climbs = min(workers, size.climbs) * MOST_LEVELS * min(size.most, budget) * (latent_dim + 4)
        found.append(Part("climbs of the audit", VALUE * climbs))
    if execution.executor in ("processes", "dask") and execution.scheduler is None:
        found.append(Part(f"{workers} worker processes", workers * WORKER_PROCESS))
    if execution.checkpoint is not None:
        evaluated = min(budget, EXPLORE + (4 + 4 * workers) * method.cost(latent_dim, dim))
        found.append(Part("losses of the search, kept to resume", SAVINGS * min(JOURNAL_BYTES, VALUE * evaluated)))
    return tuple(part for part in found if part.size)


def needed(found: tuple[Part, ...]) -> str:
    """The sum of the parts and the largest of them, in words."""
    total = sum(part.size for part in found)
    named = sorted(found, key=lambda part: -part.size)[:3]
    return f"{shown(total)} at most: " + ", ".join(f"{shown(part.size)} {part.what}" for part in named)

"""How a stage is cut into blocks, and blocks into chunks: by the plan alone, never by the workers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice

BLOCK_BYTES = 4 * 1024 * 1024
"""Size of one block's draws. A block costs some 90 microseconds beside its rows, a row of 20 factors about 0.1: below
4 MiB the first counts for more than the cache that a smaller block would win (`experiments/throughput`)."""

MAX_ROWS = 262_144
MIN_ROWS = 256
CHUNK_BLOCKS = 8


@dataclass(frozen=True)
class Block:
    """``rows`` draws of the stream ``(seed, stage, index)``; ``first`` counts the stage's rows before it."""

    stage: int
    index: int
    first: int
    rows: int


@dataclass(frozen=True)
class Plan:
    """The blocks of one stage.

    Parameters
    ----------
    stage : int
        Index of the stage in its run.
    n_samples : int
        Rows in all, at least one.
    block_rows : int
        Rows of every block but the last.
    dim : int
        Columns of a draw.
    first_block, first_row : int
        Where this plan starts when it continues an earlier one of the same stage.
    fixed_rows : int or None
        Rows of a block that further rows of the stage keep to.
    """

    stage: int
    n_samples: int
    block_rows: int
    dim: int
    first_block: int = 0
    first_row: int = 0
    fixed_rows: int | None = None

    @property
    def n_blocks(self) -> int:
        """Number of blocks."""
        return -(-self.n_samples // self.block_rows)

    @property
    def n_chunks(self) -> int:
        """Number of chunks."""
        return -(-self.n_blocks // self._chunk_blocks)

    @property
    def end(self) -> int:
        """Row of the stage after the last one."""
        return self.first_row + self.n_samples

    def chunks(self) -> Iterator[tuple[Block, ...]]:
        """Groups of neighbouring blocks: the unit of work that is handed to a worker."""
        size = self._chunk_blocks
        for start in range(0, self.n_blocks, size):
            yield tuple(self._block(b) for b in range(start, min(start + size, self.n_blocks)))

    def then(self, n_samples: int) -> Plan:
        """The plan of ``n_samples`` further rows of the same stage."""
        return Plan(
            stage=self.stage,
            n_samples=n_samples,
            block_rows=self.fixed_rows or block_rows(n_samples, self.dim),
            dim=self.dim,
            fixed_rows=self.fixed_rows,
            first_block=self.first_block + self.n_blocks,
            first_row=self.first_row + self.n_samples,
        )

    @property
    def _chunk_blocks(self) -> int:
        return max(1, min(CHUNK_BLOCKS, self.n_blocks // 16))

    def _block(self, b: int) -> Block:
        done = b * self.block_rows
        return Block(
            stage=self.stage,
            index=self.first_block + b,
            first=self.first_row + done,
            rows=min(self.block_rows, self.n_samples - done),
        )


@dataclass(frozen=True)
class Growing:
    """The blocks of a stage whose size is given in advance, cut so that a shorter stage begins a longer one.

    The stage is a row of plans, each as long as all before it together; only the last block is cut where the rows end.

    Parameters
    ----------
    stage, n_samples, dim, fixed_rows
        As of a `Plan`.
    """

    stage: int
    n_samples: int
    dim: int
    fixed_rows: int | None = None

    @property
    def n_blocks(self) -> int:
        """Number of blocks."""
        return sum(map(len, self.chunks()))

    @property
    def n_chunks(self) -> int:
        """Number of chunks."""
        return sum(1 for _ in self.chunks())

    @property
    def end(self) -> int:
        """Row of the stage after the last one."""
        return self.n_samples

    def chunks(self) -> Iterator[tuple[Block, ...]]:
        """Groups of neighbouring blocks, as of a `Plan`."""
        piece = plan(self.stage, 16 * (self.fixed_rows or MIN_ROWS), self.dim, self.fixed_rows)
        while piece.first_row < self.n_samples:
            for chunk in piece.chunks():
                left = self.n_samples - chunk[0].first
                if left <= 0:
                    return
                blocks = [b for b in chunk if b.first < self.n_samples]
                last = blocks[-1]
                blocks[-1] = replace(last, rows=min(last.rows, self.n_samples - last.first))
                yield tuple(blocks)
            size = piece.first_row + piece.n_samples
            piece = replace(piece.then(size), block_rows=self.fixed_rows or block_rows(2 * size, self.dim))

    def whole(self, chunk: int) -> bool:
        """Whether chunk number ``chunk`` would be the same in a longer stage."""
        longer = replace(self, n_samples=2 * self.n_samples)
        pair = (next(islice(p.chunks(), chunk, None)) for p in (self, longer))
        return next(pair) == next(pair)


def block_rows(n_samples: int, dim: int) -> int:
    """Rows of a block: the byte budget, or a sixteenth of the stage where that is less (but not tiny)."""
    budget = max(1, min(MAX_ROWS, BLOCK_BYTES // (8 * dim)))
    return min(budget, max(-(-n_samples // 16), MIN_ROWS))


def plan(stage: int, n_samples: int, dim: int, fixed_rows: int | None = None) -> Plan:
    """The plan of a stage of ``n_samples`` rows of ``dim`` columns, in blocks of ``fixed_rows`` where given."""
    rows = fixed_rows or block_rows(n_samples, dim)
    return Plan(stage=stage, n_samples=n_samples, block_rows=rows, dim=dim, fixed_rows=fixed_rows)

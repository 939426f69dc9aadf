"""Undirected networks: an edge list, and the minimal cuts between terminals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from raresim.arguments.synonyms import unknown
from raresim.data import files
from raresim.data.files import MISSING_ADVICE, Problems
from raresim.errors import DataError, FieldError
from raresim.marginals.base import Marginal
from raresim.marginals.exponential import Exponential
from raresim.models.systems.laws import NUMBERS, law_of_cell

MOST_CUTS = 50_000
"""Minimal cuts that are listed, at most."""

FROM, TO, NAME = "from", "to", "name"


@dataclass(frozen=True, eq=False)
class Graph:
    """An undirected network whose edges have lifetimes or lengths.

    Parameters
    ----------
    nodes : tuple of str
        Their names.
    ends : tuple of (int, int)
        The nodes of each edge.
    names : tuple of str
        Of the edges.
    laws : tuple of Marginal
        Of the edges.
    """

    nodes: tuple[str, ...]
    ends: tuple[tuple[int, int], ...]
    names: tuple[str, ...]
    laws: tuple[Marginal, ...]

    @cached_property
    def neighbours(self) -> tuple[int, ...]:
        """For each node the bits of those that it has an edge to."""
        bits = [0] * len(self.nodes)
        for a, b in self.ends:
            bits[a] |= 1 << b
            bits[b] |= 1 << a
        return tuple(bits)

    def reached(self, start: int, inside: int) -> int:
        """The bits of the nodes that are connected with ``start`` by nodes with bits in ``inside``."""
        found = new = 1 << start
        while new:
            node = new.bit_length() - 1
            new &= ~(1 << node)
            more = self.neighbours[node] & inside & ~found
            found |= more
            new |= more
        return found

    def places(self, field: str, terminals: Sequence[str]) -> tuple[int, ...]:
        """The nodes called ``terminals``, all of them where none is given; raises FieldError where that cannot be."""
        if not terminals:
            terminals = self.nodes
        for k, name in enumerate(terminals):
            if name not in self.nodes:
                raise FieldError(f"{field}[{k}]", unknown("node", name, list(self.nodes)))
            if name in terminals[:k]:
                raise FieldError(f"{field}[{k}]", f"must differ from the others, got {name!r} again")
        if len(terminals) < 2:
            raise FieldError(field, f"must be at least two nodes, got {len(terminals)}")
        found = tuple(self.nodes.index(name) for name in terminals)
        together = self.reached(found[0], (1 << len(self.nodes)) - 1)
        apart = [name for name, at in zip(terminals, found, strict=True) if not together >> at & 1]
        if apart:
            raise FieldError(
                field, f"must be connected, got {terminals[0]!r} and {apart[0]!r} without a path between them"
            )
        return found

    def minimal_cuts(self, terminals: Sequence[int]) -> tuple[tuple[int, ...], ...] | None:
        """The sets of edges, none within another, whose failure separates some terminals; None: too many.

        A minimal cut between two nodes has a connected side around each. From a side ``S`` around the first, a
        neighbour is taken in, and with it whatever it cuts off from the second; every side is reached so, once.
        """
        found: set[tuple[int, ...]] = set()
        everything = (1 << len(self.nodes)) - 1
        inside = self.reached(terminals[0], everything)
        for target in terminals[1:]:
            sides, waiting = set[int](), [self._closed(1 << terminals[0], target, inside)]
            while waiting:
                side = waiting.pop()
                if side in sides:
                    continue
                sides.add(side)
                found.add(tuple(k for k, (a, b) in enumerate(self.ends) if (side >> a ^ side >> b) & 1))
                if len(sides) > MOST_CUTS or len(found) > MOST_CUTS:
                    return None
                near = 0
                for node in range(len(self.nodes)):
                    near |= self.neighbours[node] if side >> node & 1 else 0
                near &= ~side & ~(1 << target)
                while near:
                    node = near.bit_length() - 1
                    near &= ~(1 << node)
                    waiting.append(self._closed(side | 1 << node, target, inside))
        return tuple(sorted(found, key=lambda cut: (len(cut), cut)))

    def _closed(self, side: int, target: int, inside: int) -> int:
        """``side`` with all nodes that it cuts off from ``target``."""
        return inside & ~self.reached(target, inside & ~side)


def read_edges(path: Path, law: Marginal | None) -> Graph:
    """The network of a file with the columns from, to and one of failure_probability and mean; ``name`` is optional.

    Parameters
    ----------
    path : path
        CSV or Parquet, one edge a row.
    law : Marginal, optional
        Of every edge, in place of a column.

    Raises
    ------
    DataError
        When an edge is a loop, comes twice, or has no law.
    """
    file = files.read(path, known=(FROM, TO))
    given = [name for name in NUMBERS if name in file.header]
    if len(given) + (law is not None) != 1:
        raise DataError(
            f"{file.name}: must have one of the columns {' and '.join(NUMBERS)}, or the model a law for all edges, got "
            f"{' and '.join(given) or 'none'}{' beside a law' if law is not None and given else ''}"
        )
    columns = [FROM, TO, *given, *([NAME] if NAME in file.header else [])]
    problems, nodes = Problems(file.name), dict[str, int]()
    seen, ends, names, laws = dict[tuple[int, int], int](), [], [], []
    for row, cells in file.rows(file.place(columns), problems):
        a, b = (nodes.setdefault(cell, len(nodes)) for cell in cells[:2])
        for cell, column in zip(cells[:2], columns[:2], strict=True):
            if not cell:
                problems.add(f"must name a node, {MISSING_ADVICE}", row, column)
        if a == b:
            problems.add(f"must differ from the other end: {cells[1]!r} is a loop, which connects nothing", row, TO)
        pair = (min(a, b), max(a, b))
        if pair in seen:
            problems.add(f"the edge {cells[0]!r} - {cells[1]!r} is in row {seen[pair]} already", row, TO)
        seen.setdefault(pair, row)
        ends.append((a, b))
        names.append(cells[-1] if NAME in columns else f"{cells[0]}-{cells[1]}")
        laws.append(law if law is not None else law_of_cell(cells[2], given[0], problems, row))
    problems.stop()
    if len(set(names)) < len(names):
        twice = next(name for k, name in enumerate(names) if name in names[:k])
        raise DataError(f"{file.name}: names of edges must differ, got {twice!r} twice")
    return Graph(tuple(nodes), tuple(ends), tuple(names), tuple(law or Exponential() for law in laws))

"""Longest and shortest ways: the end of a project whose tasks wait for each other, and a shortest path."""

from __future__ import annotations

import heapq
from abc import abstractmethod
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np

from raresim.data import files
from raresim.data.files import Problems
from raresim.errors import DataError
from raresim.marginals.base import Marginal
from raresim.models.systems.graph import Graph
from raresim.models.systems.laws import MEAN, law_of_cell
from raresim.models.systems.of_parts import OfParts
from raresim.numerics.arrays import Float

Paths = tuple[tuple[int, ...], ...]

MOST_PATHS = 2_000
"""Ways that are listed, at most."""

TASK, AFTER = "task", "after"


class Way(OfParts):
    """The length of the longest or the shortest of several ways through parts with random lengths."""

    @abstractmethod
    def components(self, x: Float) -> Float:
        """The length of each part where it is on the way, else 0, (n, d), of lengths ``x`` (n, d)."""

    def __call__(self, x: Float, out: Float) -> None:
        out[:] = self.components(x).sum(axis=1)


@dataclass(frozen=True, eq=False)
class Project(Way):
    """The end of a project: the longest way through tasks, each of which waits for others.

    Parameters
    ----------
    names : tuple of str
        Of the tasks.
    laws : tuple of Marginal
        Of how long each takes.
    after : tuple of tuple of int
        The tasks that each waits for; tasks are in an order in which none waits for a later one.
    """

    kind: ClassVar[str] = "project"

    names: tuple[str, ...]
    laws: tuple[Marginal, ...]
    after: tuple[tuple[int, ...], ...]

    @property
    def component_names(self) -> tuple[str, ...]:
        return self.names

    def components(self, x: Float) -> Float:
        end, last = np.zeros(x.shape, order="F"), np.full(x.shape, -1, dtype=np.int64)
        for k, before in enumerate(self.after):
            if before:
                latest = np.array(before)[end[:, list(before)].argmax(axis=1)]
                last[:, k] = latest
                end[:, k] = end[np.arange(len(x)), latest]
            end[:, k] += x[:, k]
        parts, at = np.zeros(x.shape, order="F"), end.argmax(axis=1)
        rows = np.arange(len(x))
        while rows.size:
            parts[rows, at] = x[rows, at]
            at = last[rows, at]
            rows, at = rows[at >= 0], at[at >= 0]
        return parts

    @cached_property
    def paths(self) -> Paths | None:
        """The ways from a task that waits for none to one that none waits for; None: too many."""
        ending: list[list[tuple[int, ...]]] = []
        for k, before in enumerate(self.after):
            ending.append([(*way, k) for b in before for way in ending[b]] if before else [(k,)])
            if len(ending[-1]) > MOST_PATHS:
                return None
        waited = {b for before in self.after for b in before}
        found = tuple(way for k, ways in enumerate(ending) if k not in waited for way in ways)
        return found if len(found) <= MOST_PATHS else None

    def describe(self) -> list[str]:
        return [f"the end of a project of {len(self.names):,} tasks: its longest way"]


@dataclass(frozen=True, eq=False)
class ShortestPath(Way):
    """The length of the shortest path between two nodes of a network.

    Parameters
    ----------
    graph : Graph
        The network; numbers of its edges are lengths.
    terminals : tuple of int
        The two nodes.
    """

    kind: ClassVar[str] = "shortest_path"

    graph: Graph
    terminals: tuple[int, ...]

    @property
    def laws(self) -> tuple[Marginal, ...]:
        return self.graph.laws

    @property
    def component_names(self) -> tuple[str, ...]:
        return self.graph.names

    @cached_property
    def _edges(self) -> tuple[tuple[tuple[int, int], ...], ...]:
        """For each node its edges, with the node at their other end."""
        found: list[list[tuple[int, int]]] = [[] for _ in self.graph.nodes]
        for k, (a, b) in enumerate(self.graph.ends):
            found[a].append((k, b))
            found[b].append((k, a))
        return tuple(tuple(edges) for edges in found)

    def components(self, x: Float) -> Float:
        parts = np.zeros(x.shape, order="F")
        for i, row in enumerate(x.tolist()):
            for k in self._shortest(row):
                parts[i, k] = row[k]
        return parts

    def _shortest(self, length: list[float]) -> list[int]:
        """The edges of the shortest path, by Dijkstra."""
        start, end = self.terminals
        reached: dict[int, tuple[int, int]] = {}
        waiting = [(0.0, start, -1, -1)]
        while waiting:
            far, node, edge, before = heapq.heappop(waiting)
            if node in reached:
                continue
            reached[node] = (edge, before)
            if node == end:
                break
            for k, to in self._edges[node]:
                if to not in reached:
                    heapq.heappush(waiting, (far + length[k], to, k, node))
        found, node = [], end
        while node != start:
            edge, node = reached[node]
            found.append(edge)
        return found

    def describe(self) -> list[str]:
        a, b = (self.graph.nodes[k] for k in self.terminals)
        return [f"the shortest path from {a} to {b} in a network of {len(self.graph.ends):,} edges"]


def read_tasks(path: Path, law: Marginal | None) -> Project:
    """The project of a file with the columns task, after and mean.

    Parameters
    ----------
    path : path
        CSV or Parquet, one task a row. ``after`` has the names of the tasks that it waits for, with blanks between
        them; ``mean`` that of an exponential law.
    law : Marginal, optional
        Of every task, in place of the column mean.

    Raises
    ------
    DataError
        When a name comes twice, or a task waits for one that is not there or, in the end, for itself.
    """
    file = files.read(path, known=(TASK, AFTER))
    if (MEAN in file.header) == (law is not None):
        raise DataError(f"{file.name}: must have the column mean, or the model a law for all tasks, and not both")
    columns = [TASK, AFTER, *([MEAN] if law is None else [])]
    problems, rows, laws, after = Problems(file.name), dict[str, int](), dict[str, Marginal](), dict[str, list[str]]()
    for row, cells in file.rows(file.place(columns), problems):
        name = cells[0]
        if name in rows:
            problems.add(f"{name!r} is in row {rows[name]} already", row, TASK)
        rows.setdefault(name, row)
        laws[name] = law if law is not None else law_of_cell(cells[2], MEAN, problems, row)
        after[name] = cells[1].split()
    for name, before in after.items():
        for other in before:
            if other not in rows:
                problems.add(f"{name!r} waits for {other!r}, which is no task of the file", rows[name], AFTER)
    problems.stop()
    order: list[str] = []
    while len(order) < len(after):
        ready = [name for name in after if name not in order and all(other in order for other in after[name])]
        if not ready:
            cycle = _cycle({name: [b for b in before if b not in order] for name, before in after.items()}, order)
            raise DataError(
                f"{file.name}:{rows[cycle[0]]}:{AFTER}: tasks must not wait for themselves, got the cycle "
                f"{' after '.join([*cycle, cycle[0]])}"
            )
        order += ready
    place = {name: k for k, name in enumerate(order)}
    waits = tuple(tuple(place[other] for other in after[name]) for name in order)
    return Project(tuple(order), tuple(laws[name] for name in order), waits)


def _cycle(waits: dict[str, list[str]], done: list[str]) -> list[str]:
    """Tasks of which each waits for the next, and the last for the first; ``done`` wait for none of them."""
    seen = [next(name for name in waits if name not in done)]
    while waits[seen[-1]][0] not in seen:
        seen.append(waits[seen[-1]][0])
    return seen[seen.index(waits[seen[-1]][0]) :]

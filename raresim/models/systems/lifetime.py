"""How long a system lives: until its terminals lose connection, or so many of its units have failed."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from math import comb
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from raresim.marginals.base import Marginal
from raresim.models.systems.graph import MOST_CUTS, Graph
from raresim.models.systems.of_parts import OfParts
from raresim.numerics.arrays import Float
from raresim.numerics.jit import kernel

Whole = NDArray[np.int64]
Cuts = tuple[tuple[int, ...], ...]


class Lifetime(OfParts):
    """The time at which a system fails: the lifetime of the part whose failure makes it fail."""

    @property
    @abstractmethod
    def laws(self) -> tuple[Marginal, ...]:
        """Of the lifetimes of the parts."""

    @property
    @abstractmethod
    def cuts(self) -> Cuts | None:
        """The minimal sets of parts whose failure makes the system fail; None where they are too many."""

    @abstractmethod
    def critical(self, x: Float) -> Whole:
        """The part whose failure makes the system fail, (n,), of lifetimes ``x`` (n, d)."""

    def __call__(self, x: Float, out: Float) -> None:
        out[:] = x[np.arange(len(x)), self.critical(x)]

    def components(self, x: Float) -> Float:
        parts, each, part = np.zeros(x.shape, order="F"), np.arange(len(x)), self.critical(x)
        parts[each, part] = x[each, part]
        return parts


@dataclass(frozen=True, eq=False)
class Connection(Lifetime):
    """The time at which terminals of a network are no longer all connected.

    Parameters
    ----------
    graph : Graph
        The network; numbers of its edges are lifetimes.
    terminals : tuple of int
        Nodes.
    """

    kind: ClassVar[str] = "connection"

    graph: Graph
    terminals: tuple[int, ...]

    @property
    def laws(self) -> tuple[Marginal, ...]:
        return self.graph.laws

    @property
    def component_names(self) -> tuple[str, ...]:
        return self.graph.names

    @cached_property
    def cuts(self) -> Cuts | None:
        return self.graph.minimal_cuts(self.terminals)

    @cached_property
    def _arrays(self) -> tuple[Whole, Whole]:
        return np.array(self.graph.ends, dtype=np.int64), np.array(self.terminals, dtype=np.int64)

    def critical(self, x: Float) -> Whole:
        order = np.ascontiguousarray(np.argsort(-x, axis=1, kind="stable"))
        out = np.empty(len(x), np.int64)
        connecting_edge(order, *self._arrays, len(self.graph.nodes), out)
        return out

    def describe(self) -> list[str]:
        names = [self.graph.nodes[k] for k in self.terminals]
        shown = " and ".join(names) if len(names) == 2 else f"{len(names):,} terminals"
        size = f"{len(self.graph.ends):,} edges between {len(self.graph.nodes):,} nodes"
        return [f"the time at which {shown} are no longer connected, in a network of {size}"]


@dataclass(frozen=True, eq=False)
class OutOf(Lifetime):
    """The time at which ``failing`` units have failed, of all or of some in a row.

    Parameters
    ----------
    law : Marginal
        Of the lifetime of a unit.
    units, failing : int
        How many there are, and how many failures make the system fail.
    consecutive : bool
        Whether these have to be neighbours.
    """

    kind: ClassVar[str] = "out_of"

    law: Marginal
    units: int
    failing: int
    consecutive: bool

    @property
    def laws(self) -> tuple[Marginal, ...]:
        return (self.law,) * self.units

    @property
    def component_names(self) -> tuple[str, ...]:
        return tuple(f"unit_{k + 1}" for k in range(self.units))

    @cached_property
    def cuts(self) -> Cuts | None:
        if self.consecutive:
            return tuple(tuple(range(k, k + self.failing)) for k in range(self.units - self.failing + 1))
        return (
            None if comb(self.units, self.failing) > MOST_CUTS else tuple(combinations(range(self.units), self.failing))
        )

    def critical(self, x: Float) -> Whole:
        if not self.consecutive:
            return np.asarray(np.argsort(x, axis=1, kind="stable")[:, self.failing - 1])
        windows = np.lib.stride_tricks.sliding_window_view(x, self.failing, axis=1)
        within = windows.argmax(axis=2)
        first = np.take_along_axis(windows, within[:, :, None], axis=2)[:, :, 0].argmin(axis=1)
        return np.asarray(first + within[np.arange(len(x)), first])

    def describe(self) -> list[str]:
        row = " in a row" if self.consecutive else ""
        return [f"the time at which {self.failing:,} of {self.units:,} units{row} have failed"]


@kernel
def connecting_edge(order: Whole, ends: Whole, terminals: Whole, nodes: int, out: Whole) -> None:
    """The edge with which the terminals become connected when edges are added one after the other.

    Parameters
    ----------
    order : (n, d) int64
        The edges of each row, in the order in which they are added.
    ends : (d, 2) int64
        Their nodes.
    terminals : (k,) int64
        Nodes; the network connects them.
    nodes : int
        How many there are.
    out : (n,) int64
        Overwritten.
    """
    up, held = np.empty(nodes, np.int64), np.empty(nodes, np.int64)
    for i in range(order.shape[0]):
        for k in range(nodes):
            up[k], held[k] = k, 0
        for k in range(terminals.shape[0]):
            held[terminals[k]] = 1
        out[i] = order[i, order.shape[1] - 1]
        for j in range(order.shape[1]):
            a, b = ends[order[i, j], 0], ends[order[i, j], 1]
            while up[a] != a:
                up[a] = up[up[a]]
                a = up[a]
            while up[b] != b:
                up[b] = up[up[b]]
                b = up[b]
            if a != b:
                up[b] = a
                held[a] += held[b]
                if held[a] == terminals.shape[0]:
                    out[i] = order[i, j]
                    break

"""Systems of parts: a network with terminals, k units out of n, the tasks of a project."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from raresim.arguments import checks
from raresim.distributions.base import Inputs
from raresim.errors import FieldError
from raresim.marginals.base import Marginal
from raresim.methods.scheme import Scheme
from raresim.models.base import Model
from raresim.models.controls import Control
from raresim.models.systems.cut_draws import CutScheme
from raresim.models.systems.graph import Graph, read_edges
from raresim.models.systems.laws import failing_with
from raresim.models.systems.lifetime import Connection, Lifetime, OutOf
from raresim.models.systems.path_draws import WaysScheme
from raresim.models.systems.project import Project, ShortestPath, Way, read_tasks
from raresim.registry import member

if TYPE_CHECKING:
    from raresim.record.records import Estimate

Quantity = Literal["lifetime", "shortest_path"]


@member("model")
@dataclass(frozen=True, kw_only=True, eq=False)
class Network(Model):
    """A system of parts: a network with terminals, k units out of n, or the tasks of a project.

    *Network and units*: the loss is the lifetime of the system, so ``below: 1`` asks for a failure by time 1. With
    ``quantity: shortest_path`` the numbers of the edges are lengths, and the loss is the length of the shortest path.
    *Project*: the loss is the time at which its last task ends (PERT).

    Parameters
    ----------
    edges : path, optional
        An edge list, CSV or Parquet, with the columns from and to, with one of failure_probability (by time 1) and mean
        (of an exponential lifetime or length), and with name where edges have one.
    terminals : sequence of str
        Nodes that have to be connected, or the two ends of the path; if none is given, all nodes.
    quantity : "lifetime" or "shortest_path"
        What is asked of a network.
    tasks : path, optional
        Tasks of a project, CSV or Parquet, with the columns task, after (the tasks that it waits for, with blanks
        between them) and mean (of an exponential law).
    units : int, optional
        Number of units, which all have the same law.
    failing : int, optional
        Number of failed units at which the system fails; with ``units``.
    consecutive : bool
        Whether only neighbouring failed units make the system fail; with ``units``.
    law : Marginal, optional
        Law of the lifetime, length or duration of every part, in place of a column.
    failure_probability : float, optional
        Probability that a part fails by time 1, the same for every part, in place of ``law``.

    Raises
    ------
    FieldError
        When arguments are out of range or do not go together, and when terminals are not connected.
    DataError
        When a file has loops, edges that come twice, tasks that wait for themselves, or cells that are no numbers.

    Notes
    -----
    Edges have no direction. The minimal cuts of a system are listed, up to 50,000, and so are the ways through a
    project, up to 2,000: see `raresim.models.systems.cut_draws` and `raresim.models.systems.path_draws`.
    """

    kind: ClassVar[str] = "network"

    edges: Path | None = None
    terminals: Sequence[str] = ()
    quantity: Quantity = "lifetime"
    tasks: Path | None = None
    units: int | None = None
    failing: int | None = None
    consecutive: bool = False
    law: Marginal | None = None
    failure_probability: float | None = None

    def __post_init__(self) -> None:
        checks.one_of("quantity", self.quantity, Quantity)
        for name in ("edges", "tasks"):
            if (path := getattr(self, name)) is not None:
                object.__setattr__(self, name, Path(path))
        if sum(given is not None for given in (self.edges, self.tasks, self.units)) != 1:
            raise FieldError("edges", "exactly one of edges, tasks and units must be given")
        if self.failure_probability is not None:
            checks.between("failure_probability", self.failure_probability, 0.0, 1.0)
            if self.law is not None:
                raise FieldError("failure_probability", "must be left out beside law: it stands for a lifetime")
        if self.every is not None and not self.every.support[0] >= 0:
            raise FieldError("law", f"must be a law of numbers that are not negative, got {self.every.describe()}")
        if self.every is not None and self.every.discrete:
            raise FieldError("law", f"must have a density, got {self.every.describe()}")
        if self.edges is None and (self.terminals or self.quantity != "lifetime"):
            raise FieldError("terminals" if self.terminals else "quantity", "must be left out without edges")
        if self.units is None and (self.failing is not None or self.consecutive):
            raise FieldError("failing" if self.failing is not None else "consecutive", "must be left out without units")
        if self.units is not None:
            self._check_units(self.units)
        _ = self.loss  # files are read, and terminals looked for

    def _check_units(self, units: int) -> None:
        object.__setattr__(self, "units", checks.dimension("units", units, 1))
        if self.failing is None:
            raise FieldError("failing", "is required beside units: the number at which the system fails")
        object.__setattr__(self, "failing", checks.dimension("failing", self.failing, 1, units))
        if self.every is None:
            raise FieldError("law", "is required beside units, or failure_probability")

    @property
    def every(self) -> Marginal | None:
        """The law of every part; None where a file has one for each."""
        return self.law if self.failure_probability is None else failing_with(self.failure_probability)

    @cached_property
    def graph(self) -> Graph:
        """The network."""
        if self.edges is None:
            raise TypeError("a system without edges has no network")
        return read_edges(self.edges, self.every)

    @cached_property
    def loss(self) -> Lifetime | Way:
        if self.tasks is not None:
            return read_tasks(self.tasks, self.every)
        if self.units is not None and self.every is not None:
            return OutOf(self.every, self.units, self.failing or 1, self.consecutive)
        terminals = self.graph.places("terminals", self.terminals)
        if self.quantity == "lifetime":
            return Connection(self.graph, terminals)
        if len(terminals) != 2:
            raise FieldError("terminals", f"must be two nodes for a shortest path, got {len(terminals)}")
        return ShortestPath(self.graph, terminals)

    @property
    def inputs(self) -> Inputs:
        return self.loss.inputs

    @property
    def scheme(self) -> Scheme | None:
        if isinstance(self.loss, Lifetime):
            return CutScheme(self.loss)
        return WaysScheme(self.loss) if isinstance(self.loss, Project) else None

    def controls(self, estimates: Sequence[Estimate], preset: str | None) -> tuple[Control, ...]:
        if not isinstance(self.loss, Lifetime):
            return ()
        asked = [
            (e, float(e.threshold))
            for e in estimates
            if e.kind == "probability" and e.direction == "below" and e.threshold is not None
        ]
        return tuple(control for e, time in asked for control in self._controls(self.loss, e, time))

    def _controls(self, loss: Lifetime, e: Estimate, time: float) -> list[Control]:
        """What is known of one failure probability: the union bound, and that of units in closed form."""
        cuts, found = loss.cuts, []
        if cuts is not None:
            failed = [float(law.cdf(time)) for law in loss.laws]
            bound = math.fsum(math.prod(failed[part] for part in cut) for cut in cuts)
            assumes = "nothing; it is an upper bound"
            found.append(Control("sum over minimal cuts", e.label, min(bound, 1.0), e.value, assumes))
        if isinstance(loss, OutOf):
            value = failure_of_units(loss, float(loss.law.cdf(time)))
            found.append(Control("units out of n", e.label, value, e.value, "nothing", 1e-6))
        return found

    def files(self) -> list[Path]:
        return [path for path in (self.edges, self.tasks) if path is not None]

    def notes(self) -> list[str]:
        if isinstance(self.loss, Lifetime) and self.loss.cuts is None:
            return ["the system has too many minimal cuts to list them: there is no scheme, and a search is made"]
        return []

    def describe(self) -> list[str]:
        what = self.loss.describe()
        return what if self.every is None else [*what, f"every part: {self.every.describe()}"]

    @staticmethod
    def examples() -> list[Network]:
        """Members for the conformance tests."""
        return [
            Network(units=6, failing=3, failure_probability=0.1),
            Network(units=8, failing=2, consecutive=True, failure_probability=0.05),
        ]


def failure_of_units(loss: OutOf, q: float) -> float:
    """The probability that the system has failed where each unit has with probability ``q``."""
    if not loss.consecutive:
        from scipy import special

        return float(special.betainc(loss.failing, loss.units - loss.failing + 1, q))
    run = [1.0] + [0.0] * (loss.failing - 1)  # probabilities of a run of failures so long at the end, none whole so far
    failed = 0.0
    for _ in range(loss.units):
        failed += q * run[-1]
        run = [(1.0 - q) * math.fsum(run), *(q * p for p in run[:-1])]
    return failed

"""The contract of a scheme: a way to draw that a model offers because it knows the structure of its loss."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from raresim.engine.session import Session
from raresim.methods.base import Tuned
from raresim.numerics.arrays import Float

SchemeUse = Literal["compare", "only", "off"]
"""Held against what a search finds, used alone, or left out."""

CHEAPER = 1.2
"""Relative variance of a scheme's row over that of a draw up to which they count as alike: the draw is cheaper."""


class Scheme(ABC):
    """A way to draw that a model offers; `Auto` holds it against what its search finds."""

    @property
    @abstractmethod
    def name(self) -> str:
        """What it is called in the field."""

    @abstractmethod
    def tune(self, session: Session) -> Tuned | None:
        """Choose the law to draw from for the session's events, in standard normal space.

        `Tuned.variances` come from a pilot that the estimate does not use. None where the scheme does not serve the
        events of the session, such as those below a threshold.
        """


def largest_asked(session: Session) -> list[float]:
    """The losses (in order) that a scheme for large ones has to reach: thresholds, and where kept rows begin.

    None where an event lies below its threshold, or where none of them is positive and finite.
    """
    asked = {event.threshold for event in session.events}
    if session.beyond is not None:
        asked.add(session.beyond.floor)
    if any(event.direction == "below" for event in session.events) or not 0 < max(asked) < math.inf:
        return []
    return sorted(asked)


def spread_over(ordered: Sequence[float], most: int) -> list[float]:
    """At most ``most`` of the ``ordered`` losses, evenly by their places; the first and the last are among them."""
    if not ordered:
        return []
    return [ordered[k] for k in sorted({round(place) for place in np.linspace(0, len(ordered) - 1, most)})]


@dataclass(frozen=True)
class FirstOf(Scheme):
    """Several schemes, of which the first that serves is offered.

    Parameters
    ----------
    schemes : tuple of Scheme
        At least one, in the order in which they are tried.
    """

    schemes: tuple[Scheme, ...]

    @property
    def name(self) -> str:
        return ", else ".join(scheme.name for scheme in self.schemes)

    def tune(self, session: Session) -> Tuned | None:
        for scheme in self.schemes:
            offered = scheme.tune(session)
            if offered is not None:
                return offered
        return None


def chosen(offered: Tuned, search: Callable[[float], Tuned], needed: float, cost: float) -> Tuned:
    """What a scheme offers, or what a search finds: the one that needs fewer evaluations.

    Parameters
    ----------
    offered : Tuned
        The scheme, with its pilot.
    search : callable
        Makes a search of at most so many evaluations.
    needed : float
        Evaluations that the estimate of the scheme is expected to need.
    cost : float
        Evaluations that a search takes at least. Where ``needed`` is no more, none is made.

    Notes
    -----
    A search may take as many evaluations as the scheme's estimate needs: if it then has nothing that is better, both
    together cost twice what the scheme alone does, and never more.

    A row of a scheme takes more time than a loss. How much is not measured: seconds would make the digits of a run
    depend on the machine. Where both need about as many evaluations, up to `CHEAPER` times, the search's draws are
    taken.
    """

    def again(missed: Float) -> Tuned:
        found = search(math.inf)
        if found.again is not None:
            found = found.again(missed)
        return _told(
            found,
            offered,
            "draws come from the proposal of a search, because an audit found failing draws that the scheme hardly "
            "makes",
        )

    kept = replace(offered, again=again)
    if needed <= cost:
        return _told(
            kept, None, "draws come from the scheme of the model, because a search would cost more than it could save"
        )
    found = search(needed)
    if found.variances is None:
        sentence = f"draws come from the scheme of the model: a search of {found.evaluations:,} evaluations "
        return _told(kept, found, sentence + "found no proposal to compare with it")
    ratio = math.inf if offered.variances is None else max(offered.variances) / max(1e-300, *found.variances)
    if ratio * CHEAPER > 1.0:
        sentence = f"draws come from the proposal of the search: a row of the scheme has {ratio:.2g} times its variance"
        return _told(found, offered, sentence)
    sentence = (
        f"draws come from the scheme of the model: a row has {ratio:.2g} times the variance of a draw from the "
        "proposal of the search"
    )
    return _told(kept, found, sentence)


def _told(taken: Tuned, left: Tuned | None, sentence: str) -> Tuned:
    """``taken`` after what was ``left``, with the evaluations and decisions of both."""
    if left is None:
        return replace(taken, decisions=(*taken.decisions, sentence))
    return replace(
        taken,
        iterations=(*left.iterations, *taken.iterations),
        evaluations=left.evaluations + taken.evaluations,
        decisions=(*left.decisions, *taken.decisions, sentence),
    )

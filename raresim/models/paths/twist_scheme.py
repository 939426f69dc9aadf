"""The scheme of a path of independent steps: an exponential twist until the path turns, and another one after it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from raresim.engine.fold import Sampler
from raresim.engine.session import Session
from raresim.methods.base import Tuned
from raresim.methods.offers import MOST_LEVELS, PATIENCE, PLAIN, bounded, offered
from raresim.methods.scheme import Scheme
from raresim.models.paths.aims import Aim, aim_of, shared
from raresim.models.paths.path_loss import PathLoss
from raresim.models.paths.steps import Step
from raresim.models.paths.twisted_paths import TwistedPaths
from raresim.record.event import Event


@dataclass(frozen=True, eq=False)
class PathTwist(Scheme):
    """A constant twist of the steps, two of them for a path that has to go there and back.

    The twist is known, and a search of as many dimensions as steps has nothing to find: none is made beside it. Where
    no bound of the weights is known, as between the dates of a path, the audit looks for what rows miss.

    Parameters
    ----------
    loss : PathLoss
        Of the model.
    step : Step
        The law of a step.
    """

    loss: PathLoss
    step: Step

    @property
    def name(self) -> str:
        return "exponential twist of the steps until the path reaches the barrier"

    def tune(self, session: Session) -> Tuned | None:
        asked = asked_events(session)
        found = [aim_of(self.loss, self.step, event) for event in asked]
        served = [aim for aim in found if aim is not None]
        if not served:
            return None
        aims = shared(served, PLAIN if len(served) < len(found) else 0.0)
        sampler, events = Sampler(session.problem, None, session.seed), tuple(session.events)
        rows = TwistedPaths(sampler, events, self.step, aims, session.beyond)
        bounds = [largest_log_weight(event, aims, rows.plain) for event in events]
        thresholds = [aim.event.threshold for aim in aims]
        made = offered(session, rows, thresholds, "the twist of the steps", told(aims, self.step), bounds)
        tuned = bounded(made, lambda factor: replace(rows, heaviest=factor))
        return None if tuned is None else replace(tuned, patience=PATIENCE)


def asked_events(session: Session) -> list[Event]:
    """The events that rows are drawn for, the loss from which rows are kept among them, each once."""
    found = set(session.events)
    if session.beyond is not None and math.isfinite(session.beyond.floor):
        found.add(Event(session.beyond.floor))
    ordered = sorted(found, key=lambda event: (event.sign, event.threshold))
    most = min(MOST_LEVELS, len(ordered))
    if most < 2:
        return ordered
    return [ordered[round(k * (len(ordered) - 1) / (most - 1))] for k in range(most)]


def largest_log_weight(event: Event, aims: tuple[Aim, ...], plain: float) -> float:
    """Log of the largest weight of a row in ``event``, in nats; infinite where none is known."""
    bounds = [
        aim.log_most - math.log(aim.share)
        for aim in aims
        if aim.event.direction == event.direction and event.sign * (event.threshold - aim.event.threshold) >= 0
    ]
    return min([*bounds, -math.log(plain) if plain else math.inf])


def told(aims: tuple[Aim, ...], step: Step) -> str:
    """What is drawn, in a sentence."""
    found = "; ".join(_told(aim, step) for aim in aims) + "."
    return found[:1].upper() + found[1:]


def _told(aim: Aim, step: Step) -> str:
    mean = f"steps have the mean {step.mean(aim.first):.4g} under a twist of {aim.first:.4g}"
    if aim.width:
        return f"{mean}, for {aim.width:,} steps that begin anywhere, for {aim.event.label}"
    if not math.isfinite(aim.turn):
        return f"{mean}, for {aim.event.label}"
    until = f" until the path reaches the barrier, for {aim.event.label}"
    if not aim.second:
        return f"{mean}{until}"
    return f"{mean}{until}, and then the mean {step.mean(aim.second):.4g}, back to the strike"

"""What rows are drawn for: a twist of the steps until the path turns, and another one from there on."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from raresim.models.paths.path_loss import PathLoss
from raresim.models.paths.steps import Step, root
from raresim.record.event import Event


@dataclass(frozen=True)
class Aim:
    """What some of the rows are drawn for.

    Parameters
    ----------
    share : float
        Of the rows.
    event : Event
        The loss that is aimed at.
    turn : float
        Where the path turns, in its coordinates; infinite if nowhere.
    sign : float
        1 where it turns at a point of at least ``turn``, -1 at most.
    first, second : float
        The twist of steps until the path has turned, and after it.
    until : int
        The step after which the first twist ends in any case.
    log_most : float
        Log of the largest density ratio of the model to these rows in the event, in nats; infinite if none is known.
    width : int
        Steps of a window that is twisted, wherever it lies in the path; 0 for the whole path.
    mirrored : bool
        Whether the path turns at the very time at which it reaches the barrier, between two dates too.
    """

    share: float
    event: Event
    turn: float
    sign: float
    first: float
    second: float
    until: int
    log_most: float
    width: int = 0
    mirrored: bool = False


def aim_of(loss: PathLoss, step: Step, event: Event) -> Aim | None:
    """The twist for an event; None where it is not rare, cannot happen, or no twist serves it."""
    make = {
        "end": _for_end,
        "maximum": _for_extreme,
        "minimum": _for_extreme,
        "first_passage": _for_passage,
        "knock_in": _for_knock_in,
        "knock_out": _for_knock_out,
        "n_day_loss": _for_fall,
    }.get(loss.quantity)
    found = None if make is None or not math.isfinite(event.threshold) else make(loss, step, event)
    if found is None or not all(map(math.isfinite, (found.first, found.second, step.cumulant(found.first)))):
        return None
    return found


def _for_end(loss: PathLoss, step: Step, event: Event) -> Aim | None:
    level = in_path(loss, event.threshold)
    return None if level is None else to_end(loss, step, event, level, event.direction == "above")


def _for_fall(loss: PathLoss, step: Step, event: Event) -> Aim | None:
    """A twist of as many steps as the fall has, which begin at any step with the same probability."""
    x, width = event.threshold, loss.days
    if event.direction == "below" or (loss.process.is_price and x >= 1):
        return None
    level = math.log1p(-x) if loss.process.is_price else -x
    if width == loss.steps:
        return to_end(loss, step, event, level, False)
    theta = step.theta_of(level / width)
    if theta is None or theta >= 0:
        return None
    most = math.log(loss.steps - width + 1) + width * step.cumulant(theta) - theta * level
    return Aim(1.0, event, math.inf, 1.0, theta, 0.0, loss.steps, most, width)


def to_end(loss: PathLoss, step: Step, event: Event, level: float, rises: bool) -> Aim | None:
    """One twist of all steps, under which the path ends at ``level`` on average."""
    theta = step.theta_of(level / loss.steps)
    if theta is None or (theta <= 0) == rises:
        return None
    most = loss.steps * step.cumulant(theta) - theta * level
    return Aim(1.0, event, math.inf, 1.0, theta, 0.0, loss.steps, most)


def _for_extreme(loss: PathLoss, step: Step, event: Event) -> Aim | None:
    if (event.direction == "above") != (loss.quantity == "maximum"):
        return None
    level = in_path(loss, event.threshold)
    return None if level is None else to_barrier(loss, step, event, level, loss.steps)


def _for_passage(loss: PathLoss, step: Step, event: Event) -> Aim | None:
    until = math.floor(event.threshold / loss.dt * (1.0 + 1e-12))
    if event.direction == "above" or not 1 <= until <= loss.steps:
        return None
    return to_barrier(loss, step, event, loss.barrier, until)


def to_barrier(loss: PathLoss, step: Step, event: Event, level: float, until: int) -> Aim | None:
    """A twist until the path reaches ``level``: that with which it takes all ``until`` steps, or Siegmund's if less.

    The density ratio of the model to such a row is ``exp(k(theta) t - theta S)`` with the time ``t`` and the path ``S``
    where it turns.
    """
    sign = 1.0 if loss.sign > 0 else -1.0
    if not sign * level > 0:
        return None
    theta = step.theta_of(level / until)
    if theta is None or not sign * theta > 0:
        return None
    if step.cumulant(theta) < 0:  # the path rises by itself once it is twisted so that it does not matter when
        theta = root(step.cumulant, 2.0 * theta, begins=theta)
        if theta is None:
            return None
    most = max(until * step.cumulant(theta), 0.0) - theta * level
    return Aim(1.0, event, level, sign, theta, 0.0, until, math.inf if loss.continuous else most)


def _for_knock_in(loss: PathLoss, step: Step, event: Event) -> Aim | None:
    strike = _strike(loss, event)
    if event.direction == "below" or strike is None:
        return None
    if math.isnan(strike):
        return to_barrier(loss, step, event, loss.barrier, loss.steps)
    barrier, sign = loss.barrier, loss.sign
    if sign * (strike - barrier) >= 0:
        if loss.call == (sign > 0):
            return to_end(loss, step, event, strike, loss.call)  # whoever ends there has passed the barrier
        return to_barrier(loss, step, event, barrier, loss.steps)  # there, the path has not to come back
    return two_segments(loss, step, event, barrier, strike)


def two_segments(loss: PathLoss, step: Step, event: Event, barrier: float, strike: float) -> Aim | None:
    """Two twists, to the ``barrier`` and back to the ``strike``, with one cumulant: when it turns is of no matter.

    Glasserman, *Monte Carlo methods in financial engineering*, 2004, section 4.6.2 and example 4.6.4. The cumulant is
    the one with which the path reaches both in just its number of steps.
    """
    sign = loss.sign
    lowest = root(step.mean, -1.0 if step.mean(0.0) > 0 else 1.0)
    if lowest is None:
        return None

    def twists(height: float) -> tuple[float, float] | None:
        found = [root(lambda t: step.cumulant(t) - height, lowest + s, begins=lowest) for s in (sign, -sign)]
        return None if found[0] is None or found[1] is None else (found[0], found[1])

    def late(height: float) -> float:
        both = twists(height)
        if both is None:
            return math.nan
        there, back = step.mean(both[0]), step.mean(both[1])
        return barrier / there + (strike - barrier) / back - loss.steps

    least = step.cumulant(lowest)
    height = root(late, least + 2e-3, begins=least + 1e-9)
    both = None if height is None else twists(height)
    if height is None or both is None:
        return None
    first, second = both
    most = loss.steps * height - (first - second) * barrier - second * strike
    return Aim(1.0, event, barrier, sign, first, second, loss.steps, most, mirrored=loss.continuous)


def _for_knock_out(loss: PathLoss, step: Step, event: Event) -> Aim | None:
    strike = _strike(loss, event)
    if event.direction == "below" or strike is None or math.isnan(strike):
        return None
    return to_end(loss, step, event, strike, loss.call)


def _strike(loss: PathLoss, event: Event) -> float | None:
    """Where the path has to end for what is asked of a knock-in or knock-out; NaN for anywhere, None for nowhere."""
    if loss.payoff == "digital":
        return loss.strike if event.threshold == 0 else None
    if not event.threshold > 0:
        return None
    start = loss.process.first
    strike = start * math.exp(loss.strike) if loss.process.is_price else start + loss.strike
    return in_path(loss, strike + event.threshold if loss.call else strike - event.threshold)


def in_path(loss: PathLoss, value: float) -> float | None:
    """A price, or a value of the walk, in the coordinates of the path; None where no path can be there."""
    if not loss.process.is_price:
        return value - loss.process.first
    return math.log(value / loss.process.first) if value > 0 else None


def shared(aims: list[Aim], plain: float) -> tuple[Aim, ...]:
    """The ``aims`` with equal shares of the rows that do not come from the model itself."""
    return tuple(replace(aim, share=(1.0 - plain) / len(aims)) for aim in aims)

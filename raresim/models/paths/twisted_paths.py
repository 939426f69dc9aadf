"""Rows whose paths are twisted towards what is asked, in the standard normals of the model itself."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray

from raresim.accumulators.event_draws import Drawing
from raresim.accumulators.tail_draws import Beyond
from raresim.engine.fold import Sampler
from raresim.methods.offered_draws import AimedDraws
from raresim.methods.offers import log_mixture
from raresim.models.paths import bridge
from raresim.models.paths.aims import Aim
from raresim.models.paths.mirror import mirrored
from raresim.models.paths.path_loss import PathLoss
from raresim.models.paths.steps import NormalStep, Step
from raresim.numerics.arrays import Float
from raresim.record.event import Event


@dataclass(frozen=True, eq=False)
class TwistedPaths(AimedDraws[Aim]):
    """Rows of which each path is drawn for one of several aims; the others come from the model itself.

    Parameters
    ----------
    sampler : Sampler
        Of the run's problem, in standard normal space.
    events : tuple of Event
        What is counted.
    step : Step
        The law of a step.
    aims : tuple of Aim
        What rows are drawn for.
    beyond : Beyond, optional
        The rows that are kept.
    sampled : Drawing, optional
        The sample of them that is kept for the user.
    heaviest : float
        Largest weight of a row over the probability of its event; infinite where it is not known.

    Notes
    -----
    Steps are twisted with ``theta_1`` until the path turns after ``t`` steps at ``S_t``, then with ``theta_2``: the
    density ratio to the model is ``exp(theta_1 S_t - t k(theta_1) + theta_2 (S_m - S_t) - (m - t) k(theta_2))``. A
    path that is watched between its dates turns at the end of the step within which it reached the barrier, or at that
    very time (`raresim.models.paths.mirror`): then ``S_t`` is the barrier. Where a window of ``n`` steps is twisted,
    the ratio is the mean of ``exp(theta W - n k(theta))`` over the sums ``W`` of all windows.
    """

    sampler: Sampler
    events: tuple[Event, ...]
    step: Step
    aims: tuple[Aim, ...]
    beyond: Beyond | None = None
    sampled: Drawing | None = None
    heaviest: float = math.inf

    def drawing(self, wanted: Drawing) -> Self:
        return replace(self, sampled=wanted)

    @cached_property
    def loss(self) -> PathLoss:
        """The loss of the run; raises TypeError where it is no path's."""
        loss = self.sampler.problem.loss
        if not isinstance(loss, PathLoss):
            raise TypeError(f"a path is drawn for what is asked of it, got a loss of kind {loss.kind}")
        return loss

    def drawn_for(self, aim: Aim, rng: np.random.Generator, u: Float) -> Float:
        m, loss = self.loss.steps, replace(self.loss, bridged=False)
        if aim.mirrored and isinstance(self.step, NormalStep):
            out = mirrored(rng, self.step, aim.first, aim.turn, (len(u), m))
            if self.loss.bridged:
                out[:, :m] = bridge.normals_of(out[:, :m])
            return out
        before = np.hstack(self.step.sample(rng, aim.first, (len(u), m)))
        out = u.copy()
        out[:, : before.shape[1]] = before
        if aim.width:
            start = rng.integers(0, m - aim.width + 1, (len(u), 1))
            inside = (np.arange(m) >= start) & (np.arange(m) < start + aim.width)
            out[:, : before.shape[1]] = np.where(np.tile(inside, before.shape[1] // m), before, u[:, : before.shape[1]])
        elif aim.until < m or math.isfinite(aim.turn):
            x = self.mapped(out)
            stop = turns(aim, loss.points(x, loss.paths(x)))
            after = u[:, : before.shape[1]]
            if aim.second:
                after = np.hstack(self.step.sample(rng, aim.second, (len(u), m)))
            first = np.arange(m) <= stop[:, None]
            out[:, : before.shape[1]] = np.where(np.tile(first, before.shape[1] // m), before, after)
        if self.loss.bridged:
            out[:, :m] = bridge.normals_of(out[:, :m])
        return out

    def log_weight(self, x: Float) -> Float:
        path = self.loss.paths(x)
        points = self.loss.points(x, path)
        log_ratio = np.stack([self.log_ratio(aim, path, points) for aim in self.aims], axis=1)
        return -log_mixture(np.array([aim.share for aim in self.aims]), log_ratio, self.plain)

    def log_ratio(self, aim: Aim, path: Float, points: Float) -> Float:
        """Log of the density of rows for ``aim`` over that of the model (n,), in nats."""
        m, end = self.loss.steps, path[:, -1]
        if aim.width:
            sums = path[:, aim.width - 1 :].copy()
            sums[:, 1:] -= path[:, : m - aim.width]
            each = aim.first * sums - aim.width * self.step.cumulant(aim.first)
            return np.asarray(np.logaddexp.reduce(each, axis=1) - math.log(sums.shape[1]))
        if aim.until == m and not math.isfinite(aim.turn):
            return np.asarray(aim.first * end - m * self.step.cumulant(aim.first))
        if aim.mirrored:
            turned = (aim.sign * points >= aim.sign * aim.turn).any(axis=1)
            out = np.where(turned, (aim.first - aim.second) * aim.turn + aim.second * end, aim.first * end)
            return np.asarray(out - m * self.step.cumulant(aim.first))
        stop = turns(aim, points)
        there = np.take_along_axis(path, stop[:, None], axis=1)[:, 0]
        out = aim.first * there - (stop + 1) * self.step.cumulant(aim.first)
        if aim.second:
            out += aim.second * (end - there) - (m - 1 - stop) * self.step.cumulant(aim.second)
        return np.asarray(out)


def turns(aim: Aim, points: Float) -> NDArray[np.intp]:
    """The step (n,), from 0, after which each path is twisted no longer, or otherwise."""
    done = aim.sign * points >= aim.sign * aim.turn
    done[:, aim.until - 1 :] = True
    return np.asarray(done.argmax(axis=1))

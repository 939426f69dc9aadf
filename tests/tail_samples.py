"""Weighted tail rows as a run leaves them, made without one: draws of a stated proposal, weighed and cut off."""

import math
from dataclasses import dataclass

import numpy as np

from raresim.distributions.base import Distribution, log_density
from raresim.engine.problem import Problem
from raresim.information import budget
from raresim.measures.base import Answered
from raresim.measures.levels import level_of
from raresim.measures.tail_sample import TailSample
from raresim.record.records import Estimate
from raresim.record.verdict import Status, Verdict
from tests.helpers import session_of


@dataclass(frozen=True, eq=False)
class Portfolio:
    """A loss for a `Problem`: any function of the factors."""

    function: object

    def __call__(self, x, out):
        out[:] = self.function(x)

    score_names = ()
    size_names = ()
    component_names = ()


def problem_of(inputs, loss):
    return Problem(inputs, Portfolio(loss))


def rows_of(inputs, loss, n, seed, floor=-math.inf, proposal=None):
    """``n`` draws of ``proposal``, a law of the factors or (with inputs that have no density) of the standard normals.

    Without one, of the inputs themselves.
    """
    rng = np.random.default_rng(seed)
    if proposal is None or not isinstance(inputs, Distribution) or proposal.dim != inputs.dim:
        u = np.empty((n, inputs.latent_dim), order="F")
        u[:] = rng.standard_normal(u.shape)
        log_weight = np.zeros(n)
        if proposal is not None:
            u = np.empty((n, inputs.latent_dim), order="F")
            proposal.sample(rng, u)
            log_weight = -0.5 * np.square(u).sum(axis=1) - 0.5 * u.shape[1] * math.log(2 * math.pi)
            log_weight -= log_density(proposal, u)
        x = np.array(inputs.to_physical(u, np.empty((n, inputs.dim), order="F")), order="F")
    else:
        x = np.empty((n, inputs.dim), order="F")
        proposal.sample(rng, x)
        u = x
        log_weight = log_density(inputs, x) - log_density(proposal, x)
    losses = np.asarray(loss(x), dtype=float)
    at = np.flatnonzero(losses >= floor)
    return TailSample(n, floor, losses[at], log_weight[at], at, u[at], x[at], np.empty((at.size, 0)))


def estimate_of(threshold, tail=None, shortfall=False, direction="above", status=Status.TRUSTED):
    """What a run says of an event, or of a value at risk or an expected shortfall at ``tail``."""
    kind = "probability" if tail is None else "expected_shortfall" if shortfall else "value_at_risk"
    verdict = Verdict(status, "", None, (), ())
    return Estimate(
        kind=kind,
        label=f"{kind} {threshold if tail is None else tail:g}",
        direction=direction,
        threshold=threshold,
        threshold_note="",
        value=math.nan,
        log_value=math.nan,
        std_error=math.nan,
        relative_error=math.nan,
        interval=(math.nan, math.nan),
        confidence=0.95,
        interval_kind="",
        reference=None,
        information=budget(-7.0, math.nan),
        diagnostics={},
        verdict=verdict,
        level=None if tail is None else level_of(tail),
    )


def answered(sample, inputs, loss, *estimates):
    return Answered(sample, (), estimates, session_of(problem_of(inputs, loss)))


def table(exhibit):
    """Rows as mappings, by estimate and parameter where there is one."""
    return [dict(zip(exhibit.columns, row, strict=True)) for row in exhibit.rows]

"""The scheme of an option book: factors twisted towards its delta-gamma approximation, in strata that a pilot fits."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from raresim.engine.fold import Sampler
from raresim.engine.session import Session
from raresim.estimators.weighted_draws import WeightedDraws
from raresim.methods.base import Tuned
from raresim.methods.scheme import Scheme
from raresim.methods.scheme_pilot import SchemePilot
from raresim.models.market.quadratic_form import QuadraticForm
from raresim.models.market.strata import STEP, agrees, tails_of, with_heights
from raresim.models.market.twist_scheme import PLAIN, asked_levels, defended, further
from raresim.models.market.twisted_quadratic import TwistedQuadratic
from raresim.numerics.arrays import Float
from raresim.numerics.blocks import Block
from raresim.numerics.streams import stream

FITTED, PILOT = 150, 250
"""Rows for each level that the fit of the loss by its approximation comes from, and rows of the pilot."""

NEAR = 2.0
"""Medians of the distance from the level within which rows count for the fit."""

LEAST_CORRELATION = 0.3
"""Correlation of the loss with its approximation below which the scheme is not offered."""

LOW, HIGH = 4.0, 10.0
"""Strata reach from so many standard deviations of the fit below the level to so many units of one over the twist."""

WIDER = 1.5
"""How much wider than the fit says losses are taken to lie about the line: too narrow strata make heavy weights."""

BASE = 0.1
"""Share of the strata's draws that come from the twist alone."""


class Fit(NamedTuple):
    """The loss as a line of its approximation: ``start + slope Q``, and the standard deviation about it."""

    start: float
    slope: float
    std: float


@dataclass(frozen=True, eq=False)
class BookTwist(Scheme):
    """The exponential twist of the quadratic approximation of a book [1]_.

    Parameters
    ----------
    form : QuadraticForm
        The approximation.

    Notes
    -----
    For each loss ``x`` that is asked for, rows are drawn with the twist of the approximation ``Q`` to ``x`` and valued;
    a line is fitted to losses by ``Q``, the twist is aimed at the value of ``Q`` where the line reaches ``x``, and the
    strata of ``Q`` get draws in proportion to ``exp(-theta Q) sqrt(P(L >= x | Q))``, which makes the variance smallest
    if the fit is right. If it is wrong, weights stay right.

    References
    ----------
    .. [1] Glasserman, Heidelberger & Shahabuddin, *Variance reduction techniques for estimating value-at-risk*,
       Management Science 46, 2000, sec. 4.
    """

    form: QuadraticForm

    @property
    def name(self) -> str:
        return "delta-gamma twist of the factors, with strata of the approximation"

    def tune(self, session: Session) -> Tuned | None:
        levels = asked_levels(session, self.form)
        if not levels:
            return None
        laws: list[TwistedQuadratic] = []
        fits: list[Fit] = []
        spent = 0
        beyond = further(self.form, levels[-1]) if session.beyond is not None and self.form.dof is not None else []
        for level in (*levels, *beyond):
            rng = stream(session.seed, session.plan(1).stage, 0)
            found = self.fit(session, level)
            spent += FITTED
            law = None if found is None else self.law(level, found, rng)
            if (law is None or found is None) and level in beyond:
                continue
            if law is None or found is None:
                session.max_evaluations -= spent
                return None
            laws.append(law)
            fits.append(found)
        proposal = defended(laws)
        sampler = Sampler(session.problem, proposal, session.seed)
        rows = WeightedDraws(sampler, tuple(session.events), beyond=session.beyond)
        pilot = SchemePilot.of(session, rows, PILOT * len(laws), "the delta-gamma twist")
        said = told(levels, fits, pilot.rows, max(pilot.variances))
        outcome = "the twist makes the event common"
        return replace(pilot.tuned("delta-gamma twist", levels[-1], outcome, said, spent), proposal=proposal)

    def fit(self, session: Session, level: float) -> Fit | None:
        """The line of losses by their approximation near ``level``; None where there is none to rely on."""
        theta = self.form.twist(level)
        if not theta > 0:
            return None
        law = TwistedQuadratic.plain(self.form, level, theta)
        block = Block(session.plan(FITTED).stage, 0, 0, FITTED)
        sampler = Sampler(session.problem, law, session.seed)
        u = sampler.draw(block).copy(order="F")
        loss = sampler.loss(u, block).copy()
        q = level + law.quadratic(u) * mixing_of(law, u)
        if not np.isfinite(loss).all() or q.std() == 0:
            return None
        away = np.abs(q - level)
        near = away <= NEAR * np.median(away)
        q, loss = q[near], loss[near]
        slope, start = np.polyfit(q, loss, 1)
        correlation = float(np.corrcoef(q, loss)[0, 1])
        if not (slope > 0 and correlation >= LEAST_CORRELATION):
            return None
        return Fit(float(start), float(slope), float(np.std(loss - start - slope * q)))

    def law(self, level: float, fit: Fit, rng: np.random.Generator) -> TwistedQuadratic | None:
        """The twist to where the line reaches ``level``, with strata where their shares are known."""
        from scipy import special

        aim = (level - fit.start) / fit.slope
        theta = self.form.twist(aim)
        if not (theta > 0 and aim < self.form.bounds[1]):
            return None
        law = TwistedQuadratic.plain(self.form, aim, theta)
        std = WIDER * fit.std / fit.slope
        steps = np.arange(-min(math.ceil(LOW * std * theta / STEP), 100), round(HIGH / STEP) + 1.0)
        edges: Float = STEP / theta * steps
        beyond = tails_of(self.form, aim, theta, edges)
        if beyond is None or not agrees(law, edges, beyond, rng):
            return law
        middle = np.concatenate([[edges[0] - 0.5 * STEP / theta], edges + 0.5 * STEP / theta])
        upper = middle + 0.5 * STEP / theta
        log_wanted = -theta * middle + 0.5 * special.log_ndtr(upper / max(std, 1e-9 / theta))
        wanted = np.exp(log_wanted - log_wanted.max())
        wanted[[0, -1]] = 0.0
        return with_heights(law, edges, beyond, wanted, BASE)


def mixing_of(law: TwistedQuadratic, u: Float) -> Float | float:
    """``m^2`` (n,) of standard normals ``u`` (n, d): what takes ``Q`` to the difference of two losses."""
    from raresim.distributions.mixing import log_mixing

    if law.form.dof is None or law.table is None:
        return 1.0
    out = np.empty(len(u))
    log_mixing(np.ascontiguousarray(u[:, 0]), law.table, out)
    return np.asarray(np.exp(2.0 * out))


def told(levels: list[float], fits: list[Fit], n: int, variance: float) -> list[str]:
    """What was fitted and is drawn from, in sentences."""
    lines = [
        f"A loss of {level:,.6g}: about {fit.start:,.4g} + {fit.slope:.3g} times the delta-gamma approximation, give "
        f"or take {fit.std:,.3g}."
        for level, fit in zip(levels, fits, strict=False)
    ]
    return [
        *lines,
        f"Factors are twisted towards these values of the approximation; {PLAIN:.0%} of the rows come from the model.",
        f"A pilot of {n:,} rows: one row has a relative variance of {variance:.2g}.",
    ]

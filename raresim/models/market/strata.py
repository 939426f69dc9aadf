"""Strata of a twisted quadratic loss: where draws are wanted, and how many, from its exact law under the twist."""

from __future__ import annotations

import math

import numpy as np

from raresim.models.market.exact_quadratic import QuadraticLaw
from raresim.models.market.quadratic_form import QuadraticForm
from raresim.models.market.twisted_quadratic import TwistedQuadratic
from raresim.numerics.arrays import Float, frozen

STEP, REACH = 0.2, 10.0
"""Width of a stratum, and where the last begins beyond the level, in units of one over the twist."""

FLOOR = 0.05
"""Share of the draws that come from the twist alone, over all strata."""

MOST_TRIALS = 60.0
"""Draws of the twist for each one that is kept, at most."""

CHECKED, ALLOWED = 4_000, 6.0
"""Draws of the twist that the exact law is held against, and standard errors that it may be off."""

BELOW = 0.7
"""How far below the level rows are wanted where quantiles are read, in units of one over the twist."""


def stratified(form: QuadraticForm, level: float, wide: bool, rng: np.random.Generator) -> TwistedQuadratic | None:
    """The law that draws losses beyond ``level`` as the model does, with a floor of the twist alone.

    Parameters
    ----------
    form : QuadraticForm
        The loss.
    level : float
        Above the expected loss.
    wide : bool
        Whether losses just below the level are wanted too.
    rng : numpy.random.Generator
        For the check of the exact law.

    Returns
    -------
    The law, without strata where the exact law under the twist is not known or does not agree with its draws; None
    where the loss has no twist to the level.

    Notes
    -----
    Under the model the density of ``Q`` is ``exp(-theta Q)`` times that under the twist, so heights that fall off like
    this beyond the level, and are 0 below it, give every row beyond it the same weight: the probability itself. Steps
    leave a relative variance of about a twelfth of a squared `STEP`, and the floor adds its share.
    """
    theta = form.twist(level)
    if not (theta > 0 and math.isfinite(theta)):
        return None
    law = TwistedQuadratic.plain(form, level, theta)
    first = -BELOW / theta if wide else 0.0
    edges: Float = first + STEP / theta * np.arange(round(REACH / STEP) + 1.0)
    beyond = tails_of(form, level, theta, edges)
    if beyond is None or not agrees(law, edges, beyond, rng):
        return law
    wanted = np.concatenate([[0.0], np.exp(-theta * (edges[:-1] + 0.5 * STEP / theta)), [0.0]])
    return with_heights(law, edges, beyond, wanted)


def with_heights(
    law: TwistedQuadratic, edges: Float, beyond: Float, wanted: Float, base: float = FLOOR
) -> TwistedQuadratic:
    """``law`` with heights in proportion to ``wanted`` (k + 1,), ``base`` of the twist, at most `MOST_TRIALS` trials.

    ``beyond`` (k,) has the probability under the twist of what lies beyond each of ``edges`` (k,).
    """
    shares = -np.diff(np.concatenate([[1.0], beyond, [0.0]]))
    heights = wanted / float(wanted @ shares)
    floor = max(base, (heights.max() - MOST_TRIALS) / max(heights.max() - 1.0, 1e-300))
    mixed = floor + (1.0 - floor) * heights
    return TwistedQuadratic(law.form, law.level, law.theta, frozen(edges), frozen(mixed), law.table)


def tails_of(form: QuadraticForm, level: float, theta: float, edges: Float) -> Float | None:
    """Probabilities (k,) under the twist of what lies beyond each of ``edges`` (k,); None where one is not known."""
    law = QuadraticLaw(form)
    found = [law.inverted(level, q, theta) for q in edges.tolist()]
    known = np.array([math.nan if p is None else p for p in found])
    return known if ((known > 0) & (known < 1)).all() and (np.diff(known) < 0).all() else None


def agrees(law: TwistedQuadratic, edges: Float, beyond: Float, rng: np.random.Generator) -> bool:
    """Whether draws of the twist lie beyond ``edges`` as often as ``beyond`` (k,) says."""
    u = np.empty((CHECKED, law.dim), order="F")
    law.sample(rng, u)
    seen = (law.quadratic(u)[:, None] > edges).mean(axis=0)
    return bool((np.abs(seen - beyond) <= ALLOWED * np.sqrt((beyond + 1.0 / CHECKED) / CHECKED)).all())

"""Several candidate laws in one proposal; the draws that hit decide on their shares."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from raresim.distributions.base import Distribution, log_density
from raresim.numerics.arrays import Bool, Float
from raresim.search.archive import Archive
from raresim.search.fitting import capped, mixed

LAYERS = np.array([0.775, 0.075, 0.075, 0.075])
"""Shares of the proposal's layers: the fitted laws, their broad copies, laws of the search, and laws around the nearest
points of the regions, if there are any."""

LEAST_LAYERS = np.array([0.3, 0.075, 0.075, 0.075])
"""Smallest shares of the layers, once draws decide on them."""

LEAST, LEAST_TILT = 0.1, 0.02
"""Smallest share of a fitted mixture, and of a tilt while shares are fitted: a few draws may reject it by chance."""

DROPPED = 0.04
"""Share below which a proposal leaves out a tilt."""

STEPS, LAYER_STEPS = 50, 200


@dataclass(frozen=True, eq=False)
class Candidate:
    """A fitted law, and a copy of it, if there is one, that is nowhere narrower than the target."""

    name: str
    law: Distribution
    broad: Distribution | None = None
    parts: int = 0
    goal: float = 0.0
    """The event that it is for, if there are several."""

    def __str__(self) -> str:
        laws = "one law" if self.parts == 1 else f"a mixture of {self.parts} laws"
        return f"{laws} ({self.name})" if self.parts else self.name


def drawn_from(candidates: Sequence[Candidate], shares: Float) -> Bool:
    """Which candidates are part of a proposal."""
    mixtures = np.array([c.parts > 0 for c in candidates])
    return mixtures | (shares >= DROPPED)


def carried(shares: Float, old: Sequence[Candidate], new: Sequence[Candidate]) -> Float:
    """Shares of the candidates ``new``: a candidate of the same name passes on its share, others get a fair one."""
    known = {c.name: s for c, s in zip(old, shares, strict=True)}
    carried = np.array([known.get(c.name, 1.0 / len(new)) for c in new])
    total: Float = carried / carried.sum()
    return total


def layers(
    candidates: Sequence[Candidate], shares: Float, archive: Archive, cover: Distribution | None
) -> list[Distribution]:
    """The layers of a proposal: fitted laws by their shares, their broad copies, laws of the search, and ``cover``.

    The laws of the search are the first law of the archive and its last in the search for the event: no failing point
    that they could find has a weight far above theirs. ``cover`` is not fitted to anything.
    """
    kept = drawn_from(candidates, shares)
    fitted = mixed(shares[kept].tolist(), [c.law for c, k in zip(candidates, kept, strict=True) if k])
    broad = [c.broad for c, k in zip(candidates, kept, strict=True) if k and c.broad is not None] or [fitted]
    past = [archive.laws[j] for j in archive.searched]
    made = [fitted, mixed([1.0] * len(broad), broad), mixed([1.0] * len(past), past)]
    return made if cover is None else [*made, cover]


def proposal(
    candidates: Sequence[Candidate],
    shares: Float,
    archive: Archive,
    cover: Distribution | None = None,
    of_layers: Float = LAYERS,
) -> Distribution:
    """The law to draw from: `layers` with the shares ``of_layers``."""
    made = layers(candidates, shares, archive, cover)
    if of_layers.size < len(made):  # points found after the last refit
        of_layers = np.append((1.0 - LAYERS[-1]) * of_layers / of_layers.sum(), LAYERS[-1])
    return mixed(of_layers[: len(made)].tolist(), made)


def searching(candidates: Sequence[Candidate]) -> Distribution:
    """The law of the search for the next level: mostly the broad copies."""
    broad = [c.broad for c in candidates if c.broad is not None]
    fitted = mixed([1.0] * len(candidates), [c.law for c in candidates])
    return mixed([0.7, 0.3], [mixed([1.0] * len(broad), broad), fitted]) if broad else fitted


def fitted_shares(candidates: Sequence[Candidate], shares: Float, u: Float, log_weight: Float) -> Float:
    """Shares (k,) with the largest weighted likelihood of draws to which the candidates were not fitted.

    Parameters
    ----------
    candidates : sequence of Candidate
        Candidates fitted to other draws.
    shares : (k,)
        Shares with which expectation-maximisation begins.
    u : (n, d)
        Fresh draws in the event.
    log_weight : (n,)
        Log weights of the draws, in nats.

    Notes
    -----
    The weighted likelihood of held-out draws in the event is minus the cross-entropy from the optimal proposal: the
    family with the smallest divergence gets most of the draws, but every family keeps some.
    """
    logs = np.stack([log_density(c.law, u) for c in candidates], axis=1)
    weight = capped(np.exp(log_weight - log_weight.max()))
    least = np.where([c.parts > 0 for c in candidates], LEAST, LEAST_TILT)
    for _ in range(STEPS):
        share = np.log(shares) + logs
        share = np.exp(share - share.max(axis=1, keepdims=True))
        share /= share.sum(axis=1, keepdims=True)
        shares = np.maximum(weight @ share, least)
        shares /= shares.sum()
    return shares


def fitted_layers(laws: Sequence[Distribution], shares: Float, u: Float, log_weight: Float, log_p: Float) -> Float:
    """Shares (k,) of the layers that give the estimate the smallest variance, as seen by fresh draws.

    Parameters
    ----------
    laws : sequence of Distribution
        `layers`, fitted to other draws.
    shares : (k,)
        Shares with which the minimisation begins.
    u : (n, d)
        Fresh draws in the event.
    log_weight, log_p : (n,)
        Log weights of the draws, and the target's log density there, in nats.

    Notes
    -----
    The second moment of an estimate from the mixture ``q``, ``E_p[p / q; event]``, is convex in the shares [1]_. The
    likelihood, which sets the shares of fitted laws, hardly sees the few draws at which ``q`` is far too small, and a
    broad layer is there for these draws. The multiplicative step is the one of A-optimal designs, with the square root
    that keeps it from ever going up [2]_; draws that carry too much are capped.

    References
    ----------
    .. [1] He & Owen, *Optimal mixture weights in multiple importance sampling*, arXiv:1411.3954, 2014.
    .. [2] Yu, *Monotonic convergence of a general algorithm for computing optimal designs*, Ann. Statist. 38, 2010.
    """
    logs = np.stack([log_density(law, u) for law in laws], axis=1)
    top = logs.max(axis=1)
    density = np.exp(logs - top[:, None])
    log_moment = log_weight + log_p - top
    moment = np.exp(log_moment - log_moment.max())
    for _ in range(LAYER_STEPS):
        blend = density @ shares
        shares = shares * np.sqrt((capped(moment / blend) / blend) @ density)
        shares = np.maximum(shares / shares.sum(), LEAST_LAYERS[: shares.size])
        shares /= shares.sum()
    return shares

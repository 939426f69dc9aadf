"""The risk factors without any event, with which a scenario is compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from raresim.distributions.base import Inputs
from raresim.numerics.arrays import Float

DRAWS, NORMALS = 20_000, 4_000_000
"""Largest numbers of draws of the inputs, and of normals in them, if the law has no moments in closed form."""


@dataclass(frozen=True, eq=False)
class Usual:
    """The risk factors without the event: means and standard deviations (d,), NaN where the law has none.

    Parameters
    ----------
    inputs : Inputs
        The law.
    mean, std : (d,) float64
        Means and standard deviations, in the units of the factors.
    drawn : (n, d) float64 or None
        Draws that gave both; None where they are in closed form.
    rng : numpy.random.Generator
        The generator of such draws.
    """

    inputs: Inputs
    mean: Float
    std: Float
    drawn: Float | None
    rng: np.random.Generator

    @classmethod
    def of(cls, inputs: Inputs, rng: np.random.Generator) -> Usual:
        """The moments in closed form, or else from draws of the inputs without evaluating the loss."""
        moments = []
        for row in np.eye(inputs.dim):
            known = inputs.linear_moments(row)
            if known is None:
                drawn = _drawn(inputs, rng)
                return cls(inputs, drawn.mean(axis=0), drawn.std(axis=0), drawn, rng)
            moments.append(known)
        mean, std = np.array(moments).T
        return cls(inputs, mean, std, None, rng)

    def correlations(self, pairs: Sequence[tuple[int, int]]) -> tuple[list[float], bool]:
        """Correlations of pairs of factors, and whether they are in closed form."""
        found = []
        if self.drawn is None:
            for i, j in pairs:
                weights = np.zeros(self.inputs.dim)
                weights[i], weights[j] = 1.0 / self.std[i], 1.0 / self.std[j]
                known = self.inputs.linear_moments(weights)
                if known is None:
                    break
                found.append(round(0.5 * known[1] ** 2 - 1.0, 12))
            else:
                return found, True
        drawn = self.drawn if self.drawn is not None else _drawn(self.inputs, self.rng)
        centred = drawn - drawn.mean(axis=0)
        spread = drawn.std(axis=0)
        return [float((centred[:, i] * centred[:, j]).mean() / (spread[i] * spread[j])) for i, j in pairs], False

    def shift(self, x: Float) -> Float:
        """Distance of ``x`` (d,) from the means, in standard deviations; NaN where there are none."""
        known = np.isfinite(self.std) & (self.std > 0)
        shift: Float = np.where(known, (x - self.mean) / np.where(known, self.std, 1.0), np.nan)
        return shift


def _drawn(inputs: Inputs, rng: np.random.Generator) -> Float:
    """Draws (n, d) of the inputs."""
    n = max(1000, min(DRAWS, NORMALS // inputs.latent_dim))
    u = np.asfortranarray(rng.standard_normal((n, inputs.latent_dim)))
    return np.array(inputs.to_physical(u, np.empty((n, inputs.dim), order="F")), order="F")

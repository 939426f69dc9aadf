"""Deltas, gammas and covariance of named factors, from files or from numbers."""

from __future__ import annotations

from dataclasses import dataclass

from raresim.numerics.arrays import Float


@dataclass(frozen=True, eq=False)
class Sensitivities:
    """First and second derivatives of a value, and the covariance of the factors.

    Parameters
    ----------
    names : tuple of str or None
        The factors; None where nothing names them.
    delta : (d,) float64
        First derivatives of the value, in its unit over that of the factor.
    gamma : (d, d) or (d,) float64
        Second derivatives, symmetric, or the diagonal alone where all others are 0.
    covariance : (d, d) float64 or None
        Of the factors; None where their law is given apart.
    source : str
        Where the covariance comes from, for messages.
    notes : tuple of str
        What is to be said of them, a sentence each.
    """

    names: tuple[str, ...] | None
    delta: Float
    gamma: Float
    covariance: Float | None
    source: str = "covariance"
    notes: tuple[str, ...] = ()

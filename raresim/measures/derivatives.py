"""Derivatives of the numbers of a run by a score of its rows, a factor on its losses, a threshold or a tail."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from raresim.distributions.base import Inputs
from raresim.inputs.parameters import Parameter
from raresim.inputs.reweighting import LogDensity
from raresim.measures.part_sizes import by_factor
from raresim.measures.tail_rate import NoRateError
from raresim.measures.tail_reading import Reading
from raresim.numerics.arrays import Float

CHANGE, NEAR = 1e-3, (1e-4, 1e-2)
"""Root mean square change of the log density over the rows that a step aims at, and the range that is accepted."""

ROWS = 5_000
"""Number of rows that decide the step."""


@dataclass(frozen=True, eq=False)
class Score:
    """``d log p / d theta`` of each row.

    Parameters
    ----------
    name : str
        The parameter.
    value : float or None
        Value of the parameter; None where several differ.
    by_factor : bool
        Whether the parameter is changed by a factor.
    values : (k,) float64
        Score of each row per unit of the parameter, or of the factor where there is no single value.
    step : float
        Step of the central difference, relative if the parameter is changed by a factor.
    """

    name: str
    value: float | None
    by_factor: bool
    values: Float
    step: float = 0.0

    @classmethod
    def of(cls, parameter: Parameter, inputs: Inputs, at: LogDensity, middle: Float) -> Score:
        """The score by the central difference of the density, ``(p(theta + h) - p(theta - h)) / (2 h p)``.

        The step makes the log density of a row change by `CHANGE`, which leaves an error below 1e-5.
        """
        step = 1e-4
        for _ in range(8):
            up, down = (at(parameter.moved(inputs, sign * step)) - middle for sign in (1.0, -1.0))
            size = math.sqrt(float(np.square(up[:ROWS]).mean())) if middle.size else 0.0
            if size == 0 or NEAR[0] <= size <= NEAR[1]:
                break
            step *= min(max(CHANGE / size, 1e-3), 1e3)
        values = (np.exp(up) - np.exp(down)) / (2.0 * step)
        if parameter.by_factor and parameter.value is not None:
            values = values / parameter.value
        return cls(parameter.name, parameter.value, parameter.by_factor, values, step)


@dataclass(frozen=True, eq=False)
class Derivative:
    """The derivative of a number.

    Parameters
    ----------
    score : Score
        Score of the parameter, or its replacement for a threshold or a tail.
    value, error : float
        Derivative and standard error, in units of the number per unit of the parameter.
    elasticity, elasticity_error : float or None
        ``d log number / d log parameter``, with its standard error; None if one of the two is zero or the parameter has
        no single value.
    weights : mapping
        Diagnostics of how evenly the rows contribute to the derivative.
    """

    score: Score
    value: float
    error: float
    elasticity: float | None
    elasticity_error: float | None
    weights: dict[str, float | None]

    @classmethod
    def of(
        cls,
        reading: Reading,
        score: Score,
        value: float,
        influence: Float,
        weights: dict[str, float | None],
        drift: float = 0.0,
    ) -> Derivative:
        """The derivative ``value``, with the influence (k,) of each row on it, and a bias that its error includes."""
        number, sample = reading.value, reading.sample
        theta = 1.0 if score.value is None and score.by_factor else score.value
        elasticity = elasticity_error = None
        if theta and number:
            elasticity = theta * value / number
            relative = theta * influence / number - elasticity * reading.influence / number
            elasticity_error = math.hypot(sample.error_of_sum(relative), theta * drift / number)
        error = math.hypot(sample.error_of_sum(influence), drift)
        return cls(score, value, error, elasticity, elasticity_error, weights)


def derivative(reading: Reading, score: Score) -> Derivative:
    """The derivative of one number with respect to a parameter of the inputs.

    Raises
    ------
    NoRateError
        When the density of the loss at a value at risk is unknown.
    """
    sample, s = reading.sample, score.values
    weights = reading.weights(s)
    value = float(reading.terms @ s) / sample.n
    if reading.tail is None:
        return Derivative.of(reading, score, value, reading.terms * s, weights)
    beyond = sample.weight * reading.hit
    mass = float(beyond @ s) / sample.n
    if reading.quantity == "expected_shortfall":
        influence = (reading.terms * s - mass * reading.quantile_influence) / reading.tail
        return Derivative.of(reading, score, value / reading.tail, influence, weights)
    if reading.steps:
        raise NoRateError(f"the loss is a step at {reading.threshold:.6g}")
    rate, density = reading.rate, reading.tail * reading.rate.value
    value = mass / density
    moved = rate.influence + rate.slope * reading.quantile_influence
    influence = beyond * (s - rate.mean_here(sample, s)) / density - value * moved / rate.value
    return Derivative.of(reading, score, value, influence, weights)


def of_size(reading: Reading, score: Score) -> Derivative:
    """The derivative of one number by a factor on all losses.

    Raises
    ------
    NoRateError
        When the density of the loss at a threshold is unknown, or a value at risk lies at one of two steps.
    """
    if reading.tail is None:
        value, influence = _by_threshold(reading)
        return Derivative.of(
            reading, score, -reading.threshold * value, -reading.threshold * influence, reading.weights()
        )
    return Derivative.of(reading, score, reading.value, reading.influence, reading.weights())


def of_part(reading: Reading, score: Score) -> Derivative:
    """The derivative of one number by a factor on the losses of a group, which are the values of ``score``.

    Raises
    ------
    NoRateError
        As `of_size`.
    """
    if reading.tail is None:
        _by_threshold(reading)  # which refuses an event that lies below its threshold
    value, influence, drift = by_factor(reading, score.values)
    return Derivative.of(reading, score, value, influence, reading.weights(), drift)


def own_parameters(reading: Reading, missing: dict[str, list[str]]) -> list[Derivative]:
    """The derivative with respect to the threshold of a probability, or to the tail of a quantile or shortfall."""
    name = "threshold" if reading.tail is None else "tail"
    try:
        return [_own(reading)]
    except NoRateError as error:
        missing.setdefault(str(error), []).append(name)
        return []


def _own(reading: Reading) -> Derivative:
    if reading.tail is None:
        score = Score("threshold", reading.threshold, False, np.empty(0))
        return Derivative.of(reading, score, *_by_threshold(reading), reading.weights())
    score = Score("tail", reading.tail, True, np.empty(0))
    if reading.steps:
        raise NoRateError(f"the loss is a step at {reading.threshold:.6g}")
    if reading.quantity == "expected_shortfall":
        value = (reading.threshold - reading.value) / reading.tail
        influence = (reading.quantile_influence - reading.influence) / reading.tail
        return Derivative.of(reading, score, value, influence, reading.weights())
    rate = reading.rate
    value = -1.0 / (reading.tail * rate.value)
    influence = -value * (rate.influence + rate.slope * reading.quantile_influence) / rate.value
    return Derivative.of(reading, score, value, influence, reading.weights())


def _by_threshold(reading: Reading) -> tuple[float, Float]:
    """The derivative of a probability by its threshold, and the influence (k,) of each row on it."""
    if reading.sample.floor > reading.threshold or reading.hit[reading.sample.loss < reading.threshold].any():
        raise NoRateError("the event lies below the threshold")
    rate = reading.rate
    return -rate.value * reading.value, -rate.value * reading.terms - reading.value * rate.influence

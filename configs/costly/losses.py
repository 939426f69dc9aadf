"""Limit states of the costly examples: failure is a value of at most zero. They stand for programs of minutes."""

import numpy as np


def four_branches(x):
    """The smallest margin of two curved and two plane branches."""
    a, b = x.T
    bend, root = 0.1 * (a - b) ** 2, np.sqrt(2.0)
    return np.min([3 + bend - (a + b) / root, 3 + bend + (a + b) / root, a - b + 7 / root, b - a + 7 / root], axis=0)


def oscillator(x):
    """Three times the yield displacement, less the largest displacement after a rectangular pulse."""
    mass, spring, second_spring, yield_point, force, pulse = x.T
    stiffness = spring + second_spring
    displacement = 2.0 * force / stiffness * np.sin(0.5 * pulse * np.sqrt(stiffness / mass))
    return 3.0 * yield_point - np.abs(displacement)

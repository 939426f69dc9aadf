"""The limit state of reliability.yaml."""


def beam(x):
    """Moment of a steel beam on two supports beyond what it resists, in kN m: it fails where this is not negative.

    The columns of ``x`` are in the order of the config: strength in N/mm2, section modulus in mm3, load at midspan in
    kN, span in m.
    """
    strength, modulus, load, span = x.T
    return load * span / 4 - 1e-6 * strength * modulus

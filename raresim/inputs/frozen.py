"""Frozen laws of ``scipy.stats`` as inputs: one factor, or a multivariate normal or t law."""

from __future__ import annotations

from typing import Any

from raresim.distributions.base import Inputs
from raresim.distributions.independent import Independent
from raresim.distributions.normal import Normal
from raresim.distributions.student_t import StudentT
from raresim.marginals.frozen import of_frozen


def of_frozen_joint(value: Any) -> Inputs | None:
    """The inputs that the frozen law ``value`` of ``scipy.stats`` is; None where it is none that raresim knows.

    Raises
    ------
    FieldError
        When a parameter is not allowed, such as a covariance that is not positive definite.
    """
    kind = type(value).__name__
    if kind == "multivariate_normal_frozen":
        return Normal(mean=value.mean, cov=value.cov)
    if kind == "multivariate_t_frozen":
        return StudentT(dof=float(value.df), loc=value.loc, shape=value.shape)
    law = of_frozen(value)
    return None if law is None else Independent(marginals=[law])

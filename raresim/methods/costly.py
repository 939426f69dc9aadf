"""When method `auto` leaves a run to a surrogate: the budget says that evaluations are costly, and the user that they
are smooth."""

from __future__ import annotations

from raresim.diagnostics.surrogate import MOST_INPUTS
from raresim.losses.base import Loss
from raresim.methods.surrogate_design import least_budget

FEW = 2_000
"""Evaluations up to which a budget is that of a costly loss: a search of `auto` and its estimate need more."""


def why_a_surrogate(loss: Loss, dim: int, budget: int, counts: bool) -> str:
    """Why a surrogate answers better than a search of `auto`, in words; empty where it does not.

    Parameters
    ----------
    loss : Loss
        The loss.
    dim : int
        Standard normals.
    budget : int
        Evaluations of the run.
    counts : bool
        Whether only probabilities are asked.
    """
    fits = dim <= MOST_INPUTS and least_budget(dim) <= budget <= FEW
    if not (fits and counts and loss.runs_user_code and not loss.may_fail and not loss.undeclared):
        return ""
    return (
        f"a surrogate learns the loss, because the loss is declared to be smooth, there are {dim} standard normals (at "
        f"most {MOST_INPUTS}), and {budget:,} evaluations are too few for a search of this method and its estimate, "
        f"which need {FEW:,} or more"
    )

"""What ``raresim list`` shows: families of interchangeable parts, and the members of each."""

from __future__ import annotations

import inspect
from typing import Any

from raresim.registry import FAMILIES, families_called, members, plugins

__all__ = ["members_of", "overview", "plain", "rows"]

FAMILY_TEXTS = {
    "inputs": "joint laws of the risk factors (`inputs`)",
    "distribution": "joint laws with a density, also as proposals (`inputs`, `proposal`)",
    "marginal": "laws of single risk factors (`inputs.marginals`)",
    "copula": "dependence of the risk factors (`inputs.copula`)",
    "loss": "what a row of risk factors loses (`loss`)",
    "proposal_family": "families of laws that are fitted and drawn from (`method.proposal`)",
    "method": "ways to find the answer (`method`)",
    "measure": "what can be asked (`measures`)",
    "model": "inputs and loss in one: portfolios (`model`)",
    "process": "what moves along a path (`model.process`)",
}
"""What a family is and where it stands in a config."""


def members_of(family: str | None) -> dict[str, dict[str, type]]:
    """The members of the families that ``family`` means, all without it; a class in two families is named in the first.

    Raises
    ------
    FieldError
        When there is no such family.
    """
    wanted = list(FAMILIES) if family is None else families_called(family)
    homes = {cls: name for name in reversed(wanted) for cls in members(name).values()}
    return {name: {kind: cls for kind, cls in members(name).items() if homes[cls] == name} for name in wanted}


def rows(found: dict[str, dict[str, type]]) -> list[list[str]]:
    """Family, kind and first sentence of each member; those of other packages, which are not imported, at the end."""
    own = [[name, kind, _summary(cls)] for name, kinds in found.items() for kind, cls in kinds.items()]
    foreign = [each for each in plugins() if each.family in found and each.kind not in members(each.family)]
    return own + [[each.family, each.kind, f"Of the package {each}."] for each in foreign]


def overview(found: dict[str, dict[str, type]]) -> list[list[str]]:
    """Each family with the number of its members and what it is."""
    return [[name, str(len(members(name))), FAMILY_TEXTS[name]] for name in found]


def plain(found: dict[str, dict[str, type]]) -> dict[str, list[dict[str, Any]]]:
    """The members as plain data."""
    return {
        name: [{"kind": kind, "summary": _summary(cls)} for kind, cls in kinds.items()] for name, kinds in found.items()
    }


def _summary(cls: type) -> str:
    return (inspect.getdoc(cls) or "").splitlines()[0].replace("``", "")

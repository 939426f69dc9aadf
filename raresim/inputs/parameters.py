"""The parameters of an input law by name, and the law with some of them changed."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from raresim.arguments import checks
from raresim.arguments.synonyms import unknown
from raresim.copulas.base import Copula
from raresim.copulas.blocks import Blocks
from raresim.copulas.gaussian import Gaussian
from raresim.copulas.grouped_t import GroupedT
from raresim.copulas.independence import Independence
from raresim.copulas.survival import Survival
from raresim.copulas.t import T
from raresim.copulas.vine import Vine
from raresim.distributions.base import Inputs
from raresim.distributions.factor import FactorModel
from raresim.distributions.groups import Groups
from raresim.distributions.independent import Independent
from raresim.distributions.normal import Normal
from raresim.distributions.standard_normal import StandardNormal
from raresim.distributions.student_t import StudentT
from raresim.errors import FieldError
from raresim.inputs.copula import CopulaInputs
from raresim.inputs.fitted import FittedInputs
from raresim.inputs.nataf import Nataf
from raresim.marginals.base import Marginal
from raresim.marginals.empirical import Empirical
from raresim.marginals.finite import Finite
from raresim.marginals.mixture import Mixture
from raresim.marginals.scipy_law import ScipyLaw
from raresim.marginals.semi_parametric import SemiParametric
from raresim.numerics.arrays import Bool, Float

MOST_PAIRS = 60
"""Most coordinates for which the correlation of each pair has a name of its own."""

MOST_MATRIX = 500
"""Most coordinates for which the correlation of independent normals, which is zero, is a parameter."""

SHIFTED = frozenset(
    {"mean", "loc", "correlation", "tau", "skew", "xi", "lower_shape", "upper_shape", "low", "mode", "high"}
)
"""Parameters that are moved by adding to them, whatever their sign."""

VOLATILITY = frozenset({"std", "scale"})
"""Parameters to which every deviation of a factor from its centre is proportional."""


@dataclass(frozen=True, eq=False)
class Leaf:
    """A parameter of a law: one number, or one for each factor or pair of factors.

    Parameters
    ----------
    name : str
        Path from the joint law: ``std``, ``x1.scale``, ``copula.correlation``.
    values : (k,) float64
        Empty where there is nothing to change.
    labels : tuple of str
        Names of the entries; empty for a single number, and where they are too many to have names.
    why_not : str
        Reason why a part of the law has no parameters; else empty.
    """

    name: str
    values: Float
    labels: tuple[str, ...] = ()
    why_not: str = ""

    def is_called(self, name: str) -> bool:
        """Whether ``name`` is the path, or the end of it."""
        return _ends_with(self.name, name)


Change = Callable[[Leaf], Float]
"""Gives the new values (k,) of a parameter: the very same array where it is not changed."""


@dataclass(frozen=True, eq=False)
class Parameter:
    """Entries of the leaves of a law that are changed together.

    Parameters
    ----------
    name : str
        As it was asked for.
    entries : mapping of str to (k,) bool
        Which values of each leaf belong to it.
    values : (m,) float64
        These values as they are now.
    by_factor : bool
        Whether it is changed by a factor, as positive numbers are that are not locations or correlations; else a step
        is added.
    only_relative : bool
        Whether the name stands for a quantity to which the parameter is only proportional.
    """

    name: str
    entries: Mapping[str, Bool]
    values: Float
    by_factor: bool
    only_relative: bool = False

    @property
    def value(self) -> float | None:
        """The one number that all values are; None where they differ."""
        first = float(self.values[0])
        return first if bool((self.values == first).all()) else None

    def changed(self, inputs: Inputs, function: Callable[[Float], Float]) -> Inputs:
        """``inputs`` with the values replaced by ``function`` of them.

        Raises
        ------
        FieldError
            When no such law exists.
        """

        def change(leaf: Leaf) -> Float:
            chosen = self.entries.get(leaf.name)
            return leaf.values if chosen is None else np.where(chosen, function(leaf.values), leaf.values)

        law: Inputs = _rebuilt(inputs, change, "")
        return law

    def moved(self, inputs: Inputs, step: float) -> Inputs:
        """``inputs`` with the values times ``1 + step``, or with ``step`` added to them."""
        return self.changed(inputs, lambda v: v * (1.0 + step) if self.by_factor else v + step)


def leaves(inputs: Inputs) -> list[Leaf]:
    """Every parameter of a joint law, and every part that has none."""
    found: list[Leaf] = []

    def note(leaf: Leaf) -> Float:
        found.append(leaf)
        return leaf.values

    _rebuilt(inputs, note, "")
    return found


def find(inputs: Inputs, name: str) -> Parameter:
    """The parameter called ``name``: all leaves whose path ends in it, changed together.

    ``volatility`` stands for every ``std`` and ``scale``; so does ``std`` where no parameter has that name.

    Raises
    ------
    FieldError
        When no parameter has that name.
    """
    found = leaves(inputs)
    known = [leaf for leaf in found if leaf.values.size]
    if not known:
        raise FieldError("parameter", f"the inputs have none: {'; '.join(leaf.why_not for leaf in found)}")
    stand_ins: tuple[frozenset[str], ...] = (frozenset({name}),)
    if name in ("volatility", "std"):
        stand_ins += (VOLATILITY,)
    for names in stand_ins:
        entries = {leaf.name: chosen for leaf in known if (chosen := _chosen(leaf, names)).any()}
        if entries:
            values = np.concatenate([leaf.values[entries[leaf.name]] for leaf in known if leaf.name in entries])
            ends = {leaf.name.rpartition(".")[2] for leaf in known if leaf.name in entries}
            by_factor = bool((values > 0).all()) and not ends & SHIFTED
            return Parameter(name, entries, values, by_factor, only_relative=names != {name})
    raise FieldError("parameter", unknown("parameter", name, sorted({leaf.name for leaf in known})))


def _chosen(leaf: Leaf, names: frozenset[str]) -> Bool:
    if any(leaf.is_called(name) for name in names):
        return np.ones(leaf.values.size, dtype=bool)
    if not leaf.labels:
        return np.zeros(leaf.values.size, dtype=bool)
    full = (f"{leaf.name}.{label}" for label in leaf.labels)
    return np.array([any(_ends_with(entry, name) for name in names) for entry in full])


def _ends_with(path: str, name: str) -> bool:
    return path == name or path.endswith(f".{name}")


def _pairs(names: Sequence[str]) -> tuple[str, ...]:
    return tuple(f"{a}.{b}" for a, b in itertools.combinations(names, 2)) if len(names) <= MOST_PAIRS else ()


def _names(law: Inputs) -> tuple[str, ...]:
    return law.names or tuple(f"x{k}" for k in range(1, law.dim + 1))


# --- laws with other values ------------------------------------------------------------------------------------------


@functools.singledispatch
def _rebuilt(law: Any, change: Change, at: str) -> Any:
    """``law`` with the changed values; ``at`` is the path to it, with a dot at its end."""
    if isinstance(law, Marginal | Copula):
        return _from_fields(law, change, at)
    return _unchangeable(law, change, at, f"a law of kind {law.kind} has no density whose parameters could be changed")


def _unchangeable(law: Any, change: Change, at: str, why: str) -> Any:
    change(Leaf(at.removesuffix(".") or law.kind, np.empty(0), why_not=why))
    return law


def _from_fields(law: Any, change: Change, at: str) -> Any:
    """A marginal or copula, with each number among its fields as a parameter."""
    new: dict[str, Any] = {}
    natural = [f.name for f in fields(law) if f.type == "Natural"]
    given_otherwise = natural and any(
        f.type == "float | None" and getattr(law, f.name) is not None for f in fields(law)
    )
    for f in fields(law):
        value = getattr(law, f.name)
        if not f.init or value is None or (given_otherwise and f.name in natural):
            continue
        if f.type in ("float", "Natural", "float | None"):
            old = np.array([float(value)])
            if (values := change(Leaf(f"{at}{f.name}", old))) is not old:
                new[f.name] = float(values[0])
        elif isinstance(value, Marginal | Copula) and (part := _rebuilt(value, change, f"{at}{f.name}.")) is not value:
            new[f.name] = part
    if not new:
        return law
    return replace(law, **dict.fromkeys(natural if given_otherwise else (), None), **new)


@_rebuilt.register
def _(law: Independence, change: Change, at: str) -> Independence:
    return law


@_rebuilt.register
def _(law: Vine, change: Change, at: str) -> Any:
    return _unchangeable(law, change, at, "the pair copulas of a vine are read from its file")


@_rebuilt.register
def _(law: Blocks, change: Change, at: str) -> Blocks:
    copulas = [_rebuilt(c, change, f"{at}{k}.") for k, c in enumerate(law.copulas, start=1)]
    return law if _same(copulas, law.copulas) else Blocks(copulas=copulas)


@_rebuilt.register(Gaussian)
@_rebuilt.register(T)
@_rebuilt.register(GroupedT)
def _(law: Gaussian | T | GroupedT, change: Change, at: str) -> Any:
    new: dict[str, Any] = {}
    if law.rho is not None:
        old = np.array([float(law.rho)])
        if (values := change(Leaf(f"{at}correlation", old))) is not old:
            new["rho"] = float(values[0])
    else:
        matrix = np.asarray(law.correlation)
        if (changed := _correlation(matrix, change, at, [f"x{k}" for k in range(1, law.dim + 1)])) is not matrix:
            new["correlation"] = changed
    if not isinstance(law, Gaussian):
        dof = np.atleast_1d(np.asarray(law.dof, dtype=np.float64))
        labels = tuple(f"group{k}" for k in range(1, dof.size + 1)) if dof.size > 1 else ()
        if (values := change(Leaf(f"{at}dof", dof, labels))) is not dof:
            new["dof"] = values if isinstance(law, GroupedT) else float(values[0])
    return replace(law, **new) if new else law


@_rebuilt.register
def _(law: Survival, change: Change, at: str) -> Survival:
    copula = _rebuilt(law.copula, change, at)
    return law if copula is law.copula else Survival(copula=copula)


@_rebuilt.register(Empirical)
@_rebuilt.register(Finite)
def _(law: Empirical | Finite, change: Change, at: str) -> Any:
    return _unchangeable(law, change, at, f"a law of kind {law.kind} is given by its values and has no parameters")


@_rebuilt.register
def _(law: Mixture, change: Change, at: str) -> Mixture:
    parts = [_rebuilt(c, change, f"{at}{k}.") for k, c in enumerate(law.components, start=1)]
    return law if _same(parts, law.components) else Mixture(weights=law.weights, components=parts)


@_rebuilt.register
def _(law: ScipyLaw, change: Change, at: str) -> ScipyLaw:
    old = {name: np.array([float(value)]) for name, value in law.parameters.items()}
    new = {name: change(Leaf(f"{at}{name}", value)) for name, value in old.items()}
    if _same(list(new.values()), list(old.values())):
        return law
    return ScipyLaw(name=law.name, parameters={name: float(value[0]) for name, value in new.items()})


@_rebuilt.register
def _(law: SemiParametric, change: Change, at: str) -> SemiParametric:
    """Shape and scale of the fitted tails; between them the law is its sample."""
    tails = []
    for tail in law.tails:
        old = [np.array([tail.shape]), np.array([tail.scale])]
        new = [change(Leaf(f"{at}{tail.side}_{name}", v)) for name, v in zip(("shape", "scale"), old, strict=True)]
        shape, scale = (float(v[0]) for v in new)
        tails.append(tail if _same(new, old) else replace(tail, shape=shape, scale=checks.positive("scale", scale)))
    return law if _same(tails, law.tails) else law.with_tails(tuple(tails))


@_rebuilt.register
def _(law: StandardNormal, change: Change, at: str) -> Inputs:
    made = Normal(dim=law.dim)
    changed: Inputs = _rebuilt(made, change, at)
    return law if changed is made else changed


@_rebuilt.register
def _(law: Normal, change: Change, at: str) -> Normal:
    names = _names(law)
    mean = change(Leaf(f"{at}mean", law.location, names))
    std = change(Leaf(f"{at}std", law.scales, names))
    old = _correlation_of(law)
    correlation = _correlation(old, change, at, names)
    if mean is law.location and std is law.scales and correlation is old:
        return law
    if correlation is old and not law.correlated:
        return Normal(mean=mean, std=std, fitted=law.fitted)
    checks.positive_vector("std", std)
    return Normal(mean=mean, cov=np.outer(std, std) * correlation, fitted=law.fitted)


@_rebuilt.register
def _(law: StudentT, change: Change, at: str) -> StudentT:
    names, normal = _names(law), law.normal
    loc = change(Leaf(f"{at}loc", normal.location, names))
    scale = change(Leaf(f"{at}scale", normal.scales, names))
    old, old_dof = _correlation_of(normal), np.array([float(law.dof)])
    correlation = _correlation(old, change, at, names)
    dof = change(Leaf(f"{at}dof", old_dof))
    if loc is normal.location and scale is normal.scales and correlation is old and dof is old_dof:
        return law
    if correlation is old and not normal.correlated:
        return StudentT(dof=float(dof[0]), loc=loc, scale=scale, fitted=law.fitted)
    checks.positive_vector("scale", scale)
    return StudentT(dof=float(dof[0]), loc=loc, shape=np.outer(scale, scale) * correlation, fitted=law.fitted)


def _correlation_of(law: Normal) -> Float:
    """The correlation matrix; (0, 0) for independent normals that are too many for one."""
    if law.correlated:
        return np.asarray(np.asarray(law.cov) / np.outer(law.scales, law.scales))
    return np.eye(law.dim) if law.dim <= MOST_MATRIX else np.empty((0, 0))


def _correlation(matrix: Float, change: Change, at: str, names: Sequence[str]) -> Float:
    """The correlation matrix with its pairs changed; ``matrix`` itself where they are not."""
    if len(matrix) < 2:
        return matrix
    upper = np.triu_indices(len(matrix), 1)
    old = matrix[upper]
    new = change(Leaf(f"{at}correlation", old, _pairs(names)))
    if new is old:
        return matrix
    out = np.eye(len(matrix))
    out[upper] = new
    return out + out.T - np.eye(len(matrix))


@_rebuilt.register
def _(law: Independent, change: Change, at: str) -> Independent:
    if law.marginal is not None:
        one = _rebuilt(law.marginal, change, at)
        return law if one is law.marginal else Independent(marginal=one, dim=law.dim)
    laws = _margins(law.names, law.laws, change, at)
    return law if _same(list(laws.values()), law.laws) else Independent(marginals=laws)


@_rebuilt.register
def _(law: CopulaInputs, change: Change, at: str) -> CopulaInputs:
    copula = _rebuilt(law.copula, change, f"{at}copula.")
    if law.marginal is not None:
        one = _rebuilt(law.marginal, change, at)
        if one is law.marginal and copula is law.copula:
            return law
        return CopulaInputs(copula=copula, marginal=one)
    laws = _margins(law.names, law.laws, change, at)
    if copula is law.copula and _same(list(laws.values()), law.laws):
        return law
    return CopulaInputs(copula=copula, marginals=laws)


@_rebuilt.register
def _(law: FittedInputs, change: Change, at: str) -> FittedInputs | CopulaInputs:
    joint: CopulaInputs = _rebuilt(law.joint, change, at)
    return law if joint is law.joint else joint


@_rebuilt.register
def _(law: Nataf, change: Change, at: str) -> Nataf:
    old = np.asarray(law.correlation)
    correlation = _correlation(old, change, at, law.names)
    if law.marginal is not None:
        one = _rebuilt(law.marginal, change, at)
        if one is law.marginal and correlation is old:
            return law
        return Nataf(correlation=correlation, marginal=one, repair=law.repair)
    laws = _margins(law.names, law.joint.laws, change, at)
    if correlation is old and _same(list(laws.values()), law.joint.laws):
        return law
    return Nataf(correlation=correlation, marginals=laws, repair=law.repair)


@_rebuilt.register
def _(law: Groups, change: Change, at: str) -> Groups:
    groups = {name: _rebuilt(group, change, f"{at}{name}.") for name, group in law.groups.items()}
    return law if _same(list(groups.values()), list(law.groups.values())) else Groups(groups=groups)


@_rebuilt.register
def _(law: FactorModel, change: Change, at: str) -> FactorModel:
    names = _names(law)
    loadings = np.asarray(law.loadings)
    flat = loadings.ravel()
    labels = tuple(f"{name}.f{k}" for name in names for k in range(1, loadings.shape[1] + 1))
    parts = {
        "loadings": (flat, change(Leaf(f"{at}loadings", flat, labels))),
        "specific": (law.specific, change(Leaf(f"{at}specific", np.asarray(law.specific), names))),
        "loc": (law.loc, change(Leaf(f"{at}loc", np.asarray(law.loc), names))),
        "factors": (law.factors, _rebuilt(law.factors, change, f"{at}factors.")),
        "residual": (law.residual, _rebuilt(law.residual, change, f"{at}residual.")),
    }
    new: dict[str, Any] = {name: after for name, (before, after) in parts.items() if after is not before}
    if "loadings" in new:
        new["loadings"] = new["loadings"].reshape(loadings.shape)
    return replace(law, **new) if new else law


def _margins(names: Sequence[str], laws: Sequence[Marginal], change: Change, at: str) -> dict[str, Marginal]:
    return {name: _rebuilt(law, change, f"{at}{name}.") for name, law in zip(names, laws, strict=True)}


def _same(new: Sequence[Any], old: Sequence[Any]) -> bool:
    return all(a is b for a, b in zip(new, old, strict=True))

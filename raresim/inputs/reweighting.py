"""Log density of the same draws under another law of the same form."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from raresim.copulas.base import Copula
from raresim.distributions.base import Distribution, Inputs, log_density
from raresim.distributions.factor import FactorModel
from raresim.distributions.groups import Groups
from raresim.distributions.independent import Independent
from raresim.inputs.copula import CopulaInputs
from raresim.inputs.fitted import FittedInputs
from raresim.inputs.nataf import Nataf
from raresim.marginals.base import Marginal
from raresim.marginals.bernoulli import Bernoulli
from raresim.numerics.arrays import Float

LogDensity = Callable[[Inputs], Float]
"""Log density (n,), up to a constant, that a law gives to the same draws."""


class NoDensityError(ValueError):
    """Draws of one law cannot be weighted for another; the text says why."""


def log_density_at(base: Inputs, u: Float, x: Float) -> LogDensity:
    """The log density that laws with other parameters than ``base`` give to its draws, as a function of the law.

    Parameters
    ----------
    base : Inputs
        The law that maps ``u`` to ``x``.
    u : (n, l) float64
        Standard normals.
    x : (n, d) float64
        Risk factors.

    Raises
    ------
    NoDensityError
        When the law has no density. The returned function raises it when draws of the other law could lie where draws
        of ``base`` cannot.

    Notes
    -----
    The loss is a function of ``x``, so the density of any variables that include or determine ``x`` will do. For a
    factor model it is the joint density of factors and names, which are independent given the factors. For discrete
    factors that a copula joins it is the density of their normal scores: another probability of a Bernoulli variable
    moves its threshold, which is the same as scores that move the other way.
    """
    x = np.asfortranarray(x)
    if isinstance(base, Groups):
        return _of_groups(base, u, x)
    if isinstance(base, FactorModel):
        return _of_factor_model(base, u, x)
    joint = base.joint if isinstance(base, Nataf) else base
    if isinstance(joint, CopulaInputs) and any(law.discrete for law in joint.laws):
        return _of_scores(joint, u, x)
    if not isinstance(base, Distribution):
        raise NoDensityError(f"inputs of kind {base.kind} have no density")
    ends = _supports(base)

    def at(law: Inputs) -> Float:
        assert isinstance(law, Distribution)  # as base is
        _refuse_beyond(ends, _supports(law))
        return log_density(law, x)

    return at


def _of_groups(base: Groups, u: Float, x: Float) -> LogDensity:
    parts: dict[str, LogDensity] = {}
    latent = factor = 0
    for name, group in base.groups.items():
        normals, factors = slice(latent, latent + group.latent_dim), slice(factor, factor + group.dim)
        parts[name] = log_density_at(group, u[:, normals], x[:, factors])
        latent, factor = normals.stop, factors.stop

    def at(law: Inputs) -> Float:
        assert isinstance(law, Groups)
        return np.asarray(np.sum([part(law.groups[name]) for name, part in parts.items()], axis=0))

    return at


def _of_factor_model(base: FactorModel, u: Float, x: Float) -> LogDensity:
    k = base.factors.latent_dim
    if not (np.asarray(base.specific) > 0).all():
        raise NoDensityError("a name of the factor model has no specific part, so the factors determine it")
    normals = np.asfortranarray(u[:, :k])
    f = base.factors.to_physical(normals, np.empty((len(u), base.factors.dim), order="F"))
    common, ends = log_density_at(base.factors, normals, f), base.residual.support

    def at(law: Inputs) -> Float:
        assert isinstance(law, FactorModel)
        moved = any(np.any(getattr(law, name) != getattr(base, name)) for name in ("loadings", "specific", "loc"))
        if moved and np.isfinite(ends).any():
            raise NoDensityError("the range of values of a name would change with it")
        _refuse_beyond([ends], [law.residual.support])
        specific, loc, centre = np.asarray(law.specific), np.asarray(law.loc), f @ np.asarray(law.loadings).T
        out = common(law.factors).copy()
        for j in range(x.shape[1]):
            out += law.residual.logpdf((x[:, j] - loc[j] - centre[:, j]) / specific[j]) - np.log(specific[j])
        return out

    return at


def _of_scores(base: CopulaInputs, u: Float, x: Float) -> LogDensity:
    v = np.empty(x.shape, order="F")
    base.copula.scores(np.asfortranarray(u), v)

    def at(law: Inputs) -> Float:
        joint = law.joint if isinstance(law, Nataf) else law
        assert isinstance(joint, CopulaInputs)
        scores, out = v.copy(order="F"), np.zeros(len(v))
        for j, (old, new) in enumerate(zip(base.laws, joint.laws, strict=True)):
            if not new.discrete:
                _refuse_beyond([old.support], [new.support])
                scores[:, j], density = _score(new, x[:, j]), new.logpdf(x[:, j])
            else:
                scores[:, j] += _moved_by(old, new)
                density = -0.5 * scores[:, j] ** 2
            out += density
        return out + _copula_density(joint.copula, scores)

    return at


def _score(law: Marginal, x: Float) -> Float:
    from raresim.numerics import normal_scores

    out = np.empty(x.shape)
    normal_scores.from_log_probabilities(law.logcdf(x), law.logsf(x), out)
    return out


def _moved_by(old: Marginal, new: Marginal) -> float:
    """How far the scores of a discrete factor have to move to give it the law ``new``."""
    from scipy.special import ndtri

    if new is old:
        return 0.0
    if isinstance(old, Bernoulli) and isinstance(new, Bernoulli) and 0 < old.p < 1 and 0 < new.p < 1:
        return float(ndtri(old.p) - ndtri(new.p))
    raise NoDensityError(f"it belongs to a discrete law of kind {old.kind} that a copula joins")


def _copula_density(copula: Copula, scores: Float) -> Float:
    out = np.empty(len(scores))
    copula.logpdf(scores, out)
    return out


def _supports(law: Inputs) -> Sequence[tuple[float, float]]:
    """Smallest and largest value of each factor, where they are given one by one."""
    joint = law.joint if isinstance(law, Nataf | FittedInputs) else law
    return [each.support for each in joint.laws] if isinstance(joint, Independent | CopulaInputs) else []


def _refuse_beyond(old: Sequence[tuple[float, float]], new: Sequence[tuple[float, float]]) -> None:
    for (low, high), (new_low, new_high) in zip(old, new, strict=True):
        if new_low < low or new_high > high:
            raise NoDensityError(
                f"a factor could then lie from {new_low:.6g} to {new_high:.6g}, but was only drawn from {low:.6g} to "
                f"{high:.6g}"
            )

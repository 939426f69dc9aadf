"""How many claims each line has: laws of their own, joined by a copula, a common gamma factor, or common events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from raresim.arguments.typed import typed
from raresim.copulas.base import Copula
from raresim.errors import FieldError
from raresim.marginals.base import Marginal
from raresim.marginals.gamma import Gamma
from raresim.marginals.poisson import first_true
from raresim.models.insurance.lines import Line
from raresim.numerics import normal_scores
from raresim.numerics.arrays import Float

MOST_ATOMS = 2_000
"""Values of a law of counts without a closed form that a generating function is summed over."""


class Named(Protocol):
    """What has a name."""

    @property
    def name(self) -> str: ...


@typed
@dataclass(frozen=True, kw_only=True, eq=False)
class CommonEvents:
    """Events that bring a claim to several lines at once: a common shock.

    Parameters
    ----------
    frequency : Marginal
        The law of their number in a period, on whole numbers from 0 on; it adds to each line's own claims.
    lines : sequence of str
        Names of the lines that each event brings a claim to, at least two.
    """

    frequency: Marginal
    lines: Sequence[str]

    def __post_init__(self) -> None:
        law = self.frequency
        if not law.discrete or law.support[0] < 0:
            raise FieldError("frequency", f"must be a law on whole numbers from 0 on, got {law.describe()}")
        if len(set(self.lines)) < 2:
            raise FieldError("lines", "must name at least two lines: else the events are those of one line")


@typed
@dataclass(frozen=True, kw_only=True, eq=False)
class GammaMixing:
    """A common gamma factor with mean 1 that multiplies the expected numbers of claims of Poisson lines.

    Parameters
    ----------
    std : float
        Standard deviation of the factor, positive; dimensionless.
    lines : sequence of str, optional
        Names of the lines; all of them where it is left out.
    """

    std: float
    lines: Sequence[str] | None = None

    def __post_init__(self) -> None:
        if not self.std > 0:
            raise FieldError("std", f"must be above 0, got {self.std:.15g}; leave the mixing out for independent lines")


@dataclass(frozen=True, eq=False)
class Frequencies:
    """The joint law of the numbers of claims.

    Parameters
    ----------
    lines : tuple of Line
        Their own laws.
    copula : Copula, optional
        That joins them.
    mixing : GammaMixing, optional
        The common factor.
    common : tuple of CommonEvents
        Events that bring claims to several lines.
    """

    lines: tuple[Line, ...]
    copula: Copula | None = None
    mixing: GammaMixing | None = None
    common: tuple[CommonEvents, ...] = ()

    def __post_init__(self) -> None:
        if self.copula is not None and self.copula.dim != len(self.lines):
            raise FieldError("copula", f"must join the {len(self.lines)} lines, got one of dimension {self.copula.dim}")
        for k, events in enumerate(self.common):
            known(f"common_events[{k}].lines", events.lines, self.lines)
        if self.mixing is not None:
            known("mixing.lines", self.mixing.lines or (), self.lines)
            for line, is_mixed in zip(self.lines, self.mixed, strict=True):
                if is_mixed and line.frequency.kind != "poisson":
                    raise FieldError(
                        "mixing", f"is for lines with a poisson frequency, got {line.frequency.kind} of {line.name!r}"
                    )

    @cached_property
    def mixed(self) -> tuple[bool, ...]:
        """Which lines have the common factor."""
        names = () if self.mixing is None else (self.mixing.lines or tuple(line.name for line in self.lines))
        return tuple(line.name in names for line in self.lines)

    @cached_property
    def gamma(self) -> Gamma | None:
        """The law of the common factor."""
        return None if self.mixing is None else Gamma(mean=1.0, std=self.mixing.std)

    @property
    def are_independent(self) -> bool:
        return self.copula is None and self.mixing is None and not self.common

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the factors: own claims of each line, common events, the common factor."""
        own = (f"{line.name}_count" for line in self.lines)
        events = (f"common_events_{k + 1}" for k in range(len(self.common)))
        return (*own, *events, *(("common_factor",) if self.mixing else ()))

    @property
    def latent_dim(self) -> int:
        own = len(self.lines) if self.copula is None else self.copula.latent_dim
        return own + len(self.common) + (self.mixing is not None)

    def to_physical(self, u: Float, x: Float) -> None:
        """Write the factors (n, dim) of standard normals ``u`` (n, latent_dim) into ``x``."""
        many = len(self.lines)
        scores, rest = u, u[:, many:]
        if self.copula is not None:
            scores = np.empty((len(u), many), order="F")
            self.copula.scores(np.asfortranarray(u[:, : self.copula.latent_dim]), scores)
            rest = u[:, self.copula.latent_dim :]
        for k, events in enumerate(self.common):
            events.frequency.from_normal(rest[:, k], x[:, many + k])
        if self.gamma is not None:
            self.gamma.from_normal(rest[:, -1], x[:, many + len(self.common)])
        for k, line in enumerate(self.lines):
            if self.mixed[k]:
                mean = line.frequency.moments().mean * x[:, many + len(self.common)]
                x[:, k] = poisson_counts(scores[:, k], mean)
            else:
                line.frequency.from_normal(scores[:, k], x[:, k])

    def counts(self, x: Float) -> Float:
        """How many claims each line has in all (n, lines), of factors ``x`` (n, dim)."""
        out = np.array(x[:, : len(self.lines)], order="F")
        for k, events in enumerate(self.common):
            for i, line in enumerate(self.lines):
                if line.name in events.lines:
                    out[:, i] += x[:, len(self.lines) + k]
        return out

    @cached_property
    def means(self) -> Float:
        """Expected numbers of claims of the lines."""
        own = np.array([line.frequency.moments().mean for line in self.lines])
        for events in self.common:
            own = own + events.frequency.moments().mean * self._touched(events)
        return own

    @cached_property
    def covariance(self) -> Float | None:
        """Of the numbers of claims; None with a copula."""
        if self.copula is not None:
            return None
        out = np.diag([line.frequency.moments().variance for line in self.lines])
        if self.mixing is not None:
            each = np.where(self.mixed, [line.frequency.moments().mean for line in self.lines], 0.0)
            out = out + self.mixing.std**2 * np.outer(each, each)
        for events in self.common:
            touched = self._touched(events)
            out = out + events.frequency.moments().variance * np.outer(touched, touched)
        return np.asarray(out)

    def log_pgf(self, missing: Sequence[Any]) -> Any:
        """Log of the joint probability generating function of the lines' numbers of claims; None with a copula.

        Parameters
        ----------
        missing : sequence of (n,) arrays, real or complex
            For each line, one minus its argument: with the probability of a claim to be above a size, the result is
            the log of the probability that no claim is above that of its line.
        """
        if self.copula is not None:
            return None
        total: Any = 0.0
        mixed: Any = 0.0
        for line, is_mixed, of in zip(self.lines, self.mixed, missing, strict=True):
            if is_mixed:
                mixed = mixed + line.frequency.moments().mean * of
            else:
                total = total + log_pgf(line.frequency, of)
        if self.mixing is not None:
            total = total - np.log1p(self.mixing.std**2 * mixed) / self.mixing.std**2
        for events in self.common:
            log_all: Any = 0.0
            for line, of in zip(self.lines, missing, strict=True):
                if line.name in events.lines:
                    with np.errstate(divide="ignore"):
                        log_all = log_all + np.log1p(-of)
            total = total + log_pgf(events.frequency, -np.expm1(log_all))
        return total

    def _touched(self, events: CommonEvents) -> Float:
        return np.array([float(line.name in events.lines) for line in self.lines])

    def describe(self) -> list[str]:
        """What joins the numbers of claims, in words."""
        lines = []
        if self.copula is not None:
            lines.append(f"numbers of claims joined by a copula: {'; '.join(self.copula.describe())}")
        if self.mixing is not None:
            of = ", ".join(line.name for line, is_mixed in zip(self.lines, self.mixed, strict=True) if is_mixed)
            lines.append(f"a common gamma factor with mean 1 and standard deviation {self.mixing.std:g} of {of}")
        lines += [
            f"common events, {events.frequency.describe()}: a claim each to {', '.join(events.lines)}"
            for events in self.common
        ]
        return lines or ["numbers of claims of the lines are independent"] * (len(self.lines) > 1)


def known(field: str, names: Sequence[str], lines: Sequence[Named]) -> None:
    """Raise `FieldError` for ``field`` where one of ``names`` is no line."""
    there = [line.name for line in lines]
    for name in names:
        if name not in there:
            raise FieldError(field, f"must name lines of the model ({', '.join(there)}), got {name!r}")


def log_pgf(law: Marginal, missing: Any) -> Any:
    """Log of the probability generating function of a law of counts at one minus ``missing`` (n,), real or complex.

    In closed form for a Poisson and a negative binomial law, summed over the atoms of another.

    Raises
    ------
    FieldError
        When there are too many of these.
    """
    if law.kind == "poisson":
        return -law.moments().mean * missing
    if law.kind == "negative_binomial":
        n, p = float(getattr(law, "n")), float(getattr(law, "p"))  # noqa: B009
        return -n * np.log1p((1.0 - p) / p * missing)
    atoms = getattr(law, "atoms", None)
    if atoms is None or atoms.size > MOST_ATOMS:
        raise FieldError("frequency", f"has more than {MOST_ATOMS:,} values to be summed over, got {law.describe()}")
    log_p = law.logpdf(atoms)
    some: Any = np.zeros(np.shape(missing), dtype=np.result_type(missing, np.float64))
    with np.errstate(divide="ignore"):
        log_argument = np.log1p(-np.asarray(missing))
    for k, p in zip(atoms[atoms > 0], np.exp(log_p[atoms > 0]), strict=True):
        some -= p * np.expm1(k * log_argument)
    return np.log1p(-some)


def poisson_counts(u: Float, mean: Float) -> Float:
    """Poisson quantiles (n,) of standard normals ``u`` (n,) for a mean of each row: exact in both tails."""
    from scipy import special

    out = np.zeros(u.size)
    log_p = normal_scores.log_tail(u)
    for upper in (False, True):
        rows = np.flatnonzero(((u > 0) == upper) & (mean > 0))
        if rows.size:
            p, m = np.exp(log_p[rows]), mean[rows]

            def reached(
                k: Float, p: Float = p, m: Float = m, upper: bool = upper
            ) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
                if upper:
                    return np.asarray(special.gammainc(k + 1.0, m) <= p)
                return np.asarray(special.gammaincc(k + 1.0, m) >= p)

            high = np.ceil(m + 10.0)
            while not (there := reached(high)).all():
                high = np.where(there, high, 2.0 * high)
            out[rows] = first_true(reached, np.full(rows.size, -1.0), high)
    return out

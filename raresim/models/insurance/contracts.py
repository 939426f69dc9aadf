"""A reinsurance contract: what is ceded of each claim, and of the sum of a period."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from raresim.arguments.typed import typed
from raresim.errors import FieldError
from raresim.numerics.arrays import Float


@typed
@dataclass(frozen=True, kw_only=True, eq=False)
class Corridor:
    """A loss corridor: a part of the annual recovery that the cedent keeps again.

    Parameters
    ----------
    start, end : float
        Annual recoveries between which it lies, in the unit of the loss.
    kept : float
        The share of it that the cedent keeps, from 0 to 1.
    """

    start: float
    end: float
    kept: float = 1.0

    def __post_init__(self) -> None:
        if not self.start >= 0:
            raise FieldError("start", f"must be at least 0, got {self.start:.15g}")
        if not self.end > self.start:
            raise FieldError("end", f"must be above start, {self.start:.15g}, got {self.end:.15g}")
        _share("kept", self.kept)


@typed
@dataclass(frozen=True, kw_only=True, eq=False)
class Contract:
    """A reinsurance contract: ``limit`` in excess of ``attachment`` of each claim, with terms for the whole period.

    The layer takes a part of each claim. Of the sum of these parts the contract pays what exceeds the aggregate
    deductible, up to the aggregate limit, less a loss corridor, times the share. It applies to the gross claims of its
    lines, or to what earlier contracts leave of each: ``net_of``.

    Parameters
    ----------
    name : str
        What it is called in tables.
    lines : sequence of str, optional
        Names of the lines that it covers; all of them where it is left out.
    attachment : float
        What the cedent keeps of each claim, in the unit of the loss.
    limit : float
        What the layer takes of each claim at most; infinite where it is left out.
    share : float
        The part of the layer that is placed, above 0 and at most 1.
    aggregate_deductible : float
        The deductible from what the layer takes in a period, in the unit of the loss.
    aggregate_limit : float, optional
        The most that is recovered in a period after the aggregate deductible. If it is left out, it follows from
        ``reinstatements``, and is infinite without these.
    reinstatements : int, optional
        How often the limit is restored after it was used up: the aggregate limit is ``(1 + reinstatements) limit``.
    reinstatement_rates : sequence of float, optional
        The price of each reinstatement, as a share of ``premium``, for a whole limit: 1 is 100 %, 0 is free. It is due
        in proportion to the limit that is reinstated, and counts as a cost of the cedent.
    premium : float, optional
        The premium for the whole layer; the reinstatement rates are shares of it.
    corridor : Corridor, optional
        The part of the annual recovery that the cedent keeps again.
    net_of : sequence of str, optional
        Names of earlier contracts that inure to the benefit of this one: what they pay of a claim is taken off before
        this one applies. They have no terms for the whole period, as these belong to no single claim.

    Notes
    -----
    With the layer's sum ``S``, the deductible ``D`` and the aggregate limit ``A``, ``R = min(max(S - D, 0), A)`` is
    recovered, and reinstatement ``k`` with the rate ``c_k`` costs ``c_k premium min(max(R - (k - 1) limit, 0), limit) /
    limit``: [1]_.

    References
    ----------
    .. [1] Sundt, *On excess of loss reinsurance with reinstatements*, Bulletin of the Swiss Association of Actuaries,
       1991.
    """

    name: str
    lines: Sequence[str] | None = None
    attachment: float = 0.0
    limit: float = math.inf
    share: float = 1.0
    aggregate_deductible: float = 0.0
    aggregate_limit: float | None = None
    reinstatements: int | None = None
    reinstatement_rates: Sequence[float] | None = None
    premium: float | None = None
    corridor: Corridor | None = None
    net_of: Sequence[str] | None = None

    def __post_init__(self) -> None:
        if not self.name.strip():
            raise FieldError("name", "must not be empty")
        if self.lines is not None and not self.lines:
            raise FieldError("lines", "must name at least one line; leave it out for all")
        if not (math.isfinite(self.attachment) and self.attachment >= 0):
            raise FieldError("attachment", f"must be at least 0, got {self.attachment:.15g}")
        if not self.limit > 0:
            raise FieldError("limit", f"must be above 0, got {self.limit:.15g}; leave it out for an unlimited layer")
        _share("share", self.share)
        if self.share == 0:
            raise FieldError("share", "must be above 0: leave the contract out")
        if not (math.isfinite(self.aggregate_deductible) and self.aggregate_deductible >= 0):
            raise FieldError("aggregate_deductible", f"must be at least 0, got {self.aggregate_deductible:.15g}")
        if self.aggregate_limit is not None and not self.aggregate_limit > 0:
            raise FieldError("aggregate_limit", f"must be above 0, got {self.aggregate_limit:.15g}")
        self._check_reinstatements()

    def _check_reinstatements(self) -> None:
        if self.reinstatements is None:
            for name in ("reinstatement_rates", "premium"):
                if getattr(self, name) is not None:
                    raise FieldError(name, "goes with reinstatements: say how many there are")
            return
        if self.reinstatements < 0:
            raise FieldError("reinstatements", f"must be at least 0, got {self.reinstatements}")
        if self.aggregate_limit is not None:
            raise FieldError(
                "aggregate_limit", "must be left out beside reinstatements: it is (1 + reinstatements) limit"
            )
        if not math.isfinite(self.limit):
            raise FieldError("reinstatements", "needs a limit: there is nothing to reinstate of an unlimited layer")
        if self.reinstatement_rates is None:
            if self.premium is not None:
                raise FieldError("premium", "goes with reinstatement_rates: leave it out where reinstatements are free")
            return
        if len(self.reinstatement_rates) != self.reinstatements:
            raise FieldError(
                "reinstatement_rates",
                f"must have a rate for each of {self.reinstatements} of them, got {len(self.reinstatement_rates)}",
            )
        for rate in self.reinstatement_rates:
            if not 0 <= rate <= 10:
                hint = "; is it in per cent? 1 stands for 100 %" if rate > 10 else ""
                raise FieldError(
                    "reinstatement_rates", f"must be shares of the premium from 0 to 10, got {rate:g}{hint}"
                )
        if self.premium is None or not (math.isfinite(self.premium) and self.premium > 0):
            raise FieldError("premium", "must be given and above 0 where reinstatements are paid for")

    @property
    def is_annual(self) -> bool:
        """Whether it has terms for the whole period."""
        return self.aggregate_deductible > 0.0 or math.isfinite(self.most) or self.corridor is not None

    @property
    def most(self) -> float:
        """The aggregate limit."""
        if self.reinstatements is not None:
            return (1 + self.reinstatements) * self.limit
        return math.inf if self.aggregate_limit is None else self.aggregate_limit

    def recovered(self, layer: Float) -> Float:
        """What is paid in all (n,) where the layer's sums over the period are ``layer`` (n,), before paid premiums."""
        paid = self._annual(layer)
        if self.corridor is not None:
            inside = np.clip(paid - self.corridor.start, 0.0, self.corridor.end - self.corridor.start)
            paid = paid - self.corridor.kept * inside
        return np.asarray(self.share * paid)

    def reinstated(self, layer: Float) -> Float:
        """What the cedent pays for reinstatements (n,)."""
        cost = np.zeros(layer.size)
        if self.reinstatement_rates is not None and self.premium is not None:
            paid = self._annual(layer)
            for k, rate in enumerate(self.reinstatement_rates):
                cost += rate * self.premium / self.limit * np.clip(paid - k * self.limit, 0.0, self.limit)
        return self.share * cost

    def _annual(self, layer: Float) -> Float:
        return np.clip(layer - self.aggregate_deductible, 0.0, self.most)

    def describe(self) -> str:
        """The contract in words."""
        limit = "unlimited" if math.isinf(self.limit) else f"{self.limit:,.6g}"
        of = "all lines" if self.lines is None else ", ".join(self.lines)
        words = [f"contract {self.name}: {limit} xs {self.attachment:,.6g} of each claim of {of}"]
        if self.aggregate_deductible:
            words.append(f"aggregate deductible {self.aggregate_deductible:,.6g}")
        if self.reinstatements is not None:
            paid = any(self.reinstatement_rates or ())
            words.append(f"{self.reinstatements} {'paid' if paid else 'free'} reinstatements")
        elif self.aggregate_limit is not None:
            words.append(f"aggregate limit {self.aggregate_limit:,.6g}")
        if self.corridor is not None:
            c = self.corridor
            words.append(f"the cedent keeps {c.kept:.0%} of recoveries from {c.start:,.6g} to {c.end:,.6g}")
        if self.net_of:
            words.append(f"of claims net of {', '.join(self.net_of)}")
        return ", ".join([*words, f"share {self.share:.6g}"])


def check_inuring(contracts: Sequence[Contract]) -> None:
    """Refuse a contract that is net of one that does not come earlier, or has terms for the whole period."""
    for k, contract in enumerate(contracts):
        earlier = {other.name: other for other in contracts[:k]}
        for name in contract.net_of or ():
            field = f"contracts[{k}].net_of"
            if name not in earlier:
                there = ", ".join(earlier) or "there is none"
                raise FieldError(field, f"must name contracts that come earlier ({there}), got {name!r}")
            if earlier[name].is_annual:
                raise FieldError(
                    field, f"cannot name {name!r}: its terms for the whole period belong to no single claim"
                )


def _share(name: str, value: float) -> None:
    if not 0 <= value <= 1:
        hint = f"; is it in per cent? {value / 100:g} stands for {value:g} %" if 1 < value <= 100 else ""
        raise FieldError(name, f"must be from 0 to 1, got {value:.15g}{hint}")

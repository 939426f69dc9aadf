"""The loss of a credit portfolio in default mode: obligors default where their asset values are beyond a barrier."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from raresim.distributions.base import Inputs
from raresim.losses.parts import Parts
from raresim.models.factors import CreditFactors
from raresim.models.obligors.conditional import tail_laws
from raresim.models.obligors.default_scores import Scored, default_scores
from raresim.models.obligors.pairs import moments_of
from raresim.models.obligors.tape import Tape
from raresim.models.obligors.tape_loss import TapeLoss
from raresim.models.obligors.twisted_defaults import TwistedDefaults
from raresim.models.own_risk import Book, Places, default_losses, default_parts, seeds
from raresim.numerics.arrays import Float, frozen


def book_of(tape: Tape, loadings: Float, common_share: Float, barrier: Float, shock: int) -> Book:
    """The book of ``tape`` with ``loadings`` (m, k), R^2 ``common_share`` (m,) and ``barrier`` (m,)."""
    rows, column = np.nonzero(loadings)
    ptr = np.searchsorted(rows, np.arange(tape.size + 1))
    is_random = tape.lgd_std > 0
    variance = np.where(is_random, tape.lgd_std, 1.0) ** 2
    both = tape.lgd * (1.0 - tape.lgd) / variance - 1.0  # the sum of the shapes
    return Book(
        ptr=frozen(ptr.astype(np.int64)),
        column=frozen(column.astype(np.int64)),
        load=frozen(loadings[rows, column]),
        barrier=frozen(barrier.copy()),
        scale=frozen(1.0 / np.sqrt(1.0 - common_share)),
        shock=shock,
        money=frozen(np.where(is_random, tape.ead, tape.severity)),
        a=frozen(np.where(is_random, tape.lgd * both, 0.0)),
        b=frozen(np.where(is_random, (1.0 - tape.lgd) * both, 0.0)),
    )


@dataclass(frozen=True, eq=False)
class DefaultLoss(TapeLoss):
    """What a portfolio loses by defaults.

    Parameters
    ----------
    tape : Tape
        The obligors.
    book : Book
        Their numbers.
    factors : int
        How many there are: common ones, the shock and the seed.
    independent : (m, k) float64
        Loadings on factors that are independent of each other.
    by_pd : (m,) float64
        What each barrier falls by the log of its default probability.
    path : Path, optional
        The file that the tape was read from.

    Notes
    -----
    Obligor ``k`` has the asset value ``s (a_k' x + sqrt(1 - R_k^2) e_k)`` with the common factors ``x``, the shock
    ``s`` (1 without one) and a standard normal ``e_k`` of its own, and defaults where it exceeds the quantile of its
    law that has the probability ``pd_k`` beyond it: [1]_, with the sign turned so that a large factor is bad.

    References
    ----------
    .. [1] Gupton, Finger & Bhatia, *CreditMetrics technical document*, 1997.
    """

    kind: ClassVar[str] = "credit"
    twists: ClassVar[str] = "defaults"

    tape: Tape
    book: Book
    factors: int
    independent: Float
    by_pd: Float
    path: Path | None = None

    def __call__(self, x: Float, out: Float) -> None:
        default_losses(x, seeds(x), self.book, out)

    def at_mean_severity(self, x: Float, out: Float) -> None:
        nothing = np.zeros(self.tape.size)
        default_losses(x, seeds(x), self.book._replace(money=self.severity, a=nothing, b=nothing), out)

    @property
    def severity(self) -> Float:
        """What each obligor is expected to lose at default (m,)."""
        return self.tape.severity

    @property
    def expected_loss(self) -> float:
        return self.tape.expected_loss

    @property
    def largest_loss(self) -> float:
        return float(self.severity.sum())

    def tail_laws(self, x: Float, level: float) -> tuple[Float, Float, Float]:
        bound, tail, slope = np.empty(len(x)), np.empty(len(x)), np.empty(x.shape)
        tail_laws(np.ascontiguousarray(x), self.book, self.severity, level, bound, tail, slope)
        return bound, tail, slope

    def twisted(self, levels: Float, shares: Float) -> TwistedDefaults:
        return TwistedDefaults(self, self.book, self.severity, levels, shares)

    def components(self, x: Float) -> Float:
        parts = np.empty((len(x), self.tape.size), order="F")
        default_parts(x, seeds(x), self.book, np.arange(self.tape.size), parts)
        return parts

    def part_columns(self, x: Float) -> Callable[[Places], Float]:
        own = seeds(x)

        def make(members: Places) -> Float:
            parts = np.empty((len(x), members.size), order="F")
            default_parts(x, own, self.book, members, parts)
            return parts

        return make

    @property
    def score_names(self) -> tuple[str, ...]:
        return ("pd", "rho")

    @property
    def size_names(self) -> tuple[str, ...]:
        return ("lgd",)

    def scores(self, x: Float, parts: Parts, group: Places, groups: int) -> Mapping[str, Float]:
        by_pd, by_rho = np.zeros((len(x), groups)), np.zeros((len(x), groups))
        rho = np.einsum("ij,ij->i", self.independent, self.independent)
        scored = Scored(self.by_pd, rho, group)
        for members in parts.chunks():
            default_scores(x, np.asfortranarray(parts.columns(members)), self.book, scored, members, by_pd, by_rho)
        return {"pd": by_pd, "rho": by_rho}

    def moments(self, inputs: Inputs) -> tuple[float, float] | None:
        return moments_of(self.tape, inputs, self.book, self.independent) if isinstance(inputs, CreditFactors) else None

    def files(self) -> list[Path]:
        return [] if self.path is None else [self.path]

    def describe(self) -> list[str]:
        tape = self.tape
        lines = [
            f"defaults of {tape.size:,} obligors of {tape.file}: exposure {tape.ead.sum():,.6g}, expected loss "
            f"{tape.expected_loss:,.6g}"
        ]
        if tape.lgd_std.any():
            many = np.count_nonzero(tape.lgd_std)
            lines.append(f"the loss given default of {many:,} obligors is drawn from beta laws")
        return lines

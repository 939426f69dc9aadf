"""Crude Monte Carlo: draw from the target and count."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from raresim.methods.base import Method, Session, Tuned
from raresim.problem import Space
from raresim.registry import member


@member("method")
@dataclass(frozen=True, kw_only=True)
class Crude(Method):
    """For common events, and as a check of other methods: draws from the target are counted, with an exact interval."""

    kind: ClassVar[str] = "crude"

    @property
    def draws_in(self) -> Space:
        return "standard"

    def tune(self, session: Session) -> Tuned:
        return Tuned(proposal=None)

    def cost(self, latent_dim: int, dim: int) -> int:
        return 0

    def describe(self) -> list[str]:
        return ["crude Monte Carlo: draws from the target, counts hits"]

    @staticmethod
    def examples() -> list[Crude]:
        """Members for the conformance tests."""
        return [Crude()]

"""What the schemes of a compound model have in common: factors, loss and rows of their own beside the model's."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np

from raresim.accumulators.tail_draws import Beyond
from raresim.data import FileFacts
from raresim.distributions.base import Inputs
from raresim.engine.fold import Sampler
from raresim.engine.problem import Problem
from raresim.estimators.base import OfDraws
from raresim.losses.base import Loss
from raresim.models.insurance.compound_factors import CompoundFactors
from raresim.models.insurance.compound_loss import CompoundLoss
from raresim.numerics.arrays import Float
from raresim.numerics.blocks import Block
from raresim.numerics.streams import stream
from raresim.record.event import Event


class SchemeFactors(Inputs):
    """The factors of the model, ``plain``, whose numbers of claims have another law."""

    plain: CompoundFactors

    @property
    def dim(self) -> int:
        return self.plain.dim

    @property
    def latent_dim(self) -> int:
        return self.plain.latent_dim

    @property
    def names(self) -> tuple[str, ...]:
        return self.plain.names

    @property
    def fitted(self) -> None:
        return None

    @property
    def sources(self) -> tuple[FileFacts, ...]:
        return self.plain.sources

    @property
    def assumptions(self) -> Mapping[str, Any]:
        return {}

    def linear_moments(self, weights: Float) -> None:
        return None


class SchemeLoss(Loss):
    """The loss of the model, ``plain``, whose claims have another law: it is made of the scheme's own ``factors``."""

    plain: CompoundLoss
    factors: SchemeFactors

    def bind(self, inputs: Inputs) -> Self:
        return self

    @property
    def component_names(self) -> tuple[str, ...]:
        return self.plain.component_names

    def moments(self, inputs: Inputs) -> None:
        return None

    def files(self) -> list[Path]:
        return []


class SchemeDraws(OfDraws):
    """Rows of a scheme: standard normals that its own factors and loss are made of."""

    sampler: Sampler
    events: tuple[Event, ...]
    beyond: Beyond | None

    @property
    def cost(self) -> float:
        return 1.0

    @property
    @abstractmethod
    def loss(self) -> SchemeLoss:
        """The loss of the rows."""

    @property
    def read_with(self) -> Problem:
        return Problem(self.loss.factors, self.loss)

    def of_model(self, scheme: str) -> tuple[CompoundLoss, CompoundFactors]:
        """Loss and factors of the run; raises TypeError where they are not those of a compound model."""
        plain, inputs = self.sampler.problem.loss, self.sampler.problem.inputs
        if not isinstance(plain, CompoundLoss) or not isinstance(inputs, CompoundFactors):
            raise TypeError(f"{scheme} is for a compound model, got a loss of kind {plain.kind}")
        return plain, inputs

    def normals(self, block: Block) -> tuple[Float, Float]:
        """The standard normals (n, d) of the rows of a block, and the factors (n, k) that they stand for."""
        rng = stream(self.sampler.seed, block.stage, block.index)
        u = np.asfortranarray(rng.standard_normal((block.rows, self.sampler.problem.dim)))
        factors = self.loss.factors
        return u, factors.to_physical(u, np.empty((len(u), factors.dim), order="F"))

"""What a run knows after its search, before its estimate."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from raresim.engine.session import Session
from raresim.estimators.base import Estimator
from raresim.losses.base import Loss
from raresim.measures.base import LossScale, Question
from raresim.methods.base import Tuned
from raresim.run.estimation import Wanted
from raresim.run.rounds import Round


@dataclass(frozen=True, eq=False)
class Found:
    """A run after its search: the questions, the indices of each measure's numbers, the proposal and the cost.

    ``rounds`` are the earlier rounds; ``tuned`` counts the searches of all rounds.
    """

    loss: Loss
    questions: Sequence[Question]
    places: Sequence[Sequence[int]]
    session: Session
    wanted: Wanted
    tuned: Tuned
    job: Estimator
    explore: int
    reserved: int
    after: int
    scale: Callable[[], LossScale]
    rounds: tuple[Round, ...] = ()

"""Do the intervals of the schemes of market books hold the truth in 95 % of the runs: probability, VaR and ES?

``python experiments/coverage/market.py`` writes market.md and market.csv beside this file; ``--quick`` runs a few seeds
of one book. Books: the hundred factors of configs/market/delta-gamma.yaml, normal; the curve of
configs/market/rates-t.yaml, Student t; both with exact numbers by inversion of the transform; and the straddles of
configs/market/options.yaml, with the config's references and without an audit, so that none of these runs is trusted.
"""

from __future__ import annotations

from functools import cache

import study
from study import Outcome

import raresim
from raresim.config import load
from raresim.models.base import Model
from raresim.models.market.exact_quadratic import QuadraticLaw

MARKET = study.HERE.parents[1] / "configs" / "market"
STRADDLES = (9.932846060928565e-05, 287.537537216383, 319.18832284660175)
LEVELS = {"options": 360.0, "rates-t": 15_000.0, "delta-gamma": 26.5}
"""The loss whose probability is asked of each book; VaR and ES are at 99.9 %."""

ERROR = 0.05
NUMBERS = ("P", "VaR", "ES")


@cache
def model(book: str) -> Model:
    found = load.load(MARKET / f"{book}.yaml").experiment().model
    assert found is not None
    return found


@cache
def exact(book: str) -> tuple[float, ...]:
    """The probability, VaR and ES of a book."""
    if book == "options":
        return STRADDLES
    law = QuadraticLaw(model(book).form)  # type: ignore[attr-defined]  # of these two models
    found = law.probability(LEVELS[book]), law.quantile(1e-3), law.shortfall(1e-3)
    return tuple(value for value in found if value is not None)


def outcomes(task: tuple[str, int, int]) -> list[tuple[Outcome, ...]]:
    """Run a book on ``count`` seeds from ``first`` on."""
    book, first, count = task
    measures = [
        raresim.Probability(above=LEVELS[book]),
        raresim.ValueAtRisk(level=0.999),
        raresim.ExpectedShortfall(level=0.999),
    ]
    return [
        study.outcomes_of(
            raresim.estimate(
                model(book),
                measures=measures,
                method=raresim.Auto(scheme="only"),
                audit="off" if book == "options" else "quick",
                seed=seed,
                relative_error=ERROR,
            ),
            exact(book),
        )
        for seed in range(first, first + count)
    ]


if __name__ == "__main__":
    study.run_models("market", __doc__, outcomes, dict.fromkeys(LEVELS, NUMBERS), ("rates-t",), quick_seeds=8)

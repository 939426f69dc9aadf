"""Every shipped config reaches its exact answers, or has none because its law was fitted to data."""

from __future__ import annotations

from pathlib import Path

import pytest

from raresim.config import load as configs
from raresim.engine.executors import Executor
from tests.statistical import assert_within_error

CONFIGS = Path(__file__).parents[2] / "configs"
SLOW = {
    *("credit-glasserman-li", "credit-one-factor", "credit-sectors", "credit-t-copula", "gaussian-5-sigma-d1000"),
    *("insurance-fire-claims", "insurance-light-tail", "insurance-treaty-reinstatements", "insurance-us-wind"),
    *("joint-clayton-copula", "joint-gaussian-copula", "joint-gumbel-copula", "method-directional-sampling"),
    *("costly-option-book", "costly-solver", "programs-cantilever", "systems-bridge-paths", "systems-cooling"),
    *("credit-ratings", "insurance-period-table", "joint-t-copula", "method-sequential-importance", "method-splitting"),
    *("method-subset-simulation", "oil-garch-10-days", "portfolio-5-sigma-normal", "portfolio-5-sigma-t"),
    *("portfolio-measures", "stocks-t-copula", "sum-four-lognormals", "two-sided-5-sigma-d3"),
    *("market-desk", "market-options", "paths-heston-end"),
    *("systems-network-shortest-path", "systems-project", "systems-queue-tandem"),
}
FITTED = {"garch-year", "oil-garch-10-days", "oil-gpd-tails", "stocks-t-copula"}
"""Laws of real data, whose probabilities have no exact answer."""


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(
            p,
            id=name,
            marks=pytest.mark.slow if name in SLOW else [],
        )
        for p in sorted(CONFIGS.rglob("*.yaml"))
        for name in ["-".join(p.relative_to(CONFIGS).with_suffix("").parts)]
    ],
)
@pytest.mark.statistical(effect=1, false_fail=1e-6, false_pass=1e-3)
def test_config_reaches_its_reference(path: Path) -> None:
    experiment = configs.load(path).experiment()
    with Executor.of("threads", 2) as executor:
        result = experiment.run(executor)
    assert all(estimate.reference is None for estimate in result.estimates) == (path.stem in FITTED)
    for estimate in result.estimates:
        if estimate.reference is not None:
            assert_within_error(estimate.value, estimate.reference.value, estimate.std_error)
        assert estimate.relative_error <= experiment.stop.relative_error
        assert estimate.verdict.status in ("trusted", "caution")
    assert result.evaluations["total"] <= experiment.stop.max_evaluations


def test_one_sided_five_sigma_in_twenty_dimensions_is_cheap() -> None:
    config = configs.load(CONFIGS / "gaussian-5-sigma-d20.yaml")
    assert config.experiment().run().evaluations["total"] <= 100_000

"""Every shipped config reaches its exact answers, or has none because its law was fitted to data.

Each is run once, into a folder from which `raresim verify` gets the same bits again; where that takes long, a shorter
run is verified in ``test_verify.py``.
"""

from __future__ import annotations

from pathlib import Path

import pytest

import raresim
from raresim.config import load as configs
from tests.shell.test_cli import call
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

LONG = {
    *("costly-four-branch", "costly-oscillator", "credit-glasserman-li", "credit-one-factor", "credit-ratings"),
    *("credit-sectors", "credit-t-copula", "gaussian-5-sigma-d1000", "insurance-period-table", "insurance-us-wind"),
    *("joint-clayton-copula", "joint-gaussian-copula", "market-desk", "market-options", "method-design-point"),
    *("method-directional-sampling", "oil-garch-10-days", "paths-heston-end", "portfolio-measures"),
    *("systems-cooling", "systems-network-shortest-path", "systems-project"),
}
"""Configs whose whole run takes more processor time than two short ones."""

PATHS = {"-".join(p.relative_to(CONFIGS).with_suffix("").parts): p for p in sorted(CONFIGS.rglob("*.yaml"))}
"""Every config by its folder and name."""

THREADS = ("execution.executor=threads", "execution.workers=2")


@pytest.fixture(scope="module")
def folder_of(tmp_path_factory):
    """A function that gives the run folder of a config, which is run when it is first asked for."""
    folders = {}

    def folder(name):
        if name not in folders:
            folders[name] = tmp_path_factory.mktemp("runs") / name
            code, _, stderr = call("run", PATHS[name], *THREADS, "--out", folders[name], "-q")
            assert code == 0, stderr
        return folders[name]

    return folder


@pytest.mark.parametrize("name", [pytest.param(name, marks=pytest.mark.slow if name in SLOW else []) for name in PATHS])
@pytest.mark.statistical(effect=1, false_fail=1e-6, false_pass=1e-3)
@pytest.mark.usefixtures("no_figures")
def test_config_reaches_its_reference(name, folder_of) -> None:
    stop = configs.load(PATHS[name]).resolved()["stop"]
    result = raresim.read_run(folder_of(name))
    assert all(estimate.reference is None for estimate in result.estimates) == (PATHS[name].stem in FITTED)
    for estimate in result.estimates:
        if estimate.reference is not None:
            assert_within_error(estimate.value, estimate.reference.value, estimate.std_error)
        assert estimate.relative_error <= stop["relative_error"]
        assert estimate.verdict.status in ("trusted", "caution")
    assert result.evaluations["total"] <= stop["max_evaluations"]


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in PATHS if name not in LONG])
@pytest.mark.usefixtures("no_figures")
def test_run_folder_of_a_config_is_verified(name, folder_of) -> None:
    """On one thread, where the run was on two."""
    code, stdout, stderr = call("verify", folder_of(name), "--workers", 1, "-q")
    assert code == 0, stdout + stderr
    assert "the same bits in all" in stdout.replace("\n", " ")


def test_one_sided_five_sigma_in_twenty_dimensions_is_cheap() -> None:
    config = configs.load(CONFIGS / "gaussian-5-sigma-d20.yaml")
    assert config.experiment().run().evaluations["total"] <= 100_000

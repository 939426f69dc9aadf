"""Configs whose whole run takes long: a short one leaves a folder from which `raresim verify` gets the same bits."""

import pytest

from raresim.errors import ExitCode
from raresim.shell import checking
from tests.accuracy.test_configs import LONG, PATHS
from tests.shell.test_cli import call

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("no_figures")]

BY_CRUDE = {
    *("costly-four-branch", "costly-oscillator", "credit-one-factor", "credit-ratings", "credit-sectors"),
    *("credit-t-copula", "gaussian-5-sigma-d1000", "insurance-period-table", "insurance-us-wind", "market-desk"),
    *("market-options", "oil-garch-10-days", "portfolio-measures"),
}
"""Configs whose search takes most of a second: law, loss, measures and files are verified with draws of the target."""

JUDGED = (ExitCode.OK, ExitCode.UNTRUSTED, ExitCode.BOUND_ONLY)
"""A run that was cut short may end with any verdict."""


def short(name: str) -> list[str]:
    """Changes to the config: its search as it is, or none, then a few draws, and no audit."""
    found = checking.facts(PATHS[name], seconds=False, whole=False)
    if name in BY_CRUDE:
        changes, draws, search = ["method={kind: crude}"], 200, found["quantile_evaluations"]
    else:
        changes, draws, search = [], 2000, found["quantile_evaluations"] + found["method"]["evaluations"]
    return [*changes, "audit=off", f"stop.max_evaluations={draws + 3 * search // 2}"]


@pytest.mark.parametrize("name", sorted(LONG))
def test_run_folder_of_a_config_is_verified(name, tmp_path):
    code, _, stderr = call("run", PATHS[name], *short(name), "--out", tmp_path / "run", "-q")
    assert code in JUDGED, stderr
    code, stdout, stderr = call("verify", tmp_path / "run", "-q")
    assert code == 0, stdout + stderr
    assert "the same bits in all" in stdout.replace("\n", " ")

"""Every shipped config leaves a run folder from which `raresim verify` gets the same bits again."""

from pathlib import Path

import pytest

from raresim.errors import ExitCode
from raresim.shell import checking
from tests.accuracy.test_configs import CONFIGS
from tests.shell.test_cli import call

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("no_figures")]

BY_CRUDE = {
    *("cantilever", "desk", "four-branch", "gaussian-5-sigma-d1000", "oil-garch-10-days", "one-factor", "options"),
    *("oscillator", "period-table", "portfolio-measures", "ratings", "sectors", "stocks-t-copula", "t-copula"),
    "us-wind",
}
"""Configs whose search takes most of a second: law, loss, measures and files are verified with draws of the target."""

JUDGED = (ExitCode.OK, ExitCode.UNTRUSTED, ExitCode.BOUND_ONLY)
"""A run that was cut short may end with any verdict."""


def short(path: Path) -> list[str]:
    """Changes to the config: its search as it is, or none, then a few draws, and no audit."""
    found = checking.facts(path, seconds=False, whole=False)
    if path.stem in BY_CRUDE:
        changes, draws, search = ["method={kind: crude}"], 200, found["quantile_evaluations"]
    else:
        changes, draws, search = [], 2000, found["quantile_evaluations"] + found["method"]["evaluations"]
    return [*changes, "audit=off", f"stop.max_evaluations={draws + 3 * search // 2}"]


@pytest.mark.parametrize("path", sorted(CONFIGS.rglob("*.yaml")), ids=lambda path: path.stem)
def test_run_folder_of_a_config_is_verified(path, tmp_path):
    code, _, stderr = call("run", path, *short(path), "--out", tmp_path / "run", "-q")
    assert code in JUDGED, stderr
    code, stdout, stderr = call("verify", tmp_path / "run", "-q")
    assert code == 0, stdout + stderr
    assert "the same bits in all" in stdout.replace("\n", " ")

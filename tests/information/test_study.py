"""The study that retells the way from entropy to importance sampling is not out of date."""

import os
import subprocess
import sys

import pytest

from tests.helpers import ROOT

STUDY = ROOT / "experiments" / "information"


@pytest.mark.slow
def test_tables_of_the_study_are_those_computed_now():
    done = subprocess.run(
        [sys.executable, STUDY / "run.py", "--check"],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "6 tables agree with README.md\n"


def test_readme_shows_every_figure_and_names_the_functions():
    text = (STUDY / "README.md").read_text(encoding="utf-8")
    scripts = {path.stem for path in STUDY.glob("*.py")} - {"run", "step"}
    assert {path.stem for path in STUDY.glob("*.png")} == scripts
    for name in scripts:
        assert f"]({name}.png)" in text
    for function in ("entropy", "kl", "cross_entropy", "classification_loss", "weighted_kl", "weighted_cross_entropy"):
        assert f"`{function}`" in text

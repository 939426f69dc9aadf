"""``raresim doctor``, ``warmup`` and ``-v``: what is said of a machine, what is compiled, and what a run tells."""

import json
import logging
import re

from raresim import marginals
from raresim.numerics.jit import kernel
from raresim.shell import doctor, warmup
from tests.shell.test_sweep import call, config  # noqa: F401  # a fixture


@kernel
def nothing(x: float) -> float:
    """A kernel that no run calls."""
    return x


def test_doctor_looks_at_what_a_run_needs():
    code, stdout, _ = call("doctor", "--format", "json")
    found = {each["what"]: each for each in json.loads(stdout)["findings"]}
    assert code == 0
    assert {
        "raresim",
        "python",
        "numpy",
        "numba cache",
        "processors",
        "BLAS",
        "distributed",
        "chromium",
        "disk",
    } <= set(found)
    assert found["numba cache"]["status"] == "ok"
    assert re.search(r"\d+ of \d+ kernels are kept", found["numba cache"]["text"])
    assert found["numpy"]["status"] == "ok"


def test_what_is_missing_is_a_warning_or_the_end(monkeypatch, tmp_path):
    version = doctor.metadata.version

    def without(name):
        if name in ("arch", "scipy"):
            raise doctor.metadata.PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(doctor.metadata, "version", without)
    monkeypatch.setattr(doctor, "LEAST_SPACE", 2**80)
    monkeypatch.setattr("raresim.report.pdf.browser", lambda: None)
    monkeypatch.setattr(warmup, "cache_folder", lambda: (_ for _ in ()).throw(RuntimeError("no locator available")))
    code, stdout, _ = call("doctor")
    assert code == 1
    said = {line.split()[1]: line for line in stdout.splitlines()}
    assert said["scipy"].startswith("fail")
    assert said["arch"] == "warn  arch           is not installed; inputs of kind garch: pip install 'raresim[garch]'"
    assert [said[what].split()[0] for what in ("chromium", "disk")] == ["warn", "warn"]
    assert "no locator available; set NUMBA_CACHE_DIR" in said["numba"]


def test_the_doctor_outlives_what_it_finds(monkeypatch):
    def _broken():
        raise ValueError("no")

    monkeypatch.setattr(doctor, "_disk", _broken)
    assert doctor.findings()[-1] == ("fail", "broken", "ValueError: no")


def test_warmup_counts_what_its_runs_call(monkeypatch):
    """One run in place of all: the kernels that it calls are there, and the others are named."""
    law = marginals.Normal(mean=0.0, std=1.0)
    monkeypatch.setattr(
        warmup, "jobs", lambda: iter([("one", warmup._of_law(warmup.raresim.Independent(marginals=[law])))])
    )
    every = warmup.kernels()
    assert len(every) > 80
    unused = nothing.compiled()
    monkeypatch.setattr(warmup, "kernels", lambda: {**every, "nothing": unused})
    told = json.loads(call("warmup", "--format", "json")[1])
    assert "nothing" in told["missing"]
    assert not {"nothing"} & {*told["compiled"], *told["kept"]}
    assert len(told["compiled"]) + len(told["kept"]) + len(told["missing"]) == len(every) + 1
    assert len(told["compiled"]) + len(told["kept"]) >= 2


def test_verbose_prints_a_line_for_each_step(config):  # noqa: F811
    code, _, stderr = call("run", config, "--out", config.parent / "out", "-q", "-v")
    assert code in {0, 10, 20}
    assert re.search(r"^\d\d:\d\d:\d\d estimate: stage \d+, 3000 rows", stderr, re.MULTILINE)
    assert call("run", config, "--out", config.parent / "two", "-q")[2] == ""
    assert not [each for each in logging.getLogger("raresim").handlers if type(each).__name__ == "_OnStandardError"]

"""The wheel and the source distribution: built, compared, and tried in an environment that holds nothing else.

``python .ci/wheel.py [FOLDER]`` leaves them in FOLDER, by default in ``dist``.
"""

import hashlib
import os
import subprocess
import sys
import tempfile
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

LARGEST = 2_000_000
"""Bytes of the wheel."""

CONFIG = """\
name: tried
seed: 1
inputs: {kind: standard_normal, dim: 2}
loss: {kind: linear, weights: equal}
measures: [{kind: probability, above: 1.0}]
method: {kind: crude}
stop: {relative_error: null, max_evaluations: 20000}
"""


def bare(folder: Path, *packages: str) -> Path:
    """An environment of its own with ``packages``, in the versions that were tested together; returns its programs."""
    venv.create(folder, with_pip=True)
    programs = folder / ("Scripts" if os.name == "nt" else "bin")
    pip = [programs / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, *packages], check=True, env={**os.environ, "PIP_CONSTRAINT": str(ROOT / "constraints.txt")})
    return programs


def contents(wheel: Path) -> dict[str, str]:
    """The files in a wheel, with their hashes."""
    with zipfile.ZipFile(wheel) as packed:
        return {name: hashlib.sha256(packed.read(name)).hexdigest() for name in packed.namelist()}


def main() -> None:
    """Build, compare and try; the first thing that is wrong ends it."""
    out = Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "dist").absolute()
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        build = [bare(scratch / "builder", "build") / "python", "-m", "build"]
        subprocess.run(
            [*build, "--outdir", out, ROOT], check=True, stdout=subprocess.DEVNULL
        )  # the wheel from the sdist
        subprocess.run([*build, "--wheel", "--outdir", scratch, ROOT], check=True, stdout=subprocess.DEVNULL)
        (direct,) = scratch.glob("*.whl")
        wheel = out / direct.name
        if contents(wheel) != contents(direct):
            raise SystemExit("the wheel of the source distribution is not the wheel of the repository")
        if (size := wheel.stat().st_size) > LARGEST:
            raise SystemExit(f"{wheel.name}: has {size:,} bytes, at most {LARGEST:,} are allowed")
        raresim = bare(scratch / "user", str(wheel)) / "raresim"
        (scratch / "tried.yaml").write_text(CONFIG)
        clean = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        for verb in (["--version"], ["check", "tried.yaml"], ["run", "tried.yaml", "--quiet"], ["runs"], ["init"]):
            subprocess.run([raresim, *verb], check=True, cwd=scratch, env=clean)
        (page,) = scratch.glob("runs/tried/2*/report.html")
        print(f"{wheel.name}: {size:,} bytes, page of {page.stat().st_size:,} bytes")  # noqa: T201  # a script


if __name__ == "__main__":
    main()

"""The lowest versions that pyproject.toml declares: installed in an environment of their own, and tried on some tests.

``python .ci/lowest.py [FOLDER]`` makes the environment in FOLDER, by default in ``.venv-lowest``.
"""

import re
import subprocess
import sys
import tomllib
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

TESTS = ("tests/config", "tests/engine", "tests/numerics", "tests/record", "tests/shell", "tests/test_registry.py")
"""Tests of configs, kernels, run folders and the shell: they touch every dependency."""

IGNORED = ("-W", "ignore::DeprecationWarning", "-W", "ignore::PendingDeprecationWarning")
"""Old packages use what new ones, on which they depend, deprecate."""

UNTRIED = ("dev", "docs")
"""Extras for work on the project itself, which are installed in the versions of constraints.txt."""

TOOLS = ("pytest", "pytest-timeout", "pytest-xdist", "hypothesis", "mpmath", "psutil", "loky", "jsonschema")
"""What the tests themselves need, in any version."""


def lowest(requirements: list[str]) -> list[str]:
    """``numpy>=2.0`` becomes ``numpy==2.0``."""
    found = [re.fullmatch(r"([\w.-]+)>=([\w.]+)", text) for text in requirements]
    if wrong := [text for text, match in zip(requirements, found, strict=True) if match is None]:
        raise SystemExit(f"pyproject.toml: {wrong[0]}: must be NAME>=VERSION")
    return [f"{match[1]}=={match[2]}" for match in found if match]


def main() -> None:
    """Make the environment, say what is in it, and run the tests."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / ".venv-lowest").absolute()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = project["optional-dependencies"]
    tried = [text for name in extras if name not in UNTRIED for text in extras[name]]
    pins = lowest([*project["dependencies"], *tried])
    venv.create(folder, with_pip=True)
    python = str(folder / "bin" / "python")
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, *pins, *TOOLS], check=True)
    subprocess.run([*pip, "--no-deps", str(ROOT)], check=True)
    subprocess.run([python, "-m", "pip", "--disable-pip-version-check", "freeze"], check=True)
    tests = [python, "-m", "pytest", "-q", "-m", "not slow", "-n", "auto", *IGNORED, "-p", "no:cacheprovider", *TESTS]
    raise SystemExit(subprocess.run(tests, cwd=ROOT, check=False).returncode)


if __name__ == "__main__":
    main()

"""Examples in docstrings are true."""

import doctest
import importlib

import pytest

from tests.helpers import ROOT

WITH_EXAMPLES = [path for path in sorted((ROOT / "raresim").rglob("*.py")) if ">>>" in path.read_text("utf-8")]


@pytest.mark.parametrize("name", [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in WITH_EXAMPLES])
def test_examples_in_docstrings_are_true(name):
    assert doctest.testmod(importlib.import_module(name)).failed == 0

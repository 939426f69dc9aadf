"""The table in the module's docstring, ``__all__`` and the tests speak of the same functions."""

import importlib
import inspect
import re

import pytest

from raresim import information
from tests.information.calls import CALLS
from tests.information.outside import OUTSIDE

FUNCTIONS = sorted(name for name in information.__all__ if inspect.isfunction(getattr(information, name)))


def table():
    """Name and formula of each row of the docstring's table."""
    rules = [m.start() for m in re.finditer("^=+  =+$", information.__doc__, re.MULTILINE)]
    assert len(rules) == 2, "the docstring has one table"
    body = information.__doc__[rules[0] : rules[1]].splitlines()[1:]
    rows = [re.fullmatch(r"`(\w+)`\s+(\S.*)", line) for line in body]
    assert all(rows), f"a row is not `name` and formula: {body[rows.index(None)]!r}"
    return [row.groups() for row in rows]


def test_table_lists_the_public_functions_once():
    names = [name for name, _ in table()]
    assert sorted(names) == FUNCTIONS


def test_all_is_sorted_and_has_no_other_functions():
    constants_classes_functions = sorted(information.__all__, key=lambda n: (not n.isupper(), n.islower(), n))
    assert information.__all__ == constants_classes_functions
    defined = {n for n, f in vars(information).items() if inspect.isfunction(f) and not n.startswith("_")}
    assert defined == set(FUNCTIONS)


def test_every_function_has_a_test_against_an_outside_value():
    assert sorted(OUTSIDE) == FUNCTIONS


@pytest.mark.parametrize("name", OUTSIDE)
def test_outside_test_exists_and_calls_the_function(name):
    module, test = OUTSIDE[name].split(".")
    function = getattr(importlib.import_module(f"tests.information.{module}"), test)
    assert re.search(rf"\b{name}\(", inspect.getsource(function)), f"{OUTSIDE[name]} does not call {name}"


def test_every_function_with_a_unit_is_among_the_calls():
    with_base = [n for n in FUNCTIONS if "base" in inspect.signature(getattr(information, n)).parameters]
    assert sorted(CALLS) == with_base


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_function_says_what_it_computes(name):
    assert inspect.getdoc(getattr(information, name)), f"{name} has no docstring"

"""The mark of single cases of a parametrised test: they are slow, the others are not, and a wrong name is an error."""

from types import SimpleNamespace

import pytest

from tests.conftest import mark_slow_cases


def case(name, *slow, test="test_a"):
    """A collected case of a test that names ``slow`` as its slow cases; ``added`` holds the marks that it gets."""
    added = []
    return SimpleNamespace(
        path="test_file.py",
        originalname=test,
        callspec=SimpleNamespace(id=name),
        iter_markers=lambda mark: [pytest.mark.slow_cases(*slow).mark] if slow and mark == "slow_cases" else [],
        add_marker=added.append,
        added=added,
    )


def test_the_cases_that_are_named_are_slow():
    items = [case("few", "many"), case("many", "many"), case("many", test="test_b")]
    mark_slow_cases(items, whole=True)
    assert [item.added for item in items] == [[], ["slow"], []]


def test_a_case_that_is_not_there_is_an_error_where_whole_files_are_collected():
    items = [case("few", "more"), case("many", "more")]
    mark_slow_cases(items, whole=False)
    with pytest.raises(pytest.UsageError, match=r"\('test_file.py', 'test_a'\): \{'more'\}"):
        mark_slow_cases(items, whole=True)

"""Seeds of the whole suite: literal in the tests, shifted together by ``--reseed N``."""

from contextlib import nullcontext

import pytest
from hypothesis import settings

from tests.statistical import declared

settings.register_profile("fixed", derandomize=True, deadline=None)
settings.register_profile("reseeded", deadline=None)


def pytest_addoption(parser):
    parser.addoption("--reseed", type=int, default=0, metavar="N", help="shift every seed by N million")


def pytest_configure(config):
    settings.load_profile("reseeded" if config.getoption("--reseed") else "fixed")


@pytest.fixture(scope="session")
def seed(pytestconfig):
    """A function from the literal seed of a test to the one in use."""
    shift = 1_000_000 * pytestconfig.getoption("--reseed")
    return lambda literal: literal + shift


@pytest.fixture(autouse=True)
def design(request):
    """What the test declares, if it is one about random numbers, holds for its assertions."""
    marker = request.node.get_closest_marker("statistical")
    with declared(**marker.kwargs) if marker else nullcontext():
        yield

"""Small matrices: a second thread of linear algebra only waits for a busy core."""

import pytest
from threadpoolctl import threadpool_limits


@pytest.fixture(autouse=True, scope="package")
def _one_thread():
    with threadpool_limits(1):
        yield

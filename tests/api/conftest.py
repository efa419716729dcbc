"""APIs that many tests share: starting one takes about a second."""

from collections.abc import Iterator

import pytest

from beefirst.laboratory.api_process import ApiProcess, start_api
from beefirst.laboratory.scratch_database import ScratchDatabase


@pytest.fixture(scope="session")
def shared_database() -> Iterator[ScratchDatabase]:
    """The database of `shared_api`."""
    with ScratchDatabase() as database:
        yield database


@pytest.fixture(scope="session")
def shared_api(shared_database: ScratchDatabase) -> Iterator[ApiProcess]:
    """An API with the defaults, for tests that leave it as they found it."""
    with start_api(shared_database.url) as running:
        yield running

"""One migrated database for all tests of the store and of what the schema refuses."""

from collections.abc import Iterator

import pytest

from beefirst.laboratory.scratch_database import ScratchDatabase
from tests.support.databases import migrated_database
from tests.support.store_under_test import StoreUnderTest


@pytest.fixture(scope="session")
def migrated() -> Iterator[ScratchDatabase]:
    """A database with every shipped migration; each test empties its tables first."""
    with migrated_database() as database:
        yield database


@pytest.fixture
def store(migrated: ScratchDatabase) -> Iterator[StoreUnderTest]:
    """A store without a registration."""
    store = StoreUnderTest(migrated)
    yield store
    store.close()

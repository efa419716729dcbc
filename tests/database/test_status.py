"""What `python -m beefirst migrate` has to say of a database: as it is, as it will be, and after it."""

import asyncio

from beefirst.database.status import bring_up_to_date, compare_schema, describe, plan
from beefirst.laboratory import catalog
from beefirst.laboratory.scratch_database import ScratchDatabase
from beefirst.settings import Settings
from tests.support.databases import SHIPPED


def settings_of(database: ScratchDatabase) -> Settings:
    return Settings.load(database_url=database.url, startup_timeout_seconds=5)


def test_an_empty_database_has_everything_before_it_and_is_not_changed_by_looking(database: ScratchDatabase) -> None:
    settings = settings_of(database)

    assert asyncio.run(describe(settings)) == [f"{file.name}  pending" for file in SHIPPED]
    assert asyncio.run(plan(settings)) == [f"-- {file.name}\n{file.sql}" for file in SHIPPED]
    with database.connect() as connection:
        assert catalog.tables(connection) == []


def test_a_database_that_was_brought_up_to_date_lacks_nothing(database: ScratchDatabase) -> None:
    settings = settings_of(database)

    brought = asyncio.run(bring_up_to_date(settings))

    assert [line.partition("  ")[0] for line in brought] == [file.name for file in SHIPPED]
    assert all("  applied 20" in line and line.endswith(" ms") for line in brought)
    assert asyncio.run(describe(settings)) == brought
    assert asyncio.run(plan(settings)) == []
    assert asyncio.run(compare_schema(settings)) == []


def test_what_was_changed_by_hand_is_told(database: ScratchDatabase) -> None:
    settings = settings_of(database)
    asyncio.run(bring_up_to_date(settings))
    with database.connect() as connection:
        connection.execute("ALTER TABLE registrations DROP COLUMN activated_at CASCADE")

    assert [line for line in asyncio.run(compare_schema(settings)) if "activated_at" in line] != []

"""What PostgreSQL's catalogues say, as tests and notebooks ask for it."""

from collections.abc import Iterator
from typing import Any

import pandas as pd
import pytest
from psycopg import Connection

from beefirst.laboratory import catalog
from beefirst.laboratory.scratch_database import ScratchDatabase
from beefirst.machine.folders import MIGRATIONS
from tests.support.databases import migrated_database


@pytest.fixture(scope="module")
def connection() -> Iterator[Connection[Any]]:
    with migrated_database() as database, database.connect() as connection:
        yield connection


def test_the_tables_columns_and_history_are_those_of_the_migrations(connection: Connection[Any]) -> None:
    assert catalog.tables(connection) == ["address_budgets", "registrations", "schema_migrations"]
    assert catalog.columns(connection)["column_name"].iloc[[0, -1]].tolist() == ["id", "activated_at"]
    assert catalog.history(connection)["name"].tolist() == [path.name for path in sorted(MIGRATIONS.glob("*.sql"))]


def test_a_table_that_is_not_there_has_no_columns_and_no_constraints(database: ScratchDatabase) -> None:
    with database.connect() as connection:
        assert catalog.tables(connection) == []
        assert catalog.columns(connection).empty
        assert catalog.constraints(connection).empty


def names_in_one_only(before: pd.DataFrame, after: pd.DataFrame) -> set[str]:
    return set(pd.concat([before, after]).drop_duplicates(keep=False)["name"])


def test_what_is_made_anew_under_its_old_name_shows(connection: Connection[Any]) -> None:
    before = catalog.made(connection)
    connection.execute("UPDATE registrations SET attempt_count = 0")
    unchanged = catalog.made(connection)

    connection.execute((MIGRATIONS / "004_guard_claims.sql").read_bytes())

    assert unchanged.equals(before)
    assert names_in_one_only(before, catalog.made(connection)) == {
        "guard_registration_claim",
        "registrations_guard_claim",
    }


def test_connections_are_waited_for_no_longer_than_it_was_said(connection: Connection[Any]) -> None:
    own = connection.info.get_parameters()["application_name"]

    assert catalog.wait_for_connections(connection, own, 1, 0) == 1
    assert catalog.wait_for_connections(connection, own, 2, 0) == 1
    assert catalog.wait_for_connections(connection, "nobody", 1, 0) == 0

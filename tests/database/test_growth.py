"""That a statement costs what it finds and not what there is, whatever PostgreSQL knows of the tables' size."""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from psycopg import Connection

from beefirst.database.pool import PLANNING
from beefirst.laboratory.api_process import ApiProcess, start_api
from beefirst.laboratory.asked_statements import SWEEPING, add_people, ask_all, statement_names
from beefirst.laboratory.many_rows import add_due, grow
from beefirst.laboratory.query_plans import Plan, explain, explain_prepared, undone
from beefirst.laboratory.scratch_database import ScratchDatabase, connect
from beefirst.machine.waiting import wait_until
from tests.support.databases import apply, migrated_database
from tests.support.http_client import activate, register
from tests.support.store_under_test import ADA

FEW, MANY = 2_000, 200_000

DUE = 50
"""Of each kind: two batches."""

TWICE, SLACK = 2, 12
"""How much more pages may be looked at: an index of many rows is a level deeper, or two."""

NEVER = {"ttl_seconds": 100_000_000, "keep_hours": 100_000}
"""So nothing is due."""

NO_STATISTICS = """
    ALTER TABLE registrations SET (autovacuum_enabled = off);
    ALTER TABLE address_budgets SET (autovacuum_enabled = off);
"""
OTHERS = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
SCANS = """
    SELECT relname, seq_scan FROM pg_stat_user_tables WHERE relname IN ('registrations', 'address_budgets')
"""
ROUNDS = re.compile(r'^beefirst_sweeps_total\{result="done"\} (\d+)', re.MULTILINE)

INDEXES = {
    "registrations_claimed_since": ("DROP INDEX registrations_claimed_since", "EXPIRE_DUE_CLAIMS"),
    "registrations_ended_since": ("DROP INDEX registrations_ended_since", "DELETE_ENDED_REGISTRATIONS"),
    "address_budgets_touched": ("DROP INDEX address_budgets_touched", "DELETE_FORGOTTEN_BUDGETS"),
    "registrations_pkey": ("ALTER TABLE registrations DROP CONSTRAINT registrations_pkey", "JUDGE_CODE"),
    "registrations_email_key": ("ALTER TABLE registrations DROP CONSTRAINT registrations_email_key", "FIND_CLAIM"),
    "address_budgets_pkey": ("ALTER TABLE address_budgets DROP CONSTRAINT address_budgets_pkey", "REFUND_MAIL"),
}
"""What takes an index away, and a statement that finds its rows by it."""

Ask = Callable[[Connection[Any], str, Mapping[str, object]], Plan]
Plans = dict[str, Plan]


@dataclass
class Tables:
    """Tables that have grown under a connection which had often run every statement before.

    Attributes:
        database: where they are.
        veteran: the connection.
    """

    database: ScratchDatabase
    veteran: Connection[Any]


@contextmanager
def grown(rows: int, *preparations: str) -> Iterator[Tables]:
    """Give tables of so many rows, of which something is due, whose statistics are as they were before.

    Args:
        rows: of each.
        preparations: what is run before they grow.
    """
    with migrated_database() as database, connect(database.url, **PLANNING) as veteran:
        veteran.execute(NO_STATISTICS)
        add_due(veteran, DUE)
        add_people(veteran)
        for preparation in preparations:
            veteran.execute(preparation.encode())
        plans(veteran, explain_prepared)
        grow(veteran, rows)
        yield Tables(database, veteran)


def plans(connection: Connection[Any], ask: Ask) -> Plans:
    """Return how each statement is carried out, by its name and situation."""
    return {str(asked): ask(connection, asked.text, asked.values) for asked in ask_all(connection)}


@pytest.fixture(scope="module")
def few() -> Iterator[Plans]:
    """How each statement is carried out on few rows."""
    with grown(FEW, "ANALYZE") as tables:
        yield plans(tables.veteran, explain_prepared)


@pytest.fixture(scope="module")
def many() -> Iterator[Tables]:
    """Many rows, of which PostgreSQL knows nothing."""
    with grown(MANY) as tables:
        yield tables


def beyond(few: Plans, seen: Plans) -> list[str]:
    """Return what reads a whole table, or more pages than it needs for what it finds."""
    return [
        f"{name}: {plan.buffers} pages where {few[name].buffers} do, {', '.join(plan.nodes)}"
        for name, plan in seen.items()
        if plan.scanned or plan.buffers > TWICE * few[name].buffers + SLACK
    ]


def test_every_statement_of_the_service_is_asked(few: Plans) -> None:
    assert {name.partition(",")[0] for name in few} == statement_names()


@pytest.mark.parametrize("ask", [explain, explain_prepared])
def test_a_statement_costs_what_it_finds_where_nothing_is_known_of_the_tables(
    few: Plans, many: Tables, ask: Ask
) -> None:
    with connect(many.database.url, **PLANNING) as connection:
        seen = plans(connection, ask)

    assert beyond(few, seen) == []
    assert {name: plan.rows for name, plan in seen.items()} == {name: plan.rows for name, plan in few.items()}


def test_a_plan_that_was_kept_while_the_tables_were_empty_serves_when_they_are_large(few: Plans, many: Tables) -> None:
    seen = plans(many.veteran, explain_prepared)

    assert beyond(few, seen) == []
    assert sum(plan.kept for plan in seen.values()) > len(seen) / 2


def test_a_plan_that_was_kept_for_few_rows_serves_for_more(few: Plans) -> None:
    with grown(MANY // 10, "ANALYZE") as tables:
        seen = plans(tables.veteran, explain_prepared)

    assert beyond(few, seen) == []


@pytest.mark.parametrize("name", SWEEPING)
def test_a_sweep_with_nothing_due_looks_at_next_to_nothing(many: Tables, name: str) -> None:
    (asked,) = [asked for asked in ask_all(many.veteran) if asked.name == name]

    plan = explain(many.veteran, asked.text, {**asked.values, **NEVER})

    assert plan.buffers <= SLACK


@pytest.mark.parametrize("index", INDEXES)
def test_an_index_that_is_missing_is_noticed(few: Plans, many: Tables, index: str) -> None:
    drop, name = INDEXES[index]
    asked = next(asked for asked in ask_all(many.veteran) if asked.name == name)
    with undone(many.veteran):
        many.veteran.execute(drop.encode())
        seen = explain(many.veteran, asked.text, asked.values)

    assert beyond(few, {str(asked): seen})


@pytest.mark.parametrize("ask", [explain, explain_prepared])
def test_a_statement_costs_what_it_finds_where_the_tables_are_known(few: Plans, many: Tables, ask: Ask) -> None:
    with connect(many.database.url, **PLANNING) as connection:
        connection.execute("ANALYZE")

        assert beyond(few, plans(connection, ask)) == []


def settled_scans(database: ScratchDatabase) -> dict[str, int]:
    """Return how often each table was read as a whole, once nobody else is connected who could still report it."""
    with database.connect() as connection:
        wait_until(lambda: connection.execute(OTHERS).fetchone() == (0,))
        return dict(connection.execute(SCANS).fetchall())


def rounds(api: ApiProcess) -> int:
    """Return how often a replica has swept."""
    return sum(map(int, ROUNDS.findall(api.get("/metrics").text)))


def test_the_service_reads_no_table_as_a_whole_even_where_it_has_one_page(database: ScratchDatabase) -> None:
    apply(database.url)
    with database.connect() as owner:
        add_people(owner)
        owner.execute("ANALYZE")
    before = settled_scans(database)

    with start_api(database.url, sweep_interval_seconds=0.1) as api:
        assert [register(api, ADA).status_code for _ in range(2)] == [202, 202]
        activate(api, ADA, "0000")
        assert api.get("/health/ready").status_code == 200
        wait_until(lambda: rounds(api) >= 3, 60)

    assert settled_scans(database) == before

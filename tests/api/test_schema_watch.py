"""A schema that is not what the migrations make any more: said once in the log, and by a figure, and stops nothing."""

import math
from collections.abc import Iterator

import pytest

from beefirst.laboratory.api_process import ApiProcess, start_api
from beefirst.laboratory.project_copy import ProjectCopy
from beefirst.laboratory.scratch_database import ScratchDatabase
from beefirst.machine.waiting import wait_until
from tests.support.databases import apply

WITHOUT_GUARDS = """
    DROP TRIGGER registrations_guard_change ON registrations;
    DROP TRIGGER registrations_guard_claim ON registrations;
    DROP INDEX registrations_claimed_since;
    ALTER TABLE registrations DROP CONSTRAINT registrations_ended_has_no_hash
"""
ADD, TAKE_OUT = "ALTER TABLE registrations ADD phone TEXT", "ALTER TABLE registrations DROP phone"
WATCH = "beefirst/api/schema_watch.py"


def differences(api: ApiProcess) -> float:
    lines = api.get("/metrics").text.splitlines()
    return next(float(line.split()[-1]) for line in lines if line.startswith("beefirst_schema_differences "))


def warnings(api: ApiProcess) -> list[str]:
    return [line for line in api.log().splitlines() if "WARNING" in line]


@pytest.fixture
def watchful(database: ScratchDatabase) -> Iterator[ApiProcess]:
    """An API that looks at its schema all the time."""
    with ProjectCopy() as copy:
        copy.replace(WATCH, "LOOK_SECONDS = 60", "LOOK_SECONDS = 0.05")
        with copy.start(database) as api:
            yield api.wait_until_ready()


def test_a_start_on_a_changed_schema_says_so_in_one_line_and_serves(database: ScratchDatabase) -> None:
    apply(database.url)
    with database.connect() as connection:
        connection.execute(WITHOUT_GUARDS)

    with start_api(database.url) as api:
        wait_until(lambda: differences(api) == 4)
        ready = api.get("/health/ready").status_code

    assert ready == 200
    (line,) = warnings(api)
    assert "constraint registrations_ended_has_no_hash on registrations is missing; " in line
    assert "and 1 more. See `python -m beefirst migrate --verify`" in line


def test_a_start_on_what_the_migrations_make_says_nothing(shared_api: ApiProcess) -> None:
    wait_until(lambda: differences(shared_api) == 0)

    assert "beefirst.schema" not in shared_api.log()


def test_a_change_while_the_service_runs_is_said_once_and_so_is_its_end(
    watchful: ApiProcess, database: ScratchDatabase
) -> None:
    wait_until(lambda: differences(watchful) == 0)
    with database.connect() as connection:
        connection.execute(ADD)
        wait_until(lambda: differences(watchful) == 1)
        connection.execute(TAKE_OUT)
        wait_until(lambda: differences(watchful) == 0)

    assert [line.count("column registrations.phone was added. See") for line in warnings(watchful)] == [1]
    assert watchful.log().count("the schema is what the migrations make again") == 1


def test_a_database_that_is_ahead_is_not_judged(watchful: ApiProcess, database: ScratchDatabase) -> None:
    wait_until(lambda: differences(watchful) == 0)
    with ProjectCopy(extra=1) as newer, newer.start(database) as beside:
        beside.wait_until_ready()
        wait_until(lambda: math.isnan(differences(watchful)))

    assert warnings(watchful) == []

"""Databases for experiments: on whatever URL a server has, gone afterwards, and never in the way of others."""

from urllib.parse import urlsplit

import pytest

from beefirst.errors import ConfigurationError, DatabaseRefusedError, DatabaseUnavailableError
from beefirst.laboratory.running_service import RunningService
from beefirst.laboratory.scratch_database import (
    PREFIX,
    ScratchDatabase,
    configured_url,
    connect,
    on_database,
    server_url,
)
from beefirst.machine.ports import free_port
from tests.conftest import SECRET, change_url


def names() -> set[str]:
    with connect(server_url()) as connection:
        rows = connection.execute("SELECT datname FROM pg_database WHERE starts_with(datname, %s)", (PREFIX,))
        return {name for (name,) in rows}


def test_it_is_there_and_then_it_is_gone() -> None:
    with ScratchDatabase() as scratch:
        assert scratch.name in names()
        scratch.drop()
    assert scratch.name not in names()


def test_what_a_process_left_that_was_killed_together_with_its_reaper_is_dropped_by_the_next() -> None:
    left = f"{PREFIX}abandoned"
    with connect(server_url()) as connection:
        connection.execute(f"CREATE DATABASE {left}")

    with ScratchDatabase():
        assert left not in names()


def test_it_goes_when_nothing_refers_to_it_any_more() -> None:
    scratch = ScratchDatabase()
    first = scratch.name

    scratch = ScratchDatabase()

    assert first not in names()
    assert scratch.name in names()


def test_what_another_process_uses_is_left_alone() -> None:
    with ScratchDatabase() as other, ScratchDatabase():
        assert other.name in names()


def test_it_works_on_a_url_that_has_everything_behind_the_question_mark() -> None:
    parts = urlsplit(server_url())
    server = f"postgresql:///postgres?host={parts.hostname}&port={parts.port}&user={parts.username}&password={parts.password}"

    with ScratchDatabase(server) as scratch, scratch.connect() as connection:
        assert connection.info.dbname == scratch.name


def test_a_name_behind_the_question_mark_does_not_lead_back_to_the_first_database() -> None:
    with connect(on_database(f"{server_url()}?dbname=beefirst", "postgres")) as connection:
        assert connection.info.dbname == "postgres"


def test_a_role_that_may_not_create_databases_is_told_so(database: ScratchDatabase, role: str) -> None:
    with pytest.raises(DatabaseRefusedError, match=f"ALTER ROLE {role} CREATEDB"):
        ScratchDatabase(change_url(database.url, user=role, password=SECRET))


@pytest.mark.parametrize("password", [f"{SECRET}%zz", f"s3/{SECRET}", f"s3@{SECRET}"])
def test_a_password_that_breaks_the_url_is_not_shown(monkeypatch: pytest.MonkeyPatch, password: str) -> None:
    monkeypatch.setenv("DATABASE_URL", f"postgresql://u:{password}@127.0.0.1:{free_port()}/x")

    with pytest.raises(ConfigurationError) as refusal:
        configured_url()

    assert SECRET not in str(refusal.value)


def test_a_database_that_does_not_answer_is_named_without_its_password() -> None:
    with pytest.raises(DatabaseUnavailableError, match="bring it up") as refusal:
        connect(f"postgresql://u:{SECRET}@127.0.0.1:{free_port()}/x")

    assert SECRET not in str(refusal.value)


def test_a_service_shows_itself_without_its_password() -> None:
    assert SECRET not in repr(RunningService("http://a", "http://a", f"postgresql://u:{SECRET}@h/x", "this notebook"))

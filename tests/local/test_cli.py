"""The other commands of `python -m beefirst`."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from beefirst.laboratory.environment import clean_environment
from beefirst.laboratory.scratch_database import ScratchDatabase
from beefirst.machine.folders import MIGRATIONS, NOTEBOOKS
from beefirst.machine.ports import free_port
from tests.conftest import SECRET, Run, change_url

FILES = sorted(path.name for path in MIGRATIONS.glob("*.sql"))


def test_the_status_of_an_empty_database_is_pending_and_stays_so(beefirst: Run, database: ScratchDatabase) -> None:
    first = beefirst("migrate", "--status", DATABASE_URL=database.url)
    second = beefirst("migrate", "--status", DATABASE_URL=database.url)

    assert first.returncode == 0
    assert first.stdout.splitlines() == [f"{name}  pending" for name in FILES]
    assert second.stdout == first.stdout


def test_migrate_applies_what_is_pending_and_says_so(beefirst: Run, database: ScratchDatabase) -> None:
    migrated = beefirst("migrate", DATABASE_URL=database.url)
    status = beefirst("migrate", "--status", DATABASE_URL=database.url)

    assert migrated.returncode == 0
    assert [line.split("  applied ")[0] for line in migrated.stdout.splitlines()] == FILES
    assert status.stdout == migrated.stdout


def test_the_plan_is_the_sql_of_what_is_pending_and_changes_nothing(beefirst: Run, database: ScratchDatabase) -> None:
    plan = beefirst("migrate", "--plan", DATABASE_URL=database.url)
    status = beefirst("migrate", "--status", DATABASE_URL=database.url)

    assert (plan.returncode, plan.stderr) == (0, "")
    assert [line[3:] for line in plan.stdout.splitlines() if line[3:] in FILES] == FILES
    assert all((MIGRATIONS / name).read_text() in plan.stdout for name in FILES)
    assert status.stdout.splitlines() == [f"{name}  pending" for name in FILES]


def test_the_plan_of_a_database_that_has_every_file_is_empty(beefirst: Run, database: ScratchDatabase) -> None:
    beefirst("migrate", DATABASE_URL=database.url)

    plan = beefirst("migrate", "--plan", DATABASE_URL=database.url)

    assert (plan.returncode, plan.stdout, plan.stderr) == (0, "", "Nothing is pending.\n")


def test_migrate_says_in_one_line_what_is_wrong(beefirst: Run) -> None:
    url = f"postgresql://u:{SECRET}@127.0.0.1:{free_port()}/x"
    result = beefirst("migrate", DATABASE_URL=url, STARTUP_TIMEOUT_SECONDS=1)

    assert result.returncode == 1
    waiting, *said = result.stderr.splitlines()
    assert result.stdout == ""
    assert waiting.startswith("waiting for the database")
    assert [line.endswith("start it, or set DATABASE_URL.") for line in said] == [True]
    assert SECRET not in result.stderr


def test_a_reset_puts_an_edited_notebook_back(beefirst: Run, tmp_path: Path) -> None:
    beefirst("notebooks", "--reset", BEEFIRST_DATA=tmp_path)
    copy = tmp_path / "notebooks" / "00_start_here.ipynb"
    copy.write_text("edited")

    result = beefirst("notebooks", "--reset", BEEFIRST_DATA=tmp_path)

    assert result.returncode == 0
    assert json.loads(copy.read_text())["cells"] == json.loads((NOTEBOOKS / copy.name).read_text())["cells"]
    assert "as they were shipped" in result.stdout


def test_help_names_every_command(beefirst: Run) -> None:
    listed = {line.split()[0] for line in beefirst("--help").stdout.splitlines() if line.startswith("    ")}

    assert {"up", "api", "migrate", "notebooks"} <= listed


def test_an_unknown_command_is_refused(beefirst: Run) -> None:
    assert beefirst("down").returncode == 2


@pytest.mark.parametrize(
    "table",
    ["CREATE TABLE schema_migrations (version TEXT, dirty BOOL)", "CREATE TABLE schema_migrations (version INT)"],
)
def test_a_history_of_another_program_gets_one_line(beefirst: Run, database: ScratchDatabase, table: str) -> None:
    with database.connect() as connection:
        connection.execute(table.encode())

    result = beefirst("migrate", DATABASE_URL=database.url)

    assert result.returncode == 1
    assert result.stderr.count("\n") == 1
    assert " has a table schema_migrations of " in result.stderr


def test_a_role_that_may_not_read_the_history_gets_one_line(
    beefirst: Run, database: ScratchDatabase, role: str
) -> None:
    beefirst("migrate", DATABASE_URL=database.url)

    result = beefirst("migrate", "--status", DATABASE_URL=change_url(database.url, user=role, password=SECRET))

    assert result.returncode == 1
    assert result.stderr.count("\n") == 1
    assert "permission denied for table schema_migrations" in result.stderr


def test_a_parameter_of_the_url_that_is_wrong_gets_one_line(beefirst: Run, database: ScratchDatabase) -> None:
    result = beefirst("migrate", DATABASE_URL=f"{database.url}?connect_timeout=abc")

    assert result.returncode == 1
    assert result.stderr.count("\n") == 1


def test_a_throw_away_database_and_a_named_one_are_not_taken_together(beefirst: Run, database: ScratchDatabase) -> None:
    result = beefirst("up", "--ephemeral", DATABASE_URL=database.url)

    assert result.returncode == 1
    assert "unset it, or leave --ephemeral out" in result.stderr


def test_the_garbage_that_requests_make_is_collected() -> None:
    code = (
        "import gc, beefirst.api.server as server; from beefirst.cli import main; "
        "server.serve_api = lambda *_: print(gc.isenabled(), gc.get_freeze_count() > 10_000); main(['api'])"
    )

    result = subprocess.run([sys.executable, "-c", code], env=clean_environment(), capture_output=True, timeout=60)

    assert result.stdout == b"True True\n"


@pytest.mark.parametrize("words", [("up",), ("notebooks",), ("notebooks", "--reset")], ids=" ".join)
def test_a_data_folder_in_a_home_that_is_none_gets_one_clear_line(beefirst: Run, words: tuple[str, ...]) -> None:
    ports = {name: free_port() for name in ("DB_PORT", "API_PORT", "NOTEBOOK_PORT")}

    run = beefirst(*words, BEEFIRST_DATA="~no-such-user/data", **ports)

    assert (run.returncode, run.stdout) == (1, "")
    assert run.stderr.splitlines() == [
        "beefirst: There is no home to keep data in: set BEEFIRST_DATA to a folder of your own."
    ]

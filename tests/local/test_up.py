"""`python -m beefirst up` for real: three programs on free ports, in a folder of the test's own."""

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import httpx
import psycopg
import pytest
from jupyter_client import BlockingKernelClient

from beefirst.errors import PortTakenError
from beefirst.laboratory.scratch_database import ScratchDatabase
from beefirst.machine.ports import bind, free_port
from beefirst.machine.waiting import wait_until
from tests.conftest import SECRET
from tests.support.accounts import NOBODY, as_nobody
from tests.support.clock_minute import wait_for_room_in_the_minute
from tests.support.folders import open_folder
from tests.support.up_process import UpProcess

TOKEN = "token"


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder of the test's own."""
    with open_folder() as folder:
        yield folder


@pytest.fixture
def up(folder: Path) -> Iterator[Callable[..., UpProcess]]:
    """Starts runs in the folder, and ends what a failed test leaves running."""
    with ExitStack() as runs:

        def start(*words: str, prefix: tuple[str, ...] = (), **settings: object) -> UpProcess:
            return runs.enter_context(ended(UpProcess(folder, *words, prefix=prefix, **settings)))

        yield start


class Interrupted(NamedTuple):
    """What became of a run that was stopped with Ctrl-C while a kernel was at work."""

    folder: Path
    status: int
    last_words: list[str]
    processes: list[str]
    taken_ports: list[int]


@pytest.fixture(scope="module")
def interrupted() -> Iterator[Interrupted]:
    """The first run in a folder; it leaves a row in its database."""
    with open_folder() as folder, ended(UpProcess(folder, JUPYTER_TOKEN=TOKEN)) as run:
        run.wait_until_ready()
        with psycopg.connect(run.database_url, autocommit=True) as connection:
            connection.execute("INSERT INTO registrations (email, verification_code) VALUES ('a@example.com', '1234')")
        with busy_kernel(run):
            said = run.output()
            status = run.stop(signal.SIGINT)
        last_words = run.output().removeprefix(said).splitlines()
        taken_ports = [port for port in run.ports.values() if is_taken(port)]
        yield Interrupted(folder, status, last_words, run.processes(), taken_ports)


@pytest.fixture(scope="module")
def running(interrupted: Interrupted) -> Iterator[UpProcess]:
    """The second run in that folder, with a setting in the environment and one in `.env`."""
    (interrupted.folder / ".env").write_text("TRUSTED_PROXIES=127.0.0.0/8,::1\n")
    with ended(UpProcess(interrupted.folder, CLIENT_LIMIT=2)) as run:
        yield run.wait_until_ready()


@contextmanager
def ended(run: UpProcess) -> Iterator[UpProcess]:
    """End a run that is still going at the end of the block."""
    try:
        yield run
    finally:
        if run.process.poll() is None:
            run.stop()


@contextmanager
def busy_kernel(run: UpProcess) -> Iterator[None]:
    """Start a kernel in a run's JupyterLab, and enter the block when it is at work."""
    headers = {"Authorization": f"token {TOKEN}"}
    answer = httpx.post(f"{run.notebook_url}/api/kernels", json={"name": "python3"}, headers=headers, timeout=60)
    [connection_file] = run.folder.glob(f"beefirst-jupyter-*/kernel-{answer.json()['id']}.json")
    client = BlockingKernelClient(connection_file=str(connection_file))
    client.load_connection_file()
    client.start_channels(iopub=False, stdin=False, hb=False, control=False)
    try:
        client.execute(f"open({str(run.folder / 'busy')!r}, 'w').close(); import time; time.sleep(600)")
        wait_until((run.folder / "busy").exists, 60)
        yield
    finally:
        client.stop_channels()
        client.context.term()


def is_taken(port: int) -> bool:
    """Tell whether a program listens on a port."""
    try:
        bind("127.0.0.1", port, "PORT").close()
    except PortTakenError:
        return True
    return False


OWN_HOSTS = ("unshare", "--mount", "sh", "-c", 'mount --bind "$0" /etc/hosts && exec "$@"')
"""With the path of another /etc/hosts, runs a command that sees that one."""
may_bind = shutil.which("unshare") is not None and (
    subprocess.run([*OWN_HOSTS, "/etc/hosts", "true"], capture_output=True, check=False).returncode == 0
)


def refuse(run: UpProcess) -> str:
    """Wait for a run that must end with status 1 and leave nothing, and return its one line."""
    assert run.end() == 1
    lines = run.output().splitlines()
    assert len(lines) == 1, lines
    assert run.processes() == []
    return lines[0]


def test_it_brings_up_a_database_an_api_and_jupyterlab(running: UpProcess) -> None:
    with psycopg.connect(running.database_url) as connection:
        names = connection.execute("SELECT DISTINCT application_name FROM pg_stat_activity").fetchall()
        version = connection.info.server_version // 10000

    assert version == 16
    assert ("beefirst-api",) in names
    assert httpx.get(f"{running.api_url}/health/ready", timeout=60).json()["status"] == "ready"
    assert httpx.get(f"{running.notebook_url}/api", timeout=60).json()["version"]


def test_it_prints_what_runs_where_with_a_link_that_lets_a_browser_in(running: UpProcess) -> None:
    table = running.output().partition("\n\n")[2]
    link = re.search(r"JupyterLab +(http\S+)", table)

    assert f"postgresql://beefirst@localhost:{running.ports['DB_PORT']}/beefirst" in table
    assert f"{running.api_url}/docs" in table
    assert link is not None
    assert ":beefirst@" not in table
    assert httpx.get(link[1], follow_redirects=True, timeout=60).url.path == "/lab/tree/00_start_here.ipynb"


@pytest.mark.skipif(not may_bind, reason="needs the right to mount, for an /etc/hosts of its own: run as root")
def test_where_localhost_is_ipv6_alone_the_addresses_that_it_prints_lead_there_all_the_same(
    up: Callable[..., UpProcess], folder: Path
) -> None:
    (folder / "hosts").write_text("::1 localhost\n")
    run = up(prefix=(*OWN_HOSTS, str(folder / "hosts"))).wait_until_ready()

    api = re.findall(r"API +(http\S+)", run.output())[0]

    assert urlsplit(api).hostname == urlsplit(run.link).hostname == "127.0.0.1"
    assert [httpx.get(url, follow_redirects=True, timeout=60).status_code for url in (api, run.link)] == [200, 200]
    assert f"postgresql://beefirst@127.0.0.1:{run.ports['DB_PORT']}/beefirst" in run.output()


def test_jupyterlab_lets_nobody_in_without_the_token(running: UpProcess) -> None:
    assert httpx.get(f"{running.notebook_url}/api/contents", timeout=60).status_code == 403


def test_the_reader_gets_a_copy_of_every_notebook(running: UpProcess) -> None:
    copies = {path.name for path in (running.folder / "notebooks").glob("*.ipynb")}

    assert "00_start_here.ipynb" in copies
    assert len(copies) >= 6


def test_a_second_one_beside_it_on_the_same_ports_is_told_of_all_three(
    running: UpProcess, up: Callable[..., UpProcess]
) -> None:
    line = refuse(up(**running.ports))

    assert line == "beefirst: " + " ".join(
        f"Port {running.ports[name]} is taken: stop the program that has it, or set {name} to a free port."
        for name in ("API_PORT", "NOTEBOOK_PORT", "DB_PORT")
    )


def test_a_second_one_beside_it_on_the_same_folder_is_refused(running: UpProcess, up: Callable[..., UpProcess]) -> None:
    run = up(BEEFIRST_DATA=running.folder)

    assert run.end() == 1
    assert f"beefirst already uses {running.folder}: stop it first" in run.output()
    assert httpx.get(f"{running.api_url}/health/ready", timeout=60).status_code == 200


def test_ctrl_c_stops_all_three_and_frees_their_ports(interrupted: Interrupted) -> None:
    assert interrupted.status == 0
    assert interrupted.processes == []
    assert interrupted.taken_ports == []


def test_a_busy_kernel_is_stopped_without_a_word(interrupted: Interrupted) -> None:
    assert [line for line in interrupted.last_words if line and "beefirst.api: stopped" not in line] == [
        "Stopping JupyterLab, the API and PostgreSQL."
    ]


def test_the_data_are_there_after_a_restart(running: UpProcess) -> None:
    with psycopg.connect(running.database_url) as connection:
        assert connection.execute("SELECT count(*) FROM registrations").fetchone() == (1,)


def test_a_signal_during_the_start_leaves_nothing(up: Callable[..., UpProcess]) -> None:
    run = up()
    wait_until(lambda: len(run.processes()) > 1)

    assert run.stop(signal.SIGINT) == 0
    assert run.processes() == []


def test_an_ephemeral_database_is_gone_after_the_terminal_was_closed(up: Callable[..., UpProcess]) -> None:
    # Not ignored, as it is where the tests run under nohup.
    run = up("--ephemeral", prefix=("env", "--default-signal=HUP")).wait_until_ready()

    assert run.stop(signal.SIGHUP) == 0
    assert run.processes() == []
    assert [path.name for path in run.folder.iterdir() if "postgresql" in path.name] == []


def test_with_a_database_url_it_starts_no_server(up: Callable[..., UpProcess], database: ScratchDatabase) -> None:
    run = up(DATABASE_URL=database.url).wait_until_ready()

    with database.connect() as connection:
        names = connection.execute("SELECT application_name FROM pg_stat_activity").fetchall()
    assert ("beefirst-api",) in names
    assert [words for words in run.processes() if "postgres\0" in words] == []
    assert not (run.folder / "postgresql-16").exists()
    assert run.stop() == 0


@pytest.mark.parametrize("name", ["DB_PORT", "API_PORT", "NOTEBOOK_PORT"])
def test_a_taken_port_gets_one_clear_line_and_leaves_nothing(up: Callable[..., UpProcess], name: str) -> None:
    with bind("127.0.0.1", 0, "") as other:
        other.listen()
        port = other.getsockname()[1]

        line = refuse(up(**{name: port}))

    assert line == f"beefirst: Port {port} is taken: stop the program that has it, or set {name} to a free port."


def test_data_of_another_major_version_get_one_clear_line(up: Callable[..., UpProcess], folder: Path) -> None:
    (folder / "postgresql-16").mkdir()
    (folder / "postgresql-16" / "PG_VERSION").write_text("15\n")
    if os.geteuid() == 0:
        os.chown(folder / "postgresql-16", NOBODY, NOBODY)

    assert "holds data of PostgreSQL 15, and this is PostgreSQL 16" in refuse(up())


def test_an_open_address_without_a_token_gets_one_clear_line(up: Callable[..., UpProcess]) -> None:
    assert "set JUPYTER_TOKEN" in refuse(up(BIND_ADDRESS="0.0.0.0"))


@pytest.mark.parametrize("address", ["no-such-host.invalid", "a..b"])
def test_an_address_that_is_none_gets_one_clear_line(up: Callable[..., UpProcess], address: str) -> None:
    assert f"BIND_ADDRESS is {address}, which leads to no address (" in refuse(up(BIND_ADDRESS=address))


def test_a_value_outside_its_rule_gets_one_clear_line(up: Callable[..., UpProcess]) -> None:
    assert "TTL_SECONDS must be a whole number from 1 to 3600" in refuse(up(TTL_SECONDS=0))


def test_an_unreachable_database_gets_one_clear_line_without_its_password(up: Callable[..., UpProcess]) -> None:
    run = up(DATABASE_URL=f"postgresql://u:{SECRET}@127.0.0.1:{free_port()}/x", STARTUP_TIMEOUT_SECONDS=1)

    assert run.end() == 1
    assert len(run.output().splitlines()) == 2, run.output()
    waiting, refused = run.output().splitlines()
    assert "waiting for the database" in waiting
    assert refused.endswith("start it, or set DATABASE_URL.")
    assert SECRET not in run.output()
    assert run.processes() == []


@pytest.mark.parametrize(("program", "name"), [("beefirst\0api", "The API"), ("beefirst\0notebooks", "JupyterLab")])
def test_a_program_that_dies_takes_the_others_with_it(up: Callable[..., UpProcess], program: str, name: str) -> None:
    run = up().wait_until_ready()
    pids = [int(place.name) for place in Path("/proc").glob("[0-9]*") if is_program(place, program, run.folder)]
    os.kill(pids[0], signal.SIGKILL)

    assert run.end() == 1
    assert f"beefirst: {name} ended with status -9." in run.output()
    assert run.processes() == []


def is_program(place: Path, program: str, folder: Path) -> bool:
    try:
        return (
            program.encode() in (place / "cmdline").read_bytes()
            and str(folder).encode() in (place / "environ").read_bytes()
        )
    except OSError:
        return False


def test_an_ordinary_user_runs_it_too(up: Callable[..., UpProcess], folder: Path) -> None:
    run = up(prefix=as_nobody(folder)).wait_until_ready()

    assert (folder / "postgresql-16").stat().st_uid == folder.stat().st_uid
    assert httpx.get(f"{run.notebook_url}/api", timeout=60).status_code == 200
    assert run.stop() == 0
    assert run.processes() == []


def test_a_folder_without_write_permission_gets_one_clear_line(up: Callable[..., UpProcess], folder: Path) -> None:
    closed = folder / "closed"
    closed.mkdir(mode=0o555)

    line = refuse(up(prefix=as_nobody(folder), BEEFIRST_DATA=closed))

    assert str(closed) in line
    assert "choose another folder with BEEFIRST_DATA" in line


@pytest.mark.parametrize(("one", "other"), [("API_PORT", "NOTEBOOK_PORT"), ("API_PORT", "DB_PORT")])
def test_two_programs_on_one_port_are_answered_with_one_line(
    up: Callable[..., UpProcess], one: str, other: str
) -> None:
    port = free_port()

    assert refuse(up(**{one: port, other: port})) == (
        f"beefirst: {one} and {other} are both {port}: set one of them to another port."
    )


def test_the_api_has_the_settings_of_the_environment_and_of_the_dotenv_file(running: UpProcess) -> None:
    wait_for_room_in_the_minute()
    clients = ["192.0.2.1"] * 3 + ["192.0.2.2"]
    answers = [
        httpx.post(f"{running.api_url}/v1/activate", json={}, headers={"X-Forwarded-For": client}, timeout=60)
        for client in clients
    ]

    assert [answer.status_code for answer in answers] == [422, 422, 429, 422]

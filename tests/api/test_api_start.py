"""How the API starts, refuses to start, loses its database and stops, as a process of its own."""

import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from email.utils import parsedate_to_datetime
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from psycopg import sql

from beefirst.evaluation.experiments import schema
from beefirst.laboratory import catalog
from beefirst.laboratory.api_process import PATIENCE_SECONDS, ApiProcess, start_api
from beefirst.laboratory.environment import clean_environment
from beefirst.laboratory.project_copy import ProjectCopy
from beefirst.laboratory.scratch_database import ScratchDatabase
from beefirst.machine.ports import free_port
from beefirst.machine.processes import answers
from beefirst.machine.waiting import wait_until
from tests.conftest import SECRET, change_url
from tests.support.http_client import register


def refuse(url: str, **settings: object) -> str:
    """Start an API that must end with status 1, and return the only line that it writes."""
    with ApiProcess(url, **settings) as api:
        assert api.wait_for_end(60) == 1
        lines = api.log().splitlines()

    assert len(lines) == 1, lines
    return lines[0]


@pytest.fixture
def api(database: ScratchDatabase) -> Iterator[ApiProcess]:
    """An API of the test's own, which it may harm; it has had its first look at the schema, and now asks nothing."""
    with start_api(database.url, SWEEP_INTERVAL_SECONDS=3600) as running:
        wait_until(lambda: "beefirst_schema_differences 0.0" in running.get("/metrics").text)
        yield running


def test_it_migrates_an_empty_database_and_is_ready(shared_api: ApiProcess, shared_database: ScratchDatabase) -> None:
    answer = shared_api.get("/health/ready")

    assert answer.status_code == 200
    assert answer.json()["status"] == "ready"
    with shared_database.connect() as connection:
        assert catalog.history(connection)["name"].tolist()[-1] == answer.json()["migrations"]
        assert schema.columns_are_as_specified(connection).holds


@pytest.mark.usefixtures("shared_api")
def test_it_gives_its_connections_its_name(shared_database: ScratchDatabase) -> None:
    with shared_database.connect() as connection:
        assert catalog.wait_for_connections(connection, "beefirst-api", 2) >= 2


@pytest.mark.parametrize("path", ["/health", "/health/live", "/health/ready", "/health/startup", "/openapi.json"])
def test_its_public_addresses_answer_with_json(shared_api: ApiProcess, path: str) -> None:
    answer = shared_api.get(path)

    assert answer.status_code == 200
    assert answer.json()


def test_the_phases_of_its_start_leave_no_gap(shared_api: ApiProcess) -> None:
    startup = shared_api.get("/health/startup").json()

    assert [phase["name"] for phase in startup["phases"]] == ["load code", "connect", "migrate", "open pool", "listen"]
    assert all(phase["seconds"] >= 0 for phase in startup["phases"])
    assert sum(phase["seconds"] for phase in startup["phases"]) == pytest.approx(startup["seconds"])


def test_its_root_leads_to_the_documentation(shared_api: ApiProcess) -> None:
    answer = shared_api.get("/")

    assert (answer.status_code, answer.headers["Location"]) == (307, "/docs")


@pytest.mark.parametrize("page", ["/docs", "/redoc"])
def test_documentation_loads_from_the_api_alone(shared_api: ApiProcess, page: str) -> None:
    assets = re.findall(r'(?:src|href)="([^"]+)"', shared_api.get(page).text)
    answers = [shared_api.get(asset) for asset in assets]

    assert assets
    assert [asset for asset in assets if not asset.startswith("/")] == []
    assert [answer.status_code for answer in answers] == [200] * len(assets)
    assert [found for answer in answers for found in re.findall(r'src:"https?://[^"]+', answer.text)] == []


def test_it_logs_the_address_at_which_a_browser_reaches_it(shared_api: ApiProcess) -> None:
    port = urlsplit(shared_api.url).port

    assert f"http://localhost:{port}/docs" in shared_api.log()


def test_probes_that_succeed_leave_no_trace_in_the_log(shared_api: ApiProcess) -> None:
    shared_api.get("/health/live")
    shared_api.get("/nowhere")

    wait_until(lambda: "/nowhere" in shared_api.log())
    assert "/health/live" not in shared_api.log()


def test_a_start_that_cannot_succeed_ends_with_one_line_and_without_the_password(database: ScratchDatabase) -> None:
    line = refuse(change_url(database.url, password=SECRET))

    assert "password authentication failed for user" in line
    assert line.endswith("Set DATABASE_URL to what it accepts.")
    assert SECRET not in line


def test_a_taken_port_stops_the_start_with_one_line(shared_api: ApiProcess, database: ScratchDatabase) -> None:
    port = urlsplit(shared_api.url).port

    assert refuse(database.url, API_PORT=port) == (
        f"beefirst: Port {port} is taken: stop the program that has it, or set API_PORT to a free port."
    )


def test_an_address_of_another_machine_stops_the_start_with_one_line(database: ScratchDatabase) -> None:
    assert "Cannot listen on 192.0.2.1" in refuse(database.url, BIND_ADDRESS="192.0.2.1")


def test_the_password_is_not_in_the_most_talkative_log(database: ScratchDatabase, role: str) -> None:
    with database.connect() as owner:
        owner.execute(sql.SQL("GRANT CREATE ON SCHEMA public TO {}").format(sql.Identifier(role)))
        with start_api(change_url(database.url, user=role, password=SECRET), LOG_LEVEL="DEBUG") as api:
            owner.execute(sql.SQL("ALTER ROLE {} PASSWORD 'another'").format(sql.Identifier(role)))
            owner.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s", (role,))
            wait_until(lambda: api.get("/health/ready").status_code == 503)
            wait_until(lambda: "password authentication failed" in api.log())
            log = api.log()

    assert "connection attempt" in log
    assert SECRET not in log


HISTORY_IS_LOCKED = "LOCK TABLE schema_migrations IN ACCESS EXCLUSIVE MODE"
WAITING_FOR_IT = """
    SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()
"""


def test_a_probe_is_answered_in_time_by_a_database_that_hangs(
    shared_api: ApiProcess, shared_database: ScratchDatabase
) -> None:
    with shared_database.connect() as connection, connection.transaction():
        connection.execute(HISTORY_IS_LOCKED)
        started = time.monotonic()
        with ThreadPoolExecutor(20) as probes:
            statuses = set(probes.map(lambda _: shared_api.get("/health/ready").status_code, range(20)))
        seconds = time.monotonic() - started
        waiting = connection.execute(WAITING_FOR_IT).fetchone()

    assert statuses == {503}
    assert seconds < 15  # one after the other they would take 20
    assert waiting in [(1,), (2,)], "twenty probes ask the database once, and a look at the schema may be beside them"
    wait_until(lambda: shared_api.get("/health/ready").status_code == 200)


def test_ready_says_what_is_missing_in_a_database_that_lost_its_history(
    shared_api: ApiProcess, shared_database: ScratchDatabase
) -> None:
    with shared_database.connect() as connection:
        connection.execute("ALTER TABLE schema_migrations RENAME TO kept_migrations")
        answer = shared_api.get("/health/ready")
        connection.execute("ALTER TABLE kept_migrations RENAME TO schema_migrations")

    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "1"
    assert answer.json()["migrations"] == "001_create_registrations.sql is not applied"


def test_a_newer_release_that_migrates_does_not_make_a_running_one_unready(
    api: ApiProcess, database: ScratchDatabase
) -> None:
    with ProjectCopy(extra=1) as newer, newer.start(database) as beside:
        beside.wait_until_ready()

        assert api.get("/health/ready").status_code == 200


@pytest.mark.parametrize("proxy", ["http_proxy", "HTTP_PROXY", "ALL_PROXY"])
def test_a_proxy_in_the_environment_does_not_stand_between(
    shared_api: ApiProcess, monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    monkeypatch.setenv(proxy, f"http://127.0.0.1:{free_port()}")

    assert answers(f"{shared_api.url}/health/live")
    assert shared_api.get("/health/live").status_code == 200


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_a_request_in_flight_is_finished_before_the_process_ends(
    api: ApiProcess, database: ScratchDatabase, stop: signal.Signals
) -> None:
    with database.connect() as watcher, database.connect() as connection, ThreadPoolExecutor(1) as client:
        connection.execute(f"BEGIN; {HISTORY_IS_LOCKED}")
        slow = client.submit(api.get, "/health/ready")
        wait_until(lambda: watcher.execute(WAITING_FOR_IT).fetchone() == (1,))
        api.send_signal(stop)
        answer = slow.result()
        status = api.wait_for_end(60)

    assert answer.status_code == 503
    assert status == 0
    assert "stopped" in api.log()
    with pytest.raises(httpx.ConnectError):
        api.get("/health/live")


LEAVE = "not ready for balancers from now on"


def test_a_balancer_that_watches_is_told_of_a_stop_while_requests_are_still_served(database: ScratchDatabase) -> None:
    with start_api(database.url, TRUSTED_PROXIES="127.0.0.1") as api:
        api.get("/health/ready")
        api.send_signal(signal.SIGTERM)
        wait_until(lambda: LEAVE in api.log())
        ready, registered = api.get("/health/ready"), register(api, "ada@example.com")
        status = api.wait_for_end(60)

    assert (ready.status_code, ready.json()["status"]) == (503, "stopping")
    assert registered.status_code == 202
    assert status == 0


@pytest.mark.parametrize(("trusted", "asks"), [("127.0.0.1", 1), ("192.0.2.1", 3)], ids=["asked once", "no balancer"])
def test_a_stop_that_nobody_watches_takes_no_time_for_leave(database: ScratchDatabase, trusted: str, asks: int) -> None:
    with ApiProcess(database.url, TRUSTED_PROXIES=trusted) as api:
        wait_until(lambda: " ready in " in api.log(), PATIENCE_SECONDS)  # and not by asking, of which each time counts
        for _ in range(asks):
            api.get("/health/ready")
        assert api.stop() == 0

    assert LEAVE not in api.log()


REST_SECONDS = 2.0

SLEEPS = re.compile(r"^voluntary_ctxt_switches:\s+(\d+)", re.MULTILINE)


def test_at_rest_it_wakes_little_more_than_once_a_second_and_knows_the_time_all_the_same(api: ApiProcess) -> None:
    def sleeps() -> int:
        (found,) = SLEEPS.findall(Path(f"/proc/{api.pid}/task/{api.pid}/status").read_text())
        return int(found)

    first, before, began = api.get("/health/live").headers["date"], sleeps(), time.monotonic()
    time.sleep(REST_SECONDS)
    woken, seconds = sleeps() - before, time.monotonic() - began

    assert 1 <= woken <= 4 * seconds
    assert parsedate_to_datetime(api.get("/health/live").headers["date"]) > parsedate_to_datetime(first)


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_at_rest_it_hears_a_signal_at_once(database: ScratchDatabase, stop: signal.Signals) -> None:
    with ProjectCopy() as copy:
        copy.replace("beefirst/api/server.py", "DATE_SECONDS = 1.0", "DATE_SECONDS = 3600.0")
        with copy.start(database) as api:
            api.wait_until_ready().send_signal(stop)
            assert api.wait_for_end(60) == 0


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_a_start_that_waits_for_its_database_can_be_stopped(stop: signal.Signals) -> None:
    with ApiProcess(f"postgresql://beefirst:unused@127.0.0.1:{free_port()}/beefirst") as api:
        wait_until(lambda: "waiting for the database" in api.log())
        api.send_signal(stop)

        assert api.wait_for_end(60) in (-signal.SIGTERM, 128 + signal.SIGINT)
        assert "Traceback" not in api.log()


def test_uvicorn_starts_it_as_well(database: ScratchDatabase) -> None:
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "--factory", "beefirst.api.main:create_app", "--port", str(port)]
    with subprocess.Popen(
        command, env=clean_environment() | {"DATABASE_URL": database.url}, stderr=subprocess.DEVNULL
    ) as uvicorn:
        try:
            wait_until(lambda: answers(f"http://127.0.0.1:{port}/health/ready"))
        finally:
            uvicorn.terminate()

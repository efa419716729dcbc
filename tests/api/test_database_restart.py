"""One API whose database comes late, goes away and comes back, as probes and the sweeper tell of it."""

import math
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from prometheus_client.parser import text_string_to_metric_families

from beefirst.database.pool import RECONNECT_SECONDS
from beefirst.embedded_postgres.server import EmbeddedServer
from beefirst.laboratory.api_process import ApiProcess
from beefirst.laboratory.clock import let_pass
from beefirst.machine.ports import free_port
from beefirst.machine.waiting import wait_until
from tests.support.http_client import register

ADA = "ada@example.com"
TTL = 3600


@dataclass
class Absence:
    """What an API said while its database came late, went away and came back.

    Attributes:
        log_while_waiting: of the time before there was a database.
        status_once_there: what a probe then said.
        ready_while_away: the status of a probe.
        live_while_away: the status of a probe.
        overdue_while_away: the sweeper's figure.
        status_once_back: what a probe said after the database had been away for longer than the pool goes on by itself.
        log: all of it, taken while the database was still there.
    """

    log_while_waiting: str = ""
    status_once_there: str = ""
    ready_while_away: int = 0
    live_while_away: int = 0
    overdue_while_away: float = 0
    status_once_back: str = ""
    log: str = ""


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """Where root's own account for the embedded server can reach."""
    with tempfile.TemporaryDirectory(prefix="beefirst-server-") as made:
        Path(made).chmod(0o755)
        yield Path(made)


@pytest.fixture(scope="module")
def absence(folder: Path) -> Absence:
    """The whole story, told once."""
    told, port = Absence(), free_port()
    EmbeddedServer.start(folder, port).stop()
    url = f"postgresql://beefirst:beefirst@localhost:{port}/beefirst"
    with ApiProcess(url, TTL_SECONDS=TTL, SWEEP_INTERVAL_SECONDS=0.1) as api:
        wait_until(lambda: "waiting for the database" in api.log())
        told.log_while_waiting = api.log()
        with EmbeddedServer.start(folder, port):
            told.status_once_there = api.wait_until_ready().get("/health/ready").json()["status"]
            wait_until(lambda: figures(api)["beefirst_claims_overdue"] == 0)
        be_away(api, told)
        with EmbeddedServer.start(folder, port) as server:
            come_back(api, server, told)
    return told


def be_away(api: ApiProcess, told: Absence) -> None:
    began = time.monotonic()
    wait_until(lambda: api.get("/health/ready").status_code == 503)
    told.ready_while_away, told.live_while_away = 503, api.get("/health/live").status_code
    wait_until(lambda: figures(api).get("beefirst_sweeps_total unavailable", 0) >= 2)
    told.overdue_while_away = figures(api)["beefirst_claims_overdue"]
    wait_until(lambda: time.monotonic() - began > RECONNECT_SECONDS + 1)


def come_back(api: ApiProcess, server: EmbeddedServer, told: Absence) -> None:
    wait_until(lambda: api.get("/health/ready").status_code == 200)
    told.status_once_back = api.get("/health/ready").json()["status"]
    wait_until(lambda: "sweeping goes on" in api.log())
    register(api, ADA)
    with psycopg.connect(server.url, autocommit=True) as connection:
        let_pass(connection, TTL)
    wait_until(lambda: "beefirst.sweeper: expired" in api.log())
    done = figures(api)["beefirst_sweeps_total done"]
    wait_until(lambda: figures(api)["beefirst_sweeps_total done"] > done)
    told.log = api.log()


def figures(api: ApiProcess) -> dict[str, float]:
    """Return the sweeper's figures by name and result."""
    families = text_string_to_metric_families(api.get("/metrics").text)
    samples = [sample for family in families for sample in family.samples]
    return {f"{sample.name} {sample.labels.get('result', '')}".strip(): sample.value for sample in samples}


def test_a_database_that_starts_late_is_waited_for(absence: Absence) -> None:
    assert "Connection refused" in absence.log_while_waiting
    assert absence.status_once_there == "ready"


def test_a_database_that_goes_away_is_told_by_ready_alone(absence: Absence) -> None:
    assert absence.ready_while_away == 503
    assert absence.live_while_away == 200


def test_a_database_that_comes_back_is_noticed_though_the_pool_had_given_up(absence: Absence) -> None:
    assert absence.status_once_back == "ready"


def test_while_the_database_is_away_nobody_knows_how_many_claims_are_overdue(absence: Absence) -> None:
    assert math.isnan(absence.overdue_while_away)


def test_sweeping_survives_the_absence_and_says_so_once(absence: Absence) -> None:
    assert absence.log.count("sweeping pauses") == 1
    assert absence.log.count("sweeping goes on") == 1
    assert "beefirst.sweeper: expired" in absence.log
    assert "Traceback" not in absence.log

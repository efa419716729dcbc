"""The sweeper while its database is away, and where there is none."""

import time
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from beefirst.embedded_postgres.server import EmbeddedServer
from beefirst.laboratory.api_process import ApiProcess, start_api
from beefirst.laboratory.scratch_database import ScratchDatabase
from beefirst.machine.ports import free_port
from beefirst.machine.waiting import wait_until
from tests.support.http_client import fetch_row, register

ADA = "ada@example.com"


def figures(api: ApiProcess) -> dict[str, float]:
    """Return the sweeper's figures by name and result."""
    families = text_string_to_metric_families(api.get("/metrics").text)
    samples = [sample for family in families for sample in family.samples]
    return {f"{sample.name} {sample.labels.get('result', '')}".strip(): sample.value for sample in samples}


def test_sweeping_survives_a_restart_of_the_database_and_says_so_once(server_folder: Path) -> None:
    port = free_port()
    server = EmbeddedServer.start(server_folder, port)
    with start_api(server.url, TTL_SECONDS=1, SWEEP_INTERVAL_SECONDS=0.1) as api:
        wait_until(lambda: figures(api)["beefirst_claims_overdue"] == 0)
        server.stop()
        wait_until(lambda: figures(api).get("beefirst_sweeps_total unavailable", 0) >= 2)
        overdue_while_away = figures(api)["beefirst_claims_overdue"]
        with EmbeddedServer.start(server_folder, port):
            wait_until(lambda: "sweeping goes on" in api.log())
            register(api, ADA)
            wait_until(lambda: "beefirst.sweeper: expired" in api.log())
            done = figures(api)["beefirst_sweeps_total done"]
            wait_until(lambda: figures(api)["beefirst_sweeps_total done"] > done)

    assert overdue_while_away != overdue_while_away, "NaN: nobody knows"
    assert api.log().count("sweeping pauses") == 1
    assert api.log().count("sweeping goes on") == 1
    assert "Traceback" not in api.log()


def test_with_no_sweeper_at_all_a_claim_frees_itself_by_the_clock(database: ScratchDatabase) -> None:
    with start_api(database.url, TTL_SECONDS=1, SWEEP_INTERVAL_SECONDS=3600) as api:
        register(api, ADA)
        register(api, ADA)
        first = fetch_row(database, ADA)
        time.sleep(1.1)
        nobody_swept = fetch_row(database, ADA)
        register(api, ADA)
        second = fetch_row(database, ADA)

    assert nobody_swept == first
    assert second.id == first.id
    assert second.password_hash != first.password_hash
    assert api.log().count("beefirst.registration: claimed") == 2
    assert "expired" not in api.log()

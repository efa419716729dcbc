"""The experiments of notebook 01, on what is shipped and on what gives too much or is not connected."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import yaml

from beefirst.evaluation.evidence import Evidence
from beefirst.evaluation.experiments import compose
from beefirst.evaluation.experiments.compose import ServiceState
from beefirst.laboratory.api_process import start_api
from beefirst.laboratory.running_service import COMPOSE, OWN, UP, RunningService
from beefirst.laboratory.scratch_database import ScratchDatabase
from beefirst.machine.ports import free_port
from tests.support.evidence import fails, judged


def change_compose_file(folder: Path, service: str, change: dict[str, Any]) -> Path:
    content = yaml.safe_load(compose.FILE.read_text())
    content["services"].setdefault(service, {}).update(change)
    path = folder / "docker-compose.yml"
    path.write_text(yaml.safe_dump(content))
    return path


def test_the_shipped_file_declares_the_specified_services_with_their_ports() -> None:
    evidence = compose.services_and_ports()

    assert evidence.holds
    assert evidence.summary == "db 5432, api 8000, notebook 8888"
    assert evidence.rows[evidence.rows["what"] == "made from"]["seen"].tolist() == [
        "postgres:16",
        "Dockerfile",
        "Dockerfile.notebook",
    ]


@pytest.mark.parametrize(
    ("service", "change", "port"),
    [
        ("db", {"ports": ["127.0.0.1:${DB_PORT:-5433}:5432"]}, "5433, 5432"),
        ("api", {"ports": ["80:8000"]}, "80:8000, 8000"),
        ("notebook", {"ports": []}, "no port, 8888"),
        ("cache", {"image": "redis:7", "ports": ["127.0.0.1:${CACHE_PORT:-6379}:6379"]}, "6379, no port"),
    ],
)
def test_another_port_is_named(tmp_path: Path, service: str, change: dict[str, Any], port: str) -> None:
    evidence = compose.services_and_ports(change_compose_file(tmp_path, service, change))

    assert not evidence.holds
    assert evidence.summary.endswith(port)
    assert f": {service}, " in evidence.summary


@pytest.mark.parametrize(
    ("service", "change", "found"),
    [
        ("db", {"image": "postgres:17"}, "db, made from, postgres:17, postgres:16"),
        ("db", {"healthcheck": {}}, "db, healthy by, nothing, pg_isready"),
        ("db", {"healthcheck": {"test": ["CMD", "true"]}}, "db, healthy by, true, pg_isready"),
        ("api", {"depends_on": ["db"]}, "api, waits for, db: service_started, db: service_healthy"),
        ("api", {"depends_on": {}}, "api, waits for, nothing, db: service_healthy"),
        (
            "api",
            {"healthcheck": {"test": "wget 'http://127.0.0.1:8000/health/live'"}},
            "api, healthy by, GET http://127.0.0.1:8000/health/live, GET http://127.0.0.1:8000/health/ready",
        ),
    ],
)
def test_a_service_that_is_made_or_waits_or_is_asked_otherwise_is_named(
    tmp_path: Path, service: str, change: dict[str, Any], found: str
) -> None:
    fails(compose.services_and_ports(change_compose_file(tmp_path, service, change)), found)


def test_no_service_is_no_proof_and_no_password_is_kept(tmp_path: Path) -> None:
    (tmp_path / "docker-compose.yml").write_text("services: {}")

    fails(compose.services_and_ports(tmp_path / "docker-compose.yml"), "api, made from, no service, Dockerfile")
    fails(compose.no_right_too_many(tmp_path / "docker-compose.yml"), "db: a writable root")
    assert "PASSWORD" not in str(compose.services_and_ports().trace)


def test_a_service_that_is_missing_is_named(tmp_path: Path) -> None:
    content = yaml.safe_load(compose.FILE.read_text())
    del content["services"]["notebook"]
    (tmp_path / "docker-compose.yml").write_text(yaml.safe_dump(content))

    evidence = compose.services_and_ports(tmp_path / "docker-compose.yml")

    assert not evidence.holds
    assert evidence.summary.endswith("no port, 8888")


def test_a_file_that_cannot_be_read_fails_both_of_its_checks(tmp_path: Path) -> None:
    evidence = [compose.services_and_ports(tmp_path / "none.yml"), compose.no_right_too_many(tmp_path / "none.yml")]

    assert [each.holds for each in evidence] == [False, False]
    assert all("FileNotFoundError" in each.summary for each in evidence)


def test_the_shipped_file_gives_nothing_that_is_not_needed() -> None:
    evidence = compose.no_right_too_many()

    assert evidence.holds
    assert evidence.summary == "rights beyond those needed: none"


@pytest.mark.parametrize(
    ("service", "change", "found"),
    [
        ("api", {"privileged": True}, "api: privileged"),
        ("api", {"cap_add": ["SYS_ADMIN"]}, "api: SYS_ADMIN"),
        ("db", {"cap_add": ["CHOWN", "NET_ADMIN"]}, "db: NET_ADMIN"),
        ("api", {"cap_drop": ["NET_RAW"]}, "api: capabilities by default"),
        ("notebook", {"user": "root"}, "notebook: the user root"),
        ("notebook", {"user": "0:0"}, "notebook: the user root"),
        ("notebook", {"volumes": ["/var/run/docker.sock:/var/run/docker.sock"]}, "notebook: Docker's socket"),
        ("db", {"pid": "host"}, "db: the host's pid"),
        ("api", {"network_mode": "host"}, "api: the host's network_mode"),
        ("api", {"read_only": False}, "api: a writable root"),
        ("api", {"security_opt": []}, "api: new privileges"),
        ("api", {"mem_limit": None}, "api: memory without end"),
        ("api", {"devices": ["/dev/mem"]}, "api: the device /dev/mem"),
        *(
            (service, {"ports": [port]}, f"{service}: a port that is published beyond this machine ({port})")
            for service, port in (
                ("api", "${API_PORT:-8000}:8000"),
                ("notebook", "0.0.0.0:${NOTEBOOK_PORT:-8888}:8888"),
                ("notebook", "${BIND_ADDRESS:-0.0.0.0}:${NOTEBOOK_PORT:-8888}:8888"),
                ("db", "${BIND_ADDRESS:-127.0.0.1}:${DB_PORT:-5432}:5432"),
            )
        ),
    ],
)
def test_a_right_that_is_too_much_is_named(tmp_path: Path, service: str, change: dict[str, Any], found: str) -> None:
    evidence = compose.no_right_too_many(change_compose_file(tmp_path, service, change))

    assert not evidence.holds
    assert f"(rights beyond those needed: {found}): {service}, " in evidence.summary


def test_no_docker_waits_longer_than_a_second_before_it_probes_the_database() -> None:
    probe = yaml.safe_load(compose.FILE.read_text())["services"]["db"]["healthcheck"]

    assert float(probe["interval"].removesuffix("ms")) < 1000
    assert "start_period" not in probe  # since version 25, Docker probes every 5 seconds in it


@pytest.fixture(scope="module")
def service() -> Iterator[RunningService]:
    with ScratchDatabase() as database, start_api(database.url) as api:
        yield RunningService(api.url, api.url, database.url, OWN)


@pytest.fixture(scope="module")
def state(service: RunningService) -> ServiceState:
    return compose.measure_state(service)


@pytest.fixture(scope="module")
def astray(service: RunningService) -> Iterator[ServiceState]:
    """What is seen where the API uses another database than the notebooks do."""
    with ScratchDatabase() as another:
        yield compose.measure_state(replace(service, database_url=another.url))


def brought_up_by(way: str, state: ServiceState) -> ServiceState:
    return replace(state, service=replace(state.service, way=way))


def test_the_api_is_connected_to_its_database(state: ServiceState) -> None:
    evidence = compose.api_is_connected(state)

    assert evidence.holds
    assert evidence.summary.startswith(f"ready; server process {state.ready['connection']}, of the API's ")
    assert "beefirst-api" in repr(compose.connected_programs(state))


def test_an_api_on_another_database_is_not_connected(astray: ServiceState) -> None:
    evidence = compose.api_is_connected(astray)

    assert not evidence.holds
    assert "of the API's none" in evidence.summary


def test_an_api_without_its_database_is_not_connected(state: ServiceState) -> None:
    evidence = compose.api_is_connected(replace(state, ready={"status": "unavailable", "connection": None}))

    assert not evidence.holds
    assert "unavailable; server process None" in evidence.summary


def test_what_only_containers_can_show_names_their_command(state: ServiceState) -> None:
    outside = brought_up_by(UP, state)
    evidence = [
        compose.database_container_runs(outside),
        compose.api_container_runs(outside),
        compose.kernel_confirms_the_rights(outside.service),
    ]

    assert [(each.result, each.summary) for each in evidence] == [("NOT SHOWN HERE", f"run: {COMPOSE}")] * 3
    assert evidence[2].rows["right"].tolist()[0] == "user id"


def test_the_containers_are_seen_over_their_network(state: ServiceState) -> None:
    inside = brought_up_by(COMPOSE, replace(state, database_port=5432))

    assert compose.database_container_runs(inside).holds
    assert compose.api_container_runs(inside).holds


def test_containers_that_did_not_start_as_specified_are_named(state: ServiceState) -> None:
    inside = brought_up_by(COMPOSE, replace(state, database_port=5433, ready={"status": "unavailable"}))
    database, api = compose.database_container_runs(inside), compose.api_container_runs(inside)

    assert (database.result, api.result) == ("FAIL", "FAIL")
    assert "port 5433" in database.summary
    assert "unavailable" in api.summary


@pytest.fixture
def jupyterlab(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    """What answers where the JupyterLab of a reader would."""
    (tmp_path / "api").write_text("{}")
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("API_URL", "http://127.0.0.1:1")
        monkeypatch.setenv("NOTEBOOK_PORT", str(server.server_port))
        yield f"http://localhost:{server.server_port}"
        server.shutdown()


def test_jupyterlab_runs_beside_the_api_on_the_same_database(state: ServiceState, jupyterlab: str) -> None:
    evidence = compose.jupyterlab_runs(brought_up_by(UP, state))

    assert evidence.holds
    assert evidence.summary == f"{jupyterlab} answers; the API uses this very database: yes"


def test_jupyterlab_on_another_database_is_noticed(astray: ServiceState, jupyterlab: str) -> None:
    evidence = compose.jupyterlab_runs(brought_up_by(UP, astray))

    assert evidence.result == "FAIL"
    assert evidence.summary == f"{jupyterlab} answers; the API uses this very database: no"


def test_jupyterlab_that_does_not_run_is_noticed(state: ServiceState, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("NOTEBOOK_PORT", str(free_port()))

    evidence = compose.jupyterlab_runs(brought_up_by(UP, state))

    assert evidence.result == "FAIL"
    assert "no JupyterLab answers" in evidence.summary


def test_a_notebook_on_its_own_does_not_show_jupyterlab(state: ServiceState) -> None:
    evidence = compose.jupyterlab_runs(state)

    assert (evidence.result, evidence.command) == ("NOT SHOWN HERE", f"{COMPOSE}, or {UP}")


def judge_rights(folder: Path, service: RunningService, **changes: str) -> Evidence:
    rights = {"Uid": "10001", "CapEff": "0000000000000000", "NoNewPrivs": "1", "root": "ro,relatime", **changes}
    status = [f"{name}:\t{value}\t{value}" if name == "Uid" else f"{name}:\t{value}" for name, value in rights.items()]
    (folder / "status").write_text("\n".join(status))
    (folder / "mounts").write_text(f"proc /proc proc rw 0 0\noverlay / overlay {rights['root']} 0 0\n")
    return compose.kernel_confirms_the_rights(replace(service, way=COMPOSE), folder)


def test_the_kernel_confirms_a_confined_process(tmp_path: Path, service: RunningService) -> None:
    evidence = judge_rights(tmp_path, service)

    assert evidence.holds
    assert evidence.summary.startswith("user id: 10001, effective capabilities: 0000000000000000")


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"Uid": "0"}, "user id: 0,"),
        ({"Uid": "10001\t0"}, "user id: 10001, 0,"),
        ({"CapEff": "0000000000000400"}, "effective capabilities: 0000000000000400"),
        ({"NoNewPrivs": "0"}, "no new privileges: 0"),
        ({"root": "rw,relatime"}, "root file system: writable"),
    ],
)
def test_the_kernel_names_a_right_too_many(
    tmp_path: Path, service: RunningService, change: dict[str, str], found: str
) -> None:
    evidence = judge_rights(tmp_path, service, **change)

    assert evidence.result == "FAIL"
    assert found in evidence.summary


def test_a_service_that_does_not_answer_fails_its_checks_with_the_reason(service: RunningService) -> None:
    gone = compose.measure_state(replace(service, api_url="http://127.0.0.1:1"))

    assert "Crash" in repr(compose.connected_programs(gone))
    assert [compose.api_is_connected(gone).result, compose.jupyterlab_runs(gone).result] == ["FAIL", "FAIL"]
    assert "ConnectError" in compose.api_is_connected(gone).summary


def test_the_judges_take_no_answer_that_is_missing() -> None:
    silent: dict[str, Any] = {"ready": {"status": "ready"}, "api_processes": []}
    status = {"Uid": "", "CapEff": "", "NoNewPrivs": "1"}

    fails(judged(compose.api_is_connected, **silent), "server process None, of the API's none")
    fails(judged(compose.jupyterlab_runs, way=UP, answered="http://localhost:8888", **silent), "database: no")
    fails(judged(compose.database_container_runs, way=COMPOSE, port=None), "port None")
    fails(judged(compose.api_container_runs, way=COMPOSE, address="here", ready={"status": "starting"}))
    fails(judged(compose.kernel_confirms_the_rights, way=COMPOSE, status=status, root="ro"))

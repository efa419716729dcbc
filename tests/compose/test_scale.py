"""`docker compose --profile scale up --scale replica=4`: replicas behind a balancer, beside the three services."""

import itertools
import json
import re
from collections.abc import Iterator
from typing import Any

import httpx
import psycopg
import pytest

from beefirst.database.migration_files import read_migrations
from beefirst.laboratory import catalog
from beefirst.laboratory.compose_project import COMPOSE, docker
from beefirst.machine.folders import MIGRATIONS
from beefirst.machine.ports import free_port
from beefirst.machine.processes import answers
from beefirst.machine.waiting import wait_for, wait_until
from tests.support.balancer_image import provide_balancer_image
from tests.support.compose_stack import HANGS_SECONDS, ComposeStack, needs_engine

pytestmark = needs_engine

REPLICAS = 4
PASSWORD = "correct horse"


class ScaledStack(ComposeStack):
    """The services with those of the profile."""

    def __init__(self) -> None:
        super().__init__((*COMPOSE, "--profile", "scale"))
        self.ports["BALANCER_PORT"] = free_port()
        self.balancer_url = f"http://127.0.0.1:{self.ports['BALANCER_PORT']}"

    def logs(self) -> dict[str, str]:
        """Return what each replica has written."""
        logs = dict[str, str]()
        for line in self.run("logs", "replica").stdout.splitlines():
            name, _, said = line.partition("|")
            logs[name.strip()] = logs.get(name.strip(), "") + said + "\n"
        return logs

    def containers(self, service: str) -> list[dict[str, Any]]:
        """Return what the engine says of a service's containers."""
        names = self.run("ps", "--quiet", service).stdout.split()
        inspected: list[dict[str, Any]] = json.loads(docker("inspect", *names))
        return inspected


@pytest.fixture(scope="module")
def scaled(new_stack: ComposeStack) -> Iterator[ScaledStack]:
    """Up, with four replicas."""
    provide_balancer_image()
    scaled = ScaledStack()
    scaled.take_images(new_stack.name)
    docker("tag", f"{new_stack.name}-api", f"{scaled.name}-replica")
    try:
        scaled.run("up", "--detach", "--no-build", "--scale", f"replica={REPLICAS}")
        wait_until(lambda: answers(f"{scaled.balancer_url}/health/ready"), HANGS_SECONDS)
        wait_until(lambda: [" ready in " in log for log in scaled.logs().values()] == [True] * REPLICAS, HANGS_SECONDS)
        yield scaled
    finally:
        scaled.remove()


def register(scaled: ScaledStack, email: str) -> httpx.Response:
    """Claim an address; on a busy machine that may have to be asked for again."""
    person = {"email": email, "password": PASSWORD}

    def claimed() -> httpx.Response | None:
        answer = httpx.post(f"{scaled.balancer_url}/v1/register", json=person, timeout=60)
        return answer if answer.status_code == 202 else None

    answer = wait_for(claimed, 120, 1)
    assert answer
    return answer


def test_without_the_profile_there_are_three_services(new_stack: ComposeStack) -> None:
    assert sorted(new_stack.run("ps", "--all", "--services").stdout.split()) == ["api", "db", "notebook"]


def test_the_balancer_gives_every_replica_its_share(scaled: ScaledStack) -> None:
    ids, numbers = list[str](), itertools.count()

    def ids_in(log: str) -> set[str]:
        return {one for one in ids if one in log}

    def served() -> list[int]:
        answers = [register(scaled, f"share{next(numbers)}@example.com") for _ in range(REPLICAS)]
        ids.extend(answer.headers["X-Request-ID"] for answer in answers)
        return [len(ids_in(log)) for log in scaled.logs().values()]

    wait_until(lambda: len(counts := served()) == REPLICAS and all(counts), 120)
    wait_until(lambda: ids_in("".join(scaled.logs().values())) == set(ids), 60)
    logged = [one for log in scaled.logs().values() for one in ids_in(log)]
    assert sorted(logged) == sorted(ids)


def test_an_account_comes_to_be_whichever_replicas_are_asked(scaled: ScaledStack) -> None:
    register(scaled, "scale@example.com")
    mail = re.compile(r"to scale@example\.com: your code is ([0-9]{4})")
    codes = wait_for(lambda: mail.findall("".join(scaled.logs().values())))
    activated = httpx.post(
        f"{scaled.balancer_url}/v1/activate", json={"code": codes[0]}, auth=("scale@example.com", PASSWORD), timeout=60
    )

    assert activated.status_code == 200


def test_the_starts_beside_each_other_have_applied_each_file_once(scaled: ScaledStack) -> None:
    with psycopg.connect(scaled.database_url) as connection:
        applied = catalog.history(connection)["name"].tolist()

    assert applied == [file.name for file in read_migrations(MIGRATIONS)]


@pytest.mark.parametrize(("service", "count", "published"), [("replica", REPLICAS, []), ("balancer", 1, ["127.0.0.1"])])
def test_what_the_profile_brings_has_no_more_rights_than_it_needs(
    scaled: ScaledStack, service: str, count: int, published: list[str]
) -> None:
    containers = scaled.containers(service)

    assert len(containers) == count
    for host in (container["HostConfig"] for container in containers):
        ports = (host["PortBindings"] or {}).values()
        assert [binding["HostIp"] for bindings in ports for binding in bindings] == published
        assert host["ReadonlyRootfs"] is True
        assert host["CapDrop"] == ["ALL"]
        assert host["Memory"] > 0


def test_the_balancer_asks_as_the_engine_does(scaled: ScaledStack) -> None:
    wait_until(lambda: scaled.containers("balancer")[0]["State"]["Health"]["Status"] == "healthy", HANGS_SECONDS)

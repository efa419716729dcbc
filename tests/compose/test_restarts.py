"""What stopping, stalling and replacing a container leaves as it was."""

import json

import psycopg
import pytest

from beefirst.machine.waiting import wait_until
from tests.support.compose_stack import HANGS_SECONDS, ComposeStack, docker, needs_engine

pytestmark = needs_engine


def test_a_database_that_stalls_keeps_its_sessions(idle_stack: ComposeStack) -> None:
    # PostgreSQL takes a probe that Docker has orphaned for a session that crashed, and ends all others.
    container = str(idle_stack.container("db")["Id"])

    def failed_probes() -> list[int]:
        log = json.loads(docker("inspect", "--format", "{{json .State.Health.Log}}", container))
        return [probe["ExitCode"] for probe in log if probe["ExitCode"]]

    with psycopg.connect(idle_stack.database_url, autocommit=True) as session:
        docker("kill", "--signal", "STOP", container)
        try:
            wait_until(lambda: len(failed_probes()) == 2, HANGS_SECONDS, pause=0.2)
            ended = failed_probes()
        finally:
            docker("kill", "--signal", "CONT", container)

        assert ended == [1, 1]  # by themselves: Docker's limit is a -1
        assert session.execute("SELECT 'still here' FROM pg_sleep(1)").fetchone() == ("still here",)


def test_the_readers_edits_survive_a_new_container(idle_stack: ComposeStack) -> None:
    before = idle_stack.container("notebook")["Id"]
    idle_stack.run("exec", "-T", "notebook", "sh", "-c", "echo edited >/data/notebooks/mine.txt")
    idle_stack.run("up", "--detach", "--no-build", "--force-recreate", "notebook")

    assert idle_stack.container("notebook")["Id"] != before
    assert idle_stack.run("exec", "-T", "notebook", "cat", "/data/notebooks/mine.txt").stdout == "edited\n"


@pytest.mark.parametrize("service", ["api", "notebook", "db"])
def test_stopping_ends_a_service_in_order_with_status_0(idle_stack: ComposeStack, service: str) -> None:
    idle_stack.run("stop", service)
    state = json.loads(idle_stack.run("ps", "--all", "--format", "json", service).stdout)

    assert state["ExitCode"] == 0
    idle_stack.run("start", service)
    wait_until(idle_stack.is_ready, HANGS_SECONDS)

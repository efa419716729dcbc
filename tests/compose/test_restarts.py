"""What stopping, stalling and replacing a container leaves as it was."""

import json

import psycopg
import pytest

from beefirst.machine.waiting import wait_until
from tests.support.compose_stack import HANGS_SECONDS, ComposeStack, docker, needs_engine

pytestmark = needs_engine


def failed_probes(container: str, after: str = "") -> dict[str, int]:
    """Return the exit code of each probe of health that failed, by when it began; all that the engine remembers."""
    log = json.loads(docker("inspect", "--format", "{{json .State.Health.Log}}", container))
    return {probe["Start"]: probe["ExitCode"] for probe in log if probe["ExitCode"] and probe["Start"] > after}


def test_a_database_that_stalls_keeps_its_sessions(idle_stack: ComposeStack) -> None:
    # PostgreSQL takes a probe that Docker has orphaned for a session that crashed, and ends all others.
    container = str(idle_stack.container("db")["Id"])
    earlier = max(failed_probes(container), default="")
    with psycopg.connect(idle_stack.database_url, autocommit=True) as session:
        docker("kill", "--signal", "STOP", container)
        try:
            wait_until(lambda: len(failed_probes(container, earlier)) > 1, HANGS_SECONDS, pause=0.2)
            ended = failed_probes(container, earlier)
        finally:
            docker("kill", "--signal", "CONT", container)

        assert set(ended.values()) == {1}  # by themselves: Docker's limit is a -1
        assert session.execute("SELECT 'still here' FROM pg_sleep(1)").fetchone() == ("still here",)


def test_the_readers_edits_survive_a_new_container(idle_stack: ComposeStack) -> None:
    before = idle_stack.container("notebook")["Id"]
    idle_stack.run("exec", "-T", "notebook", "sh", "-c", "echo edited >/data/notebooks/mine.txt")
    idle_stack.run("up", "--detach", "--no-build", "--force-recreate", "notebook")

    assert idle_stack.container("notebook")["Id"] != before
    assert idle_stack.run("exec", "-T", "notebook", "cat", "/data/notebooks/mine.txt").stdout == "edited\n"


JUDGE_THE_START = """
from beefirst.evaluation.experiments import startup_time
from beefirst.laboratory.running_service import find_service
service = find_service()
programs, start = startup_time.measure_programs(service), startup_time.measure_compose_start(service)
evidence = startup_time.command_is_within_budget(programs, start)
print(evidence.result, evidence.summary, sep=": ")"""


@pytest.mark.parametrize(
    ("commands", "reason"),
    [
        ([("restart", "api")], "the API was started again since it migrated the empty database"),
        ([("stop",), ("start",)], "the API was started again since it migrated the empty database"),
        (
            [("up", "--detach", "--no-build", "--force-recreate", "--no-deps", "notebook")],
            "PostgreSQL was up before this",
        ),
    ],
    ids=["the API started again", "all started again", "a new container for the notebooks"],
)
def test_what_was_not_brought_up_by_one_command_is_not_given_out_as_its_time(
    stack: ComposeStack, commands: list[tuple[str, ...]], reason: str
) -> None:
    other = ComposeStack()
    other.take_images(stack.name)
    try:
        other.up()
        for words in commands:
            other.run(*words)
        wait_until(lambda: other.is_ready() and other.serves_notebooks(), HANGS_SECONDS)
        said = other.run("exec", "-T", "notebook", "python", "-c", JUDGE_THE_START).stdout
    finally:
        other.remove()

    assert said.startswith(f"NOT SHOWN HERE: {reason}")
    assert said.count("\n") == 1


@pytest.mark.parametrize("service", ["api", "notebook", "db"])
def test_stopping_ends_a_service_in_order_with_status_0(idle_stack: ComposeStack, service: str) -> None:
    idle_stack.run("stop", service)
    state = json.loads(idle_stack.run("ps", "--all", "--format", "json", service).stdout)

    assert state["ExitCode"] == 0
    idle_stack.run("start", service)
    wait_until(idle_stack.is_ready, HANGS_SECONDS)

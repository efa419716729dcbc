"""docker-compose.yml for real, with the commands of the README: up, look around, put back, down."""

import re
import shutil
import tempfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import httpx
import psycopg
import pytest

from beefirst.evaluation.experiments import schema
from beefirst.evaluation.promises import START_BUDGET_SECONDS
from beefirst.laboratory import catalog, compose_start
from beefirst.machine.folders import CHECKOUT
from beefirst.machine.processes import answers
from beefirst.machine.waiting import wait_until
from tests.support.compose_stack import HANGS_SECONDS, OLD_COMPOSE, ComposeStack, needs_engine

pytestmark = needs_engine

WRITTEN_AT_CREATION = str(compose_start.WRITTEN_AT_CREATION)
MOMENT_SECONDS = 10
"""How far apart things may be, on a busy machine, that come right after one another."""


def test_one_command_brings_up_three_ports(stack: ComposeStack) -> None:
    wait_until(stack.serves_notebooks, HANGS_SECONDS)
    with psycopg.connect(stack.database_url) as connection:
        names = catalog.connections(connection)["application_name"].tolist()

    assert "beefirst-api" in names
    assert httpx.get(f"{stack.api_url}/health/ready", timeout=60).json()["status"] == "ready"


def test_the_api_is_ready_within_the_budget_from_the_command_on(stack: ComposeStack) -> None:
    print(f"from `docker compose up` to API ready, with built images and empty volumes: {stack.seconds_to_ready:.1f} s")
    assert stack.seconds_to_ready < START_BUDGET_SECONDS


def test_the_containers_of_one_command_are_created_within_a_moment_which_a_file_of_theirs_tells(
    stack: ComposeStack,
) -> None:
    other, services = ComposeStack(), ("db", "api", "notebook")
    other.take_images(stack.name)
    try:
        other.up()
        created = [datetime.fromisoformat(other.container(name)["Created"]).timestamp() for name in services]
        told = [other.run("exec", "-T", name, "stat", "-c", "%Y", WRITTEN_AT_CREATION) for name in services]
    finally:
        other.remove()

    moments = [*created, *(float(each.stdout) for each in told)]
    assert max(moments) - min(moments) < MOMENT_SECONDS


def test_other_ports_are_taken_from_the_environment_and_down_keeps_the_data_unless_told_otherwise(
    stack: ComposeStack,
) -> None:
    other = ComposeStack(ports=(15432, 18000, 18888))
    other.take_images(stack.name)
    try:
        with other.by_hand("DB_PORT=15432 API_PORT=18000 NOTEBOOK_PORT=18888 docker compose up"):
            wait_until(lambda: answers("http://localhost:18888/api"), HANGS_SECONDS)
            assert answers("http://localhost:18000/health/ready")
        other.shell("docker compose down")
        kept = other.volumes()
        other.shell("docker compose down -v")

        assert kept == [f"{other.name}_database", f"{other.name}_notebooks"]
        assert other.volumes() == []
    finally:
        other.remove()


def test_the_table_can_be_looked_at_with_psql(stack: ComposeStack) -> None:
    assert "verification_code" in stack.shell(
        "docker compose exec db psql -U beefirst -P pager=off -c '\\d registrations'"
    )


def test_an_account_comes_to_be_by_hand(stack: ComposeStack) -> None:
    person = {"email": "by-hand@example.com", "password": "correct horse"}
    registered = httpx.post(f"{stack.api_url}/v1/register", json=person, timeout=60)
    assert registered.status_code == 202

    wait_until(lambda: "by-hand@example.com" in stack.run("logs", "api").stdout, HANGS_SECONDS)
    mail = stack.shell("docker compose logs --no-log-prefix api | grep 'DEMO MAIL'")
    code = re.findall(r"to by-hand@example\.com: your code is ([0-9]{4})", mail)[-1]
    activated = httpx.post(f"{stack.api_url}/v1/activate", json={"code": code}, auth=tuple(person.values()), timeout=60)

    assert activated.status_code == 200


def test_a_reset_puts_the_readers_notebooks_back(stack: ComposeStack) -> None:
    assert "as they were shipped" in stack.shell("docker compose exec notebook python -m beefirst notebooks --reset")


def test_a_notebook_runs_as_a_test_inside_the_read_only_container(stack: ComposeStack) -> None:
    said = stack.shell("docker compose exec notebook pytest --nbmake notebooks/03_schema.ipynb")

    assert re.search(r"\D1 passed", said)


def test_the_table_is_there_as_specified(stack: ComposeStack) -> None:
    with psycopg.connect(stack.database_url) as connection:
        assert schema.columns_are_as_specified(connection).holds


def test_a_new_volume_has_an_order_of_letters_that_no_release_of_the_image_changes(stack: ComposeStack) -> None:
    with psycopg.connect(stack.database_url) as connection:
        settled = connection.execute(
            "SELECT datcollate, datctype, datcollversion FROM pg_database WHERE NOT datistemplate"
        )
        assert set(settled) == {("C", "C", None)}


def test_jupyterlab_opens_on_the_first_notebook_without_a_token(stack: ComposeStack) -> None:
    answer = httpx.get(stack.notebook_url, follow_redirects=True, timeout=60)

    assert answer.status_code == 200
    assert answer.url.path == "/lab/tree/00_start_here.ipynb"


def test_jupyterlab_refuses_a_foreign_host_name(stack: ComposeStack) -> None:
    assert httpx.get(f"{stack.notebook_url}/api", headers={"Host": "evil.example"}, timeout=60).status_code == 403


def test_an_open_address_without_a_token_refuses_to_start(stack: ComposeStack) -> None:
    result = stack.run("run", "--rm", "--no-deps", "-e", "BIND_ADDRESS=0.0.0.0", "notebook", check=False)

    assert result.returncode == 1
    assert "set JUPYTER_TOKEN" in result.stdout + result.stderr


@pytest.mark.parametrize("command", [("docker", "compose"), (OLD_COMPOSE,)], ids=["v2", "v1"])
def test_settings_reach_the_api_from_the_shell_and_from_dotenv_without_a_default_of_their_own(
    command: tuple[str, ...], tmp_path: Path
) -> None:
    if not shutil.which(command[0]):
        pytest.skip(f"{command[0]} is not installed")
    (tmp_path / "docker-compose.yml").write_text((CHECKOUT / "docker-compose.yml").read_text())
    (tmp_path / ".env").write_text("BCRYPT_COST=11\nTTL_SECONDS=45\n")

    text = ComposeStack(command, tmp_path).run("config", TTL_SECONDS="30").stdout

    api = text.partition("\n  api:")[2].partition("\n  notebook:")[0]
    assert re.search(r"BCRYPT_COST: ['\"]?11", api)
    assert re.search(r"TTL_SECONDS: ['\"]?30", api)
    assert not re.search(r"MAX_ATTEMPTS: ['\"]?\d", api)


def test_the_compose_of_debian_brings_the_same_file_up(stack: ComposeStack) -> None:
    if not shutil.which(OLD_COMPOSE):
        pytest.skip(f"{OLD_COMPOSE} is not installed")
    old = ComposeStack((OLD_COMPOSE,))
    old.take_images(stack.name, "_")
    try:
        old.up()
        wait_until(old.serves_notebooks, HANGS_SECONDS)
    finally:
        old.remove()


@pytest.fixture
def changed_checkout() -> Iterator[Path]:
    """A copy of what the images are built from, with changes that touch no dependency."""
    with tempfile.TemporaryDirectory() as name:
        copy = Path(name)
        for entry in ("beefirst", "migrations", "notebooks"):
            shutil.copytree(CHECKOUT / entry, copy / entry)
        for file in (*CHECKOUT.glob("Dockerfile*"), *CHECKOUT.glob("docker-compose.yml"), CHECKOUT / ".dockerignore"):
            shutil.copy(file, copy)
        for file in ("pyproject.toml", "requirements.txt", "README.md"):
            shutil.copy(CHECKOUT / file, copy)
        (copy / "beefirst" / "changed.py").write_text("")
        (copy / "notebooks" / "changed.txt").write_text("")
        (copy / "pyproject.toml").write_text((copy / "pyproject.toml").read_text() + "\n[tool.changed]\n")
        yield copy


@pytest.mark.usefixtures("stack")
def test_a_change_of_code_or_tool_configuration_installs_no_package_anew(changed_checkout: Path) -> None:
    changed = ComposeStack(folder=changed_checkout)
    try:
        result = changed.run("build", "--progress", "plain")
        log = result.stdout + result.stderr
    finally:
        changed.remove()

    steps = set(re.findall(r"^#(\d+) \[\w+ builder .*uv pip install", log, flags=re.MULTILINE))
    cached = set(re.findall(r"^#(\d+) CACHED", log, flags=re.MULTILINE))
    assert len(steps) == 2
    assert steps <= cached

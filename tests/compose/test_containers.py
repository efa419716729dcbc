"""What the containers may do, and what their images hold."""

import tomllib
from collections.abc import Iterable
from importlib.metadata import requires

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from beefirst.machine.folders import CHECKOUT
from tests.support.compose_stack import ComposeStack, needs_engine

pytestmark = needs_engine

SERVICE_CODE = {
    *("__init__.py", "__main__.py", "__pycache__", "cli.py", "dotenv_file.py", "errors.py", "networks.py"),
    *("passwords.py", "settings.py", "urls.py"),
    *("api", "database", "machine", "mail", "registration"),
}
"""What `python -m beefirst api` and `migrate` call."""

LIST_PACKAGES = "from importlib.metadata import distributions; print(*(d.name.lower() for d in distributions()))"


@pytest.mark.parametrize("service", ["db", "api", "notebook"])
def test_ports_are_published_on_this_machine_alone(stack: ComposeStack, service: str) -> None:
    bindings = stack.container(service)["HostConfig"]["PortBindings"]

    assert {binding["HostIp"] for published in bindings.values() for binding in published} == {"127.0.0.1"}


@pytest.mark.parametrize("service", ["db", "api", "notebook"])
def test_a_container_has_no_more_rights_than_it_needs(stack: ComposeStack, service: str) -> None:
    host = stack.container(service)["HostConfig"]

    assert host["ReadonlyRootfs"] is True
    assert host["CapDrop"] == ["ALL"]
    assert any("no-new-privileges" in option for option in host["SecurityOpt"])
    assert host["Memory"] > 0
    assert host["Init"] is (service != "db")
    assert not any("docker.sock" in mount for mount in host["Binds"] or ())


def test_the_home_in_memory_is_the_users_to_write_without_an_option_that_podman_refuses(stack: ComposeStack) -> None:
    written = stack.run("exec", "-T", "notebook", "sh", "-c", "echo kept >~/file && cat ~/file && rm ~/file").stdout

    assert written == "kept\n"
    assert stack.container("notebook")["HostConfig"]["Tmpfs"] == {"/tmp": "", "/home/beefirst": "mode=1777"}


@pytest.mark.parametrize("service", ["api", "notebook"])
def test_a_container_is_not_root_and_cannot_write_into_its_code(stack: ComposeStack, service: str) -> None:
    user = stack.run("exec", "-T", service, "id", "-u").stdout.strip()
    touched = stack.run("exec", "-T", service, "touch", "/app/beefirst/new", check=False)

    assert user == "10001"
    assert touched.returncode != 0


def test_the_api_image_holds_the_services_own_code_and_nothing_else(stack: ComposeStack) -> None:
    def listed(folder: str) -> set[str]:
        return set(stack.run("exec", "-T", "api", "ls", "-A", folder).stdout.split())

    assert listed("/app") == {"beefirst", "migrations"}
    assert listed("/app/beefirst") == SERVICE_CODE


def needed(requirements: Iterable[str]) -> set[str]:
    """Return the packages that requirements ask for, and those that these ask for in turn."""
    waiting, seen = [Requirement(line) for line in requirements], set[tuple[str, str]]()
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        for extra in {"", *requirement.extras} - {extra for other, extra in seen if other == name}:
            seen.add((name, extra))
            further = [Requirement(line) for line in requires(name) or ()]
            waiting += [each for each in further if not each.marker or each.marker.evaluate({"extra": extra})]
    return {name for name, _ in seen}


def test_the_api_image_holds_the_packages_that_the_service_needs_and_none_else(stack: ComposeStack) -> None:
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    service = [*project["dependencies"], *project["optional-dependencies"]["tracing"]]

    names = stack.run("exec", "-T", "api", "python", "-c", LIST_PACKAGES).stdout.split()

    assert {canonicalize_name(name) for name in names} - needed(service) == set()
    assert {"uvicorn", "opentelemetry-sdk"} <= set(names)


def test_the_api_image_holds_no_tools_and_no_caches(stack: ComposeStack) -> None:
    def has(words: str, *options: str) -> bool:
        return stack.run("exec", "-T", *options, "api", "sh", "-c", words, check=False).returncode == 0

    assert not has("command -v gcc || command -v uv || command -v curl")
    # As root, whose home is closed to the service's user: a look that is refused would pass for absence.
    caches = "find / -xdev -path '*/.cache/pip' -o -xdev -path '*/.cache/uv'"
    assert not has(f"{caches} | grep -q .", "--user", "root")


@pytest.mark.parametrize("command", ["up", "notebooks", "report"])
def test_a_command_that_the_api_image_does_not_hold_is_answered_with_one_line(
    stack: ComposeStack, command: str
) -> None:
    result = stack.run("exec", "-T", "api", "python", "-m", "beefirst", command, check=False)

    assert result.returncode == 1
    assert result.stderr.startswith("beefirst: This image holds the API alone. JupyterLab runs in the service notebook")
    assert result.stderr.count("\n") == 1

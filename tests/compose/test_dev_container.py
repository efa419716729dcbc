"""The dev container, by the command line that editors use: `devcontainer` of the npm package @devcontainers/cli."""

import shutil
import subprocess
from collections.abc import Iterator

import httpx
import pytest

from beefirst.machine.folders import CHECKOUT, MIGRATIONS
from tests.support.compose_stack import HANGS_SECONDS, ComposeStack, docker, needs_engine

pytestmark = [
    needs_engine,
    pytest.mark.skipif(not shutil.which("devcontainer"), reason="needs npm install --global @devcontainers/cli"),
]


class DevContainer(ComposeStack):
    """The services of the compose file and the editor's terminal, as an editor brings them up."""

    def __init__(self) -> None:
        files = ("docker-compose.yml", ".devcontainer/docker-compose.yml")
        super().__init__(("docker", "compose", *(word for file in files for word in ("--file", file))))

    def up(self) -> None:
        self.say("up")

    def remove(self) -> None:
        super().remove()
        # The command line builds an image upon that of the terminal, which without its name stays behind.
        docker("image", "prune", "--force", "--filter", f"label=com.docker.compose.project={self.name}")

    def say(self, command: str, *words: str) -> str:
        """Return what a command of the command line itself, or one in the terminal, says."""
        done = subprocess.run(
            ["devcontainer", command, "--workspace-folder", str(CHECKOUT), *words],
            env=self.environment(CODESPACE_NAME="a-name"),
            capture_output=True,
            text=True,
            timeout=HANGS_SECONDS,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
        return done.stdout


@pytest.fixture(scope="module")
def dev_container() -> Iterator[DevContainer]:
    """The dev container of this checkout."""
    container = DevContainer()
    try:
        container.up()
        yield container
    finally:
        container.remove()


def test_its_terminal_has_the_checkout_and_reaches_the_database(dev_container: DevContainer) -> None:
    status = dev_container.say("exec", "python", "-m", "beefirst", "migrate", "--status")
    shown = dev_container.say("exec", "cat", "README.md")

    assert [line.split()[:2] for line in status.splitlines()] == [
        [path.name, "applied"] for path in sorted(MIGRATIONS.glob("*.sql"))
    ]
    assert shown.replace("\r", "") == (CHECKOUT / "README.md").read_text()


def test_its_terminal_has_what_tests_need_and_is_no_root(dev_container: DevContainer) -> None:
    tests = dev_container.say(
        "exec", "pytest", "-q", "-p", "no:cacheprovider", "tests/rules/test_registration_rules.py"
    )

    assert " passed" in tests
    assert dev_container.say("exec", "id", "-un").strip() == "beefirst"


def test_jupyterlab_in_it_answers_under_the_name_of_a_codespace_and_under_no_other(dev_container: DevContainer) -> None:
    def ask(origin: str) -> int:
        with httpx.Client(base_url=dev_container.notebook_url, trust_env=False, timeout=60) as browser:
            browser.get("/lab")
            headers = {"X-XSRFToken": browser.cookies["_xsrf"], "Origin": origin}
            return browser.post("/api/kernels", headers=headers).status_code

    assert ask("https://a-name-8888.app.github.dev") == 201
    assert ask("https://b-name-8888.app.github.dev") == 404

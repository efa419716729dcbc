"""JupyterLab as its own process: who gets in, what the reader sees, what stays untouched."""

import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import nbformat
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect

from beefirst.machine.folders import refuse_unusable
from beefirst.machine.ports import free_port
from tests.support.accounts import as_nobody
from tests.support.folders import open_folder

PROGRAM = """
import sys
from pathlib import Path
from beefirst.errors import BeefirstError
from beefirst.jupyter.serve import serve
from beefirst.settings import DeploymentSettings
try:
    serve(DeploymentSettings.load(), Path(sys.argv[1]), int(sys.argv[2]))
except BeefirstError as error:
    sys.exit(str(error))
"""
TOKEN = "the-token-of-this-test"
DATABASE_URL = "postgresql://beefirst:a-password-that-no-log-may-show@localhost/beefirst"
SECONDS = 120


class JupyterLabProcess:
    """One JupyterLab, started with the environment of a user whose own Jupyter is broken."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.folder, self.home, self.data = folder, folder / "home", folder / "data"
        self.port, container_port = free_port(), free_port()
        _ship(folder / "shipped")
        _spoil(self.home)
        self.environment = _environment(folder, NOTEBOOK_PORT=str(self.port), **environment)
        self.url = f"http://localhost:{container_port if 'BEEFIRST_CONTAINER' in environment else self.port}"
        self.command = [sys.executable, "-c", PROGRAM, str(folder / "shipped"), str(container_port)]

    def __enter__(self) -> "JupyterLabProcess":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop(signal.SIGTERM)

    def start(self) -> None:
        self.errors = (self.folder / "stderr").open("w+")
        self.process = subprocess.Popen(
            self.command, env=self.environment, cwd=self.folder, stdout=subprocess.PIPE, stderr=self.errors, text=True
        )
        assert self.process.stdout is not None
        ready, _, _ = select.select([self.process.stdout], [], [], SECONDS)
        self.line = self.process.stdout.readline() if ready else ""

    def stop(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        output, _ = self.process.communicate(timeout=SECONDS)
        self.errors.seek(0)
        self.output = self.line + output + self.errors.read()
        self.errors.close()
        return self.process.returncode

    def refusal(self, prefix: tuple[str, ...] = ()) -> tuple[int, str]:
        done = subprocess.run(
            [*prefix, *self.command],
            env=self.environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=SECONDS,
        )
        return done.returncode, done.stdout + done.stderr

    def get(self, path: str, **headers: str) -> httpx.Response:
        with httpx.Client(trust_env=False, timeout=SECONDS) as client:
            return client.get(self.url + path, headers=headers)

    def post(self, path: str, **headers: str) -> httpx.Response:
        with httpx.Client(trust_env=False, timeout=SECONDS) as client:
            return client.post(self.url + path, headers=headers)


def _environment(folder: Path, **more: str) -> dict[str, str]:
    foreign = ("JUPYTER", "BIND_", "NOTEBOOK_", "BEEFIRST", "XDG_", "IPYTHON", "MPL", "DATABASE_URL")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    return inherited | {"HOME": str(folder / "home"), "BEEFIRST_DATA": str(folder / "data")} | more


def _ship(folder: Path) -> None:
    folder.mkdir()
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1")]), folder / "00_start_here.ipynb")


def _spoil(home: Path) -> None:
    kernel = home / ".local" / "share" / "jupyter" / "kernels" / "python3"
    kernel.mkdir(parents=True)
    (kernel / "kernel.json").write_text('{"argv": ["/bin/false"], "display_name": "Broken", "language": "python"}')
    (home / ".jupyter").mkdir()
    (home / ".jupyter" / "jupyter_server_config.py").write_text("raise SystemExit('the config of the user was read')")
    (home / ".ipython" / "profile_default" / "startup").mkdir(parents=True)
    (home / ".ipython" / "profile_default" / "startup" / "00.py").write_text("spoilt = True")


def _files(folder: Path) -> Mapping[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def jupyterlab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JupyterLabProcess]:
    """JupyterLab outside a container, with a token that the tests know."""
    with JupyterLabProcess(tmp_path_factory.mktemp("jupyterlab"), JUPYTER_TOKEN=TOKEN) as jupyterlab:
        yield jupyterlab


@pytest.fixture(scope="module")
def container(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JupyterLabProcess]:
    """JupyterLab as in the image, published on loopback, one more host name allowed."""
    names = {"JUPYTER_HOSTNAMES": "desk.example, 192.0.2.7", "DATABASE_URL": DATABASE_URL}
    with JupyterLabProcess(tmp_path_factory.mktemp("container"), BEEFIRST_CONTAINER="1", **names) as container:
        yield container


class Ended(NamedTuple):
    """What a signal made of a JupyterLab that was given no token, and the user's files before it started."""

    jupyterlab: JupyterLabProcess
    status: int
    home_before: Mapping[Path, bytes]


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Mapping[signal.Signals, Ended]:
    """A JupyterLab for each signal that asks it to stop."""
    return {number: _end(tmp_path_factory.mktemp(number.name), number) for number in (signal.SIGTERM, signal.SIGINT)}


def _end(folder: Path, number: signal.Signals) -> Ended:
    (folder / "tmp").mkdir()
    jupyterlab = JupyterLabProcess(folder, TMPDIR=str(folder / "tmp"), DATABASE_URL=DATABASE_URL)
    home = _files(jupyterlab.home)
    jupyterlab.start()
    return Ended(jupyterlab, jupyterlab.stop(number), home)


@pytest.fixture(scope="module")
def browser(container: JupyterLabProcess) -> Iterator[httpx.Client]:
    """A client that has opened the page, and so may send what changes something."""
    with httpx.Client(base_url=container.url, trust_env=False, timeout=SECONDS) as browser:
        browser.get("/lab")
        browser.headers["X-XSRFToken"] = browser.cookies["_xsrf"]
        yield browser


@pytest.fixture(scope="module")
def kernel(browser: httpx.Client) -> str:
    return str(browser.post("/api/kernels").json()["id"])


def _channel(jupyterlab: JupyterLabProcess, kernel: str, origin: str) -> ClientConnection:
    url = f"{jupyterlab.url}/api/kernels/{kernel}/channels".replace("http", "ws")
    return connect(url, origin=origin, open_timeout=SECONDS, close_timeout=1, proxy=None)  # type: ignore[arg-type]


def _evaluate(jupyterlab: JupyterLabProcess, kernel: str, expression: str) -> Any:
    header = {"msg_id": uuid.uuid4().hex, "msg_type": "execute_request", "session": "test", "username": "test"}
    content = {"code": "", "silent": False, "user_expressions": {"it": f"__import__('json').dumps({expression})"}}
    message = {"header": header, "parent_header": {}, "metadata": {}, "content": content, "channel": "shell"}
    with _channel(jupyterlab, kernel, jupyterlab.url) as channel:
        channel.send(json.dumps(message))
        answer = json.loads(channel.recv(SECONDS))
        while answer["msg_type"] != "execute_reply":
            answer = json.loads(channel.recv(SECONDS))
    text = answer["content"]["user_expressions"]["it"]["data"]["text/plain"]
    return json.loads(text.strip("'"))


def test_the_one_line_it_prints_is_a_link_that_lets_a_browser_in(jupyterlab: JupyterLabProcess) -> None:
    link = jupyterlab.line.removeprefix("JupyterLab is at ").strip()

    with httpx.Client(trust_env=False, follow_redirects=True, timeout=SECONDS) as browser:
        page = browser.get(link)

    assert link == f"http://localhost:{jupyterlab.port}/?token={TOKEN}"
    assert (page.status_code, page.url.path) == (200, "/lab/tree/00_start_here.ipynb")


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "localhost:8888"])
def test_a_request_to_this_machine_is_answered(jupyterlab: JupyterLabProcess, host: str) -> None:
    assert jupyterlab.get("/api", Host=host).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "192.0.2.7", "0.0.0.0", "localhost."])
@pytest.mark.parametrize("path", ["/api", "/lab", "/login", "/static/favicons/favicon.ico", "/nowhere"])
def test_a_request_under_a_foreign_host_name_gets_403(jupyterlab: JupyterLabProcess, host: str, path: str) -> None:
    assert jupyterlab.get(path, Host=host).status_code == 403


@pytest.mark.parametrize("host", ["desk.example", "desk.example:8888", "192.0.2.7", "localhost"])
def test_jupyter_hostnames_adds_names_and_addresses(container: JupyterLabProcess, host: str) -> None:
    assert container.get("/api/contents", Host=host).status_code == 200


def test_a_host_that_is_not_named_is_foreign_in_a_container_too(container: JupyterLabProcess) -> None:
    answer = container.get("/api/contents", Host="evil.example")

    assert answer.status_code == 403
    assert "JUPYTER_HOSTNAMES" in answer.text


def test_a_container_on_loopback_needs_no_token(container: JupyterLabProcess) -> None:
    assert container.line == f"JupyterLab is at http://localhost:{container.port}\n"
    assert container.get("/api/contents").status_code == 200


def test_outside_a_container_contents_need_the_token_and_the_health_check_does_not(
    jupyterlab: JupyterLabProcess,
) -> None:
    statuses = [jupyterlab.get("/api/contents").status_code, jupyterlab.get("/api").status_code]

    assert statuses == [403, 200]
    assert jupyterlab.get("/api/contents", Authorization=f"token {TOKEN}").status_code == 200


def test_without_jupyter_token_each_start_draws_a_new_one(ended: Mapping[signal.Signals, Ended]) -> None:
    tokens = [end.jupyterlab.line.strip().partition("?token=")[2] for end in ended.values()]

    assert [len(token) for token in tokens] == [64, 64]
    assert tokens[0] != tokens[1]


@pytest.mark.parametrize("path", ["/api/terminals", "/terminals/websocket/1", "/lsp/status"])
def test_there_is_no_terminal_and_no_language_server(container: JupyterLabProcess, path: str) -> None:
    assert container.get(path).status_code == 404


def test_the_page_offers_no_terminal_no_news_and_no_extensions(container: JupyterLabProcess) -> None:
    page = container.get("/lab").text
    settings = json.loads(page.partition('type="application/json">')[2].partition("</script>")[0])

    assert settings["terminalsAvailable"] is False
    assert settings["news"] == {"disabled": True}
    assert settings["federated_extensions"] == []
    assert "@jupyterlab/apputils-extension:announcements" in settings["disabledExtensions"]
    assert "@jupyterlab/extensionmanager-extension" in settings["disabledExtensions"]


def test_the_defaults_of_the_notebook_are_ours(container: JupyterLabProcess) -> None:
    schema = container.get("/lab/api/settings/@jupyterlab/notebook-extension:tracker").json()["schema"]

    assert schema["properties"]["windowingMode"]["default"] == "none"
    assert schema["properties"]["recordTiming"]["default"] is True


def test_another_site_cannot_start_a_kernel_where_there_is_no_token(container: JupyterLabProcess) -> None:
    before = container.get("/api/kernels").json()

    foreign = container.post("/api/kernels", Origin="http://evil.example", Referer="http://evil.example/")
    unasked = container.post("/api/kernels")

    assert (foreign.status_code, unasked.status_code) == (404, 403)
    assert container.get("/api/kernels").json() == before


def test_a_websocket_from_another_origin_is_refused(container: JupyterLabProcess, kernel: str) -> None:
    with pytest.raises(InvalidStatus, match="HTTP 403"):
        _channel(container, kernel, "http://evil.example")


FORWARDED = ["https://desk.example", "https://desk.example:8443", "https://DESK.example", "https://192.0.2.7"]
FOREIGN = [
    *("http://desk.example", "https://desk.example.evil.example", "https://evil.example", "https://deskxexample"),
    *("https://evil.example:desk.example", "https://evil.example/https://desk.example", "https://localhost", "null"),
    *("https://desk.example:8443.evil.example", "https://a.desk.example", "http://localhost:3000"),
]


@pytest.mark.parametrize("origin", FORWARDED)
def test_a_page_behind_a_forwarded_port_of_a_named_host_gets_its_kernel(
    container: JupyterLabProcess, browser: httpx.Client, kernel: str, origin: str
) -> None:
    asked = browser.post(f"/api/kernels/{kernel}/interrupt", headers={"Origin": origin, "Referer": f"{origin}/lab"})
    with _channel(container, kernel, origin) as channel:
        greeted = json.loads(channel.recv(SECONDS))

    assert (asked.status_code, greeted["msg_type"]) == (204, "status")


@pytest.mark.parametrize("origin", FOREIGN)
def test_a_page_of_any_other_origin_gets_no_kernel(
    container: JupyterLabProcess, browser: httpx.Client, kernel: str, origin: str
) -> None:
    asked = browser.post(f"/api/kernels/{kernel}/interrupt", headers={"Origin": origin, "Referer": f"{origin}/lab"})
    with pytest.raises(InvalidStatus, match="HTTP 403"):
        _channel(container, kernel, origin)

    assert asked.status_code == 404


def test_without_jupyter_hostnames_no_other_origin_gets_in(jupyterlab: JupyterLabProcess) -> None:
    with httpx.Client(base_url=jupyterlab.url, trust_env=False, timeout=SECONDS) as browser:
        browser.get(f"/lab?token={TOKEN}")
        headers = {"X-XSRFToken": browser.cookies["_xsrf"], "Origin": "https://desk.example"}
        answer = browser.post("/api/kernels", headers=headers)

    assert answer.status_code == 404


def test_the_log_says_what_lets_a_forwarded_port_in(container: JupyterLabProcess, kernel: str) -> None:
    with pytest.raises(InvalidStatus):
        _channel(container, kernel, "https://forwarder.example")

    lines = (container.folder / "stderr").read_text().splitlines()
    refused = [line for line in lines if "https://forwarder.example" in line]

    assert len(refused) == 1
    assert refused[0].endswith("add its host name to JUPYTER_HOSTNAMES.")


def test_the_kernel_is_the_python_of_this_environment_and_inherits_its_settings(
    container: JupyterLabProcess, kernel: str
) -> None:
    prefix, url = _evaluate(container, kernel, "[__import__('sys').prefix, __import__('os').environ['DATABASE_URL']]")

    assert prefix == sys.prefix
    assert url == DATABASE_URL


def test_a_kernel_keeps_out_of_the_home_of_its_user(container: JupyterLabProcess, kernel: str) -> None:
    spoilt, profile, fonts = _evaluate(
        container,
        kernel,
        "['spoilt' in globals(), __import__('os').environ['IPYTHONDIR'], __import__('os').environ['MPLCONFIGDIR']]",
    )

    assert spoilt is False
    assert profile == str(container.data / "jupyter" / "ipython")
    assert fonts == str(container.data / "jupyter" / "matplotlib")


def test_a_kernel_starts_without_a_word_in_the_log(container: JupyterLabProcess, kernel: str) -> None:
    _evaluate(container, kernel, "1")

    log = (container.folder / "stderr").read_text()
    said = [line for line in log.splitlines() if "Kernel" in line]

    # Whoever interrupts a kernel, as the tests of foreign pages do, is told so by it.
    assert [line for line in said if "KeyboardInterrupt caught" not in line] == []
    assert "a-password-that-no-log-may-show" not in log


def test_a_kernel_goes_on_when_nobody_reads_what_it_complains_of() -> None:
    complain = "import os; from beefirst.jupyter.server import _Complaints; sink = _Complaints().sink; "
    read, write = os.pipe()
    os.close(read)
    try:
        done = subprocess.run(
            [sys.executable, "-c", complain + "[os.write(sink, bytes(65536)) for _ in range(4)]"],
            stderr=write,
            timeout=60,
            check=False,
        )
    finally:
        os.close(write)

    assert done.returncode == 0


def test_the_only_kernel_on_offer_is_python3(jupyterlab: JupyterLabProcess) -> None:
    answer = jupyterlab.get("/api/kernelspecs", Authorization=f"token {TOKEN}").json()

    assert list(answer["kernelspecs"]) == ["python3"]
    assert answer["kernelspecs"]["python3"]["spec"]["display_name"] == "Python 3 (ipykernel)"


def test_a_checkpoint_lies_outside_the_folder_of_the_notebooks(
    container: JupyterLabProcess, browser: httpx.Client
) -> None:
    answer = browser.post("/api/contents/00_start_here.ipynb/checkpoints")

    assert answer.status_code == 201
    assert sorted(path.name for path in (container.data / "notebooks").iterdir()) == [
        ".seeded.json",
        "00_start_here.ipynb",
    ]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_at_once_with_status_0_nothing_logged_and_nothing_left(
    ended: Mapping[signal.Signals, Ended], number: signal.Signals
) -> None:
    end = ended[number]

    assert (end.status, end.jupyterlab.output) == (0, end.jupyterlab.line)
    assert list((end.jupyterlab.folder / "tmp").iterdir()) == []
    assert _files(end.jupyterlab.home) == end.home_before


@pytest.mark.parametrize("where", [{}, {"BEEFIRST_CONTAINER": "1"}])
@pytest.mark.parametrize("address", ["0.0.0.0", "::", "192.0.2.7"])
def test_another_address_than_loopback_without_a_token_is_refused_with_one_line(
    tmp_path: Path, address: str, where: dict[str, str]
) -> None:
    status, output = JupyterLabProcess(tmp_path, BIND_ADDRESS=address, **where).refusal()

    assert status == 1
    assert output == (
        f"BIND_ADDRESS is {address}, so other machines could run code in JupyterLab: "
        "set JUPYTER_TOKEN to a secret that lets your browser in, or BIND_ADDRESS to 127.0.0.1.\n"
    )


def test_another_address_than_loopback_with_a_token_is_served_under_localhost_and_refused_to_strangers(
    tmp_path: Path,
) -> None:
    with JupyterLabProcess(tmp_path, BIND_ADDRESS="0.0.0.0", JUPYTER_TOKEN=TOKEN) as jupyterlab:
        statuses = [jupyterlab.get("/api").status_code, jupyterlab.get("/api", Host="evil.example").status_code]

    assert statuses == [200, 403]


def test_a_taken_port_is_refused_with_one_line(tmp_path: Path) -> None:
    jupyterlab = JupyterLabProcess(tmp_path, JUPYTER_TOKEN=TOKEN)
    with socket.create_server(("127.0.0.1", jupyterlab.port)):
        status, output = jupyterlab.refusal()

    assert status == 1
    assert output == (
        f"Port {jupyterlab.port} is taken: stop the program that has it, or set NOTEBOOK_PORT to a free port.\n"
    )


def test_a_data_folder_that_cannot_be_used_is_refused_with_one_line(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file in the place of the folder")

    status, output = JupyterLabProcess(tmp_path).refusal()

    assert status == 1
    assert output.startswith(f"Cannot use {tmp_path}/data")
    assert output.count("\n") == 1


def test_a_link_that_leads_nowhere_and_a_file_that_is_only_read_are_no_reason_to_refuse(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("nowhere")
    (tmp_path / "file").touch(mode=0o444)

    refuse_unusable(tmp_path)


OWN_FOLDER = "set BEEFIRST_DATA to a folder of your own"
MOUNTED = (
    r"let what is mounted at \S+/data belong to user \d+, as whom this container runs \(chown -R\), "
    "or mount another volume there"
)


@pytest.mark.parametrize("place", ["", "notebooks", "jupyter", "jupyter/data", "jupyter/cookie_secret"])
@pytest.mark.parametrize(("where", "advice"), [({}, OWN_FOLDER), ({"BEEFIRST_CONTAINER": "1"}, MOUNTED)])
def test_what_belongs_to_another_user_is_refused_with_one_line_that_says_what_to_do(
    place: str, where: dict[str, str], advice: str
) -> None:
    with open_folder() as folder:
        jupyterlab = JupyterLabProcess(folder, **where)
        foreign = jupyterlab.data / place
        foreign.parent.mkdir(parents=True, exist_ok=True)
        foreign.mkdir(mode=0)
        own = [above for above in foreign.parents if above.is_relative_to(folder)]

        status, output = jupyterlab.refusal(as_nobody(*own))

    assert status == 1
    assert re.fullmatch(rf"Cannot use {jupyterlab.data}\S* \(Permission denied\): {advice}\.\n", output), output

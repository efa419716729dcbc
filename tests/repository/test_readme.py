"""The README is run: every command in it, and every table that can be compared with what it describes."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from beefirst.evaluation.notebook_list import list_notebooks
from beefirst.evaluation.promises import CHECKS
from beefirst.laboratory.api_process import ApiProcess, start_api
from beefirst.laboratory.scratch_database import ScratchDatabase
from beefirst.machine.folders import CHECKOUT
from beefirst.machine.waiting import wait_until
from beefirst.settings import DeploymentSettings, Settings
from tests.tools.benchmark.figures import read_last_run
from tests.tools.benchmark.readme import SECTION, render

README, MAP = (CHECKOUT / "README.md").read_text(), (CHECKOUT / "tests" / "README.md").read_text()
COMMANDS = [
    line
    for block in re.findall(r"```sh\n(.+?)```", README + MAP, re.DOTALL)
    for line in block.splitlines()
    if not line.startswith("# ")
]

COMPOSE, CI = "tests/compose", ".github/workflows/ci.yml"
ELSEWHERE = {
    "docker compose up": COMPOSE,
    "python3 -m venv .venv && . .venv/bin/activate": ".ci/run",
    "pip install -r requirements.txt && python -m beefirst up": ".ci/run",
    "docker compose exec notebook python -m beefirst notebooks --reset": COMPOSE,
    "docker compose exec db psql -U beefirst -P pager=off -c '\\d registrations'": COMPOSE,
    "docker compose logs --no-log-prefix api | grep 'DEMO MAIL'": COMPOSE,
    "docker compose down": COMPOSE,
    "docker compose down -v": COMPOSE,
    "DB_PORT=15432 API_PORT=18000 NOTEBOOK_PORT=18888 docker compose up": COMPOSE,
    "pip install -r requirements.txt && pytest": ".ci/run",
    "pytest --nbmake notebooks": CI,
    "python -m beefirst report --output report": "tests/evaluation",
    "python -m beefirst report --compose --output report": COMPOSE,
    "python -m beefirst report --rejudge report": COMPOSE,
    "python -m tests.tools.sabotage --part auto": ".ci/run",
    "docker compose exec notebook python -m beefirst report --output /data/report": COMPOSE,
    "docker compose cp notebook:/data/report report": COMPOSE,
}
"""Where a command runs that is not run here: a file, or a folder of tests."""

HERE = [command for command in COMMANDS if command not in ELSEWHERE]


@pytest.mark.parametrize("command", ELSEWHERE)
def test_a_command_that_runs_elsewhere_stands_there_as_it_is(command: str) -> None:
    place = CHECKOUT / ELSEWHERE[command]
    files = sorted(place.glob("*.py")) if place.is_dir() else [place]
    text = "\n".join(file.read_text() for file in files).replace("\\\\", "\\")

    assert command in COMMANDS
    assert re.search(rf"{re.escape(command)}(?![\w -])", text)


@pytest.fixture(scope="module")
def api() -> Iterator[ApiProcess]:
    with ScratchDatabase() as database, start_api(database.url) as running:
        yield running


@pytest.mark.parametrize("command", HERE)
def test_a_command_works_as_it_stands(command: str, api: ApiProcess, psql: str, tmp_path: Path) -> None:
    for written, here in {
        "http://localhost:8000": api.url,
        "postgresql://beefirst:beefirst@localhost:5432/beefirst": api.database_url,
        "--output-file requirements.txt": f"--output-file {tmp_path / 'requirements.txt'}",
        "tests.tools.benchmark start": "tests.tools.benchmark start --rounds 1 --dry",
    }.items():
        command = command.replace(written, here)
    shutil.copy(CHECKOUT / "requirements.txt", tmp_path)
    path = f"{Path(sys.executable).parent}:{Path(psql).parent}:{os.environ['PATH']}"
    result = subprocess.run(
        command,
        shell=True,
        cwd=CHECKOUT,
        env=os.environ | {"DATABASE_URL": api.database_url, "BEEFIRST_DATA": str(tmp_path), "PATH": path},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )

    assert result.returncode == 0, result.stderr
    assert result.stdout.strip()
    assert pins(tmp_path) == pins(CHECKOUT)


def test_the_two_requests_by_hand_claim_an_address_and_activate_it(api: ApiProcess) -> None:
    register, activate = (command for command in COMMANDS if command.startswith("curl -i"))

    registered = shell(register.replace("http://localhost:8000", api.url))
    wait_until(lambda: "DEMO MAIL to ada@example.com: your code" in api.log())
    code = re.findall(r"DEMO MAIL to ada@example\.com: your code is ([0-9]{4})", api.log())[-1]
    activated = shell(activate.replace("http://localhost:8000", api.url).replace("1234", code))

    assert registered.startswith("HTTP/1.1 202")
    assert activated.startswith("HTTP/1.1 200")


def shell(command: str) -> str:
    return subprocess.run(
        f"{command} --noproxy '*'", shell=True, capture_output=True, text=True, timeout=60, check=True
    ).stdout


def pins(folder: Path) -> list[str]:
    return [line for line in (folder / "requirements.txt").read_text().splitlines() if not line.startswith("#")]


def rows(heading: str, text: str = README) -> list[list[str]]:
    section = text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")][2:]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def test_the_table_of_notebooks_is_theirs() -> None:
    listed = [
        (re.sub(r"\[\w+\]\(notebooks/(.+)\)", r"\1", name), question, criterion)
        for name, question, criterion in rows("What you then see")
    ]
    actual = list_notebooks()

    assert listed == list(zip(actual["notebook"], actual["question"], actual["criterion"], strict=True))


def test_the_table_of_settings_has_every_setting_with_its_default() -> None:
    defaults = {
        name: value
        for names, values, _ in rows("Settings")
        for name, value in zip(re.findall(r"[A-Z_]+", names), values.replace("`", "").split(", "), strict=False)
    }
    plain = {
        name.upper(): field.default
        for model in (Settings, DeploymentSettings)
        for name, field in model.model_fields.items()
    }
    plain["DATABASE_URL"] = Settings.model_fields["database_url"].default.get_secret_value()

    described = {"MAIL_HELO", "TRUSTED_PROXIES", "JUPYTER_TOKEN", "JUPYTER_HOSTNAMES", "BEEFIRST_DATA"}
    inner = {"BEEFIRST_CONTAINER"}
    assert set(defaults) == (set(plain) | {"BEEFIRST_DATA"}) - inner
    assert {name: defaults[name] for name in defaults.keys() - described} == {
        name: str(plain[name]) for name in defaults.keys() - described
    }


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\((?!http)([^)]+)\)", README))))
def test_a_link_leads_somewhere(link: str) -> None:
    assert (CHECKOUT / link).exists()


SHOWN_BY = re.compile(r"`(?:([A-Z]+[0-9]?\.[0-9]+)|(tests/[\w/]+\.py))`")
"""The id of a check, or a file of tests."""


def unknown_proofs(text: str) -> list[str]:
    """Return what the table of security names as its proofs and is none, and the lines without any."""
    keys = {key for checks in CHECKS.values() for key in checks}
    lines = [(what, SHOWN_BY.findall(proofs)) for what, *_, proofs in rows("Security, line by line", text)]
    named = [key or file for _, proofs in lines for key, file in proofs]
    unknown = [name for name in named if name not in keys and not (CHECKOUT / name).is_file()]
    return unknown + [what for what, proofs in lines if not proofs]


def test_what_the_table_of_security_names_as_proof_is_there() -> None:
    assert unknown_proofs(README) == []


def test_a_proof_that_is_not_there_is_noticed() -> None:
    table = "| asked | met | shown by |\n| --- | --- | --- |\n"
    lines = "| one | so | `ATTACK.1`, `ATTACK.99` |\n| two | so | `tests/none.py` |\n| three | so | nothing |\n"

    said = unknown_proofs(f"# A\n\n## Security, line by line\n\n{table}{lines}\n## B\n")

    assert said == ["ATTACK.99", "tests/none.py", "three"]


def test_what_the_readme_says_of_speed_is_what_was_measured_last() -> None:
    assert SECTION.findall(README) == [render(read_last_run())]


def test_a_figure_that_differs_from_the_last_run_is_noticed() -> None:
    run = read_last_run()
    (figure,) = run["own_cost"]["figures"][:1]
    figure["value"] += 1

    assert SECTION.findall(README) != [render(run)]


def test_the_readme_is_short() -> None:
    assert len(README.splitlines()) < 200


def test_the_map_of_the_tests_has_every_folder() -> None:
    folders = {path.parent.name for path in (CHECKOUT / "tests").glob("*/__init__.py")}

    assert {kind for kind, *_ in rows("What is where", MAP)} == {f"`{name}/`" for name in folders} | {"`notebooks/`"}


@pytest.mark.parametrize("path", sorted(set(re.findall(r"`((?:tests|beefirst|\.ci|\.github)/[\w./]*)", MAP))))
def test_a_path_in_the_map_exists(path: str) -> None:
    assert (CHECKOUT / path).exists()

"""Notebook 05: what settings a fresh process reads, what an API makes of them, and how it refuses them."""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pandas as pd

from beefirst.errors import ConfigurationError
from beefirst.evaluation.display.tables import Shown, fields, table
from beefirst.evaluation.evidence import Evidence, compare, experiment, measurement
from beefirst.laboratory.api_process import ApiProcess, start_api
from beefirst.laboratory.catalog import wait_for_connections
from beefirst.laboratory.cleanup import new_folder
from beefirst.laboratory.environment import clean_environment
from beefirst.laboratory.scratch_database import ScratchDatabase
from beefirst.settings import Settings, setting_rules

REPORT = """
import json
from beefirst.errors import ConfigurationError
from beefirst.settings import Settings
try:
    settings = Settings.load()
    values = {name.upper(): f"{value:g}" if isinstance(value, float) else str(value or "") for name, value in settings}
    print(json.dumps({"values": values}))
except ConfigurationError as error:
    print(json.dumps({"refused": str(error)}))
"""
PATIENCE_SECONDS = 120
"""What is to come by then, on a busy machine too: connections of a pool, or the end of a start that must not go on."""

NOTHING_LISTENS = "postgresql://beefirst:{password}@127.0.0.1:1/beefirst"

SPECIFIED_DEFAULTS = {"TTL_SECONDS": "60", "BCRYPT_COST": "10", "MAX_ATTEMPTS": "3"}
"""What the specification names, in its criterion AC5 or in its tasks."""

POSTGRESQL = "postgresql://"
"""How the connection string begins that AC5 asks for."""


def read_settings(
    environment: Mapping[str, str] | None = None, dotenv: str = "", code: Path | None = None
) -> dict[str, str]:
    """Return the value of each setting by name, as a process of its own reads them.

    Args:
        environment: beefirst's settings in the environment; none of this process's own are passed on.
        dotenv: the text of `.env` in the working directory.
        code: the folder that holds another copy of the package `beefirst`.

    Raises:
        ConfigurationError: a value breaks its rule; the message is the process's own.
    """
    with new_folder("beefirst-settings-") as folder:
        Path(folder, ".env").write_text(dotenv)
        result = subprocess.run(
            [sys.executable, "-c", REPORT],
            env=clean_environment() | dict(environment or {}) | ({"PYTHONPATH": str(code)} if code else {}),
            cwd=folder,
            capture_output=True,
            check=True,
            timeout=60,
        )
    answer: dict[str, Any] = json.loads(result.stdout)
    if "refused" in answer:
        raise ConfigurationError(answer["refused"])
    values: dict[str, str] = answer["values"]
    return values


@measurement
def measure_defaults(code: Path | None = None) -> dict[str, str]:
    """Return every setting as a fresh process without any of them has it; argument as for `read_settings`."""
    return read_settings(code=code)


@measurement
def defaults_and_rules(defaults: Mapping[str, str]) -> Shown:
    """Return every setting with its default and its rule, as a table."""
    rules = setting_rules(Settings)
    rows = [(name, value, rules[name]) for name, value in defaults.items()]
    return table(pd.DataFrame(rows, columns=["setting", "default", "rule"]))


@experiment
def database_url_is_postgresql(defaults: Mapping[str, str]) -> Evidence:
    """Judge the default of DATABASE_URL by the way in which it begins."""
    found = defaults["DATABASE_URL"]
    rows = pd.DataFrame([("DATABASE_URL", found, f"{POSTGRESQL}…")], columns=["setting", "default", "expected"])
    return Evidence(found.startswith(POSTGRESQL), found, rows)


@experiment
def default_is_as_specified(setting: str, defaults: Mapping[str, str]) -> Evidence:
    """Hold a default against the one that was specified."""
    found = defaults[setting]
    return compare(found, [(setting, found, SPECIFIED_DEFAULTS[setting])], ["setting", "default", "expected"])


@experiment
def environment_changes_the_api(code: Path | None = None, seconds: float = PATIENCE_SECONDS) -> Evidence:
    """Tell an API by its environment to keep five connections and to log JSON, and see whether it does both.

    Args:
        code: as for ApiProcess.
        seconds: how long the connections may take.
    """
    with (
        ScratchDatabase() as database,
        start_api(database.url, code=code, POOL_MIN_SIZE=5, LOG_FORMAT="json") as api,
        database.connect() as connection,
    ):
        pool = wait_for_connections(connection, "beefirst-api", 5, seconds)
        line = api.log().splitlines()[0]
    summary = f"PostgreSQL counts {pool} connections; the log begins {line[:9]}"
    return Evidence(pool >= 5 and line.startswith("{"), summary, _first_line(line))


def _first_line(line: str) -> pd.DataFrame:
    return fields(json.loads(line) if line.startswith("{") else {"first line of the log": line})


@experiment
def environment_wins_over_dotenv(code: Path | None = None) -> Evidence:
    """Give a setting in both, one in `.env` alone, and there a foreign name; argument as for `read_settings`."""
    dotenv = "TTL_SECONDS=45\nBCRYPT_COST=12\nPOSTGRES_USER=somebody\n"
    read = read_settings({"TTL_SECONDS": "30"}, dotenv, code)
    foreign = read.get("POSTGRES_USER", "not read")
    rows = [
        ("TTL_SECONDS", "30", "45", read["TTL_SECONDS"], "30"),
        ("BCRYPT_COST", "", "12", read["BCRYPT_COST"], "12"),
        ("MAX_ATTEMPTS", "", "", read["MAX_ATTEMPTS"], SPECIFIED_DEFAULTS["MAX_ATTEMPTS"]),
        ("POSTGRES_USER", "", "somebody", foreign, "not read"),
    ]
    return compare(
        f"TTL_SECONDS {read['TTL_SECONDS']}, BCRYPT_COST {read['BCRYPT_COST']}, foreign name: {foreign}",
        rows,
        ["setting", "in the environment", "in .env", "read", "expected"],
    )


@experiment
def values_are_refused(cases: Sequence[tuple[str, object]], code: Path | None = None) -> Evidence:
    """Start an API with each value, and look for the line with which it refuses to run.

    Args:
        cases: names of settings with values outside their rules.
        code: as for ApiProcess.

    Returns:
        Rows whose result is `refused` where the start ended with status 1 and with one line which names the setting,
        its rule and the value, and `TAKEN` where it went on to look for its database.
    """
    rows = [(name, str(value), *_refusal(name, str(value), code), "refused") for name, value in cases]
    refused = sum(row[3] == "refused" for row in rows)
    return compare(
        f"{refused} of {len(rows)} starts ended with status 1 and one such line",
        rows,
        ["setting", "value", "what the start says", "result", "expected"],
    )


def _refusal(name: str, value: str, code: Path | None) -> tuple[str, str]:
    """Return what a start with this value says, and whether that is a refusal as it should be."""
    setting: dict[str, Any] = {name: value}
    brief = {"STARTUP_TIMEOUT_SECONDS": 1, **setting}
    with ApiProcess(NOTHING_LISTENS.format(password="unused"), code=code, **brief) as api:  # noqa: S106
        status = _status(api)
        said = api.log().strip()
    shown = value in said or repr(value) in said or "value is not shown" in said  # a URL's may hold a password
    named = "\n" not in said and f"{name} must be" in said.replace("POOL_MIN_SIZE", name)
    return said.removeprefix("beefirst: "), "refused" if status == 1 and named and shown else "TAKEN"


def _status(api: ApiProcess) -> int | None:
    with suppress(subprocess.TimeoutExpired):
        return api.wait_for_end(PATIENCE_SECONDS)
    return None


PASSWORD = "correct-horse-battery"  # noqa: S105  # to search for, and nobody's
PLACES = ["where", "what it says", "the password in it", "expected"]


@experiment
def password_shows_nowhere(code: Path | None = None) -> Evidence:
    """Search for the password of a database URL in what a start at LOG_LEVEL=DEBUG writes, and in the setting as read.

    Args:
        code: as for ApiProcess.
    """
    log = _log_of_failing_start(code)
    read = read_settings({"DATABASE_URL": f"postgresql://reader:{PASSWORD}@db:5432/beefirst"}, code=code)
    lines, shown = log.splitlines(), read["DATABASE_URL"]
    telling = next((line for line in lines if PASSWORD in line), lines[-1])
    rows = [
        (f"the log of a failing start, {len(lines)} lines at DEBUG", telling, _found_in(log), "not found"),
        ("DATABASE_URL as read", shown, _found_in(shown), "not found"),
    ]
    return compare(f"{_found_in(log)} in {len(lines)} lines at DEBUG, {_found_in(shown)} in {shown}", rows, PLACES)


def _found_in(text: str) -> str:
    return "FOUND" if PASSWORD in text else "not found"


def _log_of_failing_start(code: Path | None) -> str:
    """Return all that an API writes when the database in its URL does not answer."""
    url = NOTHING_LISTENS.format(password=PASSWORD)
    with ApiProcess(url, code=code, LOG_LEVEL="DEBUG", STARTUP_TIMEOUT_SECONDS=1) as api:
        api.wait_for_end()
        return api.log()

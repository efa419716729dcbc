"""Notebook 05: what settings a fresh process reads from an environment and a `.env`, and how a start refuses them."""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pandas as pd

from beefirst.evaluation.evidence import Evidence, compare, experiment, measurement
from beefirst.laboratory import catalog
from beefirst.laboratory.api_process import ApiProcess, start_api
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
    values = {name.upper(): f"{value:g}" if isinstance(value, float) else str(value) for name, value in settings}
    print(json.dumps({"values": values, "set": [name.upper() for name in settings.model_fields_set]}))
except ConfigurationError as error:
    print(json.dumps({"refused": str(error)}))
"""
PATIENCE_SECONDS = 10

NOTHING_LISTENS = "postgresql://beefirst:{password}@127.0.0.1:1/beefirst"


def read_settings(environment: Mapping[str, str] | None = None, dotenv: str = "") -> dict[str, object]:
    """Read the settings in a process of their own.

    Args:
        environment: beefirst's settings in the environment; none of this process's own are passed on.
        dotenv: the text of `.env` in the working directory.

    Returns:
        `values` by name and the names that were `set`, or `refused` with the line that says why.
    """
    with new_folder("beefirst-settings-") as folder:
        Path(folder, ".env").write_text(dotenv)
        result = subprocess.run(
            [sys.executable, "-c", REPORT],
            env=clean_environment() | dict(environment or {}),
            cwd=folder,
            capture_output=True,
            check=True,
            timeout=60,
        )
    answer: dict[str, object] = json.loads(result.stdout)
    return answer


def values(environment: Mapping[str, str] | None = None, dotenv: str = "") -> dict[str, str]:
    """Return the value of each setting by name; arguments as for `read_settings`."""
    found = read_settings(environment, dotenv)["values"]
    assert isinstance(found, dict)  # noqa: S101
    return found


POSTGRESQL_URL = "postgresql://…"
SPECIFIED = {"DATABASE_URL": POSTGRESQL_URL, "TTL_SECONDS": "60", "BCRYPT_COST": "10", "MAX_ATTEMPTS": "3"}
"""AC5 of the specification and its tasks; of the URL they say only what it leads to."""

POOL = 5
SECRET = "correct-horse-battery"  # noqa: S105
"""A password that can be searched for."""


@measurement
def defaults() -> pd.DataFrame:
    """Return every setting with its default, as a fresh process without any of them has it, and its rule."""
    rules = setting_rules(Settings)
    rows = [(name, value, rules[name]) for name, value in values().items()]
    return pd.DataFrame(rows, columns=["setting", "default", "rule"])


@experiment
def default_is_as_specified(found: pd.DataFrame, name: str) -> Evidence:
    """Hold one default against the specification.

    Args:
        found: as `defaults` returns it.
        name: of the setting.
    """
    value, expected = str(found.set_index("setting").loc[name, "default"]), SPECIFIED[name]
    if expected == POSTGRESQL_URL:
        kept = value.startswith("postgresql://")
        return Evidence(kept, value, pd.DataFrame([(name, value, expected)], columns=["setting", "seen", "expected"]))
    return compare(value, [(name, value, expected)], ["setting", "seen", "expected"])


@experiment
def environment_changes_what_the_api_does() -> Evidence:
    """Start an API that is told to keep five connections and to log JSON; PostgreSQL counts the connections."""
    with (
        ScratchDatabase() as database,
        start_api(database.url, POOL_MIN_SIZE=POOL, LOG_FORMAT="json") as api,
        database.connect() as connection,
    ):
        pool = catalog.wait_for_connections(connection, "beefirst-api", POOL)
        line = api.log().splitlines()[0]
    rows = [
        (f"connections that the API keeps, with POOL_MIN_SIZE={POOL}", _or_more(pool), f"{POOL} or more"),
        ("first line of its log, with LOG_FORMAT=json", _kind(line), "JSON"),
    ]
    return compare(f"PostgreSQL counts {pool} connections; the log begins {line[:9]}", rows)


def _or_more(connections: int) -> str:
    # A pool that is asked for more at once than it keeps may have one connection more for a while.
    return f"{POOL} or more" if connections >= POOL else str(connections)


def _kind(line: str) -> str:
    with suppress(ValueError):
        return "JSON" if isinstance(json.loads(line), dict) else line
    return line


@experiment
def environment_wins() -> Evidence:
    """Give one setting in the environment and in `.env`, another in `.env` alone, and a name of somebody else's."""
    dotenv = "TTL_SECONDS=45\nBCRYPT_COST=12\nPOSTGRES_USER=somebody\n"
    found = values({"TTL_SECONDS": "30"}, dotenv)
    foreign = "read" if "POSTGRES_USER" in found else "ignored"
    rows = [
        ("TTL_SECONDS, 30 in the environment and 45 in .env", found["TTL_SECONDS"], "30"),
        ("BCRYPT_COST, 12 in .env", found["BCRYPT_COST"], "12"),
        ("MAX_ATTEMPTS, in neither", found["MAX_ATTEMPTS"], "3"),
        ("POSTGRES_USER in .env, a foreign name", foreign, "ignored"),
    ]
    return compare(f"TTL_SECONDS {rows[0][1]}, BCRYPT_COST {rows[1][1]}, foreign name {foreign}", rows)


@experiment
def values_outside_their_rules_are_refused(cases: Sequence[tuple[str, object]]) -> Evidence:
    """Start an API for each value; it must end with status 1 and one line that names setting, rule and value.

    Args:
        cases: names of settings with values outside their rules; at least one.
    """
    rows = [(name, str(value), *_refusal(name, str(value))) for name, value in cases]
    frame = pd.DataFrame(rows, columns=["setting", "value", "what the start says", "result"])
    refused = int((frame["result"] == "refused").sum())
    summary = f"{refused} of {len(cases)} starts ended with status 1 and one such line"
    return Evidence(0 < refused == len(cases), summary, frame)


def _refusal(name: str, value: str) -> tuple[str, str]:
    """Return what a start says to a value, and `refused`, or `TAKEN` where it went on to look for its database."""
    settings: dict[str, Any] = {"STARTUP_TIMEOUT_SECONDS": 1, name: value}
    with ApiProcess(NOTHING_LISTENS.format(password="unused"), **settings) as api:  # noqa: S106
        ended = _status(api)
        said = api.log().strip()
    shown = value in said or repr(value) in said or "value is not shown" in said  # a URL's may hold a password
    named = "\n" not in said and f"{name} must be" in said.replace("POOL_MIN_SIZE", name)
    return said.removeprefix("beefirst: "), "refused" if ended == 1 and named and shown else "TAKEN"


def _status(api: ApiProcess) -> int | None:
    with suppress(subprocess.TimeoutExpired):
        return api.wait_for_end(PATIENCE_SECONDS)
    return None


@experiment
def password_shows_nowhere() -> Evidence:
    """Start an API on a database that does not answer, at the most talkative log level, and search all that it says."""
    with ApiProcess(NOTHING_LISTENS.format(password=SECRET), LOG_LEVEL="DEBUG", STARTUP_TIMEOUT_SECONDS=1) as api:
        api.wait_for_end()
        lines = api.log().splitlines()
    shown = values({"DATABASE_URL": f"postgresql://reader:{SECRET}@db:5432/beefirst"})["DATABASE_URL"]
    rows = [
        (f"{len(lines)} lines at LOG_LEVEL=DEBUG of a start that failed", _holds_secret(*lines), "no"),
        (f"what the setting shows of itself: {shown}", _holds_secret(shown), "no"),
        (f"the last of these lines: {lines[-1]}", _holds_secret(lines[-1]), "no"),
    ]
    summary = f"not in {len(lines)} lines at DEBUG, nor in {shown}"
    return compare(summary, rows, ["where", "holds the password", "expected"])


def _holds_secret(*texts: str) -> str:
    return "yes" if any(SECRET in text for text in texts) else "no"

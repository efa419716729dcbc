"""What settings a fresh process reads: the defaults, and which of the environment and `.env` wins."""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from beefirst.errors import ConfigurationError
from beefirst.evaluation.display.tables import Shown, table
from beefirst.evaluation.evidence import Evidence, compare
from beefirst.evaluation.procedure import Observed, experiment, measurement
from beefirst.laboratory.cleanup import new_folder
from beefirst.laboratory.environment import clean_environment
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


def _judge_database_url(defaults: Mapping[str, str]) -> Evidence:
    found = defaults["DATABASE_URL"]
    rows = pd.DataFrame([("DATABASE_URL", found, f"{POSTGRESQL}…")], columns=["setting", "default", "expected"])
    return Evidence(found.startswith(POSTGRESQL), found, rows)


@experiment(_judge_database_url, measure_defaults)
def database_url_is_postgresql(defaults: Mapping[str, str]) -> Observed:
    """Judge the default of DATABASE_URL by the way in which it begins."""
    return {"defaults": defaults}


def _judge_default(setting: str, defaults: Mapping[str, str]) -> Evidence:
    found = defaults[setting]
    return compare(found, [(setting, found, SPECIFIED_DEFAULTS[setting])], ["setting", "default", "expected"])


@experiment(_judge_default, measure_defaults)
def default_is_as_specified(setting: str, defaults: Mapping[str, str]) -> Observed:
    """Hold a default against the one that was specified."""
    return {"setting": setting, "defaults": defaults}


IN_THE_ENVIRONMENT = {"TTL_SECONDS": "30"}
IN_DOTENV = {"TTL_SECONDS": "45", "BCRYPT_COST": "12", "POSTGRES_USER": "somebody"}
EXPECTED = {
    "TTL_SECONDS": "30",
    "BCRYPT_COST": "12",
    "MAX_ATTEMPTS": SPECIFIED_DEFAULTS["MAX_ATTEMPTS"],
    "POSTGRES_USER": "not read",
}
"""What is to be read: of a setting in both, one in `.env` alone, one in neither, and a foreign name."""


def _judge_precedence(environment: Mapping[str, str], dotenv: Mapping[str, str], read: Mapping[str, str]) -> Evidence:
    seen = {name: read.get(name, "not read") for name in EXPECTED}
    rows = [
        (name, environment.get(name, ""), dotenv.get(name, ""), seen[name], expected)
        for name, expected in EXPECTED.items()
    ]
    return compare(
        f"TTL_SECONDS {seen['TTL_SECONDS']}, BCRYPT_COST {seen['BCRYPT_COST']}, foreign name: {seen['POSTGRES_USER']}",
        rows,
        ["setting", "in the environment", "in .env", "read", "expected"],
    )


@experiment(_judge_precedence)
def environment_wins_over_dotenv(code: Path | None = None) -> Observed:
    """Give a setting in both, one in `.env` alone, and there a foreign name; argument as for `read_settings`."""
    dotenv = "".join(f"{name}={value}\n" for name, value in IN_DOTENV.items())
    read = read_settings(IN_THE_ENVIRONMENT, dotenv, code)
    return {"environment": IN_THE_ENVIRONMENT, "dotenv": IN_DOTENV, "read": read}

"""What settings a fresh process reads from an environment and a `.env`, or how it refuses them."""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pandas as pd

from beefirst.laboratory.api_process import ApiProcess
from beefirst.laboratory.cleanup import new_folder
from beefirst.laboratory.environment import clean_environment
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


def defaults() -> pd.DataFrame:
    """Return every setting with its default, as a fresh process without any of them has it, and its rule."""
    rules = setting_rules(Settings)
    rows = [(name, value, rules[name]) for name, value in values().items()]
    return pd.DataFrame(rows, columns=["setting", "default", "rule"])


def refusals(cases: Sequence[tuple[str, object]]) -> pd.DataFrame:
    """Start an API for each value and return the line with which it refuses to run.

    Args:
        cases: names of settings with values outside their rules.

    Returns:
        The columns setting, value, what the start says, result: `refused` where it ended with status 1 and that is
        one line which names the setting, its rule and the value; `TAKEN` where it went on to look for its database.
    """
    rows = []
    for name, given in cases:
        value = str(given)
        setting: dict[str, Any] = {name: value}
        brief = {"STARTUP_TIMEOUT_SECONDS": 1, **setting}
        with ApiProcess(NOTHING_LISTENS.format(password="unused"), **brief) as api:  # noqa: S106
            ended = _status(api)
            said = api.log().strip()
        shown = value in said or repr(value) in said or "value is not shown" in said  # a URL's may hold a password
        named = "\n" not in said and f"{name} must be" in said.replace("POOL_MIN_SIZE", name)
        refused = ended == 1 and named and shown
        rows.append((name, value, said.removeprefix("beefirst: "), "refused" if refused else "TAKEN"))
    return pd.DataFrame(rows, columns=["setting", "value", "what the start says", "result"])


def _status(api: ApiProcess) -> int | None:
    with suppress(subprocess.TimeoutExpired):
        return api.wait_for_end(PATIENCE_SECONDS)
    return None


def output_of_failing_start(password: str) -> str:
    """Return all that an API writes at LOG_LEVEL=DEBUG when the database in its URL does not answer.

    Args:
        password: part of the URL; no output may hold it.
    """
    url = NOTHING_LISTENS.format(password=password)
    with ApiProcess(url, LOG_LEVEL="DEBUG", STARTUP_TIMEOUT_SECONDS=1) as api:
        api.wait_for_end()
        return api.log()

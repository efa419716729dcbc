"""How a start refuses values outside their rules, and that it never shows a password."""

import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pandas as pd

from beefirst.evaluation.evidence import Evidence, compare
from beefirst.evaluation.experiments.configuration.reading import read_settings
from beefirst.evaluation.procedure import Observed, experiment
from beefirst.laboratory.api_process import ApiProcess
from beefirst.urls import mask_password

PATIENCE_SECONDS = 120
"""By then a start that must not go on has ended, on a busy machine too."""

NOTHING_LISTENS = "postgresql://beefirst:{password}@127.0.0.1:1/beefirst"

NOT_SHOWN = "value is not shown"
"""What stands in the place of a URL, which may hold a password."""


def _judge_refusals(starts: pd.DataFrame) -> Evidence:
    rows = [(*start[:3], _result(*start), "refused") for start in starts.itertuples(index=False, name=None)]
    refused = sum(row[3] == "refused" for row in rows)
    return compare(
        f"{refused} of {len(rows)} starts ended with status 1 and one such line",
        rows,
        ["setting", "value", "what the start says", "result", "expected"],
    )


def _result(name: str, value: str, said: str, status: int | None) -> str:
    """Return `refused` where a start ended with one line which names the setting, its rule and the value."""
    shown = value in said or repr(value) in said or NOT_SHOWN in said
    named = "\n" not in said and f"{name} must be" in said.replace("POOL_MIN_SIZE", name)
    return "refused" if status == 1 and named and shown else "TAKEN"


@experiment(_judge_refusals)
def values_are_refused(cases: Sequence[tuple[str, object]], code: Path | None = None) -> Observed:
    """Start an API with each value, and look for the line with which it refuses to run.

    Args:
        cases: names of settings with values outside their rules.
        code: as for ApiProcess.

    Returns:
        Rows whose result is `refused` where the start ended with status 1 and with one line which names the setting,
        its rule and the value, and `TAKEN` where it went on to look for its database.
    """
    starts = [(name, _without_password(name, str(value)), *_start(name, str(value), code)) for name, value in cases]
    return {"starts": pd.DataFrame(starts, columns=["setting", "value", "what the start says", "status"], dtype=object)}


def _without_password(name: str, value: str) -> str:
    return mask_password(value) if name.upper().endswith("_URL") else value


def _start(name: str, value: str, code: Path | None) -> tuple[str, int | None]:
    """Return what a start with this value says, and the status with which it ends; None where it does not."""
    setting: dict[str, Any] = {name: value}
    brief = {"STARTUP_TIMEOUT_SECONDS": 1, **setting}
    with ApiProcess(NOTHING_LISTENS.format(password="unused"), code=code, **brief) as api:  # noqa: S106
        status = None
        with suppress(subprocess.TimeoutExpired):
            status = api.wait_for_end(PATIENCE_SECONDS)
        return api.log().strip().removeprefix("beefirst: "), status


def time_failing_start(timeout: str, code: Path | None, patience: float) -> dict[str, Any]:
    """Return the status of a start without a database, None where it goes on and on, and how many seconds it took.

    Args:
        timeout: STARTUP_TIMEOUT_SECONDS.
        code: as for ApiProcess.
        patience: how many seconds to wait for its end.
    """
    began, status = time.monotonic(), None
    url = NOTHING_LISTENS.format(password="unused")  # noqa: S106
    with ApiProcess(url, code=code, STARTUP_TIMEOUT_SECONDS=timeout) as api, suppress(subprocess.TimeoutExpired):
        status = api.wait_for_end(patience)
    return {"status": status, "seconds": time.monotonic() - began}


PASSWORD = "correct-horse-battery"  # noqa: S105  # to search for, and nobody's
PLACES = ["where", "what it says", "the password in it", "expected"]


def _judge_password(log: Sequence[str], read: str) -> Evidence:
    written = "\n".join(log)
    telling = next((line for line in log if PASSWORD in line), log[-1])
    rows = [
        (f"the log of a failing start, {len(log)} lines at DEBUG", telling, _found_in(written), "not found"),
        ("DATABASE_URL as read", read, _found_in(read), "not found"),
    ]
    return compare(f"{_found_in(written)} in {len(log)} lines at DEBUG, {_found_in(read)} in {read}", rows, PLACES)


def _found_in(text: str) -> str:
    return "FOUND" if PASSWORD in text else "not found"


@experiment(_judge_password)
def password_shows_nowhere(code: Path | None = None) -> Observed:
    """Search for the password of a database URL in what a start at LOG_LEVEL=DEBUG writes, and in the setting as read.

    Args:
        code: as for ApiProcess.
    """
    log = _log_of_failing_start(code).splitlines()
    settings: Mapping[str, str] = read_settings(
        {"DATABASE_URL": f"postgresql://reader:{PASSWORD}@db:5432/beefirst"}, code=code
    )
    return {"log": log, "read": settings["DATABASE_URL"]}


def _log_of_failing_start(code: Path | None) -> str:
    """Return all that an API writes when the database in its URL does not answer."""
    url = NOTHING_LISTENS.format(password=PASSWORD)
    with ApiProcess(url, code=code, LOG_LEVEL="DEBUG", STARTUP_TIMEOUT_SECONDS=1) as api:
        api.wait_for_end()
        return api.log()

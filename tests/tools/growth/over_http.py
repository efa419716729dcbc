"""Requests to an API on full tables, beside the same ones to an API on empty tables a moment before."""

import re
from collections import defaultdict
from statistics import median
from time import perf_counter
from typing import Any

import httpx
from psycopg import Connection

from beefirst.laboratory.api_process import ApiProcess
from beefirst.laboratory.many_rows import TTL_SECONDS, add_due
from beefirst.laboratory.project_copy import ProjectCopy
from beefirst.laboratory.scratch_database import connect
from beefirst.machine.waiting import wait_until

ROUNDS = 200
DUE = 500
IDLE_ROUNDS = 15
PASSWORD = "correct horse"  # nobody's
CODE = "SELECT verification_code FROM registrations WHERE email = %s"
SWEEPS = re.compile(r"^beefirst_sweep_seconds_(sum|count) (\S+)", re.MULTILINE)

LITTLE_HASH = (
    ("beefirst/api/main.py", "BcryptPasswords(settings.bcrypt_cost", "BcryptPasswords(4"),
    ("beefirst/passwords.py", "EVEN_SECONDS = 0.025", "EVEN_SECONDS = 0.0"),
)
"""A hash takes 50 times as long as all else, and a fixed time after it hides what differs: neither is measured here."""


def compare_requests(empty: str, full: str) -> list[dict[str, Any]]:
    """Return for each request its median time on full tables, beside that on empty ones.

    Args:
        empty: URL of the database with nothing but what is due and somebody in each situation.
        full: URL of the one with the same and many rows.
    """
    with ProjectCopy() as copy:
        for change in LITTLE_HASH:
            copy.replace(*change)
        settings = {"ttl_seconds": TTL_SECONDS, "log_level": "WARNING", "code": copy.code}
        with ApiProcess(empty, **settings) as one, ApiProcess(full, **settings) as other:
            apis = [(api.wait_until_ready(), connect(api.database_url)) for api in (one, other)]
            taken = _ask_in_turns(apis)
            taken["a round of the sweeper, nothing due"] = tuple([_idle_seconds(api)] for api, _ in apis)
            taken[f"a round of the sweeper, {3 * DUE} due"] = tuple([_sweep(*api)] for api in apis)
    return [
        {
            "request": name,
            "milliseconds": round(median(there) * 1000, 3),
            "milliseconds_empty": round(median(here) * 1000, 3),
            "ratio": round(median(there) / median(here), 2),
        }
        for name, (here, there) in taken.items()
    ]


def _ask_in_turns(apis: list[tuple[ApiProcess, Connection[Any]]]) -> dict[str, tuple[list[float], ...]]:
    taken: dict[str, tuple[list[float], ...]] = defaultdict(lambda: ([], []))
    with httpx.Client(timeout=60, trust_env=False) as client:
        for turn in range(ROUNDS):
            for place in (0, 1) if turn % 2 else (1, 0):
                for name, seconds in _register_and_activate(client, *apis[place], turn):
                    taken[name][place].append(seconds)
    return taken


def _register_and_activate(
    client: httpx.Client, api: ApiProcess, connection: Connection[Any], turn: int
) -> list[tuple[str, float]]:
    email = f"{turn * 49_999 % 10_000_000:09}-new@asked.example.com"
    began = perf_counter()
    client.post(f"{api.url}/v1/register", json={"email": email, "password": PASSWORD}).raise_for_status()
    registered = perf_counter()
    ((code,),) = connection.execute(CODE, [email]).fetchall()
    read = perf_counter()
    credentials = httpx.BasicAuth(email, PASSWORD)
    client.post(f"{api.url}/v1/activate", json={"code": code}, auth=credentials).raise_for_status()
    activated = perf_counter()
    client.get(f"{api.url}/health/ready").raise_for_status()
    return [
        ("POST /v1/register", registered - began),
        ("POST /v1/activate", activated - read),
        ("GET /health/ready", perf_counter() - activated),
    ]


def _idle_seconds(api: ApiProcess) -> float:
    """Return how long a round takes in the mean of some that have nothing to do: what was due is gone by now."""
    before = _figures(api)
    wait_until(lambda: _figures(api)["count"] >= before["count"] + IDLE_ROUNDS, 120, 0.2)
    after = _figures(api)
    return (after["sum"] - before["sum"]) / (after["count"] - before["count"])


def _sweep(api: ApiProcess, connection: Connection[Any]) -> float:
    """Return how long the round took that ended and forgot what was added."""
    before = _figures(api)
    add_due(connection, DUE)
    wait_until(lambda: not _is_due(connection), 120, 0.2)
    wait_until(lambda: _figures(api)["count"] >= before["count"] + 2, 60, 0.2)
    after = _figures(api)
    return after["sum"] - before["sum"]


def _is_due(connection: Connection[Any]) -> bool:
    found = connection.execute("SELECT FROM address_budgets WHERE touched_at < now() - INTERVAL '24 hours' LIMIT 1")
    return found.fetchone() is not None


def _figures(api: ApiProcess) -> dict[str, float]:
    return {name: float(value) for name, value in SWEEPS.findall(api.get("/metrics").text)}

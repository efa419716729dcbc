"""A client of the service, and a look at the row that its requests leave."""

from typing import Any, NamedTuple
from uuid import UUID

import httpx

from beefirst.laboratory.api_process import TRUSTS_NOBODY, ApiProcess
from beefirst.laboratory.scratch_database import ScratchDatabase
from tests.conftest import SECRET


class Row(NamedTuple):
    """A registration as the table holds it."""

    id: UUID
    state: str
    password_hash: str | None
    code: str
    attempts: int


def send(api: ApiProcess, path: str, method: str = "POST", **options: Any) -> httpx.Response:
    """Send a request, past any proxy."""
    return httpx.request(method, api.url + path, timeout=120, trust_env=False, verify=TRUSTS_NOBODY, **options)


def register(api: ApiProcess, email: str, password: str = SECRET) -> httpx.Response:
    """Claim an address."""
    return send(api, "/v1/register", json={"email": email, "password": password})


def activate(api: ApiProcess, email: str, code: str, password: str = SECRET) -> httpx.Response:
    """Prove a claim."""
    return send(api, "/v1/activate", json={"code": code}, auth=(email, password))


def fetch_row(database: ScratchDatabase, email: str) -> Row:
    """Return the registration of an address."""
    columns = "id, state, password_hash, verification_code, attempt_count"
    with database.connect() as connection:
        row = connection.execute(f"SELECT {columns} FROM registrations WHERE email = %s", (email,)).fetchone()
    assert row is not None
    return Row(*row)


def change(database: ScratchDatabase, statement: str, **values: object) -> None:
    """Run one statement on the tables, where a test needs what only time or an accident would bring."""
    with database.connect() as connection:
        connection.execute(statement, values)


def wrong(code: str) -> str:
    """Return another code."""
    return f"{(int(code) + 1) % 10_000:04}"

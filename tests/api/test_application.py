"""What the composition root builds, before anything is opened."""

import asyncio
import os
import threading
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from beefirst.api.main import create_app
from beefirst.api.services import GRACE_SECONDS, Grace, Services
from beefirst.machine.ports import free_port
from beefirst.settings import Settings
from tests.conftest import SECRET


@pytest.fixture
def app() -> FastAPI:
    """An application with neither database nor mail server."""
    nowhere = f"127.0.0.1:{free_port()}"
    return create_app(Settings.load(database_url=f"postgresql://u@{nowhere}/x", mail_url=f"smtp://{nowhere}"))


def open_files() -> list[str]:
    return os.listdir("/proc/self/fd") if os.path.isdir("/proc/self/fd") else []  # noqa: PTH112, PTH208


def test_building_opens_nothing_and_starts_no_thread() -> None:
    settings = Settings.load()
    create_app(settings)  # loads what is loaded once
    before = threading.enumerate(), len(open_files())

    app = create_app(settings)

    assert (threading.enumerate(), len(open_files())) == before
    assert app.state.services.pool.closed


def test_each_application_has_services_of_its_own(app: FastAPI) -> None:
    one: Services = app.state.services
    other: Services = create_app(one.settings).state.services

    assert one.settings is other.settings
    shared = [name for name, part in vars(one).items() if part is not None and part is getattr(other, name)]
    assert shared == ["settings"]


REQUESTS: list[tuple[str, str, dict[str, Any]]] = [
    ("POST", "/v1/register", {"json": {"email": "ada@example.com", "password": SECRET}}),
    ("POST", "/v1/activate", {"json": {"code": "1234"}, "auth": ("ada@example.com", SECRET)}),
    ("GET", "/health/live", {}),
    ("GET", "/health/ready", {}),
    ("GET", "/health/startup", {}),
    ("GET", "/metrics", {}),
]


@pytest.mark.parametrize(("method", "path", "content"), REQUESTS, ids=[path for _, path, _ in REQUESTS])
def test_no_request_is_sent_to_a_thread_of_the_framework(
    app: FastAPI, monkeypatch: pytest.MonkeyPatch, method: str, path: str, content: dict[str, Any]
) -> None:
    sent = list[object]()

    async def refuse(function: object, *_: object, **__: object) -> None:
        sent.append(function)
        raise AssertionError(f"{function} was sent to a thread")

    async def ask() -> int:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://beefirst") as client:
            return (await client.request(method, path, **content)).status_code

    monkeypatch.setattr("anyio.to_thread.run_sync", refuse)

    assert asyncio.run(ask()) in (200, 503)
    assert sent == []


def test_the_grace_is_whole_until_it_begins_and_then_runs_out() -> None:
    grace = Grace()
    before = grace.seconds_left
    grace.begin()
    first, second = grace.seconds_left, grace.seconds_left

    assert before == GRACE_SECONDS
    assert GRACE_SECONDS >= first >= second >= 0

"""How many connections mail takes, beside those that are shared, and what the service calls itself on them."""

import asyncio
import re
import socket
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from itertools import count
from typing import Any

import pytest

from beefirst.machine.waiting import wait_until
from beefirst.mail.courier import Courier, create_courier
from beefirst.settings import Settings
from tests.support.mail_servers import WatchedMailbox, stalling

STALLED = "stalled@example.com"
ADDRESS = re.compile(r"\[\d+(\.\d+){3}\]")


def courier(url: str, **settings: Any) -> Courier:
    """Return a courier that delivers to a server."""
    return create_courier(Settings.load(mail_url=url, **settings))


async def send_codes(post: Courier, number: int) -> None:
    """Deliver so many codes at once."""
    await asyncio.gather(*(post.send_code(f"{mail}@example.com", "0412") for mail in range(number)))


async def give_up(mails: asyncio.Task[None]) -> None:
    """Let mails go no further."""
    mails.cancel()
    await asyncio.wait([mails])


def test_a_burst_takes_no_connection_beyond_the_shared_ones_while_the_server_takes_mail(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("beefirst.mail.connections.LINE_SECONDS", 0.02)

    with stalling(seconds=0.02) as mailbox:
        # Each mail takes 0.6 of LINE_SECONDS, however long it takes.
        monkeypatch.setattr("beefirst.mail.connections.monotonic", lambda: len(mailbox.messages) * 0.012)
        asyncio.run(send_codes(courier(mailbox.url, mail_connections=1, mail_helo="[192.0.2.1]"), 20))

    assert len(mailbox.messages) == 20
    assert len(mailbox.connections) == 1


def test_a_mail_whose_time_is_over_does_not_make_others_wait_as_if_the_server_had_taken_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("beefirst.mail.connections.LINE_SECONDS", 0.02)
    monkeypatch.setattr("beefirst.mail.smtp.TRY_SECONDS", 60)
    now = 0.0
    monkeypatch.setattr("beefirst.mail.connections.monotonic", lambda: now)

    async def send_beside_stalled(mailbox: WatchedMailbox) -> None:
        nonlocal now
        post = courier(mailbox.url, mail_connections=1, mail_helo="[192.0.2.1]")
        first, second = (asyncio.create_task(post.send_code(STALLED, "0000")) for _ in range(2))
        other = asyncio.create_task(post.send_code("other@example.com", "0412"))
        await asyncio.to_thread(wait_until, lambda: mailbox.offered == [STALLED])
        now = 0.012
        await give_up(first)
        await asyncio.to_thread(wait_until, lambda: mailbox.offered == [STALLED] * 2)
        now = 0.024
        await other
        await give_up(second)

    with stalling(only=STALLED) as mailbox:
        asyncio.run(send_beside_stalled(mailbox))

    assert [message["To"] for message in mailbox.messages] == ["other@example.com"]


@asynccontextmanager
async def allowing(connections: int, judge: Callable[[int], Awaitable[bytes]]) -> AsyncIterator[str]:
    """Run a server that allows so many connections in all, and yield its URL.

    Args:
        connections: those that come later are refused.
        judge: returns the reply to a recipient, by the number of the connection, from 1.
    """
    served: list[asyncio.Task[Any] | None] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.append(asyncio.current_task())
        number = len(served)
        try:
            writer.write(b"220 here\r\n" if number <= connections else b"421 4.7.0 too many\r\n")
            while number <= connections and (line := await reader.readline()):
                writer.write(await judge(number) if line.startswith(b"RCPT") else b"250 well\r\n")
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield f"smtp://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        for task in filter(None, served):
            task.cancel()
        await asyncio.gather(*filter(None, served), return_exceptions=True)


def test_a_shared_connection_that_is_refused_for_one_beside_it_is_no_reason_to_change_the_setting(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("beefirst.mail.connections.LINE_SECONDS", 0.02)

    async def send_beside_stalled() -> None:
        beside = asyncio.Event()

        async def refuse_the_first_once_the_second_stalls(number: int) -> bytes:
            if number == 1:
                await beside.wait()
                return b"451 4.7.1 later\r\n"
            beside.set()
            await asyncio.Event().wait()
            return b""

        async with allowing(2, refuse_the_first_once_the_second_stalls) as url:
            mails = asyncio.create_task(send_codes(courier(url, mail_connections=1, mail_helo="[192.0.2.1]"), 3))
            await asyncio.to_thread(wait_until, lambda: "refused the connection" in caplog.text)
            await give_up(mails)

    asyncio.run(send_beside_stalled())

    assert "the server refused the connection: 421 4.7.0\n" in caplog.text
    assert "MAIL_CONNECTIONS" not in caplog.text


def test_a_connection_that_is_refused_after_one_was_given_up_is_no_reason_to_change_the_setting(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def send_after_stalled() -> None:
        stalls = asyncio.Event()

        async def stall(_: int) -> bytes:
            stalls.set()
            await asyncio.Event().wait()
            return b""

        async with allowing(1, stall) as url:
            post = courier(url, mail_connections=1, mail_helo="[192.0.2.1]")
            stalled = asyncio.create_task(send_codes(post, 1))
            await stalls.wait()
            await give_up(stalled)
            mails = asyncio.create_task(send_codes(post, 1))
            await asyncio.to_thread(wait_until, lambda: "refused the connection" in caplog.text)
            await give_up(mails)

    asyncio.run(send_after_stalled())

    assert "the server refused the connection: 421 4.7.0\n" in caplog.text
    assert "MAIL_CONNECTIONS" not in caplog.text


def test_the_name_of_this_host_is_asked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    questions = count()
    monkeypatch.setattr(socket, "getfqdn", lambda: f"host-{next(questions)}.example")

    async def send_over_several(url: str) -> None:
        post = courier(url)
        for _ in range(3):
            await send_codes(post, 3)
            await post.close(1)

    with WatchedMailbox() as mailbox:
        asyncio.run(send_over_several(mailbox.url))

    assert mailbox.names == ["host-0.example"] * 9
    assert len(mailbox.connections) > 3


def test_a_resolver_that_takes_its_time_holds_no_mail_up(monkeypatch: pytest.MonkeyPatch) -> None:
    answered = threading.Event()
    monkeypatch.setattr(socket, "getfqdn", lambda: answered.wait(20) and "host.example")

    async def send_meanwhile_and_later(url: str) -> None:
        post = courier(url)
        await send_codes(post, 3)
        await post.close(1)
        answered.set()
        await asyncio.to_thread(wait_until, lambda: "host-name" not in {each.name for each in threading.enumerate()})
        await post.send_code("later@example.com", "0412")
        await post.close(1)

    with WatchedMailbox() as mailbox:
        asyncio.run(send_meanwhile_and_later(mailbox.url))

    assert all(ADDRESS.fullmatch(str(name)) for name in mailbox.names[:3])
    assert mailbox.names[3:] == ["host.example"]

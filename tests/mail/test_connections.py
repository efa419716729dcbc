"""How many connections mail takes, beside those that are shared, and what the service calls itself on them."""

import asyncio
import re
import socket
import threading
from itertools import count
from typing import Any

import pytest

from beefirst.machine.waiting import wait_until
from beefirst.mail.courier import Courier, create_courier
from beefirst.settings import Settings
from tests.support.mail_servers import WatchedMailbox, stalling

ADDRESS = re.compile(r"\[\d+(\.\d+){3}\]")


def courier(url: str, **settings: Any) -> Courier:
    """Return a courier that delivers to a server."""
    return create_courier(Settings.load(mail_url=url, **settings))


async def send_codes(post: Courier, number: int) -> None:
    """Deliver so many codes at once."""
    await asyncio.gather(*(post.send_code(f"{mail}@example.com", "0412") for mail in range(number)))


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


def test_a_shared_connection_that_is_refused_for_one_beside_it_is_no_reason_to_change_the_setting(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("beefirst.mail.connections.LINE_SECONDS", 0.02)

    async def send_beside_stalled() -> None:
        numbers, beside = count(1), asyncio.Event()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            """Take two connections: refuse the first one's recipient once the second has come, which stalls."""
            number = next(numbers)
            writer.write(b"421 4.7.0 too many\r\n" if number > 2 else b"220 here\r\n")
            while number < 3 and (line := await reader.readline()):
                if line.startswith(b"RCPT") and number == 2:
                    beside.set()
                    continue
                if line.startswith(b"RCPT"):
                    await beside.wait()
                writer.write(b"451 4.7.1 later\r\n" if line.startswith(b"RCPT") else b"250 well\r\n")
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        url = f"smtp://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        mails = asyncio.create_task(send_codes(courier(url, mail_connections=1, mail_helo="[192.0.2.1]"), 3))
        await asyncio.to_thread(wait_until, lambda: "refused the connection" in caplog.text)
        mails.cancel()
        await asyncio.wait([mails])
        server.close()

    asyncio.run(send_beside_stalled())

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

    with WatchedMailbox() as mailbox:
        asyncio.run(send_meanwhile_and_later(mailbox.url))

    assert all(ADDRESS.fullmatch(str(name)) for name in mailbox.names[:3])
    assert mailbox.names[3:] == ["host.example"]

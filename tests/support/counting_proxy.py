"""What stands between a service and PostgreSQL, and counts how often the one waited for the other."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

READY_FOR_QUERY = ord("Z")
PLAIN = "sslmode=disable&gssencmode=disable"
"""What is encrypted cannot be counted."""

HEAD_BYTES = 5
"""PostgreSQL's protocol, 55.2.1: a letter, and the length of all that follows the letter."""


class CountingProxy:
    """Passes on what comes, and counts round trips.

    Attributes:
        url: of the database, through this proxy.
        round_trips: how often PostgreSQL has said that it is ready for the next, on any connection.
    """

    def __init__(self, url: str) -> None:
        self._server = urlsplit(url)
        self.round_trips = 0
        self.url = ""

    async def serve(self, started: threading.Event, over: asyncio.Event) -> None:
        """Take connections until it is over."""
        async with await asyncio.start_server(self._connect, "127.0.0.1", 0) as listening:
            port = listening.sockets[0].getsockname()[1]
            user = self._server.netloc.rpartition("@")[0]
            query = "&".join(filter(None, [self._server.query, PLAIN]))
            self.url = self._server._replace(netloc=f"{user}@127.0.0.1:{port}", query=query).geturl()
            started.set()
            await over.wait()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            server_reader, server_writer = await asyncio.open_connection(self._server.hostname, self._server.port)
            asking = asyncio.create_task(self._pass_on(reader, server_writer))
            try:
                while True:
                    head = await server_reader.readexactly(HEAD_BYTES)
                    body = await server_reader.readexactly(int.from_bytes(head[1:], "big") - 4)
                    self.round_trips += head[0] == READY_FOR_QUERY
                    writer.write(head + body)
            finally:
                asking.cancel()
                server_writer.close()
                writer.close()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
            writer.close()


@contextmanager
def counting_proxy(url: str) -> Iterator[CountingProxy]:
    """Run a proxy before a database, on a thread of its own.

    Args:
        url: of the database, on this machine.
    """
    proxy, started = CountingProxy(url), threading.Event()
    loop, over = asyncio.new_event_loop(), asyncio.Event()
    thread = threading.Thread(target=loop.run_until_complete, args=(proxy.serve(started, over),), daemon=True)
    thread.start()
    started.wait(10)
    try:
        yield proxy
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join(10)
        for task in asyncio.all_tasks(loop):
            loop.call_soon(task.cancel)
        loop.run_until_complete(asyncio.sleep(0.01))
        loop.close()

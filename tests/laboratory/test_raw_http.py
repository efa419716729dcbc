"""The light client: that it tells an answer from a part of one, and from none at all."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from beefirst.laboratory import raw_http
from beefirst.laboratory.raw_http import Answer, Connection

LIVE = raw_http.request("GET", "/health/live")
HEAD, BODY = b"HTTP/1.1 200 OK\r\nX-Name: value\r\nContent-Length: 4\r\n\r\n", b"live"

PIECES = {
    "at once": [HEAD + BODY],
    "head and body": [HEAD, BODY],
    "byte by byte": [bytes([byte]) for byte in HEAD + BODY],
}


def converse(answers: list[list[bytes]], ask: Callable[[Connection], Awaitable[list[Answer]]]) -> list[Answer]:
    """Return what `ask` got of a server that answers each request with some pieces, and hangs up after the last."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for pieces in answers:
            await reader.readuntil(b"\r\n\r\n")
            for piece in pieces:
                await asyncio.sleep(0.001)
                writer.write(piece)
        writer.close()

    async def talk() -> list[Answer]:
        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            host, port = server.sockets[0].getsockname()
            async with Connection.open(f"http://{host}:{port}") as connection, asyncio.timeout(30):
                return await ask(connection)

    return raw_http.run(talk)


async def ask_twice(connection: Connection) -> list[Answer]:
    """Send one request after the other."""
    return [await connection.ask(LIVE) for _ in range(2)]


@pytest.mark.parametrize("pieces", PIECES.values(), ids=PIECES)
def test_an_answer_is_whole_in_however_many_pieces_it_comes(pieces: list[bytes]) -> None:
    first, second = converse([pieces, pieces], ask_twice)

    assert (first.status, first.head, first.body) == (200, HEAD, BODY)
    assert (second.status, second.head, second.body) == (200, HEAD, BODY)


def test_what_follows_an_answer_is_no_part_of_it() -> None:
    first, _ = converse([[HEAD + BODY + b"more"], [HEAD + BODY]], ask_twice)

    assert first.body == BODY


def test_an_answer_that_comes_too_late_is_never_the_next_ones() -> None:
    async def give_up_and_ask(connection: Connection) -> list[Answer]:
        connection.ask(LIVE).cancel()
        while connection.is_open:
            await asyncio.sleep(0.001)
        return [await connection.ask(LIVE)]

    with pytest.raises(ConnectionError, match="has hung up"):
        converse([[HEAD + BODY], [HEAD + BODY]], give_up_and_ask)


@pytest.mark.parametrize("answer", [b"SSH-2.0-other program\r\n\r\n", HEAD.replace(b"4", b"four")])
def test_what_is_no_answer_is_an_error_at_once(answer: bytes) -> None:
    with pytest.raises(ConnectionError, match="hung up before it answered"):
        converse([[answer], [HEAD + BODY]], ask_twice)


@pytest.mark.parametrize("pieces", [[], [HEAD], [HEAD, BODY[:-1]]], ids=["nothing", "a head", "half a body"])
def test_a_server_that_hangs_up_before_it_has_answered_is_an_error_at_once(pieces: list[bytes]) -> None:
    with pytest.raises(ConnectionError, match="hung up before it answered"):
        converse([[HEAD, BODY], pieces], ask_twice)


def test_a_connection_whose_server_has_hung_up_takes_no_request() -> None:
    async def ask_late(connection: Connection) -> list[Answer]:
        answers = [await connection.ask(LIVE)]
        while connection.is_open:
            await asyncio.sleep(0.001)
        return [*answers, await connection.ask(LIVE)]

    with pytest.raises(ConnectionError, match="has hung up"):
        converse([[HEAD, BODY]], ask_late)

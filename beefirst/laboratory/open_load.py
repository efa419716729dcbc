"""Load that does not wait for answers: registrations arrive at a fixed rate, from a process of its own."""

import asyncio
import json
import re
import secrets
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TypeAlias, cast
from urllib.parse import urlsplit

import uvloop

from beefirst.errors import ProcessError
from beefirst.laboratory.raw_http import ANSWER_SECONDS, Answer, registering
from beefirst.machine.processes import end_with_parent

Told: TypeAlias = tuple[int, float, float, str]
"""Of an answer: its status, the seconds that it took, when it was asked for, and its Retry-After."""

RETRY_AFTER = re.compile(rb"(?im)^retry-after: *\d+")

MOST_REQUESTS = 50_000
"""More than this is a mistake, on a machine that others use."""


@dataclass(frozen=True)
class Load:
    """What became of a load.

    Attributes:
        answers: as they came, each without its body, and of its head no more than Retry-After.
        cpu_seconds: what the process that sent it used up, and the service could not.
    """

    answers: list[Answer]
    cpu_seconds: float

    def with_status(self, status: int) -> list[Answer]:
        """Return the answers of one status."""
        return [answer for answer in self.answers if answer.status == status]


def send_openly(url: str, rate: float, seconds: float) -> Load:
    """Send registrations of ever new addresses, whether those before were answered or not.

    Args:
        url: of the API.
        rate: registrations a second.
        seconds: how long they are sent; all are waited for, for ANSWER_SECONDS at most.

    Raises:
        RuntimeError: that would be more than MOST_REQUESTS.
        ProcessError: one got no answer.
    """
    if rate * seconds > MOST_REQUESTS:
        raise RuntimeError(f"{rate * seconds:g} requests are more than {MOST_REQUESTS}")
    command = [sys.executable, "-m", __name__, url, str(rate), str(seconds)]
    limit, end = seconds + 2 * ANSWER_SECONDS, end_with_parent(signal.SIGKILL)
    try:
        run = subprocess.run(command, capture_output=True, check=True, timeout=limit, preexec_fn=end)
    except subprocess.SubprocessError:
        asked = f"{rate * seconds:.0f} registrations within {seconds:g} seconds"
        raise ProcessError(f"Of {asked} some were not answered in {ANSWER_SECONDS} seconds.") from None
    told = json.loads(run.stdout)
    answers = [Answer(status, b"", taken, began, head.encode()) for status, taken, began, head in told["answers"]]
    return Load(answers, told["cpu_seconds"])


class _Exchange(asyncio.Protocol):
    """A connection for one request at a time; one object a connection and no task, for the load is not to be felt."""

    def __init__(self, idle: "list[_Exchange]", answers: list[Told]) -> None:
        self._idle = idle
        self._answers = answers
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def send(self, content: bytes) -> None:
        self._began, self._started = time.time(), time.perf_counter()
        self._transport.write(content)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        if end and len(body) >= int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]):
            told = RETRY_AFTER.search(head)
            taken = time.perf_counter() - self._started
            self._answers.append((int(head[9:12]), taken, self._began, told[0].decode() if told else ""))
            self._received = b""
            self._idle.append(self)

    def connection_lost(self, _: Exception | None) -> None:
        if self in self._idle:
            self._idle.remove(self)


async def _send(url: str, rate: float, seconds: float) -> list[Told]:
    idle, answers = list[_Exchange](), list[Told]()
    place, loop, started = urlsplit(url), asyncio.get_running_loop(), time.perf_counter()
    host, port = str(place.hostname), int(place.port or 80)
    for number in range(int(rate * seconds)):
        await asyncio.sleep(max(0, started + number / rate - time.perf_counter()))
        content = registering(f"{secrets.token_hex(8)}@example.com", "correct horse")
        if idle:
            exchange = idle.pop()
        else:
            _, exchange = await loop.create_connection(lambda: _Exchange(idle, answers), host, port)
        exchange.send(content)
    async with asyncio.timeout(ANSWER_SECONDS):
        while len(answers) < int(rate * seconds):
            await asyncio.sleep(0.01)
    return answers


if __name__ == "__main__":
    _, _url, _rate, _seconds = sys.argv
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        found = runner.run(_send(_url, float(_rate), float(_seconds)))
    print(json.dumps({"answers": found, "cpu_seconds": time.process_time()}))

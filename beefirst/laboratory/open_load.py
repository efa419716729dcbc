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
from functools import partial
from typing import TypeAlias

import uvloop

from beefirst.errors import ProcessError
from beefirst.laboratory.raw_http import ANSWER_SECONDS, Answer, Connection, registering
from beefirst.machine.processes import end_with_parent

Told: TypeAlias = tuple[int, float, float, str]
"""Of an answer: its status, the seconds that it took, when it was asked for, and its Retry-After."""

RETRY_AFTER = re.compile(rb"(?i)\r\nretry-after: *\d+")

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


async def _send(url: str, rate: float, seconds: float) -> list[Answer]:
    idle, asked, started = list[Connection](), list[asyncio.Future[Answer]](), time.perf_counter()
    for number in range(int(rate * seconds)):
        await asyncio.sleep(max(0, started + number / rate - time.perf_counter()))
        while idle and not idle[-1].is_open:
            idle.pop()
        connection = idle.pop() if idle else await Connection.connect(url)
        asked.append(connection.ask(registering(f"{secrets.token_hex(8)}@example.com", "correct horse")))
        asked[-1].add_done_callback(partial(_let_wait, connection, idle))
    async with asyncio.timeout(ANSWER_SECONDS):
        return await asyncio.gather(*asked)


def _let_wait(connection: Connection, idle: list[Connection], _: "asyncio.Future[Answer]") -> None:
    idle.append(connection)


def _told(answer: Answer) -> Told:
    found = RETRY_AFTER.search(answer.head)
    return answer.status, answer.seconds, answer.began, found[0].decode() if found else ""


if __name__ == "__main__":
    _, _url, _rate, _seconds = sys.argv
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        _answers = runner.run(_send(_url, float(_rate), float(_seconds)))
    print(json.dumps({"answers": [*map(_told, _answers)], "cpu_seconds": time.process_time()}))

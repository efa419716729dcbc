"""Clients that register and activate for real, at a bounded rate, and write down every call, while something dies."""

import itertools
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass

import httpx
import pandas as pd

from beefirst.errors import MailError, ProcessError
from beefirst.laboratory.cleanup import Owned
from beefirst.laboratory.testbed import NO_KEEPING, PASSWORD, Testbed, wrong

PAUSE_SECONDS = 0.15
"""Between two accounts of a client, and before a call is made again: what bounds the rate."""

ANSWER_SECONDS = 60
"""After so long a client hangs up, and writes down that nobody answered."""

MAIL_SECONDS = 20
"""So long a client waits for its code: longer than the service tries to deliver it."""

EVENT_SECONDS = 120
"""For hanging: how long to wait for what must happen."""

GUESSER = 3
"""Of so many accounts and one more, the last is guessed at until it is locked, so that there are ended rows."""

CUT_OFF = 0
"""The status of a call that nobody answered."""

REGISTER, ACTIVATE, GUESS = "register", "activate", "guess wrong"


@dataclass(frozen=True)
class Call:
    """One call of a client.

    Attributes:
        client: its number.
        call: what it asked for: REGISTER, ACTIVATE or GUESS.
        email: the address, which no other client uses.
        replica: which one was asked.
        began: when, in seconds since the load began.
        seconds: until the answer.
        status: of the answer; CUT_OFF where there was none.
    """

    client: int
    call: str
    email: str
    replica: int
    began: float
    seconds: float
    status: int


class Load(Owned):
    """Some clients, each a thread; they end, each after its account, with `close` or the `with` block.

    Args:
        testbed: whose replicas they use in turns, and whose mail they read.
        clients: how many.

    Attributes:
        prefix: how all of their addresses begin.
    """

    _numbers = itertools.count(1)

    def __init__(self, testbed: Testbed, clients: int = 4) -> None:
        self.prefix = f"load{next(self._numbers)}-"
        with self._making() as parts:
            http = parts.enter_context(httpx.Client(timeout=ANSWER_SECONDS, trust_env=False, limits=NO_KEEPING))
            self._clients = _Clients(http, testbed, self.prefix)
            parts.callback(self._clients.end)
            self._clients.start(clients)

    @property
    def second(self) -> float:
        """How long ago the load began."""
        return self._clients.second

    def count(self, call: str, *statuses: int, since: float = 0) -> int:
        """Return how many calls that began at the second `since`, or later, were answered with one of the statuses."""
        return sum(it.call == call and it.status in statuses and it.began >= since for it in [*self._clients.calls])

    def made(self, since: float = 0) -> int:
        """Return how many accounts were both registered and activated at the second `since`, or later."""
        began = [it for it in [*self._clients.calls] if it.began >= since]
        registered = {it.email for it in began if it.call == REGISTER and it.status == 202}
        return len(registered & {it.email for it in began if it.call == ACTIVATE and it.status == 200})

    def waiting(self) -> int:
        """Return how many registrations have been answered 202 and are still without their code."""
        return len(
            {it.email for it in [*self._clients.calls] if it.call == REGISTER and it.status == 202}
            - self._clients.served
        )

    def calls(self) -> pd.DataFrame:
        """Return every call so far, one a line, in the order in which they ended."""
        return pd.DataFrame([asdict(call) for call in self._clients.calls], columns=list(Call.__annotations__))


class _Clients:
    def __init__(self, http: httpx.Client, testbed: Testbed, prefix: str) -> None:
        self._http, self._mailbox, self._prefix = http, testbed.mailbox, prefix
        self._urls, self._guesses = [api.url for api in testbed.apis], testbed.max_attempts
        self._over, self._began = threading.Event(), time.monotonic()
        self._threads = list[threading.Thread]()
        self.calls, self.served = list[Call](), set[str]()

    @property
    def second(self) -> float:
        return time.monotonic() - self._began

    def start(self, count: int) -> None:
        self._threads = [threading.Thread(target=self._live, args=(number,), daemon=True) for number in range(count)]
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(EVENT_SECONDS)
        if any(thread.is_alive() for thread in self._threads):
            raise ProcessError(f"Clients did not end within {EVENT_SECONDS} seconds.")

    def _live(self, client: int) -> None:
        turns = itertools.islice(itertools.cycle(range(len(self._urls))), client, None)
        for number in itertools.count():
            with suppress(MailError):  # a claim whose mail was not delivered: the next address has more luck
                self._make_account(client, f"{self._prefix}{client}-{number}@example.com", number, turns)
            if self._over.wait(PAUSE_SECONDS):
                return

    def _make_account(self, client: int, email: str, number: int, turns: Iterator[int]) -> None:
        if self._call(client, REGISTER, email, next(turns)) != 202:
            return
        code = self._code_for(email)
        self.served.add(email)
        if number % (GUESSER + 1) == GUESSER:
            for _ in range(self._guesses):
                self._call(client, GUESS, email, next(turns), wrong(code))
            return
        while self._call(client, ACTIVATE, email, next(turns), code) not in (200, 401):
            if self._over.wait(PAUSE_SECONDS):
                return

    def _code_for(self, email: str) -> str:
        deadline = time.monotonic() + MAIL_SECONDS
        while True:
            with suppress(MailError):
                return self._mailbox.code_for(email, seconds=0.5)
            if self._over.is_set() or time.monotonic() > deadline:
                raise MailError(f"No code for {email} came.")

    def _call(self, client: int, call: str, email: str, replica: int, code: str = "") -> int:
        began, status = self.second, CUT_OFF
        with suppress(httpx.TransportError):
            status = self._post(call, email, replica, code).status_code
        self.calls.append(Call(client, call, email, replica, began, self.second - began, status))
        return status

    def _post(self, call: str, email: str, replica: int, code: str) -> httpx.Response:
        if call == REGISTER:
            content = {"email": email, "password": PASSWORD}
            return self._http.post(f"{self._urls[replica]}/v1/register", json=content)
        credentials = httpx.BasicAuth(email.encode(), PASSWORD.encode())
        return self._http.post(f"{self._urls[replica]}/v1/activate", json={"code": code}, auth=credentials)

"""Clients that register and activate for real, at a bounded rate, and write down every call, while something dies."""

import itertools
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, suppress

import psycopg

from beefirst.errors import DatabaseUnavailableError, MailError, ProcessError
from beefirst.laboratory.cleanup import Owned
from beefirst.laboratory.history.calls import Call, History
from beefirst.laboratory.history.clients import RecordingClient
from beefirst.laboratory.history.database_clock import DatabaseClock
from beefirst.laboratory.history.recorder import Recorder
from beefirst.laboratory.testbed import PASSWORD, STORED_CODE, Testbed, wrong

CLIENTS = 4

PAUSE_SECONDS = 0.15
"""Between two accounts of a client, and before a call is made again: what bounds the rate."""

ANOTHER_PASSWORD = "another horse"  # noqa: S105
"""Of whoever registers an address for which somebody was not told whether it is claimed."""

ANSWER_SECONDS = 60
"""After so long a client hangs up, and writes down that nobody answered."""

MAIL_SECONDS = 20
"""So long a client waits for its code: longer than the service tries to deliver it."""

END_SECONDS = 120
"""For hanging: how long a client may take to end."""

GUESSED_AT = 4
"""Every so many accounts of a client, one is guessed at until it is locked, so that there are ended rows: of one client
the first is."""


class Load(Owned):
    """Some clients, each a thread; they end, each after what it is at, with `close` or the `with` block.

    Args:
        testbed: whose replicas they use in turns, and whose mail they read.
        mail_may_fail: see `History`.
    """

    def __init__(self, testbed: Testbed, *, mail_may_fail: bool = False) -> None:
        with testbed.database.connect() as connection:
            clock = DatabaseClock.measure(connection)
        recorder = Recorder(clock, testbed.ttl_seconds, testbed.max_attempts, mail_may_fail)
        self._testbed, self._clients = testbed, _Clients(recorder, testbed, mail_may_fail)
        with self._making() as parts:
            parts.callback(self._clients.end)
            self._clients.start()

    @property
    def second(self) -> float:
        """How long ago the load began."""
        return self._clients.recorder.now()

    def fault(self, name: str) -> AbstractContextManager[None]:
        """Return a block that is written down as the time of a fault."""
        return self._clients.recorder.fault(name)

    def count(self, *statuses: int | None, since: float = 0) -> int:
        """Return how many calls that ended at the second `since` or later have such a status; None is no answer."""
        return sum(call.status in statuses and call.end >= since for call in self._clients.calls)

    def made(self, since: float = 0) -> int:
        """Return how many accounts were both registered and activated at the second `since`, or later."""
        return len(made_accounts(self._clients.calls, since))

    def waiting(self) -> int:
        """Return how many registrations have been answered 202 and are still without their code."""
        registered = {call.address for call in self._clients.calls if call.status == 202}
        return len(registered - self._clients.served)

    def history(self) -> History:
        """Read the mails and the final rows, once the clients have ended, and return all that happened."""
        recorder = self._clients.recorder
        recorder.collect_mail(self._testbed.mailbox)
        with self._testbed.database.connect() as connection:
            recorder.read_rows(connection)
        return recorder.history()


def made_accounts(calls: Sequence[Call], since: float = 0) -> set[str]:
    """Return the addresses that were both registered and activated at the second `since`, or later."""
    began = [call for call in calls if call.begin >= since]
    registered = {call.address for call in began if call.status == 202}
    return registered & {call.address for call in began if call.status == 200}


class _Clients:
    _numbers = itertools.count(1)

    def __init__(self, recorder: Recorder, testbed: Testbed, mail_may_fail: bool) -> None:
        self.recorder, self._mailbox, self._mail_may_fail = recorder, testbed.mailbox, mail_may_fail
        self._database = testbed.database
        self._prefix = f"load{next(self._numbers)}"
        self._urls, self._guesses = [api.url for api in testbed.apis], testbed.max_attempts
        self._over, self._threads = threading.Event(), list[threading.Thread]()
        self.served = set[str]()

    @property
    def calls(self) -> list[Call]:
        return list(self.recorder.history().calls)

    def start(self) -> None:
        clients = [
            self.recorder.client(f"client {number + 1}", self._urls, ANSWER_SECONDS) for number in range(CLIENTS)
        ]
        self._threads = [
            threading.Thread(target=self._live, args=(number, client), daemon=True)
            for number, client in enumerate(clients)
        ]
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(END_SECONDS)
        if any(thread.is_alive() for thread in self._threads):
            raise ProcessError(f"Clients did not end within {END_SECONDS} seconds.")

    def _live(self, number: int, client: RecordingClient) -> None:
        turns = itertools.islice(itertools.cycle(range(len(self._urls))), number, None)
        for account in itertools.count(1):
            with suppress(MailError):  # a claim whose mail was not delivered: the next address has more luck
                self._make_account(client, f"{self._prefix}-{number}-{account}@example.com", number + account, turns)
            if self._over.wait(PAUSE_SECONDS):
                return

    def _make_account(self, client: RecordingClient, email: str, place: int, turns: Iterator[int]) -> None:
        passwords = [PASSWORD]
        if client.register(email, PASSWORD, next(turns)) != 202:  # it may have been carried out: somebody else comes
            passwords.insert(0, ANOTHER_PASSWORD)
            if client.register(email, ANOTHER_PASSWORD, next(turns)) != 202:
                return
        code = self._code_for(email, is_sure=len(passwords) == 1)
        self.served.add(email)
        if place % GUESSED_AT == 0:
            for _ in range(self._guesses):
                self._activate(client, email, passwords[0], wrong(code), turns)
            return
        for password in passwords:
            if self._activate(client, email, password, code, turns) == 200:
                return

    def _activate(
        self, client: RecordingClient, email: str, password: str, code: str, turns: Iterator[int]
    ) -> int | None:
        """Activate until that is judged, or the load is over, and return the last status."""
        while (status := client.activate(email, password, code, next(turns))) not in (200, 401):
            if self._over.wait(PAUSE_SECONDS):
                break
        return status

    def _code_for(self, email: str, *, is_sure: bool) -> str:
        """Return the code that comes by mail, or that of the table where it is not sure that one comes.

        Whose first registration was not answered may hold the address, and a second one then brings nobody a code.
        """
        deadline = time.monotonic() + MAIL_SECONDS
        while True:
            with suppress(MailError):
                return self._mailbox.code_for(email, seconds=0.5)
            if not is_sure and (code := self._code_in_table(email)):
                self.recorder.saw_code(email, code)
                return code
            given_up = self._over.is_set() and self._mail_may_fail  # what is sure to come belongs to the history
            if given_up or time.monotonic() > deadline:
                raise MailError(f"No code for {email} came.")

    def _code_in_table(self, email: str) -> str:
        """Return the code of the claim of an address; empty where there is none, or the database is gone again."""
        with suppress(DatabaseUnavailableError, psycopg.Error), self._database.connect() as connection:
            found = connection.execute(STORED_CODE, {"email": email}).fetchone()
            return str(found[0]) if found else ""
        return ""

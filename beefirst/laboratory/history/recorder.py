"""Writing down what clients ask and are answered, what comes by mail, and what the table holds meanwhile."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from psycopg import Connection

from beefirst.errors import AddressRefusedError
from beefirst.laboratory.clock import let_pass
from beefirst.laboratory.history.calls import Call, ClockStep, CodeMail, Fault, History, Kind, Row
from beefirst.laboratory.history.clients import RecordingClient
from beefirst.laboratory.history.database_clock import DatabaseClock
from beefirst.laboratory.mail_server import text_of
from beefirst.laboratory.mailbox import CODE, Mailbox
from beefirst.registration.credentials import normalise_address

ROWS = """
    SELECT email, state, attempt_count, password_hash IS NOT NULL, verification_code
      FROM registrations
     WHERE email = ANY (%(addresses)s)
"""


@dataclass
class Recorder:
    """Writes a history down; any number of threads may use it.

    Args:
        clock: measured while the database answered.
        ttl_seconds: of the service.
        max_attempts: of the service.
        mail_may_fail: as for `History`: to be set where mail, or a replica that owes some, is disturbed.
    """

    clock: DatabaseClock
    ttl_seconds: float
    max_attempts: int
    mail_may_fail: bool = False
    _calls: list[Call] = field(default_factory=list)
    _rows: list[Row] = field(default_factory=list)
    _mails: dict[tuple[str, str], CodeMail] = field(default_factory=dict)
    _steps: list[ClockStep] = field(default_factory=list)
    _faults: list[Fault] = field(default_factory=list)
    _names: dict[tuple[str, str], str] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._zero = self.clock.now()

    def now(self) -> float:
        """Return the seconds since the history began, by the database's clock."""
        return self.clock.now() - self._zero

    def client(self, name: str, urls: Sequence[str], patience_seconds: float = 30) -> RecordingClient:
        """Return a client whose every call is written down.

        Args:
            name: of the client, as the picture shows it.
            urls: of the replicas, in order.
            patience_seconds: after this it gives up.
        """
        return RecordingClient(name, urls, self, patience_seconds)

    def record(
        self, client: str, replica: int, kind: Kind, address: str, begin: float, status: int | None, **secret: str
    ) -> None:
        """Write one call down that has just ended.

        Args:
            client: who asked.
            replica: which one was asked.
            kind: what for.
            address: as it was sent.
            begin: what `now` returned just before it was sent.
            status: of the answer, or None.
            secret: password and, on activate, code; only names for them are kept.
        """
        end = self.now()
        email = normalised(address)
        password = self._name("password", secret["password"])
        code = self._name("code", secret["code"]) if "code" in secret else ""
        with self._lock:
            self._calls.append(Call(client, replica, kind, email, password, begin, end, status, code))

    def collect_mail(self, mailbox: Mailbox) -> dict[str, str]:
        """Write down every code that has come so far, and return the newest code of each address."""
        newest = {}
        for taken in mailbox.taken:
            if found := CODE.search(text_of(taken.message)):
                at = self.clock.of_unix(taken.at.timestamp()) - self._zero
                for address in taken.recipients:
                    newest[address] = found[1]
                    self.saw_code(address, found[1], at)
        return newest

    def saw_code(self, address: str, code: str, at: float | None = None) -> None:
        """Write down that a claim had this code, as when it was read from the table; once for each code.

        Args:
            address: normalised.
            code: four digits.
            at: when, as `now` tells it; now where left out.
        """
        name = self._name("code", code)
        with self._lock:
            self._mails.setdefault((address, name), CodeMail(address, name, self.now() if at is None else at))

    def read_rows(self, connection: Connection[Any]) -> list[Row]:
        """Write down, and return, what the table holds of every address of a call so far.

        Args:
            connection: to the database, in autocommit mode.
        """
        addresses = sorted({call.address for call in self._calls})
        begin = self.now()
        found = {row[0]: row[1:] for row in connection.execute(ROWS, {"addresses": addresses}).fetchall()}
        end = self.now()
        rows = [self._row(address, begin, end, found.get(address)) for address in addresses]
        with self._lock:
            self._rows += rows
        return rows

    def _row(self, address: str, begin: float, end: float, found: tuple[Any, ...] | None) -> Row:
        if found is None:
            return Row(address, begin, end)
        state, attempts, has_hash, code = found
        return Row(address, begin, end, state, attempts, has_hash, self._name("code", code))

    def let_pass(self, connection: Connection[Any], address: str, seconds: float) -> None:
        """Let time pass for an address, as `laboratory.clock` does, and write it down."""
        with self.clock_step(address, seconds):
            let_pass(connection, seconds, address)

    @contextmanager
    def clock_step(self, address: str, seconds: float) -> Iterator[None]:
        """Write down that time passes for an address at some moment of this block, as in a transaction of its own."""
        begin = self.now()
        try:
            yield
        finally:
            with self._lock:
                self._steps.append(ClockStep(address, seconds, begin, self.now()))

    @contextmanager
    def fault(self, name: str) -> Iterator[None]:
        """Write down that something is done to the service within this block."""
        begin = self.now()
        try:
            yield
        finally:
            with self._lock:
                self._faults.append(Fault(name, begin, self.now()))

    def history(self) -> History:
        """Return what has been written down so far, of the addresses that some call was about.

        What the table held of them before is not known: an address is one that nobody has claimed before.
        """
        with self._lock:
            called = {call.address for call in self._calls}
            history = History(
                self.ttl_seconds,
                self.max_attempts,
                sorted(self._calls, key=lambda call: call.begin),
                [mail for mail in self._mails.values() if mail.address in called],
                list(self._rows),
                list(self._steps),
                list(self._faults),
                self.mail_may_fail,
            )
        return replace(history, uncertainty=self.clock.uncertainty())

    def _name(self, kind: str, secret: str) -> str:
        """Return a name that tells whether two secrets are equal, and nothing else of them."""
        with self._lock:
            known = sum(of == kind for of, _ in self._names)
            return self._names.setdefault((kind, secret), f"{kind} {known + 1}")


def normalised(address: str) -> str:
    """Return an address as the table holds it; as it is where it is none."""
    try:
        return normalise_address(address)
    except AddressRefusedError:
        return address

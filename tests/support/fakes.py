"""Small stand-ins for the ports of the rules; each remembers what it was asked to do."""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TypeVar
from uuid import UUID, uuid4

from beefirst.errors import MailError, OverloadedError
from beefirst.registration.states import Claim, Holder, Judgement, State

Result = TypeVar("Result")

MIDNIGHT = datetime(2026, 1, 1, tzinfo=UTC)
TTL_SECONDS = 60
MAX_ATTEMPTS = 3


@dataclass
class Row:
    """What the store keeps of one address."""

    claim: Claim
    code: str
    since: datetime
    state: State = State.CLAIMED
    attempts: int = 0


@dataclass
class MemoryStore:
    """`registration.Store` in memory, with a clock that only `now` moves.

    Attributes:
        cooling: addresses that are cooling down.
        spent: addresses whose mails of the day are spent.
        judged: the codes that counted.
        refunded: the mails taken off a budget.
        looked_up: the addresses for which a claim was looked for.
    """

    now: datetime = MIDNIGHT
    rows: dict[str, Row] = field(default_factory=dict)
    cooling: set[str] = field(default_factory=set)
    spent: set[str] = field(default_factory=set)
    judged: list[str] = field(default_factory=list)
    refunded: list[tuple[str, datetime]] = field(default_factory=list)
    looked_up: list[str] = field(default_factory=list)

    async def claim(self, email: str, password_hash: str, code: str) -> Claim | None:
        if email in self.cooling or await self.find_holder(email):
            return None
        claim = Claim(uuid4(), email, password_hash, None if email in self.spent else self.now)
        self.rows[email] = Row(claim, code, self.now)
        return claim

    async def find_claim(self, email: str) -> Claim | None:
        self.looked_up.append(email)
        return self.rows[email].claim if email in self.rows and self._in_time(self.rows[email]) else None

    async def judge(self, claim: Claim, code: str) -> Judgement | None:
        row = self.rows[claim.email]
        if row.claim != claim or not self._in_time(row):
            return None
        self.judged.append(code)
        row.attempts += code != row.code
        row.state = (
            State.ACTIVE if code == row.code else State.LOCKED if row.attempts == MAX_ATTEMPTS else State.CLAIMED
        )
        return Judgement(row.state, row.attempts)

    async def release(self, claim: Claim) -> bool:
        row = self.rows[claim.email]
        was_claimed = row.claim == claim and row.state is State.CLAIMED
        row.state = State.EXPIRED if was_claimed else row.state
        return was_claimed

    async def find_holder(self, email: str) -> Holder | None:
        row = self.rows.get(email)
        return Holder(row.state, row.since) if row and (row.state is State.ACTIVE or self._in_time(row)) else None

    async def book_notice(self, email: str, holder: Holder) -> datetime | None:
        return None if email in self.spent else holder.notice_due_after

    async def refund_mail(self, email: str, mailed_at: datetime) -> None:
        self.refunded.append((email, mailed_at))

    async def expire_due(self) -> Sequence[UUID]:
        due = [row for row in self.rows.values() if row.state is State.CLAIMED and not self._in_time(row)]
        for row in due:
            row.state = State.EXPIRED
        return [row.claim.id for row in due]

    def let_pass(self, seconds: float = TTL_SECONDS) -> None:
        self.now += timedelta(seconds=seconds)

    def _in_time(self, row: Row) -> bool:
        return row.state is State.CLAIMED and self.now < row.since + timedelta(seconds=TTL_SECONDS)


@dataclass
class FakePasswords:
    """`registration.Passwords` without the work, with a salt that is never the same.

    Attributes:
        work: the kind of each hash that was computed, and when the time after it began and ended.
        meanwhile: what happens while a password is matched.
        salt: the number of the last hash.
        is_full: whether nobody gets a turn.
    """

    work: list[str] = field(default_factory=list)
    meanwhile: Callable[[], None] = lambda: None
    salt: int = 0
    is_full: bool = False

    @contextmanager
    def turn(self) -> Iterator[None]:
        if self.is_full:
            raise OverloadedError
        yield

    async def hash(self, password: str) -> str:
        self.work.append("hash")
        self.salt += 1
        return f"{self.salt}:{password}"

    async def match(self, password: str, password_hash: str | None) -> bool:
        self.work.append("match")
        self.meanwhile()
        return password_hash is not None and password_hash.partition(":")[2] == password

    async def even_out(self, work: Awaitable[Result]) -> Result:
        self.work.append("even out")
        result = await work
        self.work.append("answer")
        return result


@dataclass
class RecordingCourier:
    """`registration.Courier` that keeps what it is given, or fails.

    Attributes:
        sent: address and code, or address and state.
        fails: whether mail cannot be delivered.
    """

    sent: list[tuple[str, str]] = field(default_factory=list)
    fails: bool = False

    async def send_code(self, email: str, code: str) -> None:
        self._send(email, code)

    async def send_notice(self, email: str, state: State) -> None:
        self._send(email, state)

    def _send(self, email: str, what: str) -> None:
        if self.fails:
            raise MailError("A mail was not delivered.")
        self.sent.append((email, what))

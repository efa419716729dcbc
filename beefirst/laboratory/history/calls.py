"""What a history consists of, as data that a file can hold: no code, no password and no hash, but names for them."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Kind = Literal["register", "activate"]

ANSWERS: dict[Kind, frozenset[int]] = {"register": frozenset({202}), "activate": frozenset({200, 401})}
"""The statuses that tell that a call was carried out."""


@dataclass(frozen=True)
class Call:
    """One request of a client. Times are seconds on the database's clock since the history began.

    Attributes:
        client: who asked.
        replica: which replica was asked, from 0 on.
        kind: what for.
        address: normalised.
        password: a name for it, the same for equal ones.
        begin: just before it was sent.
        end: just after its answer came, or the client gave up.
        status: of the answer; None where none came.
        code: a name for the one that was tried, the same for equal ones; empty on register.
    """

    client: str
    replica: int
    kind: Kind
    address: str
    password: str
    begin: float
    end: float
    status: int | None = None
    code: str = ""

    @property
    def is_answered(self) -> bool:
        """Whether its answer says that it was carried out."""
        return self.status in ANSWERS[self.kind]

    @property
    def is_unknown(self) -> bool:
        """Whether it may have been carried out or not, also later: no answer, or one of 500 and above.

        README: "A request that a silent database took before it was answered with 503 may be carried out later".
        """
        return self.status is None or self.status >= 500


@dataclass(frozen=True)
class CodeMail:
    """A code that came by mail, or was seen in the table: a claim of the address that was made before brought it.

    Attributes:
        at: when it was there at the latest.
    """

    address: str
    code: str
    at: float


@dataclass(frozen=True)
class Row:
    """What the table held of an address between begin and end; the state is `none` where it held nothing."""

    address: str
    begin: float
    end: float
    state: str = "none"
    attempts: int = 0
    has_hash: bool = False
    code: str = ""


@dataclass(frozen=True)
class ClockStep:
    """Time that passed for an address at once, by `laboratory.clock`, between begin and end."""

    address: str
    seconds: float
    begin: float
    end: float


@dataclass(frozen=True)
class Fault:
    """What was done to the service between begin and end."""

    name: str
    begin: float
    end: float


@dataclass(frozen=True)
class History:
    """What was recorded, to be judged.

    Attributes:
        ttl_seconds: how long a claim lives.
        max_attempts: how many wrong codes end it.
        calls: of all clients.
        code_mails: the codes that came.
        rows: what the table held; the last of an address is the final one.
        clock_steps: time that was let pass.
        faults: what was done to the service.
        mail_may_fail: whether the mail of an answered claim may be lost, or the claim be released for it. Without it,
            each claim of an answered call must have its mail here.
        uncertainty: of the clock, in seconds.
    """

    ttl_seconds: float
    max_attempts: int
    calls: Sequence[Call]
    code_mails: Sequence[CodeMail] = ()
    rows: Sequence[Row] = ()
    clock_steps: Sequence[ClockStep] = ()
    faults: Sequence[Fault] = field(default=())
    mail_may_fail: bool = False
    uncertainty: float = 0.0

    @property
    def addresses(self) -> list[str]:
        """Every address that something is told of, in the order of their first calls."""
        called = [call.address for call in sorted(self.calls, key=lambda call: call.begin)]
        mailed, seen = [mail.address for mail in self.code_mails], [row.address for row in self.rows]
        return list(dict.fromkeys([*called, *mailed, *seen]))

    def final_row(self, address: str) -> Row | None:
        """Return what the table held of an address at last; None where nobody looked."""
        return max((row for row in self.rows if row.address == address), key=lambda row: row.end, default=None)

    def to_data(self) -> dict[str, Any]:
        """Return the history as JSON knows it."""
        return asdict(self)

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> "History":
        """Return the history that `to_data` has written, also after a file has held it."""
        kinds = {
            "calls": Call,
            "code_mails": CodeMail,
            "rows": Row,
            "clock_steps": ClockStep,
            "faults": Fault,
        }
        told = {name: tuple(kind(**it) for it in data.get(name, ())) for name, kind in kinds.items()}
        return cls(**{**data, **told})

"""Every statement of the service as it is asked in each situation, on tables that `many_rows.grow` has filled."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from psycopg import Connection

from beefirst.database import statements
from beefirst.database.registrations import BATCH, KEEP_HOURS, MAILS_A_DAY
from beefirst.laboratory.many_rows import TTL_SECONDS

HASH = "$2b$10$" + "y" * 53
NEW = {"code": "4321", "password_hash": "$2b$10$" + "z" * 53}
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)

LIMITS: dict[str, object] = {
    "ttl_seconds": TTL_SECONDS,
    "max_attempts": 3,
    "batch": BATCH,
    "mails_a_day": MAILS_A_DAY,
    "keep_hours": KEEP_HOURS,
}

SWEEPING = ("EXPIRE_DUE_CLAIMS", "DELETE_ENDED_REGISTRATIONS", "DELETE_FORGOTTEN_BUDGETS", "COUNT_OVERDUE_CLAIMS")

ADDRESSES = {
    "unknown": "000001200-unknown@asked.example.com",
    "account": "000000000-account@asked.example.com",
    "claimed": "000002500-claimed@asked.example.com",
    "overdue": "000005000-overdue@asked.example.com",
    "expired": "000007500-expired@asked.example.com",
    "locked": "000009900-locked@asked.example.com",
}

PEOPLE = """
    INSERT INTO registrations (email, password_hash, verification_code, state, attempt_count, created_at, activated_at)
    VALUES ('000000000-account@asked.example.com', %(hash)s, '1234', 'ACTIVE', 0, now(), now()),
           ('000002500-claimed@asked.example.com', %(hash)s, '1234', 'CLAIMED', 1, now(), NULL),
           ('000005000-overdue@asked.example.com', %(hash)s, '1234', 'CLAIMED', 1, now() - INTERVAL '2 hours', NULL),
           ('000007500-expired@asked.example.com', NULL, '1234', 'EXPIRED', 0, now() - INTERVAL '2 hours', NULL),
           ('000009900-locked@asked.example.com', NULL, '1234', 'LOCKED', 3, now() - INTERVAL '2 hours', NULL)
"""
BUDGETS = """
    INSERT INTO address_budgets (email, mailed_at)
    SELECT email, ARRAY[now()] FROM registrations WHERE email LIKE '00000____-_______@asked.example.com'
"""


@dataclass(frozen=True)
class Asked:
    """A statement in one situation.

    Attributes:
        name: of the statement, in the module of the service's statements.
        situation: in words.
        values: of its parameters.
    """

    name: str
    situation: str
    values: Mapping[str, object]

    @property
    def text(self) -> str:
        """The statement."""
        return str(getattr(statements, self.name))

    def __str__(self) -> str:
        return f"{self.name}, {self.situation}"


def statement_names() -> set[str]:
    """Return the names of all statements of the service."""
    return {name for name in vars(statements) if name.isupper()}


def add_people(connection: Connection[Any]) -> None:
    """Add one address in each situation, for `ask_all`.

    Args:
        connection: to a migrated database, in autocommit mode.
    """
    connection.execute(PEOPLE, {"hash": HASH})
    connection.execute(BUDGETS)


def ask_all(connection: Connection[Any]) -> list[Asked]:
    """Return every statement in each situation; what is due are the overdue claim and what `many_rows.add_due` adds.

    Args:
        connection: to the database, after `add_people`.
    """
    found = connection.execute("SELECT id FROM registrations WHERE email = %s", [ADDRESSES["claimed"]]).fetchone()
    claim = {"id": found[0] if found else None, "password_hash": HASH}
    asked: list[tuple[str, str, Mapping[str, object]]] = [
        *(("CLAIM_ADDRESS", whose, {"email": ADDRESSES[whose], **NEW}) for whose in ADDRESSES),
        *(("FIND_CLAIM", whose, {"email": ADDRESSES[whose]}) for whose in ("claimed", "unknown")),
        *(("FIND_HOLDER", whose, {"email": ADDRESSES[whose]}) for whose in ("account", "claimed", "unknown")),
        ("JUDGE_CODE", "right", claim | {"code": "1234"}),
        ("JUDGE_CODE", "wrong", claim | {"code": "4321"}),
        ("RELEASE_CLAIM", "claimed", claim),
        ("BOOK_NOTICE", "account", {"email": ADDRESSES["account"], "notice_due_after": datetime.now(UTC)}),
        ("REFUND_MAIL", "claimed", {"email": ADDRESSES["claimed"], "mailed_at": LONG_AGO}),
        *((name, "due", {}) for name in SWEEPING),
    ]
    return [Asked(name, situation, {**LIMITS, **values}) for name, situation, values in asked]

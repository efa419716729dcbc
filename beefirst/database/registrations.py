"""The SQL of registrations: each change of state is one statement, and all time is the database's."""

from collections.abc import Mapping
from datetime import datetime
from typing import LiteralString

from psycopg.rows import class_row

from beefirst.database.time_limit import Connection
from beefirst.registration.states import MAILS_A_DAY, Claim, Holder, Judgement, State

# Claims the address where `can_be_claimed` says so, and books the mail that is to follow.
CLAIM_ADDRESS = """
    WITH claimed AS (
        INSERT INTO registrations AS held (email, password_hash, verification_code, created_at)
        SELECT %(email)s::text, %(password_hash)s::text, %(code)s::text, clock_timestamp()
         WHERE can_be_claimed(%(email)s::text, NULL, NULL, make_interval(secs => %(ttl_seconds)s))
            ON CONFLICT (email) DO UPDATE
           SET state             = 'CLAIMED',
               password_hash     = excluded.password_hash,
               verification_code = excluded.verification_code,
               attempt_count     = 0,
               created_at        = clock_timestamp(),
               activated_at      = NULL
         WHERE can_be_claimed(held.email, held.state, held.created_at, make_interval(secs => %(ttl_seconds)s))
        RETURNING held.id, held.email, held.password_hash
    ), booked AS (
        INSERT INTO address_budgets AS budget (email, mailed_at)
        SELECT email, ARRAY[clock_timestamp()]
          FROM claimed
            ON CONFLICT (email) DO UPDATE
           SET mailed_at  = mails_of_a_day(budget.mailed_at) || excluded.mailed_at,
               touched_at = clock_timestamp()
         WHERE cardinality(mails_of_a_day(budget.mailed_at)) < %(mails_a_day)s
        RETURNING mailed_at[cardinality(mailed_at)] AS mailed_at
    )
    SELECT id, email, password_hash, mailed_at
      FROM claimed
      LEFT JOIN booked ON TRUE
"""

# Reads without a lock whom a password is to be checked against.
FIND_CLAIM = """
    SELECT id, email, password_hash
      FROM registrations
     WHERE email = %(email)s
       AND state = 'CLAIMED'
       AND password_hash IS NOT NULL
       AND created_at > clock_timestamp() - make_interval(secs => %(ttl_seconds)s)
"""

# Lets one code count against one claim, under its row's lock, and a wrong one against its address.
JUDGE_CODE = """
    WITH judged AS (
        UPDATE registrations
           SET state         = CASE WHEN verification_code = %(code)s::bpchar          THEN 'ACTIVE'
                                    WHEN attempt_count + 1 >= %(max_attempts)s THEN 'LOCKED'
                                    ELSE 'CLAIMED' END,
               password_hash = CASE WHEN verification_code = %(code)s::bpchar          THEN password_hash
                                    WHEN attempt_count + 1 >= %(max_attempts)s THEN NULL
                                    ELSE password_hash END,
               attempt_count = CASE WHEN verification_code = %(code)s::bpchar          THEN attempt_count
                                    ELSE attempt_count + 1 END,
               activated_at  = CASE WHEN verification_code = %(code)s::bpchar          THEN clock_timestamp() END
         WHERE id = %(id)s
           AND password_hash = %(password_hash)s
           AND state = 'CLAIMED'
           AND attempt_count < %(max_attempts)s
           AND created_at > clock_timestamp() - make_interval(secs => %(ttl_seconds)s)
        RETURNING email, state, attempt_count
    )
    SELECT state,
           attempt_count AS attempts,
           CASE WHEN state <> 'ACTIVE'
                THEN count_wrong_guess(email, %(max_attempts)s, make_interval(secs => %(ttl_seconds)s)) END
      FROM judged
"""

# Ends a claim whose code cannot be delivered.
RELEASE_CLAIM = """
    UPDATE registrations
       SET state = 'EXPIRED', password_hash = NULL
     WHERE id = %(id)s
       AND password_hash = %(password_hash)s
       AND state = 'CLAIMED'
    RETURNING id
"""

# Who holds an address, and since when another notice to that owner is one too many.
FIND_HOLDER = """
    SELECT state,
           CASE WHEN state = 'ACTIVE' THEN clock_timestamp() - INTERVAL '24 hours' ELSE created_at END
      FROM registrations
     WHERE email = %(email)s
       AND (state = 'ACTIVE'
            OR (state = 'CLAIMED' AND created_at > clock_timestamp() - make_interval(secs => %(ttl_seconds)s)))
"""

# Books a notice where none was sent too lately and the address may get another mail today.
BOOK_NOTICE = """
    INSERT INTO address_budgets AS budget (email, mailed_at, noticed_at)
    SELECT %(email)s::text, ARRAY[at], at
      FROM clock_timestamp() AS at
        ON CONFLICT (email) DO UPDATE
       SET mailed_at  = mails_of_a_day(budget.mailed_at) || excluded.mailed_at,
           noticed_at = excluded.noticed_at,
           touched_at = clock_timestamp()
     WHERE cardinality(mails_of_a_day(budget.mailed_at)) < %(mails_a_day)s
       AND coalesce(budget.noticed_at <= %(notice_due_after)s, TRUE)
    RETURNING noticed_at
"""

# Takes a mail that never left off the budget.
REFUND_MAIL = """
    UPDATE address_budgets
       SET mailed_at  = array_remove(mailed_at, %(mailed_at)s),
           noticed_at = nullif(noticed_at, %(mailed_at)s)
     WHERE email = %(email)s
"""


async def claim_address(
    connection: Connection, email: str, password_hash: str, code: str, ttl_seconds: float
) -> Claim | None:
    """Claim an address and book the mail that is to follow; None where the address is taken or cooling down.

    Args:
        connection: as for all functions here, in autocommit mode.
        email: normalised.
        password_hash: by bcrypt.
        code: four digits.
        ttl_seconds: after so long an earlier claim is free for the taking.
    """
    values = {"email": email, "password_hash": password_hash, "code": code, "ttl_seconds": ttl_seconds}
    return await _fetch_claim(connection, CLAIM_ADDRESS, values | {"mails_a_day": MAILS_A_DAY})


async def find_claim(connection: Connection, email: str, ttl_seconds: float) -> Claim | None:
    """Return the claim on an address that is still to be proven in time."""
    return await _fetch_claim(connection, FIND_CLAIM, {"email": email, "ttl_seconds": ttl_seconds})


async def judge_code(
    connection: Connection, claim: Claim, code: str, max_attempts: int, ttl_seconds: float
) -> Judgement | None:
    """Let a code count against this very claim, and a wrong one against its address; None where the claim is over."""
    values = {"id": claim.id, "password_hash": claim.password_hash, "code": code}
    limits = {"max_attempts": max_attempts, "ttl_seconds": ttl_seconds}
    row = await (await connection.execute(JUDGE_CODE, values | limits)).fetchone()
    return Judgement(State(row[0]), row[1]) if row else None


async def release_claim(connection: Connection, claim: Claim) -> bool:
    """End this very claim as EXPIRED, and tell whether it still was one."""
    values = {"id": claim.id, "password_hash": claim.password_hash}
    return (await connection.execute(RELEASE_CLAIM, values)).rowcount == 1


async def find_holder(connection: Connection, email: str, ttl_seconds: float) -> Holder | None:
    """Return who holds an address, if somebody does."""
    row = await (await connection.execute(FIND_HOLDER, {"email": email, "ttl_seconds": ttl_seconds})).fetchone()
    return Holder(State(row[0]), row[1]) if row else None


async def book_notice(connection: Connection, email: str, notice_due_after: datetime) -> datetime | None:
    """Book a notice on the budget of an address; None where one is not due or the day's mails are spent."""
    values = {"email": email, "notice_due_after": notice_due_after, "mails_a_day": MAILS_A_DAY}
    row = await (await connection.execute(BOOK_NOTICE, values)).fetchone()
    return row[0] if row else None


async def refund_mail(connection: Connection, email: str, mailed_at: datetime) -> None:
    """Take a mail that never left off the budget of an address."""
    await connection.execute(REFUND_MAIL, {"email": email, "mailed_at": mailed_at})


async def _fetch_claim(connection: Connection, statement: LiteralString, values: Mapping[str, object]) -> Claim | None:
    async with connection.cursor(row_factory=class_row(Claim)) as cursor:
        return await (await cursor.execute(statement, values)).fetchone()

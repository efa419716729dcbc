"""The SQL of the sweeper: it ends what is past its time and forgets what is old, in batches that hold nobody up."""

from uuid import UUID

from psycopg.rows import scalar_row

from beefirst.database.time_limit import Connection

BATCH = 25
"""Rows that one statement of the sweeper touches: few, so that no request waits long for its locks, its events, or a
core of the database's. On two cores, batches of 100 sweep a quarter faster but treble the p99 of other requests."""

KEEP_HOURS = 24
"""How long EXPIRED and LOCKED rows, and the budget of an address that nobody touches, are kept."""

# In each of these ARRAY has the batch chosen once. With IN, a plan may choose it anew for every row, and take them all.

# Ends a batch of claims past their time. now() rather than clock_timestamp(), which no index can serve.
EXPIRE_DUE_CLAIMS = """
    UPDATE registrations
       SET state = 'EXPIRED', password_hash = NULL
     WHERE id = ANY (ARRAY(SELECT id
                             FROM registrations
                            WHERE state = 'CLAIMED'
                              AND created_at <= now() - make_interval(secs => %(ttl_seconds)s)
                            ORDER BY created_at
                            LIMIT %(batch)s
                              FOR UPDATE SKIP LOCKED))
    RETURNING id
"""

# Forgets registrations that ended a day ago.
DELETE_ENDED_REGISTRATIONS = """
    DELETE FROM registrations
     WHERE id = ANY (ARRAY(SELECT id
                             FROM registrations
                            WHERE state IN ('EXPIRED', 'LOCKED')
                              AND created_at <= now() - make_interval(hours => %(keep_hours)s)
                            ORDER BY created_at
                            LIMIT %(batch)s
                              FOR UPDATE SKIP LOCKED))
    RETURNING id
"""

# Forgets budgets that nobody has touched for a day.
DELETE_FORGOTTEN_BUDGETS = """
    DELETE FROM address_budgets
     WHERE email = ANY (ARRAY(SELECT email
                                FROM address_budgets
                               WHERE touched_at <= now() - make_interval(hours => %(keep_hours)s)
                               ORDER BY touched_at
                               LIMIT %(batch)s
                                 FOR UPDATE SKIP LOCKED))
    RETURNING email
"""

# Counts the claims past their time that no sweeper has ended yet.
COUNT_OVERDUE_CLAIMS = """
    SELECT count(*)
      FROM registrations
     WHERE state = 'CLAIMED'
       AND created_at <= now() - make_interval(secs => %(ttl_seconds)s)
"""


async def expire_due_claims(connection: Connection, ttl_seconds: float, batch: int = BATCH) -> list[UUID]:
    """End at most `batch` claims past their time, erase their hashes, and return their ids."""
    async with connection.cursor(row_factory=scalar_row) as cursor:
        await cursor.execute(EXPIRE_DUE_CLAIMS, {"ttl_seconds": ttl_seconds, "batch": batch})
        return await cursor.fetchall()


async def delete_ended_registrations(connection: Connection, batch: int = BATCH) -> int:
    """Delete at most `batch` registrations that were claimed KEEP_HOURS ago and never proven, and count them."""
    values = {"keep_hours": KEEP_HOURS, "batch": batch}
    return (await connection.execute(DELETE_ENDED_REGISTRATIONS, values)).rowcount


async def delete_forgotten_budgets(connection: Connection, batch: int = BATCH) -> int:
    """Delete at most `batch` budgets that were not touched for KEEP_HOURS, and count them."""
    values = {"keep_hours": KEEP_HOURS, "batch": batch}
    return (await connection.execute(DELETE_FORGOTTEN_BUDGETS, values)).rowcount


async def count_overdue_claims(connection: Connection, ttl_seconds: float) -> int:
    """Count the claims past their time that no sweeper has ended yet."""
    row = await (await connection.execute(COUNT_OVERDUE_CLAIMS, {"ttl_seconds": ttl_seconds})).fetchone()
    return int(row[0]) if row else 0

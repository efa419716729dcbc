"""Tables as they are after years: millions of registrations and budgets, made within seconds, past no guard."""

from collections.abc import Callable
from typing import Any

from psycopg import Connection

TTL_SECONDS = 3600
"""Claims that are not due stay so while somebody measures: the longest that the service takes."""

CHUNK = 100_000
"""Rows of one statement, after which its progress is told."""

# Of a hundred addresses 80 have an account, 15 have expired and 4 were locked within the last day, and one is claimed.
# Ids and addresses ascend, so that an index is filled as fast as it can be; those that come later fall in between.
REGISTRATIONS = """
    INSERT INTO registrations
           (id, email, password_hash, verification_code, state, attempt_count, created_at, activated_at)
    SELECT (lpad(to_hex(number * (4294967295 / %(rows)s)), 8, '0') || lpad(number::text, 24, '0'))::uuid,
           lpad(number::text, 9, '0') || '@grown.example.com',
           CASE WHEN state IN ('ACTIVE', 'CLAIMED') THEN '$2b$10$' || rpad(number::text, 53, 'x') END,
           lpad((number %% 10000)::text, 4, '0'),
           state,
           CASE state WHEN 'LOCKED' THEN 3 ELSE 0 END,
           CASE state WHEN 'ACTIVE'  THEN now() - number * INTERVAL '3 seconds' - INTERVAL '1 day'
                      WHEN 'CLAIMED' THEN now() - number %% 600 * INTERVAL '1 second'
                      ELSE                now() - number %% 80000 * INTERVAL '1 second' - INTERVAL '1 hour' END,
           CASE state WHEN 'ACTIVE'  THEN now() - number * INTERVAL '3 seconds' - INTERVAL '23 hours' END
      FROM generate_series(%(first)s::bigint, %(last)s::bigint) AS number,
           LATERAL (SELECT CASE WHEN number %% 100 < 80 THEN 'ACTIVE'
                                WHEN number %% 100 < 95 THEN 'EXPIRED'
                                WHEN number %% 100 < 99 THEN 'LOCKED'
                                ELSE 'CLAIMED' END AS state) AS drawn
"""

BUDGETS = """
    INSERT INTO address_budgets (email, wrong_guesses, mailed_at, touched_at)
    SELECT lpad(number::text, 9, '0') || '@grown.example.com', number %% 3, ARRAY[at], at
      FROM generate_series(%(first)s::bigint, %(last)s::bigint) AS number,
           LATERAL (SELECT now() - number %% 80000 * INTERVAL '1 second' AS at) AS drawn
"""

DUE_REGISTRATIONS = """
    INSERT INTO registrations (email, password_hash, verification_code, state, created_at)
    SELECT lpad((number * 97)::text, 9, '0') || '-' || lower(state) || '@due.example.com',
           CASE state WHEN 'CLAIMED' THEN '$2b$10$' || rpad('', 53, 'x') END,
           '1234',
           state,
           now() - number * INTERVAL '1 millisecond' - INTERVAL '1 day'
      FROM generate_series(1, %(count)s::int) AS number, unnest(ARRAY['CLAIMED', 'EXPIRED']) AS state
"""

DUE_BUDGETS = """
    INSERT INTO address_budgets (email, touched_at)
    SELECT lpad((number * 97)::text, 9, '0') || '@due.example.com',
           now() - number * INTERVAL '1 millisecond' - INTERVAL '1 day'
      FROM generate_series(1, %(count)s::int) AS number
"""


def grow(connection: Connection[Any], rows: int, tell: Callable[[int], object] = lambda _: None) -> None:
    """Fill empty tables with registrations in every state, and as many budgets, of which nothing is due for an hour.

    The planner's statistics stay what they are.

    Args:
        connection: to a migrated database, in autocommit mode.
        rows: how many each of the two tables gets.
        tell: learns after each chunk how many are there.
    """
    for first in range(1, rows + 1, CHUNK):
        part = {"rows": rows, "first": first, "last": min(first + CHUNK - 1, rows)}
        connection.execute(REGISTRATIONS, part)
        connection.execute(BUDGETS, part)
        tell(part["last"])


def add_due(connection: Connection[Any], count: int) -> None:
    """Add what a sweep has to end or to forget: claims, ended registrations and budgets, as many of each.

    Args:
        connection: to a migrated database, in autocommit mode.
        count: how many of each.
    """
    connection.execute(DUE_REGISTRATIONS, {"count": count})
    connection.execute(DUE_BUDGETS, {"count": count})


def grown_address(number: int) -> str:
    """Return an address that `grow` has made.

    Args:
        number: from 1; by its last two digits it is an account (00 to 79), expired (to 94), locked (to 98) or claimed.
    """
    return f"{number:09}@grown.example.com"

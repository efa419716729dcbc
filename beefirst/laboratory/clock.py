"""Letting time pass for what the database remembers: the one place that moves its times into the past."""

from typing import Any

from psycopg import Connection

# An ACTIVE row changes no more, and nothing about it depends on when it was claimed.
AGE_REGISTRATIONS = """
    UPDATE registrations
       SET created_at = created_at - make_interval(secs => %(seconds)s)
     WHERE state <> 'ACTIVE'
       AND coalesce(email = %(email)s, TRUE)
"""
AGE_BUDGETS = """
    UPDATE address_budgets
       SET guessed_at    = guessed_at    - make_interval(secs => %(seconds)s),
           cooling_until = cooling_until - make_interval(secs => %(seconds)s),
           noticed_at    = noticed_at    - make_interval(secs => %(seconds)s),
           touched_at    = touched_at    - make_interval(secs => %(seconds)s),
           mailed_at     = ARRAY(SELECT at - make_interval(secs => %(seconds)s) FROM unnest(mailed_at) AS at)
     WHERE coalesce(email = %(email)s, TRUE)
"""


def let_pass(connection: Connection[Any], seconds: float, email: str | None = None) -> None:
    """Make all that the database remembers so much older.

    Args:
        connection: to a database with the service's tables.
        seconds: how much older.
        email: the one address, normalised, for which time passes; all of them where left out.
    """
    values = {"seconds": seconds, "email": email}
    connection.execute(AGE_REGISTRATIONS, values)
    connection.execute(AGE_BUDGETS, values)

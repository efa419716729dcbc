"""What becomes of the tables' size where addresses are claimed, expire, and are claimed anew, over and over."""

import random
from collections.abc import Iterator
from time import monotonic
from typing import Any

from psycopg import Connection

from beefirst.database import statements
from beefirst.database.pool import PLANNING
from beefirst.database.registrations import BATCH, KEEP_HOURS, MAILS_A_DAY
from beefirst.laboratory.many_rows import TTL_SECONDS
from beefirst.laboratory.query_plans import explain
from beefirst.laboratory.scratch_database import connect

LOOKS = 20
"""So often the sizes are read, at even distances."""

LIMITS: dict[str, Any] = {"mails_a_day": MAILS_A_DAY, "batch": BATCH, "keep_hours": KEEP_HOURS, "code": "1234"}

SIZES = """
    SELECT sum(pg_table_size(oid)) FILTER (WHERE relkind = 'r')::bigint,
           sum(pg_relation_size(oid)) FILTER (WHERE relkind = 'i')::bigint,
           jsonb_object_agg(relname, pg_relation_size(oid))
      FROM pg_class
     WHERE relname ~ '^(registrations|address_budgets)' AND relkind IN ('r', 'i')
"""
STATISTICS = """
    SELECT jsonb_object_agg(relname, jsonb_build_object(
               'updates', n_tup_upd, 'hot_updates', n_tup_hot_upd, 'dead_rows', n_dead_tup, 'live_rows', n_live_tup,
               'autovacuums', autovacuum_count))
      FROM pg_stat_user_tables
     WHERE relname IN ('registrations', 'address_budgets')
"""


def run_cycles(url: str, cycles: int, addresses: int, seconds: float) -> dict[str, Any]:
    """Claim and end claims, each by the service's statement, and return how large the tables were in between.

    Args:
        url: of a migrated database.
        cycles: how many claims are made and ended.
        addresses: among how many, in random order.
        seconds: after so long it ends, and says how many there were.
    """
    looks, began, done = list[dict[str, Any]](), monotonic(), 0
    every = max(1, cycles // LOOKS // BATCH) * BATCH
    with connect(url, **PLANNING) as connection:
        batches = _batches(addresses)
        while done < cycles and monotonic() - began < seconds:
            _claim(connection, next(batches), done)
            connection.execute(statements.EXPIRE_DUE_CLAIMS, LIMITS | {"ttl_seconds": 0})
            done += BATCH
            if done % every == 0 or done == max(BATCH, addresses // BATCH * BATCH):
                looks.append(_look(connection, done, monotonic() - began))
                print(f"  {done} cycles, {looks[-1]['seconds']} s, {looks[-1]['megabytes']} MB", flush=True)
    return {"cycles": done, "addresses": addresses, "seconds": round(monotonic() - began, 1), "looks": looks}


def _batches(addresses: int) -> Iterator[list[str]]:
    order = random.Random(15)
    numbers = list(range(addresses))
    while True:
        order.shuffle(numbers)
        for first in range(0, addresses, BATCH):
            yield [f"{number * 997:09}@cycled.example.com" for number in numbers[first : first + BATCH]]


def _claim(connection: Connection[Any], emails: list[str], done: int) -> None:
    with connection.pipeline():
        for place, email in enumerate(emails):
            own = {"email": email, "password_hash": f"$2b$10${done + place:053}", "ttl_seconds": TTL_SECONDS}
            connection.execute(statements.CLAIM_ADDRESS, LIMITS | own)


def _look(connection: Connection[Any], done: int, seconds: float) -> dict[str, Any]:
    ((tables, indexes, each),) = connection.execute(SIZES).fetchall()
    ((statistics,),) = connection.execute(STATISTICS).fetchall()
    sweeps = [statements.EXPIRE_DUE_CLAIMS, statements.DELETE_ENDED_REGISTRATIONS, statements.DELETE_FORGOTTEN_BUDGETS]
    nothing_due = [explain(connection, statement, LIMITS | {"ttl_seconds": TTL_SECONDS}) for statement in sweeps]
    return {
        "cycles": done,
        "seconds": round(seconds, 1),
        "megabytes": round((tables + indexes) / 1e6, 1),
        "table_megabytes": round(tables / 1e6, 1),
        "index_megabytes": round(indexes / 1e6, 1),
        "bytes": each,
        "pages_of_a_sweep_with_nothing_due": [plan.buffers for plan in nothing_due],
        "milliseconds_of_it": [round(plan.milliseconds, 3) for plan in nothing_due],
        **statistics,
    }

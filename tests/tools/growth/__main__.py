"""Register, activate and sweep on tables of many rows, beside empty ones in the same minute; and how large they become.

python -m tests.tools.growth --rows 0 1000000 10000000 --cycles 1000000

It needs about 5 GB of disk for ten million rows, on a server of its own, and writes last_run.json beside this file.
"""

import argparse
import json
import os
import platform
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from beefirst.laboratory.asked_statements import add_people
from beefirst.laboratory.many_rows import add_due, grow
from beefirst.laboratory.own_server import OwnServer
from beefirst.laboratory.scratch_database import ScratchDatabase, connect
from beefirst.machine.folders import CHECKOUT
from tests.support.databases import apply
from tests.tools.growth.as_sql import compare_statements
from tests.tools.growth.cycles import run_cycles
from tests.tools.growth.over_http import compare_requests

LAST_RUN = Path(__file__).with_name("last_run.json")

DUE = 50
TOLD_EVERY = 500_000

FULL_CYCLES = 0.1
"""Of the cycles on empty tables, so many are run on the fullest ones as well."""


END_CLAIMS = "UPDATE registrations SET state = 'EXPIRED', password_hash = NULL WHERE state = 'CLAIMED'"


def main() -> None:
    """Measure, and write what was measured after each part of it."""
    wanted = _read_arguments()
    run: dict[str, Any] = {"measured": _describe_machine(), "sizes": []}
    with OwnServer() as server:
        for rows in wanted.rows:
            # Each with empty tables of its own: what was due in them is gone once an API has run on them.
            with _prepared(server.url, 0) as empty, _prepared(server.url, rows) as full:
                run["sizes"].append(_compare(empty.url, full.url, rows))
                _write(run)
                if rows == max(wanted.rows) and rows:
                    _end_all_claims(full.url)
                    run["cycles_on_full_tables"] = _cycle(full.url, wanted, FULL_CYCLES) | {"rows": rows}
        with ScratchDatabase(server.url) as database:
            apply(database.url)
            run["cycles"] = _cycle(database.url, wanted)
        _write(run)


def _read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[0, 1_000_000, 10_000_000])
    parser.add_argument("--cycles", type=int, default=1_000_000, help="claims that are made and expire")
    parser.add_argument("--addresses", type=int, default=10_000, help="among how many addresses")
    parser.add_argument("--seconds", type=float, default=600, help="after which cycles end, however many there were")
    return parser.parse_args()


@contextmanager
def _prepared(server: str, rows: int) -> Iterator[ScratchDatabase]:
    began = time.monotonic()

    def tell(done: int) -> None:
        if done % TOLD_EVERY == 0:
            print(f"{done} of {rows} rows, {time.monotonic() - began:.0f} s", flush=True)

    with ScratchDatabase(server) as database:
        apply(database.url)
        with connect(database.url) as connection:
            grow(connection, rows, tell)
            add_due(connection, DUE)
            add_people(connection)
        yield database


def _compare(empty: str, full: str, rows: int) -> dict[str, Any]:
    found = {"rows": rows, "sql": compare_statements(empty, full), "http": compare_requests(empty, full)}
    for figure in [*found["sql"], *found["http"]]:
        name = figure.get("request") or f"{figure['statement']}, {figure['situation']}"
        print(
            f"{name}: {figure['milliseconds_empty']} ms empty, {figure['milliseconds']} ms at {rows} rows", flush=True
        )
    return found


def _end_all_claims(url: str) -> None:
    """End the claims that were there from the start: cycles end the oldest first, and would never reach their own."""
    with connect(url) as connection:
        connection.execute(END_CLAIMS)
        connection.execute("VACUUM (ANALYZE) registrations")


def _cycle(url: str, wanted: argparse.Namespace, share: float = 1) -> dict[str, Any]:
    return run_cycles(url, round(wanted.cycles * share), wanted.addresses, wanted.seconds * share)


def _describe_machine() -> dict[str, Any]:
    words = ("git", "-C", str(CHECKOUT), "rev-parse", "--short", "HEAD")
    commit = subprocess.run(words, capture_output=True, text=True, timeout=10, check=False).stdout.strip()
    return {
        "date": datetime.now(UTC).isoformat(timespec="minutes"),
        "commit": commit,
        "cores": len(os.sched_getaffinity(0)),
        "machine": platform.machine(),
        "load_before": round(os.getloadavg()[0], 1),
    }


def _write(run: dict[str, Any]) -> None:
    LAST_RUN.write_text(json.dumps(run, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

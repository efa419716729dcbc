"""The same statements on an empty table and on large ones: whether they cost what they find or what there is."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
from psycopg import Connection

from beefirst.database.migration_files import read_migrations
from beefirst.database.pool import PLANNING
from beefirst.evaluation.display.growth import times_by_rows
from beefirst.evaluation.evidence import Evidence, compare
from beefirst.evaluation.procedure import Observed, experiment
from beefirst.laboratory.asked_statements import Asked, add_people, ask_all
from beefirst.laboratory.many_rows import add_due, grow
from beefirst.laboratory.query_plans import explain_prepared, time_undone
from beefirst.laboratory.scratch_database import ScratchDatabase, connect
from beefirst.machine.folders import MIGRATIONS

SIZES = (0, 10_000, 100_000)

STEPS = {
    "register": ("CLAIM_ADDRESS, unknown",),
    "activate": ("FIND_CLAIM, claimed", "JUDGE_CODE, right"),
    "sweep": ("EXPIRE_DUE_CLAIMS, due", "DELETE_ENDED_REGISTRATIONS, due", "DELETE_FORGOTTEN_BUDGETS, due"),
}
"""The statements of each, as `asked_statements` calls them."""

DUE = 25
"""Of each kind; as many in every table."""

TURNS = 25

TWICE, SLACK = 2, 12
"""How much more pages may be looked at: an index of many rows is a level deeper, or two."""

LARGEST_RATIO = 4
"""Of two medians, on a machine that may be busy; what reads a whole table takes a hundred times as long."""


def _judge_growth(seen: pd.DataFrame, sizes: Sequence[int]) -> Evidence:
    rows, said = list[tuple[object, ...]](), list[str]()
    for step in STEPS:
        own = seen[seen["step"] == step]
        pages = own.drop_duplicates("rows").set_index("rows")["pages"]
        times = own.groupby("rows")["milliseconds"].median()
        most, ratio = TWICE * pages[sizes[0]] + SLACK, times[sizes[-1]] / times[sizes[0]]
        rows += [
            (f"{step}: pages at {sizes[-1]:,} rows, {pages[sizes[-1]]}, are {most} at most",
             _word(pages[sizes[-1]] <= most), "yes"),
            (f"{step}: tables that are read as a whole", ", ".join(sorted(set(own["whole"]) - {""})) or "none", "none"),
            (f"{step}: {ratio:.2f} times the empty table's time, {LARGEST_RATIO} at most",
             _word(ratio <= LARGEST_RATIO), "yes"),
        ]  # fmt: skip
        said.append(f"{step} {times[sizes[0]]:.2f} and {times[sizes[-1]]:.2f} ms")
    evidence = compare(f"on an empty table and on {sizes[-1]:,} rows: {'; '.join(said)}", rows)
    return replace(evidence, picture=times_by_rows(seen))


def _word(holds: object) -> str:
    return "yes" if holds else "no"


@experiment(_judge_growth)
def table_growth(sizes: Sequence[int] = SIZES, migrations: Path = MIGRATIONS, turns: int = TURNS) -> Observed:
    """Run the statements of the service in turns on tables of several sizes, each with as much due, and undo them.

    Args:
        sizes: how many rows there are, first the least.
        migrations: the folder of the files that make the tables.
        turns: how often each is timed.
    """
    with ExitStack() as tables:
        connections = [tables.enter_context(_grown(rows, migrations)) for rows in sizes]
        seen = list(_measure(sizes, connections, turns))
    columns = ["step", "rows", "turn", "milliseconds", "pages", "whole"]
    return {"seen": pd.DataFrame(seen, columns=columns), "sizes": list(sizes)}


@contextmanager
def _grown(rows: int, migrations: Path) -> Iterator[Connection[Any]]:
    with ScratchDatabase() as database, connect(database.url, **PLANNING) as connection:
        for migration in read_migrations(migrations):
            connection.execute(migration.sql.encode())
        grow(connection, rows)
        add_due(connection, DUE)
        add_people(connection)
        yield connection


def _measure(
    sizes: Sequence[int], connections: Sequence[Connection[Any]], turns: int
) -> Iterator[tuple[str, int, int, float, int, str]]:
    asked = [_by_step(ask_all(connection)) for connection in connections]
    plans = [
        {step: [explain_prepared(connection, it.text, it.values) for it in its] for step, its in each.items()}
        for connection, each in zip(connections, asked, strict=True)
    ]
    for turn in range(turns):
        for rows, connection, each, planned in zip(sizes, connections, asked, plans, strict=True):
            for step, its in each.items():
                whole = sorted({table for plan in planned[step] for table in plan.scanned})
                taken = sum(time_undone(connection, it.text, it.values) for it in its)
                pages = sum(plan.buffers for plan in planned[step])
                yield step, rows, turn, round(taken, 4), pages, ", ".join(whole)


def _by_step(asked: Sequence[Asked]) -> dict[str, list[Asked]]:
    each = {str(it): it for it in asked}
    return {step: [each[name] for name in names] for step, names in STEPS.items()}

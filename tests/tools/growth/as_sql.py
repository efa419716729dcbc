"""Each statement on full tables, beside the same one on empty tables a moment before."""

from collections import defaultdict
from collections.abc import Sequence
from statistics import median
from typing import Any

from psycopg import Connection

from beefirst.database.pool import PLANNING
from beefirst.laboratory.asked_statements import SWEEPING, Asked, ask_all
from beefirst.laboratory.query_plans import explain_prepared, time_undone
from beefirst.laboratory.scratch_database import connect

ROUNDS, SWEEPS = 200, 30
"""What is undone leaves dead rows, as many in each: a sweep that of every row that it ends."""


def compare_statements(empty: str, full: str) -> list[dict[str, Any]]:
    """Return for each statement its median time and its pages on full tables, beside those on empty ones.

    Args:
        empty: URL of the database with nothing but what is due and somebody in each situation.
        full: URL of the one with the same and many rows.
    """
    with connect(empty, **PLANNING) as one, connect(full, **PLANNING) as other:
        asked = list(zip(ask_all(one), ask_all(other), strict=True))
        plans = [(explain_prepared(one, a.text, a.values), explain_prepared(other, b.text, b.values)) for a, b in asked]
        times = _time_in_turns((one, other), asked)
    return [
        {
            "statement": a.name,
            "situation": a.situation,
            "milliseconds": times[str(a)][1],
            "milliseconds_empty": times[str(a)][0],
            "ratio": round(times[str(a)][1] / times[str(a)][0], 2),
            "pages": here.buffers,
            "pages_empty": there.buffers,
            "whole_tables_read": list(here.scanned),
            "plan": list(here.nodes),
        }
        for (a, _), (there, here) in zip(asked, plans, strict=True)
    ]


def _time_in_turns(
    connections: Sequence[Connection[Any]], asked: Sequence[tuple[Asked, Asked]]
) -> dict[str, tuple[float, float]]:
    taken: dict[str, tuple[list[float], list[float]]] = defaultdict(lambda: ([], []))
    for turn in range(ROUNDS):
        for pair in asked:
            if turn >= SWEEPS and pair[0].name in SWEEPING:
                continue
            for place in (0, 1) if turn % 2 else (1, 0):
                taken[str(pair[0])][place].append(time_undone(connections[place], pair[place].text, pair[place].values))
    return {name: (round(median(one), 4), round(median(other), 4)) for name, (one, other) in taken.items()}

"""Migrations that run by themselves, and exactly once, however many start at once; the running service's, too."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypeAlias

import pandas as pd
from psycopg import Connection

from beefirst.evaluation.evidence import Evidence
from beefirst.evaluation.migration_history import judge_history, observe_history, shortened
from beefirst.evaluation.procedure import Observed, experiment
from beefirst.laboratory import catalog, counted_runs
from beefirst.laboratory.api_process import ApiProcess, start_api
from beefirst.laboratory.project_copy import ProjectCopy
from beefirst.laboratory.running_service import RunningService, find_service
from beefirst.laboratory.scratch_database import ScratchDatabase
from beefirst.machine.folders import MIGRATIONS

Start: TypeAlias = Callable[[str], ApiProcess]

FIRST = "001_create_registrations.sql"

TIMES_BY_HAND = 2


def _judge_first_start(
    before: Sequence[str], tables: Sequence[str], history: pd.DataFrame, shipped: Mapping[str, str]
) -> Evidence:
    names = [*history["name"]]
    holds = not before and names == [*shipped] and names[:1] == [FIRST] and "registrations" in tables
    found = f"; the database was not empty, it had {', '.join(before)}" if before else ""
    applied = f"{names[0]} applied by the start, and the {len(names) - 1} after it" if names else "nothing was applied"
    return Evidence(holds, f"{applied}{found}", shortened(history))


@experiment(_judge_first_start)
def applied_by_a_start(database: ScratchDatabase, start: Start = start_api) -> Observed:
    """Start an API on an empty database, and look at what that has applied: nobody runs a migration by hand.

    Args:
        database: an empty one.
        start: what starts an API on a database's URL and returns it once it is ready.
    """
    with database.connect() as connection:
        before = catalog.tables(connection)
        start(database.url).stop()
        return {"before": before, "tables": catalog.tables(connection), **observe_history(connection)}


def _judge_second_start(before: Mapping[str, pd.DataFrame], after: Mapping[str, pd.DataFrame]) -> Evidence:
    history, made = before["history"], before["made"]
    same, kept = _count_same(history, after["history"]), _count_same(made, after["made"])
    summary = (
        f"{same} of {len(history)} rows of the history are as before, times of applying included; "
        f"{len(made) - kept} of {len(made)} constraints, functions and triggers were made anew"
    )
    unchanged = after["history"].equals(history) and after["made"].equals(made)
    return Evidence(unchanged and len(history) > 0 and len(made) > 0, summary, shortened(after["history"]))


@experiment(_judge_second_start)
def nothing_is_applied_again(database: ScratchDatabase, start: Start = start_api) -> Observed:
    """Start an API on a database that has every migration: the history must stay, and all that the files made.

    Args:
        database: one that an API has been started on.
        start: as for `applied_by_a_start`.
    """
    with database.connect() as connection:
        before = _look_at(connection)
        start(database.url).stop()
        return {"before": before, "after": _look_at(connection)}


def _look_at(connection: Connection[Any]) -> dict[str, pd.DataFrame]:
    return {"history": catalog.history(connection), "made": catalog.made(connection)}


def _count_same(before: pd.DataFrame, after: pd.DataFrame) -> int:
    return len(set(before.itertuples(index=False, name=None)) & set(after.itertuples(index=False, name=None)))


def _judge_second_run(said: Sequence[str], before: pd.DataFrame, after: pd.DataFrame) -> Evidence:
    rows = pd.DataFrame(list(enumerate(said, start=1)), columns=["run", "notice"])
    unchanged = len(before) > 0 and after.equals(before)
    left = "the table as it was" if unchanged else "another table than before"
    return Evidence(unchanged and len(said) == TIMES_BY_HAND, f"ran twice and left {left}: {'; '.join(said)}", rows)


@experiment(_judge_second_run)
def file_runs_again_by_hand(database: ScratchDatabase, folder: Path = MIGRATIONS) -> Observed:
    """Run the first file of a folder twice, past the runner, where it was applied; the table must stay as it is."""
    said: list[str] = []
    with database.connect() as connection:
        connection.add_notice_handler(lambda notice: said.append(notice.message_primary or ""))
        before = catalog.columns(connection)
        for _ in range(TIMES_BY_HAND):
            connection.execute((folder / FIRST).read_bytes())
        return {"said": said, "before": before, "after": catalog.columns(connection)}


def _judge_replicas(
    count: int,
    replicas: pd.DataFrame,
    gates: pd.DataFrame,
    runs: dict[str, int],
    history: pd.DataFrame,
    shipped: dict[str, str],
) -> Evidence:
    ready = int((replicas["result"] == "ready").sum())
    at_work = [_count_at(gates, name, counted_runs.AT_WORK) for name in shipped]
    waiting = [_count_at(gates, name, counted_runs.WAITS) for name in shipped]
    each = ", ".join(f"{name[:3]}: {times}" for name, times in runs.items())
    summary = (
        f"{ready} of {count} ready; times that each file was run: {each}; {len(history)} rows of history; "
        f"at work at once: {max(at_work)}; seen to wait meanwhile: {min(waiting)}"
    )
    once = runs == dict.fromkeys(shipped, 1) and history["name"].tolist() == list(shipped)
    together = count > 1 and set(at_work) == {1} and set(waiting) == {count - 1}
    return Evidence(once and together and ready == len(replicas) == count, summary, replicas)


def _count_at(gates: pd.DataFrame, file: str, doing: str) -> int:
    return int(((gates["file"] == file) & (gates["doing"] == doing)).sum())


@experiment(_judge_replicas)
def many_replicas(count: int = 8, copies: type[ProjectCopy] = ProjectCopy) -> Observed:
    """Start several APIs at once on one empty database: each must become ready, and each file be run once.

    They run a copy whose files count their own runs. Each file waits until every replica is there, at work in it or
    asking for its turn, so that whatever keeps them apart is put to the test from the first file to the last.

    Args:
        count: how many.
        copies: makes the copy.
    """
    with ScratchDatabase() as database, copies() as copy, database.connect() as connection:
        counted_runs.count_runs(copy, connection)
        with ExitStack() as running:
            replicas = [running.enter_context(copy.start(database, **counted_runs.PATIENT)) for _ in range(count)]
            gates = counted_runs.open_gates(copy, connection, replicas)
            came_up = [(number, *counted_runs.come_up(replica)) for number, replica in enumerate(replicas, start=1)]
        return {
            "count": count,
            "replicas": pd.DataFrame(came_up, columns=["replica", "ready after (s)", "in migrate (ms)", "result"]),
            "gates": gates,
            "runs": counted_runs.counted_runs(connection),
            **observe_history(connection),
        }


@experiment(judge_history)
def service_has_every_migration(service: RunningService | None = None) -> Observed:
    """Read the history of the running service's own database, and hold it against the files that were shipped.

    Args:
        service: see `find_service` where left out.
    """
    with (service or find_service()).connect() as connection:
        return observe_history(connection)
